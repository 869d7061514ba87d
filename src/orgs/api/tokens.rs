//! Tokens of programs: shown once, stored as a hash.

use super::values::{self, Wrong};
use crate::{
    http::{Ask, Changed, Code, Doc, List, Problem, Reply, auth},
    kernel::{
        Codec, OrgId, RowSpace, TokenId, UnixMillis,
        schema::{Secret, Text, Time, TimeGiven},
    },
    orgs::{
        ApiToken, Scope, Scopes, TokenRow,
        token::{self, Command, Issue, Refusal},
    },
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewToken)]
struct Create {
    #[schema(value_type = Label)]
    label: String,
    /// `operator` alone for the operator's tokens, the others for those of an organisation.
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
    /// A time to come.
    #[schema(value_type = Option<TimeGiven>)]
    expires_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TokenCreated)]
struct Created {
    token_id: TokenId,
    /// Shown once.
    #[schema(value_type = Secret)]
    token: String,
    revision: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
struct Shown {
    token_id: TokenId,
    /// How the token begins, to recognise it by.
    prefix: String,
    label: Box<str>,
    scopes: Vec<Scope>,
    #[schema(value_type = Option<Time>)]
    expires_at: Option<String>,
    #[schema(value_type = Time)]
    created_at: String,
    /// Within the hour.
    #[schema(value_type = Option<Time>)]
    last_used_at: Option<String>,
}

impl Shown {
    fn of(org: OrgId, token_id: TokenId, row: TokenRow) -> Self {
        let mut prefix = text(org, token_id, &[0; 32]);
        prefix.truncate(auth::PUBLIC_TEXT);
        Self {
            token_id,
            prefix,
            label: row.label,
            scopes: row.scopes.list(),
            expires_at: row.expires_at.map(UnixMillis::to_rfc3339),
            created_at: row.created.to_rfc3339(),
            last_used_at: row.last_used.map(UnixMillis::to_rfc3339),
        }
    }
}

const LABEL_MAX: usize = 80;
type Label = Text<LABEL_MAX>;

pub(crate) const CREATE: Doc = Doc::new("Make a token")
    .details("Its secret is shown in this answer and never again.")
    .takes::<Create>()
    .created::<Created>();

pub(crate) async fn create(ask: Ask) -> Result<Reply, Problem> {
    let body: Create = ask.json()?;
    let scopes: Scopes = body.scopes.iter().copied().collect();
    let expires_at = body.expires_at.as_deref().map(UnixMillis::from_rfc3339);
    let mut wrong = Wrong::default();
    values::text(&mut wrong, "/label", &body.label, LABEL_MAX);
    wrong.unless(!scopes.is_empty(), "/scopes", "expected at least one scope");
    for (at, scope) in body.scopes.iter().enumerate() {
        if (*scope == Scope::Operator) != (ask.org() == OrgId::SYSTEM) {
            let detail = "the operator's tokens have the scope `operator`, an organisation's tokens the others";
            wrong.add(format!("/scopes/{at}"), detail);
        }
    }
    match expires_at {
        None => {}
        Some(None) => wrong.add("/expires_at", "expected a time as RFC 3339 writes it"),
        Some(Some(at)) => wrong.unless(at > ask.now(), "/expires_at", "expected a time to come"),
    }
    wrong.check()?;

    let token_id = TokenId(ask.mint_id("token", 0));
    let secret = ask.mint_secret("token secret", 0);
    let command = issued(&secret, &body.label, scopes, expires_at.flatten());
    let revision = ask.tell_once::<ApiToken>(token_id.at(ask.org()), command, refused).await?;
    Reply::created(&Created { token_id, token: text(ask.org(), token_id, &secret), revision })
}

const COLUMNS: [&str; 7] = ["token_id", "prefix", "label", "scopes", "expires_at", "created_at", "last_used_at"];

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Not expired, or expired
    active: Option<bool>,
}

pub(crate) const LIST: Doc = Doc::new("List tokens").query::<Filter>().exports::<Shown, TokenId>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let (page, filter) = ask.list_query::<Filter>()?;
    let (org, now) = (ask.org(), ask.now());
    let list = List::of_rows(&COLUMNS, (RowSpace::Tokens, org, Vec::new()), move |_, key, row: TokenRow| {
        let token_id = TokenId::from_bytes(key)
            .ok_or_else(|| StoreError::Corrupt { what: "token", why: "its row's key".to_owned() })?;
        let active = row.expires_at.is_none_or(|at| now < at);
        Ok(filter.active.is_none_or(|wanted| wanted == active).then(|| Shown::of(org, token_id, row)))
    });
    ask.list::<TokenId, _>(list, &page).await
}

pub(crate) const SHOW: Doc = Doc::new("Show a token without its secret").shows::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let token_id: TokenId = ask.path("token_id")?;
    let row = ask.engine.row(RowSpace::Tokens, ask.org(), token_id.to_bytes().to_vec()).await?;
    let row = TokenRow::decode_from(&row.ok_or(Code::NotFound)?);
    let row = row.map_err(|error| Problem::detailed(Code::Internal, error))?;
    Reply::object(token::ISSUED, &Shown::of(ask.org(), token_id, row))
}

pub(crate) const REVOKE: Doc = Doc::new("Revoke a token").details("It holds at once.").changed();

pub(crate) async fn revoke(ask: Ask) -> Result<Reply, Problem> {
    let token_id: TokenId = ask.path("token_id")?;
    let revision = ask.tell_once::<ApiToken>(token_id.at(ask.org()), Command::Revoke, refused).await?;
    Reply::ok(&Changed { revision })
}

/// Issues a token as part of a larger request.
pub(super) async fn issue(
    ask: &Ask,
    org: OrgId,
    token: TokenId,
    secret: &[u8; 32],
    label: &str,
    scopes: Scopes,
    expires_at: Option<UnixMillis>,
) -> Result<(), Problem> {
    ask.tell::<ApiToken>(token.at(org), issued(secret, label, scopes, expires_at), refused).await.map(drop)
}

/// The command that makes a token.
pub fn issued(secret: &[u8; 32], label: &str, scopes: Scopes, expires_at: Option<UnixMillis>) -> Command {
    Command::Create(Issue { label: label.into(), scopes, expires_at, hash: auth::hash_of(secret) })
}

/// A token as its owner sees it.
pub fn text(org: OrgId, token: TokenId, secret: &[u8; 32]) -> String {
    auth::token_text(auth::API_PREFIX, org, token, secret)
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => Code::NotFound.into(),
        Refusal::AlreadyExists => Code::AlreadyExists.into(),
    }
}
