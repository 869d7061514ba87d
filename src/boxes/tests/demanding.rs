//! "What a demanding user tries", by its number in `docs/box-protocol.md`, as far as it belongs to the pure core.

use super::world::*;
use crate::{boxes::*, kernel::Machine};
use std::time::Duration;

fn world() -> World {
    let mut world = World::new(2);
    world.add_key(0, "F1", Some("A-1"), true);
    world.add_key(0, "F2", Some("A-2"), false);
    world.grant(0, ANNA, Scope::Box);
    world.sync(0, vec![]);
    world.sync(0, vec![]);
    world
}

fn tried(world: &World, site: usize) -> usize {
    world.events_of(site).filter(|event| matches!(event, Event::EntryJudged(_))).count()
}

#[test]
fn case_2_permission_revoked_a_minute_before_the_outage_opens_and_is_flagged() {
    let mut world = world();
    let access = world.sites[0].state.inventory().accesses[0].record.id;
    let before = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.pass(Duration::from_secs(60));
    world.run(0, Command::Revoke { access }).unwrap();
    world.pass(Duration::from_secs(60));
    let after = world.pick(0, 2, "F2", "A-2", Some(ANNA));
    let outcomes = world.told(0, vec![before, after]);
    assert_eq!(outcomes, [applied(), flagged(Flag::NotPermitted)], "what happened before the end was permitted");
}

#[test]
fn case_3_pick_up_just_before_the_outage_drop_off_of_the_same_key_offline() {
    let mut world = world();
    let pick = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    let request = world.request(0, vec![pick]);
    // The answer is lost: the box goes offline on its old state.
    world.send(0, request).unwrap();
    world.pass(Duration::from_secs(600));
    let entries = vec![pick_at(&world, START), world.drop(0, 2, "F1", "A-1", Some(ANNA))];
    assert_eq!(world.told(0, entries), [Outcome::Duplicate, applied()]);
}

/// The first entry of box 0's journal, as it was written then.
fn pick_at(world: &World, at: crate::kernel::UnixMillis) -> Entry {
    match world.pick(0, 1, "F1", "A-1", Some(ANNA)) {
        Entry::Read(entry) => Entry::Read(JournalEntry { at, ..entry }),
        unreadable => unreadable,
    }
}

#[test]
fn case_4_twice_in_pieces_out_of_order_with_a_gap_after_a_lost_answer() {
    let mut world = world();
    let entries: Vec<Entry> = (0..6)
        .map(|at| match at % 2 {
            0 => world.pick(0, at + 1, "F1", "A-1", Some(ANNA)),
            _ => world.drop(0, at + 1, "F1", "A-1", Some(ANNA)),
        })
        .collect();
    let send = |world: &mut World, at: &[usize]| {
        let chosen = at.iter().map(|at| entries[*at].clone()).collect();
        let request = SyncRequest { head: 6, more: false, ..world.request(0, chosen) };
        let answer = world.send(0, request).unwrap();
        (answer.receipts.iter().map(|receipt| receipt.outcome).collect::<Vec<_>>(), answer.resume_at)
    };
    let again = Outcome::Duplicate;
    assert_eq!(send(&mut world, &[0, 1]), (vec![applied(), applied()], 3));
    assert_eq!(send(&mut world, &[0, 1]), (vec![again, again], 3), "twice, after the answer was lost");
    assert_eq!(send(&mut world, &[3, 4]), (vec![], 3), "a gap: say where to resume");
    assert_eq!(send(&mut world, &[1, 3, 2]), (vec![again], 3), "out of order");
    assert_eq!(send(&mut world, &[2, 2, 3, 5]), (vec![applied(), again, applied()], 5));
    assert_eq!(send(&mut world, &[0, 1, 2, 3, 4, 5]), (vec![again, again, again, again, applied(), applied()], 7));
    assert_eq!(tried(&world, 0), 6, "each once");
}

#[test]
fn case_5_wrong_clocks_are_accepted_and_marked() {
    let mut world = world();
    let at = |world: &World, at_ms: u64, seq: u64| match seq % 2 {
        1 => (world.pick(0, seq, "F1", "A-1", Some(ANNA)), at_ms),
        _ => (world.drop(0, seq, "F1", "A-1", Some(ANNA)), at_ms),
    };
    let judge = |world: &mut World, clock: u64, (entry, at_ms): (Entry, u64)| {
        let Entry::Read(entry) = entry else { panic!("read") };
        let entry = Entry::Read(JournalEntry { at: crate::kernel::UnixMillis(at_ms), ..entry });
        let request = SyncRequest { clock: crate::kernel::UnixMillis(clock), ..world.request(0, vec![entry]) };
        let answer = world.exchange(0, request);
        let judged = world.events_of(0).filter_map(|event| match event {
            Event::EntryJudged(judged) => Some(judged.clone()),
            _ => None,
        });
        let judged = judged.last().unwrap();
        (answer.receipts[0].outcome.took_place(), judged.at.0, judged.estimated, judged.box_time.unwrap().0)
    };
    world.pass(Duration::from_secs(3600));
    let now = world.now.0;
    let entry = at(&world, 12_345, 1);
    assert_eq!(judge(&mut world, 60_000, entry), (true, now, true, 12_345), "1970");
    let off = now - 3 * 3_600_000;
    let entry = at(&world, off - 5_000, 1);
    let entry = (world.drop(0, 1, "F1", "A-1", Some(ANNA)), entry.1);
    assert_eq!(judge(&mut world, off, entry), (true, now, true, off - 5_000), "three hours off");
    let entry = (world.pick(0, 1, "F1", "A-1", Some(ANNA)), now + 1);
    assert_eq!(judge(&mut world, now, entry), (true, now, true, now + 1), "jumped back");
    let entry = (world.drop(0, 1, "F1", "A-1", Some(ANNA)), now - 90_000 - 1_000);
    assert_eq!(judge(&mut world, now - 90_000, entry), (true, now - 1_000, false, now - 91_000), "skew is corrected");
}

