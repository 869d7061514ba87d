//! The boxes' mails as their templates see them: rows and names, read when the mail is sent.

use crate::{
    boxes::{
        Act, AlertItem, AlertKind, BoxMail, BoxRow, Conflict, Fob, KeyCodePlain, KeyCodesPlain, KeyRow, numbered_key,
        words::{BinState, Plan},
    },
    delivery::mail::{MailKind, Reader},
    kernel::{BoxId, Codec, KeyId, PersonId, RowSpace, UnixMillis, VaultField},
};
use serde::Serialize;
use serde_json::{Value, json};

pub(crate) static KINDS: [MailKind; 9] = [
    MailKind { template: BoxMail::ADVICE, wanted: |choice| choice.guarantee, data, ids, sample: sample_advice },
    MailKind { template: BoxMail::REMINDER, wanted: |_| true, data, ids, sample: sample_reminder },
    MailKind { template: "box_stolen", wanted: |_| true, data, ids, sample: sample_stolen },
    MailKind { template: "box_key_codes", wanted: |_| true, data, ids, sample: sample_key_codes },
    MailKind { template: "box_alerts", wanted: |_| true, data, ids, sample: sample_alerts },
    MailKind { template: "box_conflicts", wanted: |choice| choice.conflicts, data, ids, sample: sample_conflicts },
    MailKind { template: "box_guarantee_broken", wanted: |choice| choice.guarantee, data, ids, sample: sample_broken },
    MailKind { template: "box_guarantee_kept", wanted: |choice| choice.guarantee, data, ids, sample: sample_kept },
    MailKind { template: "box_suspended", wanted: |_| true, data, ids, sample: sample_suspended },
];

#[derive(Serialize)]
pub(super) struct BoxSeen {
    id: String,
    name: Box<str>,
    location: Box<str>,
    zone: Box<str>,
}

/// Somebody, by name; whoever was erased has none.
#[derive(Serialize)]
struct PersonSeen {
    erased: bool,
    name: String,
}

#[derive(Serialize)]
struct KeySeen {
    /// Without a key that the organisation knows only the fob is told.
    name: Option<Box<str>>,
    fob: Option<Fob>,
}

#[derive(Serialize)]
struct ConflictSeen {
    number: u64,
    reason: &'static str,
    kind: Option<&'static str>,
    bin: Option<String>,
    key: Option<KeySeen>,
    person: Option<PersonSeen>,
    at: UnixMillis,
    estimated: bool,
    text: Option<Box<str>>,
    server: ServerSeen,
}

#[derive(Serialize)]
struct ServerSeen {
    bin_state: Option<BinState>,
    /// What was believed to be in the bin.
    bin_holds: Option<KeySeen>,
    /// Where else in the box the key was believed to be.
    key_bin: Option<String>,
    /// Who was believed to have it.
    holder: Option<PersonSeen>,
    since: Option<UnixMillis>,
}

pub(super) fn box_seen(reader: &Reader<'_>, id: BoxId) -> Result<BoxSeen, String> {
    let row: BoxRow = reader.row(RowSpace::Boxes, &id.to_bytes())?.ok_or("there is no such box")?;
    Ok(BoxSeen { id: id.to_string(), name: row.name, location: row.location, zone: row.zone })
}

fn person_seen(reader: &Reader<'_>, id: Option<PersonId>) -> Result<Option<PersonSeen>, String> {
    let Some(id) = id else { return Ok(None) };
    let name = reader.profile(id)?.map(|profile| profile.name);
    Ok(Some(PersonSeen { erased: name.is_none(), name: name.unwrap_or_default() }))
}

fn key_name(reader: &Reader<'_>, key: Option<KeyId>) -> Result<Option<Box<str>>, String> {
    let Some(key) = key else { return Ok(None) };
    Ok(reader.row::<KeyRow>(RowSpace::Keys, &key.to_bytes())?.map(|row| row.name))
}

