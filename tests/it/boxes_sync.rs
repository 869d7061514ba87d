//! One box: sync, receipts, deltas, reconciliation, clocks, credentials.

use crate::{
    rig::{Rig, eventually, string},
    smart_box::{ENTRIES_MAX, TestBox, now_ms, outcomes_of},
};
use serde_json::{Value, json};
use std::time::Duration;

/// Clocks of entries are compared in milliseconds: what follows has another one.
fn a_moment() {
    std::thread::sleep(Duration::from_millis(15));
}

#[test]
fn full_then_delta_then_nothing() {
    let rig = Rig::start();
    let org = rig.org();
    let (person, other) = (org.person("Bruno"), org.person("Carla"));
    let id = org.smart_box("MS5", 4);
    let key = org.key(&id, "F-1", Some("A-1"));
    let gone = org.key(&id, "F-2", Some("A-2"));
    let access = org.access_with(&id, &json!({"person": person, "key": key}));
    let mut smart_box = org.enrolled(&id);
    let told = smart_box.sync();
    assert_eq!(told["changes"]["full"], true);
    assert_eq!((&told["resume_at"], told["receipts"].as_array().map(Vec::len)), (&json!(1), Some(0)));
    smart_box.sync_until_quiet();
    smart_box.must_equal(&org.inventory(&id));
    let told = smart_box.sync();
    assert_eq!(told["changes"], json!({"full": false}), "nothing changed, nothing told");

    org.client.patch(&format!("/boxes/{id}/bins/A-3"), &json!({"state": "disabled"})).ok();
    org.client.delete(&format!("/boxes/{id}/keys/{gone}")).ok();
    org.client.delete(&format!("/boxes/{id}/accesses/{access}")).ok();
    let second = org.access_with(&id, &json!({"person": other, "box": true, "until": "2040-01-01T00:00:00Z"}));
    let told = smart_box.sync();
    let changes = &told["changes"];
    assert_eq!(changes["full"], false);
    assert_eq!(changes["bins"], json!([{"bin": "A-3", "state": "disabled", "fob": null, "confirmed": true}]));
    assert_eq!(
        changes["accesses"],
        json!([
            {"access": second, "person": other, "box": true, "from_ms": null, "until_ms": 2_208_988_800_000u64},
        ])
    );
    assert_eq!(changes.get("keys"), None);
    let mut removed: Vec<_> =
        changes["removed"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    removed.sort_unstable();
    let mut wanted = [access.as_str(), gone.as_str(), person.as_str()];
    wanted.sort_unstable();
    assert_eq!(removed, wanted);
    smart_box.sync_until_quiet();
    smart_box.must_equal(&org.inventory(&id));
}

#[test]
fn a_cursor_that_was_never_given_gets_everything_and_proves_nothing() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(3);
    let mut other = org.ready_box(3);
    for _ in 0..5 {
        other.opened("A-1");
        other.sync();
    }
    other.sync_until_quiet();
    let foreign = other.cursor.clone().unwrap();
    org.client.patch(&format!("/boxes/{}/bins/A-1", smart_box.id), &json!({"state": "protected"})).ok();
    assert!(org.show(&smart_box.id)["pending_since"].is_string());
    let good = smart_box.cursor.clone();
    for strange in [json!("9.9"), json!("1.999999999999999999"), json!("0.0"), json!(foreign), Value::Null] {
        let mut request = smart_box.request();
        request["cursor"] = strange.clone();
        let told = smart_box.send(&request).is(200);
        assert_eq!(told["changes"]["full"], true, "{strange}");
        let confirmed = smart_box.client.post("/box/v1/confirm", &json!({"cursor": strange}));
        assert!(matches!(confirmed.status, 204 | 400), "{strange}: {}", confirmed.told());
        assert!(org.show(&smart_box.id)["pending_since"].is_string(), "{strange} counts as stored");
    }
    smart_box.cursor = good;
    smart_box.sync();
    assert_eq!(smart_box.items["bin:A-1"]["state"], "protected");
    smart_box.confirm().is(204);
    let shown = org.show(&smart_box.id);
    assert_eq!((&shown["pending_since"], &shown["late"]), (&Value::Null, &json!(false)));
    assert_eq!(shown["cursor"], json!(smart_box.cursor));
}

