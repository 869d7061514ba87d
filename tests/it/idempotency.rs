//! `Idempotency-Key`: the same request twice is one change.

use crate::{
    rig::{Client, Rig, string},
    site::{Org, organisation},
};
use serde_json::{Value, json};

/// Creates of every kind, with two bodies each.
fn creates(org: &Org) -> Vec<(String, Value, Value)> {
    let person = org.person("Bruno");
    let smart_box = org.smart_box("MS5", 3);
    let of_box = |last: &str| format!("/boxes/{smart_box}/{last}");
    let new_box = |name: &str| json!({"name": name, "model": "MS4", "zone": "Europe/Rome", "bins": ["A-1", "A-2"]});
    let access = |until: &str| json!({"person": person, "box": true, "until": until});
    let (early, late) = (access("2030-01-01T00:00:00Z"), access("2031-01-01T00:00:00Z"));
    vec![
        ("/people".into(), json!({"name": "Carla", "access_code": "778899"}), json!({"name": "Dino"})),
        (
            "/tokens".into(),
            json!({"label": "one", "scopes": ["boxes:read"]}),
            json!({"label": "one", "scopes": ["boxes:write"]}),
        ),
        ("/boxes".into(), new_box("One"), new_box("Two")),
        (of_box("keys"), json!({"name": "K", "fob": "F-1", "bin": "A-1"}), json!({"name": "K", "fob": "F-2"})),
        (of_box("accesses"), early.clone(), late.clone()),
        (of_box("accesses/batch"), json!({"accesses": [early, late]}), json!({"accesses": [late]})),
        (of_box("enrolment"), json!({}), json!({"stolen": true})),
    ]
}

/// What there is, to be counted.
fn census(org: &Org) -> Vec<usize> {
    let boxes = org.client.all("/boxes", 200);
    let mut counts = vec![
        boxes.len(),
        org.client.all("/people", 200).len(),
        org.client.all("/tokens", 200).len(),
        org.client.all("/keys", 200).len(),
    ];
    counts.push(boxes.iter().map(|row| org.inventory(&string(row, "box"))["accesses"].as_array().unwrap().len()).sum());
    counts
}

#[test]
fn the_same_request_gets_the_same_bytes_also_after_a_crash() {
    let mut rig = Rig::start();
    let org = rig.org();
    let creates = creates(&org);
    let first: Vec<_> = creates.iter().map(|(path, body, _)| org.client.post_once(path, "k-1", body)).collect();
    let organisations = rig.operator().post_once("/organisations", "k-1", &organisation("lite"));
    let census_before = census(&org);
    for round in ["at once", "after kill -9"] {
        for ((path, body, other), first) in creates.iter().zip(&first) {
            first.is(201);
            let again = org.client.post_once(path, "k-1", body);
            assert_eq!((again.status, &again.body), (first.status, &first.body), "{path} {round}");
            org.client.post_once(path, "k-1", other).problem(422, "idempotency.other_body");
        }
        let again = rig.operator().post_once("/organisations", "k-1", &organisation("lite"));
        assert_eq!((again.status, &again.body), (201, &organisations.body), "{round}");
        rig.operator().post_once("/organisations", "k-1", &organisation("premium")).problem(422, "idempotency.other_body");
        assert_eq!(census(&org), census_before, "{round}");
        if round == "at once" {
            rig.kill_and_start();
        }
    }
    let token = organisations.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(rig.client(Some(&token)).get("/people").status, 200, "the repeated secret is the good one");
}

#[test]
fn a_key_belongs_to_one_caller_and_one_path() {
    let rig = Rig::start();
    let (ours, theirs) = (rig.org(), rig.org());
    let body = json!({"name": "Carla"});
    let person = |client: &Client| string(&client.post_once("/people", "k", &body).is(201), "person");
    let (first, other) = (person(&ours.client), person(&theirs.client));
    assert_ne!(first, other);
    let made = ours.client.post("/tokens", &json!({"label": "x", "scopes": ["org:admin"]})).is(201);
    let colleague = rig.client(made["token"].as_str());
    assert_ne!(person(&colleague), first, "another token of the organisation is another caller");
    assert_eq!(person(&ours.client), first);
    ours.client.post_once("/tokens", "k", &json!({"label": "x", "scopes": ["boxes:read"]})).is(201);
    let without: Vec<_> = (0..2).map(|_| string(&ours.client.post("/people", &body).is(201), "person")).collect();
    assert_ne!(without[0], without[1], "without a key each request is its own");
    for wrong in ["", &"k".repeat(256)] {
        ours.client.post_once("/people", wrong, &body).problem(400, "request.malformed");
    }
}

#[test]
fn twenty_at_once_make_one_object() {
    let rig = Rig::start();
    let org = rig.org();
    for (path, body, _) in creates(&org) {
        let before = census(&org);
        let answers: Vec<_> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..20)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..100 {
                            let answer = org.client.post_once(&path, "k-20", &body);
                            if answer.status != 409 {
                                return answer;
                            }
                            answer.problem(409, "idempotency.in_progress");
                            std::thread::sleep(std::time::Duration::from_millis(20));
                        }
                        panic!("{path}: in progress for ever");
                    })
                })
                .collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        for answer in &answers {
            assert_eq!((answer.status, answer.told()), (201, answers[0].told()), "{path}");
        }
        org.client.post(&path, &body);
        let after: usize = census(&org).iter().sum();
        let before: usize = before.iter().sum();
        let each = body["accesses"].as_array().map_or(1, Vec::len);
        assert!(after <= before + 2 * each, "{path}: {before} became {after}");
    }
}

#[test]
fn a_refusal_is_not_remembered() {
    let rig = Rig::start();
    let org = rig.org();
    let first = org.person_with(&json!({"name": "B", "access_code": "123456"}));
    let body = json!({"name": "C", "access_code": "123456"});
    org.client.post_once("/people", "k", &body).problem(409, "people.access_code_taken");
    org.client.delete(&format!("/people/{first}")).is(200);
    org.client.post_once("/people", "k", &body).is(201);
    org.client.post_once("/people", "m", &json!({"nam": "C"})).problem(400, "request.malformed");
    org.client.post_once("/people", "m", &json!({"name": "C"})).is(201);
}

#[test]
fn repeated_corrections_do_not_undo_what_came_after() {
    let rig = Rig::start();
    let org = rig.org();
    let smart_box = org.smart_box("MS5", 2);
    let path = format!("/boxes/{smart_box}/bins/A-1/correction");
    let first = org.client.post_once(&path, "k", &json!({"fob": "F-1"}));
    first.ok();
    org.client.post(&path, &json!({"fob": null})).ok();
    let again = org.client.post_once(&path, "k", &json!({"fob": "F-1"}));
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(org.bin(&smart_box, "A-1")["fob"], Value::Null);
}
