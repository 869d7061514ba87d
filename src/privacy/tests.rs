//! Bases are a contract: the events that they stand for are gone. Whatever version of `evolve` made one, it is read for
//! ever. A raised version gets new lines in `tests/golden/bases.txt`; no line goes.

use crate::{
    boxes::{self, SmartBox},
    delivery::webhooks::Webhook,
    kernel::{
        Address, BoxId, Codec, Machine, OrgId, PersonId, Stamp, TokenId, UnixMillis, WebhookId,
        golden::{hex, unhex},
    },
    orgs::{ApiToken, Language, Mark, Organisation, Person, Role, Scope, organisation, person, token},
};

const GOLDEN: &str = include_str!("../../tests/golden/bases.txt");
/// What the boxes' bases were made of. It does not grow with the events that there are.
const BOX_EVENTS: &str = include_str!("../../tests/golden/base_box_events.txt");

fn fold<M: Machine>(of: Address, events: &[M::Event]) -> M {
    let mut state = M::blank(of);
    for (event, revision) in events.iter().zip(1..) {
        state.evolve(event, Stamp { at: UnixMillis(1_790_000_000_000 + revision), revision });
    }
    state
}

fn bytes<M: Machine>(state: &M) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.to_snapshot(&mut bytes);
    bytes
}

/// Every base ever written of this kind is read as what its events make; the present version has one.
fn check<M: Machine>(name: &str, of: Address, events: &[M::Event]) {
    let state = bytes(&fold::<M>(of, events));
    let mut versions = Vec::new();
    for line in GOLDEN.lines().filter(|line| line.starts_with(&format!("{name} "))) {
        let [_, version, digits] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let version: u16 = version.parse().unwrap();
        let read = M::from_base(version, &unhex(digits)).unwrap();
        assert_eq!(hex(bytes(&read)), hex(&state), "{name}, version {version}");
        versions.push(version);
    }
    let line = format!("{name} {} {}", M::EVOLVE_VERSION, hex(&state));
    assert!(versions.contains(&M::EVOLVE_VERSION), "tests/golden/bases.txt needs the line\n{line}");
    assert!(M::from_base(M::EVOLVE_VERSION + 1, &state).is_err(), "a newer one is refused");
    // Wherever they are cut, base and rest make the same.
    for cut in 0..=events.len() {
        let mut state_again = M::from_base(M::EVOLVE_VERSION, &bytes(&fold::<M>(of, &events[..cut]))).unwrap();
        for (event, revision) in events.iter().zip(1..).skip(cut) {
            state_again.evolve(event, Stamp { at: UnixMillis(1_790_000_000_000 + revision), revision });
        }
        assert_eq!(hex(bytes(&state_again)), hex(&state), "{name}, cut at {cut}");
    }
}

const ORG: OrgId = OrgId(7);

#[test]
fn bases_of_organisations_people_and_tokens_are_read_for_ever() {
    use organisation::Event as Of;
    let made = Of::Created {
        name: "Rossi Auto".into(),
        plan: boxes::Plan::Premium,
        language: Language::It,
        zone: "Europe/Rome".into(),
        owner: PersonId(3),
    };
    let events = [
        made,
        Of::Renamed { name: "Bianchi Auto".into() },
        Of::HistoryDaysSet { history_days: Some(30) },
        Of::ErasureBegun { organisation: OrgId(9) },
        Of::ErasureBegun { organisation: OrgId(10) },
        Of::ErasureDone { organisation: OrgId(9) },
    ];
    check::<Organisation>("organisation", ORG.at(ORG), &events);

    let marks = |n: u8| Some(Mark([n; 16]));
    let events = [
        person::Event::Created { role: Role::User },
        person::Event::ProfileSealed { email: marks(1) },
        person::Event::CredentialsSealed { access_code: marks(2), badges: vec![Mark([3; 16])] },
        person::Event::CredentialsGiven { to: BoxId(4), generation: 2 },
        person::Event::Exported,
        person::Event::RoleChanged { role: Role::Admin },
    ];
    check::<Person>("person", PersonId(3).at(ORG), &events);
    check::<Person>("erased", PersonId(3).at(ORG), &[&events[..1], &[person::Event::Erased]].concat());

    let scopes = [Scope::BoxesRead].into_iter().collect();
    let issue = token::Issue { label: "erp".into(), scopes, expires_at: Some(UnixMillis(9)), hash: [7; 32] };
    check::<ApiToken>("token", TokenId(5).at(ORG), &[token::Event::Created(issue), token::Event::Revoked]);
}

#[test]
fn bases_of_boxes_are_read_for_ever() {
    let lines = BOX_EVENTS.lines().map(|line| line.split_once(' ').unwrap().1);
    let events: Vec<_> = lines.map(|digits| boxes::Event::decode_from(&unhex(digits)).unwrap()).collect();
    check::<SmartBox>("box", BoxId(6).at(ORG), &events);
}

#[test]
fn bases_of_webhooks_are_read_for_ever() {
    let written = [
        "820082837168747470733a2f2f612e6578616d706c65636572708169626f7865732e6b657965312d392d30",
        "820181837168747470733a2f2f612e6578616d706c65636572708169626f7865732e6b6579",
        "820281190100",
        "82038102",
    ];
    let events: Vec<_> = written.map(|digits| Codec::decode_from(&unhex(digits)).unwrap()).into();
    check::<Webhook>("webhook", WebhookId(8).at(ORG), &events);
}
