//! What each event changes. Cannot refuse; branches on nothing but the state and the event.

use super::{
    access::Access,
    changes::RemovedItem,
    command::{AccessRecord, KeyRecord},
    decide_sync::activity_after,
    event::{Event, Synced},
    rows::SERVER_CONFLICT,
    state::{
        Bin, Departed, EnrolmentCode, Key, LatePickUp, MAX_DEPARTED, MAX_LATE_PICK_UPS, MAX_MISSING,
        MAX_OPEN_CONFLICTS, MAX_REMOVALS, MAX_WITHDRAWN, Missing, Person, Place, Removal, SmartBox, WITHDRAWN_AT_LEAST,
    },
    words::BinState,
};
use crate::kernel::{AccessId, GroupId, KeyId, PersonId, Stamp, UnixMillis};

/// A person's revision as a box keeps it.
pub(super) fn heard_as(revision: u64) -> u32 {
    u32::try_from(revision).unwrap_or(u32::MAX)
}

/// Grows by an eighth, not by doubling: many boxes, each with few items.
pub(super) fn push_tight<T>(items: &mut Vec<T>, item: T) {
    if items.len() == items.capacity() {
        items.reserve_exact((items.len() / 8).max(1));
    }
    items.push(item);
}

impl SmartBox {
    pub(super) fn apply(&mut self, event: &Event, stamp: Stamp) {
        self.revision = stamp.revision;
        self.apply_one(event, stamp);
        self.note_doubts(stamp);
    }

