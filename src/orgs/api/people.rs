//! People: made, shown, changed and erased by administrators. Access codes are written, never shown.

use super::values::{self, AccessCode, AssignedRole, Email, Mobile, Pin, Wrong, or_null};
use crate::{
    boxes::{CredentialsPlain, TYPED},
    http::{Ask, Bulk, BulkQuery, Cell, Changed, Code, Doc, List, Problem, Reply},
    kernel::{
        Address, ClaimSpace, Codec, EntityId, KeyedHash, OrgId, PersonId, RowSpace, Stamp, UnixMillis, VaultField,
        schema::{Text, Time},
    },
    orgs::{
        BADGE, Mark, Person, PersonRow, ProfilePlain, Role,
        person::{Command, Credentials, Profile, Refusal},
    },
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPerson)]
struct Create {
    #[schema(value_type = Name)]
    name: String,
    #[schema(value_type = Option<Email>)]
    email: Option<String>,
    #[schema(value_type = Option<Mobile>)]
    mobile: Option<String>,
    /// `user` if nothing is said.
    #[schema(value_type = Option<AssignedRole>)]
    role: Option<Role>,
    #[schema(value_type = Option<AccessCode>)]
    access_code: Option<String>,
    #[serde(default)]
    #[schema(value_type = HashSet<Badge>, max_items = 16)]
    badges: Vec<String>,
    /// What some boxes want to be typed with a pick-up, besides the code or badge.
    #[schema(value_type = Option<Pin>)]
    pin: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PersonCreated)]
struct Created {
    person: PersonId,
    revision: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PersonChange)]
struct Change {
    #[schema(value_type = Option<Name>)]
    name: Option<String>,
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<Email>)]
    email: Option<Option<String>>,
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<Mobile>)]
    mobile: Option<Option<String>>,
    #[schema(value_type = Option<AssignedRole>)]
    role: Option<Role>,
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<AccessCode>)]
    access_code: Option<Option<String>>,
    #[schema(value_type = Option<HashSet<Badge>>, max_items = 16)]
    badges: Option<Vec<String>>,
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<Pin>)]
    pin: Option<Option<String>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PersonListed)]
struct Listed {
    person: PersonId,
    name: String,
    email: Option<String>,
    mobile: Option<String>,
    role: Role,
    #[schema(value_type = Time)]
    created_at: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Person)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    has_access_code: bool,
    badges: Vec<String>,
    has_pin: bool,
    revision: u64,
}

pub(super) const NAME_MAX: usize = 120;
pub(super) type Name = Text<NAME_MAX>;
pub(super) const EMAIL_EXPECTED: &str = "expected an e-mail address";
const BADGE_MAX: usize = 64;
type Badge = Text<BADGE_MAX>;
const BADGES_MAX: usize = 16;
const ATTEMPTS: usize = 3;

/// Values that stand once in an organisation.
const TAKEN: &[Code] =
    &[Code::EmailTaken, Code::AccessCodeTaken, Code::BadgeTaken, Code::ChangedMeanwhile, Code::TypedCodeTaken];

pub(crate) const CREATE: Doc = Doc::new("Add a person").takes::<Create>().created::<Created>().refuses(TAKEN);

pub(crate) async fn create(ask: Ask) -> Result<Reply, Problem> {
    let body: Create = ask.json()?;
    let role = body.role.unwrap_or(Role::User);
    let profile = ProfilePlain { name: body.name, email: body.email, mobile: body.mobile };
    let credentials =
        CredentialsPlain { code: body.access_code, badges: body.badges, pin: body.pin, bookings: Vec::new() };
    let mut wrong = Wrong::default();
    check_role(&mut wrong, role);
    check_profile(&mut wrong, &profile);
    check_credentials(&mut wrong, &credentials);
    wrong.check()?;
    let person = PersonId(ask.mint_id("person", 0));
    let command = creation(&ask, ask.org(), role, &profile, &credentials);
    let revision = ask.tell_once::<Person>(person.at(ask.org()), command, refused).await?;
    Reply::created(&Created { person, revision })
}

