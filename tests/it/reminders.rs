//! Reminders to bring a key back, over HTTP: said with an access, sent once, over kill -9.

use crate::{
    catcher::Catcher,
    rig::{Rig, eventually, string},
    smart_box::now_ms,
};
use serde_json::{Value, json};

#[test]
fn whoever_has_a_key_is_mailed_once() {
    let catcher = Catcher::start();
    let mut rig = Rig::with_mail(&catcher);
    let org = rig.org();
    let carla = org.person_with(&json!({"name": "Carla", "email": "carla@rossi.example"}));
    let nobody = org.person("Bruno");
    let mut smart_box = org.ready_box(3);
    let key = org.key(&smart_box.id, "04A2F1", Some("A-1"));
    org.key(&smart_box.id, "04A2F2", Some("A-2"));
    org.access_with(&smart_box.id, &json!({"person": carla, "box": true, "remind_after_minutes": 5}));
    org.access_with(&smart_box.id, &json!({"person": nobody, "box": true, "remind_after_minutes": 5}));
    smart_box.sync_until_quiet();
    // Taken offline, so long ago that it is due; and another by somebody who has no address.
    let taken = now_ms() - 6 * 60_000;
    smart_box.write_at(taken, "pick_up", "A-1", Some("04A2F1"), Some(&carla));
    smart_box.write_at(taken, "pick_up", "A-2", Some("04A2F2"), Some(&nobody));
    assert_eq!(smart_box.outcomes(), ["applied", "applied"]);
    rig.kill_and_start();
    let reminded = || -> Vec<Value> {
        let events = org.client.get("/events?type=boxes.key.reminded&limit=200").is(200);
        events["items"].as_array().unwrap().clone()
    };
    eventually("both are reminded", || reminded().len() == 2);
    assert!(reminded().iter().all(|event| event["data"]["dropped"] == false));
    let mail = catcher.wait_for(1).remove(0);
    assert_eq!(mail["to"], json!(["carla@rossi.example"]));
    rig.kill_and_start();
    smart_box.sync_until_quiet();
    smart_box.drop_off("A-1", "04A2F1", Some(&carla));
    assert_eq!(smart_box.outcomes(), ["applied"]);
    assert_eq!((reminded().len(), catcher.mails().len()), (2, 1));
    assert!(reminded().iter().any(|event| event["data"]["key"] == json!(key)));
    let dead = org.client.get("/mails/dead").is(200);
    assert_eq!(dead["items"], json!([]), "who has no address is nobody's trouble");
    rig.tell_to_stop();
    rig.wait_for_end();
    crate::rig::verify(&rig.data());
}

#[test]
fn a_reminder_is_said_with_the_access_and_goes_out_and_in() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person("Bruno");
    let smart_box = org.smart_box("MS5", 1);
    let path = format!("/boxes/{smart_box}/accesses");
    for wrong in [
        json!({"remind_after_minutes": 0}),
        json!({"remind_after_minutes": 525_601}),
        json!({"remind_after_minutes": -1}),
        json!({"remind_before_end_minutes": 10}),
        json!({"remind_before_end_minutes": 10, "remind_after_minutes": 10, "until": "2031-05-01T10:00:00Z"}),
    ] {
        let mut body = json!({"person": person, "box": true});
        wrong.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        assert_eq!(org.client.post(&path, &body).status, 400, "{body}");
    }
    assert!(org.client.all(&path, 200).is_empty());
    let before = json!({
        "person": person, "box": true, "until": "2031-05-01T10:00:00Z", "remind_before_end_minutes": 30,
    });
    let access = string(&org.client.post(&path, &before).is(201), "access");
    assert_eq!(org.client.get(&format!("{path}/{access}")).is(200)["remind_before_end_minutes"], 30);
    org.client.post(&path, &json!({"person": person, "box": true})).is(201);
    let csv = org.client.send("GET", &path, &[("accept", "text/csv")], None);
    let other = org.smart_box("MS5", 1);
    let bulk = format!("/boxes/{other}/accesses/bulk");
    let answer = org.client.send("POST", &bulk, &[("content-type", "text/csv")], Some(&csv.body));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let there = org.client.all(&format!("/boxes/{other}/accesses"), 200);
    let reminders: Vec<_> = there.iter().map(|access| access.get("remind_before_end_minutes").cloned()).collect();
    assert_eq!((there.len(), reminders.iter().flatten().collect::<Vec<_>>()), (2, vec![&json!(30)]));
}
