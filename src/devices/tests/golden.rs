//! Events are a contract: what was once written is read for ever. A new event gets a new line in `tests/golden/`; no
//! line changes.

use super::*;
use crate::{
    devices::{Authentication, Contact, Device, DeviceRow, Window, api::events, provisioning::Model},
    kernel::golden,
    orgs::Mark,
};
use std::collections::BTreeSet;

const GOLDEN: &str = include_str!("../../../tests/golden/device_events.txt");

/// One of each, every field filled.
fn samples() -> Vec<(&'static str, Event)> {
    let (at, mark) = (START, Mark([3; 16]));
    let description = Description { model: Some("D785".parse::<Model>().unwrap()), accounts: 2, ..described() };
    let contact = Contact {
        address: PHONE,
        user_agent: "Mozilla/4.0".into(),
        file: "snomD785-000413ABCDEF.htm".into(),
        full: true,
    };
    let window = Some(Window { address: "2001:db8::7".parse().unwrap(), until: at });
    vec![
        ("created", Event::Created { description: description.clone(), pap: mark }),
        ("changed", Event::Changed { description: description.clone(), accounts: true, left: Some(description.mac) }),
        ("deleted", Event::Deleted { mac: description.mac }),
        ("authenticated", Event::Authenticated { window, salt: salt(5) }),
        ("guessed", Event::Guessed { trace: mark }),
        ("locked", Event::Locked { until: at }),
        ("blocked", Event::Blocked),
        ("lock_ended", Event::LockEnded),
        ("refused_while_locked", Event::RefusedWhileLocked),
        ("credential_minted", Event::CredentialMinted { salt: salt(6) }),
        ("provisioned", Event::Provisioned { why: Why::Whitelist, to: Some(PHONE) }),
        ("previous_ended", Event::PreviousEnded),
        ("seen", Event::Seen(contact)),
        ("suspended", Event::Suspended { until: at }),
        ("suspension_ended", Event::SuspensionEnded),
        ("reset", Event::Reset { pap: mark }),
        ("pap_shown", Event::PapShown),
    ]
}

#[test]
fn events_are_written_and_read_as_ever() {
    golden::assert_is_kept(GOLDEN, &samples());
}

#[test]
fn every_event_has_a_name_and_tells_no_secret() {
    let views: Vec<_> = samples().iter().map(|(_, event)| events::view(event)).collect();
    let names: BTreeSet<_> = views.iter().map(|view| view.name).collect();
    assert_eq!(names.len(), views.len());
    for view in views {
        let told = view.data.to_string();
        for secret in ["0303", "0505", "0606", "3,3", "5,5", "6,6"] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}

#[test]
fn a_snapshot_and_a_row_read_back() {
    let mut story = Story::new();
    story.enter("100000");
    story.tell(Command::Suspend).unwrap();
    story.enter(RIGHT);
    let mut bytes = Vec::new();
    story.device.to_snapshot(&mut bytes);
    assert_eq!(Device::from_snapshot(&bytes), Ok(story.device.clone()));
    let row = DeviceRow::of(story.known());
    assert_eq!(DeviceRow::decode_from(&row.to_bytes()), Ok(row.clone()));
    assert_eq!(row.authentication, Authentication::Successful { provisioned: false });
}
