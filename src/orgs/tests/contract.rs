//! What is stored and shown, word for word.

use super::*;
use crate::{
    boxes::Exposed,
    devices::Salt,
    kernel::{AccessId, GroupId, golden::hex},
    orgs::{GroupsEvent, Network, PbxSettings, Permanent, PhonesEvent, Temporary, organisation::Operation},
};

/// Stored bytes are a contract: what was written once is read for ever.
#[test]
fn golden_events() {
    let created = organisation::Event::Created {
        name: "R".into(),
        plan: Plan::Premium,
        language: Language::De,
        zone: "UTC".into(),
        owner: PersonId(1),
    };
    let organisation::Command::MailDied(dead) = died(0) else { return };
    const MAIL_DIED: &str = "8214825000000000000000000000000000000001 8384 845821 00000000000000000000000000000007 \
        0400000000000000000000000000000009 1839 00 1b000001a0c4506c00 6d626f785f636f6e666c69637473 8200 80 43010203 \
        06 190226";
    let golden = [
        (hex(organisation::Event::MailDied { id: MailId(1), mail: *dead }.to_bytes()), MAIL_DIED),
        (hex(organisation::Event::MailResent { id: MailId(1) }.to_bytes()), "8215815000000000000000000000000000000001"),
        (
            hex(organisation::Event::MailGivenUp { id: MailId(1) }.to_bytes()),
            "8216815000000000000000000000000000000001",
        ),
        (hex(organisation::Event::MailsChosen { choice: MailChoice::default() }.to_bytes()), "82178182f5f5"),
        (hex(organisation::Event::Operated(Operation::BackupBegun("n".into())).to_bytes()), "8218218182008161 6e"),
        (hex(organisation::Event::Operated(Operation::RotationBegun).to_bytes()), "82182181820280"),
        (hex(created.to_bytes()), "820085615201016355544350000000000000000000000000000000 01"),
        (hex(token::Event::Revoked.to_bytes()), "820180"),
        (hex(token::Event::Used.to_bytes()), "820280"),
        (hex(person::Event::RoleChanged { role: Role::Viewer }.to_bytes()), "82038104"),
        (hex(person::Event::Erased.to_bytes()), "820480"),
        (
            hex(person::Event::CodesExposed(exposed()).to_bytes()),
            "82185081845000000000000000000000000000000003f5f5815000000000000000000000000000000005",
        ),
        (
            hex(reissued().to_bytes()),
            "821851 84 50 00000000000000000000000000000003 50 07070707070707070707070707070707 81 82 50 \
             00000000000000000000000000000005 50 07070707070707070707070707070707 f5",
        ),
    ];
    for (bytes, expected) in golden {
        assert_eq!(bytes, expected.replace(' ', ""));
    }
}

fn exposed() -> Exposed {
    Exposed { at: BoxId(3), code: true, pin: true, bookings: [AccessId(5)].into() }
}

fn reissued() -> person::Event {
    let mark = Mark([7; 16]);
    let bookings = [person::Booking { access: AccessId(5), mark }].into();
    person::Event::CodesReissued { at: BoxId(3), access_code: Some(mark), bookings, pin: true }
}

/// What happens to all phones, one of each.
fn phones() -> [PhonesEvent; 7] {
    let (since, address) = (UnixMillis(1), "192.0.2.7".parse().unwrap());
    let network = Network { address: "192.0.2.0".parse().unwrap(), length: 24 };
    [
        PhonesEvent::PathMade { salt: Salt([7; 16]) },
        PhonesEvent::Set(PbxSettings::default()),
        PhonesEvent::Allowed(Permanent { entry: 1, network, note: "Bar".into(), since }),
        PhonesEvent::Revoked { entry: 1 },
        PhonesEvent::AllowedFor(Temporary { entry: 2, address, since, until: UnixMillis(2) }),
        PhonesEvent::Extended { entry: 2, until: UnixMillis(3) },
        PhonesEvent::Exported,
    ]
}

#[test]
fn golden_events_of_groups() {
    let (id, name) = (GroupId(1), Box::<str>::from("V"));
    let events =
        [GroupsEvent::Made { id, name: name.clone() }, GroupsEvent::Renamed { id, name }, GroupsEvent::Deleted { id }]
            .map(organisation::Event::Groups);
    let id = "5000000000000000000000000000000001";
    let golden =
        [format!("82184c818200 82{id}6156"), format!("82184c818201 82{id}6156"), format!("82184c818202 81{id}")];
    for (event, golden) in events.into_iter().zip(golden) {
        assert_eq!(hex(event.to_bytes()), golden.replace(' ', ""));
        assert_eq!(organisation::Event::decode_from(&event.to_bytes()), Ok(event));
    }
}

