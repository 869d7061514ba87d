//! The box's own side in the simulation: what it stores by its cursor, what it has written into its journal.

use castellan::{
    boxes::{Act, Changes, Cursor, Entry, Fob, Inventory, JournalEntry, Label, Receipt, SyncAnswer, SyncRequest},
    kernel::{AccessId, BoxId, KeyId, OrgId, PersonId, UnixMillis},
};
use std::collections::{BTreeMap, BTreeSet};

/// A small reproducible source of chance.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

pub struct ModelBox {
    pub id: BoxId,
    pub org: OrgId,
    /// What is physically in the bins.
    pub bins: Vec<(Label, Option<Fob>)>,
    pub cursor: Option<Cursor>,
    pub journal: Vec<JournalEntry>,
    /// Entries below this have a receipt.
    pub receipted: u64,
    pub receipts: BTreeMap<u64, Receipt>,
    known_bins: BTreeMap<String, (Option<Fob>, bool)>,
    known_keys: BTreeMap<KeyId, Fob>,
    known_accesses: BTreeSet<AccessId>,
    known_people: BTreeSet<PersonId>,
}

impl ModelBox {
    pub fn new(id: BoxId, org: OrgId, bins: Vec<(Label, Option<Fob>)>) -> Self {
        Self {
            id,
            org,
            bins,
            cursor: None,
            journal: Vec::new(),
            receipted: 0,
            receipts: BTreeMap::new(),
            known_bins: BTreeMap::new(),
            known_keys: BTreeMap::new(),
            known_accesses: BTreeSet::new(),
            known_people: BTreeSet::new(),
        }
    }

    pub fn write(&mut self, at: UnixMillis, act: Act, bin: Label, person: Option<PersonId>) {
        let seq = self.journal.len() as u64 + 1;
        let bin = Some(bin);
        self.journal.push(JournalEntry {
            seq,
            at,
            cursor: self.cursor,
            act,
            bin,
            person,
            by: None,
            exchange: None,
            named: None,
        });
    }

    /// The next piece of the journal, from `back` receipted entries before its unsent part on.
    pub fn request(&self, piece: usize, back: u64, clock: UnixMillis) -> SyncRequest {
        let from = self.receipted.saturating_sub(back) as usize;
        let entries: Box<[Entry]> = self.journal[from..].iter().take(piece).copied().map(Entry::Read).collect();
        let more = from + entries.len() < self.journal.len();
        let head = self.journal.len() as u64;
        SyncRequest { cursor: self.cursor, head, kept_from: None, more, entries, clock, health: Default::default() }
    }

    pub fn apply(&mut self, answer: &SyncAnswer) {
        for receipt in &answer.receipts {
            let first = *self.receipts.entry(receipt.seq).or_insert(*receipt);
            let again = receipt.outcome == castellan::boxes::Outcome::Duplicate;
            assert!(again || first == *receipt, "{:?} was receipted as {first:?}, now as {receipt:?}", self.id);
        }
        self.receipted = self.receipted.max(answer.resume_at - 1);
        self.change(&answer.changes);
        self.cursor = answer.cursor;
    }

    fn change(&mut self, changes: &Changes) {
        if changes.full {
            self.known_bins.clear();
            self.known_keys.clear();
            self.known_accesses.clear();
            self.known_people.clear();
        }
        for removed in &changes.removed {
            match removed {
                castellan::boxes::RemovedItem::Key(id) => drop(self.known_keys.remove(id)),
                castellan::boxes::RemovedItem::Access(id) => drop(self.known_accesses.remove(id)),
                castellan::boxes::RemovedItem::Person(id) => drop(self.known_people.remove(id)),
            }
        }
        for bin in &changes.bins {
            self.known_bins.insert(bin.bin.to_string(), (bin.fob, bin.confirmed));
        }
        self.known_keys.extend(changes.keys.iter().map(|key| (key.key, key.fob)));
        self.known_accesses.extend(changes.accesses.iter().map(|access| access.id));
        self.known_people.extend(changes.people.iter().map(|person| person.person));
    }

    /// What the box has stored is what the server believes.
    pub fn compare(&self, inventory: &Inventory) {
        let bins: BTreeMap<_, _> =
            inventory.bins.iter().map(|bin| (bin.bin.to_string(), (bin.fob, bin.confirmed))).collect();
        assert_eq!(self.known_bins, bins, "bins of {:?}", self.id);
        let keys: BTreeMap<_, _> = inventory.keys.iter().filter_map(|key| Some((key.key, key.fob?))).collect();
        assert_eq!(self.known_keys, keys, "keys of {:?}", self.id);
        let accesses: BTreeSet<_> = inventory.accesses.iter().map(|access| access.record.id).collect();
        assert_eq!(self.known_accesses, accesses, "accesses of {:?}", self.id);
        let people: BTreeSet<_> = inventory.people.iter().copied().collect();
        assert_eq!(self.known_people, people, "people of {:?}", self.id);
    }
}
