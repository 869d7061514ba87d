//! By the numbers of what a demanding user tries, as far as one device shows it.

use super::*;
use crate::devices::{
    Authentication,
    trust::{self},
    words::LOCKED_ATTEMPTS_MAX,
};
use crate::{
    devices::{Contact, DeviceRow},
    orgs::Phones,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn three_wrong(story: &mut Story) {
    for text in ["100000", "200000", "300000"] {
        story.enter(text);
    }
}

fn why(story: &Story, from: IpAddr) -> Option<Why> {
    trust::why(&DeviceRow::of(story.known()), &Phones::default(), Some(from), None, false, story.now)
}

fn delivered(story: &mut Story, why: Why) {
    let salt = story.known().credential.unwrap();
    story.tell(Command::Delivered { salt, to: Some(PHONE), why }).unwrap();
}

#[test]
fn n1_after_three_wrong_the_right_one_waits_thirty_minutes() {
    let mut story = Story::new();
    assert_eq!(story.enter("100000"), Outcome::Wrong { left: 2 });
    assert_eq!(story.enter("200000"), Outcome::Wrong { left: 1 });
    let until = story.now.plus(30 * MINUTE);
    assert_eq!(story.enter("300000"), Outcome::Failed { until });
    story.pass(30 * MINUTE - SECOND);
    assert_eq!(story.enter(RIGHT), Outcome::Failed { until });
    assert_eq!(story.known().locked_attempts, 1);
    story.pass(2 * SECOND);
    assert_eq!(story.enter(RIGHT), Outcome::Accepted);
    assert_eq!((story.known().rounds, story.known().wrong.len(), story.known().locked_attempts), (0, 0, 0));
}

#[test]
fn n3_twenty_guesses_at_once_are_three_judged() {
    let mut story = Story::new();
    for n in 0..20 {
        story.enter(&format!("9000{n:02}"));
    }
    assert_eq!(story.count(|event| matches!(event, Event::Guessed { .. })), 3);
    assert_eq!(story.known().locked_attempts, 17);
    for n in 0..1000 {
        story.enter(&format!("{n:06}"));
    }
    assert_eq!(story.known().locked_attempts, LOCKED_ATTEMPTS_MAX, "nobody buys more records");
}

#[test]
fn n4_a_new_process_knows_counts_and_times() {
    let mut story = Story::new();
    story.enter("100000");
    story.enter("200000");
    story.device = story.reloaded();
    assert!(matches!(story.enter("300000"), Outcome::Failed { .. }));
    story.pass(10 * MINUTE);
    story.device = story.reloaded();
    story.pass(20 * MINUTE - SECOND);
    assert!(matches!(story.enter(RIGHT), Outcome::Failed { .. }));
}

#[test]
fn n5_the_third_lock_in_a_row_is_for_good() {
    let mut story = Story::new();
    for _ in 0..2 {
        three_wrong(&mut story);
        assert!(matches!(story.known().authentication, Authentication::Failed { .. }));
        story.pass(30 * MINUTE);
    }
    three_wrong(&mut story);
    assert_eq!(story.known().authentication, Authentication::Blocked);
    story.pass(1000 * 24 * 60 * MINUTE);
    story.tell(Command::Tick).unwrap();
    assert_eq!(story.enter(RIGHT), Outcome::Blocked);
    story.tell(Command::Suspend).unwrap();
    assert_eq!(why(&story, PHONE), Some(Why::Suspension));
    story.tell(Command::Admit { salt: salt(3) }).unwrap();
    delivered(&mut story, Why::Suspension);
    assert_eq!(story.known().authentication, Authentication::Blocked, "only a reset leads out");
    story.tell(Command::Reset { pap: fresh("654321") }).unwrap();
    assert_eq!(story.enter(RIGHT), Outcome::Wrong { left: 2 }, "the old PAP is dead");
    assert_eq!(story.enter("654321"), Outcome::Accepted);
}

#[test]
fn n6_a_reset_takes_credential_window_and_counts() {
    let mut story = Story::new();
    story.enter(RIGHT);
    delivered(&mut story, Why::Pap);
    assert!(story.known().pap.is_none() && story.known().authentication.is_done());
    assert_eq!(story.enter(RIGHT), Outcome::NotNeeded);
    assert_eq!(story.tell(Command::ShowPap), Err(Refusal::NoPap));
    story.tell(Command::Reset { pap: fresh("654321") }).unwrap();
    assert_eq!(why(&story, PHONE), None);
    assert_eq!((story.known().credential, story.known().previous, story.known().window), (None, None, None));
    // What was on its way when the reset came changes nothing.
    story.tell(Command::Delivered { salt: salt(1), to: Some(PHONE), why: Why::Pap }).unwrap();
    assert_eq!(story.known().authentication, Authentication::Required);
}

#[test]
fn n7_a_suspension_lasts_thirty_minutes_and_survives() {
    let mut story = Story::new();
    story.tell(Command::Suspend).unwrap();
    story.pass(30 * MINUTE - SECOND);
    story.device = story.reloaded();
    assert_eq!(why(&story, PHONE), Some(Why::Suspension));
    assert_eq!(story.known().authentication, Authentication::Required, "it is no state");
    story.pass(SECOND);
    assert_eq!(why(&story, PHONE), None, "by itself, without a tick");
    assert!(story.device.next_deadline().is_some_and(|due| due <= story.now));
    story.tell(Command::Tick).unwrap();
    assert!(story.device.next_deadline().is_none());
}

#[test]
fn n17_the_window_is_the_phones_own() {
    let other: IpAddr = "198.51.100.9".parse().unwrap();
    let mut story = Story::new();
    assert_eq!(why(&story, PHONE), None);
    assert_eq!(story.enter(RIGHT), Outcome::Accepted);
    assert_eq!((why(&story, PHONE), why(&story, other)), (Some(Why::Pap), None));
    story.pass(10 * MINUTE);
    assert_eq!(why(&story, PHONE), None);
    assert_eq!(story.known().authentication, Authentication::Successful { provisioned: false });
    assert_eq!(story.enter(RIGHT), Outcome::Accepted, "its PAP holds until it is provisioned");
    assert_eq!(why(&story, PHONE), Some(Why::Pap));
    // Whoever never fetched has no window.
    let mut unseen = Story::new();
    unseen.tell(guess_from(RIGHT, None)).unwrap();
    assert_eq!(why(&unseen, PHONE), None);
    assert!(unseen.effects.is_empty(), "and puts no address on the whitelist");
}

#[test]
fn a_retrying_phone_is_counted_once() {
    let mut story = Story::new();
    story.enter("100000");
    story.pass(9 * SECOND);
    assert_eq!(story.enter("100000"), Outcome::Wrong { left: 2 });
    assert_eq!(story.enter("200000"), Outcome::Wrong { left: 1 });
    assert_eq!(story.enter("100000"), Outcome::Wrong { left: 1 }, "although another one came between");
    story.pass(SECOND);
    assert!(matches!(story.enter("100000"), Outcome::Failed { .. }));
    let mut story = Story::new();
    story.enter(RIGHT);
    let events = story.history.len();
    story.pass(9 * SECOND);
    assert_eq!(story.enter(RIGHT), Outcome::Accepted);
    assert_eq!(story.history.len(), events, "the right one too");
}

#[test]
fn the_guesses_while_provisioning_count() {
    let mut story = Story::new();
    story.enter(RIGHT);
    three_wrong(&mut story);
    assert!(matches!(story.known().authentication, Authentication::Failed { .. }));
    delivered(&mut story, Why::Pap);
    assert!(story.known().authentication.is_done(), "who was trusted stays trusted");
}

#[test]
fn a_replaced_credential_dies_when_the_new_one_is_used() {
    let mut story = Story::new();
    story.tell(guess(RIGHT)).unwrap();
    story.pass(11 * MINUTE);
    let Command::Authenticate { guess, trace, seen, rules, .. } = guess(RIGHT) else { unreachable!() };
    story.tell(Command::Authenticate { guess, trace, seen, rules, salt: salt(2) }).unwrap();
    assert_eq!((story.known().credential, story.known().previous), (Some(salt(2)), Some(salt(1))));
    story.tell(Command::Used { salt: salt(1) }).unwrap();
    assert_eq!(story.known().previous, Some(salt(1)));
    story.tell(Command::Delivered { salt: salt(1), to: None, why: Why::Credential }).unwrap();
    assert!(!story.known().authentication.is_done(), "it was the old file");
    story.tell(Command::Used { salt: salt(2) }).unwrap();
    assert_eq!(story.known().previous, None);
}

#[test]
fn contacts_are_noted_when_they_change_and_seldom_else() {
    let mut story = Story::new();
    let contact = |file: &str, full| {
        Command::Seen(Contact { address: PHONE, user_agent: "snom".into(), file: file.into(), full })
    };
    let seen = |story: &Story| story.count(|event| matches!(event, Event::Seen(_)));
    for _ in 0..29 {
        story.tell(contact("a", false)).unwrap();
        story.pass(10 * SECOND);
    }
    assert_eq!(seen(&story), 1);
    story.pass(10 * SECOND);
    story.tell(contact("a", false)).unwrap();
    assert_eq!(seen(&story), 2);
    for n in 0..50 {
        story.tell(contact(if n % 2 == 0 { "b" } else { "a" }, false)).unwrap();
    }
    assert_eq!(seen(&story), 2, "who changes all the time is noted every ten seconds");
    story.tell(contact("a", true)).unwrap();
    assert_eq!(seen(&story), 3, "who has just got everything does not seem lost");
}

#[test]
fn who_comes_from_elsewhere_is_noted_within_a_second() {
    let mut story = Story::new();
    let contact = |address: &str, full| {
        let address = address.parse().unwrap();
        Command::Seen(Contact { address, user_agent: "snom".into(), file: "a".into(), full })
    };
    let mut noted = |address: &str, full, after| {
        story.pass(after);
        let before = story.history.len();
        story.tell(contact(address, full)).unwrap();
        story.history.len() > before
    };
    assert!(noted("192.0.2.7", false, SECOND));
    assert!(!noted("192.0.2.8", false, SECOND / 2), "two that come in turns are noted once a second");
    assert!(noted("192.0.2.8", false, SECOND / 2));
    assert!(noted("192.0.2.8", true, SECOND / 2));
    assert!(!noted("192.0.2.9", true, SECOND), "where it is given everything opens nothing");
    assert!(noted("192.0.2.8", false, SECOND), "it has lost everything");
}

#[test]
fn another_mac_is_another_phone() {
    let mut story = Story::new();
    story.enter(RIGHT);
    let mac = Mac([0, 4, 0x13, 0, 0, 9]);
    let contact = Contact { address: PHONE, user_agent: "snom".into(), file: "a".into(), full: false };
    story.tell(Command::Seen(contact)).unwrap();
    let changes = Changes { mac: Some(mac), label: Some("Bar".into()), ..Changes::default() };
    story.tell(Command::Change { changes, pap: fresh("111111") }).unwrap();
    assert_eq!(story.known().contact, None, "from where the other one came opens no window");
    assert_eq!(story.known().authentication, Authentication::Required);
    assert_eq!((story.known().description.mac, story.known().credential), (mac, None));
    assert_eq!(story.enter("111111"), Outcome::Accepted);
    let events = story.history.len();
    story.tell(Command::Change { changes: Changes::default(), pap: fresh("222222") }).unwrap();
    assert_eq!(story.history.len(), events, "nothing is changed by nothing");
}

#[test]
fn claims_are_taken_and_given_back() {
    fn claims(device: &Device, command: &Command, now: UnixMillis) -> Vec<String> {
        let (mut events, mut claims) = (Vec::new(), Vec::new());
        device.decide(command, 0, &context(now), &mut events).unwrap();
        device.claims(command, &events, &mut claims);
        let said = |op: ClaimOp| match op {
            ClaimOp::Take { space, .. } => format!("+{space:?}"),
            ClaimOp::Release { space, .. } => format!("-{space:?}"),
            other => panic!("{other:?}"),
        };
        claims.into_iter().map(said).collect()
    }
    let create = Command::Create { description: described(), accounts: None, pap: fresh(RIGHT) };
    assert_eq!(claims(&Device::blank(DEVICE.at(ORG)), &create, START), ["+DeviceMac", "+Pap"]);
    let mut story = Story::new();
    assert_eq!(claims(&story.device, &Command::Reset { pap: fresh(RIGHT) }, START), [""; 0], "the same again");
    assert_eq!(claims(&story.device, &Command::Reset { pap: fresh("999999") }, START), ["+Pap", "-Pap"]);
    assert_eq!(claims(&story.device, &Command::Delete, START), ["-DeviceMac", "-Pap"]);
    story.enter(RIGHT);
    let done = Command::Delivered { salt: salt(1), to: None, why: Why::Pap };
    assert_eq!(claims(&story.device, &done, START), ["-Pap"]);
}

#[test]
fn what_is_gone_stays_gone() {
    let mut story = Story::new();
    story.tell(Command::Delete).unwrap();
    story.tell(Command::Delete).unwrap();
    story.tell(Command::Tick).unwrap();
    assert_eq!(story.tell(guess(RIGHT)), Err(Refusal::NotFound));
    let again = Command::Create { description: described(), accounts: None, pap: fresh(RIGHT) };
    assert_eq!(story.tell(again), Err(Refusal::AlreadyExists));
}