#[test]
fn a_delta_that_would_be_larger_is_a_snapshot() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(2);
    for number in 0..80 {
        let key = org.key(&smart_box.id, &format!("F-{number}"), None);
        org.client.delete(&format!("/boxes/{}/keys/{key}", smart_box.id)).ok();
    }
    let told = smart_box.sync();
    assert_eq!(told["changes"]["full"], true);
    smart_box.must_equal(&org.inventory(&smart_box.id));
}

#[test]
fn exchanges_are_applied_and_remembered() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person("Bruno");
    let mut smart_box = org.ready_box(3);
    let id = smart_box.id.clone();
    let key = org.key(&id, "F-1", Some("A-1"));
    org.access_with(&id, &json!({"person": person, "key": key}));
    smart_box.sync();
    a_moment();
    smart_box.pick_up("A-1", "F-1", Some(&person));
    assert_eq!(smart_box.outcomes(), ["applied"]);
    let place = org.place(&id, &key).unwrap();
    assert_eq!((&place["in"], &place["person"]), (&json!("person"), &json!(person)));
    assert_eq!(org.bin(&id, "A-1")["fob"], Value::Null);
    smart_box.drop_off("A-2", "F-1", Some(&person));
    smart_box.opened("A-3");
    assert_eq!(smart_box.outcomes(), ["applied", "applied"]);
    let place = org.place(&id, &key).unwrap();
    assert_eq!((&place["in"], &place["bin"]), (&json!("bin"), &json!("A-2")));
    assert_eq!(org.bin(&id, "A-3")["confirmed"], false, "opened by an offline code");
    let history: Vec<_> = org
        .history(&id)
        .iter()
        .map(|item| (string(item, "kind"), item["seq"].as_u64(), item["offline"].clone(), string(item, "outcome")))
        .collect();
    let line = |kind: &str, seq| (kind.to_owned(), Some(seq), json!(true), "applied".to_owned());
    assert_eq!(history[..3], [line("opened", 3), line("drop_off", 2), line("pick_up", 1)]);
    smart_box.sync_until_quiet();
    smart_box.must_equal(&org.inventory(&id));
    assert!(org.conflicts().is_empty());
}

/// Case 2: what had been withdrawn is flagged, what was right when it happened is not.
#[test]
fn revoked_just_before_is_flagged() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person("Bruno");
    let mut smart_box = org.ready_box(3);
    let id = smart_box.id.clone();
    org.key(&id, "F-1", Some("A-1"));
    org.key(&id, "F-2", Some("A-2"));
    let access = org.access(&id, &person);
    smart_box.sync_until_quiet();
    a_moment();
    smart_box.pick_up("A-1", "F-1", Some(&person));
    a_moment();
    org.client.delete(&format!("/boxes/{id}/accesses/{access}")).ok();
    a_moment();
    smart_box.pick_up("A-2", "F-2", Some(&person));
    assert_eq!(smart_box.outcomes(), ["applied", "flagged not_permitted"]);
    assert_eq!(org.bin(&id, "A-2")["fob"], Value::Null, "a key that is gone is gone");
    let flagged = &org.history(&id)[0];
    assert_eq!((&flagged["outcome"], &flagged["reason"]), (&json!("flagged"), &json!("not_permitted")));
    assert!(org.conflicts().is_empty(), "a flag is no conflict");
}

