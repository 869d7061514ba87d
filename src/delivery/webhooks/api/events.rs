//! What has happened to webhooks, as the change feed, the audit and webhooks themselves show it. Of an address only its
//! origin is told, of secrets that they were changed.

use crate::{
    delivery::webhooks::state::{Event, Extra, Settings},
    kernel::{Codec, EventView, UnixMillis},
    store::StoredRecord,
};
use serde_json::{Value, json};

/// The events of a record, in order.
pub(crate) fn views(record: &StoredRecord) -> Result<Vec<EventView>, String> {
    record.events.iter().map(|bytes| Event::decode_from(bytes).map(|event| view(&event))).collect()
}

fn view(event: &Event) -> EventView {
    let (name, data) = match event {
        Event::Created { settings, start: _ } => ("webhooks.created", shown(settings)),
        Event::Changed { settings } => ("webhooks.changed", shown(settings)),
        Event::SecretRotated { previous_until } => {
            ("webhooks.secret_rotated", json!({ "previous_secret_until": UnixMillis::to_rfc3339(*previous_until) }))
        }
        Event::Paused(why) => ("webhooks.paused", json!({ "reason": why.name() })),
        Event::Resumed { from } => ("webhooks.resumed", json!({ "from": from })),
        Event::Asked(Extra::Test) => ("webhooks.test_asked", json!({})),
        Event::Asked(Extra::Redelivery(number)) => ("webhooks.redelivery_asked", json!({ "delivery": number })),
        Event::Deleted => ("webhooks.deleted", json!({})),
    };
    EventView::new(name, data)
}

fn shown(settings: &Settings) -> Value {
    json!({ "origin": settings.origin, "description": settings.description, "types": settings.types })
}
