//! Stories on the pure core of a store.

mod golden;
mod stories;
mod walk;

use super::{check_invariants, state::*};
use crate::{
    iuv::{
        testing::*,
        words::{VerificationKind, VerificationState},
    },
    kernel::*,
    orgs::{Language, Mark, Network},
};
use std::{collections::BTreeSet, time::Duration};
use zeroize::Zeroizing;

pub(super) fn description() -> Description {
    Description {
        account: 100_001_111,
        system_name: "Software-Shop".into(),
        name: "Segreteria".into(),
        language: Language::It,
        academic: true,
    }
}

pub(super) fn network(text: &str) -> Network {
    text.parse::<ipnet::IpNet>().unwrap().into()
}

pub(super) fn mark(n: u8) -> Mark {
    Mark([n; 16])
}

/// One store, its time, and everything that ever happened to it.
#[derive(Clone)]
pub(super) struct Story {
    pub store: WebStore,
    pub now: UnixMillis,
    pub history: Vec<(UnixMillis, Event)>,
    pub claims: BTreeSet<(u8, Vec<u8>)>,
    pub mails: usize,
}

impl Story {
    pub fn new() -> Self {
        let mut story = Self {
            store: WebStore::blank(STORE.at(ORG)),
            now: START,
            history: Vec::new(),
            claims: BTreeSet::new(),
            mails: 0,
        };
        story.tell(Command::Create(description())).unwrap();
        story
    }

    pub fn known(&self) -> &Known {
        self.store.known().unwrap()
    }

    pub fn pass(&mut self, span: Duration) {
        self.now = self.now.plus(span);
    }

    pub fn tell(&mut self, command: Command) -> Result<usize, Refusal> {
        let cx = context(self.now);
        let mut events = Vec::new();
        self.store.decide(&command, 0, &cx, &mut events)?;
        let mut claims = Vec::new();
        self.store.claims(&command, &events, &mut claims);
        for claim in claims {
            match claim {
                ClaimOp::Take { space, value } => assert!(self.claims.insert((space as u8, value)), "{command:?}"),
                ClaimOp::Release { space, value } => assert!(self.claims.remove(&(space as u8, value))),
                other => panic!("{other:?}"),
            }
        }
        for event in &events {
            self.history.push((self.now, event.clone()));
            self.store.evolve(event, Stamp { at: self.now, revision: self.history.len() as u64 });
        }
        assert_eq!(check_invariants(&self.store), [], "{command:?}: {events:?}");
        let mut effects = Effects::default();
        self.store.effects(&command, &events, &cx, &mut effects);
        self.mails += effects.mails.len();
        Ok(events.len())
    }

    pub fn sealed(&self) -> Sealed {
        Sealed { from: self.known().secrets, plain: Zeroizing::new(vec![1]) }
    }

    pub fn add(&mut self, kind: VerificationKind) -> Result<u32, Refusal> {
        self.tell(Command::AddVerification { kind })?;
        Ok(self.known().verifications_made)
    }

    pub fn set(&mut self, verification: u32, settings: Settings) -> Result<usize, Refusal> {
        let administrators = Some((1, self.sealed()));
        self.tell(Command::Set { verification, settings, administrators })
    }

    pub fn save(&mut self, verification: u32, key: u8, is_short: bool, overlap: Duration) -> Result<usize, Refusal> {
        let sealed = self.sealed();
        self.tell(Command::SaveKey { verification, mark: mark(key), is_short, overlap, sealed })
    }

    pub fn put(&mut self, verification: u32, state: VerificationState) -> Result<usize, Refusal> {
        self.tell(Command::SetState { verification, state })
    }

    /// An IUV verification type with all that it needs, in test.
    pub fn ready_iuv(&mut self, key: u8) -> u32 {
        let verification = self.add(VerificationKind::Iuv).unwrap();
        let settings = Settings { external_url: Some("https://a.example/".into()), ..Settings::default() };
        self.set(verification, settings).unwrap();
        self.save(verification, key, false, Duration::ZERO).unwrap();
        verification
    }

    pub fn state(&self, verification: u32) -> VerificationState {
        self.known().verification(verification).unwrap().state
    }

    pub fn reloaded(&self) -> WebStore {
        let mut store = WebStore::blank(STORE.at(ORG));
        for ((at, event), revision) in self.history.iter().zip(1..) {
            let event = Event::decode_from(&event.to_bytes()).unwrap();
            store.evolve(&event, Stamp { at: *at, revision });
        }
        store
    }
}
