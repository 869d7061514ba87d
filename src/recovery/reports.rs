//! What became of texts and mails after they were handed over, as a gateway or a mail server tells it later. Pure.

use super::{event::Event, state::Known};
use crate::kernel::{Stamp, UnixMillis};
use minicbor::{Decode, Encode};
use serde::Serialize;
use utoipa::ToSchema;

/// What a gateway has reported of a text. Stored and shown: numbers are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum TextStatus {
    /// The network has it.
    #[n(0)]
    Accepted,
    /// The gateway has it.
    #[n(1)]
    Queued,
    /// The telephone has it.
    #[n(2)]
    Delivered,
    #[n(3)]
    Failed,
    /// The network does not take it.
    #[n(4)]
    Rejected,
}

impl TextStatus {
    /// As Kannel numbers them (its user guide, "Delivery reports").
    pub fn of_kannel(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Delivered),
            2 => Some(Self::Failed),
            4 => Some(Self::Queued),
            8 => Some(Self::Accepted),
            16 => Some(Self::Rejected),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        }
    }

    fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Failed | Self::Rejected)
    }

    fn is_trouble(self) -> bool {
        matches!(self, Self::Failed | Self::Rejected)
    }
}

/// The newest report of the newest text to the contact's telephone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TextReport {
    /// The revision that asked for the text.
    #[n(0)]
    pub text: u64,
    #[n(1)]
    pub status: TextStatus,
    #[n(2)]
    pub at: UnixMillis,
}

/// A text that its network has not brought.
const UNDELIVERED: &str = "undelivered";
/// A mail that its server gave back after it had taken it.
pub const BOUNCED: &str = "bounced";

impl Known {
    /// Reports come late, twice, and in any order; of a contact that was replaced they say nothing.
    pub(super) fn text_reported(&self, text: u64, status: TextStatus, events: &mut Vec<Event>) {
        let Some(contact) = self.contact.as_ref().filter(|_| text > self.contact_at) else { return };
        let is_news = contact.report.is_none_or(|last| {
            last.text < text || (last.text == text && !last.status.is_final() && last.status != status)
        });
        if is_news {
            events.push(Event::TextReported { text, status });
        }
    }

    pub(super) fn mail_bounced(&self, mail: u64, events: &mut Vec<Event>) {
        let bounced = self.contact.as_ref().is_some_and(|contact| contact.trouble.as_deref() == Some(BOUNCED));
        if self.contact.is_some() && mail >= self.contact_at && !bounced {
            events.push(Event::MailDied { why: BOUNCED.into() });
        }
    }

    pub(super) fn apply_report(&mut self, text: u64, status: TextStatus, stamp: Stamp) {
        let Some(contact) = &mut self.contact else { return };
        contact.report = Some(TextReport { text, status, at: stamp.at });
        if status.is_trouble() {
            contact.trouble = Some(UNDELIVERED.into());
        } else if status == TextStatus::Delivered && contact.trouble.as_deref() == Some(UNDELIVERED) {
            contact.trouble = None;
        }
    }
}