fn conflict_seen(reader: &Reader<'_>, conflict: Conflict) -> Result<ConflictSeen, String> {
    let Conflict { number, outcome, box_says, server_says, .. } = conflict;
    let fob = box_says.act.and_then(Act::fob);
    let name = key_name(reader, server_says.key)?;
    let bin_holds =
        server_says.bin_fob.map(|held| KeySeen { name: name.clone().filter(|_| Some(held) == fob), fob: Some(held) });
    Ok(ConflictSeen {
        number,
        reason: outcome.reason().unwrap_or_default(),
        kind: box_says.act.map(Act::name),
        bin: box_says.bin.map(|bin| bin.to_string()),
        key: fob.map(|fob| KeySeen { name, fob: Some(fob) }),
        person: person_seen(reader, box_says.person)?,
        at: box_says.at,
        estimated: box_says.estimated,
        text: box_says.text,
        server: ServerSeen {
            bin_state: server_says.bin_state,
            bin_holds,
            key_bin: server_says.fob_bin.map(|bin| bin.to_string()),
            holder: person_seen(reader, server_says.holder)?,
            since: server_says.since,
        },
    })
}

/// One line of a mail about alerts.
#[derive(Serialize)]
struct AlertSeen {
    kind: &'static str,
    ended: bool,
    key: Option<KeySeen>,
    bin: Option<String>,
    person: Option<PersonSeen>,
    since: Option<UnixMillis>,
    due: Option<UnixMillis>,
    /// Of a box that is offline: it had said that it runs without mains.
    power: bool,
    /// Of an exchange.
    pick_up: bool,
    flagged: bool,
}

fn alert_seen(reader: &Reader<'_>, item: &AlertItem) -> Result<AlertSeen, String> {
    let kind = item.kind().name();
    let (condition, ended) = match item {
        AlertItem::Began(condition) => (condition, false),
        AlertItem::Ended(condition) => (condition, true),
        AlertItem::Exchange(told) => {
            return Ok(AlertSeen {
                kind,
                ended: false,
                key: Some(KeySeen { name: key_name(reader, told.key)?, fob: Some(told.fob) }),
                bin: Some(told.bin.to_string()),
                person: person_seen(reader, told.person)?,
                since: Some(told.at),
                due: None,
                power: false,
                pick_up: told.pick_up,
                flagged: told.flagged,
            });
        }
    };
    let key = match condition.what.key() {
        Some(key) => Some(KeySeen { name: key_name(reader, Some(key))?, fob: None }),
        None => None,
    };
    Ok(AlertSeen {
        kind,
        ended,
        key,
        bin: condition.what.bin().map(|bin| bin.to_string()),
        person: person_seen(reader, condition.person)?,
        since: condition.since,
        due: condition.due,
        power: condition.what.power() == Some(true),
        pick_up: false,
        flagged: false,
    })
}

fn guarantee_minutes(plan: Plan) -> u64 {
    plan.guarantee().as_secs() / 60
}

