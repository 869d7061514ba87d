//! A SmartBox as the server knows it. Compact: ten thousand of these are awake at once.
//!
//! One file because what a box is made of, and what each part of it costs, has to be seen at once.

use super::{
    access::Access,
    alerts::Alerts,
    changes::RemovedItem,
    codes::Codes,
    command::KeyRecord,
    extras::Extras,
    online::Online,
    rare::Rare,
    watch::Watch,
    words::{BinState, By, Cursor, Fob, Health, Label, Model, Plan, SecretHash, Size, Verifier},
};
use crate::kernel::{Address, BoxId, GroupId, KeyId, OrgId, PersonId, UnixMillis};
use minicbor::{Decode, Decoder, Encode, Encoder};
use std::{collections::VecDeque, time::Duration};

/// Receipted entries whose content is remembered.
pub const MAX_RECEIPTS: usize = 512;
/// Removed items that a delta can still name; an older cursor gets everything.
pub const MAX_REMOVALS: usize = 64;
/// Answers whose confirmation can be told apart; beyond it a change counts as missing a little longer than it is.
pub const MAX_MISSING: usize = 4;
/// Revoked accesses that entries from before are still judged by.
pub const MAX_WITHDRAWN: usize = 64;
/// Open conflicts listed in the state; further ones are only counted, and their rows are kept all the same.
pub const MAX_OPEN_CONFLICTS: usize = 64;
pub const MAX_BINS: usize = 500;
pub const MAX_KEYS: usize = 1_000;
pub const MAX_ACCESSES: usize = 5_000;
/// Keys that left, to pass on questions while their move is under way.
pub const MAX_DEPARTED: usize = 16;
/// Late pick-ups waited for; a further one is not.
pub const MAX_LATE_PICK_UPS: usize = 64;
/// Fobs from elsewhere that were taken out again while their home was asked.
pub const MAX_VISITORS_OUT: usize = 64;
/// An unanswered question about a fob is asked again after this.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(600);
/// A revoked access is remembered for so long, and until the box's journal is known to its end: an entry from before
/// may be under way.
pub const WITHDRAWN_AT_LEAST: Duration = Duration::from_secs(600);
/// A contact counts as missed after three announced spans, and not before this.
pub const LEAST_CONTACT_GRACE: Duration = Duration::from_secs(120);

/// One SmartBox: its bins, the keys at home in it with their accesses, its journal position and sync state.
#[derive(Debug, Encode, Decode)]
pub struct SmartBox {
    #[n(0)]
    pub(super) home: Home,
    #[n(1)]
    pub(super) epoch: u32,
    /// Of the last event.
    #[n(2)]
    pub(super) revision: u64,
    #[n(3)]
    pub(super) model: Model,
    #[n(4)]
    pub(super) plan: Plan,
    #[n(5)]
    pub(super) name: Box<str>,
    #[n(6)]
    pub(super) location: Box<str>,
    #[n(7)]
    pub(super) zone: Box<str>,
    #[n(8)]
    pub(super) generation: u32,
    #[n(9)]
    pub(super) token_hash: Option<SecretHash>,
    #[n(10)]
    pub(super) enrolment: Option<Box<EnrolmentCode>>,
    #[n(11)]
    pub(super) suspended: bool,
    #[n(12)]
    pub(super) bins: Vec<Bin>,
    #[n(13)]
    pub(super) keys: Vec<Key>,
    #[n(14)]
    pub(super) accesses: Vec<Access>,
    /// Revoked while the box may not have known: entries from before are still judged by them.
    #[n(15)]
    pub(super) withdrawn: Rare<Access>,
    #[n(16)]
    pub(super) people: Vec<Person>,
    #[n(17)]
    pub(super) visitors: Rare<Visitor>,
    #[n(18)]
    pub(super) late: Rare<LatePickUp>,
    #[n(19)]
    pub(super) departed: Rare<Departed>,
    #[n(20)]
    pub(super) removals: Rare<Removal>,
    /// A cursor below this gets everything.
    #[n(21)]
    pub(super) delta_from: u64,
    #[n(22)]
    pub(super) journal: Journal,
    #[n(23)]
    pub(super) sync: SyncState,
    #[n(24)]
    pub(super) conflicts: Conflicts,
    /// Unknown fobs that have left, while their claims are still held.
    #[n(25)]
    pub(super) leaving: Rare<Fob>,
    /// Of the last change of name, location or zone.
    #[cbor(n(26), default)]
    pub(super) described: u64,
    #[n(27)]
    pub(super) codes: Option<Box<Codes>>,
    /// Of a box of which somebody wants to hear more than by default, or with which something is wrong.
    #[n(29)]
    pub(super) alerts: Option<Box<Alerts>>,
    #[n(28)]
    pub(super) online: Option<Box<Online>>,
    #[n(30)]
    pub(super) extras: Option<Box<Extras>>,
    /// Of a box where people are reminded to bring keys back, or whose exchanges are counted.
    #[n(32)]
    pub(super) watch: Option<Box<Watch>>,
}

