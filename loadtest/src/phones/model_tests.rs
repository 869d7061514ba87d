//! What the specification says, said of the model: else it would prove nothing.

use super::model::{
    Device, LOCKED_MS, Lists, Outcome, REPEAT_MS, SUSPENDED_MS, Served, Span, State, TEMPORARY_MS, WINDOW_MS,
};
use std::net::Ipv4Addr;

const HOME: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 9);
const START: u64 = 1_000_000;
/// Between being sent and being answered.
const TOOK: u64 = 20;

struct World {
    device: Device,
    lists: Lists,
    now: u64,
    rounds_max: u32,
}

impl World {
    fn new() -> Self {
        Self { device: Device::new("000123".into(), HOME), lists: Lists::default(), now: START, rounds_max: 3 }
    }

    fn span(&self) -> Span {
        Span::new(self.now, self.now + TOOK)
    }

    fn later(&mut self, ms: u64) {
        self.now += ms;
    }

    fn enter(&mut self, pap: &str) -> &'static str {
        let now = self.span();
        self.later(1000);
        self.device.authenticate(pap, &mut self.lists, now, self.rounds_max).word()
    }

    fn fetch(&mut self, from: Ipv4Addr, credential: Option<&str>) -> Served {
        let now = self.span();
        let served = self.device.deserves(from, credential, &self.lists, now);
        let read = (served == Served::Full).then_some("key");
        self.device.was_served(served, from, read, &mut self.lists, now);
        self.later(1000);
        served
    }

    /// Three different ones.
    fn fail(&mut self) -> Vec<&'static str> {
        ["111111", "222222", "333333"].iter().map(|pap| self.enter(pap)).collect()
    }
}

#[test]
fn the_right_one_at_29_59_is_refused_and_at_30_01_accepted() {
    let mut world = World::new();
    assert_eq!(world.fail(), ["wrong", "wrong", "failed"]);
    let locked = world.now - 1000;
    world.now = locked + LOCKED_MS - 1000;
    assert_eq!(world.enter("000123"), "failed");
    assert_eq!((world.device.locked_attempts, world.device.wrong(), world.device.rounds), (1, 3, 1));
    world.now = locked + LOCKED_MS + 1000;
    assert_eq!(world.enter("000123"), "accepted");
    assert_eq!((world.device.locked_attempts, world.device.wrong(), world.device.rounds), (0, 0, 0));
    assert!(!world.device.doubtful);
}

#[test]
fn the_third_lock_in_a_row_is_for_good() {
    let mut world = World::new();
    for last in ["failed", "failed", "blocked"] {
        assert_eq!(world.fail(), ["wrong", "wrong", last]);
        world.later(LOCKED_MS + 1000);
    }
    world.later(100 * LOCKED_MS);
    assert_eq!((world.enter("000123"), world.device.state), ("blocked", State::Blocked));
    world.lists.permanent = true;
    assert_eq!(world.fetch(HOME, None), Served::Minimal);
    let now = world.span();
    world.device.suspend(now);
    assert_eq!((world.fetch(HOME, None), world.device.state), (Served::Full, State::Blocked));
    world.later(SUSPENDED_MS + 1000);
    assert_eq!(world.fetch(HOME, Some("key")), Served::Minimal);
    let now = world.span();
    world.device.reset("000007".into(), now);
    assert_eq!((world.enter("000123"), world.enter("000007")), ("wrong", "accepted"));
}

#[test]
fn what_a_retrying_phone_repeats_counts_once() {
    let mut world = World::new();
    for expected in [1, 1, 1] {
        world.enter("111111");
        assert_eq!(world.device.wrong(), expected);
    }
    world.later(REPEAT_MS + 1000);
    world.enter("111111");
    assert_eq!(world.device.wrong(), 2);
    // Nobody can tell on which side of the ten seconds this is.
    let now = Span::new(world.now - 1000 + REPEAT_MS - 10, world.now - 1000 + REPEAT_MS + 10);
    world.device.authenticate("111111", &mut world.lists, now, 3);
    assert!(world.device.doubtful);
}

