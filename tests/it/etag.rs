//! Entity tags: who changes something says what he has seen, and is refused when it is no longer so.

use crate::{
    rig::{Answer, Client, Rig, eventually},
    site::Org,
};
use serde_json::{Value, json};

fn tag(answer: &Answer) -> String {
    answer.header("etag").unwrap_or_else(|| panic!("no tag: {answer:?}")).to_owned()
}

fn send(client: &Client, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let body = (!body.is_null()).then(|| body.to_string());
    client.send(method, path, headers, body.as_ref().map(|body| body.as_bytes()))
}

/// Every object that can be read and changed: where it is read, how it is changed.
fn changes(org: &Org, smart_box: &str, person: &str, key: &str) -> Vec<(String, &'static str, String, Value)> {
    let webhook = org.client.post("/webhooks", &json!({"url": "https://nowhere.invalid/", "types": ["none"]})).is(201);
    let webhook = format!("/webhooks/{}", webhook["webhook"].as_str().unwrap());
    let group = org.client.post("/groups", &json!({"name": "Vans"})).is(201);
    let group = format!("/groups/{}", group["group"].as_str().unwrap());
    let (show, bin) = (format!("/boxes/{smart_box}"), format!("/boxes/{smart_box}/bins/A-1"));
    vec![
        (format!("/people/{person}"), "PATCH", format!("/people/{person}"), json!({"name": "Carla"})),
        (show.clone(), "PATCH", show.clone(), json!({"name": "Hall"})),
        (show.clone(), "POST", format!("{show}/accesses"), json!({"person": person, "box": true})),
        (show.clone(), "POST", format!("{show}/enrolment"), json!({})),
        (bin.clone(), "PATCH", bin.clone(), json!({"state": "protected"})),
        (bin.clone(), "POST", format!("{bin}/correction"), json!({"fob": "F-9"})),
        (format!("/keys/{key}"), "PATCH", format!("{show}/keys/{key}"), json!({"notes": "left pocket"})),
        (format!("/keys/{key}"), "DELETE", format!("{show}/keys/{key}"), Value::Null),
        (group.clone(), "PATCH", group, json!({"name": "Cars"})),
        (webhook.clone(), "PATCH", webhook, json!({"description": "ERP"})),
        (format!("/people/{person}"), "DELETE", format!("/people/{person}"), Value::Null),
        (format!("/organisations/{}", org.id), "PATCH", format!("/organisations/{}", org.id), json!({"plan": "lite"})),
    ]
}

#[test]
fn a_change_needs_the_tag_that_is_in_force() {
    let rig = Rig::start();
    let org = rig.org();
    let smart_box = org.smart_box("MS5", 3);
    let person = org.person("Bruno");
    let key = org.key(&smart_box, "F-1", Some("A-2"));
    for (show, method, path, body) in changes(&org, &smart_box, &person, &key) {
        let client = if path.starts_with("/organisations") { rig.operator() } else { org.client.clone() };
        let before = client.get(&show);
        let seen = tag(&before);
        before.is(200);
        for stale in ["\"999999\"", "\"x\"", "W/\"1\"", &format!("W/{seen}"), "\"777777.0\", \"888888\""] {
            send(&client, method, &path, &[("if-match", stale)], &body).problem(412, "precondition.failed");
        }
        for wrong in ["", "1", "\"1", "*, \"1\""] {
            send(&client, method, &path, &[("if-match", wrong)], &body).problem(400, "request.malformed");
        }
        send(&client, method, &path, &[("if-none-match", "*")], &body).problem(412, "precondition.failed");
        let after = client.get(&show);
        assert_eq!((after.told(), tag(&after)), (before.told(), seen.clone()), "{method} {path}: something changed");
        let list = format!("\"888888\" , {seen}");
        let done = send(&client, method, &path, &[("if-match", &list)], &body);
        done.ok();
        if method == "PATCH" {
            assert_ne!(tag(&client.get(&show)), seen, "{method} {path}");
            send(&client, method, &path, &[("if-match", &seen)], &body).problem(412, "precondition.failed");
            let again = send(&client, method, &path, &[("if-match", &tag(&done))], &body);
            again.ok();
            send(&client, method, &path, &[("if-match", "*")], &body).ok();
        }
        if method == "DELETE" {
            let gone = send(&client, method, &path, &[("if-match", "*")], &body);
            assert!(matches!(gone.status, 404 | 412), "{}", gone.told());
        }
    }
}

#[test]
fn what_is_not_there_is_not_stale() {
    let rig = Rig::start();
    let org = rig.org();
    let smart_box = org.smart_box("MS5", 1);
    let nothing = "0123456789abcdefghjkmnpqrs";
    for (method, path, body) in [
        ("PATCH", format!("/people/per_{nothing}"), json!({"name": "X"})),
        ("PATCH", format!("/boxes/box_{nothing}"), json!({"name": "X"})),
        ("PATCH", format!("/boxes/{smart_box}/bins/Z-9"), json!({"state": "protected"})),
        ("DELETE", format!("/boxes/{smart_box}/accesses/acc_{nothing}"), Value::Null),
        ("DELETE", format!("/tokens/tok_{nothing}"), Value::Null),
    ] {
        send(&org.client, method, &path, &[("if-match", "\"1\"")], &body).problem(404, "object.not_found");
    }
    let people = org.client.all("/people", 200).len();
    let body = json!({"name": "Carla"});
    for name in ["*", "\"1\""] {
        send(&org.client, "POST", "/people", &[("if-match", name)], &body).problem(412, "precondition.failed");
    }
    assert_eq!(org.client.all("/people", 200).len(), people);
    send(&org.client, "POST", "/people", &[("if-none-match", "*")], &body).is(201);
}