    fn apply_one(&mut self, event: &Event, stamp: Stamp) {
        match event {
            Event::Created(created) => {
                self.name = created.name.clone();
                self.model = created.model;
                self.plan = created.plan;
                self.location = created.location.clone();
                self.zone = created.zone.clone();
                self.described = stamp.revision;
                let bin = |label: &_| Bin {
                    label: *label,
                    fob: None,
                    revision: stamp.revision,
                    state: BinState::Enabled,
                    confirmed: true,
                    size: None,
                };
                self.bins = created.bins.iter().map(bin).collect();
            }
            Event::Described { name, location, zone } => {
                self.name = name.clone();
                self.location = location.clone();
                self.zone = zone.clone();
                self.described = stamp.revision;
            }
            Event::PlanSet { plan } => self.set_plan(*plan),
            Event::PlanAdvised(advice) => self.watch.get_or_insert_default().advice = Some(*advice),
            Event::EnrolmentCodeMade { code_hash, expires } => {
                self.enrolment = Some(Box::new(EnrolmentCode { hash: *code_hash, expires: *expires }));
            }
            Event::EnrolmentCodeDropped { .. } => self.enrolment = None,
            Event::Enrolled { token_hash, generation, .. } => {
                self.enrolment = None;
                self.token_hash = Some(*token_hash);
                self.generation = *generation;
                self.suspended = false;
                self.journal.adopting = true;
                self.sync.confirmed = 0;
                self.sync.offered = 0;
                // A box that has just been enrolled has nothing yet.
                self.sync.missing = vec![Missing { since: stamp.at, revision: stamp.revision }].into();
                self.sync.breached = false;
                self.sync.offline = false;
                self.sync.next_sync_s = 0;
                self.sync.contact_due = Some(stamp.at.plus(self.contact_grace()));
                for person in &mut self.people {
                    person.heard = 0;
                    person.code = None;
                    person.badges = Box::default();
                    person.revision = stamp.revision;
                }
                self.forget_verifiers(stamp);
                self.forget_pins(|_| true);
            }
            Event::Unlinked => {
                self.token_hash = None;
                self.suspended = false;
                let sync = &mut self.sync;
                sync.missing = Default::default();
                (sync.breached, sync.offline, sync.contact_due) = (false, false, None);
            }
            Event::Suspended { number, .. } => {
                self.suspended = true;
                self.keep_conflict(*number);
            }
            Event::JournalRestarted { next } => {
                let next = (*next).max(1);
                let known = self.journal.next - self.journal.contents.len() as u64;
                let kept = usize::try_from(next.saturating_sub(known)).unwrap_or(usize::MAX);
                self.journal.contents.truncate(kept);
                self.journal.next = next;
                self.journal.line = self.journal.line.saturating_add(1);
                self.journal.adopting = false;
            }
            Event::Restored { epoch } => {
                self.epoch = *epoch;
                self.sync.confirmed = 0;
                self.sync.offered = 0;
                if self.token_hash.is_some() {
                    self.sync.missing = vec![Missing { since: stamp.at, revision: stamp.revision }].into();
                }
            }
            Event::JournalGap { number, last, .. } => {
                self.journal.next = last.saturating_add(1);
                self.journal.contents.clear();
                // Nobody knows what was done at which bin.
                for index in 0..self.bins.len() {
                    self.doubt_bin(index, stamp);
                }
                self.keep_conflict(Some(*number));
            }
            Event::EntryJudged(judged) => self.apply_entry(judged, stamp),
            Event::LatePickUpMissing { number, bin, fob, .. } => {
                let index = self.bin_index(bin);
                self.late.retain(|late| late.fob != *fob || Some(usize::from(late.bin)) != index);
                self.keep_conflict(Some(*number));
            }
            Event::Synced(synced) => self.apply_synced(synced, stamp),
            Event::Confirmed { revision, .. } => self.confirm(*revision),
            Event::WentOffline => self.sync.offline = true,
            Event::ContactAwaited { due } => self.sync.contact_due = Some(*due),
            Event::GuaranteeBroken { .. } => self.sync.breached = true,
            Event::GuaranteeKeptAgain => self.sync.breached = false,
            Event::BinStateSet { bin, state } => {
                if let Some(index) = self.bin_index(bin) {
                    self.bins[index].state = *state;
                    self.touch(index, stamp);
                    self.miss(stamp);
                }
            }
            Event::BinSized { bin, size } => {
                if let Some(index) = self.bin_index(bin) {
                    self.bins[index].size = size.stated();
                    self.touch(index, stamp);
                    self.miss(stamp);
                }
            }
            Event::BinCorrected { bin, fob, .. } => {
                if let Some(index) = self.bin_index(bin) {
                    self.correct(index, *fob, stamp);
                }
            }
            Event::BinConfirmed { bin } => {
                if let Some(index) = self.bin_index(bin) {
                    self.bins[index].confirmed = true;
                    self.touch(index, stamp);
                    self.miss(stamp);
                }
            }
            Event::KeyAdded { key, bin } => {
                let bin = bin.as_ref().and_then(|label| self.bin_index(label));
                if let Some(index) = bin.filter(|index| self.bins[*index].fob.is_none()) {
                    self.bins[index].fob = key.fob;
                    self.touch(index, stamp);
                }
                self.install(key, bin.map(Self::place_in), stamp.at, stamp);
            }
            Event::KeyChanged { key, name, roaming, groups, size } => {
                if let Some(known) = self.keys.iter_mut().find(|known| known.id == *key) {
                    known.name = name.clone();
                    known.roaming = *roaming;
                    known.groups = groups[..].into();
                    known.size = *size;
                    known.revision = stamp.revision;
                    self.miss(stamp);
                }
            }
            Event::KeyRemoved { key, fob } => {
                self.keys.retain(|known| known.id != *key);
                self.forget_key_code(*key);
                self.forget_key_alerts(*key);
                self.remove(RemovedItem::Key(*key), stamp);
                if let Some((fob, index)) = fob.and_then(|fob| Some((fob, self.bin_of(&fob)?))) {
                    self.hold_unknown(fob, index, stamp.at);
                }
                self.miss(stamp);
            }
            Event::KeyFobSet { key, fob, .. } => self.hang(*key, *fob, stamp),
            Event::AccessGranted(record) => {
                self.grant(*record, stamp);
            }
            Event::AccessRevoked { access, .. } => self.revoke(*access, Some(stamp.at), stamp),
            Event::ConflictResolved { number, taken, person, .. } => {
                match self.conflicts.open.iter().position(|open| open == number) {
                    Some(at) => drop(self.conflicts.open.remove(at)),
                    None => self.conflicts.unlisted = self.conflicts.unlisted.saturating_sub(1),
                }
                if let Some(fob) = taken {
                    if let Some(index) = self.bin_of(fob) {
                        self.bins[index].fob = None;
                        self.bins[index].confirmed = true;
                        self.touch(index, stamp);
                    }
                    self.miss(stamp);
                    self.take_out(*fob, *person, stamp.at);
                }
            }
            Event::KeyDeparted(departure) => {
                let (key, sighting) = (&departure.key, &departure.sighting);
                for access in &departure.accesses {
                    self.revoke(access.id, None, stamp);
                }
                if let Some(index) = self.bin_of(&sighting.fob) {
                    let expected = (!sighting.corrected).then(|| (key.id, key.groups.clone()));
                    self.empty(index, expected, stamp);
                }
                self.keys.retain(|known| known.id != key.id);
                self.forget_key_code(key.id);
                self.forget_key_alerts(key.id);
                self.remove(RemovedItem::Key(key.id), stamp);
                if self.departed.len() == MAX_DEPARTED {
                    self.departed.remove(0);
                }
                let (fob, to, at) = (sighting.fob, sighting.by, Some(stamp.at));
                self.departed.push(Departed { fob, to, key: Some(key.id), at });
                self.miss(stamp);
            }
            Event::KeyArrived(arrival) => {
                self.departed.retain(|departed| Some(departed.fob) != arrival.key.fob);
                self.install(&arrival.key, None, arrival.at, stamp);
                for access in &arrival.accesses {
                    self.grant(*access, stamp);
                }
                if let Some(code) = arrival.code {
                    self.set_key_code(arrival.key.id, Some(code), None, stamp);
                }
                if let Some(own) = arrival.alerts.as_deref() {
                    self.alerts.get_or_insert_default().set_key(arrival.key.id, *own, stamp.revision);
                }
            }
            Event::SightingAnswered { .. }
            | Event::CredentialsAsked { .. }
            | Event::BookingEnded { .. }
            | Event::ExchangeTold(_)
            | Event::KeyCodesExposed
            | Event::KeyCodeTold { .. } => {}
            Event::KeyCodeSet { key, code, verifier } => {
                self.set_key_code(*key, *code, *verifier, stamp);
                self.codes_mut().sealed = stamp.revision;
            }
            Event::KeyCodeVerified { key, verifier } => self.verify_key_code(*key, *verifier, stamp),
            Event::BookingsSet { person, bookings } => self.set_bookings(*person, bookings, stamp),
            Event::SheetRenewed { number } => self.renew_sheet(*number, stamp),
            Event::SheetShown { .. } => self.codes_mut().sheet.shown = Some(stamp.at),
            Event::PassSigned { pass, dropped } => {
                let passes = &mut self.codes_mut().passes;
                passes.retain(|known| known.id != pass.id && !dropped.contains(&known.id));
                passes.push(*pass);
            }
            Event::PassUsed { pass, used, .. } => self.use_pass(*pass, *used),
            Event::CodesExposed { .. } => self.extras_mut().stolen = Some(self.generation),
            Event::Reminded(reminded) => self.note_reminded(reminded),
            Event::PinSet { person, pin } => self.set_pin(*person, *pin, stamp),
            Event::PassLent { pass, loan } => self.lend_pass(*pass, *loan),
            Event::SettingsTaken(settings) => self.take_settings(settings, stamp),
            Event::Online(event) => self.apply_online(event, stamp),
            Event::AlertsSet(_)
            | Event::KeyAlertsSet { .. }
            | Event::AlertRaised(_)
            | Event::AlertEnded { .. }
            | Event::AlertAcknowledged { .. } => self.apply_alert(event, stamp),
            Event::FobReleased { fob } => self.leaving.retain(|leaving| leaving != fob),
            Event::VisitorUnknown { fob, .. } => {
                if let Some(visitor) = self.visitors.iter_mut().find(|visitor| visitor.fob == *fob) {
                    visitor.asked = None;
                    visitor.claimed = true;
                }
                self.leaving.retain(|leaving| leaving != fob);
            }
            Event::VisitorForgotten { fob } => self.visitors.retain(|visitor| visitor.fob != *fob),
            Event::VisitorMovedOn { fob, key } => {
                if let Some(index) = self.bin_of(fob) {
                    self.empty(index, Some((*key, Box::default())), stamp);
                    self.miss(stamp);
                }
                self.visitors.retain(|visitor| visitor.fob != *fob);
            }
            Event::VisitorDoubled { number, fob, bin, .. } => {
                if let Some(visitor) = self.visitors.iter_mut().find(|visitor| visitor.fob == *fob) {
                    visitor.asked = None;
                }
                if let Some(index) = self.bin_index(bin) {
                    self.doubt_bin(index, stamp);
                }
                self.keep_conflict(Some(*number));
            }
            Event::VisitorAskedAgain { fob } => {
                if let Some(visitor) = self.visitors.iter_mut().find(|visitor| visitor.fob == *fob) {
                    visitor.asked = Some(stamp.at);
                }
            }
            Event::CredentialsSet { person, revision, code, badges } => {
                if let Some(known) = self.people.iter_mut().find(|known| known.id == *person) {
                    known.heard = heard_as(*revision);
                    if known.code != *code || known.badges != *badges {
                        known.code = *code;
                        known.badges = badges.clone();
                        known.revision = stamp.revision;
                        self.miss_permission(stamp);
                    }
                }
            }
        }
    }

