//! What administrators try.

use super::*;
use VerificationKind::{EmailDomain, Iuv, Shibboleth, UserImport};
use VerificationState::{Active, Inactive, Test};

#[test]
fn a_new_store_begins_with_user_import_and_three_groups() {
    let story = Story::new();
    let known = story.known();
    assert_eq!(known.verifications.iter().map(|v| (v.kind, v.state)).collect::<Vec<_>>(), [(UserImport, Active)]);
    let groups: Vec<_> = known.class("Academic_Statuses").unwrap().groups.iter().map(|group| &*group.code).collect();
    assert_eq!(groups, ["students", "faculty", "staff"]);
    assert_eq!(story.claims.len(), 1, "its system name");
}

#[test]
fn of_single_sign_ons_one_is_in_test_and_one_is_active() {
    let mut story = Story::new();
    let first = story.ready_iuv(1);
    assert_eq!(story.state(first), Test);
    let second = story.ready_iuv(2);
    assert_eq!((story.state(first), story.state(second)), (Inactive, Test), "one of the same kind gives way");
    let shibboleth = story.add(Shibboleth).unwrap();
    assert_eq!((story.state(second), story.state(shibboleth)), (Inactive, Test), "and one of the other kind");
    story.put(first, Active).unwrap();
    assert_eq!(story.state(shibboleth), Test, "one is active, another is tried out");
    story.put(second, Active).unwrap();
    assert_eq!((story.state(first), story.state(second)), (Inactive, Active));
    story.put(second, Test).unwrap();
    assert_eq!((story.state(shibboleth), story.state(second)), (Inactive, Test));
    story.put(second, Inactive).unwrap();
    assert_eq!(story.put(second, Inactive), Ok(0));
    assert_eq!(story.state(1), Active, "another class is not concerned");
}

#[test]
fn other_kinds_are_there_once() {
    let mut story = Story::new();
    assert_eq!(story.add(UserImport), Err(Refusal::KindTaken));
    story.add(EmailDomain).unwrap();
    assert_eq!(story.add(EmailDomain), Err(Refusal::KindTaken));
    let sealed = story.sealed();
    story.tell(Command::RemoveVerification { verification: 1, sealed }).unwrap();
    assert_eq!(story.add(UserImport), Ok(3), "numbers are not used again");
}

#[test]
fn what_lacks_something_is_not_activated() {
    let mut story = Story::new();
    let iuv = story.add(Iuv).unwrap();
    assert_eq!(story.put(iuv, Active), Err(Refusal::NotReady));
    story.save(iuv, 1, false, Duration::ZERO).unwrap();
    assert_eq!(story.put(iuv, Active), Err(Refusal::NotReady));
    let settings = Settings { external_url: Some("https://a.example/".into()), ..Settings::default() };
    story.set(iuv, settings.clone()).unwrap();
    story.put(iuv, Active).unwrap();
    assert_eq!(story.set(iuv, Settings::default()), Err(Refusal::NotReady), "nor is it taken from one at work");
    let sealed = story.sealed();
    let none = Command::Set { verification: iuv, settings, administrators: Some((0, sealed)) };
    assert_eq!(story.tell(none), Err(Refusal::NotReady));
}

#[test]
fn keys_differ_and_short_ones_need_callers() {
    let mut story = Story::new();
    let (first, second) = (story.ready_iuv(1), story.add(Iuv).unwrap());
    assert_eq!(story.save(second, 1, false, Duration::ZERO), Err(Refusal::KeyTaken));
    assert_eq!(story.save(second, 2, true, Duration::ZERO), Err(Refusal::KeyTooShort));
    let listed = Settings { callers: vec![network("192.0.2.0/24")], ..Settings::default() };
    story.set(second, listed).unwrap();
    story.save(second, 2, true, Duration::ZERO).unwrap();
    assert_eq!(story.set(second, Settings::default()), Err(Refusal::KeyTooShort), "the list must stay");
    assert_eq!(story.save(1, 3, false, Duration::ZERO), Err(Refusal::HasNoKey), "user_import has none");
    assert_eq!(story.save(first, 1, false, Duration::ZERO), Ok(0), "the same again");
    assert_eq!(story.claims.len(), 3);
    let sealed = story.sealed();
    story.tell(Command::RemoveVerification { verification: second, sealed }).unwrap();
    assert_eq!(story.claims.len(), 2, "its key is free");
}

