//! How often: rates of tokens and sources, with what a client needs to hold itself to them.

use crate::rig::{Rig, eventually};
use serde_json::json;

#[test]
fn too_many_requests_of_a_token_are_told_when_to_come_again() {
    let rig = Rig::with(&[("LIMITS__REQUESTS_PER_MINUTE_PER_TOKEN", "200")]);
    let org = rig.org();
    let answers: Vec<_> = (0..40).map(|_| org.client.get("/boxes")).collect();
    let refused = answers.iter().find(|answer| answer.status == 429).expect("a tenth for the first minute");
    refused.problem(429, "limits.too_many_requests");
    let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"token\";q=200;w=60"));
    assert_eq!(refused.header("ratelimit"), Some(&*format!("\"token\";r=0;t={wait}")));
    assert!(answers[..10].iter().all(|answer| answer.status == 200));
    assert_eq!(rig.operator().get("/organisations").status, 200, "another token has its own rate");
    eventually("it goes on", || org.client.get("/boxes").status == 200);
}

#[test]
fn a_source_that_need_not_say_who_it_is_has_a_rate_too() {
    let rig = Rig::with(&[("LIMITS__UNAUTHENTICATED_REQUESTS_PER_MINUTE", "60")]);
    let enrol = || rig.nobody().post("/box/v1/enrol", &json!({"code": "AAAA-BBBB-CCCC-DDDD"}));
    let answers: Vec<_> = (0..20).map(|_| enrol()).collect();
    let refused = answers.iter().find(|answer| answer.status == 429).expect("six in the first minute");
    refused.problem(429, "limits.too_many_requests");
    assert!(refused.header("ratelimit-policy").unwrap().starts_with("\"source\";"));
    let org = rig.org();
    org.client.get("/boxes").is(200);
}

#[test]
fn failed_authentications_name_their_rate() {
    let rig = Rig::with(&[("LIMITS__FAILED_AUTHENTICATIONS_PER_MINUTE", "20")]);
    let answers: Vec<_> = (0..10).map(|_| rig.client(Some("cas_x")).get("/boxes")).collect();
    let refused = answers.iter().find(|answer| answer.status == 429).expect("two in the first minute");
    refused.problem(429, "auth.too_many_failures");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"failed-authentications\";q=20;w=60"));
}

#[test]
fn a_token_says_when_it_was_last_used() {
    let rig = Rig::start();
    let org = rig.org();
    let made = org.client.post("/tokens", &json!({"label": "erp", "scopes": ["boxes:read"]})).is(201);
    let path = format!("/tokens/{}", made["token_id"].as_str().unwrap());
    let first = org.client.get(&path);
    assert!(first.is(200)["last_used_at"].is_null());
    let client = rig.client(made["token"].as_str());
    client.get("/boxes").is(200);
    eventually("the use is written", || org.client.get(&path).is(200)["last_used_at"].is_string());
    let written = org.client.get(&path).is(200);
    (0..20).for_each(|_| drop(client.get("/boxes").is(200)));
    assert_eq!(org.client.get(&path).is(200), written, "once an hour is enough");
    let headers = [("if-match", first.header("etag").unwrap())];
    org.client.send("DELETE", &path, &headers, None).is(200);
}
