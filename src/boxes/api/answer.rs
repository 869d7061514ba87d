//! The answer to a sync, written straight into its bytes.

use super::schema::{Hash16, OutcomeName, ReasonName, RemovedId, Ticket};
use crate::boxes::{
    AccessRecord, BinChange, BinState, Changes, CodeChanges, Cursor, Fob, KeyChange, Label, PassKey, PersonChange,
    Receipt, RemovedItem, Scope, SecondFactor, Settings, Size, SyncAnswer, Verifier,
};
use crate::kernel::{AccessId, GroupId, KeyId, PersonId};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq, SerializeStruct},
};
use std::fmt;
use utoipa::ToSchema;

/// The whole answer.
pub(super) fn encode(answer: &SyncAnswer, server_ms: u64, ticket: &str) -> Vec<u8> {
    let changed = answer.changes.bins.len() + answer.changes.keys.len() + answer.changes.accesses.len();
    let mut json = Vec::with_capacity(256 + 48 * answer.receipts.len() + 160 * changed);
    // Writing to a Vec cannot fail.
    let _ = serde_json::to_writer(&mut json, &Wire { answer, server_ms, ticket });
    json
}

struct Wire<'a> {
    answer: &'a SyncAnswer,
    server_ms: u64,
    ticket: &'a str,
}

impl Serialize for Wire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("SyncAnswer", 7)?;
        json.serialize_field("receipts", &Each(&self.answer.receipts))?;
        json.serialize_field("resume_at", &self.answer.resume_at)?;
        json.serialize_field("cursor", &self.answer.cursor.map(Shown))?;
        json.serialize_field("changes", &Wired(&self.answer.changes))?;
        json.serialize_field("server_ms", &self.server_ms)?;
        json.serialize_field("next_sync_s", &self.answer.next_sync_s)?;
        json.serialize_field("ticket", self.ticket)?;
        json.end()
    }
}

/// Something as it stands on the wire.
struct Wired<'a, T>(&'a T);

/// A list of such.
struct Each<'a, T>(&'a [T]);

impl<'a, T> Serialize for Each<'a, T>
where
    Wired<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for item in self.0 {
            list.serialize_element(&Wired(item))?;
        }
        list.end()
    }
}

struct Shown<T>(T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for Wired<'_, Receipt> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("Receipt", 3)?;
        json.serialize_field("seq", &self.0.seq)?;
        json.serialize_field("outcome", self.0.outcome.name())?;
        match self.0.outcome.reason() {
            Some(reason) => json.serialize_field("reason", reason)?,
            None => json.skip_field("reason")?,
        }
        json.end()
    }
}

impl Serialize for Wired<'_, Changes> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Changes { full, bins, keys, accesses, people, removed, codes } = self.0;
        let mut json = serializer.serialize_map(None)?;
        json.serialize_entry("full", full)?;
        if !bins.is_empty() {
            json.serialize_entry("bins", &Each(bins))?;
        }
        if !keys.is_empty() {
            json.serialize_entry("keys", &Each(keys))?;
        }
        if !accesses.is_empty() {
            json.serialize_entry("accesses", &Each(accesses))?;
        }
        if !people.is_empty() {
            json.serialize_entry("people", &Each(people))?;
        }
        if !removed.is_empty() {
            json.serialize_entry("removed", &Each(removed))?;
        }
        if let Some(CodeChanges { sheet, key_codes, bookings, pass_keys, settings, pins }) = codes.as_deref() {
            if let Some(settings) = settings {
                json.serialize_entry("settings", &SettingsForBox::from(*settings))?;
            }
            if !pins.is_empty() {
                json.serialize_entry("pins", &Each(pins))?;
            }
            if let Some(sheet) = sheet {
                json.serialize_entry("offline_codes", &OfflineCodesForBox { sheet: *sheet })?;
            }
            if !key_codes.is_empty() {
                json.serialize_entry("key_codes", &Each(key_codes))?;
            }
            if !bookings.is_empty() {
                json.serialize_entry("booking", &Each(bookings))?;
            }
            if !pass_keys.is_empty() {
                json.serialize_entry("public_keys", &Each(pass_keys))?;
            }
        }
        json.end()
    }
}

