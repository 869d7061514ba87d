//! Asks sleeping boxes for the first time, and looks at the server's memory as they wake.

use super::people::Counted;
use crate::{
    chance::Chance,
    client::{Connection, Target, write_request},
    clock::{Backoff, now_ms},
    course::Course,
    fleet::gather,
    report::{Latencies, LoadError},
    screen::bar,
    site::Site,
    wire::SyncAnswer,
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

/// How often memory is looked at while boxes wake.
const LOOKS: usize = 40;
const WORDS: usize = 10;

pub struct Woken {
    pub latencies: Latencies,
    pub errors: u64,
    pub words: Vec<String>,
    /// Boxes awake, and the server's memory in MiB.
    pub memory: Vec<(f64, f64)>,
}

/// An empty sync of a box that has stored this state; the state that it is given.
pub async fn sync(
    link: &mut Option<Connection>,
    target: &Target,
    token: &str,
    cursor: Option<&str>,
) -> Result<String, LoadError> {
    let cursor = cursor.map_or("null".to_owned(), |cursor| format!("\"{cursor}\""));
    let body = format!(
        "{{\"cursor\":{cursor},\"journal\":{{\"head\":0,\"more\":false,\"entries\":[]}},\"clock_ms\":{},\
         \"health\":{{\"battery_percent\":97,\"mains\":true,\"link\":\"ethernet\",\"firmware\":\"5.1.2\"}}}}",
        now_ms()
    );
    let mut request = Vec::with_capacity(body.len() + 512);
    write_request(&mut request, target, "POST", "/box/v1/sync", Some(token), &[], body.as_bytes());
    let mut chance = Chance::seeded(now_ms());
    for _ in 0..50 {
        let connection = Connection::kept(link, target).await?;
        let answer = connection.round_trip(&request).await?;
        match answer.status {
            200 => {
                let answer: SyncAnswer =
                    serde_json::from_slice(answer.body).map_err(|error| LoadError::Unfit(error.to_string()))?;
                return Ok(answer.cursor);
            }
            429 | 503 => {
                let wait = Backoff::after_refusal(answer.retry_after_s.unwrap_or(1), &mut chance);
                tokio::time::sleep(wait).await;
            }
            status => {
                let words = String::from_utf8_lossy(answer.body);
                return Err(LoadError::Unfit(format!("sync: {status} {words}")));
            }
        }
    }
    Err(LoadError::Unfit("put off fifty times".to_owned()))
}

/// Wakes all of these.
pub async fn all(
    target: &Target,
    boxes: &[Counted],
    connections: usize,
    course: &Course,
    site: &Site,
) -> Result<Woken, LoadError> {
    let mut woken = Woken { latencies: Latencies::new()?, errors: 0, words: Vec::new(), memory: Vec::new() };
    let progress = bar("woken", boxes.len() as u64);
    let mib = |site: &Site| site.rss_kib().unwrap_or(0) as f64 / 1024.0;
    woken.memory.push((0.0, mib(site)));
    let mut done = 0;
    for part in boxes.chunks(boxes.len().div_ceil(LOOKS).max(1)) {
        ask(target, part, connections, course, "first request to a sleeping box", &mut woken).await?;
        done += part.len();
        progress.set_position(done as u64);
        woken.memory.push((done as f64, mib(site)));
    }
    progress.finish_and_clear();
    Ok(woken)
}

/// The same of boxes that are awake, to compare.
pub async fn again(target: &Target, boxes: &[Counted], connections: usize, course: &Course) -> Result<(), LoadError> {
    let mut woken = Woken { latencies: Latencies::new()?, errors: 0, words: Vec::new(), memory: Vec::new() };
    ask(target, boxes, connections, course, "request to a box that is awake", &mut woken).await?;
    match woken.words.first() {
        None => Ok(()),
        Some(words) => Err(LoadError::Unfit(words.clone())),
    }
}

async fn ask(
    target: &Target,
    boxes: &[Counted],
    connections: usize,
    course: &Course,
    lane: &'static str,
    woken: &mut Woken,
) -> Result<(), LoadError> {
    let boxes: Rc<[Counted]> = boxes.into();
    let next = Rc::new(Cell::new(0));
    let took: Rc<RefCell<Vec<Result<Duration, String>>>> = Rc::default();
    let callers = (0..connections).map(|caller| {
        let (boxes, next, took) = (boxes.clone(), next.clone(), took.clone());
        let (target, course) = (target.clone(), course.clone());
        async move {
            let mut link = None;
            while let Some(one) = boxes.get(next.replace(next.get() + 1)) {
                // Not the connection's own time.
                Connection::kept(&mut link, &target).await?;
                let began = Instant::now();
                let outcome = sync(&mut link, &target, &one.token, Some(&one.cursor)).await;
                took.borrow_mut().push(match outcome {
                    Ok(_) => {
                        course.answered(lane, began.elapsed());
                        Ok(began.elapsed())
                    }
                    Err(error) => {
                        course.failed(lane);
                        Err(error.to_string())
                    }
                });
            }
            Ok(vec![(caller, ())])
        }
    });
    gather(callers).await?;
    for outcome in took.take() {
        match outcome {
            Ok(took) => woken.latencies.record(took),
            Err(words) => {
                woken.errors += 1;
                if woken.words.len() < WORDS {
                    woken.words.push(words);
                }
            }
        }
    }
    Ok(())
}
