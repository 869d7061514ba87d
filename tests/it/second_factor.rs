//! The second factor at pick-ups: what boxes are told of it, and codes by text.

use crate::{
    online::Lodge,
    receiver::Receiver,
    rig::{Rig, eventually, string},
};
use serde_json::{Value, json};

#[test]
fn a_box_is_told_its_settings_and_what_to_check_pins_with() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let (org, mut smart_box) = (&lodge.org, lodge.smart_box.clone());
    assert_eq!(smart_box.sync()["changes"].get("settings"), None, "as by default");
    org.client.patch(&format!("/people/{}", lodge.bruno), &json!({"pin": "2468"})).ok();
    org.client.patch(&lodge.path("/settings"), &json!({"second_factor": "pin", "quick_scan": false})).ok();
    assert_ne!(org.show(&smart_box.id)["pending_since"], Value::Null, "the box has to hear of it");
    let told = smart_box.sync();
    assert_eq!(told["changes"]["settings"], json!({"quick_scan": false, "second_factor": "pin"}));
    let pin = |smart_box: &crate::smart_box::TestBox, digits: &str| json!({"person": lodge.bruno, "pin": smart_box.verifier("pin:", &format!("{}:{digits}", lodge.bruno))});
    let mut pins = told["changes"]["pins"].clone();
    eventually("the PIN reaches the box", || {
        if pins.is_null() {
            pins = smart_box.sync()["changes"]["pins"].clone();
        }
        !pins.is_null()
    });
    assert_eq!(pins, json!([pin(&smart_box, "2468")]));
    org.client.patch(&format!("/people/{}", lodge.bruno), &json!({"pin": "1357"})).ok();
    let mut pins = Value::Null;
    eventually("the new PIN reaches the box", || {
        pins = smart_box.sync()["changes"]["pins"].clone();
        !pins.is_null()
    });
    assert_eq!(pins, json!([pin(&smart_box, "1357")]));
    org.client.patch(&format!("/people/{}", lodge.bruno), &json!({"pin": null})).ok();
    eventually("the box forgets the PIN", || {
        smart_box.sync()["changes"]["pins"] == json!([{"person": lodge.bruno, "pin": null}])
    });
    org.client.patch(&lodge.path("/settings"), &json!({"second_factor": "none"})).ok();
    let told = smart_box.sync();
    assert_eq!(told["changes"]["full"], true, "nothing else would tell it to forget PINs");
    assert_eq!(told["changes"]["settings"], json!({"quick_scan": false, "second_factor": "none"}));
    assert_eq!(told["changes"].get("pins"), None);
}

#[test]
fn no_code_by_text_where_no_text_is_sent() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let refused =
        lodge.org.client.patch(&lodge.path("/settings"), &json!({"second_factor": "sms", "quick_scan": false}));
    refused.problem(400, "request.invalid");
    assert_eq!(refused.json()["errors"][0]["pointer"], "/second_factor");
    let shown = lodge.org.client.get(&lodge.path("/settings")).is(200);
    assert_eq!((&shown["second_factor"], &shown["quick_scan"]), (&json!("none"), &json!(true)), "nothing changed");
}

#[test]
fn a_code_by_text_opens_once_and_survives_a_restart() {
    let gateway = Receiver::that_takes();
    let url = format!("http://{}/sms", gateway.address);
    let mut rig =
        Rig::with(&[("SMS__DRIVER", "http"), ("SMS__URL", &url), ("SMS__BODY", r#"{"to":"{to}","text":"{text}"}"#)]);
    let lodge = Lodge::of(&rig);
    let take =
        |pin: Value| lodge.ask(json!({"kind": "pick_up", "of": {"fob": "F-1"}, "by": {"code": "240117"}, "pin": pin}));
    lodge.org.client.patch(&lodge.path("/settings"), &json!({"second_factor": "sms"})).ok();
    take(Value::Null).problem(403, "exchanges.second_factor_needed");
    assert_eq!(gateway.count(), 0, "Bruno has no telephone");
    let bruno = format!("/people/{}", lodge.bruno);
    lodge.org.client.patch(&bruno, &json!({"mobile": "+393471234567"})).ok();
    take(json!("000000")).problem(403, "exchanges.code_unknown");
    for _ in 0..3 {
        take(Value::Null).problem(403, "exchanges.second_factor_needed");
    }
    eventually("a text", || gateway.count() == 1);
    rig.kill_and_start();
    let text = gateway.posts()[0].json();
    let words = string(&text, "text");
    assert!(words.contains("Porter's lodge"), "{words}");
    let code = &words[..6];
    let wrong = if code == "123456" { "654321" } else { "123456" };
    take(json!(wrong)).problem(403, "exchanges.code_unknown");
    let decided = take(json!(code)).is(201);
    let end = format!("/box/v1/exchanges/{}/cancelled", string(&decided, "exchange"));
    lodge.smart_box.client.post(&end, &json!({})).is(204);
    take(json!(code)).problem(403, "exchanges.code_unknown");
    // One; the kill may have come between the gateway's answer and the note of it.
    assert!(gateway.count() <= 2 && gateway.posts().iter().all(|post| post.json() == text), "{}", gateway.count());
    assert!(!rig.log_text().contains(code) && !rig.log_text().contains("3471234567"));
}