#[test]
fn n9_a_key_is_replaced_at_once_or_after_an_overlap() {
    let mut story = Story::new();
    let iuv = story.ready_iuv(1);
    let accepts =
        |story: &Story, key: u8| story.known().verification(iuv).unwrap().accepts(mark(key), story.now).is_some();
    story.save(iuv, 2, false, Duration::ZERO).unwrap();
    assert!(!accepts(&story, 1) && accepts(&story, 2));
    story.save(iuv, 3, false, Duration::from_secs(3600)).unwrap();
    assert!(accepts(&story, 2) && accepts(&story, 3));
    let sealed = Sealed { from: 0, ..story.sealed() };
    let late = Command::SaveKey { verification: iuv, mark: mark(4), is_short: false, overlap: Duration::ZERO, sealed };
    assert_eq!(story.tell(late), Err(Refusal::ChangedMeanwhile));
    story.pass(Duration::from_secs(3600));
    assert!(!accepts(&story, 2), "without a tick");
    assert_eq!(story.store.next_deadline(), Some(story.now));
    story.tell(Command::Tick).unwrap();
    assert_eq!(story.store.next_deadline(), None);
    assert_eq!(story.claims.len(), 2, "the old key is free");
}

#[test]
fn administrators_are_mailed_at_most_every_quarter_of_an_hour() {
    let mut story = Story::new();
    let iuv = story.ready_iuv(1);
    let administrators = Some((3, story.sealed()));
    let settings = story.known().verification(iuv).unwrap().settings.clone();
    story.tell(Command::Set { verification: iuv, settings, administrators }).unwrap();
    let caller = RefusedCaller { address: SERVER, at: story.now, count: 2 };
    let refused = Command::Refused { troubles: vec![Trouble { why: Why::Key, count: 2 }], callers: vec![caller] };
    story.tell(refused.clone()).unwrap();
    assert_eq!(story.mails, 3, "one to each");
    for _ in 0..10 {
        story.pass(Duration::from_secs(60));
        story.tell(refused.clone()).unwrap();
    }
    assert_eq!(story.mails, 3);
    assert_eq!(story.store.next_deadline(), Some(START.plus(MAILS_APART)));
    story.pass(Duration::from_secs(5 * 60));
    story.tell(Command::Tick).unwrap();
    assert_eq!(story.mails, 6);
    let Some((_, Event::Told { troubles })) = story.history.last() else { panic!() };
    assert_eq!(troubles, &[Trouble { why: Why::Key, count: 20 }], "collected");
    story.pass(Duration::from_secs(3600));
    story.tell(Command::Tick).unwrap();
    assert_eq!(story.mails, 6, "nothing new");
    assert_eq!(story.known().refused.iter().map(|known| known.count).collect::<Vec<_>>(), [22]);
}

#[test]
fn refused_callers_are_remembered_up_to_a_bound() {
    let mut story = Story::new();
    for last in 0..100 {
        let address = std::net::IpAddr::from([192, 0, 2, last]);
        let callers = vec![RefusedCaller { address, at: story.now, count: 1 }];
        story.tell(Command::Refused { troubles: Vec::new(), callers }).unwrap();
    }
    let known = &story.known().refused;
    assert_eq!((known.len(), known.last().unwrap().address), (REFUSED_MAX, [192, 0, 2, 99].into()));
}

#[test]
fn an_exposed_key_is_marked_once() {
    let mut story = Story::new();
    let verification = story.ready_iuv(1);
    let key = story.known().verification(verification).unwrap().key.unwrap().number;
    assert_eq!(story.tell(Command::Exposed { verification, key }), Ok(1));
    assert_eq!(story.tell(Command::Exposed { verification, key }), Ok(0));
    assert!(story.known().verification(verification).unwrap().key.unwrap().exposed);
    story.save(verification, 2, false, Duration::ZERO).unwrap();
    assert!(!story.known().verification(verification).unwrap().key.unwrap().exposed);
}

#[test]
fn what_callers_do_is_no_change_that_an_administrator_would_overwrite() {
    let mut story = Story::new();
    let before = story.known().changed;
    let callers = vec![RefusedCaller { address: SERVER, at: story.now, count: 1 }];
    story.tell(Command::Refused { troubles: Vec::new(), callers }).unwrap();
    assert_eq!(story.known().changed, before);
    let other = Command::Change { system_name: None, name: Some("Other".into()), language: None, academic: None };
    story.tell(other).unwrap();
    assert!(story.known().changed > before);
}

#[test]
fn a_system_name_is_unique_whatever_its_case() {
    let mut story = Story::new();
    let name =
        |name: &str| Command::Change { system_name: Some(name.into()), name: None, language: None, academic: None };
    story.tell(name("SOFTWARE-SHOP")).unwrap();
    assert_eq!(story.claims.len(), 1);
    story.tell(name("other")).unwrap();
    assert_eq!(story.claims.iter().map(|(_, value)| &value[..]).collect::<Vec<_>>(), [b"other"]);
}
