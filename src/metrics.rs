//! Every metric of the server: name, unit, labels, and a sentence. Handles are looked up once for each worker.

use crate::{
    boxes::{
        AlertKind, Outcome, Plan, SyncAnswer,
        census::{AlertCensus, Census},
    },
    delivery::webhooks::ErrorClass,
    engine::Engine,
    kernel::MailTrouble,
    store::StoreMemory,
};
use ::metrics::{Counter, Gauge, Histogram, Unit};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    pub labels: &'static [&'static str],
    pub says: &'static str,
}

macro_rules! table {
    ($($constant:ident = $kind:ident $name:literal, $unit:ident, [$($label:literal),*], $says:literal;)*) => {
        $(
            #[doc = $says]
            pub const $constant: &str = $name;
        )*
        pub const ALL: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind,
            unit: Unit::$unit,
            labels: &[$($label),*],
            says: $says,
        }),*];
    };
}

table! {
    HTTP_REQUEST_SECONDS = Histogram "castellan_http_request_seconds", Seconds, ["route", "class"],
        "How long requests took, by route and class of status.";
    HTTP_PROBLEMS = Counter "castellan_http_problems_total", Count, ["code"],
        "Requests answered with a problem, by its code.";
    AUTH_FAILURES = Counter "castellan_auth_failures_total", Count, [],
        "Tokens and codes that were not valid.";
    ADMITTED = Counter "castellan_admission_total", Count, ["class", "decision"],
        "Requests at the door, by class: admitted at once, after waiting, or deferred with a 503.";
    ADMISSION_WAITING = Gauge "castellan_admission_waiting", Count, ["worker"],
        "Requests that wait at the door now.";
    ADMISSION_WAIT_SECONDS = Histogram "castellan_admission_wait_seconds", Seconds, [],
        "How long requests waited at the door that had to.";
    SYNC_OUTCOMES = Counter "castellan_sync_entries_total", Count, ["outcome"],
        "Journal entries of SmartBoxes, by what became of them.";
    SYNC_FULL = Counter "castellan_sync_snapshots_total", Count, [],
        "Syncs answered with the whole state of the box instead of what changed.";
    ACTORS_AWAKE = Gauge "castellan_actors_awake", Count, ["kind"],
        "Entities held in memory, by kind.";
    ACTIVATIONS = Counter "castellan_activations_total", Count, [],
        "Entities loaded from disk.";
    QUARANTINED = Counter "castellan_quarantined_total", Count, [],
        "Entities set apart because handling them failed in a way that must not happen.";
    MESSAGES_REFUSED = Counter "castellan_messages_refused_total", Count, [],
        "Messages between entities that their receiver could not read or refused.";
    MAILS = Counter "castellan_mails_total", Count, ["outcome"],
        "Mails that left the outbox: sent, unwanted by their organisation, or dead.";
    MAILS_DEAD = Counter "castellan_mails_dead_total", Count, ["reason"],
        "Mails that could not be brought, by the reason; they wait as dead letters.";
    MAIL_RETRIES = Counter "castellan_mail_retries_total", Count, ["reason"],
        "Tries of mails that failed and will be made again, by the reason.";
    MAIL_TRY_SECONDS = Histogram "castellan_mail_try_seconds", Seconds, [],
        "How long one try of a mail took.";
    MAIL_OUTBOX_AGE = Gauge "castellan_mail_outbox_age_seconds", Seconds, [],
        "Age of the oldest mail that is first in its lane of the outbox; 0 when there is none.";
    OUTBOX_LANES = Gauge "castellan_outbox_lanes", Count, ["outbox", "partition"],
        "Recipients for whom something waits in the outbox: of messages those in memory, of mails all.";
    MAILBOX_FULL = Counter "castellan_mailbox_full_total", Count, [],
        "Requests refused because too many waited for the same entity.";
    COMMIT_QUEUE = Gauge "castellan_commit_queue_records", Count, ["partition"],
        "Records handed over that no fsync has begun to write.";
    OUTBOX_ITEMS = Gauge "castellan_outbox_items", Count, ["partition"],
        "Outbox items not yet delivered, counted up to 10,000.";
    OUTBOX_OLDEST_SECONDS = Gauge "castellan_outbox_oldest_seconds", Seconds, ["partition"],
        "How old the oldest of them is, counted from the start of the server at most.";
    TIMERS_DUE = Gauge "castellan_timers_due", Count, ["partition"],
        "Timers that were due at the last look, of those looked at together (256).";
    TIMERS_LATE_SECONDS = Gauge "castellan_timers_late_seconds", Seconds, ["partition"],
        "How long the first of them had been due.";
    ANSWERS_REMOVED = Counter "castellan_stored_answers_removed_total", Count, [],
        "Stored answers to idempotency keys that were removed because they were old.";
    COMMIT_RECORDS = Histogram "castellan_commit_batch_records", Count, [],
        "Records written with one fsync.";
    COMMIT_SECONDS = Histogram "castellan_commit_append_seconds", Seconds, [],
        "How long writing and syncing one batch took.";
    BOX_LINKS = Gauge "castellan_box_links", Count, [],
        "Links of boxes (WebSockets) that are open now.";
    BOX_LINK_ENDS = Counter "castellan_box_link_ends_total", Count, ["why"],
        "Links of boxes that ended, by why: the box was gone, silent or too slow, its token no longer holds, another link replaced it, the server stops.";
    BOX_LINK_NOTICES = Counter "castellan_box_link_notices_total", Count, ["what"],
        "What boxes were told on their links: that something changed (sync), or what they are ordered (orders).";
    FEED_STREAMS = Gauge "castellan_feed_streams", Count, [],
        "Event streams and exports that are open now.";
    FEED_STREAM_ENDS = Counter "castellan_feed_stream_ends_total", Count, ["why"],
        "Event streams that ended, by why: the reader was gone or too slow, the token no longer holds, the server stops.";
    FEED_READS = Counter "castellan_feed_reads_total", Count, ["by"],
        "Looks at the feed of events: for pages, for streams, for the audit.";
    FEED_LAG = Histogram "castellan_feed_lag_seconds", Seconds, [],
        "From the decision of an event until it was handed to a stream that had nothing older to send.";
    REFUSALS_FORGOTTEN = Counter "castellan_refusals_forgotten_total", Count, [],
        "Refusals that are not events and had to make room for newer ones.";
    BACKUPS = Counter "castellan_backups_total", Count, ["outcome"],
        "Backups that were asked of this server: made, or failed.";
    BACKUP_MADE = Gauge "castellan_backup_made_timestamp_seconds", Seconds, [],
        "When the newest backup in the server's backup folder was made, in Unix time; 0: there is none.";
    DISK_FREE = Gauge "castellan_disk_free_bytes", Bytes, [],
        "Free space on the disk of the data folder.";
    STORE_MEMORY = Gauge "castellan_store_memory_bytes", Bytes, ["part"],
        "Memory of the database itself, bounded by its configuration: block_cache, memtables, table_readers.";
    READ_ONLY = Gauge "castellan_read_only", Count, [],
        "1 while the disk is below its watermark and no changes are taken.";
    BOXES = Gauge "castellan_boxes", Count, ["plan", "which"],
        "SmartBoxes by plan: known, enrolled, offline, suspended, pending (missing a change), late (for longer than guaranteed). Counted once a minute; one box may count in several.";
    SYNC_AGE = Gauge "castellan_sync_age_seconds", Seconds, ["plan"],
        "The longest that an enrolled box of the plan has been missing a change.";
    GUARANTEE = Gauge "castellan_guarantee_seconds", Seconds, ["plan"],
        "How soon the plan guarantees a change to reach a box.";
    CONFLICTS_OPEN = Gauge "castellan_conflicts_open", Count, ["plan"],
        "Conflicts that nobody has resolved yet.";
    ALERTS = Gauge "castellan_alerts_in_force", Count, ["kind", "acknowledged"],
        "What is wrong with boxes and keys and administrators were alerted of, by kind and by whether somebody knows. Counted once a minute.";
    TLS_RELOADS = Counter "castellan_tls_reloads_total", Count, ["outcome"],
        "Times that a changed certificate was read anew: renewed, or failed with the old one still in use.";
    TRIMMED = Counter "castellan_retention_records_trimmed_total", Count, [],
        "Records of history that were folded into a base because their retention was over.";
    EXPIRED_ROWS = Counter "castellan_retention_rows_removed_total", Count, ["what"],
        "Rows removed because their retention was over: conflicts, feed, erased (of organisations).";
    OLDEST_RECORD = Gauge "castellan_retention_oldest_record_seconds", Seconds, [],
        "Unix time of the oldest record that is kept, as the last round found it.";
    WEBHOOK_DELIVERED = Counter "castellan_webhook_delivered_total", Count, [],
        "Events that webhooks have taken.";
    WEBHOOK_FAILED = Counter "castellan_webhook_failed_total", Count, ["reason"],
        "Attempts to deliver to webhooks that failed, by reason.";
    WEBHOOK_ATTEMPT_SECONDS = Histogram "castellan_webhook_attempt_seconds", Seconds, [],
        "How long attempts to deliver to webhooks took.";
    WEBHOOK_LAG_SECONDS = Gauge "castellan_webhook_lag_seconds", Seconds, [],
        "Age of the oldest event that an active webhook has not taken.";
    WEBHOOKS = Gauge "castellan_webhooks", Count, ["state"],
        "Webhooks, by whether they are active or paused.";
    WEBHOOK_PAUSED = Counter "castellan_webhook_paused_total", Count, ["reason"],
        "Webhooks that the server has paused, by reason.";
    PHONES_SERVED = Counter "castellan_phones_served_total", Count, ["configuration"],
        "Configurations that phones have asked for: full, or minimal.";
    PHONES_CONTRADICTED = Counter "castellan_phones_contradicted_total", Count, [],
        "Requests whose path names another MAC than their user agent, query or certificate.";
    PAPS = Counter "castellan_paps_total", Count, ["outcome"],
        "PAPs that were entered: accepted, wrong, repeated (a wrong one again at once), locked (nothing was judged), not_needed.";
    PAPS_REFUSED = Counter "castellan_paps_refused_total", Count, [],
        "PAPs that were not judged because their source had tried too many wrong ones.";
    PAP_SOURCES_CLOSED = Counter "castellan_pap_sources_closed_total", Count, [],
        "Times that a source or an organisation was closed for a while because of wrong PAPs.";
    PASSWORDS_WAITING = Gauge "castellan_passwords_waiting", Count, [],
        "Passwords that wait to be hashed now.";
    PASSWORDS_REFUSED = Counter "castellan_passwords_refused_total", Count, [],
        "Passwords that were not hashed because too many waited; whoever sent them got a 503.";
    PASSWORD_SECONDS = Histogram "castellan_password_seconds", Seconds, [],
        "How long hashing one password took, without waiting.";
    DIRECTORY_QUESTIONS = Counter "castellan_directory_questions_total", Count, ["outcome"],
        "Accounts of installations that the directory was asked about, by what it said: accepted, refused, unavailable.";
    DIRECTORY_SECONDS = Histogram "castellan_directory_seconds", Seconds, [],
        "How long the directory took to judge an account.";
    INVARIANT_VIOLATIONS = Counter "castellan_invariant_violations_total", Count, ["id"],
        "Invariants found broken in production. Must stay 0.";
}

