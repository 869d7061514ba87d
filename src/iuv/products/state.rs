//! A product: what happens to it and what it then is. Pure.

use crate::{
    iuv::words::Group,
    kernel::{Address, ShopperId, StoreId, UnixMillis},
};
use minicbor::{Decode, Encode};
use std::collections::VecDeque;
use zeroize::Zeroizing;

/// Codes that come in one request.
pub const CODES_AT_ONCE: usize = 500;
/// Orders that wait for codes; further ones are told that there is none.
pub const WAITING_MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Product {
    #[n(0)]
    pub address: Address,
    #[n(1)]
    pub known: Option<Box<Known>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Description {
    #[n(0)]
    pub store: StoreId,
    #[n(1)]
    pub name: Box<str>,
    #[n(2)]
    pub about: Box<str>,
    /// Who may have it: users of any of these groups; everybody if there are none.
    #[n(3)]
    pub groups: Vec<Group>,
    /// How often one shopper may order it.
    #[n(4)]
    pub per_shopper: u16,
    /// So many codes left, or fewer, are worth a mail.
    #[n(5)]
    pub alert_below: u32,
    /// Whether it stands in the catalogue.
    #[n(6)]
    pub listed: bool,
}

impl Description {
    pub fn is_for(&self, groups: &[Group]) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|group| groups.contains(group))
    }
}

/// What may change of a description; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    pub name: Option<Box<str>>,
    pub about: Option<Box<str>>,
    pub groups: Option<Vec<Group>>,
    pub per_shopper: Option<u16>,
    pub alert_below: Option<u32>,
    pub listed: Option<bool>,
}

impl Changes {
    pub fn applied(&self, to: &Description) -> Description {
        let Self { name, about, groups, per_shopper, alert_below, listed } = self.clone();
        Description {
            store: to.store,
            name: name.unwrap_or_else(|| to.name.clone()),
            about: about.unwrap_or_else(|| to.about.clone()),
            groups: groups.unwrap_or_else(|| to.groups.clone()),
            per_shopper: per_shopper.unwrap_or(to.per_shopper),
            alert_below: alert_below.unwrap_or(to.alert_below),
            listed: listed.unwrap_or(to.listed),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Known {
    #[n(0)]
    pub description: Description,
    #[n(1)]
    pub created: UnixMillis,
    /// The revision of the last change that an administrator made.
    #[n(2)]
    pub changed: u64,
    /// Codes are numbered from 1, in the order in which they came.
    #[n(3)]
    pub added: u64,
    /// Those up to this number are given out.
    #[n(4)]
    pub given: u64,
    #[n(5)]
    pub waiting: VecDeque<Want>,
    /// Somebody was told that the pool is low, and it has been since.
    #[n(6)]
    pub low: bool,
    /// The same, of an empty one.
    #[n(7)]
    pub empty: bool,
}

impl Known {
    pub fn left(&self) -> u64 {
        self.added - self.given
    }
}

/// Whom a code is for: one line of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Want {
    #[n(0)]
    pub shopper: ShopperId,
    #[n(1)]
    pub order: u32,
    #[n(2)]
    pub line: u8,
}

/// A code on its way into the vault.
#[derive(Clone, PartialEq)]
pub struct NewCode(pub Zeroizing<String>);

impl std::fmt::Debug for NewCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewCode")
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Create(Description),
    Change(Changes),
    /// At most `CODES_AT_ONCE`, each another.
    AddCodes(Vec<NewCode>),
    /// By message from a shopper.
    Want(Want),
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Event {
    #[n(0)]
    Created(#[n(0)] Description),
    #[n(1)]
    Changed(#[n(0)] Description),
    #[n(2)]
    CodesAdded {
        #[n(0)]
        first: u64,
        #[n(1)]
        count: u32,
    },
    #[n(3)]
    Given {
        #[n(0)]
        number: u64,
        #[n(1)]
        to: Want,
    },
    /// There is no code left; it gets one when there is.
    #[n(4)]
    Waits(#[n(0)] Want),
    /// Too many wait already.
    #[n(5)]
    TurnedAway(#[n(0)] Want),
    #[n(6)]
    RanLow {
        #[n(0)]
        left: u64,
    },
    #[n(7)]
    RanOut,
}

/// In order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    AlreadyExists,
}
