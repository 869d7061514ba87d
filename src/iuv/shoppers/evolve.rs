//! What a shopper is after an event.

use super::{
    state::{Event, Known, Membership, Shopper, Standing},
    words::{GUESSES_MAX, LineCode},
};
use crate::kernel::{Stamp, UnixMillis};

impl Shopper {
    pub(super) fn apply(&mut self, event: &Event, stamp: Stamp) {
        if let Event::Erased = event {
            self.standing = Standing::Erased { orders_made: self.orders_made(), at: Some(stamp.at) };
            return;
        }
        if self.known().is_none() {
            let Event::Described(membership) = event else { return };
            self.standing = Standing::Known(Box::new(Known::new(membership.clone(), self.orders_made(), stamp)));
        }
        if let Standing::Known(known) = &mut self.standing {
            known.apply(event, stamp);
        }
    }

    fn orders_made(&self) -> u32 {
        match &self.standing {
            Standing::Unknown => 0,
            Standing::Known(known) => known.orders_made,
            Standing::Erased { orders_made, .. } => *orders_made,
        }
    }
}

impl Known {
    fn new(membership: Membership, orders_made: u32, stamp: Stamp) -> Self {
        Self {
            membership,
            created: stamp.at,
            signed_in: None,
            allowed: false,
            roles: Vec::new(),
            cart: Vec::new(),
            orders: Vec::new(),
            orders_made,
            password: None,
            guesses: 0,
            guessed: UnixMillis(0),
            link: None,
            links: Vec::new(),
            transfer: None,
            changed: stamp.revision,
            registered: UnixMillis(0),
        }
    }

    fn apply(&mut self, event: &Event, stamp: Stamp) {
        match event {
            Event::Erased => {}
            Event::Described(membership) => {
                self.membership = membership.clone();
                self.changed = stamp.revision;
            }
            Event::SignedIn { registered } => {
                self.signed_in = Some(stamp.at);
                self.registered = self.registered.max(*registered);
            }
            Event::Allowed | Event::Barred => {
                self.allowed = matches!(event, Event::Allowed);
                self.changed = stamp.revision;
            }
            Event::PutInCart(product) => self.cart.push(*product),
            Event::TakenFromCart(product) => self.cart.retain(|other| other != product),
            Event::Ordered(order) => {
                self.cart.clear();
                self.orders_made = order.number;
                self.orders.push(order.clone());
            }
            Event::CodeReceived { order, line, number } => self.set_code(*order, *line, LineCode::Given(*number)),
            Event::CodeDenied { order, line } => self.set_code(*order, *line, LineCode::Denied),
            Event::LinkMade(link) => {
                self.link = Some(link.clone());
                self.links = self.links_at(stamp.at).chain([stamp.at]).collect();
            }
            Event::LinkUsed => self.link = None,
            Event::PasswordSet => {
                self.password = Some(stamp.revision);
                self.guesses = 0;
                self.changed = stamp.revision;
            }
            Event::GuessCharged => {
                // A lock that is over begins the count anew.
                self.guesses = if self.guesses >= GUESSES_MAX { 1 } else { self.guesses + 1 };
                self.guessed = stamp.at;
            }
            Event::GuessedRight => self.guesses = 0,
            Event::RoleGranted(role) | Event::RoleReceived { role, .. } => {
                if !self.roles.contains(role) {
                    self.roles.push(*role);
                }
                self.changed = stamp.revision;
            }
            Event::RoleRevoked(role) => {
                self.roles.retain(|other| other != role);
                self.changed = stamp.revision;
            }
            Event::TransferAsked(transfer) => {
                self.transfer = Some(transfer.clone());
                self.changed = stamp.revision;
            }
            Event::TransferConfirmed { role, .. } => {
                self.roles.retain(|other| other != role);
                self.transfer = None;
                self.changed = stamp.revision;
            }
            Event::TransferRefused => {
                self.transfer = None;
                self.changed = stamp.revision;
            }
        }
    }

    fn set_code(&mut self, order: u32, line: u8, code: LineCode) {
        let order = self.orders.iter_mut().find(|held| held.number == order);
        if let Some(line) = order.and_then(|order| order.lines.get_mut(usize::from(line))) {
            line.code = code;
        }
    }
}
