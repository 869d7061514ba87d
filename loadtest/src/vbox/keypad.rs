//! What people type and show at a box that decides alone: every kind of code in one place, the throttle, and what has
//! been used up. All of it survives a reboot; an attempt is written down before it is judged.

use super::{Attempt, Exchange, Left, Refusal, VirtualBox, signed, state};
use crate::wire::{Entry, Kind, SecondFactor};
use hmac::{Hmac, Mac};
use ring::hmac as sha1;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::{collections::BTreeMap, io};

/// Codes ahead of the one that comes next that are taken too.
const LOOK_AHEAD: u32 = 10;
/// Wrong codes in a row that are let pass.
const FREE_ATTEMPTS: u32 = 5;
const FIRST_PAUSE_MS: u64 = 60_000;
const LONGEST_PAUSE_MS: u64 = 3_600_000;
/// The list of codes that open every bin.
const ALL_BINS: &str = "";

/// What a box must not forget, beside its state and its journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keypad {
    /// Wrong codes since the last right one.
    pub wrong: u32,
    pub closed_until_ms: u64,
    /// The sheet that the counters belong to.
    sheet: u32,
    /// The next counter of each list that was used.
    counters: BTreeMap<String, u32>,
    /// Passes that have opened, and until when they would hold (in seconds).
    passes: BTreeMap<String, u64>,
}

/// What a code turned out to be.
enum Known {
    Person(String),
    Booking { access: Box<str>, person: Box<str> },
    Key(Box<str>),
    Offline { list: String, counter: u32 },
}

impl Known {
    fn stands_for(&self) -> (&'static str, Option<String>) {
        match self {
            Self::Booking { person, .. } => ("booking_code", Some(person.to_string())),
            Self::Key(_) => ("key_code", None),
            Self::Person(person) => ("access_code", Some(person.clone())),
            Self::Offline { .. } => ("offline_code", None),
        }
    }
}

impl VirtualBox {
    pub fn keypad(&self) -> &Keypad {
        &self.keypad
    }

    /// Whose the digits are, counted before anybody knows; offline codes open at once.
    fn typed(&mut self, digits: &str, true_ms: u64) -> io::Result<Result<Known, Attempt>> {
        let now = self.clock.shows(true_ms);
        if self.state.cursor.is_none() {
            return Ok(Err(Attempt::Refused(Refusal::NoState)));
        }
        if self.is_closed(now) {
            return Ok(Err(Attempt::Refused(Refusal::Throttled)));
        }
        let before = (self.keypad.wrong, self.keypad.closed_until_ms);
        self.charge(now)?;
        let Some(known) = self.known(digits) else { return Ok(Err(Attempt::Refused(Refusal::UnknownCode))) };
        // Where a PIN is wanted a right code ends no row of wrong ones: whoever has it could try PINs for ever.
        let after = if self.state.settings.second_factor == SecondFactor::None { (0, 0) } else { before };
        (self.keypad.wrong, self.keypad.closed_until_ms) = after;
        match known {
            Known::Offline { list, counter } => self.open_offline(&list, counter, true_ms).map(Err),
            known => {
                self.storage.replace_keypad(&self.keypad)?;
                Ok(Ok(known))
            }
        }
    }

    pub(super) fn forget_wrong_codes(&mut self) -> io::Result<()> {
        (self.keypad.wrong, self.keypad.closed_until_ms) = (0, 0);
        self.storage.replace_keypad(&self.keypad)
    }

    /// Somebody types digits, and names the key that they want if the digits do not.
    pub fn type_digits(
        &mut self,
        digits: &str,
        fob: Option<&str>,
        pin: Option<&str>,
        true_ms: u64,
    ) -> io::Result<Attempt> {
        let known = match self.typed(digits, true_ms)? {
            Ok(known) => known,
            Err(ended) => return Ok(ended),
        };
        let now = self.clock.shows(true_ms);
        let decided = match &known {
            Known::Person(person) => {
                fob.ok_or(Refusal::UnknownKey).and_then(|fob| self.state.permitted(person, fob, now).map(|()| fob))
            }
            Known::Booking { access, .. } => {
                fob.ok_or(Refusal::UnknownKey).and_then(|fob| self.state.permitted_by(access, fob, now).map(|()| fob))
            }
            Known::Key(fob) => Ok(&**fob),
            Known::Offline { .. } => Err(Refusal::UnknownCode),
        };
        let (by, person) = known.stands_for();
        let bin = match decided.and_then(|fob| self.bin_with(fob)) {
            Ok(bin) => bin,
            Err(refusal) => return Ok(Attempt::Refused(refusal)),
        };
        match self.second_factor(person.as_deref(), pin, true_ms)? {
            Ok(()) => self.hand_out(&bin, person, Some(by), None, true_ms),
            Err(refusal) => Ok(Attempt::Refused(refusal)),
        }
    }

