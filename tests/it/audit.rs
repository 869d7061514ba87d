//! Who did what, when, from where, and what became of it.

use crate::rig::{Rig, string};
use serde_json::{Value, json};

#[test]
fn the_audit_tells_who_did_what_newest_first() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person("Bruno");
    let smart_box = org.smart_box("MS5", 4);
    org.key(&smart_box, "04A2F1", Some("A-1"));
    org.access(&smart_box, &person);
    let made = org.client.post("/tokens", &json!({"label": "=cmd()", "scopes": ["boxes:write"]})).is(201);
    let (token, token_id) = (string(&made, "token"), string(&made, "token_id"));
    let mut actual = org.enrolled(&smart_box);
    actual.pick_up("A-1", "04A2F1", Some(&person));
    actual.pick_up("A-2", "04A2F9", Some(&person));
    actual.sync_until_quiet();
    org.credentials_reach(&smart_box);
    let second = org.client.with_token(&token);
    second.patch(&format!("/boxes/{smart_box}"), &json!({"name": "Hall"})).is(200);

    let all = org.client.all("/audit", 200);
    for limit in [1, 7] {
        assert_eq!(org.client.all("/audit", limit), all, "pages of {limit}");
    }
    let mut fed = org.client.get("/events?limit=200").is(200)["items"].as_array().unwrap().clone();
    fed.reverse();
    let cursors = |events: &[Value]| events.iter().map(|event| event["cursor"].clone()).collect::<Vec<_>>();
    assert_eq!(cursors(&all), cursors(&fed), "the same events as the feed, the other way");

    let newest = &all[0];
    assert_eq!((&newest["type"], &newest["by"]), (&json!("boxes.described"), &json!(token_id)));
    assert_eq!((&newest["from"], &newest["outcome"]), (&json!("127.0.0.1"), &json!("applied")));
    let by = |query: &str| org.client.all(&format!("/audit?{query}"), 50);
    assert_eq!(by(&format!("by={token_id}")).len(), 1);
    let persons = by(&format!("by={person}&type=boxes.key"));
    assert_eq!(persons.iter().map(|event| string(event, "type")).collect::<Vec<_>>(), ["boxes.key.picked_up"]);
    assert_eq!(by("type=boxes.conflict")[0]["outcome"], "refused");
    assert!(by(&format!("entity={smart_box}")).len() > 5);
    assert_eq!(by("by=127.0.0.1").len() + by("by=server").len() + messages(&all), all.len());
    assert_eq!(by("kind=person").len(), all.iter().filter(|event| event["kind"] == "person").count());

    let at = |event: &Value| string(event, "at");
    let (oldest, middle) = (at(all.last().unwrap()), at(&all[all.len() / 2]));
    let since: Vec<_> = all.iter().filter(|event| at(event) >= middle).cloned().collect();
    assert_eq!(by(&format!("from={middle}")), since);
    assert_eq!(by(&format!("until={middle}")).len(), all.len() - since.len());
    assert_eq!(by(&format!("until={oldest}")).len(), 0);
    for wrong in ["from=yesterday", "until=1", "after=x", "limit=0", "kind=x", "z=1"] {
        assert_eq!(org.client.get(&format!("/audit?{wrong}")).refused()["status"], 400, "{wrong}");
    }

    let csv = org.client.send("GET", "/audit", &[("accept", "text/csv")], None);
    assert!(csv.status == 200 && csv.header("content-type").unwrap().starts_with("text/csv; charset=utf-8"));
    let mut read = csv::Reader::from_reader(csv.body.as_slice());
    let head = read.headers().unwrap().clone();
    assert_eq!(head.iter().collect::<Vec<_>>().join(","), "at,type,outcome,entity,kind,revision,by,person,from,data");
    let rows: Vec<_> = read.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), all.len());
    for (row, event) in rows.iter().zip(&all) {
        assert_eq!((&row[0], &row[1]), (&*at(event), event["type"].as_str().unwrap()));
        assert_eq!(serde_json::from_str::<Value>(&row[9]).unwrap(), event["data"]);
        assert!(row.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@'])), "{row:?}");
    }
    let lines = org.client.send("GET", "/audit?limit=3", &[("accept", "application/x-ndjson")], None);
    let lines: Vec<Value> = lines.told().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, all[..3]);
    let told = csv.told();
    for secret in ["Bruno", "anna@", &token[60..], &org.token[60..]] {
        assert!(!told.contains(secret), "{secret} stands in the audit");
    }
}

/// Events that entities tell each other of have no network address.
fn messages(all: &[Value]) -> usize {
    all.iter().filter(|event| event["from"].is_null() && event["by"] != "server").count()
}

#[test]
fn refusals_are_listed_and_bounded() {
    let rig = Rig::start();
    let (org, other) = (rig.org(), rig.org());
    let made = org.client.post("/tokens", &json!({"label": "x", "scopes": ["boxes:read"]})).is(201);
    let weak = org.client.with_token(&string(&made, "token"));
    for _ in 0..5 {
        weak.get("/people").problem(403, "auth.forbidden");
    }
    org.client.get("/boxes/box_0123456789abcdefghjkmnpqrs").problem(404, "object.not_found");
    let forged = format!("{}{}", &org.token[..58], "A".repeat(43));
    rig.client(Some(&forged)).get("/people").problem(401, "auth.invalid");

    let told = org.client.get("/audit/refusals").is(200);
    let lines = told["items"].as_array().unwrap();
    assert_eq!(lines.len(), 2, "{told}");
    assert_eq!((&lines[0]["code"], &lines[0]["route"]), (&json!("object.not_found"), &json!("boxes.show")));
    let refused = &lines[1];
    assert_eq!((&refused["code"], &refused["count"]), (&json!("auth.forbidden"), &json!(5)));
    assert_eq!((&refused["by"], &refused["from"]), (&made["token_id"], &json!("127.0.0.1")));
    assert!(other.client.get("/audit/refusals").is(200)["items"].as_array().unwrap().is_empty());
    let of_all = rig.operator().get("/audit/refusals").is(200);
    assert!(of_all["items"].as_array().unwrap().iter().any(|line| line["code"] == "auth.invalid"), "{of_all}");
}
