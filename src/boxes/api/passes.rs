//! Signed passes and personal QR codes, and what an organisation chooses for boxes that decide alone.

use super::{answer::PublicKeyForBox, change_box, look, named, refused, stored, time};
use crate::{
    boxes::{
        AccessRecord, Claims, Command, KeyRow, Pass, PassKey, Permission, Refusal, SmartBox, png, public_key, sign, svg,
    },
    http::{Ask, Changed, Code, Doc, Problem, Reply, table::Format},
    kernel::{
        AccessId, BoxId, OrgId, PassId, PersonId, RowSpace, Stamp, UnixMillis,
        schema::{Time, pattern, shapes},
    },
    orgs::{
        Offline, OfflineCommand, Organisation, PASS_HOURS, Person,
        api::{Wrong, organisations, people},
        organisation, person,
    },
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// How long boxes have to hear of a new key before it signs.
const LEAD: Duration = Duration::from_secs(24 * 3600);
const FORMATS: [Format; 3] = [Format::Json, Format::Svg, Format::Png];

shapes! {
    PassText, "What stands in the QR code: `CAS1:` and Base45", pattern("^CAS1:[0-9A-Z $%*+./:-]+$").examples(["CAS1:BB8"]);
}

pub(super) async fn chosen(ask: &Ask, org: OrgId) -> Result<Offline, Problem> {
    let view = ask.engine.view::<Organisation>(org.at(org)).await?.ok_or(Code::NotFound)?;
    Ok(view.offline.clone())
}

/// The keys that boxes check with.
pub(super) fn keys(ask: &Ask, org: OrgId, offline: &Offline) -> Result<Vec<PassKey>, Problem> {
    if !offline.keys.is_empty() {
        return Ok(offline.keys.clone());
    }
    let public = public_key(ask.engine.keys(), org, 1).ok_or(Code::Internal)?;
    Ok(vec![PassKey { number: 1, public, from: UnixMillis(0), until: None }])
}

#[derive(Serialize, ToSchema)]
#[schema(as = OfflineSettings)]
struct Settings {
    /// Whether boxes are told the codes of keys, to decide alone.
    key_codes: bool,
    /// How long a pass and a personal QR code live if nothing is said.
    #[schema(minimum = 1, maximum = 168)]
    pass_hours: u16,
    /// Passes are signed with the newest that has begun.
    public_keys: Vec<SigningKey>,
    revision: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SigningKey)]
struct SigningKey {
    #[serde(flatten)]
    key: PublicKeyForBox,
    from_ms: u64,
}

pub(crate) const SETTINGS: Doc =
    Doc::new("Show what holds for boxes that decide alone, and the keys that passes are checked with")
        .answers::<Settings>();

pub(crate) async fn settings(ask: Ask) -> Result<Reply, Problem> {
    let org = ask.org();
    let read = |state: &Organisation, stamp: Stamp| (state.known.as_ref().map(|known| known.offline.clone()), stamp);
    let (offline, stamp) = ask.engine.read(org.at(org), read).await?;
    let offline = offline.ok_or(Code::NotFound)?;
    let keys = keys(&ask, org, &offline)?;
    let key = |key: PassKey| SigningKey { key: key.into(), from_ms: key.from.0 };
    Reply::ok(&Settings {
        key_codes: offline.key_codes,
        pass_hours: offline.pass_hours,
        public_keys: keys.into_iter().map(key).collect(),
        revision: stamp.revision,
    })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OfflineSettingsChange)]
struct Choose {
    key_codes: Option<bool>,
    #[schema(minimum = 1, maximum = 168)]
    pass_hours: Option<u16>,
}

pub(crate) const CHOOSE: Doc = Doc::new("Choose what holds for boxes that decide alone").takes::<Choose>().changed();

pub(crate) async fn choose(ask: Ask) -> Result<Reply, Problem> {
    let Choose { key_codes, pass_hours } = ask.json()?;
    check_hours(pass_hours, "/pass_hours")?;
    tell(&ask, OfflineCommand::Choose { key_codes, pass_hours }).await
}

fn check_hours(hours: Option<u16>, pointer: &str) -> Result<(), Problem> {
    let mut wrong = Wrong::default();
    wrong.unless(hours.is_none_or(|hours| PASS_HOURS.contains(&hours)), pointer, "expected 1 to 168 hours");
    wrong.check()
}

