//! What the server should make of it: an independent fold of the reconciliation table in `docs/box-protocol.md`, written from
//! the table alone. It is fed the operations that a server acknowledged, in that order, and says of each journal entry
//! what becomes of it, and of each box, key and bin what is believed.
//!
//! Boxes, bins, keys and people are numbers. A message between two boxes is done before the next operation: whoever
//! compares with a server waits for the server's messages.

use std::collections::HashMap;

/// "1970, hours off": a clock that is wrong by so much.
const PLAINLY_WRONG_MS: i64 = 3_600_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    PickUp,
    DropOff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    Applied,
    Flagged,
    Ignored,
    Duplicate,
    Rejected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    NotPermitted,
    OtherHolder,
    BinOccupied,
    KeyElsewhere,
    KeyNotInBin,
    UnknownBin,
    SequenceReused,
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

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Self::NotPermitted => "not_permitted",
            Self::OtherHolder => "other_holder",
            Self::BinOccupied => "bin_occupied",
            Self::KeyElsewhere => "key_elsewhere",
            Self::KeyNotInBin => "key_not_in_bin",
            Self::UnknownBin => "unknown_bin",
            Self::SequenceReused => "sequence_reused",
        }
    }
}

/// One journal entry as the box wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub seq: u64,
    pub at_ms: i64,
    pub kind: Kind,
    pub bin: usize,
    pub key: usize,
    pub person: usize,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub outcome: Outcome,
    pub reason: Option<Reason>,
}

impl Verdict {
    const APPLIED: Self = Self { outcome: Outcome::Applied, reason: None };
    const DUPLICATE: Self = Self { outcome: Outcome::Duplicate, reason: None };

    fn flagged(reason: Reason) -> Self {
        Self { outcome: Outcome::Flagged, reason: Some(reason) }
    }

    fn ignored(reason: Reason) -> Self {
        Self { outcome: Outcome::Ignored, reason: Some(reason) }
    }

    fn rejected(reason: Reason) -> Self {
        Self { outcome: Outcome::Rejected, reason: Some(reason) }
    }
}

/// An entry with everything that is known about its judgement.
#[derive(Clone, Debug)]
pub struct Judged {
    pub entry: Entry,
    /// What follows when a foreign fob's home has been asked is not in it: see `SmartBox::moved_in`.
    pub verdict: Verdict,
    /// The permission changed within the same milliseconds: `applied` and `flagged` are both right.
    pub unsure: bool,
    /// The box's clock was plainly wrong.
    pub estimated: bool,
    /// When it happened by the server's clock.
    pub at_ms: i64,
    /// It closed a gap: another box had already brought the key's return.
    pub late: bool,
    /// What was believed when it was judged, for a person to read.
    pub believed: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    Bin(usize),
    Person(usize),
    Unknown,
}

#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub home: usize,
    pub place: KeyPlace,
    pub roaming: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    pub key: Option<usize>,
    pub confirmed: bool,
    /// Keys that came back elsewhere while they were believed here: their pick-ups are still to come.
    pub expects: Vec<usize>,
}

/// A key that came back elsewhere, and whose pick-up never came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gap {
    pub place: usize,
    pub bin: usize,
    pub key: usize,
}

#[derive(Clone, Debug, Default)]
pub struct SmartBox {
    pub bins: Vec<Bin>,
    /// Entry `n` has sequence number `n + 1`.
    pub judged: Vec<Judged>,
    pub suspended: bool,
    /// Keys whose records came here, in order.
    pub moved_in: Vec<Arrival>,
    /// Keys whose records went elsewhere.
    pub moved_out: Vec<usize>,
    /// What administrators said, where it was new: bin and content.
    pub corrected: Vec<(usize, Option<usize>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub key: usize,
    /// It may not be dropped here.
    pub flagged: bool,
}

/// A permission without dates, which is for ever and so also for what happened before it was given. Its end: the span
/// by the server's clock in which it was withdrawn.
#[derive(Clone, Copy, Debug, Default)]
struct Grant {
    until_ms: Option<(i64, i64)>,
}

/// One sync as the server saw it.
#[derive(Clone, Copy, Debug)]
pub struct Sync<'a> {
    pub place: usize,
    pub entries: &'a [Entry],
    /// The box has further entries that it did not send.
    pub more: bool,
    pub clock_ms: i64,
    /// The server's clock, as its answer says.
    pub server_ms: i64,
}

/// What a sync is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipts {
    /// Sequence number and verdict of each entry up to the first gap. Those for which `unsure` holds may be flagged.
    pub receipts: Vec<(u64, Verdict)>,
    pub resume_at: u64,
}

#[derive(Clone, Debug)]
pub struct Model {
    pub boxes: Vec<SmartBox>,
    pub keys: Vec<Key>,
    pub gaps: Vec<Gap>,
    grants: HashMap<(usize, usize), Vec<Grant>>,
}

