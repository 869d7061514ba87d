//! What would happen to a shopper, and what follows for the house.

use super::{
    effects,
    state::{Command, Event, Known, NewRole, Refusal, Shopper, SignIn, Standing, Told},
};
use crate::{
    iuv::{ShopperMessage, words::Attributes},
    kernel::{Address, Codec, Context, Effects, EntityKind, Incoming, Machine, ProductId, Progress, ShopperId, Stamp},
};
use std::cmp::Ordering;

impl Machine for Shopper {
    const KIND: EntityKind = EntityKind::Shopper;
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
            // A session that was there before: what it knows must not bring him back.
            (Command::SignIn(sign_in), Standing::Erased { at: Some(at), .. }) if sign_in.registered <= *at => {
                return Err(Refusal::NotFound);
            }
            (Command::SignIn(sign_in), _) => self.sign_in(sign_in, events),
            (Command::Allow(sign_in), _) => {
                self.describe(sign_in, events);
                if self.known().is_none_or(|known| !known.allowed) {
                    events.push(Event::Allowed);
                }
            }
            (Command::AskForLink { purpose, test, link, newcomer }, standing) => match (standing, newcomer) {
                (Standing::Known(known), _) => known.ask_for_link(*purpose, *test, link, cx.now, events)?,
                (_, Some(newcomer)) => {
                    self.describe(newcomer, events);
                    events.push(link.to_link(*purpose, *test, cx.now));
                }
                (_, None) => return Err(Refusal::NotFound),
            },
            // Word that comes too late for somebody who is erased, and says nothing any more.
            (Command::CodeGiven { .. } | Command::NoCode { .. } | Command::ReceiveRole(_), Standing::Erased { .. }) => {
            }
            (Command::Erase, Standing::Erased { .. }) => {}
            (_, Standing::Unknown | Standing::Erased { .. }) => return Err(Refusal::NotFound),
            (_, Standing::Known(known)) => known.decide(command, cx, events)?,
        }
        Ok(Progress::Done)
    }

    fn evolve(&mut self, event: &Event, stamp: Stamp) {
        self.apply(event, stamp);
    }

    fn answer(&self, command: &Command, events: &[Event], _: u64, _: &Context) -> Told {
        match command {
            Command::PlaceOrder { .. } => self.known().map_or(Told::Nothing, |known| Told::Ordered(known.orders_made)),
            Command::BeginGuess => self.known().and_then(|known| known.password).map_or(Told::Nothing, Told::Guess),
            Command::EndGuess { .. } => Told::Entered(events.iter().any(|event| matches!(event, Event::GuessedRight))),
            Command::FollowLink { .. } | Command::SetPassword { .. } => {
                Told::Entered(events.iter().any(|event| matches!(event, Event::LinkUsed)))
            }
            _ => Told::Nothing,
        }
    }

    fn effects(&self, command: &Command, events: &[Event], _: &Context, effects: &mut Effects) {
        effects::of_shopper(self, command, events, effects);
    }

    fn standing_rows(&self, rows: &mut Effects) {
        effects::rows(self, rows);
    }

    /// What shoppers do themselves is no change that an administrator would overwrite.
    fn tag(&self, _: &Command, _: u64) -> Option<u64> {
        self.known().map(|known| known.changed)
    }

    fn message(message: Incoming<'_>) -> Result<Command, String> {
        let product = || match message.from.entity.kind {
            EntityKind::Product => Ok(ProductId(message.from.entity.raw)),
            kind => Err(format!("codes come from products, not from a {}", kind.name())),
        };
        Ok(match ShopperMessage::decode_from(message.body)? {
            ShopperMessage::SignedIn { store, kind, at, .. } => {
                let plain = message.secret.ok_or("a sign-in without attributes")?;
                Command::SignIn(SignIn::of(store, kind, at, Attributes::decode_from(plain)?))
            }
            ShopperMessage::CodeGiven { order, line, number } => {
                Command::CodeGiven { product: product()?, order, line, number }
            }
            ShopperMessage::NoCode { order, line } => Command::NoCode { product: product()?, order, line },
            ShopperMessage::Role { role } => {
                Command::ReceiveRole(NewRole { role, from: ShopperId(message.from.entity.raw) })
            }
        })
    }

    fn to_snapshot(&self, bytes: &mut Vec<u8>) {
        self.encode_into(bytes);
    }

    fn from_snapshot(bytes: &[u8]) -> Result<Self, String> {
        Codec::decode_from(bytes)
    }
}

impl Shopper {
    /// Membership that were said later than these stand; the sign-in counts all the same.
    fn sign_in(&self, sign_in: &SignIn, events: &mut Vec<Event>) {
        match self.known().map(|known| known.registered.cmp(&sign_in.registered)) {
            // Two pages of one session.
            Some(Ordering::Equal) => return,
            Some(Ordering::Greater) => {}
            Some(Ordering::Less) | None => self.describe(sign_in, events),
        }
        events.push(Event::SignedIn { registered: sign_in.registered });
    }

    fn describe(&self, sign_in: &SignIn, events: &mut Vec<Event>) {
        if self.known().is_none_or(|known| known.membership != sign_in.membership) {
            events.push(Event::Described(sign_in.membership.clone()));
        }
    }
}

impl Known {
    fn decide(&self, command: &Command, cx: &Context, events: &mut Vec<Event>) -> Result<(), Refusal> {
        match command {
            // Judged before, for whoever is not known too.
            Command::SignIn(_) | Command::Allow(_) | Command::AskForLink { .. } => {}
            Command::ReceiveRole(new) => {
                if !self.has_role(new.role) {
                    events.push(Event::RoleReceived { role: new.role, from: new.from });
                }
            }
            Command::Bar => {
                if self.allowed {
                    events.push(Event::Barred);
                }
            }
            Command::PutInCart(offer) => self.put_in_cart(offer, events)?,
            Command::TakeFromCart(product) => {
                if self.cart.contains(product) {
                    events.push(Event::TakenFromCart(*product));
                }
            }
            Command::PlaceOrder { test, offers } => self.place_order(*test, offers, cx.now, events)?,
            Command::CodeGiven { product, order, line, number } => {
                if self.waits(*product, *order, *line) {
                    events.push(Event::CodeReceived { order: *order, line: *line, number: *number });
                }
            }
            Command::NoCode { product, order, line } => {
                if self.waits(*product, *order, *line) {
                    events.push(Event::CodeDenied { order: *order, line: *line });
                }
            }
            Command::Invite { link } => self.invite(link, cx.now, events),
            Command::FollowLink { mark, test } => self.follow_link(*mark, *test, cx.now, events)?,
            Command::SetPassword { mark, .. } => self.set_password(*mark, cx.now, events)?,
            Command::BeginGuess => self.begin_guess(cx.now, events)?,
            Command::EndGuess { password, right } => {
                if *right && self.password == Some(*password) {
                    events.push(Event::GuessedRight);
                }
            }
            Command::Grant(role) => {
                if !self.has_role(*role) {
                    events.push(Event::RoleGranted(*role));
                }
            }
            Command::Revoke(role) => {
                if self.has_role(*role) {
                    events.push(Event::RoleRevoked(*role));
                }
            }
            Command::AskTransfer { to, role, link } => self.ask_transfer(*to, *role, link, cx.now, events)?,
            Command::EndTransfer { mark, confirmed } => self.end_transfer(*mark, *confirmed, cx.now, events)?,
            Command::Erase => events.push(Event::Erased),
        }
        Ok(())
    }
}
