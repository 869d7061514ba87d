//! What journal entries and corrections change in bins, keys and visitors.

use super::{
    command::Act,
    event::Judged,
    state::{MAX_RECEIPTS, MAX_VISITORS_OUT, Place, SmartBox, Visitor},
    words::{Fob, Outcome},
};
use crate::kernel::{PersonId, Stamp, UnixMillis};

impl SmartBox {
    pub(super) fn apply_entry(&mut self, judged: &Judged, stamp: Stamp) {
        if self.journal.contents.len() == MAX_RECEIPTS {
            self.journal.contents.pop_front();
        }
        self.journal.contents.push_back(judged.content);
        self.journal.next = judged.seq + 1;
        if !judged.exchange.is_some_and(|of| of.known) {
            self.apply_act(judged, Some(self.entry_conflict(judged.seq)), stamp);
            self.close_exchange(judged);
        }
    }

    /// What happened at a bin. `conflict`: the number to keep it under if it does not fit.
    pub(super) fn apply_act(&mut self, judged: &Judged, conflict: Option<u64>, stamp: Stamp) {
        self.count_exchange(judged);
        let bin = judged.bin.as_ref().and_then(|label| self.bin_index(label));
        if judged.by.is_some() && judged.outcome.took_place() {
            self.spend(judged, bin);
        }
        match (judged.outcome, judged.act, bin) {
            (Outcome::Applied | Outcome::Flagged(_), Some(act), Some(bin)) => {
                match act {
                    Act::PickUp(fob) if judged.late => self.close_late_pick_up(bin, &fob),
                    Act::PickUp(fob) => {
                        self.bins[bin].fob = None;
                        // What fits has shown what is in the bin.
                        self.bins[bin].confirmed = true;
                        self.take_out(fob, judged.person, judged.at);
                    }
                    Act::DropOff(fob) => self.put_in(bin, fob, judged, stamp),
                    Act::Opened | Act::OpenedAll => self.bins[bin].confirmed = false,
                }
                // Its own doing: the box misses nothing.
                self.touch(bin, stamp);
            }
            (Outcome::Applied | Outcome::Flagged(_), Some(Act::OpenedAll), None) => {
                for bin in 0..self.bins.len() {
                    self.bins[bin].confirmed = false;
                    self.touch(bin, stamp);
                }
            }
            (Outcome::Ignored(_), act, bin) => {
                self.keep_conflict(conflict);
                let other = act.and_then(Act::fob).and_then(|fob| self.bin_of(&fob));
                for bin in [bin, other].into_iter().flatten() {
                    self.doubt_bin(bin, stamp);
                }
            }
            _ => {
                // Nobody can say what this box believes now: it is told everything.
                self.keep_conflict(conflict);
                self.delta_from = stamp.revision;
                self.miss(stamp);
            }
        }
    }

    fn close_late_pick_up(&mut self, bin: usize, fob: &Fob) {
        let Some(at) = self.late_pick_up(bin, fob) else { return };
        self.late.remove(at);
        if !self.late.iter().any(|late| usize::from(late.bin) == bin) {
            self.bins[bin].confirmed = true;
        }
    }

    fn put_in(&mut self, bin: usize, fob: Fob, judged: &Judged, stamp: Stamp) {
        self.bins[bin].fob = Some(fob);
        self.bins[bin].confirmed = true;
        let (place, at) = (Self::place_in(bin), judged.at);
        if let Some(key) = self.keys.iter_mut().find(|key| key.fob == Some(fob)) {
            key.place = place;
            key.since = at;
            key.heard = stamp.at;
            return;
        }
        self.host(fob, place, at, false, judged.person, stamp.at);
        if let (Some(named), Some(visitor)) =
            (judged.named, self.visitors.iter_mut().find(|visitor| visitor.fob == fob))
        {
            visitor.named = Some(named);
        }
    }

    /// Remembers a fob that is not at home here; its home is asked if it was not here before.
    fn host(
        &mut self,
        fob: Fob,
        place: Place,
        since: UnixMillis,
        corrected: bool,
        person: Option<PersonId>,
        heard: UnixMillis,
    ) {
        match self.visitors.iter_mut().find(|visitor| visitor.fob == fob) {
            Some(visitor) => {
                visitor.place = place;
                visitor.since = since;
                visitor.heard = heard;
                visitor.corrected = corrected;
                visitor.person = person;
            }
            None => {
                let asked = Some(heard);
                let visitor =
                    Visitor { fob, place, since, heard, asked, corrected, person, claimed: false, named: None };
                self.visitors.push(visitor);
            }
        }
    }

    /// The fob is in nobody's bin here any more but with this person.
    pub(super) fn take_out(&mut self, fob: Fob, person: Option<PersonId>, since: UnixMillis) {
        if let Some(key) = self.keys.iter_mut().find(|key| key.fob == Some(fob)) {
            key.place = Place::Out(person);
            key.since = since;
        }
        let Some(index) = self.visitors.iter().position(|visitor| visitor.fob == fob) else { return };
        if self.visitors[index].asked.is_none() {
            // Nobody's, and gone.
            if self.visitors.remove(index).claimed {
                self.leaving.push(fob);
            }
            return;
        }
        let visitor = &mut self.visitors[index];
        visitor.place = Place::Out(person);
        visitor.since = since;
        let mut out = self.visitors.iter().enumerate().filter(|(_, visitor)| !matches!(visitor.place, Place::Bin(_)));
        let oldest = out.next().map(|(at, _)| at);
        if let (Some(oldest), true) = (oldest, out.count() >= MAX_VISITORS_OUT) {
            self.visitors.remove(oldest);
        }
    }

    /// An administrator has looked into this bin.
    pub(super) fn correct(&mut self, bin: usize, fob: Option<Fob>, stamp: Stamp) {
        let before = self.bins[bin].fob;
        if let Some(gone) = before.filter(|gone| Some(*gone) != fob) {
            if let Some(key) = self.keys.iter_mut().find(|key| key.fob == Some(gone)) {
                key.place = Place::Unknown;
                key.since = stamp.at;
                key.heard = stamp.at;
            }
            self.visitors.retain(|visitor| visitor.fob != gone || visitor.asked.is_some());
            if let Some(visitor) = self.visitors.iter_mut().find(|visitor| visitor.fob == gone) {
                visitor.place = Place::Unknown;
                visitor.since = stamp.at;
                visitor.heard = stamp.at;
            }
        }
        if let Some(fob) = fob.filter(|_| fob != before) {
            if let Some(other) = self.bin_of(&fob) {
                self.bins[other].fob = None;
                self.doubt_bin(other, stamp);
            }
            let place = Self::place_in(bin);
            match self.keys.iter_mut().find(|key| key.fob == Some(fob)) {
                Some(key) => {
                    key.place = place;
                    key.since = stamp.at;
                    key.heard = stamp.at;
                }
                None => self.host(fob, place, stamp.at, true, None, stamp.at),
            }
        }
        // Somebody has looked: a pick-up that comes later still has to fit.
        self.late.retain(|late| usize::from(late.bin) != bin);
        self.bins[bin].fob = fob;
        self.bins[bin].confirmed = true;
        self.touch(bin, stamp);
        self.miss(stamp);
    }

    /// A fob whose key was removed while it lay here. This box still holds its claim.
    pub(super) fn hold_unknown(&mut self, fob: Fob, bin: usize, at: UnixMillis) {
        let visitor = Visitor {
            fob,
            place: Self::place_in(bin),
            since: at,
            heard: at,
            asked: None,
            corrected: false,
            person: None,
            claimed: true,
            named: None,
        };
        self.visitors.push(visitor);
    }
}
