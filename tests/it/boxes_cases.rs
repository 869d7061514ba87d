//! "What a demanding user tries" of `docs/box-protocol.md`, by number, as far as no other test here shows it already; the
//! table there says where each stands.

use crate::{
    codes::{Cabinet, codes_of, opened, pass, put_code},
    devices_time::killed_until,
    online::Lodge,
    rig::{Rig, string},
    smart_box::{ENTRIES_MAX, TestBox, now_ms, outcomes_of},
};
use castellan_load::vbox::{Attempt, Refusal, Shown, Storage};
use serde_json::{Value, json};

const HOUR_MS: u64 = 3_600_000;

fn at(moment: &str) -> u64 {
    let moment: jiff::Timestamp = moment.parse().unwrap();
    u64::try_from(moment.as_millisecond()).unwrap()
}

/// The connection is lost inside the 20 seconds, and nobody ever says what became of it.
#[test]
fn case_01_a_window_without_a_word_has_not_happened_and_a_late_journal_counts_once() {
    let mut rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let mut smart_box = lodge.smart_box.clone();
    let take = json!({"kind": "pick_up", "of": {"fob": "F-1"}, "by": {"badge": "B-7"}});
    let asked = lodge.ask(take).is(201);
    let path = format!("/box/v1/exchanges/{}/completed", string(&asked, "exchange"));
    killed_until(&mut rig, 19);
    assert!(lodge.org.history(&smart_box.id).is_empty(), "nobody has said it yet");
    killed_until(&mut rig, 21);
    smart_box.client.post(&path, &json!({})).problem(409, "exchanges.ended");
    assert!(lodge.org.history(&smart_box.id).is_empty());
    assert_eq!(lodge.org.bin(&smart_box.id, "A-1")["fob"], "F-1", "it has not happened");
    // It has, after all: the journal says so, twice.
    smart_box.pick_up("A-1", "F-1", None);
    smart_box.journal[0]["exchange"] = asked["exchange"].clone();
    let request = smart_box.request();
    let outcomes = || outcomes_of(&smart_box.send(&request).is(200));
    assert_eq!((outcomes(), outcomes()), (vec!["applied".to_owned()], vec!["duplicate".to_owned()]));
    let lines = lodge.org.history(&smart_box.id);
    assert_eq!((lines.len(), &lines[0]["person"]), (1, &json!(lodge.bruno)));
    assert_eq!(lodge.org.bin(&smart_box.id, "A-1")["fob"], Value::Null);
    assert!(lodge.org.conflicts().is_empty());
}

/// Withdrawn while the box hears nothing: the pass opens until its own end, and not a second longer.
#[test]
fn case_02_the_pass_of_a_withdrawn_access_stops_at_its_end() {
    let rig = Rig::start();
    let org = rig.org();
    let id = org.smart_box("MS5", 2);
    let (van, car) = (org.key(&id, "F1", Some("A-1")), org.key(&id, "F2", Some("A-2")));
    let bins = [("A-1", Some("F1")), ("A-2", Some("F2"))];
    let mut cabinet = Cabinet::new(&rig, &org, &id, &bins, Storage::Memory);
    let anna = org.person("Anna");
    let [first, second] = [&van, &car].map(|key| org.access_with(&id, &json!({"person": anna, "key": key})));
    let (van_pass, car_pass) = (pass(&org, &id, &first), pass(&org, &id, &second));
    for access in [&first, &second] {
        org.client.delete(&format!("/boxes/{id}/accesses/{access}")).ok();
    }
    std::thread::sleep(std::time::Duration::from_millis(20));
    let until = at(&string(&car_pass, "until"));
    assert!(until.abs_diff(now_ms() + 12 * HOUR_MS) < 60_000, "{car_pass}");
    let show = |cabinet: &mut Cabinet, pass: &Value, at: u64| {
        opened(cabinet.vbox.show_qr(&string(pass, "text"), None, None, at).unwrap())
    };
    assert_eq!(show(&mut cabinet, &car_pass, until), Err(Refusal::Expired));
    assert_eq!(show(&mut cabinet, &car_pass, until + HOUR_MS), Err(Refusal::Expired));
    assert_eq!(show(&mut cabinet, &van_pass, now_ms()), Ok("A-1".into()));
    assert_eq!(cabinet.sync(), ["flagged not_permitted"], "administrators are told");
    assert!(org.conflicts().is_empty());
    assert_eq!(show(&mut cabinet, &car_pass, until - 2_000), Ok("A-2".into()), "it cannot be called back");
}

