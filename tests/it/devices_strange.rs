//! What strangers try at the devices: hanging up, asking what refusals cost, keys that are none, phones of others.

use crate::{
    devices::{ELSEWHERE, Phone, is_full, other, phone, rig},
    devices_page::{open, outcome},
    rig::{Answer, Rig, eventually},
};
use serde_json::json;
use std::{io::Write, net::TcpStream, time::Duration};

/// The answer to a challenge as an old phone computes it.
fn digest(phone: &Phone, asked: &Answer, password: &str) -> String {
    use md5::Digest;
    let md5 = |text: String| md5::Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let challenge = asked.headers.get_all("www-authenticate").iter().nth(1).unwrap().to_str().unwrap();
    let value = |name: &str| challenge.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap();
    let (realm, nonce, uri) = (value("realm"), value("nonce"), format!("{}/{}", phone.path, phone.file()));
    let secret = md5(format!("{}:{realm}:{password}", phone.mac));
    let response = md5(format!("{secret}:{nonce}:00000001:abc:auth:{}", md5(format!("GET:{uri}"))));
    format!(
        "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm=MD5, qop=auth, \
         nc=00000001, cnonce=\"abc\", response=\"{response}\"",
        phone.mac
    )
}

#[test]
fn a_phone_asks_the_person_at_it() {
    let mut rig = rig();
    rig.kill();
    rig.set("PROVISIONING__ASK_FOR_PAP", "true");
    rig.start_again();
    let org = rig.org();
    let phone = phone(&rig, &org, "000413abcdef");
    let unknown = Phone { mac: "000413999999".into(), ..phone.clone() };
    let pap = phone.pap();
    let (asked, nobody) = (phone.fetch(), unknown.fetch());
    assert_eq!((asked.status, nobody.status, asked.body.len()), (401, 401, nobody.body.len()));
    let challenges = asked.headers.get_all("www-authenticate").iter().count();
    assert!(challenges == 2 && asked.header("www-authenticate").unwrap().contains("realm=\"PAP\""));
    let answers =
        |phone: &Phone, authorization: &str| phone.send("GET", &phone.file(), &[("authorization", authorization)]);
    // A retry is the same guess; in clear nothing is taken.
    let wrong = digest(&phone, &asked, &other(&pap, 1));
    for _ in 0..3 {
        assert!(!is_full(&answers(&phone, &wrong)));
    }
    assert_eq!(phone.show()["wrong"], 1);
    assert!(!is_full(&answers(&unknown, &digest(&unknown, &nobody, &pap))));
    assert!(!is_full(&answers(&phone, &digest(&unknown, &nobody, &pap))), "of another phone");
    let basic = |password: &str| {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        format!("Basic {}", STANDARD.encode(format!("{}:{password}", phone.mac)))
    };
    assert!(!is_full(&answers(&phone, &basic(&pap))));
    assert_eq!(phone.show()["wrong"], 1);
    let right = answers(&phone, &digest(&phone, &asked, &pap));
    assert!(is_full(&right), "at once");
    eventually("provisioned", || phone.done());
    assert_eq!(phone.show()["window"]["address"], phone.address);
    // Three wrong ones lock it here too, and the right one is refused then.
    phone.act("reset");
    let stranger = phone.at(ELSEWHERE);
    let pap = phone.pap();
    for by in 1..4 {
        let asked = stranger.fetch();
        assert!(!is_full(&answers(&stranger, &digest(&stranger, &asked, &other(&pap, by)))));
    }
    assert_eq!(phone.show()["state"], "failed");
    assert!(!is_full(&answers(&stranger, &digest(&stranger, &stranger.fetch(), &pap))));
    assert_eq!(phone.show()["locked_attempts"], 1);
    // In clear where that is allowed; what is no PAP is not judged.
    rig.kill();
    rig.set("PROVISIONING__BASIC_OVER_HTTP", "true");
    rig.start_again();
    phone.act("reset");
    let pap = phone.pap();
    assert!(!is_full(&answers(&stranger, &basic("admin"))));
    assert_eq!(phone.show()["wrong"], 0);
    assert!(!is_full(&answers(&stranger, &basic(&other(&pap, 1)))));
    assert_eq!(phone.show()["wrong"], 1);
    assert!(is_full(&answers(&stranger, &basic(&pap))));
}

