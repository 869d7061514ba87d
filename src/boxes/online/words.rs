//! Commands, answers, refusals and events of what happens at a connected box. Events are stored for ever: numbers are
//! append-only.

use super::{Second, SecondFactor, Settings, Texted};
use crate::{
    boxes::{Act, By, Fob, Judged, Label, Permission, SecretHash, Size},
    kernel::{AccessId, BoxId, ExchangeId, KeyId, PassId, PersonId, UnixMillis},
    orgs::Mark,
};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq)]
pub enum OnlineCommand {
    /// A box asks before it opens a bin.
    Ask {
        token_hash: SecretHash,
        asked: Box<Asked>,
    },
    /// The box says how an exchange ended.
    Conclude {
        token_hash: SecretHash,
        exchange: ExchangeId,
        end: End,
    },
    /// Another box is about to decide by a pass that this one has signed.
    Lend {
        pass: PassId,
        to: BoxId,
    },
    /// Fields left out keep their value.
    Set {
        quick_scan: Option<bool>,
        second_factor: Option<SecondFactor>,
    },
    Give {
        order: Order,
        /// The oldest one that is kept, once there are many: its row goes.
        forget: Option<u64>,
    },
    /// The box takes what it is ordered.
    Fetch {
        token_hash: SecretHash,
    },
    Report {
        token_hash: SecretHash,
        order: u64,
        results: Box<[BinResult]>,
    },
}

/// What a box wants to know. The id was minted at the door.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub id: ExchangeId,
    /// A pick-up or a drop-off.
    pub act: Act,
    pub by: Bearer,
    /// By what, as the history tells it.
    pub shown: Option<By>,
    /// Of a key that is at home elsewhere, as far as the door found out.
    pub size: Option<Size>,
    /// The key that hangs on the fob that is dropped off.
    pub named: Option<KeyId>,
    pub second: Second,
    /// The last sequence number that the box has ever written: whether its journal is drained.
    pub head: u64,
}

/// Who stands behind what was typed or shown, as far as the door found out. What he may is the box's to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bearer {
    /// Nobody has this code or badge.
    Nobody,
    Person(PersonId),
    /// The code of bookings: this person, by one of these accesses alone.
    Booking(PersonId, Box<[AccessId]>),
    /// Whoever knows the code of a key, which names nobody.
    KeyCode(Mark),
    /// Whoever carries a text that the organisation has signed.
    Signed(Signed),
    /// Nothing was shown: a quick scan.
    Anonymous,
}

impl Bearer {
    /// Whom it names.
    pub fn person(&self) -> Option<PersonId> {
        match self {
            Self::Person(person) | Self::Booking(person, _) => Some(*person),
            Self::Signed(signed) => Some(signed.person),
            Self::Nobody | Self::KeyCode(_) | Self::Anonymous => None,
        }
    }
}

/// A pass, or who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    pub person: PersonId,
    pub from: UnixMillis,
    pub until: UnixMillis,
    pub pass: Option<SignedPass>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedPass {
    pub id: PassId,
    pub permission: Permission,
    /// What it was signed for; `None`: no box knows it any more.
    pub access: Option<AccessId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The fob that was really taken or left, if another than was asked for.
    Completed {
        fob: Option<Fob>,
    },
    Cancelled,
}