#[test]
fn a_box_that_syncs_does_not_get_in_the_way() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(2);
    let id = smart_box.id.clone();
    let person = org.person("Bruno");
    let key = org.key(&id, "F-1", Some("A-1"));
    org.access(&id, &person);
    smart_box.sync_until_quiet();
    let box_path = format!("/boxes/{id}");
    let (seen_box, seen_key) = (org.client.get(&box_path), org.client.get(&format!("/keys/{key}")));
    let bin_path = format!("/boxes/{id}/bins/A-1");
    let seen_bin = tag(&org.client.get(&bin_path));
    for _ in 0..3 {
        smart_box.sync();
    }
    let moved = org.client.get(&box_path);
    assert!(moved.json()["revision"].as_u64() > seen_box.json()["revision"].as_u64(), "syncs move the box's revision");
    let bin_again = tag(&org.client.get(&bin_path));
    assert_eq!(bin_again, seen_bin, "a sync that brings nothing changes no bin");
    smart_box.pick_up("A-1", "F-1", Some(&person));
    assert_eq!(smart_box.outcomes(), ["applied"]);
    let patch = |path: &str, seen: &str, body: Value| send(&org.client, "PATCH", path, &[("if-match", seen)], &body);
    patch(&box_path, &tag(&seen_box), json!({"name": "Hall"})).ok();
    patch(&format!("{box_path}/keys/{key}"), &tag(&seen_key), json!({"name": "Van"})).ok();
    patch(&bin_path, &seen_bin, json!({"state": "protected"})).problem(412, "precondition.failed");
    let inventory = org.bin(&id, "A-1");
    patch(&bin_path, &format!("\"{}\"", inventory["revision"]), json!({"state": "protected"})).ok();
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(2);
    let id = smart_box.id.clone();
    let person = org.person("Bruno");
    let paths = [format!("/people/{person}"), format!("/boxes/{id}"), format!("/boxes/{id}/inventory")];
    for path in &paths {
        let first = org.client.get(path);
        let tag = tag(&first);
        assert_eq!(first.header("cache-control"), Some("private, no-cache"));
        for known in [&tag, &format!("W/{tag}"), &format!("\"x\", {tag}"), "*"] {
            let again = send(&org.client, "GET", path, &[("if-none-match", known)], &Value::Null);
            assert_eq!((again.status, again.told(), again.header("etag")), (304, String::new(), Some(&*tag)));
        }
        for other in ["\"x\"", "\"1\""] {
            assert_eq!(send(&org.client, "GET", path, &[("if-none-match", other)], &Value::Null).told(), first.told());
        }
        send(&org.client, "GET", path, &[("if-none-match", "x")], &Value::Null).problem(400, "request.malformed");
        send(&org.client, "GET", path, &[("if-match", "\"x\"")], &Value::Null).problem(412, "precondition.failed");
        send(&org.client, "GET", path, &[("if-match", &tag)], &Value::Null).is(200);
    }
    let seen = tag(&org.client.get(&paths[1]));
    smart_box.sync();
    let now = send(&org.client, "GET", &paths[1], &[("if-none-match", &seen)], &Value::Null);
    assert_eq!(now.status, 200, "a box that has been in contact looks different");
}

#[test]
fn of_ten_who_have_seen_the_same_one_changes_it() {
    let rig = Rig::start();
    let org = rig.org();
    let path = format!("/boxes/{}", org.smart_box("MS5", 1));
    let seen = tag(&org.client.get(&path));
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let patch = |n: usize| {
            let body = json!({"name": format!("Box {n}")});
            send(&org.client, "PATCH", &path, &[("if-match", &seen)], &body).status
        };
        let all: Vec<_> = (0..10).map(|n| scope.spawn(move || patch(n))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 412)), "{statuses:?}");
}

#[test]
fn a_repeat_gets_its_answer_though_the_tag_is_old() {
    let mut rig = Rig::start();
    let org = rig.org();
    let smart_box = org.smart_box("MS5", 2);
    let path = format!("/boxes/{smart_box}/bins/A-1/correction");
    let seen = format!("\"{}\"", org.bin(&smart_box, "A-1")["revision"]);
    let headers = [("if-match", &*seen), ("idempotency-key", "k")];
    let body = json!({"fob": "F-1"});
    let first = send(&org.client, "POST", &path, &headers, &body);
    first.ok();
    for round in ["at once", "after kill -9"] {
        let again = send(&org.client, "POST", &path, &headers, &body);
        assert_eq!((again.status, again.told(), tag(&again)), (first.status, first.told(), tag(&first)), "{round}");
        let other = [("if-match", &*seen), ("idempotency-key", "m")];
        send(&org.client, "POST", &path, &other, &body).problem(412, "precondition.failed");
        rig.kill_and_start();
    }
    eventually("the bin is as it was", || org.bin(&smart_box, "A-1")["fob"] == "F-1");
}
