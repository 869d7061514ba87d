//! What goes on beside the syncs: people at boxes, administrators, lists, boxes that are enrolled anew, a feed reader.

use crate::{
    api::{Api, ApiError, text},
    chance::Chance,
    client::Target,
    clock::Backoff,
    course::Course,
    fleet::{Fleet, gather},
    link::{Synced, sync_once},
    outage::{Desk, administer, use_box},
    report::LoadError,
    road::{Watched, apis, one_sync, watch},
    vbox::{Storage, VirtualBox},
};
use serde_json::json;
use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

/// Boxes that people use and administrators change; the last few are enrolled again and again.
pub const BOXES: usize = 96;
const ENROLLED_AGAIN: usize = 12;
const ADMINISTRATORS: usize = 4;
const WORDS: usize = 10;

/// What the tasks tell.
#[derive(Default)]
pub struct Lived {
    pub errors: u64,
    pub words: Vec<String>,
    pub feed_items: u64,
}

#[derive(Clone)]
struct Shared {
    target: Target,
    course: Course,
    until: Instant,
    lived: Rc<RefCell<Lived>>,
}

impl Shared {
    fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    async fn pause(&self, chance: &mut Chance, most_ms: u64) {
        tokio::time::sleep(Duration::from_millis(most_ms / 2 + chance.below(most_ms))).await;
    }

    /// Counts how a call went under its name.
    fn told<T>(&self, lane: &'static str, began: Instant, outcome: Result<T, impl std::fmt::Display>) -> Option<T> {
        match outcome {
            Ok(value) => {
                self.course.answered(lane, began.elapsed());
                Some(value)
            }
            Err(error) => {
                self.course.failed(lane);
                let mut lived = self.lived.borrow_mut();
                lived.errors += 1;
                if lived.words.len() < WORDS {
                    lived.words.push(format!("{lane}: {error}"));
                }
                None
            }
        }
    }
}

pub struct Life {
    shared: Shared,
    tasks: tokio::task::JoinHandle<Result<Vec<()>, LoadError>>,
}

impl Life {
    pub fn begin(target: &Target, fleet: Fleet, course: &Course, length: Duration, chance: &Chance) -> Self {
        let shared = Shared {
            target: target.clone(),
            course: course.clone(),
            until: Instant::now() + length,
            lived: Rc::default(),
        };
        let desks: Vec<Desk> = fleet.boxes.iter().map(Desk::of).collect();
        let (fleet, mut boxes) = watch(fleet);
        let enrolled = boxes.split_off(boxes.len().saturating_sub(ENROLLED_AGAIN));
        let callers = |stream: u64| apis(target, &fleet, &chance.fork(stream));
        let mut tasks: Vec<std::pin::Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        for watched in boxes {
            tasks.push(Box::pin(used(shared.clone(), watched)));
        }
        let changed = desks.len().saturating_sub(ENROLLED_AGAIN);
        for number in 0..ADMINISTRATORS {
            let mine = desks[..changed].iter().skip(number).step_by(ADMINISTRATORS).cloned().collect();
            let calls = (callers(800 + number as u64), chance.fork(900 + number as u64));
            tasks.push(Box::pin(changing(shared.clone(), mine, calls, number as u64)));
        }
        tasks.push(Box::pin(listing(shared.clone(), desks.clone(), callers(810), chance.fork(910))));
        tasks.push(Box::pin(enrolling(shared.clone(), enrolled, callers(820), chance.fork(920))));
        tasks.push(Box::pin(following(shared.clone(), callers(830))));
        let tasks = tasks.into_iter().enumerate().map(|(number, task)| async move {
            task.await;
            Ok(vec![(number, ())])
        });
        Self { shared, tasks: tokio::task::spawn_local(gather(tasks.collect::<Vec<_>>().into_iter())) }
    }

    /// When all have come to their end.
    pub async fn end(self) -> Result<Lived, LoadError> {
        self.tasks.await.map_err(|error| LoadError::Unfit(error.to_string()))??;
        Ok(self.shared.lived.take())
    }
}

