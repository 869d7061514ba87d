//! What has happened to stores, as the change feed, the audit and webhooks show it. No key and no address of a person
//! stands in it.

use crate::{
    iuv::stores::state::{Description, Event, GroupClass, Settings, Trouble},
    kernel::{Codec, EventOutcome, EventView, UnixMillis},
    store::StoredRecord,
};
use serde_json::{Value, json};

pub(crate) fn views(record: &StoredRecord) -> Result<Vec<EventView>, String> {
    record.events.iter().map(|bytes| Event::decode_from(bytes).map(|event| view(&event))).collect()
}

fn described(description: &Description) -> Value {
    let Description { account, system_name, name, language, academic } = description;
    json!({
        "account": format!("{account:09}"), "system_name": system_name, "name": name, "language": language.tag(),
        "academic": academic,
    })
}

fn settings_seen(settings: &Settings) -> Value {
    let callers: Vec<_> = settings.callers.iter().map(ToString::to_string).collect();
    json!({
        "external_url": settings.external_url, "callers": callers, "check_shopper_ip": settings.check_shopper_ip,
        "italian_action": settings.italian_action, "domains": settings.domains,
    })
}

fn class_seen(class: &GroupClass) -> Value {
    let groups: Vec<_> = class.groups.iter().map(|group| &group.code).collect();
    json!({ "class": class.code, "groups": groups })
}

fn troubles_seen(troubles: &[Trouble]) -> Value {
    troubles.iter().map(|trouble| json!({ "why": trouble.why.name(), "count": trouble.count })).collect()
}

pub(crate) fn view(event: &Event) -> EventView {
    let (name, data) = match event {
        Event::Created(description) => ("stores.created", described(description)),
        Event::Changed(description) => ("stores.changed", described(description)),
        Event::Defined(class) => ("stores.class_defined", class_seen(class)),
        Event::ClassRemoved { code } => ("stores.class_removed", json!({ "class": code })),
        Event::MemberDefined(member) => {
            ("stores.member_defined", json!({ "member": member.code, "name": member.name }))
        }
        Event::MemberRemoved { code } => ("stores.member_removed", json!({ "member": code })),
        Event::VerificationAdded { verification, kind, state } => (
            "stores.verification_added",
            json!({ "verification": verification, "kind": kind.name(), "state": state.name() }),
        ),
        Event::StateSet { verification, state } => {
            ("stores.verification_state_set", json!({ "verification": verification, "state": state.name() }))
        }
        Event::VerificationRemoved { verification } => {
            ("stores.verification_removed", json!({ "verification": verification }))
        }
        Event::SettingsSet { verification, settings } => {
            ("stores.verification_set", json!({ "verification": verification, "settings": settings_seen(settings) }))
        }
        Event::AdministratorsSet { verification, count } => {
            ("stores.administrators_set", json!({ "verification": verification, "count": count }))
        }
        Event::KeySaved { verification, key, overlap_until } => (
            "stores.key_saved",
            json!({
                "verification": verification, "key": key.number, "short": key.is_short,
                "key_before_until": overlap_until.map(UnixMillis::to_rfc3339),
            }),
        ),
        Event::OverlapEnded { verification } => ("stores.key_before_ended", json!({ "verification": verification })),
        Event::KeyShown { verification } => ("stores.key_shown", json!({ "verification": verification })),
        Event::KeyExposed { verification, key } => {
            ("stores.key_exposed", json!({ "verification": verification, "key": key }))
        }
        Event::Refused { troubles, callers } => {
            let callers: Vec<_> = callers.iter().map(|caller| caller.address).collect();
            let data = json!({ "troubles": troubles_seen(troubles), "callers": callers });
            return EventView::new("stores.registrations_refused", data).with_outcome(EventOutcome::Refused);
        }
        Event::Told { troubles } => ("stores.administrators_told", json!({ "troubles": troubles_seen(troubles) })),
    };
    EventView::new(name, data)
}
