//! How much waits in the outbox, and since when: looked at now and then by a reader thread, for the metrics alone.

use super::Shared;
use crate::{
    kernel::UnixMillis,
    store::keys::{self, KeyKind},
};
use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// How often it is looked, in steps between which a stop is noticed.
const PACE: Duration = Duration::from_secs(2);
const STEPS: u32 = 20;
const COUNTED_MAX: usize = 10_000;
/// Looks that are remembered: some two hours.
const REMEMBERED: usize = 4096;

/// When the log had reached which position: tells how old an item is that stands at one.
#[derive(Default)]
struct Ages(VecDeque<(UnixMillis, u64)>);

impl Ages {
    fn note(&mut self, now: UnixMillis, position: u64) {
        if self.0.back().is_some_and(|(_, last)| *last == position) {
            return;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((now, position));
    }

    /// Since the look that first saw the log beyond it.
    fn since(&self, position: u64) -> Option<UnixMillis> {
        let at = self.0.partition_point(|(_, reached)| *reached < position);
        self.0.get(at).map(|(then, _)| *then)
    }
}

pub(super) async fn watch(shared: Arc<Shared>, partition: u8) {
    let items = metrics::gauge!("castellan_outbox_items", "partition" => partition.to_string());
    let oldest = metrics::gauge!("castellan_outbox_oldest_seconds", "partition" => partition.to_string());
    let mut ages = Ages::default();
    let mut steps = 0u32;
    while !shared.stopping.load(Ordering::Acquire) {
        if steps.is_multiple_of(STEPS) {
            let reader = Arc::clone(&shared);
            let look = move || {
                let reached = reader.log.tail(partition)?.position;
                let rows = reader.db.scan(&keys::prefix(partition, KeyKind::Outbox), None, COUNTED_MAX)?;
                Ok((reached, rows.len(), rows.first().and_then(|(key, _)| keys::outbox_position(key))))
            };
            // Too busy, or the store fails: others say so.
            if let Ok((reached, waiting, first)) = shared.readers.run(look).await {
                let now = shared.clock.now();
                ages.note(now, reached);
                let since = first.and_then(|position| ages.since(position));
                items.set(waiting as f64);
                oldest.set(since.map_or(0.0, |since| now.since(since).as_secs_f64()));
            }
        }
        steps = steps.wrapping_add(1);
        tokio::time::sleep(PACE / STEPS).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_as_old_as_the_look_that_saw_the_log_beyond_it() {
        let mut ages = Ages::default();
        for (at, position) in [(1000, 5), (2000, 5), (3000, 9), (4000, 12)] {
            ages.note(UnixMillis(at), position);
        }
        assert_eq!(ages.since(3), Some(UnixMillis(1000)), "older than the first look");
        assert_eq!(ages.since(5), Some(UnixMillis(1000)));
        assert_eq!(ages.since(6), Some(UnixMillis(3000)));
        assert_eq!(ages.since(12), Some(UnixMillis(4000)));
        assert_eq!(ages.since(13), None, "newer than the last look");
        for position in 13..10_000 {
            ages.note(UnixMillis(position), position);
        }
        assert_eq!(ages.0.len(), REMEMBERED);
    }
}