/// Case 4.
#[test]
fn twice_in_pieces_out_of_order_with_a_gap_and_after_a_lost_answer_each_counts_once() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(3);
    let id = smart_box.id.clone();
    for number in 0..5 {
        smart_box.drop_off("A-1", "F-1", None);
        smart_box.pick_up("A-1", "F-1", None);
        assert!(number < 5);
    }
    // The answer is lost: the box knows nothing of it.
    let first = smart_box.send(&smart_box.request_of(1, 4)).is(200);
    assert_eq!((first["resume_at"].as_u64(), outcomes_of(&first).len()), (Some(5), 4));
    let again = smart_box.send(&smart_box.request_of(1, 4)).is(200);
    assert_eq!(outcomes_of(&again), ["duplicate"; 4]);
    // A gap: 5 is missing.
    let gap = smart_box.send(&smart_box.request_of(6, 2)).is(200);
    assert_eq!((gap["resume_at"].as_u64(), outcomes_of(&gap).len()), (Some(5), 0));
    // A gap inside, and out of order.
    let mut request = smart_box.request_of(5, 6);
    let entries = request["journal"]["entries"].as_array_mut().unwrap();
    entries.remove(1);
    let told = smart_box.send(&request).is(200);
    assert_eq!((told["resume_at"].as_u64(), outcomes_of(&told).len()), (Some(6), 1));
    let mut request = smart_box.request_of(6, 5);
    request["journal"]["entries"].as_array_mut().unwrap().reverse();
    let told = smart_box.send(&request).is(200);
    assert!(told["resume_at"].as_u64().unwrap() <= 7, "{told}");
    // Overlapping: old and new in one.
    let told = smart_box.send(&smart_box.request_of(3, 8)).is(200);
    assert_eq!(told["resume_at"], 11);
    let outcomes = outcomes_of(&told);
    assert_eq!(outcomes.len(), 8);
    assert_eq!(outcomes[..3], ["duplicate"; 3]);
    // Twenty times at once.
    smart_box.store(&told);
    smart_box.drop_off("A-2", "F-2", None);
    let request = smart_box.request();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..20).map(|_| scope.spawn(|| smart_box.send(&request).is(200))).collect();
        asked.into_iter().map(|asked| outcomes_of(&asked.join().unwrap())).collect()
    });
    assert_eq!(answers.iter().filter(|outcomes| **outcomes == ["applied"]).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|outcomes| **outcomes == ["duplicate"]).count(), 19, "{answers:?}");
    let mut seqs: Vec<_> = org.whole_history(&id).iter().filter_map(|item| item["seq"].as_u64()).collect();
    seqs.reverse();
    assert_eq!(seqs, (1..=11).collect::<Vec<_>>());
    assert!(org.conflicts().is_empty() && org.show(&id)["suspended"] == false);
}

/// Case 5.
#[test]
fn a_wrong_clock_rejects_nothing_and_marks_its_times() {
    let rig = Rig::start();
    let org = rig.org();
    let hour = 3_600_000;
    for (off_ms, wanted) in [
        (-(i64::try_from(now_ms()).unwrap()) + 5000, true),
        (3 * hour, true),
        (-3 * hour, true),
        (20_000, false),
        (-60_000, false),
    ] {
        let mut smart_box = org.ready_box(2);
        smart_box.clock_off_ms = off_ms;
        let fob = format!("F{off_ms}");
        smart_box.drop_off("A-1", &fob, None);
        smart_box.pick_up("A-1", &fob, None);
        let before = now_ms();
        let told = smart_box.sync();
        assert_eq!(told["receipts"].as_array().unwrap().len(), 2);
        let history = org.whole_history(&smart_box.id);
        let judged: Vec<_> = history.iter().filter(|item| item["seq"].is_u64()).collect();
        assert_eq!(judged.len(), 2);
        assert_eq!((&judged[0]["seq"], &judged[1]["seq"]), (&json!(2), &json!(1)), "ordered by sequence");
        for item in judged {
            assert_eq!(item["estimated"], wanted, "{off_ms}: {item}");
            let at: jiff::Timestamp = string(item, "at").parse().unwrap();
            let at = u64::try_from(at.as_millisecond()).unwrap();
            assert!(at.abs_diff(before) < 10_000, "by the server's clock: {item}");
            let box_time: jiff::Timestamp = string(item, "box_time").parse().unwrap();
            let off = i64::try_from(before).unwrap() + off_ms - box_time.as_millisecond();
            assert!(off.abs() < 10_000, "by the box's: {item}");
        }
        let skew = org.show(&smart_box.id)["clock_skew_ms"].as_i64().unwrap();
        assert!((skew + off_ms).abs() < 10_000, "{skew} for {off_ms}");
    }
    // Jumping back, and the highest number there is.
    let mut smart_box = org.ready_box(2);
    let now = now_ms();
    for (number, at_ms) in [now, now - 2 * 3_600_000, 0, u64::MAX, 1, now].into_iter().enumerate() {
        let kind = if number % 2 == 0 { "drop_off" } else { "pick_up" };
        smart_box.write_at(at_ms, kind, "A-1", Some("F-J"), None);
    }
    let outcomes = smart_box.outcomes();
    assert_eq!(outcomes.len(), 6);
    assert!(outcomes.iter().all(|outcome| outcome == "applied" || outcome == "flagged not_permitted"), "{outcomes:?}");
    let mut request = smart_box.request();
    request["clock_ms"] = json!(u64::MAX);
    smart_box.send(&request).is(200);
    org.show(&smart_box.id);
}

