//! The link of a box: what it hears at once, and how it ends.

use crate::{
    online::Lodge,
    rig::{Rig, eventually, string},
    web_socket::{Heard, WebSocket},
};
use serde_json::{Value, json};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[track_caller]
fn linked(rig: &Rig, token: &str) -> WebSocket {
    let (status, link) = WebSocket::open(rig.addresses().api, token);
    link.unwrap_or_else(|| panic!("{status}"))
}

#[track_caller]
fn hears_sync(link: &mut WebSocket) {
    assert_eq!(link.hear(SECOND), Heard::Text(r#"{"sync":true}"#.to_owned()));
}

/// What is heard besides that there is something to sync: on a busy machine credentials reach a box after it was ready.
#[track_caller]
fn heard_besides(link: &mut WebSocket, within: Duration) -> Heard {
    match link.hear(within) {
        Heard::Text(told) if told == r#"{"sync":true}"# => link.hear(within),
        heard => heard,
    }
}

#[track_caller]
fn end_of(link: &mut WebSocket) -> Heard {
    heard_besides(link, 5 * SECOND)
}

#[test]
fn a_change_is_told_within_a_second_and_ones_own_doing_is_not() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let mut smart_box = lodge.smart_box.clone();
    let mut link = linked(&rig, &smart_box.token);
    assert_eq!(link.hear(SECOND / 2), Heard::Nothing, "it has everything");
    for state in ["protected", "enabled"] {
        lodge.org.client.patch(&lodge.path("/bins/A-3"), &json!({"state": state})).ok();
        hears_sync(&mut link);
    }
    lodge.org.access_with(&smart_box.id, &json!({"person": lodge.bruno, "key": lodge.key}));
    hears_sync(&mut link);
    smart_box.sync();
    link.say(&json!({"cursor": smart_box.cursor}).to_string());
    eventually("the state is confirmed", || lodge.org.show(&smart_box.id)["pending_since"].is_null());
    smart_box.opened("A-2");
    smart_box.sync_until_quiet();
    assert_eq!(link.hear(SECOND / 2), Heard::Nothing, "its own doing");
    // What it has not taken is told once more to a new link.
    lodge.org.client.patch(&lodge.path("/bins/A-3"), &json!({"state": "disabled"})).ok();
    hears_sync(&mut link);
    drop(link);
    hears_sync(&mut linked(&rig, &smart_box.token));
}

#[test]
fn an_order_comes_at_once() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let mut link = linked(&rig, &lodge.smart_box.token);
    let given = lodge.org.client.post(&lodge.path("/orders"), &json!({"do": {"open": "A-2"}})).is(201);
    let Heard::Text(told) = heard_besides(&mut link, SECOND) else { panic!("no order") };
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["orders"][0]["order"], &told["orders"][0]["do"]), (&given["order"], &json!({"open": "A-2"})));
    let shown = lodge.org.client.get(&lodge.path(&format!("/orders/{}", given["order"]))).is(200);
    assert_eq!(shown["stage"], "retrieved");
}

#[test]
fn only_the_token_of_the_last_enrolment_holds_a_link() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let forged = format!("{}{}", &lodge.smart_box.token[..58], "A".repeat(43));
    for token in ["", "x", &forged, &lodge.org.token] {
        assert_eq!(WebSocket::open(rig.addresses().api, token).0, 401, "{token}");
    }
    assert_eq!(rig.metric("castellan_auth_failures_total "), 4.0, "counted like those of requests");
    lodge.smart_box.client.get("/box/v1/link").problem(400, "request.malformed");
    let mut first = linked(&rig, &lodge.smart_box.token);
    let mut second = linked(&rig, &lodge.smart_box.token);
    assert_eq!(end_of(&mut first), Heard::Close(4000, "replaced".to_owned()));
    let renewed = lodge.org.enrolled(&lodge.smart_box.id);
    assert_eq!(end_of(&mut second), Heard::Close(1008, "token_invalid".to_owned()));
    assert_eq!(WebSocket::open(rig.addresses().api, &lodge.smart_box.token).0, 401);
    let mut third = linked(&rig, &renewed.token);
    hears_sync(&mut third);
    lodge.org.client.post(&lodge.path("/enrolment"), &json!({"stolen": true})).is(201);
    assert_eq!(end_of(&mut third), Heard::Close(1008, "token_invalid".to_owned()));
}

