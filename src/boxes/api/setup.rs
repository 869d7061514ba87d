//! A new box, with its bins, and if wanted its keys, accesses and enrolment code: a fleet is set up with one request a
//! box. The commands follow one another to the same actor; a repeated request meets what is already there.

use super::{
    LOCATION_MAX, Location, NAME_MAX, Name, WRONG_LOCATION,
    accesses::{BATCH_MAX, NewAccess, check_named},
    enrolment::{self, EnrolmentCode},
    groups::check_groups,
    keys::NewKey,
    refused,
    schema::FirstGrant,
};
use crate::{
    boxes::{Command, Creation, Label, MAX_BINS, MAX_KEYS, Model, SmartBox},
    http::{Ask, Bulk, Cell, Code, Doc, Problem, Reply, body::objects},
    kernel::{AccessId, BoxId, KeyId, schema::Zone},
    orgs::{
        Organisation,
        api::{Wrong, checked_zone, is_text, text},
    },
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewBox)]
struct Create {
    #[schema(value_type = Name)]
    name: String,
    model: Model,
    #[serde(default)]
    #[schema(value_type = Location)]
    location: String,
    #[schema(value_type = Zone)]
    zone: String,
    #[schema(value_type = HashSet<Label>, min_items = 1, max_items = 500)]
    bins: Vec<Label>,
    #[serde(default, deserialize_with = "objects")]
    #[schema(max_items = 200)]
    keys: Vec<NewKey>,
    #[serde(default, deserialize_with = "objects")]
    #[schema(value_type = Vec<FirstGrant>, max_items = 200)]
    accesses: Vec<NewAccess>,
    /// Whether a code to enrol with is made too.
    #[serde(default)]
    enrol: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = BoxCreated)]
struct Created {
    r#box: BoxId,
    revision: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<KeyId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accesses: Vec<AccessId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EnrolmentCode>, nullable = false)]
    enrolment_code: Option<String>,
}

/// A command, and the part of the body that it comes from.
type Step = (Command, String);

pub(crate) const CREATE: Doc = Doc::new("Set up a box with its bins")
    .details("If wanted with its keys, its accesses and a code to enrol with, all in one request.")
    .takes::<Create>()
    .created::<Created>()
    .refuses(&[Code::AlreadyExists, Code::FobTaken, Code::LimitReached]);

pub(crate) async fn create(ask: Ask) -> Result<Reply, Problem> {
    let body: Create = ask.json()?;
    let mut wrong = Wrong::default();
    check(&body, &mut wrong);
    let id = BoxId(ask.mint_id("box", 0));
    let keys: Vec<_> = (0..body.keys.len()).map(|row| KeyId(ask.mint_id("key", row))).collect();
    let mut records = Vec::with_capacity(body.accesses.len());
    for (row, access) in body.accesses.iter().enumerate() {
        let (access_id, at) = (AccessId(ask.mint_id("access", row)), format!("/accesses/{row}"));
        records.push(access.record(access_id, &keys, &body.zone, &mut wrong, &at));
    }
    wrong.check()?;
    check_named(&ask, &body.accesses, "/accesses").await?;
    let new_keys = body.keys.iter().enumerate();
    let groups = new_keys.flat_map(|(row, key)| key.groups(format!("/keys/{row}/groups")));
    check_groups(&ask, groups).await?;
    let accesses: Vec<_> = records.iter().map(|record| record.id).collect();
    let enrolment_code = body.enrol.then(|| enrolment::text(&ask.mint_secret("enrolment code", 0)));

    let revision = match ask.done_before(ask.org()).await? {
        Some(revision) => revision,
        None => {
            let known = ask.engine.view::<Organisation>(ask.org().at(ask.org())).await?.ok_or(Code::NotFound)?;
            let plan = known.plan;
            let creation = Creation {
                name: body.name.into(),
                model: body.model,
                plan,
                location: body.location.into(),
                zone: body.zone.into(),
                bins: body.bins.into(),
            };
            let mut steps: Vec<Step> = vec![(Command::Create(creation), String::new())];
            if let Some(settings) = known.alerts.clone() {
                steps.push((Command::SetAlerts { settings }, String::new()));
            }
            for (row, (key, id)) in body.keys.into_iter().zip(&keys).enumerate() {
                steps.push((key.command(*id), format!("/keys/{row}")));
            }
            if !records.is_empty() {
                steps.push((Command::Grant { accesses: records.into() }, "/accesses".to_owned()));
            }
            if let Some(code) = &enrolment_code {
                steps.push((enrolment::command(code, ask.now(), false).ok_or(Code::Internal)?, "/enrol".to_owned()));
            }
            take(&ask, id, steps).await?
        }
    };
    Reply::created(&Created { r#box: id, revision, keys, accesses, enrolment_code })
}

const ROWS: Bulk = Bulk {
    takes: &[
        ("name", Cell::Text),
        ("model", Cell::Text),
        ("location", Cell::Text),
        ("zone", Cell::Text),
        ("bins", Cell::List),
        ("enrol", Cell::Flag),
    ],
    gives: &["box", "revision", "enrolment_code"],
};

pub(crate) const BULK: Doc = Doc::new("Set up many boxes")
    .details("A row is what setting one box up takes; keys and accesses come with NDJSON only.")
    .rows(&ROWS);

pub(crate) async fn bulk(ask: Ask) -> Result<Reply, Problem> {
    ask.no_query()?;
    ask.bulk(&ROWS, create).await
}

/// One after the other; the last one is what a repeat is recognised by.
async fn take(ask: &Ask, id: BoxId, mut steps: Vec<Step>) -> Result<u64, Problem> {
    let address = id.at(ask.org());
    let (last, last_at) = steps.pop().ok_or(Code::Internal)?;
    for (command, at) in steps {
        ask.tell::<SmartBox>(address, command, refused).await.map_err(|problem| problem.about(at))?;
    }
    ask.tell_once::<SmartBox>(address, last, refused).await.map_err(|problem| problem.about(last_at))
}

fn check(body: &Create, wrong: &mut Wrong) {
    text(wrong, "/name", &body.name, NAME_MAX);
    let location = body.location.is_empty() || is_text(&body.location, LOCATION_MAX);
    wrong.unless(location, "/location", WRONG_LOCATION);
    checked_zone(wrong, "/zone", &body.zone);
    wrong.unless((1..=MAX_BINS).contains(&body.bins.len()), "/bins", "expected 1 to 500 bins");
    for (row, bin) in body.bins.iter().enumerate().take(MAX_BINS) {
        if body.bins[..row].contains(bin) {
            wrong.add(format!("/bins/{row}"), "stands here twice");
        }
    }
    wrong.unless(body.keys.len() <= MAX_KEYS.min(BATCH_MAX), "/keys", "expected at most 200 keys");
    wrong.unless(body.accesses.len() <= BATCH_MAX, "/accesses", "expected at most 200 accesses");
    for (row, key) in body.keys.iter().enumerate().take(BATCH_MAX) {
        let at = format!("/keys/{row}");
        key.check(wrong, &at);
        if key.bin.is_some_and(|bin| !body.bins.contains(&bin)) {
            wrong.add(format!("{at}/bin"), "names no bin of this box");
        }
        let twice =
            |other: &NewKey| (key.fob.is_some() && other.fob == key.fob) || (key.bin.is_some() && other.bin == key.bin);
        if body.keys[..row].iter().any(twice) {
            wrong.add(at, "its fob or its bin stands in an earlier row");
        }
    }
}
