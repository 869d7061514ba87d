//! The door of one worker: who gets room in the commit log at once, who waits, and who is asked to come again.
//!
//! Who waits is ordered by class, then by the nearest deadline. When too many wait, the least urgent one is deferred.

use super::{
    codes::Code,
    problem::{Limit, Problem},
};
use crate::{
    config,
    engine::{Permit, Room},
    kernel::{Chance, UnixMillis},
    metrics::AdmissionMetrics,
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::sync::oneshot;

/// Who goes before whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    PersonAtBox,
    Admin,
    /// A sync whose urgency is known from its ticket.
    SyncWithTicket,
    SyncDefault,
    Background,
}

impl Class {
    pub const NAMES: [&str; 5] = ["person_at_box", "admin", "sync_with_ticket", "sync_default", "background"];
}

/// How urgent a request is. Found out only when there is a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Urgency {
    pub class: Class,
    pub due_by: UnixMillis,
}

/// The shortest guarantee that is sold: what is assumed of a box without a ticket.
const SHORTEST_GUARANTEE: Duration = Duration::from_secs(15 * 60);
/// What an administrator can be asked to wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// Assumed until the door has seen how fast it goes.
const FIRST_RATE_PER_S: f64 = 1000.0;

impl Urgency {
    pub fn without_ticket(class: Class, now: UnixMillis) -> Self {
        let slack = match class {
            Class::PersonAtBox | Class::Admin => PATIENCE,
            Class::SyncWithTicket | Class::SyncDefault | Class::Background => SHORTEST_GUARANTEE,
        };
        Self { class, due_by: now.plus(slack) }
    }
}

type Place = (Class, UnixMillis, u64);

struct Waiter {
    bytes: usize,
    entry: oneshot::Sender<Permit>,
}

pub struct Admission {
    room: Arc<Room>,
    waiters: RefCell<BTreeMap<Place, Waiter>>,
    records_max: u32,
    waiting_max: usize,
    wait_max: Duration,
    number: Cell<u64>,
    pace: RefCell<Pace>,
    chance: Chance,
    metrics: AdmissionMetrics,
}

impl Admission {
    /// The share of one of `workers` in what the configuration allows.
    pub fn new(config: &config::Admission, workers: usize, chance: Chance, metrics: AdmissionMetrics) -> Rc<Self> {
        Rc::new(Self {
            room: Room::new(
                config.records_in_flight_max.div_ceil(workers),
                config.bytes_in_flight_max.div_ceil(workers),
            ),
            waiters: RefCell::default(),
            records_max: u32::try_from(config.records_in_flight_max).unwrap_or(u32::MAX),
            waiting_max: config.waiting_max.div_ceil(workers),
            wait_max: Duration::from_millis(config.waiting_ms_max),
            number: Cell::new(0),
            pace: RefCell::default(),
            chance,
            metrics,
        })
    }

    /// Lets the waiting in whenever room is given back; runs as long as the worker.
    pub async fn run(self: Rc<Self>) {
        loop {
            self.room.freed().await;
            self.let_in();
        }
    }

    /// Room for one record, at once or after waiting. `urgency` is asked only if there is a queue; `class` is what the
    /// request claims to be.
    pub async fn enter(
        &self,
        bytes: usize,
        class: Class,
        now: impl Fn() -> UnixMillis,
        urgency: impl FnOnce() -> Urgency,
    ) -> Result<Permit, Problem> {
        if self.room.waiting() == 0
            && let Some(permit) = self.room.try_take(bytes)
        {
            self.metrics.at_once(class as usize);
            return Ok(permit);
        }
        let urgency = urgency();
        let arrived = now();
        let waiter = self.queue(bytes, urgency).ok_or_else(|| self.defer(urgency, arrived))?;
        match tokio::time::timeout(self.wait_max, waiter).await {
            Ok(Some(permit)) => {
                let left = now();
                self.metrics.after_waiting(urgency.class as usize);
                self.metrics.wait.record(left.since(arrived).as_secs_f64());
                self.pace.borrow_mut().served(left);
                Ok(permit)
            }
            Ok(None) | Err(_) => Err(self.defer(urgency, now())),
        }
    }