/// Bounds of latency buckets, in seconds.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const RECORDS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];

/// Makes this process record metrics; the handle renders them.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_records".to_owned()), RECORDS)?
        .install_recorder()?;
    describe();
    for error in ErrorClass::ALL {
        ::metrics::counter!(WEBHOOK_FAILED, "reason" => error.name()).absolute(0);
    }
    for invariant in crate::kernel::invariants::ALL {
        ::metrics::counter!(INVARIANT_VIOLATIONS, "id" => invariant.id).absolute(0);
    }
    // An alert sees a counter rise only from a value that it has seen.
    for trouble in MailTrouble::ALL {
        ::metrics::counter!(MAILS_DEAD, "reason" => trouble.name()).absolute(0);
    }
    for outcome in ["accepted", "wrong", "repeated", "locked", "not_needed"] {
        ::metrics::counter!(PAPS, "outcome" => outcome).absolute(0);
    }
    ::metrics::counter!(PAP_SOURCES_CLOSED).absolute(0);
    for outcome in ["renewed", "failed"] {
        ::metrics::counter!(TLS_RELOADS, "outcome" => outcome).absolute(0);
    }
    Ok(handle)
}

fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => ::metrics::describe_counter!(metric.name, metric.unit, metric.says),
            Kind::Gauge => ::metrics::describe_gauge!(metric.name, metric.unit, metric.says),
            Kind::Histogram => ::metrics::describe_histogram!(metric.name, metric.unit, metric.says),
        }
    }
}

