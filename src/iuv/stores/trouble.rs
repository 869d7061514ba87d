//! What goes wrong with requests for a store, as the store remembers it. Stored: numbers are append-only.

use crate::kernel::UnixMillis;
use minicbor::{Decode, Encode};
use std::net::IpAddr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct RefusedCaller {
    #[n(0)]
    pub address: IpAddr,
    #[n(1)]
    pub at: UnixMillis,
    #[n(2)]
    pub count: u32,
}

/// Requests for a store that were refused, or failed, for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Trouble {
    #[n(0)]
    pub why: Why,
    #[n(1)]
    pub count: u32,
}

/// As the messages on the wire are numbered; then what has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Why {
    #[n(1)]
    Parameter,
    #[n(2)]
    Store,
    #[n(3)]
    Key,
    #[n(4)]
    Group,
    #[n(5)]
    Class,
    /// An answer 500.
    #[n(6)]
    Failure,
    /// It came over plain HTTP.
    #[n(7)]
    PlainHttp,
}

impl Why {
    pub const ALL: [Self; 7] =
        [Self::Parameter, Self::Store, Self::Key, Self::Group, Self::Class, Self::Failure, Self::PlainHttp];

    pub fn name(self) -> &'static str {
        match self {
            Self::Parameter => "parameter",
            Self::Store => "store_not_found",
            Self::Key => "wrong_key",
            Self::Group => "unknown_group",
            Self::Class => "unknown_class",
            Self::Failure => "failure",
            Self::PlainHttp => "plain_http",
        }
    }
}
