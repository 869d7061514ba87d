//! An event as it stands in the feed, in a stream and in a webhook's body.

use super::query::{Doer, EntityName, EventType, KindName, WordOfOutcome};
use crate::{
    boxes,
    delivery::webhooks,
    devices, iuv,
    kernel::{
        EntityKind, EventOutcome, EventView, FeedCursor, Principal, UnixMillis,
        schema::{FeedPlace, Time},
    },
    orgs, recovery,
    store::{FeedRecord, StoredRecord},
};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::net::IpAddr;
use utoipa::ToSchema;

/// One event. Nothing in it is secret; people are named by id.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct Item {
    /// Also the event's own id: it is the same whenever the event is read.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = FeedPlace)]
    pub cursor: FeedCursor,
    #[schema(value_type = EventType)]
    pub r#type: &'static str,
    #[serde(serialize_with = "as_time")]
    #[schema(value_type = Time)]
    pub at: UnixMillis,
    #[schema(value_type = EntityName)]
    pub entity: String,
    #[schema(value_type = KindName)]
    pub kind: &'static str,
    pub revision: u64,
    #[schema(value_type = Doer)]
    pub by: String,
    #[serde(serialize_with = "as_word")]
    #[schema(value_type = WordOfOutcome)]
    pub outcome: EventOutcome,
    /// What docs/events.md says of its type.
    #[schema(value_type = Object)]
    pub data: Value,
    /// Where a look back goes on.
    #[serde(skip)]
    pub before: FeedCursor,
    /// Only the audit shows it.
    #[serde(skip)]
    pub from: Option<IpAddr>,
}

fn as_text<S: Serializer>(cursor: &FeedCursor, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(cursor)
}

fn as_time<S: Serializer>(at: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn as_word<S: Serializer>(outcome: &EventOutcome, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(outcome.name())
}

impl Item {
    /// Whether its type is this one or below it: `boxes.key` is above `boxes.key.picked_up`.
    pub fn is_under(&self, prefix: &str) -> bool {
        self.r#type.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// The person whom it is about, such as who took a key.
    pub fn person(&self) -> Option<&str> {
        self.data.get("person").and_then(Value::as_str)
    }
}

/// Who did it, as the wire names it.
pub fn principal(by: Principal) -> String {
    match by {
        Principal::Server => "server".to_owned(),
        Principal::Anonymous => "anonymous".to_owned(),
        Principal::Token(address) | Principal::Entity(address) => address.entity.to_string(),
    }
}

/// The events of a record, in order.
pub fn views(record: &StoredRecord) -> Result<Vec<EventView>, String> {
    match record.of.entity.kind {
        EntityKind::Organisation => orgs::api::events::of_organisation(record),
        EntityKind::Person => orgs::api::events::of_person(record),
        EntityKind::Token => orgs::api::events::of_token(record),
        EntityKind::SmartBox => boxes::api::events::views(record),
        EntityKind::Webhook => webhooks::api::events::views(record),
        EntityKind::Device => devices::api::events::views(record),
        EntityKind::WebStore => iuv::stores::api::events::views(record),
        EntityKind::IuvSession => iuv::sessions::api::events::views(record),
        EntityKind::Shopper => iuv::shoppers::events::views(record),
        EntityKind::Product => iuv::products::events::views(record),
        EntityKind::Installation => recovery::api::events::views(record),
    }
}

/// The events of a record that was found in the feed, in order.
pub fn items(found: &FeedRecord) -> Result<Vec<Item>, String> {
    let record = &found.record;
    let (entity, by) = (record.of.entity.to_string(), principal(record.by));
    let item = |(event, view): (usize, EventView)| Item {
        cursor: found.cursor_behind(event),
        before: found.cursor_before(event),
        r#type: view.name,
        at: record.at,
        entity: entity.clone(),
        kind: record.of.entity.kind.name(),
        revision: record.first_revision + event as u64,
        by: by.clone(),
        outcome: view.outcome,
        data: view.data,
        from: record.from,
    };
    Ok(views(record)?.into_iter().enumerate().map(item).collect())
}
