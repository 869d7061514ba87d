//! What browsers try. Numbers are those of what a demanding user tries.

use super::*;

fn refused(mut story: Story, redemption: Redemption, standing: StoreStanding) -> Why {
    let told = story.tell(Command::Redeem { redemption, standing });
    assert!(!story.is_in());
    match told {
        Ok(Told::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn n10_a_token_is_redeemed_once() {
    let mut story = Story::registered();
    assert!(!story.is_in());
    assert_eq!(story.tell(redeem()), Ok(Told::Redeemed(pass())));
    assert!(story.is_in());
    let other = Redemption { secret: [7; 32], ..redemption() };
    let again = Command::Redeem { redemption: other, standing: standing() };
    assert_eq!(story.tell(again), Ok(Told::Refused(Why::RedeemedBefore)));
    assert_eq!(story.session.signed_in(story.now).unwrap().secret, [6; 32], "the first browser stays");
}

#[test]
fn n10_a_token_lives_sixty_seconds() {
    for (after, holds) in [(0, true), (59_900, true), (60_000, true), (60_001, false), (60_100, false)] {
        let mut story = Story::registered().after(after);
        let expected = if holds { Told::Redeemed(pass()) } else { Told::Refused(Why::TooLate) };
        assert_eq!(story.tell(redeem()), Ok(expected), "{after}");
        let mut ticked = Story::registered().after(after);
        ticked.tell(Command::Tick).unwrap();
        assert_eq!(ticked.tell(redeem()), Ok(expected), "{after}, with a tick");
    }
}

#[test]
fn n10_another_token_store_or_address_opens_nothing() {
    let story = Story::registered;
    let other = Redemption { check: Check([5; 16]), ..redemption() };
    assert_eq!(refused(story(), other, standing()), Why::OtherToken);
    let other = Redemption { store: StoreId(1), ..redemption() };
    assert_eq!(refused(story(), other, standing()), Why::OtherStore);
    for from in [None, Some(SERVER)] {
        let other = Redemption { from, ..redemption() };
        assert_eq!(refused(story(), other, standing()), Why::OtherAddress);
    }
    let mapped = Redemption { from: Some("::ffff:198.51.100.9".parse::<IpAddr>().unwrap()), ..redemption() };
    assert_eq!(story().tell(Command::Redeem { redemption: mapped, standing: standing() }), Ok(Told::Redeemed(pass())));
    let unchecked = StoreStanding(vec![Accepted { check_ip: false, ..standing().0[0] }]);
    let elsewhere = Redemption { from: None, ..redemption() };
    assert_eq!(
        story().tell(Command::Redeem { redemption: elsewhere, standing: unchecked }),
        Ok(Told::Redeemed(pass()))
    );
}

#[test]
fn n9_a_token_dies_with_its_key_and_its_verification_type() {
    let accepted = standing().0[0];
    for dead in [
        vec![],
        vec![Accepted { key: 2, ..accepted }],
        vec![Accepted { verification: 3, ..accepted }],
        vec![Accepted { side: Side::Test, ..accepted }],
    ] {
        assert_eq!(refused(Story::registered(), redemption(), StoreStanding(dead)), Why::KeyChanged);
    }
    let with_overlap = StoreStanding(vec![Accepted { key: 2, ..accepted }, accepted]);
    let told = Story::registered().tell(Command::Redeem { redemption: redemption(), standing: with_overlap });
    assert_eq!(told, Ok(Told::Redeemed(pass())));
}

#[test]
fn a_refused_browser_does_not_spoil_it_for_the_right_one() {
    let mut story = Story::registered();
    for _ in 0..40 {
        let other = Redemption { store: StoreId(1), ..redemption() };
        story.tell(Command::Redeem { redemption: other, standing: standing() }).unwrap();
    }
    let noted = story.history.iter().filter(|(_, event)| matches!(event, Event::RedemptionRefused { .. })).count();
    assert_eq!(noted, usize::from(REFUSED_MAX), "history is bounded");
    assert_eq!(story.tell(redeem()), Ok(Told::Redeemed(pass())));
}

#[test]
fn whoever_signs_out_is_out_and_is_forgotten() {
    let mut story = Story::registered();
    story.tell(redeem()).unwrap();
    story.tell(Command::SignOut).unwrap();
    assert!(!story.is_in());
    assert_eq!(story.tell(redeem()), Ok(Told::Refused(Why::RedeemedBefore)));
    story.tell(Command::SignOut).unwrap();
    story.tell(Command::Tick).unwrap();
    assert_eq!(story.erased, 0, "what was told of him may still be on its way");
    story.pass(FORGOTTEN_AFTER.as_millis() as u64);
    story.tell(Command::Tick).unwrap();
    story.tell(Command::Tick).unwrap();
    assert_eq!(story.erased, 1);
    assert_eq!(story.session.next_deadline(), None);
}

#[test]
fn a_session_ends_by_itself() {
    let mut story = Story::registered();
    story.tell(redeem()).unwrap();
    story.pass(DAY.as_millis() as u64);
    assert!(!story.is_in(), "without a tick");
    story.tell(Command::SignOut).unwrap();
    story.tell(Command::Tick).unwrap();
    assert_eq!(story.erased, 1);
    assert!(matches!(story.history.last(), Some((_, Event::Expired))));
}

#[test]
fn one_that_nobody_redeems_is_forgotten_after_a_minute() {
    let mut story = Story::registered().after(60_001);
    assert_eq!(story.session.next_deadline(), Some(story.now));
    story.tell(Command::Tick).unwrap();
    assert_eq!((story.erased, story.session.next_deadline()), (1, None));
    assert_eq!(story.tell(redeem()), Ok(Told::Refused(Why::TooLate)), "the audit knows why");
}

#[test]
fn other_kinds_open_a_session_at_once() {
    let mut story = Story::new();
    let open = Command::Open { pass: pass(), secret: [8; 32], lasts: DAY, attributes: Zeroizing::new(vec![1]) };
    assert_eq!(story.tell(open.clone()), Ok(Told::Nothing));
    assert!(story.is_in());
    story.tell(open).unwrap();
    assert_eq!(story.history.len(), 1, "a repeat");
    assert_eq!(story.tell(register()), Err(Refusal::AlreadyExists));
    assert_eq!(story.tell(redeem()), Ok(Told::Refused(Why::OtherToken)));
}

#[test]
fn nothing_is_known_of_an_unknown_session() {
    let mut story = Story::new();
    assert_eq!(story.tell(redeem()), Err(Refusal::NotFound));
    assert_eq!(story.tell(Command::SignOut), Err(Refusal::NotFound));
    assert_eq!(story.tell(Command::Tick), Ok(Told::Nothing));
    assert!(story.history.is_empty());
}
