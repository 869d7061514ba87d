//! A SmartBox as a library: what it has stored, what it decides alone, its journal, and what is physically in its bins.

mod badge;
mod disk;
mod keypad;
pub mod online;
mod second;
mod signed;
mod state;
#[cfg(test)]
mod tests;
mod visit;

pub use disk::Storage;
pub use keypad::{Keypad, sheet_of};
pub use signed::Signed;
pub use state::StoredState;
pub use visit::{Left, Shown};

use crate::{
    chance::Chance,
    clock::{Backoff, ClockFault},
    wire::{
        BinState, Enrolment, Entry, Health, JournalPart, Kind, MAX_ENTRIES, Receipt, SecondFactor, SyncAnswer,
        SyncRequest,
    },
};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    time::Duration,
};

/// Receipted entries that are kept, in case the server was restored from a backup and asks for them again.
const KEPT_AFTER_RECEIPT: usize = 512;

/// Why a box that decides alone does not open a bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Never synced: there is nothing to decide by.
    NoState,
    UnknownCode,
    UnknownKey,
    NotPermitted,
    NotYetValid,
    Expired,
    /// The box believes that the key is in none of its bins.
    KeyNotHere,
    /// The bin is protected or disabled.
    BinClosed,
    /// Every enabled bin is taken.
    NoFreeBin,
    /// Bins are free, and the key is too large for each of them.
    BinsTooSmall,
    /// Here nobody leaves a key without saying who they are.
    PersonNeeded,
    /// A PIN is wanted besides; or the person has none that the box knows of.
    PinNeeded,
    /// Too many wrong codes: not even the right one opens now.
    Throttled,
    /// Nobody whom this box trusts has signed it.
    NotSigned,
    PassUsed,
}

/// What a person got from, or left in, a bin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub seq: u64,
    pub bin: String,
    pub fob: String,
    pub person: Option<String>,
}

/// How an attempt at the box ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    Done(Exchange),
    Refused(Refusal),
    /// By an offline code: these bins.
    Opened(Vec<String>),
    /// The bin opened and was empty: somebody took the key by hand. Nothing is journalled.
    NothingInside(String),
}

/// An answer that a box cannot believe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unbelievable {
    /// A receipt for a number that was not sent.
    ReceiptNotAsked(u64),
    /// The server expects a number that this box has never written.
    ResumesBeyondHead(u64),
    /// The server asks for entries that the box has thrown away.
    ResumesBehindKept(u64),
}

/// What an answer changed.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// Each receipted entry with its receipt.
    pub receipts: Vec<(Entry, Receipt)>,
    pub full: bool,
    /// The server was restored from a backup: what it has receipted since it does not know.
    pub restored: bool,
    /// Entries are still without a receipt: sync again at once.
    pub unsent: usize,
}

pub struct VirtualBox {
    pub identity: Enrolment,
    verifier_key: Vec<u8>,
    state: StoredState,
    /// Content of the bins as the box believes: the stored state, and its own unreceipted entries on top.
    belief: BTreeMap<Box<str>, Option<Box<str>>>,
    /// What is really in the bins.
    physical: BTreeMap<Box<str>, Option<Box<str>>>,
    entries: VecDeque<Entry>,
    head: u64,
    resume_at: u64,
    /// Receipted entries that are not thrown away.
    keeps: usize,
    ticket: Option<String>,
    next_sync_s: u64,
    storage: Storage,
    keypad: Keypad,
    pub clock: ClockFault,
    pub health: Health,
    pub chance: Chance,
    pub backoff: Backoff,
}

