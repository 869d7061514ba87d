use super::*;
use crate::{
    chance::Chance,
    fleet::Key,
    vbox::{Storage, VirtualBox},
    wire::{Changes, Enrolment, Kind, SyncAnswer},
};
use serde_json::json;

fn changes() -> Changes {
    serde_json::from_value(json!({
        "full": true,
        "bins": [{"bin": "A-1", "state": "enabled", "fob": "F1", "confirmed": true},
                 {"bin": "A-2", "state": "protected", "fob": null, "confirmed": false}],
        "keys": [{"key": "key_1", "fob": "F1", "roaming": true, "groups": ["grp_2", "grp_1"]}],
        "accesses": [{"access": "acc_1", "person": "per_1", "key": "key_1", "from_ms": null, "until_ms": 5000},
                     {"access": "acc_2", "person": "per_1", "box": true}],
        "people": [{"person": "per_1", "code": "00", "badges": []}],
    }))
    .unwrap()
}

fn inventory() -> Value {
    json!({
        "revision": 9,
        "bins": [{"bin": "A-2", "state": "protected", "fob": null, "key": null, "confirmed": false},
                 {"bin": "A-1", "state": "enabled", "fob": "F1", "key": "key_1", "confirmed": true}],
        "keys": [{"key": "key_1", "name": "x", "fob": "F1", "roaming": true, "groups": ["grp_1", "grp_2"],
                  "place": {"in": "bin", "bin": "A-1"}}],
        "accesses": [{"access": "acc_1", "person": "per_1", "key": "key_1", "from": null, "until": "1970-01-01T00:00:05Z"},
                     {"access": "acc_2", "person": "per_1", "box": true, "from": null, "until": null}],
        "people": ["per_1"],
    })
}

fn fleet_box() -> FleetBox {
    let identity = Enrolment {
        box_id: "box_1".into(),
        organisation: "org_1".into(),
        model: "MS5".into(),
        token: "cbx".into(),
        generation: 1,
        verifier_key: "00".repeat(32),
        offline_key: String::new(),
        public_keys: vec![],
    };
    let bins = [("A-1".into(), Some("F1".into())), ("A-2".into(), None)];
    let mut vbox = VirtualBox::new(identity, bins, Storage::Memory, Chance::seeded(1)).unwrap();
    vbox.apply(answer(1, vec![])).unwrap().unwrap();
    let keys = vec![Key { id: "key_1".into(), fob: "F1".into() }];
    let (people, accesses, out) = (vec![], vec![], vec![]);
    FleetBox { organisation: 0, vbox, keys, people, accesses, out, by_hand: false }
}

fn answer(resume_at: u64, receipts: Vec<Receipt>) -> SyncAnswer {
    let (cursor, changes) = ("1.1".into(), changes());
    SyncAnswer { receipts, resume_at, cursor, changes, server_ms: 0, next_sync_s: 0, ticket: None }
}

/// A box with two entries, both receipted as applied, and what its history should say.
fn told() -> (FleetBox, Receipts, Vec<Value>) {
    let mut fleet_box = fleet_box();
    fleet_box.vbox.journal(Kind::PickUp, "A-1", Some("F1"), Some("per_1"), 1).unwrap();
    fleet_box.vbox.journal(Kind::DropOff, "A-1", Some("F1"), None, 2).unwrap();
    let receipt = |seq| Receipt { seq, outcome: Outcome::Applied, reason: None };
    let applied = fleet_box.vbox.apply(answer(3, vec![receipt(1), receipt(2)])).unwrap().unwrap();
    let mut receipts = Receipts::default();
    receipts.note(applied.receipts);
    let history = vec![
        json!({"kind": "corrected", "bin": "A-2", "fob": null, "outcome": "applied"}),
        json!({"seq": 2, "kind": "drop_off", "bin": "A-1", "fob": "F1", "outcome": "applied"}),
        json!({"seq": 1, "kind": "pick_up", "bin": "A-1", "fob": "F1", "person": "per_1", "outcome": "applied"}),
    ];
    (fleet_box, receipts, history)
}

fn counts(findings: &Findings) -> [u64; 4] {
    [findings.lost, findings.doubled, findings.mismatches, findings.acknowledged_lost]
}

#[test]
fn equal_states_are_equal_in_any_order() {
    assert_eq!(compare_state(fleet_box().vbox.state(), &inventory()), Vec::<String>::new());
}

