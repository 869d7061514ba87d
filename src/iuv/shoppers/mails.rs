//! The shop's mails as their templates see them. A link's token is made when the mail is sent: it stands nowhere.

use super::{
    post::{MailedLink, ShopMail},
    words::{LinkToken, StoreRole},
};
use crate::{
    delivery::mail::{MailKind, Reader},
    iuv::products::{self, ProductRow},
    kernel::{Codec, OrgId, RowSpace, UnixMillis},
};
use serde_json::{Value, json};

pub(crate) static KINDS: [MailKind; 4] = [
    MailKind { template: "iuv_sign_in", wanted: |_| true, data, ids, sample: sample_link },
    MailKind { template: "iuv_password", wanted: |_| true, data, ids, sample: sample_link },
    MailKind { template: "iuv_pool_low", wanted: |_| true, data, ids, sample: sample_pool },
    MailKind { template: "iuv_role_transfer", wanted: |_| true, data, ids, sample: sample_transfer },
];

/// The whole link, as a browser takes it.
fn link(reader: &Reader<'_>, link: &MailedLink) -> String {
    let token = LinkToken::of(reader.keyed_hash(), link.shopper, &link.salt);
    format!("{}{}", link.start, token.as_str())
}

fn with_link(reader: &Reader<'_>, mailed: &MailedLink) -> Value {
    json!({ "link": link(reader, mailed), "until": mailed.until, "zone": ZONE })
}

/// A store has no zone of its own.
const ZONE: &str = "UTC";

fn data(reader: &Reader<'_>, about: &[u8]) -> Result<Value, String> {
    Ok(match ShopMail::decode_from(about)? {
        ShopMail::SignIn(mailed) | ShopMail::Password(mailed) => with_link(reader, &mailed),
        ShopMail::PoolLow { store, product, left } => {
            let row: Option<ProductRow> = reader.row(RowSpace::Products, &products::key(store, product))?;
            let row = row.ok_or("there is no such product")?;
            json!({ "product": row.description.name, "id": product, "left": left, "waiting": row.waiting })
        }
        ShopMail::Transfer { link: mailed, to, role } => {
            let name = |shopper| reader.shopper(shopper).map(|known| known.map(|known| known.user_name.clone()));
            let mut data = with_link(reader, &mailed);
            data["from"] = name(mailed.shopper)?.into();
            data["to"] = name(to)?.into();
            data["role"] = role.name().into();
            data
        }
    })
}

fn ids(about: &[u8]) -> Value {
    match ShopMail::decode_from(about) {
        Ok(ShopMail::SignIn(link) | ShopMail::Password(link)) => {
            json!({ "store": link.store, "shopper": link.shopper })
        }
        Ok(ShopMail::PoolLow { store, product, left }) => json!({ "store": store, "product": product, "left": left }),
        Ok(ShopMail::Transfer { link, to, role }) => {
            json!({ "store": link.store, "shopper": link.shopper, "to": to, "role": role })
        }
        Err(_) => Value::Null,
    }
}

const SAMPLE_TIME: UnixMillis = UnixMillis(1_790_000_000_000);

fn sample_link() -> Value {
    json!({ "link": "https://shop.example.org/link", "until": SAMPLE_TIME, "zone": ZONE })
}

fn sample_pool() -> Value {
    json!({ "product": "Editor <9>", "id": OrgId(1).to_string(), "left": 3, "waiting": 0 })
}

fn sample_transfer() -> Value {
    json!({
        "link": "https://shop.example.org/link", "until": SAMPLE_TIME, "zone": ZONE, "from": "anna", "to": "a.rossi",
        "role": StoreRole::StoreAdmin.name(),
    })
}
