//! What a box must decide, what the server must make of its journal, and what it must alert of: written from the specs
//! alone. One box at a time; keys, bins and people are numbers.

mod alone;
mod late;
mod setup;
#[cfg(test)]
mod tests;
mod with_server;

pub use setup::Setup;

use crate::wire::Size;
use std::collections::{BTreeMap, BTreeSet};

/// So near to a limit either answer is right: the server and this model do not read the clock at the same moment.
pub const UNSURE_MS: u64 = 30_000;
const MINUTE_MS: u64 = 60_000;
/// A contact counts as missed after three announced spans, and not before this.
const CONTACT_LEAST_MS: u64 = 120_000;
/// People who are nothing to this box are numbered from here.
pub const STRANGERS: usize = 1_000;

/// Who may take what, from when until when. `key` left out: all of the box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    pub person: usize,
    pub key: Option<usize>,
    pub from_ms: Option<u64>,
    pub until_ms: Option<u64>,
    pub revoked_ms: Option<u64>,
    /// The code by which it is booked.
    pub booking: Option<String>,
}

impl Grant {
    fn covers(&self, person: usize, key: usize) -> bool {
        self.person == person && self.key.is_none_or(|covered| covered == key)
    }

    /// The first moment at which it no longer holds.
    pub fn end_ms(&self) -> u64 {
        self.until_ms.unwrap_or(u64::MAX).min(self.revoked_ms.unwrap_or(u64::MAX))
    }

    fn holds(&self, at_ms: u64) -> bool {
        self.from_ms.is_none_or(|from| from <= at_ms) && at_ms < self.end_ms()
    }
}

/// In minutes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    pub after_pick_up: Option<u64>,
    pub after_end: Option<u64>,
    pub before_booking: Option<u64>,
}

/// `None`: somebody who was not named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Bin(usize),
    Out { person: Option<usize>, since_ms: u64 },
    Unknown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    pub key: Option<usize>,
    /// Since when nobody has confirmed what is in it.
    pub doubtful_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Without a person: by the key's code. What the server has decided is not judged for permission again.
    PickUp {
        key: usize,
        person: Option<usize>,
        decided: bool,
        /// The number of the pass that it was by.
        pass: Option<usize>,
    },
    DropOff {
        key: usize,
        person: Option<usize>,
    },
    /// By an offline code of this sheet.
    Opened {
        sheet: u32,
    },
}

#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// None: every one of them.
    pub bin: Option<usize>,
    pub what: What,
    pub at_ms: u64,
}

/// One line of a printed sheet. Without a bin: it opens all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slip {
    pub sheet: u32,
    pub bin: Option<usize>,
    pub counter: u32,
}

/// A permission that somebody carries.
#[derive(Clone, Debug)]
pub struct Pass {
    /// No two have the same.
    pub number: usize,
    pub organisation: usize,
    pub site: usize,
    /// Of those of its box, as the person is.
    pub grant: usize,
    pub person: usize,
    /// The same person, of those of the organisation.
    pub who: usize,
    /// None: every key of its box.
    pub key: Option<usize>,
    pub signer: u32,
    pub from_s: u64,
    pub until_s: u64,
}

/// Who somebody is, signed.
#[derive(Clone, Debug)]
pub struct Identity {
    pub organisation: usize,
    /// Of those of the organisation.
    pub person: usize,
    pub signer: u32,
    pub from_s: u64,
    pub until_s: u64,
}

