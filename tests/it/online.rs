//! A connected box over HTTP: exchanges that the server decides, orders, settings.

use crate::{
    rig::{Answer, Rig, string},
    site::Org,
    smart_box::TestBox,
};
use serde_json::{Value, json};

pub struct Lodge {
    pub org: Org,
    pub smart_box: TestBox,
    pub bruno: String,
    pub key: String,
}

impl Lodge {
    /// A key in A-1 of a box with three bins; Bruno may take everything with the code 240117 or the badge B-7.
    pub fn of(rig: &Rig) -> Self {
        let org = rig.org();
        let bruno = org.person_with(&json!({"name": "Bruno", "access_code": "240117", "badges": ["B-7"]}));
        let id = org.smart_box("MS5", 3);
        let key = org.key(&id, "F-1", Some("A-1"));
        org.access(&id, &bruno);
        let mut smart_box = org.enrolled(&id);
        org.credentials_reach(&id);
        smart_box.sync_until_quiet();
        Self { org, smart_box, bruno, key }
    }

    pub fn ask(&self, body: Value) -> Answer {
        let mut body = body;
        body["journal_head"] = self.smart_box.head().into();
        self.smart_box.client.post("/box/v1/exchanges", &body)
    }

    fn take(&self, by: Value) -> Answer {
        self.ask(json!({"kind": "pick_up", "of": {"fob": "F-1"}, "by": by}))
    }

    fn end(&self, exchange: &str, end: &str) -> Answer {
        self.smart_box.client.post(&format!("/box/v1/exchanges/{exchange}/{end}"), &json!({}))
    }

    fn kinds(&self) -> Vec<String> {
        let lines = self.org.history(&self.smart_box.id);
        lines.iter().map(|line| format!("{} {}", string(line, "kind"), line["offline"])).collect()
    }

    pub fn path(&self, rest: &str) -> String {
        format!("/boxes/{}{rest}", self.smart_box.id)
    }
}

#[test]
fn by_code_by_badge_by_key_and_by_nothing() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let taken = lodge.take(json!({"code": "240117"})).is(201);
    assert_eq!((&taken["bin"], &taken["person"], &taken["fob"]), (&json!("A-1"), &json!(lodge.bruno), &json!("F-1")));
    let left = taken["until_ms"].as_u64().unwrap() - taken["server_ms"].as_u64().unwrap();
    assert!((15_000..=20_000).contains(&left), "{left} ms");
    lodge.end(&string(&taken, "exchange"), "completed").is(204);
    lodge.end(&string(&taken, "exchange"), "completed").is(204);
    assert_eq!(lodge.org.place(&lodge.smart_box.id, &lodge.key).unwrap()["person"], json!(lodge.bruno));
    let back = lodge.ask(json!({"kind": "drop_off", "of": {"key": lodge.key}, "by": {"badge": "B-7"}})).is(201);
    lodge.end(&string(&back, "exchange"), "cancelled").is(204);
    lodge.end(&string(&back, "exchange"), "completed").problem(409, "exchanges.ended");
    let back = lodge.ask(json!({"kind": "drop_off", "of": {"key": lodge.key}})).is(201);
    assert_eq!(back["person"], Value::Null, "a quick scan");
    lodge.end(&string(&back, "exchange"), "completed").is(204);
    assert_eq!(lodge.kinds(), ["drop_off false", "pick_up false"]);
    let mut smart_box = lodge.smart_box.clone();
    smart_box.sync_until_quiet();
    smart_box.must_equal(&lodge.org.inventory(&smart_box.id));
}

#[test]
fn each_refusal_says_why() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    lodge.take(json!({"code": "999999"})).problem(403, "exchanges.code_unknown");
    lodge.take(json!({"badge": "240117"})).problem(403, "exchanges.code_unknown");
    lodge.ask(json!({"kind": "pick_up", "of": {"fob": "F-1"}})).problem(403, "exchanges.person_needed");
    lodge
        .ask(json!({"kind": "pick_up", "of": {"fob": "F-9"}, "by": {"code": "240117"}}))
        .problem(409, "exchanges.key_not_here");
    let nobody = "key_0123456789abcdefghjkmnpqrs";
    lodge
        .ask(json!({"kind": "pick_up", "of": {"key": nobody}, "by": {"code": "240117"}}))
        .problem(404, "object.not_found");
    lodge
        .ask(json!({"kind": "drop_off", "of": {"fob": "F-1"}, "by": {"code": "240117"}}))
        .problem(409, "exchanges.key_in_bin");
    let carla = lodge.org.person_with(&json!({"name": "Carla", "access_code": "330330"}));
    lodge.take(json!({"code": "330330"})).problem(403, "exchanges.not_permitted");
    lodge.org.access_with(&lodge.smart_box.id, &json!({"person": carla, "key": lodge.key}));
    let under_way = lodge.take(json!({"code": "330330"})).is(201);
    lodge.take(json!({"code": "240117"})).problem(409, "exchanges.under_way");
    lodge.end(&string(&under_way, "exchange"), "cancelled").is(204);
    lodge.org.client.patch(&lodge.path("/bins/A-1"), &json!({"state": "protected"})).ok();
    lodge.take(json!({"code": "240117"})).problem(409, "exchanges.bin_closed");
    lodge.org.client.patch(&lodge.path("/settings"), &json!({"quick_scan": false})).ok();
    lodge.ask(json!({"kind": "drop_off", "of": {"fob": "F-2"}})).problem(403, "exchanges.person_needed");
    for bin in ["A-2", "A-3"] {
        lodge.org.client.patch(&lodge.path(&format!("/bins/{bin}")), &json!({"state": "disabled"})).ok();
    }
    let drop_off = || lodge.ask(json!({"kind": "drop_off", "of": {"fob": "F-2"}, "by": {"code": "240117"}}));
    drop_off().problem(409, "exchanges.only_protected_left");
    for (bin, fob) in [("A-2", "F-5"), ("A-3", "F-6")] {
        lodge.org.key(&lodge.smart_box.id, fob, Some(bin));
    }
    drop_off().problem(409, "exchanges.no_free_bin");
    let mut smart_box = lodge.smart_box.clone();
    smart_box.opened("A-2");
    let body = json!({"kind": "pick_up", "of": {"fob": "F-1"}, "by": {"code": "240117"}, "journal_head": 1});
    smart_box.client.post("/box/v1/exchanges", &body).problem(409, "boxes.reconciling");
    assert!(lodge.kinds().is_empty(), "nothing of it has happened");
}

