//! What an administrator chooses for one box.

use super::super::{change_box, look, named};
use crate::{
    boxes::{Command, OnlineCommand},
    http::{Ask, Changed, Doc, Problem, Reply},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = BoxSettings)]
struct Shown {
    /// Keys may be dropped off without a code or badge: the time is noted, the person is not.
    quick_scan: bool,
    revision: u64,
}

pub(crate) const SHOW: Doc = Doc::new("Show a box's settings").shows::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let (settings, revision) = look(&ask, named(&ask)?, |state| (state.settings(), state.settings_tag())).await?;
    Reply::object(revision, &Shown { quick_scan: settings.quick_scan, revision })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BoxSettingsChange)]
struct Change {
    quick_scan: Option<bool>,
}

pub(crate) const CHANGE: Doc = Doc::new("Change a box's settings").takes::<Change>().changed();

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let Change { quick_scan } = ask.json()?;
    let command = Command::Online(OnlineCommand::Set { quick_scan });
    Reply::ok(&Changed { revision: change_box(&ask, command).await? })
}
