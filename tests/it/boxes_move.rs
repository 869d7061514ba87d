//! Keys between boxes, hands and administrators: late, wrong, unknown, roaming, corrected.

use crate::{
    rig::{Rig, eventually, string},
    site::Org,
    smart_box::{TestBox, now_ms},
};
use serde_json::{Value, json};
use std::time::Duration;

fn a_moment() {
    std::thread::sleep(Duration::from_millis(15));
}

/// Every fob's home has been asked and has answered.
fn settled(org: &Org, smart_box: &str) {
    eventually("no visitor is asked for any more", || org.show(smart_box)["visitors_unresolved"] == 0);
}

fn newest(org: &Org, smart_box: &str, kind: &str) -> Value {
    let history = org.history(smart_box);
    history.iter().find(|item| item["kind"] == kind).unwrap_or_else(|| panic!("no {kind}: {history:?}")).clone()
}

/// What all boxes have stored is what the server has.
fn all_equal(org: &Org, boxes: &mut [&mut TestBox]) {
    for smart_box in boxes {
        smart_box.sync_until_quiet();
        smart_box.must_equal(&org.inventory(&smart_box.id));
    }
}

fn two_boxes(org: &Org) -> (TestBox, TestBox) {
    (org.ready_box(3), org.ready_box(3))
}

/// Case 7.
#[test]
fn a_drop_off_after_the_end_of_the_access_is_applied() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person("Bruno");
    let mut smart_box = org.ready_box(2);
    let id = smart_box.id.clone();
    let key = org.key(&id, "F-1", Some("A-1"));
    let ago = |minutes: u64| now_ms() - minutes * 60_000;
    let text = |ms: u64| jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap().to_string();
    let window = json!({"person": person, "key": key, "from": text(ago(60)), "until": text(ago(20))});
    org.access_with(&id, &window);
    smart_box.sync_until_quiet();
    smart_box.write_at(ago(40), "pick_up", "A-1", Some("F-1"), Some(&person));
    smart_box.write_at(ago(5), "drop_off", "A-2", Some("F-1"), Some(&person));
    smart_box.write_at(ago(4), "pick_up", "A-2", Some("F-1"), Some(&person));
    assert_eq!(smart_box.outcomes(), ["applied", "applied", "flagged not_permitted"]);
    assert!(org.conflicts().is_empty());
}

/// Case 8.
#[test]
fn a_drop_off_at_the_wrong_box_is_applied_and_flagged() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person("Bruno");
    let (mut home, mut other) = two_boxes(&org);
    let key = org.key(&home.id, "F-1", Some("A-1"));
    let access = org.access_with(&home.id, &json!({"person": person, "key": key}));
    home.sync_until_quiet();
    a_moment();
    home.pick_up("A-1", "F-1", Some(&person));
    assert_eq!(home.outcomes(), ["applied"]);
    a_moment();
    other.drop_off("A-2", "F-1", Some(&person));
    assert_eq!(other.outcomes(), ["applied"], "its home is asked after the sync");
    settled(&org, &other.id);
    let moved = newest(&org, &other.id, "moved_in");
    assert_eq!((&moved["outcome"], &moved["reason"]), (&json!("flagged"), &json!("may_not_be_dropped_here")));
    assert_eq!((&moved["key"], &moved["bin"]), (&json!(key), &json!("A-2")));
    assert_eq!(newest(&org, &home.id, "moved_out")["key"], json!(key));
    assert_eq!(org.client.get(&format!("/keys/{key}")).is(200)["box"], json!(other.id));
    assert_eq!(org.place(&home.id, &key), None, "the record has moved");
    assert_eq!(org.place(&other.id, &key).unwrap()["bin"], "A-2");
    let accesses = org.inventory(&other.id)["accesses"].clone();
    assert_eq!(accesses[0]["access"], json!(access), "its accesses come along");
    assert!(org.conflicts().is_empty());
    all_equal(&org, &mut [&mut home, &mut other]);
}