/// A box as in life: people, now and then, and a sync behind them.
async fn used(shared: Shared, mut watched: Watched) {
    let mut link = None;
    while shared.goes_on() {
        let some = 1 + watched.fleet_box.vbox.chance.index(4);
        if let Err(error) = use_box(&mut watched.fleet_box, some, 1, false) {
            shared.told::<()>("sync of a box in use", Instant::now(), Err(error));
            return;
        }
        let began = Instant::now();
        let wait = match one_sync(&mut link, &mut watched, &shared.target).await {
            Ok((Synced::Applied(_), took)) => {
                shared.course.answered("sync of a box in use", took);
                Duration::from_millis(500 + watched.fleet_box.vbox.chance.below(1000))
            }
            Ok((Synced::Deferred { retry_after_s }, _)) => {
                shared.course.failed("sync of a box in use");
                Backoff::after_refusal(retry_after_s, &mut watched.fleet_box.vbox.chance)
            }
            other => {
                let words = match other {
                    Ok((Synced::Stopped { status, problem }, _)) => format!("{status} {problem}"),
                    Ok((Synced::Unbelievable(why), _)) => why,
                    Err(error) => error.to_string(),
                    Ok(_) => String::new(),
                };
                shared.told::<()>("sync of a box in use", began, Err(words));
                Duration::from_secs(1)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Grants, withdraws, protects, corrects. What piles up is withdrawn before a box has too many accesses.
async fn changing(shared: Shared, mut mine: Vec<Desk>, (mut apis, mut chance): (Vec<Api>, Chance), number: u64) {
    const ACCESSES_MAX: usize = 60;
    let mut tag = (number + 1) * 10_000_000;
    while shared.goes_on() && !mine.is_empty() {
        let at = chance.index(mine.len());
        let desk = &mut mine[at];
        let (api, began) = (&mut apis[desk.organisation], Instant::now());
        tag += 1;
        let outcome = if desk.accesses.len() > ACCESSES_MAX {
            let access = desk.accesses.swap_remove(0);
            api.delete(&format!("/boxes/{}/accesses/{}", desk.id, access.id)).await
        } else {
            administer(api, desk, &mut Default::default(), tag, &mut chance).await
        };
        shared.told("change by an administrator", began, outcome);
        shared.pause(&mut chance, 100).await;
    }
}

/// Somebody who looks: lists, histories, single boxes.
async fn listing(shared: Shared, desks: Vec<Desk>, mut apis: Vec<Api>, mut chance: Chance) {
    while shared.goes_on() && !desks.is_empty() {
        let desk = &desks[chance.index(desks.len())];
        let path = match chance.below(6) {
            0 => "/boxes?limit=50".to_owned(),
            1 => "/keys?limit=50".to_owned(),
            2 => "/conflicts?limit=50".to_owned(),
            3 => format!("/boxes/{}/history?limit=50", desk.id),
            4 => format!("/boxes/{}/inventory", desk.id),
            _ => format!("/boxes/{}", desk.id),
        };
        let began = Instant::now();
        let outcome = apis[desk.organisation].get(&path).await;
        shared.told("list or look", began, outcome);
        shared.pause(&mut chance, 100).await;
    }
}

/// Boxes whose inside was exchanged: a new code, a new identity, a first sync.
async fn enrolling(shared: Shared, mut boxes: Vec<Watched>, mut apis: Vec<Api>, mut chance: Chance) {
    while shared.goes_on() && !boxes.is_empty() {
        let at = chance.index(boxes.len());
        let fleet_box = &mut boxes[at].fleet_box;
        let (api, began) = (&mut apis[fleet_box.organisation], Instant::now());
        let outcome = enrol_again(api, fleet_box.id(), &shared.target, &mut chance).await;
        shared.told("enrolment and first sync", began, outcome);
        shared.pause(&mut chance, 1500).await;
    }
}

async fn enrol_again(api: &mut Api, id: &str, target: &Target, chance: &mut Chance) -> Result<(), LoadError> {
    let call = format!("/boxes/{id}/enrolment");
    let answer = api.post(&call, &json!({})).await?;
    let identity = api.enrol(&text(&answer, "code", &call)?).await?;
    let mut vbox = VirtualBox::new(identity, [], Storage::Memory, chance.fork(7))?;
    let mut link = crate::Connection::open(target).await?;
    for _ in 0..10 {
        match sync_once(&mut link, target, &mut vbox).await? {
            Synced::Applied(_) => return Ok(()),
            Synced::Deferred { retry_after_s } => {
                tokio::time::sleep(Backoff::after_refusal(retry_after_s, chance)).await
            }
            Synced::Stopped { status, problem } => return Err(LoadError::Unfit(format!("{status} {problem}"))),
            Synced::Unbelievable(why) => return Err(LoadError::Unfit(why)),
        }
    }
    Err(LoadError::Unfit("put off ten times".to_owned()))
}

/// Follows the change feed of every organisation, if the server has one.
async fn following(shared: Shared, mut apis: Vec<Api>) {
    let mut after: Vec<Option<String>> = vec![None; apis.len()];
    while shared.goes_on() {
        let mut more = false;
        for (api, after) in apis.iter_mut().zip(&mut after) {
            let path = match after {
                None => "/events?limit=200".to_owned(),
                Some(cursor) => format!("/events?limit=200&after={cursor}"),
            };
            let began = Instant::now();
            let page = match api.get(&path).await {
                Err(ApiError::Problem { status: 404, .. }) => return,
                outcome => shared.told("page of the change feed", began, outcome),
            };
            let Some(page) = page else { continue };
            shared.lived.borrow_mut().feed_items += page["items"].as_array().map_or(0, Vec::len) as u64;
            more |= page["more"].as_bool().unwrap_or_default();
            if let Some(next) = page["next"].as_str().filter(|next| !next.is_empty()) {
                *after = Some(next.to_owned());
            }
        }
        tokio::time::sleep(Duration::from_millis(if more { 1 } else { 200 })).await;
    }
}
