//! Rotation of the master key: while the server is used, over kill -9, without a server, from the environment.

use crate::{
    backup::{back_up, refused, restore, shown},
    rig::{Rig, eventually, run, text, verify},
    site::Org,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

const ROTATION: &str = "/operator/master-key/rotation";

fn key_file(rig: &Rig) -> PathBuf {
    rig.data().join("master.key")
}

/// The versions in the key file.
fn versions(rig: &Rig) -> Vec<String> {
    let text = fs::read_to_string(key_file(rig)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(':').unwrap().0.to_owned()).collect()
}

fn rotated(rig: &Rig) -> Value {
    eventually("the rotation is done", || rig.operator().get(ROTATION).is(200)["state"] != "running");
    rig.operator().get(ROTATION).is(200)
}

fn is_readable(org: &Org, people: &[(String, String)]) {
    for (id, name) in people {
        assert_eq!(org.client.get(&format!("/people/{id}")).is(200)["name"], *name);
    }
}

fn some_people(org: &Org, from: usize, count: usize) -> Vec<(String, String)> {
    let name = |number| format!("Person {number}");
    (from..from + count).map(|number| (org.person(&name(number)), name(number))).collect()
}

#[test]
fn the_master_key_is_rotated_while_people_are_read_written_and_erased() {
    let mut rig = Rig::with(&[("STORE__PARTITIONS", "4")]);
    let orgs: Vec<Org> = (0..3).map(|_| rig.org()).collect();
    let mut people: Vec<Vec<_>> = orgs.iter().map(|org| some_people(org, 0, 150)).collect();
    assert_eq!(rig.operator().get(ROTATION).is(200)["state"], "idle");
    let running = AtomicBool::new(true);
    let mut erased = Vec::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = orgs
            .iter()
            .zip(&mut people)
            .map(|(org, mine)| {
                let running = &running;
                scope.spawn(move || {
                    let (mut erased, mut number) = (Vec::new(), 1000);
                    while running.load(Ordering::Relaxed) {
                        mine.extend(some_people(org, number, 1));
                        number += 1;
                        let (id, name) = &mut mine[number % 100];
                        *name = format!("Renamed {number}");
                        org.client.patch(&format!("/people/{id}"), &json!({"name": name})).ok();
                        is_readable(org, &mine[number % 100..number % 100 + 3]);
                        let (gone, _) = mine.swap_remove(100 + number % 40);
                        org.client.delete(&format!("/people/{gone}")).ok();
                        erased.push(gone);
                    }
                    erased
                })
            })
            .collect();
        for version in [2, 3] {
            let begun = rig.operator().post(ROTATION, &json!({})).is(202);
            assert_eq!(begun["version"], version);
            let done = rotated(&rig);
            assert_eq!((&done["state"], &done["versions"]), (&json!("done"), &json!([version])), "{done}");
        }
        running.store(false, Ordering::Relaxed);
        erased.extend(workers.into_iter().map(|worker| worker.join().unwrap()));
    });
    assert_eq!(versions(&rig), ["3"], "nothing uses the older ones");
    let check = || {
        for ((org, mine), gone) in orgs.iter().zip(&people).zip(&erased) {
            is_readable(org, mine);
            assert!(!gone.is_empty());
            for id in gone {
                org.client.get(&format!("/people/{id}")).problem(404, "object.not_found");
            }
        }
    };
    check();
    assert!(rig.log_text().contains("everything is wrapped by this master key"));
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    rig.start_again();
    check();
}

#[test]
fn a_rotation_that_was_killed_goes_on_at_the_next_start() {
    let mut rig = Rig::start();
    let org = rig.org();
    let people = some_people(&org, 0, 700);
    let mut version = 1;
    let mut cut_off = 0;
    for round in 0..6u64 {
        rig.operator().post(ROTATION, &json!({})).is(202);
        version += 1;
        std::thread::sleep(std::time::Duration::from_millis(3 * round));
        rig.kill();
        cut_off += usize::from(versions(&rig).len() == 2);
        rig.start_again();
        // Idle if it had been done before the kill.
        let done = rotated(&rig);
        assert_eq!((&done["versions"], versions(&rig)), (&json!([version]), vec![version.to_string()]), "{done}");
        is_readable(&org, &people[..20]);
    }
    assert!(cut_off > 0, "no kill came in the middle: the test shows nothing");
    is_readable(&org, &people);
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    verify(&rig.data());
    rig.start_again();
}

