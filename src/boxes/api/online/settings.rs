//! What an administrator chooses for one box.

use super::super::{change_box, look, named};
use crate::{
    boxes::{Command, OnlineCommand, SecondFactor},
    http::{Ask, Changed, Doc, Problem, Reply},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = BoxSettings)]
struct Shown {
    /// Keys may be dropped off without a code or badge: the time is noted, the person is not.
    quick_scan: bool,
    /// What else a person has to type for a pick-up at the connected box.
    second_factor: SecondFactor,
    revision: u64,
}

pub(crate) const SHOW: Doc = Doc::new("Show a box's settings").shows::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let (settings, revision) = look(&ask, named(&ask)?, |state| (state.settings(), state.settings_tag())).await?;
    Reply::object(revision, &Shown { quick_scan: settings.quick_scan, second_factor: settings.second_factor, revision })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BoxSettingsChange)]
struct Change {
    quick_scan: Option<bool>,
    second_factor: Option<SecondFactor>,
}

pub(crate) const CHANGE: Doc = Doc::new("Change a box's settings")
    .details("`sms` only where this server sends texts.")
    .takes::<Change>()
    .changed();

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let Change { quick_scan, second_factor } = ask.json()?;
    if second_factor == Some(SecondFactor::Sms) && !ask.recovery().texts {
        // Nobody could take a key any more.
        return Err(Problem::field("/second_factor", "this server sends no texts: set up [sms] first"));
    }
    let command = Command::Online(OnlineCommand::Set { quick_scan, second_factor });
    Reply::ok(&Changed { revision: change_box(&ask, command).await? })
}
