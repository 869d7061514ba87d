//! What has happened to organisations, people and tokens, as the change feed, the audit and webhooks show it. Of a
//! person's profile and credentials, and of a token, it is told that they changed, never what they are.

use crate::{
    boxes::api::alerts::WireSettings,
    kernel::{Codec, EventView, UnixMillis},
    orgs::{GroupsEvent, Network, OfflineEvent, PhonesEvent, organisation, person, token},
    store::StoredRecord,
};
use serde_json::json;

fn each<E: Codec>(record: &StoredRecord, view: fn(&E) -> EventView) -> Result<Vec<EventView>, String> {
    record.events.iter().map(|bytes| E::decode_from(bytes).map(|event| view(&event))).collect()
}

/// The events of an organisation's record.
pub(crate) fn of_organisation(record: &StoredRecord) -> Result<Vec<EventView>, String> {
    each(record, organisation)
}

/// The events of a person's record.
pub(crate) fn of_person(record: &StoredRecord) -> Result<Vec<EventView>, String> {
    each(record, person)
}

/// The events of a token's record. Uses, alone in theirs, are no news: the token itself tells the last one.
pub(crate) fn of_token(record: &StoredRecord) -> Result<Vec<EventView>, String> {
    let views = record.events.iter().map(|bytes| token::Event::decode_from(bytes).map(|event| token(&event)));
    views.filter_map(Result::transpose).collect()
}

pub(crate) fn organisation(event: &organisation::Event) -> EventView {
    use organisation::{Event, Operation};
    let (name, data) = match event {
        Event::Created { name, plan, language, zone, owner } => (
            "organisations.created",
            json!({ "name": name, "plan": plan, "language": language, "zone": zone, "owner": owner }),
        ),
        Event::Renamed { name } => ("organisations.renamed", json!({ "name": name })),
        Event::PlanChanged { plan } => ("organisations.plan_changed", json!({ "plan": plan })),
        Event::LanguageChanged { language } => ("organisations.language_changed", json!({ "language": language })),
        Event::ZoneChanged { zone } => ("organisations.zone_changed", json!({ "zone": zone })),
        Event::Groups(GroupsEvent::Made { id, name }) => ("groups.created", json!({ "group": id, "name": name })),
        Event::Groups(GroupsEvent::Renamed { id, name }) => ("groups.renamed", json!({ "group": id, "name": name })),
        Event::Groups(GroupsEvent::Deleted { id }) => ("groups.deleted", json!({ "group": id })),
        Event::HistoryDaysSet { history_days } => {
            ("organisations.history_days_set", json!({ "history_days": history_days }))
        }
        Event::ErasureBegun { organisation } => {
            ("organisations.erasure_begun", json!({ "organisation": organisation }))
        }
        Event::ErasureDone { organisation } => ("organisations.erased", json!({ "organisation": organisation })),
        Event::Operated(Operation::BackupBegun(name)) => ("organisations.backup_begun", json!({ "name": name })),
        Event::Operated(Operation::BackupRemoved(name)) => ("organisations.backup_removed", json!({ "name": name })),
        Event::AccountReserved(account) => (
            "organisations.account_reserved",
            json!({ "organisation": account.organisation, "account": format!("{:09}", account.number) }),
        ),
        Event::Operated(Operation::RotationBegun) => ("organisations.master_key_rotation_begun", json!({})),
        Event::MailDied { id, mail } => (
            "organisations.mail_died",
            json!({ "mail": id, "template": mail.mail.template, "reason": mail.trouble.name(), "code": mail.code }),
        ),
        Event::MailResent { id } => ("organisations.mail_resent", json!({ "mail": id })),
        Event::MailGivenUp { id } => ("organisations.mail_given_up", json!({ "mail": id })),
        Event::Phones(event) => phones(event),
        Event::Offline(OfflineEvent::Chosen { key_codes, pass_hours }) => {
            ("organisations.offline_chosen", json!({ "key_codes": key_codes, "pass_hours": pass_hours }))
        }
        Event::Offline(OfflineEvent::KeyMade { keys }) => (
            "organisations.pass_key_made",
            json!({ "pass_keys": keys.iter().map(|key| key.number).collect::<Vec<_>>() }),
        ),
        Event::AlertsSet(settings) => {
            ("organisations.alerts_set", json!({ "alerts": WireSettings::from(&**settings) }))
        }
        Event::MailsChosen { choice } => ("organisations.mails_chosen", json!({ "mails": choice })),
    };
    EventView::new(name, data)
}

