//! Key layout. Every key begins with its partition and a `KeyKind`; numbers are append-only.
//!
//! ```text
//! default  [partition][kind] …          events  [partition][address 33][first revision u64] → record
//! ```

use crate::kernel::{Address, ClaimSpace, OrgId, Recipient, RowSpace, UnixMillis, VaultField};

/// What a row of the default column family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyKind {
    /// Of the partition itself: the log's tail.
    Meta = 1,
    Snapshot = 2,
    Row = 3,
    Claim = 4,
    Timer = 5,
    Armed = 6,
    Outbox = 7,
    HighWater = 8,
    Vault = 9,
    SubjectKey = 10,
    Replay = 11,
    /// Which records a commit batch holds, by its position.
    Feed = 12,
    /// The state that stands for an entity's trimmed records.
    Base = 13,
    /// What leaves the server, by recipient, then in order.
    Post = 15,
}

/// How something leaves the server. Stored in keys: numbers are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Channel {
    Mail = 1,
    Text = 2,
}

impl Channel {
    pub const ALL: [Self; 2] = [Self::Mail, Self::Text];

    pub fn to(recipient: Recipient) -> Self {
        if recipient.is_telephone() { Self::Text } else { Self::Mail }
    }
}

/// The prefix of rows that belong to no partition, such as the format version.
pub const GLOBAL: u8 = 255;

fn key(partition: u8, kind: KeyKind, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.extend([partition, kind as u8]);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

pub fn prefix(partition: u8, kind: KeyKind) -> Vec<u8> {
    key(partition, kind, &[])
}

pub fn global(name: &str) -> Vec<u8> {
    key(GLOBAL, KeyKind::Meta, &[name.as_bytes()])
}

pub fn tail(partition: u8) -> Vec<u8> {
    key(partition, KeyKind::Meta, &[b"tail"])
}

pub fn event(partition: u8, of: Address, first_revision: u64) -> [u8; 1 + Address::BYTES + 8] {
    let mut key = [0; 1 + Address::BYTES + 8];
    key[0] = partition;
    key[1..=Address::BYTES].copy_from_slice(&of.to_bytes());
    key[1 + Address::BYTES..].copy_from_slice(&first_revision.to_be_bytes());
    key
}

/// Reads the address and the first revision out of an event key.
pub fn parse_event(key: &[u8]) -> Option<(Address, u64)> {
    let (address, revision) = key.get(1..)?.split_at_checked(Address::BYTES)?;
    Some((Address::from_bytes(address)?, u64::from_be_bytes(revision.try_into().ok()?)))
}

pub fn snapshot(partition: u8, of: Address) -> Vec<u8> {
    key(partition, KeyKind::Snapshot, &[&of.to_bytes()])
}

pub fn base(partition: u8, of: Address) -> Vec<u8> {
    key(partition, KeyKind::Base, &[&of.to_bytes()])
}

/// The prefix of an organisation's rows of a kind whose keys go on with an address.
pub fn of_organisation(partition: u8, kind: KeyKind, org: OrgId) -> Vec<u8> {
    key(partition, kind, &[&org.to_bytes()])
}

/// Reads the address out of a key that begins with one behind its kind.
pub fn parse_address(key: &[u8]) -> Option<Address> {
    Address::from_bytes(key.get(2..2 + Address::BYTES)?)
}

/// The prefix of an organisation's records.
pub fn events_of(partition: u8, org: OrgId) -> [u8; 17] {
    let mut key = [0; 17];
    key[0] = partition;
    key[1..].copy_from_slice(&org.to_bytes());
    key
}

pub fn armed(partition: u8, of: Address) -> Vec<u8> {
    key(partition, KeyKind::Armed, &[&of.to_bytes()])
}

pub fn timer(partition: u8, due: UnixMillis, of: Address) -> Vec<u8> {
    key(partition, KeyKind::Timer, &[&due.0.to_be_bytes(), &of.to_bytes()])
}

/// What stands before all timers that are due at this moment or later.
pub fn timers_from(partition: u8, due: UnixMillis) -> Vec<u8> {
    key(partition, KeyKind::Timer, &[&due.0.to_be_bytes()])
}

pub fn parse_timer(key: &[u8]) -> Option<(UnixMillis, Address)> {
    let (due, address) = key.get(2..)?.split_at_checked(8)?;
    Some((UnixMillis(u64::from_be_bytes(due.try_into().ok()?)), Address::from_bytes(address)?))
}

pub fn row(partition: u8, space: RowSpace, org: OrgId, rest: &[u8]) -> Vec<u8> {
    key(partition, KeyKind::Row, &[&[space as u8], &org.to_bytes(), rest])
}

/// The prefix of all organisations' rows of one space.
pub fn row_space(partition: u8, space: RowSpace) -> Vec<u8> {
    key(partition, KeyKind::Row, &[&[space as u8]])
}

/// Length of what stands before the caller's own part in a row key.
pub const ROW_PREFIX: usize = 2 + 1 + 16;

pub fn claim(partition: u8, space: ClaimSpace, org: OrgId, digest: &[u8; 32]) -> Vec<u8> {
    key(partition, KeyKind::Claim, &[&[space as u8], &org.to_bytes(), digest])
}

/// The prefix of an organisation's claims of one space.
pub fn claims_of(partition: u8, space: ClaimSpace, org: OrgId) -> Vec<u8> {
    key(partition, KeyKind::Claim, &[&[space as u8], &org.to_bytes()])
}

/// Where the partition's log ended at that time.
pub fn mark(partition: u8, at: UnixMillis) -> Vec<u8> {
    key(partition, KeyKind::Meta, &[b"mark", &at.0.to_be_bytes()])
}

/// The prefix of a partition's marks.
pub fn marks(partition: u8) -> Vec<u8> {
    key(partition, KeyKind::Meta, &[b"mark"])
}

pub fn parse_mark(key: &[u8]) -> Option<UnixMillis> {
    Some(UnixMillis(u64::from_be_bytes(key.get(6..)?.try_into().ok()?)))
}

pub fn outbox(partition: u8, position: u64, index: u32) -> Vec<u8> {
    key(partition, KeyKind::Outbox, &[&position.to_be_bytes(), &index.to_be_bytes()])
}

/// The prefix of a lane: all that one recipient gets over one channel, in order.
pub fn post_lane(partition: u8, channel: Channel, org: OrgId, to: Recipient) -> Vec<u8> {
    let (kind, who) = match to {
        Recipient::Owner => (0, [0; 16]),
        Recipient::Person(person) => (1, person.to_bytes()),
        Recipient::IuvAdministrator { store, .. } => (2, store.to_bytes()),
        Recipient::Shopper(shopper) => (4, shopper.to_bytes()),
        Recipient::Contact(installation) => (6, installation.to_bytes()),
        Recipient::FormerContact(installation) => (7, installation.to_bytes()),
        Recipient::Telephone(installation) => (8, installation.to_bytes()),
        Recipient::FormerTelephone(installation) => (9, installation.to_bytes()),
        Recipient::Mobile(person) => (10, person.to_bytes()),
    };
    key(partition, KeyKind::Post, &[&[channel as u8], &org.to_bytes(), &[kind], &who])
}

/// The prefix of all that an organisation sends over one channel.
pub fn posts_of(partition: u8, channel: Channel, org: OrgId) -> Vec<u8> {
    key(partition, KeyKind::Post, &[&[channel as u8], &org.to_bytes()])
}

pub const POST_LANE: usize = 2 + 1 + 16 + 1 + 16;

pub fn post(lane: &[u8], position: u64, index: u32) -> Vec<u8> {
    [lane, &position.to_be_bytes(), &index.to_be_bytes()].concat()
}

pub fn outbox_position(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(2..10)?.try_into().ok()?))
}

