//! What the shell counts.

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