pub(super) fn data(reader: &Reader<'_>, about: &[u8]) -> Result<Value, String> {
    let mail = BoxMail::decode_from(about)?;
    let smart_box = box_seen(reader, mail.smart_box())?;
    Ok(match mail {
        BoxMail::Conflicts { smart_box: id, numbers, total } => {
            let mut conflicts = Vec::with_capacity(numbers.len());
            for number in numbers {
                if let Some(conflict) = reader.row(RowSpace::Conflicts, &numbered_key(id, number))? {
                    conflicts.push(conflict_seen(reader, conflict)?);
                }
            }
            let more = usize::try_from(total).unwrap_or(usize::MAX).saturating_sub(conflicts.len());
            json!({"box": smart_box, "conflicts": conflicts, "total": total, "more": more})
        }
        BoxMail::GuaranteeBroken { pending_since, due, plan, last_contact, .. } => json!({
            "box": smart_box, "pending_since": pending_since, "due": due, "plan": plan,
            "guarantee_minutes": guarantee_minutes(plan), "last_contact": last_contact,
        }),
        BoxMail::GuaranteeKept { at, pending_since, plan, .. } => json!({
            "box": smart_box, "at": at, "pending_since": pending_since, "plan": plan,
            "guarantee_minutes": guarantee_minutes(plan),
        }),
        BoxMail::Alerts { at, items, total, .. } => {
            let alerts = items.iter().map(|item| alert_seen(reader, item)).collect::<Result<Vec<_>, _>>()?;
            let more = usize::try_from(total).unwrap_or(usize::MAX).saturating_sub(alerts.len());
            json!({"box": smart_box, "at": at, "alerts": alerts, "total": total, "more": more})
        }
        BoxMail::PlanAdvised { at, exchanges, plan, .. } => json!({
            "box": smart_box, "at": at, "exchanges": exchanges, "plan": plan,
            "guarantee_minutes": guarantee_minutes(plan), "advised_minutes": guarantee_minutes(Plan::BusinessPro),
        }),
        BoxMail::ReturnReminder { key, since, until, .. } => {
            json!({"box": smart_box, "key": key_name(reader, Some(key))?, "since": since, "until": until})
        }
        BoxMail::Stolen { at, people, .. } => json!({"box": smart_box, "at": at, "people": people}),
        BoxMail::KeyCodes { smart_box: id, at, keys } => {
            let sealed: KeyCodesPlain = reader.sealed(id.at(reader.org()), VaultField::KeyCodes)?.unwrap_or_default();
            let mut codes = Vec::with_capacity(keys.len());
            for KeyCodePlain { key, code } in sealed.codes.into_iter().filter(|known| keys.contains(&known.key)) {
                codes.push(json!({"key": key_name(reader, Some(key))?, "code": code}));
            }
            json!({"box": smart_box, "at": at, "codes": codes})
        }
        BoxMail::Suspended { at, seq, reused, .. } => {
            json!({"box": smart_box, "at": at, "seq": seq, "reused": reused})
        }
    })
}

pub(super) fn ids(about: &[u8]) -> Value {
    match BoxMail::decode_from(about) {
        Ok(BoxMail::Conflicts { smart_box, numbers, total }) => {
            json!({"box": smart_box, "conflicts": numbers, "total": total})
        }
        Ok(BoxMail::Alerts { smart_box, items, total, .. }) => {
            let kinds: Vec<_> = items.iter().map(|item| item.kind().name()).collect();
            json!({"box": smart_box, "alerts": kinds, "total": total})
        }
        Ok(BoxMail::ReturnReminder { smart_box, key, person, .. }) => {
            json!({"box": smart_box, "key": key, "person": person})
        }
        Ok(mail) => json!({"box": mail.smart_box()}),
        Err(_) => Value::Null,
    }
}

const SAMPLE_TIME: UnixMillis = UnixMillis(1_790_000_000_000);

pub(super) fn sample_box() -> BoxSeen {
    BoxSeen {
        id: BoxId(1).to_string(),
        name: "Portineria".into(),
        location: "Via Roma 1, Torino".into(),
        zone: "Europe/Rome".into(),
    }
}

fn sample_conflict(reason: &'static str, kind: Option<&'static str>) -> Value {
    let person = |erased, name: &str| PersonSeen { erased, name: name.to_owned() };
    let key = || KeySeen { name: Some("Panda <1>".into()), fob: Fob::new("04A2F1") };
    json!(ConflictSeen {
        number: 57,
        reason,
        kind,
        bin: kind.map(|_| "A-3".to_owned()),
        key: kind.map(|_| key()),
        person: kind.map(|_| person(kind == Some("drop_off"), "Bruno Müller")),
        at: SAMPLE_TIME,
        estimated: kind.is_none(),
        text: kind.is_none().then(|| "{not an entry}".into()),
        server: ServerSeen {
            bin_state: kind.map(|_| BinState::Protected),
            bin_holds: kind.map(|_| KeySeen { name: None, fob: Fob::new("04A2F2") }),
            key_bin: kind.map(|_| "A-1".to_owned()),
            holder: kind.map(|_| person(kind == Some("pick_up"), "Carla")),
            since: kind.map(|_| SAMPLE_TIME),
        },
    })
}