impl Model {
    /// Boxes with so many empty, confirmed bins.
    pub fn new(bins: &[usize]) -> Self {
        let empty = |&count: &usize| SmartBox {
            bins: vec![Bin { confirmed: true, ..Bin::default() }; count],
            ..SmartBox::default()
        };
        Self { boxes: bins.iter().map(empty).collect(), keys: Vec::new(), gaps: Vec::new(), grants: HashMap::new() }
    }

    /// A key made by an administrator, standing in a bin. Its number is the next one.
    pub fn add_key(&mut self, home: usize, bin: usize, roaming: bool) -> usize {
        let key = self.keys.len();
        self.keys.push(Key { home, place: KeyPlace::Bin(bin), roaming });
        self.boxes[home].bins[bin].key = Some(key);
        key
    }

    /// A permission for a whole box.
    pub fn grant(&mut self, place: usize, person: usize) {
        self.grants.entry((place, person)).or_default().push(Grant::default());
    }

    /// `decided_ms`: the span in which the server decided it.
    pub fn withdraw(&mut self, place: usize, person: usize, decided_ms: (i64, i64)) {
        for grant in self.grants.entry((place, person)).or_default() {
            grant.until_ms.get_or_insert(decided_ms);
        }
    }

    /// Whether a person was permitted at a moment; `None` when that was being changed just then.
    fn permitted(&self, place: usize, person: usize, at_ms: i64) -> Option<bool> {
        let mut unsure = false;
        for grant in self.grants.get(&(place, person)).into_iter().flatten() {
            match grant.until_ms.map_or(Some(false), |span| after(at_ms, span)) {
                Some(false) => return Some(true),
                Some(true) => {}
                None => unsure = true,
            }
        }
        if unsure { None } else { Some(false) }
    }

    /// An administrator says what a bin holds.
    pub fn correct(&mut self, place: usize, bin: usize, key: Option<usize>) {
        let known = &self.boxes[place].bins[bin];
        if known.key == key && known.confirmed {
            return;
        }
        if let Some(other) = known.key
            && key != Some(other)
        {
            self.keys[other].place = KeyPlace::Unknown;
        }
        if let Some(key) = key {
            let Key { home, place: was, .. } = self.keys[key];
            if let KeyPlace::Bin(old) = was
                && (home, old) != (place, bin)
            {
                self.leave(home, old, None);
            }
            self.moves(key, place, false);
            self.keys[key].place = KeyPlace::Bin(bin);
        }
        // Somebody has looked: nothing is waited for any more.
        self.boxes[place].bins[bin] = Bin { key, confirmed: true, expects: Vec::new() };
        self.boxes[place].corrected.push((bin, key));
    }

    /// The key's record goes to the box where it is.
    fn moves(&mut self, key: usize, to: usize, flagged: bool) {
        let from = std::mem::replace(&mut self.keys[key].home, to);
        if from != to {
            self.boxes[from].moved_out.push(key);
            self.boxes[to].moved_in.push(Arrival { key, flagged });
        }
    }

    /// A bin whose key turned up elsewhere: nobody saw it leave.
    fn leave(&mut self, place: usize, bin: usize, expects: Option<usize>) {
        let bin = &mut self.boxes[place].bins[bin];
        (bin.key, bin.confirmed) = (None, false);
        bin.expects.extend(expects);
    }

    /// A box brings its journal, or a piece of it.
    pub fn sync(&mut self, sync: &Sync<'_>) -> Receipts {
        let mut receipts = Receipts::default();
        for entry in sync.entries {
            let known = self.boxes[sync.place].judged.len() as u64;
            if entry.seq > known + 1 || self.boxes[sync.place].suspended {
                break;
            }
            let verdict = if entry.seq <= known {
                self.again(sync.place, entry)
            } else {
                let judged = self.judge(sync, *entry);
                let verdict = judged.verdict;
                self.boxes[sync.place].judged.push(judged);
                verdict
            };
            receipts.receipts.push((entry.seq, verdict));
        }
        receipts.resume_at = self.boxes[sync.place].judged.len() as u64 + 1;
        let last = sync.entries.last().map_or(0, |entry| entry.seq);
        if !sync.more && last < receipts.resume_at {
            self.drained(sync.place);
        }
        receipts
    }

    fn again(&mut self, place: usize, entry: &Entry) -> Verdict {
        let before = &self.boxes[place].judged[entry.seq as usize - 1].entry;
        if before == entry {
            return Verdict::DUPLICATE;
        }
        self.boxes[place].suspended = true;
        Verdict::rejected(Reason::SequenceReused)
    }

    /// The whole journal is here: what it has not brought will not come.
    fn drained(&mut self, place: usize) {
        for (bin, content) in self.boxes[place].bins.iter_mut().enumerate() {
            for key in std::mem::take(&mut content.expects) {
                self.gaps.push(Gap { place, bin, key });
            }
        }
    }