async fn tell(ask: &Ask, command: OfflineCommand) -> Result<Reply, Problem> {
    let revision = organisations::tell(ask, ask.org(), organisation::Command::Offline(command)).await?;
    Reply::ok(&Changed { revision })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSigningKey)]
struct MakeKey {
    /// What older keys have signed does not hold any more, and the new one signs at once.
    #[serde(default)]
    at_once: bool,
}

pub(crate) const MAKE_KEY: Doc = Doc::new("Make a new key that passes are signed with")
    .details("Boxes are told at once; it signs after a day, and what older keys have signed holds until it is over.")
    .takes::<MakeKey>()
    .changed()
    .refuses(&[Code::BoxChangedMeanwhile, Code::TooManyCodes]);

pub(crate) async fn make_key(ask: Ask) -> Result<Reply, Problem> {
    let MakeKey { at_once } = ask.json()?;
    let (org, now) = (ask.org(), ask.now());
    let number = chosen(&ask, org).await?.newest() + 1;
    let public = |number| public_key(ask.engine.keys(), org, number).ok_or(Code::Internal);
    let (first, public) = (public(1)?, public(number)?);
    let from = if at_once { now } else { now.plus(LEAD) };
    tell(&ask, OfflineCommand::MakeKey { first, number, public, from, at_once }).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Life)]
struct Life {
    /// How long it lives; at most until the access ends. Left out: as the organisation has chosen.
    #[schema(minimum = 1, maximum = 168)]
    hours: Option<u16>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Pass)]
struct Shown {
    pass: PassId,
    access: AccessId,
    person: PersonId,
    #[schema(value_type = Time)]
    from: String,
    /// A permission that is withdrawn meanwhile holds at a box without network until then.
    #[schema(value_type = Time)]
    until: String,
    /// Where its one pick-up was, once a journal has told of it.
    used_at: Option<BoxId>,
    #[schema(value_type = PassText)]
    text: String,
    revision: u64,
}

const SIGN_REFUSALS: &[Code] = &[Code::AccessOver, Code::TooManyCodes, Code::AlreadyExists];

pub(crate) const SIGN: Doc = Doc::new("Sign a pass for an access")
    .details(
        "It opens once, also at a box that went offline before the access was granted. It cannot be called back: it \
         lives for a short time, and is signed for longer while it is needed.",
    )
    .takes::<Life>()
    .created::<Shown>()
    .refuses(SIGN_REFUSALS);

pub(crate) async fn sign_pass(ask: Ask) -> Result<Reply, Problem> {
    let access: AccessId = ask.path("access")?;
    let pass = PassId(ask.mint_id("pass", 0));
    signed(&ask, pass, Some(access), false).await
}

pub(crate) const RENEW: Doc = Doc::new("Sign a pass for longer")
    .details("The same pass, good for the same one pick-up.")
    .takes::<Life>()
    .created::<Shown>()
    .refuses(&[Code::AccessOver, Code::PassUsed]);

pub(crate) async fn renew(ask: Ask) -> Result<Reply, Problem> {
    let pass = ask.path("pass")?;
    signed(&ask, pass, None, true).await
}

async fn signed(ask: &Ask, pass: PassId, access: Option<AccessId>, renew: bool) -> Result<Reply, Problem> {
    let Life { hours } = ask.json()?;
    check_hours(hours, "/hours")?;
    let offline = chosen(ask, ask.org()).await?;
    let (hours, key) = (hours.unwrap_or(offline.pass_hours), offline.signing(ask.now()));
    // What is not there is for the box to say.
    let moved = match renew {
        true => found(ask, pass).await.ok().and_then(|(_, standing)| standing).map(|standing| standing.access),
        false => None,
    };
    let revision = change_box(ask, Command::SignPass { pass, access, hours, key, renew, moved }).await?;
    let (shown, _) = shown(ask, pass, revision).await?;
    Reply::created(&shown)
}

pub(crate) const SHOW: Doc =
    Doc::new("Show a pass").answers::<Shown>().also(&["image/svg+xml", "image/png"]).refuses(&[Code::NotAcceptable]);

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let format = ask.format(&FORMATS)?;
    let pass = ask.path("pass")?;
    let revision = look(&ask, named(&ask)?, SmartBox::revision).await?;
    let (shown, text) = shown(&ask, pass, revision).await?;
    if format == Format::Json { Reply::ok(&shown) } else { drawn(&text, format) }
}