    /// Somebody types digits and leaves a fob. The end of an access stops no drop-off; a key's code is for its key.
    pub(super) fn type_and_leave(&mut self, digits: &str, left: Left<'_>, true_ms: u64) -> io::Result<Attempt> {
        let known = match self.typed(digits, true_ms)? {
            Ok(known) => known,
            Err(ended) => return Ok(ended),
        };
        if matches!(&known, Known::Key(own) if **own != *left.fob) {
            return Ok(Attempt::Refused(Refusal::NotPermitted));
        }
        let (by, person) = known.stands_for();
        self.take_in(left, person, (by, None), true_ms)
    }

    /// Somebody says by a signed text who they are, and leaves a fob. A pass says so too when it is over or has opened:
    /// no end of a permission stops a drop-off, and none is used up by one.
    pub(super) fn show_and_leave(&mut self, text: &str, left: Left<'_>, true_ms: u64) -> io::Result<Attempt> {
        let now = self.clock.shows(true_ms);
        let read = match self.ours(text, now) {
            Ok(signed) if !signed.is_pass => signed.in_time(now),
            read => read,
        };
        match read {
            Ok(signed) if signed.is_pass => self.take_in(left, Some(signed.person), ("pass", Some(signed.id)), true_ms),
            Ok(signed) => self.take_in(left, Some(signed.person), ("personal_qr", None), true_ms),
            Err(refusal) => Ok(Attempt::Refused(refusal)),
        }
    }

    pub(super) fn take_in(
        &mut self,
        Left { fob, key }: Left<'_>,
        person: Option<String>,
        (by, pass): (&str, Option<String>),
        true_ms: u64,
    ) -> io::Result<Attempt> {
        let bin = match self.free_bin(fob) {
            Ok(bin) => bin,
            Err(refusal) => return Ok(Attempt::Refused(refusal)),
        };
        self.physical.insert(bin.as_str().into(), Some(fob.into()));
        let entry = Entry {
            bin: bin.clone(),
            fob: Some(fob.to_owned()),
            person: person.clone(),
            key: key.map(str::to_owned),
            by: Some(by.to_owned()),
            pass,
            ..self.blank(Kind::DropOff, true_ms)
        };
        let seq = self.write(entry)?;
        Ok(Attempt::Done(Exchange { seq, bin, fob: fob.to_owned(), person }))
    }

    /// What a text says that one of this organisation's keys has signed, in its time.
    fn read_signed(&self, text: &str, now: u64) -> Result<signed::Signed, Refusal> {
        self.ours(text, now)?.in_time(now)
    }

    /// The same whatever its time.
    fn ours(&self, text: &str, now: u64) -> Result<signed::Signed, Refusal> {
        let keys = if self.state.public_keys.is_empty() { &self.identity.public_keys } else { &self.state.public_keys };
        let signed = signed::read(text, keys, now)?;
        if signed.organisation == self.identity.organisation { Ok(signed) } else { Err(Refusal::NotSigned) }
    }

    /// Somebody holds a QR code before the reader, and names the key if the code does not.
    pub fn show_qr(&mut self, text: &str, fob: Option<&str>, pin: Option<&str>, true_ms: u64) -> io::Result<Attempt> {
        let now = self.clock.shows(true_ms);
        let (signed, fob) = match self.understand(text, fob, now) {
            Ok(understood) => understood,
            Err(refusal) => return Ok(Attempt::Refused(refusal)),
        };
        let bin = match self.bin_with(&fob) {
            Ok(bin) => bin,
            Err(refusal) => return Ok(Attempt::Refused(refusal)),
        };
        if let Err(refusal) = self.second_factor(Some(&signed.person), pin, true_ms)? {
            return Ok(Attempt::Refused(refusal));
        }
        if !signed.is_pass {
            return self.hand_out(&bin, Some(signed.person), Some("personal_qr"), None, true_ms);
        }
        self.store_pass(&signed, now)?;
        self.hand_out(&bin, Some(signed.person), Some("pass"), Some(signed.id), true_ms)
    }

