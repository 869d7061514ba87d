//! The administration of stores: verification types and their states, keys, callers, the tester.

use crate::{
    iuv::{
        BASE, NO_STORE, WRONG_KEY, add_iuv, ask, is_in, put, redeem, register, register_from, rig, rig_with,
        save_new_key, shop,
    },
    rig::{eventually, string},
};
use serde_json::{Value, json};

fn states(shop: &crate::iuv::Shop) -> Vec<(String, String)> {
    let shown = shop.org.client.get(&shop.path("")).is(200);
    let all = shown["verifications"].as_array().unwrap().iter();
    all.map(|known| (string(known, "kind"), string(known, "state"))).collect()
}

fn are(shop: &crate::iuv::Shop, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(kind, state)| ((*kind).to_owned(), (*state).to_owned())).collect();
    assert_eq!(states(shop), expected);
}

#[test]
fn of_single_sign_ons_one_is_active_and_one_in_test() {
    let rig = rig();
    let shop = shop(&rig);
    are(&shop, &[("user_import", "active"), ("iuv", "active")]);
    let second = add_iuv(&shop.org, &shop.store);
    are(&shop, &[("user_import", "active"), ("iuv", "active"), ("iuv", "test")]);
    let add = |kind: &str| shop.org.client.post(&shop.path("/verifications"), &json!({"kind": kind}));
    add("shibboleth").is(201);
    are(&shop, &[("user_import", "active"), ("iuv", "active"), ("iuv", "inactive"), ("shibboleth", "test")]);
    add("user_import").problem(409, "stores.verification_taken");
    let state = |verification: u64, state: &str| {
        put(&shop.org, &shop.path(&format!("/verifications/{verification}/state")), &json!({"state": state}))
    };
    state(second, "active").problem(409, "stores.verification_not_ready");
    let key = save_new_key(&shop.org, &shop.store, second, 0);
    state(second, "active").is(200);
    are(&shop, &[("user_import", "active"), ("iuv", "inactive"), ("iuv", "active"), ("shibboleth", "test")]);
    // At once: the old one is found no more, the new one is.
    register(&rig, &shop.query("")).refused(&[WRONG_KEY]);
    register(&rig, &shop.query("").replace(&shop.key, &key)).url();
    shop.put("test");
    are(&shop, &[("user_import", "active"), ("iuv", "test"), ("iuv", "active"), ("shibboleth", "inactive")]);
    is_in(&redeem(&rig, &shop.register(&rig)), &shop, true);
    let path = shop.path(&format!("/verifications/{second}"));
    shop.org.client.delete(&path).is(200);
    shop.org.client.delete(&path).problem(404, "object.not_found");
    register(&rig, &shop.query("").replace(&shop.key, &key)).refused(&[WRONG_KEY]);
}

#[test]
fn keys_are_shown_noted_unique_and_short_ones_need_callers() {
    let rig = rig();
    let shop = shop(&rig);
    let path = shop.of_iuv("/key");
    assert_eq!(shop.org.client.get(&path).is(200)["key"], *shop.key);
    let noted = shop.org.client.get("/audit?type=stores.key_shown").is(200);
    assert_eq!(noted["items"].as_array().unwrap().len(), 1);
    put(&shop.org, &path, &json!({"key": "bda0989f"})).problem(409, "stores.key_too_short");
    shop.set(json!({"callers": ["192.0.2.0/24"]}));
    put(&shop.org, &path, &json!({"key": "bda0989f"})).is(200);
    register(&rig, &shop.query("").replace(&shop.key, "bda0989f")).url();
    let nobody = json!({"callers": []});
    shop.org.client.patch(&shop.of_iuv(""), &nobody).problem(409, "stores.key_too_short");
    for everybody in ["0.0.0.0/0", "0.0.0.0/1", "::/0"] {
        shop.org.client.patch(&shop.of_iuv(""), &json!({"callers": [everybody]})).problem(400, "request.invalid");
    }
    let second = add_iuv(&shop.org, &shop.store);
    let other = shop.path(&format!("/verifications/{second}/key"));
    let long = "0123456789abcdef0123456789abcdef";
    put(&shop.org, &other, &json!({"key": long})).is(200);
    put(&shop.org, &path, &json!({"key": long})).problem(409, "stores.key_taken");
    // Also in another store of the account.
    let made = json!({"system_name": "third", "name": "Third", "language": "en"});
    let third = string(&shop.org.client.post("/stores", &made).is(201), "store");
    let iuv = add_iuv(&shop.org, &third);
    let key = format!("/stores/{third}/verifications/{iuv}/key");
    put(&shop.org, &key, &json!({"key": long})).problem(409, "stores.key_taken");
    let taken = json!({"system_name": "THIRD", "name": "Third", "language": "en"});
    shop.org.client.post("/stores", &taken).problem(409, "stores.system_name_taken");
}