/// What the engine says of itself when it is asked.
pub fn observe(engine: &Engine) {
    for (kind, awake) in engine.awake() {
        ::metrics::gauge!(ACTORS_AWAKE, "kind" => kind.name()).set(awake as f64);
    }
    for (partition, waiting) in engine.commit_queues().enumerate() {
        ::metrics::gauge!(COMMIT_QUEUE, "partition" => partition.to_string()).set(waiting as f64);
    }
    match engine.db().memory() {
        Ok(StoreMemory { block_cache, memtables, table_readers }) => {
            let parts = [("block_cache", block_cache), ("memtables", memtables), ("table_readers", table_readers)];
            for (part, bytes) in parts {
                ::metrics::gauge!(STORE_MEMORY, "part" => part).set(bytes as f64);
            }
        }
        Err(error) => tracing::error!(%error, "the database does not say how much memory it uses"),
    }
    ::metrics::gauge!(READ_ONLY).set(f64::from(u8::from(engine.is_read_only())));
}

/// How the boxes stand, as they were counted.
pub fn boxes(census: &Census) {
    for (plan, tally) in Plan::ALL.into_iter().zip(census) {
        let counts = [
            ("known", tally.known),
            ("enrolled", tally.enrolled),
            ("offline", tally.offline),
            ("suspended", tally.suspended),
            ("pending", tally.pending),
            ("late", tally.late),
        ];
        for (which, count) in counts {
            ::metrics::gauge!(BOXES, "plan" => plan.name(), "which" => which).set(count as f64);
        }
        ::metrics::gauge!(SYNC_AGE, "plan" => plan.name()).set(tally.oldest_pending_ms as f64 / 1000.0);
        ::metrics::gauge!(GUARANTEE, "plan" => plan.name()).set(plan.guarantee().as_secs_f64());
        ::metrics::gauge!(CONFLICTS_OPEN, "plan" => plan.name()).set(tally.open_conflicts as f64);
    }
}

