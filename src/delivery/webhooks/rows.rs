//! List rows, how far a webhook has come, the log of its deliveries, and what is sealed. Stored: numbers are
//! append-only.

use super::state::{Known, Start, Status, Why};
use crate::kernel::{Address, UnixMillis, WebhookId};
use minicbor::{Decode, Encode};

/// `RowSpace::Webhooks`, by webhook: all that the dispatcher needs besides what is sealed.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct WebhookRow {
    #[n(0)]
    pub origin: Box<str>,
    #[n(1)]
    pub description: Box<str>,
    #[n(2)]
    pub types: Vec<Box<str>>,
    #[n(3)]
    pub status: Status,
    #[n(4)]
    pub start: Start,
    #[n(5)]
    pub created: UnixMillis,
    #[n(6)]
    pub previous_until: Option<UnixMillis>,
    #[n(7)]
    pub changed: u64,
}

impl WebhookRow {
    pub fn of(known: &Known) -> Self {
        Self {
            origin: known.settings.origin.clone(),
            description: known.settings.description.clone(),
            types: known.settings.types.clone(),
            status: known.status,
            start: known.start.clone(),
            created: known.created,
            previous_until: known.previous_until,
            changed: known.changed,
        }
    }

    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    pub fn paused(&self) -> Option<(Why, UnixMillis)> {
        match self.status {
            Status::Active => None,
            Status::Paused { why, since } => Some((why, since)),
        }
    }
}

/// `VaultField::WebhookSecret`: the whole address (its path may be a secret of its own) and the signing secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct SealedPlain {
    #[n(0)]
    pub url: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub secret: Vec<u8>,
    #[n(2)]
    pub previous: Option<PreviousSecret>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PreviousSecret {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub secret: Vec<u8>,
    #[n(1)]
    pub until: UnixMillis,
}

impl Drop for SealedPlain {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.url.zeroize();
        self.secret.zeroize();
    }
}

impl Drop for PreviousSecret {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.secret.zeroize();
    }
}

/// `RowSpace::WebhookDeliveries`, by webhook alone: everything up to `cursor` was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HeadRow {
    #[n(0)]
    pub cursor: Box<str>,
    /// The `Start::since` that this cursor comes from: a later start counts instead.
    #[n(1)]
    pub since: u64,
    #[n(2)]
    pub next_number: u64,
    /// Nothing was taken since.
    #[n(3)]
    pub failing_since: Option<UnixMillis>,
    #[n(4)]
    pub delivered_at: Option<UnixMillis>,
    /// The `WebhookRow::changed` under which all this was so: after a change nothing is held against the endpoint.
    #[n(5)]
    pub changed: u64,
}

/// `RowSpace::WebhookDeliveries`, by webhook and number from the end: one delivery and its last attempt.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DeliveryRow {
    #[n(0)]
    pub number: u64,
    /// What is told; `None` for a test.
    #[n(1)]
    pub event: Option<EventKey>,
    #[n(2)]
    pub r#type: Box<str>,
    /// When the event happened.
    #[n(3)]
    pub happened: UnixMillis,
    #[n(4)]
    pub first_at: UnixMillis,
    /// When the last attempt began.
    #[n(5)]
    pub last_at: UnixMillis,
    #[n(6)]
    pub attempts: u32,
    #[n(7)]
    pub state: DeliveryState,
    #[n(8)]
    pub status: Option<u16>,
    #[n(9)]
    pub error: Option<ErrorClass>,
    #[n(10)]
    pub took_ms: u32,
    #[n(11)]
    pub next_at: Option<UnixMillis>,
    /// How a refusal begins.
    #[n(12)]
    pub excerpt: Option<Box<str>>,
    /// The revision at which an administrator asked for it.
    #[n(13)]
    pub asked: Option<u64>,
}

/// Names one event for ever: whose it is, and its revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub struct EventKey {
    #[n(0)]
    pub of: Address,
    #[n(1)]
    pub revision: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum DeliveryState {
    #[n(0)]
    Delivered,
    #[n(1)]
    Retrying,
    /// Not tried again by itself.
    #[n(2)]
    Failed,
}

impl DeliveryState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
        }
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ErrorClass {
    /// The name has no address.
    #[n(0)]
    NameNotFound,
    /// No address of the name may be reached.
    #[n(1)]
    AddressForbidden,
    #[n(2)]
    Connect,
    #[n(3)]
    Tls,
    #[n(4)]
    Timeout,
    /// The connection ended before the answer.
    #[n(5)]
    Closed,
    /// An answer that is no 2xx.
    #[n(6)]
    Status,
    #[n(7)]
    Redirect,
}

impl ErrorClass {
    pub const ALL: [Self; 8] = [
        Self::NameNotFound,
        Self::AddressForbidden,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Closed,
        Self::Status,
        Self::Redirect,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::NameNotFound => "name_not_found",
            Self::AddressForbidden => "address_forbidden",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Status => "status",
            Self::Redirect => "redirect",
        }
    }
}

/// The key of a delivery: newest first.
pub fn delivery_key(webhook: WebhookId, number: u64) -> Vec<u8> {
    let mut key = webhook.to_bytes().to_vec();
    key.extend((u64::MAX - number).to_be_bytes());
    key
}
