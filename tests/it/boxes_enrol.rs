//! Who is this box? Enrolment, clones, stolen boxes.

use crate::{
    rig::{Rig, eventually, string},
    smart_box::{TestBox, outcomes_of},
};
use serde_json::json;

#[test]
fn an_enrolment_code_works_once_as_people_type_it() {
    let rig = Rig::start();
    let org = rig.org();
    let id = org.smart_box("MS4", 2);
    let made = org.client.post(&format!("/boxes/{id}/enrolment"), &json!({})).is(201);
    let expires: jiff::Timestamp = string(&made, "expires_at").parse().unwrap();
    let hours = (expires - jiff::Timestamp::now()).total(jiff::Unit::Minute).unwrap() / 60.0;
    assert!((23.9..=24.0).contains(&hours), "{hours}");
    let code = string(&made, "code");
    let typed = format!(" {} ", code.to_lowercase().replace('-', " "));
    let smart_box = TestBox::enrol(&rig.nobody(), &typed);
    assert_eq!(
        (smart_box.id.clone(), smart_box.generation, smart_box.model.clone()),
        (id.clone(), 1, "MS4".to_owned())
    );
    for wrong in [code.as_str(), "AAAA-BBBB-CCCC-DDDD", "", "x", &"A".repeat(5000)] {
        let refused = rig.nobody().post("/box/v1/enrol", &json!({"code": wrong}));
        refused.problem(401, "boxes.enrolment_code_invalid");
    }
    assert!(org.show(&id)["enrolled"] == true && !rig.log_text().contains(&code));
    let (old, new) = (org.code(&id), org.code(&id));
    let refused = rig.nobody().post("/box/v1/enrol", &json!({"code": old}));
    refused.problem(401, "boxes.enrolment_code_invalid");
    assert_eq!(TestBox::enrol(&rig.nobody(), &new).generation, 2, "the newest code counts");
}

#[test]
fn twenty_who_type_one_code_are_one_box() {
    let rig = Rig::start();
    let org = rig.org();
    let id = org.smart_box("MS5", 1);
    let code = org.code(&id);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| rig.nobody().post("/box/v1/enrol", &json!({"code": code})).status))
            .collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 401).count(), 19, "{answers:?}");
    assert_eq!(org.show(&id)["generation"], 1);
}

/// Case 18.
#[test]
fn re_enrolment_kills_the_old_token() {
    let mut rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(2);
    smart_box.drop_off("A-1", "F-1", None);
    smart_box.sync();
    let old = smart_box.clone();
    let code = org.code(&smart_box.id);
    old.send(&old.request()).is(200);
    smart_box.enrol_again(&rig.nobody(), &code);
    assert_eq!(smart_box.generation, 2);
    old.send(&old.request()).problem(401, "boxes.token_invalid");
    old.confirm().problem(401, "boxes.token_invalid");
    smart_box.pick_up("A-1", "F-1", None);
    assert_eq!(smart_box.outcomes(), ["flagged not_permitted"], "the journal goes on");
    rig.kill_and_start();
    old.send(&old.request()).problem(401, "boxes.token_invalid");
    smart_box.sync_until_quiet();
    smart_box.must_equal(&org.inventory(&smart_box.id));
}

#[test]
fn a_stolen_box_is_shut_out_at_once_and_its_verifiers_are_made_anew() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person_with(&json!({"name": "Bruno", "access_code": "314159", "badges": ["B-1"]}));
    let mut smart_box = org.ready_box(2);
    org.access(&smart_box.id, &person);
    eventually("the code reaches the box", || {
        smart_box.sync();
        smart_box.knows_code(&person, "314159") && smart_box.knows_badge(&person, "B-1")
    });
    assert!(!smart_box.knows_code(&person, "314158"));
    let old_verifier = smart_box.items[&person]["code"].clone();
    let path = format!("/boxes/{}/enrolment", smart_box.id);
    let code = string(&org.client.post(&path, &json!({"stolen": true})).is(201), "code");
    smart_box.send(&smart_box.request()).problem(403, "boxes.suspended");
    smart_box.confirm().problem(403, "boxes.suspended");
    assert_eq!(org.show(&smart_box.id)["suspended"], true);
    smart_box.enrol_again(&rig.nobody(), &code);
    assert_eq!(org.show(&smart_box.id)["suspended"], false);
    eventually("the code reaches the new box", || {
        smart_box.sync();
        smart_box.items.contains_key(&person) && smart_box.knows_badge(&person, "B-1")
    });
    assert!(!smart_box.knows_code(&person, "314159"), "who has the stolen box may find it out");
    assert_ne!(smart_box.items[&person]["code"], old_verifier, "a verifier key for each enrolment");
}