/// Alerts in force, as they were counted.
pub fn alerts(census: &AlertCensus) {
    for (kind, counts) in AlertKind::ALL.into_iter().zip(census).filter(|(kind, _)| *kind != AlertKind::Exchange) {
        for (acknowledged, count) in ["no", "yes"].into_iter().zip(counts) {
            let gauge = ::metrics::gauge!(ALERTS, "kind" => kind.name(), "acknowledged" => acknowledged);
            gauge.set(*count as f64);
        }
    }
}

/// Latency of one route, by class of status.
#[derive(Clone)]
pub struct RouteMetrics([Histogram; 4]);

impl RouteMetrics {
    pub fn of(route: &'static str) -> Self {
        Self(
            ["2xx", "3xx", "4xx", "5xx"]
                .map(|class| ::metrics::histogram!(HTTP_REQUEST_SECONDS, "route" => route, "class" => class)),
        )
    }

    pub fn record(&self, status: u16, seconds: f64) {
        let class = usize::from(status / 100).clamp(2, 5) - 2;
        self.0[class].record(seconds);
    }
}

/// What happens at the door of one worker.
#[derive(Clone)]
pub struct AdmissionMetrics {
    decisions: [[Counter; 3]; 5],
    pub waiting: Gauge,
    pub wait: Histogram,
}

impl AdmissionMetrics {
    pub fn of(classes: [&'static str; 5], worker: usize) -> Self {
        let decisions = classes.map(|class| {
            ["at_once", "after_waiting", "deferred"]
                .map(|decision| ::metrics::counter!(ADMITTED, "class" => class, "decision" => decision))
        });
        Self {
            decisions,
            waiting: ::metrics::gauge!(ADMISSION_WAITING, "worker" => worker.to_string()),
            wait: ::metrics::histogram!(ADMISSION_WAIT_SECONDS),
        }
    }

    pub fn at_once(&self, class: usize) {
        self.decisions[class][0].increment(1);
    }

    pub fn after_waiting(&self, class: usize) {
        self.decisions[class][1].increment(1);
    }

    pub fn deferred(&self, class: usize) {
        self.decisions[class][2].increment(1);
    }
}

/// What becomes of journal entries.
pub struct SyncMetrics {
    outcomes: [Counter; 5],
    full: Counter,
}

/// Looked up once for the whole process.
pub fn sync() -> &'static SyncMetrics {
    static HANDLES: OnceLock<SyncMetrics> = OnceLock::new();
    HANDLES.get_or_init(|| SyncMetrics {
        outcomes: ["applied", "flagged", "ignored", "rejected", "duplicate"]
            .map(|outcome| ::metrics::counter!(SYNC_OUTCOMES, "outcome" => outcome)),
        full: ::metrics::counter!(SYNC_FULL),
    })
}

impl SyncMetrics {
    pub fn count(&self, answer: &SyncAnswer) {
        let mut counts = [0; 5];
        for receipt in &answer.receipts {
            counts[match receipt.outcome {
                Outcome::Applied => 0,
                Outcome::Flagged(_) => 1,
                Outcome::Ignored(_) => 2,
                Outcome::Rejected(_) => 3,
                Outcome::Duplicate => 4,
            }] += 1;
        }
        for (counter, count) in self.outcomes.iter().zip(counts).filter(|(_, count)| *count > 0) {
            counter.increment(count);
        }
        if answer.changes.full {
            self.full.increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        for metric in ALL {
            assert!(metric.name.starts_with("castellan_"), "{}", metric.name);
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            assert!(metric.says.ends_with('.'), "{}", metric.name);
        }
        let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
