//! What is wrong with a registration, and in which order it is told. Numbers are those of `docs/iuv.md`, "What a demanding
//! user tries".

use crate::iuv::{
    NO_CLASS, NO_GROUP, NO_STORE, SERVER, Shop, WRONG_KEY, ask_with, is_in, parameter, put, redeem, register, rig, shop,
};
use serde_json::json;

const OTHER_KEY: &str = "0123456789abcdef0123456789abcdef";

fn refused_for(rig: &crate::rig::Rig, query: &str, names: &[&str]) {
    let messages: Vec<_> = names.iter().map(|name| parameter(name)).collect();
    register(rig, query).refused(&messages.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn n2_a_parameter_twice_with_different_values_is_message_1() {
    let rig = rig();
    let shop = shop(&rig);
    let key = &shop.key;
    refused_for(&rig, &shop.query(&format!("&key={OTHER_KEY}")), &["key"]);
    refused_for(&rig, &shop.query(&format!("&KEY={OTHER_KEY}&first_name=a&first_name=b")), &["key", "first_name"]);
    register(&rig, &shop.query(&format!("&key={key}"))).url();
}

#[test]
fn n3_two_that_are_missing_are_two_messages_with_one_bar() {
    let rig = rig();
    let shop = shop(&rig);
    let heard = register(&rig, &format!("account={}&academic_statuses=students", shop.account));
    heard.refused(&[&parameter("username"), &parameter("key")]);
    assert_eq!(heard.body.matches('|').count(), 1, "{}", heard.body);
    refused_for(&rig, &format!("account={}&username=x&key={}", shop.account, shop.key), &["academic_statuses"]);
}

#[test]
fn n4_what_is_there_and_empty_is_message_1() {
    let rig = rig();
    let shop = shop(&rig);
    let Shop { account, key, .. } = &shop;
    let all = "account=&username=&key=&academic_statuses=students&email=&last_name=&first_name=";
    refused_for(&rig, all, &["account", "username", "key", "email", "last_name", "first_name"]);
    for name in ["email", "last_name", "first_name"] {
        for value in ["", "+", "%20%20"] {
            refused_for(&rig, &shop.query(&format!("&{name}={value}")), &[name]);
        }
        refused_for(&rig, &shop.query(&format!("&{name}")), &[name]);
    }
    for list in ["", ",", ",+,"] {
        refused_for(
            &rig,
            &format!("account={account}&username=x&key={key}&academic_statuses={list}"),
            &["academic_statuses"],
        );
    }
    // What the store ignores may be empty; what it heeds may not.
    register(&rig, &shop.query("&shopper_ip=&member_org=")).url();
    shop.set(json!({"check_shopper_ip": true}));
    for member in ["OrgA", "OrgB"] {
        put(&shop.org, &shop.path(&format!("/members/{member}")), &json!({"name": "School"})).is(200);
    }
    let groups = json!({"groups": [{"group": "law", "name": "Giurisprudenza"}]});
    put(&shop.org, &shop.path("/classes/department"), &groups).is(200);
    refused_for(&rig, &shop.query("&department=&member_org=&shopper_ip="), &["shopper_ip", "member_org", "department"]);
    register(&rig, &shop.query("&member_org=OrgB&department=law")).url();
    // A store that need not hear of statuses: absent is well, empty is not.
    shop.org.client.patch(&shop.path(""), &json!({"academic": false})).is(200);
    let bare = format!("account={account}&username=x&key={key}&member_org=OrgB");
    register(&rig, &bare).url();
    refused_for(&rig, &format!("{bare}&academic_statuses="), &["academic_statuses"]);
    // In JSON `null` is left out, and an empty text is empty.
    let headers = format!("X-Forwarded-For: {SERVER}\r\nX-Forwarded-Proto: https\r\n");
    let post = |email: serde_json::Value| {
        let body = json!({"account": account, "username": "x", "key": key, "member_org": "OrgB", "email": email});
        ask_with(&rig, "POST", b"/WebStore/Security/AuthenticateUser.ashx", &headers, body.to_string().as_bytes())
    };
    post(json!(null)).url();
    post(json!("")).refused(&[&parameter("email")]);
}

#[test]
fn n5_lengths_are_counted_in_characters() {
    let rig = rig();
    let shop = shop(&rig);
    for (name, most) in [("last_name", 50), ("first_name", 50), ("email", 100)] {
        register(&rig, &shop.query(&format!("&{name}={}", "ё".repeat(most)))).url();
        refused_for(&rig, &shop.query(&format!("&{name}={}", "ё".repeat(most + 1))), &[name]);
    }
    let named = |count: usize| shop.query("").replace("jsmith", &"ё".repeat(count));
    register(&rig, &named(100)).url();
    refused_for(&rig, &named(101), &["username"]);
    refused_for(
        &rig,
        &shop.query(&format!("&last_name={}&first_name=a&first_name=b", "ё".repeat(51))),
        &["last_name", "first_name"],
    );
}

#[test]
fn n6_groups_are_compared_to_the_letter_and_empty_parts_are_nothing() {
    let rig = rig();
    let shop = shop(&rig);
    let statuses = |list: &str| register(&rig, &shop.query("").replace("=students", &format!("={list}")));
    for list in ["students,,faculty", "students,faculty,", ",students", "students,students"] {
        statuses(list).url();
    }
    for unknown in ["Students", "student", "students,alumni"] {
        statuses(unknown).refused(&[NO_GROUP]);
    }
}

#[test]
fn n7_unknown_groups_and_classes_are_4_and_5() {
    let rig = rig();
    let shop = shop(&rig);
    let Shop { account, key, .. } = &shop;
    let with = |more: &str| register(&rig, &shop.query(more));
    register(&rig, &shop.query("&department=law").replace("students", "student")).refused(&[NO_GROUP, NO_CLASS]);
    with("&_=123").refused(&[NO_CLASS]);
    register(&rig, &shop.query("").replace(key, OTHER_KEY)).refused(&[WRONG_KEY]);
    register(&rig, &shop.query("").replace(key, OTHER_KEY).replace("students", "nobody")).refused(&[WRONG_KEY]);
    register(&rig, &shop.query("").replace(account, "999999999")).refused(&[NO_STORE]);
    register(&rig, &shop.query("").replace(account, "12")).refused(&[NO_STORE]);
    register(&rig, &format!("username=x&key={key}&academic_statuses=students")).refused(&[NO_STORE]);
    // A class that is defined may be sent; the name of one that is not is never said again.
    let groups = json!({"groups": [{"group": "law", "name": "Giurisprudenza"}]});
    put(&shop.org, &shop.path("/classes/department"), &groups).is(200);
    with("&Department=law").url();
    with("&department=law&department=art").refused(&[&parameter("department")]);
    // In the store's language.
    shop.org.client.patch(&shop.path(""), &json!({"language": "de"})).is(200);
    assert!(with("&x=1").body.starts_with("Eine oder mehrere Klassen"));
}

#[test]
fn n13_who_registers_again_has_the_new_groups_and_no_others() {
    let rig = rig();
    let shop = shop(&rig);
    let shoppers = || shop.org.client.all(&shop.path("/shoppers"), 10);
    // The first page of a session brings its attributes to the account.
    let come = |query: &str| {
        let heard = redeem(&rig, &register(&rig, query).url());
        is_in(&heard, &shop, false);
        let cookie = heard.header("set-cookie").unwrap().split(';').next().unwrap();
        let home = format!("/WebStore/{}/", shop.guid);
        let page = ask_with(&rig, "GET", home.as_bytes(), &format!("Cookie: {cookie}\r\n"), b"");
        assert_eq!(page.status, 200, "{page:?}");
    };
    come(&shop.query(",staff&email=j@campus.example&last_name=Smith"));
    let group = |code: &str| json!({"class": "academic_statuses", "group": code});
    let first = shoppers().remove(0);
    assert_eq!(first["groups"], json!([group("staff"), group("students")]));
    come(&shop.query("&first_name=John").replace("students", "faculty"));
    let [second] = &shoppers()[..] else { panic!("one account") };
    assert_eq!(second["groups"], json!([group("faculty")]));
    assert_eq!(second["shopper"], first["shopper"]);
    assert_eq!(
        (&second["email"], &second["last_name"], &second["first_name"]),
        (&json!(null), &json!(null), &json!("John"))
    );
    // Exact characters after NFC: another case is somebody else, another spelling of the same letters is not.
    come(&shop.query("").replace("jsmith", "Jsmith"));
    come(&shop.query("").replace("jsmith", "zo%C3%AB"));
    come(&shop.query("").replace("jsmith", "zoe%CC%88"));
    assert_eq!(shoppers().len(), 3);
}

#[test]
fn member_organisations_are_asked_for_as_soon_as_there_are_several() {
    let rig = rig();
    let shop = shop(&rig);
    let member = |code: &str| {
        put(&shop.org, &shop.path(&format!("/members/{code}")), &json!({"name": "School"})).is(200);
    };
    let with = |more: &str| register(&rig, &shop.query(more));
    member("OrgA");
    with("").url();
    with("&member_org=nobody").url();
    member("OrgB");
    with("").refused(&[&parameter("member_org")]);
    with("&member_org=orgb").refused(&[NO_STORE]);
    with("&member_org=OrgB&member_org=OrgA").refused(&[&parameter("member_org")]);
    with("&member_org=OrgB").url();
}
