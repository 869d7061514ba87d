//! The page for the person at the phone.

use crate::{
    devices::{ELSEWHERE, OFFICE, Phone, other, phone, rig},
    rig::{Answer, Rig},
};
use std::time::{Duration, Instant};

pub struct Page {
    pub path: String,
    pub cookie: String,
    pub token: String,
}

pub fn outcome(answer: &Answer) -> String {
    answer.told().split("data-outcome=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

pub fn open(phone: &Phone) -> Page {
    let path = phone.path.replace("/provisioning/", "/phone/");
    let answer = phone.nobody.send("GET", &path, &[("accept-language", "de-IT,de;q=0.9")], None);
    assert_eq!((answer.status, answer.header("content-language")), (200, Some("de")));
    let told = answer.told();
    assert!(told.contains("Telefon authentifizieren") && !told.contains("<script"));
    let token = told.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    Page { path, cookie: cookie.split(';').next().unwrap().to_owned(), token }
}

impl Page {
    pub fn send(&self, phone: &Phone, mac: &str, pap: &str, headers: &[(&str, &str)]) -> Answer {
        let body = format!("mac={}&pap={pap}&token={}&language=it", mac.replace(':', "%3A"), self.token);
        let mut all = vec![
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-forwarded-for", &*phone.address),
            ("cookie", &*self.cookie),
        ];
        all.extend_from_slice(headers);
        phone.nobody.send("POST", &self.path, &all, Some(body.as_bytes()))
    }
}

#[test]
fn a_person_enters_mac_and_pap() {
    let rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "000413abcdef");
    assert!(!phone.is_full());
    let (page, pap) = (open(&phone), phone.pap());
    let visitor = phone.at(ELSEWHERE);
    for (mac, pap, status, said) in [
        ("000413999999", &*pap, 200, "refused"),
        ("000413abcdef", &*other(&pap, 1), 200, "refused"),
        ("x", &*pap, 400, "invalid"),
        ("000413abcdef", "12", 400, "invalid"),
    ] {
        let started = Instant::now();
        let answer = page.send(&visitor, mac, pap, &[]);
        assert_eq!((answer.status, &*outcome(&answer)), (status, said), "{mac} {pap}");
        assert!(started.elapsed() >= Duration::from_millis(300), "how long it takes tells nothing");
        assert!(!answer.told().contains(pap) || pap == "12");
    }
    let answer = page.send(&visitor, "00:04:13:ab:cd:ef", &pap, &[("sec-fetch-site", "same-origin")]);
    assert_eq!((&*outcome(&answer), answer.header("content-language")), ("accepted", Some("it")));
    assert_eq!(phone.show()["window"]["address"], OFFICE, "the phone's own address, not the visitor's");
    assert!(!visitor.is_full() && phone.is_full());
}

#[test]
fn forms_of_others_are_not_taken() {
    let rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "000413abcdef");
    let (page, pap) = (open(&phone), phone.pap());
    for headers in
        [&[("sec-fetch-site", "cross-site")][..], &[("origin", "https://evil.example")], &[("origin", "null")]]
    {
        let answer = page.send(&phone, &phone.mac, &pap, headers);
        assert_eq!((answer.status, &*outcome(&answer)), (403, "expired"), "{headers:?}");
    }
    let without = Page { cookie: "other=1".into(), token: page.token.clone(), path: page.path.clone() };
    assert_eq!(outcome(&without.send(&phone, &phone.mac, &pap, &[])), "expired");
    let forged = Page { token: format!("{}x", page.token), cookie: page.cookie.clone(), path: page.path.clone() };
    assert_eq!(outcome(&forged.send(&phone, &phone.mac, &pap, &[])), "expired");
    assert_eq!(phone.show()["state"], "required");
    phone.nobody.get("/phone/x").problem(404, "object.not_found");
}

#[test]
fn a_source_that_guesses_is_closed_and_an_honest_one_is_not() {
    let rig = Rig::with(&[("HTTP__TRUSTED_PROXIES", "127.0.0.0/8"), ("DEVICES__WRONG_PAPS_PER_SOURCE", "20")]);
    let org = rig.org();
    let phones: Vec<_> = (0..4).map(|n| phone(&rig, &org, &format!("00041300000{n}"))).collect();
    let page = open(&phones[0]);
    let paps: Vec<_> = phones.iter().map(Phone::pap).collect();
    let mut said = Vec::new();
    for n in 1..5 {
        let attacker = phones[n % 4].at(ELSEWHERE);
        said.push(outcome(&page.send(&attacker, &attacker.mac, &other(&paps[n % 4], 1), &[])));
    }
    assert_eq!(said, ["refused", "refused", "refused", "too_many"]);
    let closed = page.send(&phones[0].at(ELSEWHERE), &phones[0].mac, &paps[0], &[]);
    assert!(closed.status == 429 && closed.header("retry-after").is_some());
    phones[0].fetch();
    let honest = page.send(&phones[0], &phones[0].mac, &paps[0], &[]);
    assert_eq!(outcome(&honest), "accepted");
}
