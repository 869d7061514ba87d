//! What would happen to a product, what it is after it, and what follows for the house.

use super::{
    effects,
    messages::ProductMessage,
    state::{Command, Event, Known, Product, Refusal, WAITING_MAX, Want},
};
use crate::kernel::{
    Address, ClaimOp, ClaimSpace, Codec, Context, Effects, EntityId, EntityKind, Incoming, Machine, Progress,
    ShopperId, Stamp,
};
use std::collections::VecDeque;

impl Machine for Product {
    const KIND: EntityKind = EntityKind::Product;
    const EVOLVE_VERSION: u16 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;
    type Answer = ();
    type View = ();

    fn blank(address: Address) -> Self {
        Self { address, known: None }
    }

    fn decide(&self, command: &Command, _: usize, _: &Context, events: &mut Vec<Event>) -> Result<Progress, Refusal> {
        match (command, self.known.as_deref()) {
            (Command::Create(description), None) => events.push(Event::Created(description.clone())),
            (Command::Create(description), Some(known)) if known.description == *description => {}
            (Command::Create(_), Some(_)) => return Err(Refusal::AlreadyExists),
            (_, None) => return Err(Refusal::NotFound),
            (Command::Change(changes), Some(known)) => {
                let description = changes.applied(&known.description);
                if description != known.description {
                    events.push(Event::Changed(description));
                }
            }
            (Command::AddCodes(codes), Some(known)) => known.add(codes.len() as u32, events),
            (Command::Want(want), Some(known)) => known.give(*want, events),
        }
        Ok(Progress::Done)
    }

    fn evolve(&mut self, event: &Event, stamp: Stamp) {
        match (event, self.known.as_deref_mut()) {
            (Event::Created(description), _) => {
                self.known = Some(Box::new(Known {
                    description: description.clone(),
                    created: stamp.at,
                    changed: stamp.revision,
                    added: 0,
                    given: 0,
                    waiting: VecDeque::new(),
                    low: false,
                    empty: false,
                }));
            }
            (event, Some(known)) => known.apply(event, stamp),
            (_, None) => {}
        }
    }

    /// A code's text is taken for ever, and by this product too: it cannot come twice.
    fn claims(&self, command: &Command, events: &[Event], claims: &mut Vec<ClaimOp>) {
        let added = events.iter().any(|event| matches!(event, Event::CodesAdded { .. }));
        if let (Command::AddCodes(codes), true) = (command, added) {
            let take = codes
                .iter()
                .map(|code| ClaimOp::TakeFree { space: ClaimSpace::Code, value: code.0.as_bytes().to_vec() });
            claims.extend(take);
        }
    }

    fn answer(&self, _: &Command, _: &[Event], _: u64, _: &Context) {}

    fn effects(&self, command: &Command, events: &[Event], cx: &Context, effects: &mut Effects) {
        effects::of_product(self, command, events, cx, effects);
    }

    fn standing_rows(&self, rows: &mut Effects) {
        effects::row(self, rows);
    }

    /// What shoppers take is no change that an administrator would overwrite.
    fn tag(&self, _: &Command, _: u64) -> Option<u64> {
        self.known.as_ref().map(|known| known.changed)
    }

    fn message(message: Incoming<'_>) -> Result<Command, String> {
        let EntityId { kind: EntityKind::Shopper, raw } = message.from.entity else {
            return Err("products take messages of shoppers".to_owned());
        };
        let ProductMessage::Want { order, line } = ProductMessage::decode_from(message.body)?;
        Ok(Command::Want(Want { shopper: ShopperId(raw), order, line }))
    }

    fn to_snapshot(&self, bytes: &mut Vec<u8>) {
        self.encode_into(bytes);
    }

    fn from_snapshot(bytes: &[u8]) -> Result<Self, String> {
        Codec::decode_from(bytes)
    }
}

impl Known {
    fn add(&self, count: u32, events: &mut Vec<Event>) {
        if count == 0 {
            return;
        }
        events.push(Event::CodesAdded { first: self.added + 1, count });
        let served = (self.waiting.len() as u64).min(u64::from(count));
        for (want, number) in self.waiting.iter().zip(self.given + 1..).take(served as usize) {
            events.push(Event::Given { number, to: *want });
        }
        if served > 0 {
            self.warn(self.left() + u64::from(count) - served, (false, false), events);
        }
    }

    fn give(&self, want: Want, events: &mut Vec<Event>) {
        if self.left() > 0 {
            events.push(Event::Given { number: self.given + 1, to: want });
            return self.warn(self.left() - 1, (self.low, self.empty), events);
        }
        events.push(match self.waiting.len() < WAITING_MAX {
            true => Event::Waits(want),
            false => Event::TurnedAway(want),
        });
        self.warn(0, (self.low, self.empty), events);
    }

    /// Says once that the pool gets low, and once that it is empty.
    fn warn(&self, left: u64, (low, empty): (bool, bool), events: &mut Vec<Event>) {
        if left == 0 {
            if !empty {
                events.push(Event::RanOut);
            }
        } else if left <= u64::from(self.description.alert_below) && !low {
            events.push(Event::RanLow { left });
        }
    }

    fn apply(&mut self, event: &Event, stamp: Stamp) {
        match event {
            Event::Created(_) | Event::TurnedAway(_) => {}
            Event::Changed(description) => {
                self.description = description.clone();
                self.changed = stamp.revision;
            }
            Event::CodesAdded { count, .. } => {
                self.added += u64::from(*count);
                self.changed = stamp.revision;
                self.empty = false;
                self.low = self.low && self.left() <= u64::from(self.description.alert_below);
            }
            Event::Given { number, to } => {
                self.given = *number;
                self.waiting.retain(|want| want != to);
            }
            Event::Waits(want) => self.waiting.push_back(*want),
            Event::RanLow { .. } => self.low = true,
            Event::RanOut => (self.low, self.empty) = (true, true),
        }
    }
}
