//! `GET /api/v1/audit`: who did what, when, from where, and what became of it; over all entities of an organisation,
//! newest first. And what was refused without being an event.

use super::{
    export,
    item::{Item, items, principal},
    query::{Doer, EntityName, Filter, KindName, TypePrefix, cursor, unreadable, unrendered, wrong},
};
use crate::{
    engine::Engine,
    http::{Ask, Code, Doc, Page, Problem, Reply, limit_of, refusals::Refusal, table::Format},
    kernel::{
        FeedCursor, OrgId, UnixMillis,
        schema::{Address, FeedPlace, Time, TimeGiven},
    },
    metrics,
};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, time::Duration};
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Query {
    /// The `next` of the page before, or an event's `cursor`
    #[param(value_type = Option<FeedPlace>, inline)]
    after: Option<String>,
    /// How many at most; 50 if nothing is said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    #[param(value_type = Option<TypePrefix>, inline)]
    r#type: Option<String>,
    #[param(value_type = Option<EntityName>, inline)]
    entity: Option<String>,
    #[param(value_type = Option<KindName>, inline)]
    kind: Option<String>,
    /// A token, a box, a person or a network address.
    by: Option<String>,
    /// From this moment on
    #[param(value_type = Option<TimeGiven>, inline)]
    from: Option<String>,
    /// Before this moment
    #[param(value_type = Option<TimeGiven>, inline)]
    until: Option<String>,
    /// For the operator: whose
    #[param(value_type = Option<OrgId>, inline)]
    organisation: Option<String>,
}

/// An event with all that the audit tells of it.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct Entry {
    #[serde(flatten)]
    pub item: Item,
    /// The network address of who asked.
    #[schema(value_type = Option<Address>)]
    from: Option<IpAddr>,
}

/// What is looked for.
pub(super) struct Search {
    pub filter: Filter,
    by: Option<String>,
    from: Option<UnixMillis>,
    until: Option<UnixMillis>,
}

/// What one look found.
pub(super) struct Found {
    pub entries: Vec<Entry>,
    pub reached: FeedCursor,
    pub at_end: bool,
}

/// Looks at the feed for one page: a long stretch of other events ends a page early.
const LOOKS_MAX: usize = 25;
/// Records of one look.
const RECORDS: usize = 200;
/// A record becomes durable a little later than it was decided, and clocks are put right: so far the order of the log
/// may differ from that of the times.
const DISORDER: Duration = Duration::from_secs(15 * 60);

impl Search {
    /// Where to begin, if nothing else is said.
    async fn start(&self, engine: &Engine) -> Result<Option<FeedCursor>, Problem> {
        let Some(until) = self.until else { return Ok(None) };
        Ok(Some(engine.feed_around(self.filter.org, until.plus(DISORDER)).await?))
    }

    /// One bounded look at what lies before a place.
    pub async fn look(&self, engine: &Engine, before: Option<FeedCursor>) -> Result<Found, Problem> {
        ::metrics::counter!(metrics::FEED_READS, "by" => "audit").increment(1);
        let end = engine.feed_end(self.filter.org);
        let page = engine.feed_back(self.filter.query(RECORDS), before).await;
        let page = page.map_err(|error| unreadable(error, end))?;
        let mut found = Found { entries: Vec::new(), reached: page.reached, at_end: page.at_end };
        for record in &page.records {
            let at = record.record.at;
            if self.from.is_some_and(|from| at.plus(DISORDER) < from) {
                found.at_end = true;
                return Ok(found);
            }
            if self.from.is_some_and(|from| at < from) || self.until.is_some_and(|until| at >= until) {
                continue;
            }
            let wanted = items(record).map_err(unrendered)?.into_iter().rev().filter(|item| self.wants(item));
            found.entries.extend(wanted.map(|item| Entry { from: item.from, item }));
        }
        Ok(found)
    }

    fn wants(&self, item: &Item) -> bool {
        let is_by = |by: &str| {
            item.by == by || item.person() == Some(by) || item.from.is_some_and(|from| from.to_string() == by)
        };
        self.filter.wants(item) && self.by.as_deref().is_none_or(is_by)
    }
}

