//! The small store, as a browser and an administrator's program see it.

use crate::{
    rig::{Client, Rig, eventually, string},
    site::Org,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// A browser: keeps cookies by path, follows nothing by itself.
pub struct Browser<'a> {
    pub rig: &'a Rig,
    pub cookies: BTreeMap<String, String>,
    pub headers: Vec<(String, String)>,
}

pub struct Page {
    pub status: u16,
    pub head: String,
    pub html: String,
}

impl Page {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    #[track_caller]
    pub fn is(self, status: u16, page: &str) -> Self {
        let shown = self.html.split("data-page=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("-");
        assert_eq!((self.status, shown), (status, page), "{}\n{}", self.head, self.html);
        self
    }

    #[track_caller]
    pub fn leads_to(&self) -> String {
        assert_eq!(self.status, 303, "{}\n{}", self.head, self.html);
        self.header("location").unwrap().to_owned()
    }

    #[track_caller]
    pub fn token(&self) -> String {
        self.html.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }
}

pub fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { (byte as char).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

impl<'a> Browser<'a> {
    pub fn new(rig: &'a Rig) -> Self {
        Self { rig, cookies: BTreeMap::new(), headers: Vec::new() }
    }

    pub fn send(&mut self, method: &str, path: &str, body: Option<&str>) -> Page {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n");
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request += &format!("Cookie: {}\r\n", cookies.join("; "));
        }
        for (name, value) in &self.headers {
            request += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = body {
            request +=
                &format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", body.len());
        }
        request += &format!("\r\n{}", body.unwrap_or_default());
        let told = self.rig.raw(request.as_bytes());
        let (head, html) = told.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {told}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        for line in head.lines() {
            if let Some((name, value)) =
                line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
            {
                let _ = name;
                let (name, value) = value.trim().split(';').next().unwrap().split_once('=').unwrap();
                match value {
                    "" => self.cookies.remove(name),
                    value => self.cookies.insert(name.to_owned(), value.to_owned()),
                };
            }
        }
        Page { status, head: head.to_owned(), html: html.to_owned() }
    }

    pub fn get(&mut self, path: &str) -> Page {
        self.send("GET", path, None)
    }

    /// Sends a form of the page that stands under `of`.
    #[track_caller]
    pub fn post(&mut self, of: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.get(of).token();
        self.post_with(&token, path, fields)
    }

    pub fn post_with(&mut self, token: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut body = format!("token={}", escaped(token));
        for (name, value) in fields {
            body += &format!("&{name}={}", escaped(value));
        }
        self.send("POST", path, Some(&body))
    }
}

pub struct Store {
    pub client: Client,
    pub id: String,
    pub guid: String,
    pub account: String,
}

impl Store {
    pub fn of(org: &Org, name: &str, language: &str) -> Self {
        let body = json!({"system_name": name, "name": format!("Shop {name}"), "language": language});
        let made = org.client.post("/stores", &body).is(201);
        let (id, guid) = (string(&made, "store"), string(&made, "guid"));
        Self { client: org.client.clone(), id, guid, account: string(&made, "account") }
    }

    pub fn path(&self, rest: &str) -> String {
        format!("/stores/{}{rest}", self.id)
    }

    pub fn home(&self) -> String {
        format!("/WebStore/{}/", self.guid)
    }

    pub fn test_home(&self) -> String {
        format!("/WebStore/Test/{}/", self.guid)
    }

    pub fn product(&self, body: &Value) -> String {
        string(&self.client.post(&self.path("/products"), body).is(201), "product")
    }

    pub fn add_codes(&self, product: &str, codes: &[String]) {
        self.client.post(&self.path(&format!("/products/{product}/codes")), &json!({ "codes": codes })).is(200);
    }

    pub fn show_product(&self, product: &str) -> Value {
        self.client.get(&self.path(&format!("/products/{product}"))).is(200)
    }

    /// Puts a user on the list, and his password in its place.
    pub fn user(&self, rig: &Rig, name: &str, groups: &[&str]) -> String {
        let body = json!({"username": name, "email": format!("{}@uni.example", name.len()), "groups": groups});
        let shopper = string(&self.client.post(&self.path("/shoppers"), &body).is(201), "shopper");
        self.choose_password(rig, &shopper, "correct horse");
        shopper
    }

    pub fn choose_password(&self, rig: &Rig, shopper: &str, password: &str) {
        let invited = self.client.post(&self.path(&format!("/shoppers/{shopper}/invitation")), &json!({})).is(201);
        let url = string(&invited, "url");
        let link = url[url.find("/WebStore/").unwrap()..].to_owned();
        let mut browser = Browser::new(rig);
        let page = browser.get(&link).is(200, "set-password");
        let (shopper, key) = (field(&link, "shopper"), field(&link, "key"));
        let fields = [("shopper", &*shopper), ("key", &*key), ("password", password), ("again", password)];
        browser.post_with(&page.token(), link.split('?').next().unwrap(), &fields).is(200, "password-set");
    }

    pub fn sign_in<'a>(&self, rig: &'a Rig, name: &str) -> Browser<'a> {
        self.sign_in_at(rig, &self.home(), name)
    }

