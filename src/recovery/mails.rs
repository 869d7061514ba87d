//! Mails and texts that follow from what happens to an installation. Pure: their secrets are made when they are sent.

use super::words::Salt;
use crate::{
    kernel::{InstallationId, UnixMillis},
    orgs::Mark,
};
use minicbor::{Decode, Encode};
use std::{net::IpAddr, time::Duration};

/// What a mail or a text is about. Stored in the outbox and in dead letters: numbers are append-only.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct RecoveryMail {
    #[n(0)]
    pub installation: InstallationId,
    #[n(1)]
    pub at: UnixMillis,
    /// Where the request came from.
    #[n(2)]
    pub from: Option<IpAddr>,
    #[n(3)]
    pub news: News,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum News {
    #[n(0)]
    Validation {
        #[n(0)]
        salt: Salt,
        #[n(1)]
        until: UnixMillis,
        /// Only the contact that was sealed then.
        #[n(2)]
        contact_at: u64,
    },
    #[n(1)]
    Reset {
        #[n(0)]
        salt: Salt,
        #[n(1)]
        until: UnixMillis,
        #[n(2)]
        contact_at: u64,
    },
    #[n(2)]
    Done,
    /// To whoever was the contact.
    #[n(3)]
    Changed {
        #[n(0)]
        former: u64,
        #[n(1)]
        cleared: bool,
    },
    /// By text.
    #[n(4)]
    Code {
        #[n(0)]
        salt: Salt,
        #[n(1)]
        link: Mark,
        #[n(2)]
        until: UnixMillis,
        #[n(3)]
        contact_at: u64,
    },
    /// The operator has started a reset to a new address.
    #[n(5)]
    GlassStarted {
        #[n(0)]
        salt: Salt,
        #[n(1)]
        due: UnixMillis,
        #[n(2)]
        contact_at: u64,
    },
    /// To that new address.
    #[n(6)]
    GlassReset {
        #[n(0)]
        salt: Salt,
        #[n(1)]
        until: UnixMillis,
        /// The revision with which the address was sealed.
        #[n(2)]
        sealed_at: u64,
    },
    /// Administrator 1 was given another name or password over the API.
    #[n(7)]
    Administered,
}

/// How long it is worth telling that something has happened.
pub const NEWS_WITHIN: Duration = Duration::from_secs(3 * 24 * 3600);

impl News {
    /// After this it would lead nowhere.
    pub fn until(&self) -> Option<UnixMillis> {
        match self {
            Self::Validation { until, .. }
            | Self::Reset { until, .. }
            | Self::Code { until, .. }
            | Self::GlassReset { until, .. } => Some(*until),
            Self::GlassStarted { due, .. } => Some(*due),
            Self::Done | Self::Administered | Self::Changed { .. } => None,
        }
    }

    /// Which contact it is for, where another must not get it.
    pub fn contact_at(&self) -> Option<u64> {
        match self {
            Self::Validation { contact_at, .. }
            | Self::Reset { contact_at, .. }
            | Self::Code { contact_at, .. }
            | Self::GlassStarted { contact_at, .. } => Some(*contact_at),
            Self::Done | Self::Administered | Self::Changed { .. } | Self::GlassReset { .. } => None,
        }
    }
}

pub const VALIDATION: &str = "recovery_validation";
pub const RESET: &str = "recovery_reset";
pub const DONE: &str = "recovery_done";
pub const CHANGED: &str = "recovery_changed";
pub const GLASS: &str = "recovery_glass";
pub const GLASS_RESET: &str = "recovery_glass_reset";
pub const TEXT_GLASS: &str = "sms_recovery_glass";
pub const TEXT_CODE: &str = "sms_recovery_code";
pub const TEXT_DONE: &str = "sms_recovery_done";
pub const TEXT_CHANGED: &str = "sms_recovery_changed";
