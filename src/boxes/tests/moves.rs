//! Fobs away from home: late pick-ups, visitors, unknown fobs, and messages that overtake each other.

use super::world::*;
use crate::{
    boxes::*,
    kernel::{KeyId, UnixMillis},
};
use std::time::Duration;

/// A roaming key at home in box 0, bin A-1; three boxes; Anna may use them all.
fn world() -> (World, KeyId) {
    let mut world = World::new(3);
    let key = world.add_key(0, "F1", Some("A-1"), true);
    for site in 0..3 {
        world.grant(site, ANNA, Scope::Box);
        world.sync(site, vec![]);
        world.sync(site, vec![]);
    }
    (world, key)
}

#[test]
fn a_late_pick_up_that_never_comes_is_a_conflict_at_the_next_complete_sync() {
    let (mut world, key) = world();
    let drop = world.drop(1, 1, "F1", "A-1", Some(ANNA));
    world.told(1, vec![drop]);
    assert_eq!(world.shows(0, "A-1"), (None, false, true));
    let opened = world.entry(0, 1, Act::Opened, "A-3", None);
    let partial = SyncRequest { more: true, head: 2, ..world.request(0, vec![opened]) };
    world.exchange(0, partial);
    assert!(world.conflicts(0).is_empty(), "its journal has not ended yet");
    let opened = world.entry(0, 1, Act::Opened, "A-3", None);
    world.told(0, vec![opened]);
    let number = world.conflicts(0)[0];
    let kept = world.conflict(0, number);
    assert_eq!((kept.outcome, kept.server_says.key), (ignored(Clash::LatePickUpMissing), Some(key)));
    assert_eq!(world.shows(0, "A-1"), (None, false, false));
    let pick = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    assert_eq!(world.told(0, vec![pick]), [ignored(Clash::KeyNotInBin)], "too late");
}

#[test]
fn a_key_that_left_again_while_its_home_was_asked_arrives_with_its_holder() {
    let (mut world, key) = world();
    world.grant(0, BEN, Scope::Key(key));
    let entries = vec![world.drop(1, 1, "F1", "A-2", Some(ANNA)), world.pick(1, 2, "F1", "A-2", Some(ANNA))];
    assert_eq!(world.sync(1, entries), [applied(), applied()]);
    world.settle();
    assert_eq!(world.holder(1, key), Some(ANNA));
    assert_eq!(world.shows(1, "A-2"), (None, true, false));
    let accesses = world.sites[1].state.inventory().accesses;
    assert!(
        accesses.iter().any(|access| access.record.person == BEN && access.record.scope == Scope::Key(key)),
        "they come along"
    );
    assert!(!world.sites[0].state.inventory().people.contains(&BEN), "and are gone there");
    world.sync(0, vec![]);
    world.sync(1, vec![]);
}

#[test]
fn sightings_that_overtake_each_other_end_where_the_last_one_was_heard() {
    let (mut world, key) = world();
    let first = vec![world.drop(1, 1, "F1", "A-1", Some(ANNA)), world.pick(1, 2, "F1", "A-1", Some(ANNA))];
    world.sync(1, first);
    world.pass(Duration::from_secs(1));
    let second = world.drop(2, 1, "F1", "A-1", Some(ANNA));
    world.sync(2, vec![second]);
    while world.deliver_one(true) {}
    assert_eq!(world.bin(2, "A-1").key, Some(key));
    assert_eq!((world.place(0, key), world.place(1, key)), (None, None));
    assert_eq!(world.sites[1].state.overview(world.now, START).visitors_unresolved, 0);
}

#[test]
fn a_late_pick_up_that_comes_before_the_question_closes_the_gap_too() {
    let (mut world, key) = world();
    let drop = world.drop(1, 1, "F1", "A-1", Some(ANNA));
    world.sync(1, vec![drop]);
    world.pass(Duration::from_secs(1));
    // The home has not been asked yet when its own journal comes.
    let pick = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.sync(0, vec![pick]);
    world.settle();
    assert_eq!(world.bin(1, "A-1").key, Some(key), "the fob is where it was dropped");
    assert_eq!(world.place(0, key), None);
    assert_eq!(world.shows(0, "A-1"), (None, true, false));
    assert!((0..2).all(|site| world.conflicts(site).is_empty()));
}

#[test]
fn a_question_follows_a_key_that_is_on_its_way() {
    let (mut world, key) = world();
    let drop = world.drop(1, 1, "F1", "A-1", Some(ANNA));
    world.sync(1, vec![drop]);
    world.deliver_one(false);
    // Box 0 has given the key away, box 1 has not heard of it, and box 2 asks.
    world.pass(Duration::from_secs(1));
    let drop = world.drop(2, 1, "F1", "A-3", Some(ANNA));
    world.sync(2, vec![drop]);
    world.settle();
    assert_eq!(world.bin(2, "A-3").key, Some(key));
    assert_eq!(world.shows(1, "A-1"), (None, false, true), "box 1's journal will say who took it out");
    let pick = world.pick(1, 1, "F1", "A-1", Some(ANNA));
    assert_eq!(world.told(1, vec![pick]), [applied()]);
    assert_eq!(world.shows(1, "A-1"), (None, true, false));
}

