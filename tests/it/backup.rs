//! Backup and restore: made while the server is used, restored elsewhere, and the boxes come back.

use crate::{
    rig::{Client, Rig, eventually, run, text, verify},
    site::Org,
    smart_box::{TestBox, outcomes_of},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Output,
    sync::atomic::{AtomicBool, Ordering},
};

pub fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Asks for a backup and waits until it is there.
pub fn back_up(rig: &Rig, body: &Value) -> Value {
    let operator = rig.operator();
    let begun = operator.post("/operator/backups", body).is(202);
    assert!(["running", "done"].contains(&begun["state"].as_str().unwrap()), "{begun}");
    let path = format!("/operator/backups/{}", body["name"].as_str().unwrap());
    eventually("the backup is made", || operator.get(&path).is(200)["state"] != "running");
    let made = operator.get(&path).is(200);
    assert_eq!(made["state"], "done", "{made}");
    made
}

pub fn restore(from: &Path, to: &Path, more: &[&str]) -> Output {
    let mut arguments = vec!["restore", "--from", shown(from), "--data-dir", shown(to)];
    arguments.extend(more);
    run(&arguments)
}

#[track_caller]
pub fn refused(output: &Output, words: &[&str]) {
    let said = text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in: {said}");
    }
}

/// How often each journal entry stands in the history.
fn seqs(org: &Org, smart_box: &TestBox) -> BTreeMap<u64, usize> {
    let mut known = BTreeMap::new();
    for item in org.whole_history(&smart_box.id) {
        if let Some(seq) = item["seq"].as_u64() {
            *known.entry(seq).or_default() += 1;
        }
    }
    known
}

fn use_it(smart_box: &mut TestBox, times: usize) {
    let fob = format!("F-{}", &smart_box.id[20..]);
    for _ in 0..times {
        smart_box.drop_off("A-1", &fob, None);
        smart_box.pick_up("A-1", &fob, None);
    }
}

/// Where the second server lives.
fn elsewhere(rig: &Rig) -> PathBuf {
    rig.data().with_file_name("elsewhere")
}

#[test]
fn a_backup_under_load_is_restored_elsewhere_and_every_box_goes_on() {
    let mut rig = Rig::start();
    rig.verify = false;
    let org = rig.org();
    let mut boxes: Vec<TestBox> = (0..12).map(|_| org.ready_box(2)).collect();
    let (running, backed_up) = (AtomicBool::new(true), AtomicBool::new(false));
    let before = org.person("Before");
    std::thread::scope(|scope| {
        for smart_box in &mut boxes {
            let running = &running;
            scope.spawn(move || {
                while running.load(Ordering::Relaxed) {
                    use_it(smart_box, 1);
                    smart_box.sync();
                }
            });
        }
        let made = back_up(&rig, &json!({"name": "nightly-1"}));
        backed_up.store(true, Ordering::Relaxed);
        assert_eq!((&made["holds_master_key"], &made["master_keys"]), (&json!(false), &json!([1])));
        assert!(made["bytes"].as_u64().unwrap() > 0 && made["partitions"][0]["position"].as_u64().unwrap() > 0);
        std::thread::sleep(std::time::Duration::from_millis(300));
        running.store(false, Ordering::Relaxed);
    });
    let after = org.person("After");
    rig.kill();
    let (backup, key) = (rig.data().join("backups/nightly-1"), rig.data().join("master.key"));
    let restored = restore(&backup, &elsewhere(&rig), &["--master-key", shown(&key)]);
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    verify(&elsewhere(&rig));
    rig.set("STORE__DATA_DIR", shown(&elsewhere(&rig)));
    rig.start_again();
    assert_eq!(org.client.get(&format!("/people/{before}")).is(200)["name"], "Before");
    org.client.get(&format!("/people/{after}")).problem(404, "object.not_found");
    let mut behind = 0;
    for smart_box in &mut boxes {
        let asked_before = smart_box.resume_at;
        let told = smart_box.sync();
        assert_eq!(told["changes"]["full"], true, "a cursor of the life before gets everything");
        assert!(smart_box.cursor.as_ref().unwrap().split_once('.').unwrap().0.parse::<u64>().unwrap() > 1_000_000);
        behind += usize::from(smart_box.resume_at < asked_before);
        smart_box.sync_until_quiet();
        let all = (1..=smart_box.head()).map(|seq| (seq, 1)).collect();
        assert_eq!(seqs(&org, smart_box), all, "each once");
        smart_box.must_equal(&org.inventory(&smart_box.id));
        use_it(smart_box, 1);
        assert_eq!(smart_box.outcomes().len(), 2, "and it goes on");
    }
    assert!(behind > 0, "nobody was asked for anything again: the test shows nothing");
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    verify(&elsewhere(&rig));
}

