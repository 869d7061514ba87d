//! Orders: what administrators have a box do, and how it fetches and reports it.

use super::{
    super::{
        key_of, look, named,
        place::Place,
        stored, time,
        wire::{refused, token, unknown},
    },
    met, one_of,
};
use crate::{
    boxes::{
        Answer, BinResult, Command, Label, MAX_BINS, ORDERS_KEPT, OnlineAnswer, OnlineCommand, Opening, Order,
        OrderRow, SecretHash, SmartBox, order_key,
    },
    http::{Ask, Code, Doc, List, PageQuery, Problem, Reply},
    kernel::{
        BoxId, RowSpace, UnixMillis,
        schema::{FromOne64, Time, shapes, words},
    },
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

/// `{"open": "A-3"}`, `"open_all"` or `"restart"`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    Open(Label),
    OpenAll,
    Restart,
}

impl PartialSchema for What {
    fn schema() -> RefOr<Schema> {
        one_of(&[("open", Label::name().into())]).item(words(&["open_all", "restart"])).into()
    }
}

impl ToSchema for What {
    fn name() -> Cow<'static, str> {
        "BoxOrderDo".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(met::<Label>());
    }
}

impl From<Order> for What {
    fn from(order: Order) -> Self {
        match order {
            Order::Open(bin) => Self::Open(bin),
            Order::OpenAll => Self::OpenAll,
            Order::Restart => Self::Restart,
        }
    }
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BinResult)]
pub(super) struct WireResult {
    bin: Label,
    outcome: Opening,
}

impl From<&BinResult> for WireResult {
    fn from(result: &BinResult) -> Self {
        Self { bin: result.bin, outcome: result.outcome }
    }
}

shapes! {
    BoxOrderStage, "How far an order has come", words(&["given", "retrieved", "completed", "expired"]);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBoxOrder)]
struct Give {
    r#do: What,
}

#[derive(Serialize, ToSchema)]
#[schema(as = BoxOrderGiven)]
struct Given {
    /// Its number in this box.
    order: u64,
    revision: u64,
}

pub(crate) const GIVE: Doc = Doc::new("Have a box open a bin, open all bins, or restart")
    .details("An order that the box has not fetched within a minute dies. One for a box that is offline is refused.")
    .takes::<Give>()
    .created::<Given>()
    .refuses(&[Code::BoxOffline, Code::TooManyOrders, Code::NotFound]);

pub(crate) async fn give(ask: Ask) -> Result<Reply, Problem> {
    let Give { r#do } = ask.json()?;
    let id: BoxId = ask.path("box")?;
    let prefix = id.to_bytes().to_vec();
    let kept = ask.engine.rows(RowSpace::BoxOrders, ask.org(), prefix, None, ORDERS_KEPT).await?;
    let oldest = kept.get(ORDERS_KEPT - 1).map(|(key, _)| key_of::<Place<true>>(key)).transpose()?;
    let order = match r#do {
        What::Open(bin) => Order::Open(bin),
        What::OpenAll => Order::OpenAll,
        What::Restart => Order::Restart,
    };
    let command = Command::Online(OnlineCommand::Give { order, forget: oldest.map(|place| place.1) });
    let revision = super::super::change_box(&ask, command).await?;
    Reply::created(&Given { order: revision, revision })
}

#[derive(Serialize, ToSchema)]
#[schema(as = BoxOrder)]
struct Shown {
    order: u64,
    r#do: What,
    #[schema(value_type = BoxOrderStage)]
    stage: &'static str,
    #[schema(value_type = Time)]
    given_at: String,
    #[schema(value_type = Option<Time>)]
    retrieved_at: Option<String>,
    #[schema(value_type = Option<Time>)]
    completed_at: Option<String>,
    /// When it dies without being fetched, or without a result.
    #[schema(value_type = Time)]
    expires_at: String,
    /// Bins that did not open.
    failed: u32,
    results: Vec<WireResult>,
}

impl Shown {
    fn of(number: u64, row: OrderRow, now: UnixMillis) -> Self {
        let failed = row.results.iter().map(|result| u32::from(result.outcome != Opening::Opened)).sum();
        Self {
            order: number,
            r#do: row.order.into(),
            stage: match (row.completed_at, row.retrieved_at) {
                (Some(_), _) => "completed",
                (None, _) if row.until <= now => "expired",
                (None, Some(_)) => "retrieved",
                (None, None) => "given",
            },
            given_at: row.given_at.to_rfc3339(),
            retrieved_at: time(row.retrieved_at),
            completed_at: time(row.completed_at),
            expires_at: row.until.to_rfc3339(),
            failed,
            results: row.results.iter().map(WireResult::from).collect(),
        }
    }
}

