//! `GET /api/v1/events`: everything that has happened since a cursor, oldest first; as a page, or as a stream that goes
//! on.

use super::{
    item::{Item, items},
    query::{Filter, cursor, unreadable, unrendered},
    streams,
};
use crate::{
    http::{Ask, Problem, Reply, limit_of, table::Format},
    kernel::FeedCursor,
    metrics,
};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    after: Option<String>,
    limit: Option<usize>,
    r#type: Option<String>,
    entity: Option<String>,
    kind: Option<String>,
    organisation: Option<String>,
}

#[derive(Serialize)]
struct Page {
    items: Vec<Item>,
    /// Where to go on: it is always there, so that one can ask again.
    next: String,
    /// Whether there is more already.
    more: bool,
}

/// Looks at the feed for one page: a long stretch of other events ends a page early.
const LOOKS_MAX: usize = 25;
/// Records of one look.
const RECORDS: usize = 200;

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let query: Query = ask.query()?;
    let limit = limit_of(query.limit)?;
    let (organisation, entity) = (query.organisation.as_deref(), query.entity.as_deref());
    let filter = Filter::read(&ask, organisation, entity, query.kind.as_deref(), query.r#type).await?;
    let is_stream = ask.format() == Format::EventStream;
    let seen = match ask.last_event_id().filter(|_| is_stream) {
        Some(id) => Some(std::str::from_utf8(id).unwrap_or("?").to_owned()),
        None => query.after,
    };
    let after = match seen.as_deref() {
        None => None,
        Some("now") => Some(ask.engine.feed_end(filter.org)),
        Some(text) => Some(cursor(text)?),
    };
    if is_stream {
        return streams::follow(ask, filter, after).await;
    }
    ::metrics::counter!(metrics::FEED_READS, "by" => "page").increment(1);
    page(&ask, &filter, after, limit).await
}

async fn page(ask: &Ask, filter: &Filter, mut after: Option<FeedCursor>, limit: usize) -> Result<Reply, Problem> {
    let mut found: Vec<Item> = Vec::new();
    for _ in 0..LOOKS_MAX {
        let end = ask.engine.feed_end(filter.org);
        let look = ask.engine.feed_where(filter.query(RECORDS), after).await;
        let look = look.map_err(|error| unreadable(error, end))?;
        for record in &look.records {
            for item in items(record).map_err(unrendered)? {
                if found.len() == limit {
                    // Behind the last that was taken: what was passed over since is passed over again.
                    let next = found.last().map_or(look.reached, |last| last.cursor).to_string();
                    return Reply::ok(&Page { items: found, next, more: true });
                }
                found.extend(filter.wants(&item).then_some(item));
            }
        }
        after = Some(look.reached);
        if look.at_end {
            return Reply::ok(&Page { items: found, next: look.reached.to_string(), more: false });
        }
        if found.len() == limit {
            break;
        }
    }
    let next = after.unwrap_or_else(|| ask.engine.feed_end(filter.org));
    Reply::ok(&Page { items: found, next: next.to_string(), more: true })
}
