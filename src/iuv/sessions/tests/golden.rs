//! Events are a contract: what was once written is read for ever. A new event gets a new line; no line changes.

use super::*;
use crate::iuv::{messages::ShopperMessage, sessions::api::events as api, words::Attributes, words::Group};
use std::collections::BTreeSet;

fn samples() -> Vec<(&'static str, Event)> {
    vec![
        ("registered", Event::Registered(registration())),
        ("redeemed", Event::Redeemed { secret: [6; 32], until: START }),
        ("redemption_refused", Event::RedemptionRefused { why: Why::OtherAddress }),
        (
            "opened",
            Event::Opened {
                pass: Pass { side: Side::Test, kind: VerificationKind::EmailDomain, ..pass() },
                secret: [8; 32],
                until: START,
            },
        ),
        ("signed_out", Event::SignedOut),
        ("expired", Event::Expired),
        ("forgotten", Event::Forgotten),
    ]
}

#[test]
fn events_are_written_and_read_as_ever() {
    golden(include_str!("../../../../tests/golden/iuv_session_events.txt"), samples());
}

#[test]
fn what_travels_is_written_and_read_as_ever() {
    let message = ShopperMessage::SignedIn {
        session: SESSION,
        store: STORE,
        side: Side::Real,
        kind: VerificationKind::Iuv,
        at: START,
    };
    golden(include_str!("../../../../tests/golden/iuv_messages.txt"), vec![("signed_in", message)]);
    let attributes = Attributes {
        user_name: "jsmith".to_owned(),
        email: Some("j@example.edu".to_owned()),
        last_name: Some("Smith".to_owned()),
        first_name: None,
        member: Some("OrgB".into()),
        groups: vec![Group { class: "academic_statuses".into(), code: "students".into() }],
    };
    golden(include_str!("../../../../tests/golden/iuv_attributes.txt"), vec![("attributes", attributes)]);
}

#[test]
fn every_event_has_a_name_and_tells_no_secret() {
    let views: Vec<_> = samples().iter().map(|(_, event)| api::view(event)).collect();
    let names: BTreeSet<_> = views.iter().map(|view| view.name).collect();
    assert_eq!(names.len(), views.len());
    for view in views {
        let told = view.data.to_string();
        for secret in ["0606", "0808", "0404", "6,6", "8,8", "4,4", "198.51"] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}

#[test]
fn a_snapshot_reads_back() {
    let mut story = Story::registered();
    for command in [redeem(), Command::SignOut] {
        story.tell(command).unwrap();
        let mut bytes = Vec::new();
        story.session.to_snapshot(&mut bytes);
        assert_eq!(IuvSession::from_snapshot(&bytes), Ok(story.session.clone()));
    }
}