impl Serialize for Wired<'_, BinChange> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("Bin", 4)?;
        json.serialize_field("bin", &self.0.bin)?;
        json.serialize_field("state", &self.0.state)?;
        json.serialize_field("fob", &self.0.fob)?;
        json.serialize_field("confirmed", &self.0.confirmed)?;
        if let Some(size) = &self.0.size {
            json.serialize_field("size", size)?;
        }
        json.end()
    }
}

impl Serialize for Wired<'_, KeyChange> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("Key", 4)?;
        json.serialize_field("key", &self.0.key)?;
        json.serialize_field("fob", &self.0.fob)?;
        json.serialize_field("roaming", &self.0.roaming)?;
        json.serialize_field("groups", &self.0.groups)?;
        if let Some(size) = &self.0.size {
            json.serialize_field("size", size)?;
        }
        json.end()
    }
}

impl Serialize for Wired<'_, AccessRecord> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("Access", 5)?;
        json.serialize_field("access", &self.0.id)?;
        json.serialize_field("person", &self.0.person)?;
        match self.0.scope {
            Scope::Key(key) => json.serialize_field("key", &key)?,
            Scope::Group(group) => json.serialize_field("group", &group)?,
            Scope::Box => json.serialize_field("box", &true)?,
        }
        json.serialize_field("from_ms", &self.0.from)?;
        json.serialize_field("until_ms", &self.0.until)?;
        json.end()
    }
}

impl Serialize for Wired<'_, PersonChange> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("Person", 3)?;
        json.serialize_field("person", &self.0.person)?;
        json.serialize_field("code", &self.0.code.as_ref().map(Wired))?;
        json.serialize_field("badges", &Each(&self.0.badges))?;
        json.end()
    }
}

impl Serialize for Wired<'_, Verifier> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(&self.0.0))
    }
}

impl Serialize for Wired<'_, (KeyId, Option<Verifier>)> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("KeyCode", 2)?;
        json.serialize_field("key", &self.0.0)?;
        json.serialize_field("code", &self.0.1.as_ref().map(Wired))?;
        json.end()
    }
}

impl Serialize for Wired<'_, (AccessId, Verifier)> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("Booking", 2)?;
        json.serialize_field("access", &self.0.0)?;
        json.serialize_field("code", &Wired(&self.0.1))?;
        json.end()
    }
}

impl Serialize for Wired<'_, (PersonId, Option<Verifier>)> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("Pin", 2)?;
        json.serialize_field("person", &self.0.0)?;
        json.serialize_field("pin", &self.0.1.as_ref().map(Wired))?;
        json.end()
    }
}

/// What an administrator has chosen for the box.
#[derive(Serialize, ToSchema)]
struct SettingsForBox {
    quick_scan: bool,
    second_factor: SecondFactor,
}

impl From<Settings> for SettingsForBox {
    fn from(settings: Settings) -> Self {
        Self { quick_scan: settings.quick_scan, second_factor: settings.second_factor }
    }
}

impl Serialize for Wired<'_, PassKey> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PublicKeyForBox::from(*self.0).serialize(serializer)
    }
}

/// A key that passes are checked with, as boxes are told of it.
#[derive(Serialize, ToSchema)]
pub(super) struct PublicKeyForBox {
    number: u32,
    /// Ed25519.
    #[schema(value_type = super::schema::Hash32)]
    key: String,
    /// Nothing that it has signed holds from here on; `null`: no end is known.
    until_ms: Option<u64>,
}

impl From<PassKey> for PublicKeyForBox {
    fn from(key: PassKey) -> Self {
        Self { number: key.number, key: Hex(&key.public).to_string(), until_ms: key.until.map(|until| until.0) }
    }
}

/// The sheet of offline codes in force.
#[derive(Serialize, ToSchema)]
struct OfflineCodesForBox {
    sheet: u32,
}

impl Serialize for Wired<'_, RemovedItem> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            RemovedItem::Key(key) => key.serialize(serializer),
            RemovedItem::Access(access) => access.serialize(serializer),
            RemovedItem::Person(person) => person.serialize(serializer),
        }
    }
}

