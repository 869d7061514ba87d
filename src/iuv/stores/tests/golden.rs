//! Events are a contract: what was once written is read for ever. A new event gets a new line; no line changes.

use super::*;
use crate::iuv::{
    stores::{StoreRow, StoreView, api::events, mails::StoreMail, rows::SecretsPlain},
    words::Group,
};

fn settings() -> Settings {
    Settings {
        external_url: Some("https://a.example/in?x=1".into()),
        callers: vec![network("192.0.2.0/24"), network("2001:db8::/32")],
        check_shopper_ip: true,
        italian_action: true,
        sector: "education".into(),
        expires_in_days: Some(365),
        headers: Headers::default(),
        domains: vec!["example.edu".into()],
        groups: vec![Group { class: "academic_statuses".into(), code: "staff".into() }],
    }
}

fn samples() -> Vec<(&'static str, Event)> {
    let class = GroupClass {
        code: "departments".into(),
        groups: vec![NamedGroup { code: "law".into(), name: "Giurisprudenza".into() }],
    };
    let key = Key { number: 3, mark: mark(3), is_short: true, exposed: false };
    let troubles = vec![Trouble { why: Why::Key, count: 7 }, Trouble { why: Why::PlainHttp, count: 1 }];
    let callers = vec![RefusedCaller { address: SERVER, at: START, count: 4 }];
    let verification = 2;
    vec![
        ("created", Event::Created(description())),
        ("changed", Event::Changed(description())),
        ("defined", Event::Defined(class)),
        ("class_removed", Event::ClassRemoved { code: "departments".into() }),
        ("member_defined", Event::MemberDefined(Member { code: "OrgB".into(), name: "School of Nursing".into() })),
        ("member_removed", Event::MemberRemoved { code: "OrgB".into() }),
        (
            "verification_added",
            Event::VerificationAdded {
                verification,
                kind: VerificationKind::Shibboleth,
                state: VerificationState::Test,
            },
        ),
        ("state_set", Event::StateSet { verification, state: VerificationState::Inactive }),
        ("verification_removed", Event::VerificationRemoved { verification }),
        ("settings_set", Event::SettingsSet { verification, settings: settings() }),
        ("administrators_set", Event::AdministratorsSet { verification, count: 2 }),
        ("key_saved", Event::KeySaved { verification, key, overlap_until: Some(START) }),
        ("overlap_ended", Event::OverlapEnded { verification }),
        ("key_shown", Event::KeyShown { verification }),
        ("key_exposed", Event::KeyExposed { verification, key: 3 }),
        ("refused", Event::Refused { troubles: troubles.clone(), callers }),
        ("told", Event::Told { troubles }),
    ]
}

#[test]
fn events_are_written_and_read_as_ever() {
    golden(include_str!("../../../../tests/golden/store_events.txt"), samples());
}

#[test]
fn every_event_has_a_name_and_tells_no_secret() {
    let views: Vec<_> = samples().iter().map(|(_, event)| events::view(event)).collect();
    let names: BTreeSet<_> = views.iter().map(|view| view.name).collect();
    assert_eq!(names.len(), views.len());
    for view in views {
        let told = view.data.to_string();
        assert!(!told.contains("0303") && !told.contains("3,3"), "{told}");
    }
}

#[test]
fn what_is_stored_reads_back() {
    let mut story = Story::new();
    let iuv = story.ready_iuv(1);
    story.set(iuv, settings()).unwrap();
    let mut bytes = Vec::new();
    story.store.to_snapshot(&mut bytes);
    assert_eq!(WebStore::from_snapshot(&bytes), Ok(story.store.clone()));
    let row = StoreRow::of(story.known());
    assert_eq!(StoreRow::decode_from(&row.to_bytes()), Ok(row.clone()));
    assert_eq!(row.callers, settings().callers);
    let mut secrets = SecretsPlain::default();
    secrets.entry(2).key = Some("5f0c".to_owned());
    secrets.entry(2).administrators.push("a@b.example".to_owned());
    assert_eq!(SecretsPlain::decode_from(&secrets.to_bytes()), Ok(secrets.clone()));
    let mail = StoreMail::Trouble { store: STORE, at: START, troubles: vec![Trouble { why: Why::Store, count: 1 }] };
    assert_eq!(StoreMail::decode_from(&mail.to_bytes()), Ok(mail));
    assert_eq!(StoreView::of(STORE.at(ORG), story.known()).id(), STORE);
}