const ROWS: Bulk = Bulk {
    takes: &[
        ("name", Cell::Text),
        ("email", Cell::Text),
        ("mobile", Cell::Text),
        ("role", Cell::Text),
        ("access_code", Cell::Text),
        ("badges", Cell::List),
        ("pin", Cell::Text),
        ("person", Cell::Own),
        ("created_at", Cell::Own),
    ],
    gives: &["person", "revision"],
};

pub(crate) const BULK: Doc = Doc::new("Add many people")
    .details("A row is what adding one person takes; what the list of people exports can be imported.")
    .query::<BulkQuery>()
    .rows(&ROWS);

pub(crate) async fn bulk(ask: Ask) -> Result<Reply, Problem> {
    ask.bulk_or_try(&ROWS, create).await
}

pub(crate) const SHOW: Doc = Doc::new("Show a person").shows::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let person: PersonId = ask.path("person")?;
    let address = person.at(ask.org());
    let read = |state: &Person, stamp: Stamp| {
        state
            .known()
            .map(|known| (known.role, known.created, known.access_code.is_some(), known.changed, stamp.revision))
    };
    let (role, created, has_access_code, changed, revision) =
        ask.engine.read(address, read).await?.ok_or(Code::NotFound)?;
    let profile: ProfilePlain = open(&ask, address, VaultField::Profile).await?;
    let credentials: CredentialsPlain = open(&ask, address, VaultField::Credentials).await?;
    let listed = listed(person, profile, role, created);
    let CredentialsPlain { badges, pin, .. } = credentials;
    Reply::object(changed, &Shown { listed, has_access_code, badges, has_pin: pin.is_some(), revision })
}

fn listed(person: PersonId, profile: ProfilePlain, role: Role, created: UnixMillis) -> Listed {
    let ProfilePlain { name, email, mobile } = profile;
    Listed { person, name, email, mobile, role, created_at: created.to_rfc3339() }
}

const COLUMNS: [&str; 6] = ["person", "name", "email", "mobile", "role", "created_at"];

/// Which people; every filter that is named must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[param(inline)]
    role: Option<Role>,
    /// What stands in the name; upper and lower case alike
    name: Option<String>,
    /// What stands in the e-mail address; upper and lower case alike
    email: Option<String>,
}

impl Filter {
    fn passes(&self, profile: &ProfilePlain) -> bool {
        let holds = |text: &str, part: &Option<String>| {
            part.as_ref().is_none_or(|part| text.to_lowercase().contains(part.as_str()))
        };
        holds(&profile.name, &self.name) && holds(profile.email.as_deref().unwrap_or_default(), &self.email)
    }
}

pub(crate) const LIST: Doc = Doc::new("List people").query::<Filter>().exports::<Listed, PersonId>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let (page, mut filter) = ask.list_query::<Filter>()?;
    for text in [&mut filter.name, &mut filter.email].into_iter().flatten() {
        *text = text.to_lowercase();
    }
    let org = ask.org();
    let list = List::of_rows(&COLUMNS, (RowSpace::People, org, Vec::new()), move |look, key, row: PersonRow| {
        let corrupt = |why: String| StoreError::Corrupt { what: "person", why };
        if filter.role.is_some_and(|role| role != row.role) {
            return Ok(None);
        }
        let person = PersonId::from_bytes(key).ok_or_else(|| corrupt("its row's key".to_owned()))?;
        // Nothing sealed: erased a moment ago.
        let plain = look.keys.read(look.db, person.at(org), VaultField::Profile)?;
        let profile =
            plain.map(|plain| ProfilePlain::decode_from(&plain)).transpose().map_err(corrupt)?.unwrap_or_default();
        Ok(filter.passes(&profile).then(|| listed(person, profile, row.role, row.created)))
    });
    ask.list::<PersonId, _>(list, &page).await
}

