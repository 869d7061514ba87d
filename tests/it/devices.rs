//! Phones as they come: what they ask for, what they get, and when they are trusted. Numbers are those of what a
//! demanding user tries.

use crate::{
    rig::{Answer, Client, Rig, eventually, string},
    site::Org,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A rig whose requests may say where they come from.
pub fn rig() -> Rig {
    Rig::with(&[("HTTP__TRUSTED_PROXIES", "127.0.0.0/8")])
}

pub const OFFICE: &str = "192.0.2.7";
pub const ELSEWHERE: &str = "198.51.100.9";

/// A device that was set up, and the phone that is it.
#[derive(Clone)]
pub struct Phone {
    pub org: Client,
    pub nobody: Client,
    pub device: String,
    pub mac: String,
    /// `/provisioning/…` of its organisation.
    pub path: String,
    pub address: String,
}

pub fn path_of(org: &Org) -> String {
    let url = match org.client.get("/phones/settings").is(200)["provisioning_url"].as_str() {
        Some(url) => url.to_owned(),
        None => string(&org.client.post("/phones/path", &json!({})).is(201), "provisioning_url"),
    };
    url[url.find("/provisioning/").unwrap()..].to_owned()
}

pub fn phone(rig: &Rig, org: &Org, mac: &str) -> Phone {
    let accounts = json!([{"user": "201", "password": "s3cret-sip", "name": "Reception"}]);
    let body = json!({"mac": mac, "vendor": "snom", "model": "D785", "label": "Reception", "accounts": accounts});
    let device = string(&org.client.post("/devices", &body).is(201), "device");
    Phone {
        org: org.client.clone(),
        nobody: rig.nobody(),
        device,
        mac: mac.to_lowercase().replace([':', '-'], ""),
        path: path_of(org),
        address: OFFICE.to_owned(),
    }
}

impl Phone {
    pub fn at(&self, address: &str) -> Self {
        Self { address: address.to_owned(), ..self.clone() }
    }

    pub fn file(&self) -> String {
        format!("snomD785-{}.htm", self.mac.to_uppercase())
    }

    pub fn send(&self, method: &str, file: &str, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("x-forwarded-for", &*self.address)];
        all.extend_from_slice(headers);
        self.nobody.send(method, &format!("{}/{file}", self.path), &all, None)
    }

    pub fn fetch(&self) -> Answer {
        self.send("GET", &self.file(), &[])
    }

    /// Whether it is given its accounts.
    pub fn is_full(&self) -> bool {
        is_full(&self.fetch())
    }

    pub fn show(&self) -> Value {
        self.org.get(&format!("/devices/{}", self.device)).is(200)
    }

    pub fn pap(&self) -> String {
        string(&self.org.get(&format!("/devices/{}/pap", self.device)).is(200), "pap")
    }

    pub fn enter(&self, pap: &str) -> Value {
        self.org.post("/devices/authenticate", &json!({"mac": self.mac, "pap": pap})).is(200)
    }

    pub fn outcome(&self, pap: &str) -> String {
        string(&self.enter(pap), "outcome")
    }

    pub fn act(&self, action: &str) {
        self.org.post(&format!("/devices/{}/{action}", self.device), &json!({})).is(200);
    }

    pub fn done(&self) -> bool {
        let shown = self.show();
        shown["state"] == "successful" && shown["provisioning"] == false
    }

    /// From the first minimal fetch to the whole configuration.
    pub fn provision(&self) -> Answer {
        assert!(!self.is_full());
        assert_eq!(self.outcome(&self.pap()), "accepted");
        let answer = self.fetch();
        assert!(is_full(&answer), "{}", answer.told());
        eventually("provisioned", || self.done());
        answer
    }
}

/// A PAP that is not this one.
pub fn other(pap: &str, by: u32) -> String {
    format!("{:06}", (pap.parse::<u32>().unwrap() + by) % 1_000_000)
}

pub fn is_full(answer: &Answer) -> bool {
    assert_eq!(answer.status, 200, "{}", answer.told());
    let told = answer.told();
    let (full, minimal) = (told.contains("s3cret-sip"), told.contains("pap-"));
    assert!(full != minimal, "{told}");
    full
}