/// What somebody types or shows; people by their numbers in the organisation.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    AccessCode(usize),
    Badge(usize),
    /// A booking's, a key's, or nobody's.
    Digits(&'a str),
    Slip(Slip),
    Pass(&'a Pass),
    Identity(&'a Identity),
    /// A key that is just put before the box.
    Nothing,
}

/// What is typed besides, by whoever wants a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    None,
    Own,
    Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Opens {
        bin: usize,
        key: usize,
        person: Option<usize>,
    },
    /// By an offline code; `None`: every bin.
    Opened(Option<usize>),
    No(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alert {
    pub kind: &'static str,
    pub key: Option<usize>,
    pub bin: Option<usize>,
    pub power: bool,
}

impl Alert {
    pub fn of_box(kind: &'static str) -> Self {
        Self { kind, key: None, bin: None, power: false }
    }
}

/// Whose box it is, and who uses it, by their numbers in the organisation.
#[derive(Clone, Debug, Default)]
pub struct Here {
    pub organisation: usize,
    pub site: usize,
    pub staff: Vec<usize>,
    /// Who of them has a PIN.
    pub with_pin: Vec<usize>,
}

/// What the server knows and a box may not have heard of.
#[derive(Clone, Debug, Default)]
struct Told {
    grants: Vec<Grant>,
    /// Of how many grants, of all that there ever were.
    heard: usize,
    key_codes: Vec<Option<String>>,
    sheet: u32,
    signer: u32,
    closed: Vec<bool>,
    setup: Setup,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub here: Here,
    pub guarantee_ms: u64,
    pub unconfirmed_min: u64,
    pub limits: Vec<Limits>,
    /// Whether boxes of this organisation are told the codes of keys.
    pub tells_key_codes: bool,
    pub grants: Vec<Grant>,
    pub key_codes: Vec<Option<String>>,
    pub sheet: u32,
    /// By which passes must be signed.
    pub signer: u32,
    /// As the server believes.
    pub bins: Vec<Bin>,
    pub keys: Vec<Place>,
    /// Bins that are protected or out of service.
    pub closed: Vec<bool>,
    pub setup: Setup,
    pub conflicts: usize,
    /// Exchanges that were told of because something about them was not in order.
    pub told: usize,
    pending_ms: Option<u64>,
    contact_due_ms: Option<u64>,
    /// It was due when the server was killed, which may have noticed or not.
    contact_perhaps_missed: bool,
    contact_within_ms: u64,
    on_battery: bool,
    /// Until when it takes for all wrong codes that the server has counted to be forgotten.
    wrong_until_ms: u64,
    /// Passes that the server has heard of being used.
    spent: BTreeSet<usize>,
    /// As the box has it.
    known: Told,
    belief: Vec<Option<usize>>,
    wrong_codes: u32,
    closed_until_ms: u64,
    /// The next counter of each list of the sheet that was used last.
    counters: (u32, BTreeMap<Option<usize>, u32>),
    used_passes: BTreeSet<usize>,
    pub physical: Vec<Option<usize>>,
    journal: Vec<Entry>,
}

impl Model {
    /// Each key in the bin of its number, all of it known to the box.
    pub fn new(here: Here, bins: usize, keys: usize, guarantee_ms: u64, unconfirmed_min: u64) -> Self {
        let physical: Vec<_> = (0..bins).map(|bin| (bin < keys).then_some(bin)).collect();
        Self {
            here,
            guarantee_ms,
            unconfirmed_min,
            limits: vec![Limits::default(); keys],
            key_codes: vec![None; keys],
            signer: 1,
            bins: physical.iter().map(|key| Bin { key: *key, doubtful_ms: None }).collect(),
            keys: (0..keys).map(Place::Bin).collect(),
            closed: vec![false; bins],
            setup: Setup { bins: vec![Size::Medium; bins], keys: vec![Size::Medium; keys], ..Setup::default() },
            belief: physical.clone(),
            physical,
            ..Self::default()
        }
    }

    /// Somebody of the organisation, as this box counts them.
    pub fn person(&self, of_organisation: usize) -> usize {
        let staff = self.here.staff.iter().position(|known| *known == of_organisation);
        staff.unwrap_or(STRANGERS + of_organisation)
    }

    /// What the box has done.
    pub fn did(&mut self, bin: Option<usize>, what: What, at_ms: u64) {
        let content = match what {
            What::PickUp { .. } => Some(None),
            What::DropOff { key, .. } => Some(Some(key)),
            What::Opened { .. } => None,
        };
        if let (Some(bin), Some(content)) = (bin, content) {
            (self.belief[bin], self.physical[bin]) = (content, content);
        }
        self.journal.push(Entry { bin, what, at_ms });
    }

    /// Whether something happened here that the server has not heard of.
    pub fn has_unsent(&self) -> bool {
        !self.journal.is_empty()
    }

    fn missing(&mut self, at_ms: u64) {
        self.pending_ms.get_or_insert(at_ms);
    }

    pub fn grant(&mut self, grant: Grant, at_ms: u64) {
        self.grants.push(grant);
        self.missing(at_ms);
    }

    /// Its booking code goes with it.
    pub fn revoke(&mut self, grant: usize, at_ms: u64) {
        self.grants[grant].revoked_ms = Some(at_ms);
        self.grants[grant].booking = None;
        self.missing(at_ms);
    }

    pub fn book(&mut self, grant: usize, code: &str, at_ms: u64) {
        self.grants[grant].booking = Some(code.to_owned());
        self.missing(at_ms);
    }

    pub fn set_key_code(&mut self, key: usize, code: Option<String>, at_ms: u64) {
        if self.key_codes[key] != code {
            self.key_codes[key] = code;
            if self.tells_key_codes {
                self.missing(at_ms);
            }
        }
    }

    pub fn close(&mut self, bin: usize, closed: bool, at_ms: u64) {
        self.closed[bin] = closed;
        self.missing(at_ms);
    }

    pub fn renew_sheet(&mut self, sheet: u32, at_ms: u64) {
        self.sheet = sheet;
        self.missing(at_ms);
    }

    pub fn renew_signer(&mut self, signer: u32, at_ms: u64) {
        self.signer = signer;
        self.missing(at_ms);
    }

    /// Whether the box has ever heard of this grant, and whether the grant was withdrawn.
    pub fn stands(&self, grant: usize) -> (bool, bool) {
        (grant < self.known.heard, self.grants[grant].revoked_ms.is_some())
    }

    /// From when until when a pass must hold that is signed now for so long.
    pub fn pass_window(&self, grant: usize, hours: u64, now_ms: u64) -> (u64, u64) {
        let grant = &self.grants[grant];
        (grant.from_ms.unwrap_or(now_ms).max(now_ms), grant.end_ms().min(now_ms + hours * 60 * MINUTE_MS))
    }

    /// An administrator says what a bin holds.
    pub fn correct(&mut self, bin: usize, content: Option<usize>, at_ms: u64) {
        let before = self.bins[bin];
        if before == (Bin { key: content, doubtful_ms: None }) {
            return;
        }
        if let Some(gone) = before.key.filter(|gone| Some(*gone) != content) {
            self.keys[gone] = Place::Unknown;
        }
        if let Some(key) = content
            && before.key != content
        {
            if let Place::Bin(other) = self.keys[key] {
                self.bins[other].key = None;
                self.doubt(other, at_ms);
            }
            self.keys[key] = Place::Bin(bin);
        }
        self.bins[bin] = Bin { key: content, doubtful_ms: None };
        self.missing(at_ms);
    }

    pub fn confirm(&mut self, bin: usize, at_ms: u64) {
        if self.bins[bin].doubtful_ms.take().is_some() {
            self.missing(at_ms);
        }
    }

    fn doubt(&mut self, bin: usize, at_ms: u64) {
        self.bins[bin].doubtful_ms.get_or_insert(at_ms);
        self.missing(at_ms);
    }

    /// The box brings its journal, and stores and confirms what it is answered: what becomes of each entry.
    pub fn sync(&mut self, at_ms: u64, next_sync_ms: u64, on_battery: bool) -> Vec<&'static str> {
        let journal = std::mem::take(&mut self.journal);
        let became = journal.iter().map(|entry| self.judge(entry, at_ms)).collect();
        self.contact_within_ms = (3 * next_sync_ms).max(CONTACT_LEAST_MS);
        self.contact_due_ms = Some(at_ms + self.contact_within_ms);
        self.contact_perhaps_missed = false;
        self.on_battery = on_battery;
        self.pending_ms = None;
        self.known = Told {
            grants: self.grants.iter().filter(|grant| grant.revoked_ms.is_none()).cloned().collect(),
            heard: self.grants.len(),
            key_codes: if self.tells_key_codes { self.key_codes.clone() } else { Vec::new() },
            sheet: self.sheet,
            signer: self.signer,
            closed: self.closed.clone(),
            setup: self.setup.clone(),
        };
        self.belief = self.bins.iter().map(|bin| bin.key).collect();
        became
    }

    /// The server was away: that is nobody's absence, but who was missed before is still away. What it had said was last
    /// compared at `compared_ms`: whoever became due after that may not have been noticed before it was killed.
    pub fn restarted(&mut self, compared_ms: u64, now_ms: u64) {
        let Some(due) = self.contact_due_ms.filter(|due| due + UNSURE_MS > compared_ms) else { return };
        self.contact_perhaps_missed |= due <= now_ms;
        self.contact_due_ms = Some(due.max(now_ms + self.contact_within_ms));
    }

    fn judge(&mut self, entry: &Entry, now_ms: u64) -> &'static str {
        let became = match (entry.what, entry.bin) {
            (What::PickUp { key, person, decided, pass }, Some(bin)) => {
                let became = self.judge_pick_up(bin, key, person, decided, entry.at_ms, now_ms);
                let reused = pass.is_some_and(|pass| !self.spent.insert(pass));
                if reused && !became.starts_with("ignored") { "flagged pass_reused" } else { became }
            }
            (What::DropOff { key, person }, Some(bin)) => self.judge_drop_off(bin, key, person, now_ms),
            (What::Opened { sheet }, bin) => {
                for bin in bin.map_or(0..self.bins.len(), |bin| bin..bin + 1) {
                    self.bins[bin].doubtful_ms.get_or_insert(now_ms);
                }
                return if sheet == self.sheet { "applied" } else { "flagged code_reused" };
            }
            (_, None) => "rejected unknown_bin",
        };
        self.told += usize::from(became.starts_with("flagged"));
        became
    }

    fn judge_pick_up(
        &mut self,
        bin: usize,
        key: usize,
        person: Option<usize>,
        decided: bool,
        at_ms: u64,
        now_ms: u64,
    ) -> &'static str {
        if self.bins[bin].key != Some(key) {
            self.conflict(bin, key, now_ms);
            return "ignored key_not_in_bin";
        }
        self.bins[bin] = Bin::default();
        self.keys[key] = Place::Out { person, since_ms: at_ms };
        let permitted = match person {
            _ if self.closed[bin] => false,
            Some(person) => self.grants.iter().any(|grant| grant.covers(person, key) && grant.holds(at_ms)),
            None => self.key_codes[key].is_some(),
        };
        if permitted || decided { "applied" } else { "flagged not_permitted" }
    }

    fn judge_drop_off(&mut self, bin: usize, key: usize, person: Option<usize>, now_ms: u64) -> &'static str {
        let was = self.keys[key];
        if self.bins[bin].key.is_some_and(|other| other != key) {
            self.conflict(bin, key, now_ms);
            return "ignored bin_occupied";
        }
        if matches!(was, Place::Bin(other) if other != bin) {
            self.conflict(bin, key, now_ms);
            return "ignored key_elsewhere";
        }
        self.bins[bin] = Bin { key: Some(key), doubtful_ms: None };
        self.keys[key] = Place::Bin(bin);
        match (was, person) {
            // The box has not heard that nothing may be left there.
            (Place::Out { .. } | Place::Unknown, _) if self.closed[bin] => "flagged may_not_be_dropped_here",
            (Place::Out { person: Some(holder), .. }, Some(person)) if holder != person => "flagged other_holder",
            _ => "applied",
        }
    }

    /// The bins involved become doubtful: the entry's, and where the key is believed to be.
    fn conflict(&mut self, bin: usize, key: usize, now_ms: u64) {
        self.conflicts += 1;
        self.doubt(bin, now_ms);
        if let Place::Bin(other) = self.keys[key] {
            self.doubt(other, now_ms);
        }
    }
}
