//! What the shell counts.

use super::{CommitQueue, Engine};
use crate::kernel::EntityKind;

/// Metric handles, looked up once.
pub(super) struct Stats {
    pub batch_records: metrics::Histogram,
    pub fsync_seconds: metrics::Histogram,
    pub activations: metrics::Counter,
    pub quarantined: metrics::Counter,
    pub messages_refused: metrics::Counter,
    pub mailbox_full: metrics::Counter,
}

impl Stats {
    pub fn new() -> Self {
        Self {
            batch_records: metrics::histogram!("castellan_commit_batch_records"),
            fsync_seconds: metrics::histogram!("castellan_commit_append_seconds"),
            activations: metrics::counter!("castellan_activations_total"),
            quarantined: metrics::counter!("castellan_quarantined_total"),
            messages_refused: metrics::counter!("castellan_messages_refused_total"),
            mailbox_full: metrics::counter!("castellan_mailbox_full_total"),
        }
    }
}

impl Engine {
    /// How many entities of each kind are awake.
    pub fn awake(&self) -> Vec<(EntityKind, usize)> {
        self.shared.kinds.iter().map(|(kind, directory)| (*kind, directory.awake())).collect()
    }

    /// Records that wait for their fsync, by partition.
    pub fn commit_queues(&self) -> impl Iterator<Item = usize> {
        self.shared.queues.iter().map(CommitQueue::waiting)
    }
}
