//! What stands on the wire between a box and the server, as `docs/box-protocol.md` says.

use serde::{Deserialize, Serialize};

/// Entries that one sync may carry.
pub const MAX_ENTRIES: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    PickUp,
    DropOff,
    Opened,
    /// Every bin; the entry names none.
    OpenedAll,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::PickUp => "pick_up",
            Self::DropOff => "drop_off",
            Self::Opened => "opened",
            Self::OpenedAll => "opened_all",
        }
    }
}

/// One line of a box's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub seq: u64,
    pub at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cursor: Option<String>,
    pub kind: Kind,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub bin: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fob: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub person: Option<String>,
    /// The key that hangs on a fob which the box knows of no key, as whoever left it said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// By what somebody was let in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pass: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sheet: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counter: Option<u32>,
    /// The server had decided it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exchange: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct JournalPart<'a> {
    pub head: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_from: Option<u64>,
    pub more: bool,
    pub entries: Vec<&'a Entry>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Health {
    pub battery_percent: u8,
    pub mains: bool,
    pub link: &'static str,
    pub firmware: &'static str,
}

impl Default for Health {
    fn default() -> Self {
        Self { battery_percent: 97, mains: true, link: "ethernet", firmware: "5.1.2" }
    }
}

#[derive(Debug, Serialize)]
pub struct SyncRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<&'a str>,
    pub journal: JournalPart<'a>,
    pub clock_ms: u64,
    pub health: &'a Health,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Applied,
    Flagged,
    Ignored,
    Duplicate,
    Rejected,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Flagged => "flagged",
            Self::Ignored => "ignored",
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Receipt {
    pub seq: u64,
    pub outcome: Outcome,
    #[serde(default)]
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinState {
    Enabled,
    Protected,
    Disabled,
}

/// A key goes into a bin of its size or a larger one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    Small,
    #[default]
    Medium,
    Large,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinItem {
    pub bin: Box<str>,
    pub state: BinState,
    #[serde(default)]
    pub size: Size,
    #[serde(default)]
    pub fob: Option<Box<str>>,
    pub confirmed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyItem {
    pub key: Box<str>,
    pub fob: Box<str>,
    #[serde(default)]
    pub size: Size,
    #[serde(default)]
    pub roaming: bool,
    #[serde(default)]
    pub groups: Vec<Box<str>>,
}

/// A person may pick up one key, one group of keys, or every key of the box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessItem {
    pub access: Box<str>,
    pub person: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Box<str>>,
    #[serde(default, rename = "box", skip_serializing_if = "Option::is_none")]
    pub whole_box: Option<bool>,
    #[serde(default)]
    pub from_ms: Option<u64>,
    #[serde(default)]
    pub until_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonItem {
    pub person: Box<str>,
    #[serde(default)]
    pub code: Option<Box<str>>,
    #[serde(default)]
    pub badges: Vec<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Changes {
    #[serde(default)]
    pub full: bool,
    #[serde(default)]
    pub bins: Vec<BinItem>,
    #[serde(default)]
    pub keys: Vec<KeyItem>,
    #[serde(default)]
    pub accesses: Vec<AccessItem>,
    #[serde(default)]
    pub people: Vec<PersonItem>,
    #[serde(default)]
    pub removed: Vec<Box<str>>,
    #[serde(default)]
    pub offline_codes: Option<OfflineCodes>,
    #[serde(default)]
    pub key_codes: Vec<KeyCodeItem>,
    #[serde(default)]
    pub booking: Vec<BookingItem>,
    #[serde(default)]
    pub public_keys: Vec<PublicKey>,
    #[serde(default)]
    pub settings: Option<Settings>,
    #[serde(default)]
    pub pins: Vec<PinItem>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactor {
    #[default]
    None,
    Pin,
    Sms,
}

/// How a box is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Keys may be left by nobody.
    pub quick_scan: bool,
    /// What is wanted at pick-ups besides.
    pub second_factor: SecondFactor,
}

impl Default for Settings {
    fn default() -> Self {
        Self { quick_scan: true, second_factor: SecondFactor::None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinItem {
    pub person: Box<str>,
    #[serde(default)]
    pub pin: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct OfflineCodes {
    pub sheet: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCodeItem {
    pub key: Box<str>,
    #[serde(default)]
    pub code: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookingItem {
    pub access: Box<str>,
    pub code: Box<str>,
}

/// A key that passes are checked with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    pub number: u64,
    pub key: String,
    #[serde(default)]
    pub until_ms: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct SyncAnswer {
    #[serde(default)]
    pub receipts: Vec<Receipt>,
    pub resume_at: u64,
    pub cursor: String,
    #[serde(default)]
    pub changes: Changes,
    pub server_ms: u64,
    pub next_sync_s: u64,
    #[serde(default)]
    pub ticket: Option<String>,
}

/// The answer to an enrolment: what makes a box this box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    #[serde(rename = "box")]
    pub box_id: String,
    pub organisation: String,
    pub model: String,
    pub token: String,
    pub generation: u64,
    pub verifier_key: String,
    #[serde(default)]
    pub offline_key: String,
    #[serde(default)]
    pub public_keys: Vec<PublicKey>,
}
