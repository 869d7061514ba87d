//! An IUV session: registered by the customer's server and redeemed by the shopper's browser, or opened by another kind
//! of verification; then signed out, or over. Pure.

use crate::{
    iuv::words::{Side, VerificationKind},
    kernel::{Address, SessionId, ShopperId, StoreId, UnixMillis},
};
use minicbor::{Decode, Encode};
use std::{net::IpAddr, time::Duration};
use zeroize::Zeroizing;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct IuvSession {
    #[n(0)]
    pub address: Address,
    #[n(1)]
    pub standing: Standing,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Standing {
    #[n(0)]
    Unknown,
    #[n(1)]
    Registered(#[n(0)] Box<Registered>),
    #[n(2)]
    SignedIn(#[n(0)] SignedIn),
    #[n(3)]
    Ended {
        #[n(0)]
        at: UnixMillis,
        /// What was told of the shopper is gone.
        #[n(1)]
        forgotten: bool,
        #[n(2)]
        check: Option<Check>,
        #[n(3)]
        redeemed: bool,
        #[n(4)]
        refused: u8,
    },
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Registered {
    #[n(0)]
    pub registration: Registration,
    #[n(1)]
    pub at: UnixMillis,
    /// Redemptions that were refused, as far as they are noted.
    #[n(2)]
    pub refused: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Encode, Decode)]
pub struct SignedIn {
    #[n(0)]
    pub pass: Pass,
    /// SHA-256 of the cookie's secret.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub secret: [u8; 32],
    #[n(2)]
    pub until: UnixMillis,
    /// Of a session that was registered: what its token's check was.
    #[n(3)]
    pub redeemed: Option<Check>,
    /// Redemptions that were refused, as far as they are noted.
    #[n(4)]
    pub refused: u8,
    /// When it began; `None` in what was written before this was kept.
    #[n(5)]
    pub since: Option<UnixMillis>,
}

/// Who is let in, where, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Pass {
    #[n(0)]
    pub store: StoreId,
    #[n(1)]
    pub shopper: ShopperId,
    #[n(2)]
    pub side: Side,
    #[n(3)]
    pub kind: VerificationKind,
    #[n(4)]
    pub verification: u32,
}

/// The part of a token's hash that is not the session's id.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Check(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Check")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Registration {
    #[n(0)]
    pub pass: Pass,
    /// The number of the key that was shown.
    #[n(1)]
    pub key: u32,
    #[n(2)]
    pub check: Check,
    #[n(3)]
    pub shopper_ip: Option<IpAddr>,
}

/// A browser that comes with a token, and how the store stands at that moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Redemption {
    pub check: Check,
    pub store: StoreId,
    /// Of the browser.
    pub from: Option<IpAddr>,
    /// SHA-256 of the secret that the browser's cookie will hold.
    pub secret: [u8; 32],
    pub lasts: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Register {
        registration: Registration,
        /// Sealed; `Attributes` in bytes.
        attributes: Zeroizing<Vec<u8>>,
    },
    Redeem {
        redemption: Redemption,
        /// What the store says of the registration's verification type and key.
        standing: StoreStanding,
    },
    Open {
        pass: Pass,
        secret: [u8; 32],
        lasts: Duration,
        attributes: Zeroizing<Vec<u8>>,
    },
    SignOut,
    Tick,
}

/// The verification types of a store that let anybody in now, with the keys that they accept: what a token is judged by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreStanding(pub Vec<Accepted>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    pub verification: u32,
    pub key: u32,
    pub side: Side,
    /// The browser must come from the address that was registered, if one was.
    pub check_ip: bool,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Event {
    #[n(0)]
    Registered(#[n(0)] Registration),
    #[n(1)]
    Redeemed {
        #[cbor(n(0), with = "minicbor::bytes")]
        secret: [u8; 32],
        #[n(1)]
        until: UnixMillis,
    },
    #[n(2)]
    RedemptionRefused {
        #[n(0)]
        why: Why,
    },
    #[n(3)]
    Opened {
        #[n(0)]
        pass: Pass,
        #[cbor(n(1), with = "minicbor::bytes")]
        secret: [u8; 32],
        #[n(2)]
        until: UnixMillis,
    },
    #[n(4)]
    SignedOut,
    #[n(5)]
    Expired,
    /// What was told of the shopper is gone.
    #[n(6)]
    Forgotten,
}

/// Why a browser was not let in. It never hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Why {
    #[n(0)]
    OtherToken,
    #[n(1)]
    OtherStore,
    #[n(2)]
    RedeemedBefore,
    #[n(3)]
    TooLate,
    /// The key was changed, or the verification type does not stand as it stood.
    #[n(4)]
    KeyChanged,
    #[n(5)]
    OtherAddress,
}

impl Why {
    pub const ALL: [Self; 6] =
        [Self::OtherToken, Self::OtherStore, Self::RedeemedBefore, Self::TooLate, Self::KeyChanged, Self::OtherAddress];

    pub fn name(self) -> &'static str {
        match self {
            Self::OtherToken => "other_token",
            Self::OtherStore => "other_store",
            Self::RedeemedBefore => "redeemed_before",
            Self::TooLate => "too_late",
            Self::KeyChanged => "key_changed",
            Self::OtherAddress => "other_address",
        }
    }
}

/// In order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    AlreadyExists,
}

/// What a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Nothing,
    Redeemed(Pass),
    Refused(Why),
}

/// How long a token may be redeemed.
pub const REDEEMED_WITHIN: Duration = Duration::from_secs(60);
/// Refused redemptions of one session that are noted.
pub const REFUSED_MAX: u8 = 16;
/// How long after a sign-out what was told of the shopper is kept, for a page that is just being made.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

impl IuvSession {
    pub fn id(&self) -> SessionId {
        SessionId(self.address.entity.raw)
    }

    /// Who is in by it, at this moment.
    pub fn signed_in(&self, now: UnixMillis) -> Option<&SignedIn> {
        match &self.standing {
            Standing::SignedIn(signed_in) if now < signed_in.until => Some(signed_in),
            _ => None,
        }
    }
}
