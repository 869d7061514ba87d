//! Keys without a fob: how they learn theirs, and that nobody's fob is ever handed on.

use super::{online::Story, world::*};
use crate::{boxes::*, kernel::*, orgs::Mark};

const KEY: KeyId = KeyId(77);

/// Three boxes; a key without a fob at home in box 0, that Anna may take.
fn world() -> World {
    let mut world = World::new(3);
    bare(&mut world, 0, KEY);
    world.grant(0, ANNA, Scope::Key(KEY));
    for site in 0..3 {
        world.sync(site, vec![]);
        world.sync(site, vec![]);
    }
    world
}

fn bare(world: &mut World, site: usize, id: KeyId) {
    let key = KeyRecord { id, name: "Van".into(), fob: None, roaming: true, groups: Box::default(), size: None };
    world.run(site, Command::AddKey { key, bin: None, texts: None }).unwrap();
}

fn named(entry: Entry, key: KeyId, by: Option<By>) -> Entry {
    match entry {
        Entry::Read(read) => Entry::Read(JournalEntry { named: Some(key), by, ..read }),
        other => other,
    }
}

fn fob_of(world: &World, site: usize, key: KeyId) -> Option<String> {
    let keys = world.sites[site].state.inventory().keys;
    keys.into_iter().find(|known| known.key == key)?.fob.map(|fob| fob.to_string())
}

fn give(world: &mut World, site: usize, key: KeyId, serial: &str) -> Result<Answer, No> {
    let fob = Some(fob(serial));
    world.run(site, Command::ChangeKey { key, name: None, roaming: None, groups: None, size: None, fob, texts: None })
}

fn taught(world: &World, site: usize) -> usize {
    world.events_of(site).filter(|event| matches!(event, Event::KeyFobSet { .. })).count()
}

#[test]
fn a_key_learns_its_fob_at_the_first_drop_off_that_names_it() {
    let mut world = world();
    assert!(world.sites[0].state.changes_since(0).keys.is_empty(), "a box is told of keys that it can recognise");
    let drop = named(world.drop(0, 1, "F7", "A-1", Some(ANNA)), KEY, None);
    assert_eq!(world.told(0, vec![drop.clone()]), [applied()]);
    assert_eq!((world.bin(0, "A-1").key, fob_of(&world, 0, KEY)), (Some(KEY), Some("F7".into())));
    assert_eq!(world.claims.get(b"F7".as_slice()), Some(&world.id(0).at(ORG)));
    // Sent again, it is the same.
    let again = world.request(0, vec![drop]);
    assert_eq!(world.exchange(0, again).receipts[0].outcome, Outcome::Duplicate);
    let lines: Vec<_> = world.sites[0].events.iter().filter_map(|(stamp, event)| history_item(event, *stamp)).collect();
    let learned: Vec<_> = lines.iter().filter(|line| line.kind == HistoryKind::FobSet).collect();
    assert_eq!(learned.len(), 1);
    assert_eq!((learned[0].key, learned[0].bin, learned[0].person), (Some(KEY), Some(label("A-1")), Some(ANNA)));
    world.sync(0, vec![]);
    assert_eq!(world.sites[0].state.changes_since(0).keys[0].fob, fob("F7"), "told to its home");
    let pick = world.pick(0, 1, "F7", "A-1", Some(ANNA));
    assert_eq!(world.told(0, vec![pick]), [applied()]);
    assert_eq!(world.holder(0, KEY), Some(ANNA));
}

#[test]
fn a_key_learns_its_fob_though_it_was_taken_again_before_anybody_answered() {
    let mut world = world();
    world.grant(0, ANNA, Scope::Box);
    world.sync(0, vec![]);
    world.sync(0, vec![]);
    let drop = named(world.drop(0, 1, "F7", "A-1", Some(ANNA)), KEY, None);
    let pick = world.pick(0, 2, "F7", "A-1", Some(ANNA));
    assert_eq!(world.told(0, vec![drop, pick]), [applied(), applied()]);
    assert_eq!((fob_of(&world, 0, KEY), world.holder(0, KEY)), (Some("F7".into()), Some(ANNA)));
}

#[test]
fn what_is_not_clear_stays_an_unknown_fob() {
    // Nobody says it; somebody who has no access does; nobody does; a key that has another fob, or is not here.
    let mut world = world();
    let other = world.add_key(0, "F1", None, false);
    bare(&mut world, 1, KeyId(78));
    for (nth, (person, key)) in [
        (Some(ANNA), None),
        (Some(BEN), Some(KEY)),
        (None, Some(KEY)),
        (Some(ANNA), Some(other)),
        (Some(ANNA), Some(KeyId(78))),
    ]
    .into_iter()
    .enumerate()
    {
        let mut world = world.fork();
        let drop = world.drop(0, 1, "F7", "A-1", person);
        let drop = key.map_or(drop.clone(), |key| named(drop, key, None));
        assert_eq!(world.told(0, vec![drop]), [applied()], "{nth}");
        assert_eq!((world.bin(0, "A-1").key, taught(&world, 0)), (None, 0), "{nth}");
        assert!(world.events_of(0).any(|event| matches!(event, Event::VisitorUnknown { .. })), "{nth}");
        // A box that sends it again after a restart is no clone: what is stored has the hash that was compared.
        for event in world.events_of(0) {
            assert_eq!(Event::decode_from(&event.to_bytes()).unwrap(), *event, "{nth}");
        }
    }
}

