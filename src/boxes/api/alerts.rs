//! Alerts in force, what an organisation wants to be told, and what is different for one key.

use super::{accesses::check_people, change_box, key_of, look, named, place::Place, refused, time};
use crate::{
    boxes::{
        AlertKind, AlertMails, AlertRow, AlertSettings, Command, ExchangeAlert, KeyAlerts, Label, LateLimits,
        MAX_ALERT_MAILS, MAX_ALERT_MINUTES, Refusal, Trouble,
    },
    http::{
        Ask, Changed, Code, Doc, List, Problem, Reply,
        body::{object, objects},
    },
    kernel::{BoxId, KeyId, PersonId, RowSpace, schema::Time},
    orgs::{
        Organisation,
        api::{Wrong, or_null, organisations},
        organisation,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

#[derive(Serialize, ToSchema)]
#[schema(as = Alert)]
struct Shown {
    r#box: BoxId,
    alert: u64,
    kind: AlertKind,
    key: Option<KeyId>,
    bin: Option<Label>,
    /// Who has the key.
    person: Option<PersonId>,
    /// Since when the key is out, the box silent or missing a change, the bin doubtful.
    #[schema(value_type = Option<Time>)]
    since: Option<String>,
    /// Until when the key should have been back.
    #[schema(value_type = Option<Time>)]
    due: Option<String>,
    /// Of a box that is offline: it had said that it runs without mains; else it has lost the internet.
    power: Option<bool>,
    #[schema(value_type = Time)]
    raised_at: String,
    #[schema(value_type = Option<Time>)]
    acknowledged_at: Option<String>,
}

impl Shown {
    fn of(id: BoxId, alert: &AlertRow) -> Self {
        let AlertRow { number, condition, raised, acknowledged } = *alert;
        Self {
            r#box: id,
            alert: number,
            kind: condition.what.kind(),
            key: condition.what.key(),
            bin: condition.what.bin(),
            person: condition.person,
            since: time(condition.since),
            due: time(condition.due),
            power: condition.what.power(),
            raised_at: raised.to_rfc3339(),
            acknowledged_at: time(acknowledged),
        }
    }
}

/// The same in the feed of events.
pub(crate) fn told(condition: &Trouble) -> Value {
    json!({
        "kind": condition.what.kind(), "key": condition.what.key(), "bin": condition.what.bin(),
        "person": condition.person, "since": time(condition.since), "due": time(condition.due),
        "power": condition.what.power(),
    })
}

const COLUMNS: [&str; 11] =
    ["box", "alert", "kind", "key", "bin", "person", "since", "due", "power", "raised_at", "acknowledged_at"];

/// Which alerts; every filter that is named must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[param(inline)]
    r#box: Option<BoxId>,
    #[param(inline)]
    kind: Option<AlertKind>,
    /// Somebody has said that he knows, or nobody has yet
    acknowledged: Option<bool>,
}

pub(crate) const LIST: Doc =
    Doc::new("List alerts that are in force").query::<Filter>().exports::<Shown, Place<false>>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let (page, filter) = ask.list_query::<Filter>()?;
    let prefix = filter.r#box.map(|id| id.to_bytes().to_vec()).unwrap_or_default();
    let list = List::of_rows(&COLUMNS, (RowSpace::Alerts, ask.org(), prefix), move |_, key, alert: AlertRow| {
        let Place::<false>(id, _) = key_of(key)?;
        let passes = filter.kind.is_none_or(|kind| kind == alert.condition.what.kind())
            && filter.acknowledged.is_none_or(|acknowledged| acknowledged == alert.acknowledged.is_some());
        Ok(passes.then(|| Shown::of(id, &alert)))
    });
    ask.list::<Place<false>, _>(list, &page).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlertAcknowledgement)]
struct Acknowledge {}

pub(crate) const ACKNOWLEDGE: Doc = Doc::new("Say that an alert is known")
    .details("It stays in force until what it tells of has ended.")
    .takes::<Acknowledge>()
    .changed();

pub(crate) async fn acknowledge(ask: Ask) -> Result<Reply, Problem> {
    let Acknowledge {} = ask.json()?;
    let command = Command::AcknowledgeAlert { number: ask.path("alert")? };
    Reply::ok(&Changed { revision: change_box(&ask, command).await? })
}