pub(crate) const CHANGE: Doc = Doc::new("Change a person").takes::<Change>().changed().refuses(TAKEN);

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let address = ask.path::<PersonId>("person")?.at(ask.org());
    let body: Change = ask.json()?;
    let mut wrong = Wrong::default();
    if let Some(role) = body.role {
        check_role(&mut wrong, role);
    }
    wrong.check()?;
    for _ in 0..ATTEMPTS {
        let read = |state: &Person, _| state.known().map(|known| known.changed);
        let base = ask.engine.read(address, read).await?.ok_or(Code::NotFound)?;
        let command = merged(&ask, address, base, &body).await?;
        match ask.tell_once::<Person>(address, command, refused).await {
            Ok(revision) => return Reply::ok(&Changed { revision }),
            Err(problem) if problem.code() == Code::ChangedMeanwhile => {}
            Err(problem) => return Err(problem),
        }
    }
    Err(Code::ChangedMeanwhile.into())
}

pub(crate) const ERASE: Doc = Doc::new("Erase a person")
    .details("The history stays and names an erased person.")
    .changed()
    .refuses(&[Code::IsOwner]);

pub(crate) async fn erase(ask: Ask) -> Result<Reply, Problem> {
    let person: PersonId = ask.path("person")?;
    let revision = ask.tell_once::<Person>(person.at(ask.org()), Command::Erase, refused).await?;
    Reply::ok(&Changed { revision })
}

/// What is sealed and what the body says, made one.
async fn merged(ask: &Ask, address: Address, base: u64, body: &Change) -> Result<Command, Problem> {
    let mut wrong = Wrong::default();
    let mut profile = None;
    if body.name.is_some() || body.email.is_some() || body.mobile.is_some() {
        let mut plain: ProfilePlain = open(ask, address, VaultField::Profile).await?;
        plain.name = body.name.clone().unwrap_or(plain.name);
        plain.email = body.email.clone().unwrap_or(plain.email);
        plain.mobile = body.mobile.clone().unwrap_or(plain.mobile);
        check_profile(&mut wrong, &plain);
        profile = Some(sealed_profile(ask, address.org, &plain));
    }
    let mut credentials = None;
    if body.access_code.is_some() || body.badges.is_some() || body.pin.is_some() {
        let mut plain: CredentialsPlain = open(ask, address, VaultField::Credentials).await?;
        plain.code = body.access_code.clone().unwrap_or(plain.code);
        plain.badges = body.badges.clone().unwrap_or(plain.badges);
        plain.pin = body.pin.clone().unwrap_or(plain.pin);
        check_credentials(&mut wrong, &plain);
        credentials = Some(sealed_credentials(ask, address.org, &plain));
    }
    wrong.check()?;
    Ok(Command::Change { base, role: body.role, profile, credentials })
}

/// The command that makes a person.
pub(super) fn creation(
    ask: &Ask,
    org: OrgId,
    role: Role,
    profile: &ProfilePlain,
    credentials: &CredentialsPlain,
) -> Command {
    Command::Create {
        role,
        profile: sealed_profile(ask, org, profile),
        credentials: sealed_credentials(ask, org, credentials),
    }
}

/// Makes a person as part of a larger request.
pub(super) async fn tell(ask: &Ask, address: Address, command: Command) -> Result<(), Problem> {
    ask.tell::<Person>(address, command, refused).await.map(drop)
}

fn sealed_profile(ask: &Ask, org: OrgId, profile: &ProfilePlain) -> Profile {
    let mark = |email: &String| Mark::of(ask.engine.keys(), "orgs.email", org, &email.to_lowercase());
    Profile { email: profile.email.as_ref().map(mark), plain: Zeroizing::new(profile.to_bytes()) }
}

