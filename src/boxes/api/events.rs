//! What has happened to a box, as the change feed, the audit and webhooks show it. No hash and no verifier is told, nor
//! what a journal said in words: that stands with its conflict.

use super::{
    alerts::{WireKeyAlerts, WireSettings, told},
    history::Shown,
    online::events as online,
    time,
};
use crate::{
    boxes::{
        AccessRecord, Act, Advice, Departure, Event, Health, Judged, KeyRecord, Outcome, PassUse, Plan, Reminded,
        Reminder, Scope, SightingAnswer, Suspicion, history_item,
    },
    kernel::{Codec, EventOutcome, EventView, Stamp},
    store::StoredRecord,
};
use serde_json::{Value, json};

/// The events of a record, read, with their revisions.
pub(super) fn decoded(record: &StoredRecord) -> Result<Vec<(Event, Stamp)>, String> {
    let stamped = |(bytes, revision): (&Vec<u8>, u64)| {
        Event::decode_from(bytes).map(|event| (event, Stamp { at: record.at, revision }))
    };
    record.events.iter().zip(record.first_revision..).map(stamped).collect()
}

/// The events of a record, in order.
pub(crate) fn views(record: &StoredRecord) -> Result<Vec<EventView>, String> {
    Ok(decoded(record)?.iter().map(|(event, stamp)| view(event, *stamp)).collect())
}

