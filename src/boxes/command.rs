//! What may be asked of a SmartBox, what it answers, and why it may refuse. Whatever is random in a command was minted
//! at the door.

use super::{
    alerts::{AlertSettings, KeyAlerts},
    changes::SyncAnswer,
    codes::OfflineSettings,
    messages::{BoxMessage, Sighting},
    online::{OnlineAnswer, OnlineCommand, OnlineRefusal},
    rows::{Conflict, KeyTexts},
    stolen::NewKeyCodes,
    watch::Reminder,
    words::{BinState, By, Cursor, Fob, Health, Label, Model, Plan, SecretHash, Size, Verifier},
};
use crate::{
    kernel::{AccessId, BoxId, ExchangeId, GroupId, KeyId, PassId, PersonId, UnixMillis},
    orgs::Mark,
};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Create(Creation),
    /// Fields left out keep their value.
    Describe {
        name: Option<Box<str>>,
        location: Option<Box<str>>,
        zone: Option<Box<str>>,
    },
    /// A code that works once. `stolen` suspends the box until it is enrolled anew.
    MakeEnrolmentCode {
        code_hash: SecretHash,
        expires: UnixMillis,
        stolen: bool,
    },
    /// The cabinet is not this box any more: its token and its enrolment code end.
    Unlink,
    Enrol {
        code_hash: SecretHash,
        token_hash: SecretHash,
    },
    Sync {
        token_hash: SecretHash,
        request: SyncRequest,
    },
    /// The box has stored the state of this cursor.
    Confirm {
        token_hash: SecretHash,
        cursor: Cursor,
    },
    /// Fields left out keep their value.
    SetBin {
        bin: Label,
        state: Option<BinState>,
        size: Option<Size>,
    },
    /// An administrator has looked: this fob is in the bin, or nothing is.
    CorrectBin {
        bin: Label,
        fob: Option<Fob>,
        /// The key that hangs on this fob, whatever it hung on before.
        key: Option<KeyId>,
    },
    /// What the server believes of this bin is right.
    ConfirmBin {
        bin: Label,
    },
    AddKey {
        key: KeyRecord,
        /// Where it is; else its place is unknown.
        bin: Option<Label>,
        texts: Option<KeyTexts>,
    },
    /// Fields left out keep their value. `texts` are all three, merged at the door.
    ChangeKey {
        key: KeyId,
        name: Option<Box<str>>,
        roaming: Option<bool>,
        groups: Option<Box<[GroupId]>>,
        size: Option<Size>,
        /// It hangs on this one from now on.
        fob: Option<Fob>,
        texts: Option<KeyTexts>,
    },
    RemoveKey {
        key: KeyId,
    },
    /// All or none.
    Grant {
        accesses: Box<[AccessRecord]>,
    },
    Revoke {
        access: AccessId,
    },
    /// `conflict` is the kept row, as it is read at the door.
    ResolveConflict {
        conflict: Box<Conflict>,
        accept: Accept,
    },
    /// What the organisation wants to be told, for a new box.
    SetAlerts {
        settings: Box<AlertSettings>,
    },
    /// All of it, whichever changes.
    SetKeyAlerts {
        key: KeyId,
        alerts: KeyAlerts,
    },
    AcknowledgeAlert {
        number: u64,
    },
    /// What happens while the box is connected.
    Online(OnlineCommand),
    /// A deadline has come.
    Tick,
    /// A message that carries no secret.
    Heard {
        from: BoxOrOther,
        message: BoxMessage,
    },
    /// Our own question about a fob came back: nobody holds it.
    Unclaimed {
        sighting: Sighting,
    },
    /// Nobody held it, but another box that has asked too was faster: now it is asked.
    AskAgain {
        fob: Fob,
    },
    /// A person's verifiers, made from the opened secret on arrival.
    Credentials {
        person: PersonId,
        revision: u64,
        generation: u32,
        code: Option<Verifier>,
        badges: Box<[Verifier]>,
        pin: Option<Verifier>,
        /// Of accesses here or elsewhere.
        bookings: Box<[(AccessId, Verifier)]>,
    },
    /// A key's code, or `None`: it has none any more. `verifier` holds for this `generation`, `base` is the revision of
    /// the last sealing that `plain` was merged with.
    SetKeyCode {
        key: KeyId,
        mark: Option<Mark>,
        verifier: Option<Verifier>,
        generation: u32,
        base: u64,
        /// `KeyCodesPlain`.
        plain: Zeroizing<Vec<u8>>,
    },
    /// A key's verifier, made from the opened secret on arrival.
    KeyCodeGiven {
        key: KeyId,
        mark: Mark,
        verifier: Verifier,
        generation: u32,
    },
    /// The box was stolen: its keys have new codes.
    ReissueKeyCodes(NewKeyCodes),
    /// Somebody looks at the codes of this sheet, `renew`: a new one, and prints them. `marks`: of what is shown.
    ShowSheet {
        number: u32,
        renew: bool,
        generation: u32,
        marks: Box<[Mark]>,
    },
    /// Signs a permission, or (`renew`) one that was signed before for longer. `hours` from now, within the access.
    SignPass {
        pass: PassId,
        /// Not for renewal.
        access: Option<AccessId>,
        hours: u16,
        key: u32,
        renew: bool,
        /// For renewal: the access, where it went with its key to another box.
        moved: Option<AccessRecord>,
    },
    /// What the organisation has chosen, as read at the door.
    TakeSettings(OfflineSettings),
}

