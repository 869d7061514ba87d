//! What an organisation decides for all its phones: their path, who is trusted by its address, the telephone system.

use crate::{
    devices::Salt,
    kernel::{Stamp, UnixMillis},
};
use ipnet::IpNet;
use minicbor::{Decode, Encode};
use std::{net::IpAddr, time::Duration};

#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Phones {
    /// Of the unguessable path; none has been made yet without it.
    #[n(0)]
    pub path: Option<Salt>,
    #[n(1)]
    pub permanent: Vec<Permanent>,
    #[n(2)]
    pub temporary: Vec<Temporary>,
    #[n(3)]
    pub pbx: PbxSettings,
    /// The number of the last entry of either list.
    #[n(4)]
    pub entries: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Permanent {
    #[n(0)]
    pub entry: u32,
    #[n(1)]
    pub network: Network,
    #[n(2)]
    pub note: Box<str>,
    #[n(3)]
    pub since: UnixMillis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Temporary {
    #[n(0)]
    pub entry: u32,
    #[n(1)]
    pub address: IpAddr,
    #[n(2)]
    pub since: UnixMillis,
    #[n(3)]
    pub until: UnixMillis,
}

/// An address and the length of its prefix; no bits behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Network {
    #[n(0)]
    pub address: IpAddr,
    #[n(1)]
    pub length: u8,
}

impl From<IpNet> for Network {
    fn from(network: IpNet) -> Self {
        Self { address: network.addr(), length: network.prefix_len() }
    }
}

/// This address alone.
impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        IpNet::from(address).into()
    }
}

