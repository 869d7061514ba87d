//! Against guessing: counts that survive, sources that are closed, MACs that tell nothing.

use crate::{
    devices::{ELSEWHERE, Phone, other, phone, rig},
    rig::{Rig, eventually},
    site::Org,
};
use serde_json::json;
use std::time::{Duration, Instant};

/// How many events of a type there are.
fn count(org: &Org, name: &str) -> usize {
    let events = org.client.all_events(name);
    events.len()
}

impl crate::rig::Client {
    /// Every event of a type, from the beginning.
    pub fn all_events(&self, name: &str) -> Vec<serde_json::Value> {
        let mut events = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.get(&format!("/events?type={name}&limit=200{after}")).is(200);
            events.extend(page["items"].as_array().unwrap().iter().cloned());
            if page["more"] == false {
                return events;
            }
            after = format!("&after={}", page["next"].as_str().unwrap());
        }
    }
}

#[test]
fn n2_and_n11_guesses_are_counted_at_each_device() {
    let rig = rig();
    let org = rig.org();
    let (one, two) = (phone(&rig, &org, "000413000001"), phone(&rig, &org, "000413000002"));
    let (pap_one, pap_two) = (one.pap(), two.pap());
    assert_ne!(pap_one, pap_two, "unique among those who wait");
    assert_eq!(one.outcome(&pap_two), "wrong", "the PAP of another device");
    assert_eq!(one.outcome(&other(&pap_one, 7)), "wrong");
    assert_eq!(two.outcome(&pap_two), "accepted");
    let told = one.enter(&other(&pap_one, 9));
    assert_eq!(told["outcome"], "failed");
    assert!(told["locked_until"].is_string());
    assert_eq!(one.outcome(&pap_one), "failed");
    let shown = one.show();
    assert_eq!(
        (shown["wrong"].as_u64(), shown["rounds"].as_u64(), shown["locked_attempts"].as_u64()),
        (Some(3), Some(1), Some(1))
    );
    assert_eq!(two.show()["wrong"], 0);
    // Of a device that is not there it is told as of a wrong PAP.
    let told =
        org.client.post("/devices/authenticate", &json!({"account": "pap-000413999999", "pap": "000000"})).is(200);
    assert_eq!((told["outcome"].as_str(), told["attempts_left"].is_null()), (Some("wrong"), true));
    for wrong in [
        json!({"pap": "000000"}),
        json!({"mac": one.mac, "pap": "12345"}),
        json!({"mac": one.mac, "pap": "12345a"}),
        json!({"mac": "x", "pap": "123456"}),
        json!({"mac": one.mac, "account": "pap-000413000001", "pap": "123456"}),
    ] {
        org.client.post("/devices/authenticate", &wrong).problem(400, "request.invalid");
    }
    assert_eq!(count(&org, "devices.pap_wrong"), 3);
}

#[test]
fn n3_twenty_guesses_at_once_are_three_judged() {
    let rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "000413000001");
    let pap = phone.pap();
    let outcomes: Vec<String> = std::thread::scope(|scope| {
        let one = |n| {
            let (phone, pap) = (phone.clone(), pap.clone());
            scope.spawn(move || phone.outcome(&other(&pap, n)))
        };
        let all: Vec<_> = (1..=20).map(one).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "wrong").count(), 2, "{outcomes:?}");
    assert_eq!(count(&org, "devices.pap_wrong"), 3);
    assert_eq!(phone.outcome(&pap), "failed");
    assert_eq!(phone.show()["locked_attempts"], 18);
}

#[test]
fn n4_kill_nine_between_the_second_and_the_third_guess() {
    let mut rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "000413000001");
    let pap = phone.pap();
    phone.outcome(&other(&pap, 1));
    phone.outcome(&other(&pap, 2));
    rig.kill_and_start();
    let told = phone.enter(&other(&pap, 3));
    assert_eq!(told["outcome"], "failed");
    rig.kill_and_start();
    assert_eq!(phone.enter(&pap)["locked_until"], told["locked_until"]);
    let shown = phone.show();
    assert_eq!((shown["wrong"].as_u64(), shown["state"].as_str()), (Some(3), Some("failed")));
    phone.act("reset");
    phone.fetch();
    eventually("its contact is noted", || phone.show()["last_contact"]["served"] == "minimal");
    rig.kill_and_start();
    assert_eq!(phone.outcome(&phone.pap()), "accepted");
    rig.kill_and_start();
    assert_eq!(phone.show()["window"]["address"], phone.address, "who fetched before the crash is still known");
    assert!(phone.is_full());
    eventually("provisioned", || phone.done());
    phone.act("suspension");
    rig.kill_and_start();
    assert!(phone.at(ELSEWHERE).is_full(), "a suspension survives too");
}

