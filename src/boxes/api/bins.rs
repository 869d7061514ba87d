//! Bins: their state, and what an administrator found in them.

use super::{ShownBin, change_box, look, named, online::orders::has_opened, refused};
use crate::{
    boxes::{BinState, Command, Fob, Label, Refusal, Size},
    http::{Ask, Changed, Code, Doc, Problem, Reply},
    kernel::{KeyId, schema::FromOne64},
};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

pub(crate) const SHOW: Doc = Doc::new("Show a bin").shows::<ShownBin>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let label: Label = ask.path("bin")?;
    let found = look(&ask, named(&ask)?, move |state| state.inventory().bins.into_iter().find(|bin| bin.bin == label));
    let bin = found.await?.ok_or_else(|| refused(Refusal::BinNotFound))?;
    Reply::object(bin.revision, &ShownBin::from(bin))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BinChange)]
struct Change {
    state: Option<BinState>,
    /// Keys go into bins of their size and of larger ones.
    size: Option<Size>,
}

pub(crate) const CHANGE: Doc =
    Doc::new("Enable, protect or disable a bin, or say how large it is").takes::<Change>().changed();

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let Change { state, size } = ask.json()?;
    let command = Command::SetBin { bin: ask.path("bin")?, state, size };
    Reply::ok(&Changed { revision: change_box(&ask, command).await? })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BinCorrection)]
struct Correct {
    /// Must be there: nothing said is not "the bin is empty".
    #[serde(deserialize_with = "given")]
    #[schema(required = true)]
    fob: Option<Fob>,
    /// With a fob: the key at home here that hangs on it, whatever it hung on before.
    key: Option<KeyId>,
    /// The order that has opened the bin for somebody to look, if it was opened so.
    #[schema(value_type = Option<FromOne64>)]
    order: Option<u64>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Fob>, D::Error> {
    Option::deserialize(deserializer)
}

pub(crate) const CORRECT: Doc = Doc::new("Say which fob is in a bin")
    .details("The bin is confirmed. `null`: nothing is in it. A fob at home in another box moves here; with `key` a fob that no key has becomes that key's.")
    .takes::<Correct>()
    .changed()
    .refuses(&[Code::LimitReached, Code::BinNotOpened, Code::FobTaken, Code::Invalid]);

pub(crate) async fn correct(ask: Ask) -> Result<Reply, Problem> {
    let Correct { fob, key, order } = ask.json()?;
    if fob.is_none() && key.is_some() {
        return Err(Problem::field("/key", "nothing hangs on no fob"));
    }
    let bin = ask.path("bin")?;
    // A repeat may come when the quarter of an hour is over.
    if let (Some(order), None) = (order, ask.done_before(ask.org()).await?) {
        has_opened(&ask, order, &bin).await?;
    }
    let command = Command::CorrectBin { bin, fob, key };
    Reply::ok(&Changed { revision: change_box(&ask, command).await? })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BinConfirmation)]
struct Confirm {}

pub(crate) const CONFIRM: Doc =
    Doc::new("Say that what the server believes of a bin is right").takes::<Confirm>().changed();

pub(crate) async fn confirm(ask: Ask) -> Result<Reply, Problem> {
    let Confirm {} = ask.json()?;
    let command = Command::ConfirmBin { bin: ask.path("bin")? };
    Reply::ok(&Changed { revision: change_box(&ask, command).await? })
}