#[test]
fn a_box_that_kept_nothing_is_flagged_and_goes_on() {
    let mut rig = Rig::start();
    rig.verify = false;
    let org = rig.org();
    let mut smart_box = org.ready_box(2);
    use_it(&mut smart_box, 2);
    smart_box.sync();
    back_up(&rig, &json!({"name": "b", "with_master_key": true}));
    use_it(&mut smart_box, 3);
    smart_box.sync();
    rig.kill();
    assert!(restore(&rig.data().join("backups/b"), &elsewhere(&rig), &[]).status.success());
    rig.set("STORE__DATA_DIR", shown(&elsewhere(&rig)));
    rig.start_again();
    assert_eq!(smart_box.sync()["resume_at"], 5);
    let mut request = smart_box.request_of(9, 10);
    request["journal"]["kept_from"] = json!(10);
    smart_box.send(&request).problem(400, "request.malformed");
    request["journal"]["kept_from"] = json!(9);
    let told = smart_box.send(&request).is(200);
    assert_eq!((outcomes_of(&told).len(), &told["resume_at"]), (2, &json!(11)));
    smart_box.store(&told);
    let conflicts = org.conflicts();
    assert_eq!((conflicts.len(), &conflicts[0]["reason"]), (1, &json!("journal_gap")), "{conflicts:?}");
    assert_eq!((&conflicts[0]["text"], &conflicts[0]["kind"]), (&json!("5 to 8"), &Value::Null));
    let path = format!("/boxes/{}/conflicts/{}/resolution", smart_box.id, conflicts[0]["seq"]);
    org.client.post(&path, &json!({"accept": "box"})).problem(409, "boxes.cannot_accept");
    org.client.post(&path, &json!({"accept": "by_hand"})).ok();
    smart_box.sync_until_quiet();
    smart_box.must_equal(&org.inventory(&smart_box.id));
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    verify(&elsewhere(&rig));
}

