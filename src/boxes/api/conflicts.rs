//! Conflicts: both versions, whole, and how they end.

use super::{
    change_box, key_of, named,
    place::Place,
    refused,
    schema::{JournalKind, OutcomeName, ReasonName},
    stored, time,
};
use crate::{
    boxes::{Accept, Act, BinState, Command, Conflict, Cursor, Fob, Label, Refusal, numbered_key},
    http::{Ask, Changed, Code, Doc, List, Problem, Reply},
    kernel::{BoxId, KeyId, PersonId, RowSpace, schema::Time},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Serialize, ToSchema)]
#[schema(as = Conflict)]
struct Shown {
    r#box: BoxId,
    seq: u64,
    #[schema(value_type = Time)]
    kept_at: String,
    #[schema(value_type = OutcomeName)]
    outcome: &'static str,
    #[schema(value_type = Option<ReasonName>)]
    reason: Option<&'static str>,
    #[schema(value_type = Option<JournalKind>)]
    kind: Option<&'static str>,
    bin: Option<Label>,
    fob: Option<Fob>,
    person: Option<PersonId>,
    #[schema(value_type = Time)]
    at: String,
    #[schema(value_type = Option<Time>)]
    box_time: Option<String>,
    estimated: bool,
    /// The state in force at the box when it happened.
    #[schema(value_type = Option<Cursor>)]
    cursor: Option<String>,
    /// What could not be read.
    text: Option<Box<str>>,
    server: ServerSays,
    resolved: Option<Resolved>,
}

/// What the server knew when it judged.
#[derive(Serialize, ToSchema)]
struct ServerSays {
    bin_state: Option<BinState>,
    bin_fob: Option<Fob>,
    key: Option<KeyId>,
    fob_bin: Option<Label>,
    holder: Option<PersonId>,
    #[schema(value_type = Option<Time>)]
    since: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ConflictResolved)]
struct Resolved {
    #[schema(value_type = Time)]
    at: String,
    #[schema(value_type = WireAccept)]
    accept: &'static str,
}

impl Shown {
    fn of(id: BoxId, conflict: Conflict) -> Self {
        let Conflict { number, kept_at, outcome, box_says, server_says, resolved } = conflict;
        Self {
            r#box: id,
            seq: number,
            kept_at: kept_at.to_rfc3339(),
            outcome: outcome.name(),
            reason: outcome.reason(),
            kind: box_says.act.map(Act::name),
            bin: box_says.bin,
            fob: box_says.act.and_then(Act::fob),
            person: box_says.person,
            at: box_says.at.to_rfc3339(),
            box_time: time(box_says.box_time),
            estimated: box_says.estimated,
            cursor: box_says.cursor.map(|cursor| cursor.to_string()),
            text: box_says.text,
            server: ServerSays {
                bin_state: server_says.bin_state,
                bin_fob: server_says.bin_fob,
                key: server_says.key,
                fob_bin: server_says.fob_bin,
                holder: server_says.holder,
                since: time(server_says.since),
            },
            resolved: resolved
                .map(|resolution| Resolved { at: resolution.at.to_rfc3339(), accept: resolution.accept.name() }),
        }
    }
}

const COLUMNS: [&str; 21] = [
    "box",
    "seq",
    "kept_at",
    "outcome",
    "reason",
    "kind",
    "bin",
    "fob",
    "person",
    "at",
    "box_time",
    "estimated",
    "text",
    "server.bin_state",
    "server.bin_fob",
    "server.key",
    "server.fob_bin",
    "server.holder",
    "server.since",
    "resolved.at",
    "resolved.accept",
];

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[param(inline)]
    r#box: Option<BoxId>,
    /// Not resolved, or resolved
    open: Option<bool>,
}

pub(crate) const LIST: Doc = Doc::new("List conflicts").query::<Filter>().exports::<Shown, Place<false>>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let (page, filter) = ask.list_query::<Filter>()?;
    let prefix = filter.r#box.map(|id| id.to_bytes().to_vec()).unwrap_or_default();
    let list = List::of_rows(&COLUMNS, (RowSpace::Conflicts, ask.org(), prefix), move |_, key, conflict: Conflict| {
        let Place::<false>(id, _) = key_of(key)?;
        let passes = filter.open.is_none_or(|open| open == conflict.resolved.is_none());
        Ok(passes.then(|| Shown::of(id, conflict)))
    });
    ask.list::<Place<false>, _>(list, &page).await
}

async fn find(ask: &Ask) -> Result<(BoxId, Conflict), Problem> {
    let (id, number): (BoxId, u64) = (ask.path("box")?, ask.path("seq")?);
    let row = ask.engine.row(RowSpace::Conflicts, ask.org(), numbered_key(id, number).to_vec()).await?;
    let bytes = row.ok_or_else(|| refused(Refusal::ConflictNotFound))?;
    Ok((id, stored(&bytes)?))
}

pub(crate) const SHOW: Doc = Doc::new("Show a conflict with both versions").shows::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let (id, conflict) = find(&ask).await?;
    Reply::object(conflict.tag(), &Shown::of(id, conflict))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Resolution)]
struct Resolve {
    accept: WireAccept,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Accept)]
enum WireAccept {
    Box,
    ByHand,
}

pub(crate) const RESOLVE: Doc = Doc::new("Settle a conflict")
    .details("`box`: the box is right, its version is taken over. `by_hand`: what had to be done is done.")
    .takes::<Resolve>()
    .changed()
    .refuses(&[Code::CannotAccept]);

pub(crate) async fn resolve(ask: Ask) -> Result<Reply, Problem> {
    let Resolve { accept } = ask.json()?;
    if let Some(revision) = ask.done_before(named(&ask)?.org).await? {
        return Reply::ok(&Changed { revision });
    }
    let (_, conflict) = find(&ask).await?;
    let accept = match accept {
        WireAccept::Box => Accept::Box,
        WireAccept::ByHand => Accept::ByHand,
    };
    let command = Command::ResolveConflict { conflict: Box::new(conflict), accept };
    Reply::ok(&Changed { revision: change_box(&ask, command).await? })
}
