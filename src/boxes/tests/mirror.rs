//! What a box has, by what it was told; and what it cannot know from its own doing. Independent of the core.

use super::world::START;
use crate::{
    boxes::{AccessRecord, BinChange, Changes, Event, KeyChange, Label, Model, PersonChange, RemovedItem, SmartBox},
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
}

impl Mirror {
    pub fn apply(&mut self, changes: &Changes) {
        if changes.full {
            *self = Self::default();
        }
        for removed in &changes.removed {
            match removed {
                RemovedItem::Key(key) => drop(self.keys.remove(key)),
                RemovedItem::Access(access) => drop(self.accesses.remove(access)),
                RemovedItem::Person(person) => drop(self.people.remove(person)),
            }
        }
        self.bins.extend(changes.bins.iter().map(|bin| (bin.bin, bin.clone())));
        self.keys.extend(changes.keys.iter().map(|key| (key.key, key.clone())));
        self.accesses.extend(changes.accesses.iter().map(|access| (access.id, *access)));
        self.people.extend(changes.people.iter().map(|person| (person.person, person.clone())));
    }
}

/// What a box cannot know from its own doing.
pub fn is_foreign(event: &Event, before: &SmartBox) -> bool {
    let told = before.overview(START, START).model != Model::MS3;
    match event {
        Event::EntryJudged(judged) => !judged.outcome.took_place(),
        Event::Online(_) => event.judged().is_some_and(|judged| !judged.outcome.took_place()),
        Event::BinStateSet { .. }
        | Event::BinCorrected { .. }
        | Event::BinConfirmed { .. }
        | Event::KeyAdded { .. }
        | Event::KeyChanged { .. }
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
        _ => false,
    }
}