#[test]
fn case_03_taken_online_and_brought_back_offline() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let mut smart_box = lodge.smart_box.clone();
    let before = smart_box.cursor.clone();
    let asked = lodge.ask(json!({"kind": "pick_up", "of": {"fob": "F-1"}, "by": {"code": "240117"}})).is(201);
    let path = format!("/box/v1/exchanges/{}/completed", string(&asked, "exchange"));
    smart_box.client.post(&path, &json!({})).is(204);
    // The road is cut. By the state that it has stored the key is still in A-1: it takes another bin.
    assert_eq!(smart_box.items["bin:A-1"]["fob"], "F-1");
    smart_box.drop_off("A-2", "F-1", Some(&lodge.bruno));
    assert_eq!(smart_box.journal[0]["cursor"], json!(before));
    assert_eq!(smart_box.outcomes(), ["applied"], "the state fits");
    assert!(lodge.org.conflicts().is_empty());
    assert_eq!(lodge.org.place(&smart_box.id, &lodge.key).unwrap()["bin"], "A-2");
    smart_box.sync_until_quiet();
    smart_box.must_equal(&lodge.org.inventory(&smart_box.id));
}

/// Between half past one and half past three in Rome lies one hour in March, and three in October.
#[test]
fn case_05_a_change_of_clocks_moves_no_end() {
    let rig = Rig::start();
    let org = rig.org();
    let id = org.smart_box("MS5", 1);
    let van = org.key(&id, "F1", Some("A-1"));
    let anna = org.person_with(&json!({"name": "Anna", "access_code": "482913"}));
    for day in ["2026-03-29", "2026-10-25"] {
        let window =
            json!({"person": anna, "key": van, "from": format!("{day}T01:30:00"), "until": format!("{day}T03:30:00")});
        org.access_with(&id, &window);
    }
    let mut cabinet = Cabinet::new(&rig, &org, &id, &[("A-1", Some("F1"))], Storage::Memory);
    cabinet.sync_until(|vbox| vbox.state().people.values().any(|person| person.code.is_some()));
    for (from, until) in
        [("2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"), ("2026-10-24T23:30:00Z", "2026-10-25T02:30:00Z")]
    {
        let mut take = |at: u64| opened(cabinet.vbox.take(Shown::Digits("482913"), "F1", None, at).unwrap());
        assert!(matches!(take(at(from) - 1), Err(Refusal::NotYetValid | Refusal::Expired)));
        assert!(matches!(take(at(until)), Err(Refusal::NotYetValid | Refusal::Expired)));
        // Its way to the server makes an entry some milliseconds later than it was.
        assert_eq!(take(at(until) - 2_000), Ok("A-1".into()));
        let back = cabinet.vbox.leave(Some(Shown::Digits("482913")), "F1", at(until) + HOUR_MS).unwrap();
        assert_eq!(opened(back), Ok("A-1".into()));
        assert_eq!(cabinet.sync(), ["applied", "applied"]);
    }
    assert!(org.history(&id).iter().all(|line| line["estimated"] == false));
}

#[test]
fn case_09_no_bin_to_leave_a_key_in() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let id = &lodge.smart_box.id;
    let online = || lodge.ask(json!({"kind": "drop_off", "of": {"fob": "F-9"}, "by": {"code": "240117"}}));
    let keep = |bin: &str, state: &str| {
        lodge.org.client.patch(&lodge.path(&format!("/bins/{bin}")), &json!({"state": state})).ok();
    };
    keep("A-2", "protected");
    keep("A-3", "disabled");
    online().problem(409, "exchanges.only_protected_left");
    keep("A-2", "enabled");
    keep("A-3", "enabled");
    lodge.org.key(id, "F-2", Some("A-2"));
    lodge.org.key(id, "F-3", Some("A-3"));
    online().problem(409, "exchanges.no_free_bin");
    // The same at a box that asks nobody.
    let (rest, full) = ([("A-1", Some("F-1")), ("A-2", None), ("A-3", None)], ["F-1", "F-2", "F-3"]);
    let mut cabinet = Cabinet::new(&rig, &lodge.org, id, &rest, Storage::Memory);
    let leave = |cabinet: &mut Cabinet| opened(cabinet.vbox.leave(None, "F-9", now_ms()).unwrap());
    assert_eq!(full.map(|fob| cabinet.vbox.believed().any(|(_, held)| held == Some(fob))), [true; 3]);
    assert_eq!(leave(&mut cabinet), Err(Refusal::NoFreeBin), "all are believed to be full");
    for bin in ["A-2", "A-3"] {
        lodge.org.client.post(&lodge.path(&format!("/bins/{bin}/correction")), &json!({"fob": null})).ok();
    }
    keep("A-2", "protected");
    keep("A-3", "disabled");
    cabinet.sync();
    assert_eq!(leave(&mut cabinet), Err(Refusal::NoFreeBin), "only protected ones are left");
    keep("A-3", "enabled");
    cabinet.sync();
    assert_eq!(leave(&mut cabinet), Ok("A-3".into()));
    assert_eq!(cabinet.sync(), ["applied"]);
}