#[test]
fn a_backup_from_before_a_rotation_is_restored_with_the_key_from_before() {
    let mut rig = Rig::start();
    let org = rig.org();
    let people = some_people(&org, 0, 5);
    let old = rig.data().with_file_name("old.key");
    fs::copy(key_file(&rig), &old).unwrap();
    back_up(&rig, &json!({"name": "before"}));
    rig.operator().post(ROTATION, &json!({})).is(202);
    rotated(&rig);
    let after = back_up(&rig, &json!({"name": "after"}));
    assert_eq!(after["master_keys"], json!([2]));
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    let (to, backups) = (rig.data().with_file_name("elsewhere"), rig.data().join("backups"));
    let new = key_file(&rig);
    refused(&restore(&backups.join("before"), &to, &["--master-key", shown(&new)]), &["needs version 1", "[2]"]);
    refused(&restore(&backups.join("after"), &to, &["--master-key", shown(&old)]), &["needs version 2", "[1]"]);
    let restored = restore(&backups.join("before"), &to, &["--master-key", shown(&old)]);
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    rig.set("STORE__DATA_DIR", shown(&to));
    rig.start_again();
    is_readable(&org, &people);
}

#[test]
fn the_command_line_rotates_with_and_without_a_server() {
    let mut rig = Rig::start();
    let org = rig.org();
    let people = some_people(&org, 0, 30);
    let (url, config, token) = (format!("http://{}", rig.addresses().api), rig.config(), rig.operator_token.clone());
    let asked = run(&["rotate-master-key", "--url", &url, "--token", &token]);
    let said = text(&asked.stdout);
    assert!(asked.status.success() && said.contains("version 2") && said.contains("keep a copy"), "{said}");
    refused(&run(&["rotate-master-key", "--config", shown(&config)]), &["a server runs on this folder"]);
    refused(&run(&["rotate-master-key", "--url", &url, "--token", &org.token]), &["403"]);
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    let alone = run(&["rotate-master-key", "--config", shown(&config)]);
    assert!(alone.status.success() && text(&alone.stdout).contains("version 3"), "{}", text(&alone.stderr));
    assert_eq!(versions(&rig), ["3"]);
    verify(&rig.data());
    rig.start_again();
    is_readable(&org, &people);
}

#[test]
fn a_master_key_in_the_environment_is_rotated_by_its_owner() {
    let mut rig = Rig::start();
    let org = rig.org();
    let people = some_people(&org, 0, 20);
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    let text_of = fs::read_to_string(key_file(&rig)).unwrap();
    let first = text_of.lines().find(|line| line.starts_with("1:")).unwrap().to_owned();
    fs::remove_file(key_file(&rig)).unwrap();
    refused(&run(&["serve", "--config", shown(&rig.config())]), &["master.key", "cannot be read"]);
    rig.set("SECRETS__MASTER_KEY", &first);
    rig.start_again();
    is_readable(&org, &people);
    rig.operator().post(ROTATION, &json!({})).problem(409, "operator.master_key_not_ours");
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    let second = format!("2:{}", "c5".repeat(32));
    rig.set("SECRETS__MASTER_KEY", &format!("{first},{second}"));
    rig.start_again();
    let done = rotated(&rig);
    assert_eq!((&done["state"], &done["versions"]), (&json!("done"), &json!([1, 2])), "{done}");
    is_readable(&org, &people);
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    rig.set("SECRETS__MASTER_KEY", &second);
    rig.start_again();
    is_readable(&org, &people);
    assert!(!rig.log_text().contains("c5c5"));
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let mut rig = Rig::start();
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    fs::set_permissions(key_file(&rig), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    refused(&run(&["serve", "--config", shown(&rig.config())]), &["mode 0644", "chmod 600"]);
    fs::set_permissions(key_file(&rig), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    rig.start_again();
    // Somebody else changes the file while the server runs: nothing of theirs is written over.
    fs::write(key_file(&rig), "ab".repeat(32)).unwrap();
    rig.operator().post(ROTATION, &json!({})).problem(409, "operator.master_key_not_ours");
    assert_eq!(fs::read_to_string(key_file(&rig)).unwrap(), "ab".repeat(32));
    rig.verify = false;
}
