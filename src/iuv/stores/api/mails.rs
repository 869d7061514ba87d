//! The stores' mails as their templates see them: rows, read when the mail is sent.

use crate::{
    delivery::mail::{MailKind, Reader},
    iuv::{
        stores::{
            StoreRow,
            mails::StoreMail,
            state::{Trouble, Why},
        },
        words::guid,
    },
    kernel::{Codec, RowSpace, StoreId, UnixMillis},
};
use serde_json::{Value, json};

pub(crate) static KINDS: [MailKind; 1] = [MailKind { template: "iuv_trouble", wanted: |_| true, data, ids, sample }];

fn seen(store: StoreId, name: &str, system_name: &str, account: u32, zone: &str) -> Value {
    json!({
        "id": store.to_string(), "guid": guid(store), "name": name, "system_name": system_name,
        "account": format!("{account:09}"), "zone": zone,
    })
}

fn troubles(all: &[Trouble]) -> Vec<Value> {
    all.iter().map(|trouble| json!({ "why": trouble.why.name(), "count": trouble.count })).collect()
}

fn data(reader: &Reader<'_>, about: &[u8]) -> Result<Value, String> {
    let StoreMail::Trouble { store, at, troubles: all } = StoreMail::decode_from(about)?;
    let row: StoreRow = reader.row(RowSpace::Stores, &store.to_bytes())?.ok_or("there is no such store")?;
    let (description, zone) = (row.description, reader.organisation()?.zone);
    let store = seen(store, &description.name, &description.system_name, description.account, &zone);
    Ok(json!({ "store": store, "at": at, "troubles": troubles(&all) }))
}

fn ids(about: &[u8]) -> Value {
    match StoreMail::decode_from(about) {
        Ok(StoreMail::Trouble { store, .. }) => json!({ "store": store }),
        Err(_) => Value::Null,
    }
}

fn sample() -> Value {
    let all: Vec<_> = Why::ALL.into_iter().zip(1..).map(|(why, count)| Trouble { why, count }).collect();
    json!({
        "store": seen(StoreId(1), "Segreteria & Software", "segreteria", 100_001_111, "Europe/Rome"),
        "at": UnixMillis(1_790_000_000_000), "troubles": troubles(&all),
    })
}
