//! The old Exchange API, for those who still use it: the pick-ups and drop-offs of a box. It says that it will go, and
//! that the box's history comes after it.

use super::super::{history::lines, look};
use crate::{
    boxes::{Fob, HistoryItem, HistoryKind, Label},
    http::{Ask, Code, Doc, Each, List, Look, Old, Problem, Reply, RowKey},
    kernel::{
        BoxId, ExchangeId, KeyId, PersonId,
        schema::{Time, Whole64, shapes, words},
    },
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// 2026-09-01.
const DEPRECATED_SINCE_S: u64 = 1_788_220_800;
const SUNSET: &str = "Fri, 31 Dec 2027 23:59:59 GMT";

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[param(inline)]
    r#box: BoxId,
}

shapes! {
    OldExchangeKind, "What somebody did", words(&["pick_up", "drop_off"]);
}

#[derive(Serialize, ToSchema)]
#[schema(as = OldExchange)]
struct Shown {
    /// Of the line in the box's history.
    revision: u64,
    #[schema(value_type = OldExchangeKind)]
    r#type: &'static str,
    r#box: BoxId,
    bin: Option<Label>,
    fob: Option<Fob>,
    key: Option<KeyId>,
    person: Option<PersonId>,
    #[schema(value_type = Time)]
    at: String,
    offline: bool,
    exchange: Option<ExchangeId>,
}

impl Shown {
    fn of(id: BoxId, item: &HistoryItem) -> Option<Self> {
        let exchanged = matches!(item.kind, HistoryKind::PickUp | HistoryKind::DropOff) && item.outcome.took_place();
        exchanged.then(|| Self {
            revision: item.revision,
            r#type: item.kind.name(),
            r#box: id,
            bin: item.bin,
            fob: item.fob,
            key: item.key,
            person: item.person,
            at: item.at.to_rfc3339(),
            offline: item.offline,
            exchange: item.exchange,
        })
    }
}

const COLUMNS: [&str; 10] = ["revision", "type", "box", "bin", "fob", "key", "person", "at", "offline", "exchange"];

pub(crate) const LIST: Doc = Doc::new("Pick-ups and drop-offs at a box, newest first")
    .details("Deprecated: `GET /api/v1/boxes/{box}/history` has these and all else. Ends with 2027.")
    .query::<Filter>()
    .exports::<Shown, Whole64>()
    .refuses(&[Code::NotFound])
    .old();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let (page, Filter { r#box: id }) = ask.list_query()?;
    let address = id.at(ask.org());
    look(&ask, address, |_| ()).await?;
    let list = List::new(&COLUMNS, move |look: Look<'_>, each: Each<'_, Shown>| {
        let before = look.after.and_then(u64::from_key);
        let records = look.db.history(address, before, look.rows)?;
        for record in &records {
            for item in lines(record, before)? {
                each(&item.revision.to_key(), Shown::of(id, &item).as_ref());
            }
            each(&record.first_revision.to_key(), None);
        }
        Ok(records.len() < look.rows)
    });
    let successor = format!("/api/v1/boxes/{id}/history");
    let old = Old { deprecated_since_s: DEPRECATED_SINCE_S, sunset: SUNSET, successor };
    Ok(Reply { old: Some(old), ..ask.list::<u64, _>(list, &page).await? })
}
