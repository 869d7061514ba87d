use super::*;

const HOUR: u64 = 60 * MINUTE_MS;
const T: u64 = 1_000 * HOUR;

fn for_ever(person: usize) -> Grant {
    Grant { person, ..Grant::default() }
}

fn model() -> Model {
    let here = Here { organisation: 1, site: 5, staff: vec![10, 11, 12, 13], with_pin: vec![10] };
    let mut model = Model::new(here, 4, 2, 2 * HOUR, 60);
    model.limits = vec![Limits { after_pick_up: Some(120), after_end: Some(30), before_booking: Some(30) }; 2];
    model.grant(for_ever(0), T);
    model.sync(T, 300_000, false);
    model
}

fn kinds(model: &Model, at: u64) -> Vec<&'static str> {
    model.alerts(at).0.iter().map(|alert| alert.kind).collect()
}

fn took(key: usize, person: usize) -> What {
    What::PickUp { key, person: Some(person), decided: false, pass: None }
}

fn left(key: usize, person: usize) -> What {
    What::DropOff { key, person: Some(person) }
}

fn opens(bin: usize, key: usize, person: Option<usize>) -> Verdict {
    Verdict::Opens { bin, key, person }
}

fn sync(model: &mut Model, at: u64) -> Vec<&'static str> {
    model.sync(at, 300_000, false)
}

#[test]
fn a_box_knows_what_it_was_told_and_what_it_did() {
    let mut model = model();
    let anna = Shown::AccessCode(10);
    assert_eq!(model.takes_alone(anna, Pin::None, 1, T), opens(1, 1, Some(0)));
    assert_eq!(model.takes_alone(Shown::Badge(11), Pin::None, 1, T), Verdict::No("not_permitted"));
    assert_eq!(model.takes_alone(Shown::Badge(30), Pin::None, 1, T), Verdict::No("unknown"));
    model.did(Some(1), took(1, 0), T + 1);
    assert_eq!(model.takes_alone(anna, Pin::None, 1, T), Verdict::No("not_here"));
    assert_eq!(model.leaves_alone(anna, 1, T), opens(1, 1, Some(0)));
    model.revoke(0, T + 2);
    assert_eq!(model.takes_alone(anna, Pin::None, 0, T + 3), opens(0, 0, Some(0)), "it has not heard of it");
    assert_eq!(model.takes_online(anna, Pin::None, 0, T + 3), Verdict::No("not_permitted"));
    model.did(Some(0), took(0, 0), T + 3);
    assert_eq!(sync(&mut model, T + 4), ["applied", "flagged not_permitted"]);
    assert_eq!(model.takes_alone(anna, Pin::None, 0, T + 5), Verdict::No("not_permitted"));
    assert_eq!(model.told, 1);
}

#[test]
fn codes_of_bookings_and_keys_open_as_the_box_was_told() {
    let mut model = model();
    model.grant(Grant { key: Some(1), until_ms: Some(T + HOUR), ..for_ever(2) }, T);
    model.book(1, "777", T);
    model.set_key_code(0, Some("111".into()), T);
    let (booked, of_key) = (Shown::Digits("777"), Shown::Digits("111"));
    assert_eq!(model.takes_alone(booked, Pin::None, 1, T), Verdict::No("unknown"));
    assert_eq!(model.takes_online(booked, Pin::None, 1, T), opens(1, 1, Some(2)));
    sync(&mut model, T);
    assert_eq!(model.takes_alone(booked, Pin::None, 1, T), opens(1, 1, Some(2)));
    assert_eq!(model.takes_alone(booked, Pin::None, 0, T), Verdict::No("not_permitted"), "for that access alone");
    assert_eq!(model.takes_alone(booked, Pin::None, 1, T + HOUR), Verdict::No("over"));
    assert_eq!(model.takes_alone(of_key, Pin::None, 1, T), Verdict::No("unknown"), "the organisation does not want it");
    assert_eq!(model.takes_online(of_key, Pin::None, 0, T), opens(0, 0, None));
    model.tells_key_codes = true;
    sync(&mut model, T);
    assert_eq!(model.takes_alone(of_key, Pin::None, 1, T), opens(0, 0, None), "the key that it names");
    model.set_key_code(0, None, T);
    model.did(Some(0), What::PickUp { key: 0, person: None, decided: false, pass: None }, T);
    assert_eq!(sync(&mut model, T), ["flagged not_permitted"]);
}