fn drawn(text: &str, format: Format) -> Result<Reply, Problem> {
    let bytes = match format {
        Format::Svg => svg(text).map(String::into_bytes),
        _ => png(text),
    };
    Ok(Reply::of_type(format.content_type(), bytes.ok_or(Code::Internal)?))
}

/// An access as it is in force, and where.
struct Standing {
    access: AccessRecord,
    roams: bool,
    smart_box: BoxId,
}

impl Standing {
    fn at(state: &SmartBox, access: AccessId) -> Option<Self> {
        state.access(access).map(|(access, roams)| Self { access, roams, smart_box: state.id() })
    }
}

/// A pass, and its access. That of a key is where the key is at home by now.
async fn found(ask: &Ask, id: PassId) -> Result<(Pass, Option<Standing>), Problem> {
    let read = move |state: &SmartBox| state.pass(id).map(|pass| (pass, Standing::at(state, pass.access)));
    let (pass, standing) = look(ask, named(ask)?, read).await?.ok_or_else(|| refused(Refusal::PassNotFound))?;
    let (None, Some(key)) = (&standing, pass.opens) else { return Ok((pass, standing)) };
    let row = ask.engine.row(RowSpace::Keys, ask.org(), key.to_bytes().to_vec()).await?;
    let Some(home) = row.map(|row| stored::<KeyRow>(&row)).transpose()?.map(|row| row.home) else {
        return Ok((pass, None));
    };
    Ok((pass, look(ask, home.at(ask.org()), move |state| Standing::at(state, pass.access)).await?))
}

/// Nothing secret is stored: the same pass is signed anew, to the same bytes.
async fn shown(ask: &Ask, id: PassId, revision: u64) -> Result<(Shown, String), Problem> {
    let (signer, (pass, standing)) = (named(ask)?, found(ask, id).await?);
    // What was used before its key moved is not signed for a box that does not know of it.
    let elsewhere = |standing: &Standing| !standing.roams && standing.smart_box.at(ask.org()) != signer;
    let standing = standing.filter(|standing| pass.used.is_none() || !elsewhere(standing));
    let Standing { access, roams, smart_box } = standing.ok_or_else(|| refused(Refusal::AccessNotFound))?;
    let permission = Some(Permission { scope: access.scope, smart_box: (!roams).then_some(smart_box) });
    let Pass { id, access, person, from, until, signed, key, used, lent: _, opens: _ } = pass;
    let claims = Claims { organisation: ask.org(), person, id, from, until, signed, permission };
    let text = sign(ask.engine.keys(), key, &claims).ok_or(Code::Internal)?;
    let (from, until) = (from.to_rfc3339(), until.to_rfc3339());
    let used_at = used.map(|used| used.at);
    Ok((Shown { pass: id, access, person, from, until, used_at, text: text.clone(), revision }, text))
}

#[derive(Serialize, ToSchema)]
#[schema(as = PersonalQr)]
struct Identity {
    person: PersonId,
    #[schema(value_type = Time)]
    until: String,
    #[schema(value_type = PassText)]
    text: String,
    revision: u64,
}

pub(crate) const IDENTIFY: Doc = Doc::new("Sign who a person is, to be shown at boxes")
    .details("A box decides by what it knows of the person. It lives for a short time and cannot be called back.")
    .takes::<Life>()
    .answers::<Identity>()
    .also(&["image/svg+xml", "image/png"])
    .refuses(&[Code::NotAcceptable]);

pub(crate) async fn identify(ask: Ask) -> Result<Reply, Problem> {
    let person: PersonId = ask.path("person")?;
    let format = ask.format(&FORMATS)?;
    let Life { hours } = ask.json()?;
    check_hours(hours, "/hours")?;
    let (organisation, signed) = (ask.org(), ask.now());
    let offline = chosen(&ask, organisation).await?;
    let until = signed.plus(Duration::from_secs(3600 * u64::from(hours.unwrap_or(offline.pass_hours))));
    let command = person::Command::ShowQr { until };
    let revision = ask.tell_once::<Person>(person.at(organisation), command, people::refused).await?;
    let id = PassId(ask.mint_id("personal qr", 0));
    let claims = Claims { organisation, person, id, from: signed, until, signed, permission: None };
    let text = sign(ask.engine.keys(), offline.signing(signed), &claims).ok_or(Code::Internal)?;
    match format {
        Format::Json => {
            let until = time(Some(until)).unwrap_or_default();
            Reply::ok(&Identity { person, until, text, revision })
        }
        drawn_as => drawn(&text, drawn_as),
    }
}
