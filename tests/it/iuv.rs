//! Customers' servers and shoppers' browsers, as they come. Numbers are those of `docs/iuv.md`, "What a demanding user
//! tries".

use crate::{
    devices_time::killed_until,
    rig::{Rig, complete, eventually, string},
    site::Org,
};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    io::{Read, Write},
    net::TcpStream,
    sync::Barrier,
    time::Duration,
};

pub const SERVER: &str = "192.0.2.7";
pub const BROWSER: &str = "198.51.100.9";
pub const BASE: &str = "https://shop.example";

/// A rig behind a proxy that says where requests come from, and that they came over TLS.
pub fn rig() -> Rig {
    rig_with(&[])
}

pub fn rig_with(more: &[(&str, &str)]) -> Rig {
    let mut all = vec![("HTTP__TRUSTED_PROXIES", "127.0.0.0/8"), ("PUBLIC__BASE_URL", BASE)];
    all.extend_from_slice(more);
    Rig::with(&all)
}

/// A store with one IUV verification type at work.
pub struct Shop {
    pub org: Org,
    pub store: String,
    pub guid: String,
    pub account: String,
    pub key: String,
    pub iuv: u64,
}

pub fn shop(rig: &Rig) -> Shop {
    shop_of(rig, rig.org(), "software-shop")
}

pub fn shop_of(rig: &Rig, org: Org, system_name: &str) -> Shop {
    let _ = rig;
    let body = json!({"system_name": system_name, "name": "Segreteria", "language": "it", "academic": true});
    let made = org.client.post("/stores", &body).is(201);
    let store = string(&made, "store");
    let iuv = add_iuv(&org, &store);
    let key = save_new_key(&org, &store, iuv, 0);
    let shop = Shop { store, guid: string(&made, "guid"), account: string(&made, "account"), key, iuv, org };
    shop.put("active");
    shop
}

pub fn add_iuv(org: &Org, store: &str) -> u64 {
    let added = org.client.post(&format!("/stores/{store}/verifications"), &json!({"kind": "iuv"})).is(201);
    let iuv = added["verification"].as_u64().unwrap();
    let settings = json!({"external_url": "https://www.example.edu/login", "administrators": ["iuv@example.edu"]});
    org.client.patch(&format!("/stores/{store}/verifications/{iuv}"), &settings).is(200);
    iuv
}

pub fn save_new_key(org: &Org, store: &str, iuv: u64, overlap_s: u32) -> String {
    let path = format!("/stores/{store}/verifications/{iuv}/key");
    let key = string(&org.client.post(&format!("{path}/generation"), &json!({})).is(200), "key");
    put(org, &path, &json!({"key": key, "overlap_s": overlap_s})).is(200);
    key
}

pub fn put(org: &Org, path: &str, body: &Value) -> crate::rig::Answer {
    org.client.send("PUT", path, &[], Some(body.to_string().as_bytes()))
}

impl Shop {
    pub fn path(&self, rest: &str) -> String {
        format!("/stores/{}{rest}", self.store)
    }

    pub fn of_iuv(&self, rest: &str) -> String {
        self.path(&format!("/verifications/{}{rest}", self.iuv))
    }

    pub fn put(&self, state: &str) {
        put(&self.org, &self.of_iuv("/state"), &json!({"state": state})).is(200);
    }

    pub fn set(&self, settings: Value) {
        self.org.client.patch(&self.of_iuv(""), &settings).is(200);
    }

    /// What is always sent.
    pub fn query(&self, more: &str) -> String {
        format!("account={}&username=jsmith&key={}&academic_statuses=students{more}", self.account, self.key)
    }

    pub fn register(&self, rig: &Rig) -> String {
        register(rig, &self.query("")).url()
    }
}

