//! What recovery does when the parts beside it fail, and what the operator can do when mailbox and telephone are lost.
//! A number in brackets names the case of `docs/recovery.md`, "What a demanding user tries".

use crate::{
    catcher::header,
    devices_time::killed_until,
    directory::{ACCOUNT, Directory},
    receiver::Reaction,
    recovery::{NAME, NEW, TELEPHONE, World, credentials, location, log_in, name, put_contact, set_contact},
    rig::{Answer, eventually, string},
};
use serde_json::{Value, json};

/// [13] At each step: an error that says so, nothing changed, nothing sent; then it goes on where it was.
#[test]
fn case_13_without_the_directory_nothing_is_changed_and_nothing_sent() {
    let directory = Directory::start();
    let config = directory.config();
    let config: Vec<_> = config.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let account = json!({"account": ACCOUNT.0, "password": ACCOUNT.1});
    let world = World::with(&config, json!({"directory": account}));
    let terminal = world.administrator();
    let contact = json!({"email": "anna@rossi.example", "telephone": TELEPHONE});
    let revision = || world.show()["revision"].clone();
    let unavailable = |answer: &Answer| {
        answer.problem(503, "recovery.directory_unavailable");
        assert_eq!(answer.header("retry-after"), Some("30"));
    };
    let silent = |what: &str, before: &Value| {
        assert_eq!(&revision(), before, "{what}");
        assert_eq!((world.catcher.mails().len(), world.gateway.count()), (0, 0), "{what}");
    };
    // Registering.
    let mut second = contact.clone();
    second["confirmation"] = put_contact(&terminal, &contact).is(200)["confirmation"].clone();
    let before = revision();
    for fault in [Directory::down, Directory::busy] {
        fault(&directory);
        unavailable(&put_contact(&terminal, &second));
        silent("registering", &before);
        assert_eq!(terminal.get("/recovery/v1/terminal/contact").is(200)["state"], "none");
    }
    directory.up();
    assert_eq!(put_contact(&terminal, &second).is(200)["saved"], true);
    world.link(1);
    world.catcher.forget();
    // Another mail.
    let before = revision();
    directory.down();
    let again = || terminal.post("/recovery/v1/terminal/contact/validation", &json!({}));
    unavailable(&again());
    silent("another mail", &before);
    directory.up();
    again().is(204);
    let form = location(&world.press(&world.link(1)));
    let code = world.code(1);
    assert_eq!(name(&world.form(&form, &format!("code={code}"), &[])), "validated");
    terminal.delete("/recovery/v1/terminal").is(204);
    world.catcher.forget();
    world.gateway.forget();
    // Forgotten: the same for every name.
    let path = "/recovery/v1/terminal/forgotten";
    let mut told = Vec::new();
    for user in [NAME, "Bruno", "Nessuno"] {
        let terminal = world.open();
        log_in(&terminal, user, "wrong");
        log_in(&terminal, user, "wrong");
        directory.up();
        let first = terminal.post(path, &json!({})).is(200);
        directory.down();
        let before = revision();
        let answer = terminal.post(path, &json!({"confirmation": first["confirmation"]}));
        unavailable(&answer);
        silent(user, &before);
        told.push((answer.status, answer.json()["code"].clone(), answer.json()["title"].clone()));
        terminal.delete("/recovery/v1/terminal").is(204);
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
    directory.up();
    world.forgotten(NAME);
    let link = world.link(1);
    world.catcher.forget();
    // The button, then the code.
    let before = revision();
    directory.down();
    let page = world.press(&link);
    assert_eq!((page.status, &*name(&page)), (503, "directory"));
    silent("the button", &before);
    directory.up();
    let form = location(&world.press(&link));
    let code = world.code(1);
    world.gateway.forget();
    eventually("the text is accepted", || world.count("recovery.text_accepted") == 2);
    let before = revision();
    directory.down();
    let page = world.form(&form, &format!("code={code}"), &[]);
    assert_eq!((page.status, &*name(&page)), (503, "directory"));
    silent("the code", &before);
    directory.up();
    let reset = location(&world.form(&form, &format!("code={code}"), &[]));
    assert_eq!(name(&world.form(&reset, &credentials(NAME, NEW, NEW), &[])), "reset_done");
}

#[test]
fn the_directory_refuses_a_wrong_account_and_is_never_asked_with_an_empty_password() {
    let directory = Directory::start();
    let config = directory.config();
    let config: Vec<_> = config.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let world = World::with(&config, json!({}));
    let terminal = world.administrator();
    let contact = json!({"email": "anna@rossi.example"});
    let mut second = contact.clone();
    second["confirmation"] = put_contact(&terminal, &contact).is(200)["confirmation"].clone();
    let installation = format!("/installations/{}", world.installation);
    put_contact(&terminal, &second).problem(409, "recovery.directory_refused");
    assert_eq!(directory.binds(), 0, "without an account");
    let set = |directory: Value| world.org.client.patch(&installation, &json!({ "directory": directory }));
    set(json!({"account": ACCOUNT.0, "password": ""})).problem(400, "request.invalid");
    for (account, password) in [(ACCOUNT.0, "falsch"), ("rossi,ou=installations", ACCOUNT.1), ("verdi", ACCOUNT.1)] {
        set(json!({ "account": account, "password": password })).is(200);
        put_contact(&terminal, &second).problem(409, "recovery.directory_refused");
    }
    assert_eq!(directory.binds(), 3);
    set(json!({"account": ACCOUNT.0, "password": ACCOUNT.1})).is(200);
    assert_eq!(world.show()["directory_account"], ACCOUNT.0);
    assert_eq!(put_contact(&terminal, &second).is(200)["saved"], true);
    world.link(1);
    set(Value::Null).is(200);
    assert_eq!(world.show()["directory_account"], Value::Null);
    terminal.post("/recovery/v1/terminal/contact/validation", &json!({})).problem(409, "recovery.directory_refused");
    // To clear needs nobody.
    set_contact(&terminal, &json!({"email": null}));
    let log = world.rig.log_text();
    assert!(!log.contains(ACCOUNT.1) && !log.contains("falsch"));
}

/// Where the gateway was told to report the newest text to.
fn report_path(world: &World, kind: u8) -> String {
    let asked = world.gateway.posts().pop().unwrap().path;
    let url = asked.split("dlr-url=").nth(1).unwrap().split('&').next().unwrap();
    let url = url.replace("%3A", ":").replace("%2F", "/").replace("%3F", "?").replace("%3D", "=").replace("%25", "%");
    let path = url.strip_prefix("http://reports.castle.example:8088").expect("where it is configured");
    path.replace("%d", &kind.to_string())
}

#[test]
fn what_the_gateway_reports_later_is_shown_to_administrator_1_and_to_whoever_administers() {
    let kannel = [("SMS__DRIVER", "kannel"), ("SMS__REPORTS_URL", "http://reports.castle.example:8088/")];
    let world = World::with(&kannel, json!({}));
    let accepted = "HTTP/1.1 202 X\r\ncontent-length: 26\r\n\r\n0: Accepted for delivery\r\n";
    world.gateway.react(|_, _| Reaction::Whole(accepted.to_owned()));
    let terminal = world.administrator();
    set_contact(&terminal, &json!({"email": "anna@rossi.example", "telephone": TELEPHONE}));
    location(&world.press(&world.link(1)));
    eventually("a text", || world.gateway.count() == 1);
    let shown = || {
        let contact = terminal.get("/recovery/v1/terminal/contact").is(200);
        let listed = world.show();
        assert_eq!((&listed["contact_text"], &listed["contact_trouble"]), (&contact["text"], &contact["trouble"]));
        (contact["text"].clone(), contact["trouble"].clone())
    };
    assert_eq!(shown(), (Value::Null, Value::Null));
    let report = |kind| world.page(&report_path(&world, kind));
    assert_eq!(report(8).is(200)["taken"], true);
    assert_eq!(shown(), (json!("accepted"), Value::Null));
    assert_eq!(report(2).is(200)["taken"], true);
    assert_eq!(shown(), (json!("failed"), json!("undelivered")));
    assert_eq!(report(1).is(200)["taken"], true);
    assert_eq!(shown(), (json!("failed"), json!("undelivered")), "the first last word counts");
    assert_eq!(report(31).is(200)["taken"], false, "a number that Kannel does not have");
    let path = report_path(&world, 1);
    let letter = path.find("?type").unwrap() - 2;
    let swap = if &path[letter..=letter] == "0" { "1" } else { "0" };
    let guessed = format!("{}{swap}{}", &path[..letter], &path[letter + 1..]);
    world.page(&guessed).problem(404, "object.not_found");
    world.page(&path.replace("type=1", "type=x")).problem(400, "request.malformed");
    assert_eq!(world.count("recovery.text_reported"), 2);
}

#[test]
fn a_mail_that_comes_back_is_shown() {
    let world = World::new();
    let terminal = world.administrator();
    set_contact(&terminal, &json!({"email": "anna@rossi.example"}));
    let mail = world.catcher.wait_for(1).pop().unwrap();
    let id = header(&mail, "Message-ID").unwrap();
    let bounce = |id: &str| world.org.client.post("/mails/bounces", &json!({ "message_id": id }));
    bounce("<somebody@else.example>").problem(400, "request.invalid");
    bounce(id).is(204);
    assert_eq!(terminal.get("/recovery/v1/terminal/contact").is(200)["trouble"], "bounced");
    assert_eq!(world.show()["contact_trouble"], "bounced");
    let other = world.rig.org();
    other.client.post("/mails/bounces", &json!({ "message_id": id })).problem(404, "object.not_found");
    terminal.post("/recovery/v1/terminal/contact/validation", &json!({})).is(204);
    assert_eq!(world.show()["contact_trouble"], Value::Null, "a new mail, a new chance");
}

impl World {
    fn glass(&self) -> String {
        format!("/organisations/{}/installations/{}/break-glass", self.org.id, self.installation)
    }

    /// The path of the page that the newest of so many mails leads to.
    fn mailed(&self, mails: usize, page: &str) -> String {
        let text = string(&self.catcher.wait_for(mails).pop().unwrap(), "text");
        let at = text.find(&format!("/recovery/{page}/")).expect(page);
        text[at..].split_whitespace().next().unwrap().to_owned()
    }
}

#[test]
fn break_glass_waits_is_announced_and_leads_to_new_credentials() {
    let mut world = World::with(&[("RECOVERY__BREAK_GLASS_WAIT_S", "4")], json!({}));
    world.validated(Some(TELEPHONE));
    let (operator, path) = (world.rig.operator(), world.glass());
    operator.get(&path).problem(404, "object.not_found");
    world.org.client.post(&path, &json!({"email": "neu@rossi.example"})).problem(403, "auth.forbidden");
    operator.post(&path, &json!({"email": "neu"})).problem(400, "request.invalid");
    let started = operator.post_once(&path, "once", &json!({"email": "neu@rossi.example"})).is(201);
    assert_eq!(operator.post_once(&path, "once", &json!({"email": "neu@rossi.example"})).is(201), started);
    assert_eq!(started["stage"], "waiting");
    operator.post(&path, &json!({"email": "x@rossi.example"})).problem(409, "recovery.break_glass_pending");
    // The old address and number hear of it.
    let told = world.catcher.wait_for(1).pop().unwrap();
    assert_eq!(told["to"], json!(["anna+recovery@rossi.example"]));
    eventually("a text about it", || world.gateway.count() == 1);
    assert!(string(&world.texts()[0], "text").contains("/recovery/stop/"));
    // So does everybody who logs in.
    let terminal = world.open();
    assert_eq!(log_in(&terminal, "Bruno", "un altro segreto lungo")["break_glass_due_at"], started["due_at"]);
    assert_eq!(log_in(&world.open(), NAME, "wrong")["break_glass_due_at"], Value::Null);
    // A crash in between takes nothing back, and nothing is sent before its time.
    world.rig.kill_and_start();
    assert_eq!(world.catcher.mails().len(), 1);
    eventually("the mail to the new address", || world.catcher.mails().len() == 2);
    assert_eq!(operator.get(&path).is(200)["stage"], "sent");
    let mail = world.catcher.mails().pop().unwrap();
    assert_eq!(mail["to"], json!(["neu@rossi.example"]));
    let link = world.mailed(2, "link");
    let reset = location(&world.press(&link));
    assert!(reset.starts_with("/recovery/reset/"), "no code: the telephone is lost");
    assert_eq!(name(&world.form(&reset, &credentials(NAME, NEW, NEW), &[])), "reset_done");
    assert_eq!(world.show()["contact"], "to_validate", "what was lost guards nothing");
    operator.get(&path).problem(404, "object.not_found");
    assert_eq!(log_in(&world.open(), NAME, NEW)["contact_reminder"], true);
    let audit = world.org.client.get("/audit?limit=200").is(200).to_string();
    assert!(audit.contains("recovery.break_glass_started"));
    assert!(!audit.contains("neu@") && !world.rig.log_text().contains("neu@"));
}

#[test]
fn break_glass_is_stopped_with_one_click_by_whoever_was_told() {
    let world = World::new();
    world.validated(None);
    let (operator, path) = (world.rig.operator(), world.glass());
    let begin = || operator.post(&path, &json!({"email": "neu@rossi.example"})).is(201);
    begin();
    let stop = world.mailed(1, "stop");
    for _ in 0..3 {
        let page = world.page(&stop);
        assert_eq!((page.status, &*name(&page)), (200, "stop"), "to look consumes nothing");
    }
    assert_eq!(name(&world.form(&stop, "", &[("origin", "https://evil.example")])), "foreign");
    assert_eq!(operator.get(&path).is(200)["stage"], "waiting");
    assert_eq!(name(&world.press(&stop)), "stopped");
    assert_eq!(name(&world.press(&stop)), "expired");
    operator.get(&path).problem(404, "object.not_found");
    assert_eq!(world.show()["contact"], "validated");
    // Administrator 1 at a terminal, and nobody else there.
    begin();
    let bruno = world.open();
    log_in(&bruno, "Bruno", "un altro segreto lungo");
    bruno.delete("/recovery/v1/terminal/break-glass").problem(404, "object.not_found");
    let terminal = world.administrator();
    assert_eq!(terminal.get("/recovery/v1/terminal/contact").is(200)["break_glass"]["stage"], "waiting");
    terminal.delete("/recovery/v1/terminal/break-glass").is(204);
    terminal.delete("/recovery/v1/terminal/break-glass").problem(404, "object.not_found");
    // And whoever started it.
    begin();
    operator.delete(&path).is(200);
    operator.delete(&path).problem(404, "object.not_found");
    assert_eq!(world.count("recovery.break_glass_ended"), 3);
}

/// [18] For an hour: it comes once. For longer than its link lives: not at all, and the dead letter says why.
#[test]
fn case_18_a_mail_server_that_was_down_gets_the_mail_once_or_not_at_all() {
    const HOUR: u32 = 3600;
    let mut world = World::new();
    world.validated(None);
    world.catcher.kill();
    world.forgotten(NAME);
    killed_until(&mut world.rig, HOUR);
    world.catcher.start_again();
    let link = world.link(1);
    assert_eq!(name(&world.page(&link)), "start_reset");
    world.catcher.kill();
    world.forgotten("Nessuno");
    killed_until(&mut world.rig, 26 * HOUR);
    let dead = || world.org.client.all("/mails/dead", 200);
    eventually("a dead letter", || dead().len() == 1);
    assert!(["unreachable", "too_late"].contains(&dead()[0]["reason"].as_str().unwrap()), "{:?}", dead());
    eventually("the contact hears why", || world.show()["contact_trouble"] == dead()[0]["reason"]);
    world.catcher.start_again();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(world.catcher.mails().len(), 1, "what leads nowhere is not sent");
    assert_eq!(name(&world.page(&link)), "expired");
}