/// What a configuration tells the phone to show at its next requests.
fn credential(answer: &Answer) -> String {
    let told = answer.told();
    let letters =
        |text: &&str| text.len() == 20 && text.bytes().all(|byte| b"0123456789abcdefghjkmnpqrstvwxyz".contains(&byte));
    let mut parts = told.split(|c: char| !c.is_ascii_alphanumeric());
    parts.find(letters).unwrap_or_else(|| panic!("{told}")).to_owned()
}

#[test]
fn a_phone_comes_asks_is_trusted_and_stays() {
    let rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "00:04:13:AB:CD:EF");
    let shown = phone.show();
    assert_eq!(
        (shown["state"].as_str(), shown["has_pap"].as_bool(), shown["mac"].as_str()),
        (Some("required"), Some(true), Some("000413abcdef"))
    );
    assert!(!phone.is_full());
    eventually("its contact is noted", || phone.show()["last_contact"]["address"] == OFFICE);
    let pap = phone.pap();
    assert_eq!(phone.outcome(&other(&pap, 1)), "wrong");
    let told = phone.enter(&pap);
    assert_eq!(told["outcome"], "accepted");
    let shown = phone.show();
    assert_eq!(
        (shown["state"].as_str(), shown["provisioning"].as_bool(), shown["wrong"].as_u64()),
        (Some("successful"), Some(true), Some(0))
    );
    assert_eq!(shown["window"]["address"], OFFICE);
    // Neither a look nor a part nor what it has already is the whole.
    let head = phone.send("HEAD", &phone.file(), &[]);
    assert!(head.status == 200 && head.body.is_empty());
    let tag = head.header("etag").unwrap().to_owned();
    assert_eq!(phone.send("GET", &phone.file(), &[("range", "bytes=0-9")]).status, 206);
    assert_eq!(phone.send("GET", &phone.file(), &[("if-none-match", &tag)]).status, 304);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(phone.show()["provisioning"], true);
    let answer = phone.fetch();
    assert!(is_full(&answer));
    assert_eq!(answer.header("etag"), Some(&*tag), "an unchanged file stays unchanged");
    eventually("provisioned", || phone.done());
    assert_eq!(phone.show()["has_pap"], false);
    assert_eq!(phone.show()["lost_configuration"], false, "although its minimal fetch was a moment ago");
    phone.org.get(&format!("/devices/{}/pap", phone.device)).problem(404, "devices.no_pap");
    assert_eq!(phone.outcome(&pap), "not_needed");
    // Its own credential leads from everywhere, as a part of the path and by Basic where that may be.
    let secret = credential(&answer);
    let away = phone.at(ELSEWHERE);
    assert!(is_full(&away.send("GET", &format!("key-{secret}/{}", phone.file()), &[])));
    assert!(!is_full(&away.send("GET", &format!("key-{}/{}", "0".repeat(20), phone.file()), &[])));
    assert!(!away.is_full());
    // Who changes all the time is noted every ten seconds.
    let seems_lost = || {
        std::thread::sleep(Duration::from_millis(500));
        !away.is_full() && phone.show()["lost_configuration"] == true
    };
    assert!((0..40).any(|_| seems_lost()));
}

