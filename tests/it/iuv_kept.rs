//! Customers' servers and browsers that keep their connections, and how far a sign-in carries.

use crate::{
    iuv::{BASE, BROWSER, Heard, SERVER, Shop, is_in, parameter, redeem, rig, rig_with, shop},
    rig::{Rig, complete, eventually},
    shop::{Browser, code, order},
};
use serde_json::json;
use std::{
    collections::HashSet,
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// A connection that is kept.
struct Kept(TcpStream);

impl Kept {
    fn open(rig: &Rig) -> Self {
        let stream = TcpStream::connect(rig.addresses().api).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    #[track_caller]
    fn ask(&mut self, method: &str, target: &[u8], from: &str, body: &[u8]) -> Heard {
        let mut request = [method.as_bytes(), b" ", target].concat();
        let headers = format!(
            " HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: {from}\r\nX-Forwarded-Proto: https\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        request.extend_from_slice(headers.as_bytes());
        request.extend_from_slice(body);
        self.0.write_all(&request).unwrap();
        let (mut heard, mut part) = (Vec::new(), [0; 4096]);
        while !complete(&heard) {
            let read = self.0.read(&mut part).unwrap();
            assert!(read > 0, "the connection ended: {:?}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&part[..read]);
        }
        let heard = String::from_utf8(heard).unwrap();
        let (head, body) = heard.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Heard { status, head: head.to_owned(), body: body.to_owned() }
    }

    #[track_caller]
    fn register(&mut self, shop: &Shop, name: &[u8]) -> Heard {
        let query = format!("account={}&key={}&academic_statuses=students&username=", shop.account, shop.key);
        let target = [b"/WebStore/Security/AuthenticateUser.aspx?", query.as_bytes(), name].concat();
        self.ask("GET", &target, SERVER, b"")
    }

    #[track_caller]
    fn redeem(&mut self, url: &str) -> Heard {
        self.ask("GET", url.strip_prefix(BASE).unwrap().as_bytes(), BROWSER, b"")
    }
}

#[test]
fn n14_each_request_of_a_kept_connection_is_read_as_the_first_is() {
    let rig = rig();
    let shop = shop(&rig);
    let mut kept = Kept::open(&rig);
    for name in ["Jürgen", "\"John\"", "<John>", "a\\b", "{a|b}^`", "Жанна", "plain"] {
        kept.register(&shop, name.as_bytes()).url();
    }
    kept.register(&shop, b"J\xfcrgen").refused(&[&parameter("username")]);
    // Behind a body, too: what stands in it is nobody's request.
    let body = "GET /<ü> HTTP/1.1\r\n\r\n";
    let posted = kept.ask("POST", b"/WebStore/Security/AuthenticateUser.ashx", SERVER, body.as_bytes());
    assert_eq!(posted.status, 400, "{posted:?}");
    kept.register(&shop, "Zoë".as_bytes()).url();
    // A raw blank is a clean 400 wherever it stands, and the end of the connection.
    let blank = kept.register(&shop, b"John Smith");
    assert_eq!(blank.status, 400, "{blank:?}");
    assert!(blank.head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{blank:?}");
    // Behind a body in pieces lines are read strictly: a clean 400 as well.
    let mut kept = Kept::open(&rig);
    let chunked = "POST /WebStore/Security/AuthenticateUser.ashx HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    kept.0.write_all(chunked.as_bytes()).unwrap();
    let read = kept.0.read(&mut [0; 4096]).unwrap();
    assert!(read > 0);
    assert_eq!(kept.register(&shop, "Zoë".as_bytes()).status, 400);
}

#[test]
fn n12_a_term_begins_and_each_of_two_thousand_is_redeemed_once() {
    const TOGETHER: usize = 20;
    const EACH: usize = 100;
    let rig = rig_with(&[("IUV__FAILED_REDEMPTIONS_PER_SOURCE", "1000000")]);
    let shop = shop(&rig);
    let cookies: Vec<String> = std::thread::scope(|threads| {
        let (rig, shop) = (&rig, &shop);
        let campus = |number: usize| {
            let (mut server, mut browser) = (Kept::open(rig), Kept::open(rig));
            let come = |n: usize| {
                let url = server.register(shop, format!("user{number}.{n}").as_bytes()).url();
                let came = browser.redeem(&url);
                is_in(&came, shop, false);
                if n.is_multiple_of(10) {
                    assert_eq!(browser.redeem(&url).status, 403);
                }
                came.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
            };
            (0..EACH).map(come).collect::<Vec<_>>()
        };
        let all: Vec<_> = (0..TOGETHER).map(|number| threads.spawn(move || campus(number))).collect();
        all.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(cookies.iter().collect::<HashSet<_>>().len(), TOGETHER * EACH);
    let home = format!("/WebStore/{}/", shop.guid);
    for (n, cookie) in cookies.iter().enumerate().step_by(199) {
        let mut browser = Browser::new(&rig);
        browser.cookies.insert("ws_session".to_owned(), cookie.split_once('=').unwrap().1.to_owned());
        let html = browser.get(&home).is(200, "home").html;
        assert!(html.contains(&format!("user{}.{}<", n / EACH, n % EACH)), "{n}: {html}");
    }
}

#[test]
fn from_the_customers_site_into_the_store_to_an_order_and_out() {
    let mut rig = rig_with(&[("IUV__SESSION_S", "36000")]);
    let shop = shop(&rig);
    let client = &shop.org.client;
    let made = |name: &str, group: &str| {
        let groups = json!([{"class": "academic_statuses", "group": group}]);
        let made = client.post(&shop.path("/products"), &json!({"name": name, "groups": groups})).is(201);
        crate::rig::string(&made, "product")
    };
    let (mine, other) = (made("Editor", "students"), made("Payroll", "staff"));
    client.post(&shop.path(&format!("/products/{mine}/codes")), &json!({"codes": ["AAAA-1", "AAAA-2"]})).is(200);
    let home = format!("/WebStore/{}/", shop.guid);
    // Adding to the cart needs a user: he is sent to the customer's own page.
    let mut browser = Browser::new(&rig);
    client.send("PUT", &shop.path("/verifications/1/state"), &[], Some(br#"{"state":"inactive"}"#)).is(200);
    let away = browser.post(&format!("{home}catalogue"), &format!("{home}cart"), &[("product", &mine)]).leads_to();
    assert_eq!(away, "https://www.example.edu/login?action=signin");
    let came = redeem(&rig, &shop.register(&rig));
    is_in(&came, &shop, false);
    let cookie = came.header("set-cookie").unwrap().split(';').next().unwrap();
    browser.cookies.insert("ws_session".to_owned(), cookie.split_once('=').unwrap().1.to_owned());
    assert!(browser.get(&home).is(200, "home").html.contains("jsmith"));
    let page = browser.get(&format!("{home}catalogue")).is(200, "catalogue");
    assert!(page.html.contains("Editor") && page.html.contains("Payroll"));
    browser.post(&format!("{home}catalogue"), &format!("{home}cart"), &[("product", &other)]).is(409, "catalogue");
    let number = order(&mut browser, &home, &mine);
    eventually("the code is there", || code(&mut browser, &home, &number).is_some());
    assert_eq!(code(&mut browser, &home, &number).as_deref(), Some("AAAA-1"));
    // Sessions may become shorter: those that are open go on, and no page of theirs waits.
    let cookies = browser.cookies.clone();
    rig.kill();
    rig.set("IUV__SESSION_S", "600");
    rig.start_again();
    let mut browser = Browser { rig: &rig, cookies, headers: Vec::new() };
    browser.get(&home).is(200, "home");
    let began = Instant::now();
    for _ in 0..5 {
        browser.get(&home).is(200, "home");
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let token = browser.get(&home).token();
    let left = browser.post_with(&token, &format!("{home}signout"), &[]).leads_to();
    assert_eq!(left, "https://www.example.edu/login?action=signout");
    assert!(!browser.cookies.contains_key("ws_session"));
}
