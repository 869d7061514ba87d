//! Organisations: made and changed by the operator, seen by their own tokens.

use super::{
    people, tokens,
    values::{self, Wrong},
};
use crate::{
    boxes::{CredentialsPlain, Plan},
    http::{Ask, Changed, Code, Doc, Each, List, Look, Problem, Reply, auth::Caller, body::object},
    kernel::{
        Codec, OrgId, PersonId, RowSpace, Stamp, TokenId,
        schema::{Secret, Text, Time, Zone},
    },
    orgs::{
        Language, Organisation, OrganisationRow, ProfilePlain, Role, Scope, Scopes,
        organisation::{Command, Refusal},
    },
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOrganisation)]
struct Create {
    #[schema(value_type = Name)]
    name: String,
    plan: Plan,
    language: Language,
    #[schema(value_type = Zone)]
    zone: String,
    #[serde(deserialize_with = "object")]
    owner: Owner,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOwner)]
struct Owner {
    #[schema(value_type = people::Name)]
    name: String,
    #[schema(value_type = values::Email)]
    email: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OrganisationCreated)]
struct Created {
    organisation: OrgId,
    owner: PersonId,
    /// Shown once.
    #[schema(value_type = Secret)]
    token: String,
    revision: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrganisationChange)]
struct Change {
    plan: Option<Plan>,
    #[schema(value_type = Option<Name>)]
    name: Option<String>,
    language: Option<Language>,
    #[schema(value_type = Option<Zone>)]
    zone: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Organisation)]
struct Shown {
    organisation: OrgId,
    name: Box<str>,
    plan: Plan,
    language: Language,
    zone: Box<str>,
    owner: PersonId,
    /// `None`: as the server's configuration says.
    history_days: Option<u32>,
    #[schema(value_type = Time)]
    created_at: String,
    /// Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    revision: Option<u64>,
}

const NAME_MAX: usize = 120;
type Name = Text<NAME_MAX>;

pub(crate) const CREATE: Doc = Doc::new("Make an organisation, its owner and its first token")
    .takes::<Create>()
    .created::<Created>()
    .refuses(&[Code::AlreadyExists]);

pub(crate) async fn create(ask: Ask) -> Result<Reply, Problem> {
    let body: Create = ask.json()?;
    let mut wrong = Wrong::default();
    values::text(&mut wrong, "/name", &body.name, NAME_MAX);
    values::checked_zone(&mut wrong, "/zone", &body.zone);
    values::text(&mut wrong, "/owner/name", &body.owner.name, people::NAME_MAX);
    wrong.unless(values::is_email(&body.owner.email), "/owner/email", people::EMAIL_EXPECTED);
    wrong.check()?;

    let organisation = OrgId(ask.mint_id("organisation", 0));
    let owner = PersonId(ask.mint_id("person", 0));
    let token = TokenId(ask.mint_id("token", 0));
    let secret = ask.mint_secret("token secret", 0);
    let revision = match ask.done_before(organisation).await? {
        Some(revision) => revision,
        None => {
            let profile = ProfilePlain { name: body.owner.name, email: Some(body.owner.email), mobile: None };
            let person = people::creation(&ask, organisation, Role::Owner, &profile, &CredentialsPlain::default());
            people::tell(&ask, owner.at(organisation), person).await?;
            let scopes = Scopes::of_organisation();
            tokens::issue(&ask, organisation, token, &secret, "first token", scopes, None).await?;
            // Last: a request that is repeated after a crash in between meets all three again.
            let command = Command::Create {
                name: body.name.into(),
                plan: body.plan,
                language: body.language,
                zone: body.zone.into(),
                owner,
            };
            tell(&ask, organisation, command).await?
        }
    };
    let token = tokens::text(organisation, token, &secret);
    Reply::created(&Created { organisation, owner, token, revision })
}

pub(crate) const CHANGE: Doc = Doc::new("Change an organisation").takes::<Change>().changed();

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let organisation: OrgId = ask.path("organisation")?;
    let body: Change = ask.json()?;
    let mut wrong = Wrong::default();
    if let Some(name) = &body.name {
        values::text(&mut wrong, "/name", name, NAME_MAX);
    }
    if let Some(zone) = &body.zone {
        values::checked_zone(&mut wrong, "/zone", zone);
    }
    wrong.check()?;
    let command = Command::Change {
        name: body.name.map(Into::into),
        plan: body.plan,
        language: body.language,
        zone: body.zone.map(Into::into),
    };
    let revision = tell(&ask, organisation, command).await?;
    Reply::ok(&Changed { revision })
}

