//! The log of deliveries, and what is sent because somebody asks for it.

use super::{Nothing, corrupt, look, named, refused};
use crate::{
    delivery::webhooks::{
        dispatch::Now,
        message,
        rows::{DeliveryRow, DeliveryState, ErrorClass, EventKey, delivery_key},
        state::{Command, Extra, Webhook},
    },
    http::{Ask, Code, Doc, Page, Problem, Reply, limit_of, table::Format},
    kernel::{
        Address, Codec, RowSpace, UnixMillis, WebhookId,
        schema::{Time, Whole64, shapes, words},
    },
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

shapes! {
    HookError, "Why an attempt failed", words(&ErrorClass::ALL.map(ErrorClass::name));
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Query {
    /// How many at most; 50 if nothing is said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(value_type = Option<Whole64>, inline)]
    after: Option<u64>,
    /// Only those that are in this state.
    #[param(inline)]
    state: Option<WireState>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DeliveryState)]
enum WireState {
    Delivered,
    Retrying,
    Failed,
}

impl WireState {
    fn is(self, state: DeliveryState) -> bool {
        self == match state {
            DeliveryState::Delivered => Self::Delivered,
            DeliveryState::Retrying => Self::Retrying,
            DeliveryState::Failed => Self::Failed,
        }
    }
}

/// One delivery and its last attempt.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
struct Shown {
    delivery: u64,
    /// `webhook-id` as the endpoint sees it.
    id: String,
    r#type: Box<str>,
    entity: Option<String>,
    revision: Option<u64>,
    #[schema(value_type = Time)]
    happened_at: String,
    #[schema(value_type = WireState)]
    state: &'static str,
    attempts: u32,
    #[schema(value_type = Time)]
    first_attempt_at: String,
    #[schema(value_type = Time)]
    last_attempt_at: String,
    #[schema(value_type = Option<Time>)]
    next_attempt_at: Option<String>,
    duration_ms: u32,
    status: Option<u16>,
    #[schema(value_type = Option<HookError>)]
    error: Option<&'static str>,
    /// How the endpoint's refusal begins.
    response: Option<Box<str>>,
    by_hand: bool,
}

impl Shown {
    fn of(webhook: WebhookId, row: DeliveryRow) -> Self {
        Self {
            delivery: row.number,
            id: match row.event {
                Some(event) => message::id_of(event),
                None => message::id_of_test(webhook, row.asked.unwrap_or_default()),
            },
            r#type: row.r#type,
            entity: row.event.map(|event| event.of.entity.to_string()),
            revision: row.event.map(|event| event.revision),
            happened_at: row.happened.to_rfc3339(),
            state: row.state.name(),
            attempts: row.attempts,
            first_attempt_at: row.first_at.to_rfc3339(),
            last_attempt_at: row.last_at.to_rfc3339(),
            next_attempt_at: row.next_at.map(UnixMillis::to_rfc3339),
            duration_ms: row.took_ms,
            status: row.status,
            error: row.error.map(|error| error.name()),
            response: row.excerpt,
            by_hand: row.asked.is_some(),
        }
    }
}

/// What was sent by hand.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliverySent)]
struct Sent {
    revision: u64,
    /// `null` if the log does not know it any more.
    delivery: Option<Shown>,
}

pub(crate) const LIST: Doc =
    Doc::new("List a webhook's deliveries").query::<Query>().pages::<Shown>().refuses(&[Code::NotAcceptable]);

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    ask.format(&[Format::Json])?;
    let address = named(&ask)?;
    let query: Query = ask.query()?;
    let limit = limit_of(query.limit)?;
    look(&ask, address).await?;
    let webhook = WebhookId(address.entity.raw);
    // The first row of a webhook is its cursor.
    let mut after = query.after.map_or_else(|| webhook.to_bytes().to_vec(), |after| delivery_key(webhook, after));
    let mut items = Vec::new();
    while items.len() < limit {
        let rows = rows(&ask, webhook, after.clone()).await?;
        let Some((last, _)) = rows.last() else { break };
        after.clone_from(last);
        let rows = rows.into_iter().map(|(_, row)| row);
        let wanted = rows.filter(|row| query.state.is_none_or(|state| state.is(row.state)));
        items.extend(wanted.take(limit - items.len()).map(|row| Shown::of(webhook, row)));
    }
    let next = items.last().filter(|_| items.len() == limit).map(|last| last.delivery.to_string());
    Reply::ok(&Page { items, next })
}

