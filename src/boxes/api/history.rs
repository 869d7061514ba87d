//! A box's history: folded from its records, newest first.

use super::{
    events, look, named,
    schema::{ByName, HistoryKind, OutcomeName, ReasonName},
    time,
};
use crate::{
    boxes::{By, Fob, HistoryItem, Label, Outcome, history_item},
    http::{Ask, Doc, Each, List, Look, Problem, Reply, RowKey},
    kernel::{
        ExchangeId, KeyId, OrgId, PassId, PersonId, RowSpace,
        schema::{Time, Whole64},
    },
    store::{Db, StoreError, StoredRecord, keys},
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Ignored and rejected entries too.
    #[serde(default)]
    all: bool,
    #[param(inline)]
    key: Option<KeyId>,
    #[param(inline)]
    person: Option<PersonId>,
    #[param(inline)]
    bin: Option<Label>,
    /// Applied although something about it was not in order, or in order
    flagged: Option<bool>,
}

impl Filter {
    fn passes(&self, item: &HistoryItem) -> bool {
        let flagged = matches!(item.outcome, Outcome::Flagged(_));
        (self.all || flagged || item.outcome == Outcome::Applied)
            && self.key.is_none_or(|key| item.key == Some(key))
            && self.person.is_none_or(|person| item.person == Some(person))
            && self.bin.is_none_or(|bin| item.bin == Some(bin))
            && self.flagged.is_none_or(|wanted| wanted == flagged)
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = HistoryLine)]
pub(super) struct Shown {
    revision: u64,
    #[schema(value_type = Time)]
    at: String,
    #[schema(value_type = HistoryKind)]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    seq: Option<u64>,
    bin: Option<Label>,
    fob: Option<Fob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    person: Option<PersonId>,
    /// Nobody has this id any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    person_erased: bool,
    offline: bool,
    #[schema(value_type = OutcomeName)]
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ReasonName>, nullable = false)]
    reason: Option<&'static str>,
    #[schema(value_type = Option<Time>)]
    box_time: Option<String>,
    estimated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ByName>, nullable = false)]
    by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pass: Option<PassId>,
    /// The server had decided it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exchange: Option<ExchangeId>,
}

impl From<HistoryItem> for Shown {
    fn from(item: HistoryItem) -> Self {
        Self {
            revision: item.revision,
            at: item.at.to_rfc3339(),
            kind: item.kind.name(),
            seq: item.seq,
            bin: item.bin,
            fob: item.fob,
            key: item.key,
            person: item.person,
            person_erased: false,
            offline: item.offline,
            outcome: item.outcome.name(),
            reason: item.outcome.reason(),
            box_time: time(item.box_time),
            estimated: item.estimated,
            by: item.by.map(By::name),
            pass: item.by.and_then(By::pass),
            exchange: item.exchange,
        }
    }
}

const COLUMNS: [&str; 17] = [
    "revision",
    "at",
    "kind",
    "seq",
    "bin",
    "fob",
    "key",
    "person",
    "offline",
    "outcome",
    "reason",
    "box_time",
    "estimated",
    "person_erased",
    "by",
    "pass",
    "exchange",
];

pub(crate) const LIST: Doc =
    Doc::new("What happened at a box, newest first").query::<Filter>().exports::<Shown, Whole64>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let (page, filter) = ask.list_query::<Filter>()?;
    let (address, org) = (named(&ask)?, ask.org());
    look(&ask, address, |_| ()).await?;
    let list = List::new(&COLUMNS, move |look: Look<'_>, each: Each<'_, Shown>| {
        let before = look.after.and_then(u64::from_key);
        let records = look.db.history(address, before, look.rows)?;
        let mut erased = HashMap::new();
        for record in &records {
            for item in lines(record, before)? {
                let revision = item.revision.to_key();
                if !filter.passes(&item) {
                    each(&revision, None);
                    continue;
                }
                let mut shown = Shown::from(item);
                if let Some(person) = shown.person {
                    let known = match erased.get(&person) {
                        Some(known) => *known,
                        None => *erased.entry(person).or_insert(is_gone(look.db, org, person)?),
                    };
                    shown.person_erased = known;
                }
                each(&revision, Some(&shown));
            }
            each(&record.first_revision.to_key(), None);
        }
        Ok(records.len() < look.rows)
    });
    ask.list::<u64, _>(list, &page).await
}

fn is_gone(db: &Db, org: OrgId, person: PersonId) -> Result<bool, StoreError> {
    Ok(db.get(&keys::row(db.partition_of(org), RowSpace::People, org, &person.to_bytes()))?.is_none())
}

/// The lines of one record before a revision, newest first.
pub(super) fn lines(record: &StoredRecord, before: Option<u64>) -> Result<Vec<HistoryItem>, StoreError> {
    let mut lines = Vec::new();
    for (event, stamp) in events::decoded(record).map_err(|why| StoreError::Corrupt { what: "record", why })? {
        if before.is_some_and(|before| stamp.revision >= before) {
            break;
        }
        lines.extend(history_item(&event, stamp));
    }
    lines.reverse();
    Ok(lines)
}