/// Every reason and every kind, so that no branch of a template goes untried.
fn sample_conflicts() -> Value {
    let reasons = [
        "bin_occupied",
        "key_elsewhere",
        "key_not_in_bin",
        "late_pick_up_missing",
        "fob_in_two_boxes",
        "journal_gap",
        "unknown_bin",
        "sequence_reused",
        "behind_receipts",
    ];
    let kinds = ["pick_up", "drop_off", "opened"].into_iter().cycle();
    let mut conflicts: Vec<_> =
        reasons.into_iter().zip(kinds).map(|(reason, kind)| sample_conflict(reason, Some(kind))).collect();
    conflicts.push(sample_conflict("unreadable", None));
    json!({"box": sample_box(), "total": conflicts.len() + 3, "more": 3, "conflicts": conflicts})
}

/// Every kind, begun and ended, and both ways of an exchange.
fn sample_alerts() -> Value {
    let person = |erased| PersonSeen { erased, name: if erased { String::new() } else { "Bruno Müller".to_owned() } };
    let mut alerts = Vec::new();
    for (kind, ended) in AlertKind::ALL.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let of_key = !matches!(kind, AlertKind::Offline | AlertKind::Guarantee | AlertKind::Conflict);
        alerts.push(AlertSeen {
            kind: kind.name(),
            ended,
            key: of_key.then(|| KeySeen { name: (!ended).then(|| "Panda <1>".into()), fob: Fob::new("04A2F1") }),
            bin: of_key.then(|| "A-3".to_owned()),
            person: of_key.then(|| person(ended)),
            since: (kind != AlertKind::Conflict).then_some(SAMPLE_TIME),
            due: of_key.then_some(SAMPLE_TIME),
            power: ended,
            pick_up: ended,
            flagged: ended,
        });
    }
    json!({"box": sample_box(), "at": SAMPLE_TIME, "total": alerts.len() + 3, "more": 3, "alerts": alerts})
}

fn sample_broken() -> Value {
    json!({
        "box": sample_box(), "pending_since": SAMPLE_TIME, "due": SAMPLE_TIME, "plan": Plan::Premium,
        "guarantee_minutes": guarantee_minutes(Plan::Premium), "last_contact": SAMPLE_TIME,
    })
}

fn sample_kept() -> Value {
    json!({
        "box": sample_box(), "at": SAMPLE_TIME, "pending_since": SAMPLE_TIME, "plan": Plan::BusinessPro,
        "guarantee_minutes": guarantee_minutes(Plan::BusinessPro),
    })
}

pub(super) fn sample_reminder() -> Value {
    json!({"box": sample_box(), "key": "Panda <1>", "since": SAMPLE_TIME, "until": SAMPLE_TIME})
}

fn sample_advice() -> Value {
    json!({
        "box": sample_box(), "at": SAMPLE_TIME, "exchanges": 51, "plan": Plan::Premium,
        "guarantee_minutes": guarantee_minutes(Plan::Premium), "advised_minutes": guarantee_minutes(Plan::BusinessPro),
    })
}

fn sample_stolen() -> Value {
    json!({"box": sample_box(), "at": SAMPLE_TIME, "people": 12})
}

fn sample_key_codes() -> Value {
    let codes = [json!({"key": "Panda <1>", "code": "7301942"}), json!({"key": null, "code": "7301943"})];
    json!({"box": sample_box(), "at": SAMPLE_TIME, "codes": codes})
}

fn sample_suspended() -> Value {
    json!({"box": sample_box(), "at": SAMPLE_TIME, "seq": 57, "reused": true})
}