    pub fn sign_in_at<'a>(&self, rig: &'a Rig, home: &str, name: &str) -> Browser<'a> {
        let mut browser = Browser::new(rig);
        let fields = [("username", name), ("password", "correct horse")];
        let page = browser.post(&format!("{home}signin"), &format!("{home}signin/password"), &fields);
        assert_eq!(page.leads_to(), home);
        browser
    }
}

/// A parameter of an address, as it stands there.
pub fn field(url: &str, name: &str) -> String {
    url.split(['?', '&']).find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap().to_owned()
}

pub fn rig() -> Rig {
    Rig::with(&[
        ("LIMITS__UNAUTHENTICATED_REQUESTS_PER_MINUTE", "1000000"),
        ("IUV__SIGN_INS_PER_MINUTE_PER_SOURCE", "1000000"),
        ("PASSWORDS__MEMORY_KIB", "64"),
        ("PASSWORDS__ITERATIONS", "1"),
    ])
}

/// Orders a product and gives the number of the order.
#[track_caller]
pub fn order(browser: &mut Browser<'_>, home: &str, product: &str) -> String {
    let page = browser.post(&format!("{home}catalogue"), &format!("{home}cart"), &[("product", product)]);
    assert_eq!(page.leads_to(), format!("{home}cart"));
    let placed = browser.post(&format!("{home}cart"), &format!("{home}order"), &[]).leads_to();
    placed.strip_prefix(&format!("{home}orders/")).unwrap().to_owned()
}

#[track_caller]
pub fn code(browser: &mut Browser<'_>, home: &str, number: &str) -> Option<String> {
    let html = browser.get(&format!("{home}orders/{number}")).is(200, "order").html;
    html.split("<code>").nth(1).map(|rest| rest.split('<').next().unwrap().to_owned())
}

