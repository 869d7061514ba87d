//! What administrators have a box do: given to it within a minute or not at all.

use super::{
    state::{KeptOrder, MAX_ORDERS, ORDER_LIVES_FOR},
    words::{BinResult, OnlineCommand, OnlineEvent, OnlineRefusal, Order},
};
use crate::{
    boxes::{Command, Refusal, SmartBox, numbered_key},
    kernel::{BoxId, Codec, Context, Effects, RowSpace, UnixMillis},
};
use minicbor::{Decode, Encode};

/// Rows of orders that are kept for one box.
pub const ORDERS_KEPT: usize = 100;

/// `RowSpace::BoxOrders`, by box and number. Stored: numbers are append-only.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct OrderRow {
    #[n(0)]
    pub order: Order,
    #[n(1)]
    pub given_at: UnixMillis,
    /// When it dies without being fetched, or without a result.
    #[n(2)]
    pub until: UnixMillis,
    #[n(3)]
    pub retrieved_at: Option<UnixMillis>,
    #[n(4)]
    pub completed_at: Option<UnixMillis>,
    #[n(5)]
    pub results: Box<[BinResult]>,
}

/// The key of an order's row behind the organisation: newer ones first.
pub fn order_key(id: BoxId, number: u64) -> [u8; 24] {
    numbered_key(id, !number)
}

type Decided = Result<(), Refusal>;

impl SmartBox {
    pub(super) fn decide_order(&self, order: Order, now: UnixMillis, told: &mut Vec<OnlineEvent>) -> Decided {
        if let Order::Open(bin) = order {
            self.bin_index(&bin).ok_or(Refusal::BinNotFound)?;
        }
        if self.is_away(now) {
            return Err(Refusal::Online(OnlineRefusal::Offline));
        }
        let open = self.online.iter().flat_map(|online| &online.orders).filter(|order| now < order.until);
        if open.count() >= MAX_ORDERS {
            return Err(Refusal::Online(OnlineRefusal::TooManyOrders));
        }
        let number = self.revision + 1;
        told.push(OnlineEvent::OrderGiven { number, order, until: now.plus(ORDER_LIVES_FOR) });
        Ok(())
    }

    pub(super) fn decide_fetch(&self, now: UnixMillis, told: &mut Vec<OnlineEvent>) {
        let orders = self.online.iter().flat_map(|online| &online.orders);
        for order in orders.filter(|order| order.retrieved_at.is_none() && now < order.until) {
            told.push(OnlineEvent::OrderRetrieved { number: order.number, until: now.plus(ORDER_LIVES_FOR) });
        }
    }

    pub(super) fn decide_report(
        &self,
        number: u64,
        results: &[BinResult],
        now: UnixMillis,
        told: &mut Vec<OnlineEvent>,
    ) -> Decided {
        let known = self.online.as_ref().and_then(|online| online.orders.iter().find(|order| order.number == number));
        let Some(known) = known.filter(|order| now < order.until) else {
            return Err(Refusal::Online(OnlineRefusal::OrderEnded));
        };
        let meant = |result: &BinResult| match known.order {
            Order::Open(bin) => result.bin == bin,
            Order::OpenAll => self.bin_index(&result.bin).is_some(),
            Order::Restart => false,
        };
        if !results.iter().all(meant) {
            return Err(Refusal::BinNotFound);
        }
        told.push(OnlineEvent::OrderCompleted {
            number,
            order: known.order,
            given_at: known.given_at,
            retrieved_at: known.retrieved_at,
            results: results.into(),
        });
        Ok(())
    }

    /// Rows of the orders that these events are about.
    pub(in crate::boxes) fn put_order(
        &self,
        event: &OnlineEvent,
        command: &Command,
        cx: &Context,
        effects: &mut Effects,
    ) {
        if let Command::Online(OnlineCommand::Give { forget: Some(old), .. }) = command {
            effects.delete(RowSpace::BoxOrders, cx.org, &order_key(self.id(), *old));
        }
        let put = |number, row: OrderRow, effects: &mut Effects| {
            effects.put(RowSpace::BoxOrders, cx.org, &order_key(self.id(), number), row.to_bytes());
        };
        match event {
            OnlineEvent::OrderGiven { number, .. } | OnlineEvent::OrderRetrieved { number, .. } => {
                let mut kept = self.online.iter().flat_map(|online| &online.orders);
                if let Some(kept) = kept.find(|kept| kept.number == *number) {
                    put(*number, OrderRow::from(kept), effects);
                }
            }
            OnlineEvent::OrderCompleted { number, order, given_at, retrieved_at, results } => {
                let row = OrderRow {
                    order: *order,
                    given_at: *given_at,
                    until: cx.now,
                    retrieved_at: *retrieved_at,
                    completed_at: Some(cx.now),
                    results: results.clone(),
                };
                put(*number, row, effects);
            }
            // Whether one has died shows by its time.
            _ => {}
        }
    }
}

impl From<&KeptOrder> for OrderRow {
    fn from(kept: &KeptOrder) -> Self {
        Self {
            order: kept.order,
            given_at: kept.given_at,
            until: kept.until,
            retrieved_at: kept.retrieved_at,
            completed_at: None,
            results: Box::default(),
        }
    }
}
