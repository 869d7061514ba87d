//! What has happened to devices, as the change feed, the audit and webhooks show it. Of a guess it is told that it was
//! wrong, never what it was.

use crate::{
    devices::{Authentication, Contact, Description, state::Event},
    kernel::{Codec, EventOutcome, EventView, UnixMillis},
    store::StoredRecord,
};
use serde_json::{Value, json};

pub(crate) fn views(record: &StoredRecord) -> Result<Vec<EventView>, String> {
    record.events.iter().map(|bytes| Event::decode_from(bytes).map(|event| view(&event))).collect()
}

fn described(description: &Description) -> Value {
    let Description { mac, vendor, model, label, site, accounts } = description;
    let model = model.as_ref().map(ToString::to_string);
    json!({
        "mac": mac.to_string(), "vendor": vendor.word(), "model": model, "label": label, "site": site,
        "accounts": accounts,
    })
}

pub(crate) fn view(event: &Event) -> EventView {
    let until = |until: &UnixMillis| json!({ "until": until.to_rfc3339() });
    let (name, data) = match event {
        Event::Created { description, pap: _ } => ("devices.created", described(description)),
        Event::Changed { description, accounts: sealed, left } => {
            let mut data = described(description);
            data["accounts_changed"] = (*sealed).into();
            data["mac_before"] = left.map(|mac| mac.to_string()).into();
            ("devices.changed", data)
        }
        Event::Deleted { mac } => ("devices.deleted", json!({ "mac": mac.to_string() })),
        Event::Authenticated { window, salt: _ } => (
            "devices.authenticated",
            json!({
                "address": window.map(|window| window.address), "until": window.map(|window| window.until.to_rfc3339()),
            }),
        ),
        Event::Guessed { trace: _ } => {
            return EventView::new("devices.pap_wrong", json!({})).with_outcome(EventOutcome::Refused);
        }
        Event::Locked { until: at } => ("devices.locked", until(at)),
        Event::Blocked => ("devices.blocked", json!({})),
        Event::LockEnded => ("devices.lock_ended", json!({})),
        Event::RefusedWhileLocked => {
            return EventView::new("devices.pap_refused", json!({})).with_outcome(EventOutcome::Refused);
        }
        Event::CredentialMinted { salt: _ } => ("devices.credential_minted", json!({})),
        Event::Provisioned { why, to } => ("devices.provisioned", json!({ "trusted_by": why.name(), "address": to })),
        Event::PreviousEnded => ("devices.previous_credential_ended", json!({})),
        Event::Seen(contact) => ("devices.seen", seen(contact)),
        Event::Suspended { until: at } => ("devices.suspended", until(at)),
        Event::SuspensionEnded => ("devices.suspension_ended", json!({})),
        Event::Reset { pap: _ } => ("devices.reset", json!({ "state": Authentication::Required.name() })),
        Event::PapShown => ("devices.pap_shown", json!({})),
    };
    EventView::new(name, data)
}

fn seen(contact: &Contact) -> Value {
    let Contact { address, user_agent, file, full } = contact;
    let served = if *full { "full" } else { "minimal" };
    json!({ "address": address, "user_agent": user_agent, "file": file, "served": served })
}
