//! What a box must decide, what the server must make of its journal, and what it must alert of: written from the specs
//! alone. One box at a time; keys, bins and people are numbers.

/// So near to a limit either answer is right: the server and this model do not read the clock at the same moment.
const UNSURE_MS: u64 = 30_000;
const MINUTE_MS: u64 = 60_000;
/// A contact counts as missed after three announced spans, and not before this.
const CONTACT_LEAST_MS: u64 = 120_000;

/// Who may take what, from when until when. `key` left out: all of the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub person: usize,
    pub key: Option<usize>,
    pub from_ms: Option<u64>,
    pub until_ms: Option<u64>,
    pub revoked_ms: Option<u64>,
}

impl Grant {
    fn covers(&self, person: usize, key: usize) -> bool {
        self.person == person && self.key.is_none_or(|covered| covered == key)
    }

    /// The first moment at which it no longer holds.
    fn end_ms(&self) -> u64 {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Bin(usize),
    Out { person: usize, since_ms: u64 },
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
    PickUp { key: usize, person: usize },
    DropOff { key: usize, person: usize },
    Opened,
}

#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub bin: usize,
    pub what: What,
    pub at_ms: u64,
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

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub guarantee_ms: u64,
    pub unconfirmed_min: u64,
    pub limits: Vec<Limits>,
    pub grants: Vec<Grant>,
    /// As the server believes.
    pub bins: Vec<Bin>,
    pub keys: Vec<Place>,
    pub conflicts: usize,
    pending_ms: Option<u64>,
    contact_due_ms: Option<u64>,
    contact_within_ms: u64,
    on_battery: bool,
    /// As the box has it.
    known: Vec<Grant>,
    belief: Vec<Option<usize>>,
    pub physical: Vec<Option<usize>>,
    journal: Vec<Entry>,
}

impl Model {
    /// Each key in the bin of its number, all of it known to the box.
    pub fn new(bins: usize, keys: usize, guarantee_ms: u64, unconfirmed_min: u64) -> Self {
        let physical: Vec<_> = (0..bins).map(|bin| (bin < keys).then_some(bin)).collect();
        Self {
            guarantee_ms,
            unconfirmed_min,
            limits: vec![Limits::default(); keys],
            bins: physical.iter().map(|key| Bin { key: *key, doubtful_ms: None }).collect(),
            keys: (0..keys).map(Place::Bin).collect(),
            belief: physical.clone(),
            physical,
            ..Self::default()
        }
    }

    /// The bin that opens for who asks for this key, as the box decides by what it has stored.
    pub fn may_take(&self, person: usize, key: usize, at_ms: u64) -> Option<usize> {
        let permitted = self.known.iter().any(|grant| grant.covers(person, key) && grant.holds(at_ms));
        permitted.then(|| self.belief.iter().position(|held| *held == Some(key))).flatten()
    }

    /// The bin that opens for a drop-off.
    pub fn free_bin(&self) -> Option<usize> {
        (0..self.belief.len()).find(|bin| self.belief[*bin].is_none() && self.physical[*bin].is_none())
    }

    /// What the box has done.
    pub fn did(&mut self, bin: usize, what: What, at_ms: u64) {
        let content = match what {
            What::PickUp { .. } => None,
            What::DropOff { key, .. } => Some(key),
            What::Opened => self.belief[bin],
        };
        if what != What::Opened {
            (self.belief[bin], self.physical[bin]) = (content, content);
        }
        self.journal.push(Entry { bin, what, at_ms });
    }

    fn missing(&mut self, at_ms: u64) {
        self.pending_ms.get_or_insert(at_ms);
    }

    pub fn grant(&mut self, grant: Grant, at_ms: u64) {
        self.grants.push(grant);
        self.missing(at_ms);
    }

    pub fn revoke(&mut self, grant: usize, at_ms: u64) {
        self.grants[grant].revoked_ms = Some(at_ms);
        self.missing(at_ms);
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
        self.on_battery = on_battery;
        self.pending_ms = None;
        self.known = self.grants.iter().filter(|grant| grant.revoked_ms.is_none()).copied().collect();
        self.belief = self.bins.iter().map(|bin| bin.key).collect();
        became
    }

