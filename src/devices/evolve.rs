//! What a device is after an event, and what follows from it for the house: claims, deadlines, rows.

use super::{
    Mac, decide, effects,
    state::{Command, Device, Event, Guess, Known, Refusal, Standing, Told},
    words::{Authentication, Salt},
};
use crate::{
    kernel::{Address, ClaimOp, ClaimSpace, Codec, Context, Effects, EntityKind, Machine, Progress, Stamp, UnixMillis},
    orgs::Mark,
};

impl Machine for Device {
    const KIND: EntityKind = EntityKind::Device;
    const EVOLVE_VERSION: u16 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;
    type Answer = Told;
    type View = ();

    fn blank(address: Address) -> Self {
        Self { address, standing: Standing::Unknown }
    }

    fn decide(&self, command: &Command, _: usize, cx: &Context, events: &mut Vec<Event>) -> Result<Progress, Refusal> {
        match (command, &self.standing) {
            (Command::Create { description, pap, .. }, Standing::Unknown) => {
                events.push(Event::Created { description: description.clone(), pap: pap.mark });
            }
            (Command::Create { description, .. }, Standing::Known(known)) if known.description == *description => {}
            (Command::Create { .. }, _) => return Err(Refusal::AlreadyExists),
            (Command::Delete, Standing::Deleted) => {}
            // Of what the server itself remarks, too late.
            (
                Command::Delivered { .. } | Command::Used { .. } | Command::Seen(_) | Command::Tick,
                Standing::Deleted,
            ) => {}
            (_, Standing::Unknown | Standing::Deleted) => return Err(Refusal::NotFound),
            (_, Standing::Known(known)) => decide::decide(known, command, cx.now, events)?,
        }
        Ok(Progress::Done)
    }

    fn evolve(&mut self, event: &Event, stamp: Stamp) {
        match (event, &mut self.standing) {
            (Event::Created { description, pap }, standing) => {
                *standing = Standing::Known(Box::new(Known {
                    description: description.clone(),
                    created: stamp.at,
                    changed: stamp.revision,
                    authentication: Authentication::Required,
                    pap: Some(*pap),
                    wrong: Vec::new(),
                    rounds: 0,
                    locked_attempts: 0,
                    suspended_until: None,
                    window: None,
                    credential: None,
                    previous: None,
                    contact: None,
                    contact_at: UnixMillis(0),
                }));
            }
            (Event::Deleted { .. }, standing) => *standing = Standing::Deleted,
            (event, Standing::Known(known)) => known.apply(event, stamp),
            (_, Standing::Unknown | Standing::Deleted) => {}
        }
    }

    fn claims(&self, _: &Command, events: &[Event], claims: &mut Vec<ClaimOp>) {
        let mut mac = self.known().map(|known| known.description.mac);
        let mut pap = self.known().and_then(|known| known.pap);
        for event in events {
            let (next_mac, next_pap) = match event {
                Event::Created { description, pap } => (Some(description.mac), Some(*pap)),
                Event::Changed { description, .. } => (Some(description.mac), pap),
                Event::Reset { pap } => (mac, Some(*pap)),
                Event::Provisioned { .. } => (mac, None),
                Event::Deleted { .. } => (None, None),
                _ => continue,
            };
            let bytes = |mac: Mac| mac.0.to_vec();
            exchange(ClaimSpace::DeviceMac, mac.map(bytes), next_mac.map(bytes), claims);
            let bytes = |mark: Mark| mark.0.to_vec();
            exchange(ClaimSpace::Pap, pap.map(bytes), next_pap.map(bytes), claims);
            (mac, pap) = (next_mac, next_pap);
        }
    }

    fn answer(&self, command: &Command, events: &[Event], _: u64, cx: &Context) -> Told {
        match (command, self.known()) {
            (Command::Authenticate { guess, .. }, Some(known)) => Told::Outcome {
                outcome: known.outcome(*guess, events, cx.now),
                judged_wrong: events.iter().any(|event| matches!(event, Event::Guessed { .. })),
            },
            (Command::Admit { .. }, Some(known)) => Told::Credential(known.credential),
            _ => Told::Nothing,
        }
    }

