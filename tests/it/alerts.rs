//! Alerts over HTTP: settings reach boxes, a late key is listed, told in the feed and by mail, once, also over kill -9.

use crate::{
    catcher::Catcher,
    rig::{Client, Rig, eventually, string},
    site::Org,
};
use serde_json::{Value, json};

fn put(client: &Client, path: &str, body: &Value) -> crate::rig::Answer {
    client.send("PUT", path, &[], Some(body.to_string().as_bytes()))
}

/// One page of the feed, which never ends.
fn items(org: &Org, path: &str) -> Vec<Value> {
    org.client.get(path).is(200)["items"].as_array().unwrap().clone()
}

/// The kinds of what the feed tells of alerts, in order.
fn told(org: &Org) -> Vec<String> {
    let events = items(org, "/events?limit=200").into_iter();
    let of_alerts = events.filter(|event| event["type"].as_str().unwrap().starts_with("boxes.alert."));
    of_alerts
        .map(|event| format!("{} {}", string(&event, "type"), event["data"]["kind"].as_str().unwrap_or_default()))
        .collect()
}

#[test]
fn a_late_key_is_listed_told_and_mailed_once() {
    let catcher = Catcher::start();
    let mut rig = Rig::with_mail(&catcher);
    let org = rig.org();
    let carla = org.person_with(&json!({"name": "Carla", "email": "carla@rossi.example"}));
    let mut smart_box = org.ready_box(3);
    let key = org.key(&smart_box.id, "04A2F1", Some("A-1"));
    org.access(&smart_box.id, &carla);
    smart_box.sync_until_quiet();
    let mails =
        json!([{"kinds": ["late_after_pick_up"]}, {"person": carla, "kinds": ["late_after_pick_up", "exchange"]}]);
    let settings = json!({"late": {"after_pick_up_minutes": 5}, "mails": mails});
    put(&org.client, "/alerts/settings", &settings).is(200);
    // A box made later knows them too.
    let later = org.ready_box(1);
    let own = format!("/boxes/{}/keys/{key}/alerts", smart_box.id);
    assert_eq!(org.client.get(&own).is(200), json!({}));
    put(&org.client, &own, &json!({"late_after_pick_up_minutes": 0, "exchange": "all"})).is(200);
    smart_box.sync_until_quiet();
    smart_box.pick_up("A-1", "04A2F1", Some(&carla));
    assert_eq!(smart_box.outcomes(), ["applied"]);
    eventually("the key is late", || org.client.all("/alerts", 200).len() == 1);
    let alert = org.client.all("/alerts?kind=late_after_pick_up&acknowledged=false", 200).remove(0);
    assert_eq!((&alert["key"], &alert["person"], &alert["box"]), (&json!(key), &json!(carla), &json!(smart_box.id)));
    rig.kill_and_start();
    let path = format!("/boxes/{}/alerts/{}/acknowledgement", smart_box.id, alert["alert"]);
    org.client.post(&path, &json!({})).is(200);
    org.client.post(&path.replace("/alerts/", "/alerts/9"), &json!({})).problem(404, "object.not_found");
    assert_eq!(org.client.all("/alerts?acknowledged=false", 200).len(), 0);
    smart_box.drop_off("A-2", "04A2F1", Some(&carla));
    assert_eq!(smart_box.outcomes(), ["applied"]);
    assert!(org.client.all("/alerts", 200).is_empty());
    let expected = [
        "boxes.alert.exchange pick_up",
        "boxes.alert.raised late_after_pick_up",
        "boxes.alert.acknowledged ",
        "boxes.alert.exchange drop_off",
        "boxes.alert.ended late_after_pick_up",
    ];
    assert_eq!(told(&org), expected);
    let mails = catcher.wait_for(4);
    let to = |address: &str| mails.iter().filter(|mail| mail["to"] == json!([address])).count();
    assert_eq!(
        (to("anna@rossi.example"), to("carla@rossi.example")),
        (2, 2),
        "what happens in one moment is one mail: {mails:?}"
    );
    let known = later.id;
    let heard = items(&org, &format!("/events?entity={known}"));
    assert!(heard.iter().any(|event| event["type"] == "boxes.alerts_set"), "{heard:?}");
    rig.tell_to_stop();
    rig.wait_for_end();
    crate::rig::verify(&rig.data());
}

#[test]
fn settings_that_are_wrong_change_nothing() {
    let rig = Rig::start();
    let (org, other) = (rig.org(), rig.org());
    let stranger = other.person("Bruno");
    let before = org.client.get("/alerts/settings").is(200);
    for wrong in [
        json!({"late": {"after_pick_up_minutes": 525_601}}),
        json!({"late": {"after_pick_up": 1}}),
        json!({"mails": [{"person": stranger, "kinds": []}]}),
        json!({"mails": [{"kinds": ["fire"]}]}),
        json!({"mails": vec![json!({"kinds": []}); 17]}),
        json!({"exchange": "some"}),
        json!({"late": null}),
    ] {
        let status = put(&org.client, "/alerts/settings", &wrong).status;
        assert!((400..500).contains(&status), "{wrong}: {status}");
    }
    assert_eq!(org.client.get("/alerts/settings").is(200), before);
    put(&org.client, "/alerts/settings", &json!({})).is(200);
    assert_eq!(org.client.get("/alerts/settings").is(200), before, "all is as by default");
    let reader = org.client.post("/tokens", &json!({"label": "x", "scopes": ["boxes:read"]})).is(201);
    let reader = rig.client(Some(&string(&reader, "token")));
    reader.get("/alerts/settings").is(200);
    put(&reader, "/alerts/settings", &json!({})).problem(403, "auth.forbidden");
}
