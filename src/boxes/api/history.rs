//! A box's history: folded from its records, newest first.

use super::{
    events, look, named,
    schema::{HistoryKind, OutcomeName, ReasonName},
    time,
};
use crate::{
    boxes::{Fob, HistoryItem, Label, Outcome, history_item},
    http::{Ask, Code, Doc, Page, Problem, Reply, limit_of},
    kernel::{
        KeyId, OrgId, PersonId, RowSpace,
        schema::{Time, Whole64},
    },
    store::{Db, StoreError, StoredRecord, keys},
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use utoipa::{IntoParams, ToSchema};

/// Records read at once, and reads for one page: a long stretch of other events ends a page early.
const RECORDS: usize = 200;
const READS_MAX: usize = 25;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Query {
    /// How many at most; 50 if nothing is said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(value_type = Option<Whole64>, inline)]
    after: Option<u64>,
    /// Ignored and rejected entries too.
    #[serde(default)]
    all: bool,
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
        }
    }
}

pub(crate) const LIST: Doc = Doc::new("What happened at a box, newest first").query::<Query>().pages::<Shown>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let mut page = page(&ask).await?;
    let (org, people) = (ask.org(), page.items.iter().filter_map(|item| item.person).collect());
    let gone = ask.engine.with_db(move |db, _| gone(db, org, people)).await?;
    for item in &mut page.items {
        item.person_erased = item.person.is_some_and(|person| gone.contains(&person));
    }
    Reply::ok(&page)
}

/// Those of them who are no longer there.
fn gone(db: &Db, org: OrgId, people: HashSet<PersonId>) -> Result<HashSet<PersonId>, StoreError> {
    let mut gone = HashSet::new();
    for person in people {
        let row = keys::row(db.partition_of(org), RowSpace::People, org, &person.to_bytes());
        if db.get(&row)?.is_none() {
            gone.insert(person);
        }
    }
    Ok(gone)
}

async fn page(ask: &Ask) -> Result<Page<Shown>, Problem> {
    let Query { limit, after, all } = ask.query()?;
    let limit = limit_of(limit)?;
    let address = named(ask)?;
    look(ask, address, |_| ()).await?;
    let mut before = after;
    let mut items: Vec<Shown> = Vec::new();
    for _ in 0..READS_MAX {
        let records = ask.engine.history(address, before, RECORDS).await?;
        let whole = records.len() < RECORDS;
        for record in &records {
            for item in lines(record, before)? {
                let kept = all || matches!(item.outcome, Outcome::Applied | Outcome::Flagged(_));
                if kept && items.len() == limit {
                    let next = items.last().map(|last| last.revision.to_string());
                    return Ok(Page { items, next });
                }
                items.extend(kept.then(|| item.into()));
            }
            before = Some(record.first_revision);
        }
        if whole {
            return Ok(Page { items, next: None });
        }
    }
    Ok(Page { items, next: before.map(|before| before.to_string()) })
}

/// The lines of one record before a revision, newest first.
fn lines(record: &StoredRecord, before: Option<u64>) -> Result<Vec<HistoryItem>, Problem> {
    let mut lines = Vec::new();
    for (event, stamp) in events::decoded(record).map_err(|error| Problem::detailed(Code::Internal, error))? {
        if before.is_some_and(|before| stamp.revision >= before) {
            break;
        }
        lines.extend(history_item(&event, stamp));
    }
    lines.reverse();
    Ok(lines)
}
