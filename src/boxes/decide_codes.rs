//! Key codes, booking codes, signed passes, sheets of offline codes and what an organisation has chosen of them: what is
//! decided, and which digits are taken.

use super::{
    access::Access,
    codes::{Booking, KeyCodeRecord, MAX_PASSES, OfflineSettings, Pass, PassUse, WHOLE_BOX},
    command::{AccessRecord, Command, Refusal, Scope},
    event::{Event, Judged},
    evolve::heard_as,
    messages::BoxMessage,
    state::SmartBox,
    words::Verifier,
};
use crate::{
    kernel::{AccessId, ClaimOp, ClaimSpace, Effects, KeyId, PassId, PersonId, UnixMillis},
    orgs::Mark,
};
use std::time::Duration;

/// A pass is kept in mind so long after it is over: a journal that comes late may tell of it.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);

/// A pass to be signed.
pub(super) struct Wanted {
    pub pass: PassId,
    pub access: Option<AccessId>,
    pub hours: u16,
    pub key: u32,
    /// The access, where it is in another box by now.
    pub moved: Option<AccessRecord>,
}

impl SmartBox {
    pub(super) fn booking(&self, access: AccessId) -> Option<&Booking> {
        self.codes.as_deref()?.bookings.iter().find(|booking| booking.access == access)
    }

    pub(super) fn end_access(&self, access: &Access, events: &mut Vec<Event>) {
        if self.booking(access.id).is_some() {
            events.push(Event::BookingEnded { access: access.id, person: access.person });
        }
        events.push(access.revoked());
    }

    pub(super) fn decide_key_code(
        &self,
        key: KeyId,
        mark: Option<Mark>,
        verifier: Option<Verifier>,
        base: u64,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        if self.key(key).is_none() {
            return Err(Refusal::KeyNotFound);
        }
        let known = self.key_code(key).and_then(|known| known.code);
        if known.map(|known| known.mark) == mark {
            return Ok(());
        }
        if base != self.key_codes_sealed() {
            return Err(Refusal::ChangedMeanwhile);
        }
        let theirs = |other: &Mark| {
            self.codes
                .as_deref()
                .is_some_and(|codes| codes.keys.iter().any(|known| known.code.is_some_and(|code| code.mark == *other)))
        };
        if mark.as_ref().is_some_and(theirs) {
            return Err(Refusal::CodeTaken);
        }
        let code = mark.map(|mark| KeyCodeRecord { mark, at: self.id() });
        events.push(Event::KeyCodeSet { key, code, verifier: verifier.filter(|_| code.is_some()) });
        Ok(())
    }

    /// What a new sealing of key codes has to be merged with.
    pub fn key_codes_sealed(&self) -> u64 {
        self.codes.as_deref().map_or(0, |codes| codes.sealed)
    }

    pub(super) fn decide_key_code_given(
        &self,
        key: KeyId,
        mark: Mark,
        verifier: Verifier,
        generation: u32,
        events: &mut Vec<Event>,
    ) {
        let waits = self
            .key_code(key)
            .is_some_and(|known| known.verifier.is_none() && known.code.is_some_and(|code| code.mark == mark));
        if waits && generation == self.generation {
            events.push(Event::KeyCodeVerified { key, verifier });
        }
    }

    pub(super) fn decide_bookings(
        &self,
        person: PersonId,
        revision: u64,
        generation: u32,
        given: &[(AccessId, Verifier)],
        events: &mut Vec<Event>,
    ) {
        let news = self.person(person).is_some_and(|known| known.heard < heard_as(revision));
        if !news || generation != self.generation {
            return;
        }
        let here = |access: AccessId| self.accesses.iter().any(|own| own.id == access && own.person == person);
        let bookings: Box<[_]> = given.iter().filter(|(access, _)| here(*access)).copied().collect();
        let own = self.codes.as_deref().map(|codes| codes.bookings.iter().filter(|known| known.person == person));
        let own: Vec<_> = own.into_iter().flatten().map(|known| (known.access, known.verifier)).collect();
        let same = own.len() == bookings.len() && own.iter().all(|known| bookings.contains(known));
        if !same {
            events.push(Event::BookingsSet { person, bookings });
        }
    }

    pub(super) fn decide_settings(&self, settings: &OfflineSettings, events: &mut Vec<Event>) {
        if settings.revision > self.settings_revision() {
            events.push(Event::SettingsTaken(settings.clone()));
        }
    }

    pub(super) fn decide_sheet(
        &self,
        number: u32,
        renew: bool,
        generation: u32,
        codes: usize,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        if self.generation == 0 {
            return Err(Refusal::NotEnrolled);
        }
        if number != self.sheet_number() + u32::from(renew) || generation != self.generation {
            return Err(Refusal::ChangedMeanwhile);
        }
        if renew {
            events.push(Event::SheetRenewed { number });
        }
        events.push(Event::SheetShown { number, codes: u32::try_from(codes).unwrap_or(u32::MAX) });
        Ok(())
    }

    pub fn sheet_number(&self) -> u32 {
        self.codes.as_deref().map_or(0, |codes| codes.sheet.number)
    }

    /// The counter that comes next in a list of the sheet in force.
    pub fn next_counter(&self, list: u16) -> u32 {
        self.codes.as_deref().map_or(0, |codes| codes.sheet.next(list))
    }