/// An answer as it stood on the wire.
#[derive(Debug, Clone)]
pub struct Heard {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Heard {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    #[track_caller]
    pub fn url(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.head.lines().next(), Some("HTTP/1.1 200 OK"));
        assert_eq!(self.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(self.header("content-encoding"), None);
        let start = format!("{BASE}/WebStore/Security/IntegratedSignIn.aspx?token=");
        assert!(self.body.starts_with(&start) && !self.body.contains(char::is_whitespace), "{}", self.body);
        self.body.clone()
    }

    #[track_caller]
    pub fn refused(&self, expected: &[&str]) {
        assert_eq!((self.status, &*self.body), (400, &*expected.join("|")), "{}", self.head);
        assert_eq!(self.header("content-type"), Some("text/plain; charset=utf-8"));
    }
}

/// One request, byte for byte, from an address, over TLS as a proxy says.
#[track_caller]
pub fn ask(rig: &Rig, method: &str, target: &[u8], from: &str) -> Heard {
    ask_with(rig, method, target, &format!("X-Forwarded-For: {from}\r\nX-Forwarded-Proto: https\r\n"), b"")
}

#[track_caller]
pub fn ask_with(rig: &Rig, method: &str, target: &[u8], headers: &str, body: &[u8]) -> Heard {
    let mut stream = TcpStream::connect(rig.addresses().api).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut request = [method.as_bytes(), b" ", target].concat();
    request.extend_from_slice(format!(" HTTP/1.1\r\nHost: elsewhere.example\r\n{headers}").as_bytes());
    if !body.is_empty() {
        request.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    request.extend_from_slice(b"Connection: close\r\n\r\n");
    request.extend_from_slice(body);
    stream.write_all(&request).unwrap();
    let mut heard = Vec::new();
    let mut part = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut part) {
        heard.extend_from_slice(&part[..read]);
        if method != "HEAD" && complete(&heard) {
            break;
        }
    }
    let heard = String::from_utf8(heard).unwrap();
    let (head, body) = heard.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {heard:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Heard { status, head: head.to_owned(), body: body.to_owned() }
}

pub fn register(rig: &Rig, query: &str) -> Heard {
    register_from(rig, query, SERVER)
}

pub fn register_from(rig: &Rig, query: &str, from: &str) -> Heard {
    ask(rig, "GET", format!("/WebStore/Security/AuthenticateUser.aspx?{query}").as_bytes(), from)
}

/// A browser that follows the address it was given.
pub fn redeem(rig: &Rig, url: &str) -> Heard {
    redeem_from(rig, url, BROWSER)
}

pub fn redeem_from(rig: &Rig, url: &str, from: &str) -> Heard {
    ask(rig, "GET", url.strip_prefix(BASE).unwrap().as_bytes(), from)
}

#[track_caller]
pub fn is_in(heard: &Heard, shop: &Shop, test: bool) {
    let side = if test { "Test/" } else { "" };
    assert_eq!(heard.status, 302, "{heard:?}");
    assert_eq!(heard.header("location"), Some(&*format!("{BASE}/WebStore/{side}{}/", shop.guid)));
    let cookie = heard.header("set-cookie").unwrap();
    for part in ["Secure", "HttpOnly", "SameSite=Lax", &format!("Path=/WebStore/{side}{}/", shop.guid)] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(heard.header("referrer-policy"), Some("no-referrer"));
}

#[track_caller]
pub fn is_out(heard: &Heard) {
    assert_eq!(heard.status, 403, "{heard:?}");
    assert!(heard.body.contains("Impossibile accedere al negozio. Riprovare."), "{}", heard.body);
    assert_eq!(heard.header("set-cookie"), None);
}

pub fn parameter(name: &str) -> String {
    format!("Parametro richiesto [{name}] mancante o presente più volte nella stringa query con valori diversi.")
}

pub const NO_STORE: &str =
    "WebStore non trovato. Verificare l'indirizzo IP del chiamante e il nome di sistema del WebStore (se passato).";
pub const WRONG_KEY: &str = "La chiave inviata non corrisponde a quella configurata per il WebStore.";
pub const NO_GROUP: &str = "Uno o più gruppi utenti specificati nella stringa query non esiste.";
pub const NO_CLASS: &str = "Una o più classi di gruppi utenti specificati nella stringa query non esiste.";

#[test]
fn n1_the_requests_of_real_clients_register_byte_for_byte() {
    let rig = rig();
    let shop = shop(&rig);
    shop.set(json!({"callers": [SERVER]}));
    let Shop { account, key, .. } = &shop;
    for query in [
        format!("account={account}&username=jsmith&key={key}&academic_statuses=students"),
        format!("academic_statuses=students,faculty&key={key}&username=jsmith&account={account}"),
        format!("academic_statuses=students%2Cfaculty%2cstaff&key={key}&username=a@b.example&account={account}"),
        format!("account={account}&username=Zoë+O'Neil&key={key}&academic_statuses=staff&last_name=Привет"),
        format!("account={account}&username=a%20b%2Bc&key={key}&academic_statuses=staff&email=a%2Bb%40c.example"),
        format!("username=jsmith&key={key}&academic_statuses=students"),
        format!("ACCOUNT={account}&UserName=jsmith&KEY={key}&Academic_Statuses=students&shopper_ip=198.51.100.9"),
        format!("&&account={account}&account={account}&username=%D0%96&key={key}&academic_statuses=,students,"),
    ] {
        let url = register(&rig, &query).url();
        assert!(url.ends_with(&format!("&ws={}", shop.guid)), "{url}");
    }
    for path in ["/webstore/security/authenticateuser.aspx", "/WEBSTORE/Security/AuthenticateUser.ASPX"] {
        ask(&rig, "GET", format!("{path}?{}", shop.query("")).as_bytes(), SERVER).url();
    }
    let json = json!({
        "account": account.parse::<u32>().unwrap(), "username": "jsmith", "key": key,
        "academic_statuses": ["students", "staff"],
    });
    let headers =
        format!("X-Forwarded-For: {SERVER}\r\nX-Forwarded-Proto: https\r\nContent-Type: application/json\r\n");
    let body = json.to_string();
    ask_with(&rig, "POST", b"/WebStore/Security/AuthenticateUser.ashx", &headers, body.as_bytes()).url();
    let wrong = ask_with(&rig, "POST", b"/WebStore/Security/AuthenticateUser.ashx", &headers, b"{}");
    wrong.refused(&[&parameter("username"), &parameter("key")]);
    is_in(&redeem(&rig, &shop.register(&rig)), &shop, false);
}

#[test]
fn n8_callers_are_those_of_the_list() {
    let rig = rig();
    let shop = shop(&rig);
    shop.set(json!({"callers": ["192.0.2.0/28", "2001:db8::/64", "203.0.113.5"]}));
    let query = shop.query("");
    for from in ["192.0.2.7", "::ffff:192.0.2.9", "2001:db8::77", "203.0.113.5", "9.9.9.9, 192.0.2.7"] {
        register_from(&rig, &query, from).url();
    }
    for from in ["192.0.2.16", "2001:db8:0:1::1", "127.0.0.1", "192.0.2.7, 9.9.9.9"] {
        register_from(&rig, &query, from).refused(&[NO_STORE]);
    }
    shop.set(json!({"callers": ["::1"]}));
    register_from(&rig, &query, "::1").url();
    register_from(&rig, &query, "192.0.2.7").refused(&[NO_STORE]);
    // Nobody but a named proxy is believed.
    let mut rig = rig;
    rig.kill();
    rig.set("HTTP__TRUSTED_PROXIES", "10.0.0.0/8");
    rig.set("IUV__PLAIN_FROM_LOOPBACK", "true");
    rig.start_again();
    register_from(&rig, &query, "::1").refused(&[NO_STORE]);
    shop.set(json!({"callers": ["127.0.0.1"]}));
    register_from(&rig, &query, "9.9.9.9").url();
}

#[test]
fn n9_a_token_dies_with_its_key_and_a_generated_key_is_not_yet_one() {
    let rig = rig();
    let shop = shop(&rig);
    let url = shop.register(&rig);
    let path = shop.of_iuv("/key/generation");
    let generated = string(&shop.org.client.post(&path, &json!({})).is(200), "key");
    assert_ne!(generated, shop.key);
    register(&rig, &shop.query("").replace(&shop.key, &generated)).refused(&[WRONG_KEY]);
    is_in(&redeem(&rig, &url), &shop, false);
    let url = shop.register(&rig);
    let new = save_new_key(&shop.org, &shop.store, shop.iuv, 0);
    is_out(&redeem(&rig, &url));
    register(&rig, &shop.query("")).refused(&[WRONG_KEY]);
    let shop = Shop { key: new, ..shop };
    let url = shop.register(&rig);
    let newest = save_new_key(&shop.org, &shop.store, shop.iuv, 3600);
    is_in(&redeem(&rig, &url), &shop, false);
    register(&rig, &shop.query("")).url();
    register(&rig, &shop.query("").replace(&shop.key, &newest)).url();
    let url = shop.register(&rig);
    shop.put("inactive");
    is_out(&redeem(&rig, &url));
    register(&rig, &shop.query("")).refused(&[NO_STORE]);
    shop.put("test");
    is_in(&redeem(&rig, &shop.register(&rig)), &shop, true);
}

#[test]
fn n10_a_token_opens_once_its_own_store_in_time_over_a_restart() {
    let mut rig = rig();
    let first = shop(&rig);
    let client = first.org.client.clone();
    let org = Org { client, id: first.org.id.clone(), owner: first.org.owner.clone(), token: first.org.token.clone() };
    let second = shop_of(&rig, org, "second");
    let url = first.register(&rig);
    is_out(&redeem(&rig, &url.replace(&first.guid, &second.guid)));
    let flipped: String = {
        let at = url.find("token=").unwrap() + 8;
        let other = if &url[at..=at] == "A" { "B" } else { "A" };
        format!("{}{other}{}", &url[..at], &url[at + 1..])
    };
    is_out(&redeem(&rig, &flipped));
    is_out(&redeem(&rig, &url.replace("token=", "tok=")));
    // As browsers and old code write it.
    let plain = url.replace("%2b", "+").replace("%2f", "/").replace("%3d", "=");
    rig.kill_and_start();
    is_in(
        &redeem(&rig, &plain.replace("&ws=", "&WS=").replace(&first.guid, &first.guid.to_uppercase())),
        &first,
        false,
    );
    is_out(&redeem(&rig, &url));
    rig.kill_and_start();
    is_out(&redeem(&rig, &url));
    let late = first.register(&rig);
    killed_until(&mut rig, 61);
    is_out(&redeem(&rig, &late));
    // The same server's clock counts on both sides.
    is_in(&redeem(&rig, &first.register(&rig)), &first, false);
    // The reason stands in the audit alone.
    let audit = first.org.client.get("/audit?type=sessions.redemption_refused&limit=50").is(200);
    let why: Vec<_> = audit["items"].as_array().unwrap().iter().map(|item| item["data"]["why"].clone()).collect();
    for expected in ["other_store", "redeemed_before", "too_late"] {
        assert!(why.contains(&expected.into()), "{why:?}");
    }
}

#[test]
fn n10_the_browser_comes_from_where_it_was_registered() {
    let rig = rig();
    let shop = shop(&rig);
    let url = register(&rig, &shop.query("&shopper_ip=203.0.113.77")).url();
    is_in(&redeem(&rig, &url), &shop, false);
    shop.set(json!({"check_shopper_ip": true}));
    let register = |more: &str| register(&rig, &shop.query(more));
    let url = register("&shopper_ip=203.0.113.77").url();
    is_out(&redeem(&rig, &url));
    is_in(&redeem_from(&rig, &url, "203.0.113.77"), &shop, false);
    is_in(&redeem(&rig, &register("").url()), &shop, false);
    register("&shopper_ip=elsewhere").refused(&[&parameter("shopper_ip")]);
}

#[test]
fn n10_two_browsers_at_the_same_instant_are_one_session() {
    const TIMES: usize = 1_000;
    let rig = rig_with(&[("IUV__FAILED_REDEMPTIONS_PER_SOURCE", "1000000")]);
    let shop = shop(&rig);
    let urls: Vec<_> = (0..TIMES).map(|n| register(&rig, &shop.query(&format!("&first_name=n{n}"))).url()).collect();
    let (start, mut both) = (Barrier::new(2), Vec::new());
    std::thread::scope(|threads| {
        let browser = || {
            urls.iter()
                .map(|url| {
                    start.wait();
                    let heard = redeem(&rig, url);
                    (heard.status, heard.header("set-cookie").map(str::to_owned))
                })
                .collect::<Vec<_>>()
        };
        let browsers = [threads.spawn(browser), threads.spawn(browser)];
        both.extend(browsers.map(|browser| browser.join().unwrap()));
    });
    let mut sessions = HashSet::new();
    for (one, other) in both[0].iter().zip(&both[1]) {
        assert!(matches!((one.0, other.0), (302, 403) | (403, 302)), "{one:?} {other:?}");
        sessions.extend([one, other].into_iter().filter_map(|(_, cookie)| cookie.as_deref()));
    }
    assert_eq!(sessions.len(), TIMES);
}

#[test]
fn n11_whoever_looks_ahead_redeems_nothing() {
    let rig = rig();
    let shop = shop(&rig);
    let url = shop.register(&rig);
    for _ in 0..3 {
        let heard = ask(&rig, "HEAD", url.strip_prefix(BASE).unwrap().as_bytes(), BROWSER);
        assert_eq!((heard.status, heard.header("set-cookie")), (200, None));
    }
    assert_eq!(ask(&rig, "POST", url.strip_prefix(BASE).unwrap().as_bytes(), BROWSER).status, 405);
    is_in(&redeem(&rig, &url), &shop, false);
}

#[test]
fn n15_the_key_is_in_no_log_mail_or_feed() {
    let rig = rig_with(&[("MAIL__DRIVER", "file"), ("MAIL__FROM", "castellan@shop.example"), ("LOG__LEVEL", "trace")]);
    let shop = shop(&rig);
    is_in(&redeem(&rig, &shop.register(&rig)), &shop, false);
    register(&rig, &shop.query("&x=1")).refused(&[NO_CLASS]);
    let wrong = "77777777777777777777777777777777";
    register(&rig, &shop.query("").replace(&shop.key, wrong)).refused(&[WRONG_KEY]);
    // Over plain HTTP nothing is done, and the key counts as exposed.
    let path = format!("/WebStore/Security/AuthenticateUser.aspx?{}", shop.query(""));
    let heard = ask_with(&rig, "GET", path.as_bytes(), &format!("X-Forwarded-For: {SERVER}\r\n"), b"");
    assert_eq!(heard.status, 400, "{heard:?}");
    assert!(heard.body.contains("SSL"));
    let shown = shop.org.client.get(&shop.path("")).is(200);
    assert_eq!(shown["verifications"][1]["key"]["exposed"], true, "{shown}");
    let mails = || {
        let folder = std::fs::read_dir(rig.data().join("mails")).into_iter().flatten();
        folder.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect::<Vec<_>>()
    };
    eventually("the IUV administrators are mailed", || !mails().is_empty());
    let mails = mails().concat();
    assert!(mails.contains("iuv@example.edu") && mails.contains("Segreteria"), "{mails}");
    let audit = shop.org.client.get("/audit?limit=200").is(200).to_string();
    let refusals = shop.org.client.get("/audit/refusals").is(200).to_string();
    let metrics = rig.observed("/metrics").told();
    for told in [&rig.log_text(), &mails, &audit, &refusals, &metrics, &shown.to_string()] {
        assert!(!told.contains(&shop.key) && !told.contains(wrong), "{told}");
        assert!(!told.contains("jsmith"), "nor the shopper's name: {told}");
    }
}
