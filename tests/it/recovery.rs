//! Administrator 1 gets back in, and nobody else: with a real mail server and a gateway for texts. A number in brackets
//! names the case of `docs/recovery.md`, "What a demanding user tries".

use crate::{
    catcher::Catcher,
    receiver::{Reaction, Receiver},
    rig::{Answer, Client, Rig, eventually, string},
    site::Org,
};
use serde_json::{Value, json};

pub const NAME: &str = "Anna";
pub const PASSWORD: &str = "tre gatti sul tetto";
pub const NEW: &str = "quattro cani in cortile";
pub const TELEPHONE: &str = "+393471234567";

pub struct World {
    pub rig: Rig,
    pub org: Org,
    pub catcher: Catcher,
    pub gateway: Receiver,
    pub installation: String,
    pub path: String,
}

impl World {
    pub fn new() -> Self {
        Self::with(&[], json!({}))
    }

    pub fn with(config: &[(&str, &str)], settings: Value) -> Self {
        let (catcher, gateway) = (Catcher::start(), Receiver::that_takes());
        let mut all = catcher.config();
        let url = format!("http://{}/sms", gateway.address);
        let texts = [
            ("SMS__DRIVER", "http"),
            ("SMS__URL", &url),
            ("SMS__BODY", r#"{"to":"{to}","text":"{text}"}"#),
            ("PASSWORDS__MEMORY_KIB", "1024"),
            ("RECOVERY__REQUESTS_PER_MINUTE_PER_SOURCE", "1000000"),
        ];
        all.extend(texts.map(|(key, value)| (key, value.to_owned())));
        let mut all: Vec<_> = all.iter().map(|(key, value)| (*key, value.as_str())).collect();
        all.extend_from_slice(config);
        let rig = Rig::with(&all);
        let org = rig.org();
        let mut body = json!({
            "label": "Studio Rossi", "product": "Mexal", "environment": "live",
            "administrator": {"name": NAME, "password": PASSWORD},
        });
        for (key, value) in settings.as_object().unwrap() {
            body[key] = value.clone();
        }
        let made = org.client.post("/installations", &body).is(201);
        let (installation, path) = (string(&made, "installation"), string(&made, "path"));
        let users = format!("/installations/{installation}/users");
        let user = json!({"name": "Bruno", "password": "un altro segreto lungo", "role": "user"});
        org.client.post(&users, &user).is(201);
        Self { rig, org, catcher, gateway, installation, path }
    }

    pub fn try_open(&self) -> Answer {
        self.rig.nobody().post(&format!("/recovery/v1/{}/terminals", self.path), &json!({}))
    }

    pub fn open(&self) -> Client {
        let opened = self.try_open().is(201);
        assert_eq!(opened["timeout_s"], 120);
        self.rig.client(Some(&string(&opened, "terminal")))
    }

    /// Administrator 1 at a terminal of his own.
    pub fn administrator(&self) -> Client {
        let terminal = self.open();
        assert_eq!(log_in(&terminal, NAME, PASSWORD)["outcome"], "logged_in");
        terminal
    }

    pub fn show(&self) -> Value {
        self.org.client.get(&format!("/installations/{}", self.installation)).is(200)
    }

    /// The path of the link in the newest mail.
    pub fn link(&self, mails: usize) -> String {
        let mail = self.catcher.wait_for(mails).pop().unwrap();
        let text = string(&mail, "text");
        let at = text.find("http://127.0.0.1:8080/recovery/link/").expect("the configured address");
        text[at + "http://127.0.0.1:8080".len()..].split_whitespace().next().unwrap().to_owned()
    }

    pub fn texts(&self) -> Vec<Value> {
        self.gateway.posts().iter().map(|post| post.json()).collect()
    }

    /// The code in the newest of so many texts.
    pub fn code(&self, texts: usize) -> String {
        eventually("a text", || self.gateway.count() >= texts);
        let texts = self.texts();
        string(texts.last().unwrap(), "text")[..6].to_owned()
    }

    /// Events of this kind.
    pub fn count(&self, kind: &str) -> usize {
        let events = self.org.client.get(&format!("/events?type={kind}&limit=200")).is(200);
        events["items"].as_array().unwrap().len()
    }

    pub fn page(&self, path: &str) -> Answer {
        self.rig.nobody().get(path)
    }

    pub fn press(&self, path: &str) -> Answer {
        self.form(path, "", &[])
    }

    pub fn form(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
        all.extend_from_slice(if headers.is_empty() { &[("origin", "null")] } else { headers });
        self.rig.nobody().send("POST", path, &all, Some(body.as_bytes()))
    }

    /// Sets and validates the contact, and ends work.
    pub fn validated(&self, telephone: Option<&str>) {
        let terminal = self.administrator();
        set_contact(&terminal, &json!({"email": "anna+recovery@rossi.example", "telephone": telephone}));
        let link = self.link(1);
        let pressed = self.press(&link);
        if telephone.is_some() {
            let form = location(&pressed);
            let code = self.code(1);
            assert_eq!(name(&self.form(&form, &format!("code={code}"), &[])), "validated");
        } else {
            assert_eq!(name(&pressed), "validated");
        }
        terminal.delete("/recovery/v1/terminal").is(204);
        self.catcher.forget();
        self.gateway.forget();
        assert_eq!(self.show()["contact"], "validated");
    }

    /// Two wrong passwords, and "forgotten password" confirmed twice.
    pub fn forgotten(&self, name: &str) -> Client {
        let terminal = self.open();
        log_in(&terminal, name, "wrong");
        assert_eq!(log_in(&terminal, name, "wrong")["forgotten_password"], true);
        assert_eq!(forget(&terminal)["accepted"], true);
        terminal
    }
}

pub fn log_in(terminal: &Client, name: &str, password: &str) -> Value {
    terminal.post("/recovery/v1/terminal/login", &json!({"name": name, "password": password})).is(200)
}

pub fn forget(terminal: &Client) -> Value {
    let path = "/recovery/v1/terminal/forgotten";
    let first = terminal.post(path, &json!({})).is(200);
    assert_eq!(first["accepted"], false);
    terminal.post(path, &json!({"confirmation": first["confirmation"]})).is(200)
}

pub fn put_contact(terminal: &Client, body: &Value) -> Answer {
    terminal.send("PUT", "/recovery/v1/terminal/contact", &[], Some(body.to_string().as_bytes()))
}

/// Saves in two steps; what the confirming step has said.
#[track_caller]
pub fn set_contact(terminal: &Client, body: &Value) -> String {
    let first = put_contact(terminal, body).is(200);
    assert_eq!(first["saved"], false);
    let mut second = body.clone();
    second["confirmation"] = first["confirmation"].clone();
    assert_eq!(put_contact(terminal, &second).is(200)["saved"], true);
    string(&first, "says")
}

/// The name of a page.
#[track_caller]
pub fn name(page: &Answer) -> String {
    let told = page.told();
    told.split("data-page=\"").nth(1).expect("a page").split('"').next().unwrap().to_owned()
}

/// Where a form has led to.
#[track_caller]
pub fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.told());
    answer.header("location").unwrap().replacen("..", "/recovery", 1)
}