pub(crate) const SHOW: Doc = Doc::new("Show an organisation")
    .details("The operator sees all, a token of an organisation its own.")
    .shows::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let organisation: OrgId = ask.path("organisation")?;
    is_own(&ask, organisation)?;
    let read = |state: &Organisation, stamp: Stamp| (state.known.clone(), stamp.revision);
    let (known, revision) = ask.engine.read(organisation.at(organisation), read).await?;
    let known = known.ok_or(Code::NotFound)?;
    Reply::object(
        known.changed,
        &Shown {
            organisation,
            name: known.name,
            plan: known.plan,
            language: known.language,
            zone: known.zone,
            owner: known.owner,
            history_days: known.history_days,
            created_at: known.created.to_rfc3339(),
            revision: Some(revision),
        },
    )
}

/// The operator, or the organisation's own token.
pub(crate) fn is_own(ask: &Ask, organisation: OrgId) -> Result<(), Problem> {
    if is_operator(ask) || organisation == ask.org() { Ok(()) } else { Err(Code::NotFound.into()) }
}

const COLUMNS: [&str; 8] = ["organisation", "name", "plan", "language", "zone", "owner", "history_days", "created_at"];

/// Which organisations; every filter that is named must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// How the name begins; upper and lower case alike
    name: Option<String>,
    #[param(inline)]
    plan: Option<Plan>,
}

impl Filter {
    fn passes(&self, row: &OrganisationRow) -> bool {
        let name = self.name.as_ref().is_none_or(|start| row.name.to_lowercase().starts_with(start));
        name && self.plan.is_none_or(|plan| plan == row.plan)
    }
}

pub(crate) const LIST: Doc = Doc::new("List organisations")
    .details("The operator sees all, a token of an organisation its own.")
    .query::<Filter>()
    .exports::<Shown, OrgId>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let (page, mut filter) = ask.list_query::<Filter>()?;
    filter.name = filter.name.map(|name| name.to_lowercase());
    let own = (!is_operator(&ask)).then(|| ask.org());
    let list = List::new(&COLUMNS, move |look: Look<'_>, each: Each<'_, Shown>| {
        let after = look.after.and_then(OrgId::from_bytes);
        let rows = match own {
            None => look.db.organisations(after, look.rows)?,
            Some(own) => {
                let row = look.db.rows(RowSpace::Organisations, own, &[], None, 1)?;
                row.into_iter().filter(|_| after.is_none_or(|after| after < own)).map(|(_, row)| (own, row)).collect()
            }
        };
        for (organisation, bytes) in &rows {
            let row = OrganisationRow::decode_from(bytes)
                .map_err(|why| StoreError::Corrupt { what: "organisation's row", why })?;
            let shown = filter.passes(&row).then(|| shown(*organisation, row));
            each(&organisation.0.to_be_bytes(), shown.as_ref());
        }
        Ok(rows.len() < look.rows)
    });
    ask.list::<OrgId, _>(list, &page).await
}

fn shown(organisation: OrgId, row: OrganisationRow) -> Shown {
    Shown {
        organisation,
        name: row.name,
        plan: row.plan,
        language: row.language,
        zone: row.zone,
        owner: row.owner,
        history_days: row.history_days,
        created_at: row.created.to_rfc3339(),
        revision: None,
    }
}

fn is_operator(ask: &Ask) -> bool {
    matches!(ask.caller, Caller::Token { org: OrgId::SYSTEM, scopes, .. } if scopes.has(Scope::Operator))
}

pub(crate) async fn tell(ask: &Ask, organisation: OrgId, command: Command) -> Result<u64, Problem> {
    ask.tell_once::<Organisation>(organisation.at(organisation), command, refused).await
}

pub(crate) fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::PassKeyMade => Code::BoxChangedMeanwhile.into(),
        Refusal::TooManyPassKeys => Code::TooManyCodes.into(),
        Refusal::NotFound | Refusal::MailNotFound => Code::NotFound.into(),
        Refusal::AlreadyExists => Code::AlreadyExists.into(),
        Refusal::WhitelistEntryNotFound => Problem::detailed(Code::NotFound, "no such entry"),
        Refusal::WhitelistFull => Code::WhitelistFull.into(),
        Refusal::GroupNotFound => Problem::detailed(Code::NotFound, "no such group"),
        Refusal::GroupNameTaken => Code::GroupNameTaken.into(),
        Refusal::TooManyGroups => Code::TooManyGroups.into(),
        Refusal::AccountTaken => Code::AccountTaken.into(),
    }
}