impl Network {
    pub fn contains(self, address: IpAddr) -> bool {
        IpNet::new(self.address, self.length).is_ok_and(|network| network.contains(&address.to_canonical()))
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PbxSettings {
    #[n(0)]
    pub registrar: Box<str>,
    #[n(1)]
    pub registrar_port: u16,
    #[n(2)]
    pub emergency_numbers: Vec<String>,
    #[n(3)]
    pub authentication_number: Box<str>,
}

impl Default for PbxSettings {
    fn default() -> Self {
        Self {
            registrar: "pbx.invalid".into(),
            registrar_port: 5060,
            emergency_numbers: vec!["112".to_owned()],
            authentication_number: "*99".into(),
        }
    }
}

pub const PERMANENT_MAX: usize = 200;
pub const TEMPORARY_MAX: usize = 1_000;
/// How long a right PAP, or a device provisioned meanwhile, keeps an address.
pub const TEMPORARY_FOR: Duration = Duration::from_secs(8 * 3600);

#[derive(Debug, Clone, PartialEq)]
pub enum PhonesCommand {
    MakePath {
        salt: Salt,
    },
    Set(PbxSettings),
    Allow {
        network: Network,
        note: Box<str>,
    },
    Revoke {
        entry: u32,
    },
    /// A device's PAP was right; its last minimal fetch came from there.
    Trusted {
        address: IpAddr,
        at: UnixMillis,
    },
    /// A device was provisioned from there.
    Provisioned {
        address: IpAddr,
        at: UnixMillis,
    },
    /// All devices go out with their PAPs; only that they did is noted.
    Export,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum PhonesEvent {
    #[n(0)]
    PathMade {
        #[n(0)]
        salt: Salt,
    },
    #[n(1)]
    Set(#[n(0)] PbxSettings),
    #[n(2)]
    Allowed(#[n(0)] Permanent),
    #[n(3)]
    Revoked {
        #[n(0)]
        entry: u32,
    },
    #[n(4)]
    AllowedFor(#[n(0)] Temporary),
    #[n(5)]
    Extended {
        #[n(0)]
        entry: u32,
        #[n(1)]
        until: UnixMillis,
    },
    #[n(6)]
    Exported,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhonesRefusal {
    NoEntry,
    Full,
}

impl Phones {
    pub fn decide(
        &self,
        command: &PhonesCommand,
        now: UnixMillis,
        mut push: impl FnMut(PhonesEvent),
    ) -> Result<(), PhonesRefusal> {
        match command {
            PhonesCommand::MakePath { salt } => {
                if self.path != Some(*salt) {
                    push(PhonesEvent::PathMade { salt: *salt });
                }
            }
            PhonesCommand::Set(pbx) => {
                if self.pbx != *pbx {
                    push(PhonesEvent::Set(pbx.clone()));
                }
            }
            PhonesCommand::Allow { network, note } => {
                if self.permanent.iter().any(|known| known.network == *network) {
                    return Ok(());
                }
                if self.permanent.len() >= PERMANENT_MAX {
                    return Err(PhonesRefusal::Full);
                }
                let (entry, note) = (self.entries + 1, note.clone());
                push(PhonesEvent::Allowed(Permanent { entry, network: *network, note, since: now }));
            }
            PhonesCommand::Revoke { entry } => {
                let is_there = self.permanent.iter().any(|known| known.entry == *entry)
                    || self.temporary.iter().any(|known| known.entry == *entry && now < known.until);
                if !is_there {
                    return Err(PhonesRefusal::NoEntry);
                }
                push(PhonesEvent::Revoked { entry: *entry });
            }
            PhonesCommand::Trusted { address, at } => match self.standing(*address, *at) {
                Some(known) => push(PhonesEvent::Extended { entry: known.entry, until: extended(known, *at) }),
                None => push(PhonesEvent::AllowedFor(Temporary {
                    entry: self.entries + 1,
                    address: *address,
                    since: *at,
                    until: at.plus(TEMPORARY_FOR),
                })),
            },
            PhonesCommand::Provisioned { address, at } => {
                if let Some(known) = self.standing(*address, *at).filter(|known| known.until < extended(known, *at)) {
                    push(PhonesEvent::Extended { entry: known.entry, until: extended(known, *at) });
                }
            }
            PhonesCommand::Export => push(PhonesEvent::Exported),
        }
        Ok(())
    }

    pub fn apply(&mut self, event: &PhonesEvent, stamp: Stamp) {
        match event {
            PhonesEvent::PathMade { salt } => self.path = Some(*salt),
            PhonesEvent::Set(pbx) => self.pbx = pbx.clone(),
            PhonesEvent::Allowed(entry) => {
                self.entries = entry.entry;
                self.permanent.push(entry.clone());
            }
            PhonesEvent::Revoked { entry } => {
                self.permanent.retain(|known| known.entry != *entry);
                self.temporary.retain(|known| known.entry != *entry);
            }
            PhonesEvent::AllowedFor(entry) => {
                self.entries = entry.entry;
                self.temporary.retain(|known| known.until > stamp.at && known.address != entry.address);
                if self.temporary.len() >= TEMPORARY_MAX
                    && let Some(first) = (0..self.temporary.len()).min_by_key(|at| self.temporary[*at].until)
                {
                    self.temporary.swap_remove(first);
                }
                self.temporary.push(*entry);
            }
            PhonesEvent::Extended { entry, until } => {
                let known = self.temporary.iter_mut().find(|known| known.entry == *entry);
                if let Some(known) = known {
                    known.until = *until;
                }
            }
            PhonesEvent::Exported => {}
        }
    }

    /// The temporary entry of an address, as long as it lasts.
    fn standing(&self, address: IpAddr, at: UnixMillis) -> Option<&Temporary> {
        self.temporary.iter().find(|known| known.address == address && at < known.until)
    }

    /// Whether an address is trusted.
    pub fn trusts(&self, address: IpAddr, now: UnixMillis) -> bool {
        let address = address.to_canonical();
        self.standing(address, now).is_some() || self.permanent.iter().any(|known| known.network.contains(address))
    }
}

/// Never earlier.
fn extended(known: &Temporary, at: UnixMillis) -> UnixMillis {
    known.until.max(at.plus(TEMPORARY_FOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const PHONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn take(phones: &mut Phones, command: PhonesCommand, now: u64) -> Vec<PhonesEvent> {
        let mut events = Vec::new();
        phones.decide(&command, UnixMillis(now), |event| events.push(event)).unwrap();
        events.iter().for_each(|event| phones.apply(event, Stamp { at: UnixMillis(now), revision: 1 }));
        events
    }

    fn provisioned(at: u64) -> PhonesCommand {
        PhonesCommand::Provisioned { address: PHONE, at: UnixMillis(at) }
    }

    /// Number 9 of what a demanding user tries.
    #[test]
    fn what_comes_before_the_end_moves_it_and_what_comes_after_does_not() {
        let mut phones = Phones::default();
        assert!(take(&mut phones, provisioned(0), 0).is_empty(), "nobody was trusted there");
        take(&mut phones, PhonesCommand::Trusted { address: PHONE, at: UnixMillis(0) }, 5);
        let minute = 60_000;
        let late = phones.clone();
        take(&mut phones, provisioned(8 * HOUR - minute), 8 * HOUR - minute);
        assert!(phones.trusts(PHONE, UnixMillis(16 * HOUR - 2 * minute)));
        assert!(!phones.trusts(PHONE, UnixMillis(16 * HOUR - minute)));
        let mut phones = late;
        assert!(take(&mut phones, provisioned(8 * HOUR + minute), 8 * HOUR + minute).is_empty());
        assert!(!phones.trusts(PHONE, UnixMillis(8 * HOUR + minute)));
    }

    #[test]
    fn an_end_is_never_moved_back_and_lists_are_bounded() {
        let mut phones = Phones::default();
        take(&mut phones, PhonesCommand::Trusted { address: PHONE, at: UnixMillis(HOUR) }, HOUR);
        assert!(take(&mut phones, provisioned(0), HOUR).is_empty(), "a word that comes late");
        for n in 0..=TEMPORARY_MAX as u32 {
            let address = IpAddr::V4((0x0a00_0000 + n).into());
            take(&mut phones, PhonesCommand::Trusted { address, at: UnixMillis(2 * HOUR + u64::from(n)) }, 2 * HOUR);
        }
        assert_eq!(phones.temporary.len(), TEMPORARY_MAX);
        assert!(!phones.trusts(PHONE, UnixMillis(2 * HOUR)), "the one that ends first made room");
        for n in 0..PERMANENT_MAX as u32 {
            let network = Network { address: IpAddr::V4((0x0b00_0000 + n).into()), length: 32 };
            take(&mut phones, PhonesCommand::Allow { network, note: "".into() }, 0);
        }
        let network = Network { address: PHONE, length: 32 };
        let full = phones.decide(&PhonesCommand::Allow { network, note: "".into() }, UnixMillis(0), |_| {});
        assert_eq!(full, Err(PhonesRefusal::Full));
        let mapped: IpAddr = "::ffff:11.0.0.5".parse().unwrap();
        assert!(phones.trusts(mapped, UnixMillis(0)));
        let entry = phones.permanent[5].entry;
        take(&mut phones, PhonesCommand::Revoke { entry }, 0);
        assert!(!phones.trusts(mapped, UnixMillis(0)));
    }
}
