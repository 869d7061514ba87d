//! Stories on the pure core: what an administrator and many shoppers do to one pool of codes.

use super::{state::*, *};
use crate::{iuv::Group, kernel::*};
use std::collections::HashSet;

const ORG: OrgId = OrgId(7);
const STORE: StoreId = StoreId(3);
const START: UnixMillis = UnixMillis(1_767_225_600_000);
const GOLDEN: &str = include_str!("../../../tests/golden/product_events.txt");

fn described() -> Description {
    Description {
        store: STORE,
        name: "Editor".into(),
        about: "Writes".into(),
        groups: vec![Group { class: "academic_statuses".into(), code: "students".into() }],
        per_shopper: 1,
        alert_below: 2,
        listed: true,
    }
}

fn want(n: u32) -> Want {
    Want { shopper: ShopperId(u128::from(n)), order: 1, line: 0 }
}

fn codes(texts: &[&str]) -> Command {
    Command::AddCodes(texts.iter().map(|text| NewCode((*text).to_owned().into())).collect())
}

struct Story {
    product: Product,
    revision: u64,
    effects: Effects,
}

impl Story {
    fn new() -> Self {
        let product = Product::blank(ProductId(1).at(ORG));
        let mut story = Self { product, revision: 0, effects: Effects::default() };
        story.tell(Command::Create(described())).unwrap();
        story
    }

    fn tell(&mut self, command: Command) -> Result<Vec<Event>, Refusal> {
        let cx = Context { org: ORG, now: START, epoch: 1, up_since: START, by: Principal::Server, from: None };
        let mut events = Vec::new();
        self.product.decide(&command, 0, &cx, &mut events)?;
        let before = self.product.clone();
        for event in &events {
            self.revision += 1;
            self.product.evolve(event, Stamp { at: START, revision: self.revision });
        }
        assert_eq!(check_invariants(&before, &events, &self.product), [], "{events:?}");
        self.effects = Effects::default();
        self.product.effects(&command, &events, &cx, &mut self.effects);
        Ok(events)
    }

    fn known(&self) -> &Known {
        self.product.known.as_deref().unwrap()
    }

    fn mails(&self) -> usize {
        self.effects.mails.len()
    }
}

fn given(events: &[Event]) -> Vec<(u64, Want)> {
    let given = events.iter().filter_map(|event| match event {
        Event::Given { number, to } => Some((*number, *to)),
        _ => None,
    });
    given.collect()
}

#[test]
fn each_code_goes_out_once_in_order_and_an_alert_comes_before_the_end() {
    let mut story = Story::new();
    story.tell(codes(&["a", "b", "c", "d"])).unwrap();
    assert_eq!(story.effects.vault.len(), 4);
    assert_eq!(given(&story.tell(Command::Want(want(1))).unwrap()), [(1, want(1))]);
    assert_eq!(story.mails(), 0, "three are left");
    assert_eq!(given(&story.tell(Command::Want(want(2))).unwrap()), [(2, want(2))]);
    assert_eq!(story.mails(), 1, "two are left: time to say so");
    story.tell(Command::Want(want(3))).unwrap();
    assert_eq!(story.mails(), 0, "it was said");
    story.tell(Command::Want(want(4))).unwrap();
    assert_eq!((story.mails(), story.known().left()), (1, 0), "and once more when there is none");
}

#[test]
fn whoever_waits_is_served_first_when_codes_come() {
    let mut story = Story::new();
    for n in 1..=3 {
        assert_eq!(given(&story.tell(Command::Want(want(n))).unwrap()), []);
    }
    assert_eq!(given(&story.tell(codes(&["a", "b"])).unwrap()), [(1, want(1)), (2, want(2))]);
    assert_eq!(story.effects.messages.len(), 2);
    assert_eq!(given(&story.tell(codes(&["c", "d", "e", "f", "g"])).unwrap()), [(3, want(3))]);
    assert_eq!(given(&story.tell(Command::Want(want(4))).unwrap()), [(4, want(4))]);
    assert!(story.known().waiting.is_empty());
}