/// Who has this badge or typed code: a person, or of a key's code the box where the key is at home.
pub(crate) async fn holder(ask: &Ask, space: ClaimSpace, shown: &str) -> Result<Option<(EntityId, Mark)>, Problem> {
    let purpose = if space == ClaimSpace::Badge { BADGE } else { TYPED };
    let mark = Mark::of(ask.engine.keys(), purpose, ask.org(), shown);
    let holder = ask.engine.claim_holder(space, ask.org(), &mark.0).await?;
    Ok(holder.map(|holder| (holder.entity, mark)))
}

/// Whether this is the person's PIN; `None` if there is none.
pub(crate) async fn is_pin_of(ask: &Ask, person: PersonId, pin: &str) -> Result<Option<bool>, Problem> {
    let sealed = ask.engine.open_vault(person.at(ask.org()), VaultField::Credentials).await?;
    let Some(sealed) = sealed else { return Ok(None) };
    let plain = CredentialsPlain::decode_from(&sealed).map_err(|why| Problem::detailed(Code::Internal, why))?;
    // Of equal length, whatever was typed.
    let mark = |pin: &str| ask.engine.keys().keyed_hash("orgs.pin", &[&person.to_bytes(), pin.as_bytes()]);
    Ok(plain.pin.map(|known| bool::from(mark(&known).ct_eq(&mark(pin)))))
}

fn sealed_credentials(ask: &Ask, org: OrgId, credentials: &CredentialsPlain) -> Credentials {
    let code = |code: &String| Mark::of(ask.engine.keys(), TYPED, org, code);
    let badge = |badge: &String| Mark::of(ask.engine.keys(), BADGE, org, badge);
    Credentials {
        access_code: credentials.code.as_ref().map(code),
        badges: credentials.badges.iter().map(badge).collect(),
        plain: Zeroizing::new(credentials.to_bytes()),
    }
}

pub(crate) async fn open<T: Codec + Default>(ask: &Ask, subject: Address, field: VaultField) -> Result<T, Problem> {
    // Nothing sealed: erased a moment ago.
    let Some(plain) = ask.engine.open_vault(subject, field).await? else { return Ok(T::default()) };
    T::decode_from(&plain).map_err(|error| Problem::detailed(Code::Internal, error))
}

fn check_role(wrong: &mut Wrong, role: Role) {
    wrong.unless(role != Role::Owner, "/role", "an organisation has exactly one owner, named when it is made");
}

fn check_profile(wrong: &mut Wrong, profile: &ProfilePlain) {
    values::text(wrong, "/name", &profile.name, NAME_MAX);
    let email = profile.email.as_deref().is_none_or(values::is_email);
    wrong.unless(email, "/email", EMAIL_EXPECTED);
    let mobile = profile.mobile.as_deref().is_none_or(values::is_mobile);
    wrong.unless(mobile, "/mobile", "expected a number as E.164 writes it, such as +390212345678");
}

fn check_credentials(wrong: &mut Wrong, credentials: &CredentialsPlain) {
    let code = credentials.code.as_deref().is_none_or(values::is_access_code);
    wrong.unless(code, "/access_code", "expected 6 to 12 digits");
    wrong.unless(credentials.pin.as_deref().is_none_or(values::is_pin), "/pin", "expected 4 to 8 digits");
    wrong.unless(credentials.badges.len() <= BADGES_MAX, "/badges", "expected at most 16 badges");
    for (at, badge) in credentials.badges.iter().enumerate().take(BADGES_MAX) {
        let pointer = format!("/badges/{at}");
        values::text(wrong, &pointer, badge, BADGE_MAX);
        wrong.unless(!credentials.badges[..at].contains(badge), &pointer, "stands here twice");
    }
}

pub(crate) fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => Code::NotFound.into(),
        Refusal::AlreadyExists => Code::AlreadyExists.into(),
        Refusal::ChangedMeanwhile => Code::ChangedMeanwhile.into(),
        Refusal::IsOwner => Code::IsOwner.into(),
        Refusal::CodeTaken => Code::TypedCodeTaken.into(),
        Refusal::TooManyBookings => Code::TooManyCodes.into(),
    }
}