    /// Before anything opens: a reboot in between costs a pass, never a second key.
    fn store_pass(&mut self, signed: &signed::Signed, now: u64) -> io::Result<()> {
        let limit = now / 1000;
        self.keypad.passes.retain(|_, until| *until > limit);
        self.keypad.passes.insert(signed.id.clone(), signed.until_s);
        self.storage.replace_keypad(&self.keypad)
    }

    /// The server has let somebody in by this; a box that has not heard of its key goes by the server's word.
    pub(super) fn use_up(&mut self, text: &str, true_ms: u64) -> io::Result<()> {
        let now = self.clock.shows(true_ms);
        match self.read_signed(text, now) {
            Ok(signed) if signed.is_pass => self.store_pass(&signed, now),
            _ => Ok(()),
        }
    }

    fn understand(&self, text: &str, fob: Option<&str>, now: u64) -> Result<(signed::Signed, String), Refusal> {
        let signed = self.read_signed(text, now)?;
        if !signed.is_pass {
            let fob = fob.ok_or(Refusal::UnknownKey)?;
            self.state.permitted(&signed.person, fob, now)?;
            return Ok((signed, fob.to_owned()));
        }
        if signed.only_box.as_ref().is_some_and(|only| *only != self.identity.box_id) {
            return Err(Refusal::NotPermitted);
        }
        if self.keypad.passes.contains_key(&signed.id) {
            return Err(Refusal::PassUsed);
        }
        let named = match &signed.key {
            Some(key) => Some(&*self.state.keys.get(&**key).ok_or(Refusal::UnknownKey)?.fob),
            None => fob,
        };
        let fob = named.ok_or(Refusal::UnknownKey)?;
        let key = self.state.keys.values().find(|key| &*key.fob == fob).ok_or(Refusal::UnknownKey)?;
        let covers = signed.all
            || signed.key.as_deref() == Some(&*key.key)
            || signed.group.as_ref().is_some_and(|group| key.groups.iter().any(|one| **one == **group));
        if !covers {
            return Err(Refusal::NotPermitted);
        }
        let fob = fob.to_owned();
        Ok((signed, fob))
    }

    pub(super) fn is_closed(&self, now: u64) -> bool {
        // A clock that jumped back does not close the keypad for longer than ever.
        now < self.keypad.closed_until_ms.min(now.saturating_add(LONGEST_PAUSE_MS))
    }

    /// Counts an attempt before anybody knows whether it is right.
    pub(super) fn charge(&mut self, now: u64) -> io::Result<()> {
        self.keypad.wrong = self.keypad.wrong.saturating_add(1);
        if self.keypad.wrong >= FREE_ATTEMPTS {
            let doubled = (self.keypad.wrong - FREE_ATTEMPTS).min(6);
            self.keypad.closed_until_ms = now.saturating_add((FIRST_PAUSE_MS << doubled).min(LONGEST_PAUSE_MS));
        }
        self.storage.replace_keypad(&self.keypad)
    }

    /// No digits mean two things: the server sees to that when it gives them out.
    fn known(&self, digits: &str) -> Option<Known> {
        let verifier = |domain| state::verifier(&self.verifier_key, domain, digits);
        if let Some(person) = self.state.person_by_code(&verifier("code:")) {
            return Some(Known::Person(person));
        }
        let by = verifier("booking:");
        if let Some(booking) = self.state.bookings.values().find(|booking| *booking.code == *by) {
            let access = self.state.accesses.get(&booking.access)?;
            return Some(Known::Booking { access: booking.access.clone(), person: access.person.clone() });
        }
        let by = verifier("key:");
        if let Some(code) = self.state.key_codes.values().find(|known| known.code.as_deref() == Some(&*by)) {
            return Some(Known::Key(self.state.keys.get(&code.key)?.fob.clone()));
        }
        self.offline(digits)
    }