/// Case 15, small.
#[test]
fn three_hundred_entries_come_in_pieces() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(2);
    for _ in 0..150 {
        smart_box.drop_off("A-1", "F-1", None);
        smart_box.pick_up("A-1", "F-1", None);
    }
    let request = smart_box.request();
    assert_eq!(request["journal"]["more"], true);
    let told = smart_box.sync();
    assert_eq!((outcomes_of(&told).len(), &told["resume_at"]), (ENTRIES_MAX, &json!(257)));
    assert_eq!(org.show(&smart_box.id)["reconciling"], true, "entries are without a receipt");
    assert_eq!(outcomes_of(&smart_box.sync()).len(), 44);
    assert_eq!(org.show(&smart_box.id)["reconciling"], false);
    smart_box.sync_until_quiet();
    let seqs: Vec<_> = org.history(&smart_box.id).iter().filter_map(|item| item["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=300).rev().collect::<Vec<_>>());
    // Twice the window of receipts in one day, and the last ones again.
    let again = smart_box.send(&smart_box.request_of(45, ENTRIES_MAX)).is(200);
    assert_eq!(outcomes_of(&again), ["duplicate"; ENTRIES_MAX]);
}

#[test]
fn a_persons_code_reaches_the_boxes_where_it_counts() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person_with(&json!({"name": "Bruno", "access_code": "111111"}));
    let (mut here, mut elsewhere) = (org.ready_box(2), org.ready_box(2));
    let access = org.access(&here.id, &person);
    let reach = |smart_box: &mut TestBox, code: &str| {
        eventually(&format!("{code} reaches the box"), || {
            smart_box.sync();
            smart_box.knows_code(&person, code)
        });
    };
    reach(&mut here, "111111");
    elsewhere.sync_until_quiet();
    assert!(!elsewhere.items.contains_key(&person), "a box knows those alone who may use it");
    org.client.patch(&format!("/people/{person}"), &json!({"access_code": "222222", "badges": ["B-7"]})).ok();
    reach(&mut here, "222222");
    assert!(!here.knows_code(&person, "111111") && here.knows_badge(&person, "B-7"));
    org.client.patch(&format!("/people/{person}"), &json!({"access_code": null})).ok();
    eventually("the code is gone from the box", || {
        here.sync();
        here.items[&person]["code"] == Value::Null
    });
    org.client.delete(&format!("/boxes/{}/accesses/{access}", here.id)).ok();
    here.sync_until_quiet();
    assert!(!here.items.contains_key(&person) && !here.items.contains_key(&access));
    here.must_equal(&org.inventory(&here.id));
}

#[test]
fn an_erased_person_leaves_the_boxes() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person_with(&json!({"name": "Bruno Bianchi", "access_code": "111111"}));
    let mut boxes: Vec<_> = (0..3).map(|_| org.ready_box(2)).collect();
    for smart_box in &mut boxes {
        org.key(&smart_box.id, &format!("F-{}", &smart_box.id[20..]), Some("A-1"));
        org.access(&smart_box.id, &person);
        smart_box.sync_until_quiet();
    }
    let fob = format!("F-{}", &boxes[0].id[20..]);
    a_moment();
    boxes[0].pick_up("A-1", &fob, Some(&person));
    assert_eq!(boxes[0].outcomes(), ["applied"]);
    org.client.delete(&format!("/people/{person}")).ok();
    for smart_box in &mut boxes {
        eventually("the person leaves the box", || {
            smart_box.sync();
            !smart_box.items.contains_key(&person)
        });
        let inventory = org.inventory(&smart_box.id);
        assert_eq!((&inventory["accesses"], &inventory["people"]), (&json!([]), &json!([])));
        smart_box.must_equal(&inventory);
    }
    let history = org.history(&boxes[0].id);
    assert!(history.iter().any(|item| item["person"] == json!(person)), "history stays, by id");
    assert!(!json!(history).to_string().contains("Bianchi"));
    let path = format!("/boxes/{}/accesses", boxes[0].id);
    org.client.post(&path, &json!({"person": person, "box": true})).refused();
}