#[test]
fn a_queue_that_is_full_turns_away_and_says_so() {
    let mut story = Story::new();
    for n in 0..WAITING_MAX as u32 {
        story.tell(Command::Want(want(n))).unwrap();
    }
    let events = story.tell(Command::Want(want(9_999))).unwrap();
    assert_eq!(events, [Event::TurnedAway(want(9_999))]);
    assert_eq!(story.effects.messages.len(), 1);
    assert_eq!(story.known().waiting.len(), WAITING_MAX);
}

#[test]
fn thousands_of_wants_among_refills_never_meet_in_one_code() {
    let mut story = Story::new();
    let (mut seen, mut next) = (HashSet::new(), 0u32);
    for round in 0..300u32 {
        if round % 7 == 3 {
            let texts: Vec<String> = (0..=round % 11).map(|n| format!("{round}-{n}")).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            seen.extend(given(&story.tell(codes(&texts)).unwrap()).iter().map(|(number, _)| *number));
        }
        next += 1;
        seen.extend(given(&story.tell(Command::Want(want(next))).unwrap()).iter().map(|(number, _)| *number));
    }
    assert_eq!(seen.len() as u64, story.known().given);
    assert!(story.known().given > 100);
}

#[test]
fn a_code_is_claimed_for_ever_and_an_id_stands_for_one_product() {
    let mut story = Story::new();
    let command = codes(&["a", "b"]);
    let mut claims = Vec::new();
    story.product.claims(&command, &[Event::CodesAdded { first: 1, count: 2 }], &mut claims);
    assert!(matches!(&claims[..], [ClaimOp::TakeFree { space: ClaimSpace::Code, value }, _] if value == b"a"));
    let moved = Description { store: StoreId(4), ..described() };
    assert_eq!(story.tell(Command::Create(moved)), Err(Refusal::AlreadyExists));
    assert_eq!(story.tell(Command::Create(described())), Ok(vec![]));
    let hidden = Command::Change(Changes { listed: Some(false), ..Changes::default() });
    assert_eq!(story.tell(hidden.clone()).unwrap().len(), 1);
    assert_eq!(story.tell(hidden), Ok(vec![]));
    assert_eq!(story.known().description, Description { listed: false, ..described() });
    let mut unknown = Story { product: Product::blank(ProductId(2).at(ORG)), revision: 0, effects: Effects::default() };
    assert_eq!(unknown.tell(Command::Want(want(1))), Err(Refusal::NotFound));
}

#[test]
fn eligibility_is_by_group() {
    let group = |code: &str| Group { class: "academic_statuses".into(), code: code.into() };
    assert!(described().is_for(&[group("staff"), group("students")]));
    assert!(!described().is_for(&[group("staff")]));
    assert!(!described().is_for(&[Group { class: "other".into(), code: "students".into() }]));
    assert!(Description { groups: vec![], ..described() }.is_for(&[]));
}

fn samples() -> Vec<(&'static str, Event)> {
    vec![
        ("created", Event::Created(described())),
        ("changed", Event::Changed(Description { listed: false, groups: vec![], ..described() })),
        ("codes_added", Event::CodesAdded { first: 1, count: 500 }),
        ("given", Event::Given { number: 7, to: want(5) }),
        ("waits", Event::Waits(want(6))),
        ("turned_away", Event::TurnedAway(want(7))),
        ("ran_low", Event::RanLow { left: 2 }),
        ("ran_out", Event::RanOut),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn events_are_written_and_read_as_ever() {
    let now: String = samples().iter().map(|(name, event)| format!("{name} {}\n", hex(&event.to_bytes()))).collect();
    assert_eq!(now, GOLDEN);
    for (_, event) in samples() {
        assert_eq!(Event::decode_from(&event.to_bytes()), Ok(event));
    }
    let names: HashSet<_> = samples().iter().map(|(_, event)| events::view(event).name).collect();
    assert_eq!(names.len(), samples().len());
}

#[test]
fn a_snapshot_reads_back() {
    let mut story = Story::new();
    story.tell(codes(&["a"])).unwrap();
    story.tell(Command::Want(want(1))).unwrap();
    story.tell(Command::Want(want(2))).unwrap();
    let mut bytes = Vec::new();
    story.product.to_snapshot(&mut bytes);
    assert_eq!(Product::from_snapshot(&bytes), Ok(story.product.clone()));
}
