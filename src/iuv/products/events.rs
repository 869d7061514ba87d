//! What has happened to products, as the change feed, the audit and webhooks show it. Of a code the number alone.

use super::state::{Description, Event, Want};
use crate::{
    kernel::{Codec, EventView},
    store::StoredRecord,
};
use serde_json::{Value, json};

pub(crate) fn views(record: &StoredRecord) -> Result<Vec<EventView>, String> {
    record.events.iter().map(|bytes| Event::decode_from(bytes).map(|event| view(&event))).collect()
}

fn described(description: &Description) -> Value {
    let Description { store, name, about, groups, per_shopper, alert_below, listed } = description;
    let groups: Vec<Value> = groups.iter().map(|group| json!({ "class": group.class, "group": group.code })).collect();
    json!({
        "store": store, "name": name, "about": about, "groups": groups, "per_shopper": per_shopper,
        "alert_below": alert_below, "listed": listed,
    })
}

fn wanted(Want { shopper, order, line }: &Want) -> Value {
    json!({ "shopper": shopper, "order": order, "line": line })
}

pub(crate) fn view(event: &Event) -> EventView {
    let (name, data) = match event {
        Event::Created(description) => ("products.created", described(description)),
        Event::Changed(description) => ("products.changed", described(description)),
        Event::CodesAdded { first, count } => ("products.codes_added", json!({ "first": first, "count": count })),
        Event::Given { number, to } => {
            let mut data = wanted(to);
            data["number"] = (*number).into();
            ("products.code_given", data)
        }
        Event::Waits(to) => ("products.code_awaited", wanted(to)),
        Event::TurnedAway(to) => ("products.code_denied", wanted(to)),
        Event::RanLow { left } => ("products.ran_low", json!({ "left": left })),
        Event::RanOut => ("products.ran_out", json!({})),
    };
    EventView::new(name, data)
}
