//! What few boxes have, behind one word of their state: that they were stolen, and what a second factor needs.

use super::{online::Texted, state::SmartBox, words::Verifier};
use crate::kernel::PersonId;
use minicbor::{Decode, Encode};

#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub(super) struct Extras {
    /// The enrolment that was stolen.
    #[n(0)]
    pub stolen: Option<u32>,
    /// Where a second factor is wanted.
    #[cbor(n(1), default)]
    pub pins: Vec<Pin>,
    /// Codes by text that were sent and not used.
    #[cbor(n(2), default)]
    pub texts: Vec<Texted>,
}

/// By what a box checks somebody's PIN, or that they have none any more.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Pin {
    #[n(0)]
    pub person: PersonId,
    #[n(1)]
    pub verifier: Option<Verifier>,
    #[n(2)]
    pub revision: u64,
}

impl Extras {
    /// Bytes of it, its heap memory with it.
    pub fn size_in_memory(&self) -> usize {
        size_of::<Self>() + self.pins.capacity() * size_of::<Pin>() + self.texts.capacity() * size_of::<Texted>()
    }
}

impl SmartBox {
    pub(super) fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    pub(super) fn forget_pins(&mut self, whose: impl Fn(PersonId) -> bool) {
        if let Some(extras) = self.extras.as_deref_mut() {
            extras.pins.retain(|pin| !whose(pin.person));
        }
    }
}
