//! What may follow from a change, as data. The shell makes rows, claims and messages of it in the same record.

use super::{
    ids::{Address, EntityKind, OrgId},
    machine::Codec,
};

/// Row spaces of lists and indexes. Stored in keys: numbers are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RowSpace {
    /// org → organisation list row.
    Organisations = 1,
    /// org, person → person list row.
    People = 2,
    /// org, token → token list row.
    Tokens = 3,
    /// org, box → box list row.
    Boxes = 4,
    /// org, key → its home box and name.
    Keys = 5,
    /// org, person, box → nothing: this box needs that person's credentials.
    PersonBoxes = 6,
    /// org, box, journal sequence → the whole conflict.
    Conflicts = 7,
    /// org, hash of an enrolment code → box.
    EnrolmentCodes = 8,
    /// org, key → its long texts.
    KeyTexts = 9,
    /// System organisation, organisation → since when it is being erased.
    Erasures = 13,
}

impl RowSpace {
    pub const ALL: [Self; 10] = [
        Self::Organisations,
        Self::People,
        Self::Tokens,
        Self::Boxes,
        Self::Keys,
        Self::PersonBoxes,
        Self::Conflicts,
        Self::EnrolmentCodes,
        Self::KeyTexts,
        Self::Erasures,
    ];

    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|space| *space as u8 == number)
    }
}

/// One row written or removed together with the change. `key` is what follows the organisation in the stored key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowOp {
    pub space: RowSpace,
    pub org: OrgId,
    pub key: Vec<u8>,
    /// `None` removes the row.
    pub value: Option<Vec<u8>>,
}

/// Name spaces of values that are unique within an organisation. Stored in keys: numbers are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ClaimSpace {
    /// A key's fob serial.
    Fob = 1,
    /// A person's e-mail, lower case.
    Email = 2,
    /// A person's access code at keypads.
    AccessCode = 3,
    /// A person's badge id.
    Badge = 4,
    /// An idempotency key that is being worked on (never a durable row).
    Replay = 5,
}

impl ClaimSpace {
    /// Those that have durable rows.
    pub const STORED: [Self; 4] = [Self::Fob, Self::Email, Self::AccessCode, Self::Badge];

    pub fn from_number(number: u8) -> Option<Self> {
        Self::STORED.into_iter().find(|space| *space as u8 == number)
    }
}

/// Taking or giving back a unique value. The value is stored only as a keyed hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimOp {
    /// Refused as `taken` if another entity holds it; taking it again is a replay.
    Take {
        space: ClaimSpace,
        value: Vec<u8>,
    },
    /// Takes over a value from the entity that gives it away (a key that moves between boxes).
    Inherit {
        space: ClaimSpace,
        value: Vec<u8>,
        from: Address,
    },
    Release {
        space: ClaimSpace,
        value: Vec<u8>,
    },
}

/// A durable message to another actor: at least once, in order per sender, receivers deduplicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub to: MessageTarget,
    pub body: Vec<u8>,
    /// A vault row (subject, field) that is opened when the message is sent, so that no secret lies in the outbox.
    pub secret: Option<(Address, VaultField)>,
}

/// Who gets a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageTarget {
    Entity(Address),
    /// Whoever holds this claim when the message is sent; if nobody does, it comes back to the sender as unclaimed.
    ClaimHolder {
        space: ClaimSpace,
        value: Vec<u8>,
    },
    /// Everyone whose id stands at the end of an index row under this prefix: one stored item, however many recipients.
    Index {
        space: RowSpace,
        prefix: Vec<u8>,
        kind: EntityKind,
    },
}

/// Fields of sealed rows. Stored in keys: numbers are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum VaultField {
    /// A person's name, e-mail, mobile.
    Profile = 1,
    /// A person's access code and badges.
    Credentials = 2,
}

impl VaultField {
    pub const ALL: [Self; 2] = [Self::Profile, Self::Credentials];

    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|field| *field as u8 == number)
    }
}

/// A change to the sealed rows of the deciding entity, which is their subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultOp {
    Seal {
        field: VaultField,
        plaintext: zeroize::Zeroizing<Vec<u8>>,
    },
    /// Deletes the subject's wrapped key: whatever was sealed for it can never be read again.
    Erase,
}

/// Everything that follows from one decided command, besides its events and its answer.
#[derive(Debug, Default)]
pub struct Effects {
    pub rows: Vec<RowOp>,
    pub messages: Vec<Message>,
    pub vault: Vec<VaultOp>,
}

impl Effects {
    pub fn put(&mut self, space: RowSpace, org: OrgId, key: &[u8], value: Vec<u8>) {
        self.rows.push(RowOp { space, org, key: key.to_vec(), value: Some(value) });
    }

    pub fn delete(&mut self, space: RowSpace, org: OrgId, key: &[u8]) {
        self.rows.push(RowOp { space, org, key: key.to_vec(), value: None });
    }

    pub fn send(&mut self, to: MessageTarget, body: &impl Codec) {
        self.messages.push(Message { to, body: body.to_bytes(), secret: None });
    }

    pub fn send_with_secret(&mut self, to: MessageTarget, body: &impl Codec, subject: Address, field: VaultField) {
        self.messages.push(Message { to, body: body.to_bytes(), secret: Some((subject, field)) });
    }

    pub fn seal(&mut self, field: VaultField, plaintext: Vec<u8>) {
        self.vault.push(VaultOp::Seal { field, plaintext: plaintext.into() });
    }

    pub fn erase(&mut self) {
        self.vault.push(VaultOp::Erase);
    }
}
