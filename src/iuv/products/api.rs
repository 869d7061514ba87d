//! The administration of products and their codes. A code is written, and shown to nobody but who ordered it.

use super::{
    rows::{GivenRow, ProductRow},
    state::{CODES_AT_ONCE, Changes, Command, Description, NewCode, Product, Refusal},
};
use crate::{
    http::{Ask, Changed, Code, Doc, List, PageQuery, Problem, Reply, body::objects},
    iuv::{Group, stores},
    kernel::{
        Address, ProductId, RowSpace, ShopperId, StoreId,
        schema::{Text, TextOrEmpty, Time, Whole64},
    },
    orgs::api::{Wrong, is_text, text},
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use utoipa::ToSchema;

const NAME_MAX: usize = 120;
const ABOUT_MAX: usize = 500;
const GROUP_MAX: usize = 50;
const GROUPS_MAX: usize = 50;
const CODE_MAX: usize = 120;
const PER_SHOPPER_MAX: u16 = 1_000;
const ALERT_MAX: u32 = 1_000_000;
const ALERT_BELOW: u32 = 20;
type Name = Text<NAME_MAX>;
type About = TextOrEmpty<ABOUT_MAX>;
type GroupText = Text<GROUP_MAX>;
type CodeText = Text<CODE_MAX>;

/// A group of users, as the store defines it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProductGroup)]
pub struct GroupNamed {
    #[schema(value_type = GroupText)]
    pub class: String,
    #[schema(value_type = GroupText)]
    pub group: String,
}

impl GroupNamed {
    pub fn of(group: &Group) -> Self {
        Self { class: group.class.to_string(), group: group.code.to_string() }
    }

    pub fn to_group(&self) -> Group {
        Group { class: self.class.as_str().into(), code: self.group.as_str().into() }
    }
}

/// Checks groups by their form; a store may define them later.
pub fn check_groups(wrong: &mut Wrong, groups: &[GroupNamed]) {
    wrong.unless(groups.len() <= GROUPS_MAX, "/groups", "expected at most 50 groups");
    for (at, group) in groups.iter().enumerate().take(GROUPS_MAX) {
        text(wrong, &format!("/groups/{at}/class"), &group.class, GROUP_MAX);
        text(wrong, &format!("/groups/{at}/group"), &group.group, GROUP_MAX);
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProduct)]
struct Create {
    #[schema(value_type = Name)]
    name: String,
    #[serde(default)]
    #[schema(value_type = About)]
    about: String,
    /// Users of any of these may have it; everybody if there are none.
    #[serde(default, deserialize_with = "objects")]
    #[schema(max_items = 50)]
    groups: Vec<GroupNamed>,
    /// How often one shopper may order it; once if nothing is said.
    #[schema(minimum = 1, maximum = 1000)]
    per_shopper: Option<u16>,
    /// So many codes left, or fewer, are worth a mail; 20 if nothing is said.
    #[schema(maximum = 1_000_000)]
    alert_below: Option<u32>,
    /// Whether it stands in the catalogue; it does if nothing is said.
    listed: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ProductCreated)]
struct Created {
    product: ProductId,
    revision: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProductChange)]
struct Change {
    #[schema(value_type = Option<Name>)]
    name: Option<String>,
    #[schema(value_type = Option<About>)]
    about: Option<String>,
    #[schema(max_items = 50)]
    groups: Option<Vec<GroupNamed>>,
    #[schema(minimum = 1, maximum = 1000)]
    per_shopper: Option<u16>,
    #[schema(maximum = 1_000_000)]
    alert_below: Option<u32>,
    listed: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ProductListed)]
struct Listed {
    product: ProductId,
    name: Box<str>,
    about: Box<str>,
    groups: Vec<GroupNamed>,
    per_shopper: u16,
    alert_below: u32,
    listed: bool,
    codes_added: u64,
    codes_given: u64,
    codes_left: u64,
    /// Orders that wait for a code.
    waiting: u32,
    #[schema(value_type = Time)]
    created_at: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Product)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    revision: u64,
}

