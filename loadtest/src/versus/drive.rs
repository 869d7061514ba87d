//! One run: every connection drives one box after another out of its share, as fast as answers come.

use super::request::{Driver, Road};
use crate::{
    client::{Connection, Target},
    course::Course,
    fleet::gather,
    report::{Latencies, LoadError},
};
use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

/// Lines about errors that a run keeps.
const WORDS: usize = 5;

/// What one run did.
pub struct Driven {
    pub answers: u64,
    pub errors: u64,
    pub deferred: u64,
    pub answer_bytes: usize,
    pub latencies: Latencies,
    pub words: Vec<String>,
}

/// Opens all connections before anything is measured, a few at a time so that no queue overflows.
pub async fn open_all(target: &Target, count: usize) -> Result<Vec<Connection>, LoadError> {
    let mut links = Vec::with_capacity(count);
    for _ in 0..count {
        links.push(Connection::open(target).await?);
    }
    Ok(links)
}

pub async fn drive(
    road: Road,
    links: Vec<Connection>,
    drivers: Vec<Driver>,
    length: Duration,
    course: Option<Course>,
) -> Result<(Driven, Vec<Driver>), LoadError> {
    let latencies = Latencies::new()?;
    let (answers, errors, deferred, answer_bytes) = (0, 0, 0, 0);
    let driven = Driven { answers, errors, deferred, answer_bytes, latencies, words: Vec::new() };
    let driven = Rc::new(RefCell::new(driven));
    let count = links.len();
    let mut shares: Vec<Vec<(usize, Driver)>> = (0..count).map(|_| Vec::new()).collect();
    for (index, driver) in drivers.into_iter().enumerate() {
        shares[index % count].push((index, driver));
    }
    let until = Instant::now() + length;
    let tasks = links.into_iter().zip(shares).map(|(link, share)| {
        let (driven, course) = (driven.clone(), course.clone());
        async move { Ok(one_connection(road, link, share, until, &driven, course.as_ref()).await) }
    });
    let drivers = gather(tasks).await?;
    let driven = Rc::try_unwrap(driven).map_err(|_| LoadError::Unfit("a connection outlived its run".to_owned()))?;
    Ok((driven.into_inner(), drivers))
}

async fn one_connection(
    road: Road,
    mut link: Connection,
    mut share: Vec<(usize, Driver)>,
    until: Instant,
    driven: &RefCell<Driven>,
    course: Option<&Course>,
) -> Vec<(usize, Driver)> {
    let mut at = 0;
    loop {
        let began = Instant::now();
        if began >= until {
            return share;
        }
        let (_, driver) = &mut share[at];
        driver.patch();
        let outcome = match link.round_trip(&driver.bytes).await {
            Ok(answer) if answer.status == 200 => {
                let outcome = match road {
                    Road::Sync => driver.answered(answer.body),
                    Road::Echo => {
                        driver.echoed(answer.body);
                        Ok(())
                    }
                };
                driven.borrow_mut().answer_bytes = answer.body.len();
                outcome
            }
            Ok(answer) if matches!(answer.status, 429 | 503) => {
                let wait = Duration::from_secs(answer.retry_after_s.unwrap_or(1));
                driven.borrow_mut().deferred += 1;
                tokio::time::sleep(wait.min(until.saturating_duration_since(began))).await;
                continue;
            }
            Ok(answer) => Err(format!("{} {}", answer.status, String::from_utf8_lossy(answer.body))),
            Err(error) => Err(error.to_string()),
        };
        let mut driven = driven.borrow_mut();
        match outcome {
            Ok(()) => {
                driven.answers += 1;
                let took = began.elapsed();
                driven.latencies.record(took);
                if let Some(course) = course {
                    course.answered(road.name(), took);
                }
            }
            Err(words) => {
                driven.errors += 1;
                if driven.words.len() < WORDS {
                    driven.words.push(words);
                }
                // What became of this box's entries is unknown: this connection has nothing more to say.
                return share;
            }
        }
        at = (at + 1) % share.len();
    }
}
