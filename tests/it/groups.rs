//! Groups of keys over HTTP: named once, found, used by keys and accesses of several boxes, deleted when nobody uses
//! them; over kill -9.

use crate::{
    rig::{Answer, Rig, string},
    site::Org,
};
use serde_json::{Value, json};

fn names(items: &[Value]) -> Vec<&str> {
    let mut names: Vec<_> = items.iter().map(|item| item["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_group_is_made_found_renamed_and_deleted() {
    let mut rig = Rig::start();
    let org = rig.org();
    let vans = org.group("Vans");
    let cars = org.group("Cars of the pool");
    assert!(vans.starts_with("grp_"));
    org.client.post("/groups", &json!({"name": "vANS"})).problem(409, "groups.name_taken");
    for wrong in
        [json!({"name": ""}), json!({"name": "x".repeat(81)}), json!({"name": "a\u{7}"}), json!({"title": "x"})]
    {
        assert_eq!(org.client.post("/groups", &wrong).status, 400, "{wrong}");
    }
    // Made once, however often it is asked for.
    let key = [("idempotency-key", "lofts")];
    let body = json!({"name": "Lofts"}).to_string();
    let once = org.client.send("POST", "/groups", &key, Some(body.as_bytes())).is(201);
    assert_eq!(org.client.send("POST", "/groups", &key, Some(body.as_bytes())).is(201), once);
    rig.kill_and_start();
    let org = Org { client: rig.client(Some(&org.token)), ..org };
    assert_eq!(names(&org.client.all("/groups", 200)), ["Cars of the pool", "Lofts", "Vans"]);
    assert_eq!(names(&org.client.all("/groups?name=CARS", 200)), ["Cars of the pool"]);
    assert_eq!(org.client.all("/groups", 1).len(), 3);
    let path = format!("/groups/{vans}");
    org.client.send("PATCH", &path, &[], Some(br#"{"name": "lofts"}"#)).problem(409, "groups.name_taken");
    org.client.send("PATCH", &path, &[], Some(br#"{"name": "Trucks"}"#)).is(200);
    let shown = org.client.get(&path).is(200);
    assert_eq!((shown["name"].as_str(), shown["group"].as_str()), (Some("Trucks"), Some(&*vans)));
    // The old name is free again.
    org.group("Vans");
    org.client.send("DELETE", &path, &[], None).is(200);
    org.client.send("DELETE", &path, &[], None).problem(404, "object.not_found");
    org.client.get(&path).problem(404, "object.not_found");
    org.client.get(&format!("{path}/accesses")).problem(404, "object.not_found");
    // Nobody else's.
    let other = rig.org();
    other.client.get(&format!("/groups/{cars}")).problem(404, "object.not_found");
    other.client.send("DELETE", &format!("/groups/{cars}"), &[], None).problem(404, "object.not_found");
    other.group("Vans");
    let told = org.client.get("/events?limit=200").is(200);
    let of_groups =
        told["items"].as_array().unwrap().iter().filter(|event| string(event, "type").starts_with("groups."));
    let told: Vec<_> = of_groups.map(|event| string(event, "type").replace("groups.", "")).collect();
    assert_eq!(told, ["created", "created", "created", "renamed", "created", "deleted"]);
}

#[test]
fn keys_and_accesses_of_a_group_are_found_and_keep_it() {
    let mut rig = Rig::start();
    let org = rig.org();
    let vans = org.group("Vans");
    let (bruno, carla) = (org.person("Bruno"), org.person("Carla"));
    let (mut one, other) = (org.ready_box(3), org.ready_box(1));
    let key = org.key_with(&one.id, &json!({"name": "Van 1", "fob": "F-1", "bin": "A-1", "groups": [vans]}));
    let access = org.access_with(&one.id, &json!({"person": bruno, "group": vans}));
    let until = "2031-05-01T10:00:00.000Z";
    let elsewhere = org.access_with(&other.id, &json!({"person": carla, "group": vans, "until": until}));
    org.access(&one.id, &carla);
    let found = org.client.all(&format!("/keys?group={vans}"), 200);
    assert_eq!((found.len(), &found[0]["key"]), (1, &json!(key)));
    let path = format!("/groups/{vans}");
    rig.kill_and_start();
    let all = org.client.all(&format!("{path}/accesses"), 1);
    let page = org.client.get(&format!("{path}/accesses?limit=1")).is(200);
    let next = page["next"].as_str().unwrap().to_owned();
    let rest = org.client.get(&format!("{path}/accesses?after={next}")).is(200);
    assert_eq!((all.len(), rest["items"].as_array().unwrap().len()), (2, 1));
    let of_carla = org.client.all(&format!("{path}/accesses?person={carla}"), 200);
    let expected = json!({"box": other.id, "access": elsewhere, "person": carla, "from": null, "until": until});
    assert_eq!(of_carla, [expected]);
    assert_eq!(org.client.all(&format!("{path}/accesses?box={}", one.id), 200).len(), 1);
    // The access to the group is good for its key.
    one.sync_until_quiet();
    one.pick_up("A-1", "F-1", Some(&bruno));
    assert_eq!(one.outcomes(), ["applied"]);
    let refused = org.client.send("DELETE", &path, &[], None);
    refused.problem(409, "groups.in_use");
    assert_eq!(refused.json()["detail"], "1 keys are in the group, 2 accesses are to it");
    org.client.send("DELETE", &format!("/boxes/{}/accesses/{access}", one.id), &[], None).is(200);
    org.client.send("PATCH", &format!("/boxes/{}/keys/{key}", one.id), &[], Some(br#"{"groups": []}"#)).is(200);
    org.client.send("DELETE", &path, &[], None).problem(409, "groups.in_use");
    // Whoever is erased has no accesses any more.
    org.client.send("DELETE", &format!("/people/{carla}"), &[], None).is(200);
    crate::rig::eventually("no access is left", || org.client.all(&format!("{path}/accesses"), 200).is_empty());
    org.client.send("DELETE", &path, &[], None).is(200);
}

#[test]
fn a_group_that_there_is_not_is_refused_wherever_it_is_named() {
    let rig = Rig::start();
    let org = rig.org();
    let (bruno, id) = (org.person("Bruno"), org.smart_box("MS5", 3));
    let (known, unknown) = (org.group("Vans"), "grp_0123456789abcdefghjkmnpqrs");
    let of_others = rig.org().group("Vans");
    let key = org.key(&id, "F-1", Some("A-1"));
    let refused = |answer: Answer, pointer: &str| {
        answer.problem(400, "request.invalid");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{}", answer.told());
    };
    for wrong in [unknown, &of_others] {
        let keys = json!({"name": "K", "fob": "F-2", "groups": [known, wrong]});
        refused(org.client.post(&format!("/boxes/{id}/keys"), &keys), "/groups/1");
        refused(org.client.patch(&format!("/boxes/{id}/keys/{key}"), &json!({"groups": [wrong]})), "/groups/0");
        let access = json!({"person": bruno, "group": wrong});
        refused(org.client.post(&format!("/boxes/{id}/accesses"), &access), "/group");
        let batch = json!({"accesses": [{"person": bruno, "box": true}, access]});
        refused(org.client.post(&format!("/boxes/{id}/accesses/batch"), &batch), "/accesses/1/group");
        let new_box = |more: (&str, Value)| {
            let mut body = json!({"name": "B", "model": "MS5", "zone": "Europe/Rome", "bins": ["A-1"]});
            body[more.0] = more.1;
            org.client.post("/boxes", &body)
        };
        refused(new_box(("accesses", json!([access]))), "/accesses/0/group");
        refused(new_box(("keys", json!([keys]))), "/keys/0/groups/1");
    }
    assert_eq!((org.client.all("/boxes", 200).len(), org.client.all("/keys", 200).len()), (1, 1), "nothing changed");
    assert!(org.client.all(&format!("/boxes/{id}/accesses"), 200).is_empty());
}

#[test]
fn groups_are_imported_each_by_itself() {
    let rig = Rig::start();
    let org = rig.org();
    org.group("Vans");
    let answer = org.client.send(
        "POST",
        "/groups/bulk",
        &[("content-type", "text/csv")],
        Some(b"name\r\nCars\r\nvans\r\nLofts\r\n"),
    );
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let statuses: Vec<_> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 409, 201], "{text}");
    assert_eq!(names(&org.client.all("/groups", 200)), ["Cars", "Lofts", "Vans"]);
}
