//! Room for a record on its way to the disk, taken at the door and given back when the answer is there.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// How much is on its way: records and their bytes.
#[derive(Debug, Default)]
pub struct InFlight {
    pub records: AtomicUsize,
    pub bytes: AtomicUsize,
}

/// Room for one record. Given back when dropped, on whatever thread.
#[derive(Debug)]
pub struct Permit {
    room: Option<(Arc<InFlight>, usize)>,
}

impl Permit {
    /// Counts a record of about `bytes`; whether there is room was decided before.
    pub fn take(in_flight: &Arc<InFlight>, bytes: usize) -> Self {
        in_flight.records.fetch_add(1, Ordering::Relaxed);
        in_flight.bytes.fetch_add(bytes, Ordering::Relaxed);
        Self { room: Some((Arc::clone(in_flight), bytes)) }
    }

    /// For the server's own work, whose amount is bounded elsewhere.
    pub fn internal() -> Self {
        Self { room: None }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((in_flight, bytes)) = &self.room {
            in_flight.records.fetch_sub(1, Ordering::Relaxed);
            in_flight.bytes.fetch_sub(*bytes, Ordering::Relaxed);
        }
    }
}
