//! What of a webhook's feed is under way: read, not yet delivered. One lane for each entity keeps its order; a lane
//! that fails waits alone. Everything up to the oldest open delivery counts as done.

use super::health::Pause;
use crate::{
    delivery::webhooks::rows::EventKey,
    kernel::{EntityId, FeedCursor, UnixMillis},
};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    rc::Rc,
};

/// One event on its way.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub event: EventKey,
    pub r#type: Rc<str>,
    pub happened: UnixMillis,
    pub body: Rc<[u8]>,
    /// The number in the log, once it was tried.
    pub number: Option<u64>,
    pub attempts: u32,
    pub first_at: Option<UnixMillis>,
}

#[derive(Default)]
struct Lane {
    jobs: VecDeque<(u64, Job)>,
}

/// A record that was read: done when nothing of it is open and nothing before it is.
struct Entry {
    after: FeedCursor,
    open: u32,
}

#[derive(Default)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    first: u64,
    lanes: HashMap<EntityId, Lane>,
    ready: VecDeque<EntityId>,
    waiting: BTreeSet<(UnixMillis, EntityId)>,
    open: usize,
    sending: usize,
}

impl Window {
    /// Adds a record with what of it is to be delivered.
    pub fn push(&mut self, after: FeedCursor, lane: EntityId, jobs: Vec<Job>) {
        // A record without deliveries makes the entry before it longer.
        if jobs.is_empty()
            && let Some(last) = self.entries.back_mut()
        {
            last.after = after;
            return;
        }
        let entry = self.first + self.entries.len() as u64;
        self.entries.push_back(Entry { after, open: u32::try_from(jobs.len()).unwrap_or(u32::MAX) });
        if jobs.is_empty() {
            return;
        }
        self.open += jobs.len();
        let known = self.lanes.entry(lane).or_insert_with(|| {
            self.ready.push_back(lane);
            Lane::default()
        });
        known.jobs.extend(jobs.into_iter().map(|job| (entry, job)));
    }

    /// Deliveries that are not done.
    pub fn open(&self) -> usize {
        self.open
    }

    pub fn sending(&self) -> usize {
        self.sending
    }

    /// Records between the oldest that is open and the newest that was read.
    pub fn span(&self) -> usize {
        self.entries.len()
    }

    /// When the oldest event that is open has happened.
    pub fn oldest(&self) -> Option<UnixMillis> {
        self.lanes.values().filter_map(|lane| Some(lane.jobs.front()?.1.happened)).min()
    }

    /// The next delivery that is due; its lane is busy until `delivered` or `failed`.
    pub fn take(&mut self, now: UnixMillis) -> Option<(EntityId, Job)> {
        while let Some((due, lane)) = self.waiting.first().copied().filter(|(due, _)| *due <= now) {
            self.waiting.remove(&(due, lane));
            self.ready.push_back(lane);
        }
        let lane = self.ready.pop_front()?;
        self.send(lane)
    }

    /// The delivery that is due soonest, before its time: what an endpoint is tried with that takes nothing.
    pub fn take_early(&mut self) -> Option<(EntityId, Job)> {
        let lane = match self.ready.pop_front() {
            Some(lane) => lane,
            None => self.waiting.pop_first()?.1,
        };
        self.send(lane)
    }

    fn send(&mut self, id: EntityId) -> Option<(EntityId, Job)> {
        let (_, job) = self.lanes.get(&id)?.jobs.front()?;
        self.sending += 1;
        Some((id, job.clone()))
    }

    /// The lane's first delivery is done.
    pub fn delivered(&mut self, id: EntityId) {
        self.sending -= 1;
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if let Some((entry, _)) = lane.jobs.pop_front() {
            self.open -= 1;
            let at = usize::try_from(entry - self.first).unwrap_or(usize::MAX);
            if let Some(entry) = self.entries.get_mut(at) {
                entry.open -= 1;
            }
        }
        if lane.jobs.is_empty() {
            self.lanes.remove(&id);
        } else {
            self.ready.push_back(id);
        }
    }

    /// The lane's first delivery is to be tried again, as `job` says, when its time has come.
    pub fn failed(&mut self, id: EntityId, job: Job, due: UnixMillis) {
        self.sending -= 1;
        if let Some((_, first)) = self.lanes.get_mut(&id).and_then(|lane| lane.jobs.front_mut()) {
            *first = job;
        }
        self.waiting.insert((due, id));
    }

    /// Whoever waits is due soon: the endpoint is back.
    pub fn hurry(&mut self, mut soon: impl FnMut() -> UnixMillis) {
        self.waiting = std::mem::take(&mut self.waiting).into_iter().map(|(due, id)| (due.min(soon()), id)).collect();
    }

