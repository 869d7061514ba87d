//! The server was restored from a backup: it is behind what it had receipted. The boxes send again what they still have.

use super::world::*;
use crate::boxes::*;
use std::time::Duration;

/// A key that goes in and out, and its journal; a backup after so many entries.
struct Story {
    world: World,
    backup: World,
    /// All entries ever written, from 1.
    journal: Vec<Entry>,
}

impl Story {
    fn new(before_backup: usize, after_backup: usize) -> Self {
        let mut world = World::new(1);
        world.add_key(0, "F1", Some("A-1"), true);
        world.add_key(0, "F2", Some("A-2"), true);
        world.grant(0, ANNA, Scope::Box);
        world.sync(0, vec![]);
        world.sync(0, vec![]);
        let mut story = Self { backup: world.fork(), world, journal: Vec::new() };
        story.live(before_backup);
        story.backup = story.world.fork();
        story.live(after_backup);
        story
    }

    /// Entries that are written and receipted at once.
    fn live(&mut self, entries: usize) {
        for _ in 0..entries {
            self.world.pass(Duration::from_secs(60));
            let entry = self.next();
            assert_eq!(self.world.sync(0, vec![entry.clone()]), [applied()]);
            self.journal.push(entry);
        }
    }

    fn next(&self) -> Entry {
        match self.journal.len() % 2 {
            0 => self.world.pick(0, 1, "F1", "A-1", Some(ANNA)),
            _ => self.world.drop(0, 1, "F1", "A-1", Some(ANNA)),
        }
    }

    fn restore(&mut self) {
        self.world.pass(Duration::from_secs(60));
        self.world.restore(&self.backup);
    }

    /// Entries from this number on, as a request.
    fn from(&self, seq: u64) -> SyncRequest {
        let entries = self.journal.iter().filter(|entry| entry.seq() >= seq).cloned().collect();
        let head = self.journal.last().map_or(0, Entry::seq);
        SyncRequest { head, ..self.world.request(0, entries) }
    }

    /// How often each entry was judged.
    fn judged(&self) -> Vec<u64> {
        let seq = |event: &Event| match event {
            Event::EntryJudged(judged) => Some(judged.seq),
            _ => None,
        };
        self.world.events_of(0).filter_map(seq).collect()
    }

    fn is_suspended(&self) -> bool {
        self.world.sites[0].state.overview(self.world.now, START).suspended
    }
}

#[test]
fn a_restored_server_says_where_to_resume_and_counts_every_entry_once() {
    let mut story = Story::new(3, 4);
    story.restore();
    // The box has nothing unsent: it asks as ever, and hears that the server wants the fourth.
    let answer = story.world.exchange(0, story.from(8));
    assert_eq!((answer.resume_at, answer.receipts.len(), answer.changes.full), (4, 0, true));
    assert_eq!(answer.cursor.map(|cursor| cursor.epoch), Some(2), "a newer epoch says that it was restored");
    assert!(!story.is_suspended(), "behind its receipts is no clone");
    let answer = story.world.exchange(0, story.from(4));
    assert_eq!(answer.receipts.iter().map(|receipt| receipt.outcome).collect::<Vec<_>>(), [applied(); 4]);
    assert_eq!((answer.resume_at, story.judged()), (8, (1..=7).collect()));
    assert_eq!(story.world.holder(0, story.world.sites[0].state.inventory().keys[0].key), Some(ANNA));
}