/// Case 16.
#[test]
fn an_unknown_fob_is_flagged_and_in_two_boxes_a_conflict() {
    let rig = Rig::start();
    let org = rig.org();
    let (mut here, mut there) = two_boxes(&org);
    here.drop_off("A-1", "STRANGE", None);
    assert_eq!(here.outcomes().len(), 1);
    settled(&org, &here.id);
    let bin = org.bin(&here.id, "A-1");
    assert_eq!((&bin["fob"], &bin["key"]), (&json!("STRANGE"), &Value::Null));
    let flagged = newest(&org, &here.id, "unknown_fob");
    assert_eq!((&flagged["outcome"], &flagged["reason"]), (&json!("flagged"), &json!("unknown_fob")));
    assert!(org.conflicts().is_empty());
    a_moment();
    there.drop_off("A-3", "STRANGE", None);
    assert_eq!(there.outcomes().len(), 1);
    settled(&org, &there.id);
    let conflicts = org.conflicts();
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    assert_eq!((&conflicts[0]["reason"], &conflicts[0]["fob"]), (&json!("fob_in_two_boxes"), &json!("STRANGE")));
    assert_eq!(org.bin(&there.id, "A-3")["confirmed"], false);
    // An administrator says whose it is.
    org.client.post(&format!("/boxes/{}/bins/A-1/correction", here.id), &json!({"fob": null})).ok();
    let key = org.key_with(&there.id, &json!({"name": "Found", "fob": "STRANGE", "bin": "A-3"}));
    assert_eq!(org.place(&there.id, &key).unwrap()["bin"], "A-3");
    all_equal(&org, &mut [&mut here, &mut there]);
}

/// Each box hears that nobody has them; one is faster. Neither what else it is told waits for that, nor the conflict.
#[test]
fn unknown_fobs_that_two_boxes_tell_of_at_once_are_conflicts_at_once() {
    const FOBS: usize = 12;
    let rig = Rig::start();
    let org = rig.org();
    let mut boxes = [org.ready_box(FOBS), org.ready_box(FOBS)];
    for fob in 1..=FOBS {
        let together = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for smart_box in &mut boxes {
                scope.spawn(|| {
                    smart_box.drop_off(&format!("A-{fob}"), &format!("STRANGE-{fob}"), None);
                    together.wait();
                    smart_box.sync();
                });
            }
        });
    }
    boxes.iter().for_each(|smart_box| settled(&org, &smart_box.id));
    let conflicts = org.conflicts();
    assert!(conflicts.iter().all(|conflict| conflict["reason"] == "fob_in_two_boxes"), "{conflicts:?}");
    assert_eq!(conflicts.len(), FOBS);
    let [one, other] = &mut boxes;
    all_equal(&org, &mut [one, other]);
}

/// The box that the key was in before has to do with its old fob again.
#[test]
fn a_fob_that_was_replaced_after_its_key_had_moved_is_nobodys() {
    let rig = Rig::start();
    let org = rig.org();
    let (mut here, mut there) = two_boxes(&org);
    let mut third = org.ready_box(3);
    let key = org.roaming_key(&here.id, "OLD", Some("A-1"));
    here.sync_until_quiet();
    here.pick_up("A-1", "OLD", None);
    here.sync();
    there.drop_off("A-1", "OLD", None);
    there.sync();
    settled(&org, &there.id);
    org.client.patch(&format!("/boxes/{}/keys/{key}", there.id), &json!({"fob": "NEW"})).is(200);
    here.drop_off("A-2", "OLD", None);
    here.sync();
    settled(&org, &here.id);
    assert_eq!(newest(&org, &here.id, "unknown_fob")["fob"], "OLD");
    // Elsewhere too, as long as nobody has said that it has left.
    for smart_box in [&mut there, &mut third] {
        smart_box.drop_off("A-3", "OLD", None);
        smart_box.sync();
        settled(&org, &smart_box.id);
        let conflicts = org.conflicts();
        let of_it: Vec<_> = conflicts.iter().filter(|conflict| conflict["box"] == *smart_box.id).collect();
        assert!(of_it.len() == 1 && of_it[0]["reason"] == "fob_in_two_boxes", "{conflicts:?}");
    }
    // An administrator says whose it is.
    let found = org.key_with(&here.id, &json!({"name": "Found", "fob": "OLD", "bin": "A-2"}));
    assert_eq!(org.place(&here.id, &found).unwrap()["bin"], "A-2");
}