    /// The server was away: that is nobody's absence, but who was missed before is still away.
    pub fn restarted(&mut self, now_ms: u64) {
        let again = now_ms + self.contact_within_ms;
        self.contact_due_ms = self.contact_due_ms.map(|due| if due < now_ms { due } else { due.max(again) });
    }

    fn judge(&mut self, entry: &Entry, now_ms: u64) -> &'static str {
        let Entry { bin, what, at_ms } = *entry;
        match what {
            What::Opened => {
                self.bins[bin].doubtful_ms.get_or_insert(now_ms);
                "applied"
            }
            What::PickUp { key, person } => {
                if self.bins[bin].key != Some(key) {
                    self.conflict(bin, key, now_ms);
                    return "ignored";
                }
                self.bins[bin] = Bin::default();
                self.keys[key] = Place::Out { person, since_ms: at_ms };
                let permitted = self.grants.iter().any(|grant| grant.covers(person, key) && grant.holds(at_ms));
                if permitted { "applied" } else { "flagged" }
            }
            What::DropOff { key, person } => {
                let was = self.keys[key];
                let elsewhere = matches!(was, Place::Bin(other) if other != bin);
                if elsewhere || self.bins[bin].key.is_some_and(|other| other != key) {
                    self.conflict(bin, key, now_ms);
                    return "ignored";
                }
                self.bins[bin] = Bin { key: Some(key), doubtful_ms: None };
                self.keys[key] = Place::Bin(bin);
                match was {
                    Place::Out { person: holder, .. } if holder != person => "flagged",
                    _ => "applied",
                }
            }
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

    /// What must be in force now, and what may be as well as not.
    pub fn alerts(&self, now_ms: u64) -> (Vec<Alert>, Vec<Alert>) {
        let (mut must, mut may) = (Vec::new(), Vec::new());
        let mut at = |alert: Alert, due_ms: u64| {
            if now_ms.abs_diff(due_ms) < UNSURE_MS {
                may.push(alert);
            } else if now_ms > due_ms {
                must.push(alert);
            }
        };
        if let Some(due) = self.contact_due_ms {
            at(Alert { power: self.on_battery, ..Alert::of_box("offline") }, due);
        }
        if let Some(since) = self.pending_ms {
            at(Alert::of_box("guarantee"), since + self.guarantee_ms);
        }
        for (bin, content) in self.bins.iter().enumerate() {
            if let Some(since) = content.doubtful_ms {
                let alert = Alert { bin: Some(bin), ..Alert::of_box("unconfirmed") };
                at(alert, since + self.unconfirmed_min * MINUTE_MS);
            }
        }
        for (key, place) in self.keys.iter().enumerate() {
            let Place::Out { person, since_ms } = *place else { continue };
            let late = |kind| Alert { key: Some(key), ..Alert::of_box(kind) };
            let limits = self.limits[key];
            if let Some(minutes) = limits.after_pick_up {
                at(late("late_after_pick_up"), since_ms + minutes * MINUTE_MS);
            }
            if let (Some(minutes), Some(end)) = (limits.after_end, self.end_of(person, key, since_ms)) {
                at(late("late_after_end"), end + minutes * MINUTE_MS);
            }
            if let (Some(minutes), Some(from)) = (limits.before_booking, self.booked_from(person, key, since_ms)) {
                at(late("late_before_booking"), (from - minutes * MINUTE_MS).max(since_ms));
            }
        }
        if self.conflicts > 0 {
            must.push(Alert::of_box("conflict"));
        }
        (must, may)
    }

    /// When what let this person take the key ends; accesses that follow without a gap are one.
    fn end_of(&self, person: usize, key: usize, since_ms: u64) -> Option<u64> {
        let mut end = since_ms;
        while let Some(grant) = self.grants.iter().find(|grant| grant.covers(person, key) && grant.holds(end)) {
            end = grant.end_ms();
            if end == u64::MAX {
                return None;
            }
        }
        (end > since_ms).then_some(end)
    }

    fn booked_from(&self, holder: usize, key: usize, since_ms: u64) -> Option<u64> {
        let live = self.grants.iter().filter(|grant| grant.revoked_ms.is_none());
        let others = live.filter(|grant| grant.person != holder && grant.key == Some(key));
        others.filter_map(|grant| grant.from_ms).filter(|from| *from > since_ms).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * MINUTE_MS;
    const T: u64 = 1_000 * HOUR;

    fn for_ever(person: usize) -> Grant {
        Grant { person, key: None, from_ms: None, until_ms: None, revoked_ms: None }
    }

    fn model() -> Model {
        let mut model = Model::new(4, 2, 2 * HOUR, 60);
        model.limits = vec![Limits { after_pick_up: Some(120), after_end: Some(30), before_booking: Some(30) }; 2];
        model.grant(for_ever(0), T);
        model.sync(T, 300_000, false);
        model
    }

    fn kinds(model: &Model, at: u64) -> Vec<&'static str> {
        model.alerts(at).0.iter().map(|alert| alert.kind).collect()
    }

    #[test]
    fn a_box_knows_what_it_was_told_and_what_it_did() {
        let mut model = model();
        assert_eq!((model.may_take(0, 1, T), model.may_take(1, 1, T)), (Some(1), None));
        model.did(1, What::PickUp { key: 1, person: 0 }, T + 1);
        assert_eq!((model.may_take(0, 1, T), model.free_bin()), (None, Some(1)));
        model.revoke(0, T + 2);
        assert_eq!(model.may_take(0, 0, T + 3), Some(0), "it has not heard of it");
        model.did(0, What::PickUp { key: 0, person: 0 }, T + 3);
        assert_eq!(model.sync(T + 4, 300_000, false), ["applied", "flagged"]);
        assert_eq!(model.may_take(0, 0, T + 5), None);
    }

    #[test]
    fn what_does_not_fit_is_a_conflict() {
        let mut model = model();
        model.correct(0, None, T + 1);
        model.did(0, What::PickUp { key: 0, person: 0 }, T + 2);
        model.did(2, What::DropOff { key: 1, person: 0 }, T + 3);
        assert_eq!(model.sync(T + 4, 300_000, false), ["ignored", "ignored"]);
        assert_eq!((model.conflicts, kinds(&model, T + 5)), (2, vec!["conflict"]));
        assert_eq!(kinds(&model, T + 14 * MINUTE_MS), ["conflict"]);
        assert_eq!(kinds(&model, T + 2 * HOUR), ["offline", "unconfirmed", "unconfirmed", "unconfirmed", "conflict"]);
    }

    #[test]
    fn a_key_is_late_in_three_ways() {
        let mut model = model();
        model.grant(Grant { key: Some(1), until_ms: Some(T + HOUR), ..for_ever(2) }, T);
        model.sync(T, 300_000, false);
        model.did(1, What::PickUp { key: 1, person: 2 }, T + MINUTE_MS);
        model.sync(T + MINUTE_MS, 300_000 * 100, false);
        assert_eq!(kinds(&model, T + HOUR), Vec::<&str>::new());
        assert_eq!(kinds(&model, T + 95 * MINUTE_MS), ["late_after_end"]);
        let more = Grant { key: Some(1), from_ms: Some(T + HOUR), until_ms: Some(T + 9 * HOUR), ..for_ever(2) };
        model.grant(more, T + HOUR);
        assert_eq!(kinds(&model, T + 95 * MINUTE_MS), Vec::<&str>::new(), "one that follows without a gap");
        assert_eq!(kinds(&model, T + 122 * MINUTE_MS), ["late_after_pick_up"]);
        model.grant(Grant { key: Some(1), from_ms: Some(T + 2 * HOUR), ..for_ever(3) }, T + HOUR);
        assert_eq!(kinds(&model, T + 92 * MINUTE_MS), ["late_before_booking"]);
    }
}