#[test]
fn case_10_an_offline_code_opens_its_own_bin_and_no_other() {
    let rig = Rig::start();
    let org = rig.org();
    let id = org.smart_box("MS5", 2);
    let bins = [("A-1", Some("F1")), ("A-2", None)];
    org.key(&id, "F1", Some("A-1"));
    let mut cabinet = Cabinet::new(&rig, &org, &id, &bins, Storage::Memory);
    let sheet = org.client.post(&format!("/boxes/{id}/offline-codes"), &json!({})).is(200);
    let other = codes_of(&sheet, Some("A-2"))[0];
    assert_eq!(cabinet.types(other, Some("F1")), Ok("A-2".into()), "whatever was wanted");
    assert_eq!(cabinet.vbox.physically_in("A-1"), Some("F1"));
    let elsewhere = org.smart_box("MS5", 2);
    let mut there = Cabinet::new(&rig, &org, &elsewhere, &[("A-1", None), ("A-2", None)], Storage::Memory);
    assert_eq!(there.types(codes_of(&sheet, Some("A-2"))[1], None), Err(Refusal::UnknownCode), "of another box");
    assert_eq!(cabinet.sync(), ["applied"]);
    let confirmed = |bin: &str| org.bin(&id, bin)["confirmed"] == true;
    assert_eq!((confirmed("A-1"), confirmed("A-2")), (true, false));
}

/// What the setting says holds for boxes that hear nothing; a connected box asks, and is told.
#[test]
fn case_11_a_key_code_online_needs_no_setting() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    put_code(&lodge.org, &lodge.smart_box.id, &lodge.key, "4711").is(200);
    let taken = lodge.ask(json!({"kind": "pick_up", "of": {"fob": "F-1"}, "by": {"code": "4711"}})).is(201);
    assert_eq!((&taken["bin"], &taken["person"]), (&json!("A-1"), &Value::Null));
    let mut smart_box = lodge.smart_box.clone();
    let told = smart_box.sync();
    assert!(told["changes"].get("key_codes").is_none(), "{told}");
}

#[test]
fn case_12_open_all_with_a_jammed_bin() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let (client, smart_box) = (&lodge.org.client, &lodge.smart_box);
    let given = client.post(&lodge.path("/orders"), &json!({"do": "open_all"})).is(201);
    smart_box.client.get("/box/v1/orders").is(200);
    let results = json!({"results": [
        {"bin": "A-1", "outcome": "opened"}, {"bin": "A-2", "outcome": "jammed"}, {"bin": "A-3", "outcome": "opened"},
    ]});
    smart_box.client.post(&format!("/box/v1/orders/{}", given["order"]), &results).is(204);
    let shown = client.get(&lodge.path(&format!("/orders/{}", given["order"]))).is(200);
    assert_eq!((&shown["stage"], &shown["failed"]), (&json!("completed"), &json!(1)));
    assert_eq!(shown["results"], results["results"]);
    let sure = ["A-1", "A-2", "A-3"].map(|bin| lodge.org.bin(&smart_box.id, bin)["confirmed"] == true);
    assert_eq!(sure, [false, true, false], "the one that did not open is as it was");
}

