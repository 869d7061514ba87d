//! Passes and personal QR codes that are shown at a connected box.

use crate::{
    online::Lodge,
    rig::{Answer, Client, Rig, eventually, string},
    site::Org,
    smart_box::TestBox,
};
use serde_json::{Value, json};

fn sign(org: &Org, smart_box: &str, access: &str) -> Value {
    org.client.post(&format!("/boxes/{smart_box}/accesses/{access}/passes"), &json!({})).is(201)
}

fn identity(org: &Org, person: &str) -> String {
    string(&org.client.post(&format!("/people/{person}/qr"), &json!({})).is(200), "text")
}

fn ask(smart_box: &TestBox, kind: &str, fob: &str, qr: &str) -> Answer {
    let body = json!({"kind": kind, "of": {"fob": fob}, "by": {"qr": qr}, "journal_head": smart_box.head()});
    smart_box.client.post("/box/v1/exchanges", &body)
}

fn end(client: &Client, exchange: &Value, how: &str) {
    client.post(&format!("/box/v1/exchanges/{}/{how}", string(exchange, "exchange")), &json!({})).is(204);
}

fn done(smart_box: &TestBox, answer: &Answer) -> Value {
    let decided = answer.is(201);
    end(&smart_box.client, &decided, "completed");
    decided
}

#[test]
fn a_pass_opens_once_whether_the_server_or_the_box_is_asked() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let (org, mut smart_box) = (&lodge.org, lodge.smart_box.clone());
    let carla = org.person("Carla");
    let access = org.access_with(&smart_box.id, &json!({"person": carla, "key": lodge.key}));
    let signed = sign(org, &smart_box.id, &access);
    let text = string(&signed, "text");
    let mut forged = text.clone().into_bytes();
    forged[60] = if forged[60] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    ask(&smart_box, "pick_up", "F-1", &forged).problem(403, "exchanges.code_unknown");
    ask(&smart_box, "pick_up", "F-1", "https://parking.example/7").problem(403, "exchanges.code_unknown");
    ask(&smart_box, "pick_up", "F-1", "").problem(400, "request.invalid");
    let stranger = rig.org();
    let there = stranger.smart_box("MS5", 1);
    let theirs = stranger.access(&there, &stranger.person("Eve"));
    let theirs = string(&sign(&stranger, &there, &theirs), "text");
    ask(&smart_box, "pick_up", "F-1", &theirs).problem(403, "exchanges.code_unknown");
    org.key(&smart_box.id, "F-2", Some("A-2"));
    ask(&smart_box, "pick_up", "F-2", &text).problem(403, "exchanges.not_permitted");
    let other = org.ready_box(2);
    org.key(&other.id, "F-7", Some("A-1"));
    ask(&other, "pick_up", "F-7", &text).problem(403, "exchanges.not_permitted");
    let decided = ask(&smart_box, "pick_up", "F-1", &text).is(201);
    assert_eq!((&decided["bin"], &decided["person"]), (&json!("A-1"), &json!(carla)));
    ask(&smart_box, "pick_up", "F-1", &text).problem(409, "exchanges.under_way");
    end(&smart_box.client, &decided, "cancelled");
    done(&smart_box, &ask(&smart_box, "pick_up", "F-1", &text));
    let line = &org.history(&smart_box.id)[0];
    assert_eq!((&line["by"], &line["pass"], &line["person"]), (&json!("pass"), &signed["pass"], &json!(carla)));
    let back = done(&smart_box, &ask(&smart_box, "drop_off", "F-1", &text));
    assert_eq!(back["person"], json!(carla), "what was taken by it comes back by it");
    ask(&smart_box, "pick_up", "F-1", &text).problem(409, "passes.used");
    let shown = org.client.get(&lodge.path(&format!("/passes/{}", string(&signed, "pass")))).is(200);
    assert_eq!(shown["used_at"], json!(smart_box.id));
    // A photograph of it at the box, while the road is cut.
    smart_box.sync_until_quiet();
    smart_box.pick_up(&string(&back, "bin"), "F-1", Some(&carla));
    smart_box.journal[0]["by"] = "pass".into();
    smart_box.journal[0]["pass"] = signed["pass"].clone();
    assert_eq!(smart_box.outcomes(), ["flagged pass_reused"]);
}

/// Somebody who may take everything, her access, and two passes for it.
fn carla_with_two_passes(lodge: &Lodge) -> (String, String, [Value; 2]) {
    let (org, smart_box) = (&lodge.org, &lodge.smart_box.id);
    let carla = org.person("Carla");
    let access = org.access(smart_box, &carla);
    let passes = [sign(org, smart_box, &access), sign(org, smart_box, &access)];
    (carla, access, passes)
}

#[test]
fn what_an_offline_box_has_let_in_by_a_pass_is_known_online() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let (org, mut smart_box) = (&lodge.org, lodge.smart_box.clone());
    let (carla, access, [first, second]) = carla_with_two_passes(&lodge);
    smart_box.pick_up("A-1", "F-1", Some(&carla));
    smart_box.drop_off("A-1", "F-1", Some(&carla));
    smart_box.journal[0]["by"] = "pass".into();
    smart_box.journal[0]["pass"] = first["pass"].clone();
    ask(&smart_box, "pick_up", "F-1", &string(&first, "text")).problem(409, "boxes.reconciling");
    assert_eq!(smart_box.outcomes(), ["applied", "applied"]);
    smart_box.sync_until_quiet();
    ask(&smart_box, "pick_up", "F-1", &string(&first, "text")).problem(409, "passes.used");
    // A withdrawn permission is at its end where the server is asked, though the pass lives.
    org.client.delete(&lodge.path(&format!("/accesses/{access}"))).is(200);
    ask(&smart_box, "pick_up", "F-1", &string(&second, "text")).problem(403, "exchanges.not_permitted");
}

