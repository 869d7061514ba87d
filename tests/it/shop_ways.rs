//! The ways into a store beside IUV, and into its administration.

use crate::{
    rig::{Rig, eventually, string},
    shop::{Browser, Store, field, order},
};
use serde_json::json;
use std::{fs, path::Path};

/// A rig whose mails are files.
fn rig(folder: &Path) -> Rig {
    Rig::with(&[
        ("LIMITS__UNAUTHENTICATED_REQUESTS_PER_MINUTE", "1000000"),
        ("IUV__SIGN_INS_PER_MINUTE_PER_SOURCE", "1000000"),
        ("IUV__SUPPORT_EMAIL", "help@castle.example"),
        ("PASSWORDS__MEMORY_KIB", "64"),
        ("PASSWORDS__ITERATIONS", "1"),
        ("MAIL__DRIVER", "file"),
        ("MAIL__FILE_DIR", folder.to_str().unwrap()),
        ("MAIL__FROM", "Castellan <castellan@castle.example>"),
    ])
}

/// The links to a path in all mails so far, in no order.
fn links(folder: &Path, start: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let mail = fs::read_to_string(entry.unwrap().path()).unwrap();
        let text = mail.replace("=\r\n", "").replace("=3D", "=").replace("=\n", "");
        let text = text.split("text/html").next().unwrap().to_owned();
        let links = text.split_whitespace().filter(|word| word.starts_with("http"));
        found.extend(links.filter_map(|link| link.find(start).map(|at| link[at..].to_owned())));
    }
    found.sort();
    found.dedup();
    found
}

fn state(store: &Store, verification: u64, state: &str) {
    let body = json!({ "state": state }).to_string();
    let path = store.path(&format!("/verifications/{verification}/state"));
    store.client.send("PUT", &path, &[], Some(body.as_bytes())).is(200);
}

fn verification(store: &Store, kind: &str, settings: &serde_json::Value) -> u64 {
    let added = store.client.post(&store.path("/verifications"), &json!({ "kind": kind })).is(201);
    let number = added["verification"].as_u64().unwrap();
    store.client.patch(&store.path(&format!("/verifications/{number}")), settings).is(200);
    number
}

#[test]
fn users_on_the_list_register_by_mail_and_wrong_passwords_lock() {
    let folder = tempfile::tempdir().unwrap();
    let rig = rig(folder.path());
    let store = Store::of(&rig.org(), "list", "en");
    let csv = "username;email;first_name;last_name;groups;member_org\r\n\
               anna;anna@uni.example;Anna;Rossi;students|academic_statuses:staff;OrgB\r\n\
               ;nobody@uni.example;;;;\r\n";
    let sent = store.client.send(
        "POST",
        &store.path("/shoppers/import"),
        &[("content-type", "text/csv")],
        Some(csv.as_bytes()),
    );
    let told = sent.told();
    let rows: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&rows[0]["status"], &rows[1]["status"]), (&json!(201), &json!(400)), "{told}");
    let shopper = string(&rows[0], "shopper");
    let shown = store.client.get(&store.path(&format!("/shoppers/{shopper}"))).is(200);
    assert_eq!(
        (&shown["username"], &shown["member_org"], &shown["allowed"]),
        (&json!("anna"), &json!("OrgB"), &json!(true))
    );

    let (home, mut browser) = (store.home(), Browser::new(&rig));
    let (signin, register) = (format!("{home}signin"), format!("{home}signin/register"));
    for (name, email) in [("anna", "other@uni.example"), ("berta", "berta@uni.example")] {
        browser.post(&signin, &register, &[("username", name), ("email", email)]).is(200, "link-sent");
    }
    browser.post(&signin, &register, &[("username", "anna"), ("email", "Anna@uni.example")]).is(200, "link-sent");
    eventually("one mail", || links(folder.path(), "/WebStore/").len() == 1);
    let link = links(folder.path(), "/WebStore/").remove(0);
    let (path, key) = (link.split('?').next().unwrap().to_owned(), field(&link, "key"));
    let send = |browser: &mut Browser<'_>, key: &str, password: &str| {
        let fields = [("shopper", &*shopper), ("key", key), ("password", password), ("again", password)];
        browser.post(&link, &path, &fields)
    };
    send(&mut browser, &key, "short").is(400, "set-password");
    send(&mut browser, &key.replace(&key[..1], "_"), "correct horse").is(403, "message");
    send(&mut browser, &key, "correct horse").is(200, "password-set");
    send(&mut browser, &key, "another horse").is(403, "message");
    assert!(!rig.log_text().contains(&key));

    let (password, wrong) = (format!("{home}signin/password"), "wrong horse");
    for name in ["anna", "nobody"] {
        browser.post(&signin, &password, &[("username", name), ("password", wrong)]).is(403, "signin");
    }
    store.sign_in(&rig, "anna");
    for _ in 0..5 {
        browser.post(&signin, &password, &[("username", "anna"), ("password", wrong)]).is(403, "signin");
    }
    let right = [("username", "anna"), ("password", "correct horse")];
    browser.post(&signin, &password, &right).is(403, "signin");
    store.client.post(&store.path(&format!("/shoppers/{shopper}/removal")), &json!({})).is(200);
    let orders = store.client.get(&store.path("/shoppers?allowed=true")).is(200);
    assert_eq!(orders["items"], json!([]));
    store.client.delete(&store.path(&format!("/shoppers/{shopper}"))).is(200);
    store.client.get(&store.path(&format!("/shoppers/{shopper}"))).problem(404, "object.not_found");
}