/// Its address, without the kind that all boxes have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home {
    pub org: OrgId,
    pub id: BoxId,
}

impl Home {
    fn of(address: Address) -> Self {
        Self { org: address.org, id: BoxId(address.entity.raw) }
    }
}

impl<C> Encode<C> for Home {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        cx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        self.id.at(self.org).encode(e, cx)
    }
}

impl<'b, C> Decode<'b, C> for Home {
    fn decode(d: &mut Decoder<'b>, cx: &mut C) -> Result<Self, minicbor::decode::Error> {
        Address::decode(d, cx).map(Self::of)
    }
}

#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct EnrolmentCode {
    #[n(0)]
    pub hash: SecretHash,
    #[n(1)]
    pub expires: UnixMillis,
}

#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct Bin {
    #[n(0)]
    pub label: Label,
    /// A key at home here, or a visitor.
    #[n(1)]
    pub fob: Option<Fob>,
    /// Of its last change.
    #[n(2)]
    pub revision: u64,
    #[n(3)]
    pub state: BinState,
    #[n(4)]
    pub confirmed: bool,
    /// None: as all are by default.
    #[n(5)]
    pub size: Option<Size>,
}

/// Where a fob is. Bins by index: they are never removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) enum Place {
    #[n(0)]
    Bin(#[n(0)] u16),
    /// With this person, or with somebody anonymous.
    #[n(1)]
    Out(#[n(0)] Option<PersonId>),
    #[n(2)]
    Unknown,
}

#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct Key {
    #[n(0)]
    pub id: KeyId,
    /// None: it is learned, or given.
    #[n(1)]
    pub fob: Option<Fob>,
    #[n(2)]
    pub name: Box<str>,
    #[n(3)]
    pub groups: Rare<GroupId>,
    #[n(4)]
    pub place: Place,
    /// Since when it is there.
    #[n(5)]
    pub since: UnixMillis,
    /// When the server heard that the fob came here. That it was taken out says nothing against another box that has it.
    #[n(6)]
    pub heard: UnixMillis,
    #[n(7)]
    pub roaming: bool,
    /// Of the last change of what boxes are told; its place is told by the bins.
    #[n(8)]
    pub revision: u64,
    /// None: as all are by default.
    #[n(9)]
    pub size: Option<Size>,
}

impl Key {
    pub fn record(&self) -> KeyRecord {
        KeyRecord {
            id: self.id,
            name: self.name.clone(),
            fob: self.fob,
            roaming: self.roaming,
            groups: self.groups[..].into(),
            size: self.size,
        }
    }
}

#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct Person {
    #[n(0)]
    pub id: PersonId,
    /// The person's own revision of these; 0: not heard yet.
    #[n(1)]
    pub heard: u32,
    #[n(2)]
    pub code: Option<Verifier>,
    #[n(3)]
    pub badges: Box<[Verifier]>,
    #[n(4)]
    pub revision: u64,
}

