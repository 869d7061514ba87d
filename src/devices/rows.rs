//! List rows, and what is sealed. Stored: numbers are append-only.

use super::{
    state::{Description, Known},
    words::{Authentication, Contact, Salt, Window},
};
use crate::kernel::UnixMillis;
use minicbor::{Decode, Encode};

/// `RowSpace::Devices`, by device: what lists show, and all that it takes to know whom to trust, so that a phone that
/// polls wakes nobody.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct DeviceRow {
    #[n(0)]
    pub description: Description,
    #[n(1)]
    pub created: UnixMillis,
    #[n(2)]
    pub authentication: Authentication,
    #[n(3)]
    pub has_pap: bool,
    #[n(4)]
    pub wrong: u8,
    #[n(5)]
    pub rounds: u8,
    #[n(6)]
    pub locked_attempts: u32,
    #[n(7)]
    pub suspended_until: Option<UnixMillis>,
    #[n(8)]
    pub window: Option<Window>,
    #[n(9)]
    pub credential: Option<Salt>,
    #[n(10)]
    pub previous: Option<Salt>,
    #[n(11)]
    pub contact: Option<Contact>,
    #[n(12)]
    pub contact_at: UnixMillis,
}

impl DeviceRow {
    pub fn of(known: &Known) -> Self {
        Self {
            description: known.description.clone(),
            created: known.created,
            authentication: known.authentication,
            has_pap: known.pap.is_some(),
            wrong: known.wrong.len() as u8,
            rounds: known.rounds,
            locked_attempts: known.locked_attempts,
            suspended_until: known.suspended_until,
            window: known.window,
            credential: known.credential,
            previous: known.previous,
            contact: known.contact.clone(),
            contact_at: known.contact_at,
        }
    }

    /// The guesses of this round: when a lock is over nobody has to have said so.
    pub fn wrong_at(&self, now: UnixMillis) -> u8 {
        if self.authentication.at(now) == self.authentication { self.wrong } else { 0 }
    }

    pub fn suspended_at(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.suspended_until.filter(|until| now < *until)
    }

    /// It is authenticated and came last as one who knows nothing of it.
    pub fn is_lost(&self) -> bool {
        self.authentication.is_done() && self.contact.as_ref().is_some_and(|contact| !contact.full)
    }
}

/// `VaultField::SipSecret`: the SIP accounts.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct AccountsPlain {
    #[n(0)]
    pub accounts: Vec<AccountPlain>,
}

crate::kernel::opaque!(AccountsPlain);

#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct AccountPlain {
    #[n(0)]
    pub user: String,
    #[n(1)]
    pub password: String,
    /// What the telephone shows.
    #[n(2)]
    pub name: String,
}

crate::kernel::opaque!(AccountPlain);

impl Drop for AccountPlain {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.password.zeroize();
    }
}