/// Case 19.
#[test]
fn a_key_removed_by_hand_while_the_box_was_offline_is_a_conflict() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person("Bruno");
    let mut smart_box = org.ready_box(3);
    let id = smart_box.id.clone();
    let key = org.key(&id, "F-1", Some("A-1"));
    org.access(&id, &person);
    smart_box.sync_until_quiet();
    a_moment();
    org.client.post(&format!("/boxes/{id}/bins/A-1/correction"), &json!({"fob": null})).ok();
    smart_box.pick_up("A-1", "F-1", Some(&person));
    assert_eq!(smart_box.outcomes(), ["ignored key_not_in_bin"]);
    let place = org.place(&id, &key).unwrap();
    assert_ne!(place["in"], "person", "what was ignored changes nothing: {place}");
    assert_eq!(org.bin(&id, "A-1")["confirmed"], false, "somebody should look");
    let conflicts = org.conflicts();
    assert_eq!(conflicts.len(), 1);
    let conflict = &conflicts[0];
    for (member, value) in [
        ("box", json!(id)),
        ("seq", json!(1)),
        ("bin", json!("A-1")),
        ("fob", json!("F-1")),
        ("person", json!(person)),
        ("kind", json!("pick_up")),
        ("outcome", json!("ignored")),
        ("reason", json!("key_not_in_bin")),
    ] {
        assert_eq!(conflict[member], value, "{conflict}");
    }
    assert_eq!(conflict["server"]["bin_fob"], Value::Null, "both versions");
    assert_eq!(org.client.get(&format!("/boxes/{id}/conflicts/1")).is(200), *conflict);
    assert!(org.history(&id).iter().all(|item| item["seq"] != 1), "not in the history");
    assert!(org.whole_history(&id).iter().any(|item| item["seq"] == 1));
    let shown = org.show(&id);
    assert_eq!((&shown["open_conflicts"], &shown["conflicts"]), (&json!(1), &json!([1])));
}

/// Case 20.
#[test]
fn a_roaming_key_whose_second_box_syncs_first() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person("Bruno");
    let (mut a, mut b) = two_boxes(&org);
    let key = org.roaming_key(&a.id, "F-1", Some("A-1"));
    org.access_with(&a.id, &json!({"person": person, "key": key}));
    a.sync_until_quiet();
    a_moment();
    a.pick_up("A-1", "F-1", Some(&person));
    a_moment();
    b.drop_off("A-2", "F-1", Some(&person));
    assert_eq!(b.outcomes(), ["applied"]);
    settled(&org, &b.id);
    assert_eq!(org.place(&b.id, &key).unwrap()["bin"], "A-2", "the fob is here");
    assert_eq!(newest(&org, &b.id, "moved_in")["outcome"], "applied", "it may roam");
    let bin = org.bin(&a.id, "A-1");
    assert_eq!((&bin["confirmed"], &bin["expects_late_pick_up"]), (&json!(false), &json!(true)));
    assert_eq!(a.outcomes(), ["applied"], "the late pick-up closes the gap");
    let bin = org.bin(&a.id, "A-1");
    assert_eq!(
        (&bin["fob"], &bin["confirmed"], &bin["expects_late_pick_up"]),
        (&Value::Null, &json!(true), &json!(false))
    );
    assert!(org.conflicts().is_empty());
    assert!(org.history(&b.id).iter().chain(&org.history(&a.id)).all(|item| item["outcome"] == "applied"));
    all_equal(&org, &mut [&mut a, &mut b]);
}

#[test]
fn a_late_pick_up_that_never_comes_is_a_conflict() {
    let mut rig = Rig::start();
    let org = rig.org();
    let (mut a, mut b) = two_boxes(&org);
    let key = org.roaming_key(&a.id, "F-1", Some("A-1"));
    a.sync_until_quiet();
    b.drop_off("A-2", "F-1", None);
    b.sync();
    settled(&org, &b.id);
    assert_eq!(org.bin(&a.id, "A-1")["expects_late_pick_up"], true);
    rig.kill_and_start();
    a.sync();
    let conflicts = org.conflicts();
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    assert_eq!((&conflicts[0]["reason"], &conflicts[0]["box"]), (&json!("late_pick_up_missing"), &json!(a.id)));
    let bin = org.bin(&a.id, "A-1");
    assert_eq!((&bin["confirmed"], &bin["expects_late_pick_up"]), (&json!(false), &json!(false)));
    let path = format!("/boxes/{}/conflicts/{}/resolution", a.id, conflicts[0]["seq"]);
    org.client.post(&path, &json!({"accept": "by_hand"})).ok();
    assert_eq!(org.show(&a.id)["open_conflicts"], 0);
    assert_eq!(org.place(&b.id, &key).unwrap()["bin"], "A-2");
    all_equal(&org, &mut [&mut a, &mut b]);
}