/// A fob that is not at home here.
#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct Visitor {
    #[n(0)]
    pub fob: Fob,
    #[n(1)]
    pub place: Place,
    #[n(2)]
    pub since: UnixMillis,
    /// When the server heard that it came here.
    #[n(3)]
    pub heard: UnixMillis,
    /// When its home was asked; `None`: nobody knows it.
    #[n(4)]
    pub asked: Option<UnixMillis>,
    #[n(5)]
    pub corrected: bool,
    /// Who dropped it.
    #[n(6)]
    pub person: Option<PersonId>,
    /// This box holds the claim of this unknown fob.
    #[n(7)]
    pub claimed: bool,
    /// The key that it hangs on, if it turns out to be nobody's.
    #[n(8)]
    pub named: Option<KeyId>,
}

/// A pick-up that another box's drop-off announced, and that this box's journal has still to bring.
#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct LatePickUp {
    #[n(0)]
    pub bin: u16,
    #[n(1)]
    pub fob: Fob,
    #[n(2)]
    pub key: KeyId,
    /// Of the key, for the accesses that covered it.
    #[n(3)]
    pub groups: Box<[GroupId]>,
}

#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct Departed {
    #[n(0)]
    pub fob: Fob,
    #[n(1)]
    pub to: BoxId,
    /// None: it left before this was kept.
    #[n(2)]
    pub key: Option<KeyId>,
    #[n(3)]
    pub at: Option<UnixMillis>,
}

#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct Removal {
    #[n(0)]
    pub revision: u64,
    #[n(1)]
    pub item: RemovedItem,
}

/// What was receipted.
#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct Journal {
    /// The sequence number that comes next.
    #[n(0)]
    pub next: u64,
    /// Content hashes of the entries before it.
    #[n(1)]
    pub contents: VecDeque<u32>,
    /// Raised when a new enrolment's journal does not continue the old one.
    #[n(2)]
    pub line: u8,
    /// The first journal of a new enrolment may start anew.
    #[n(3)]
    pub adopting: bool,
}

#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct SyncState {
    #[n(0)]
    pub last_contact: Option<UnixMillis>,
    /// When the next contact counts as missed.
    #[n(1)]
    pub contact_due: Option<UnixMillis>,
    #[n(2)]
    pub offline: bool,
    /// The newest revision that the box has stored.
    #[n(3)]
    pub confirmed: u64,
    /// The newest revision that it was given.
    #[n(4)]
    pub offered: u64,
    /// Changes that it did not make itself and has not confirmed, by the answer that first told it.
    #[n(5)]
    pub missing: Rare<Missing>,
    #[n(6)]
    pub breached: bool,
    #[n(7)]
    pub skew_ms: i64,
    #[n(8)]
    pub health: Health,
    /// The journal is known to its end.
    #[n(9)]
    pub drained: bool,
    #[n(10)]
    pub next_sync_s: u32,
    /// Entries of late, halved at each sync.
    #[n(11)]
    pub activity: u32,
}

#[derive(Debug, Clone, Copy, Encode, Decode)]
pub(super) struct Missing {
    #[n(0)]
    pub since: UnixMillis,
    /// Of the last such change.
    #[n(1)]
    pub revision: u64,
}

#[derive(Debug, Clone, Default, Encode, Decode)]
pub(super) struct Conflicts {
    #[n(0)]
    pub open: Rare<u64>,
    /// Open ones beyond the list's bound.
    #[n(1)]
    pub unlisted: u32,
    /// Numbers given by the server itself.
    #[n(2)]
    pub numbered: u32,
}