    pub(super) fn decide_pass(
        &self,
        wanted: &Wanted,
        renew: bool,
        now: UnixMillis,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        let known = self.signed_pass(wanted.pass).copied();
        let access = match (known, renew) {
            (Some(known), false) if Some(known.access) == wanted.access => return Ok(()),
            (Some(_), false) => return Err(Refusal::AlreadyExists),
            (None, true) => return Err(Refusal::PassNotFound),
            (Some(known), true) => known.access,
            (None, false) => wanted.access.ok_or(Refusal::AccessNotFound)?,
        };
        if known.is_some_and(|known| known.used.is_some()) {
            return Err(Refusal::PassUsed);
        }
        let own = self.accesses.iter().find(|own| own.id == access).map(Access::record);
        let moved = wanted.moved.filter(|moved| renew && moved.id == access);
        let access = own.or(moved).ok_or(Refusal::AccessNotFound)?;
        let from = access.from.unwrap_or(now).max(now);
        let end = now.plus(Duration::from_secs(3600 * u64::from(wanted.hours)));
        let until = access.until.map_or(end, |over| over.min(end));
        if until <= from {
            return Err(Refusal::AccessOver);
        }
        let passes = self.codes.as_deref().map(|codes| &codes.passes[..]).unwrap_or_default();
        let over = |pass: &&Pass| pass.id != wanted.pass && pass.until.plus(REMEMBERED) <= now;
        let dropped: Box<[_]> = passes.iter().filter(over).map(|pass| pass.id).collect();
        if known.is_none() && passes.len() - dropped.len() >= MAX_PASSES {
            return Err(Refusal::TooManyPasses);
        }
        let (id, person) = (wanted.pass, access.person);
        let (key, lent) = (wanted.key, known.and_then(|known| known.lent));
        let opens = match access.scope {
            Scope::Key(key) => Some(key),
            Scope::Group(_) | Scope::Box => None,
        };
        let pass = Pass { id, access: access.id, person, from, until, signed: now, key, used: None, lent, opens };
        events.push(Event::PassSigned { pass, dropped });
        Ok(())
    }

    pub(super) fn pass_used(&self, pass: PassId, used: PassUse) -> Option<Event> {
        let before = self.signed_pass(pass)?.used;
        (before != Some(used)).then_some(Event::PassUsed { pass, used, before })
    }

    /// A bin that was opened by a pass was opened, though what was done there does not fit what is known.
    pub(super) fn used_in_vain(&self, judged: &Judged) -> Option<Event> {
        let pass = judged.opened_by().filter(|_| !judged.outcome.took_place())?;
        self.pass_used(pass, PassUse { at: self.id(), seq: judged.seq })
    }

    /// Whether an offline code was used before, or stands on an older sheet.
    pub(super) fn is_stale_code(&self, list: Option<usize>, sheet: u32, counter: u32) -> bool {
        let list = list.map_or(Some(WHOLE_BOX), |list| u16::try_from(list).ok()).unwrap_or(WHOLE_BOX);
        sheet != self.sheet_number() || counter < self.next_counter(list)
    }

    /// Whatever is typed at a keypad stands in one space: no digits mean two things in an organisation.
    pub(super) fn code_claims(&self, command: &Command, events: &[Event], claims: &mut Vec<ClaimOp>) {
        let space = ClaimSpace::AccessCode;
        let value = |code: &KeyCodeRecord| code.mark.0.to_vec();
        let known = |key: KeyId| self.key_code(key).and_then(|known| known.code);
        for event in events {
            match event {
                Event::KeyCodeSet { key, code, .. } => {
                    claims.extend(known(*key).map(|old| ClaimOp::Release { space, value: value(&old) }));
                    // Of what this box holds itself, none is this key's: it stands on its sheet, or its key is leaving.
                    claims.extend(code.map(|code| ClaimOp::TakeFree { space, value: value(&code) }));
                }
                Event::KeyRemoved { key, .. } => {
                    claims.extend(known(*key).map(|old| ClaimOp::Release { space, value: value(&old) }));
                }
                Event::KeyArrived(arrival) => {
                    let from = arrival.from.at(self.home.org);
                    claims.extend(arrival.code.map(|code| ClaimOp::Inherit { space, value: value(&code), from }));
                }
                // What once stood on a sheet never becomes anybody's: the sheet may hang somewhere still.
                Event::SheetShown { .. } => {
                    if let Command::ShowSheet { marks, .. } = command {
                        claims.extend(marks.iter().map(|mark| ClaimOp::Take { space, value: mark.0.to_vec() }));
                    }
                }
                Event::PassSigned { pass, dropped } => {
                    let space = ClaimSpace::Pass;
                    claims.push(ClaimOp::Take { space, value: pass.id.to_bytes().to_vec() });
                    let value = |id: &PassId| id.to_bytes().to_vec();
                    claims.extend(dropped.iter().map(|id| ClaimOp::Release { space, value: value(id) }));
                }
                _ => {}
            }
        }
    }

    /// Asks whoever has sealed them for the codes whose verifiers are missing.
    pub(super) fn ask_key_codes(&self, effects: &mut Effects) {
        let Some(codes) = self.codes.as_deref().filter(|_| self.generation > 0) else { return };
        for known in codes.keys.iter().filter(|known| known.verifier.is_none()) {
            if let Some(code) = known.code {
                let wanted = BoxMessage::KeyCodeWanted { key: known.key, to: self.id(), generation: self.generation };
                self.tell(code.at, &wanted, effects);
            }
        }
    }
}
