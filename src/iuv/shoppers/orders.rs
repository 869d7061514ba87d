//! What would happen to a cart and to orders.

use super::{
    state::{Event, Known, Offer, Order, Refusal},
    words::{CART_MAX, Line, LineCode, ORDERS_MAX},
};
use crate::kernel::{ProductId, UnixMillis};

impl Known {
    /// Whether this may be ordered now; a test order counts for nothing and is bounded by the number of orders.
    fn check(&self, offer: &Offer, test: bool) -> Result<(), Refusal> {
        let Offer { product, description } = offer;
        if !description.listed || description.store != self.membership.store {
            return Err(Refusal::NotListed);
        }
        if !description.is_for(&self.membership.groups) {
            return Err(Refusal::NotEligible);
        }
        if !test && self.ordered(*product) >= usize::from(description.per_shopper) {
            return Err(Refusal::LimitReached);
        }
        Ok(())
    }

    pub(super) fn put_in_cart(&self, offer: &Offer, events: &mut Vec<Event>) -> Result<(), Refusal> {
        if self.cart.contains(&offer.product) {
            return Ok(());
        }
        // Whether it will be a test order is not known yet.
        self.check(offer, true)?;
        if self.cart.len() >= CART_MAX {
            return Err(Refusal::CartFull);
        }
        events.push(Event::PutInCart(offer.product));
        Ok(())
    }

    /// All that is in the cart, or nothing.
    pub(super) fn place_order(
        &self,
        test: bool,
        offers: &[Offer],
        now: UnixMillis,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        if self.cart.is_empty() {
            return Err(Refusal::CartEmpty);
        }
        for product in &self.cart {
            let offer = offers.iter().find(|offer| offer.product == *product).ok_or(Refusal::NotListed)?;
            self.check(offer, test)?;
        }
        if self.orders.len() >= ORDERS_MAX {
            return Err(Refusal::TooManyOrders);
        }
        let code = if test { LineCode::Test } else { LineCode::Waits };
        events.push(Event::Ordered(Order {
            number: self.orders_made + 1,
            at: now,
            test,
            member: self.membership.member.clone(),
            lines: self.cart.iter().map(|product| Line { product: *product, code }).collect(),
        }));
        Ok(())
    }

    /// Whether this line is waiting for a code of this product.
    pub(super) fn waits(&self, product: ProductId, order: u32, line: u8) -> bool {
        let line = self.order(order).and_then(|order| order.lines.get(usize::from(line)));
        line.is_some_and(|line| line.product == product && line.code == LineCode::Waits)
    }
}