#[test]
fn a_key_goes_around_and_comes_home() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person("Bruno");
    let mut boxes: Vec<_> = (0..3).map(|_| org.ready_box(2)).collect();
    let key = org.roaming_key(&boxes[0].id, "F-1", Some("A-1"));
    org.access_with(&boxes[0].id, &json!({"person": person, "key": key}));
    boxes[0].sync_until_quiet();
    for round in 0..6 {
        let (from, to) = (round % 3, (round + 1) % 3);
        a_moment();
        boxes[from].pick_up("A-1", "F-1", Some(&person));
        assert_eq!(boxes[from].outcomes(), ["applied"], "round {round}");
        a_moment();
        boxes[to].drop_off("A-1", "F-1", Some(&person));
        assert_eq!(boxes[to].outcomes(), ["applied"], "round {round}");
        let home = boxes[to].id.clone();
        settled(&org, &home);
        assert_eq!(org.place(&home, &key).unwrap()["bin"], "A-1");
        boxes[to].sync_until_quiet();
    }
    for (at, smart_box) in boxes.iter_mut().enumerate() {
        assert_eq!(org.place(&smart_box.id, &key).is_some(), at == 0);
        smart_box.sync_until_quiet();
        smart_box.must_equal(&org.inventory(&smart_box.id));
    }
    assert_eq!(org.client.all("/keys", 200).len(), 1);
    assert!(org.conflicts().is_empty());
}

/// Many boxes, offline for long, that come back in any order: every fob is in one place, and nothing is lost.
#[test]
fn many_keys_between_many_boxes_in_any_order() {
    let rig = Rig::start();
    let org = rig.org();
    let mut boxes: Vec<_> = (0..5).map(|_| org.ready_box(4)).collect();
    let mut fobs = Vec::new();
    for (at, smart_box) in boxes.iter().enumerate() {
        for bin in 1..=2 {
            let fob = format!("F-{at}{bin}");
            let key = org.roaming_key(&smart_box.id, &fob, Some(&format!("A-{bin}")));
            fobs.push((fob, key));
        }
    }
    boxes.iter_mut().for_each(TestBox::sync_until_quiet);
    // Each box's first key goes to the next box, all without a network, and the last box comes first.
    for (at, smart_box) in boxes.iter_mut().enumerate() {
        smart_box.pick_up("A-1", &format!("F-{at}1"), None);
    }
    a_moment();
    for at in 0..5 {
        boxes[(at + 1) % 5].drop_off("A-3", &format!("F-{at}1"), None);
    }
    std::thread::scope(|scope| {
        for smart_box in boxes.iter_mut().rev() {
            scope.spawn(move || {
                assert!(
                    smart_box.sync()["receipts"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .all(|receipt| { receipt["outcome"] == "applied" || receipt["outcome"] == "flagged" })
                );
            });
        }
    });
    for smart_box in &boxes {
        settled(&org, &smart_box.id);
    }
    for smart_box in &mut boxes {
        smart_box.sync_until_quiet();
        smart_box.must_equal(&org.inventory(&smart_box.id));
    }
    for (at, smart_box) in boxes.iter().enumerate() {
        let (came, stayed) = (format!("F-{}1", (at + 4) % 5), format!("F-{at}2"));
        assert_eq!(org.bin(&smart_box.id, "A-1")["fob"], Value::Null);
        assert_eq!(
            (&org.bin(&smart_box.id, "A-2")["fob"], &org.bin(&smart_box.id, "A-3")["fob"]),
            (&json!(stayed), &json!(came))
        );
    }
    let keys = org.client.all("/keys", 3);
    assert_eq!(keys.len(), fobs.len());
    for (fob, key) in fobs {
        let shown = org.client.get(&format!("/keys/{key}")).is(200);
        assert_eq!((&shown["fob"], &shown["place"]["in"]), (&json!(fob), &json!("bin")));
    }
    assert!(org.conflicts().is_empty(), "{:?}", org.conflicts());
}

#[test]
fn a_correction_brings_a_fob_that_is_at_home_elsewhere() {
    let rig = Rig::start();
    let org = rig.org();
    let (mut a, mut b) = two_boxes(&org);
    let key = org.key(&a.id, "F-1", Some("A-1"));
    a.sync_until_quiet();
    org.client.post(&format!("/boxes/{}/bins/A-3/correction", b.id), &json!({"fob": "F-1"})).ok();
    settled(&org, &b.id);
    assert_eq!(org.place(&b.id, &key).unwrap()["bin"], "A-3");
    assert_eq!(org.place(&a.id, &key), None);
    assert_eq!(org.bin(&b.id, "A-3")["confirmed"], true);
    assert_eq!(newest(&org, &b.id, "moved_in")["outcome"], "applied", "an administrator may put it anywhere");
    b.sync_until_quiet();
    b.must_equal(&org.inventory(&b.id));
    let within = org.client.post(&format!("/boxes/{}/bins/A-1/correction", b.id), &json!({"fob": "F-1"}));
    within.ok();
    assert_eq!((&org.bin(&b.id, "A-1")["fob"], &org.bin(&b.id, "A-3")["fob"]), (&json!("F-1"), &Value::Null));
}

/// A fob has one key in an organisation, wherever it is made.
#[test]
fn one_fob_is_one_key() {
    let rig = Rig::start();
    let (org, others) = (rig.org(), rig.org());
    let (a, b) = (org.smart_box("MS5", 2), org.smart_box("MS5", 2));
    let key = org.key(&a, "F-1", Some("A-1"));
    let body = json!({"name": "Again", "fob": "F-1"});
    org.client.post(&format!("/boxes/{b}/keys"), &body).problem(409, "keys.fob_taken");
    org.client.post(&format!("/boxes/{a}/keys"), &body).problem(409, "keys.fob_taken");
    let occupied = json!({"name": "Other", "fob": "F-2", "bin": "A-1"});
    org.client.post(&format!("/boxes/{a}/keys"), &occupied).problem(409, "boxes.bin_occupied");
    let nowhere = json!({"name": "Other", "fob": "F-2", "bin": "Z-9"});
    assert!(matches!(org.client.post(&format!("/boxes/{a}/keys"), &nowhere).status, 400 | 404));
    assert_eq!(org.client.all("/keys", 200).len(), 1, "a lost race changes nothing");
    others.key(&others.smart_box("MS5", 1), "F-1", None);
    // Twenty at once in two boxes.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = |number: usize| {
            let (client, at) = (org.client.clone(), if number.is_multiple_of(2) { &a } else { &b });
            move || client.post(&format!("/boxes/{at}/keys"), &json!({"name": "Race", "fob": "F-9"})).status
        };
        let asked: Vec<_> = (0..20).map(|number| scope.spawn(ask(number))).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 409).count(), 19, "{answers:?}");
    // Out of its bin and removed, the fob is free.
    org.client.post(&format!("/boxes/{a}/bins/A-1/correction"), &json!({"fob": null})).ok();
    org.client.delete(&format!("/boxes/{a}/keys/{key}")).ok();
    let again = string(&org.client.post(&format!("/boxes/{b}/keys"), &body).is(201), "key");
    assert_ne!(again, key);
    org.client.get(&format!("/keys/{key}")).problem(404, "object.not_found");
}

