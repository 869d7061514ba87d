//! Whatever comes over the line: a refusal that says where, never a 5xx, never a change.

use crate::{
    rig::{Answer, Rig, string},
    site::Org,
    smart_box::{TestBox, now_ms},
};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::io::Write;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What must not change, whatever is sent.
fn state(org: &Org, smart_box: &TestBox) -> Vec<Value> {
    let mut state = vec![org.inventory(&smart_box.id), json!(org.whole_history(&smart_box.id)), json!(org.conflicts())];
    state.extend(["/people", "/tokens", "/boxes", "/keys"].iter().map(|path| json!(org.client.all(path, 200))));
    state.push(org.show(&smart_box.id));
    state
}

fn pointers(answer: &Answer) -> Vec<String> {
    let problem = answer.refused();
    problem["errors"].as_array().into_iter().flatten().map(|error| string(error, "pointer")).collect()
}

fn sync_body() -> Value {
    json!({
        "cursor": null,
        "journal": {"head": 1, "more": false, "entries": [
            {"seq": 1, "at_ms": now_ms(), "cursor": "1.1", "kind": "drop_off", "bin": "A-1", "fob": "F-1"},
        ]},
        "clock_ms": now_ms(),
        "health": {"battery_percent": 97, "mains": true, "link": "ethernet", "firmware": "5.1.2"},
    })
}

/// A good body with one member that is not.
fn with(body: &Value, pointer: &str, value: Value) -> Value {
    let mut body = body.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
        _ => parent[name] = value,
    }
    body
}

#[test]
fn a_sync_of_a_wrong_shape_is_refused_with_its_place() {
    let rig = Rig::start();
    let org = rig.org();
    let smart_box = org.enrolled(&org.smart_box("MS5", 2));
    let before = state(&org, &smart_box);
    let good = sync_body();
    let entry = "/journal/entries/0";
    for (pointer, value) in [
        ("/cursro".to_owned(), json!("1.1")),
        ("/cursor".to_owned(), json!("1")),
        ("/cursor".to_owned(), json!("1.-1")),
        ("/cursor".to_owned(), json!("1.1.1")),
        ("/cursor".to_owned(), json!("4294967296.1")),
        ("/cursor".to_owned(), json!("1.18446744073709551616")),
        ("/cursor".to_owned(), json!(1.1)),
        ("/clock_ms".to_owned(), json!(-1)),
        ("/clock_ms".to_owned(), json!(1.5)),
        ("/clock_ms".to_owned(), json!("now")),
        ("/clock_ms".to_owned(), Value::Null),
        ("/journal".to_owned(), json!([])),
        ("/journal".to_owned(), json!([0, false, []])),
        ("/health".to_owned(), json!([97, true, "wifi", "5.1.2"])),
        ("/journal/head".to_owned(), json!(-1)),
        ("/journal/head".to_owned(), json!(1e300)),
        ("/journal/head".to_owned(), json!(1_u64 << 40)),
        ("/journal/head".to_owned(), json!(u64::MAX)),
        ("/journal/kept_from".to_owned(), json!(u64::MAX)),
        ("/journal/more".to_owned(), json!("yes")),
        ("/journal/entries".to_owned(), json!({})),
        ("/journal/entries/0".to_owned(), json!(7)),
        ("/journal/entries/0".to_owned(), json!([1, 1, null, "opened", "A-1", null, null, null])),
        ("/journal/further".to_owned(), json!(7)),
        (format!("{entry}/seq"), json!("1")),
        (format!("{entry}/seq"), json!(-1)),
        (format!("{entry}/at_ms"), json!(-1)),
        (format!("{entry}/kind"), json!(["drop_off"])),
        (format!("{entry}/bin"), json!(1)),
        (format!("{entry}/fob"), json!({})),
        (format!("{entry}/person"), json!(1)),
        (format!("{entry}/surprise"), json!(1)),
        ("/health/battery_percent".to_owned(), json!(101)),
        ("/health/battery_percent".to_owned(), json!(-1)),
        ("/health/link".to_owned(), json!("telepathy")),
        ("/health/mains".to_owned(), json!("yes")),
        ("/health/firmware".to_owned(), json!("x".repeat(10_000))),
        ("/health/mood".to_owned(), json!("fine")),
    ] {
        let refused = smart_box.send(&with(&good, &pointer, value));
        refused.problem(400, "request.malformed");
        assert!(pointers(&refused)[0].starts_with(&pointer), "{pointer}: {}", refused.told());
    }
    for seq in [0, 1 << 40, 1 << 52 | 1, u64::MAX] {
        let refused = smart_box.send(&with(&good, "/journal/entries/0/seq", json!(seq)));
        assert_eq!(pointers(&refused), ["/journal/entries"], "{seq}: {}", refused.told());
    }
    let mut missing = good.clone();
    missing.as_object_mut().unwrap().remove("journal");
    smart_box.send(&missing).problem(400, "request.malformed");
    let huge = good.to_string().replace("\"head\":1", "\"head\":99999999999999999999999999");
    let refused = smart_box.client.send("POST", "/box/v1/sync", &[], Some(huge.as_bytes()));
    assert_eq!(pointers(&refused), ["/journal/head"]);
    let many: Vec<_> = (1..=257).map(|seq| json!({"seq": seq, "at_ms": 1, "kind": "opened", "bin": "A-1"})).collect();
    smart_box.send(&with(&good, "/journal/entries", json!(many))).refused();
    assert_eq!(state(&org, &smart_box), before);
    smart_box.send(&good).is(200);
}