#[test]
fn an_address_of_a_listed_domain_gets_a_link_that_works_once() {
    let folder = tempfile::tempdir().unwrap();
    let rig = rig(folder.path());
    let store = Store::of(&rig.org(), "domain", "de");
    let group = json!([{"class": "academic_statuses", "group": "staff"}]);
    let number = verification(&store, "email_domain", &json!({"domains": ["uni.example"], "groups": group}));
    state(&store, number, "active");
    let product = store.product(&json!({"name": "Editor", "groups": group}));
    store.add_codes(&product, &["DDDD-1".to_owned()]);
    let (home, mut browser) = (store.home(), Browser::new(&rig));
    let (signin, email) = (format!("{home}signin"), format!("{home}signin/email"));
    for address in ["anna@other.example", "anna@uni.example.evil.example", "x", "Anna@UNI.example"] {
        browser.post(&signin, &email, &[("email", address)]).is(200, "link-sent");
    }
    eventually("one mail", || links(folder.path(), "/WebStore/").len() == 1);
    let link = links(folder.path(), "/WebStore/").remove(0);
    let (path, shopper, key) = (link.split('?').next().unwrap(), field(&link, "shopper"), field(&link, "key"));
    let fields = [("shopper", &*shopper), ("key", &*key)];
    // Whatever looks into the mail signs nobody in.
    browser.get(&link).is(200, "link");
    assert!(!browser.cookies.contains_key("ws_session"));
    assert_eq!(browser.post(&link, path, &fields).leads_to(), home);
    Browser::new(&rig).post(&link, path, &fields).is(403, "message");
    let page = browser.get(&home).is(200, "home");
    assert!(page.html.contains("anna@uni.example") && page.html.contains("lang=\"de\""));
    order(&mut browser, &home, &product);
    // Three mails in an hour are enough, and nobody is told.
    for _ in 0..5 {
        browser.post(&signin, &email, &[("email", "anna@uni.example")]).is(200, "link-sent");
    }
    eventually("three mails", || links(folder.path(), "/WebStore/").len() == 3);
}

