//! More than fits: entities beyond what may be awake, several partitions, a full disk.

use crate::{
    rig::{Rig, eventually},
    site::Org,
    smart_box::TestBox,
};
use serde_json::json;

/// Everybody takes part in a journal, a key's journey and a restart; at the end all agree.
fn busy_day(rig: &mut Rig, orgs: usize, boxes: usize) {
    let mut orgs: Vec<Org> = (0..orgs).map(|_| rig.org()).collect();
    orgs.iter_mut().for_each(|org| org.client.patient = true);
    let mut fleets: Vec<Vec<TestBox>> = orgs.iter().map(|org| (0..boxes).map(|_| org.ready_box(2)).collect()).collect();
    let people: Vec<_> =
        orgs.iter().map(|org| org.person_with(&json!({"name": "Bruno", "access_code": "123456"}))).collect();
    for ((org, fleet), person) in orgs.iter().zip(&fleets).zip(&people) {
        for (at, smart_box) in fleet.iter().enumerate() {
            org.roaming_key(&smart_box.id, &format!("F-{at}"), Some("A-1"));
            org.access(&smart_box.id, person);
        }
    }
    for (fleet, person) in fleets.iter_mut().zip(&people) {
        for smart_box in fleet.iter_mut() {
            eventually("the code reaches the box", || {
                smart_box.sync();
                smart_box.knows_code(person, "123456")
            });
        }
        for (at, smart_box) in fleet.iter_mut().enumerate() {
            smart_box.pick_up("A-1", &format!("F-{at}"), Some(person));
            assert_eq!(smart_box.outcomes(), ["applied"]);
        }
        // Each key goes to the next box.
        for at in 0..fleet.len() {
            let to = (at + 1) % fleet.len();
            fleet[to].drop_off("A-2", &format!("F-{at}"), Some(person));
        }
    }
    rig.kill_and_start();
    for (org, fleet) in orgs.iter().zip(&mut fleets) {
        for smart_box in fleet.iter_mut() {
            assert_eq!(smart_box.outcomes(), ["applied"]);
        }
        for smart_box in fleet.iter_mut() {
            eventually("the key has moved in", || {
                let shown = org.show(&smart_box.id);
                shown["visitors_unresolved"] == 0 && org.bin(&smart_box.id, "A-2")["key"].is_string()
            });
            smart_box.sync_until_quiet();
            smart_box.must_equal(&org.inventory(&smart_box.id));
        }
        assert_eq!((org.client.all("/boxes", 7).len(), org.client.all("/keys", 7).len()), (fleet.len(), fleet.len()));
        assert!(org.conflicts().is_empty());
    }
}

#[test]
fn more_boxes_than_may_be_awake() {
    let mut rig = Rig::with(&[
        ("HTTP__WORKERS", "1"),
        ("ENGINE__AWAKE_ENTITIES_MAX", "30"),
        ("ENGINE__IDLE_BEFORE_SLEEP_S", "1"),
        ("ENGINE__SNAPSHOT_EVERY_EVENTS", "3"),
    ]);
    busy_day(&mut rig, 2, 24);
}

#[test]
fn four_partitions() {
    let mut rig = Rig::with(&[("STORE__PARTITIONS", "4")]);
    busy_day(&mut rig, 6, 3);
}

#[test]
fn a_full_disk_makes_it_read_only_until_there_is_room() {
    let mut rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(2);
    smart_box.opened("A-1");
    rig.set("STORE__DISK_LOW_WATERMARK_MIB", "1000000000");
    rig.kill_and_start();
    eventually("the server sees the disk", || rig.observed("/readyz").status == 503);
    assert!(rig.observed("/readyz").told().contains("read-only"));
    assert_eq!(rig.observed("/healthz").status, 200);
    org.client.post("/people", &json!({"name": "Bruno"})).problem(503, "server.read_only");
    smart_box.send(&smart_box.request()).problem(503, "server.read_only");
    assert_eq!(org.client.all("/people", 200).len(), 1, "reads go on");
    rig.set("STORE__DISK_LOW_WATERMARK_MIB", "1");
    rig.kill_and_start();
    assert_eq!(rig.observed("/readyz").status, 200);
    assert_eq!(smart_box.outcomes(), ["applied"], "nothing was lost: the box still has it");
    org.person("Bruno");
}