/// Of the right shape, but no sense in it: kept as unreadable, so that one bad line does not hold up a journal.
#[test]
fn an_entry_without_sense_is_rejected_kept_and_passed() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.enrolled(&org.smart_box("MS5", 2));
    let line =
        |seq: u64| json!({"seq": seq, "at_ms": now_ms(), "kind": "drop_off", "bin": "A-1", "fob": format!("F-{seq}")});
    let mut journal: Vec<_> = (1..=7).map(line).collect();
    journal[0]["kind"] = json!("levitated");
    journal[1].as_object_mut().unwrap().remove("fob");
    journal[2]["bin"] = json!("");
    journal[3]["fob"] = json!("F".repeat(300));
    journal[4]["person"] = json!("box_0123456789abcdefghjkmnpqrs");
    journal[5]["bin"] = json!("Z-99");
    smart_box.journal = journal;
    let outcomes = smart_box.outcomes();
    for unreadable in &outcomes[..5] {
        assert_eq!(unreadable, "rejected unreadable", "{outcomes:?}");
    }
    assert_eq!(outcomes[5..], ["rejected unknown_bin", "applied"]);
    assert_eq!(smart_box.resume_at, 8);
    let conflicts = org.conflicts();
    assert_eq!(conflicts.len(), 6);
    assert!(json!(conflicts).to_string().contains("levitated"), "kept whole: {conflicts:?}");
    let told: Vec<_> = org.history(&smart_box.id).iter().filter_map(|item| item["seq"].as_u64()).collect();
    assert_eq!(told, [7], "rejected entries stand in no history");
    assert_eq!(org.whole_history(&smart_box.id).iter().filter(|item| item["seq"].is_u64()).count(), 7);
}

#[test]
fn bytes_that_are_no_json_change_nothing() {
    let rig = Rig::start();
    let org = rig.org();
    let smart_box = org.enrolled(&org.smart_box("MS5", 2));
    let before = state(&org, &smart_box);
    let deep = "[".repeat(100_000);
    let deep_object = format!("{}1{}", "{\"journal\":".repeat(5000), "}".repeat(5000));
    let mut cut = sync_body().to_string();
    cut.truncate(cut.len() / 2);
    let bodies: Vec<Vec<u8>> = vec![
        b"".into(),
        b"{".into(),
        b"null".into(),
        b"[]".into(),
        b"\"sync\"".into(),
        b"{} {}".into(),
        b"\xff\xfe{}".into(),
        b"{\"name\": \"\xc3\x28\"}".into(),
        b"{\"name\": \"\\ud800\"}".into(),
        b"{\"name\": \"a\0b\"}".into(),
        b"{\"name\": NaN}".into(),
        b"{\"name\": 'x'}".into(),
        deep.into(),
        deep_object.into(),
        cut.into(),
        vec![0; 5000],
        sync_body().to_string().encode_utf16().flat_map(u16::to_le_bytes).collect(),
    ];
    let tenants = [
        (&smart_box.client, "/box/v1/sync"),
        (&smart_box.client, "/box/v1/confirm"),
        (&smart_box.client, "/box/v1/enrol"),
        (&org.client, "/people"),
        (&org.client, "/tokens"),
        (&org.client, "/boxes"),
    ];
    for body in &bodies {
        for (client, path) in tenants {
            client.send("POST", path, &[], Some(body)).problem(400, "request.malformed");
        }
        for path in ["keys", "accesses", "accesses/batch", "enrolment", "bins/A-1/correction", "bins/A-1/confirmation"]
        {
            let path = format!("/boxes/{}/{path}", smart_box.id);
            org.client.send("POST", &path, &[], Some(body)).problem(400, "request.malformed");
        }
        for path in [format!("/boxes/{}", smart_box.id), format!("/boxes/{}/bins/A-1", smart_box.id)] {
            org.client.send("PATCH", &path, &[], Some(body)).problem(400, "request.malformed");
        }
    }
    assert_eq!(state(&org, &smart_box), before);
}

