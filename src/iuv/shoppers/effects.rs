//! What follows from a change to a shopper: rows, what is sealed, word to products and to other accounts, mails. Pure.

use super::{
    post::{MailedLink, ShopMail},
    rows::{self, OrderRow, ShopperRow},
    state::{Command, Event, FreshLink, Known, Profile, Purpose, Shopper, Transfer},
    words::LineCode,
};
use crate::{
    iuv::{ShopperMessage, products::ProductMessage},
    kernel::{Codec, Effects, MessageTarget, Recipient, RowSpace, StoreId, UnixMillis, VaultField},
};

pub(super) fn of_shopper(state: &Shopper, command: &Command, events: &[Event], effects: &mut Effects) {
    let org = state.address.org;
    seal(state, command, events, effects);
    for event in events {
        match event {
            Event::Ordered(order) => {
                for (line, n) in order.lines.iter().zip(0u8..) {
                    if line.code == LineCode::Waits {
                        let message = ProductMessage::Want { order: order.number, line: n };
                        effects.send(MessageTarget::Entity(line.product.at(org)), &message);
                    }
                }
            }
            Event::LinkMade(link) => {
                if let (Command::AskForLink { link: fresh, purpose, .. }, Some(known)) = (command, state.known()) {
                    let mail = |link| match purpose {
                        Purpose::SignIn => ShopMail::SignIn(link),
                        Purpose::Password => ShopMail::Password(link),
                    };
                    send(
                        state,
                        known.membership.store,
                        fresh,
                        link.until,
                        Recipient::Shopper(state.id()),
                        mail,
                        effects,
                    );
                }
            }
            Event::TransferAsked(Transfer { to, role, until, .. }) => {
                if let (Command::AskTransfer { link: fresh, .. }, Some(known)) = (command, state.known()) {
                    let mail = |link| ShopMail::Transfer { link, to: *to, role: *role };
                    send(state, known.membership.store, fresh, *until, Recipient::Owner, mail, effects);
                }
            }
            Event::TransferConfirmed { to, role } => {
                effects.send(MessageTarget::Entity(to.at(org)), &ShopperMessage::Role { role: *role });
            }
            Event::Erased => effects.erase(),
            _ => {}
        }
    }
    changed_orders(state, events, effects);
    rows_of_shopper(state, effects);
}

/// A mail with a link, if it is to be mailed.
fn send(
    state: &Shopper,
    store: StoreId,
    fresh: &FreshLink,
    until: UnixMillis,
    to: Recipient,
    mail: impl FnOnce(MailedLink) -> ShopMail,
    effects: &mut Effects,
) {
    if let Some(start) = &fresh.mail {
        let mail = mail(MailedLink { store, shopper: state.id(), salt: fresh.salt, start: start.clone(), until });
        effects.mail(mail.template(), to, &mail, until);
    }
}

fn seal(state: &Shopper, command: &Command, events: &[Event], effects: &mut Effects) {
    let profile = match command {
        // An older sign-in's names stand no longer.
        Command::SignIn(sign_in) => {
            let newest = state.known().is_some_and(|known| known.registered <= sign_in.registered);
            newest.then_some(&sign_in.profile)
        }
        Command::Allow(sign_in) => Some(&sign_in.profile),
        Command::AskForLink { newcomer: Some(newcomer), .. } => {
            let came = events.iter().any(|event| matches!(event, Event::Described(_)));
            came.then_some(&newcomer.profile)
        }
        _ => None,
    };
    if let Some(Profile(plain)) = profile {
        effects.seal(VaultField::ShopperProfile, plain.to_vec());
    }
    if let Command::SetPassword { verifier, .. } = command
        && events.iter().any(|event| matches!(event, Event::PasswordSet))
    {
        effects.seal(VaultField::ShopperPassword, verifier.0.to_vec());
    }
}

fn changed_orders(state: &Shopper, events: &[Event], effects: &mut Effects) {
    let Some(known) = state.known() else { return };
    for event in events {
        let number = match event {
            Event::Ordered(order) => order.number,
            Event::CodeReceived { order, .. } | Event::CodeDenied { order, .. } => *order,
            _ => continue,
        };
        put_order(state, known, number, effects);
    }
}

fn put_order(state: &Shopper, known: &Known, number: u32, effects: &mut Effects) {
    if let Some(order) = known.order(number) {
        let key = rows::order_key(known.membership.store, state.id(), number);
        effects.put(RowSpace::Orders, state.address.org, &key, OrderRow { order: order.clone() }.to_bytes());
    }
}

fn rows_of_shopper(state: &Shopper, effects: &mut Effects) {
    if let Some(known) = state.known() {
        let key = rows::key(known.membership.store, state.id());
        effects.put(RowSpace::Shoppers, state.address.org, &key, ShopperRow::of(known).to_bytes());
    }
}

/// All rows of a shopper that is there.
pub(super) fn rows(state: &Shopper, effects: &mut Effects) {
    let Some(known) = state.known() else { return };
    rows_of_shopper(state, effects);
    for order in &known.orders {
        put_order(state, known, order.number, effects);
    }
}