#[test]
fn wrong_codes_close_the_keypad_for_longer_and_longer() {
    let mut model = model();
    let (wrong, right) = (Shown::Digits("999"), Shown::AccessCode(10));
    for _ in 0..5 {
        assert_eq!(model.takes_alone(wrong, Pin::None, 0, T), Verdict::No("unknown"));
    }
    assert_eq!(model.takes_alone(right, Pin::None, 0, T + 59_999), Verdict::No("throttled"));
    assert_eq!(model.takes_alone(wrong, Pin::None, 0, T + MINUTE_MS), Verdict::No("unknown"));
    assert_eq!(model.leaves_alone(right, 0, T + 3 * MINUTE_MS - 1), Verdict::No("throttled"));
    assert_eq!(
        model.takes_alone(Shown::Badge(10), Pin::None, 0, T + 2 * MINUTE_MS),
        opens(0, 0, Some(0)),
        "nothing is typed"
    );
    assert_eq!(model.takes_alone(right, Pin::None, 0, T + 3 * MINUTE_MS), opens(0, 0, Some(0)));
    assert!(!model.is_unsure(T));
    for at in 0..10 {
        assert_eq!(model.takes_online(wrong, Pin::None, 0, T), Verdict::No("unknown"), "{at}");
    }
    assert_eq!(model.takes_online(right, Pin::None, 0, T), Verdict::No("throttled"));
    assert!(model.is_unsure(T + 10 * MINUTE_MS));
    assert_eq!(model.takes_online(right, Pin::None, 0, T + 11 * MINUTE_MS), opens(0, 0, Some(0)));
}

#[test]
fn printed_codes_open_once_in_order_and_only_of_the_sheet_in_force() {
    let mut model = model();
    let slip = |sheet, counter| Shown::Slip(Slip { sheet, bin: Some(2), counter });
    assert_eq!(model.takes_alone(slip(0, 1), Pin::None, 0, T), Verdict::Opened(Some(2)));
    for wrong in [slip(0, 0), slip(0, 1), slip(0, 12), slip(1, 2)] {
        assert_eq!(model.takes_alone(wrong, Pin::None, 0, T), Verdict::No("unknown"));
    }
    model.renew_sheet(1, T);
    assert_eq!(
        model.takes_alone(slip(0, 11), Pin::None, 0, T),
        Verdict::Opened(Some(2)),
        "it has not heard of the new one"
    );
    model.did(Some(2), What::Opened { sheet: 0 }, T);
    model.did(None, What::Opened { sheet: 1 }, T);
    assert_eq!(sync(&mut model, T), ["flagged code_reused", "applied"]);
    assert!(model.bins.iter().all(|bin| bin.doubtful_ms.is_some()));
    assert_eq!(model.takes_alone(slip(1, 0), Pin::None, 0, T), Verdict::Opened(Some(2)));
    assert_eq!(model.told, 0, "no exchange");
}