#[test]
fn whoever_has_no_box_hears_nothing_but_that() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let forged = rig.client(Some(&format!("{}{}", &lodge.smart_box.token[..58], "A".repeat(43))));
    let nobody = json!({"key": "key_0123456789abcdefghjkmnpqrs"});
    for of in [json!({"fob": "F-1"}), json!({"fob": "F-9"}), json!({"key": lodge.key}), nobody] {
        for code in ["240117", "999999"] {
            let body = json!({"kind": "pick_up", "of": of, "by": {"code": code}, "journal_head": 0});
            forged.post("/box/v1/exchanges", &body).problem(401, "boxes.token_invalid");
        }
    }
}

#[test]
fn wrong_codes_are_counted_across_a_restart() {
    let mut rig = Rig::start();
    let lodge = Lodge::of(&rig);
    for wrong in 0..10 {
        if wrong == 5 {
            rig.kill_and_start();
        }
        lodge.take(json!({"code": format!("55500{wrong}")})).problem(403, "exchanges.code_unknown");
    }
    let refused = lodge.take(json!({"code": "240117"}));
    refused.problem(429, "exchanges.throttled");
    let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((500..=600).contains(&wait), "{wait} s");
}

#[test]
fn case_1_killed_inside_the_window() {
    let mut rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let mut smart_box = lodge.smart_box.clone();
    let taken = lodge.take(json!({"code": "240117"})).is(201);
    rig.kill_and_start();
    // It has happened, and the server was not there to hear it: the journal says it, twice.
    smart_box.pick_up("A-1", "F-1", None);
    smart_box.journal[0]["exchange"] = taken["exchange"].clone();
    let request = smart_box.request();
    assert_eq!(crate::smart_box::outcomes_of(&smart_box.send(&request).is(200)), ["applied"]);
    rig.kill_and_start();
    let told = smart_box.send(&request).is(200);
    assert_eq!(crate::smart_box::outcomes_of(&told), ["duplicate"]);
    smart_box.store(&told);
    let lines = lodge.org.history(&smart_box.id);
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["person"], &lines[0]["offline"]), (&json!(lodge.bruno), &json!(false)));
    assert_eq!(lines[0]["exchange"], taken["exchange"]);
    // BOX-11, the other way round: it was heard, and the answer was lost.
    let body = json!({
        "kind": "drop_off", "of": {"fob": "F-1"}, "by": {"code": "240117"}, "journal_head": smart_box.head(),
    });
    let back = smart_box.client.post("/box/v1/exchanges", &body).is(201);
    lodge.end(&string(&back, "exchange"), "completed").is(204);
    rig.kill_and_start();
    smart_box.drop_off(&string(&back, "bin"), "F-1", None);
    smart_box.journal[1]["exchange"] = back["exchange"].clone();
    assert_eq!(smart_box.outcomes(), ["applied"]);
    assert_eq!(lodge.org.history(&smart_box.id).len(), 2);
    assert!(lodge.org.conflicts().is_empty());
    assert_eq!(lodge.org.bin(&smart_box.id, &string(&back, "bin"))["fob"], "F-1");
}

#[test]
fn a_repeat_with_its_key_is_one_exchange() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let body = json!({"kind": "pick_up", "of": {"fob": "F-1"}, "by": {"badge": "B-7"}, "journal_head": 0});
    let ask = || {
        let body = body.to_string();
        lodge.smart_box.client.send("POST", "/box/v1/exchanges", &[("idempotency-key", "one")], Some(body.as_bytes()))
    };
    let (first, second) = (ask().is(201), ask().is(201));
    assert_eq!((&first["exchange"], &first["until_ms"]), (&second["exchange"], &second["until_ms"]));
}

