//! Stories on the pure core: what a person tries, and what must happen.

mod golden;
mod stories;
mod walk;

use super::{
    Changes, Command, Description, Device, Event, FreshPap, Mac, Outcome, Pap, Refusal, Rules, Salt, Told, Why,
    check_invariants, provisioning::Vendor,
};
use crate::kernel::*;
use std::{net::IpAddr, time::Duration};

pub(super) const ORG: OrgId = OrgId(7);
pub(super) const DEVICE: DeviceId = DeviceId(1);
pub(super) const START: UnixMillis = UnixMillis(1_767_225_600_000);
pub(super) const PHONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

pub(super) struct Keys;

impl KeyedHash for Keys {
    fn keyed_hash(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        use sha2::{Digest, Sha256};
        let hash = Sha256::new().chain_update(purpose);
        parts.iter().fold(hash, |hash, part| hash.chain_update([part.len() as u8]).chain_update(part)).finalize().into()
    }
}

pub(super) fn context(now: UnixMillis) -> Context {
    Context { org: ORG, now, epoch: 1, up_since: START, by: Principal::Server, from: None }
}

pub(super) fn pap(text: &str) -> Pap {
    Pap::parse(text).unwrap()
}

pub(super) fn fresh(text: &str) -> FreshPap {
    FreshPap { mark: pap(text).mark(&Keys, ORG), plain: text.as_bytes().to_vec().into() }
}

pub(super) fn described() -> Description {
    Description {
        mac: Mac([0x00, 0x04, 0x13, 0xab, 0xcd, 0xef]),
        vendor: Vendor::Snom,
        model: None,
        label: "Reception".into(),
        site: "Bolzano".into(),
        accounts: 0,
    }
}

pub(super) fn salt(n: u8) -> Salt {
    Salt([n; 16])
}

pub(super) fn guess(text: &str) -> Command {
    guess_from(text, Some(PHONE))
}

pub(super) fn guess_from(text: &str, seen: Option<IpAddr>) -> Command {
    let pap = pap(text);
    Command::Authenticate {
        guess: pap.mark(&Keys, ORG),
        trace: crate::devices::words::trace(&Keys, DEVICE, pap.as_str().as_bytes()),
        seen,
        salt: salt(1),
        rules: Rules::default(),
    }
}

/// One device, its time, and everything that ever happened to it.
#[derive(Clone)]
pub(super) struct Story {
    pub device: Device,
    pub now: UnixMillis,
    pub history: Vec<(UnixMillis, Event)>,
    pub effects: Vec<MessageTarget>,
}

pub(super) const RIGHT: &str = "000123";

impl Story {
    pub fn new() -> Self {
        let device = Device::blank(DEVICE.at(ORG));
        let mut story = Self { device, now: START, history: Vec::new(), effects: Vec::new() };
        story.tell(Command::Create { description: described(), accounts: None, pap: fresh(RIGHT) }).unwrap();
        story
    }

    pub fn pass(&mut self, span: Duration) {
        self.now = self.now.plus(span);
    }

    pub fn tell(&mut self, command: Command) -> Result<Told, Refusal> {
        let cx = context(self.now);
        let mut events = Vec::new();
        self.device.decide(&command, 0, &cx, &mut events)?;
        let before = self.device.clone();
        for event in &events {
            self.history.push((self.now, event.clone()));
            self.device.evolve(event, Stamp { at: self.now, revision: self.history.len() as u64 });
        }
        assert_eq!(check_invariants(&before, &events, &self.device, self.now), [], "{command:?}: {events:?}");
        let mut effects = Effects::default();
        self.device.effects(&command, &events, &cx, &mut effects);
        self.effects.extend(effects.messages.into_iter().map(|message| message.to));
        Ok(self.device.answer(&command, &events, self.history.len() as u64, &cx))
    }

    pub fn enter(&mut self, text: &str) -> Outcome {
        match self.tell(guess(text)) {
            Ok(Told::Outcome { outcome, .. }) => outcome,
            other => panic!("{other:?}"),
        }
    }

    /// What a new process makes of the history (DEV-4).
    pub fn reloaded(&self) -> Device {
        let mut device = Device::blank(DEVICE.at(ORG));
        for ((at, event), revision) in self.history.iter().zip(1..) {
            // Through the bytes that are stored.
            let event = Event::decode_from(&event.to_bytes()).unwrap();
            device.evolve(&event, Stamp { at: *at, revision });
        }
        device
    }

    pub fn known(&self) -> &super::Known {
        self.device.known().unwrap()
    }

    pub fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.history.iter().filter(|(_, event)| is(event)).count()
    }
}