impl Listed {
    fn of(product: ProductId, row: ProductRow) -> Self {
        let left = row.left();
        let ProductRow { description, created, added, given, waiting, changed: _ } = row;
        let Description { store: _, name, about, groups, per_shopper, alert_below, listed } = description;
        Self {
            product,
            name,
            about,
            groups: groups.iter().map(GroupNamed::of).collect(),
            per_shopper,
            alert_below,
            listed,
            codes_added: added,
            codes_given: given,
            codes_left: left,
            waiting,
            created_at: created.to_rfc3339(),
        }
    }
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => Problem::detailed(Code::NotFound, "no such product"),
        Refusal::AlreadyExists => Code::AlreadyExists.into(),
    }
}

/// The store that the path names, if it is there.
pub(in crate::iuv) async fn store_named(ask: &Ask) -> Result<StoreId, Problem> {
    let store = ask.path::<StoreId>("store")?;
    match stores::look(&ask.engine, store.at(ask.org())).await? {
        Some(_) => Ok(store),
        None => Err(Problem::detailed(Code::NotFound, "no such store")),
    }
}

/// The product that the path names, if it is of the store that stands there.
async fn named(ask: &Ask) -> Result<(Address, ProductRow), Problem> {
    let store = ask.path::<StoreId>("store")?;
    let product = ask.path::<ProductId>("product")?.at(ask.org());
    let read = |state: &Product, _| state.known.as_deref().map(ProductRow::of);
    let row = ask.engine.read(product, read).await?.filter(|row| row.description.store == store);
    row.map(|row| (product, row)).ok_or_else(|| refused(Refusal::NotFound))
}

fn check_bounds(wrong: &mut Wrong, about: Option<&str>, per_shopper: Option<u16>, alert_below: Option<u32>) {
    let short = about.is_none_or(|about| about.is_empty() || is_text(about, ABOUT_MAX));
    wrong.unless(short, "/about", "expected at most 500 characters, no control characters, no blanks at the ends");
    let fits = per_shopper.is_none_or(|count| (1..=PER_SHOPPER_MAX).contains(&count));
    wrong.unless(fits, "/per_shopper", "expected 1 to 1000");
    wrong.unless(alert_below.is_none_or(|below| below <= ALERT_MAX), "/alert_below", "expected at most 1000000");
}

pub(crate) const CREATE: Doc =
    Doc::new("Add a product").takes::<Create>().created::<Created>().refuses(&[Code::AlreadyExists, Code::NotFound]);

pub(crate) async fn create(ask: Ask) -> Result<Reply, Problem> {
    let store = store_named(&ask).await?;
    let body: Create = ask.json()?;
    let mut wrong = Wrong::default();
    text(&mut wrong, "/name", &body.name, NAME_MAX);
    check_groups(&mut wrong, &body.groups);
    check_bounds(&mut wrong, Some(&body.about), body.per_shopper, body.alert_below);
    wrong.check()?;
    let description = Description {
        store,
        name: body.name.into(),
        about: body.about.into(),
        groups: body.groups.iter().map(GroupNamed::to_group).collect(),
        per_shopper: body.per_shopper.unwrap_or(1),
        alert_below: body.alert_below.unwrap_or(ALERT_BELOW),
        listed: body.listed.unwrap_or(true),
    };
    let product = ProductId(ask.mint_id("product", 0));
    let revision = ask.tell_once::<Product>(product.at(ask.org()), Command::Create(description), refused).await?;
    Reply::created(&Created { product, revision })
}

pub(crate) const SHOW: Doc = Doc::new("Show a product").shows::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let (address, row) = named(&ask).await?;
    let changed = row.changed;
    let listed = Listed::of(ProductId(address.entity.raw), row);
    Reply::object(changed, &Shown { listed, revision: changed })
}

const COLUMNS: [&str; 10] = [
    "product",
    "name",
    "about",
    "per_shopper",
    "listed",
    "codes_added",
    "codes_given",
    "codes_left",
    "waiting",
    "created_at",
];

