//! What has happened to sessions, as the change feed, the audit and webhooks show it.

use crate::iuv::sessions::state::{Event, Pass};
use crate::{
    kernel::{Codec, EventOutcome, EventView},
    store::StoredRecord,
};
use serde_json::{Value, json};

pub(crate) fn views(record: &StoredRecord) -> Result<Vec<EventView>, String> {
    record.events.iter().map(|bytes| Event::decode_from(bytes).map(|event| view(&event))).collect()
}

fn pass_seen(pass: &Pass) -> Value {
    let Pass { store, shopper, side, kind, verification } = *pass;
    json!({
        "store": store, "shopper": shopper, "test": side.is_test(), "kind": kind.name(), "verification": verification,
    })
}

pub(crate) fn view(event: &Event) -> EventView {
    let (name, data) = match event {
        Event::Registered(registration) => ("sessions.registered", pass_seen(&registration.pass)),
        Event::Redeemed { secret: _, until } => ("sessions.redeemed", json!({ "until": until.to_rfc3339() })),
        Event::RedemptionRefused { why } => {
            let data = json!({ "why": why.name() });
            return EventView::new("sessions.redemption_refused", data).with_outcome(EventOutcome::Refused);
        }
        Event::Opened { pass, secret: _, until } => {
            let mut data = pass_seen(pass);
            data["until"] = until.to_rfc3339().into();
            ("sessions.opened", data)
        }
        Event::SignedOut => ("sessions.signed_out", json!({})),
        Event::Expired => ("sessions.expired", json!({})),
        Event::Forgotten => ("sessions.forgotten", json!({})),
    };
    EventView::new(name, data)
}
