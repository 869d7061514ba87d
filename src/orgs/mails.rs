//! What an organisation is told by others; and mails that died: what it hears of them, keeps of them, and what becomes of
//! them. Pure.

use super::state::organisation::{Command, Event};
use crate::{
    kernel::{
        Codec, Effects, EntityKind, MailCopy, MailId, MailName, MailTrouble, MessageTarget, OrgId, RowSpace, UnixMillis,
    },
    recovery,
};
use minicbor::{Decode, Encode};
use std::{net::IpAddr, time::Duration};

/// What an organisation receives. What devices send stands in the outbox: numbers are append-only.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum OrganisationMessage {
    /// From the post.
    #[n(0)]
    MailDied(#[n(0)] DeadMail),
    /// From a device: its PAP was right, and its own last request came from there.
    #[n(1)]
    PhoneTrusted {
        #[n(0)]
        address: IpAddr,
        #[n(1)]
        at: UnixMillis,
    },
    /// From a device: it was provisioned from there.
    #[n(2)]
    PhoneProvisioned {
        #[n(0)]
        address: IpAddr,
        #[n(1)]
        at: UnixMillis,
    },
}

/// A mail that could not be brought. Stands in an event: ids and numbers only.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DeadMail {
    #[n(0)]
    pub mail: MailCopy,
    #[n(1)]
    pub trouble: MailTrouble,
    /// As the mail server said it.
    #[n(2)]
    pub code: Option<u16>,
}

/// `RowSpace::DeadLetters`, by id.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DeadLetter {
    #[n(0)]
    pub dead: DeadMail,
    #[n(1)]
    pub died: UnixMillis,
}

/// How long a mail that is sent again may take.
const AGAIN_WITHIN: Duration = Duration::from_secs(24 * 3600);

impl DeadMail {
    /// The time of death, newest first, and what tells mails of one moment apart.
    pub fn letter_id(&self, died: UnixMillis) -> MailId {
        const TIME_BITS: u32 = 48;
        let newest_first = !u128::from(died.0) & ((1 << TIME_BITS) - 1);
        let MailName { from, revision, n, .. } = self.mail.name;
        let mixed = (from.entity.raw ^ u128::from(revision).rotate_left(64) ^ u128::from(n))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        MailId(newest_first << (128 - TIME_BITS) | mixed >> TIME_BITS)
    }
}

/// Rows and mails that follow from one event.
pub fn follow(org: OrgId, command: &Command, event: &Event, now: UnixMillis, effects: &mut Effects) {
    match event {
        Event::MailDied { id, mail } => {
            let letter = DeadLetter { dead: mail.clone(), died: now };
            effects.put(RowSpace::DeadLetters, org, &MailId::to_bytes(*id), letter.to_bytes());
            let MailName { from, .. } = mail.mail.name;
            if from.entity.kind == EntityKind::Installation
                && let Some(message) = recovery::died(&mail.mail.about, mail.trouble)
            {
                effects.send(MessageTarget::Entity(from), &message);
            }
        }
        Event::MailGivenUp { id } => effects.delete(RowSpace::DeadLetters, org, &MailId::to_bytes(*id)),
        Event::MailResent { id } => {
            effects.delete(RowSpace::DeadLetters, org, &MailId::to_bytes(*id));
            if let Command::ResendMail { letter, .. } = command {
                effects.mail_again(&letter.dead.mail, now.plus(AGAIN_WITHIN));
            }
        }
        _ => {}
    }
}