    fn effects(&self, command: &Command, events: &[Event], cx: &Context, effects: &mut Effects) {
        effects::of_device(self, command, events, cx, effects);
    }

    fn standing_rows(&self, rows: &mut Effects) {
        effects::rows(self, rows);
    }

    /// What phones do is no change that an administrator would overwrite.
    fn tag(&self, _: &Command, _: u64) -> Option<u64> {
        self.known().map(|known| known.changed)
    }

    fn next_deadline(&self) -> Option<UnixMillis> {
        let known = self.known()?;
        let locked = match known.authentication {
            Authentication::Failed { until } => Some(until),
            _ => None,
        };
        locked.into_iter().chain(known.suspended_until).min()
    }

    fn tick() -> Option<Command> {
        Some(Command::Tick)
    }

    fn to_snapshot(&self, bytes: &mut Vec<u8>) {
        self.encode_into(bytes);
    }

    fn from_snapshot(bytes: &[u8]) -> Result<Self, String> {
        Codec::decode_from(bytes)
    }
}

/// Takes what is new and gives back what is no longer there.
fn exchange(space: ClaimSpace, before: Option<Vec<u8>>, after: Option<Vec<u8>>, claims: &mut Vec<ClaimOp>) {
    if before != after {
        claims.extend(after.map(|value| ClaimOp::Take { space, value }));
        claims.extend(before.map(|value| ClaimOp::Release { space, value }));
    }
}

impl Known {
    fn apply(&mut self, event: &Event, stamp: Stamp) {
        match event {
            Event::Created { .. } | Event::Deleted { .. } | Event::PapShown => {}
            Event::Changed { description, left, .. } => {
                self.description = description.clone();
                if left.is_some() {
                    // From where the phone before it came says nothing of this one.
                    self.contact = None;
                }
                self.changed = stamp.revision;
            }
            Event::Authenticated { window, salt } => {
                self.authentication = Authentication::Successful { provisioned: false };
                self.forget_counts();
                self.window = *window;
                self.mint(*salt);
            }
            Event::Guessed { trace } => self.wrong.push(Guess { trace: *trace, at: stamp.at }),
            Event::Locked { until } => {
                self.authentication = Authentication::Failed { until: *until };
                self.begin_lock();
            }
            Event::Blocked => {
                self.authentication = Authentication::Blocked;
                self.begin_lock();
            }
            Event::LockEnded => {
                self.authentication = Authentication::Required;
                self.wrong.clear();
            }
            Event::RefusedWhileLocked => self.locked_attempts += 1,
            Event::CredentialMinted { salt } => self.mint(*salt),
            // The window stays: the phone may still be in the middle of its start.
            Event::Provisioned { .. } => {
                self.authentication = Authentication::Successful { provisioned: true };
                self.forget_counts();
                self.pap = None;
            }
            Event::PreviousEnded => self.previous = None,
            Event::Seen(contact) => {
                self.contact = Some(contact.clone());
                self.contact_at = stamp.at;
            }
            Event::Suspended { until } => self.suspended_until = Some(*until),
            Event::SuspensionEnded => self.suspended_until = None,
            Event::Reset { pap } => {
                self.authentication = Authentication::Required;
                self.forget_counts();
                self.pap = Some(*pap);
                (self.window, self.credential, self.previous) = (None, None, None);
            }
        }
    }

    fn forget_counts(&mut self) {
        self.wrong.clear();
        (self.rounds, self.locked_attempts) = (0, 0);
    }

    /// The guesses stay to be seen until the lock ends.
    fn begin_lock(&mut self) {
        self.rounds = self.rounds.saturating_add(1);
        self.locked_attempts = 0;
    }

    fn mint(&mut self, salt: Salt) {
        self.previous = self.credential.replace(salt);
    }
}