#[test]
fn what_a_box_may_not_say_ends_its_link() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    for text in ["", "{}", "[]", r#"{"cursor":"x"}"#, r#"{"cursor":"1.1","more":1}"#, "\u{7f}"] {
        let mut link = linked(&rig, &lodge.smart_box.token);
        link.say(text);
        assert_eq!(end_of(&mut link), Heard::Close(1007, "malformed".to_owned()), "{text:?}");
    }
    let mut link = linked(&rig, &lodge.smart_box.token);
    link.send(2, b"bytes");
    assert_eq!(end_of(&mut link), Heard::Close(1007, "malformed".to_owned()));
    let mut link = linked(&rig, &lodge.smart_box.token);
    link.send(8, &[3, 232]);
    assert!(matches!(end_of(&mut link), Heard::End | Heard::Close(1000, _)));
}

#[test]
fn a_silent_box_is_pinged_and_then_let_go() {
    let rig = Rig::with(&[("LINKS__PING_S", "1"), ("LINKS__SILENCE_S", "2"), ("LINKS__MAX", "1")]);
    let lodge = Lodge::of(&rig);
    let mut link = linked(&rig, &lodge.smart_box.token);
    for _ in 0..4 {
        assert_eq!(heard_besides(&mut link, 3 * SECOND), Heard::Ping, "answered: it stays");
    }
    let other = lodge.org.ready_box(1);
    assert_eq!(WebSocket::open(rig.addresses().api, &other.token).0, 503);
    drop(link);
    eventually("there is room", || WebSocket::open(rig.addresses().api, &other.token).0 == 101);
}

#[test]
fn a_server_that_stops_says_so_and_when_to_come_again() {
    let mut rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let mut link = linked(&rig, &lodge.smart_box.token);
    rig.tell_to_stop();
    let Heard::Close(1012, words) = end_of(&mut link) else { panic!("no goodbye") };
    let wait: u64 = words.strip_prefix("retry_after_ms=").unwrap().parse().unwrap();
    assert!(wait < 10_000, "{wait}");
    rig.wait_for_end();
    rig.start_again();
    assert_eq!(string(&lodge.org.show(&lodge.smart_box.id), "box"), lodge.smart_box.id);
    linked(&rig, &lodge.smart_box.token);
}

#[test]
fn frames_are_read_however_they_come_but_not_before_the_answer() {
    let rig = Rig::start();
    let lodge = Lodge::of(&rig);
    let (api, token) = (rig.addresses().api, &lodge.smart_box.token);
    let ping = WebSocket::frame(9, b"1");
    for early in [&ping[..], b"x", &[0x81; 20_000]] {
        assert_eq!(WebSocket::open_saying(api, token, early).0, 400, "{} bytes", early.len());
    }
    let mut link = linked(&rig, token);
    let all: Vec<u8> = (0..100).flat_map(|at| WebSocket::frame(9, &[at; 100])).collect();
    for at_once in [1, 7, all.len()] {
        link.write(&all, at_once);
        for at in 0..100 {
            let heard = heard_besides(&mut link, SECOND);
            assert_eq!(heard, Heard::Pong(vec![at; 100]), "in pieces of {at_once}");
        }
    }
    let said = json!({"cursor": lodge.smart_box.cursor}).to_string();
    link.send(1, format!("{said:4096}").as_bytes());
    link.send(9, b"still there");
    assert_eq!(heard_besides(&mut link, SECOND), Heard::Pong(b"still there".to_vec()), "the longest frame");
    let endless = [&[0x81, 0xff, 0x7f][..], &[0xff; 7], &[0; 5_000]].concat();
    let long = |length| WebSocket::frame(1, format!("{said:length$}").as_bytes());
    for wrong in [long(4_097), long(60_000), WebSocket::frame(9, &[1; 126]), endless] {
        let mut link = linked(&rig, token);
        link.write(&wrong, usize::MAX);
        assert_eq!(end_of(&mut link), Heard::Close(1007, "malformed".to_owned()), "{} bytes", wrong.len());
    }
}
