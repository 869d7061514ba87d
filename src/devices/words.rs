//! The small words of this context, and the two secrets that are made and not stored.

use super::Mac;
use crate::{
    kernel::{DeviceId, KeyedHash, OrgId, UnixMillis},
    orgs::Mark,
};
use minicbor::{Decode, Encode};
use std::{net::IpAddr, time::Duration};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Wrong guesses that end a round.
pub const GUESSES_MAX: usize = 3;
/// How long a device stays `failed`.
pub const LOCKED_FOR: Duration = Duration::from_secs(30 * 60);
pub const SUSPENDED_FOR: Duration = Duration::from_secs(30 * 60);
/// A retrying phone repeats itself within this.
pub const REPEATS_WITHIN: Duration = Duration::from_secs(10);
/// Requests that are counted while a device is locked, for each lock.
pub const LOCKED_ATTEMPTS_MAX: u32 = 100;
/// A contact like the one before is noted so often at most, another one a little sooner.
pub const CONTACT_AGAIN: Duration = Duration::from_secs(5 * 60);
pub const CONTACT_CHANGED: Duration = Duration::from_secs(10);
/// One from elsewhere sooner still: a right PAP lets the phone in where it was last.
pub const CONTACT_MOVED: Duration = Duration::from_secs(1);

/// What the operator may set, as it was when the command came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub rounds_until_blocked: u8,
    pub trusted_window: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self { rounds_until_blocked: 3, trusted_window: Duration::from_secs(600) }
    }
}

/// Where a device stands. Compare it with the time: `Failed` is `Required` again when its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Authentication {
    #[n(0)]
    Required,
    #[n(1)]
    Failed {
        #[n(0)]
        until: UnixMillis,
    },
    #[n(2)]
    Blocked,
    #[n(3)]
    Successful {
        /// Its full configuration was fetched whole.
        #[n(0)]
        provisioned: bool,
    },
}

impl Authentication {
    pub const NAMES: [&str; 4] = ["required", "failed", "blocked", "successful"];

    /// As it is now.
    pub fn at(self, now: UnixMillis) -> Self {
        match self {
            Self::Failed { until } if until <= now => Self::Required,
            other => other,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Failed { .. } => "failed",
            Self::Blocked => "blocked",
            Self::Successful { .. } => "successful",
        }
    }

    pub fn is_done(self) -> bool {
        self == Self::Successful { provisioned: true }
    }
}

/// Why a phone gets its full configuration. Stored: numbers are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Why {
    /// Its PAP was entered a moment ago.
    #[n(0)]
    Pap,
    #[n(1)]
    Whitelist,
    #[n(2)]
    Suspension,
    #[n(3)]
    Credential,
    /// Its vendor's certificate says which phone it is.
    #[n(4)]
    Certificate,
}

impl Why {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pap => "pap",
            Self::Whitelist => "whitelist",
            Self::Suspension => "suspension",
            Self::Credential => "credential",
            Self::Certificate => "certificate",
        }
    }
}

/// From where and until when a phone is trusted because its PAP was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Window {
    #[n(0)]
    pub address: IpAddr,
    #[n(1)]
    pub until: UnixMillis,
}

/// A phone's request as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Contact {
    #[n(0)]
    pub address: IpAddr,
    #[n(1)]
    pub user_agent: Box<str>,
    #[n(2)]
    pub file: Box<str>,
    #[n(3)]
    pub full: bool,
}

impl Contact {
    /// Whether a PAP that is entered now lets the phone in elsewhere than before.
    pub fn moves(&self, last: &Self) -> bool {
        !self.full && (last.full || last.address != self.address)
    }

    /// How long after the last one that was noted this one is noted; at once where there is no pause.
    pub fn pause_after(&self, last: Option<&Self>) -> Option<Duration> {
        match last {
            None => None,
            Some(last) if last == self => Some(CONTACT_AGAIN),
            // Otherwise a phone that was just authenticated would seem lost until it asks again, a day later.
            Some(last) if self.full && !last.full => None,
            Some(last) if self.moves(last) => Some(CONTACT_MOVED),
            Some(_) => Some(CONTACT_CHANGED),
        }
    }
}

