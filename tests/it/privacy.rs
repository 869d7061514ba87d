//! Personal data: how long history is kept, what is handed out, what is erased, and that nothing secret stands where it
//! must not.

use crate::{
    past::in_the_past,
    rig::{Rig, eventually, string, text},
    site::Org,
    smart_box::now_ms,
};
use castellan::{
    kernel::OrgId,
    store::{Db, Family, Options},
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// How old something is, in days.
fn days_since(at: &str) -> u64 {
    let at = castellan::kernel::UnixMillis::from_rfc3339(at).unwrap();
    (now_ms() - at.0) / 86_400_000
}

fn id(org: &Org) -> OrgId {
    org.id.parse().unwrap()
}

impl Rig {
    fn stop(&mut self) {
        self.tell_to_stop();
        assert!(self.wait_for_end().success());
    }
}

/// What is in force, without what only the server's own clock has done since.
fn in_force(org: &Org, smart_box: &str) -> Vec<Value> {
    let mut shown = org.show(smart_box);
    for own in ["offline", "revision", "reconciling", "contact_due", "late"] {
        shown.as_object_mut().unwrap().remove(own);
    }
    vec![shown, org.inventory(smart_box)["bins"].clone(), org.inventory(smart_box)["keys"].clone()]
}

#[test]
fn history_beyond_its_retention_goes_and_what_is_in_force_stays_also_over_kill_9() {
    for partitions in ["1", "4"] {
        let mut rig = Rig::with(&[("STORE__PARTITIONS", partitions)]);
        let (org, other) = (rig.org(), rig.org());
        rig.stop();
        rig.set("STORE__PARTITIONS", partitions);
        let config = std::fs::read_to_string(rig.config()).unwrap();
        let config = config.replace("[store]", &format!("[store]\npartitions = {partitions}"));
        std::fs::write(rig.config(), config).unwrap();
        let (first, second) = (id(&org), id(&other));
        let ids = in_the_past(&rig, 400, async |past| {
            let old = past.box_with_a_history(first, 0, 200).await;
            let kept = past.box_with_a_history(second, 1, 190).await;
            [old.to_string(), kept.to_string()]
        });
        let [old, kept] = &ids;

        rig.start_again();
        let before = (in_force(&org, old), in_force(&other, kept));
        let cursor = string(&org.client.get("/events?limit=1").is(200), "next");
        assert_eq!(org.history(old).len(), 400, "two years are kept");
        let conflicts = org.conflicts();
        assert_eq!(conflicts.len(), 2);
        org.client
            .send("PUT", &format!("/organisations/{}/retention", org.id), &[], Some(br#"{"history_days": 300}"#))
            .is(200);
        assert_eq!(org.client.get(&format!("/organisations/{}", org.id)).is(200)["history_days"], 300);
        rig.set("RETENTION__ROUND_EVERY_S", "1");
        rig.set("RETENTION__RECORDS_PER_S", "300");
        for after_ms in [1020, 1200, 1600, 2500] {
            rig.kill_and_start();
            assert_eq!(in_force(&org, old), before.0);
            std::thread::sleep(std::time::Duration::from_millis(after_ms));
        }
        rig.set("RETENTION__RECORDS_PER_S", "100000");
        rig.kill_and_start();
        eventually("what is old is gone", || org.history(old).len() < 210);
        let history = org.history(old);
        assert!(history.iter().all(|item| days_since(&string(item, "at")) <= 300), "{}", history.len());
        assert!(history.len() >= 198, "{}", history.len());
        assert_eq!(other.history(kept).len(), 380, "another organisation's stays");
        eventually("a resolved conflict is history, an open one is not", || org.conflicts().len() == 1);
        assert_eq!(org.conflicts()[0]["resolved"], Value::Null);
        assert_eq!(other.conflicts().len(), 2);
        let trimmed = org.client.get(&format!("/events?after={cursor}"));
        trimmed.problem(410, "feed.cursor_trimmed");
        let snapshot = string(&trimmed.json(), "snapshot");
        org.client.get(&format!("/events?after={snapshot}")).is(200);
        other.client.get("/events").is(200);
        eventually("the oldest record is told", || rig.metric("castellan_retention_oldest_record_seconds") > 0.0);

        rig.kill_and_start();
        assert_eq!((in_force(&org, old), in_force(&other, kept)), before);
        let told = org.client.patch(&format!("/boxes/{old}"), &json!({"name": "Still here"})).ok();
        assert!(told["revision"].as_u64().unwrap() > 400);
        org.client.post(&format!("/boxes/{old}/conflicts/2/resolution"), &json!({"accept": "by_hand"})).ok();
    }
}

#[test]
fn retention_is_the_organisations_own_and_within_bounds() {
    let rig = Rig::start();
    let (org, other) = (rig.org(), rig.org());
    let path = format!("/organisations/{}/retention", org.id);
    let put = |client: &crate::rig::Client, body: &str| client.send("PUT", &path, &[], Some(body.as_bytes()));
    for wrong in ["6", "3651", "0", "-1", "1.5", "\"30\""] {
        put(&org.client, &format!("{{\"history_days\": {wrong}}}")).refused();
    }
    put(&other.client, r#"{"history_days": 30}"#).problem(404, "object.not_found");
    put(&rig.operator(), r#"{"history_days": 3650}"#).is(200);
    put(&org.client, r#"{"history_days": 7}"#).is(200);
    put(&org.client, r#"{"history_days": null}"#).is(200);
    assert_eq!(org.client.get(&format!("/organisations/{}", org.id)).is(200)["history_days"], Value::Null);
}

#[test]
fn all_that_is_known_of_a_person_is_handed_out_and_that_it_was_is_noted() {
    let rig = Rig::start();
    let (org, other) = (rig.org(), rig.org());
    let body = json!({
        "name": "Bruno Bianchi", "email": "bruno@rossi.example", "mobile": "+390212345678", "access_code": "271828",
        "badges": ["BADGE-7"],
    });
    let (person, nobody) = (org.person_with(&body), org.person("Carla Conti"));
    let mut smart_box = org.ready_box(3);
    let key = org.key(&smart_box.id, "F1", Some("A-1"));
    let access = org.access(&smart_box.id, &person);
    org.access(&smart_box.id, &nobody);
    smart_box.sync_until_quiet();
    std::thread::sleep(std::time::Duration::from_millis(5));
    smart_box.pick_up("A-1", "F1", Some(&person));
    assert_eq!(smart_box.outcomes(), ["applied"]);
    let path = format!("/people/{person}/export");
    let export = org.client.get(&path).is(200);
    assert_eq!(
        export["known"]["profile"],
        json!({"name": "Bruno Bianchi", "email": "bruno@rossi.example", "mobile": "+390212345678"})
    );
    assert_eq!(export["known"]["credentials"], json!({"access_code": "271828", "badges": ["BADGE-7"], "pin": null}));
    assert_eq!((&export["known"]["role"], &export["person"]), (&json!("user"), &json!(person)));
    let [at_box] = &export["known"]["boxes"].as_array().unwrap()[..] else { panic!("{export}") };
    assert_eq!((&at_box["box"], &at_box["accesses"][0]["access"]), (&json!(smart_box.id), &json!(access)));
    assert_eq!(at_box["keys_held"][0]["key"], json!(key));
    let types = |log: &Value| -> Vec<String> {
        log["items"].as_array().unwrap().iter().map(|item| string(item, "type")).collect()
    };
    let whole = types(&export["log"]);
    for wanted in
        ["people.created", "people.exported", "boxes.access.granted", "boxes.key.picked_up", "boxes.credentials.set"]
    {
        assert!(whole.iter().any(|kind| kind == wanted), "{wanted} is not in {whole:?}");
    }
    assert!(!export.to_string().contains(&nobody), "nobody else stands in it");
    assert_eq!(export["log"]["next"], Value::Null);

    // By pages it is the same.
    let mut paged = Vec::new();
    let mut page = org.client.get(&format!("{path}?limit=1")).is(200);
    loop {
        paged.extend(types(&page["log"]));
        let Some(next) = page["log"]["next"].as_str() else { break };
        page = org.client.get(&format!("{path}?limit=1&after={next}")).is(200);
        assert!(page["known"].is_null());
    }
    assert_eq!(paged.iter().filter(|kind| *kind == "people.exported").count(), 2, "each first page is an export");
    assert_eq!(paged.len(), whole.len() + 1);

    other.client.get(&path).problem(404, "object.not_found");
    let reader = org.client.post("/tokens", &json!({"label": "r", "scopes": ["boxes:read", "audit:read"]})).is(201);
    rig.client(Some(&string(&reader, "token"))).get(&path).problem(403, "auth.forbidden");
    let audit = org.client.get("/audit?type=people.exported").is(200);
    assert_eq!(audit["items"].as_array().unwrap().len(), 2);
    assert!(!audit.to_string().contains("Bianchi"));
    org.client.delete(&format!("/people/{person}")).ok();
    org.client.get(&path).problem(404, "object.not_found");
    let history = org.history(&smart_box.id);
    let held: Vec<_> = history.iter().filter(|item| item["person"] == json!(person)).collect();
    assert!(!held.is_empty() && held.iter().all(|item| item["person_erased"] == json!(true)), "{history:?}");
}

/// Every key and value of a folder that nobody has open.
fn rows_of(data: &Path) -> Vec<Vec<u8>> {
    let db = Db::open(&data.join("db"), Options::default(), false).unwrap();
    let mut rows = Vec::new();
    for family in [Family::Default, Family::Events] {
        for (key, value) in db.scan_family(family, &[], None, usize::MAX).unwrap() {
            rows.push([key, value].concat());
        }
    }
    rows
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

fn holds(bytes: &[u8], wanted: &str) -> bool {
    bytes.windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// Neither a row as it is read nor a file as it lies there (tables, write-ahead log, RocksDB's own log) holds it.
#[track_caller]
fn nowhere(data: &Path, wanted: &[&str]) {
    for row in rows_of(data) {
        for secret in wanted {
            assert!(!holds(&row, secret), "{secret} stands in the row {}", text(&row));
        }
    }
    for file in files_under(data) {
        let bytes = std::fs::read(&file).unwrap();
        for secret in wanted {
            assert!(!holds(&bytes, secret), "{secret} stands in {}", file.display());
        }
    }
}

#[test]
fn what_is_personal_lies_sealed_on_disk_and_its_key_is_gone_with_the_person() {
    let mut rig = Rig::with(&[("RETENTION__ROUND_EVERY_S", "1")]);
    let org = rig.org();
    let secrets = ["Zebedäus Quasimodo", "zebedee.quasimodo@rossi.example", "+390298765432", "84593271", "BADGE-Q7Z3"];
    let [name, email, mobile, code, badge] = secrets;
    let body = json!({"name": name, "email": email, "mobile": mobile, "access_code": code, "badges": [badge]});
    let made = org.client.post_once("/people", "the-same-again", &body).is(201);
    let person = string(&made, "person");
    let mut smart_box = org.ready_box(2);
    org.access(&smart_box.id, &person);
    eventually("the box knows the code", || {
        smart_box.sync();
        smart_box.knows_code(&person, code)
    });
    org.client.get(&format!("/people/{person}/export")).is(200);
    rig.stop();
    nowhere(&rig.data(), &secrets);
    let id: castellan::kernel::PersonId = person.parse().unwrap();
    let sealed_rows = |data: &Path| {
        let of_person = |row: &&Vec<u8>| matches!(row[1], 9 | 10) && row.windows(16).any(|part| part == id.to_bytes());
        rows_of(data).iter().filter(of_person).count()
    };
    assert_eq!(sealed_rows(&rig.data()), 3, "profile, credentials, and the key to both");

    rig.start_again();
    org.client.delete(&format!("/people/{person}")).ok();
    eventually("the person leaves the box", || {
        smart_box.sync();
        !smart_box.items.contains_key(&person)
    });
    // Everything that was theirs can be somebody else's.
    org.person_with(&json!({"name": "Dora Donati", "email": email, "access_code": code, "badges": [badge]}));
    let rounds = rig.metric("castellan_commit_batch_records_count");
    eventually("a round has passed", || rig.metric("castellan_commit_batch_records_count") > rounds + 2.0);
    rig.stop();
    nowhere(&rig.data(), &secrets);
    assert_eq!(sealed_rows(&rig.data()), 0);
    // The key has left the tables too: what a copy of them holds cannot be opened.
    let tables = files_under(&rig.data()).into_iter().filter(|file| file.extension().is_some_and(|end| end == "sst"));
    let subject_key = [&[0u8, 10][..], &castellan::kernel::Address::to_bytes(id.at(self::id(&org)))].concat();
    for table in tables {
        let bytes = std::fs::read(&table).unwrap();
        assert!(!bytes.windows(subject_key.len()).any(|part| part == subject_key), "{}", table.display());
    }
    rig.start_again();
}

#[test]
fn an_organisation_goes_with_all_that_is_its_own_and_nothing_else() {
    let mut rig = Rig::with(&[("RETENTION__RECORDS_PER_S", "40")]);
    let (org, other) = (rig.org(), rig.org());
    let path = format!("/organisations/{}", org.id);
    let mut boxes: Vec<_> = (0..3).map(|_| org.ready_box(2)).collect();
    let mut neighbour = other.ready_box(2);
    let person =
        org.person_with(&json!({"name": "Bruno Bianchi", "email": "b@rossi.example", "access_code": "271828"}));
    for (number, smart_box) in boxes.iter_mut().enumerate() {
        org.key(&smart_box.id, &format!("F{number}"), Some("A-1"));
        org.access(&smart_box.id, &person);
        smart_box.sync_until_quiet();
    }
    let reader = org.client.post("/tokens", &json!({"label": "r", "scopes": ["boxes:read"]})).is(201);
    rig.client(Some(&string(&reader, "token"))).delete(&path).problem(403, "auth.forbidden");
    other.client.delete(&path).problem(404, "object.not_found");
    rig.operator().delete("/organisations/org_00000000000000000000000000").problem(404, "object.not_found");

    org.client.delete(&path).is(202);
    let is_gone = |rig: &Rig| {
        org.client.get("/people").problem(401, "auth.invalid");
        org.client.delete(&path).problem(401, "auth.invalid");
        rig.operator().get(&path).problem(404, "object.not_found");
        rig.operator().delete(&path).problem(404, "object.not_found");
        for smart_box in &boxes {
            smart_box.send(&smart_box.request()).problem(401, "boxes.token_invalid");
        }
    };
    is_gone(&rig);
    for pause_ms in [0, 300, 1200] {
        std::thread::sleep(std::time::Duration::from_millis(pause_ms));
        rig.kill_and_start();
        is_gone(&rig);
    }
    rig.set("RETENTION__RECORDS_PER_S", "100000");
    rig.kill_and_start();
    let events = |kind: &str| rig.operator().all(&format!("/audit?type={kind}"), 200).len();
    eventually("nothing is left", || events("organisations.erased") == 1);
    assert_eq!(events("organisations.erasure_begun"), 1);
    is_gone(&rig);
    let listed = rig.operator().all("/organisations", 200);
    assert_eq!(listed.iter().map(|row| string(row, "organisation")).collect::<Vec<_>>(), vec![other.id.clone()]);
    neighbour.sync_until_quiet();
    assert_eq!(other.client.get("/people").is(200)["items"].as_array().unwrap().len(), 1);
    rig.stop();
    let gone = id(&org).to_bytes();
    let named: Vec<_> = rows_of(&rig.data())
        .into_iter()
        .filter(|row| row.windows(16).any(|part| part == gone))
        // What the system organisation says of it, and the feed's index, which says that it has nothing of it.
        .filter(|row| !(row[1..].starts_with(&[0; 16]) || row[1] == 12 || row[2..].starts_with(b"feed_floor")))
        .map(|row| text(&row))
        .collect();
    assert_eq!(named, Vec::<String>::new());
    rig.start_again();
}

/// Everything secret that a run hands over or draws, and where it must not stand: logs at their most talkative, metrics,
/// events, histories, problems, and the data folder.
#[test]
fn nothing_secret_stands_in_logs_metrics_events_problems_or_on_disk() {
    let mut rig = Rig::with(&[("LOG__LEVEL", "debug"), ("RETENTION__ROUND_EVERY_S", "1")]);
    let org = rig.org();
    let mut secrets = vec![rig.operator_token.clone(), org.token.clone()];
    let body = json!({
        "name": "Zebedee Quasimodo", "email": "zebedee@rossi.example", "mobile": "+390298765432",
        "access_code": "84593271", "badges": ["BADGE-Q7Z3"],
    });
    let person = org.person_with(&body);
    secrets.extend(["Zebedee", "Quasimodo", "zebedee@", "+390298765432", "84593271", "BADGE-Q7Z3"].map(str::to_owned));
    secrets.extend(["Anna Rossi", "anna@rossi.example"].map(str::to_owned));
    let token = org.client.post("/tokens", &json!({"label": "erp", "scopes": ["boxes:read"]})).is(201);
    secrets.push(string(&token, "token"));
    let made = org.smart_box("MS5", 3);
    let code = org.code(&made);
    let mut smart_box = crate::smart_box::TestBox::enrol(&org.client, &code);
    secrets.extend([code.clone(), smart_box.token.clone()]);
    org.key(&smart_box.id, "F1", Some("A-1"));
    org.access(&smart_box.id, &person);
    smart_box.sync_until_quiet();
    std::thread::sleep(std::time::Duration::from_millis(5));
    smart_box.pick_up("A-1", "F1", Some(&person));
    smart_box.sync_until_quiet();

    // Secrets in the wrong place, and refused.
    let mut told = Vec::new();
    let mut refused = |answer: crate::rig::Answer| {
        answer.refused();
        told.push(answer.told());
    };
    for wrong in [
        json!({"name": "Quasimodo", "access_code": 84593271}),
        json!({"name": "Quasimodo", "access_code": ["84593271"]}),
        json!({"name": "Quasimodo", "email": "zebedee@rossi.example"}),
        json!({"name": "Quasimodo", "email": "zebedee@nowhere"}),
        json!({"name": "Quasimodo", "access_code": "84593271"}),
        json!({"name": "Quasimodo", "badges": ["BADGE-Q7Z3"]}),
        json!({"name": "Quasimodo", "badges": "BADGE-Q7Z3"}),
        json!({"name": "Quasimodo", "role": "84593271"}),
        json!({"name": 84593271}),
        json!("84593271"),
    ] {
        refused(org.client.post("/people", &wrong));
    }
    refused(
        org.client.patch(&format!("/people/{person}"), &json!({"mobile": 390298765432u64, "access_code": 84593271})),
    );
    refused(org.client.send(
        "POST",
        "/people",
        &[],
        Some(b"{\"name\": \"Quasimodo\", \"access_code\": \"84593271\",,}"),
    ));
    refused(org.client.get("/people/84593271"));
    refused(org.client.get("/people?limit=84593271"));
    refused(rig.client(Some("84593271")).get("/people"));
    refused(rig.client(Some(&format!("{}x", org.token))).get("/people"));
    refused(rig.nobody().post("/box/v1/enrol", &json!({"code": code})));
    refused(rig.nobody().post("/box/v1/enrol", &json!({"code": [code]})));
    refused(rig.client(Some(&org.token)).post("/box/v1/sync", &json!({})));
    org.client.get(&format!("/people/{person}/export")).is(200);
    rig.kill_and_start();
    org.client.patch(&format!("/people/{person}"), &json!({"access_code": null})).ok();

    let read = |path: &str| org.client.get(path).is(200).to_string();
    for path in ["/events?limit=200", "/audit?limit=200", "/conflicts", "/boxes", "/keys", "/tokens"] {
        told.push(read(path));
    }
    told.push(read(&format!("/boxes/{}/history?all=true", smart_box.id)));
    told.push(rig.operator().get("/events").is(200).to_string());
    told.push(rig.observed("/metrics").told());
    for (number, text) in told.iter().enumerate() {
        for secret in &secrets {
            assert!(!holds(text.as_bytes(), secret), "{secret} was told, {number}: {text}");
        }
    }
    rig.stop();
    let logs: Vec<_> = files_under(rig.config().parent().unwrap())
        .into_iter()
        .filter(|file| file.extension().is_some_and(|end| end == "log"))
        .collect();
    assert!(logs.len() >= 2, "{logs:?}");
    for log in logs {
        let bytes = std::fs::read(&log).unwrap();
        for secret in &secrets {
            assert!(!holds(&bytes, secret), "{secret} stands in {}", log.display());
        }
    }
    let secrets: Vec<_> = secrets.iter().map(String::as_str).collect();
    nowhere(&rig.data(), &secrets);
    rig.start_again();
}