fn names(operator: &Client) -> Vec<String> {
    let listed = operator.get("/operator/backups").is(200);
    listed["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn backups_are_named_listed_and_removed_by_the_operator_alone() {
    let rig = Rig::start();
    let (org, operator) = (rig.org(), rig.operator());
    org.client.post("/operator/backups", &json!({"name": "x"})).problem(403, "auth.forbidden");
    org.client.get("/operator/backups").problem(403, "auth.forbidden");
    for wrong in ["", ".", "..", "../x", "/tmp/x", "a/b", ".hidden", "a b", &"x".repeat(65)] {
        operator.post("/operator/backups", &json!({"name": wrong})).problem(400, "request.invalid");
    }
    operator.post("/operator/backups", &json!({})).problem(400, "request.malformed");
    for (path, status) in [("..%2Fdb", 404), (".%2e", 404), ("nightly", 404)] {
        operator.get(&format!("/operator/backups/{path}")).problem(status, "object.not_found");
        operator.delete(&format!("/operator/backups/{path}")).problem(status, "object.not_found");
    }
    assert!(rig.data().join("db/CURRENT").exists(), "nothing outside is touched");
    back_up(&rig, &json!({"name": "b-1"}));
    back_up(&rig, &json!({"name": "a-1"}));
    operator.post("/operator/backups", &json!({"name": "a-1"})).problem(409, "object.already_exists");
    assert_eq!(names(&operator), ["a-1", "b-1"]);
    let shown = operator.get("/operator/backups/a-1").is(200);
    assert!(shown["files"].as_u64().unwrap() > 3 && shown["made_at"].is_string(), "{shown}");
    assert_eq!(operator.delete("/operator/backups/a-1").status, 204);
    operator.delete("/operator/backups/a-1").problem(404, "object.not_found");
    assert_eq!(names(&operator), ["b-1"]);
    assert!(!rig.data().join("backups/a-1").exists());
}

/// The command line asks the running server, or does it itself when none runs.
#[test]
fn what_an_operator_does_is_booked_once() {
    let rig = Rig::start();
    let operator = rig.operator();
    let wanted = json!({"name": "nightly"});
    let post = |key: &str| operator.post_once("/operator/backups", key, &wanted);
    assert_eq!(post("k-1").is(202)["name"], "nightly");
    let path = "/operator/backups/nightly";
    eventually("the backup is made", || operator.get(path).is(200)["state"] == "done");
    assert_eq!(post("k-1").is(202)["state"], "done", "a repeat makes none");
    post("k-2").problem(409, "object.already_exists");
    operator.post_once("/operator/backups", "k-1", &json!({"name": "x"})).problem(422, "idempotency.other_body");
    operator.delete(path).is(204);
    for _ in 0..2 {
        operator.post_once("/operator/master-key/rotation", "k-3", &json!({})).is(202);
    }
    let told = operator.get("/events?limit=200").is(200);
    let types: Vec<_> = told["items"].as_array().unwrap().iter().filter_map(|item| item["type"].as_str()).collect();
    let count = |of: &str| types.iter().filter(|told| **told == format!("organisations.{of}")).count();
    assert_eq!(["backup_begun", "backup_removed", "master_key_rotation_begun"].map(count), [1, 1, 1], "{types:?}");
}

#[test]
fn the_command_line_backs_up_with_and_without_a_server() {
    let mut rig = Rig::start();
    let url = format!("http://{}", rig.addresses().api);
    let config = rig.config();
    let token = rig.operator_token.clone();
    let asked = run(&["backup", "one", "--url", &url, "--token", &token]);
    assert!(asked.status.success() && text(&asked.stdout).contains("\"done\""), "{}", text(&asked.stderr));
    let busy = run(&["backup", "two", "--config", shown(&config)]);
    refused(&busy, &["a server runs on this folder", "--token"]);
    let both = run(&["backup", "two", "--config", shown(&config), "--url", &url, "--token", &token]);
    assert!(both.status.success(), "{}", text(&both.stderr));
    refused(&run(&["backup", "../x", "--url", &url, "--token", &token]), &["letters, digits"]);
    refused(&run(&["backup", "one", "--url", &url, "--token", &token]), &["409", "object.already_exists"]);
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    let alone = run(&["backup", "three", "--config", shown(&config)]);
    assert!(alone.status.success(), "{}", text(&alone.stderr));
    refused(&run(&["backup", "three", "--config", shown(&config)]), &["exists already"]);
    for name in ["one", "two", "three"] {
        let to = rig.data().with_file_name(name);
        let restored = restore(
            &rig.data().join("backups").join(name),
            &to,
            &["--master-key", shown(&rig.data().join("master.key"))],
        );
        assert!(restored.status.success(), "{}", text(&restored.stderr));
        verify(&to);
    }
}

/// Whatever is wrong is said before anything is written.
#[test]
fn a_restore_refuses_what_it_cannot_do_and_touches_nothing() {
    let mut rig = Rig::start();
    rig.org().person("Anna");
    back_up(&rig, &json!({"name": "b"}));
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    let (backup, key) = (rig.data().join("backups/b"), rig.data().join("master.key"));
    let with_key = ["--master-key", shown(&key)];
    let to = elsewhere(&rig);
    let nothing_made = |why: &str| assert!(!to.exists(), "{why}");

    refused(&restore(&backup, &to, &[]), &["does not hold the master key", "--master-key"]);
    nothing_made("no key");
    let other = rig.data().with_file_name("other.key");
    fs::write(&other, "ab".repeat(32)).unwrap();
    refused(&restore(&backup, &to, &["--master-key", shown(&other)]), &["chmod 600"]);
    fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    refused(&restore(&backup, &to, &["--master-key", shown(&other)]), &["another master key as version 1"]);
    fs::write(&other, format!("2:{}", "ab".repeat(32))).unwrap();
    refused(&restore(&backup, &to, &["--master-key", shown(&other)]), &["needs version 1", "[2]"]);
    nothing_made("wrong key");
    refused(&restore(&backup, &rig.data(), &with_key), &["is not empty"]);
    refused(&restore(&rig.data(), &to, &with_key), &["no manifest.json"]);

    let manifest = backup.join("manifest.json");
    let right = fs::read_to_string(&manifest).unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut manifest: Value = serde_json::from_str(&right).unwrap();
        change(&mut manifest);
        fs::write(backup.join("manifest.json"), manifest.to_string()).unwrap();
    };
    changed(&|manifest| {
        manifest["backup_format"] = json!(2);
        manifest["something_new"] = json!(true);
    });
    refused(&restore(&backup, &to, &with_key), &["format 2", "newer program"]);
    changed(&|manifest| manifest["data_format"] = json!(99));
    refused(&restore(&backup, &to, &with_key), &["format 99", "newer program"]);
    changed(&|manifest| manifest["files"][0]["path"] = json!("../../evil"));
    refused(&restore(&backup, &to, &with_key), &["cannot be read", "../../evil"]);
    fs::write(&manifest, "{").unwrap();
    refused(&restore(&backup, &to, &with_key), &["manifest.json cannot be read"]);
    fs::write(&manifest, &right).unwrap();

    let table = fs::read_dir(backup.join("db")).unwrap().map(|entry| entry.unwrap().path());
    let table = table.filter(|path| path.extension().is_some_and(|end| end == "sst")).max().unwrap();
    let whole = fs::read(&table).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    // The table may be a link to the server's own: written anew, never over it.
    fs::remove_file(&table).unwrap();
    fs::write(&table, &damaged).unwrap();
    refused(&restore(&backup, &to, &with_key), &["is damaged"]);
    fs::remove_file(&table).unwrap();
    refused(&restore(&backup, &to, &with_key), &["No such file"]);
    nothing_made("damaged");
    fs::write(&table, &whole).unwrap();
    fs::create_dir(&to).unwrap();
    let restored = restore(&backup, &to, &with_key);
    assert!(restored.status.success(), "an empty folder will do: {}", text(&restored.stderr));
    verify(&to);
    refused(&restore(&backup, &to, &with_key), &["is not empty"]);
}