pub const USER_AGENT_MAX: usize = 120;
pub const FILE_MAX: usize = 80;

/// What somebody else wrote, as it may be kept and shown: printable ASCII, so long.
pub fn printable(text: &str, max: usize) -> Box<str> {
    text.chars().filter(|c| (' '..='~').contains(c)).take(max).collect()
}

/// What a device's credential is made of, together with the server's own secret; alone it is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Salt(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl Salt {
    pub fn of(bytes: [u8; 32]) -> Self {
        let mut salt = [0; 16];
        salt.copy_from_slice(&bytes[..16]);
        Self(salt)
    }
}

/// Letters and digits that no phone's configuration has to escape, and that nobody mistakes for one another.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

pub fn letters(hash: &[u8; 32], count: usize) -> Zeroizing<String> {
    hash.iter().take(count).map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect::<String>().into()
}

/// 100 bits; longer ones Aastra's phones do not take.
const CREDENTIAL_LETTERS: usize = 20;

/// The password of a device's credential.
pub fn credential(keys: &dyn KeyedHash, device: DeviceId, salt: Salt) -> Zeroizing<String> {
    letters(&keys.keyed_hash("devices.credential", &[&device.to_bytes(), &salt.0]), CREDENTIAL_LETTERS)
}

/// How the users of minimal configurations begin.
pub const ACCOUNT_PREFIX: &str = "pap-";

/// The SIP account of a phone that is not trusted, known or not: user and password.
pub fn derived_account(keys: &dyn KeyedHash, org: OrgId, mac: Mac) -> (String, Zeroizing<String>) {
    (format!("{ACCOUNT_PREFIX}{mac}"), letters(&keys.keyed_hash("devices.account", &[&org.to_bytes(), &mac.0]), 20))
}

/// A phone authentication PIN: six digits, leading zeros are part of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Pap(Zeroizing<[u8; Self::DIGITS]>);

impl Pap {
    pub const DIGITS: usize = 6;
    const COUNT: u64 = 1_000_000;

    /// Out of 256 random bits.
    pub fn drawn(bytes: &[u8; 32]) -> Self {
        // 128 bits over a million: no value is likelier by more than one in 10^32.
        let number = bytes[..16].iter().fold(0u128, |number, byte| number << 8 | u128::from(*byte));
        let mut rest = (number % u128::from(Self::COUNT)) as u32;
        let mut digits = [b'0'; Self::DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        Self(digits.into())
    }

    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; Self::DIGITS] = text.as_bytes().try_into().ok()?;
        digits.iter().all(u8::is_ascii_digit).then(|| Self(digits.into()))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&*self.0).unwrap_or_default()
    }

    /// What is stored and claimed of it.
    pub fn mark(&self, keys: &dyn KeyedHash, org: OrgId) -> Mark {
        Mark::of(keys, "devices.pap", org, self.as_str())
    }
}

/// What is remembered of a guess: the same guess at another device leaves another trace.
pub fn trace(keys: &dyn KeyedHash, device: DeviceId, guess: &[u8]) -> Mark {
    let hash = keys.keyed_hash("devices.guess", &[&device.to_bytes(), guess]);
    let mut mark = [0; 16];
    mark.copy_from_slice(&hash[..16]);
    Mark(mark)
}

/// Compares without telling by its duration how much is alike.
pub fn is_same(one: Mark, other: Mark) -> bool {
    one.0.ct_eq(&other.0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pap_is_six_digits_and_leading_zeros_belong_to_it() {
        assert_eq!(Pap::drawn(&[0; 32]).as_str(), "000000");
        let mut bytes = [0; 32];
        bytes[15] = 123;
        assert_eq!(Pap::drawn(&bytes).as_str(), "000123");
        assert!(Pap::parse("000123") == Some(Pap::drawn(&bytes)) && Pap::parse("123") != Some(Pap::drawn(&bytes)));
        for wrong in ["", "12345", "1234567", "12345a", " 12345", "١٢٣", "+12345"] {
            assert!(Pap::parse(wrong).is_none(), "{wrong}");
        }
    }
}
