//! Room for one record in the commit log, taken at the door before anything is decided and given back, from whichever
//! thread, when the answer is back.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use tokio::sync::Notify;

/// How many records and request bytes may be in flight for one worker.
#[derive(Debug)]
pub struct Room {
    records_max: usize,
    bytes_max: usize,
    records: AtomicUsize,
    bytes: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
}

impl Room {
    pub fn new(records_max: usize, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            records_max,
            bytes_max,
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
        })
    }

    /// Takes room for one record, if there is some. Only the room's own worker takes, every thread gives back. A body
    /// larger than all the bytes there are gets in alone.
    pub fn try_take(self: &Arc<Self>, bytes: usize) -> Option<Permit> {
        let bytes = bytes.min(self.bytes_max);
        if self.records.load(SeqCst) >= self.records_max || self.bytes.load(SeqCst) + bytes > self.bytes_max {
            return None;
        }
        self.records.fetch_add(1, SeqCst);
        self.bytes.fetch_add(bytes, SeqCst);
        Some(Permit { room: Some(Arc::clone(self)), bytes })
    }

    pub fn waiting(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    pub fn in_flight(&self) -> usize {
        self.records.load(SeqCst)
    }

    /// Says how many wait for room: from then on, whoever gives room back wakes `freed`.
    pub fn set_waiting(&self, waiting: usize) {
        self.waiting.store(waiting, SeqCst);
    }

    /// Completes when room was given back while somebody waited.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }
}

/// Given back when dropped.
#[derive(Debug, Default)]
pub struct Permit {
    room: Option<Arc<Room>>,
    bytes: usize,
}

impl Permit {
    /// For what the server does of its own accord, and for tests: bounded elsewhere, counted nowhere.
    pub fn internal() -> Self {
        Self::default()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(room) = &self.room {
            room.bytes.fetch_sub(self.bytes, SeqCst);
            room.records.fetch_sub(1, SeqCst);
            if room.waiting.load(SeqCst) > 0 {
                room.freed.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_bounded_and_given_back() {
        let room = Room::new(2, 100);
        let first = room.try_take(90).unwrap();
        assert!(room.try_take(20).is_none(), "no bytes left");
        let second = room.try_take(10).unwrap();
        assert!(room.try_take(0).is_none(), "no record left");
        std::thread::spawn(move || drop(first)).join().unwrap();
        drop(second);
        assert_eq!(room.in_flight(), 0);
        let huge = room.try_take(1_000_000).unwrap();
        assert!(room.try_take(1).is_none());
        drop(huge);
    }

    #[tokio::test]
    async fn giving_back_wakes_who_waits() {
        let room = Room::new(1, 100);
        let permit = room.try_take(1).unwrap();
        room.set_waiting(1);
        drop(permit);
        tokio::time::timeout(std::time::Duration::from_secs(5), room.freed()).await.unwrap();
    }
}
