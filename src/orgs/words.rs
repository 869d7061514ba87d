//! The small words of this context. Stored: numbers are append-only.

use crate::kernel::{KeyedHash, OrgId};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, ToSchema)]
#[cbor(index_only)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    #[n(0)]
    It,
    #[n(1)]
    De,
    #[n(2)]
    En,
}

impl Language {
    pub const ALL: [Self; 3] = [Self::It, Self::De, Self::En];

    /// As in file names and in the header `Content-Language`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::It => "it",
            Self::De => "de",
            Self::En => "en",
        }
    }
}

/// Which mails an organisation's owner wants. That a box seems to be cloned is told always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, ToSchema)]
pub struct MailChoice {
    #[n(0)]
    pub conflicts: bool,
    /// That a guarantee is broken, and that it is kept again.
    #[n(1)]
    pub guarantee: bool,
}

impl Default for MailChoice {
    fn default() -> Self {
        Self { conflicts: true, guarantee: true }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, ToSchema)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    #[n(0)]
    Owner,
    #[n(1)]
    Admin,
    /// For named boxes.
    #[n(2)]
    LocationAdmin,
    #[n(3)]
    User,
    #[n(4)]
    Viewer,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[repr(u8)]
pub enum Scope {
    #[serde(rename = "operator")]
    Operator = 0,
    #[serde(rename = "org:admin")]
    OrgAdmin = 1,
    #[serde(rename = "boxes:read")]
    BoxesRead = 2,
    #[serde(rename = "boxes:write")]
    BoxesWrite = 3,
    #[serde(rename = "audit:read")]
    AuditRead = 4,
    #[serde(rename = "devices:read")]
    DevicesRead = 5,
    #[serde(rename = "devices:write")]
    DevicesWrite = 6,
    /// Shows PAPs.
    #[serde(rename = "devices:pap")]
    DevicesPap = 7,
    /// For a telephone system that takes PAPs.
    #[serde(rename = "devices:authenticate")]
    DevicesAuthenticate = 8,
    #[serde(rename = "iuv:read")]
    IuvRead = 9,
    #[serde(rename = "iuv:write")]
    IuvWrite = 10,
    /// Shows product codes and IUV keys.
    #[serde(rename = "iuv:codes")]
    IuvCodes = 11,
    #[serde(rename = "recovery:read")]
    RecoveryRead = 12,
    #[serde(rename = "recovery:write")]
    RecoveryWrite = 13,
    /// Shows the offline codes of boxes.
    #[serde(rename = "boxes:codes")]
    BoxesCodes = 14,
}

impl Scope {
    pub const ALL: [Self; 15] = [
        Self::Operator,
        Self::OrgAdmin,
        Self::BoxesRead,
        Self::BoxesWrite,
        Self::AuditRead,
        Self::DevicesRead,
        Self::DevicesWrite,
        Self::DevicesPap,
        Self::DevicesAuthenticate,
        Self::IuvRead,
        Self::IuvWrite,
        Self::IuvCodes,
        Self::RecoveryRead,
        Self::RecoveryWrite,
        Self::BoxesCodes,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::OrgAdmin => "org:admin",
            Self::BoxesRead => "boxes:read",
            Self::BoxesWrite => "boxes:write",
            Self::AuditRead => "audit:read",
            Self::DevicesRead => "devices:read",
            Self::DevicesWrite => "devices:write",
            Self::DevicesPap => "devices:pap",
            Self::DevicesAuthenticate => "devices:authenticate",
            Self::IuvRead => "iuv:read",
            Self::IuvWrite => "iuv:write",
            Self::IuvCodes => "iuv:codes",
            Self::RecoveryRead => "recovery:read",
            Self::RecoveryWrite => "recovery:write",
            Self::BoxesCodes => "boxes:codes",
        }
    }
}

/// A set of scopes, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Scopes(#[n(0)] u32);

impl Scopes {
    /// What an organisation's first token may do: everything of the organisation.
    pub fn of_organisation() -> Self {
        Scope::ALL.into_iter().filter(|scope| *scope != Scope::Operator).collect()
    }

    pub fn has(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn list(self) -> Vec<Scope> {
        Scope::ALL.into_iter().filter(|scope| self.has(*scope)).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | 1 << scope as u8))
    }
}

/// What marks of badges are made for. Those of what is typed: `boxes::TYPED`.
pub const BADGE: &str = "orgs.badge";

/// A keyed hash of a value that must be unique but may not stand in clear.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Mark(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl Mark {
    pub fn of(keys: &dyn KeyedHash, purpose: &str, org: OrgId, value: &str) -> Self {
        let hash = keys.keyed_hash(purpose, &[&org.to_bytes(), value.as_bytes()]);
        let mut mark = [0; 16];
        mark.copy_from_slice(&hash[..16]);
        Self(mark)
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark")
    }
}
