//! List and index rows. Stored: numbers are append-only.

use super::{
    command::{Accept, Act},
    words::{BinState, Cursor, Fob, Label, Model, Outcome, Plan, Size},
};
use crate::kernel::{AccessId, BoxId, GroupId, KeyId, PersonId, UnixMillis};
use minicbor::{Decode, Encode};

/// `RowSpace::Boxes`, by box. Contact times stand only in the box itself: this row is not written at every sync.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct BoxRow {
    #[n(0)]
    pub name: Box<str>,
    #[n(1)]
    pub model: Model,
    #[n(2)]
    pub plan: Plan,
    #[n(3)]
    pub location: Box<str>,
    #[n(4)]
    pub zone: Box<str>,
    #[n(5)]
    pub enrolled: bool,
    #[n(6)]
    pub suspended: bool,
    #[n(7)]
    pub offline: bool,
    /// With the plan it says since when the guarantee is broken, without waiting for a tick.
    #[n(8)]
    pub pending_since: Option<UnixMillis>,
    #[n(9)]
    pub open_conflicts: u32,
}

/// `RowSpace::Keys`, by key.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct KeyRow {
    #[n(0)]
    pub home: BoxId,
    #[n(1)]
    pub name: Box<str>,
    #[n(2)]
    pub fob: Option<Fob>,
    #[n(3)]
    pub roaming: bool,
    #[cbor(n(4), default)]
    pub groups: Box<[GroupId]>,
    /// None: as all are by default.
    #[n(5)]
    pub size: Option<Size>,
}

/// `RowSpace::GroupAccesses`, by group, box and access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct GroupAccessRow {
    #[n(0)]
    pub person: PersonId,
    #[n(1)]
    pub from: Option<UnixMillis>,
    #[n(2)]
    pub until: Option<UnixMillis>,
}

/// `RowSpace::KeyTexts`, by key: long texts stay out of the actor's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct KeyTexts {
    #[n(0)]
    pub description: Box<str>,
    #[n(1)]
    pub notes: Box<str>,
    #[n(2)]
    pub pick_up_note: Box<str>,
}

/// `RowSpace::Conflicts`, by box and number: both versions, whole.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Conflict {
    /// A journal sequence number, or a number of the server's own (`SERVER_CONFLICT` is set).
    #[n(0)]
    pub number: u64,
    #[n(1)]
    pub kept_at: UnixMillis,
    #[n(2)]
    pub outcome: Outcome,
    #[n(3)]
    pub box_says: BoxVersion,
    #[n(4)]
    pub server_says: ServerVersion,
    #[n(5)]
    pub resolved: Option<Resolution>,
}

/// What the journal entry says. For an unreadable one only `text`.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub struct BoxVersion {
    #[n(0)]
    pub act: Option<Act>,
    #[n(1)]
    pub bin: Option<Label>,
    #[n(2)]
    pub person: Option<PersonId>,
    /// By the box's clock.
    #[n(3)]
    pub box_time: Option<UnixMillis>,
    /// Corrected, or when it was received if `estimated`.
    #[n(4)]
    pub at: UnixMillis,
    #[n(5)]
    pub estimated: bool,
    #[n(6)]
    pub cursor: Option<Cursor>,
    #[n(7)]
    pub text: Option<Box<str>>,
}

/// What the server knew when it judged.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub struct ServerVersion {
    /// What is in the bin that the entry names.
    #[n(0)]
    pub bin_fob: Option<Fob>,
    #[n(1)]
    pub bin_state: Option<BinState>,
    /// The key on the entry's fob, if it is at home here.
    #[n(2)]
    pub key: Option<KeyId>,
    /// The bin of this box that holds the entry's fob.
    #[n(3)]
    pub fob_bin: Option<Label>,
    /// Who has the key.
    #[n(4)]
    pub holder: Option<PersonId>,
    #[n(5)]
    pub since: Option<UnixMillis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Resolution {
    #[n(0)]
    pub at: UnixMillis,
    #[n(1)]
    pub accept: Accept,
}

/// A journal's entries are numbered with so many bits; above them a conflict's number has the journal's line.
pub const SEQ_BITS: u32 = 40;
pub const SEQ_MAX: u64 = (1 << SEQ_BITS) - 1;
/// Set in the numbers of conflicts that no journal entry stands for.
pub const SERVER_CONFLICT: u64 = 1 << 52;

/// The key behind the organisation of a row of something that a box has numbered: a conflict, an alert.
pub fn numbered_key(id: BoxId, number: u64) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(&id.to_bytes());
    key[16..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The key of a row of an access to a group.
pub fn group_access_key(group: GroupId, id: BoxId, access: AccessId) -> [u8; 48] {
    let mut key = [0; 48];
    key[..16].copy_from_slice(&group.to_bytes());
    key[16..32].copy_from_slice(&id.to_bytes());
    key[32..].copy_from_slice(&access.to_bytes());
    key
}

/// The key of a row that says that this box needs this person's credentials.
pub fn person_box_key(person: PersonId, id: BoxId) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(&person.to_bytes());
    key[16..].copy_from_slice(&id.to_bytes());
    key
}
