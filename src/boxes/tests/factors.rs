//! At a connected box: what is wanted besides a code, and into which bin a key goes.

use super::{online::*, world::*};
use crate::{
    boxes::*,
    kernel::{testing::TestKeys, *},
};

#[test]
fn a_second_factor_is_wanted_for_pick_ups_and_wrong_ones_are_counted() {
    let mut story = Story::new();
    story.online(OnlineCommand::Set { quick_scan: None, second_factor: Some(SecondFactor::Pin) }).unwrap();
    story.refused(take("F1"), BY_ANNA, OnlineRefusal::SecondFactorNeeded);
    story.second.pin = Some(false);
    story.refused(take("F1"), BY_BEN, OnlineRefusal::NotPermitted);
    for _ in 0..10 {
        assert_eq!(story.ask(take("F1"), BY_ANNA), Ok(OnlineAnswer::Unknown));
    }
    story.second.pin = Some(true);
    story.refused(take("F1"), BY_ANNA, OnlineRefusal::Throttled { retry_s: 600 });
    story.world.pass(601 * SECOND);
    let taken = story.decided(take("F1"), BY_ANNA);
    story.complete(taken.id).unwrap();
    story.second.pin = None;
    story.decided(leave("F1"), BY_ANNA);
}

#[test]
fn a_key_goes_into_the_smallest_bin_that_is_large_enough() {
    let mut story = Story::new();
    let size = |story: &mut Story, bin: &str, size| {
        story.world.run(0, Command::SetBin { bin: label(bin), state: None, size: Some(size) }).unwrap();
    };
    let key = |story: &mut Story, key, size| {
        let (name, roaming, groups, texts) = (None, None, None, None);
        story
            .world
            .run(0, Command::ChangeKey { key, name, roaming, groups, size: Some(size), fob: None, texts })
            .unwrap();
    };
    let decision = story.decided(take("F1"), BY_ANNA);
    story.complete(decision.id).unwrap();
    size(&mut story, "A-1", Size::Large);
    size(&mut story, "A-2", Size::Small);
    let into = |story: &mut Story| {
        let decision = story.decided(leave("F1"), BY_ANNA);
        story.end(decision.id, End::Cancelled).unwrap();
        decision.bin
    };
    assert_eq!(into(&mut story), label("A-3"), "as large as all are by default");
    let own = story.key;
    key(&mut story, own, Size::Small);
    assert_eq!(into(&mut story), label("A-2"));
    key(&mut story, own, Size::Large);
    assert_eq!(into(&mut story), label("A-1"));
    story.world.add_key(0, "F2", Some("A-1"), false);
    story.refused(leave("F1"), BY_ANNA, OnlineRefusal::TooSmall);
    key(&mut story, own, Size::Medium);
    assert_eq!(into(&mut story), label("A-3"));
    story.world.add_key(0, "F3", Some("A-3"), false);
    story.refused(leave("F1"), BY_ANNA, OnlineRefusal::TooSmall);
    size(&mut story, "A-2", Size::Medium);
    assert_eq!(into(&mut story), label("A-2"));
    let told = story.world.sites[0].state.changes_since(0);
    let sizes: Vec<_> = told.bins.iter().map(|bin| bin.size).collect();
    assert_eq!(sizes, [Some(Size::Large), None, None], "medium is not said");
}

#[test]
fn a_code_by_text_is_sent_once_a_minute_and_good_for_one_pick_up() {
    let mut story = Story::new();
    let set = OnlineCommand::Set { quick_scan: None, second_factor: Some(SecondFactor::Sms) };
    story.online(set).unwrap();
    story.world.mails.clear();
    let (one, two) = (TextSalt([1; 16]), TextSalt([2; 16]));
    story.refused(take("F1"), BY_ANNA, OnlineRefusal::SecondFactorNeeded);
    assert!(story.world.mails.is_empty(), "she has no mobile telephone");
    story.second.new = Some(one);
    assert_eq!(story.ask(take("F1"), BY_ANNA), Ok(OnlineAnswer::Texted));
    let [mail] = &story.world.mails[..] else { panic!("one text") };
    assert_eq!((mail.to, &*mail.template), (Recipient::Mobile(ANNA), TextedCode::TEXT));
    let about = TextedCode::decode_from(&mail.about).unwrap();
    assert_eq!((about.texted.salt, about.code(&TestKeys(1)).len()), (one, 6));
    story.world.pass(59 * SECOND);
    story.second.new = Some(two);
    story.refused(take("F1"), BY_ANNA, OnlineRefusal::SecondFactorNeeded);
    story.world.pass(2 * SECOND);
    assert_eq!(story.ask(take("F1"), BY_ANNA), Ok(OnlineAnswer::Texted));
    assert_eq!(story.world.mails.len(), 2);
    for wrong in [Some((one, true)), Some((two, false))] {
        story.second = Second { text: wrong, ..Second::default() };
        assert_eq!(story.ask(take("F1"), BY_ANNA), Ok(OnlineAnswer::Unknown), "counted as a wrong code");
    }
    story.second.text = Some((two, true));
    let decision = story.decided(take("F1"), BY_ANNA);
    story.end(decision.id, End::Cancelled).unwrap();
    assert_eq!(story.ask(take("F1"), BY_ANNA), Ok(OnlineAnswer::Unknown), "it was good once");
    story.second = Second { new: Some(one), ..Second::default() };
    assert_eq!(story.ask(take("F1"), BY_ANNA), Ok(OnlineAnswer::Texted));
    story.world.pass(TEXT_LIVES_FOR);
    story.second = Second { text: Some((one, true)), ..Second::default() };
    assert_eq!(story.ask(take("F1"), BY_ANNA), Ok(OnlineAnswer::Unknown), "it has lived");
    story.second = Second::default();
    let elsewhere = story.decided(leave("F9"), BY_ANNA);
    assert_eq!(elsewhere.person, Some(ANNA), "a drop-off wants none");
}