/// Who sent a message, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoxOrOther {
    Box(BoxId),
    Other,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Creation {
    pub name: Box<str>,
    pub model: Model,
    pub plan: Plan,
    pub location: Box<str>,
    /// IANA name.
    pub zone: Box<str>,
    /// Each label once (else `AlreadyExists`); at most `MAX_BINS`.
    pub bins: Box<[Label]>,
}

/// A key as it moves between boxes and stands in events.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct KeyRecord {
    #[n(0)]
    pub id: KeyId,
    #[n(1)]
    pub name: Box<str>,
    /// None: it is learned, or given.
    #[n(2)]
    pub fob: Option<Fob>,
    /// May be dropped anywhere in the organisation, else only at home.
    #[n(3)]
    pub roaming: bool,
    #[n(4)]
    pub groups: Box<[GroupId]>,
    /// None: as all are by default.
    #[n(5)]
    pub size: Option<Size>,
}

/// What an access opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Scope {
    #[n(0)]
    Key(#[n(0)] KeyId),
    /// Every key of this group that is at home in the box.
    #[n(1)]
    Group(#[n(0)] GroupId),
    /// Every key in the box.
    #[n(2)]
    Box,
}

/// A grant. No times: for ever. The end stops pick-ups, never drop-offs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct AccessRecord {
    #[n(0)]
    pub id: AccessId,
    #[n(1)]
    pub person: PersonId,
    #[n(2)]
    pub scope: Scope,
    #[n(3)]
    pub from: Option<UnixMillis>,
    /// The first moment at which it no longer holds.
    #[n(4)]
    pub until: Option<UnixMillis>,
    #[n(5)]
    pub reminder: Option<Reminder>,
}

/// How a conflict ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Accept {
    /// What the box said happened.
    #[n(0)]
    Box,
    /// The administrator corrects the bins.
    #[n(1)]
    ByHand,
}

impl Accept {
    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Box => "box",
            Self::ByHand => "by_hand",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct SyncRequest {
    pub cursor: Option<Cursor>,
    /// The last sequence number that the box has ever written.
    pub head: u64,
    /// The first sequence number that the box still has. Said when it is asked for one that it has no more.
    pub kept_from: Option<u64>,
    /// There are further unsent entries.
    pub more: bool,
    pub entries: Box<[Entry]>,
    /// The box's clock when it sent this.
    pub clock: UnixMillis,
    pub health: Health,
}

/// One line of a box's journal.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    Read(JournalEntry),
    /// A line whose number can be read and nothing else; `text` is what it says and what is wrong with it.
    Unreadable {
        seq: u64,
        text: Box<str>,
    },
}

impl Entry {
    pub fn seq(&self) -> u64 {
        match self {
            Self::Read(entry) => entry.seq,
            Self::Unreadable { seq, .. } => *seq,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JournalEntry {
    pub seq: u64,
    /// By the box's clock.
    pub at: UnixMillis,
    /// The state in force when it happened.
    pub cursor: Option<Cursor>,
    pub act: Act,
    /// `None` exactly for `OpenedAll`.
    pub bin: Option<Label>,
    /// `None`: anonymous.
    pub person: Option<PersonId>,
    /// `None`: the box is of a make that does not say.
    pub by: Option<By>,
    /// The server had decided it.
    pub exchange: Option<ExchangeId>,
    /// Of a drop-off: the key that hangs on the fob, as whoever stood there has said.
    pub named: Option<KeyId>,
}

/// What happened at a bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Act {
    #[n(0)]
    PickUp(#[n(0)] Fob),
    #[n(1)]
    DropOff(#[n(0)] Fob),
    /// By an offline code: nobody knows what was done.
    #[n(2)]
    Opened,
    /// Every bin, by an offline code of the whole box. The entry names none of them.
    #[n(3)]
    OpenedAll,
}

impl Act {
    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::PickUp(_) => "pick_up",
            Self::DropOff(_) => "drop_off",
            Self::Opened => "opened",
            Self::OpenedAll => "opened_all",
        }
    }

    pub fn fob(self) -> Option<Fob> {
        match self {
            Self::PickUp(fob) | Self::DropOff(fob) => Some(fob),
            Self::Opened | Self::OpenedAll => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The entity's revision after the change (or as it was, for a replay).
    Done {
        revision: u64,
    },
    Enrolled {
        model: Model,
        generation: u32,
        revision: u64,
    },
    Synced(Box<SyncAnswer>),
    Online(OnlineAnswer),
}

/// In order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// This box does not exist.
    NotFound,
    /// The token is not the one of the last enrolment.
    TokenInvalid,
    /// Noticed as cloned, or stolen: needs enrolment.
    Suspended,
    /// Not a code of this box, used, or expired.
    EnrolmentCodeInvalid,
    /// The id is in use with other content.
    AlreadyExists,
    BinNotFound,
    KeyNotFound,
    AccessNotFound,
    /// Unknown, or resolved before.
    ConflictNotFound,
    /// No such alert is in force.
    AlertNotFound,
    /// There is no version of the box's that could be taken over: resolve it by hand.
    CannotAccept,
    /// Another key at home here has this fob. (Of another box's keys the claim says `taken`.)
    FobTaken,
    /// The bin holds another fob.
    BinOccupied,
    /// The key cannot be added: its fob is in another bin of this box than the one named.
    FobInOtherBin,
    /// More bins, keys or accesses than one box may have.
    LimitReached,
    /// Another key here has this code.
    CodeTaken,
    /// Changed since `base`.
    ChangedMeanwhile,
    NotEnrolled,
    PassNotFound,
    /// The access is over.
    AccessOver,
    PassUsed,
    /// More passes than a box keeps in mind.
    TooManyPasses,
    Online(OnlineRefusal),
}