/// Bytes in hexadecimal.
pub(super) struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What `encode` writes.
#[derive(ToSchema)]
#[schema(as = SyncAnswer)]
#[expect(dead_code, reason = "its shape alone is wanted")]
pub(super) struct SyncShape {
    /// One for each entry up to the first gap.
    #[schema(max_items = 256)]
    receipts: Vec<ReceiptShape>,
    /// The sequence number that the server expects next.
    resume_at: u64,
    cursor: Option<Cursor>,
    changes: ChangesShape,
    server_ms: u64,
    /// Come again after so many seconds.
    next_sync_s: u32,
    #[schema(value_type = Ticket)]
    ticket: String,
}

#[derive(ToSchema)]
#[schema(as = Receipt)]
#[expect(dead_code, reason = "its shape alone is wanted")]
struct ReceiptShape {
    seq: u64,
    #[schema(value_type = OutcomeName)]
    outcome: String,
    #[schema(value_type = ReasonName, required = false)]
    reason: String,
}

/// The latest state of each item that changed. Empty lists are left out.
#[derive(ToSchema)]
#[schema(as = Changes)]
#[expect(dead_code, reason = "its shape alone is wanted")]
struct ChangesShape {
    /// Forget everything and store these.
    full: bool,
    #[schema(required = false)]
    bins: Vec<BinForBox>,
    #[schema(required = false)]
    keys: Vec<KeyForBox>,
    #[schema(required = false)]
    accesses: Vec<AccessForBox>,
    #[schema(required = false)]
    people: Vec<PersonForBox>,
    #[schema(value_type = Vec<RemovedId>, required = false)]
    removed: Vec<String>,
    #[schema(required = false)]
    offline_codes: OfflineCodesForBox,
    #[schema(required = false)]
    key_codes: Vec<KeyCodeForBox>,
    #[schema(required = false)]
    booking: Vec<BookingForBox>,
    /// All keys that passes may be signed with from now on.
    #[schema(required = false)]
    public_keys: Vec<PublicKeyForBox>,
    #[schema(required = false)]
    settings: SettingsForBox,
    /// Where a second factor is wanted.
    #[schema(required = false)]
    pins: Vec<PinForBox>,
}

/// `null`: the person has none.
#[derive(ToSchema)]
#[expect(dead_code, reason = "its shape alone is wanted")]
struct PinForBox {
    person: PersonId,
    #[schema(value_type = Option<Hash16>)]
    pin: Option<String>,
}

/// Whoever types the code may take the key. `null`: it has none.
#[derive(ToSchema)]
#[expect(dead_code, reason = "its shape alone is wanted")]
struct KeyCodeForBox {
    key: KeyId,
    #[schema(value_type = Option<Hash16>)]
    code: Option<String>,
}

/// Whoever types the code is the access's person, for that access alone.
#[derive(ToSchema)]
#[expect(dead_code, reason = "its shape alone is wanted")]
struct BookingForBox {
    access: AccessId,
    #[schema(value_type = Hash16)]
    code: String,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "its shape alone is wanted")]
struct BinForBox {
    bin: Label,
    state: BinState,
    fob: Option<Fob>,
    confirmed: bool,
    /// Left out: `medium`.
    #[schema(required = false)]
    size: Size,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "its shape alone is wanted")]
struct KeyForBox {
    key: KeyId,
    fob: Fob,
    roaming: bool,
    groups: Vec<GroupId>,
    /// Left out: `medium`.
    #[schema(required = false)]
    size: Size,
}

/// Exactly one of `key`, `group`, `box`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "its shape alone is wanted")]
struct AccessForBox {
    access: AccessId,
    person: PersonId,
    #[schema(required = false)]
    key: KeyId,
    #[schema(required = false)]
    group: GroupId,
    #[schema(required = false)]
    r#box: bool,
    from_ms: Option<u64>,
    until_ms: Option<u64>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "its shape alone is wanted")]
struct PersonForBox {
    person: PersonId,
    #[schema(value_type = Option<Hash16>)]
    code: Option<String>,
    #[schema(value_type = Vec<Hash16>)]
    badges: Vec<String>,
}