/// Two hours away, then all at once: small; `castellan-load storm` and `herd` do it with 10,000.
#[test]
fn case_14_everybody_comes_back_at_once_after_two_hours() {
    const BOXES: usize = 80;
    let mut rig = Rig::start();
    let org = rig.org();
    let mut boxes: Vec<TestBox> = (0..BOXES).map(|_| org.ready_box(2)).collect();
    for (number, smart_box) in boxes.iter_mut().enumerate() {
        smart_box.drop_off("A-1", &format!("F-{number}"), None);
        smart_box.pick_up("A-1", &format!("F-{number}"), None);
    }
    killed_until(&mut rig, 2 * 3600);
    std::thread::scope(|scope| {
        for smart_box in &mut boxes {
            scope.spawn(move || {
                smart_box.clock_off_ms = 2 * HOUR_MS as i64;
                loop {
                    let answer = smart_box.send(&smart_box.request());
                    if answer.status == 200 {
                        return smart_box.store(&answer.json());
                    }
                    assert!(matches!(answer.status, 429 | 503), "{}", answer.told());
                    let wait = answer.header("retry-after").unwrap().parse().unwrap();
                    std::thread::sleep(std::time::Duration::from_secs(wait));
                }
            });
        }
    });
    for smart_box in &boxes {
        assert_eq!(smart_box.resume_at, 3);
        let seqs: Vec<_> = org.history(&smart_box.id).iter().filter_map(|line| line["seq"].as_u64()).collect();
        assert_eq!(seqs, [2, 1], "each once");
    }
}

#[test]
fn case_15_fifty_thousand_unsent_entries_come_in_pieces_and_harm_nobody() {
    const ENTRIES: usize = 50_000;
    let rig = Rig::start();
    let org = rig.org();
    let (mut smart_box, mut other) = (org.ready_box(2), org.ready_box(2));
    for number in 0..ENTRIES / 2 {
        let at_ms = now_ms() - 2 * (ENTRIES - 2 * number) as u64;
        smart_box.write_at(at_ms, "drop_off", "A-1", Some("F-1"), None);
        smart_box.write_at(at_ms + 1, "pick_up", "A-1", Some("F-1"), None);
    }
    let (mut pieces, mut longest) = (0, std::time::Duration::ZERO);
    while smart_box.resume_at <= smart_box.head() {
        let told = smart_box.sync();
        assert!(outcomes_of(&told).len() <= ENTRIES_MAX);
        pieces += 1;
        if pieces % 10 == 0 {
            let began = std::time::Instant::now();
            other.opened("A-1");
            assert_eq!(other.outcomes(), ["applied"]);
            longest = longest.max(began.elapsed());
        }
    }
    assert_eq!(pieces, ENTRIES.div_ceil(ENTRIES_MAX));
    assert!(longest < std::time::Duration::from_secs(2), "another box waited for {longest:?}");
    let last = org.client.get(&format!("/boxes/{}/history?limit=1", smart_box.id)).is(200);
    assert_eq!(last["items"][0]["seq"], ENTRIES);
    assert_eq!(org.show(&smart_box.id)["reconciling"], false);
}

/// A photographed pass, at the same box, at another, and after a journal that comes late.
#[test]
fn a_pass_shown_twice_opens_once() {
    let rig = Rig::start();
    let org = rig.org();
    let (id, elsewhere) = (org.smart_box("MS5", 2), org.smart_box("MS5", 2));
    let bins = [("A-1", Some("F1")), ("A-2", None)];
    let van = org.key(&id, "F1", Some("A-1"));
    let mut cabinet = Cabinet::new(&rig, &org, &id, &bins, Storage::Memory);
    let mut there = Cabinet::new(&rig, &org, &elsewhere, &[("A-1", None), ("A-2", None)], Storage::Memory);
    let access = org.access_with(&id, &json!({"person": org.person("Anna"), "key": van}));
    let text = string(&pass(&org, &id, &access), "text");
    assert_eq!(there.shows(&text, None), Err(Refusal::NotPermitted), "of another box");
    assert_eq!(cabinet.shows(&text, None), Ok("A-1".into()));
    assert!(matches!(cabinet.vbox.leave(None, "F1", now_ms()).unwrap(), Attempt::Done(_)));
    assert_eq!(cabinet.shows(&text, None), Err(Refusal::PassUsed), "the key is back, the pass is used");
    assert_eq!(cabinet.sync(), ["applied", "applied"]);
    assert_eq!(cabinet.shows(&text, None), Err(Refusal::PassUsed), "and the box has not forgotten it since");
}
