//! The reconciliation table, row by row.

use super::world::*;
use crate::boxes::*;

/// Key 1 roams, key 2 does not; both at home in box 0, in. Anna may use box 0.
fn world() -> World {
    let mut world = World::new(2);
    world.add_key(0, "F1", Some("A-1"), true);
    world.add_key(0, "F2", Some("A-2"), false);
    world.grant(0, ANNA, Scope::Box);
    world.grant(0, BEN, Scope::Box);
    world.sync(0, vec![]);
    world.sync(0, vec![]);
    world
}

#[test]
fn a_pick_up_from_its_bin_is_applied_and_marked_offline() {
    let mut world = world();
    let pick = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    assert_eq!(world.told(0, vec![pick]), [applied()]);
    assert_eq!(world.shows(0, "A-1"), (None, true, false));
    let key = world.sites[0].state.inventory().keys[0].key;
    assert_eq!(world.holder(0, key), Some(ANNA));
    let (stamp, event) =
        world.sites[0].events.iter().find(|(_, event)| matches!(event, Event::EntryJudged(_))).unwrap();
    let line = history_item(event, *stamp).unwrap();
    assert!(line.offline && line.kind == HistoryKind::PickUp && line.key == Some(key) && line.seq == Some(1));
    assert!(world.conflicts(0).is_empty());
    assert_eq!(world.sites[0].state.overview(world.now, START).pending_since, None, "its own doing");
}

#[test]
fn a_pick_up_without_permission_is_applied_and_flagged() {
    let mut world = world();
    let nobody = crate::kernel::PersonId(99);
    let entries = vec![
        world.pick(0, 1, "F1", "A-1", Some(nobody)),
        world.drop(0, 2, "F1", "A-1", Some(nobody)),
        world.pick(0, 3, "F1", "A-1", None),
    ];
    let not_permitted = flagged(Flag::NotPermitted);
    assert_eq!(world.told(0, entries), [not_permitted, applied(), not_permitted], "a key that is gone is gone");
    assert_eq!(world.shows(0, "A-1").0, None);
    assert!(world.conflicts(0).is_empty());
}

#[test]
fn a_pick_up_of_what_is_not_there_is_ignored_and_kept_whole() {
    let mut world = world();
    let entries = vec![world.pick(0, 1, "F1", "A-2", Some(ANNA)), world.pick(0, 2, "F9", "A-3", Some(ANNA))];
    let clash = ignored(Clash::KeyNotInBin);
    assert_eq!(world.told(0, entries), [clash, clash]);
    assert_eq!(world.shows(0, "A-1"), (Some("F1".into()), false, false), "the key's bin is in doubt too");
    assert_eq!(world.shows(0, "A-2"), (Some("F2".into()), false, false));
    assert_eq!(world.conflicts(0), [1, 2]);
    let kept = world.conflict(0, 1);
    assert_eq!((kept.box_says.act, kept.box_says.person), (Some(Act::PickUp(fob("F1"))), Some(ANNA)));
    assert_eq!((kept.server_says.bin_fob, kept.server_says.fob_bin), (Some(fob("F2")), Some(label("A-1"))));
    assert!(world.sites[0].state.overview(world.now, START).pending_since.is_some(), "the box must be corrected");
}

#[test]
fn a_drop_off_of_a_key_that_is_out_is_applied_and_flagged_for_another_holder() {
    let mut world = world();
    let entries = vec![
        world.pick(0, 1, "F1", "A-1", Some(ANNA)),
        world.drop(0, 2, "F1", "A-3", Some(BEN)),
        world.pick(0, 3, "F1", "A-3", Some(ANNA)),
        world.drop(0, 4, "F1", "A-3", None),
    ];
    assert_eq!(
        world.told(0, entries),
        [applied(), flagged(Flag::OtherHolder), applied(), applied()],
        "an anonymous drop-off says nothing of the holder"
    );
    assert_eq!(world.shows(0, "A-3"), (Some("F1".into()), true, false));
}

#[test]
fn a_drop_off_into_a_protected_bin_is_applied_and_flagged() {
    let mut world = world();
    world.run(0, Command::SetBin { bin: label("A-3"), state: Some(BinState::Protected), size: None }).unwrap();
    let entries = vec![
        world.pick(0, 1, "F1", "A-1", Some(ANNA)),
        world.drop(0, 2, "F1", "A-3", Some(ANNA)),
        world.pick(0, 3, "F1", "A-3", Some(ANNA)),
    ];
    let outcomes = world.told(0, entries);
    assert_eq!(outcomes, [applied(), flagged(Flag::MayNotBeDroppedHere), flagged(Flag::NotPermitted)]);
}

#[test]
fn a_drop_off_that_does_not_fit_is_ignored() {
    let mut world = world();
    let entries = vec![
        world.drop(0, 1, "F1", "A-3", Some(ANNA)),
        world.pick(0, 2, "F1", "A-1", Some(ANNA)),
        world.drop(0, 3, "F1", "A-2", Some(ANNA)),
    ];
    assert_eq!(
        world.told(0, entries),
        [ignored(Clash::KeyElsewhere), applied(), ignored(Clash::BinOccupied)],
        "each on what its predecessors left"
    );
    assert_eq!(world.conflicts(0), [1, 3]);
    assert_eq!(world.shows(0, "A-3"), (None, false, false));
}

#[test]
fn a_drop_off_that_an_administrator_has_told_already_is_applied() {
    let mut world = world();
    let pick = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.told(0, vec![pick]);
    let drop = world.drop(0, 1, "F1", "A-3", Some(ANNA));
    world.correct(0, "A-3", Some("F1"));
    assert_eq!(world.told(0, vec![drop]), [applied()], "both say the same");
    assert_eq!(world.shows(0, "A-3"), (Some("F1".into()), true, false));
}