#[test]
fn what_the_restored_server_has_is_a_duplicate() {
    let mut story = Story::new(3, 2);
    story.restore();
    let answer = story.world.exchange(0, story.from(1));
    let again = Outcome::Duplicate;
    let outcomes: Vec<_> = answer.receipts.iter().map(|receipt| receipt.outcome).collect();
    assert_eq!(outcomes, [again, again, again, applied(), applied()]);
    assert_eq!(story.judged(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_cursor_of_the_life_before_gets_everything_also_when_the_answer_is_lost() {
    let mut story = Story::new(2, 2);
    story.restore();
    for _ in 0..3 {
        // Its cursor is of the old epoch, with a revision that the restored server reaches again meanwhile.
        let request = story.from(5);
        assert!(story.world.send(0, request).unwrap().changes.full);
    }
    let restored = story.world.events_of(0).filter(|event| matches!(event, Event::Restored { .. })).count();
    assert_eq!(restored, 1, "noticed once");
}

#[test]
fn entries_before_the_epoch_are_judged_by_what_the_restored_server_knows() {
    let mut story = Story::new(2, 0);
    // Granted and used after the backup: the grant is lost, what happened is not.
    story.world.grant(0, BEN, Scope::Box);
    story.world.sync(0, vec![]);
    let entry = story.world.pick(0, 1, "F2", "A-2", Some(BEN));
    assert_eq!(story.world.sync(0, vec![entry.clone()]), [applied()]);
    story.journal.push(entry);
    story.restore();
    let answer = story.world.exchange(0, story.from(3));
    assert_eq!(answer.receipts[0].outcome, flagged(Flag::NotPermitted), "applied, and administrators are told");
}

#[test]
fn what_a_box_has_thrown_away_is_noted_flagged_and_waited_for_no_longer() {
    let mut story = Story::new(4, 4);
    story.restore();
    let answer = story.world.exchange(0, story.from(9));
    assert_eq!(answer.resume_at, 5);
    // Of the eight it has kept the last two.
    let request = SyncRequest { kept_from: Some(7), ..story.from(7) };
    let answer = story.world.exchange(0, request.clone());
    assert_eq!((answer.resume_at, answer.receipts.len()), (9, 2));
    assert!(!story.is_suspended());
    let [number] = story.world.conflicts(0)[..] else { panic!("one conflict tells of the gap") };
    let conflict = story.world.conflict(0, number);
    assert_eq!((conflict.outcome, &*conflict.box_says.text.unwrap()), (ignored(Clash::JournalGap), "5 to 6"));
    let inventory = story.world.sites[0].state.inventory();
    // A-1 was opened again since, and found as expected.
    let doubtful: Vec<_> = inventory.bins.iter().filter(|bin| !bin.confirmed).map(|bin| bin.bin).collect();
    assert_eq!(doubtful, [label("A-2"), label("A-3")], "nobody knows what was done at the others");
    let answer = story.world.exchange(0, request);
    assert_eq!(answer.receipts.iter().map(|receipt| receipt.outcome).collect::<Vec<_>>(), [Outcome::Duplicate; 2]);
    assert_eq!(story.world.conflicts(0).len(), 1, "the gap is noted once");
    assert_eq!(story.judged(), [1, 2, 3, 4, 7, 8]);
    let row = story.world.conflict(0, number);
    let accept = |accept| Command::ResolveConflict { conflict: Box::new(row.clone()), accept };
    assert_eq!(story.world.run(0, accept(Accept::Box)), Err(No::Refused(Refusal::CannotAccept)));
    story.world.run(0, accept(Accept::ByHand)).unwrap();
    assert!(story.world.conflicts(0).is_empty());
}

#[test]
fn a_box_that_has_nothing_left_goes_on_behind_the_gap() {
    let mut story = Story::new(2, 3);
    story.restore();
    let request = SyncRequest { kept_from: Some(6), ..story.from(6) };
    assert_eq!(story.world.exchange(0, request).resume_at, 6);
    story.world.correct(0, "A-1", Some("F1"));
    story.world.sync(0, vec![]);
    let entry = story.world.pick(0, 1, "F1", "A-1", Some(ANNA));
    assert_eq!((entry.seq(), story.world.sync(0, vec![entry])), (6, vec![applied()]));
}

#[test]
fn a_box_that_says_it_has_less_than_it_shows_moves_nothing() {
    let mut story = Story::new(2, 2);
    story.restore();
    for wrong in [
        SyncRequest { kept_from: Some(9), ..story.from(5) },
        SyncRequest { kept_from: Some(u64::MAX), ..story.from(5) },
        SyncRequest { kept_from: Some(4), ..story.from(3) },
        SyncRequest { kept_from: Some(2), ..story.from(5) },
    ] {
        let mut world = story.world.fork();
        world.send(0, wrong).unwrap();
        assert!(world.conflicts(0).is_empty() && !world.sites[0].state.overview(world.now, START).suspended);
    }
}

#[test]
fn a_clone_is_noticed_after_a_restore_as_before() {
    let mut story = Story::new(3, 3);
    story.restore();
    story.world.exchange(0, story.from(4));
    story.world.pass(Duration::from_secs(60));
    let other = Entry::Read(line(5, story.world.now, Act::Opened, Some(label("A-3"))));
    let request = SyncRequest { head: 6, ..story.world.request(0, vec![other]) };
    story.world.send(0, request).unwrap();
    assert!(story.is_suspended());
}

#[test]
fn a_second_restore_begins_a_further_epoch() {
    let mut story = Story::new(2, 2);
    story.restore();
    story.world.exchange(0, story.from(3));
    story.restore();
    let answer = story.world.exchange(0, story.from(5));
    assert_eq!((answer.resume_at, answer.changes.full, answer.cursor.map(|cursor| cursor.epoch)), (3, true, Some(3)));
}