#[test]
fn every_single_difference_is_found() {
    let state = fleet_box().vbox.state().clone();
    let spoil: &[(&str, Value)] = &[
        ("/bins/0/state", json!("enabled")),
        ("/bins/0/confirmed", json!(true)),
        ("/bins/1/fob", json!("F2")),
        ("/bins/1/fob", json!(null)),
        ("/bins/1/bin", json!("A-3")),
        ("/bins", json!([])),
        ("/keys/0/fob", json!("F2")),
        ("/keys/0/roaming", json!(false)),
        ("/keys/0/groups", json!(["grp_1"])),
        ("/keys", json!([])),
        ("/accesses/0/until", json!(null)),
        ("/accesses/0/person", json!("per_2")),
        ("/accesses/1/from", json!("2020-01-01T00:00:00Z")),
        ("/accesses/1/access", json!("acc_3")),
        ("/people", json!(["per_1", "per_2"])),
        ("/people", json!([])),
    ];
    for (path, value) in spoil {
        let mut spoilt = inventory();
        *spoilt.pointer_mut(path).unwrap() = value.clone();
        assert!(!compare_state(&state, &spoilt).is_empty(), "{path} {value}");
    }
}

#[test]
fn a_history_that_says_the_same_is_clean() {
    let (fleet_box, receipts, history) = told();
    let findings = check_history(&fleet_box, &receipts, &history);
    assert_eq!((counts(&findings), findings.words), ([0; 4], vec![]));
}

#[test]
fn lost_doubled_and_changed_entries_are_found() {
    let (fleet_box, receipts, mut history) = told();
    history.remove(1);
    assert_eq!(counts(&check_history(&fleet_box, &receipts, &history)), [1, 0, 0, 1]);
    let (_, _, mut history) = told();
    history.push(history[1].clone());
    assert_eq!(counts(&check_history(&fleet_box, &receipts, &history)), [0, 1, 0, 0]);
    let (_, _, mut history) = told();
    history[1]["seq"] = json!(3);
    assert_eq!(counts(&check_history(&fleet_box, &receipts, &history)), [1, 1, 0, 1]);
    for (field, value) in
        [("kind", json!("pick_up")), ("bin", json!("A-2")), ("fob", json!("F2")), ("person", json!("x"))]
    {
        let (_, _, mut history) = told();
        history[1][field] = value;
        assert_eq!(counts(&check_history(&fleet_box, &receipts, &history)), [0, 0, 1, 0], "{field}");
    }
    let (_, _, mut history) = told();
    history[2]["outcome"] = json!("ignored");
    let findings = check_history(&fleet_box, &receipts, &history);
    assert_eq!((counts(&findings), findings.conflicts), ([0, 0, 1, 0], 1));
    let never_receipted = check_history(&fleet_box, &Receipts::default(), &told().2);
    assert_eq!(counts(&never_receipted), [0, 0, 2, 0]);
}

#[test]
fn receipts_and_states_may_not_be_taken_back() {
    let (_, mut receipts, _) = told();
    receipts.note_position(3, Some("1.9"), Some("1.10"));
    receipts.note_position(3, None, Some("1.10"));
    assert_eq!(receipts.taken_back, Vec::<String>::new());
    receipts.note_position(2, Some("1.9"), Some("1.8"));
    assert_eq!(receipts.taken_back.len(), 2);
    let entry = receipts.by_seq[&1].0.clone();
    let again = |outcome| vec![(entry.clone(), Receipt { seq: 1, outcome, reason: None })];
    receipts.note(again(Outcome::Duplicate));
    assert_eq!(receipts.taken_back.len(), 2);
    receipts.note(again(Outcome::Ignored));
    assert_eq!(receipts.taken_back.len(), 3);
}

#[test]
fn acknowledged_changes_must_be_there_once() {
    let check = |noted: &Acknowledged, inventory: &Value| {
        let mut findings = Findings::default();
        check_acknowledged("box_1", inventory, noted, &mut findings);
        counts(&findings)
    };
    let mut noted = Acknowledged::default();
    noted.granted.insert("acc_1".into(), 5000);
    noted.withdrawn.insert("acc_9".into());
    noted.bins.insert("A-2".into(), "protected");
    assert_eq!(check(&noted, &inventory()), [0; 4]);
    noted.granted.insert("acc_8".into(), 6000);
    assert_eq!(check(&noted, &inventory()), [0, 0, 0, 1]);
    noted.withdrawn.insert("acc_2".into());
    assert_eq!(check(&noted, &inventory()), [0, 0, 0, 2]);
    noted.bins.insert("A-1".into(), "disabled");
    assert_eq!(check(&noted, &inventory()), [0, 0, 0, 3]);
    let mut twice = inventory();
    twice["accesses"][1]["until"] = json!("1970-01-01T00:00:05Z");
    assert_eq!(check(&Acknowledged::default(), &twice), [0, 1, 0, 0]);
}
