//! The stores of a term, made over the API, and what the API says of them in the end.

use super::{TermArgs, model::Model};
use crate::{
    api::{Api, ApiError, text},
    chance::Chance,
    fleet::gather,
    report::LoadError,
    screen::bar,
};
use serde_json::{Value, json};
use std::{cell::RefCell, rc::Rc};

/// An organisation's stores share its account number: the key says which one is meant.
const STORES_OF_ONE: usize = 4;
/// Codes that one request brings.
const CODES_AT_ONCE: usize = 500;
/// Codes beyond what everybody could order.
const SPARE: usize = 20;

pub struct Product {
    pub id: String,
    /// Who may order it; everybody if there are none.
    pub groups: Vec<&'static str>,
    pub codes: Vec<String>,
}

pub struct Store {
    /// The organisation's.
    pub token: String,
    pub id: String,
    pub guid: String,
    pub account: String,
    pub key: String,
    /// The address of the customer's server.
    pub caller: String,
    pub products: Vec<Product>,
}

/// What each store sells: to whom.
const SHELF: [(&str, &[&str]); 4] =
    [("Office", &[]), ("Mathematics", &["students", "faculty"]), ("Compiler", &["faculty"]), ("Payroll", &["staff"])];

pub async fn open(operator: &mut Api, args: &TermArgs, chance: &Chance) -> Result<Vec<Store>, LoadError> {
    let count = usize::from(args.stores);
    let run = chance.fork(77).number() % 1_000_000;
    let mut tokens = Vec::new();
    for index in 0..count.div_ceil(STORES_OF_ONE) {
        let body = json!({
            "name": format!("University {run:06}-{index}"), "plan": "premium", "language": "en", "zone": "Europe/Rome",
            "owner": {"name": "Demo Owner", "email": format!("owner@university{index}.example")},
        });
        let answer = operator.post("/organisations", &body).await?;
        tokens.push(text(&answer, "token", "POST /organisations")?);
    }
    let progress = bar("stores", count as u64);
    let target = operator.target().clone();
    let each = args.shoppers.div_ceil(count);
    let makers = tokens.into_iter().enumerate().map(|(of, token)| {
        let mut api = Api::new(target.clone(), &*token, chance.fork(200 + of as u64));
        let progress = progress.clone();
        async move {
            let mut made = Vec::new();
            for index in (of * STORES_OF_ONE..count).take(STORES_OF_ONE) {
                made.push((index, one(&mut api, &token, index, run, each).await?));
                progress.inc(1);
            }
            Ok(made)
        }
    });
    let stores = gather(makers).await?;
    progress.finish_and_clear();
    Ok(stores)
}

async fn one(api: &mut Api, token: &str, index: usize, run: u64, shoppers: usize) -> Result<Store, LoadError> {
    let language = ["it", "de", "en"][index % 3];
    let body = json!({
        "system_name": format!("shop-{run}-{index}"), "name": format!("Campus shop {index}"),
        "language": language, "academic": true,
    });
    let answer = api.post("/stores", &body).await?;
    let of = |field| text(&answer, field, "POST /stores");
    let (id, guid, account) = (of("store")?, of("guid")?, of("account")?);
    let caller = format!("192.0.2.{}", index % 250 + 1);
    let key = verification(api, &id, &caller).await?;
    let mut products = Vec::new();
    for (number, (name, groups)) in SHELF.into_iter().enumerate() {
        let given: Vec<Value> =
            groups.iter().map(|group| json!({ "class": "academic_statuses", "group": group })).collect();
        let path = format!("/stores/{id}/products");
        let answer = api.post(&path, &json!({ "name": name, "groups": given, "per_shopper": 1 })).await?;
        let product = text(&answer, "product", &path)?;
        let codes: Vec<String> =
            (0..shoppers + SPARE).map(|code| format!("{name}-{run:06}-{index:03}-{number}-{code:06}")).collect();
        for some in codes.chunks(CODES_AT_ONCE) {
            api.post(&format!("{path}/{product}/codes"), &json!({ "codes": some })).await?;
        }
        products.push(Product { id: product, groups: groups.to_vec(), codes });
    }
    Ok(Store { token: token.to_owned(), id, guid, account, key, caller, products })
}

/// IUV, active; the new store's own kind goes.
async fn verification(api: &mut Api, store: &str, caller: &str) -> Result<String, ApiError> {
    let path = format!("/stores/{store}/verifications");
    let first = api.get(&format!("/stores/{store}")).await?["verifications"][0]["verification"].clone();
    api.delete(&format!("{path}/{first}")).await?;
    let added = api.post(&path, &json!({ "kind": "iuv" })).await?["verification"].clone();
    let path = format!("{path}/{added}");
    let settings = json!({
        "external_url": "https://campus.example/login?from=shop#top", "callers": [caller],
        "administrators": ["iuv@campus.example"],
    });
    api.patch(&path, &settings).await?;
    let key = text(&api.post(&format!("{path}/key/generation"), &json!({})).await?, "key", &path)?;
    api.put(&format!("{path}/key"), &json!({ "key": key })).await?;
    api.put(&format!("{path}/state"), &json!({ "state": "active" })).await?;
    Ok(key)
}

/// The pools hold what the model says is left.
pub async fn compare(operator: &mut Api, model: &Rc<RefCell<Model>>, chance: &Chance) -> Result<(), LoadError> {
    let stores: Vec<(String, String, Vec<String>)> = model
        .borrow()
        .stores
        .iter()
        .map(|store| {
            let products = store.products.iter().map(|product| product.id.clone()).collect();
            (store.token.clone(), store.id.clone(), products)
        })
        .collect();
    for (at, (token, store, products)) in stores.into_iter().enumerate() {
        let mut api = operator.with_token(token, chance.fork(300 + at as u64));
        for (number, product) in products.into_iter().enumerate() {
            let shown = api.get(&format!("/stores/{store}/products/{product}")).await?;
            let expected = model.borrow().left(at, number);
            if shown["codes_left"].as_u64() != Some(expected) {
                model.borrow_mut().wrong(format!("{product} should have {expected} codes left: {shown}"));
            }
        }
    }
    Ok(())
}