    fn apply_synced(&mut self, synced: &Synced, stamp: Stamp) {
        self.begin_day(synced.day);
        let sync = &mut self.sync;
        sync.last_contact = Some(stamp.at);
        sync.offline = false;
        sync.skew_ms = synced.skew_ms;
        sync.drained = synced.drained;
        sync.next_sync_s = synced.next_sync_s;
        sync.activity = activity_after(sync.activity, synced.entries);
        sync.offered = stamp.revision;
        if let Some(health) = &synced.health {
            sync.health = (**health).clone();
        }
        if synced.shown < sync.confirmed {
            // It has lost what it had: it is missing everything that this answer gives it.
            let since = sync.missing.first().map_or(stamp.at, |missing| missing.since);
            sync.confirmed = synced.shown;
            sync.missing = vec![Missing { since, revision: stamp.revision }].into();
        } else {
            self.confirm(synced.shown);
        }
        self.sync.contact_due = Some(stamp.at.plus(self.contact_grace()));
        if synced.drained {
            self.journal.adopting = false;
            // Whatever happened before these ended has been told by now.
            let holders = self.holders_watched();
            self.withdrawn.retain(|access| {
                access.ended_within(WITHDRAWN_AT_LEAST, stamp.at)
                    || (holders.contains(&access.person) && access.record().until.is_some())
            });
            self.forget_exchanges(stamp);
        }
    }

