//! The fob that a key hangs on: given when the key is made or later, learned at its first drop-off, replaced. A fob is
//! one key's, and one that any key has is never handed to another (ADR 0033).

use super::{
    codes::KeyCodeRecord,
    command::Refusal,
    event::Event,
    state::{Key, Place, SmartBox},
    words::Fob,
};
use crate::{
    kernel::{KeyId, Stamp},
    orgs::Mark,
};

impl SmartBox {
    /// The key at home here that this fob may become, if it is nobody's: only one that has none.
    pub(super) fn may_learn(&self, named: Option<KeyId>, fob: &Fob) -> Option<&Key> {
        let key = self.key(named?).filter(|key| key.fob.is_none())?;
        self.key_on(fob).is_none().then_some(key)
    }

    /// The key that has this code.
    pub(super) fn coded(&self, mark: &Mark) -> Option<KeyId> {
        let codes = self.codes.as_deref()?;
        let has = |code: &KeyCodeRecord| code.mark == *mark;
        codes.keys.iter().find(|known| known.code.as_ref().is_some_and(has)).map(|known| known.key)
    }

    /// An administrator says on which fob a key hangs. That of another box is `taken`.
    pub(super) fn decide_fob(&self, key: KeyId, fob: Fob, events: &mut Vec<Event>) -> Result<(), Refusal> {
        let known = self.key(key).ok_or(Refusal::KeyNotFound)?;
        match self.key_on(&fob) {
            Some(other) if other.id == key => {}
            Some(_) => return Err(Refusal::FobTaken),
            None => events.push(self.fob_set(known, fob)),
        }
        Ok(())
    }

    pub(super) fn fob_set(&self, key: &Key, fob: Fob) -> Event {
        let visitor = self.visitor(&fob);
        let bin = match visitor.map(|visitor| visitor.place) {
            Some(Place::Bin(bin)) => Some(self.bins[usize::from(bin)].label),
            _ => None,
        };
        Event::KeyFobSet { key: key.id, fob, before: key.fob, bin, person: visitor.and_then(|visitor| visitor.person) }
    }

    /// Where the fob lay unknown, there the key is. Else it is where it was believed to be, and somebody has to look.
    pub(super) fn hang(&mut self, id: KeyId, fob: Fob, stamp: Stamp) {
        let visitor = self.visitors.iter().position(|visitor| visitor.fob == fob);
        let visitor = visitor.map(|at| self.visitors.remove(at));
        self.leaving.retain(|leaving| *leaving != fob);
        let Some(at) = self.keys.iter().position(|key| key.id == id) else { return };
        if let Place::Bin(bin) = self.keys[at].place {
            let bin = usize::from(bin);
            self.bins[bin].fob = visitor.is_none().then_some(fob);
            self.doubt_bin(bin, stamp);
        }
        let key = &mut self.keys[at];
        key.fob = Some(fob);
        key.revision = stamp.revision;
        if let Some(visitor) = visitor {
            (key.place, key.since, key.heard) = (visitor.place, visitor.since, visitor.heard);
        }
        self.miss(stamp);
    }
}