fn guarded(per_source: &str) -> Rig {
    Rig::with(&[("HTTP__TRUSTED_PROXIES", "127.0.0.0/8"), ("DEVICES__WRONG_PAPS_PER_SOURCE", per_source)])
}

#[test]
fn who_hangs_up_is_counted_all_the_same() {
    let rig = guarded("50");
    let org = rig.org();
    let phones: Vec<Phone> = (0..60).map(|n| phone(&rig, &org, &format!("0004130000{n:02x}"))).collect();
    let page = open(&phones[0]);
    for (n, phone) in phones.iter().enumerate() {
        let body = format!("mac={}&pap={}&token={}", phone.mac, other(&phone.pap(), 1), page.token);
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {ELSEWHERE}\r\nCookie: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            page.path,
            page.cookie,
            body.len()
        );
        let mut stream = TcpStream::connect(rig.addresses().api).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        // Sooner or later in what becomes of it.
        std::thread::sleep(Duration::from_micros(100 * n as u64));
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(stream);
    }
    let judged = phones.iter().filter(|phone| phone.show()["wrong"] == 1).count();
    assert!(judged > 0 && judged <= 14, "{judged}: a tenth of fifty may be judged, and what is judged at once");
    let attacker = phones[0].at(ELSEWHERE);
    assert_eq!(outcome(&page.send(&attacker, &attacker.mac, "000000", &[])), "too_many");
}

/// 14. When a source is closed does not tell whether there is a device, nor where it stands.
#[test]
fn refusals_cost_alike() {
    let rig = guarded("50");
    let org = rig.org();
    let [done, locked, open_one] = ["000413000001", "000413000002", "000413000003"].map(|mac| phone(&rig, &org, mac));
    done.provision();
    for by in 1..4 {
        locked.outcome(&other(&locked.pap(), by));
    }
    let page = open(&done);
    let unknown = Phone { mac: "000413999999".into(), ..done.clone() };
    let wrong = other(&open_one.pap(), 1);
    for (last, phone) in [&done, &locked, &open_one, &unknown].into_iter().enumerate() {
        let stranger = phone.at(&format!("203.0.113.{last}"));
        let taken =
            (0..20).take_while(|_| outcome(&page.send(&stranger, &phone.mac, &wrong, &[])) == "refused").count();
        assert_eq!(taken, 6, "{last}");
    }
}

#[test]
fn odd_paths_are_no_phones_and_break_nothing() {
    let rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "805e0cabcdef");
    let long = format!("key-{}/y000000000000.boot", "a".repeat(5_000));
    let agent = [("user-agent", "Yealink SIP-T46S 66.86.0.15 80:5e:0c:ab:cd:ef")];
    for odd in [
        "key-a'b/y000000000000.boot",
        "key-%22/y000000000000.boot",
        "key-%0Ax=1/805e0cabcdef.cfg",
        "key-a&b/y000000000066.cfg",
        "key-/../../phone/x",
        "key-/805e0cabcdef.cfg",
        "auth/auth/805e0cabcdef.cfg",
        "auth/key-x/805e0cabcdef.cfg",
        "..%2f805e0cabcdef.cfg",
        "805e0cabcdef.cfg%00",
        "805e0cabcdef.cfg?mac=x",
        "805e0cabcdef.cfg?mac=805e0c000000",
        &long,
    ] {
        let answer = phone.send("GET", odd, &agent);
        let minimal = answer.status == 200 && !is_full(&answer);
        assert!(
            minimal || matches!(answer.status, 400 | 401 | 403 | 404),
            "{odd}: {} {}",
            answer.status,
            answer.told()
        );
    }
    for authorization in [
        "Basic",
        "Basic !!!!",
        "Basic ODA1ZTBjYWJjZGVm",
        "Digest",
        "Digest username=",
        "Digest username=\"\\",
        "Digest username=\"805e0cabcdef\", username=\"x\"",
        "Digest realm=\"phones\", nonce=\"0\", uri=\"/\", response=\"\"",
        "Bearer x",
        "Negotiate YII=",
    ] {
        for file in ["805e0cabcdef.cfg", "auth/805e0cabcdef.cfg"] {
            let answer = phone.send("GET", file, &[agent[0], ("authorization", authorization)]);
            assert!(matches!(answer.status, 200 | 400 | 401), "{authorization}: {}", answer.status);
            assert!(answer.status != 200 || !is_full(&answer), "{authorization}");
        }
    }
    assert_eq!(phone.show()["wrong"], 0);
}

