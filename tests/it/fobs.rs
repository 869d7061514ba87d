//! Keys without a fob, over HTTP: made one by one and as CSV, learned, given, replaced.

use crate::{
    online::Lodge,
    rig::{Rig, eventually, string},
};
use serde_json::{Value, json};

#[test]
fn a_key_without_a_fob_learns_it_when_it_is_dropped_off() {
    let rig = Rig::start();
    let mut lodge = Lodge::of(&rig);
    let path = lodge.path("/keys");
    lodge.org.client.post(&path, &json!({"name": "Van", "bin": "A-2"})).problem(400, "request.invalid");
    let key = lodge.org.key_with(&lodge.smart_box.id, &json!({"name": "Van"}));
    assert_eq!(lodge.org.client.get(&format!("/keys/{key}")).is(200)["fob"], Value::Null);
    let list = |whereabouts: &str| {
        let path = format!("/keys?box={}&where={whereabouts}", lodge.smart_box.id);
        lodge.org.client.all(&path, 200).len()
    };
    assert_eq!((list("unknown"), list("bin"), list("in_transit")), (1, 1, 0));
    lodge.smart_box.sync_until_quiet();
    let nowhere = lodge.ask(json!({"kind": "pick_up", "of": {"key": key}, "by": {"code": "240117"}}));
    nowhere.problem(409, "exchanges.key_not_here");
    let which = lodge.ask(json!({"kind": "drop_off", "of": {"key": key}, "by": {"code": "240117"}}));
    which.problem(400, "request.invalid");
    let body = json!({"kind": "drop_off", "of": {"fob": "N-1"}, "key": key, "by": {"code": "240117"}});
    let back = lodge.ask(body).is(201);
    let completed = format!("/box/v1/exchanges/{}/completed", string(&back, "exchange"));
    lodge.smart_box.client.post(&completed, &json!({})).is(204);
    eventually("it is learned", || lodge.org.bin(&lodge.smart_box.id, &string(&back, "bin"))["key"] == json!(key));
    let learned = lodge.org.history(&lodge.smart_box.id).into_iter().find(|line| line["kind"] == "fob_set").unwrap();
    assert_eq!(
        (&learned["fob"], &learned["key"], &learned["person"]),
        (&json!("N-1"), &json!(key), &json!(lodge.bruno))
    );
    lodge.smart_box.sync_until_quiet();
    lodge.smart_box.must_equal(&lodge.org.inventory(&lodge.smart_box.id));
    let taken = lodge.org.client.post(&path, &json!({"name": "Other", "fob": "N-1"}));
    taken.problem(409, "keys.fob_taken");
}

#[test]
fn a_journal_names_the_key_and_an_administrator_does() {
    let rig = Rig::start();
    let mut lodge = Lodge::of(&rig);
    let rows = "name,fob\nOne,\nTwo,\n";
    let csv = [("content-type", "text/csv")];
    lodge.org.client.send("POST", &format!("/api/v1{}", lodge.path("/keys/bulk")), &csv, Some(rows.as_bytes())).told();
    let keys = lodge.org.client.all(&format!("/keys?box={}", lodge.smart_box.id), 200);
    let key = |name: &str| string(keys.iter().find(|key| key["name"] == name).unwrap(), "key");
    let (one, two) = (key("One"), key("Two"));
    lodge.smart_box.sync_until_quiet();
    lodge.smart_box.drop_off("A-2", "N-1", Some(&lodge.bruno.clone()));
    lodge.smart_box.drop_off("A-3", "N-2", None);
    lodge.smart_box.journal[0]["key"] = json!(one);
    lodge.smart_box.sync_until_quiet();
    eventually("it is learned", || lodge.org.bin(&lodge.smart_box.id, "A-2")["key"] == json!(one));
    eventually("it is learned", || {
        lodge.org.history(&lodge.smart_box.id).iter().any(|line| line["kind"] == "unknown_fob")
    });
    let correct = lodge.path("/bins/A-3/correction");
    lodge.org.client.post(&correct, &json!({"fob": null, "key": two})).problem(400, "request.invalid");
    lodge.org.client.post(&correct, &json!({"fob": "N-1", "key": two})).problem(409, "keys.fob_taken");
    lodge.org.client.post(&correct, &json!({"fob": "N-2", "key": two})).is(200);
    assert_eq!(lodge.org.bin(&lodge.smart_box.id, "A-3")["key"], json!(two));
    let change = lodge.path(&format!("/keys/{two}"));
    lodge.org.client.patch(&change, &json!({"fob": "N-1"})).problem(409, "keys.fob_taken");
    lodge.org.client.patch(&change, &json!({"fob": "N-9"})).is(200);
    let bin = lodge.org.bin(&lodge.smart_box.id, "A-3");
    assert_eq!((&bin["fob"], &bin["confirmed"]), (&json!("N-9"), &json!(false)));
    let other = lodge.org.smart_box("MS5", 1);
    lodge.org.key(&other, "N-2", None);
    lodge.smart_box.sync_until_quiet();
    lodge.smart_box.must_equal(&lodge.org.inventory(&lodge.smart_box.id));
}