    fn offline(&self, digits: &str) -> Option<Known> {
        let code: u32 = digits.parse().ok().filter(|_| digits.len() == 8)?;
        let sheet = self.state.offline_sheet;
        let lists = std::iter::once(ALL_BINS).chain(self.state.bins.keys().map(|bin| &**bin));
        for list in lists {
            let secret = list_secret(&state::from_hex(&self.identity.offline_key), sheet, list);
            // Counters of an older sheet say nothing about this one.
            let next = self.keypad.counters.get(list).filter(|_| self.keypad.sheet == sheet).copied().unwrap_or(0);
            let ahead = next..next.saturating_add(LOOK_AHEAD);
            if let Some(counter) = ahead.into_iter().find(|counter| hotp(&secret, u64::from(*counter)) == code) {
                return Some(Known::Offline { list: list.to_owned(), counter });
            }
        }
        None
    }

    /// The code is used up first, then the bins open; a bin that is out of service stays shut.
    fn open_offline(&mut self, list: &str, counter: u32, true_ms: u64) -> io::Result<Attempt> {
        let sheet = self.state.offline_sheet;
        if self.keypad.sheet != sheet {
            self.keypad.counters.clear();
            self.keypad.sheet = sheet;
        }
        self.keypad.counters.insert(list.to_owned(), counter + 1);
        self.storage.replace_keypad(&self.keypad)?;
        let kind = if list == ALL_BINS { Kind::OpenedAll } else { Kind::Opened };
        let (by, sheet, counter) = (Some("offline_code".to_owned()), Some(sheet), Some(counter));
        let entry = Entry { bin: list.to_owned(), by, sheet, counter, ..self.blank(kind, true_ms) };
        self.write(entry)?;
        Ok(Attempt::Opened(match list {
            ALL_BINS => self.state.bins.keys().map(ToString::to_string).collect(),
            bin => vec![bin.to_owned()],
        }))
    }

    /// The bin's sensor reads what is really taken, whatever was believed.
    pub(super) fn hand_out(
        &mut self,
        bin: &str,
        person: Option<String>,
        by: Option<&str>,
        pass: Option<String>,
        true_ms: u64,
    ) -> io::Result<Attempt> {
        let Some(taken) = self.physical.get_mut(bin).and_then(Option::take) else {
            return Ok(Attempt::NothingInside(bin.to_owned()));
        };
        let fob = String::from(taken);
        let entry = Entry {
            bin: bin.to_owned(),
            fob: Some(fob.clone()),
            person: person.clone(),
            by: by.map(str::to_owned),
            pass,
            ..self.blank(Kind::PickUp, true_ms)
        };
        let seq = self.write(entry)?;
        Ok(Attempt::Done(Exchange { seq, bin: bin.to_owned(), fob, person }))
    }
}

/// The secret of one list of a sheet.
fn list_secret(offline_key: &[u8], sheet: u32, list: &str) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(offline_key) else { return Vec::new() };
    mac.update(&sheet.to_be_bytes());
    match list {
        ALL_BINS => mac.update(b"box"),
        bin => {
            mac.update(b"bin:");
            mac.update(bin.as_bytes());
        }
    }
    mac.finalize().into_bytes().to_vec()
}

/// RFC 4226 with eight digits.
fn hotp(secret: &[u8], counter: u64) -> u32 {
    let key = sha1::Key::new(sha1::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let mac = sha1::sign(&key, &counter.to_be_bytes());
    let mac = mac.as_ref();
    let at = usize::from(mac[19] & 0xf);
    let word = u32::from_be_bytes([mac[at], mac[at + 1], mac[at + 2], mac[at + 3]]);
    (word & 0x7fff_ffff) % 100_000_000
}

/// A sheet as the server prints it, for whoever plays with a box without one.
pub fn sheet_of(offline_key: &str, sheet: u32, list: &str, counters: std::ops::Range<u32>) -> Vec<String> {
    let secret = list_secret(&state::from_hex(offline_key), sheet, list);
    counters.map(|counter| format!("{:08}", hotp(&secret, u64::from(counter)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hotp_is_the_one_of_rfc_4226() {
        let six: Vec<_> = (0..10).map(|counter| hotp(b"12345678901234567890", counter) % 1_000_000).collect();
        assert_eq!(six, [755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922, 162_583, 399_871, 520_489]);
    }
}
