//! The list row, and what is sealed. Stored: numbers are append-only.

use super::{
    glass::{Glass, GlassStage},
    reports::TextReport,
    state::{Description, Known},
};
use crate::{kernel::UnixMillis, passwords::PasswordHash};
use minicbor::{Decode, Encode};

/// `RowSpace::Installations`, by installation.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct InstallationRow {
    #[n(0)]
    pub description: Description,
    #[n(1)]
    pub created: UnixMillis,
    #[n(2)]
    pub contact: Option<ContactRow>,
    /// The revision with which the contact was sealed.
    #[n(3)]
    pub contact_at: u64,
    #[n(4)]
    pub glass: Option<GlassRow>,
}

/// A reset that the operator has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct GlassRow {
    #[n(0)]
    pub due: UnixMillis,
    #[n(1)]
    pub stage: GlassStage,
    /// The revision with which the new address was sealed.
    #[n(2)]
    pub sealed_at: u64,
    #[n(3)]
    pub started: UnixMillis,
}

/// Whether administrator 1 can get back in.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct ContactRow {
    #[n(0)]
    pub validated: bool,
    #[n(1)]
    pub has_telephone: bool,
    #[n(2)]
    pub trouble: Option<Box<str>>,
    #[n(3)]
    pub report: Option<TextReport>,
}

impl GlassRow {
    pub fn of(glass: &Glass) -> Self {
        Self { due: glass.due, stage: glass.stage, sealed_at: glass.sealed_at, started: glass.started }
    }
}

impl InstallationRow {
    pub fn of(known: &Known) -> Self {
        Self {
            description: known.description.clone(),
            created: known.created,
            contact: known.contact.as_ref().map(|contact| ContactRow {
                validated: contact.validated,
                has_telephone: contact.telephone.is_some(),
                trouble: contact.trouble.clone(),
                report: contact.report,
            }),
            contact_at: known.contact_at,
            glass: known.glass.as_ref().map(GlassRow::of),
        }
    }
}

/// `VaultField::InstallationUsers`.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub struct UsersPlain {
    #[n(0)]
    pub users: Vec<UserPlain>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct UserPlain {
    #[n(0)]
    pub number: u16,
    #[n(1)]
    pub name: String,
    #[n(2)]
    pub password: PasswordHash,
}

impl UsersPlain {
    pub fn of(&self, number: u16) -> Option<&UserPlain> {
        self.users.iter().find(|user| user.number == number)
    }
}

/// `VaultField::RecoveryContact`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ContactPlain {
    #[n(0)]
    pub email: String,
    #[n(1)]
    pub telephone: Option<String>,
}

/// `VaultField::FormerContacts`: the newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct FormerPlain {
    #[n(0)]
    pub contacts: Vec<Former>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Former {
    /// The revision that had sealed it.
    #[n(0)]
    pub at: u64,
    #[n(1)]
    pub contact: ContactPlain,
}

/// So many changes may follow each other before the first one's word has gone out.
const FORMER_MAX: usize = 8;

impl FormerPlain {
    pub fn with(mut self, at: u64, contact: ContactPlain) -> Self {
        self.contacts.push(Former { at, contact });
        let over = self.contacts.len().saturating_sub(FORMER_MAX);
        self.contacts.drain(..over);
        self
    }
}