impl SmartBox {
    pub(super) fn blank_at(address: Address) -> Self {
        Self {
            home: Home::of(address),
            epoch: 1,
            revision: 0,
            model: Model::MS5,
            plan: Plan::Lite,
            name: "".into(),
            location: "".into(),
            zone: "".into(),
            generation: 0,
            token_hash: None,
            enrolment: None,
            suspended: false,
            bins: Vec::new(),
            keys: Vec::new(),
            accesses: Vec::new(),
            withdrawn: Rare::default(),
            people: Vec::new(),
            visitors: Rare::default(),
            late: Rare::default(),
            departed: Rare::default(),
            removals: Rare::default(),
            delta_from: 0,
            journal: Journal { next: 1, contents: VecDeque::new(), line: 0, adopting: false },
            sync: SyncState {
                last_contact: None,
                contact_due: None,
                offline: false,
                confirmed: 0,
                offered: 0,
                missing: Rare::default(),
                breached: false,
                skew_ms: 0,
                health: Health::default(),
                drained: true,
                next_sync_s: 0,
                activity: 0,
            },
            conflicts: Conflicts::default(),
            leaving: Rare::default(),
            described: 0,
            codes: None,
            alerts: None,
            online: None,
            extras: None,
            watch: None,
        }
    }

    /// Gives back what decoding took in advance. Into new memory: an allocator leaves what it shrinks where it is.
    pub(super) fn tighten(&mut self) {
        fn list<T>(items: &mut Vec<T>) {
            if items.capacity() > items.len() {
                let mut exact = Vec::with_capacity(items.len());
                exact.append(items);
                *items = exact;
            }
        }
        list(&mut self.bins);
        list(&mut self.keys);
        list(&mut self.accesses);
        list(&mut self.people);
    }

    pub fn exists(&self) -> bool {
        self.revision > 0
    }

    pub fn id(&self) -> BoxId {
        self.home.id
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, revision: self.revision }
    }

    pub(super) fn bin_index(&self, label: &Label) -> Option<usize> {
        self.bins.iter().position(|bin| bin.label == *label)
    }

    pub(super) fn bin_of(&self, fob: &Fob) -> Option<usize> {
        self.bins.iter().position(|bin| bin.fob.as_ref() == Some(fob))
    }

    pub(super) fn key(&self, id: KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    pub(super) fn key_on(&self, fob: &Fob) -> Option<&Key> {
        self.keys.iter().find(|key| key.fob.as_ref() == Some(fob))
    }

    pub(super) fn visitor(&self, fob: &Fob) -> Option<&Visitor> {
        self.visitors.iter().find(|visitor| visitor.fob == *fob)
    }

    pub(super) fn person(&self, id: PersonId) -> Option<&Person> {
        self.people.iter().find(|person| person.id == id)
    }

    pub(super) fn late_pick_up(&self, bin: usize, fob: &Fob) -> Option<usize> {
        self.late.iter().position(|late| usize::from(late.bin) == bin && late.fob == *fob)
    }

    /// Whether this person might pick this key, of these groups, up at that time. A visitor has no key here: only an
    /// access to the whole box covers it.
    pub(super) fn permits(&self, person: PersonId, key: Option<(KeyId, &[GroupId])>, at: UnixMillis) -> bool {
        self.accesses.iter().chain(&self.withdrawn).any(|access| access.permits(person, key, at))
    }

    /// The same for whoever was let in by something: a key's code names nobody and opens for that key alone.
    pub(super) fn admits(
        &self,
        by: Option<By>,
        person: Option<PersonId>,
        key: Option<(KeyId, &[GroupId])>,
        at: UnixMillis,
    ) -> bool {
        match (by, person) {
            (Some(By::KeyCode), _) => key.is_some_and(|(key, _)| self.key_code(key).is_some()),
            (_, Some(person)) => self.permits(person, key, at),
            (_, None) => false,
        }
    }

    /// Since when the box has been missing a change that it did not make itself.
    pub(super) fn pending_since(&self) -> Option<UnixMillis> {
        self.sync.missing.first().map(|missing| missing.since)
    }

    /// When the guarantee for the oldest missing change runs out.
    pub(super) fn due_by(&self) -> Option<UnixMillis> {
        self.pending_since().map(|since| since.plus(self.plan.guarantee()))
    }

    /// How long after the last contact (or the server's own start) the next one counts as missed.
    pub(super) fn contact_grace(&self) -> Duration {
        Duration::from_secs(3 * u64::from(self.sync.next_sync_s)).max(LEAST_CONTACT_GRACE)
    }
}
