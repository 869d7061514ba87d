//! The PIN that a box wants at pick-ups, if it was set up so. One that decides alone can send no text: it wants the PIN
//! then too.

use super::{Refusal, VirtualBox, state};
use crate::wire::SecondFactor;
use std::io;

impl VirtualBox {
    /// Whether this PIN is what the box wants of somebody whom it would give a key. A wrong one counts as a wrong code.
    pub(super) fn second_factor(
        &mut self,
        person: Option<&str>,
        pin: Option<&str>,
        true_ms: u64,
    ) -> io::Result<Result<(), Refusal>> {
        if self.state.settings.second_factor == SecondFactor::None {
            return Ok(Ok(()));
        }
        let known = person.and_then(|person| self.state.pins.get(person));
        let (Some(known), Some(pin)) = (known.and_then(|known| known.pin.clone()), pin) else {
            return Ok(Err(Refusal::PinNeeded));
        };
        let now = self.clock.shows(true_ms);
        if self.is_closed(now) {
            return Ok(Err(Refusal::Throttled));
        }
        self.charge(now)?;
        let typed = format!("{}:{pin}", person.unwrap_or_default());
        if *state::verifier(&self.verifier_key, "pin:", &typed) != *known {
            return Ok(Err(Refusal::UnknownCode));
        }
        self.forget_wrong_codes()?;
        Ok(Ok(()))
    }
}