    /// How far everything is done, if further than before.
    pub fn advance(&mut self) -> Option<FeedCursor> {
        let mut done = None;
        while let Some(entry) = self.entries.front().filter(|entry| entry.open == 0) {
            done = Some(entry.after);
            self.entries.pop_front();
            self.first += 1;
        }
        done
    }

    /// When to look again, if nothing else happens.
    pub fn next_due(&self, pause: Pause) -> Option<UnixMillis> {
        match pause {
            Pause::None if self.ready.is_empty() => self.waiting.first().map(|(due, _)| *due),
            Pause::None => Some(UnixMillis(0)),
            // The endpoint's own pause decides.
            Pause::Until(until) => (self.open > 0).then_some(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{BoxId, OrgId};

    fn cursor(position: u64) -> FeedCursor {
        FeedCursor::before(1, position)
    }

    fn job(of: u128, revision: u64) -> Job {
        Job {
            event: EventKey { of: BoxId(of).at(OrgId(1)), revision },
            r#type: "boxes.created".into(),
            happened: UnixMillis(revision),
            body: Rc::from(&b"{}"[..]),
            number: None,
            attempts: 0,
            first_at: None,
        }
    }

    fn lane(of: u128) -> EntityId {
        BoxId(of).into()
    }

    #[test]
    fn a_lane_keeps_its_order_and_a_failing_one_delays_only_itself() {
        let mut window = Window::default();
        for (position, of) in [(1, 1), (2, 2), (3, 1), (4, 2), (5, 2)] {
            window.push(cursor(position + 1), lane(of), vec![job(of, position)]);
        }
        let (one, first) = window.take(UnixMillis(0)).unwrap();
        let (two, _) = window.take(UnixMillis(0)).unwrap();
        assert_eq!((one, two, first.event.revision), (lane(1), lane(2), 1));
        assert!(window.take(UnixMillis(0)).is_none(), "one at a time in each lane");
        window.failed(one, Job { attempts: 1, ..first }, UnixMillis(100));
        window.delivered(two);
        for revision in [4, 5] {
            let (id, job) = window.take(UnixMillis(50)).unwrap();
            assert_eq!((id, job.event.revision), (lane(2), revision));
            window.delivered(id);
        }
        assert!(window.advance().is_none(), "the oldest is open");
        assert_eq!((window.open(), window.span()), (2, 5));
        assert_eq!(window.next_due(Pause::None), Some(UnixMillis(100)));
        let (id, job) = window.take(UnixMillis(100)).unwrap();
        assert_eq!((id, job.attempts, job.event.revision), (lane(1), 1, 1));
        window.delivered(id);
        assert_eq!(window.advance(), Some(cursor(3)), "up to the lane's second");
        let (id, job) = window.take(UnixMillis(100)).unwrap();
        assert_eq!(job.event.revision, 3);
        window.delivered(id);
        assert_eq!(window.advance(), Some(cursor(6)));
        assert_eq!((window.open(), window.span(), window.sending()), (0, 0, 0));
    }

    #[test]
    fn records_that_nobody_wants_move_the_cursor_without_room() {
        let mut window = Window::default();
        for position in 0..1000 {
            window.push(cursor(position), lane(1), Vec::new());
        }
        assert_eq!(window.span(), 1);
        assert_eq!(window.advance(), Some(cursor(999)));
        window.push(cursor(1000), lane(1), vec![job(1, 1), job(1, 2)]);
        window.push(cursor(1001), lane(2), Vec::new());
        let (id, _) = window.take(UnixMillis(0)).unwrap();
        window.delivered(id);
        assert!(window.advance().is_none(), "half a record is not done");
        let (id, _) = window.take(UnixMillis(0)).unwrap();
        window.delivered(id);
        assert_eq!(window.advance(), Some(cursor(1001)));
    }

    #[test]
    fn an_outage_ends_for_all_lanes() {
        let mut window = Window::default();
        for of in 1..=3 {
            window.push(cursor(of), lane(of.into()), vec![job(of.into(), 1)]);
            let (id, job) = window.take(UnixMillis(0)).unwrap();
            window.failed(id, job, UnixMillis(3_600_000));
        }
        assert!(window.take(UnixMillis(1000)).is_none());
        assert_eq!(window.next_due(Pause::Until(UnixMillis(7))), Some(UnixMillis(7)));
        let (id, _) = window.take_early().unwrap();
        window.delivered(id);
        window.hurry(|| UnixMillis(1001));
        assert!(window.take(UnixMillis(1001)).is_some() && window.take(UnixMillis(1001)).is_some());
    }
}