/// A bin that was opened was opened, whether or not an administrator had said meanwhile what is in it.
#[test]
fn a_pass_that_opened_is_used_even_if_what_was_done_does_not_fit() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let (org, mut smart_box) = (&lodge.org, lodge.smart_box.clone());
    let (carla, _, [first, second]) = carla_with_two_passes(&lodge);
    let correct = |fob: Value| {
        org.client.post(&lodge.path("/bins/A-1/correction"), &json!({"fob": fob})).is(200);
    };
    let used_at = |pass: &Value| {
        org.client.get(&lodge.path(&format!("/passes/{}", string(pass, "pass")))).is(200)["used_at"].clone()
    };
    // Alone: the office has taken the key out by hand before the journal comes.
    smart_box.pick_up("A-1", "F-1", Some(&carla));
    smart_box.journal[0]["by"] = "pass".into();
    smart_box.journal[0]["pass"] = first["pass"].clone();
    correct(Value::Null);
    assert_eq!(smart_box.outcomes(), ["ignored key_not_in_bin"]);
    assert_eq!(used_at(&first), json!(smart_box.id));
    correct(json!("F-1"));
    smart_box.sync_until_quiet();
    ask(&smart_box, "pick_up", "F-1", &string(&first, "text")).problem(409, "passes.used");
    // With the server: it is taken out by hand between the question and the word that it has happened.
    let decided = ask(&smart_box, "pick_up", "F-1", &string(&second, "text")).is(201);
    correct(Value::Null);
    end(&smart_box.client, &decided, "completed");
    assert_eq!(used_at(&second), json!(smart_box.id));
}

#[test]
fn the_pass_of_a_roaming_key_is_good_once_at_whichever_box() {
    let mut rig = Rig::start();
    let org = rig.org();
    let (home, away) = (org.ready_box(2), org.ready_box(2));
    let van = org.roaming_key(&home.id, "F-1", Some("A-1"));
    let carla = org.person("Carla");
    let access = org.access_with(&home.id, &json!({"person": carla, "key": van}));
    let signed = sign(&org, &home.id, &access);
    let text = string(&signed, "text");
    let bring = |smart_box: &TestBox| done(smart_box, &ask(smart_box, "drop_off", "F-1", &text));
    let other = string(&sign(&org, &home.id, &access), "text");
    done(&home, &ask(&home, "pick_up", "F-1", &other));
    bring(&away);
    let moved = || org.place(&away.id, &van).is_some();
    eventually("the key's record is where the key is", moved);
    rig.kill_and_start();
    let path = format!("/boxes/{}/passes/{}", home.id, string(&signed, "pass"));
    assert_eq!(string(&org.client.get(&path).is(200), "text"), text, "its access went with the key");
    let longer = org.client.post(&format!("{path}/renewal"), &json!({"hours": 24})).is(201);
    assert!(string(&longer, "until") > string(&signed, "until"));
    let decided = ask(&away, "pick_up", "F-1", &text).is(201);
    end(&away.client, &decided, "cancelled");
    done(&away, &ask(&away, "pick_up", "F-1", &text));
    let used_at = || org.client.get(&path).is(200)["used_at"].clone();
    bring(&away);
    ask(&away, "pick_up", "F-1", &text).problem(409, "passes.used");
    eventually("its box knows that it was used", || used_at() == json!(away.id));
    ask(&away, "pick_up", "F-1", &text).problem(409, "passes.used");
    ask(&away, "pick_up", "F-1", &other).problem(409, "passes.used");
}

#[test]
fn a_personal_qr_code_names_its_person_and_nothing_else() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let (org, smart_box) = (&lodge.org, &lodge.smart_box);
    let carla = org.person("Carla");
    let text = identity(org, &carla);
    ask(smart_box, "pick_up", "F-1", &text).problem(403, "exchanges.not_permitted");
    let access = org.access(&smart_box.id, &carla);
    org.client.patch(&lodge.path("/settings"), &json!({"second_factor": "pin"})).ok();
    ask(smart_box, "pick_up", "F-1", &text).problem(403, "exchanges.second_factor_needed");
    org.client.patch(&lodge.path("/settings"), &json!({"second_factor": "none"})).ok();
    for _ in 0..2 {
        done(smart_box, &ask(smart_box, "pick_up", "F-1", &text));
        done(smart_box, &ask(smart_box, "drop_off", "F-1", &text));
    }
    assert!(
        org.history(&smart_box.id).iter().all(|line| line["by"] == "personal_qr" && line["person"] == json!(carla))
    );
    org.client.delete(&lodge.path(&format!("/accesses/{access}"))).is(200);
    ask(smart_box, "pick_up", "F-1", &text).problem(403, "exchanges.not_permitted");
}
