//! How boxes are set up, and what follows of it.

use super::{Limits, Model, Place};
use crate::wire::Size;

/// How a box is set up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Whoever leaves a key must say who they are.
    pub named_only: bool,
    pub wants_pin: bool,
    pub bins: Vec<Size>,
    pub keys: Vec<Size>,
}

impl Setup {
    /// Of these free bins the smallest that the key fits into.
    pub(super) fn smallest(&self, free: impl Iterator<Item = usize>, key: usize) -> Option<usize> {
        let of = |sizes: &[Size], at: usize| sizes.get(at).copied().unwrap_or_default();
        let needed = of(&self.keys, key);
        free.filter(|bin| of(&self.bins, *bin) >= needed).min_by_key(|bin| of(&self.bins, *bin))
    }
}

impl Model {
    pub fn set_up(&mut self, setup: Setup, at_ms: u64) {
        if self.setup != setup {
            self.setup = setup;
            self.missing(at_ms);
        }
    }

    /// One more key, of which nobody knows where it is.
    pub fn add_key(&mut self, limits: Limits) {
        self.keys.push(Place::Unknown);
        self.limits.push(limits);
        self.key_codes.push(None);
        self.setup.keys.push(Size::default());
    }

    /// The server knows by what the key is to be recognised: the box has to hear of it.
    pub fn has_learned(&mut self, at_ms: u64) {
        self.missing(at_ms);
    }

    pub(super) fn has_pin(&self, person: usize) -> bool {
        self.here.staff.get(person).is_some_and(|known| self.here.with_pin.contains(known))
    }
}
