//! A stolen box: the codes that it could check are worth nothing any more, and their people have new ones.

use crate::{
    catcher::Catcher,
    online::Lodge,
    rig::{Rig, eventually, string},
};
use serde_json::{Value, json};

/// The digits behind these words.
fn digits_after(text: &str, words: &str) -> String {
    let (_, rest) = text.split_once(words).unwrap_or_else(|| panic!("`{words}` is missing in:\n{text}"));
    rest.chars().skip_while(|letter| !letter.is_ascii_digit()).take_while(char::is_ascii_digit).collect()
}

#[test]
fn every_code_that_a_stolen_box_knew_is_replaced_and_told() {
    let catcher = Catcher::start();
    let mut rig = Rig::with_mail(&catcher);
    let lodge = Lodge::of(&rig);
    let (org, smart_box) = (&lodge.org, &lodge.smart_box);
    org.client.patch("/offline/settings", &json!({"key_codes": true})).ok();
    let key_code = format!("/boxes/{}/keys/{}/code", smart_box.id, lodge.key);
    org.client.send("PUT", &key_code, &[], Some(br#"{"code":"4711"}"#)).ok();
    let carla = org.person_with(&json!({
        "name": "Carla", "email": "carla@rossi.example", "access_code": "33033044", "badges": ["B-9"],
    }));
    let dario = org.person_with(&json!({"name": "Dario", "email": "dario@rossi.example", "access_code": "770770"}));
    let access = org.access_with(&smart_box.id, &json!({"person": carla, "key": lodge.key}));
    let booking = lodge.path(&format!("/accesses/{access}/booking"));
    org.client.post(&booking, &json!({"code": "5557771"})).is(201);
    // The same code at another box, where Dario may do things too.
    let other = org.ready_box(2);
    org.key(&other.id, "F-7", Some("A-1"));
    let there = org.access(&other.id, &carla);
    org.client.post(&format!("/boxes/{}/accesses/{there}/booking", other.id), &json!({"code": "5557771"})).is(201);
    org.access(&other.id, &dario);
    let knows = |smart_box: &mut crate::smart_box::TestBox, person: &str| {
        smart_box.sync();
        smart_box.items.get(person).is_some_and(|known| known["code"] != Value::Null)
    };
    let mut stolen = smart_box.clone();
    eventually("the box knows Carla", || knows(&mut stolen, &carla));
    let mut other = other.clone();
    eventually("the other box knows Carla", || knows(&mut other, &carla));
    catcher.forget();
    org.client.post(&lodge.path("/enrolment"), &json!({"stolen": true})).is(201);
    smart_box.client.post("/box/v1/sync", &smart_box.request()).problem(403, "boxes.suspended");
    rig.kill_and_start();
    org.client.post(&lodge.path("/enrolment"), &json!({"stolen": true})).is(201);
    let mut mails = Vec::new();
    eventually("all are told", || {
        mails = catcher.mails();
        mails.len() >= 3
    });
    let find = |address: &str, subject: &str| {
        let about = |mail: &&Value| mail["to"] == json!([address]) && string(mail, "subject").contains(subject);
        let found: Vec<_> = mails.iter().filter(about).collect();
        assert!(!found.is_empty(), "{address} has no mail `{subject}`: {mails:#?}");
        string(found[0], "text")
    };
    find("anna@rossi.example", "segnalato come rubato");
    let codes = find("anna@rossi.example", "nuovi codici delle chiavi");
    let of_carla = find("carla@rossi.example", "nuovi codici");
    assert!(!mails.iter().any(|mail| mail["to"] == json!(["dario@rossi.example"])), "that box did not know him");
    let (code, booked) =
        (digits_after(&of_carla, "Codice di accesso"), digits_after(&of_carla, "Codice di prenotazione"));
    assert_eq!((code.len(), booked.len()), (8, 7), "as long as they were");
    let new_key_code = digits_after(&codes, "Key F-1");
    // Bruno has neither a mail address nor a telephone: an administrator sees that he could not be told.
    let untold = || org.client.all("/mails/dead", 200).iter().any(|dead| dead["to"]["person"] == json!(lodge.bruno));
    eventually("what could not be brought is seen", untold);
    let ask = |by: Value| {
        let body = json!({"kind": "pick_up", "of": {"fob": "F-7"}, "by": by, "journal_head": other.head()});
        other.client.post("/box/v1/exchanges", &body)
    };
    for old in ["33033044", "5557771", "4711", "240117"] {
        ask(json!({"code": old})).problem(403, "exchanges.code_unknown");
    }
    ask(json!({"code": new_key_code})).problem(403, "exchanges.not_permitted");
    for by in [json!({"code": code}), json!({"code": booked}), json!({"badge": "B-9"})] {
        let decided = ask(by).is(201);
        assert_eq!(decided["person"], json!(carla));
        let end = format!("/box/v1/exchanges/{}/cancelled", string(&decided, "exchange"));
        other.client.post(&end, &json!({})).is(204);
    }
    // The other box hears of it as of any change.
    let before = other.items[&carla].clone();
    eventually("the other box knows the new code", || {
        other.sync();
        other.items[&carla]["code"] != before["code"] && other.items[&carla]["badges"] == before["badges"]
    });
    let told = org.client.get("/events?type=boxes.codes_exposed").is(200)["items"].clone();
    assert_eq!(told.as_array().map(Vec::len), Some(1), "the second report said nothing new: {told:?}");
    for digits in [&*code, &booked, &new_key_code, "33033044"] {
        assert!(!rig.log_text().contains(digits));
    }
}
