//! What a sync is answered: what became of the entries, and what has changed for the box.

use super::{
    codes::PassKey,
    command::AccessRecord,
    online::Settings,
    words::{BinState, Cursor, Fob, Label, Outcome, Plan, Size, Verifier},
};
use crate::kernel::{AccessId, GroupId, KeyId, PersonId, UnixMillis};
use minicbor::{Decode, Encode};

#[derive(Debug, Clone, PartialEq)]
pub struct SyncAnswer {
    pub receipts: Vec<Receipt>,
    pub resume_at: u64,
    /// `None` when the box was noticed as cloned in this very request and had no state.
    pub cursor: Option<Cursor>,
    pub changes: Changes,
    /// Come again after so many seconds.
    pub next_sync_s: u32,
    /// When the guarantee for what this box has not confirmed runs out: what the ticket says.
    pub due_by: Option<UnixMillis>,
    pub plan: Plan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    pub seq: u64,
    pub outcome: Outcome,
}

/// The latest state of each item that changed, or of all items.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Forget everything and store these.
    pub full: bool,
    pub bins: Vec<BinChange>,
    pub keys: Vec<KeyChange>,
    pub accesses: Vec<AccessRecord>,
    pub people: Vec<PersonChange>,
    pub removed: Vec<RemovedItem>,
    /// Of boxes that use them.
    pub codes: Option<Box<CodeChanges>>,
}

/// What changed of codes and keys to check with, and of settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CodeChanges {
    /// Number of the sheet of offline codes in force.
    pub sheet: Option<u32>,
    pub key_codes: Vec<(KeyId, Option<Verifier>)>,
    pub bookings: Vec<(AccessId, Verifier)>,
    /// All of them.
    pub pass_keys: Vec<PassKey>,
    pub settings: Option<Settings>,
    pub pins: Vec<(PersonId, Option<Verifier>)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct BinChange {
    pub bin: Label,
    pub state: BinState,
    pub fob: Option<Fob>,
    pub confirmed: bool,
    pub size: Option<Size>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct KeyChange {
    pub key: KeyId,
    pub fob: Fob,
    pub roaming: bool,
    pub groups: Box<[GroupId]>,
    pub size: Option<Size>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PersonChange {
    pub person: PersonId,
    pub code: Option<Verifier>,
    pub badges: Box<[Verifier]>,
}

/// An item that a box has to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum RemovedItem {
    #[n(0)]
    Key(#[n(0)] KeyId),
    #[n(1)]
    Access(#[n(0)] AccessId),
    #[n(2)]
    Person(#[n(0)] PersonId),
}
