//! Orders of a store, and the report by member organisation.

use crate::{
    http::{Ask, Code, Doc, List, Problem, Reply, RowKey},
    iuv::{
        pages::{self, Report},
        products::api::store_named,
        shoppers::{rows::OrderRow, words::LineCode},
    },
    kernel::{
        ProductId, RowSpace, ShopperId, StoreId,
        schema::{Time, pattern, shapes, words},
    },
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::{IntoParams, ToSchema};

shapes! {
    OrderName, "A shopper and the number of an order",
        pattern("^shp_[0-7][0-9a-hjkmnp-tv-z]{25}-[0-9]{1,9}$").examples(["shp_0123456789abcdefghjkmnpqrs-1"]);
    CodeState, "What became of the code of a line", words(&["test", "waiting", "given", "denied"]);
}

/// Where an order stands in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OrderPlace {
    shopper: ShopperId,
    number: u32,
}

impl fmt::Display for OrderPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.shopper, self.number)
    }
}

impl FromStr for OrderPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (shopper, number) = text.rsplit_once('-').ok_or(())?;
        Ok(Self { shopper: shopper.parse().map_err(|_| ())?, number: number.parse().map_err(|_| ())? })
    }
}

impl RowKey for OrderPlace {
    fn to_key(&self) -> Vec<u8> {
        [&ShopperId::to_bytes(self.shopper)[..], &self.number.to_be_bytes()].concat()
    }

    fn from_key(key: &[u8]) -> Option<Self> {
        let (shopper, number) = key.split_at_checked(16)?;
        Some(Self { shopper: ShopperId::from_bytes(shopper)?, number: u32::from_be_bytes(number.try_into().ok()?) })
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = OrderLine)]
struct ShownLine {
    product: ProductId,
    #[schema(value_type = CodeState)]
    code: &'static str,
    /// Of the code in the product's pool.
    number: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Order)]
struct Listed {
    #[schema(value_type = OrderName)]
    order: String,
    shopper: ShopperId,
    number: u32,
    #[schema(value_type = Time)]
    at: String,
    test: bool,
    member_org: Option<Box<str>>,
    lines: Vec<ShownLine>,
}

/// Which orders; every filter that is named must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    test: Option<bool>,
    member_org: Option<String>,
    shopper: Option<ShopperId>,
}

const COLUMNS: [&str; 6] = ["order", "shopper", "number", "at", "test", "member_org"];

pub(crate) const ORDERS: Doc =
    Doc::new("List orders").query::<Filter>().exports::<Listed, OrderName>().refuses(&[Code::NotFound]);

pub(crate) async fn orders(ask: Ask) -> Result<Reply, Problem> {
    let store = store_named(&ask).await?;
    let (page, filter) = ask.list_query::<Filter>()?;
    let prefix = StoreId::to_bytes(store).to_vec();
    let list = List::of_rows_under(&COLUMNS, (RowSpace::Orders, ask.org(), prefix), move |_, key, row: OrderRow| {
        let place = OrderPlace::from_key(key)
            .ok_or_else(|| StoreError::Corrupt { what: "order", why: "its row's key".to_owned() })?;
        let order = row.order;
        let passes = filter.test.is_none_or(|test| test == order.test)
            && filter.member_org.as_deref().is_none_or(|member| order.member.as_deref() == Some(member))
            && filter.shopper.is_none_or(|shopper| shopper == place.shopper);
        let line = |line: &crate::iuv::shoppers::Line| ShownLine {
            product: line.product,
            code: line.code.name(),
            number: match line.code {
                LineCode::Given(number) => Some(number),
                LineCode::Test | LineCode::Waits | LineCode::Denied => None,
            },
        };
        Ok(passes.then(|| Listed {
            order: place.to_string(),
            shopper: place.shopper,
            number: place.number,
            at: order.at.to_rfc3339(),
            test: order.test,
            lines: order.lines.iter().map(line).collect(),
            member_org: order.member,
        }))
    });
    ask.list::<OrderPlace, _>(list, &page).await
}

pub(crate) const REPORT: Doc = Doc::new("Report orders by member organisation").shows::<Report>();

pub(crate) async fn report(ask: Ask) -> Result<Reply, Problem> {
    let (store, org) = (store_named(&ask).await?, ask.org());
    Reply::view(&ask.engine.with_db(move |db, _| pages::report(db, org, store)).await?)
}
