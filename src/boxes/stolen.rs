//! A box that was stolen: whatever is typed, and could be found out with what it had to check it by, gets a new value.
//! People draw theirs themselves and are told; the codes of keys are drawn here, and the owner is told.

use super::{
    changes::RemovedItem,
    codes::{KeyCodePlain, KeyCodeRecord, KeyCodesPlain},
    command::Command,
    decide::{TYPED, verifier, verifier_key},
    event::Event,
    messages::{BoxMessage, Exposed, PersonMessage},
    state::SmartBox,
    words::Verifier,
};
use crate::{
    kernel::{AccessId, BoxId, Codec, Effects, Incoming, KeyId, MessageTarget, PersonId, VaultField, digits},
    orgs::Mark,
};
use zeroize::Zeroizing;

/// Of a key's code that the server draws.
const DIGITS: usize = 7;

/// New codes of keys, on top of those that were sealed at the revision `base`.
#[derive(Clone, PartialEq)]
pub struct NewKeyCodes {
    pub base: u64,
    pub generation: u32,
    pub codes: Box<[(KeyId, Mark, Verifier)]>,
    /// `KeyCodesPlain`.
    pub plain: Zeroizing<Vec<u8>>,
}

crate::kernel::opaque!(NewKeyCodes);

/// Draws from the chance of this delivery.
pub(super) fn drawn(base: u64, generation: u32, keys: &[KeyId], incoming: &Incoming<'_>) -> Result<Command, String> {
    let mut plain = incoming.secret.map(KeyCodesPlain::decode_from).transpose()?.unwrap_or_default();
    plain.codes.retain(|known| !keys.contains(&known.key));
    let by = verifier_key(incoming.keys, BoxId(incoming.to.entity.raw), generation);
    let mut codes = Vec::with_capacity(keys.len());
    for key in keys {
        let code = digits(&incoming.chance.bytes(), DIGITS);
        codes.push((*key, Mark::of(incoming.keys, TYPED, incoming.to.org, &code), verifier(&by, "key:", &code)));
        plain.codes.push(KeyCodePlain { key: *key, code });
    }
    let plain = Zeroizing::new(plain.to_bytes());
    Ok(Command::ReissueKeyCodes(NewKeyCodes { base, generation, codes: codes.into(), plain }))
}

impl SmartBox {
    /// Once for each enrolment: a second report says nothing new.
    pub(super) fn decide_stolen(&self, events: &mut Vec<Event>) {
        let known = self.extras.as_deref().and_then(|extras| extras.stolen) == Some(self.generation);
        if self.token_hash.is_none() || known {
            return;
        }
        let (people, keys) = (self.exposed_people().len(), self.exposed_keys().len());
        let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
        events.push(Event::CodesExposed { people: count(people), keys: count(keys) });
        if keys > 0 {
            events.push(Event::KeyCodesExposed);
        }
    }

    /// Whose codes it could check, those included whose removal it has not confirmed.
    fn exposed_people(&self) -> Vec<PersonId> {
        if !self.model.exchanges_offline() {
            return Vec::new();
        }
        let unconfirmed = self.removals.iter().filter(|removal| removal.revision > self.sync.confirmed);
        let removed = unconfirmed.filter_map(|removal| match removal.item {
            RemovedItem::Person(person) => Some(person),
            RemovedItem::Key(_) | RemovedItem::Access(_) => None,
        });
        let knows = |person: PersonId| self.codes.iter().any(|codes| codes.bookings.iter().any(|b| b.person == person));
        let own =
            self.people.iter().filter(|person| person.code.is_some() || knows(person.id) || self.knows_pin(person.id));
        let mut people: Vec<_> = own.map(|person| person.id).chain(removed).collect();
        people.sort_unstable();
        people.dedup();
        people
    }

    fn knows_pin(&self, person: PersonId) -> bool {
        let mut pins = self.extras.iter().flat_map(|extras| &extras.pins);
        pins.any(|known| known.person == person && known.verifier.is_some())
    }

    /// Keys whose codes it was told, now or when it was last heard.
    fn exposed_keys(&self) -> Vec<KeyId> {
        let Some(codes) = self.codes.as_deref() else { return Vec::new() };
        let told = codes.settings.key_codes || codes.told > self.sync.confirmed;
        let keys = codes.keys.iter().filter(|known| told && known.code.is_some()).map(|known| known.key);
        keys.filter(|key| self.model.exchanges_offline() && self.key(*key).is_some()).collect()
    }

    pub(super) fn tell_exposed(&self, effects: &mut Effects) {
        for person in self.exposed_people() {
            let bookings = self.codes.iter().flat_map(|codes| &codes.bookings).filter(|known| known.person == person);
            let bookings: Box<[AccessId]> = bookings.map(|known| known.access).collect();
            let exposed = Exposed { at: self.id(), code: true, pin: self.knows_pin(person), bookings };
            let to = MessageTarget::Entity(person.at(self.home.org));
            effects.send(to, &PersonMessage::CodesExposed(exposed));
        }
    }

    pub(super) fn ask_new_key_codes(&self, effects: &mut Effects) {
        let (base, generation) = (self.key_codes_sealed(), self.generation);
        let again = BoxMessage::ReissueKeyCodes { base, generation, keys: self.exposed_keys().into() };
        let own = self.id().at(self.home.org);
        effects.send_with_secret(MessageTarget::Entity(own), &again, own, VaultField::KeyCodes);
    }

    pub(super) fn decide_new_key_codes(&self, new: &NewKeyCodes, events: &mut Vec<Event>) {
        let mut marks: Vec<_> = new.codes.iter().map(|(_, mark, _)| mark.0).collect();
        marks.sort_unstable();
        let twice = marks.windows(2).any(|pair| pair[0] == pair[1]);
        if new.base != self.key_codes_sealed() || new.generation != self.generation || twice {
            // Read before the last change: once more.
            return events.push(Event::KeyCodesExposed);
        }
        let at = self.id();
        for (key, mark, verifier) in new.codes.iter().filter(|(key, ..)| self.key_code(*key).is_some()) {
            let code = Some(KeyCodeRecord { mark: *mark, at });
            events.push(Event::KeyCodeSet { key: *key, code, verifier: Some(*verifier) });
        }
    }
}