    fn judge(&mut self, sync: &Sync<'_>, entry: Entry) -> Judged {
        // A clock that is plainly wrong says nothing: such an entry counts as of when it was received.
        let estimated = (sync.server_ms - sync.clock_ms).abs() >= PLAINLY_WRONG_MS;
        let at_ms = if estimated { sync.server_ms } else { entry.at_ms + (sync.server_ms - sync.clock_ms) };
        let believed = self.believed(sync.place, &entry);
        let same = |verdict| Judged {
            entry,
            verdict,
            unsure: false,
            late: false,
            estimated,
            at_ms,
            believed: believed.clone(),
        };
        if entry.bin >= self.boxes[sync.place].bins.len() {
            return same(Verdict::rejected(Reason::UnknownBin));
        }
        match entry.kind {
            Kind::PickUp => {
                let late = self.boxes[sync.place].bins[entry.bin].expects.contains(&entry.key);
                let permitted = self.permitted(sync.place, entry.person, at_ms);
                let verdict = self.pick_up(sync.place, &entry, permitted != Some(false));
                let unsure = permitted.is_none() && verdict.outcome == Outcome::Applied;
                Judged { unsure, late: late && verdict.outcome != Outcome::Ignored, ..same(verdict) }
            }
            Kind::DropOff => same(self.drop_off(sync.place, &entry)),
        }
    }

    fn pick_up(&mut self, place: usize, entry: &Entry, permitted: bool) -> Verdict {
        let bin = &mut self.boxes[place].bins[entry.bin];
        if let Some(late) = bin.expects.iter().position(|key| *key == entry.key) {
            bin.expects.remove(late);
            bin.confirmed |= bin.expects.is_empty();
        } else if bin.key == Some(entry.key) {
            (bin.key, bin.confirmed) = (None, true);
            self.keys[entry.key].place = KeyPlace::Person(entry.person);
        } else {
            self.doubt(place, entry);
            return Verdict::ignored(Reason::KeyNotInBin);
        }
        if permitted { Verdict::APPLIED } else { Verdict::flagged(Reason::NotPermitted) }
    }

    fn drop_off(&mut self, place: usize, entry: &Entry) -> Verdict {
        let Key { home, place: was, roaming } = self.keys[entry.key];
        let content = self.boxes[place].bins[entry.bin].key;
        if content.is_some_and(|key| key != entry.key) {
            self.doubt(place, entry);
            return Verdict::ignored(Reason::BinOccupied);
        }
        let here = home == place;
        match was {
            KeyPlace::Bin(old) if here && old != entry.bin => {
                self.doubt(place, entry);
                return Verdict::ignored(Reason::KeyElsewhere);
            }
            KeyPlace::Bin(old) if !here => self.leave(home, old, Some(entry.key)),
            KeyPlace::Bin(_) | KeyPlace::Person(_) | KeyPlace::Unknown => {}
        }
        let bin = &mut self.boxes[place].bins[entry.bin];
        bin.key = Some(entry.key);
        bin.confirmed = true;
        self.moves(entry.key, place, !here && !roaming);
        self.keys[entry.key].place = KeyPlace::Bin(entry.bin);
        match was {
            KeyPlace::Person(holder) if here && holder != entry.person => Verdict::flagged(Reason::OtherHolder),
            _ => Verdict::APPLIED,
        }
    }

    /// The bins involved in a conflict: the entry's, and where the key is believed to be in the same box.
    fn doubt(&mut self, place: usize, entry: &Entry) {
        self.boxes[place].bins[entry.bin].confirmed = false;
        let Key { home, place: was, .. } = self.keys[entry.key];
        if let KeyPlace::Bin(bin) = was
            && home == place
        {
            self.boxes[place].bins[bin].confirmed = false;
        }
    }

    fn believed(&self, place: usize, entry: &Entry) -> String {
        let Key { home, place: was, .. } = self.keys[entry.key];
        let bin = match self.boxes[place].bins.get(entry.bin) {
            None => "there is no such bin".to_owned(),
            Some(bin) => match bin.key {
                None if bin.expects.is_empty() => "the bin is empty".to_owned(),
                None => "the bin is empty and expects a late pick-up".to_owned(),
                Some(key) if key == entry.key => "the bin holds this key".to_owned(),
                Some(key) => format!("the bin holds key #{key}"),
            },
        };
        let whose = if home == place { "at home here".to_owned() } else { format!("at home in box #{home}") };
        let key = match was {
            KeyPlace::Bin(bin) => format!("in bin #{bin}"),
            KeyPlace::Person(person) => format!("with person #{person}"),
            KeyPlace::Unknown => "nobody knows where".to_owned(),
        };
        format!("{bin}; the key is {whose}, {key}")
    }
}

/// Whether a moment lies after a span; `None` within it.
fn after(at_ms: i64, (from_ms, to_ms): (i64, i64)) -> Option<bool> {
    if at_ms > to_ms {
        Some(true)
    } else if at_ms < from_ms {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
