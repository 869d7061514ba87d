//! Administration: boxes, bins, keys, accesses, conflicts.

use super::{
    access::Access,
    command::{Accept, AccessRecord, Act, Creation, KeyRecord, Refusal, Scope},
    event::{Created, Event, Suspicion},
    rows::{Conflict, KeyTexts},
    state::{Key, MAX_ACCESSES, MAX_BINS, MAX_KEYS, SmartBox},
    words::{BinState, Clash, Fob, Label, Outcome, SecretHash, Size},
};
use crate::kernel::{AccessId, GroupId, KeyId, UnixMillis};

type Decided = Result<(), Refusal>;

impl SmartBox {
    pub(super) fn decide_create(&self, creation: &Creation, events: &mut Vec<Event>) -> Decided {
        if self.exists() {
            return if self.is_as(creation) { Ok(()) } else { Err(Refusal::AlreadyExists) };
        }
        if creation.bins.len() > MAX_BINS {
            return Err(Refusal::LimitReached);
        }
        if (1..creation.bins.len()).any(|at| creation.bins[..at].contains(&creation.bins[at])) {
            return Err(Refusal::AlreadyExists);
        }
        events.push(Event::Created(Box::new(Created {
            name: creation.name.clone(),
            model: creation.model,
            plan: creation.plan,
            location: creation.location.clone(),
            zone: creation.zone.clone(),
            bins: creation.bins.clone(),
        })));
        Ok(())
    }

    fn is_as(&self, creation: &Creation) -> bool {
        self.name == creation.name
            && self.model == creation.model
            && self.location == creation.location
            && self.zone == creation.zone
            && self.bins.iter().map(|bin| &bin.label).eq(creation.bins.iter())
    }

    pub(super) fn decide_describe(
        &self,
        name: Option<&str>,
        location: Option<&str>,
        zone: Option<&str>,
        events: &mut Vec<Event>,
    ) {
        let name = name.unwrap_or(&self.name);
        let location = location.unwrap_or(&self.location);
        let zone = zone.unwrap_or(&self.zone);
        if (name, location, zone) != (&*self.name, &*self.location, &*self.zone) {
            events.push(Event::Described { name: name.into(), location: location.into(), zone: zone.into() });
        }
    }

    /// A newer code replaces the one before it. A stolen box is shut out at once.
    pub(super) fn decide_enrolment_code(
        &self,
        code_hash: SecretHash,
        expires: UnixMillis,
        stolen: bool,
        events: &mut Vec<Event>,
    ) {
        match &self.enrolment {
            Some(code) if code.hash.matches(&code_hash) => return,
            Some(code) => events.push(Event::EnrolmentCodeDropped { code_hash: code.hash }),
            None => {}
        }
        events.push(Event::EnrolmentCodeMade { code_hash, expires });
        if stolen {
            self.decide_stolen(events);
        }
        if stolen && self.token_hash.is_some() && !self.suspended {
            events.push(Event::Suspended { why: Suspicion::Stolen, entry: None, number: None });
        }
    }

    pub(super) fn decide_unlink(&self, events: &mut Vec<Event>) {
        events.extend(self.enrolment.iter().map(|code| Event::EnrolmentCodeDropped { code_hash: code.hash }));
        if self.token_hash.is_some() {
            self.orders_of_a_cabinet_that_goes(events);
            events.push(Event::Unlinked);
        }
    }

    pub(super) fn decide_bin(
        &self,
        bin: Label,
        state: Option<BinState>,
        size: Option<Size>,
        events: &mut Vec<Event>,
    ) -> Decided {
        let known = &self.bins[self.bin_index(&bin).ok_or(Refusal::BinNotFound)?];
        if let Some(state) = state.filter(|state| *state != known.state) {
            events.push(Event::BinStateSet { bin, state });
        }
        if let Some(size) = size.filter(|size| *size != known.size.unwrap_or_default()) {
            events.push(Event::BinSized { bin, size });
        }
        Ok(())
    }

    pub(super) fn decide_correct(
        &self,
        bin: Label,
        fob: Option<Fob>,
        key: Option<KeyId>,
        events: &mut Vec<Event>,
    ) -> Decided {
        let index = self.bin_index(&bin).ok_or(Refusal::BinNotFound)?;
        if let (Some(fob), Some(key)) = (fob, key) {
            self.decide_fob(key, fob, events)?;
        }
        let known = &self.bins[index];
        if known.fob != fob || !known.confirmed {
            let key = key.or(fob.as_ref().and_then(|fob| self.key_on(fob)).map(|key| key.id));
            events.push(Event::BinCorrected { bin, fob, key });
        }
        Ok(())
    }

    pub(super) fn decide_confirm_bin(&self, bin: Label, events: &mut Vec<Event>) -> Decided {
        let index = self.bin_index(&bin).ok_or(Refusal::BinNotFound)?;
        if !self.bins[index].confirmed {
            events.push(Event::BinConfirmed { bin });
        }
        Ok(())
    }

