//! A small machine to try the shell with.

use super::*;

/// Adds up, tells others, takes names, panics when asked to.
#[derive(Debug, Default, Clone, PartialEq, minicbor::Encode, minicbor::Decode)]
pub struct Counter {
    #[n(0)]
    pub total: u64,
    #[n(1)]
    pub heard: u64,
    #[n(2)]
    pub ticks: u64,
    #[n(3)]
    pub wake_at: Option<UnixMillis>,
}

#[derive(Debug)]
pub enum Ask {
    Add(u64),
    Many(u64),
    Refuse,
    Panic,
    Tell(Address, u64),
    TellHolder(Vec<u8>, u64),
    /// Mails this recipient a number, until the deadline.
    Mail(Recipient, u64, UnixMillis),
    Seal(VaultField, u8),
    SealAlone(VaultField, u8),
    Erase,
    Take(Vec<u8>),
    Release(Vec<u8>),
    WakeAt(UnixMillis),
    Tick,
    Hear(u64),
    Unclaimed,
}

#[derive(Debug, minicbor::Encode, minicbor::Decode)]
pub enum Event {
    #[n(0)]
    Added(#[n(0)] u64),
    #[n(1)]
    Heard(#[n(0)] u64),
    #[n(2)]
    Noted,
    #[n(3)]
    WakeAt(#[n(0)] UnixMillis),
    #[n(4)]
    Ticked,
}

impl Machine for Counter {
    const KIND: EntityKind = EntityKind::Token;
    const EVOLVE_VERSION: u16 = 1;
    type Command = Ask;
    type Event = Event;
    type Refusal = &'static str;
    type Answer = u64;
    type View = u64;

    fn blank(_: Address) -> Self {
        Self::default()
    }

    fn decide(&self, ask: &Ask, step: usize, cx: &Context, events: &mut Vec<Event>) -> Result<Progress, &'static str> {
        match ask {
            Ask::Add(n) => events.push(Event::Added(*n)),
            Ask::Many(n) => {
                events.push(Event::Added(1));
                return Ok(if step as u64 + 1 < *n { Progress::More } else { Progress::Done });
            }
            Ask::Refuse => return Err("no"),
            Ask::Panic => panic!("as asked"),
            Ask::Tell(..) | Ask::TellHolder(..) | Ask::Mail(..) | Ask::Take(_) | Ask::Release(_) => {
                events.push(Event::Noted)
            }
            Ask::Seal(..) | Ask::SealAlone(..) | Ask::Erase => events.push(Event::Noted),
            Ask::WakeAt(at) => events.push(Event::WakeAt(*at)),
            Ask::Tick if self.wake_at.is_some_and(|at| at <= cx.now) => events.push(Event::Ticked),
            Ask::Tick | Ask::Unclaimed => {}
            Ask::Hear(n) => events.push(Event::Heard(*n)),
        }
        Ok(Progress::Done)
    }

    fn evolve(&mut self, event: &Event, _: EventStamp) {
        match event {
            Event::Added(n) => self.total += n,
            Event::Heard(n) => self.heard += n,
            Event::Noted => {}
            Event::WakeAt(at) => self.wake_at = Some(*at),
            Event::Ticked => {
                self.ticks += 1;
                self.wake_at = None;
            }
        }
    }

    fn claims(&self, ask: &Ask, _: &[Event], claims: &mut Vec<ClaimOp>) {
        match ask {
            Ask::Take(value) => claims.push(ClaimOp::Take { space: ClaimSpace::Fob, value: value.clone() }),
            Ask::Release(value) => claims.push(ClaimOp::Release { space: ClaimSpace::Fob, value: value.clone() }),
            _ => {}
        }
    }

    fn answer(&self, _: &Ask, _: &[Event], _: u64, _: &Context) -> u64 {
        self.total
    }

    fn effects(&self, ask: &Ask, _: &[Event], _: &Context, effects: &mut Effects) {
        match ask {
            Ask::Tell(to, n) => effects.send(MessageTarget::Entity(*to), n),
            Ask::TellHolder(value, n) => {
                effects.send(MessageTarget::ClaimHolder { space: ClaimSpace::Fob, value: value.clone() }, n);
            }
            Ask::Seal(field, value) => effects.seal(*field, vec![*value]),
            Ask::SealAlone(field, value) => effects.seal_alone(*field, vec![*value]),
            Ask::Erase => effects.erase(),
            Ask::Mail(to, n, deadline) => effects.mail("number", *to, n, *deadline),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<UnixMillis> {
        self.wake_at
    }

    fn tick() -> Option<Ask> {
        Some(Ask::Tick)
    }

    fn message(message: Incoming<'_>) -> Result<Ask, String> {
        Ok(if message.unclaimed { Ask::Unclaimed } else { Ask::Hear(u64::decode_from(message.body)?) })
    }

    fn view(&self) -> Option<u64> {
        Some(self.total)
    }

    fn to_snapshot(&self, bytes: &mut Vec<u8>) {
        self.encode_into(bytes);
    }

    fn from_snapshot(bytes: &[u8]) -> Result<Self, String> {
        Self::decode_from(bytes)
    }

    /// Version 0 knew the total alone.
    fn from_base(evolve_version: u16, bytes: &[u8]) -> Result<Self, String> {
        match evolve_version {
            0 => Ok(Self { total: u64::decode_from(bytes)?, ..Self::default() }),
            1 => Self::from_snapshot(bytes),
            newer => Err(format!("version {newer}")),
        }
    }
}
