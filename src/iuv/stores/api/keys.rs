//! IUV keys: generated, saved, shown.

use super::{
    look, named, refused, secrets_of,
    shapes::{IuvKey, is_key, is_short_key},
    tell,
    verifications::{sealed, wanted},
};
use crate::{
    http::{Ask, Code, Doc, Problem, Reply},
    iuv::{
        stores::{WebStore, state::Command},
        wire::key_mark,
        words::VerificationKind,
    },
    orgs::api::Wrong,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NothingOfKey)]
struct Nothing {}

#[derive(Serialize, ToSchema)]
#[schema(as = IuvKeyText)]
struct Shown {
    #[schema(value_type = IuvKey)]
    key: String,
}

pub(crate) const GENERATE: Doc = Doc::new("Generate a key")
    .details("128 random bits. It is in force only once it is saved.")
    .takes::<Nothing>()
    .untagged()
    .answers::<Shown>()
    .refuses(&[Code::NoIuvKey]);

pub(crate) async fn generate(mut ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = ask.json()?;
    let view = look(&ask).await?;
    if wanted(&ask, &view)?.kind != VerificationKind::Iuv {
        return Err(Code::NoIuvKey.into());
    }
    ask.judge_untagged()?;
    let bits = &ask.mint_secret("iuv key", 0)[..16];
    Reply::ok(&Shown { key: bits.iter().map(|byte| format!("{byte:02x}")).collect() })
}

/// The longest time that two keys are accepted.
const OVERLAP_MAX_S: u32 = 30 * 24 * 3600;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewIuvKey)]
struct Save {
    /// Fewer than 32 characters: only together with a list of callers.
    #[schema(value_type = IuvKey)]
    key: String,
    /// How long the key before is still accepted.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2592000)]
    overlap_s: u32,
}

pub(crate) const SAVE: Doc = Doc::new("Save a key")
    .details("It holds at once. Without an overlap the key before is dead, and so are the tokens that were registered with it.")
    .takes::<Save>()
    .changed()
    .refuses(&[Code::IuvKeyTaken, Code::IuvKeyTooShort, Code::NoIuvKey, Code::StoreChangedMeanwhile]);

pub(crate) async fn save(ask: Ask) -> Result<Reply, Problem> {
    let body: Save = ask.json()?;
    let mut wrong = Wrong::default();
    wrong.unless(is_key(&body.key), "/key", "expected 8 to 64 printable ASCII characters without blanks");
    wrong.unless(body.overlap_s <= OVERLAP_MAX_S, "/overlap_s", "expected at most 2592000");
    wrong.check()?;
    let view = look(&ask).await?;
    let verification = wanted(&ask, &view)?.number;
    let mut plain = secrets_of(&ask, view.address).await?;
    plain.entry(verification).key = Some(body.key.clone());
    let command = Command::SaveKey {
        verification,
        mark: key_mark(ask.engine.keys(), ask.org(), &body.key),
        is_short: is_short_key(&body.key),
        overlap: Duration::from_secs(body.overlap_s.into()),
        sealed: sealed(&view, &plain),
    };
    tell(&ask, command).await
}

pub(crate) const SHOW: Doc = Doc::new("Show the key of a verification type")
    .details("That it was shown is noted.")
    .answers::<Shown>()
    .refuses(&[Code::NoIuvKey, Code::ReadOnly, Code::OutcomeUnknown]);

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let verification: u32 = ask.path("verification")?;
    let store = named(&ask)?;
    // Noted first: what cannot be noted is not shown.
    ask.tell::<WebStore>(store, Command::ShowKey { verification }, refused).await?;
    let plain = secrets_of(&ask, store).await?;
    let key = plain.of(verification).and_then(|of| of.key.clone()).ok_or(Code::NoIuvKey)?;
    Reply::ok(&Shown { key })
}
