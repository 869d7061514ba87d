//! `GET /api/v1/events`: everything that has happened since a cursor, oldest first; as a page, or as a stream that goes
//! on.

use super::{
    item::{Item, items},
    query::{EntityName, Filter, KindName, TypePrefix, cursor, unreadable, unrendered},
    streams,
};
use crate::{
    http::{Ask, Code, Doc, Problem, Reply, limit_of, table::Format},
    kernel::{
        FeedCursor, OrgId,
        schema::{FeedPlace, pattern, shapes},
    },
    metrics,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Query {
    /// The `next` of the page before, or an event's `cursor`, or `now`.
    #[param(value_type = Option<FeedStart>, inline)]
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
    /// For the operator: whose
    #[param(value_type = Option<OrgId>, inline)]
    organisation: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EventPage)]
struct Page {
    items: Vec<Item>,
    /// Where to go on: it is always there, so that one can ask again.
    #[schema(value_type = FeedPlace)]
    next: String,
    /// Whether there is more already.
    more: bool,
}

/// Looks at the feed for one page: a long stretch of other events ends a page early.
const LOOKS_MAX: usize = 25;
/// Records of one look.
const RECORDS: usize = 200;

shapes! {
    FeedStart, "A cursor of the feed, or `now`", pattern("^([0-9]{1,19}-[0-9]{1,19}-[0-9]{1,9}(-[0-9]{1,9})?|now)$").examples(["now"]);
}

pub(crate) const LIST: Doc = Doc::new("Everything that has happened since a cursor, oldest first")
    .details("With `Accept: text/event-stream` it goes on as server-sent events; `Last-Event-ID` says where.")
    .query::<Query>()
    .headers(&[("Last-Event-ID", "The last event that a reader of the stream has seen")])
    .answers::<Page>()
    .also(&["text/event-stream"])
    .refuses(&[Code::NotFound, Code::CursorTrimmed, Code::TooManyStreams]);

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let query: Query = ask.query()?;
    let limit = limit_of(query.limit)?;
    let (organisation, entity) = (query.organisation.as_deref(), query.entity.as_deref());
    let filter = Filter::read(&ask, organisation, entity, query.kind.as_deref(), query.r#type).await?;
    let is_stream = ask.format(&[Format::Json, Format::EventStream])? == Format::EventStream;
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