    pub(super) fn decide_add_key(&self, key: &KeyRecord, bin: Option<Label>, events: &mut Vec<Event>) -> Decided {
        if let Some(known) = self.key(key.id) {
            return if known.record() == *key { Ok(()) } else { Err(Refusal::AlreadyExists) };
        }
        let index = match &bin {
            Some(label) => Some(self.bin_index(label).ok_or(Refusal::BinNotFound)?),
            None => None,
        };
        if let Some(fob) = &key.fob {
            if self.key_on(fob).is_some() {
                return Err(Refusal::FobTaken);
            }
            if index.is_some_and(|index| self.bins[index].fob.is_some_and(|there| there != *fob)) {
                return Err(Refusal::BinOccupied);
            }
            if index.is_some() && self.bin_of(fob).is_some_and(|there| Some(there) != index) {
                return Err(Refusal::FobInOtherBin);
            }
        }
        if self.keys.len() >= MAX_KEYS {
            return Err(Refusal::LimitReached);
        }
        // Without a fob it is in no bin.
        let bin = bin.filter(|_| key.fob.is_some());
        events.push(Event::KeyAdded { key: key.clone(), bin });
        Ok(())
    }

    /// Its own accesses end with it. Its fob stays in the bin, unknown.
    pub(super) fn decide_remove_key(&self, key: KeyId, events: &mut Vec<Event>) -> Decided {
        let known = self.key(key).ok_or(Refusal::KeyNotFound)?;
        let own = self.accesses.iter().filter(|access| access.scope() == Scope::Key(key));
        for access in own {
            self.end_access(access, events);
        }
        events.push(Event::KeyRemoved { key, fob: known.fob });
        Ok(())
    }

    pub(super) fn decide_grant(&self, accesses: &[AccessRecord], events: &mut Vec<Event>) -> Decided {
        let first = events.len();
        for record in accesses {
            if !self.knows(record.scope) {
                events.truncate(first);
                return Err(Refusal::KeyNotFound);
            }
            let granted = events[first..].iter().find_map(|event| match event {
                Event::AccessGranted(granted) if granted.id == record.id => Some(granted),
                _ => None,
            });
            let known = self.accesses.iter().find(|known| known.id == record.id).map(Access::record);
            match known.or(granted.copied()) {
                Some(known) if known == *record => {}
                Some(_) => {
                    events.truncate(first);
                    return Err(Refusal::AlreadyExists);
                }
                None => events.push(Event::AccessGranted(*record)),
            }
        }
        let new = events.len() - first;
        // Keys bring theirs with them, so that there may be more already.
        if new > 0 && self.accesses.len() + new > MAX_ACCESSES {
            events.truncate(first);
            return Err(Refusal::LimitReached);
        }
        Ok(())
    }

    pub(super) fn decide_revoke(&self, access: AccessId, events: &mut Vec<Event>) -> Decided {
        let known = self.accesses.iter().find(|known| known.id == access).ok_or(Refusal::AccessNotFound)?;
        self.end_access(known, events);
        Ok(())
    }

    pub(super) fn decide_resolve(&self, conflict: &Conflict, accept: Accept, events: &mut Vec<Event>) -> Decided {
        if !self.is_open(conflict) {
            return Err(Refusal::ConflictNotFound);
        }
        let (number, box_says) = (conflict.number, &conflict.box_says);
        if accept == Accept::ByHand {
            events.push(Event::ConflictResolved { number, accept, taken: None, person: None });
            return Ok(());
        }
        let (Some(act), Some(bin)) = (box_says.act, box_says.bin) else { return Err(Refusal::CannotAccept) };
        let index = self.bin_index(&bin).ok_or(Refusal::CannotAccept)?;
        // A missing pick-up: the box's version is that the fob still lies there.
        let missing = conflict.outcome == Outcome::Ignored(Clash::LatePickUpMissing);
        match act {
            Act::PickUp(fob) if !missing => {
                events.push(Event::ConflictResolved { number, accept, taken: Some(fob), person: box_says.person });
                let known = &self.bins[index];
                if !known.confirmed && known.fob.is_none_or(|there| there == fob) {
                    events.push(Event::BinConfirmed { bin });
                }
            }
            Act::PickUp(fob) | Act::DropOff(fob) => {
                events.push(Event::ConflictResolved { number, accept, taken: None, person: None });
                self.decide_correct(bin, Some(fob), None, events)?;
            }
            Act::Opened | Act::OpenedAll => return Err(Refusal::CannotAccept),
        }
        Ok(())
    }
}

impl Key {
    pub(super) fn decide_change(
        &self,
        name: Option<&str>,
        roaming: Option<bool>,
        groups: Option<&[GroupId]>,
        size: Option<Size>,
        texts: Option<&KeyTexts>,
        events: &mut Vec<Event>,
    ) {
        let name = name.unwrap_or(&self.name);
        let roaming = roaming.unwrap_or(self.roaming);
        let groups = groups.unwrap_or(&self.groups);
        let size = size.map_or(self.size, Size::stated);
        if (name, roaming, groups, size) != (&*self.name, self.roaming, &*self.groups, self.size) || texts.is_some() {
            let (key, name, groups) = (self.id, name.into(), groups.into());
            events.push(Event::KeyChanged { key, name, roaming, groups, size });
        }
    }
}
