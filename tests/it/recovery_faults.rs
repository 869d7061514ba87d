//! What recovery does when the parts beside it fail, and what the operator can do when mailbox and telephone are lost.
//! A number in brackets names the case of `spec/recovery.md`, "What a demanding user tries".

use crate::{
    directory::{ACCOUNT, Directory},
    recovery::{NAME, NEW, TELEPHONE, World, credentials, location, log_in, name, put_contact, set_contact},
    rig::{Answer, eventually},
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