#[test]
fn a_shopper_orders_what_is_for_him_and_gets_a_code() {
    let rig = rig();
    let org = rig.org();
    let store = Store::of(&org, "campus", "it");
    let group = json!([{"class": "academic_statuses", "group": "students"}]);
    let mine = store.product(&json!({"name": "Editor <9>", "groups": group, "alert_below": 0}));
    let staff = json!([{"class": "academic_statuses", "group": "staff"}]);
    let other = store.product(&json!({"name": "Payroll", "groups": staff}));
    let hidden = store.product(&json!({"name": "Hidden", "listed": false}));
    store.add_codes(&mine, &["AAAA-1".to_owned(), "AAAA-2".to_owned()]);
    store.user(&rig, "anna", &["students"]);

    let home = store.home();
    let mut nobody = Browser::new(&rig);
    let page = nobody.get(&home).is(200, "home");
    assert_eq!(page.header("content-language"), Some("it"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !page.html.contains("<script"));
    assert!(page.html.contains("lang=\"it\"") && page.html.contains("Accesso"));
    nobody.post(&format!("{home}catalogue"), &format!("{home}cart"), &[("product", &mine)]).is(200, "signin");

    let mut anna = store.sign_in(&rig, "anna");
    let page = anna.get(&format!("{home}catalogue")).is(200, "catalogue");
    assert!(page.html.contains("Editor &#60;9&#62;") || page.html.contains("Editor &lt;9&gt;"), "{}", page.html);
    assert!(page.html.contains("Payroll") && !page.html.contains("Hidden"));
    let cart = format!("{home}cart");
    anna.post(&format!("{home}catalogue"), &cart, &[("product", &other)]).is(409, "catalogue");
    anna.post(&format!("{home}catalogue"), &cart, &[("product", &hidden)]).is(409, "catalogue");
    let number = order(&mut anna, &home, &mine);
    eventually("the code is there", || code(&mut anna, &home, &number).is_some());
    assert_eq!(code(&mut anna, &home, &number).as_deref(), Some("AAAA-1"));
    anna.post(&format!("{home}catalogue"), &cart, &[("product", &mine)]).leads_to();
    anna.post(&cart, &format!("{home}order"), &[]).is(409, "cart");
    anna.get(&format!("{home}orders")).is(200, "orders");
    anna.get(&format!("{home}orders/99")).is(404, "message");
    let shown = store.show_product(&mine);
    assert_eq!((shown["codes_left"].as_u64(), shown["codes_given"].as_u64()), (Some(1), Some(1)));
    let given = store.client.all(&store.path(&format!("/products/{mine}/codes")), 10);
    assert_eq!((given.len(), given[0]["number"].as_u64()), (1, Some(1)));
    assert!(!given[0].to_string().contains("AAAA"));
    let token = anna.get(&home).token();
    assert_eq!(anna.post_with(&token, &format!("{home}signout"), &[]).leads_to(), home);
    anna.get(&cart).is(200, "signin");
    assert!(!rig.log_text().contains("AAAA-1") && !rig.log_text().contains("correct horse"));
}

#[test]
fn a_test_order_has_no_code_and_takes_none() {
    let rig = rig();
    let org = rig.org();
    for (language, words) in [("it", "*Ordine di prova*"), ("de", "*Testbestellung*"), ("en", "*Test order*")] {
        let store = Store::of(&org, &format!("try-{language}"), language);
        let product = store.product(&json!({"name": "Editor"}));
        store.add_codes(&product, &[format!("BBBB-{language}")]);
        store.user(&rig, "anna", &[]);
        store.client.send("PUT", &store.path("/verifications/1/state"), &[], Some(br#"{"state":"test"}"#)).is(200);
        let home = store.test_home();
        let mut anna = store.sign_in_at(&rig, &home, "anna");
        let number = order(&mut anna, &home, &product);
        let page = anna.get(&format!("{home}orders/{number}")).is(200, "order");
        assert!(page.html.contains(words) && !page.html.contains("BBBB"), "{}", page.html);
        assert_eq!(store.show_product(&product)["codes_left"], 1);
        // What is in test opens nothing but the test store.
        anna.get(&format!("{}cart", store.home())).is(200, "signin");
        let orders = store.client.all(&store.path("/orders"), 10);
        assert_eq!(
            (orders.len(), &orders[0]["test"], &orders[0]["lines"][0]["code"]),
            (1, &json!(true), &json!("test"))
        );
        let report = store.client.get(&store.path("/report")).is(200);
        assert_eq!(
            (&report["member_orgs"][0]["orders"], &report["member_orgs"][0]["test_orders"]),
            (&json!(0), &json!(1))
        );
    }
}

#[test]
fn no_code_is_given_twice_whoever_comes_and_however_the_server_ends() {
    const SHOPPERS: usize = 24;
    let mut rig = rig();
    let org = rig.org();
    let store = Store::of(&org, "rush", "en");
    let product = store.product(&json!({"name": "Editor", "alert_below": 2}));
    let codes = |from: usize, to: usize| (from..to).map(|n| format!("CODE-{n}")).collect::<Vec<_>>();
    store.add_codes(&product, &codes(0, SHOPPERS - 6));
    let again = json!({"codes": ["NEW-1", "CODE-3"]});
    store.client.post(&store.path(&format!("/products/{product}/codes")), &again).problem(409, "products.code_taken");
    let twice = json!({"codes": ["NEW-1", "NEW-1"]});
    store.client.post(&store.path(&format!("/products/{product}/codes")), &twice).problem(400, "request.invalid");
    for n in 0..SHOPPERS {
        store.user(&rig, &format!("user{n}"), &[]);
    }
    let home = store.home();
    let orders: Vec<(BTreeMap<String, String>, String)> = std::thread::scope(|scope| {
        let (rig, store, product, home) = (&rig, &store, &product, &home);
        let handles: Vec<_> = (0..SHOPPERS)
            .map(|n| {
                scope.spawn(move || {
                    let mut browser = store.sign_in(rig, &format!("user{n}"));
                    let number = order(&mut browser, home, product);
                    (browser.cookies, number)
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    rig.kill_and_start();
    eventually("six wait", || store.show_product(&product)["waiting"] == 6);
    store.add_codes(&product, &codes(SHOPPERS - 6, SHOPPERS));
    rig.kill_and_start();
    let mut seen = HashSet::new();
    for (cookies, number) in orders {
        let mut browser = Browser { rig: &rig, cookies, headers: Vec::new() };
        eventually("a code", || code(&mut browser, &home, &number).is_some());
        let code = code(&mut browser, &home, &number).unwrap();
        assert!(seen.insert(code.clone()), "{code} was given twice");
    }
    assert_eq!(seen.len(), SHOPPERS);
    assert_eq!(store.show_product(&product)["codes_left"], 0);
}

#[test]
fn forms_of_others_and_sessions_of_other_stores_are_not_taken() {
    let rig = rig();
    let org = rig.org();
    let (one, two) = (Store::of(&org, "one", "en"), Store::of(&org, "two", "en"));
    let product = one.product(&json!({"name": "Editor"}));
    one.user(&rig, "anna", &[]);
    let (home, cart) = (one.home(), format!("{}cart", one.home()));
    let mut anna = one.sign_in(&rig, "anna");
    let token = anna.get(&format!("{home}catalogue")).token();
    for header in [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")] {
        anna.headers = vec![(header.0.to_owned(), header.1.to_owned())];
        anna.post_with(&token, &cart, &[("product", &product)]).is(403, "message");
    }
    anna.headers.clear();
    anna.post_with("1.x", &cart, &[("product", &product)]).is(403, "message");
    // A token of another browser.
    let other = Browser::new(&rig).get(&format!("{home}signin")).token();
    anna.post_with(&other, &cart, &[("product", &product)]).is(403, "message");
    // The session is of one store alone, and of its real side.
    anna.get(&format!("{}cart", two.home())).is(200, "signin");
    anna.get(&format!("{}cart", one.test_home())).is(200, "signin");
    let mut bent = Browser::new(&rig);
    let mut value = anna.cookies["ws_session"].clone();
    let at = value.len() - 10..value.len() - 9;
    let other = if &value[at.clone()] == "A" { "B" } else { "A" };
    value.replace_range(at, other);
    bent.cookies.insert("ws_session".to_owned(), value);
    bent.get(&cart).is(200, "signin");
    for path in ["/WebStore/x/", "/WebStore/00000000-0000-0000-0000-000000000001/", "/WebStore/Test/x/cart"] {
        assert_eq!(Browser::new(&rig).get(path).status, 404, "{path}");
    }
    for body in ["token=%FF", "token=%zz", &"x=1&".repeat(20_000)] {
        let status = Browser::new(&rig).send("POST", &cart, Some(body)).status;
        assert!((400..500).contains(&status), "{status}");
    }
}