#[derive(Debug, Clone, PartialEq)]
pub enum OnlineAnswer {
    /// Open this bin.
    Decided(Decision),
    /// What was typed or shown is nobody's, and was counted.
    Unknown,
    /// A code was sent to the person: to be typed, and asked with again.
    Texted,
    Orders(Vec<OpenOrder>),
    Done {
        revision: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    pub id: ExchangeId,
    pub bin: Label,
    pub fob: Fob,
    pub person: Option<PersonId>,
    pub until: UnixMillis,
}

/// In order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnlineRefusal {
    /// The box has entries without a receipt, or has not synced since it was away: it has to sync first.
    Reconciling,
    /// Too many codes that are nobody's.
    Throttled {
        retry_s: u32,
    },
    /// A quick scan, where it is off or for a pick-up.
    PersonNeeded,
    NotPermitted,
    /// This box wants a second factor, and none was typed, or the person has none.
    SecondFactorNeeded,
    /// As far as the server knows, the key is in none of this box's bins.
    KeyNotHere,
    /// As far as the server knows, the key lies in a bin of this box.
    KeyInBin,
    /// The key's bin is protected or disabled.
    BinClosed,
    /// Every bin that is enabled is taken; others are empty.
    OnlyProtectedLeft,
    NoFreeBin,
    /// Every bin that is free is too small.
    TooSmall,
    /// Another exchange of this key or bin is under way, or there are as many as there may be.
    UnderWay,
    /// It has ended, or has never been.
    ExchangeEnded,
    /// The box is not in contact: an order is never queued.
    Offline,
    /// It has been reported, has died, or has never been.
    OrderEnded,
    /// There are as many orders open as there may be.
    TooManyOrders,
}

/// What an administrator has a box do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Order {
    #[n(0)]
    Open(#[n(0)] Label),
    #[n(1)]
    OpenAll,
    #[n(2)]
    Restart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOrder {
    pub number: u64,
    pub order: Order,
    pub until: UnixMillis,
}

/// What became of one bin of an order.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct BinResult {
    #[n(0)]
    pub bin: Label,
    #[n(1)]
    pub outcome: Opening,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, ToSchema)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    #[n(0)]
    Opened,
    #[n(1)]
    Jammed,
    #[n(2)]
    Failed,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum OnlineEvent {
    /// All of them, whichever changed. From before boxes were told.
    #[n(0)]
    SettingsChanged(#[n(0)] Settings),
    /// What was typed or shown is nobody's.
    #[n(1)]
    WrongCode,
    #[n(2)]
    ExchangeOpened(#[n(0)] Box<Opened>),
    #[n(3)]
    ExchangeCompleted {
        #[n(0)]
        judged: Box<Judged>,
        /// Of the conflict, if it does not fit what has happened meanwhile.
        #[n(1)]
        number: Option<u64>,
    },
    /// It has not happened.
    #[n(4)]
    ExchangeEnded {
        #[n(0)]
        exchange: ExchangeId,
        #[n(1)]
        why: Ended,
    },
    #[n(5)]
    OrderGiven {
        /// The revision of this event.
        #[n(0)]
        number: u64,
        #[n(1)]
        order: Order,
        #[n(2)]
        until: UnixMillis,
    },
    #[n(6)]
    OrderRetrieved {
        #[n(0)]
        number: u64,
        /// When it dies without a result.
        #[n(1)]
        until: UnixMillis,
    },
    #[n(7)]
    OrderCompleted {
        #[n(0)]
        number: u64,
        #[n(1)]
        order: Order,
        #[n(2)]
        given_at: UnixMillis,
        #[n(3)]
        retrieved_at: Option<UnixMillis>,
        #[n(4)]
        results: Box<[BinResult]>,
    },
    #[n(8)]
    OrderExpired {
        #[n(0)]
        number: u64,
    },
    /// All of them, whichever changed; the box is told.
    #[n(9)]
    SettingsSet(#[n(0)] Settings),
    /// A code by text goes to this person.
    #[n(10)]
    CodeTexted(#[n(0)] Texted),
}

/// A bin may be opened.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Opened {
    #[n(0)]
    pub exchange: ExchangeId,
    #[n(1)]
    pub act: Act,
    #[n(2)]
    pub bin: Label,
    #[n(3)]
    pub person: Option<PersonId>,
    #[n(4)]
    pub key: Option<KeyId>,
    #[n(5)]
    pub until: UnixMillis,
    #[n(6)]
    pub by: Option<By>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Ended {
    #[n(0)]
    Cancelled,
    #[n(1)]
    Expired,
}

/// The exchange that a journal entry, or a completion, belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct OfExchange {
    #[n(0)]
    pub id: ExchangeId,
    /// It was completed before: the entry says what is known, and changes nothing.
    #[n(1)]
    pub known: bool,
}