const PAGE: usize = 200;

/// Log rows behind a key, newest first.
async fn rows(ask: &Ask, webhook: WebhookId, after: Vec<u8>) -> Result<Vec<(Vec<u8>, DeliveryRow)>, Problem> {
    let prefix = webhook.to_bytes().to_vec();
    let rows = ask.engine.rows(RowSpace::WebhookDeliveries, ask.org(), prefix, Some(after), PAGE).await?;
    let read = |(key, bytes): (Vec<u8>, Vec<u8>)| Ok((key, DeliveryRow::decode_from(&bytes).map_err(corrupt)?));
    rows.into_iter().map(read).collect()
}

pub(crate) const TEST: Doc = Doc::new("Send a test to a webhook")
    .details("The answer says what came of it. A repeat with the same `Idempotency-Key` sends nothing.")
    .takes::<Nothing>()
    .answers::<Sent>();

pub(crate) async fn test(ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = ask.json()?;
    let address = named(&ask)?;
    send(&ask, address, Extra::Test, None).await
}

pub(crate) const REDELIVER: Doc = Doc::new("Deliver an event once more")
    .details("Now, out of order, under its own `webhook-id`. The answer says what came of it.")
    .takes::<Nothing>()
    .answers::<Sent>()
    .refuses(&[Code::WebhookEventGone]);

pub(crate) async fn redeliver(ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = ask.json()?;
    let address = named(&ask)?;
    look(&ask, address).await?;
    let number: u64 = ask.path("delivery")?;
    let key = delivery_key(WebhookId(address.entity.raw), number);
    let row = ask.engine.row(RowSpace::WebhookDeliveries, ask.org(), key).await?.ok_or(Code::NotFound)?;
    let row = DeliveryRow::decode_from(&row).map_err(corrupt)?;
    let told = match row.event {
        None => None,
        Some(event) => Some((row.happened, event_again(&ask, event).await?)),
    };
    send(&ask, address, Extra::Redelivery(number), told).await
}

/// An event as it was sent, from the log of its entity.
async fn event_again(ask: &Ask, event: EventKey) -> Result<message::Told, Problem> {
    let records = ask.engine.history(event.of, Some(event.revision + 1), 1).await?;
    let told = records.first().map(message::told).unwrap_or_default();
    told.into_iter().find(|told| told.event == event).ok_or_else(|| Code::WebhookEventGone.into())
}

/// Books that it was asked for, sends it, and says what came of it. A repeat of the request sends nothing.
async fn send(
    ask: &Ask,
    address: Address,
    what: Extra,
    told: Option<(UnixMillis, message::Told)>,
) -> Result<Reply, Problem> {
    let webhook = WebhookId(address.entity.raw);
    if let Some(revision) = ask.done_before(ask.org()).await? {
        let rows = rows(ask, webhook, webhook.to_bytes().to_vec()).await?;
        let known = rows.into_iter().map(|(_, row)| row).find(|row| row.asked == Some(revision));
        return Reply::ok(&Sent { revision, delivery: known.map(|row| Shown::of(webhook, row)) });
    }
    let revision = ask.tell_once::<Webhook>(address, Command::Ask(what), refused).await?;
    let now = match told {
        Some((happened, told)) => Now {
            webhook: address,
            asked: revision,
            event: Some(told.event),
            id: message::id_of(told.event),
            r#type: told.r#type.into(),
            happened,
            body: told.body,
        },
        None => Now {
            webhook: address,
            asked: revision,
            event: None,
            id: message::id_of_test(webhook, revision),
            r#type: message::TEST.into(),
            happened: ask.now(),
            body: message::test(webhook, revision, ask.now()),
        },
    };
    let sent = ask.webhooks().dispatcher.send_now(now).await;
    let row = sent.ok_or_else(|| Problem::from(Code::Busy).retry_after_s(1))?;
    Reply::ok(&Sent { revision, delivery: Some(Shown::of(webhook, row)) })
}