pub(crate) fn view(event: &Event, stamp: Stamp) -> EventView {
    let (name, data) = match event {
        Event::Created(created) => (
            "boxes.created",
            json!({
                "name": created.name, "model": created.model, "plan": created.plan, "location": created.location,
                "zone": created.zone, "bins": created.bins,
            }),
        ),
        Event::Described { name, location, zone } => {
            ("boxes.described", json!({ "name": name, "location": location, "zone": zone }))
        }
        Event::PlanSet { plan } => ("boxes.plan_set", json!({ "plan": plan })),
        Event::EnrolmentCodeMade { code_hash: _, expires } => {
            ("boxes.enrolment.code_made", json!({ "expires_at": expires.to_rfc3339() }))
        }
        Event::EnrolmentCodeDropped { code_hash: _ } => ("boxes.enrolment.code_dropped", json!({})),
        Event::Enrolled { code_hash: _, token_hash: _, generation } => {
            ("boxes.enrolled", json!({ "generation": generation }))
        }
        Event::Suspended { why, entry, number } => {
            let kept = entry.as_ref().map(|entry| entry.outcome.reason());
            return EventView::new(
                "boxes.suspended",
                json!({ "why": reason(why), "seq": seq(why), "conflict": number, "reason": kept }),
            )
            .with_outcome(EventOutcome::Refused);
        }
        Event::JournalRestarted { next } => ("boxes.journal_restarted", json!({ "next": next })),
        Event::Restored { epoch } => ("boxes.restored", json!({ "epoch": epoch })),
        Event::JournalGap { number, first, last } => {
            let data = json!({ "conflict": number, "first": first, "last": last });
            return EventView::new("boxes.conflict.journal_gap", data).with_outcome(EventOutcome::Refused);
        }
        Event::EntryJudged(judged) => return entry(judged, event, stamp),
        Event::Online(online) => match event.judged() {
            Some(judged) => return entry(judged, event, stamp),
            None => return EventView::new(online::name(online), online::data(online)),
        },
        Event::LatePickUpMissing { number, bin, fob, key } => {
            let data = json!({ "conflict": number, "bin": bin, "fob": fob, "key": key });
            return EventView::new("boxes.conflict.late_pick_up_missing", data).with_outcome(EventOutcome::Refused);
        }
        Event::Synced(synced) => (
            "boxes.synced",
            json!({
                "shown": synced.shown, "clock_skew_ms": synced.skew_ms, "health": synced.health.as_deref().map(health),
                "drained": synced.drained, "next_sync_s": synced.next_sync_s, "entries": synced.entries,
                "back": synced.back,
            }),
        ),
        Event::Confirmed { revision, settled } => {
            ("boxes.confirmed", json!({ "revision": revision, "settled": settled }))
        }
        Event::WentOffline => ("boxes.went_offline", json!({})),
        Event::ContactAwaited { due } => ("boxes.contact_awaited", json!({ "due": due.to_rfc3339() })),
        Event::GuaranteeBroken { pending_since } => {
            ("boxes.guarantee.broken", json!({ "pending_since": pending_since.to_rfc3339() }))
        }
        Event::GuaranteeKeptAgain => ("boxes.guarantee.kept_again", json!({})),
        Event::BinStateSet { bin, state } => ("boxes.bin.state_set", json!({ "bin": bin, "state": state })),
        Event::BinCorrected { .. } => ("boxes.bin.corrected", history(event, stamp)),
        Event::BinConfirmed { bin } => ("boxes.bin.confirmed", json!({ "bin": bin })),
        Event::KeyAdded { key: record, bin } => ("boxes.key.added", with(key(record), json!({ "bin": bin }))),
        Event::KeyChanged { key, name, roaming, groups, size } => {
            let size = size.unwrap_or_default();
            let data = json!({ "key": key, "name": name, "roaming": roaming, "groups": groups, "size": size });
            ("boxes.key.changed", data)
        }
        Event::PinSet { person, pin } => ("boxes.pin.set", json!({ "person": person, "has_pin": pin.is_some() })),
        Event::PlanAdvised(Advice { day, exchanges, mailed: _ }) => (
            "boxes.plan_advised",
            json!({ "day": day.to_rfc3339(), "exchanges": exchanges, "plan": Plan::BusinessPro }),
        ),
        Event::Reminded(Reminded { key, since, access, person, due, dropped }) => (
            "boxes.key.reminded",
            json!({
                "key": key, "person": person, "access": access, "since": since.to_rfc3339(), "due": due.to_rfc3339(),
                "dropped": dropped,
            }),
        ),
        Event::Unlinked => ("boxes.unlinked", json!({})),
        Event::BinSized { bin, size } => ("boxes.bin.sized", json!({ "bin": bin, "size": size })),
        Event::KeyRemoved { key, fob } => ("boxes.key.removed", json!({ "key": key, "fob": fob })),
        Event::KeyFobSet { before, .. } => {
            ("boxes.key.fob_set", with(history(event, stamp), json!({ "before": before })))
        }
        Event::AccessGranted(record) => ("boxes.access.granted", access(record)),
        Event::AccessRevoked { access, person, group: _ } => {
            ("boxes.access.revoked", json!({ "access": access, "person": person }))
        }
        Event::ConflictResolved { number, accept, taken, person } => (
            "boxes.conflict.resolved",
            json!({ "conflict": number, "accept": accept.name(), "taken": taken, "person": person }),
        ),
        Event::KeyDeparted(departure) => ("boxes.key.moved_out", with(history(event, stamp), departed(departure))),
        Event::KeyArrived(arrival) => {
            let came = json!({ "name": arrival.key.name, "from": arrival.from });
            let outcome = if arrival.flagged { EventOutcome::Flagged } else { EventOutcome::Applied };
            return EventView::new("boxes.key.moved_in", with(history(event, stamp), came)).with_outcome(outcome);
        }
        Event::SightingAnswered { sighting, answer } => {
            let data = json!({ "fob": sighting.fob, "seen_by": sighting.by, "at": sighting.at.to_rfc3339() });
            ("boxes.fob.sighting_answered", with(data, answered(*answer)))
        }
        Event::VisitorUnknown { .. } => {
            return EventView::new("boxes.fob.unknown", history(event, stamp)).with_outcome(EventOutcome::Flagged);
        }
        Event::VisitorForgotten { fob } => ("boxes.fob.settled", json!({ "fob": fob })),
        Event::VisitorMovedOn { fob, key } => ("boxes.fob.moved_on", json!({ "fob": fob, "key": key })),
        Event::VisitorDoubled { number, fob, bin, elsewhere } => {
            let data = json!({ "conflict": number, "fob": fob, "bin": bin, "elsewhere": elsewhere });
            return EventView::new("boxes.conflict.fob_in_two_boxes", data).with_outcome(EventOutcome::Refused);
        }
        Event::VisitorAskedAgain { fob } => ("boxes.fob.asked_again", json!({ "fob": fob })),
        Event::KeyCodeSet { key, code, verifier: _ } => {
            ("boxes.key_code.set", json!({ "key": key, "has_code": code.is_some() }))
        }
        Event::KeyCodeVerified { key, verifier: _ } => ("boxes.key_code.verified", json!({ "key": key })),
        Event::KeyCodeTold { key, to, generation } => {
            ("boxes.key_code.told", json!({ "key": key, "box": to, "generation": generation }))
        }
        Event::BookingsSet { person, bookings } => (
            "boxes.bookings.set",
            json!({ "person": person, "accesses": bookings.iter().map(|(access, _)| access).collect::<Vec<_>>() }),
        ),
        Event::BookingEnded { access, person } => {
            ("boxes.bookings.ended", json!({ "access": access, "person": person }))
        }
        Event::SheetRenewed { number } => ("boxes.offline_codes.renewed", json!({ "sheet": number })),
        Event::SheetShown { number, codes } => {
            ("boxes.offline_codes.shown", json!({ "sheet": number, "codes": codes }))
        }
        Event::PassSigned { pass, dropped: _ } => (
            "boxes.pass.signed",
            json!({
                "pass": pass.id, "access": pass.access, "person": pass.person, "from": pass.from.to_rfc3339(),
                "until": pass.until.to_rfc3339(), "signing_key": pass.key,
            }),
        ),
        Event::CodesExposed { people, keys } => ("boxes.codes_exposed", json!({ "people": people, "keys": keys })),
        Event::KeyCodesExposed => ("boxes.key_codes_exposed", json!({})),
        Event::PassLent { pass, loan } => {
            ("boxes.pass.lent", json!({ "pass": pass, "box": loan.to, "until": loan.until.to_rfc3339() }))
        }
        Event::PassUsed { pass, used, before } => {
            let at = |used: &PassUse| json!({ "box": used.at, "seq": used.seq });
            let data = json!({ "pass": pass, "used": at(used), "before": before.as_ref().map(at) });
            let outcome = if before.is_some() { EventOutcome::Flagged } else { EventOutcome::Applied };
            return EventView::new("boxes.pass.used", data).with_outcome(outcome);
        }
        Event::SettingsTaken(settings) => (
            "boxes.offline_settings.taken",
            json!({
                "key_codes": settings.key_codes,
                "pass_keys": settings.pass_keys.iter().map(|key| key.number).collect::<Vec<_>>(),
            }),
        ),
        Event::AlertsSet(settings) => ("boxes.alerts_set", json!({ "alerts": WireSettings::from(&**settings) })),
        Event::KeyAlertsSet { key, alerts } => {
            ("boxes.key.alerts_set", json!({ "key": key, "alerts": WireKeyAlerts::from(alerts) }))
        }
        Event::AlertRaised(condition) => {
            ("boxes.alert.raised", with(json!({ "alert": stamp.revision }), told(condition)))
        }
        Event::AlertEnded { number, condition } => {
            ("boxes.alert.ended", with(json!({ "alert": number }), told(condition)))
        }
        Event::AlertAcknowledged { number } => ("boxes.alert.acknowledged", json!({ "alert": number })),
        Event::ExchangeTold(told) => (
            "boxes.alert.exchange",
            json!({
                "kind": if told.pick_up { "pick_up" } else { "drop_off" }, "fob": told.fob, "key": told.key,
                "bin": told.bin, "person": told.person, "at": told.at.to_rfc3339(), "flagged": told.flagged,
            }),
        ),
        Event::FobReleased { fob } => ("boxes.fob.released", json!({ "fob": fob })),
        Event::CredentialsAsked { person } => ("boxes.credentials.asked", json!({ "person": person })),
        Event::CredentialsSet { person, revision, code, badges } => (
            "boxes.credentials.set",
            json!({ "person": person, "revision": revision, "access_code": code.is_some(), "badges": badges.len() }),
        ),
    };
    EventView::new(name, data)
}