#[test]
fn an_unlinked_box_is_nobodys_and_nobody_waits_for_it() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(2);
    org.key(&smart_box.id, "F-1", Some("A-1"));
    let path = format!("/boxes/{}/enrolment", smart_box.id);
    let unused = org.code(&smart_box.id);
    org.client.delete(&path).ok();
    smart_box.send(&smart_box.request()).problem(401, "boxes.token_invalid");
    rig.nobody().post("/box/v1/enrol", &json!({"code": unused})).problem(401, "boxes.enrolment_code_invalid");
    let shown = org.show(&smart_box.id);
    assert_eq!((&shown["enrolled"], &shown["offline"]), (&json!(false), &json!(false)));
    assert_eq!((&shown["pending_since"], &shown["contact_due"]), (&json!(null), &json!(null)));
    let revision = shown["revision"].clone();
    org.client.delete(&path).ok();
    assert_eq!(org.show(&smart_box.id)["revision"], revision, "once more changes nothing");
    org.client
        .post(&format!("/boxes/{}/orders", smart_box.id), &json!({"do": "open_all"}))
        .problem(409, "boxes.offline");
    smart_box.enrol_again(&rig.nobody(), &org.code(&smart_box.id));
    smart_box.sync_until_quiet();
    smart_box.must_equal(&org.inventory(&smart_box.id));
}

/// Case 17.
#[test]
fn a_cloned_box_is_noticed_and_not_merged() {
    let rig = Rig::start();
    let org = rig.org();
    let mut original = org.ready_box(3);
    let id = original.id.clone();
    org.key(&id, "F-1", Some("A-1"));
    original.sync_until_quiet();
    let mut clone = original.clone();
    original.opened("A-2");
    original.opened("A-2");
    assert_eq!(original.outcomes(), ["applied", "applied"]);
    clone.pick_up("A-1", "F-1", None);
    clone.opened("A-3");
    clone.opened("A-3");
    let told = clone.send(&clone.request()).is(200);
    assert!(outcomes_of(&told).iter().all(|outcome| outcome.starts_with("rejected ")), "{told}");
    assert_eq!(outcomes_of(&told)[0], "rejected sequence_reused");
    assert_eq!(
        (&org.bin(&id, "A-1")["fob"], &org.bin(&id, "A-3")["confirmed"]),
        (&json!("F-1"), &json!(true)),
        "not merged"
    );
    let shown = org.show(&id);
    assert_eq!(shown["suspended"], true);
    for smart_box in [&original, &clone] {
        smart_box.send(&smart_box.request()).problem(403, "boxes.suspended");
        smart_box.confirm().problem(403, "boxes.suspended");
    }
    assert_eq!(org.conflicts().len(), 1, "kept whole");
    let row = org.client.all("/boxes", 200).into_iter().find(|row| row["box"] == json!(id)).unwrap();
    assert_eq!(row["suspended"], true);
    // The right one is enrolled anew, and its journal goes on.
    original.enrol_again(&rig.nobody(), &org.code(&id));
    original.opened("A-2");
    assert_eq!(original.outcomes(), ["applied"]);
    clone.send(&clone.request()).problem(401, "boxes.token_invalid");
    assert_eq!(org.show(&id)["suspended"], false);
}

/// Case 17: a journal behind what was receipted.
#[test]
fn a_box_put_back_from_a_backup_is_noticed() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(2);
    let backup = smart_box.clone();
    smart_box.opened("A-1");
    smart_box.sync();
    let told = backup.send(&backup.request()).is(200);
    assert_eq!(outcomes_of(&told), Vec::<String>::new());
    assert_eq!(org.show(&smart_box.id)["suspended"], true);
    smart_box.send(&smart_box.request()).problem(403, "boxes.suspended");
    smart_box.enrol_again(&rig.nobody(), &org.code(&smart_box.id));
    smart_box.sync_until_quiet();
    smart_box.must_equal(&org.inventory(&smart_box.id));
}

#[test]
fn one_number_twice_in_one_batch_is_a_clone_too() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(2);
    smart_box.opened("A-1");
    let mut twice = smart_box.request();
    let entry = twice["journal"]["entries"][0].clone();
    twice["journal"]["entries"].as_array_mut().unwrap().push(entry.clone());
    let told = smart_box.send(&twice).is(200);
    assert_eq!(outcomes_of(&told), ["applied", "duplicate"], "the same twice is one");
    smart_box.store(&told);
    smart_box.opened("A-1");
    let mut differing = smart_box.request();
    let mut entry = differing["journal"]["entries"][0].clone();
    entry["bin"] = json!("A-2");
    differing["journal"]["entries"].as_array_mut().unwrap().push(entry);
    let told = smart_box.send(&differing).is(200);
    assert!(outcomes_of(&told).iter().all(|outcome| outcome.starts_with("rejected ")), "{told}");
    assert_eq!(org.show(&smart_box.id)["suspended"], true);
    assert_eq!(org.bin(&smart_box.id, "A-2")["confirmed"], true);
}