/// A file can be made of what is set up, whatever phone asks, or it is said that it cannot.
#[test]
fn accounts_fit_the_phones_of_their_vendor() {
    let rig = rig();
    let org = rig.org();
    let accounts = |count: usize, password: &str| {
        (0..count).map(|n| json!({"user": format!("2{n:02}"), "password": password})).collect::<Vec<_>>()
    };
    let new = |vendor: &str, accounts: Vec<_>| {
        org.client.post("/devices", &json!({"mac": "00:04:13:00:00:01", "vendor": vendor, "accounts": accounts}))
    };
    new("htek", accounts(2, "x")).problem(400, "request.invalid");
    new("aastra", accounts(1, "a#b")).problem(400, "request.invalid");
    let device = new("snom", accounts(12, "s3cret-sip#\"")).is(201)["device"].as_str().unwrap().to_owned();
    let at = format!("/devices/{device}");
    for vendor in ["htek", "aastra"] {
        org.client.patch(&at, &json!({"vendor": vendor})).problem(400, "request.invalid");
        let csv = format!("mac,vendor,type\n000413000001,{vendor},x\n");
        let sent = [("content-type", "text/csv")];
        let answer = org.client.send("POST", "/devices/import?mode=replace", &sent, Some(csv.as_bytes()));
        assert!(answer.told().contains("request.invalid"), "{}", answer.told());
    }
    assert_eq!(org.client.get(&at).is(200)["vendor"], "snom");
    org.client.patch(&at, &json!({"vendor": "htek", "accounts": accounts(1, "s3cret-sip")})).is(200);
    org.client.patch(&at, &json!({"vendor": "snom", "accounts": accounts(12, "s3cret-sip#\"")})).is(200);
    // A phone that is another one than was set up, and may come.
    org.client.post("/phones/whitelist", &json!({"network": "192.0.2.0/24"})).is(201);
    let path = crate::devices::path_of(&org);
    let comes = |agent: &str, file: &str| {
        let headers = [("x-forwarded-for", "192.0.2.7"), ("user-agent", agent)];
        rig.nobody().send("GET", &format!("{path}/{file}"), &headers, None)
    };
    comes("Aastra6757i MAC:00-04-13-00-00-01 V:3.3.1.4365", "000413000001.cfg").problem(404, "object.not_found");
    let yealink = comes("Yealink SIP-T46S 66.86.0.15 00:04:13:00:00:01", "000413000001.cfg");
    assert!(is_full(&yealink));
    assert!(yealink.told().contains("account.1.label = 200"), "without names its user: {}", yealink.told());
    org.client.patch(&at, &json!({"accounts": accounts(12, "s3cret-sip")})).is(200);
    assert!(is_full(&comes("Htek UC903 2.0.4.4.33 00:04:13:00:00:01", "cfg000413000001.xml")), "its first account");
}
