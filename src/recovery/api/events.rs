//! What has happened to installations, as the change feed, the audit and webhooks show it. Names, addresses, codes and
//! terminals stand in none of it.

use crate::{
    kernel::{Codec, EventOutcome, EventView},
    recovery::{Description, Event},
    store::StoredRecord,
};
use serde_json::{Value, json};

pub(crate) fn views(record: &StoredRecord) -> Result<Vec<EventView>, String> {
    record.events.iter().map(|bytes| Event::decode_from(bytes).map(|event| view(&event))).collect()
}

fn described(description: &Description) -> Value {
    let Description { label, product, environment, language, errors_max, blocks_administrator, account } = description;
    json!({
        "label": label, "product": product, "environment": environment, "language": language,
        "errors_max": errors_max, "blocks_administrator": blocks_administrator, "account": account,
    })
}

pub(crate) fn view(event: &Event) -> EventView {
    let refused = |name, data| EventView::new(name, data).with_outcome(EventOutcome::Refused);
    let (name, data) = match event {
        Event::Created { description, administrator: _ } => ("installations.created", described(description)),
        Event::Changed { description } => ("installations.changed", described(description)),
        Event::Deleted => ("installations.deleted", json!({})),
        Event::UserAdded { user, role, name: _ } => ("installations.user_added", json!({ "user": user, "role": role })),
        Event::UserChanged { user, name, password, unblocked } => (
            "installations.user_changed",
            json!({ "user": user, "name": name.is_some(), "password": password, "unblocked": unblocked }),
        ),
        Event::UserRemoved { user } => ("installations.user_removed", json!({ "user": user })),
        Event::TerminalOpened { terminal: _, until } => {
            ("installations.terminal_opened", json!({ "until": until.to_rfc3339() }))
        }
        Event::TerminalRenewed { terminal: _, until } => {
            ("installations.terminal_renewed", json!({ "until": until.to_rfc3339() }))
        }
        Event::TerminalClosed { terminal: _, why } => ("installations.terminal_closed", json!({ "why": why.name() })),
        Event::Charged { terminal: _, name: _, user, open: _ } => {
            ("installations.login_tried", json!({ "user": user }))
        }
        Event::Wrong { terminal: _, attempt } => {
            return refused("installations.login_refused", json!({ "attempt": attempt }));
        }
        Event::Forsaken { terminal: _, attempt } => ("installations.login_not_judged", json!({ "attempt": attempt })),
        Event::LoggedIn { terminal: _, user } => ("installations.logged_in", json!({ "user": user })),
        Event::UserBlocked { user } => return refused("installations.user_blocked", json!({ "user": user })),
        Event::ResetAsked { outcome } => ("recovery.asked", json!({ "became": outcome.name() })),
        Event::ContactSet { email, telephone, exclusive, validated, former, former_telephone: _ } => (
            "recovery.contact_changed",
            json!({
                "email": email.is_some(), "telephone": telephone.is_some(), "exclusive": exclusive.is_some(),
                "validated": validated, "was_there": former.is_some(),
            }),
        ),
        Event::LinkSent { minted: _, purpose, until } => {
            ("recovery.mail_asked", json!({ "purpose": purpose.name(), "until": until.to_rfc3339() }))
        }
        Event::Pressed { link: _, until } => ("recovery.text_asked", json!({ "until": until.to_rfc3339() })),
        Event::TextAccepted { link: _ } => ("recovery.text_accepted", json!({})),
        Event::TextDied { link: _, why } => ("recovery.text_died", json!({ "why": why })),
        Event::CodeWrong { link: _ } => return refused("recovery.code_wrong", json!({})),
        Event::LinkDied { link: _, why } => ("recovery.link_died", json!({ "why": why.name() })),
        Event::Validated => ("recovery.validated", json!({})),
        Event::ResetOpened { form: _, until } => ("recovery.reset_opened", json!({ "until": until.to_rfc3339() })),
        Event::ResetDone { name: _ } => ("recovery.reset_done", json!({})),
        Event::ResetOver => ("recovery.reset_over", json!({})),
        Event::MailDied { why } => ("recovery.mail_died", json!({ "why": why })),
        Event::TextReported { text: _, status } => ("recovery.text_reported", json!({ "status": status.name() })),
        Event::GlassStarted { minted: _, stop: _, due, lives_ms: _ } => {
            ("recovery.break_glass_started", json!({ "due": due.to_rfc3339() }))
        }
        Event::GlassEnded { why } => ("recovery.break_glass_ended", json!({ "why": why.name() })),
    };
    EventView::new(name, data)
}