#[test]
fn golden_events_of_phones() {
    let written = phones().map(|event| hex(organisation::Event::Phones(event).to_bytes()));
    assert_eq!(
        written,
        [
            "821828818200815007070707070707070707070707070707",
            "82182881820181846b7062782e696e76616c69641913c48163313132632a3939",
            "82182881820281840182820044c000020018186342617201",
            "8218288182038101",
            "821828818204818402820044c00002070102",
            "821828818205820203",
            "82182881820680",
        ]
    );
    for event in phones() {
        let event = organisation::Event::Phones(event);
        assert_eq!(organisation::Event::decode_from(&event.to_bytes()), Ok(event));
    }
}

/// Every event is shown under a documented name, and tells nothing that the vault keeps.
#[test]
fn events_are_shown_without_secrets() {
    use crate::orgs::api::events;
    const PAGE: &str = include_str!("../../../docs/events.md");
    let mark = Mark([7; 16]);
    let issue = token::Issue {
        label: "till".into(),
        scopes: Scopes::of_organisation(),
        expires_at: Some(UnixMillis(1)),
        hash: [9; 32],
    };
    let owner = PersonId(1);
    let created = organisation::Event::Created {
        name: "R".into(),
        plan: Plan::Premium,
        language: Language::De,
        zone: "UTC".into(),
        owner,
    };
    let organisation::Command::MailDied(dead) = died(0) else { return };
    let shown = [
        events::organisation(&created),
        events::organisation(&organisation::Event::Renamed { name: "S".into() }),
        events::organisation(&organisation::Event::PlanChanged { plan: Plan::Lite }),
        events::organisation(&organisation::Event::LanguageChanged { language: Language::It }),
        events::organisation(&organisation::Event::ZoneChanged { zone: "UTC".into() }),
        events::organisation(&organisation::Event::HistoryDaysSet { history_days: Some(30) }),
        events::organisation(&organisation::Event::ErasureBegun { organisation: ORG }),
        events::organisation(&organisation::Event::ErasureDone { organisation: ORG }),
        events::organisation(&organisation::Event::MailDied { id: MailId(1), mail: *dead }),
        events::organisation(&organisation::Event::MailResent { id: MailId(1) }),
        events::organisation(&organisation::Event::MailGivenUp { id: MailId(1) }),
        events::organisation(&organisation::Event::Operated(Operation::BackupBegun("n".into()))),
        events::organisation(&organisation::Event::Operated(Operation::BackupRemoved("n".into()))),
        events::organisation(&organisation::Event::Operated(Operation::RotationBegun)),
        events::organisation(&organisation::Event::Groups(GroupsEvent::Made { id: GroupId(1), name: "V".into() })),
        events::organisation(&organisation::Event::Groups(GroupsEvent::Renamed { id: GroupId(1), name: "W".into() })),
        events::organisation(&organisation::Event::Groups(GroupsEvent::Deleted { id: GroupId(1) })),
        events::organisation(&organisation::Event::MailsChosen { choice: MailChoice::default() }),
        events::person(&person::Event::Exported),
        events::person(&person::Event::Created { role: Role::User }),
        events::person(&person::Event::ProfileSealed { email: Some(mark) }),
        events::person(&person::Event::CredentialsSealed { access_code: Some(mark), badges: vec![mark] }),
        events::person(&person::Event::RoleChanged { role: Role::Viewer }),
        events::person(&person::Event::Erased),
        events::person(&person::Event::CodesExposed(exposed())),
        events::person(&reissued()),
        events::person(&person::Event::CredentialsGiven { to: BoxId(3), generation: 2 }),
        events::token(&token::Event::Created(issue)).unwrap(),
        events::token(&token::Event::Revoked).unwrap(),
    ];
    let shown: Vec<_> = phones()
        .map(|event| events::organisation(&organisation::Event::Phones(event)))
        .into_iter()
        .chain(shown)
        .collect();
    for view in &shown {
        assert!(PAGE.contains(&format!("| `{}` |", view.name)), "docs/events.md does not know {}", view.name);
        let told = view.data.to_string();
        for secret in ["hash", "7,7,7", "9,9,9", "07070707", "09090909", "BwcH", "CQkJ"] {
            assert!(!told.contains(secret), "{} tells {secret}: {told}", view.name);
        }
    }
    let names: std::collections::BTreeSet<_> = shown.iter().map(|view| view.name).collect();
    assert_eq!(names.len(), shown.len());
    assert_eq!(shown[phones().len() + 2].data["plan"], "lite");
    assert_eq!(shown[shown.len() - 2].data["scopes"][0], "org:admin");
}
