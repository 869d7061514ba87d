//! Stories on the pure core of a session.

mod golden;
mod stories;
mod walk;

use super::{check_invariants, state::*};
use crate::{
    iuv::{
        testing::*,
        words::{Side, VerificationKind},
    },
    kernel::*,
};
use std::{net::IpAddr, time::Duration};
use zeroize::Zeroizing;

pub(super) const SESSION: SessionId = SessionId(5);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(super) const CHECK: Check = Check([4; 16]);

pub(super) fn pass() -> Pass {
    Pass { store: STORE, shopper: ShopperId(9), side: Side::Real, kind: VerificationKind::Iuv, verification: 2 }
}

pub(super) fn registration() -> Registration {
    Registration { pass: pass(), key: 1, check: CHECK, shopper_ip: Some(BROWSER) }
}

pub(super) fn register() -> Command {
    Command::Register { registration: registration(), attributes: Zeroizing::new(vec![1]) }
}

pub(super) fn standing() -> StoreStanding {
    StoreStanding(vec![Accepted { verification: 2, key: 1, side: Side::Real, check_ip: true }])
}

pub(super) fn redemption() -> Redemption {
    Redemption { check: CHECK, store: STORE, from: Some(BROWSER), secret: [6; 32], lasts: DAY }
}

pub(super) fn redeem() -> Command {
    Command::Redeem { redemption: redemption(), standing: standing() }
}

/// One session, its time, and everything that ever happened to it.
#[derive(Clone)]
pub(super) struct Story {
    pub session: IuvSession,
    pub now: UnixMillis,
    pub history: Vec<(UnixMillis, Event)>,
    pub erased: usize,
}

impl Story {
    pub fn new() -> Self {
        let session = IuvSession::blank(SESSION.at(ORG));
        Self { session, now: START, history: Vec::new(), erased: 0 }
    }

    pub fn registered() -> Self {
        let mut story = Self::new();
        story.tell(register()).unwrap();
        story
    }

    pub fn after(mut self, milliseconds: u64) -> Self {
        self.pass(milliseconds);
        self
    }

    pub fn pass(&mut self, milliseconds: u64) {
        self.now = self.now.plus(Duration::from_millis(milliseconds));
    }

    pub fn tell(&mut self, command: Command) -> Result<Told, Refusal> {
        let cx = context(self.now);
        let mut events = Vec::new();
        self.session.decide(&command, 0, &cx, &mut events)?;
        let before = self.session.clone();
        for event in &events {
            self.history.push((self.now, event.clone()));
            self.session.evolve(event, Stamp { at: self.now, revision: self.history.len() as u64 });
        }
        assert_eq!(check_invariants(&before, &events, &self.session, self.now), [], "{command:?}: {events:?}");
        let mut effects = Effects::default();
        self.session.effects(&command, &events, &cx, &mut effects);
        assert!(effects.messages.is_empty(), "a redemption is one record");
        self.erased += effects.vault.iter().filter(|op| matches!(op, VaultOp::Erase)).count();
        Ok(self.session.answer(&command, &events, self.history.len() as u64, &cx))
    }

    pub fn is_in(&self) -> bool {
        self.session.signed_in(self.now).is_some()
    }

    pub fn reloaded(&self) -> IuvSession {
        let mut session = IuvSession::blank(SESSION.at(ORG));
        for ((at, event), revision) in self.history.iter().zip(1..) {
            let event = Event::decode_from(&event.to_bytes()).unwrap();
            session.evolve(&event, Stamp { at: *at, revision });
        }
        session
    }
}
