//! The box protocol, `/box/v1`: see docs/box-protocol.md.

use super::{
    answer::{self, Hex, PublicKeyForBox, SyncShape},
    decode::{CursorText, Sync, decode_sync},
    enrolment, passes,
    schema::Hash32,
};
use crate::{
    boxes::{Answer, Command, Cursor, Model, Refusal, SecretHash, SmartBox, offline_key, verifier_key},
    http::{
        Ask, Code, Doc, Problem, Reply,
        auth::{self, BoxToken, Caller},
        body::from_json,
        ticket::Ticket,
    },
    kernel::{BoxId, OrgId, RowSpace, schema::Secret},
    metrics,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// As a box sees refusals: a box that does not exist has no valid token.
pub(crate) fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => Code::BoxTokenInvalid.into(),
        other => super::refused(other),
    }
}

/// Nor does one whose organisation is gone.
pub(super) fn unknown(problem: Problem) -> Problem {
    if problem.code() == Code::NotFound { Code::BoxTokenInvalid.into() } else { problem }
}

pub(super) fn token(ask: &Ask) -> Result<BoxToken, Problem> {
    match ask.caller {
        Caller::Box(token) => Ok(token),
        Caller::Nobody | Caller::Token { .. } | Caller::Shopper(_) => Err(Code::BoxTokenInvalid.into()),
    }
}

pub(crate) const SYNC: Doc = Doc::new("Tell what happened, hear what changed")
    .headers(&[("Castellan-Ticket", "The ticket of the last answer; it says at the door how urgent this box is")])
    .takes::<Sync>()
    .answers::<SyncShape>();

pub(crate) async fn sync(ask: Ask) -> Result<Reply, Problem> {
    let token = token(&ask)?;
    let command = Command::Sync { token_hash: SecretHash(token.hash), request: decode_sync(ask.body())? };
    let committed = ask.tell::<SmartBox>(token.address(), command, refused).await.map_err(unknown)?;
    let Answer::Synced(answer) = committed.answer else { return Err(Code::Internal.into()) };
    let now = ask.now();
    let due_by = answer.due_by.unwrap_or_else(|| now.plus(answer.plan.guarantee()));
    let ticket = Ticket { smart_box: token.smart_box, plan: answer.plan as u8, due_by };
    metrics::sync().count(&answer);
    Ok(Reply::bytes(200, answer::encode(&answer, now.0, &ticket.to_text(ask.engine.keys()))))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CursorConfirmed)]
struct Confirm {
    #[schema(value_type = Cursor)]
    cursor: CursorText,
}

pub(crate) const CONFIRM: Doc = Doc::new("Say which state is stored").takes::<Confirm>().done();

/// The same as it stands on a link.
pub(crate) fn confirmed(body: &[u8]) -> Result<Cursor, Problem> {
    from_json(body).map(|Confirm { cursor: CursorText(cursor) }| cursor)
}

pub(crate) async fn confirm(ask: Ask) -> Result<Reply, Problem> {
    let token = token(&ask)?;
    let Confirm { cursor: CursorText(cursor) } = ask.json()?;
    let command = Command::Confirm { token_hash: SecretHash(token.hash), cursor };
    ask.tell::<SmartBox>(token.address(), command, refused).await.map_err(unknown)?;
    Ok(Reply::no_content())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Enrolment)]
struct Enrol {
    /// Case, blanks and hyphens do not matter.
    code: String,
}

#[derive(Serialize, ToSchema)]
struct Enrolled {
    r#box: BoxId,
    organisation: OrgId,
    model: Model,
    #[schema(value_type = Secret)]
    token: String,
    generation: u32,
    #[schema(value_type = Hash32)]
    verifier_key: String,
    /// What the secrets of offline codes follow from.
    #[schema(value_type = Hash32)]
    offline_key: String,
    /// By which passes are checked until a sync tells of others.
    public_keys: Vec<PublicKeyForBox>,
    server_ms: u64,
}

pub(crate) const ENROL: Doc = Doc::new("Enrol a box with the code that an administrator made")
    .takes::<Enrol>()
    .created::<Enrolled>()
    .refuses(&[Code::EnrolmentCodeInvalid, Code::TooManyFailures]);

pub(crate) async fn enrol(ask: Ask) -> Result<Reply, Problem> {
    let Enrol { code } = ask.json()?;
    let code_hash = enrolment::hash(&code).ok_or(Code::EnrolmentCodeInvalid)?;
    let found = ask.engine.row_everywhere(RowSpace::EnrolmentCodes, code_hash.0.to_vec()).await?;
    let (organisation, row) = found.ok_or(Code::EnrolmentCodeInvalid)?;
    let id = BoxId::from_bytes(&row).ok_or(Code::Internal)?;
    let offline = passes::chosen(&ask, organisation).await?;
    let public_keys = passes::keys(&ask, organisation, &offline)?;
    if offline.revision > 0 {
        // What the organisation changes from here on it tells the box itself.
        let settings = Command::TakeSettings(offline.settings());
        ask.tell::<SmartBox>(id.at(organisation), settings, super::refused).await?;
    }
    let secret = ask.engine.chance().bytes();
    let command = Command::Enrol { code_hash, token_hash: SecretHash(auth::hash_of(&secret)) };
    let committed = ask.tell::<SmartBox>(id.at(organisation), command, super::refused).await?;
    let Answer::Enrolled { model, generation, .. } = committed.answer else { return Err(Code::Internal.into()) };
    Reply::created(&Enrolled {
        r#box: id,
        organisation,
        model,
        token: auth::token_text(auth::BOX_PREFIX, organisation, id, &secret),
        generation,
        verifier_key: Hex(&verifier_key(ask.engine.keys(), id, generation)).to_string(),
        offline_key: Hex(&offline_key(ask.engine.keys(), id, generation)).to_string(),
        public_keys: public_keys.into_iter().map(Into::into).collect(),
        server_ms: ask.now().0,
    })
}
