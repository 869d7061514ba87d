//! Events are a contract: what was once written is read for ever. A new event gets a new line in `tests/golden/`; no
//! line changes.

use super::*;
use crate::recovery::{
    Asked, Closing, LinkEnd, Purpose, Role, TextStatus,
    api::events,
    rows::{ContactRow, InstallationRow},
};
use std::collections::BTreeSet;

const GOLDEN: &str = include_str!("../../../tests/golden/installation_events.txt");

/// One of each, every field filled.
fn samples() -> Vec<(&'static str, Event)> {
    let (at, one, two) = (START, mark(1), mark(2));
    let description = Description { errors_max: Some(5), blocks_administrator: true, ..described() };
    vec![
        ("created", Event::Created { description: description.clone(), administrator: one }),
        ("changed", Event::Changed { description }),
        ("deleted", Event::Deleted),
        ("user_added", Event::UserAdded { user: 2, role: Role::Administrator, name: two }),
        ("user_changed", Event::UserChanged { user: 2, name: Some(one), password: true, unblocked: true }),
        ("user_removed", Event::UserRemoved { user: 2 }),
        ("terminal_opened", Event::TerminalOpened { terminal: one, until: at }),
        ("terminal_renewed", Event::TerminalRenewed { terminal: one, until: at }),
        ("terminal_closed", Event::TerminalClosed { terminal: one, why: Closing::Reset }),
        ("charged", Event::Charged { terminal: one, name: two, user: Some(2), open: true }),
        ("wrong", Event::Wrong { terminal: one, attempt: 3 }),
        ("forsaken", Event::Forsaken { terminal: one, attempt: 3 }),
        ("logged_in", Event::LoggedIn { terminal: one, user: 1 }),
        ("user_blocked", Event::UserBlocked { user: 2 }),
        ("reset_asked", Event::ResetAsked { outcome: Asked::TooMany }),
        (
            "contact_set",
            Event::ContactSet {
                email: Some(one),
                telephone: Some(two),
                exclusive: Some(one),
                validated: true,
                former: Some(4),
                former_telephone: true,
            },
        ),
        ("link_sent", Event::LinkSent { minted: minted(5), purpose: Purpose::Reset, until: at }),
        ("pressed", Event::Pressed { link: one, until: at }),
        ("text_accepted", Event::TextAccepted { link: one }),
        ("text_died", Event::TextDied { link: one, why: "rejected".into() }),
        ("code_wrong", Event::CodeWrong { link: one }),
        ("link_died", Event::LinkDied { link: one, why: LinkEnd::OtherUsed }),
        ("validated", Event::Validated),
        ("reset_opened", Event::ResetOpened { form: one, until: at }),
        ("reset_done", Event::ResetDone { name: two }),
        ("reset_over", Event::ResetOver),
        ("mail_died", Event::MailDied { why: "deferred".into() }),
        ("text_reported", Event::TextReported { text: 7, status: TextStatus::Failed }),
        ("glass_started", Event::GlassStarted { minted: minted(5), stop: two, due: at, lives_ms: 86_400_000 }),
        ("glass_ended", Event::GlassEnded { why: LinkEnd::Withdrawn }),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn events_are_written_as_ever() {
    let now: String = samples().iter().map(|(name, event)| format!("{name} {}\n", hex(&event.to_bytes()))).collect();
    assert_eq!(now, GOLDEN);
}

#[test]
fn events_of_ever_are_read() {
    let samples = samples();
    assert_eq!(GOLDEN.lines().count(), samples.len());
    for (line, (name, event)) in GOLDEN.lines().zip(samples) {
        let (known, digits) = line.split_once(' ').unwrap();
        let digit = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(digit).collect();
        assert_eq!((known, Event::decode_from(&bytes).unwrap()), (name, event));
    }
}

#[test]
fn every_event_has_a_name_of_its_own_and_tells_no_mark() {
    let views: Vec<_> = samples().iter().map(|(_, event)| events::view(event)).collect();
    let names: BTreeSet<_> = views.iter().map(|view| view.name).collect();
    assert_eq!(names.len(), views.len());
    let shown: String = views.iter().map(|view| view.data.to_string()).collect();
    assert!(!shown.contains(&hex(&[1; 16])) && !shown.contains("010101") && !shown.contains("[1,1"));
}

#[test]
fn rows_are_written_as_ever() {
    let contact =
        Some(ContactRow { validated: true, has_telephone: true, trouble: Some("deferred".into()), report: None });
    let row = InstallationRow { description: described(), created: START, contact, contact_at: 5, glass: None };
    assert_eq!(hex(&row.to_bytes()), ROW);
    assert_eq!(InstallationRow::decode_from(&row.to_bytes()), Ok(row));
}

const ROW: &str =
    "84876c53747564696f20526f737369654d6578616c0100f6f465726f7373691b000001a19467e80083f5f568646566657272656405";
