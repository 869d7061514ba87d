//! What a box has, by what it was told; and what it cannot know from its own doing. Independent of the core.

use super::world::START;
use crate::{
    boxes::{
        AccessRecord, BinChange, Changes, Event, KeyChange, Label, Model, OnlineEvent, PassKey, PersonChange,
        RemovedItem, Settings, SmartBox, Verifier,
    },
    kernel::{AccessId, KeyId, PersonId},
};
use std::collections::BTreeMap;

/// What a box has stored: it applies what it is told and nothing else.
#[derive(Default, Clone, Debug, PartialEq)]
pub struct Mirror {
    bins: BTreeMap<Label, BinChange>,
    keys: BTreeMap<KeyId, KeyChange>,
    accesses: BTreeMap<AccessId, AccessRecord>,
    people: BTreeMap<PersonId, PersonChange>,
    key_codes: BTreeMap<KeyId, Verifier>,
    bookings: BTreeMap<AccessId, Verifier>,
    sheet: u32,
    pass_keys: Vec<PassKey>,
    settings: Settings,
    pins: BTreeMap<PersonId, Verifier>,
}

impl Mirror {
    pub fn apply(&mut self, changes: &Changes) {
        if changes.full {
            *self = Self::default();
        }
        for removed in &changes.removed {
            match removed {
                RemovedItem::Key(key) => {
                    self.keys.remove(key);
                    self.key_codes.remove(key);
                }
                RemovedItem::Access(access) => {
                    self.accesses.remove(access);
                    self.bookings.remove(access);
                }
                RemovedItem::Person(person) => {
                    self.people.remove(person);
                    self.pins.remove(person);
                }
            }
        }
        self.bins.extend(changes.bins.iter().map(|bin| (bin.bin, bin.clone())));
        self.keys.extend(changes.keys.iter().map(|key| (key.key, key.clone())));
        self.accesses.extend(changes.accesses.iter().map(|access| (access.id, *access)));
        self.people.extend(changes.people.iter().map(|person| (person.person, person.clone())));
        let Some(codes) = changes.codes.as_deref() else { return };
        for (key, code) in &codes.key_codes {
            match code {
                Some(code) => drop(self.key_codes.insert(*key, *code)),
                None => drop(self.key_codes.remove(key)),
            }
        }
        for (person, pin) in &codes.pins {
            match pin {
                Some(pin) => drop(self.pins.insert(*person, *pin)),
                None => drop(self.pins.remove(person)),
            }
        }
        self.settings = codes.settings.unwrap_or(self.settings);
        self.bookings.extend(codes.bookings.iter().copied());
        self.sheet = codes.sheet.unwrap_or(self.sheet);
        if codes.sheet.is_some() {
            self.pass_keys.clone_from(&codes.pass_keys);
        }
    }
}

/// What a box cannot know from its own doing.
pub fn is_foreign(event: &Event, before: &SmartBox) -> bool {
    let told = before.overview(START, START).model != Model::MS3;
    match event {
        Event::EntryJudged(judged) => !judged.outcome.took_place(),
        Event::Online(online) if matches!(**online, OnlineEvent::SettingsSet(_)) => true,
        Event::Online(_) => event.judged().is_some_and(|judged| !judged.outcome.took_place()),
        Event::BinStateSet { .. }
        | Event::BinSized { .. }
        | Event::BinCorrected { .. }
        | Event::BinConfirmed { .. }
        | Event::KeyAdded { .. }
        | Event::KeyChanged { .. }
        | Event::KeyFobSet { .. }
        | Event::KeyRemoved { .. }
        | Event::KeyDeparted(_)
        | Event::KeyArrived(_)
        | Event::VisitorMovedOn { .. }
        | Event::JournalGap { .. }
        | Event::VisitorDoubled { .. } => true,
        Event::AccessGranted(_) | Event::AccessRevoked { .. } => told,
        Event::ConflictResolved { taken, .. } => taken.is_some(),
        Event::CredentialsSet { person, code, badges, .. } => {
            let known = before.changes_since(0).people.into_iter().find(|known| known.person == *person);
            told && known.is_some_and(|known| known.code != *code || known.badges != *badges)
        }
        // Of key codes it is told only where its organisation wants that.
        Event::KeyCodeSet { .. } | Event::KeyCodeVerified { .. } => told && before.tells_key_codes(),
        Event::BookingsSet { .. } | Event::SettingsTaken(_) | Event::PinSet { .. } => told,
        _ => false,
    }
}
