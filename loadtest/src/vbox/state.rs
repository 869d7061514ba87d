//! The state that a box has stored by its cursor, and what may be decided by it.

use super::Refusal;
use crate::wire::{
    AccessItem, BinItem, BookingItem, Changes, KeyCodeItem, KeyItem, PersonItem, PinItem, PublicKey, Settings, Size,
};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::{collections::BTreeMap, fmt::Write};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredState {
    pub cursor: Option<String>,
    pub bins: BTreeMap<Box<str>, BinItem>,
    pub keys: BTreeMap<Box<str>, KeyItem>,
    pub accesses: BTreeMap<Box<str>, AccessItem>,
    pub people: BTreeMap<Box<str>, PersonItem>,
    #[serde(default)]
    pub key_codes: BTreeMap<Box<str>, KeyCodeItem>,
    #[serde(default)]
    pub bookings: BTreeMap<Box<str>, BookingItem>,
    #[serde(default)]
    pub offline_sheet: u32,
    /// None: those of the enrolment hold.
    #[serde(default)]
    pub public_keys: Vec<PublicKey>,
    #[serde(default)]
    pub settings: Settings,
    #[serde(default)]
    pub pins: BTreeMap<Box<str>, PinItem>,
}

impl StoredState {
    /// Changes and cursor in one step.
    pub fn apply(&mut self, changes: Changes, cursor: String) {
        if changes.full {
            *self = Self::default();
        }
        for removed in &changes.removed {
            if removed.starts_with("key_") {
                self.keys.remove(removed);
                self.key_codes.remove(removed);
            } else if removed.starts_with("acc_") {
                self.accesses.remove(removed);
                self.bookings.remove(removed);
            } else {
                self.people.remove(removed);
                self.pins.remove(removed);
            }
        }
        self.bins.extend(changes.bins.into_iter().map(|item| (item.bin.clone(), item)));
        self.keys.extend(changes.keys.into_iter().map(|item| (item.key.clone(), item)));
        self.accesses.extend(changes.accesses.into_iter().map(|item| (item.access.clone(), item)));
        self.people.extend(changes.people.into_iter().map(|item| (item.person.clone(), item)));
        self.key_codes.extend(changes.key_codes.into_iter().map(|item| (item.key.clone(), item)));
        self.bookings.extend(changes.booking.into_iter().map(|item| (item.access.clone(), item)));
        self.settings = changes.settings.unwrap_or(self.settings);
        self.pins.extend(changes.pins.into_iter().map(|item| (item.person.clone(), item)));
        if let Some(codes) = changes.offline_codes {
            self.offline_sheet = codes.sheet;
            self.public_keys = changes.public_keys;
        }
        self.cursor = Some(cursor);
    }

    pub fn person_by_code(&self, verifier: &str) -> Option<String> {
        let theirs = |person: &&PersonItem| person.code.as_deref() == Some(verifier);
        self.people.values().find(theirs).map(|person| person.person.to_string())
    }

    /// Of a key that is not known here nobody has said otherwise.
    pub fn size_of(&self, fob: &str) -> Size {
        self.keys.values().find(|key| &*key.fob == fob).map_or(Size::default(), |key| key.size)
    }

    /// May whoever this access is for pick up the key by this access alone?
    pub fn permitted_by(&self, access: &str, fob: &str, box_ms: u64) -> Result<(), Refusal> {
        let key = self.keys.values().find(|key| &*key.fob == fob).ok_or(Refusal::UnknownKey)?;
        let access = self.accesses.get(access).ok_or(Refusal::NotPermitted)?;
        Self::holds(access, key, box_ms)
    }

    fn holds(access: &AccessItem, key: &KeyItem, box_ms: u64) -> Result<(), Refusal> {
        let covers = access.whole_box == Some(true)
            || access.key.as_ref() == Some(&key.key)
            || access.group.as_ref().is_some_and(|group| key.groups.contains(group));
        if !covers {
            return Err(Refusal::NotPermitted);
        }
        if access.from_ms.is_some_and(|from| box_ms < from) {
            return Err(Refusal::NotYetValid);
        }
        if access.until_ms.is_some_and(|until| box_ms >= until) { Err(Refusal::Expired) } else { Ok(()) }
    }

    /// May this person pick up the key with this fob when the box's clock shows this?
    pub fn permitted(&self, person: &str, fob: &str, box_ms: u64) -> Result<(), Refusal> {
        let key = self.keys.values().find(|key| &*key.fob == fob).ok_or(Refusal::UnknownKey)?;
        let mut nearest = Refusal::NotPermitted;
        for access in self.accesses.values().filter(|access| &*access.person == person) {
            match Self::holds(access, key, box_ms) {
                Ok(()) => return Ok(()),
                Err(Refusal::NotPermitted) => {}
                Err(refusal) => nearest = refusal,
            }
        }
        Err(nearest)
    }
}

/// The first 16 bytes of HMAC-SHA256, in hex.
pub fn verifier(key: &[u8], domain: &str, secret: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(domain.as_bytes());
    mac.update(secret.as_bytes());
    mac.finalize().into_bytes()[..16].iter().fold(String::with_capacity(32), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

pub fn from_hex(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