#[test]
fn a_key_that_is_out_of_its_home_moves_to_where_it_is_dropped() {
    let mut world = world();
    let pick = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.told(0, vec![pick]);
    let drop = world.drop(1, 1, "F1", "A-2", Some(ANNA));
    assert_eq!(world.told(1, vec![drop]), [applied()]);
    assert_eq!(world.sites[0].state.inventory().keys.len(), 1);
    assert_eq!(world.bin(1, "A-2").key, Some(world.sites[1].state.inventory().keys[0].key));
    assert_eq!(world.shows(0, "A-1"), (None, true, false));
    assert_eq!((world.conflicts(0), world.conflicts(1)), (vec![], vec![]));
    assert_eq!(world.claims[b"F1".as_slice()], world.id(1).at(ORG));
}

#[test]
fn a_fob_that_nobody_knows_is_applied_and_flagged() {
    let mut world = world();
    let drop = world.drop(1, 1, "F9", "A-2", None);
    assert_eq!(world.sync(1, vec![drop]), [applied()]);
    assert_eq!(world.sites[1].state.overview(world.now, START).visitors_unresolved, 1);
    world.settle();
    assert_eq!(world.sites[1].state.overview(world.now, START).visitors_unresolved, 0);
    assert_eq!((world.shows(1, "A-2").0, world.bin(1, "A-2").key), (Some("F9".into()), None));
    let flags: Vec<Outcome> = world.sites[1]
        .events
        .iter()
        .filter_map(|(stamp, event)| history_item(event, *stamp))
        .filter(|item| item.kind == HistoryKind::UnknownFob)
        .map(|item| item.outcome)
        .collect();
    assert_eq!(flags, [flagged(Flag::UnknownFob)]);
}

#[test]
fn a_bin_opened_by_a_code_is_unconfirmed_until_somebody_says_what_is_in_it() {
    let mut world = world();
    let opened = world.entry(0, 1, Act::Opened, "A-1", None);
    assert_eq!(world.told(0, vec![opened]), [applied()]);
    assert_eq!(world.shows(0, "A-1"), (Some("F1".into()), false, false));
    world.run(0, Command::ConfirmBin { bin: label("A-1") }).unwrap();
    assert_eq!(world.shows(0, "A-1"), (Some("F1".into()), true, false));
}

#[test]
fn the_same_number_with_other_content_shuts_the_box_out() {
    let mut world = world();
    let pick = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.told(0, vec![pick]);
    world.sites[0].seq = 0;
    let (other, new) = (world.pick(0, 1, "F2", "A-2", Some(ANNA)), world.drop(0, 2, "F1", "A-1", Some(ANNA)));
    let request = world.request(0, vec![other, new]);
    let before = world.shows(0, "A-1");
    let answer = world.send(0, request.clone()).unwrap();
    let outcomes: Vec<_> = answer.receipts.iter().map(|receipt| receipt.outcome).collect();
    assert_eq!(outcomes, [rejected(Fault::SequenceReused); 2]);
    assert_eq!(world.shows(0, "A-1"), before, "nothing else of that request is applied");
    assert_eq!(answer.changes, Changes::default());
    assert_eq!(world.send(0, request), Err(No::Refused(Refusal::Suspended)));
    let number = world.conflicts(0)[0];
    assert!(number & SERVER_CONFLICT != 0);
    assert_eq!(world.conflict(0, number).box_says.act, Some(Act::PickUp(fob("F2"))));
}

#[test]
fn a_contradiction_within_one_batch_shuts_the_box_out() {
    let mut world = world();
    let entries = vec![world.pick(0, 1, "F1", "A-1", Some(ANNA)), world.pick(0, 1, "F2", "A-2", Some(ANNA))];
    let request = world.request(0, entries);
    let answer = world.send(0, request).unwrap();
    assert!(answer.receipts.iter().all(|receipt| receipt.outcome == rejected(Fault::SequenceReused)));
    assert_eq!(world.shows(0, "A-1").0, Some("F1".into()));
}

#[test]
fn a_journal_that_ends_behind_its_receipts_shuts_the_box_out() {
    let mut world = world();
    let entries = vec![world.pick(0, 1, "F1", "A-1", Some(ANNA)), world.drop(0, 2, "F1", "A-1", Some(ANNA))];
    world.told(0, entries);
    let request = SyncRequest { head: 1, ..world.request(0, vec![]) };
    let answer = world.send(0, request).unwrap();
    assert!(answer.receipts.is_empty());
    assert!(world.sites[0].state.overview(world.now, START).suspended);
}

#[test]
fn what_cannot_be_read_or_names_no_bin_is_rejected_counted_and_kept() {
    let mut world = world();
    let entries = vec![
        Entry::Unreadable { seq: 1, text: "kind: unknown variant `teleported`".into() },
        world.pick(0, 2, "F1", "Z-9", Some(ANNA)),
        world.pick(0, 3, "F1", "A-1", Some(ANNA)),
    ];
    let request = world.request(0, entries);
    let answer = world.exchange(0, request);
    let outcomes: Vec<_> = answer.receipts.iter().map(|receipt| receipt.outcome).collect();
    assert_eq!(outcomes, [rejected(Fault::Unreadable), rejected(Fault::UnknownBin), applied()]);
    assert_eq!(answer.resume_at, 4);
    assert!(answer.changes.full, "nobody knows what such a box believes");
    assert_eq!(world.conflicts(0), [1, 2]);
    assert!(world.conflict(0, 1).box_says.text.unwrap().contains("teleported"));
}