pub fn high_water(partition: u8, receiver: Address, sender: Address) -> Vec<u8> {
    key(partition, KeyKind::HighWater, &[&receiver.to_bytes(), &sender.to_bytes()])
}

pub fn vault(partition: u8, subject: Address, field: VaultField) -> Vec<u8> {
    key(partition, KeyKind::Vault, &[&subject.to_bytes(), &[field as u8]])
}

pub fn vault_numbered(partition: u8, subject: Address, field: VaultField, number: u64) -> Vec<u8> {
    key(partition, KeyKind::Vault, &[&subject.to_bytes(), &[field as u8], &number.to_be_bytes()])
}

pub fn subject_key(partition: u8, subject: Address) -> Vec<u8> {
    key(partition, KeyKind::SubjectKey, &[&subject.to_bytes()])
}

pub fn replay(partition: u8, digest: &[u8; 32]) -> Vec<u8> {
    key(partition, KeyKind::Replay, &[digest])
}

pub fn feed(partition: u8, position: u64) -> [u8; 10] {
    let mut key = [partition, KeyKind::Feed as u8, 0, 0, 0, 0, 0, 0, 0, 0];
    key[2..].copy_from_slice(&position.to_be_bytes());
    key
}

/// Below this position records of the organisation may be gone: retention has been there.
pub fn feed_floor(partition: u8, org: OrgId) -> Vec<u8> {
    key(partition, KeyKind::Meta, &[b"feed_floor", &org.to_bytes()])
}

pub fn parse_feed(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(2..)?.try_into().ok()?))
}