/// A journal entry: what it says took place, or is kept as a conflict.
fn entry(judged: &Judged, event: &Event, stamp: Stamp) -> EventView {
    if let Some(of) = judged.exchange.filter(|of| of.known) {
        return EventView::new("boxes.exchange.told_again", json!({ "exchange": of.id, "seq": judged.seq }));
    }
    let name = match (judged.outcome, judged.act) {
        (Outcome::Ignored(_) | Outcome::Rejected(_) | Outcome::Duplicate, _) | (_, None) => "boxes.conflict.entry",
        (Outcome::Applied | Outcome::Flagged(_), Some(Act::PickUp(_))) => "boxes.key.picked_up",
        (Outcome::Applied | Outcome::Flagged(_), Some(Act::DropOff(_))) => "boxes.key.dropped_off",
        (Outcome::Applied | Outcome::Flagged(_), Some(Act::Opened)) => "boxes.bin.opened",
        (Outcome::Applied | Outcome::Flagged(_), Some(Act::OpenedAll)) => "boxes.bin.opened_all",
    };
    let outcome = match judged.outcome {
        Outcome::Applied | Outcome::Duplicate => EventOutcome::Applied,
        Outcome::Flagged(_) => EventOutcome::Flagged,
        Outcome::Ignored(_) | Outcome::Rejected(_) => EventOutcome::Refused,
    };
    EventView::new(name, history(event, stamp)).with_outcome(outcome)
}

