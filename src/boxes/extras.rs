//! What few boxes have, behind one word of their state: that they were stolen.

use super::state::SmartBox;
use minicbor::{Decode, Encode};

#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub(super) struct Extras {
    /// The enrolment that was stolen.
    #[n(0)]
    pub stolen: Option<u32>,
}

impl Extras {
    /// Bytes of it, its heap memory with it.
    pub fn size_in_memory(&self) -> usize {
        size_of::<Self>()
    }
}

impl SmartBox {
    pub(super) fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }
}