#[test]
fn bombs_and_huge_bodies_stop_at_the_bound() {
    let rig = Rig::start();
    let org = rig.org();
    let smart_box = org.enrolled(&org.smart_box("MS5", 2));
    let before = state(&org, &smart_box);
    let zeros = vec![b' '; 64 << 20];
    let (gzip_bomb, zstd_bomb) = (gzip(&zeros), zstd::encode_all(&zeros[..], 3).unwrap());
    assert!(gzip_bomb.len() < 1 << 20 && zstd_bomb.len() < 1 << 20);
    let twice = gzip(&gzip(&zeros));
    for (client, path) in [(&smart_box.client, "/box/v1/sync"), (&org.client, "/people")] {
        let send =
            |encoding: &str, body: &[u8]| client.send("POST", path, &[("content-encoding", encoding)], Some(body));
        send("gzip", &gzip_bomb).problem(413, "request.too_large");
        send("zstd", &zstd_bomb).problem(413, "request.too_large");
        send("gzip", &twice).problem(400, "request.malformed");
        for encoding in ["br", "deflate", "gzip, gzip", "rot13", ""] {
            send(encoding, b"{}").problem(415, "request.unsupported_encoding");
        }
        send("gzip", b"not packed at all").problem(415, "request.unsupported_encoding");
        send("zstd", b"not packed at all").problem(415, "request.unsupported_encoding");
        let mut cut = gzip(sync_body().to_string().as_bytes());
        cut.truncate(cut.len() / 2);
        send("gzip", &cut).problem(415, "request.unsupported_encoding");
        for content_type in ["text/plain", "application/xml", "application/x-www-form-urlencoded", "json", ""] {
            let refused = client.send("POST", path, &[("content-type", content_type)], Some(b"{}"));
            refused.problem(415, "request.unsupported_type");
        }
    }
    // The length is announced: the body need not be waited for.
    let head = |path: &str, token: &str, length: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{length}\r\n\r\n")
    };
    let heard = rig.raw(head("/box/v1/sync", &smart_box.token, "content-length: 99999999999").as_bytes());
    assert!(heard.starts_with("HTTP/1.1 413"), "{heard}");
    // The length is not announced, and there is no end.
    let mut endless = head("/api/v1/people", &org.token, "transfer-encoding: chunked").into_bytes();
    for _ in 0..40 {
        endless.extend_from_slice(b"10000\r\n");
        endless.extend_from_slice(&vec![b' '; 0x10000]);
        endless.extend_from_slice(b"\r\n");
    }
    let heard = rig.raw(&endless);
    assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 413"), "{heard}");
    assert_eq!(state(&org, &smart_box), before);
    let good = sync_body().to_string();
    for (encoding, body) in [("gzip", gzip(good.as_bytes())), ("zstd", zstd::encode_all(good.as_bytes(), 3).unwrap())] {
        let told =
            smart_box.client.send("POST", "/box/v1/sync", &[("content-encoding", encoding)], Some(&body)).is(200);
        assert_eq!(told["resume_at"], 2, "{encoding}");
    }
}