/// The same fields as a line of the box's history.
fn history(event: &Event, stamp: Stamp) -> Value {
    let item = history_item(event, stamp).map(Shown::from);
    let mut data = item.and_then(|item| serde_json::to_value(item).ok()).unwrap_or_default();
    if let Some(fields) = data.as_object_mut() {
        fields.remove("revision");
    }
    data
}

fn with(mut data: Value, more: Value) -> Value {
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
    }
    data
}

fn key(record: &KeyRecord) -> Value {
    json!({
        "key": record.id, "name": record.name, "fob": record.fob, "roaming": record.roaming, "groups": record.groups,
        "size": record.size.unwrap_or_default(),
    })
}

fn access(record: &AccessRecord) -> Value {
    let scope = match record.scope {
        Scope::Key(key) => json!({ "key": key }),
        Scope::Group(group) => json!({ "group": group }),
        Scope::Box => json!({ "box": true }),
    };
    let times = json!({
        "access": record.id, "person": record.person, "from": time(record.from), "until": time(record.until),
    });
    let reminder = match record.reminder {
        Some(Reminder::BeforeEnd(minutes)) => json!({ "remind_before_end_minutes": minutes }),
        Some(Reminder::AfterPickUp(minutes)) => json!({ "remind_after_minutes": minutes }),
        None => json!({}),
    };
    with(with(times, scope), reminder)
}

fn health(health: &Health) -> Value {
    json!({
        "battery_percent": health.battery_percent, "mains": health.mains, "link": health.link,
        "firmware": health.firmware,
    })
}

fn departed(departure: &Departure) -> Value {
    json!({ "name": departure.key.name, "to": departure.sighting.by, "accesses": departure.accesses.len() })
}

fn answered(answer: SightingAnswer) -> Value {
    match answer {
        SightingAnswer::PassedOn(to) => json!({ "answer": "passed_on", "to": to }),
        SightingAnswer::AskedAround => json!({ "answer": "asked_around" }),
        SightingAnswer::MovedOn(key) => json!({ "answer": "moved_on", "key": key }),
        SightingAnswer::HeldHere => json!({ "answer": "held_here" }),
        SightingAnswer::Unclaimed => json!({ "answer": "unclaimed" }),
    }
}

fn reason(why: &Suspicion) -> &'static str {
    match why {
        Suspicion::Stolen => "stolen",
        Suspicion::SequenceReused { .. } => "sequence_reused",
        Suspicion::BehindReceipts { .. } => "behind_receipts",
    }
}

fn seq(why: &Suspicion) -> Option<u64> {
    match why {
        Suspicion::Stolen => None,
        Suspicion::SequenceReused { seq } | Suspicion::BehindReceipts { seq } => Some(*seq),
    }
}
