//! The wire of retention and erasure of organisations. People are exported by `export`, erased by `orgs`.

use crate::{
    http::{Ask, Changed, Code, Doc, Problem, Reply},
    kernel::OrgId,
    orgs::{
        Organisation,
        api::{
            Wrong,
            organisations::{is_own, tell},
        },
        organisation::{Command, HISTORY_DAYS},
    },
};
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Retention {
    /// Null: as the server's configuration says.
    #[schema(minimum = 7, maximum = 3650)]
    history_days: Option<u32>,
}

pub(crate) const KEEP_HISTORY: Doc = Doc::new("Set how long history is kept")
    .details("The operator sets it for all, a token of an organisation for its own. Older history goes within hours.")
    .takes::<Retention>()
    .changed()
    .refuses(&[Code::Invalid, Code::NotFound]);

pub(crate) async fn keep_history(ask: Ask) -> Result<Reply, Problem> {
    let organisation: OrgId = ask.path("organisation")?;
    is_own(&ask, organisation)?;
    let Retention { history_days: days } = ask.json()?;
    let mut wrong = Wrong::default();
    let allowed = days.is_none_or(|days| HISTORY_DAYS.contains(&days));
    wrong.unless(allowed, "/history_days", "expected 7 to 3650 days, or null");
    wrong.check()?;
    let revision = tell(&ask, organisation, Command::KeepHistory { days }).await?;
    Reply::ok(&Changed { revision })
}

pub(crate) const ERASE_ORGANISATION: Doc = Doc::new("Erase an organisation and all that is its own")
    .details("It is gone at once; what it had is removed in the background.")
    .begun()
    .refuses(&[Code::NotFound]);

/// Begins the erasure: from here on the organisation is not there, what it had goes in the background.
pub(crate) async fn erase_organisation(mut ask: Ask) -> Result<Reply, Problem> {
    let organisation: OrgId = ask.path("organisation")?;
    is_own(&ask, organisation)?;
    let changed = |state: &Organisation, _| state.known.as_ref().map(|known| known.changed);
    let tag = ask.engine.read(organisation.at(organisation), changed).await?.ok_or(Code::NotFound)?;
    // The server's own list takes the command; the caller's conditions are about the organisation.
    ask.judge(tag)?;
    let revision = tell(&ask, OrgId::SYSTEM, Command::Erase { organisation }).await?;
    ask.engine.close_organisation(organisation);
    Reply::new(202, &Changed { revision })
}
