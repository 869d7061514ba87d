//! What a box is told: the latest state of each item that changed since its cursor, or everything.

use super::{
    access::Access,
    changes::{BinChange, Changes, CodeChanges, KeyChange, PersonChange},
    codes::Codes,
    state::SmartBox,
};

impl SmartBox {
    /// Changes after the state of this revision; 0: the box has no state of ours.
    pub fn changes_since(&self, revision: u64) -> Changes {
        let told = self.model.exchanges_offline();
        let (accesses, people) = if told { (&*self.accesses, &*self.people) } else { (&[][..], &[][..]) };
        let changed = self.bins.iter().filter(|bin| bin.revision > revision).count()
            + self.keys.iter().filter(|key| key.revision > revision).count()
            + accesses.iter().filter(|access| access.revision() > revision).count()
            + people.iter().filter(|person| person.revision > revision).count()
            + self.removals.iter().filter(|removal| removal.revision > revision).count();
        let all = self.bins.len() + self.keys.len() + accesses.len() + people.len();
        let full = revision == 0 || revision < self.delta_from || changed > all;
        let since = if full { 0 } else { revision };
        let mut changes = Changes { full, ..Changes::default() };
        let bins = self.bins.iter().filter(|bin| bin.revision > since);
        changes.bins.extend(bins.map(|bin| BinChange {
            bin: bin.label,
            state: bin.state,
            fob: bin.fob,
            confirmed: bin.confirmed,
            size: bin.size,
        }));
        let keys = self.keys.iter().filter(|key| key.revision > since);
        // A key without a fob is nothing that a box could know by looking.
        changes.keys.extend(keys.filter_map(|key| {
            Some(KeyChange {
                key: key.id,
                fob: key.fob?,
                roaming: key.roaming,
                groups: key.groups[..].into(),
                size: key.size,
            })
        }));
        let accesses = accesses.iter().filter(|access| access.revision() > since);
        changes.accesses.extend(accesses.map(Access::record));
        let people = people.iter().filter(|person| person.revision > since);
        changes.people.extend(people.map(|person| PersonChange {
            person: person.id,
            code: person.code,
            badges: person.badges.clone(),
        }));
        if !full {
            let removed = self.removals.iter().filter(|removal| removal.revision > since);
            changes.removed.extend(removed.map(|removal| removal.item));
        }
        changes.codes = self.rare_changes(since);
        changes
    }

    /// Of the few boxes that have any of it.
    fn rare_changes(&self, since: u64) -> Option<Box<CodeChanges>> {
        if self.codes.is_none() && self.online.is_none() && self.extras.is_none() {
            return None;
        }
        let mut changes = CodeChanges::default();
        if let Some(codes) = &self.codes {
            self.code_changes(codes, since, &mut changes);
        }
        changes.settings = self.online.as_ref().filter(|online| online.set_at > since).map(|online| online.settings);
        let pins = self.extras.iter().flat_map(|extras| &extras.pins).filter(|known| known.revision > since);
        changes.pins.extend(pins.map(|known| (known.person, known.verifier)));
        (changes != CodeChanges::default()).then(|| Box::new(changes))
    }

    /// Key codes only if the organisation wants them offline; codes without a verifier are on their way.
    fn code_changes(&self, codes: &Codes, since: u64, changes: &mut CodeChanges) {
        if codes.told > since {
            changes.sheet = Some(codes.sheet.number);
            changes.pass_keys.clone_from(&codes.settings.pass_keys);
        }
        if self.model.exchanges_offline() {
            let keys = codes.keys.iter().filter(|known| codes.settings.key_codes && known.revision > since);
            changes.key_codes.extend(keys.map(|known| (known.key, known.verifier)));
            let bookings = codes.bookings.iter().filter(|known| known.revision > since);
            changes.bookings.extend(bookings.map(|known| (known.access, known.verifier)));
        }
    }
}
