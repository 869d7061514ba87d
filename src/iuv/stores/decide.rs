//! What would happen to a store.

use super::{
    evolve,
    state::{
        ACADEMIC_STATUSES, CALLERS_MAX, CLASSES_MAX, Command, DEFAULT_GROUPS, Event, GroupClass, Key, Known,
        MAILS_APART, MEMBERS_MAX, NamedGroup, Refusal, Sealed, Settings, Trouble, VERIFICATIONS_MAX, Verification,
    },
};
use crate::{
    iuv::words::{VerificationKind, VerificationState},
    kernel::UnixMillis,
    orgs::{Mark, Network},
};
use std::time::Duration;

type Decided = Result<(), Refusal>;

/// The class that every store begins with.
pub(super) fn first_class() -> GroupClass {
    let group = |code: &str| NamedGroup { code: code.into(), name: code.into() };
    GroupClass { code: ACADEMIC_STATUSES.into(), groups: DEFAULT_GROUPS.into_iter().map(group).collect() }
}

/// One command to a store that is there.
pub(super) fn decide(known: &Known, command: &Command, now: UnixMillis, events: &mut Vec<Event>) -> Decided {
    match command {
        // A repeated request; another one was refused before.
        Command::Create(_) => Ok(()),
        Command::Change { system_name, name, language, academic } => {
            let mut description = known.description.clone();
            description.system_name = system_name.clone().unwrap_or(description.system_name);
            description.name = name.clone().unwrap_or(description.name);
            description.language = language.unwrap_or(description.language);
            description.academic = academic.unwrap_or(description.academic);
            if description != known.description {
                events.push(Event::Changed(description));
            }
            Ok(())
        }
        Command::Define(class) => known.define(class, events),
        Command::RemoveClass { code } => {
            known.class(code).ok_or(Refusal::NoSuchPart)?;
            events.push(Event::ClassRemoved { code: code.clone() });
            Ok(())
        }
        Command::DefineMember(member) => {
            let before = known.members.iter().find(|other| other.code == member.code);
            if before.is_none() && known.members.len() >= MEMBERS_MAX {
                return Err(Refusal::Full);
            }
            if before != Some(member) {
                events.push(Event::MemberDefined(member.clone()));
            }
            Ok(())
        }
        Command::RemoveMember { code } => {
            known.members.iter().find(|member| member.code == *code).ok_or(Refusal::NoSuchPart)?;
            events.push(Event::MemberRemoved { code: code.clone() });
            Ok(())
        }
        Command::AddVerification { kind } => known.add(*kind, events),
        Command::SetState { verification, state } => known.set_state(known.part(*verification)?, *state, events),
        Command::RemoveVerification { verification, sealed } => {
            known.part(*verification)?;
            known.check_sealed(sealed)?;
            events.push(Event::VerificationRemoved { verification: *verification });
            Ok(())
        }
        Command::Set { verification, settings, administrators } => {
            let verification = known.part(*verification)?;
            let wanted = administrators.as_ref().map(|(count, sealed)| (*count, Some(sealed)));
            known.set(verification, settings, wanted, events)
        }
        Command::Allow { verification, network } => known.allow(known.part(*verification)?, *network, events),
        Command::SaveKey { verification, mark, is_short, overlap, sealed } => {
            let verification = known.part(*verification)?;
            known.check_sealed(sealed)?;
            known.save_key(verification, *mark, *is_short, *overlap, now, events)
        }
        Command::ShowKey { verification } => {
            let verification = known.part(*verification)?;
            verification.key.ok_or(Refusal::HasNoKey)?;
            events.push(Event::KeyShown { verification: verification.number });
            Ok(())
        }
        Command::Refused { troubles, callers } => {
            if !troubles.is_empty() || !callers.is_empty() {
                events.push(Event::Refused { troubles: troubles.clone(), callers: callers.clone() });
                known.tell(troubles, now, events);
            }
            Ok(())
        }
        Command::Exposed { verification, key } => {
            let known = known.verification(*verification);
            let of = known.and_then(|known| known.keys().find(|known| known.number == *key));
            if of.is_some_and(|of| !of.exposed) {
                events.push(Event::KeyExposed { verification: *verification, key: *key });
            }
            Ok(())
        }
        Command::Tick => {
            known.end_overlaps(now, events);
            known.tell(&[], now, events);
            Ok(())
        }
    }
}

impl Verification {
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.key.into_iter().chain(self.previous.map(|old| old.key))
    }
}

impl Known {
    fn part(&self, number: u32) -> Result<&Verification, Refusal> {
        self.verification(number).ok_or(Refusal::NoSuchPart)
    }

    pub fn class(&self, code: &str) -> Option<&GroupClass> {
        self.classes.iter().find(|class| class.code.eq_ignore_ascii_case(code))
    }

    /// Mails about what has gathered and what comes just now, unless the last mail was a moment ago.
    fn tell(&self, just_now: &[Trouble], now: UnixMillis, events: &mut Vec<Event>) {
        let mut troubles = self.untold.clone();
        evolve::add(&mut troubles, just_now);
        if !troubles.is_empty() && self.told.is_none_or(|told| now >= told.plus(MAILS_APART)) {
            events.push(Event::Told { troubles });
        }
    }