    fn confirm(&mut self, revision: u64) {
        self.sync.confirmed = self.sync.confirmed.max(revision);
        self.sync.missing.retain(|missing| missing.revision > revision);
    }

    /// The box did not make this change itself: it is missing it until it has stored this revision.
    pub(super) fn miss(&mut self, stamp: Stamp) {
        if self.token_hash.is_none() {
            return;
        }
        let sync = &mut self.sync;
        let full = sync.missing.len() == MAX_MISSING;
        match sync.missing.last_mut() {
            // Only what it was given in one answer can be told apart.
            Some(last) if full || last.revision > sync.offered => last.revision = stamp.revision,
            _ => sync.missing.push(Missing { since: stamp.at, revision: stamp.revision }),
        }
    }

    /// As `miss`, for what only boxes with offline exchange are told.
    pub(super) fn miss_permission(&mut self, stamp: Stamp) {
        if self.model.exchanges_offline() {
            self.miss(stamp);
        }
    }

    pub(super) fn touch(&mut self, bin: usize, stamp: Stamp) {
        self.bins[bin].revision = stamp.revision;
    }

    /// Two versions of this bin are about: somebody has to look.
    pub(super) fn doubt_bin(&mut self, bin: usize, stamp: Stamp) {
        self.bins[bin].confirmed = false;
        self.touch(bin, stamp);
        self.miss(stamp);
    }

    pub(super) fn place_in(bin: usize) -> Place {
        u16::try_from(bin).map_or(Place::Unknown, Place::Bin)
    }

