//! What is sent for an event: the item of the change feed, in the shape that the Standard Webhooks specification wants.

use super::rows::EventKey;
use crate::{
    feed,
    kernel::{EntityKind, EventView, Principal, UnixMillis, WebhookId},
    store::StoredRecord,
};
use serde::Serialize;
use serde_json::{Value, json};

/// An event as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub event: EventKey,
    pub r#type: &'static str,
    pub body: Vec<u8>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    /// When it happened, not when it is sent.
    timestamp: String,
    entity: String,
    kind: &'static str,
    revision: u64,
    by: String,
    outcome: &'static str,
    data: &'a Value,
}

pub const TEST: &str = "webhooks.test";

/// The events of a record. One that cannot be read is told of in the log of the server, and left out.
pub fn told(record: &StoredRecord) -> Vec<Told> {
    let views = feed::views(record).unwrap_or_else(|why| {
        tracing::error!(%why, entity = %record.of.entity, "an event cannot be shown");
        Vec::new()
    });
    let tell = |(view, revision): (EventView, u64)| Told {
        event: EventKey { of: record.of, revision },
        r#type: view.name,
        body: body(&Body {
            r#type: view.name,
            timestamp: record.at.to_rfc3339(),
            entity: record.of.entity.to_string(),
            kind: record.of.entity.kind.name(),
            revision,
            by: feed::principal(record.by),
            outcome: view.outcome.name(),
            data: &view.data,
        }),
    };
    views.into_iter().zip(record.first_revision..).map(tell).collect()
}

/// What a test sends.
pub fn test(webhook: WebhookId, revision: u64, now: UnixMillis) -> Vec<u8> {
    body(&Body {
        r#type: TEST,
        timestamp: now.to_rfc3339(),
        entity: webhook.to_string(),
        kind: EntityKind::Webhook.name(),
        revision,
        by: feed::principal(Principal::Server),
        outcome: "applied",
        data: &json!({ "webhook": webhook }),
    })
}

fn body(body: &Body<'_>) -> Vec<u8> {
    // Texts, numbers and JSON always become JSON.
    serde_json::to_vec(body).unwrap_or_default()
}

/// `webhook-id` of an event: the same for every webhook and every attempt. Without full stops, which part what is signed.
pub fn id_of(event: EventKey) -> String {
    format!("evt_{}_{}", event.of.entity, event.revision)
}

/// `webhook-id` of a test.
pub fn id_of_test(webhook: WebhookId, revision: u64) -> String {
    format!("test_{webhook}_{revision}")
}

/// Whether a webhook that asks for these types, or beginnings of types, wants this one.
pub fn wants(types: &[Box<str>], name: &str) -> bool {
    let begins = |wanted: &str| {
        name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || wanted.ends_with('.'))
    };
    types.is_empty() || types.iter().any(|wanted| begins(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{BoxId, OrgId};

    #[test]
    fn types_are_wanted_by_their_beginnings() {
        let wants =
            |wanted: &[&str], name| wants(&wanted.iter().map(|wanted| Box::from(*wanted)).collect::<Vec<_>>(), name);
        assert!(wants(&[], "boxes.key.added"));
        for wanted in ["boxes", "boxes.", "boxes.key", "boxes.key.added"] {
            assert!(wants(&["people", wanted], "boxes.key.added"), "{wanted}");
        }
        for wanted in ["box", "boxes.ke", "boxes.key.added.x", "people", "."] {
            assert!(!wants(&[wanted], "boxes.key.added"), "{wanted}");
        }
    }

    #[test]
    fn ids_name_one_event_without_a_full_stop() {
        let event = EventKey { of: BoxId(7).at(OrgId(1)), revision: 42 };
        let id = id_of(event);
        assert!(id.starts_with("evt_box_") && id.ends_with("_42") && !id.contains('.'), "{id}");
        assert_ne!(id_of(event), id_of(EventKey { of: BoxId(8).at(OrgId(1)), ..event }));
    }
}