#[test]
fn case_7_a_drop_off_after_the_end_of_the_access_is_applied() {
    let mut world = world();
    let access = world.sites[0].state.inventory().accesses[0].record.id;
    world.run(0, Command::Revoke { access }).unwrap();
    let until = Some(world.now.plus(Duration::from_secs(60)));
    let record = AccessRecord {
        id: crate::kernel::AccessId(5),
        person: ANNA,
        scope: Scope::Box,
        from: None,
        until,
        reminder: None,
    };
    world.run(0, Command::Grant { accesses: [record].into() }).unwrap();
    let pick = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.pass(Duration::from_secs(120));
    let (drop, again) = (world.drop(0, 2, "F1", "A-1", Some(ANNA)), world.pick(0, 3, "F1", "A-1", Some(ANNA)));
    assert_eq!(world.told(0, vec![pick, drop, again]), [applied(), applied(), flagged(Flag::NotPermitted)]);
}

#[test]
fn case_8_a_drop_off_at_the_wrong_box_of_a_key_that_does_not_roam_is_applied_and_flagged() {
    let mut world = world();
    let pick = world.pick(0, 1, "F2", "A-2", Some(ANNA));
    world.told(0, vec![pick]);
    let drop = world.drop(1, 1, "F2", "A-1", Some(ANNA));
    assert_eq!(world.told(1, vec![drop]), [applied()]);
    let moved = world.sites[1]
        .events
        .iter()
        .find_map(|(stamp, event)| history_item(event, *stamp).filter(|item| item.kind == HistoryKind::MovedIn));
    assert_eq!(moved.unwrap().outcome, flagged(Flag::MayNotBeDroppedHere));
}

#[test]
fn case_13_a_step_that_was_not_durable_is_judged_once_after_the_retry() {
    // What a crash leaves is a prefix of records; a record holds the whole sync.
    let mut world = world();
    let entries = vec![world.pick(0, 1, "F1", "A-1", Some(ANNA)), world.drop(0, 2, "F1", "A-3", Some(ANNA))];
    let request = world.request(0, entries);
    let known = world.sites[0].events.clone();
    let first = world.send(0, request.clone()).unwrap();
    let mut reloaded = SmartBox::blank(world.id(0).at(ORG));
    for (stamp, event) in &known {
        Machine::evolve(&mut reloaded, event, *stamp);
    }
    world.sites[0].state = reloaded;
    world.sites[0].events = known;
    let retried = world.send(0, request).unwrap();
    assert_eq!(retried.receipts, first.receipts, "as if the lost one had never been");
    assert_eq!(tried(&world, 0), 2);
}

#[test]
fn case_15_a_box_with_50_000_unsent_entries_comes_in_pieces() {
    let mut world = world();
    let mut sent = 0u64;
    while sent < 50_000 {
        let entries: Vec<Entry> = (1..=200)
            .map(|after| match after % 2 {
                1 => world.pick(0, after, "F1", "A-1", Some(ANNA)),
                _ => world.drop(0, after, "F1", "A-1", Some(ANNA)),
            })
            .collect();
        sent += 200;
        let request = SyncRequest { head: 50_000, more: sent < 50_000, ..world.request(0, entries) };
        let token_hash = world.token(0);
        // Without the world's own checks, which read the whole log at each step.
        let cx = crate::kernel::Context {
            org: ORG,
            now: world.now,
            epoch: 1,
            up_since: START,
            by: crate::kernel::Principal::Server,
            from: None,
        };
        let command = Command::Sync { token_hash, request };
        let site = &mut world.sites[0];
        let (mut events, mut step) = (Vec::new(), 0);
        loop {
            let before = events.len();
            let progress = Machine::decide(&site.state, &command, step, &cx, &mut events).unwrap();
            for event in &events[before..] {
                let stamp = crate::kernel::Stamp { at: world.now, revision: site.state.revision() + 1 };
                Machine::evolve(&mut site.state, event, stamp);
            }
            if progress == crate::kernel::Progress::Done {
                break;
            }
            step += 1;
        }
        assert_eq!(events.iter().filter(|event| matches!(event, Event::EntryJudged(_))).count(), 200);
        site.seq = sent;
    }
    let seen = world.sites[0].state.overview(world.now, START);
    assert_eq!((seen.journal_next, seen.reconciling), (50_001, false));
    assert_eq!(check_invariants(&world.sites[0].state), []);
}

