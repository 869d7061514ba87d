//! Conflicts: both versions, whole, and how they end.

use super::{change_box, named, refused, stored, time};
use crate::{
    boxes::{Accept, Act, BinState, Command, Conflict, Fob, Label, Refusal, conflict_key},
    http::{Ask, Changed, Code, Page, PageQuery, Problem, Reply},
    kernel::{BoxId, KeyId, PersonId, RowSpace},
};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Where a page of conflicts ended: `box_….<number>`.
struct Place(BoxId, u64);

impl FromStr for Place {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (id, number) = text.split_once('.').ok_or(())?;
        Ok(Self(id.parse().map_err(|_| ())?, number.parse().map_err(|_| ())?))
    }
}

#[derive(Serialize)]
struct Shown {
    r#box: BoxId,
    seq: u64,
    kept_at: String,
    outcome: &'static str,
    reason: Option<&'static str>,
    kind: Option<&'static str>,
    bin: Option<Label>,
    fob: Option<Fob>,
    person: Option<PersonId>,
    at: String,
    box_time: Option<String>,
    estimated: bool,
    /// The state in force at the box when it happened.
    cursor: Option<String>,
    /// What could not be read.
    text: Option<Box<str>>,
    server: ServerSays,
    resolved: Option<Resolved>,
}

/// What the server knew when it judged.
#[derive(Serialize)]
struct ServerSays {
    bin_state: Option<BinState>,
    bin_fob: Option<Fob>,
    key: Option<KeyId>,
    fob_bin: Option<Label>,
    holder: Option<PersonId>,
    since: Option<String>,
}

#[derive(Serialize)]
struct Resolved {
    at: String,
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
            kind: box_says.act.map(|act| match act {
                Act::PickUp(_) => "pick_up",
                Act::DropOff(_) => "drop_off",
                Act::Opened => "opened",
            }),
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
            resolved: resolved.map(|resolution| Resolved {
                at: resolution.at.to_rfc3339(),
                accept: match resolution.accept {
                    Accept::Box => "box",
                    Accept::ByHand => "by_hand",
                },
            }),
        }
    }
}

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let query: PageQuery = ask.query()?;
    let limit = query.limit()?;
    let after = query.after::<Place>()?.map(|Place(id, number)| conflict_key(id, number).to_vec());
    let rows = ask.engine.rows(RowSpace::Conflicts, ask.org(), Vec::new(), after, limit).await?;
    let shown = |(key, bytes): &(Vec<u8>, Vec<u8>)| {
        let id = key.get(..16).and_then(BoxId::from_bytes).ok_or(Code::Internal)?;
        Ok(Shown::of(id, stored(bytes)?))
    };
    let items = rows.iter().map(shown).collect::<Result<Vec<_>, Problem>>()?;
    let next = items.last().filter(|_| items.len() == limit).map(|last| format!("{}.{}", last.r#box, last.seq));
    Reply::ok(&Page { items, next })
}

async fn find(ask: &Ask) -> Result<(BoxId, Conflict), Problem> {
    let (id, number): (BoxId, u64) = (ask.path("box")?, ask.path("seq")?);
    let row = ask.engine.row(RowSpace::Conflicts, ask.org(), conflict_key(id, number).to_vec()).await?;
    let bytes = row.ok_or_else(|| refused(Refusal::ConflictNotFound))?;
    Ok((id, stored(&bytes)?))
}

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let (id, conflict) = find(&ask).await?;
    Reply::ok(&Shown::of(id, conflict))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolve {
    accept: WireAccept,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireAccept {
    Box,
    ByHand,
}

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