pub fn credentials(name: &str, password: &str, again: &str) -> String {
    let encode = |text: &str| text.replace(' ', "+");
    format!("name={}&password={}&again={}", encode(name), encode(password), encode(again))
}

#[test]
fn the_whole_way_from_the_first_wrong_password_to_the_new_one() {
    let world = World::new();
    let terminal = world.administrator();
    let says = set_contact(&terminal, &json!({"email": "anna@rossi.example", "telephone": TELEPHONE}));
    assert!(says.contains("anna@rossi.example") && says.contains(TELEPHONE) && says.contains("proprietario"), "{says}");
    let shown = terminal.get("/recovery/v1/terminal/contact").is(200);
    assert_eq!((&shown["state"], &shown["reset_active"]), (&json!("to_validate"), &json!(false)));
    let link = world.link(1);
    // [1] A scanner opens the link ten times; nothing is consumed.
    for _ in 0..10 {
        let page = world.page(&link);
        assert_eq!((page.status, &*name(&page)), (200, "validate"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        assert!(!page.told().contains("<script") && page.told().contains("lang=\"it\""));
    }
    // [2] The button in two tabs is one text.
    let (first, second) = (world.press(&link), world.press(&link));
    let form = location(&first);
    assert!(second.status == 303 || name(&second) == "expired");
    let code = world.code(1);
    assert_eq!(world.texts()[0]["to"], TELEPHONE);
    assert_eq!(name(&world.page(&form)), "code");
    assert_eq!(name(&world.page(&form)), "code", "it may be reloaded");
    let wrong = if code == "000000" { "000001" } else { "000000" };
    assert_eq!(name(&world.form(&form, &format!("code={wrong}"), &[])), "code_wrong");
    let spaced = format!("code={}+{}", &code[..3], &code[3..]);
    assert_eq!(name(&world.form(&form, &spaced, &[])), "validated");
    assert_eq!(name(&world.form(&form, &spaced, &[])), "expired");
    assert_eq!(world.gateway.count(), 1);
    // [8] Requested when it is validated.
    let again = terminal.post("/recovery/v1/terminal/contact/validation", &json!({}));
    again.problem(409, "recovery.already_validated");
    terminal.delete("/recovery/v1/terminal").is(204);
    terminal.get("/recovery/v1/terminal/contact").problem(410, "recovery.terminal_closed");

    world.catcher.forget();
    world.gateway.forget();
    let other = world.forgotten("Nessuno");
    let link = world.link(1);
    assert_eq!(name(&world.page(&link)), "start_reset");
    let form = location(&world.press(&link));
    let code = world.code(1);
    let reset = location(&world.form(&form, &format!("code={code}"), &[]));
    assert_eq!(name(&world.page(&reset)), "credentials");
    for (name_, password, again) in [
        ("Anna", PASSWORD, PASSWORD),
        ("Anna", "kurz", "kurz"),
        ("Anna", "password1234", "password1234"),
        ("Anna", NEW, "quattro cani in giardino"),
        ("Bruno", NEW, NEW),
        ("", NEW, NEW),
    ] {
        let page = world.form(&reset, &credentials(name_, password, again), &[]);
        assert_eq!((page.status, &*name(&page)), (422, "credentials_wrong"), "{name_} {password}");
    }
    assert_eq!(name(&world.form(&reset, &credentials("Anna Rossi", NEW, NEW), &[])), "reset_done");
    // [15] [17] Everything old is dead.
    for path in [&reset, &form, &link] {
        assert_eq!((world.page(path).status, &*name(&world.page(path))), (410, "expired"), "{path}");
    }
    assert_eq!(name(&world.form(&reset, &credentials("Eva", NEW, NEW), &[])), "expired");
    assert_eq!(log_in(&other, NAME, PASSWORD)["outcome"], "refused");
    assert_eq!(log_in(&other, "Anna Rossi", NEW)["outcome"], "logged_in");
    eventually("mail and text about it", || world.catcher.mails().len() == 2 && world.gateway.count() == 2);
    assert!(string(&world.catcher.mails()[1], "subject").contains("reimpostate"));
    let log = world.rig.log_text();
    for secret in ["rossi.example", "347123", NEW, PASSWORD, &code] {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}

/// [7] [9] [10] [11] [16]
#[test]
fn the_contact_is_administrator_1s_alone_and_needs_the_installation_for_oneself() {
    let world = World::new();
    let terminal = world.administrator();
    let put = |body: Value| put_contact(&terminal, &body);
    put(json!({"telephone": TELEPHONE})).problem(400, "request.invalid");
    put(json!({"email": null, "telephone": TELEPHONE})).problem(400, "request.invalid");
    for address in
        ["a@b\r\nBcc: x@y.example", "a b@rossi.example", "rossi.example", "@rossi.example", "ü@rossi.example"]
    {
        put(json!({"email": address})).problem(400, "request.invalid");
    }
    put(json!({"email": "a@b.example", "telephone": "0347123"})).problem(400, "request.invalid");
    put(json!({"email": "a@b.example", "confirmation": "0".repeat(32)})).problem(400, "request.invalid");
    let other = world.open();
    put(json!({"email": "a@b.example", "telephone": TELEPHONE})).is(200);
    let first = put(json!({"email": "a@b.example", "telephone": TELEPHONE})).is(200);
    let second = json!({"email": "a@b.example", "telephone": TELEPHONE, "confirmation": first["confirmation"]});
    put(second).problem(409, "recovery.other_terminals");
    set_contact(&terminal, &json!({"email": "Anna+x@Müller.example"}));
    let shown = terminal.get("/recovery/v1/terminal/contact").is(200);
    assert_eq!(shown["email"], "Anna+x@xn--mller-kva.example", "IDN and plus-addresses");
    assert_eq!(world.catcher.wait_for(1)[0]["to"], json!(["Anna+x@xn--mller-kva.example"]));
    assert_eq!(log_in(&other, "Bruno", "un altro segreto lungo")["outcome"], "logged_in");
    other.get("/recovery/v1/terminal/contact").problem(404, "object.not_found");
    put_contact(&other, &json!({"email": "b@b.example"})).problem(404, "object.not_found");
    other.post("/recovery/v1/terminal/contact/validation", &json!({})).problem(404, "object.not_found");
    other.delete("/recovery/v1/terminal").is(204);
    set_contact(&terminal, &json!({"email": null}));
    world.try_open().problem(409, "recovery.exclusive_use");
    set_contact(&terminal, &json!({"email": "Anna+x@Müller.example"}));
    assert_eq!(terminal.get("/recovery/v1/terminal/contact").is(200)["state"], "to_validate");
    terminal.delete("/recovery/v1/terminal").is(204);
    world.open();
}

/// [12] Identical for unknown, ordinary, administrator 1, blocked.
#[test]
fn every_name_that_is_refused_is_answered_alike() {
    let world = World::with(&[], json!({"errors_max": 4, "blocks_administrator": true}));
    world
        .org
        .client
        .post(
            &format!("/installations/{}/users", world.installation),
            &json!({"name": "Carla", "password": "un altro segreto lungo", "role": "administrator"}),
        )
        .is(201);
    let closing = world.open();
    for _ in 0..4 {
        log_in(&closing, "Carla", "wrong");
    }
    let blocked = world.show()["users"].as_array().unwrap().iter().filter(|user| user["blocked"] == true).count();
    assert_eq!(blocked, 1);
    let told = |names: [&str; 4]| {
        let terminal = world.open();
        let login = |name: &str| {
            let body = json!({"name": name, "password": "wrong"});
            let answer = terminal.post("/recovery/v1/terminal/login", &body);
            (answer.status, answer.told())
        };
        names.map(login)
    };
    // Each name once a terminal, so that no maximum is reached that another has not.
    let same = told(["Nessuno", "Nobody", "Niemand", "Personne"]);
    assert_eq!(same, told([NAME, "Bruno", "Carla", "Nobody"]));
    assert_eq!(same, told(["Bruno", NAME, "Niemand", "Carla"]));
    assert!(same[0].1.contains("\"forgotten_password\":false") && same[1].1.contains("\"forgotten_password\":true"));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let terminal = world.open();
    assert_eq!(log_in(&terminal, "Carla", "un altro segreto lungo")["outcome"], "refused", "with the right one too");
}

/// [4] The fifth and the sixth code, in parallel and over kill -9.
#[test]
fn five_codes_are_judged_and_no_sixth() {
    let mut world = World::new();
    world.validated(Some(TELEPHONE));
    world.forgotten(NAME);
    let link = world.link(1);
    let form = location(&world.press(&link));
    let code = world.code(1);
    let wrong = |n: usize| if code == format!("{n:06}") { "999999".to_owned() } else { format!("{n:06}") };
    for n in 0..3 {
        assert_eq!(name(&world.form(&form, &format!("code={}", wrong(n)), &[])), "code_wrong");
        world.rig.kill_and_start();
    }
    let pages: Vec<String> = std::thread::scope(|scope| {
        let world = &world;
        let guesses: Vec<_> = (10..30)
            .map(|n| {
                let (form, code) = (form.clone(), wrong(n));
                scope.spawn(move || name(&world.form(&form, &format!("code={code}"), &[])))
            })
            .collect();
        guesses.into_iter().map(|guess| guess.join().unwrap()).collect()
    });
    assert_eq!(pages.iter().filter(|page| *page == "code_wrong").count(), 1, "the fourth; the fifth ends it");
    assert_eq!(name(&world.form(&form, &format!("code={code}"), &[])), "expired", "the right one comes too late");
    assert_eq!(name(&world.press(&link)), "expired");
    let events = world.org.client.get("/events?type=recovery.code_wrong&limit=200").is(200);
    assert_eq!(events["items"].as_array().unwrap().len(), 5);
}

/// [14] [16]
#[test]
fn fifty_times_forgotten_is_one_mail_whatever_host_is_named() {
    let world = World::new();
    world.validated(None);
    let terminal = world.forgotten(NAME);
    for _ in 0..49 {
        assert_eq!(forget(&terminal)["accepted"], true);
    }
    let link = world.link(1);
    let answer = world.form(&link, "", &[("origin", "https://evil.example")]);
    assert_eq!((answer.status, &*name(&answer)), (403, "foreign"));
    let answer = world.form(&link, "", &[("sec-fetch-site", "cross-site")]);
    assert_eq!(answer.status, 403);
    // [15] Administrator 1 logs in: the link is dead.
    world.administrator();
    assert_eq!(name(&world.page(&link)), "expired");
    assert_eq!(world.catcher.mails().len(), 1);
}

/// [19] The gateway answers 500, then accepts.
#[test]
fn a_gateway_that_fails_gets_the_same_code_again() {
    let world = World::with(&[("MAIL__RETRY_FIRST_MS", "20")], json!({}));
    world.gateway.react(|_, before| Reaction::Status(if before == 0 { 500 } else { 200 }));
    let terminal = world.administrator();
    set_contact(&terminal, &json!({"email": "anna@rossi.example", "telephone": TELEPHONE}));
    let form = location(&world.press(&world.link(1)));
    let code = world.code(2);
    let texts = world.texts();
    assert_eq!((texts.len(), &texts[0]), (2, &texts[1]));
    assert_eq!(name(&world.form(&form, &format!("code={code}"), &[])), "validated");
}

#[test]
fn a_gateway_that_refuses_gives_the_button_back_and_administrator_1_sees_why() {
    let world = World::new();
    world.gateway.react(|_, _| Reaction::Status(400));
    let terminal = world.administrator();
    set_contact(&terminal, &json!({"email": "anna@rossi.example", "telephone": TELEPHONE}));
    let link = world.link(1);
    location(&world.press(&link));
    let trouble = || terminal.get("/recovery/v1/terminal/contact").is(200)["trouble"].clone();
    eventually("it is told", || trouble() == "rejected");
    assert_eq!(world.org.client.all("/mails/dead", 200).len(), 1);
    world.gateway.react(|_, _| Reaction::Status(200));
    let form = location(&world.press(&link));
    let code = world.code(2);
    assert_eq!(name(&world.form(&form, &format!("code={code}"), &[])), "validated");
}

#[test]
fn six_errors_close_a_terminal_and_a_name_rests() {
    let world = World::new();
    let terminal = world.open();
    for left in (0..6).rev() {
        assert_eq!(log_in(&terminal, "Nessuno", "wrong")["attempts_left"], left);
    }
    let closed = terminal.post("/recovery/v1/terminal/login", &json!({"name": NAME, "password": PASSWORD}));
    closed.problem(410, "recovery.terminal_closed");
    let next = world.open();
    let rests = next.post("/recovery/v1/terminal/login", &json!({"name": "NESSUNO ", "password": "wrong"}));
    rests.problem(429, "recovery.name_rests");
    assert!(rests.header("retry-after").is_some());
    assert_eq!(log_in(&next, NAME, PASSWORD)["outcome"], "logged_in");
    next.post("/recovery/v1/terminal/login", &json!({"name": NAME, "password": PASSWORD}))
        .problem(409, "recovery.logged_in");
}

#[test]
fn users_are_administered_and_administrator_1_stays() {
    let world = World::new();
    let users = format!("/installations/{}/users", world.installation);
    let client = &world.org.client;
    client.delete(&format!("{users}/1")).problem(409, "installations.is_administrator_1");
    let twin = json!({"name": "BRUNO", "password": "un altro segreto lungo", "role": "user"});
    client.post(&users, &twin).problem(409, "installations.name_taken");
    let first = json!({"name": "Carla", "password": "un altro segreto lungo", "role": "administrator1"});
    client.post(&users, &first).problem(400, "request.invalid");
    let weak = json!({"name": "Carla", "password": "password1234", "role": "user"});
    client.post(&users, &weak).problem(400, "request.invalid");
    client.patch(&format!("{users}/2"), &json!({"password": "un segreto ancora diverso"})).is(200);
    let terminal = world.open();
    assert_eq!(log_in(&terminal, "Bruno", "un altro segreto lungo")["outcome"], "refused");
    assert_eq!(log_in(&terminal, "Bruno", "un segreto ancora diverso")["outcome"], "logged_in");
    client.delete(&format!("{users}/2")).is(200);
    terminal.delete("/recovery/v1/terminal").problem(410, "recovery.terminal_closed");
    client.delete(&format!("/installations/{}", world.installation)).is(200);
    world.try_open().problem(404, "object.not_found");
}