#[test]
fn case_16_an_unknown_fob_at_two_boxes_is_flagged_then_a_conflict() {
    let mut world = world();
    let (here, there) = (world.drop(0, 1, "F9", "A-3", Some(ANNA)), world.drop(1, 1, "F9", "A-1", Some(ANNA)));
    assert_eq!(world.told(0, vec![here]), [applied()]);
    assert!(world.events_of(0).any(|event| matches!(event, Event::VisitorUnknown { .. })));
    assert_eq!(world.told(1, vec![there]), [applied()]);
    let number = world.conflicts(1)[0];
    assert_eq!(world.conflict(1, number).outcome, ignored(Clash::FobInTwoBoxes));
    assert!(!world.shows(1, "A-1").1, "somebody has to look");
    assert!(world.conflicts(0).is_empty());
}

#[test]
fn case_16_even_when_both_ask_at_once() {
    let mut world = world();
    let (here, there) = (world.drop(0, 1, "F9", "A-3", Some(ANNA)), world.drop(1, 1, "F9", "A-1", Some(ANNA)));
    world.sync(0, vec![here]);
    world.sync(1, vec![there]);
    world.settle();
    world.pass(Duration::from_secs(601));
    for site in 0..2 {
        world.run(site, Command::Tick).unwrap();
    }
    world.settle();
    let conflicts = world.conflicts(0).len() + world.conflicts(1).len();
    assert_eq!(conflicts, 1);
    assert!((0..2).all(|site| world.sites[site].state.overview(world.now, START).visitors_unresolved == 0));
}

#[test]
fn case_17_and_18_a_clone_is_noticed_and_a_new_enrolment_sets_it_right() {
    let mut world = world();
    let old = world.token(0);
    let pick = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    let request = world.request(0, vec![pick]);
    world.send(0, request).unwrap();
    let other = world.pick(0, 1, "F2", "A-2", Some(ANNA));
    let request = world.request(0, vec![other.clone()]);
    world.send(0, request).unwrap();
    assert!(world.sites[0].state.overview(world.now, START).suspended);
    world.enrol(0, false);
    let request = world.request(0, vec![]);
    let stale = world.run(0, Command::Sync { token_hash: old, request });
    assert_eq!(stale, Err(No::Refused(Refusal::TokenInvalid)));
    // The enrolled one is the other: its journal counts from where it differs.
    assert_eq!(world.told(0, vec![other]), [applied()]);
    assert_eq!(world.shows(0, "A-2").0, None);
    assert!(world.events_of(0).any(|event| matches!(event, Event::JournalRestarted { next: 1 })));
}

#[test]
fn a_new_enrolment_whose_journal_contradicts_itself_is_shut_out_again() {
    let mut world = world();
    let known = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    let request = world.request(0, vec![known]);
    world.send(0, request).unwrap();
    world.enrol(0, false);
    let entries = vec![world.pick(0, 1, "F2", "A-2", Some(ANNA)), world.pick(0, 1, "F2", "A-3", Some(ANNA))];
    let request = world.request(0, entries);
    world.send(0, request).unwrap();
    assert!(world.sites[0].state.overview(world.now, START).suspended);
    assert_eq!(tried(&world, 0), 1);
}

#[test]
fn case_19_a_key_removed_by_hand_while_the_box_was_offline_is_a_conflict() {
    let mut world = world();
    let pick = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.pass(Duration::from_secs(60));
    world.correct(0, "A-1", None);
    world.pass(Duration::from_secs(60));
    assert_eq!(world.told(0, vec![pick]), [ignored(Clash::KeyNotInBin)]);
    assert_eq!((world.conflicts(0), world.shows(0, "A-1")), (vec![1], (None, false, false)));
}

#[test]
fn case_20_a_roaming_key_taken_offline_at_a_dropped_offline_at_b_b_first() {
    let mut world = world();
    let taken = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    let key = world.bin(0, "A-1").key.unwrap();
    world.pass(Duration::from_secs(600));
    let dropped = world.drop(1, 1, "F1", "A-2", Some(ANNA));
    assert_eq!(world.told(1, vec![dropped]), [applied()]);
    assert_eq!(world.bin(1, "A-2").key, Some(key));
    assert_eq!(world.shows(0, "A-1"), (None, false, true), "unconfirmed until the late pick-up");
    world.pass(Duration::from_secs(600));
    assert_eq!(world.told(0, vec![taken]), [applied()]);
    assert_eq!(world.shows(0, "A-1"), (None, true, false));
    assert!((0..2).all(|site| world.conflicts(site).is_empty()), "no conflict, no mail");
}
