//! What has happened to a connected box, as the change feed shows it. Of a wrong code nothing is told but that it came.

use super::orders::{What, WireResult};
use crate::boxes::{Ended, OnlineEvent, Opened, Opening};
use serde_json::{Value, json};

pub(in crate::boxes::api) fn name(event: &OnlineEvent) -> &'static str {
    match event {
        OnlineEvent::SettingsChanged(_) | OnlineEvent::SettingsSet(_) => "boxes.settings.changed",
        OnlineEvent::CodeTexted(_) => "boxes.exchange.code_texted",
        OnlineEvent::WrongCode => "boxes.exchange.code_unknown",
        OnlineEvent::ExchangeOpened(_) => "boxes.exchange.decided",
        // Told as the pick-up or drop-off that it is.
        OnlineEvent::ExchangeCompleted { .. } => "boxes.exchange.completed",
        OnlineEvent::ExchangeEnded { why: Ended::Cancelled, .. } => "boxes.exchange.cancelled",
        OnlineEvent::ExchangeEnded { why: Ended::Expired, .. } => "boxes.exchange.expired",
        OnlineEvent::OrderGiven { .. } => "boxes.order.given",
        OnlineEvent::OrderRetrieved { .. } => "boxes.order.retrieved",
        OnlineEvent::OrderCompleted { .. } => "boxes.order.completed",
        OnlineEvent::OrderExpired { .. } => "boxes.order.expired",
    }
}

pub(in crate::boxes::api) fn data(event: &OnlineEvent) -> Value {
    match event {
        OnlineEvent::SettingsChanged(settings) | OnlineEvent::SettingsSet(settings) => {
            json!({ "quick_scan": settings.quick_scan, "second_factor": settings.second_factor })
        }
        OnlineEvent::CodeTexted(texted) => {
            json!({ "person": texted.person, "until": texted.until.to_rfc3339() })
        }
        OnlineEvent::WrongCode => json!({}),
        OnlineEvent::ExchangeOpened(opened) => decided(opened),
        OnlineEvent::ExchangeCompleted { number, .. } => json!({ "conflict": number }),
        OnlineEvent::ExchangeEnded { exchange, why: _ } => json!({ "exchange": exchange }),
        OnlineEvent::OrderGiven { number, order, until } => {
            json!({ "order": number, "do": What::from(*order), "expires_at": until.to_rfc3339() })
        }
        OnlineEvent::OrderRetrieved { number, until } => {
            json!({ "order": number, "expires_at": until.to_rfc3339() })
        }
        OnlineEvent::OrderCompleted { number, order, results, .. } => {
            let failed = results.iter().filter(|result| result.outcome != Opening::Opened).count();
            let results: Vec<_> = results.iter().map(WireResult::from).collect();
            json!({ "order": number, "do": What::from(*order), "failed": failed, "results": results })
        }
        OnlineEvent::OrderExpired { number } => json!({ "order": number }),
    }
}

fn decided(opened: &Opened) -> Value {
    json!({
        "exchange": opened.exchange, "kind": opened.act.name(), "bin": opened.bin, "fob": opened.act.fob(),
        "key": opened.key,
        "person": opened.person, "until": opened.until.to_rfc3339(),
    })
}