#[test]
fn a_refused_caller_is_seen_and_added() {
    let rig = rig();
    let shop = shop(&rig);
    shop.set(json!({"callers": ["192.0.2.7"]}));
    register_from(&rig, &shop.query(""), "203.0.113.5").refused(&[NO_STORE]);
    let seen = || shop.org.client.get(&shop.path("/refused-callers")).is(200)["items"].clone();
    eventually("the caller is seen", || seen()[0]["address"] == "203.0.113.5");
    shop.org.client.post(&shop.of_iuv("/callers"), &json!({"network": "203.0.113.5"})).is(200);
    register_from(&rig, &shop.query(""), "203.0.113.5").url();
}

#[test]
fn the_tester_explains_each_check() {
    let rig = rig();
    let shop = shop(&rig);
    shop.set(json!({"callers": ["192.0.2.0/24"]}));
    let test = |query: &str, caller: Value| {
        shop.org.client.post(&shop.path("/tester"), &json!({"query": query, "caller": caller})).is(200)
    };
    let passed = |tested: &Value| {
        let steps = tested["steps"].as_array().unwrap().iter();
        steps.map(|step| step["passed"].as_bool()).collect::<Vec<_>>()
    };
    let right = test(&shop.query(""), json!("192.0.2.7"));
    assert_eq!((right["status"].as_u64(), &right["answer"]), (Some(200), &Value::Null));
    assert_eq!(passed(&right), [Some(true); 6]);
    assert_eq!(right["shopper"]["groups"], json!(["academic_statuses:students"]));
    let elsewhere = test(&shop.query(""), json!("203.0.113.5"));
    assert_eq!(passed(&elsewhere), [Some(true), Some(false), None, None, None, None]);
    assert_eq!(elsewhere["verifications"][0]["caller_may"], false);
    assert_eq!(elsewhere["verifications"][0]["key_fits"], true);
    assert_eq!(elsewhere["answer"], NO_STORE);
    let group = test(&shop.query("&academic_statuses=students").replace("students", "x"), json!("192.0.2.7"));
    assert_eq!(passed(&group)[5], Some(false));
    assert!(!right.to_string().contains(&shop.key));
    let noted = shop.org.client.get("/audit?type=sessions.registered").is(200);
    assert_eq!(noted["items"], json!([]), "nobody was registered");
    // Another organisation's store is not to be tried out.
    let foreign = rig.org();
    let path = shop.path("/tester");
    foreign.client.post(&path, &json!({"query": shop.query("")})).problem(404, "object.not_found");
}

#[test]
fn an_organisation_keeps_its_account_number() {
    let rig = rig();
    let (first, second) = (rig.org(), rig.org());
    let set = |org: &str, account: &str| {
        let body = json!({"account": account}).to_string();
        rig.operator().send("PUT", &format!("/organisations/{org}/account"), &[], Some(body.as_bytes()))
    };
    set(&first.id, "100001111").is(200);
    set(&first.id, "100001111").is(200);
    set(&first.id, "100001112").problem(409, "stores.account_taken");
    set(&second.id, "100001111").problem(409, "stores.account_taken");
    set(&second.id, "000001111").problem(400, "request.invalid");
    let body = json!({"system_name": "a", "name": "A", "language": "en"});
    assert_eq!(first.client.post("/stores", &body).is(201)["account"], "100001111");
    let drawn = string(&second.client.post("/stores", &body).is(201), "account");
    assert!(drawn.len() == 9 && drawn != "100001111", "{drawn}");
    let other = json!({"system_name": "b", "name": "B", "language": "en"});
    assert_eq!(second.client.post("/stores", &other).is(201)["account"], *drawn);
}

#[test]
fn who_shows_wrong_keys_is_not_heard_for_a_while() {
    let rig = rig_with(&[("IUV__WRONG_KEYS_PER_CALLER", "50")]);
    let shop = shop(&rig);
    let wrong = shop.query("").replace(&shop.key, "77777777777777777777777777777777");
    // A tenth may come at once after a start.
    for _ in 0..5 {
        register(&rig, &wrong).refused(&[WRONG_KEY]);
    }
    for query in [&wrong, &shop.query("")] {
        let heard = register(&rig, query);
        assert_eq!(heard.status, 429, "{heard:?}");
        assert!(heard.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    }
    register_from(&rig, &shop.query(""), "203.0.113.5").url();
}

#[test]
fn other_methods_and_pages_are_plain_refusals() {
    let rig = rig();
    shop(&rig);
    let heard = ask(&rig, "PUT", b"/WebStore/Security/AuthenticateUser.aspx?x=1", "::1");
    assert_eq!((heard.status, heard.header("allow")), (405, Some("GET")));
    let heard = ask(&rig, "GET", b"/WebStore/Security/AuthenticateUser.ashx", "::1");
    assert_eq!((heard.status, heard.header("allow")), (405, Some("POST")));
    let heard = redeem(&rig, &format!("{BASE}/WebStore/Security/IntegratedSignIn.aspx?ws=x"));
    assert_eq!(heard.status, 403);
    assert!(heard.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
}