fn phones(event: &PhonesEvent) -> (&'static str, serde_json::Value) {
    match event {
        // The path itself is a secret.
        PhonesEvent::PathMade { salt: _ } => ("organisations.phones_path_made", json!({})),
        PhonesEvent::Set(pbx) => (
            "organisations.phones_set",
            json!({
                "registrar": pbx.registrar, "registrar_port": pbx.registrar_port,
                "emergency_numbers": pbx.emergency_numbers, "authentication_number": pbx.authentication_number,
            }),
        ),
        PhonesEvent::Allowed(entry) => (
            "organisations.whitelisted",
            json!({ "entry": entry.entry, "network": entry.network.to_string(), "note": entry.note }),
        ),
        PhonesEvent::Revoked { entry } => ("organisations.whitelist_revoked", json!({ "entry": entry })),
        PhonesEvent::AllowedFor(entry) => (
            "organisations.whitelisted_for",
            json!({ "entry": entry.entry, "network": Network::from(entry.address).to_string(), "until": entry.until.to_rfc3339() }),
        ),
        PhonesEvent::Extended { entry, until } => {
            ("organisations.whitelist_extended", json!({ "entry": entry, "until": until.to_rfc3339() }))
        }
        PhonesEvent::Exported => ("organisations.devices_exported", json!({})),
    }
}

pub(crate) fn person(event: &person::Event) -> EventView {
    use person::Event;
    let (name, data) = match event {
        Event::Created { role } => ("people.created", json!({ "role": role })),
        Event::ProfileSealed { email } => ("people.profile_changed", json!({ "email": email.is_some() })),
        Event::CredentialsSealed { access_code, badges } => {
            ("people.credentials_changed", json!({ "access_code": access_code.is_some(), "badges": badges.len() }))
        }
        Event::RoleChanged { role } => ("people.role_changed", json!({ "role": role })),
        Event::Erased => ("people.erased", json!({})),
        Event::Exported => ("people.exported", json!({})),
        Event::Booked(booking) => ("people.booked", json!({ "access": booking.access })),
        Event::Unbooked { access } => ("people.unbooked", json!({ "access": access })),
        Event::QrShown { until } => ("people.qr_shown", json!({ "until": until.to_rfc3339() })),
        Event::CodesExposed(exposed) => ("people.codes_exposed", json!({ "box": exposed.at })),
        Event::CodesReissued { at, access_code, bookings, pin } => (
            "people.codes_reissued",
            json!({
                "box": at, "access_code": access_code.is_some(), "pin": pin,
                "accesses": bookings.iter().map(|booking| booking.access).collect::<Vec<_>>(),
            }),
        ),
        Event::CredentialsGiven { to, generation } => {
            ("people.credentials_given", json!({ "box": to, "generation": generation }))
        }
    };
    EventView::new(name, data)
}

pub(crate) fn token(event: &token::Event) -> Option<EventView> {
    use token::{Event, Issue};
    let (name, data) = match event {
        Event::Created(Issue { label, scopes, expires_at, hash: _ }) => (
            "tokens.created",
            json!({
                "label": label, "scopes": scopes.list(), "expires_at": expires_at.map(UnixMillis::to_rfc3339),
            }),
        ),
        Event::Revoked => ("tokens.revoked", json!({})),
        Event::Used => return None,
    };
    Some(EventView::new(name, data))
}
