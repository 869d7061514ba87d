//! What somebody has in hand before a box, and the two things that they may want.

use super::{Attempt, VirtualBox};
use std::io;

/// What is typed, held to the reader or shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    Digits(&'a str),
    Badge(&'a str),
    /// The text of a pass or of a personal QR code.
    Qr(&'a str),
}

/// What is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left<'a> {
    pub fob: &'a str,
    /// The key that hangs on it, if whoever leaves it says so.
    pub key: Option<&'a str>,
}

impl<'a> From<&'a str> for Left<'a> {
    fn from(fob: &'a str) -> Self {
        Self { fob, key: None }
    }
}

impl VirtualBox {
    /// Somebody wants a key; a key's code and a pass for one key name it themselves. `pin`: what is typed besides.
    pub fn take(&mut self, shown: Shown<'_>, fob: &str, pin: Option<&str>, true_ms: u64) -> io::Result<Attempt> {
        match shown {
            Shown::Digits(digits) => self.type_digits(digits, Some(fob), pin, true_ms),
            Shown::Badge(badge) => self.pick_up_by_badge(badge, fob, pin, true_ms),
            Shown::Qr(text) => self.show_qr(text, Some(fob), pin, true_ms),
        }
    }

    /// Somebody leaves a fob; with nothing shown it is a quick scan.
    pub fn leave<'a>(
        &mut self,
        shown: Option<Shown<'_>>,
        left: impl Into<Left<'a>>,
        true_ms: u64,
    ) -> io::Result<Attempt> {
        let left = left.into();
        match shown {
            Some(Shown::Digits(digits)) => self.type_and_leave(digits, left, true_ms),
            Some(Shown::Badge(badge)) => self.drop_off_by_badge(badge, left, true_ms),
            Some(Shown::Qr(text)) => self.show_and_leave(text, left, true_ms),
            // Nobody names anything by a quick scan.
            None => self.drop_off(None, left.fob, true_ms),
        }
    }
}