    /// The oldest stay listed; of those beyond the bound only the number is known, and their rows.
    pub(super) fn keep_conflict(&mut self, number: Option<u64>) {
        let Some(number) = number else { return };
        if number & SERVER_CONFLICT != 0 {
            self.conflicts.numbered = self.conflicts.numbered.saturating_add(1);
        }
        if self.conflicts.open.len() < MAX_OPEN_CONFLICTS {
            self.conflicts.open.push(number);
        } else {
            self.conflicts.unlisted = self.conflicts.unlisted.saturating_add(1);
        }
    }

    fn remove(&mut self, item: RemovedItem, stamp: Stamp) {
        if self.removals.len() == MAX_REMOVALS {
            let forgotten = self.removals.remove(0);
            self.delta_from = self.delta_from.max(forgotten.revision);
        }
        self.removals.push(Removal { revision: stamp.revision, item });
    }

    /// The fob turned out to be elsewhere. Nobody saw it leave: somebody has to look, or its pick-up is still to come.
    fn empty(&mut self, bin: usize, expected: Option<(KeyId, Box<[GroupId]>)>, stamp: Stamp) {
        let Some(fob) = self.bins[bin].fob.take() else { return };
        self.bins[bin].confirmed = false;
        self.touch(bin, stamp);
        if let (Some((key, groups)), Ok(bin)) = (expected, u16::try_from(bin))
            && self.late.len() < MAX_LATE_PICK_UPS
        {
            self.late.push(LatePickUp { bin, fob, key, groups });
        }
    }

    /// A key is at home here from now on. A visitor on its fob says where it is.
    fn install(&mut self, key: &KeyRecord, place: Option<Place>, since: UnixMillis, stamp: Stamp) {
        let visitor = self.visitors.iter().position(|visitor| Some(visitor.fob) == key.fob);
        let visitor = visitor.map(|at| self.visitors.remove(at));
        let key = Key {
            id: key.id,
            fob: key.fob,
            name: key.name.clone(),
            groups: key.groups[..].into(),
            place: place.or(visitor.as_ref().map(|visitor| visitor.place)).unwrap_or(Place::Unknown),
            since: visitor.as_ref().map_or(since, |visitor| visitor.since),
            heard: visitor.map_or(stamp.at, |visitor| visitor.heard),
            roaming: key.roaming,
            revision: stamp.revision,
            size: key.size,
        };
        self.removals.retain(|removal| removal.item != RemovedItem::Key(key.id));
        self.leaving.retain(|leaving| Some(*leaving) != key.fob);
        push_tight(&mut self.keys, key);
        self.miss(stamp);
    }

    fn grant(&mut self, record: AccessRecord, stamp: Stamp) {
        if self.accesses.iter().any(|access| access.id == record.id) {
            return;
        }
        self.removals.retain(|removal| {
            removal.item != RemovedItem::Access(record.id) && removal.item != RemovedItem::Person(record.person)
        });
        let access = Access::new(&record, stamp.revision);
        self.count_reminder(&access, true);
        push_tight(&mut self.accesses, access);
        if self.person(record.person).is_none() {
            let badges = Box::default();
            let person = Person { id: record.person, heard: 0, code: None, badges, revision: stamp.revision };
            push_tight(&mut self.people, person);
        }
        self.miss_permission(stamp);
    }

    /// Entries from before it ended are still judged by it; one that left with its key did not end.
    fn revoke(&mut self, access: AccessId, ended: Option<UnixMillis>, stamp: Stamp) {
        let Some(at) = self.accesses.iter().position(|known| known.id == access) else { return };
        let mut access = self.accesses.remove(at);
        self.count_reminder(&access, false);
        let person = access.person;
        self.forget_access_codes(access.id);
        self.remove(RemovedItem::Access(access.id), stamp);
        self.forget_person(person, stamp);
        self.miss_permission(stamp);
        if self.token_hash.is_some() {
            if let Some(ended) = ended {
                access.end(ended);
            }
            if self.withdrawn.len() == MAX_WITHDRAWN {
                self.withdrawn.remove(0);
            }
            self.withdrawn.push(access);
        }
    }

    /// Once no access needs them.
    fn forget_person(&mut self, person: PersonId, stamp: Stamp) {
        if !self.accesses.iter().any(|access| access.person == person) {
            self.people.retain(|known| known.id != person);
            self.forget_pins(|known| known == person);
            self.remove(RemovedItem::Person(person), stamp);
        }
    }
}