#[test]
fn the_fob_of_another_key_is_never_handed_on() {
    let mut world = world();
    let other = world.add_key(1, "F1", Some("A-1"), true);
    let drop = named(world.drop(0, 1, "F1", "A-1", Some(ANNA)), KEY, None);
    assert_eq!(world.told(0, vec![drop]), [applied()]);
    assert_eq!((world.bin(0, "A-1").key, fob_of(&world, 0, KEY)), (Some(other), None), "it moves here instead");
    assert_eq!(give(&mut world, 0, KEY, "F1"), Err(No::Refused(Refusal::FobTaken)));
    world.add_key(2, "F2", None, true);
    assert_eq!(give(&mut world, 0, KEY, "F2"), Err(No::Taken));
    let taken = Command::CorrectBin { bin: label("A-1"), fob: Some(fob("F1")), key: Some(KEY) };
    assert_eq!(world.run(0, taken), Err(No::Refused(Refusal::FobTaken)));
}

#[test]
fn of_two_boxes_and_two_keys_with_one_fob_exactly_one_learns_it() {
    for late in [false, true] {
        let mut world = world();
        bare(&mut world, 1, KeyId(78));
        world.grant(1, BEN, Scope::Key(KeyId(78)));
        world.sync(1, vec![]);
        world.sync(1, vec![]);
        let (one, two) = (world.drop(0, 1, "F7", "A-1", Some(ANNA)), world.drop(1, 1, "F7", "A-1", Some(BEN)));
        world.sync(0, vec![named(one, KEY, None)]);
        world.sync(1, vec![named(two, KeyId(78), None)]);
        while world.deliver_one(late) {}
        for _ in 0..2 {
            world.pass(std::time::Duration::from_secs(601));
            for site in 0..2 {
                world.run(site, Command::Tick).unwrap();
            }
            world.settle();
        }
        let learned = taught(&world, 0) + taught(&world, 1);
        assert_eq!(learned, 1);
        let on_it = [0, 1].map(|site| world.sites[site].state.inventory().keys);
        let on_it: Vec<_> = on_it.iter().flatten().filter(|key| key.fob == Some(fob("F7"))).collect();
        assert_eq!(on_it.len(), 1, "{on_it:?}");
    }
}

#[test]
fn two_fobs_for_one_key_are_one_and_an_unknown_one() {
    let mut world = world();
    let (one, two) = (world.drop(0, 1, "F7", "A-1", Some(ANNA)), world.drop(0, 2, "F8", "A-2", Some(ANNA)));
    world.told(0, vec![named(one, KEY, None), named(two, KEY, None)]);
    assert_eq!((world.bin(0, "A-1").key, world.bin(0, "A-2").key), (Some(KEY), None));
    assert_eq!((taught(&world, 0), world.shows(0, "A-2").0), (1, Some("F8".into())));
}

#[test]
fn an_administrator_says_which_key_hangs_on_an_unknown_fob() {
    let mut world = world();
    let drop = world.drop(0, 1, "F7", "A-1", None);
    world.told(0, vec![drop]);
    let correct = Command::CorrectBin { bin: label("A-1"), fob: Some(fob("F7")), key: Some(KEY) };
    world.run(0, correct.clone()).unwrap();
    assert_eq!((world.bin(0, "A-1").key, taught(&world, 0)), (Some(KEY), 1));
    world.run(0, correct).unwrap();
    assert_eq!(taught(&world, 0), 1, "said again it is the same");
    let nobody = Command::CorrectBin { bin: label("A-1"), fob: Some(fob("F7")), key: Some(KeyId(5)) };
    assert_eq!(world.run(0, nobody), Err(No::Refused(Refusal::KeyNotFound)));
}

#[test]
fn a_fob_that_broke_is_replaced_and_free_afterwards() {
    let mut world = world();
    let key = world.add_key(0, "F1", Some("A-1"), true);
    give(&mut world, 0, key, "F2").unwrap();
    assert_eq!(world.shows(0, "A-1"), (Some("F2".into()), false, false), "somebody has to look");
    assert_eq!(world.claims.get(b"F1".as_slice()), None);
    give(&mut world, 0, KEY, "F1").unwrap();
    assert_eq!(fob_of(&world, 0, KEY), Some("F1".into()));
    // One that lies here unknown: then the key is where that lies.
    let drop = world.drop(0, 1, "F9", "A-2", None);
    world.sync(0, vec![]);
    world.told(0, vec![drop]);
    give(&mut world, 0, key, "F9").unwrap();
    assert_eq!((world.bin(0, "A-2").key, world.shows(0, "A-1").0), (Some(key), None));
    world.run(0, Command::RemoveKey { key }).unwrap();
    assert_eq!(world.shows(0, "A-2").0, Some("F9".into()));
    world.run(0, Command::RemoveKey { key: KEY }).unwrap();
    assert_eq!(world.claims.get(b"F1".as_slice()), None);
}

#[test]
fn online_a_person_or_the_keys_code_names_the_key() {
    let mut story = Story::new();
    bare(&mut story.world, 0, KEY);
    let mark = Mark([9; 16]);
    let (generation, base) = (1, 0);
    let code = Command::SetKeyCode {
        key: KEY,
        mark: Some(mark),
        verifier: None,
        generation,
        base,
        plain: zeroize::Zeroizing::new(Vec::new()),
    };
    story.world.run(0, code).unwrap();
    story.world.settle();
    story.world.sync(0, vec![]);
    for by in [Bearer::KeyCode(mark), Bearer::Person(ANNA), Bearer::Anonymous] {
        let mut world = story.world.fork();
        std::mem::swap(&mut story.world, &mut world);
        story.named = (by != Bearer::KeyCode(mark)).then_some(KEY);
        let decision = story.decided(Act::DropOff(fob("F7")), by.clone());
        story.complete(decision.id).unwrap();
        story.world.settle();
        let learned = (by != Bearer::Anonymous).then_some(KEY);
        assert_eq!(story.world.bin(0, decision.bin.as_str()).key, learned, "{by:?}");
        story.world = world;
    }
}