impl VirtualBox {
    /// A new box with these bins and what is physically in them.
    pub fn new(
        identity: Enrolment,
        physical: impl IntoIterator<Item = (String, Option<String>)>,
        storage: Storage,
        chance: Chance,
    ) -> io::Result<Self> {
        let mut made = Self {
            verifier_key: state::from_hex(&identity.verifier_key),
            identity,
            state: StoredState::default(),
            belief: BTreeMap::new(),
            physical: physical.into_iter().map(|(bin, fob)| (bin.into(), fob.map(Into::into))).collect(),
            entries: VecDeque::new(),
            head: 0,
            resume_at: 1,
            keeps: KEPT_AFTER_RECEIPT,
            ticket: None,
            next_sync_s: 0,
            storage,
            keypad: Keypad::default(),
            clock: ClockFault::None,
            health: Health::default(),
            chance,
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(30)),
        };
        made.storage.prepare()?;
        made.keypad = made.storage.load_keypad()?;
        if let Some(kept) = made.storage.load()? {
            (made.state, made.ticket, made.resume_at) = (kept.state, kept.ticket, kept.resume_at);
            made.entries = kept.entries.into();
            made.head = made.entries.back().map_or(kept.head, |last| last.seq.max(kept.head));
            made.renew_belief();
        }
        Ok(made)
    }

    pub fn state(&self) -> &StoredState {
        &self.state
    }

    pub fn id(&self) -> &str {
        &self.identity.box_id
    }

    /// The last sequence number ever written.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The sequence number that the server expects next.
    pub fn resume_at(&self) -> u64 {
        self.resume_at
    }

    /// A box that throws receipted entries away sooner than it should.
    pub fn keep_after_receipt(&mut self, entries: usize) {
        self.keeps = entries;
    }

    /// The first entry that it still has, or the next one.
    pub fn kept_from(&self) -> u64 {
        self.entries.front().map_or(self.head + 1, |entry| entry.seq)
    }

    /// Entries without a receipt.
    pub fn unsent(&self) -> usize {
        usize::try_from((self.head + 1).saturating_sub(self.resume_at)).unwrap_or(usize::MAX)
    }

    pub fn ticket(&self) -> Option<&str> {
        self.ticket.as_deref()
    }

    pub fn next_sync(&self) -> Duration {
        Duration::from_secs(self.next_sync_s)
    }

    /// What is really in this bin.
    pub fn physically_in(&self, bin: &str) -> Option<&str> {
        self.physical.get(bin)?.as_deref()
    }

    pub fn physical(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.physical.iter().map(|(bin, fob)| (&**bin, fob.as_deref()))
    }

    /// What the box believes is in its bins.
    pub fn believed(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.belief.iter().map(|(bin, fob)| (&**bin, fob.as_deref()))
    }

    /// Somebody opens a bin by force or by hand and puts this in it (or takes it out); the box does not notice.
    pub fn put_by_hand(&mut self, bin: &str, fob: Option<&str>) -> Option<String> {
        let before = self.physical.insert(bin.into(), fob.map(Into::into));
        before.flatten().map(String::from)
    }

    /// Somebody types a code, and nothing besides, and asks for a key by its fob.
    pub fn pick_up(&mut self, code: &str, fob: &str, true_ms: u64) -> io::Result<Attempt> {
        match self.may_pick_up(code, fob, self.clock.shows(true_ms)) {
            Ok((bin, person)) => self.hand_out(&bin, Some(person), None, None, true_ms),
            Err(refusal) => Ok(Attempt::Refused(refusal)),
        }
    }

    /// Somebody leaves a fob; without a code it is a quick scan, anonymous. The end of an access stops no drop-off.
    pub fn drop_off(&mut self, code: Option<&str>, fob: &str, true_ms: u64) -> io::Result<Attempt> {
        let person = match code.map(|code| self.person_by_code(code).ok_or(Refusal::UnknownCode)).transpose() {
            Ok(person) => person,
            Err(refusal) => return Ok(Attempt::Refused(refusal)),
        };
        if person.is_none() && !self.state.settings.quick_scan {
            return Ok(Attempt::Refused(Refusal::PersonNeeded));
        }
        let bin = match self.free_bin(fob) {
            Ok(bin) => bin,
            Err(refusal) => return Ok(Attempt::Refused(refusal)),
        };
        self.physical.insert(bin.as_str().into(), Some(fob.into()));
        let seq = self.journal(Kind::DropOff, &bin, Some(fob), person.as_deref(), true_ms)?;
        Ok(Attempt::Done(Exchange { seq, bin, fob: fob.to_owned(), person }))
    }

    /// What a box decides alone about a pick-up: the bin to open and the person, or why not.
    pub fn may_pick_up(&self, code: &str, fob: &str, box_ms: u64) -> Result<(String, String), Refusal> {
        if self.state.cursor.is_none() {
            return Err(Refusal::NoState);
        }
        let person = self.person_by_code(code).ok_or(Refusal::UnknownCode)?;
        self.state.permitted(&person, fob, box_ms)?;
        let bin = self.bin_with(fob)?;
        if self.state.settings.second_factor == SecondFactor::None {
            Ok((bin, person))
        } else {
            Err(Refusal::PinNeeded)
        }
    }

    /// The bin that a key may be taken out of.
    fn bin_with(&self, fob: &str) -> Result<String, Refusal> {
        let holds = |content: &Option<Box<str>>| content.as_deref() == Some(fob);
        let (bin, _) = self.belief.iter().find(|(_, content)| holds(content)).ok_or(Refusal::KeyNotHere)?;
        match self.state.bins.get(bin).map(|item| item.state) {
            Some(BinState::Enabled) => Ok(bin.to_string()),
            _ => Err(Refusal::BinClosed),
        }
    }

    /// Whose code this is.
    pub fn person_by_code(&self, code: &str) -> Option<String> {
        self.state.person_by_code(&state::verifier(&self.verifier_key, "code:", code))
    }

    /// The smallest bin that is free and large enough for this.
    fn free_bin(&self, fob: &str) -> Result<String, Refusal> {
        let needed = self.state.size_of(fob);
        let empty = |bin: &str| self.physical.get(bin).is_some_and(Option::is_none);
        let free = self.belief.iter().filter(|(bin, content)| content.is_none() && empty(bin));
        let open = free.filter_map(|(bin, _)| self.state.bins.get(bin)).filter(|bin| bin.state == BinState::Enabled);
        let mut any = false;
        let fitting = open.inspect(|_| any = true).filter(|bin| bin.size >= needed);
        match fitting.min_by_key(|bin| bin.size).map(|bin| bin.bin.to_string()) {
            Some(bin) => Ok(bin),
            None => Err(if any { Refusal::BinsTooSmall } else { Refusal::NoFreeBin }),
        }
    }

    /// Writes one entry, durably, whatever anybody decided: what has happened has happened. Moves nothing physically.
    pub fn journal(
        &mut self,
        kind: Kind,
        bin: &str,
        fob: Option<&str>,
        person: Option<&str>,
        true_ms: u64,
    ) -> io::Result<u64> {
        self.write_entry(kind, bin, fob, person, None, true_ms)
    }

    fn write_entry(
        &mut self,
        kind: Kind,
        bin: &str,
        fob: Option<&str>,
        person: Option<&str>,
        exchange: Option<&str>,
        true_ms: u64,
    ) -> io::Result<u64> {
        let entry = Entry {
            bin: bin.to_owned(),
            fob: fob.map(str::to_owned),
            person: person.map(str::to_owned),
            exchange: exchange.map(str::to_owned),
            ..self.blank(kind, true_ms)
        };
        self.write(entry)
    }

    /// The next entry, of which only its kind is known.
    fn blank(&self, kind: Kind, true_ms: u64) -> Entry {
        Entry {
            seq: self.head + 1,
            at_ms: self.clock.shows(true_ms),
            cursor: self.state.cursor.clone(),
            kind,
            bin: String::new(),
            fob: None,
            person: None,
            key: None,
            by: None,
            pass: None,
            sheet: None,
            counter: None,
            exchange: None,
        }
    }

    fn write(&mut self, entry: Entry) -> io::Result<u64> {
        self.storage.append(&entry)?;
        self.head = entry.seq;
        believe(&mut self.belief, &entry);
        self.entries.push_back(entry);
        Ok(self.head)
    }

    /// The body of the next sync.
    pub fn sync_body(&self, true_ms: u64) -> Vec<u8> {
        let kept_from = self.kept_from();
        let from = self.resume_at.max(kept_from);
        let unsent = usize::try_from((self.head + 1).saturating_sub(from)).unwrap_or(usize::MAX);
        let behind = self.entries.len().saturating_sub(unsent);
        let request = SyncRequest {
            cursor: self.state.cursor.as_deref(),
            journal: JournalPart {
                head: self.head,
                // It is asked for what it has thrown away.
                kept_from: (self.resume_at < kept_from).then_some(kept_from),
                more: unsent > MAX_ENTRIES,
                entries: self.entries.iter().skip(behind).take(MAX_ENTRIES).collect(),
            },
            clock_ms: self.clock.shows(true_ms),
            health: &self.health,
        };
        serde_json::to_vec(&request).unwrap_or_default()
    }

    /// Stores what the server answered: first durably, then in force.
    pub fn apply(&mut self, answer: SyncAnswer) -> io::Result<Result<Applied, Unbelievable>> {
        if let Err(unbelievable) = self.believable(&answer) {
            return Ok(Err(unbelievable));
        }
        let restored = self.is_newer_epoch(&answer.cursor);
        let mut applied = Applied { full: answer.changes.full, restored, ..Applied::default() };
        let first = self.kept_from();
        for receipt in answer.receipts {
            let at = usize::try_from(receipt.seq.saturating_sub(first)).unwrap_or(usize::MAX);
            if let Some(entry) = self.entries.get(at) {
                applied.receipts.push((entry.clone(), receipt));
            }
        }
        self.state.apply(answer.changes, answer.cursor);
        self.resume_at = answer.resume_at;
        self.ticket = answer.ticket;
        self.next_sync_s = answer.next_sync_s;
        let keep_from = self.resume_at.saturating_sub(self.keeps as u64);
        while self.entries.front().is_some_and(|entry| entry.seq < keep_from) {
            self.entries.pop_front();
        }
        self.storage.replace(&self.state, self.ticket.as_deref(), self.head, self.resume_at, &self.entries)?;
        self.renew_belief();
        applied.unsent = self.unsent();
        Ok(Ok(applied))
    }

    fn believable(&self, answer: &SyncAnswer) -> Result<(), Unbelievable> {
        let first = self.kept_from();
        let from = self.resume_at.max(first);
        let sent = from..=self.head.min(from.saturating_add(MAX_ENTRIES as u64 - 1));
        if let Some(receipt) = answer.receipts.iter().find(|receipt| !sent.contains(&receipt.seq)) {
            return Err(Unbelievable::ReceiptNotAsked(receipt.seq));
        }
        if answer.resume_at > self.head + 1 {
            return Err(Unbelievable::ResumesBeyondHead(answer.resume_at));
        }
        // Only a server that has lost its memory may ask for that.
        let forgotten = self.resume_at < first || self.is_newer_epoch(&answer.cursor);
        if answer.resume_at < first && !forgotten {
            return Err(Unbelievable::ResumesBehindKept(answer.resume_at));
        }
        Ok(())
    }

    fn is_newer_epoch(&self, cursor: &str) -> bool {
        let epoch = |cursor: &str| cursor.split_once('.').and_then(|(epoch, _)| epoch.parse::<u64>().ok());
        let known = self.state.cursor.as_deref().and_then(epoch);
        known.is_some_and(|known| epoch(cursor).is_some_and(|epoch| epoch > known))
    }

    fn renew_belief(&mut self) {
        self.belief = self.state.bins.values().map(|item| (item.bin.clone(), item.fob.clone())).collect();
        for entry in self.entries.iter().filter(|entry| entry.seq >= self.resume_at) {
            believe(&mut self.belief, entry);
        }
    }
}

fn believe(belief: &mut BTreeMap<Box<str>, Option<Box<str>>>, entry: &Entry) {
    let content = match entry.kind {
        Kind::PickUp => None,
        Kind::DropOff => entry.fob.as_deref().map(Into::into),
        Kind::Opened | Kind::OpenedAll => return,
    };
    belief.insert(entry.bin.as_str().into(), content);
}