#[test]
fn shibboleth_headers_count_only_from_the_proxy_that_the_store_names() {
    let folder = tempfile::tempdir().unwrap();
    let rig = rig(folder.path());
    let store = Store::of(&rig.org(), "sso", "en");
    let number = verification(&store, "shibboleth", &json!({"callers": ["192.0.2.0/24"]}));
    state(&store, number, "active");
    let (home, here) = (store.home(), format!("{}signin/shibboleth", store.home()));
    let from_proxy = || {
        let mut browser = Browser::new(&rig);
        browser.headers = [
            ("eppn", "zoë@uni.example"),
            ("givenName", "Zoë"),
            ("affiliation", "staff@uni.example;alum@uni.example"),
            ("X-Forwarded-For", "192.0.2.1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        browser
    };
    from_proxy().get(&here).is(403, "message");
    store.client.patch(&store.path(&format!("/verifications/{number}")), &json!({"callers": ["127.0.0.1"]})).is(200);
    let mut browser = from_proxy();
    assert_eq!(browser.get(&here).leads_to(), home);
    assert!(browser.get(&home).is(200, "home").html.contains("Zoë"));
    let shoppers = store.client.all(&store.path("/shoppers?kind=shibboleth"), 10);
    assert_eq!(shoppers[0]["username"], "zoë@uni.example");
    assert_eq!(shoppers[0]["groups"], json!([{"class": "academic_statuses", "group": "staff"}]), "known groups alone");
    browser.headers.clear();
    Browser::new(&rig).get(&here).is(403, "message");
    state(&store, number, "inactive");
    from_proxy().get(&here).is(403, "signin");
}

#[test]
fn an_administrator_comes_in_by_the_neutral_page_and_his_role_moves_when_it_is_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let rig = rig(folder.path());
    let org = rig.org();
    let store = Store::of(&org, "admin", "it");
    let old = store.user(&rig, "old.admin", &[]);
    let new = store.user(&rig, "new.admin", &[]);
    let path = |shopper: &str, rest: &str| store.path(&format!("/shoppers/{shopper}{rest}"));
    // The store's own way in may be broken.
    state(&store, 1, "inactive");
    let sign_in = |name: &str, account: &str| {
        let mut browser = Browser::new(&rig);
        let fields = [("account", account), ("username", name), ("password", "correct horse")];
        let page = browser.post("/admin", "/admin", &fields);
        (browser, page)
    };
    assert_eq!(sign_in("old.admin", &store.account).1.is(403, "admin-signin").status, 403, "no role");
    store.client.post(&path(&old, "/roles"), &json!({"role": "store_admin"})).is(200);
    store.client.post(&path(&old, "/roles"), &json!({"role": "owner"})).refused();
    assert_eq!(sign_in("old.admin", "999999999").1.is(403, "admin-signin").status, 403, "another account number");
    let (mut browser, page) = sign_in("old.admin", &store.account);
    assert_eq!(page.leads_to(), "/admin");
    let page = browser.get("/admin").is(200, "admin");
    for wanted in
        [&*store.account, &*store.guid, "Importazione utenti", "Rossi Auto", "mailto:help@castle.example?body="]
    {
        assert!(page.html.contains(wanted), "{wanted}: {}", page.html);
    }
    let left = browser.post_with(&page.token(), "/admin/leave", &[]).is(200, "admin-signin");
    assert!(left.html.contains("Rossi Auto"), "support is told who asks: {}", left.html);
    browser.get("/admin").is(200, "admin-signin");

    let transfer = json!({"to": new, "role": "store_admin"});
    store
        .client
        .post(&path(&new, "/transfer"), &json!({"to": old, "role": "store_admin"}))
        .problem(409, "shoppers.role_missing");
    store.client.post(&path(&old, "/transfer"), &transfer).is(202);
    let again = json!({"to": new, "role": "iuv_admin"});
    store.client.post(&path(&old, "/roles"), &json!({"role": "iuv_admin"})).is(200);
    store.client.post(&path(&old, "/transfer"), &again).problem(409, "shoppers.transfer_pending");
    eventually("a mail to the owner", || links(folder.path(), "/admin/transfer").len() == 1);
    let link = links(folder.path(), "/admin/transfer").remove(0);
    let mut owner = Browser::new(&rig);
    let page = owner.get(&link).is(200, "transfer");
    assert!(page.html.contains("old.admin") && page.html.contains("new.admin"));
    assert_eq!(sign_in("new.admin", &store.account).1.status, 403, "nothing has moved");
    let (shopper, guid, key) = (field(&link, "shopper"), field(&link, "store"), field(&link, "key"));
    let fields = [("shopper", &*shopper), ("store", &*guid), ("key", &*key), ("confirmed", "true")];
    owner.post_with(&page.token(), "/admin/transfer", &fields).is(200, "transfer-done");
    owner.post_with(&page.token(), "/admin/transfer", &fields).is(403, "message");
    eventually("the role is there", || {
        let shown = store.client.get(&path(&new, "")).is(200);
        shown["roles"] == json!(["store_admin"])
    });
    assert_eq!(sign_in("new.admin", &store.account).1.leads_to(), "/admin");
    assert_eq!(store.client.get(&path(&old, "")).is(200)["roles"], json!(["iuv_admin"]));
    // By the API, for whoever administers the organisation.
    store.client.post(&path(&old, "/transfer"), &again).is(202);
    store.client.post(&path(&old, "/transfer/confirmation"), &json!({"confirmed": false})).is(200);
    assert_eq!(store.client.get(&path(&old, "")).is(200)["roles"], json!(["iuv_admin"]));
    store.client.delete(&path(&old, "/roles/iuv_admin")).is(200);
    store.client.delete(&path(&old, "/roles/king")).problem(404, "object.not_found");
}