    fn check_sealed(&self, sealed: &Sealed) -> Decided {
        if sealed.from == self.secrets { Ok(()) } else { Err(Refusal::ChangedMeanwhile) }
    }

    fn define(&self, class: &GroupClass, events: &mut Vec<Event>) -> Decided {
        let before = self.class(&class.code);
        if before.is_none() && self.classes.len() >= CLASSES_MAX {
            return Err(Refusal::Full);
        }
        if before != Some(class) {
            events.push(Event::Defined(class.clone()));
        }
        Ok(())
    }

    fn add(&self, kind: VerificationKind, events: &mut Vec<Event>) -> Decided {
        if !kind.is_single_sign_on() && self.verifications.iter().any(|known| known.kind == kind) {
            return Err(Refusal::KindTaken);
        }
        if self.verifications.len() >= VERIFICATIONS_MAX {
            return Err(Refusal::Full);
        }
        let verification = self.verifications_made + 1;
        self.make_room(verification, kind, VerificationState::Test, events);
        events.push(Event::VerificationAdded { verification, kind, state: VerificationState::Test });
        Ok(())
    }

    /// Of single sign-ons one at most is active and one in test: whichever was there gives way.
    fn make_room(&self, for_: u32, kind: VerificationKind, state: VerificationState, events: &mut Vec<Event>) {
        if !kind.is_single_sign_on() || state == VerificationState::Inactive {
            return;
        }
        let in_the_way =
            |known: &&Verification| known.number != for_ && known.kind.is_single_sign_on() && known.state == state;
        events.extend(
            self.verifications
                .iter()
                .filter(in_the_way)
                .map(|known| Event::StateSet { verification: known.number, state: VerificationState::Inactive }),
        );
    }

    fn set_state(&self, of: &Verification, state: VerificationState, events: &mut Vec<Event>) -> Decided {
        if of.state == state {
            return Ok(());
        }
        if state == VerificationState::Active && !of.is_ready() {
            return Err(Refusal::NotReady);
        }
        self.make_room(of.number, of.kind, state, events);
        events.push(Event::StateSet { verification: of.number, state });
        Ok(())
    }

    fn set(
        &self,
        of: &Verification,
        settings: &Settings,
        administrators: Option<(u8, Option<&Sealed>)>,
        events: &mut Vec<Event>,
    ) -> Decided {
        if let Some((_, Some(sealed))) = administrators {
            self.check_sealed(sealed)?;
        }
        if settings.callers.is_empty() && of.keys().any(|key| key.is_short) {
            return Err(Refusal::KeyTooShort);
        }
        let count = administrators.map_or(of.administrators, |(count, _)| count);
        let then = Verification { settings: settings.clone(), administrators: count, ..of.clone() };
        if of.state == VerificationState::Active && !then.is_ready() {
            return Err(Refusal::NotReady);
        }
        if *settings != of.settings {
            events.push(Event::SettingsSet { verification: of.number, settings: settings.clone() });
        }
        if administrators.is_some() {
            events.push(Event::AdministratorsSet { verification: of.number, count });
        }
        Ok(())
    }

    fn allow(&self, of: &Verification, network: Network, events: &mut Vec<Event>) -> Decided {
        if of.settings.callers.contains(&network) {
            return Ok(());
        }
        if of.settings.callers.len() >= CALLERS_MAX {
            return Err(Refusal::Full);
        }
        let mut settings = of.settings.clone();
        settings.callers.push(network);
        events.push(Event::SettingsSet { verification: of.number, settings });
        Ok(())
    }

    fn save_key(
        &self,
        of: &Verification,
        mark: Mark,
        is_short: bool,
        overlap: Duration,
        now: UnixMillis,
        events: &mut Vec<Event>,
    ) -> Decided {
        if of.kind != VerificationKind::Iuv {
            return Err(Refusal::HasNoKey);
        }
        let others = self.verifications.iter().filter(|other| other.number != of.number);
        if others.flat_map(Verification::keys).any(|key| key.mark == mark) {
            return Err(Refusal::KeyTaken);
        }
        if is_short && of.settings.callers.is_empty() {
            return Err(Refusal::KeyTooShort);
        }
        if of.key.is_some_and(|key| key.mark == mark) {
            return Ok(());
        }
        let overlap_until = of.key.filter(|_| !overlap.is_zero()).map(|_| now.plus(overlap));
        let key = Key { number: self.keys_made + 1, mark, is_short, exposed: false };
        events.push(Event::KeySaved { verification: of.number, key, overlap_until });
        Ok(())
    }

    fn end_overlaps(&self, now: UnixMillis, events: &mut Vec<Event>) {
        let over = self.verifications.iter().filter(|known| known.previous.is_some_and(|old| old.until <= now));
        events.extend(over.map(|known| Event::OverlapEnded { verification: known.number }));
    }
}

impl Verification {
    /// Whether it has what it takes to let anybody in.
    pub fn is_ready(&self) -> bool {
        let url = self.settings.external_url.is_some();
        match self.kind {
            VerificationKind::Iuv => url && self.key.is_some() && self.administrators > 0,
            VerificationKind::Shibboleth => !self.settings.callers.is_empty(),
            VerificationKind::UserImport => true,
            VerificationKind::EmailDomain => !self.settings.domains.is_empty(),
        }
    }
}