fn md5(text: String) -> String {
    use md5::Digest;
    md5::Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_phone_shows_its_credential_when_it_is_asked() {
    let rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "000413abcdef");
    let secret = credential(&phone.provision());
    let away = phone.at(ELSEWHERE);
    let file = format!("auth/{}", phone.file());
    let asked = away.send("GET", &file, &[]);
    assert_eq!(asked.status, 401);
    let challenges: Vec<_> =
        asked.headers.get_all("www-authenticate").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(challenges[0].contains("SHA-256") && challenges[1].contains("MD5"), "{challenges:?}");
    assert_eq!(challenges.len(), 2, "no Basic in clear");
    let unknown = Phone { mac: "000413000000".into(), ..away.clone() };
    assert_eq!(unknown.send("GET", &format!("auth/{}", unknown.file()), &[]).status, 401, "whoever it is");
    let nonce = challenges[1].split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let uri = format!("{}/{file}", phone.path);
    let header = |password: &str, nonce: &str, count: u32| {
        let ha1 = md5(format!("{}:phones:{password}", phone.mac));
        let response = md5(format!("{ha1}:{nonce}:{count:08x}:abc:auth:{}", md5(format!("GET:{uri}"))));
        format!(
            "Digest username=\"{}\", realm=\"phones\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm=MD5, qop=auth, \
             nc={count:08x}, cnonce=\"abc\", response=\"{response}\"",
            phone.mac
        )
    };
    let shows = |password: &str, nonce: &str, count| {
        away.send("GET", &file, &[("authorization", &header(password, nonce, count))])
    };
    assert!(!is_full(&shows("wrong", nonce, 1)), "and nothing is used up by it");
    assert!(is_full(&shows(&secret, nonce, 1)));
    assert!(is_full(&shows(&secret, nonce, 3)) && is_full(&shows(&secret, nonce, 2)), "one has overtaken another");
    // Whoever has overheard it, or a phone that does not count: it gets a new nonce, and may try again.
    for count in 1..4 {
        let again = shows(&secret, nonce, count);
        assert_eq!(again.status, 401);
        let challenge = again.header("www-authenticate").unwrap().to_owned();
        assert!(challenge.contains("stale=true"), "{challenge}");
        let nonce = challenge.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(is_full(&shows(&secret, nonce, 1)));
    }
    // 6. After a reset it is a stranger again.
    phone.act("reset");
    assert!(!is_full(&shows(&secret, nonce, 4)));
    assert!(!phone.at("203.0.113.5").is_full());
    assert_eq!(phone.show()["state"], "required");
}

#[test]
fn n6_after_a_reset_the_next_fetch_is_minimal() {
    let rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "000413abcdef");
    let old = phone.pap();
    phone.provision();
    eventually("its address is trusted for a while", || {
        org.client.get("/phones/whitelist").is(200)["items"].as_array().unwrap().len() == 1
    });
    let entry = org.client.get("/phones/whitelist").is(200)["items"][0].clone();
    assert_eq!(entry["network"], format!("{OFFICE}/32"), "as networks are shown everywhere");
    let entry = &entry["entry"];
    org.client.delete(&format!("/phones/whitelist/{entry}")).is(200);
    phone.act("reset");
    assert!(!phone.is_full());
    if old != phone.pap() {
        assert_eq!(phone.outcome(&old), "wrong");
    }
    phone.act("suspension");
    assert!(phone.is_full(), "nothing is asked of it");
    eventually("provisioned", || phone.done());
}

#[test]
fn n8_addresses_in_every_form_and_forged_ones() {
    let rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "000413abcdef");
    let allow = |network: &str| org.client.post("/phones/whitelist", &json!({"network": network}));
    for (wrong, corrected) in [
        ("192.0.2.7/24", "192.0.2.0/24"),
        ("192.0.2.0/33", "192.0.2.0/32"),
        ("192.0.2.007", "192.0.2.7/32"),
        ("192.0.2.0./24", "192.0.2.0/24"),
        ("192.0.2.9/255.255.255.0", "192.0.2.0/24"),
    ] {
        let told = allow(wrong).problem(400, "request.invalid");
        assert!(told["errors"][0]["detail"].as_str().unwrap().contains(corrected), "{told}");
    }
    for nothing in ["", "office", "10.0.0.0/8/8", "0x7f.1.1.1"] {
        allow(nothing).problem(400, "request.invalid");
    }
    allow("0.0.0.0/0").problem(400, "request.invalid");
    let made = allow("192.0.2.0/255.255.255.0").is(201);
    assert_eq!(made["network"], "192.0.2.0/24");
    assert_eq!(allow("192.0.2.0/24").is(201)["entry"], made["entry"], "one entry for one network");
    allow("2001:db8:5::/48").is(201);
    for (from, full) in [
        ("192.0.2.200", true),
        ("::ffff:192.0.2.200", true),
        ("192.0.3.1", false),
        ("2001:db8:5::77", true),
        ("2001:db8:6::77", false),
        ("192.0.2.200, 203.0.113.9", false),
        ("rubbish", false),
    ] {
        phone.act("reset");
        assert_eq!(phone.at(from).is_full(), full, "{from}");
    }
    org.client.delete(&format!("/phones/whitelist/{}", made["entry"])).is(200);
    org.client.delete(&format!("/phones/whitelist/{}", made["entry"])).problem(404, "object.not_found");
    phone.act("reset");
    assert!(!phone.at("192.0.2.200").is_full());
    // Without proxies a header is a stranger's word.
    let rig = Rig::start();
    let org = rig.org();
    let phone = self::phone(&rig, &org, "000413abcdef");
    org.client.post("/phones/whitelist", &json!({"network": "192.0.2.0/24"})).is(201);
    assert!(!phone.at("192.0.2.200").is_full());
    org.client.post("/phones/whitelist", &json!({"network": "127.0.0.1"})).is(201);
    assert!(phone.is_full());
}

