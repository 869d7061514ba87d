//! Badges at the reader: as codes at the keypad, checked by verifiers that only this box can make.

use super::{Attempt, Left, Refusal, VirtualBox, state};
use std::io;

impl VirtualBox {
    /// Whose badge this is.
    pub fn person_by_badge(&self, badge: &str) -> Option<String> {
        let verifier = state::verifier(&self.verifier_key, "badge:", badge);
        let has = |badges: &[Box<str>]| badges.iter().any(|known| **known == *verifier);
        self.state.people.values().find(|person| has(&person.badges)).map(|person| person.person.to_string())
    }

    /// Somebody holds a badge to the reader and asks for a key by its fob.
    pub fn pick_up_by_badge(&mut self, badge: &str, fob: &str, pin: Option<&str>, true_ms: u64) -> io::Result<Attempt> {
        let (bin, person) = match self.may_take_by_badge(badge, fob, self.clock.shows(true_ms)) {
            Ok(decided) => decided,
            Err(refusal) => return Ok(Attempt::Refused(refusal)),
        };
        if let Err(refusal) = self.second_factor(Some(&person), pin, true_ms)? {
            return Ok(Attempt::Refused(refusal));
        }
        self.hand_out(&bin, Some(person), Some("badge"), None, true_ms)
    }

    fn may_take_by_badge(&self, badge: &str, fob: &str, box_ms: u64) -> Result<(String, String), Refusal> {
        if self.state.cursor.is_none() {
            return Err(Refusal::NoState);
        }
        let person = self.person_by_badge(badge).ok_or(Refusal::UnknownCode)?;
        self.state.permitted(&person, fob, box_ms)?;
        Ok((self.bin_with(fob)?, person))
    }

    /// Somebody holds a badge to the reader and leaves a fob. The end of an access stops no drop-off.
    pub(super) fn drop_off_by_badge(&mut self, badge: &str, left: Left<'_>, true_ms: u64) -> io::Result<Attempt> {
        let Some(person) = self.person_by_badge(badge) else { return Ok(Attempt::Refused(Refusal::UnknownCode)) };
        self.take_in(left, Some(person), ("badge", None), true_ms)
    }
}