#[test]
fn orders_are_polled_and_told() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let (client, smart_box) = (&lodge.org.client, &lodge.smart_box);
    let give = |what: Value| client.post(&lodge.path("/orders"), &json!({"do": what}));
    let all = give(json!("open_all")).is(201);
    let shown = |order: &Value| client.get(&lodge.path(&format!("/orders/{order}"))).is(200);
    assert_eq!(shown(&all["order"])["stage"], "given");
    let fetched = smart_box.client.get("/box/v1/orders").is(200);
    assert_eq!((&fetched["orders"][0]["order"], &fetched["orders"][0]["do"]), (&all["order"], &json!("open_all")));
    assert_eq!(shown(&all["order"])["stage"], "retrieved");
    let path = format!("/box/v1/orders/{}", all["order"]);
    let results = json!({"results": [{"bin": "A-1", "outcome": "opened"}, {"bin": "A-2", "outcome": "jammed"}]});
    smart_box.client.post(&path, &results).is(204);
    smart_box.client.post(&path, &results).problem(409, "orders.ended");
    let told = shown(&all["order"]);
    assert_eq!(
        (&told["stage"], &told["failed"], &told["results"]),
        (&json!("completed"), &json!(1), &results["results"])
    );
    assert_eq!(lodge.org.bin(&smart_box.id, "A-1")["confirmed"], false);
    // The second step: what was found. A bin that did not open is not corrected so.
    let correct = |bin: &str| {
        let body = json!({"fob": null, "order": all["order"]});
        client.post(&lodge.path(&format!("/bins/{bin}/correction")), &body)
    };
    correct("A-2").problem(409, "boxes.bin_not_opened");
    correct("A-1").ok();
    assert_eq!(lodge.org.bin(&smart_box.id, "A-1"), {
        let mut bin = lodge.org.bin(&smart_box.id, "A-1");
        (bin["fob"], bin["confirmed"]) = (Value::Null, true.into());
        bin
    });
    give(json!({"open": "Z-9"})).problem(404, "object.not_found");
    let one = give(json!({"open": "A-3"})).is(201);
    let listed = client.all(&lodge.path("/orders"), 1);
    assert_eq!(listed.iter().map(|order| &order["order"]).collect::<Vec<_>>(), [&one["order"], &all["order"]]);
    let never = lodge.org.smart_box("MS4", 1);
    client.post(&format!("/boxes/{never}/orders"), &json!({"do": "restart"})).problem(409, "boxes.offline");
    for number in 0..110 {
        let given = give(json!("restart")).is(201);
        smart_box.client.get("/box/v1/orders").is(200);
        smart_box.client.post(&format!("/box/v1/orders/{}", given["order"]), &json!({})).is(204);
        assert!(number < 200);
    }
    assert_eq!(client.all(&lodge.path("/orders"), 200).len(), 100, "the oldest make room");
}

#[test]
fn the_old_exchange_api_says_that_it_will_go() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let taken = lodge.take(json!({"code": "240117"})).is(201);
    lodge.end(&string(&taken, "exchange"), "completed").is(204);
    lodge.org.client.post(&lodge.path("/bins/A-2/correction"), &json!({"fob": "F-9"})).ok();
    let told = lodge.org.client.get(&format!("/exchanges?box={}", lodge.smart_box.id));
    let items = told.is(200)["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 1);
    assert_eq!((&items[0]["type"], &items[0]["person"]), (&json!("pick_up"), &json!(lodge.bruno)));
    let since: u64 = told.header("deprecation").unwrap().strip_prefix('@').unwrap().parse().unwrap();
    assert!(since > 1_700_000_000, "{since}");
    assert_eq!(told.header("sunset"), Some("Fri, 31 Dec 2027 23:59:59 GMT"));
    let successor = format!("</api/v1/boxes/{}/history>; rel=\"successor-version\"", lodge.smart_box.id);
    assert_eq!(told.header("link"), Some(&*successor));
    lodge.org.client.get("/exchanges").problem(400, "request.malformed");
    let other = rig.org();
    other.client.get(&format!("/exchanges?box={}", lodge.smart_box.id)).problem(404, "object.not_found");
}

#[test]
fn a_pin_is_asked_for_where_the_settings_want_one() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    lodge.org.client.patch(&lodge.path("/settings"), &json!({"second_factor": "pin"})).ok();
    let take =
        |pin: Value| lodge.ask(json!({"kind": "pick_up", "of": {"fob": "F-1"}, "by": {"code": "240117"}, "pin": pin}));
    take(json!("2468")).problem(403, "exchanges.second_factor_needed");
    let bruno = format!("/people/{}", lodge.bruno);
    lodge.org.client.patch(&bruno, &json!({"pin": "24"})).problem(400, "request.invalid");
    lodge.org.client.patch(&bruno, &json!({"pin": "2468"})).ok();
    let shown = lodge.org.client.get(&bruno).is(200);
    assert_eq!((&shown["has_pin"], &shown["has_access_code"]), (&json!(true), &json!(true)));
    take(Value::Null).problem(403, "exchanges.second_factor_needed");
    take(json!("1357")).problem(403, "exchanges.code_unknown");
    take(json!("2468")).is(201);
}