#[test]
fn protected_and_disabled_bins() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person("Bruno");
    let mut smart_box = org.ready_box(3);
    let id = smart_box.id.clone();
    org.key(&id, "F-1", Some("A-1"));
    org.access(&id, &person);
    for (bin, state) in [("A-1", "protected"), ("A-2", "disabled")] {
        org.client.patch(&format!("/boxes/{id}/bins/{bin}"), &json!({"state": state})).ok();
    }
    smart_box.sync_until_quiet();
    assert_eq!(smart_box.items["bin:A-1"]["state"], "protected");
    a_moment();
    smart_box.pick_up("A-1", "F-1", Some(&person));
    smart_box.drop_off("A-2", "F-1", Some(&person));
    assert_eq!(smart_box.outcomes(), ["flagged not_permitted", "flagged may_not_be_dropped_here"]);
    assert_eq!(org.bin(&id, "A-2")["fob"], "F-1");
}

#[test]
fn holders_bins_and_places_that_do_not_fit() {
    let rig = Rig::start();
    let org = rig.org();
    let (bruno, carla) = (org.person("Bruno"), org.person("Carla"));
    let mut smart_box = org.ready_box(4);
    let id = smart_box.id.clone();
    org.key(&id, "F-1", Some("A-1"));
    org.key(&id, "F-2", Some("A-2"));
    org.access(&id, &bruno);
    smart_box.sync_until_quiet();
    a_moment();
    smart_box.pick_up("A-1", "F-1", Some(&bruno));
    smart_box.drop_off("A-2", "F-1", Some(&bruno));
    smart_box.drop_off("A-3", "F-1", Some(&carla));
    smart_box.pick_up("A-4", "F-1", Some(&bruno));
    smart_box.drop_off("A-4", "F-1", Some(&bruno));
    smart_box.pick_up("A-1", "F-9", Some(&bruno));
    assert_eq!(
        smart_box.outcomes(),
        [
            "applied",
            "ignored bin_occupied",
            "flagged other_holder",
            "ignored key_not_in_bin",
            "ignored key_elsewhere",
            "ignored key_not_in_bin",
        ]
    );
    assert_eq!((&org.bin(&id, "A-2")["fob"], &org.bin(&id, "A-3")["fob"]), (&json!("F-2"), &json!("F-1")));
    assert_eq!(org.conflicts().len(), 4);
    smart_box.sync_until_quiet();
    smart_box.must_equal(&org.inventory(&id));
}