fn time(text: Option<String>, wrong_time: &'static str) -> Result<Option<UnixMillis>, Problem> {
    text.map(|text| UnixMillis::from_rfc3339(&text).ok_or_else(|| wrong(wrong_time))).transpose()
}

pub(crate) const LIST: Doc = Doc::new("Who did what, when, from where, newest first")
    .details("With `Accept: text/csv` or `application/x-ndjson` all of it at once, `limit` then without bound.")
    .query::<Query>()
    .pages::<Entry>()
    .also(&["text/csv", "application/x-ndjson"])
    .refuses(&[Code::NotFound, Code::CursorTrimmed, Code::TooManyStreams]);

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let query: Query = ask.query()?;
    let (organisation, entity) = (query.organisation.as_deref(), query.entity.as_deref());
    let search = Search {
        filter: Filter::read(&ask, organisation, entity, query.kind.as_deref(), query.r#type).await?,
        by: query.by,
        from: time(query.from, "`from` is not a time as RFC 3339 writes it")?,
        until: time(query.until, "`until` is not a time as RFC 3339 writes it")?,
    };
    let mut before = match query.after.as_deref() {
        Some(text) => Some(cursor(text)?),
        None => search.start(&ask.engine).await?,
    };
    let format = ask.format(&[Format::Json, Format::Csv, Format::Ndjson])?;
    if matches!(format, Format::Csv | Format::Ndjson) {
        let limit = query.limit.unwrap_or(usize::MAX);
        return export::all(&ask, search, before, limit, format);
    }
    let limit = limit_of(query.limit)?;
    let mut entries: Vec<Entry> = Vec::new();
    for _ in 0..LOOKS_MAX {
        let found = search.look(&ask.engine, before).await?;
        let room = limit - entries.len();
        if found.entries.len() > room {
            entries.extend(found.entries.into_iter().take(room));
            return page(entries, None);
        }
        entries.extend(found.entries);
        if found.at_end {
            return Reply::ok(&Page { items: entries, next: None });
        }
        before = Some(found.reached);
        if entries.len() == limit {
            break;
        }
    }
    page(entries, before)
}

/// A page with more behind it: `reached` if all that was looked at was taken, else the place before its last entry.
fn page(items: Vec<Entry>, reached: Option<FeedCursor>) -> Result<Reply, Problem> {
    let next = reached.or_else(|| items.last().map(|last| last.item.before));
    Reply::ok(&Page { items, next: next.map(|next| next.to_string()) })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct RefusalsQuery {
    /// For the operator: whose
    #[param(value_type = Option<OrgId>, inline)]
    organisation: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Refusals)]
struct Refused {
    items: Vec<Shown>,
    /// Older ones that had to make room since the server started.
    forgotten: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RefusalLine)]
struct Shown {
    #[schema(value_type = Time)]
    first_at: String,
    #[schema(value_type = Time)]
    last_at: String,
    /// So many alike between the two.
    count: u64,
    #[schema(value_type = Doer)]
    by: String,
    #[schema(value_type = Option<Address>)]
    from: Option<IpAddr>,
    route: &'static str,
    code: &'static str,
}

pub(crate) const REFUSALS: Doc = Doc::new("What was refused since the server started")
    .details("Kept in memory and bounded: a sample, newest first.")
    .query::<RefusalsQuery>()
    .answers::<Refused>()
    .refuses(&[Code::NotFound]);

pub(crate) async fn refusals(ask: Ask) -> Result<Reply, Problem> {
    let query: RefusalsQuery = ask.query()?;
    let filter = Filter::read(&ask, query.organisation.as_deref(), None, None, None).await?;
    let (lines, forgotten) = ask.refusals().of(filter.org);
    let shown = |line: Refusal| Shown {
        first_at: line.first.to_rfc3339(),
        last_at: line.last.to_rfc3339(),
        count: line.count,
        by: principal(line.by),
        from: line.from,
        route: line.route,
        code: line.code,
    };
    Reply::ok(&Refused { items: lines.into_iter().map(shown).collect(), forgotten })
}