#[test]
fn n10_two_organisations_behind_one_address_share_nothing() {
    let rig = rig();
    let (ours, theirs) = (rig.org(), rig.org());
    let our_phone = phone(&rig, &ours, "000413abcdef");
    let their_phone = phone(&rig, &theirs, "000413abcdef");
    our_phone.provision();
    eventually("trusted", || ours.client.get("/phones/whitelist").is(200)["items"].as_array().unwrap().len() == 1);
    assert_eq!(theirs.client.get("/phones/whitelist").is(200)["items"], json!([]));
    assert!(!their_phone.is_full());
    let neighbour = phone(&rig, &ours, "000413abcdee");
    assert!(neighbour.is_full(), "but a phone beside ours is trusted");
    eventually("provisioned", || neighbour.done());
    ours.client
        .post("/devices", &json!({"mac": "00-04-13-AB-CD-EF", "vendor": "snom"}))
        .problem(409, "devices.mac_taken");
}

#[test]
fn n15_whole_start_sequences_in_a_second() {
    let rig = rig();
    let org = rig.org();
    let mut phone = phone(&rig, &org, "805e0cabcdef");
    let started = Instant::now();
    let yealink = [("user-agent", "Yealink SIP-T46S 66.86.0.15 80:5e:0c:ab:cd:ef")];
    for (file, status) in
        [("y000000000000.boot", 200), ("805e0cabcdef.boot", 404), ("y000000000066.cfg", 200), ("805e0cabcdef.cfg", 200)]
    {
        let answer = phone.send("GET", file, &yealink);
        assert!(answer.status == status || answer.status == 200 || answer.status == 404, "{file}: {}", answer.told());
    }
    let config = phone.send("GET", "805e0cabcdef.cfg", &yealink);
    assert!(config.status == 200 && config.told().starts_with("#!version:1.0.0.1"), "{}", config.told());
    let polycom = [("user-agent", "FileTransport PolycomVVX-VVX_411-UA/5.9.0.9373 (SN:0004f2abcdef) Type/Application")];
    phone.mac = "0004f2abcdef".into();
    for file in [
        "0004f2abcdef.cfg",
        "0004f2abcdef-phone.cfg",
        "0004f2abcdef-web.cfg",
        "0004f2abcdef-license.cfg",
        "0004f2abcdef-directory.xml",
    ] {
        let answer = phone.send("GET", file, &polycom);
        assert!(matches!(answer.status, 200 | 404), "{file}: {}", answer.told());
    }
    let put = phone.nobody.send("PUT", &format!("{}/0004f2abcdef-app.log", phone.path), &polycom, Some(b"a line\n"));
    assert_eq!(put.status, 201);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    let none = phone.nobody.send("PUT", &format!("{}/0004f2abcdef.cfg", phone.path), &polycom, Some(b"x"));
    assert!((400..500).contains(&none.status));
    let liar = [("user-agent", "Yealink SIP-T46S 66.86.0.15 80:5e:0c:00:00:01")];
    phone.send("GET", "805e0cabcdef.cfg", &liar).problem(403, "devices.mac_contradicted");
    for path in ["/provisioning/x/y", "/provisioning/00000000000000000000000000-0000000000000000/805e0cabcdef.cfg"] {
        phone.nobody.send("GET", path, &yealink, None).problem(404, "object.not_found");
    }
    phone.nobody.send("DELETE", &format!("{}/x", phone.path), &[], None).problem(405, "route.method_not_allowed");
}

