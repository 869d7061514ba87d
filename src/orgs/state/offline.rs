//! What an organisation has chosen for boxes that decide alone, and the keys that its passes are signed with. The keys
//! themselves follow from the server's own secret and their number (ADR 0024): here stand public ones only. Key 1 is
//! there from the beginning, and nothing is stored of it until there is a second.

use super::organisation;
use crate::{
    boxes::{OfflineSettings, PassKey},
    kernel::{Stamp, UnixMillis},
};
use minicbor::{Decode, Encode};
use std::{ops::RangeInclusive, time::Duration};

/// Keys at a time; those whose passes have run out do not count.
pub const PASS_KEYS_MAX: usize = 8;
/// How long a pass may live.
pub const PASS_HOURS: RangeInclusive<u16> = 1..=168;
const PASS_HOURS_DEFAULT: u16 = 12;
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Offline {
    /// Of the last change of these.
    #[n(0)]
    pub revision: u64,
    #[n(1)]
    pub key_codes: bool,
    /// How long a pass lives if nothing is said.
    #[n(2)]
    pub pass_hours: u16,
    #[n(3)]
    pub keys: Vec<PassKey>,
}

impl Default for Offline {
    fn default() -> Self {
        Self { revision: 0, key_codes: false, pass_hours: PASS_HOURS_DEFAULT, keys: Vec::new() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfflineCommand {
    /// What is left out stays.
    Choose { key_codes: Option<bool>, pass_hours: Option<u16> },
    /// A further key. `first`: key 1, for whoever has no other. `number` is that of the new one. It signs from `from`
    /// on; `at_once`: nothing that older ones have signed holds any more.
    MakeKey { first: [u8; 32], number: u32, public: [u8; 32], from: UnixMillis, at_once: bool },
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum OfflineEvent {
    #[n(0)]
    Chosen {
        #[n(0)]
        key_codes: bool,
        #[n(1)]
        pass_hours: u16,
    },
    /// All that are still good for something, the newest last.
    #[n(1)]
    KeyMade {
        #[n(0)]
        keys: Vec<PassKey>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfflineRefusal {
    /// There is a newer key than the caller knew.
    ChangedMeanwhile,
    Full,
}

impl From<OfflineRefusal> for organisation::Refusal {
    fn from(refusal: OfflineRefusal) -> Self {
        match refusal {
            OfflineRefusal::ChangedMeanwhile => Self::PassKeyMade,
            OfflineRefusal::Full => Self::TooManyPassKeys,
        }
    }
}

impl Offline {
    /// The number of the newest key.
    pub fn newest(&self) -> u32 {
        self.keys.last().map_or(1, |key| key.number)
    }

    /// The number of the key that signs at that time.
    pub fn signing(&self, at: UnixMillis) -> u32 {
        self.keys.iter().rev().find(|key| key.from <= at).map_or(1, |key| key.number)
    }

    /// As boxes are told of it.
    pub fn settings(&self) -> OfflineSettings {
        OfflineSettings { revision: self.revision, key_codes: self.key_codes, pass_keys: self.keys.clone() }
    }

    pub fn decide(
        &self,
        command: &OfflineCommand,
        now: UnixMillis,
        mut push: impl FnMut(OfflineEvent),
    ) -> Result<(), OfflineRefusal> {
        match command {
            OfflineCommand::Choose { key_codes, pass_hours } => {
                let key_codes = key_codes.unwrap_or(self.key_codes);
                let pass_hours = pass_hours.unwrap_or(self.pass_hours);
                if (key_codes, pass_hours) != (self.key_codes, self.pass_hours) {
                    push(OfflineEvent::Chosen { key_codes, pass_hours });
                }
            }
            OfflineCommand::MakeKey { first, number, public, from, at_once } => {
                if *number != self.newest() + 1 {
                    return Err(OfflineRefusal::ChangedMeanwhile);
                }
                let mut keys = self.keys.clone();
                if keys.is_empty() {
                    keys.push(PassKey { number: 1, public: *first, from: UnixMillis(0), until: None });
                }
                // What was signed a moment before the new key took over may live as long as any pass.
                let until = if *at_once { now } else { from.plus(HOUR * u32::from(*PASS_HOURS.end())) };
                for key in &mut keys {
                    key.until = Some(key.until.map_or(until, |earlier| earlier.min(until)));
                }
                keys.retain(|key| key.until.is_none_or(|until| until > now));
                if keys.len() >= PASS_KEYS_MAX {
                    return Err(OfflineRefusal::Full);
                }
                keys.push(PassKey { number: *number, public: *public, from: *from, until: None });
                push(OfflineEvent::KeyMade { keys });
            }
        }
        Ok(())
    }

    pub fn apply(&mut self, event: &OfflineEvent, stamp: Stamp) {
        self.revision = stamp.revision;
        match event {
            OfflineEvent::Chosen { key_codes, pass_hours } => {
                self.key_codes = *key_codes;
                self.pass_hours = *pass_hours;
            }
            OfflineEvent::KeyMade { keys } => self.keys.clone_from(keys),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(offline: &mut Offline, number: u32, from: u64, now: u64, at_once: bool) -> Result<(), OfflineRefusal> {
        let (first, public, from) = ([1; 32], [number as u8; 32], UnixMillis(from));
        let mut events = Vec::new();
        let command = OfflineCommand::MakeKey { first, number, public, from, at_once };
        offline.decide(&command, UnixMillis(now), |event| events.push(event))?;
        events.iter().for_each(|event| offline.apply(event, Stamp { at: UnixMillis(now), revision: 5 }));
        Ok(())
    }

    #[test]
    fn a_new_key_is_known_before_it_signs_and_the_old_one_holds_until_its_passes_are_over() {
        let mut offline = Offline::default();
        assert_eq!((offline.signing(UnixMillis(7)), offline.newest()), (1, 1));
        made(&mut offline, 2, 1_000, 10, false).unwrap();
        assert_eq!((offline.signing(UnixMillis(999)), offline.signing(UnixMillis(1_000))), (1, 2));
        assert_eq!(offline.keys[0].until, Some(UnixMillis(1_000).plus(HOUR * 168)));
        assert_eq!(made(&mut offline, 2, 1_000, 10, false), Err(OfflineRefusal::ChangedMeanwhile));
        let later = 2_000 + 169 * 3_600_000;
        made(&mut offline, 3, later, later, false).unwrap();
        assert_eq!(offline.keys.iter().map(|key| key.number).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_key_that_was_stolen_is_thrown_away_at_once() {
        let mut offline = Offline::default();
        made(&mut offline, 2, 50, 50, true).unwrap();
        assert_eq!(offline.keys.iter().map(|key| key.number).collect::<Vec<_>>(), [2]);
        assert_eq!(offline.signing(UnixMillis(50)), 2);
        for number in 3..=9 {
            made(&mut offline, number, 60, 60, false).unwrap();
        }
        assert_eq!(made(&mut offline, 10, 60, 60, false), Err(OfflineRefusal::Full));
    }
}