const COLUMNS: [&str; 8] = ["order", "do", "stage", "given_at", "retrieved_at", "completed_at", "expires_at", "failed"];

pub(crate) const LIST: Doc = Doc::new("List a box's orders, newest first").exports::<Shown, Place<true>>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let page: PageQuery = ask.query()?;
    look(&ask, named(&ask)?, |_| ()).await?;
    let (id, now): (BoxId, _) = (ask.path("box")?, ask.now());
    let prefix = id.to_bytes().to_vec();
    let list = List::of_rows(&COLUMNS, (RowSpace::BoxOrders, ask.org(), prefix), move |_, key, row: OrderRow| {
        let Place::<true>(_, number) = key_of(key)?;
        Ok(Some(Shown::of(number, row, now)))
    });
    ask.list::<Place<true>, _>(list, &page).await
}

pub(crate) const SHOW: Doc = Doc::new("Show an order and what became of each bin").shows::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let (id, number): (BoxId, u64) = (ask.path("box")?, ask.path("order")?);
    let row = row(&ask, id, number).await?.ok_or_else(no_order)?;
    Reply::view(&Shown::of(number, row, ask.now()))
}

fn no_order() -> Problem {
    Problem::detailed(Code::NotFound, "the box has no such order")
}

async fn row(ask: &Ask, id: BoxId, number: u64) -> Result<Option<OrderRow>, Problem> {
    let row = ask.engine.row(RowSpace::BoxOrders, ask.org(), order_key(id, number).to_vec()).await?;
    row.map(|row| stored(&row)).transpose()
}

/// After an order has opened a bin, what was found in it is to be said within this.
const INSPECTION_MS: u64 = 15 * 60 * 1000;

/// Whether this order has opened this bin a moment ago.
pub(in crate::boxes::api) async fn has_opened(ask: &Ask, number: u64, bin: &Label) -> Result<(), Problem> {
    let row = row(ask, ask.path("box")?, number).await?.ok_or_else(no_order)?;
    let fresh = row.completed_at.is_some_and(|at| ask.now().0 <= at.0.saturating_add(INSPECTION_MS));
    let opened = row.results.iter().any(|result| result.bin == *bin && result.outcome == Opening::Opened);
    if fresh && opened { Ok(()) } else { Err(Code::BinNotOpened.into()) }
}

#[derive(Serialize, ToSchema)]
#[schema(as = BoxOrders)]
struct Orders {
    orders: Vec<Fetched>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = BoxOrderFetched)]
struct Fetched {
    #[schema(value_type = FromOne64)]
    order: u64,
    r#do: What,
    /// To be reported by then.
    until_ms: u64,
}

pub(crate) const FETCH: Doc = Doc::new("Fetch the orders that wait").answers::<Orders>();

pub(crate) async fn fetch(ask: Ask) -> Result<Reply, Problem> {
    let token = token(&ask)?;
    let command = Command::Online(OnlineCommand::Fetch { token_hash: SecretHash(token.hash) });
    let told = ask.tell::<SmartBox>(token.address(), command, refused).await.map_err(unknown)?;
    Reply::ok(&shown(told.answer).ok_or(Code::Internal)?)
}

/// The same as it stands on a link.
pub(crate) fn fetched(answer: Answer) -> Option<String> {
    serde_json::to_string(&shown(answer)?).ok()
}

fn shown(answer: Answer) -> Option<Orders> {
    let Answer::Online(OnlineAnswer::Orders(orders)) = answer else { return None };
    let fetched =
        orders.into_iter().map(|open| Fetched { order: open.number, r#do: open.order.into(), until_ms: open.until.0 });
    Some(Orders { orders: fetched.collect() })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BoxOrderReported)]
struct Report {
    /// One for each bin; none for a restart.
    #[serde(default)]
    #[schema(max_items = 500)]
    results: Vec<WireResult>,
}

pub(crate) const REPORT: Doc = Doc::new("Say what became of an order").takes::<Report>().done().refuses(&[
    Code::Invalid,
    Code::OrderEnded,
    Code::NotFound,
]);

pub(crate) async fn report(ask: Ask) -> Result<Reply, Problem> {
    let token = token(&ask)?;
    let Report { results } = ask.json()?;
    if results.len() > MAX_BINS {
        return Err(Problem::field("/results", "expected at most 500 results"));
    }
    let results = results.into_iter().map(|result| BinResult { bin: result.bin, outcome: result.outcome }).collect();
    let order = ask.path("order")?;
    let command = OnlineCommand::Report { token_hash: SecretHash(token.hash), order, results };
    ask.tell::<SmartBox>(token.address(), Command::Online(command), refused).await?;
    Ok(Reply::no_content())
}