    /// A place in the queue; none if everybody who waits is at least as urgent and the queue is full.
    fn queue(&self, bytes: usize, urgency: Urgency) -> Option<impl Future<Output = Option<Permit>>> {
        self.number.set(self.number.get() + 1);
        let place = (urgency.class, urgency.due_by, self.number.get());
        let (entry, permit) = oneshot::channel();
        {
            let mut waiters = self.waiters.borrow_mut();
            if waiters.len() >= self.waiting_max {
                let last = waiters.last_entry().filter(|last| place < *last.key())?;
                // Its sender is dropped: that one is deferred.
                last.remove();
            }
            waiters.insert(place, Waiter { bytes, entry });
            self.waiting_changed(waiters.len());
        }
        // Room given back before it was known that somebody waits would wake nobody.
        self.let_in();
        let leaving = Leaving { door: self, place };
        Some(async move {
            let permit = permit.await.ok();
            drop(leaving);
            permit
        })
    }

    fn let_in(&self) {
        let mut waiters = self.waiters.borrow_mut();
        while let Some(first) = waiters.first_entry() {
            let Some(permit) = self.room.try_take(first.get().bytes) else { break };
            // Who hung up meanwhile drops the permit, which gives the room back.
            let _ = first.remove().entry.send(permit);
        }
        self.waiting_changed(waiters.len());
    }

    fn waiting_changed(&self, waiting: usize) {
        self.room.set_waiting(waiting);
        self.metrics.waiting.set(waiting as f64);
    }

    /// "Come again": spread by the pace at which the door works, and inside the caller's own guarantee.
    fn defer(&self, urgency: Urgency, now: UnixMillis) -> Problem {
        self.metrics.deferred(urgency.class as usize);
        let turn_ms = self.pace.borrow_mut().book(now);
        let jittered_ms = turn_ms / 2 + self.chance.below(turn_ms.max(1) + 1000);
        let within_ms = urgency.due_by.0.saturating_sub(now.0) / 4 * 3;
        let seconds = jittered_ms.min(within_ms).div_ceil(1000).max(1);
        let limit = Limit { policy: "admission", quota: self.records_max, window_s: None };
        Problem::from(Code::Busy).retry_after_s(u32::try_from(seconds).unwrap_or(u32::MAX)).limited(limit)
    }
}

/// Takes a waiter out of the queue who waited too long or hung up.
struct Leaving<'a> {
    door: &'a Admission,
    place: Place,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut waiters = self.door.waiters.borrow_mut();
        if waiters.remove(&self.place).is_some() {
            self.door.waiting_changed(waiters.len());
        }
    }
}

/// How many a second get through, and until when turns are given out.
struct Pace {
    per_s: f64,
    since: UnixMillis,
    served: u32,
    booked_until_ms: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { per_s: FIRST_RATE_PER_S, since: UnixMillis(0), served: 0, booked_until_ms: 0.0 }
    }
}

impl Pace {
    fn served(&mut self, now: UnixMillis) {
        self.served += 1;
        let span = now.since(self.since);
        if span >= Duration::from_secs(1) {
            if span < Duration::from_secs(10) {
                let seen = f64::from(self.served) / span.as_secs_f64();
                self.per_s = (self.per_s / 2.0 + seen / 2.0).max(50.0);
            }
            self.since = now;
            self.served = 0;
        }
    }