/// What an organisation wants to be told, as it stands on the wire. What is left out is as by default.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = AlertSettings)]
pub(crate) struct WireSettings {
    offline: bool,
    guarantee: bool,
    conflict: bool,
    /// A bin whose content nobody has confirmed for so long.
    #[schema(maximum = 525_600)]
    unconfirmed_minutes: Option<u32>,
    #[serde(deserialize_with = "object")]
    late: WireLate,
    exchange: ExchangeAlert,
    #[serde(deserialize_with = "objects")]
    #[schema(max_items = 16)]
    mails: Vec<WireMails>,
}

/// When a key that is out is late; `null`: never.
#[derive(Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = LateLimits)]
struct WireLate {
    /// So long after it was taken.
    #[schema(maximum = 525_600)]
    after_pick_up_minutes: Option<u32>,
    /// So long after the end of the access by which it was taken.
    #[schema(maximum = 525_600)]
    after_end_minutes: Option<u32>,
    /// So long before somebody else's access to this very key begins.
    #[schema(maximum = 525_600)]
    before_booking_minutes: Option<u32>,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlertMails)]
struct WireMails {
    /// Left out or `null`: the owner, whose mails about conflicts and guarantees are chosen with the other mails.
    person: Option<PersonId>,
    #[schema(value_type = HashSet<AlertKind>, max_items = 8)]
    kinds: Vec<AlertKind>,
}

impl From<LateLimits> for WireLate {
    fn from(LateLimits { after_pick_up, after_end, before_booking }: LateLimits) -> Self {
        Self {
            after_pick_up_minutes: after_pick_up,
            after_end_minutes: after_end,
            before_booking_minutes: before_booking,
        }
    }
}

impl From<&AlertSettings> for WireSettings {
    fn from(settings: &AlertSettings) -> Self {
        let mails = settings.mails.iter();
        Self {
            offline: settings.offline,
            guarantee: settings.guarantee,
            conflict: settings.conflict,
            unconfirmed_minutes: settings.unconfirmed_minutes,
            late: settings.late.into(),
            exchange: settings.exchange,
            mails: mails.map(|mails| WireMails { person: mails.person, kinds: mails.kinds.list() }).collect(),
        }
    }
}

impl Default for WireSettings {
    fn default() -> Self {
        Self::from(&AlertSettings::default())
    }
}

fn check_minutes(wrong: &mut Wrong, pointer: &str, minutes: Option<u32>) {
    wrong.unless(
        minutes.is_none_or(|minutes| minutes <= MAX_ALERT_MINUTES),
        pointer,
        "expected at most 525600 minutes",
    );
}

impl WireSettings {
    fn read(self, wrong: &mut Wrong) -> AlertSettings {
        let WireLate { after_pick_up_minutes, after_end_minutes, before_booking_minutes } = self.late;
        check_minutes(wrong, "/unconfirmed_minutes", self.unconfirmed_minutes);
        check_minutes(wrong, "/late/after_pick_up_minutes", after_pick_up_minutes);
        check_minutes(wrong, "/late/after_end_minutes", after_end_minutes);
        check_minutes(wrong, "/late/before_booking_minutes", before_booking_minutes);
        wrong.unless(self.mails.len() <= MAX_ALERT_MAILS, "/mails", "expected at most 16 recipients");
        let mails = self.mails.into_iter().take(MAX_ALERT_MAILS);
        AlertSettings {
            offline: self.offline,
            guarantee: self.guarantee,
            conflict: self.conflict,
            unconfirmed_minutes: self.unconfirmed_minutes,
            late: LateLimits {
                after_pick_up: after_pick_up_minutes,
                after_end: after_end_minutes,
                before_booking: before_booking_minutes,
            },
            exchange: self.exchange,
            mails: AlertSettings::merged(
                mails.map(|mails| AlertMails { person: mails.person, kinds: mails.kinds.into_iter().collect() }),
            ),
        }
    }
}

pub(crate) const SETTINGS: Doc =
    Doc::new("Show what the organisation wants to be told").shows_as_taken::<WireSettings>();