pub(crate) const LIST: Doc = Doc::new("List products").exports::<Listed, ProductId>().refuses(&[Code::NotFound]);

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let store = store_named(&ask).await?;
    let page: PageQuery = ask.query()?;
    let prefix = StoreId::to_bytes(store).to_vec();
    let list = List::of_rows_under(&COLUMNS, (RowSpace::Products, ask.org(), prefix), |_, key, row: ProductRow| {
        let product = ProductId::from_bytes(key)
            .ok_or_else(|| StoreError::Corrupt { what: "product", why: "its row's key".to_owned() })?;
        Ok(Some(Listed::of(product, row)))
    });
    ask.list::<ProductId, _>(list, &page).await
}

pub(crate) const CHANGE: Doc = Doc::new("Change a product").takes::<Change>().changed();

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let (product, _) = named(&ask).await?;
    let body: Change = ask.json()?;
    let mut wrong = Wrong::default();
    if let Some(name) = &body.name {
        text(&mut wrong, "/name", name, NAME_MAX);
    }
    check_groups(&mut wrong, body.groups.as_deref().unwrap_or_default());
    check_bounds(&mut wrong, body.about.as_deref(), body.per_shopper, body.alert_below);
    wrong.check()?;
    let changes = Changes {
        name: body.name.map(Into::into),
        about: body.about.map(Into::into),
        groups: body.groups.map(|groups| groups.iter().map(GroupNamed::to_group).collect()),
        per_shopper: body.per_shopper,
        alert_below: body.alert_below,
        listed: body.listed,
    };
    Reply::ok(&Changed { revision: ask.tell_once::<Product>(product, Command::Change(changes), refused).await? })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProductCodes)]
struct AddCodes {
    /// Each another, and none that was ever added.
    #[schema(value_type = HashSet<CodeText>, min_items = 1, max_items = 500)]
    codes: Vec<String>,
}

pub(crate) const ADD_CODES: Doc = Doc::new("Add codes to a product")
    .details("All of them or none. A code is given out once, ever; whoever waits is served first.")
    .takes::<AddCodes>()
    .changed()
    .refuses(&[Code::ProductCodeTaken]);

pub(crate) async fn add_codes(ask: Ask) -> Result<Reply, Problem> {
    let (product, _) = named(&ask).await?;
    let body: AddCodes = ask.json()?;
    let mut wrong = Wrong::default();
    wrong.unless((1..=CODES_AT_ONCE).contains(&body.codes.len()), "/codes", "expected 1 to 500 codes");
    for (at, code) in body.codes.iter().enumerate().take(CODES_AT_ONCE) {
        text(&mut wrong, &format!("/codes/{at}"), code, CODE_MAX);
    }
    let different: HashSet<&str> = body.codes.iter().map(String::as_str).collect();
    wrong.unless(different.len() == body.codes.len(), "/codes", "expected each code once");
    wrong.check()?;
    let codes = body.codes.into_iter().map(|code| NewCode(code.into())).collect();
    Reply::ok(&Changed { revision: ask.tell_once::<Product>(product, Command::AddCodes(codes), refused).await? })
}

#[derive(Serialize, ToSchema)]
#[schema(as = GivenCode)]
struct Given {
    /// In the order in which the codes were added, from 1.
    number: u64,
    shopper: ShopperId,
    order: u32,
    #[schema(value_type = Time)]
    at: String,
}

const GIVEN_COLUMNS: [&str; 4] = ["number", "shopper", "order", "at"];

pub(crate) const CODES: Doc =
    Doc::new("List who was given which code").details("By number, never by its text.").exports::<Given, Whole64>();

pub(crate) async fn codes(ask: Ask) -> Result<Reply, Problem> {
    let (product, _) = named(&ask).await?;
    let page: PageQuery = ask.query()?;
    let prefix = product.entity.raw.to_be_bytes().to_vec();
    let list =
        List::of_rows_under(&GIVEN_COLUMNS, (RowSpace::GivenCodes, ask.org(), prefix), |_, key, row: GivenRow| {
            let number = key.try_into().map(u64::from_be_bytes);
            let number =
                number.map_err(|_| StoreError::Corrupt { what: "given code", why: "its row's key".to_owned() })?;
            let GivenRow { to, at } = row;
            Ok(Some(Given { number, shopper: to.shopper, order: to.order, at: at.to_rfc3339() }))
        });
    ask.list::<u64, _>(list, &page).await
}
