//! What is remembered of a webhook's deliveries: how far it has come, and the log. Written at most once a second or
//! every 500 deliveries, so that a storm of events costs few records; a crash in between repeats what it forgets.

use super::{Dispatch, send::Attempt, window::Job};
use crate::{
    delivery::webhooks::rows::{DeliveryRow, DeliveryState, EventKey, HeadRow, WebhookRow, delivery_key},
    kernel::{Address, Codec, FeedCursor, RowOp, RowSpace, UnixMillis, WebhookId},
    store::{StoreError, keys},
};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

const KEEP_EVERY: Duration = Duration::from_secs(1);
const KEEP_DELIVERIES: u32 = 500;
/// How often the cursor of a webhook is written that got nothing.
const KEEP_IDLE: Duration = Duration::from_secs(3600);

pub(super) struct Book {
    pub address: Address,
    pub head: HeadRow,
    /// Log rows that are not yet written.
    rows: BTreeMap<u64, DeliveryRow>,
    /// Log rows below this are gone or will be.
    log_begins: u64,
    log_max: u64,
    deliveries: u32,
    changed: bool,
    moved: bool,
    kept_at: UnixMillis,
}

/// What an earlier start of the server knew of a delivery that was to be tried again.
pub(super) type Known = HashMap<EventKey, DeliveryRow>;

impl Book {
    pub fn open(dispatch: &Dispatch, address: Address, row: &WebhookRow) -> Result<Self, StoreError> {
        let (db, webhook) = (dispatch.engine.db(), WebhookId(address.entity.raw));
        let partition = db.partition_of(address.org);
        let space = RowSpace::WebhookDeliveries;
        let stored = db.get(&keys::row(partition, space, address.org, &webhook.to_bytes()))?;
        let head = match stored {
            Some(bytes) => {
                HeadRow::decode_from(&bytes).map_err(|why| StoreError::Corrupt { what: "webhook's cursor", why })?
            }
            None => HeadRow {
                cursor: row.start.cursor.clone(),
                since: row.start.since,
                next_number: 1,
                failing_since: None,
                delivered_at: None,
                changed: row.changed,
            },
        };
        let log_max = dispatch.config.log_entries.max(1);
        Ok(Self {
            address,
            log_begins: head.next_number.saturating_sub(log_max),
            head,
            rows: BTreeMap::new(),
            log_max,
            deliveries: 0,
            changed: false,
            moved: false,
            kept_at: dispatch.now(),
        })
    }

    /// Takes in what an administrator has changed: another place to begin, and a clean slate.
    pub fn follow(&mut self, row: &WebhookRow) {
        if self.head.since != row.start.since {
            self.head.cursor = row.start.cursor.clone();
            self.head.since = row.start.since;
        }
        if self.head.changed != row.changed {
            self.head.changed = row.changed;
            self.head.failing_since = None;
        }
    }

    /// Deliveries that were to be tried again when the server stopped, or the webhook was paused.
    pub fn retrying(&self, dispatch: &Dispatch) -> Result<Known, StoreError> {
        let (db, webhook) = (dispatch.engine.db(), WebhookId(self.address.entity.raw));
        let limit = usize::try_from(self.log_max).unwrap_or(usize::MAX);
        let prefix = webhook.to_bytes();
        let rows = db.rows(RowSpace::WebhookDeliveries, self.address.org, &prefix, Some(&prefix), limit)?;
        let rows = rows.iter().filter_map(|(_, bytes)| DeliveryRow::decode_from(bytes).ok());
        let open = rows.filter(|row| row.state == DeliveryState::Retrying);
        Ok(open.filter_map(|row| Some((row.event?, row))).collect())
    }

    pub fn cursor(&self) -> Option<FeedCursor> {
        self.head.cursor.parse().ok()
    }

    /// Everything up to here is delivered.
    pub fn advance(&mut self, cursor: FeedCursor) {
        self.head.cursor = cursor.to_string().into();
        self.moved = true;
    }

    /// A number for a delivery that is tried for the first time.
    pub fn number(&mut self) -> u64 {
        let number = self.head.next_number;
        self.head.next_number += 1;
        number
    }

    pub fn tried(&mut self, job: &Job, number: u64, attempt: &Attempt, at: UnixMillis, next_at: Option<UnixMillis>) {
        let state = match (attempt.error, next_at) {
            (None, _) => DeliveryState::Delivered,
            (Some(_), _) => DeliveryState::Retrying,
        };
        self.log(DeliveryRow {
            number,
            event: Some(job.event),
            r#type: (*job.r#type).into(),
            happened: job.happened,
            first_at: job.first_at.unwrap_or(at),
            last_at: at,
            attempts: job.attempts,
            state,
            status: attempt.status,
            error: attempt.error,
            took_ms: attempt.took_ms,
            next_at,
            excerpt: attempt.excerpt.clone(),
            asked: None,
        });
        self.deliveries += 1;
    }

    pub fn log(&mut self, row: DeliveryRow) {
        // A row that the log has forgotten meanwhile does not come back.
        if row.number + self.log_max >= self.head.next_number {
            self.rows.insert(row.number, row);
        }
        self.changed = true;
    }

    pub fn failing(&mut self, since: Option<UnixMillis>) {
        if self.head.failing_since != since {
            self.head.failing_since = since;
            self.changed = true;
        }
    }

    /// When `keep` has something to do, if nothing else happens.
    pub fn due(&self) -> Option<UnixMillis> {
        match (self.changed, self.moved) {
            (true, _) => Some(self.kept_at.plus(KEEP_EVERY)),
            (false, true) => Some(self.kept_at.plus(KEEP_IDLE)),
            (false, false) => None,
        }
    }

    /// What to write now, if it is time or must be.
    pub fn take_due(&mut self, now: UnixMillis, must: bool) -> Option<Vec<RowOp>> {
        let worth_it = self.changed || self.moved;
        let is_due = self.due().is_some_and(|due| due <= now) || (self.changed && self.deliveries >= KEEP_DELIVERIES);
        if !worth_it || !(must || is_due) {
            return None;
        }
        let webhook = WebhookId(self.address.entity.raw);
        let op = |key: Vec<u8>, value| RowOp { space: RowSpace::WebhookDeliveries, org: self.address.org, key, value };
        let mut ops = vec![op(webhook.to_bytes().to_vec(), Some(self.head.to_bytes()))];
        for (number, row) in std::mem::take(&mut self.rows) {
            ops.push(op(delivery_key(webhook, number), Some(row.to_bytes())));
        }
        let begins = self.head.next_number.saturating_sub(self.log_max);
        for number in self.log_begins..begins {
            ops.push(op(delivery_key(webhook, number), None));
        }
        (self.log_begins, self.deliveries, self.changed, self.moved, self.kept_at) = (begins, 0, false, false, now);
        Some(ops)
    }

    /// Nothing can be written at the moment.
    pub fn postpone(&mut self, now: UnixMillis) {
        self.kept_at = now;
    }

    /// What was to be kept was not: the next time, then.
    pub fn not_kept(&mut self) {
        self.changed = true;
    }
}
