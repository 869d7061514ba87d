//! What of a partition's outbox is held in memory: a lane per recipient, each with a bound. What does not fit stays in
//! the store; when its lane has room again the scan goes back for it. So a slow recipient costs no memory and holds up
//! nobody else.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
};

type Key = Vec<u8>;

/// What became of a row that was offered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// Its lane was empty: put it to work.
    First,
    Waits,
    /// It is being worked on.
    Known,
    /// Left in the store for later.
    Left,
}

pub(super) struct Lanes<L, T> {
    lanes: HashMap<L, Lane<T>>,
    /// Rows held, so that a scan does not take them again.
    known: HashSet<Key>,
    lane_max: usize,
}

struct Lane<T> {
    waiting: VecDeque<(Key, T)>,
    /// The first row that was left in the store. All behind it are left too, so that order holds.
    left: Option<Key>,
}

impl<L: Hash + Eq + Clone, T: Clone> Lanes<L, T> {
    pub fn new(lane_max: usize) -> Self {
        Self { lanes: HashMap::new(), known: HashSet::new(), lane_max }
    }

    pub fn put(&mut self, lane: L, key: &[u8], item: T) -> Put {
        if self.known.contains(key) {
            return Put::Known;
        }
        let lane = self.lanes.entry(lane).or_insert(Lane { waiting: VecDeque::new(), left: None });
        let is_behind = lane.left.as_ref().is_some_and(|left| left.as_slice() <= key);
        if is_behind || lane.waiting.len() >= self.lane_max {
            if !is_behind {
                lane.left = Some(key.to_vec());
            }
            return Put::Left;
        }
        self.known.insert(key.to_vec());
        lane.waiting.push_back((key.to_vec(), item));
        if lane.waiting.len() == 1 { Put::First } else { Put::Waits }
    }

    pub fn front(&self, lane: &L) -> Option<(Key, T)> {
        self.lanes.get(lane)?.waiting.front().cloned()
    }

    /// A row is done with. Whether the scan should go back now for what the lane had left.
    pub fn done(&mut self, name: &L, key: &[u8]) -> bool {
        self.known.remove(key);
        let Some(lane) = self.lanes.get_mut(name) else { return false };
        lane.waiting.retain(|(waiting, _)| waiting != key);
        if lane.waiting.is_empty() && lane.left.is_none() {
            self.lanes.remove(name);
            return false;
        }
        lane.left.is_some() && lane.waiting.len() <= self.lane_max / 2
    }

    /// From which row on the scan has to read again, for lanes that have room again.
    pub fn gap(&mut self) -> Option<Key> {
        let half = self.lane_max / 2;
        let roomy = self.lanes.values_mut().filter(|lane| lane.left.is_some() && lane.waiting.len() <= half);
        let gap = roomy.filter_map(|lane| lane.left.take()).min();
        if gap.is_some() {
            self.lanes.retain(|_, lane| !lane.waiting.is_empty() || lane.left.is_some());
        }
        gap
    }

    pub fn len(&self) -> usize {
        self.lanes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Vec<u8> {
        vec![n]
    }

    /// Takes what a scan from `from` on would offer: row n belongs to lane `n % 2`, or to lane 0 if `n < 20`.
    fn scan(lanes: &mut Lanes<u8, u8>, rows: &[u8], from: u8) {
        for row in rows.iter().filter(|row| **row >= from) {
            let lane = if *row < 20 { 0 } else { row % 2 };
            lanes.put(lane, &key(*row), *row);
        }
    }

    #[test]
    fn a_full_lane_holds_up_nobody_and_loses_nothing() {
        let mut lanes = Lanes::new(4);
        let mut rows: Vec<u8> = (0..60).collect();
        scan(&mut lanes, &rows, 0);
        assert!(lanes.known.len() <= 8, "two lanes of four");
        let mut served: [Vec<u8>; 2] = Default::default();
        // Lane 1 goes on while lane 0 stands still.
        while let Some((done, row)) = lanes.front(&1) {
            served[1].push(row);
            rows.retain(|known| *known != row);
            if lanes.done(&1, &done)
                && let Some(gap) = lanes.gap()
            {
                scan(&mut lanes, &rows, gap[0]);
            }
        }
        assert_eq!(served[1], (20..60).filter(|row| row % 2 == 1).collect::<Vec<_>>());
        assert_eq!(lanes.known.len(), 4);
        while let Some((done, row)) = lanes.front(&0) {
            served[0].push(row);
            rows.retain(|known| *known != row);
            if lanes.done(&0, &done)
                && let Some(gap) = lanes.gap()
            {
                scan(&mut lanes, &rows, gap[0]);
            }
        }
        let expected: Vec<_> = (0..20).chain((20..60).filter(|row| row % 2 == 0)).collect();
        assert_eq!(served[0], expected, "in order, each once");
        assert!(rows.is_empty() && lanes.len() == 0 && lanes.known.is_empty());
    }

    #[test]
    fn a_row_that_is_worked_on_is_not_taken_again() {
        let mut lanes = Lanes::new(4);
        assert_eq!(lanes.put(1, &key(1), ()), Put::First);
        assert_eq!(lanes.put(1, &key(1), ()), Put::Known);
        assert_eq!(lanes.put(1, &key(2), ()), Put::Waits);
        assert!(!lanes.done(&1, &key(1)));
        assert_eq!(lanes.gap(), None);
    }
}
