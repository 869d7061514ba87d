//! A connected box: exchanges that the server decides, orders. A number in brackets names the case of
//! `docs/box-protocol.md`, "What a demanding user tries".

use super::world::*;
use crate::{boxes::*, kernel::*, orgs::Mark};
use std::time::Duration;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) struct Story {
    pub world: World,
    pub key: KeyId,
    exchanges: u128,
    /// What was typed besides.
    pub second: Second,
    /// The key that is said to hang on the fob.
    pub named: Option<KeyId>,
}

impl Story {
    /// F1 lies in A-1, and Anna may take everything.
    pub fn new() -> Self {
        let mut world = World::new(1);
        let key = world.add_key(0, "F1", Some("A-1"), false);
        world.grant(0, ANNA, Scope::Box);
        world.sync(0, vec![]);
        world.sync(0, vec![]);
        Self { world, key, exchanges: 0, second: Second::default(), named: None }
    }

    pub fn online(&mut self, command: OnlineCommand) -> Result<OnlineAnswer, Refusal> {
        match self.world.run(0, Command::Online(command)) {
            Ok(Answer::Online(answer)) => Ok(answer),
            Err(No::Refused(refusal)) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    pub fn ask_as(&mut self, id: u128, act: Act, by: Bearer) -> Result<OnlineAnswer, Refusal> {
        let (token_hash, head) = (self.world.token(0), self.world.sites[0].seq);
        let shown = match by {
            Bearer::Signed(Signed { pass: Some(pass), .. }) => Some(By::Pass(pass.id)),
            Bearer::Signed(_) => Some(By::PersonalQr),
            _ => None,
        };
        let asked =
            Asked { id: ExchangeId(id), act, by, shown, size: None, named: self.named, second: self.second, head };
        self.online(OnlineCommand::Ask { token_hash, asked: Box::new(asked) })
    }

    pub fn ask(&mut self, act: Act, by: Bearer) -> Result<OnlineAnswer, Refusal> {
        self.exchanges += 1;
        self.ask_as(self.exchanges, act, by)
    }

    #[track_caller]
    pub fn decided(&mut self, act: Act, by: Bearer) -> Decision {
        match self.ask(act, by) {
            Ok(OnlineAnswer::Decided(decision)) => decision,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn refused(&mut self, act: Act, by: Bearer, why: OnlineRefusal) {
        assert_eq!(self.ask(act, by), Err(Refusal::Online(why)));
    }

    pub fn end(&mut self, exchange: ExchangeId, end: End) -> Result<OnlineAnswer, Refusal> {
        let token_hash = self.world.token(0);
        self.online(OnlineCommand::Conclude { token_hash, exchange, end })
    }

    pub fn complete(&mut self, exchange: ExchangeId) -> Result<OnlineAnswer, Refusal> {
        self.end(exchange, End::Completed { fob: None })
    }

    pub fn entry(&self, after: u64, act: Act, bin: &str, exchange: ExchangeId) -> Entry {
        match self.world.entry(0, after, act, bin, None) {
            Entry::Read(read) => Entry::Read(JournalEntry { exchange: Some(exchange), ..read }),
            other => other,
        }
    }

    pub fn lines(&self) -> Vec<HistoryItem> {
        let events = &self.world.sites[0].events;
        events.iter().filter_map(|(stamp, event)| history_item(event, *stamp)).collect()
    }

    pub fn order(&mut self, order: Order) -> Result<u64, Refusal> {
        match self.online(OnlineCommand::Give { order, forget: None })? {
            OnlineAnswer::Done { revision } => Ok(revision),
            other => panic!("{other:?}"),
        }
    }

    pub fn fetch(&mut self) -> Vec<u64> {
        let token_hash = self.world.token(0);
        match self.online(OnlineCommand::Fetch { token_hash }) {
            Ok(OnlineAnswer::Orders(orders)) => orders.into_iter().map(|order| order.number).collect(),
            other => panic!("{other:?}"),
        }
    }

    pub fn report(&mut self, order: u64, results: &[(&str, Opening)]) -> Result<OnlineAnswer, Refusal> {
        let token_hash = self.world.token(0);
        let results = results.iter().map(|(bin, outcome)| BinResult { bin: label(bin), outcome: *outcome }).collect();
        self.online(OnlineCommand::Report { token_hash, order, results })
    }

    pub fn row(&self, number: u64) -> OrderRow {
        let key = order_key(self.world.id(0), number).to_vec();
        OrderRow::decode_from(&self.world.rows[&(RowSpace::BoxOrders as u8, key)]).unwrap()
    }
}

pub(super) fn take(serial: &str) -> Act {
    Act::PickUp(fob(serial))
}

pub(super) fn leave(serial: &str) -> Act {
    Act::DropOff(fob(serial))
}

pub(super) const BY_ANNA: Bearer = Bearer::Person(ANNA);
pub(super) const BY_BEN: Bearer = Bearer::Person(BEN);

#[test]
fn a_key_is_taken_and_brought_back() {
    let mut story = Story::new();
    let decision = story.decided(take("F1"), BY_ANNA);
    assert_eq!((decision.bin, decision.person), (label("A-1"), Some(ANNA)));
    assert_eq!(story.world.holder(0, story.key), None, "nothing has happened yet");
    story.complete(decision.id).unwrap();
    assert_eq!(story.world.holder(0, story.key), Some(ANNA));
    assert_eq!(story.world.shows(0, "A-1"), (None, true, false));
    story.complete(decision.id).unwrap();
    story.refused(take("F1"), BY_ANNA, OnlineRefusal::KeyNotHere);
    let back = story.decided(leave("F1"), BY_ANNA);
    story.complete(back.id).unwrap();
    assert_eq!(story.world.shows(0, "A-1").0, Some("F1".to_owned()));
    let lines = story.lines();
    assert_eq!(
        lines.iter().map(|line| (line.kind, line.offline)).collect::<Vec<_>>(),
        [(HistoryKind::PickUp, false), (HistoryKind::DropOff, false)]
    );
    assert_eq!(lines[0].exchange, Some(decision.id));
    // [3] Offline it falls back to its stored state; what it did online comes with the next sync.
    story.world.sync(0, vec![]);
}

#[test]
fn case_1_what_is_not_completed_in_twenty_seconds_has_not_happened() {
    for with_tick in [false, true] {
        let mut story = Story::new();
        let decision = story.decided(take("F1"), BY_ANNA);
        story.refused(take("F1"), BY_ANNA, OnlineRefusal::UnderWay);
        story.world.pass(20 * SECOND);
        if with_tick {
            story.world.run(0, Command::Tick).unwrap();
        }
        assert_eq!(story.complete(decision.id), Err(Refusal::Online(OnlineRefusal::ExchangeEnded)));
        assert_eq!(story.world.shows(0, "A-1").0, Some("F1".to_owned()));
        let mut cancelled = Story { world: story.world.fork(), ..story };
        let again = cancelled.decided(take("F1"), BY_ANNA);
        cancelled.end(again.id, End::Cancelled).unwrap();
        cancelled.decided(take("F1"), BY_ANNA);
    }
}

#[test]
fn case_1_a_completion_through_the_journal_counts_once() {
    let mut story = Story::new();
    let decision = story.decided(take("F1"), BY_ANNA);
    story.world.pass(30 * SECOND);
    let entry = story.entry(1, take("F1"), "A-1", decision.id);
    assert_eq!(story.world.sync(0, vec![entry.clone()]), [applied()]);
    assert_eq!(story.world.holder(0, story.key), Some(ANNA), "the box need not know who it was");
    assert!(!story.lines()[0].offline, "the server had decided it");
    let mut again = story.world.request(0, vec![entry]);
    again.head = 1;
    let answer = story.world.exchange(0, again);
    assert_eq!(answer.receipts[0].outcome, Outcome::Duplicate);
    assert_eq!(story.lines().len(), 1);
}

#[test]
fn case_1_a_completion_whose_answer_was_lost_counts_once() {
    let mut story = Story::new();
    let decision = story.decided(take("F1"), BY_ANNA);
    story.complete(decision.id).unwrap();
    // Somebody brings it back meanwhile: the entry about the pick-up changes nothing any more.
    let back = story.decided(leave("F1"), BY_BEN);
    story.complete(back.id).unwrap();
    let entry = story.entry(1, take("F1"), "A-1", decision.id);
    assert_eq!(story.world.sync(0, vec![entry]), [applied()]);
    assert_eq!(story.world.shows(0, "A-1"), (Some("F1".to_owned()), true, false));
    assert_eq!((story.lines().len(), story.world.conflicts(0)), (2, vec![]));
}

#[test]
fn case_3_taken_online_and_brought_back_offline() {
    let mut story = Story::new();
    let decision = story.decided(take("F1"), BY_ANNA);
    story.complete(decision.id).unwrap();
    let entry = story.world.drop(0, 1, "F1", "A-2", Some(ANNA));
    assert_eq!(story.world.sync(0, vec![entry]), [applied()]);
    assert_eq!(story.world.shows(0, "A-2").0, Some("F1".to_owned()));
    assert_eq!(story.lines().iter().map(|line| line.offline).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_permission_is_judged_when_it_is_asked_for() {
    let mut story = Story::new();
    let access = story.world.grant(0, BEN, Scope::Key(story.key));
    let decision = story.decided(take("F1"), BY_BEN);
    story.world.run(0, Command::Revoke { access }).unwrap();
    story.complete(decision.id).unwrap();
    assert_eq!(story.lines()[0].outcome, applied());
    let back = story.decided(leave("F1"), BY_BEN);
    story.complete(back.id).unwrap();
    story.refused(take("F1"), BY_BEN, OnlineRefusal::NotPermitted);
}

#[test]
fn an_administrator_who_was_first_makes_a_conflict() {
    let mut story = Story::new();
    let decision = story.decided(take("F1"), BY_ANNA);
    story.world.correct(0, "A-1", None);
    story.complete(decision.id).unwrap();
    let conflicts = story.world.conflicts(0);
    assert_eq!(conflicts.len(), 1);
    assert_eq!(story.world.conflict(0, conflicts[0]).outcome, ignored(Clash::KeyNotInBin));
}

#[test]
fn a_box_that_has_something_to_tell_is_decided_nothing_for() {
    let mut story = Story::new();
    let entry = story.world.entry(0, 1, Act::Opened, "A-3", None);
    let ask = |story: &mut Story, head| {
        let token_hash = story.world.token(0);
        let asked = Asked {
            id: ExchangeId(77),
            act: take("F1"),
            by: BY_ANNA,
            shown: None,
            size: None,
            named: None,
            second: Second::default(),
            head,
        };
        story.online(OnlineCommand::Ask { token_hash, asked: Box::new(asked) })
    };
    let reconciling = Err(Refusal::Online(OnlineRefusal::Reconciling));
    assert_eq!(ask(&mut story, 1), reconciling, "an entry that was never sent");
    let request = SyncRequest { more: true, head: 2, ..story.world.request(0, vec![entry]) };
    story.world.exchange(0, request);
    assert_eq!(ask(&mut story, 1), reconciling, "the journal is not known to its end");
    story.world.sites[0].seq = 2;
    let entry = match story.world.entry(0, 0, Act::Opened, "A-3", None) {
        Entry::Read(read) => Entry::Read(JournalEntry { seq: 2, ..read }),
        other => other,
    };
    story.world.sync(0, vec![entry]);
    assert!(ask(&mut story, 2).is_ok());
    let token_hash = SecretHash([9; 32]);
    let end = End::Cancelled;
    let no = story.online(OnlineCommand::Conclude { token_hash, exchange: ExchangeId(77), end });
    assert_eq!(no, Err(Refusal::TokenInvalid));
}

#[test]
fn wrong_codes_are_counted_and_then_nothing_is_taken() {
    let mut story = Story::new();
    for _ in 0..10 {
        assert_eq!(story.ask(take("F1"), Bearer::Nobody), Ok(OnlineAnswer::Unknown));
    }
    for by in [Bearer::Nobody, BY_ANNA] {
        story.refused(take("F1"), by, OnlineRefusal::Throttled { retry_s: 600 });
    }
    story.world.pass(599 * SECOND);
    story.refused(take("F1"), BY_ANNA, OnlineRefusal::Throttled { retry_s: 1 });
    story.world.pass(SECOND);
    assert_eq!(story.ask(take("F1"), Bearer::Nobody), Ok(OnlineAnswer::Unknown), "BOX-10: one more in ten minutes");
    story.refused(take("F1"), BY_ANNA, OnlineRefusal::Throttled { retry_s: 600 });
    story.world.pass(601 * SECOND);
    story.decided(take("F1"), BY_ANNA);
}

#[test]
fn quick_scan_is_a_setting() {
    let mut story = Story::new();
    story.refused(take("F1"), Bearer::Anonymous, OnlineRefusal::PersonNeeded);
    let taken = story.decided(take("F1"), BY_ANNA);
    story.complete(taken.id).unwrap();
    story.online(OnlineCommand::Set { quick_scan: Some(false), second_factor: None }).unwrap();
    story.refused(leave("F1"), Bearer::Anonymous, OnlineRefusal::PersonNeeded);
    story.online(OnlineCommand::Set { quick_scan: Some(true), second_factor: None }).unwrap();
    let back = story.decided(leave("F1"), Bearer::Anonymous);
    assert_eq!(back.person, None);
    story.complete(back.id).unwrap();
    assert_eq!(story.lines().last().map(|line| line.person), Some(None));
}

#[test]
fn case_7_the_end_of_an_access_stops_no_drop_off() {
    let mut story = Story::new();
    let taken = story.decided(take("F1"), BY_ANNA);
    story.complete(taken.id).unwrap();
    story.world.hear(0, BoxMessage::PersonGone { person: ANNA });
    let back = story.decided(leave("F1"), BY_ANNA);
    story.complete(back.id).unwrap();
    assert_eq!(story.lines().last().map(|line| line.outcome), Some(applied()));
}

#[test]
fn case_8_a_fob_from_elsewhere_is_taken() {
    let mut story = Story::new();
    let there = story.world.add_box(Model::MS5, &["B-1"]);
    story.world.add_key(there, "F9", Some("B-1"), false);
    story.world.settle();
    let decision = story.decided(leave("F9"), BY_ANNA);
    story.complete(decision.id).unwrap();
    story.world.settle();
    let lines = story.lines();
    assert_eq!(
        lines.last().map(|line| (line.kind, line.outcome)),
        Some((HistoryKind::MovedIn, flagged(Flag::MayNotBeDroppedHere)))
    );
}

#[test]
fn a_keys_code_opens_for_that_key_and_names_nobody() {
    let mut story = Story::new();
    let other = story.world.add_key(0, "F2", Some("A-2"), false);
    let mark = Mark([7; 16]);
    let set = Command::SetKeyCode {
        key: other,
        mark: Some(mark),
        verifier: Some(Verifier([7; 16])),
        generation: 1,
        base: story.world.sites[0].state.key_codes_sealed(),
        plain: Vec::new().into(),
    };
    story.world.run(0, set).unwrap();
    story.refused(take("F1"), Bearer::KeyCode(mark), OnlineRefusal::NotPermitted);
    story.refused(take("F2"), Bearer::KeyCode(Mark([8; 16])), OnlineRefusal::NotPermitted);
    let taken = story.decided(take("F2"), Bearer::KeyCode(mark));
    assert_eq!((taken.bin, taken.person), (label("A-2"), None));
    story.complete(taken.id).unwrap();
    let back = story.decided(leave("F2"), Bearer::KeyCode(mark));
    assert_eq!(back.person, None);
}

#[test]
fn a_bookings_code_opens_for_that_access_alone() {
    let mut story = Story::new();
    let other = story.world.add_key(0, "F2", Some("A-2"), false);
    let access = story.world.grant(0, BEN, Scope::Key(other));
    let by = Bearer::Booking(BEN, [AccessId(98), access].into());
    story.refused(take("F1"), by.clone(), OnlineRefusal::NotPermitted);
    story.refused(take("F2"), Bearer::Booking(BEN, [AccessId(99)].into()), OnlineRefusal::NotPermitted);
    story.refused(take("F2"), Bearer::Booking(ANNA, [access].into()), OnlineRefusal::NotPermitted);
    assert_eq!(story.decided(take("F2"), by).person, Some(BEN));
}

#[test]
fn case_9_a_full_box_says_why() {
    let mut story = Story::new();
    let state = |story: &mut Story, bin: &str, state| {
        story.world.run(0, Command::SetBin { bin: label(bin), state: Some(state), size: None }).unwrap();
    };
    story.world.add_key(0, "F2", Some("A-2"), false);
    story.refused(leave("F1"), BY_ANNA, OnlineRefusal::KeyInBin);
    state(&mut story, "A-3", BinState::Protected);
    story.refused(leave("X"), BY_ANNA, OnlineRefusal::OnlyProtectedLeft);
    state(&mut story, "A-3", BinState::Disabled);
    story.refused(leave("X"), BY_ANNA, OnlineRefusal::OnlyProtectedLeft);
    state(&mut story, "A-3", BinState::Enabled);
    let last = story.decided(leave("X"), BY_ANNA);
    assert_eq!(last.bin, label("A-3"));
    story.refused(leave("Y"), BY_ANNA, OnlineRefusal::UnderWay);
    story.complete(last.id).unwrap();
    story.refused(leave("Y"), BY_ANNA, OnlineRefusal::NoFreeBin);
    state(&mut story, "A-1", BinState::Protected);
    story.refused(take("F1"), BY_ANNA, OnlineRefusal::BinClosed);
    story.refused(take("F2"), BY_BEN, OnlineRefusal::NotPermitted);
}

#[test]
fn a_bin_of_whose_emptiness_nobody_is_sure_comes_last() {
    let mut story = Story::new();
    let entry = story.world.entry(0, 1, Act::Opened, "A-2", None);
    story.world.sync(0, vec![entry]);
    assert_eq!(story.decided(leave("X"), BY_ANNA).bin, label("A-3"));
    assert_eq!(story.decided(leave("Y"), BY_ANNA).bin, label("A-2"));
}

#[test]
fn an_answer_that_was_lost_is_given_again() {
    let mut story = Story::new();
    let first = story.ask_as(5, take("F1"), BY_ANNA);
    assert_eq!(story.ask_as(5, take("F1"), BY_ANNA), first);
    assert_eq!(story.ask_as(5, leave("F1"), BY_ANNA), Err(Refusal::Online(OnlineRefusal::ExchangeEnded)));
    assert_eq!(story.world.events_of(0).filter(|event| matches!(event, Event::Online(_))).count(), 1);
}

#[test]
fn what_has_ended_is_forgotten_when_the_journal_is_known_to_its_end() {
    let mut story = Story::new();
    let size = story.world.sites[0].state.size_in_memory();
    for _ in 0..40 {
        let taken = story.decided(take("F1"), BY_ANNA);
        story.complete(taken.id).unwrap();
        let back = story.decided(leave("F1"), BY_ANNA);
        story.complete(back.id).unwrap();
    }
    story.world.sync(0, vec![]);
    assert!(story.world.sites[0].state.size_in_memory() > size);
    story.world.pass(700 * SECOND);
    story.world.sync(0, vec![]);
    assert_eq!(story.world.sites[0].state.size_in_memory(), size);
}

#[test]
fn what_was_decided_is_so_though_the_key_turned_up_elsewhere_first() {
    let mut world = World::new(2);
    let key = world.add_key(0, "F1", Some("A-1"), true);
    let access = world.grant(0, ANNA, Scope::Box);
    for site in [0, 0, 1, 1] {
        world.sync(site, vec![]);
    }
    let mut story = Story { world, key, exchanges: 0, second: Second::default(), named: None };
    let decision = story.decided(take("F1"), BY_ANNA);
    let dropped = story.world.drop(1, 1, "F1", "A-2", None);
    assert_eq!(story.world.told(1, vec![dropped]), [applied()]);
    story.world.run(0, Command::Revoke { access }).unwrap();
    // The box does not know who it was, and the access is gone: it was judged when the box asked.
    let entry = story.entry(1, take("F1"), "A-1", decision.id);
    assert_eq!(story.world.told(0, vec![entry]), [applied()]);
    let line = story.lines().into_iter().find(|line| line.kind == HistoryKind::PickUp).unwrap();
    assert_eq!((line.person, line.key), (Some(ANNA), Some(key)));
}
