//! Bins: their state, and what an administrator found in them.

use super::change_box;
use crate::{
    boxes::{BinState, Command, Fob},
    http::{Ask, Changed, Problem, Reply},
};
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    state: BinState,
}

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let Change { state } = ask.json()?;
    let command = Command::SetBinState { bin: ask.path("bin")?, state };
    Reply::ok(&Changed { revision: change_box(&ask, command).await? })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Correct {
    /// Must be there: nothing said is not "the bin is empty".
    #[serde(deserialize_with = "given")]
    fob: Option<Fob>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Fob>, D::Error> {
    Option::deserialize(deserializer)
}

pub(crate) async fn correct(ask: Ask) -> Result<Reply, Problem> {
    let Correct { fob } = ask.json()?;
    let command = Command::CorrectBin { bin: ask.path("bin")?, fob };
    Reply::ok(&Changed { revision: change_box(&ask, command).await? })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirm {}

pub(crate) async fn confirm(ask: Ask) -> Result<Reply, Problem> {
    let Confirm {} = ask.json()?;
    let command = Command::ConfirmBin { bin: ask.path("bin")? };
    Reply::ok(&Changed { revision: change_box(&ask, command).await? })
}