#[test]
fn the_window_is_for_the_address_that_asked_and_ends() {
    let mut world = World::new();
    assert_eq!(world.fetch(HOME, None), Served::Minimal);
    assert_eq!(world.enter("000123"), "accepted");
    assert_eq!(world.device.state, State::Provisioning);
    world.lists.temporary.clear();
    assert_eq!(world.fetch(ELSEWHERE, None), Served::Minimal);
    world.now = START + WINDOW_MS - 1000;
    assert_eq!((world.fetch(HOME, None), world.device.state), (Served::Full, State::Successful));
    assert_eq!((world.enter("000123"), world.device.pap.clone()), ("not_needed", None));
    world.now = START + WINDOW_MS + 2000;
    assert_eq!(world.fetch(HOME, None), Served::Minimal);
    assert!(world.device.is_lost());
    assert_eq!((world.fetch(HOME, Some("key")), world.device.is_lost()), (Served::Full, false));
    assert_eq!(world.fetch(ELSEWHERE, Some("other")), Served::Minimal);
}

#[test]
fn who_never_asked_has_no_window() {
    let mut world = World::new();
    assert_eq!((world.enter("000123"), world.fetch(HOME, None)), ("accepted", Served::Minimal));
    assert_eq!((world.enter("000123"), world.fetch(HOME, None)), ("accepted", Served::Full));
}

#[test]
fn a_right_pap_opens_its_site_for_eight_hours_and_a_provisioning_moves_the_end() {
    let mut world = World::new();
    world.fetch(HOME, None);
    let accepted = world.now;
    world.enter("000123");
    let mut neighbour = World { device: Device::new("000124".into(), HOME), ..World::new() };
    neighbour.lists = world.lists.clone();
    neighbour.now = accepted + TEMPORARY_MS - 60_000;
    assert_eq!(neighbour.fetch(HOME, None), Served::Full);
    let moved = neighbour.now - 1000;
    assert!(neighbour.lists.temporary[&HOME].holds(moved + TEMPORARY_MS));
    // Polling does not move it.
    assert_eq!(neighbour.fetch(HOME, Some("key")), Served::Full);
    assert!(neighbour.lists.temporary[&HOME].holds(moved + TEMPORARY_MS));
    let mut late = World { device: Device::new("000125".into(), HOME), ..World::new() };
    late.lists = neighbour.lists.clone();
    late.now = moved + TEMPORARY_MS + 60_000;
    assert_eq!(late.fetch(HOME, None), Served::Minimal);
}

#[test]
fn a_permanent_entry_serves_failed_ones_and_makes_no_temporary_one() {
    let mut world = World::new();
    world.lists.permanent = true;
    world.fail();
    assert_eq!(world.fetch(ELSEWHERE, None), Served::Minimal);
    assert_eq!((world.fetch(HOME, None), world.device.state), (Served::Full, State::Successful));
    assert_eq!((world.device.rounds, world.device.wrong()), (0, 0));
    assert!(world.lists.temporary.is_empty());
}

#[test]
fn a_suspension_asks_nothing_for_thirty_minutes() {
    let mut world = World::new();
    let now = world.span();
    world.device.suspend(now);
    world.later(SUSPENDED_MS - 1000);
    assert_eq!(world.fetch(ELSEWHERE, None), Served::Full);
    world.later(2000);
    assert_eq!(world.fetch(ELSEWHERE, None), Served::Minimal);
    assert_eq!(world.device.suspended, None);
}

#[test]
fn a_wrong_one_while_provisioning_counts_and_a_head_completes_nothing() {
    let mut world = World::new();
    world.fetch(HOME, None);
    world.enter("000123");
    let now = world.span();
    assert_eq!(world.device.deserves(HOME, None, &world.lists, now), Served::Full);
    world.device.was_served(Served::Full, HOME, None, &mut world.lists, now);
    assert_eq!(world.device.state, State::Provisioning);
    let outcome = world.device.authenticate("111111", &mut world.lists, now, 3);
    assert_eq!((outcome, world.device.state), (Outcome::Wrong { left: 2 }, State::Provisioning));
}

#[test]
fn a_restart_leaves_doubt_about_who_asked_last_until_it_asks_again() {
    let mut world = World::new();
    world.fetch(HOME, None);
    world.device.server_started_again();
    let mut other = World { device: world.device.clone(), ..World::new() };
    assert_eq!((other.enter("000123"), other.device.doubtful), ("accepted", false));
    // Another one asks a moment later: that need not have been noted.
    world.fetch(ELSEWHERE, None);
    world.lists.permanent = true;
    world.fetch(HOME, None);
    let now = world.span();
    world.device.reset("000007".into(), now);
    world.device.server_started_again();
    let mut asked = World { device: world.device.clone(), ..World::new() };
    assert_eq!((world.enter("000007"), world.device.doubtful), ("accepted", true));
    asked.fetch(HOME, None);
    assert_eq!((asked.enter("000007"), asked.device.doubtful), ("accepted", false));
}
