//! Many at once: a line about each row, no row harms another, and a repeat makes nothing twice.

use crate::{
    rig::{Answer, Client, Rig, eventually},
    site::Org,
};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

const NDJSON: &str = "application/x-ndjson";

fn send(client: &Client, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    client.send("POST", path, headers, Some(body.as_bytes()))
}

fn rows(client: &Client, path: &str, key: &str, body: &str) -> Vec<Value> {
    let answer = send(client, path, &[("content-type", NDJSON), ("idempotency-key", key)], body);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(NDJSON)), "{}", answer.told());
    answer.told().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn statuses(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["status"].as_u64().unwrap()).collect()
}

fn count(org: &Org, path: &str) -> usize {
    org.client.all(path, 200).len()
}

#[test]
fn one_bad_row_never_loses_the_others() {
    let rig = Rig::start();
    let org = rig.org();
    let body = [
        r#"{"name": "Bruno", "access_code": "123456"}"#,
        r#"{"nam": "X"}"#,
        r#"{"name": "Carla", "access_code": "12"}"#,
        "not json",
        r#"{"name": "Dino", "access_code": "123456"}"#,
        "",
        r#"[1]"#,
        r#"{"name": "Elio"}"#,
    ]
    .join("\n");
    let told = rows(&org.client, "/people/bulk", "k", &body);
    assert_eq!(told.iter().map(|row| row["row"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    let statuses = statuses(&told);
    // Bruno and Dino want the same code at the same moment: one of them gets it.
    let mut twins = [statuses[0], statuses[4]];
    twins.sort_unstable();
    assert_eq!(twins, [201, 409]);
    assert_eq!([statuses[1], statuses[2], statuses[3], statuses[5], statuses[6]], [400, 400, 400, 400, 201]);
    assert_eq!(
        (&told[1]["code"], &told[2]["errors"][0]["pointer"]),
        (&json!("request.malformed"), &json!("/access_code"))
    );
    assert_eq!(count(&org, "/people"), 3, "the owner and two more");
    let shown = org.client.get(&format!("/people/{}", told[6]["person"].as_str().unwrap())).is(200);
    assert_eq!((&shown["name"], &shown["revision"]), (&json!("Elio"), &told[6]["revision"]));
}

/// As Windows saves them.
#[test]
fn a_byte_order_mark_and_crlf_are_no_part_of_a_row() {
    let rig = Rig::start();
    let org = rig.org();
    let told = rows(&org.client, "/groups/bulk", "k", "\u{feff}{\"name\": \"Vans\"}\r\n\r\n{\"name\": \"Flats\"}\r\n");
    assert_eq!(statuses(&told), [201, 201]);
    let csv = send(&org.client, "/groups/bulk", &[("content-type", "text/csv")], "\u{feff}name\r\nBoats\r\n");
    assert_eq!((csv.status, csv.told().contains("201")), (200, true), "{}", csv.told());
    assert_eq!(count(&org, "/groups"), 3);
}

#[test]
fn boxes_with_keys_accesses_and_codes() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person("Bruno");
    let line = |n: usize| {
        let keys: Vec<_> =
            (0..2).map(|k| json!({"name": "K", "fob": format!("{n}-{k}"), "bin": format!("A-{}", k + 1)})).collect();
        let accesses = json!([{"person": person, "key_index": 0}, {"person": person, "box": true}]);
        json!({"name": format!("Box {n}"), "model": "MS5", "zone": "Europe/Rome", "bins": ["A-1", "A-2"],
            "keys": keys, "accesses": accesses, "enrol": true})
        .to_string()
    };
    let body: Vec<_> = (0..50).map(line).collect();
    let told = rows(&org.client, "/boxes/bulk", "k", &body.join("\n"));
    assert_eq!(statuses(&told), [201; 50]);
    assert_eq!((count(&org, "/boxes"), count(&org, "/keys")), (50, 100));
    let inventory = org.inventory(told[7]["box"].as_str().unwrap());
    assert_eq!((inventory["keys"].as_array().unwrap().len(), inventory["accesses"].as_array().unwrap().len()), (2, 2));
    crate::smart_box::TestBox::enrol(&org.client, told[9]["enrolment_code"].as_str().unwrap());
    let again = rows(&org.client, "/boxes/bulk", "k", &body.join("\n"));
    assert_eq!(again, told, "the same codes too");
    assert_eq!((count(&org, "/boxes"), count(&org, "/keys")), (50, 100));
    let mut other = body.clone();
    other[3] = line(99);
    let again = rows(&org.client, "/boxes/bulk", "k", &other.join("\n"));
    assert_eq!(again[3]["code"], "idempotency.other_body");
    assert_eq!(statuses(&again).iter().filter(|status| **status == 201).count(), 49);
}

#[test]
fn keys_and_accesses_of_one_box_as_csv() {
    let rig = Rig::start();
    let org = rig.org();
    let smart_box = org.smart_box("MS5", 3);
    let person = org.person("Bruno");
    let body = "name;fob;bin;roaming\r\nVan;007;A-1;true\r\n'=X;'-5;A-2;\r\nTruck;F-3;A-9;false\r\nBike;F-4;;maybe\r\n";
    let csv = [("content-type", "text/csv; charset=utf-8"), ("accept", "text/csv")];
    let answer = send(&org.client, &format!("/boxes/{smart_box}/keys/bulk"), &csv, body);
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    let told = answer.told();
    let lines: Vec<_> = told.split("\r\n").collect();
    assert_eq!(lines[0], "row,status,key,revision,code,detail,errors");
    assert!(lines[1].starts_with("1,201,key_") && lines[2].starts_with("2,201,key_"), "{told}");
    assert!(
        lines[3].starts_with("3,404,,,object.not_found") && lines[4].starts_with("4,400,,,request.malformed"),
        "{told}"
    );
    let mut keys: Vec<_> =
        org.client.all("/keys", 200).iter().map(|key| (key["name"].clone(), key["fob"].clone())).collect();
    keys.sort_by_key(|key| key.0.to_string());
    assert_eq!(keys, [(json!("=X"), json!("-5")), (json!("Van"), json!("007"))]);

    let body = format!("person,box,until\n{person},true,2030-01-01T00:00\n{person},,2030-01-01T00:00\n");
    let answer = send(&org.client, &format!("/boxes/{smart_box}/accesses/bulk"), &csv, &body);
    assert!(answer.told().contains("1,201,acc_") && answer.told().contains("2,400"), "{}", answer.told());
    let nowhere = "/boxes/box_0123456789abcdefghjkmnpqrs/keys/bulk";
    send(&org.client, nowhere, &csv, body.as_str()).problem(404, "object.not_found");
}

#[test]
fn wrong_requests_are_refused_whole() {
    let rig = Rig::with(&[("BULK__BODY_LIMIT_BYTES", "100000"), ("BULK__ROWS_MAX", "5")]);
    let org = rig.org();
    let try_with = |headers: &[(&str, &str)], body: &str| send(&org.client, "/people/bulk", headers, body);
    try_with(&[("content-type", "application/json")], "{}").problem(415, "request.unsupported_type");
    let (csv, ndjson) = [("content-type", "text/csv"), ("content-type", NDJSON)].into();
    try_with(&[csv], "name,colour\nA,red\n").problem(400, "request.malformed");
    try_with(&[csv], "name,name\nA,B\n").problem(400, "request.malformed");
    try_with(&[ndjson], &"{\"name\":\"A\"}\n".repeat(6)).problem(413, "request.too_large");
    try_with(&[ndjson], &"x".repeat(100_001)).problem(413, "request.too_large");
    try_with(&[ndjson, ("accept", "text/html")], "{}").problem(406, "request.not_acceptable");
    for path in ["/boxes/bulk", "/devices/bulk"] {
        let refused = send(&org.client, &format!("{path}?dry_run=true"), &[ndjson], "{}");
        refused.problem(400, "request.malformed");
    }
    try_with(&[ndjson, ("if-match", "*")], "{}").problem(412, "precondition.failed");
    assert_eq!(try_with(&[ndjson], "").told(), "");
    assert_eq!(try_with(&[csv, ("accept", "text/csv")], "name\n").told().lines().count(), 1);
    assert_eq!(count(&org, "/people"), 1);
}

/// The head of a bulk request by hand, so that the connection can be cut.
fn cut_off(rig: &Rig, org: &Org, body: &str, after: Duration) {
    let mut stream = TcpStream::connect(rig.addresses().api).unwrap();
    let head = format!(
        "POST /api/v1/people/bulk HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: cut\r\n\
         content-type: {NDJSON}\r\ncontent-length: {}\r\n\r\n",
        org.token,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut some = [0; 64];
    stream.read_exact(&mut some).unwrap();
    std::thread::sleep(after);
}

#[test]
fn a_repeat_after_a_cut_or_a_kill_makes_nothing_twice() {
    let mut rig = Rig::start();
    let org = rig.org();
    let body: Vec<_> = (0..2_000).map(|n| json!({"name": format!("Person {n}")}).to_string()).collect();
    let body = body.join("\n");
    cut_off(&rig, &org, &body, Duration::from_millis(100));
    rig.kill_and_start();
    cut_off(&rig, &org, &body, Duration::ZERO);
    let mut told = Vec::new();
    eventually("all rows are there", || {
        told = rows(&org.client, "/people/bulk", "cut", &body);
        statuses(&told).iter().all(|status| *status == 201)
    });
    assert_eq!(told.len(), 2_000);
    assert_eq!(count(&org, "/people"), 2_001);
    let again = rows(&org.client, "/people/bulk", "cut", &body);
    assert_eq!(again, told);
    assert_eq!(count(&org, "/people"), 2_001);
}

#[test]
fn ten_thousand_rows_and_a_box_that_syncs_meanwhile() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(2);
    let body: Vec<_> = (0..10_000).map(|n| json!({"name": format!("Person {n}")}).to_string()).collect();
    let body = body.join("\n");
    std::thread::scope(|scope| {
        let bulk = scope.spawn(|| {
            let patient = org.client.clone();
            rows(&patient, "/people/bulk", "k", &body)
        });
        let mut slowest = Duration::ZERO;
        while !bulk.is_finished() {
            let started = std::time::Instant::now();
            smart_box.sync();
            slowest = slowest.max(started.elapsed());
        }
        let told = bulk.join().unwrap();
        assert_eq!(told.len(), 10_000);
        assert!(statuses(&told).iter().all(|status| *status == 201));
        assert!(slowest < Duration::from_secs(3), "a sync took {slowest:?}");
    });
    let more = format!("{body}\n{{}}");
    let answer = send(&org.client, "/people/bulk", &[("content-type", NDJSON)], &more);
    answer.problem(413, "request.too_large");
    assert_eq!(count(&org, "/people"), 10_001);
}

#[test]
fn a_dry_run_says_what_would_be_and_makes_nothing() {
    let rig = Rig::start();
    let org = rig.org();
    let (smart_box, person) = (org.smart_box("MS5", 3), org.person("Bruno"));
    org.key(&smart_box, "F-1", Some("A-1"));
    let keys = ["F-1", "F-2", "F-2", "F-3"].map(|fob| json!({"name": "Van", "fob": fob}).to_string()).join("\n");
    let told = rows(&org.client, &format!("/boxes/{smart_box}/keys/bulk?dry_run=true"), "k", &keys);
    let judged = statuses(&told);
    // Rows are judged several at a time: one of the twins gets the fob.
    let mut twins = [judged[1], judged[2]];
    twins.sort_unstable();
    assert_eq!((judged[0], twins, judged[3]), (409, [200, 409], 200), "one is there, one stands twice");
    assert_eq!(told[3].as_object().unwrap().len(), 2, "nothing was made that could be named");
    let people = ["123456", "123456"].map(|code| json!({"name": "Anna", "access_code": code}).to_string()).join("\n");
    let mut judged = statuses(&rows(&org.client, "/people/bulk?dry_run=true", "k", &people));
    judged.sort_unstable();
    assert_eq!(judged, [200, 409]);
    let accesses = format!("{{\"person\": \"{person}\", \"box\": true}}\n{{\"person\": \"{person}\"}}");
    let path = format!("/boxes/{smart_box}/accesses/bulk");
    assert_eq!(statuses(&rows(&org.client, &format!("{path}?dry_run=true"), "k", &accesses)), [200, 400]);
    assert_eq!((count(&org, "/people"), count(&org, "/keys")), (2, 1));
    assert!(org.inventory(&smart_box)["accesses"].as_array().unwrap().is_empty());
    // The same rows under the same key, in earnest.
    assert_eq!(statuses(&rows(&org.client, &path, "k", &accesses)), [201, 400]);
}

#[test]
fn a_history_is_searched_by_key_person_and_bin() {
    let rig = Rig::start();
    let org = rig.org();
    let (anna, bruno) = (org.person("Anna"), org.person("Bruno"));
    let smart_box = org.smart_box("MS5", 3);
    let (van, bike) = (org.key(&smart_box, "F-1", Some("A-1")), org.key(&smart_box, "F-2", Some("A-2")));
    org.access(&smart_box, &anna);
    let mut smart_box = org.enrolled(&smart_box);
    smart_box.sync_until_quiet();
    smart_box.pick_up("A-1", "F-1", Some(&anna));
    smart_box.pick_up("A-2", "F-2", Some(&bruno));
    smart_box.drop_off("A-3", "F-1", Some(&anna));
    assert_eq!(smart_box.outcomes(), ["applied", "flagged not_permitted", "applied"]);
    let found = |filter: &str| org.client.all(&format!("/boxes/{}/history?{filter}", smart_box.id), 50).len();
    assert_eq!((found("all=false"), found(&format!("key={van}")), found(&format!("key={bike}"))), (3, 2, 1));
    assert_eq!((found(&format!("person={bruno}")), found("bin=A-3"), found("flagged=true")), (1, 1, 1));
    assert_eq!(found(&format!("key={van}&person={bruno}")), 0);
}

#[test]
fn what_is_exported_can_be_imported() {
    let rig = Rig::start();
    let (from, to) = (rig.org(), rig.org());
    let (old, new) = (from.smart_box("MS5", 3), to.smart_box("MS5", 3));
    from.key(&old, "007", Some("A-2"));
    let person = from.person("Bruno");
    from.access(&old, &person);
    let csv = |client: &Client, path: &str| client.send("GET", path, &[("accept", "text/csv")], None).told();
    let sent = [("content-type", "text/csv"), ("accept", NDJSON)];
    let keys = csv(&from.client, &format!("/keys?box={old}"));
    let told = send(&to.client, &format!("/boxes/{new}/keys/bulk"), &sent, &keys).told();
    assert!(told.contains("\"status\":201"), "{told}");
    assert_eq!(to.inventory(&new)["bins"][1]["fob"], "007", "in the bin where it was");
    let people = csv(&from.client, "/people");
    let told = send(&to.client, "/people/bulk", &sent, &people).told();
    assert_eq!(told.matches("\"status\":201").count(), 1, "the owner is the organisation's own: {told}");
    let accesses = csv(&from.client, &format!("/boxes/{old}/accesses"));
    assert_eq!(accesses.lines().count(), 2, "{accesses}");
    let other = from.smart_box("MS5", 1);
    let told = send(&from.client, &format!("/boxes/{other}/accesses/bulk?dry_run=true"), &sent, &accesses).told();
    assert_eq!(told.lines().count(), 1, "{told}");
}