#[test]
fn a_pass_opens_once_where_when_and_for_whom_it_was_signed() {
    let mut model = model();
    let from_s = T / 1000;
    let pass = Pass {
        number: 1,
        organisation: 1,
        site: 5,
        grant: 0,
        person: 3,
        who: 13,
        key: Some(1),
        signer: 1,
        from_s,
        until_s: from_s + 3600,
    };
    let no = |model: &mut Model, pass: &Pass, at: u64| match model.takes_alone(Shown::Pass(pass), Pin::None, 0, at) {
        Verdict::No(why) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(no(&mut model, &Pass { organisation: 0, ..pass.clone() }, T), "other_organisation");
    assert_eq!(no(&mut model, &Pass { site: 4, ..pass.clone() }, T), "other_box");
    assert_eq!(no(&mut model, &Pass { signer: 2, ..pass.clone() }, T), "other_signer");
    assert_eq!((no(&mut model, &pass, T - 1000), no(&mut model, &pass, T + HOUR)), ("not_yet", "over"));
    assert_eq!(model.takes_alone(Shown::Pass(&pass), Pin::None, 0, T), opens(1, 1, Some(3)), "the key that it names");
    model.did(Some(1), took(1, 3), T);
    assert_eq!(no(&mut model, &pass, T + 1), "used");
    assert_eq!(sync(&mut model, T), ["flagged not_permitted"], "its access had been withdrawn");
    let online = |model: &mut Model, pass: &Pass, at| model.takes_online(Shown::Pass(pass), Pin::None, 0, at);
    assert_eq!(online(&mut model, &Pass { signer: 2, ..pass.clone() }, T), Verdict::No("other_signer"));
    assert_eq!(online(&mut model, &pass, T), Verdict::No("not_permitted"), "another key");
    let all = Pass { number: 7, key: None, person: 0, who: 10, ..pass.clone() };
    assert_eq!(online(&mut model, &all, T), opens(0, 0, Some(0)));
    model.exchanged(0, What::PickUp { key: 0, person: Some(0), decided: true, pass: Some(7) }, T);
    assert_eq!(online(&mut model, &all, T), Verdict::No("used"));
    assert_eq!(no(&mut model, &all, T), "used", "at the box too");
    model.exchanged(0, left(0, 0), T);
    sync(&mut model, T);
    let identity = Identity { organisation: 1, person: 10, signer: 1, from_s, until_s: from_s + 60 };
    assert_eq!(model.takes_alone(Shown::Identity(&identity), Pin::None, 0, T), opens(0, 0, Some(0)));
    assert_eq!(model.takes_alone(Shown::Identity(&identity), Pin::None, 0, T + MINUTE_MS), Verdict::No("over"));
    let over = Pass { until_s: from_s + 1, ..pass.clone() };
    let back = |model: &mut Model, pass: &Pass| model.leaves_alone(Shown::Pass(pass), 1, T + HOUR);
    assert_eq!(back(&mut model, &over), opens(1, 1, Some(3)), "its end stops no drop-off");
    assert_eq!(back(&mut model, &Pass { signer: 2, ..over }), Verdict::No("other_signer"));
    let stranger = Identity { person: 30, ..identity };
    assert_eq!(model.takes_alone(Shown::Identity(&stranger), Pin::None, 0, T), Verdict::No("not_permitted"));
    assert_eq!(model.leaves_alone(Shown::Identity(&stranger), 1, T), opens(1, 1, Some(STRANGERS + 30)));
}

#[test]
fn what_does_not_fit_is_a_conflict() {
    let mut model = model();
    model.correct(0, None, T + 1);
    model.did(Some(0), took(0, 0), T + 2);
    model.did(Some(2), left(1, 0), T + 3);
    assert_eq!(sync(&mut model, T + 4), ["ignored key_not_in_bin", "ignored key_elsewhere"]);
    assert_eq!((model.conflicts, kinds(&model, T + 5)), (2, vec!["conflict"]));
    assert_eq!(kinds(&model, T + 14 * MINUTE_MS), ["conflict"]);
    assert_eq!(kinds(&model, T + 2 * HOUR), ["offline", "unconfirmed", "unconfirmed", "unconfirmed", "conflict"]);
}

#[test]
fn a_key_is_late_in_three_ways() {
    let mut model = model();
    model.grant(Grant { key: Some(1), until_ms: Some(T + HOUR), ..for_ever(2) }, T);
    model.sync(T, 300_000, false);
    model.did(Some(1), took(1, 2), T + MINUTE_MS);
    model.sync(T + MINUTE_MS, 300_000 * 100, false);
    assert_eq!(kinds(&model, T + HOUR), Vec::<&str>::new());
    assert_eq!(kinds(&model, T + 95 * MINUTE_MS), ["late_after_end"]);
    let more = Grant { key: Some(1), from_ms: Some(T + HOUR), until_ms: Some(T + 9 * HOUR), ..for_ever(2) };
    model.grant(more, T + HOUR);
    assert_eq!(kinds(&model, T + 95 * MINUTE_MS), Vec::<&str>::new(), "one that follows without a gap");
    assert_eq!(kinds(&model, T + 122 * MINUTE_MS), ["late_after_pick_up"]);
    model.grant(Grant { key: Some(1), from_ms: Some(T + 2 * HOUR), ..for_ever(3) }, T + HOUR);
    assert_eq!(kinds(&model, T + 92 * MINUTE_MS), ["late_before_booking"]);
}

#[test]
fn who_was_missed_while_the_server_was_killed_may_be_told_of_or_waited_for() {
    let due = T + 15 * MINUTE_MS;
    let again = |from: u64| from + 15 * MINUTE_MS + UNSURE_MS;
    let told = |model: &Model, at: u64| model.alerts(at);
    let offline = Alert::of_box("offline");
    let is_told = |model: &Model, at: u64| told(model, at) == (vec![offline], vec![]);
    let may_be_told = |model: &Model, at: u64| told(model, at) == (vec![], vec![offline]);

    let mut before = model();
    before.restarted(due + MINUTE_MS, due + 2 * MINUTE_MS);
    assert!(is_told(&before, due + 2 * MINUTE_MS), "it was known to be missed");

    let mut within = model();
    within.restarted(due - MINUTE_MS, due + MINUTE_MS);
    assert!(may_be_told(&within, due + MINUTE_MS), "nobody knows whether it was noticed");
    assert!(may_be_told(&within, again(due)));
    let mut twice = within.clone();
    assert!(told(&within, again(due + MINUTE_MS)).0 == [offline], "but not for ever");
    twice.restarted(due, due + 5 * MINUTE_MS);
    assert!(may_be_told(&twice, again(due + MINUTE_MS)), "what may be told stays so over a second kill");

    let mut after = model();
    after.restarted(due - 3 * MINUTE_MS, due - MINUTE_MS);
    assert_eq!(told(&after, due + MINUTE_MS), (vec![], vec![]), "the server's absence is not the box's");
    assert!(is_told(&after, again(due - MINUTE_MS)));
    sync(&mut after, T + HOUR);
    assert_eq!(told(&after, T + HOUR), (vec![], vec![]));
}

#[test]
fn closed_bins_stay_shut_where_that_is_known() {
    let mut model = model();
    let anna = Shown::Badge(10);
    model.close(0, true, T);
    model.close(2, true, T);
    assert_eq!(model.takes_online(anna, Pin::None, 0, T), Verdict::No("bin_closed"));
    assert_eq!(model.takes_alone(anna, Pin::None, 0, T), opens(0, 0, Some(0)), "it has not heard of it");
    model.did(Some(0), took(0, 0), T + 1);
    model.did(Some(2), left(0, 0), T + 2);
    model.did(Some(1), took(1, 0), T + 3);
    assert_eq!(sync(&mut model, T), ["flagged not_permitted", "flagged may_not_be_dropped_here", "applied"]);
    assert_eq!(model.leaves_online(anna, 1, T), opens(1, 1, Some(0)));
    model.close(1, true, T);
    model.close(3, true, T);
    assert_eq!(model.leaves_online(anna, 1, T), Verdict::No("only_protected_left"));
    sync(&mut model, T);
    assert_eq!(model.leaves_alone(anna, 1, T), Verdict::No("no_free_bin"));
    assert_eq!(model.takes_alone(anna, Pin::None, 0, T), Verdict::No("bin_closed"));
}

#[test]
fn a_pin_is_wanted_where_the_box_has_heard_of_it() {
    let mut model = model();
    model.grant(for_ever(1), T);
    sync(&mut model, T);
    let (anna, bruno) = (Shown::Badge(10), Shown::Badge(11));
    model.set_up(Setup { wants_pin: true, ..model.setup.clone() }, T);
    assert_eq!(model.takes_alone(anna, Pin::None, 1, T), opens(1, 1, Some(0)), "it has not heard of it");
    assert_eq!(model.takes_online(anna, Pin::None, 1, T), Verdict::No("pin_needed"));
    assert_eq!(model.takes_online(anna, Pin::Own, 1, T), opens(1, 1, Some(0)));
    assert_eq!(model.takes_online(anna, Pin::Wrong, 1, T), Verdict::No("unknown"));
    assert!(!model.has_forgotten(T));
    sync(&mut model, T);
    for (who, pin) in [(anna, Pin::None), (bruno, Pin::None), (bruno, Pin::Own)] {
        assert_eq!(model.takes_alone(who, pin, 1, T), Verdict::No("pin_needed"));
    }
    for _ in 0..5 {
        assert_eq!(model.takes_alone(Shown::AccessCode(10), Pin::Wrong, 1, T), Verdict::No("unknown"), "a right code");
    }
    assert_eq!(model.takes_alone(anna, Pin::Own, 1, T), Verdict::No("throttled"));
    assert_eq!(model.takes_alone(anna, Pin::Own, 1, T + MINUTE_MS), opens(1, 1, Some(0)));
    model.tells_key_codes = true;
    model.set_key_code(0, Some("111".into()), T);
    sync(&mut model, T);
    assert_eq!(model.takes_alone(Shown::Digits("111"), Pin::Own, 0, T + MINUTE_MS), Verdict::No("pin_needed"));
    assert_eq!(model.takes_online(Shown::Digits("111"), Pin::None, 0, T), opens(0, 0, None), "nobody is named");
}

#[test]
fn keys_go_where_they_fit_and_only_by_those_who_are_named() {
    let mut model = model();
    for key in 0..2 {
        model.did(Some(key), took(key, 0), T);
    }
    let sizes = vec![Size::Small, Size::Large, Size::Medium, Size::Small];
    let setup = Setup { bins: sizes, keys: vec![Size::Medium, Size::Large], named_only: true, wants_pin: false };
    model.set_up(setup.clone(), T);
    sync(&mut model, T);
    let anna = Shown::Badge(10);
    for verdict in [model.leaves_alone(anna, 0, T), model.leaves_online(anna, 0, T)] {
        assert_eq!(verdict, opens(2, 0, Some(0)));
    }
    for verdict in [model.leaves_alone(Shown::Nothing, 0, T), model.leaves_online(Shown::Nothing, 0, T)] {
        assert_eq!(verdict, Verdict::No("person_needed"));
    }
    model.set_up(Setup { bins: vec![Size::Medium; 4], named_only: false, ..setup }, T);
    assert_eq!(model.leaves_online(Shown::Nothing, 1, T), Verdict::No("too_small"));
    assert_eq!(model.leaves_alone(anna, 1, T), opens(1, 1, Some(0)), "it has not heard of it");
    sync(&mut model, T);
    assert_eq!(model.leaves_alone(Shown::Nothing, 1, T), Verdict::No("too_small"));
    assert_eq!(model.leaves_alone(Shown::Nothing, 0, T), opens(0, 0, None));
}