#[test]
fn n16_a_whitelisted_site_comes_back_at_once() {
    let rig = rig();
    let org = rig.org();
    org.client.post("/phones/whitelist", &json!({"network": "192.0.2.0/24"})).is(201);
    let phones: Vec<_> = (0..60).map(|n| phone(&rig, &org, &format!("0004130000{n:02x}"))).collect();
    std::thread::scope(|scope| {
        for some in phones.chunks(8) {
            scope.spawn(move || some.iter().for_each(|phone| assert!(phone.is_full())));
        }
    });
    eventually("all are provisioned", || {
        let path = "/devices?state=successful&provisioning=false&limit=200";
        org.client.get(path).is(200)["items"].as_array().unwrap().len() == phones.len()
    });
    let all = org.client.all_events("devices.provisioned").len();
    assert_eq!(all, phones.len());
}

#[test]
fn n17_who_asks_from_elsewhere_gets_the_minimal_one() {
    let rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "000413abcdef");
    assert!(!phone.is_full());
    assert_eq!(phone.outcome(&phone.pap()), "accepted");
    assert!(!phone.at(ELSEWHERE).is_full());
    assert!(phone.is_full());
}

#[test]
fn administrators_see_and_change() {
    let rig = rig();
    let org = rig.org();
    let phone = phone(&rig, &org, "000413abcdef");
    let at = format!("/devices/{}", phone.device);
    assert_eq!(phone.show()["accounts"], json!([{"user": "201", "name": "Reception"}]), "no password is shown");
    org.client.patch(&at, &json!({"site": "Merano", "label": "Bar", "model": null})).is(200);
    let shown = phone.show();
    assert_eq!(
        (shown["site"].as_str(), shown["label"].as_str(), shown["model"].is_null()),
        (Some("Merano"), Some("Bar"), true)
    );
    let tag = org.client.get(&at).header("etag").unwrap().to_owned();
    phone.fetch();
    phone.act("suspension");
    let stale = org.client.send("PATCH", &at, &[("if-match", "\"1\"")], Some(br#"{"site":"x"}"#));
    stale.problem(412, "precondition.failed");
    org.client.send("PATCH", &at, &[("if-match", &tag)], Some(br#"{"site":"Brunico"}"#)).is(200);
    assert_eq!(phone.pap().len(), 6);
    org.client.patch(&at, &json!({"mac": "00:04:13:00:00:09"})).is(200);
    assert_eq!(phone.show()["mac"], "000413000009");
    assert_eq!(org.client.get("/devices?mac=00:04:13:00").is(200)["items"].as_array().unwrap().len(), 1);
    assert_eq!(org.client.get("/devices?state=blocked").is(200)["items"], json!([]));
    org.client.get("/devices?state=odd").refused();
    let settings = json!({"registrar": "pbx.rossi.example", "registrar_port": 5061, "emergency_numbers": ["112", "118"], "authentication_number": "*123"});
    org.client.patch("/phones/settings", &settings).is(200);
    assert_eq!(org.client.get("/phones/settings").is(200)["registrar_port"], 5061);
    for wrong in [
        json!({"registrar": "a b"}),
        json!({"emergency_numbers": []}),
        json!({"emergency_numbers": ["1\n2"]}),
        json!({"registrar_port": 0}),
    ] {
        org.client.patch("/phones/settings", &wrong).problem(400, "request.invalid");
    }
    org.client.delete(&at).is(200);
    org.client.get(&at).problem(404, "object.not_found");
    org.client.post("/devices", &json!({"mac": "000413000009", "vendor": "yealink"})).is(201);
    // The old path is dead when there is a new one.
    let old = phone.path.clone();
    org.client.post("/phones/path", &json!({})).is(201);
    phone.nobody.get(&format!("{old}/{}", phone.file())).problem(404, "object.not_found");
    let told =
        Value::from([org.client.all_events("devices"), org.client.all_events("organisations")].concat()).to_string();
    for name in [
        "devices.created",
        "devices.changed",
        "devices.suspended",
        "devices.pap_shown",
        "devices.deleted",
        "organisations.phones_set",
    ] {
        assert!(told.contains(name), "{name}");
    }
    assert!(!told.contains("s3cret-sip") && !told.contains(&old));
}