#[test]
fn what_is_not_http_is_refused_or_hung_up() {
    let rig = Rig::start();
    let org = rig.org();
    let auth = format!("authorization: Bearer {}\r\n", org.token);
    let long = format!("GET /api/v1/people?after={} HTTP/1.1\r\n\r\n", "a".repeat(200_000));
    let many: String = (0..500).map(|number| format!("x-{number}: 1\r\n")).collect();
    let cases = [
        "\r\n\r\n\r\n".to_owned(),
        "HELO castellan\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}".to_owned(),
        long,
        format!("GET /api/v1/people HTTP/1.1\r\nhost: x\r\n{many}\r\n"),
        format!("GET /api/v1/people HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(200_000)),
        format!("POST /api/v1/people HTTP/1.1\r\nhost: x\r\n{auth}content-length: -5\r\n\r\n{{}}"),
        format!("POST /api/v1/people HTTP/1.1\r\nhost: x\r\n{auth}content-length: 2\r\ncontent-length: 30\r\n\r\n{{}}"),
        format!(
            "POST /api/v1/people HTTP/1.1\r\nhost: x\r\n{auth}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{{}}"
        ),
        format!(
            "POST /api/v1/people HTTP/1.1\r\nhost: x\r\n{auth}transfer-encoding: chunked\r\n\r\nZZ\r\n{{}}\r\n0\r\n\r\n"
        ),
        format!("GET /api/v1/%ff%fe HTTP/1.1\r\nhost: x\r\n{auth}\r\n"),
        format!("GET /api/v1/people/../../etc/passwd HTTP/1.1\r\nhost: x\r\n{auth}\r\n"),
        format!("GET /api/v1/people/%2e%2e%2fx HTTP/1.1\r\nhost: x\r\n{auth}\r\n"),
    ];
    for case in cases {
        let heard = rig.raw(case.as_bytes());
        let shown: String = case.chars().take(80).collect();
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 4"), "{shown:?}: {heard}");
    }
    assert_eq!(org.client.all("/people", 200).len(), 1);
    assert_eq!(rig.observed("/readyz").status, 200);
}

#[test]
fn a_client_that_sleeps_in_the_middle_is_not_waited_for() {
    let rig = Rig::with(&[("HTTP__CLIENT_TIMEOUT_MS", "300")]);
    let org = rig.org();
    let head = format!(
        "POST /api/v1/people HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 50\r\n\r\n{{\"name\"",
        org.token
    );
    let heard = rig.raw(head.as_bytes());
    assert!(heard.starts_with("HTTP/1.1 408") && heard.contains("request.timeout"), "{heard}");
    let heard = rig.raw(b"GET /api/v1/people HTTP/1.1\r\nhost");
    assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 408"), "{heard}");
}

#[test]
fn every_wrong_value_is_named_and_all_at_once() {
    let rig = Rig::start();
    let org = rig.org();
    let smart_box = org.enrolled(&org.smart_box("MS5", 2));
    let person = org.person("Bruno");
    let before = state(&org, &smart_box);
    let of_box = |last: &str| format!("/boxes/{}/{last}", smart_box.id);
    let access = |more: Value| {
        let mut body = json!({"person": person});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let new_box = json!({"name": "N", "model": "MS5", "zone": "Europe/Rome", "bins": ["A-1"]});
    for (path, body, wanted) in [
        (
            "/people".to_owned(),
            json!({"name": "", "email": "x", "mobile": "1", "access_code": "12"}),
            vec!["/name", "/email", "/mobile", "/access_code"],
        ),
        ("/people".into(), json!({"name": "B\u{7}"}), vec!["/name"]),
        ("/people".into(), json!({"name": "x".repeat(121)}), vec!["/name"]),
        ("/people".into(), json!({"name": "B", "role": "owner"}), vec!["/role"]),
        ("/people".into(), json!({"name": "B", "role": "king"}), vec!["/role"]),
        ("/people".into(), json!({"name": "B", "access_code": "12345a"}), vec!["/access_code"]),
        ("/people".into(), json!({"name": "B", "access_code": 123456}), vec!["/access_code"]),
        ("/people".into(), json!({"name": "B", "badges": ["x", ""]}), vec!["/badges/1"]),
        ("/people".into(), json!({"name": "B", "badges": ["x", "x"]}), vec!["/badges/1"]),
        ("/people".into(), json!({"name": "B", "nickname": "b"}), vec!["/nickname"]),
        ("/tokens".into(), json!({"label": "x", "scopes": ["boxes:read", "boxes:fly"]}), vec!["/scopes/1"]),
        ("/boxes".into(), with(&new_box, "/model", json!("MS9")), vec!["/model"]),
        ("/boxes".into(), with(&new_box, "/zone", json!("Mars/Olympus")), vec!["/zone"]),
        ("/boxes".into(), with(&new_box, "/bins", json!(["A-1", "A-1"])), vec!["/bins/1"]),
        ("/boxes".into(), with(&new_box, "/bins", json!([""])), vec!["/bins/0"]),
        ("/boxes".into(), with(&new_box, "/name", json!("x".repeat(1000))), vec!["/name"]),
        (of_box("keys"), json!({"name": "K", "fob": ""}), vec!["/fob"]),
        (of_box("keys"), json!({"name": "K", "fob": "F".repeat(200)}), vec!["/fob"]),
        (of_box("keys"), json!({"name": "K", "fob": "F", "description": "d".repeat(61)}), vec!["/description"]),
        (of_box("keys"), json!({"name": "K", "fob": "F", "notes": "d".repeat(101)}), vec!["/notes"]),
        (of_box("keys"), json!({"name": "K", "fob": "F", "pick_up_note": "d".repeat(241)}), vec!["/pick_up_note"]),
        (of_box("keys"), json!({"name": "K", "fob": "F", "groups": ["key_1"]}), vec!["/groups/0"]),
        (of_box("accesses"), access(json!({"box": true, "from": "soon"})), vec!["/from"]),
        (of_box("accesses"), access(json!({"box": true, "zone": "Mars/Olympus"})), vec!["/zone"]),
        (
            of_box("accesses"),
            access(json!({"box": true, "from": "2030-01-02T00:00:00Z", "until": "2030-01-01T00:00:00Z"})),
            vec!["/until"],
        ),
        (of_box("accesses"), json!({"person": "key_0123456789abcdefghjkmnpqrs", "box": true}), vec!["/person"]),
        (of_box("bins/A-1/correction"), json!({"fob": "F".repeat(200)}), vec!["/fob"]),
        (of_box("enrolment"), json!({"stolen": "perhaps"}), vec!["/stolen"]),
    ] {
        let refused = org.client.post(&path, &body);
        assert_eq!(refused.status, 400, "{path} {body}: {}", refused.told());
        assert_eq!(pointers(&refused), wanted, "{path} {body}: {}", refused.told());
    }
    for more in [json!({}), json!({"box": false}), json!({"box": true, "group": "grp_0123456789abcdefghjkmnpqrs"})] {
        assert_eq!(org.client.post(&of_box("accesses"), &access(more.clone())).status, 400, "{more}");
    }
    for (path, body) in [
        ("bins/A-1/correction", json!({})),
        ("accesses/batch", json!({"accesses": []})),
        ("accesses/batch", json!({"accesses": vec![access(json!({"box": true})); 201]})),
    ] {
        assert_eq!(org.client.post(&of_box(path), &body).status, 400, "{path}");
    }
    let batch = json!({"accesses": [access(json!({"box": true})), access(json!({"box": true, "from": "soon"}))]});
    assert_eq!(pointers(&org.client.post(&of_box("accesses/batch"), &batch)), ["/accesses/1/from"]);
    for (path, body) in [
        (of_box("bins/A-1"), json!({"state": "open"})),
        (format!("/boxes/{}", smart_box.id), json!({"model": "MS3"})),
        (format!("/boxes/{}", smart_box.id), json!({"zone": "Nowhere"})),
    ] {
        assert_eq!(org.client.patch(&path, &body).status, 400, "{path} {body}");
    }
    assert_eq!(state(&org, &smart_box), before);
}

#[test]
fn pages_and_ids_that_make_no_sense() {
    let rig = Rig::start();
    let org = rig.org();
    let smart_box = org.smart_box("MS5", 2);
    let history = format!("/boxes/{smart_box}/history");
    for path in ["/people", "/tokens", "/boxes", "/keys", "/conflicts", "/organisations", &history] {
        for limit in ["0", "201", "-1", "many", "1e3", "99999999999999999999"] {
            let refused = org.client.get(&format!("{path}?limit={limit}"));
            assert_eq!(refused.status, 400, "{path} {limit}: {}", refused.told());
            refused.refused();
        }
        for after in ["x", "%00", "org_1", "box_zzzzzzzzzzzzzzzzzzzzzzzzzz", "-1"] {
            let refused = org.client.get(&format!("{path}?after={after}"));
            assert_eq!(refused.status, 400, "{path} {after}: {}", refused.told());
        }
        assert_eq!(org.client.get(&format!("{path}?surprise=1")).status, 400, "{path}");
        for limit in [1, 200] {
            assert_eq!(org.client.get(&format!("{path}?limit={limit}")).status, 200, "{path}");
        }
    }
    for path in [
        "/people/box_0123456789abcdefghjkmnpqrs".to_owned(),
        "/people/per_1".into(),
        "/boxes/x".into(),
        "/boxes/BOX_0123456789abcdefghjkmnpqrs".into(),
        "/boxes/per_0123456789abcdefghjkmnpqrs/inventory".into(),
        "/keys/box_0123456789abcdefghjkmnpqrs".into(),
        format!("/boxes/{smart_box}/conflicts/one"),
        format!("/boxes/{smart_box}/conflicts/-1"),
        format!("/boxes/{smart_box}/conflicts/99999999999999999999999"),
        format!("/keys/{}", smart_box.replace("box_", "key_")),
        format!("/people/{}", smart_box.replace("box_", "per_")),
    ] {
        org.client.get(&path).problem(404, "object.not_found");
    }
    for (path, body) in [("bins/Z-9", json!({"state": "enabled"})), ("keys/x", json!({"name": "x"}))] {
        org.client.patch(&format!("/boxes/{smart_box}/{path}"), &body).problem(404, "object.not_found");
    }
}
