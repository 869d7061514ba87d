//! List rows, and the plaintext of a person's sealed profile. Stored: numbers are append-only.

use super::words::{Language, MailChoice, Role, Scopes};
use crate::{
    boxes::Plan,
    kernel::{PersonId, UnixMillis},
};
use minicbor::{Decode, Encode};

/// `RowSpace::Organisations`, under the organisation itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OrganisationRow {
    #[n(0)]
    pub name: Box<str>,
    #[n(1)]
    pub plan: Plan,
    #[n(2)]
    pub language: Language,
    #[n(3)]
    pub zone: Box<str>,
    #[n(4)]
    pub owner: PersonId,
    #[n(5)]
    pub created: UnixMillis,
    #[cbor(n(6), default)]
    pub mails: MailChoice,
    #[n(10)]
    pub history_days: Option<u32>,
}

/// `RowSpace::People`, by person. Names are read from the vault.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PersonRow {
    #[n(0)]
    pub role: Role,
    #[n(1)]
    pub created: UnixMillis,
}

/// `RowSpace::Tokens`, by token. Revoked ones have none.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TokenRow {
    #[n(0)]
    pub label: Box<str>,
    #[n(1)]
    pub scopes: Scopes,
    #[n(2)]
    pub expires_at: Option<UnixMillis>,
    #[n(3)]
    pub created: UnixMillis,
    #[n(4)]
    pub last_used: Option<UnixMillis>,
}

/// `VaultField::Profile`.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct ProfilePlain {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub email: Option<String>,
    #[n(2)]
    pub mobile: Option<String>,
}

crate::kernel::opaque!(ProfilePlain);