#[test]
fn a_fob_that_comes_home_again_is_a_visitor_until_its_record_is_back() {
    let (mut world, key) = world();
    let away = world.drop(1, 1, "F1", "A-1", Some(ANNA));
    world.told(1, vec![away]);
    world.pass(Duration::from_secs(60));
    let out = world.pick(1, 1, "F1", "A-1", Some(ANNA));
    world.told(1, vec![out]);
    let home = vec![world.pick(0, 1, "F1", "A-1", Some(ANNA)), world.drop(0, 2, "F1", "A-2", Some(ANNA))];
    assert_eq!(world.told(0, home), [applied(), applied()]);
    assert_eq!(world.bin(0, "A-2").key, Some(key));
    assert_eq!(world.shows(0, "A-1"), (None, true, false));
    assert!((0..2).all(|site| world.conflicts(site).is_empty()));
}

#[test]
fn an_administrator_moves_a_key_by_saying_where_it_is() {
    let (mut world, key) = world();
    world.correct(2, "A-2", Some("F1"));
    world.settle();
    assert_eq!(world.bin(2, "A-2").key, Some(key));
    assert_eq!(world.shows(0, "A-1"), (None, false, false), "nobody saw it leave, and no late pick-up is expected");
    world.told(0, vec![]);
    assert!(world.conflicts(0).is_empty());
}

#[test]
fn an_unknown_fob_belongs_to_the_box_it_lies_in_until_it_leaves() {
    let (mut world, _) = world();
    let drop = world.drop(1, 1, "F9", "A-1", Some(ANNA));
    world.told(1, vec![drop]);
    assert_eq!(world.try_add_key(2, KeyId(1), "F9", None, true), Err(No::Taken), "it lies in box 1");
    let pick = world.pick(1, 1, "F9", "A-1", Some(ANNA));
    assert_eq!(world.told(1, vec![pick]), [applied()]);
    assert_eq!(world.claims.get(b"F9".as_slice()), None);
    world.try_add_key(2, KeyId(1), "F9", None, true).unwrap();
    world.correct(1, "A-2", Some("F9"));
    world.settle();
    assert_eq!(world.bin(1, "A-2").key, Some(KeyId(1)));
}

#[test]
fn an_unknown_fob_becomes_a_key_where_it_lies() {
    let (mut world, _) = world();
    let drop = world.drop(1, 1, "F9", "A-1", Some(ANNA));
    world.told(1, vec![drop]);
    world.try_add_key(1, KeyId(1), "F9", None, true).unwrap();
    assert_eq!(world.bin(1, "A-1").key, Some(KeyId(1)));
    world.run(1, Command::RemoveKey { key: KeyId(1) }).unwrap();
    assert_eq!((world.bin(1, "A-1").key, world.shows(1, "A-1").0), (None, Some("F9".into())));
    world.correct(1, "A-1", None);
    assert_eq!(world.claims.get(b"F9".as_slice()), None);
}

#[test]
fn a_question_without_an_answer_is_asked_again() {
    let (mut world, key) = world();
    let drop = world.drop(1, 1, "F1", "A-1", Some(ANNA));
    world.sync(1, vec![drop]);
    world.outbox.clear();
    assert_eq!(world.sites[1].state.overview(world.now, START).visitors_unresolved, 1);
    world.pass(Duration::from_secs(601));
    world.run(1, Command::Tick).unwrap();
    world.settle();
    assert_eq!(world.bin(1, "A-1").key, Some(key));
}

#[test]
fn a_visitor_corrected_away_leaves_its_key_without_a_place() {
    let (mut world, key) = world();
    let drop = world.drop(1, 1, "F1", "A-1", Some(ANNA));
    world.sync(1, vec![drop]);
    world.correct(1, "A-1", None);
    world.settle();
    assert!(matches!(world.place(1, key), Some(KeyPlace::Unknown { since }) if since > UnixMillis(0)));
}

#[test]
fn a_fob_whose_key_is_on_its_way_elsewhere_is_not_free() {
    let (mut world, key) = world();
    let (drop, pick) = (world.drop(1, 1, "F1", "A-1", Some(ANNA)), world.pick(0, 1, "F1", "A-1", Some(ANNA)));
    world.sync(0, vec![pick]);
    world.sync(1, vec![drop]);
    // Box 1 asks, box 0 hands the key over, and its record has not arrived yet.
    while world.place(0, key).is_some() {
        assert!(world.deliver_one(false));
    }
    assert_eq!(world.place(1, key), None, "on its way");
    let left = Leaving { key, to: world.id(1), since: world.now };
    assert_eq!(world.sites[0].state.left_of_late(), [left], "and shown so, while its row still names box 0");
    let again = world.try_add_key(0, KeyId(9), "F1", None, false);
    assert_eq!(again, Err(No::Taken), "neither here");
    assert_eq!(world.try_add_key(2, KeyId(9), "F1", None, false), Err(No::Taken), "nor elsewhere");
    world.settle();
    assert_eq!(world.bin(1, "A-1").key, Some(key));
    assert_eq!(world.try_add_key(0, KeyId(9), "F1", None, false), Err(No::Taken));
}