/// Whoever is let in by a PAP is let in where the phone was last, also when nobody remembers it but the disk.
#[test]
fn where_a_phone_was_last_survives_a_restart() {
    let mut rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "000413000001");
    phone.fetch();
    // So soon after the first that it is not noted at once.
    let moved = phone.at(ELSEWHERE);
    for _ in 0..5 {
        phone.fetch();
        moved.fetch();
    }
    eventually("its last contact is noted", || phone.show()["last_contact"]["address"] == moved.address);
    rig.kill_and_start();
    assert_eq!(phone.outcome(&phone.pap()), "accepted");
    assert_eq!(phone.show()["window"]["address"], moved.address);
    assert!(!phone.is_full() && moved.is_full());
}

#[test]
fn a_telephone_system_has_a_quota_and_strangers_another() {
    let rig = Rig::with(&[
        ("HTTP__TRUSTED_PROXIES", "127.0.0.0/8"),
        ("DEVICES__WRONG_PAPS_PER_PBX", "50"),
        ("DEVICES__WRONG_PAPS_PER_SOURCE", "20"),
    ]);
    let org = rig.org();
    let phones: Vec<Phone> = (0..8).map(|n| phone(&rig, &org, &format!("00041300000{n}"))).collect();
    let right: Vec<String> = phones.iter().map(Phone::pap).collect();
    let mut judged = 0;
    let refused = 'closed: loop {
        for (phone, pap) in phones.iter().zip(&right) {
            judged += 1;
            let body = json!({"mac": phone.mac, "pap": other(pap, judged)});
            let answer = org.client.post("/devices/authenticate", &body);
            if answer.status != 200 {
                break 'closed answer;
            }
            assert!(judged < 40, "after a start a tenth may be used up at once");
        }
    };
    refused.problem(429, "devices.too_many_wrong_paps");
    assert!(refused.header("ratelimit-policy").unwrap().contains("wrong-paps-per-pbx"));
    let other_pbx = org.client.post("/tokens", &json!({"label": "other", "scopes": ["devices:authenticate"]})).is(201);
    let other_pbx = rig.client(other_pbx["token"].as_str());
    let free = phones.iter().zip(&right).find(|(phone, _)| phone.show()["state"] == "required").unwrap();
    let told = other_pbx.post("/devices/authenticate", &json!({"mac": free.0.mac, "pap": free.1})).is(200);
    assert_eq!(told["outcome"], "accepted", "others go on");
    other_pbx.get("/devices").problem(403, "auth.forbidden");
    let metrics = rig.observed("/metrics").told();
    assert!(metrics.contains("castellan_pap_sources_closed_total 1"), "{metrics}");
}

/// 14. What stands there of a MAC that is set up and of one that is not is alike but for the MAC, and takes as long.
#[test]
fn n14_walking_over_macs_tells_nothing() {
    let rig = rig();
    let org = rig.org();
    let known: Vec<Phone> = (0..40).map(|n| phone(&rig, &org, &format!("0004130001{n:02x}"))).collect();
    let unknown: Vec<Phone> =
        (0..40).map(|n| Phone { mac: format!("0004130002{n:02x}"), ..known[0].clone() }).collect();
    let ask = |phone: &Phone| {
        let started = Instant::now();
        let answer = phone.at(ELSEWHERE).fetch();
        (started.elapsed(), answer)
    };
    let bare = |phone: &Phone, told: String| {
        let told = told.replace(&phone.mac, "MAC").replace(&phone.mac.to_uppercase(), "MAC");
        // The derived password is of one shape.
        told.split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|part| !(part.len() == 20 && part.bytes().all(|byte| byte.is_ascii_alphanumeric())))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let (one, other) = (ask(&known[0]).1, ask(&unknown[0]).1);
    let names = |answer: &crate::rig::Answer| {
        let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    assert_eq!((names(&one), one.body.len()), (names(&other), other.body.len()));
    assert_eq!(bare(&known[0], one.told()), bare(&unknown[0], other.told()));
    // Taken in turns, so that what disturbs one disturbs the other. A difference that is there shows each time; what a
    // busy machine adds does not.
    let apart = || {
        let mut times: [Vec<Duration>; 2] = Default::default();
        for _ in 0..20 {
            for (known, unknown) in known.iter().zip(&unknown) {
                times[0].push(ask(known).0);
                times[1].push(ask(unknown).0);
            }
        }
        times.iter_mut().for_each(|times| times.sort());
        let at = |which: usize, percent: usize| times[which][times[which].len() * percent / 100].as_secs_f64();
        [10, 25, 50, 75].into_iter().find_map(|percent| {
            let (known, unknown) = (at(0, percent), at(1, percent));
            let apart = (known - unknown).abs() >= 0.000_3 + 0.15 * known.max(unknown);
            apart.then(|| format!("at {percent} %: {known:.6} and {unknown:.6}"))
        })
    };
    let seen: Vec<String> = std::iter::repeat_with(apart).take(4).map_while(|seen| seen).collect();
    assert!(seen.len() < 4, "{seen:?}");
}