pub(crate) async fn settings(ask: Ask) -> Result<Reply, Problem> {
    let of = ask.org();
    let read = |state: &Organisation, _| state.known.as_ref().map(|known| (known.changed, known.alert_settings()));
    let (changed, settings) = ask.engine.read(of.at(of), read).await?.ok_or(Code::NotFound)?;
    Reply::object(changed, &WireSettings::from(&settings))
}

pub(crate) const SET: Doc = Doc::new("Say what the organisation wants to be told")
    .details("All of it: what is left out is as by default. Every box hears of it at once.")
    .takes::<WireSettings>()
    .changed();

pub(crate) async fn set(ask: Ask) -> Result<Reply, Problem> {
    let body: WireSettings = ask.json()?;
    let mut wrong = Wrong::default();
    let rows = body.mails.iter().take(MAX_ALERT_MAILS).enumerate();
    let named = rows.filter_map(|(row, mails)| Some((format!("/mails/{row}/person"), mails.person?)));
    let named: Vec<_> = named.collect();
    let settings = body.read(&mut wrong);
    wrong.check()?;
    check_people(&ask, named).await?;
    let command = organisation::Command::SetAlerts(Box::new(settings));
    let revision = organisations::tell(&ask, ask.org(), command).await?;
    Reply::ok(&Changed { revision })
}

/// What is different for one key. A field left out is as the organisation says; `null`: never.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyAlerts)]
pub(crate) struct WireKeyAlerts {
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, maximum = 525_600)]
    late_after_pick_up_minutes: Option<Option<u32>>,
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, maximum = 525_600)]
    late_after_end_minutes: Option<Option<u32>>,
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, maximum = 525_600)]
    late_before_booking_minutes: Option<Option<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<ExchangeAlert>,
}

impl From<&KeyAlerts> for WireKeyAlerts {
    fn from(KeyAlerts { late, exchange }: &KeyAlerts) -> Self {
        Self {
            late_after_pick_up_minutes: KeyAlerts::said(late.after_pick_up),
            late_after_end_minutes: KeyAlerts::said(late.after_end),
            late_before_booking_minutes: KeyAlerts::said(late.before_booking),
            exchange: *exchange,
        }
    }
}

pub(crate) const OF_KEY: Doc =
    Doc::new("Show what is different about a key's alerts").shows_as_taken::<WireKeyAlerts>();

pub(crate) async fn of_key(ask: Ask) -> Result<Reply, Problem> {
    let key: KeyId = ask.path("key")?;
    let read = look(&ask, named(&ask)?, move |state| state.key_alerts_tag(key).map(|tag| (tag, state.key_alerts(key))));
    let (tag, alerts) = read.await?.ok_or_else(|| refused(Refusal::KeyNotFound))?;
    Reply::object(tag, &WireKeyAlerts::from(&alerts))
}

pub(crate) const SET_OF_KEY: Doc = Doc::new("Say what is different about a key's alerts")
    .details("All of it: what is left out is as the organisation says, `null` is never.")
    .takes::<WireKeyAlerts>()
    .changed();

pub(crate) async fn set_of_key(ask: Ask) -> Result<Reply, Problem> {
    let key: KeyId = ask.path("key")?;
    let body: WireKeyAlerts = ask.json()?;
    let mut wrong = Wrong::default();
    check_minutes(&mut wrong, "/late_after_pick_up_minutes", body.late_after_pick_up_minutes.flatten());
    check_minutes(&mut wrong, "/late_after_end_minutes", body.late_after_end_minutes.flatten());
    check_minutes(&mut wrong, "/late_before_booking_minutes", body.late_before_booking_minutes.flatten());
    wrong.check()?;
    let late = LateLimits {
        after_pick_up: KeyAlerts::limit(body.late_after_pick_up_minutes),
        after_end: KeyAlerts::limit(body.late_after_end_minutes),
        before_booking: KeyAlerts::limit(body.late_before_booking_minutes),
    };
    let command = Command::SetKeyAlerts { key, alerts: KeyAlerts { late, exchange: body.exchange } };
    Reply::ok(&Changed { revision: change_box(&ask, command).await? })
}
