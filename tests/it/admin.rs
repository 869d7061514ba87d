//! What an administrator does and sees: boxes, bins, keys, accesses, conflicts, history, lists, the guarantee.

use crate::{
    rig::{Rig, eventually, string},
    site::Org,
    smart_box::TestBox,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

fn a_moment() {
    std::thread::sleep(Duration::from_millis(15));
}

#[test]
fn a_box_is_made_shown_changed_and_listed() {
    let rig = Rig::start();
    let org = rig.org();
    let body = json!({
        "name": "Lodge", "model": "MS4", "location": "Via Roma 1", "zone": "Europe/Rome", "bins": ["A-1", "B-1"],
    });
    let made = org.client.post("/boxes", &body).is(201);
    let id = string(&made, "box");
    let shown = org.show(&id);
    for member in ["name", "model", "location", "zone"] {
        assert_eq!(shown[member], body[member], "{member}");
    }
    assert_eq!(
        (&shown["enrolled"], &shown["suspended"], &shown["plan"]),
        (&json!(false), &json!(false), &json!("premium"))
    );
    assert_eq!(
        (&shown["cursor"], &shown["last_contact"], &shown["pending_since"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let inventory = org.inventory(&id);
    let labels: Vec<_> = inventory["bins"].as_array().unwrap().iter().map(|bin| string(bin, "bin")).collect();
    assert_eq!(labels, ["A-1", "B-1"]);
    let changed = org.client.patch(&format!("/boxes/{id}"), &json!({"name": "Gate", "location": ""})).is(200);
    assert!(changed["revision"].as_u64() > made["revision"].as_u64());
    let shown = org.show(&id);
    assert_eq!(
        (&shown["name"], &shown["location"], &shown["zone"]),
        (&json!("Gate"), &json!(""), &json!("Europe/Rome"))
    );
    for _ in 0..6 {
        org.smart_box("MS5", 1);
    }
    for limit in [1, 2, 7, 200] {
        let ids: BTreeSet<_> = org.client.all("/boxes", limit).iter().map(|row| string(row, "box")).collect();
        assert!(ids.len() == 7 && ids.contains(&id), "limit {limit}: {ids:?}");
    }
    let row = org.client.all("/boxes", 200).into_iter().find(|row| row["box"] == json!(id)).unwrap();
    assert_eq!((&row["name"], &row["enrolled"], &row["open_conflicts"]), (&json!("Gate"), &json!(false), &json!(0)));
}

/// A fleet is set up with one request a box: keys, accesses and the code in one.
#[test]
fn a_box_is_made_with_all_that_belongs_to_it() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person("Bruno");
    let body = json!({
        "name": "Lodge", "model": "MS5", "zone": "Europe/Rome", "bins": ["A-1", "A-2", "A-3"], "enrol": true,
        "keys": [
            {"name": "One", "fob": "F-1", "bin": "A-1"},
            {"name": "Two", "fob": "F-2", "bin": "A-2", "roaming": true},
            {"name": "Three", "fob": "F-3"},
        ],
        "accesses": [{"person": person, "key_index": 0}, {"person": person, "box": true}],
    });
    let made = org.client.post_once("/boxes", "k", &body);
    let told = made.is(201);
    assert_eq!(org.client.post_once("/boxes", "k", &body).body, made.body);
    let id = string(&told, "box");
    let inventory = org.inventory(&id);
    assert_eq!((inventory["keys"].as_array().unwrap().len(), inventory["accesses"].as_array().unwrap().len()), (3, 2));
    assert_eq!((&org.bin(&id, "A-1")["fob"], &org.bin(&id, "A-2")["fob"]), (&json!("F-1"), &json!("F-2")));
    let mut smart_box = TestBox::enrol(&rig.nobody(), &string(&told, "enrolment_code"));
    smart_box.sync_until_quiet();
    smart_box.must_equal(&org.inventory(&id));
    // A row that is wrong is named, and there is no half of a box.
    for (wrong, pointer) in [
        (json!([{"name": "A", "fob": "G-1"}, {"name": "B", "fob": "G-1"}]), "/keys/1"),
        (json!([{"name": "A", "fob": "G-1", "bin": "Z-9"}]), "/keys/0/bin"),
    ] {
        let mut body = body.clone();
        body["keys"] = wrong;
        body["accesses"] = json!([]);
        let problem = org.client.post("/boxes", &body).problem(400, "request.invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    assert_eq!(org.client.all("/boxes", 200).len(), 1);
}

#[test]
fn keys_are_changed_shown_and_listed() {
    let rig = Rig::start();
    let org = rig.org();
    let id = org.smart_box("MS5", 3);
    let group = org.group("Vans");
    let body = json!({
        "name": "Fiat Ducato", "fob": "04A2F1", "bin": "A-2", "roaming": true, "groups": [group],
        "description": "white", "notes": "service in May", "pick_up_note": "tank is on the left",
    });
    let key = org.key_with(&id, &body);
    let path = format!("/keys/{key}");
    let shown = org.client.get(&path).is(200);
    for member in ["name", "fob", "roaming", "groups", "description", "notes", "pick_up_note"] {
        assert_eq!(shown[member], body[member], "{member}");
    }
    assert_eq!((&shown["box"], &shown["place"]["bin"]), (&json!(id), &json!("A-2")));
    let change = json!({"name": "Ducato 2", "roaming": false, "notes": ""});
    org.client.patch(&format!("/boxes/{id}/keys/{key}"), &change).ok();
    let shown = org.client.get(&path).is(200);
    assert_eq!((&shown["name"], &shown["roaming"], &shown["notes"]), (&json!("Ducato 2"), &json!(false), &json!("")));
    assert_eq!((&shown["description"], &shown["groups"]), (&body["description"], &body["groups"]), "the rest stays");
    for number in 0..5 {
        org.key(&id, &format!("F-{number}"), None);
    }
    for limit in [1, 4, 6, 200] {
        let listed: BTreeSet<_> = org.client.all("/keys", limit).iter().map(|row| string(row, "key")).collect();
        assert!(listed.len() == 6 && listed.contains(&key), "limit {limit}");
    }
    org.client.delete(&format!("/boxes/{id}/keys/{key}")).ok();
    org.client.get(&path).problem(404, "object.not_found");
    org.client.delete(&format!("/boxes/{id}/keys/{key}")).problem(404, "object.not_found");
    let bin = org.bin(&id, "A-2");
    assert_eq!((&bin["fob"], &bin["key"]), (&json!("04A2F1"), &Value::Null), "the fob stays, unknown");
    assert_eq!(org.client.all("/keys", 200).len(), 5);
}

#[test]
fn accesses_by_key_group_box_and_local_time() {
    let rig = Rig::start();
    let org = rig.org();
    let (bruno, carla) = (org.person("Bruno"), org.person("Carla"));
    let mut smart_box = org.ready_box(4);
    let id = smart_box.id.clone();
    let group = org.group("Vans");
    org.key_with(&id, &json!({"name": "K", "fob": "F-1", "bin": "A-1", "groups": [group]}));
    let second = org.key(&id, "F-2", Some("A-2"));
    let of_group = json!({"person": bruno, "group": group});
    let of_key = json!({"person": carla, "key": second, "from": "2020-07-01T08:00", "until": "2040-12-01T08:00"});
    let of_box = json!({"person": carla, "box": true, "from": "2020-07-01T08:00", "until": "2020-07-02T08:00:00Z",
        "zone": "America/New_York"});
    let batch = json!({"accesses": [of_group, of_key, of_box]});
    let made = org.client.post(&format!("/boxes/{id}/accesses/batch"), &batch).is(201);
    let ids = made["accesses"].as_array().unwrap().clone();
    assert_eq!(ids.len(), 3);
    smart_box.sync_until_quiet();
    smart_box.must_equal(&org.inventory(&id));
    let item = |at: usize| smart_box.items[ids[at].as_str().unwrap()].clone();
    assert_eq!((&item(0)["group"], item(0).get("key")), (&json!(group), None));
    assert_eq!(item(1)["from_ms"], 1_593_583_200_000u64, "8:00 in Rome is 6:00 UTC in summer");
    assert_eq!(item(1)["until_ms"], 2_237_958_000_000u64, "and 7:00 in winter");
    assert_eq!(item(2)["from_ms"], 1_593_604_800_000u64, "8:00 in New York is 12:00 UTC");
    a_moment();
    smart_box.pick_up("A-2", "F-2", Some(&bruno));
    smart_box.pick_up("A-1", "F-1", Some(&bruno));
    smart_box.drop_off("A-1", "F-1", Some(&bruno));
    smart_box.pick_up("A-1", "F-1", Some(&carla));
    smart_box.drop_off("A-2", "F-2", Some(&bruno));
    smart_box.pick_up("A-2", "F-2", Some(&carla));
    let outcomes = smart_box.outcomes();
    let not = "flagged not_permitted";
    assert_eq!(outcomes, [not, "applied", "applied", not, "applied", "applied"]);
    // One wrong row of a batch grants nothing.
    let unknown = json!({"accesses": [{"person": bruno, "box": true},
        {"person": bruno, "key": "key_0123456789abcdefghjkmnpqrs"}]});
    org.client.post(&format!("/boxes/{id}/accesses/batch"), &unknown).refused();
    assert_eq!(org.inventory(&id)["accesses"].as_array().unwrap().len(), 3);
}

#[test]
fn an_ms3_has_no_people_and_no_accesses() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person_with(&json!({"name": "Bruno", "access_code": "123456"}));
    let id = org.smart_box("MS3", 2);
    org.key(&id, "F-1", Some("A-1"));
    org.access(&id, &person);
    let mut smart_box = org.enrolled(&id);
    for _ in 0..3 {
        let told = smart_box.sync();
        assert_eq!((told["changes"].get("people"), told["changes"].get("accesses")), (None, None), "{told}");
        org.client.patch(&format!("/people/{person}"), &json!({"access_code": "654321"})).ok();
        a_moment();
    }
    assert_eq!(smart_box.items["bin:A-1"]["fob"], "F-1");
    assert!(smart_box.items.keys().all(|name| name.starts_with("bin:") || name.starts_with("key_")));
    assert_eq!(org.inventory(&id)["accesses"].as_array().unwrap().len(), 1, "the server knows it");
}

#[test]
fn a_change_of_plan_reaches_every_box() {
    let mut rig = Rig::start();
    let org = rig.org_with("lite");
    let mut boxes: Vec<_> = (0..5).map(|_| org.ready_box(1)).collect();
    assert!(boxes.iter().all(|smart_box| org.show(&smart_box.id)["plan"] == "lite"));
    let path = format!("/organisations/{}", org.id);
    rig.operator().patch(&path, &json!({"plan": "business_pro"})).ok();
    let reached = |plan: &str| {
        eventually("the plan reaches the boxes", || {
            boxes.iter().all(|smart_box| org.show(&smart_box.id)["plan"] == plan)
                && org.client.all("/boxes", 200).iter().all(|row| row["plan"] == plan)
        });
    };
    reached("business_pro");
    rig.operator().patch(&path, &json!({"plan": "premium"})).ok();
    rig.kill_and_start();
    reached("premium");
    let next = boxes[0].sync()["next_sync_s"].as_u64().unwrap();
    assert!((1..=7200).contains(&next), "{next}");
    let late = org.smart_box("MS5", 1);
    assert_eq!(org.show(&late)["plan"], "premium", "a new box has today's plan");
}

#[test]
fn what_a_box_is_missing_and_since_when() {
    let rig = Rig::start();
    let org = rig.org_with("business_pro");
    let mut smart_box = org.ready_box(2);
    let id = smart_box.id.clone();
    smart_box.confirm().is(204);
    assert_eq!(org.show(&id)["pending_since"], Value::Null);
    org.client.patch(&format!("/boxes/{id}/bins/A-1"), &json!({"state": "protected"})).ok();
    let shown = org.show(&id);
    let time = |name: &str| string(&shown, name).parse::<jiff::Timestamp>().unwrap();
    let guarantee = time("due_by").as_second() - time("pending_since").as_second();
    assert_eq!((guarantee, &shown["late"]), (15 * 60, &json!(false)));
    let row = org.client.all("/boxes", 200).into_iter().find(|row| row["box"] == json!(id)).unwrap();
    assert_eq!((&row["pending_since"], &row["late"]), (&shown["pending_since"], &json!(false)));
    smart_box.sync();
    assert!(org.show(&id)["pending_since"].is_string(), "given is not stored");
    smart_box.confirm().is(204);
    let shown = org.show(&id);
    assert_eq!((&shown["pending_since"], &shown["due_by"]), (&Value::Null, &Value::Null));
    // Its own entries are no news to it; using the cursor proves it too.
    smart_box.opened("A-2");
    smart_box.sync();
    assert_eq!(org.show(&id)["pending_since"], Value::Null, "what the box did itself is not missing");
    org.client.patch(&format!("/boxes/{id}/bins/A-1"), &json!({"state": "enabled"})).ok();
    smart_box.sync();
    smart_box.sync();
    let shown = org.show(&id);
    assert_eq!(shown["pending_since"], Value::Null);
    let health = json!({"battery_percent": 97, "mains": true, "link": "ethernet", "firmware": "5.1.2"});
    assert_eq!((&shown["health"], &shown["offline"]), (&health, &json!(false)));
    assert!(shown["last_contact"].is_string() && shown["contact_due"].is_string());
}

/// Two ignored entries: A-1 is taken by another key in the box's eyes, and a key is elsewhere.
fn two_conflicts(org: &Org) -> TestBox {
    let mut smart_box = org.ready_box(3);
    let id = smart_box.id.clone();
    for (fob, bin) in [("F-1", "A-1"), ("F-2", "A-2")] {
        org.key(&id, &format!("{fob}-{}", &id[20..]), Some(bin));
    }
    smart_box.sync_until_quiet();
    let (first, second) = (format!("F-1-{}", &id[20..]), format!("F-2-{}", &id[20..]));
    org.client.post(&format!("/boxes/{id}/bins/A-1/correction"), &json!({"fob": null})).ok();
    smart_box.pick_up("A-1", &first, None);
    smart_box.drop_off("A-2", &first, None);
    assert_eq!(smart_box.outcomes(), ["ignored key_not_in_bin", "ignored bin_occupied"]);
    assert_eq!(org.bin(&id, "A-2")["fob"], json!(second));
    smart_box
}

#[test]
fn conflicts_are_resolved_for_the_box_or_by_hand() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = two_conflicts(&org);
    let id = smart_box.id.clone();
    let first = format!("F-1-{}", &id[20..]);
    let resolve = |seq: u64, accept: &str| {
        org.client.post(&format!("/boxes/{id}/conflicts/{seq}/resolution"), &json!({"accept": accept}))
    };
    resolve(1, "perhaps").problem(400, "request.malformed");
    resolve(7, "box").problem(404, "object.not_found");
    resolve(2, "box").ok();
    assert_eq!(org.bin(&id, "A-2")["fob"], json!(first), "the box was right: the bin holds what it says");
    assert_eq!(org.bin(&id, "A-2")["confirmed"], true);
    resolve(1, "by_hand").ok();
    resolve(1, "by_hand").problem(404, "object.not_found");
    resolve(2, "box").problem(404, "object.not_found");
    let conflicts = org.conflicts();
    assert_eq!(conflicts.len(), 2, "kept when they are resolved");
    for (conflict, accept) in conflicts.iter().zip(["by_hand", "box"]) {
        assert_eq!(conflict["resolved"]["accept"], accept, "{conflict}");
    }
    let shown = org.show(&id);
    assert_eq!((&shown["open_conflicts"], &shown["conflicts"]), (&json!(0), &json!([])));
    let row = org.client.all("/boxes", 200).into_iter().find(|row| row["box"] == json!(id)).unwrap();
    assert_eq!(row["open_conflicts"], 0);
    org.client.post(&format!("/boxes/{id}/bins/A-1/confirmation"), &json!({})).ok();
    assert_eq!(org.bin(&id, "A-1")["confirmed"], true);
    smart_box.sync_until_quiet();
    smart_box.must_equal(&org.inventory(&id));
}

#[test]
fn conflicts_of_many_boxes_come_in_pages() {
    let rig = Rig::start();
    let (org, others) = (rig.org(), rig.org());
    let boxes: Vec<_> = (0..3).map(|_| two_conflicts(&org)).collect();
    two_conflicts(&others);
    for limit in [1, 2, 4, 6, 200] {
        let listed: BTreeSet<_> =
            org.conflicts_by(limit).iter().map(|row| (string(row, "box"), row["seq"].as_u64().unwrap())).collect();
        let wanted: BTreeSet<_> =
            boxes.iter().flat_map(|smart_box| [(smart_box.id.clone(), 1), (smart_box.id.clone(), 2)]).collect();
        assert_eq!(listed, wanted, "limit {limit}");
    }
}

#[test]
fn history_comes_in_pages_newest_first() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(2);
    let id = smart_box.id.clone();
    for number in 0..30 {
        smart_box.drop_off("A-1", "F-1", None);
        smart_box.pick_up(if number % 10 == 9 { "A-2" } else { "A-1" }, "F-1", None);
        if number % 10 == 9 {
            smart_box.pick_up("A-1", "F-1", None);
        }
        if number % 4 == 0 {
            smart_box.sync();
        }
    }
    smart_box.sync_until_quiet();
    let history = format!("/boxes/{id}/history");
    let whole = org.whole_history(&id);
    let seqs: Vec<_> = whole.iter().filter_map(|item| item["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=smart_box.head()).rev().collect::<Vec<_>>(), "every judged entry");
    let ignored = whole.iter().filter(|item| item["outcome"] == "ignored").count();
    assert_eq!(ignored, 3);
    let plain = org.history(&id);
    assert_eq!(plain.len() + ignored, whole.len());
    for limit in [1, 7, 30, 200] {
        assert_eq!(org.client.all(&history, limit), plain, "limit {limit}");
        assert_eq!(org.client.all(&format!("{history}?all=true"), limit), whole, "limit {limit}");
    }
    let revisions: Vec<_> = whole.iter().map(|item| item["revision"].as_u64().unwrap()).collect();
    assert!(revisions.is_sorted_by(|a, b| a > b), "{revisions:?}");
    org.client.post(&format!("/boxes/{id}/bins/A-2/correction"), &json!({"fob": "F-7"})).ok();
    let history = org.history(&id);
    let newest = history.iter().find(|item| item["kind"] == "corrected").unwrap();
    assert_eq!(
        (&newest["kind"], &newest["offline"], &newest["bin"]),
        (&json!("corrected"), &json!(false), &json!("A-2"))
    );
}