#[test]
fn a_restore_that_was_interrupted_is_noticed() {
    let mut rig = Rig::start();
    back_up(&rig, &json!({"name": "b", "with_master_key": true}));
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    let to = elsewhere(&rig);
    assert!(restore(&rig.data().join("backups/b"), &to, &[]).status.success());
    // As it is until the last step.
    fs::write(to.join("restore.unfinished"), "").unwrap();
    let config = rig.config();
    let half = fs::read_to_string(&config).unwrap().replace(shown(&rig.data()), shown(&to));
    let other = config.with_file_name("other.toml");
    fs::write(&other, half).unwrap();
    for command in [
        vec!["serve", "--config", shown(&other)],
        vec!["verify", "--data", shown(&to)],
        vec!["backup", "x", "--config", shown(&other)],
        vec!["rotate-master-key", "--config", shown(&other)],
        vec!["restore", "--from", shown(&rig.data().join("backups/b")), "--data-dir", shown(&to)],
    ] {
        refused(&run(&command), &["was interrupted", "restore again"]);
    }
}

/// A server that dies while it makes a backup leaves none behind.
#[test]
fn an_unfinished_backup_is_no_backup() {
    let mut rig = Rig::start();
    let left = rig.data().join("backups/.b.unfinished");
    fs::create_dir_all(left.join("db")).unwrap();
    rig.kill_and_start();
    assert!(!left.exists(), "swept at the start");
    assert!(names(&rig.operator()).is_empty());
    back_up(&rig, &json!({"name": "b"}));
}
