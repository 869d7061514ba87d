//! What these events change. Cannot refuse.

use super::{
    state::{Exchange, KeptOrder, MAX_KEPT, Stage, WRONG_CODE_FORGOTTEN_MS},
    words::{OnlineEvent, Opening},
};
use crate::{
    boxes::{Act, Judged, SmartBox},
    kernel::{ExchangeId, Stamp, UnixMillis},
};

impl SmartBox {
    pub(in crate::boxes) fn apply_online(&mut self, event: &OnlineEvent, stamp: Stamp) {
        match event {
            OnlineEvent::SettingsChanged(settings) => {
                let online = self.online.get_or_insert_default();
                online.settings = *settings;
                online.set_at = stamp.revision;
            }
            OnlineEvent::SettingsSet(settings) => self.set_settings(*settings, stamp),
            OnlineEvent::CodeTexted(texted) => self.note_texted(*texted, stamp.at),
            OnlineEvent::WrongCode => {
                let online = self.online.get_or_insert_default();
                let from = online.wrong_until.max(stamp.at);
                online.wrong_until = UnixMillis(from.0.saturating_add(WRONG_CODE_FORGOTTEN_MS));
            }
            OnlineEvent::ExchangeOpened(opened) => {
                if matches!(opened.act, Act::PickUp(_)) {
                    self.spend_text(opened.person);
                }
                let Some(bin) = self.bin_index(&opened.bin).and_then(|bin| u16::try_from(bin).ok()) else { return };
                let named = opened.key.filter(|_| opened.act.fob().is_some_and(|fob| self.key_on(&fob).is_none()));
                let exchanges = &mut self.online.get_or_insert_default().exchanges;
                if exchanges.len() >= MAX_KEPT {
                    let ended = exchanges.iter().position(|exchange| !exchange.is_open(stamp.at));
                    exchanges.remove(ended.unwrap_or_default());
                }
                exchanges.push(Exchange {
                    id: opened.exchange,
                    act: opened.act,
                    bin,
                    person: opened.person,
                    until: opened.until,
                    stage: Stage::Open,
                    by: opened.by,
                    named,
                });
            }
            OnlineEvent::ExchangeCompleted { judged, number } => {
                self.apply_act(judged, *number, stamp);
                self.close_exchange(judged);
            }
            OnlineEvent::ExchangeEnded { exchange, .. } => self.set_stage(*exchange, Stage::Ended),
            OnlineEvent::OrderGiven { number, order, until } => {
                let online = self.online.get_or_insert_default();
                online.orders.push(KeptOrder {
                    number: *number,
                    order: *order,
                    until: *until,
                    given_at: stamp.at,
                    retrieved_at: None,
                });
            }
            OnlineEvent::OrderRetrieved { number, until } => {
                let orders = self.online.iter_mut().flat_map(|online| &mut online.orders);
                for order in orders.filter(|order| order.number == *number) {
                    order.retrieved_at = Some(stamp.at);
                    order.until = *until;
                }
            }
            OnlineEvent::OrderCompleted { number, results, .. } => {
                self.forget_order(*number);
                for result in results.iter().filter(|result| result.outcome == Opening::Opened) {
                    if let Some(bin) = self.bin_index(&result.bin) {
                        // Nobody knows what was done there, until somebody says it.
                        self.bins[bin].confirmed = false;
                        self.touch(bin, stamp);
                    }
                }
            }
            OnlineEvent::OrderExpired { number } => self.forget_order(*number),
        }
    }

    fn forget_order(&mut self, number: u64) {
        if let Some(online) = &mut self.online {
            online.orders.retain(|order| order.number != number);
        }
    }

    /// A journal entry or a completion has told how its exchange ended: it is never applied again.
    pub(in crate::boxes) fn close_exchange(&mut self, judged: &Judged) {
        if let Some(of) = judged.exchange {
            self.set_stage(of.id, Stage::Completed);
        }
    }

    fn set_stage(&mut self, id: ExchangeId, stage: Stage) {
        let exchanges = self.online.iter_mut().flat_map(|online| &mut online.exchanges);
        exchanges.filter(|exchange| exchange.id == id).for_each(|exchange| exchange.stage = stage);
    }

    /// After a sync that drained the journal.
    pub(in crate::boxes) fn forget_exchanges(&mut self, stamp: Stamp) {
        if let Some(online) = &mut self.online {
            online.forget(stamp.at);
        }
        self.online.take_if(|online| online.is_blank(stamp.at));
    }
}
