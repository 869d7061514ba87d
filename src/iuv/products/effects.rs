//! What follows from a change to a product: sealed codes, rows, word to shoppers, a mail before the pool is empty. Pure.

use super::{
    rows::{self, GivenRow, ProductRow},
    state::{Command, Event, Product},
};
use crate::{
    iuv::{ShopperMessage, shoppers::ShopMail},
    kernel::{Codec, Context, Effects, MessageTarget, ProductId, Recipient, RowSpace, VaultField},
};
use std::time::Duration;

/// How long such a mail may take.
const LOW_WITHIN: Duration = Duration::from_secs(3 * 24 * 3600);

pub(super) fn of_product(state: &Product, command: &Command, events: &[Event], cx: &Context, effects: &mut Effects) {
    let (org, product) = (state.address.org, ProductId(state.address.entity.raw));
    let mut ran_low = None;
    for event in events {
        match event {
            Event::CodesAdded { first, .. } => {
                if let Command::AddCodes(codes) = command {
                    for (code, number) in codes.iter().zip(*first..) {
                        effects.seal_numbered(VaultField::ProductCode, number, code.0.as_bytes().to_vec());
                    }
                }
            }
            Event::Given { number, to } => {
                let row = GivenRow { to: *to, at: cx.now };
                effects.put(RowSpace::GivenCodes, org, &rows::given_key(product, *number), row.to_bytes());
                let message = ShopperMessage::CodeGiven { order: to.order, line: to.line, number: *number };
                effects.send(MessageTarget::Entity(to.shopper.at(org)), &message);
            }
            Event::TurnedAway(to) => {
                let message = ShopperMessage::NoCode { order: to.order, line: to.line };
                effects.send(MessageTarget::Entity(to.shopper.at(org)), &message);
            }
            Event::RanLow { left } => ran_low = Some(*left),
            Event::RanOut => ran_low = Some(0),
            Event::Created(_) | Event::Changed(_) | Event::Waits(_) => {}
        }
    }
    if let (Some(left), Some(known)) = (ran_low, &state.known) {
        let mail = ShopMail::PoolLow { store: known.description.store, product, left };
        effects.mail(mail.template(), Recipient::Owner, &mail, cx.now.plus(LOW_WITHIN));
    }
    row(state, effects);
}

/// The row of a product that is there.
pub(super) fn row(state: &Product, effects: &mut Effects) {
    let Some(known) = &state.known else { return };
    let key = rows::key(known.description.store, ProductId(state.address.entity.raw));
    effects.put(RowSpace::Products, state.address.org, &key, ProductRow::of(known).to_bytes());
}