    /// Gives out the next turn; in how many milliseconds it is.
    fn book(&mut self, now: UnixMillis) -> u64 {
        let now_ms = now.0 as f64;
        self.booked_until_ms = self.booked_until_ms.max(now_ms) + 1000.0 / self.per_s;
        (self.booked_until_ms - now_ms) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    fn door(records: usize, waiting: usize) -> Rc<Admission> {
        let config = config::Admission {
            records_in_flight_max: records,
            bytes_in_flight_max: 1 << 20,
            waiting_max: waiting,
            waiting_ms_max: 50,
        };
        Admission::new(&config, 1, Chance::seeded(1), AdmissionMetrics::of(Class::NAMES, 0))
    }

    fn due(class: Class, in_s: u64) -> Urgency {
        Urgency { class, due_by: NOW.plus(Duration::from_secs(in_s)) }
    }

    async fn come(door: &Admission, urgency: Urgency) -> Result<Permit, Problem> {
        door.enter(10, urgency.class, || NOW, || urgency).await
    }

    #[tokio::test]
    async fn nearest_deadline_first_within_a_class_and_people_before_all() {
        let door = door(1, 10);
        let held = come(&door, due(Class::SyncDefault, 900)).await.unwrap();
        let order = RefCell::new(Vec::new());
        let visit = |name: &'static str, urgency| {
            let (door, order) = (&door, &order);
            async move {
                let permit = come(door, urgency).await.unwrap();
                order.borrow_mut().push(name);
                drop(permit);
            }
        };
        let give_back = async {
            tokio::task::yield_now().await;
            drop(held);
            for _ in 0..6 {
                door.room.freed().await;
                door.let_in();
            }
        };
        tokio::select! {
            () = give_back => {}
            _ = async { tokio::join!(
                visit("default", due(Class::SyncDefault, 10)),
                visit("late", due(Class::SyncWithTicket, 600)),
                visit("near", due(Class::SyncWithTicket, 5)),
                visit("person", due(Class::PersonAtBox, 900)),
            ) } => {}
        }
        assert_eq!(*order.borrow(), ["person", "near", "late", "default"]);
    }

    #[tokio::test]
    async fn a_full_queue_defers_the_least_urgent_inside_its_guarantee() {
        let door = door(1, 1);
        let _held = come(&door, due(Class::Admin, 10)).await.unwrap();
        let mut relaxed = Box::pin(come(&door, due(Class::SyncWithTicket, 8)));
        assert!(futures_util::poll!(&mut relaxed).is_pending());
        let mut urgent = Box::pin(come(&door, due(Class::SyncWithTicket, 4)));
        assert!(futures_util::poll!(&mut urgent).is_pending());
        let Poll::Ready(Err(problem)) = futures_util::poll!(&mut relaxed) else { panic!("was not deferred") };
        assert_eq!(problem.code(), Code::Busy);
        assert!((1..=6).contains(&problem.retry_after().unwrap()));
        let problem = come(&door, due(Class::SyncDefault, 900)).await.unwrap_err();
        assert_eq!(problem.status(), 503);
    }

    #[tokio::test]
    async fn waiting_ends_and_who_hangs_up_leaves_no_trace() {
        let door = door(1, 10);
        let held = come(&door, due(Class::Admin, 10)).await.unwrap();
        assert_eq!(come(&door, due(Class::Admin, 10)).await.unwrap_err().code(), Code::Busy);
        let mut gone = Box::pin(come(&door, due(Class::Admin, 10)));
        assert!(futures_util::poll!(&mut gone).is_pending());
        drop(gone);
        assert_eq!(door.room.waiting(), 0);
        drop(held);
        assert!(come(&door, due(Class::Admin, 10)).await.is_ok());
        assert_eq!(door.room.in_flight(), 0);
    }

    #[test]
    fn a_crowd_is_spread_by_the_pace_of_the_door() {
        let door = door(1, 0);
        let seconds: Vec<_> =
            (0..20_000).map(|_| door.defer(due(Class::SyncDefault, 900), NOW).retry_after().unwrap()).collect();
        let last = *seconds.iter().max().unwrap();
        assert!((15..=40).contains(&last), "20,000 at 1,000 a second: {last} s");
        let early = seconds.iter().filter(|s| **s <= 5).count();
        assert!(early > 1000 && early < 10_000, "{early} come in the first five seconds");
    }
}
