//! Organisations, people and tokens.

use crate::{
    rig::{Rig, string},
    site::organisation,
};
use serde_json::{Value, json};
use std::time::Duration;

fn soon(milliseconds: i64) -> String {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_millis(milliseconds)).to_string()
}

#[test]
fn the_life_of_an_organisation() {
    let rig = Rig::start();
    let operator = rig.operator();
    let org = rig.org_with("lite");
    let path = format!("/organisations/{}", org.id);
    let shown = operator.get(&path).is(200);
    assert_eq!((&shown["plan"], &shown["name"], &shown["zone"]), (&json!("lite"), &json!("Rossi Auto"), &json!("Europe/Rome")));
    assert_eq!(shown["owner"], json!(org.owner));
    assert_eq!(shown, org.client.get(&path).is(200), "its own token sees the same");

    let changed = operator.patch(&path, &json!({"plan": "business_pro", "name": "Rossi & Figli"})).is(200);
    let shown = org.client.get(&path).is(200);
    assert_eq!((&shown["plan"], &shown["name"]), (&json!("business_pro"), &json!("Rossi & Figli")));
    assert_eq!(shown["revision"], changed["revision"]);
    let again = operator.patch(&path, &json!({"plan": "business_pro"})).is(200);
    assert_eq!(again["revision"], changed["revision"], "no change, no new revision");

    let other = rig.org();
    let listed: Vec<_> = operator.all("/organisations", 1).iter().map(|row| string(row, "organisation")).collect();
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&org.id) && listed.contains(&other.id));
    let own: Vec<_> = org.client.all("/organisations", 50);
    assert_eq!((own.len(), &own[0]["organisation"]), (1, &json!(org.id)), "a token sees its own organisation alone");

    let owner = org.client.get(&format!("/people/{}", org.owner)).is(200);
    assert_eq!((&owner["role"], &owner["email"]), (&json!("owner"), &json!("anna@rossi.example")));
    org.client.delete(&format!("/people/{}", org.owner)).problem(409, "people.is_owner");
    org.client.patch(&path, &json!({"plan": "lite"})).problem(403, "auth.forbidden");
    org.client.post("/organisations", &organisation("lite")).problem(403, "auth.forbidden");
}

#[test]
fn a_revoked_token_is_refused_at_once_and_a_secret_is_shown_once() {
    let rig = Rig::start();
    let org = rig.org();
    let made = org.client.post("/tokens", &json!({"label": "erp", "scopes": ["boxes:read", "org:admin"]})).is(201);
    let (token_id, token) = (string(&made, "token_id"), string(&made, "token"));
    let erp = rig.client(Some(&token));
    assert_eq!(erp.get("/people").is(200)["items"].as_array().unwrap().len(), 1);
    let listed = org.client.get("/tokens").is(200);
    let row = listed["items"].as_array().unwrap().iter().find(|row| row["token_id"] == json!(token_id)).unwrap();
    let prefix = string(row, "prefix");
    assert!(token.starts_with(&prefix) && prefix.len() + 40 < token.len(), "{row}");
    assert!(!listed.to_string().contains(&token[prefix.len() + 1..]), "the secret is told again");

    for round in 0..5 {
        assert_eq!(erp.get("/people").status, 200, "round {round}");
    }
    let revoked = org.client.delete(&format!("/tokens/{token_id}")).is(200);
    erp.get("/people").problem(401, "auth.invalid");
    let listed = org.client.get("/tokens").is(200);
    assert!(!listed.to_string().contains(&token_id));
    assert_eq!(org.client.delete(&format!("/tokens/{token_id}")).is(200), revoked, "again is no error and no change");
    let own = org.client.get("/tokens").is(200)["items"][0]["token_id"].as_str().unwrap().to_owned();
    org.client.delete(&format!("/tokens/{own}")).is(200);
    org.client.get("/people").problem(401, "auth.invalid");
}

#[test]
fn revocation_outlives_a_crash() {
    let mut rig = Rig::start();
    let org = rig.org();
    let made = org.client.post("/tokens", &json!({"label": "erp", "scopes": ["boxes:read"]})).is(201);
    org.client.delete(&format!("/tokens/{}", string(&made, "token_id"))).is(200);
    rig.kill_and_start();
    rig.client(made["token"].as_str()).get("/organisations").problem(401, "auth.invalid");
    assert_eq!(org.client.get("/organisations").status, 200);
}

#[test]
fn a_token_ends_when_it_says() {
    let rig = Rig::start();
    let org = rig.org();
    let body = json!({"label": "for an hour", "scopes": ["boxes:read"], "expires_at": soon(1500)});
    let made = org.client.post("/tokens", &body).is(201);
    let client = rig.client(made["token"].as_str());
    assert_eq!(client.get("/organisations").status, 200);
    std::thread::sleep(Duration::from_millis(1600));
    client.get("/organisations").problem(401, "auth.invalid");
    for wrong in ["yesterday", "2020-01-01T00:00:00Z", "", "99999-01-01T00:00:00Z"] {
        let body = json!({"label": "x", "scopes": ["boxes:read"], "expires_at": wrong});
        let problem = org.client.post("/tokens", &body).problem(400, "request.invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/expires_at");
    }
}

#[test]
fn scopes_say_what_a_token_may() {
    let rig = Rig::start();
    let org = rig.org();
    let with = |scopes: &[&str]| {
        let made = org.client.post("/tokens", &json!({"label": "x", "scopes": scopes})).is(201);
        rig.client(made["token"].as_str())
    };
    for scope in ["boxes:read", "boxes:write", "audit:read"] {
        let client = with(&[scope]);
        client.get("/people").problem(403, "auth.forbidden");
        client.post("/people", &json!({"name": "X"})).problem(403, "auth.forbidden");
        client.post("/tokens", &json!({"label": "more", "scopes": ["org:admin"]})).problem(403, "auth.forbidden");
        client.get("/tokens").problem(403, "auth.forbidden");
        assert_eq!(client.get(&format!("/organisations/{}", org.id)).status, 200);
    }
    with(&["boxes:write", "org:admin"]).post("/people", &json!({"name": "X"})).is(201);
    for scopes in [json!(["operator"]), json!([]), json!(["boxes:read", "operator"])] {
        org.client.post("/tokens", &json!({"label": "x", "scopes": scopes})).problem(400, "request.invalid");
    }
    let operator = rig.operator().post("/tokens", &json!({"label": "second", "scopes": ["operator"]})).is(201);
    rig.client(operator["token"].as_str()).post("/organisations", &organisation("lite")).is(201);
    rig.operator().post("/tokens", &json!({"label": "x", "scopes": ["org:admin"]})).problem(400, "request.invalid");
}

#[test]
fn another_organisation_is_not_there() {
    let rig = Rig::start();
    let (ours, theirs) = (rig.org(), rig.org());
    let person = theirs.person_with(&json!({"name": "Bruno", "access_code": "424242"}));
    let token = theirs.client.post("/tokens", &json!({"label": "x", "scopes": ["boxes:read"]})).is(201);
    let nobody = "0123456789abcdefghjkmnpqrs";
    for (real, unknown) in [
        (format!("/organisations/{}", theirs.id), format!("/organisations/org_{nobody}")),
        (format!("/people/{person}"), format!("/people/per_{nobody}")),
    ] {
        let (foreign, absent) = (ours.client.get(&real), ours.client.get(&unknown));
        foreign.problem(404, "object.not_found");
        assert_eq!(foreign.bare(), absent.bare());
    }
    let changes = json!({"name": "Mine now"});
    ours.client.patch(&format!("/people/{person}"), &changes).problem(404, "object.not_found");
    ours.client.delete(&format!("/people/{person}")).problem(404, "object.not_found");
    ours.client.delete(&format!("/tokens/{}", string(&token, "token_id"))).problem(404, "object.not_found");
    assert_eq!(theirs.client.get(&format!("/people/{person}")).is(200)["name"], "Bruno");
    assert_eq!(theirs.client.get("/tokens").is(200)["items"].as_array().unwrap().len(), 2);
    // What is unique is unique within an organisation.
    ours.person_with(&json!({"name": "Carla", "access_code": "424242"}));
}

#[test]
fn the_operator_sees_organisations_and_none_of_their_codes() {
    let rig = Rig::start();
    let org = rig.org();
    let code = "71828182";
    let person = org.person_with(&json!({"name": "Bruno", "access_code": code, "badges": ["04A2F1B3"]}));
    let operator = rig.operator();
    for path in ["/people".to_owned(), format!("/people/{person}"), "/people?limit=10".to_owned()] {
        operator.get(&path).problem(403, "auth.forbidden");
    }
    let tokens = operator.get("/tokens").is(200);
    assert_eq!(tokens["items"].as_array().unwrap().len(), 1, "the operator's own: {tokens}");
    let told = operator.get(&format!("/organisations/{}", org.id)).told() + &operator.get("/organisations").told();
    assert!(!told.contains(code) && !told.contains("Bruno") && !told.contains("anna@rossi.example"), "{told}");
    // Codes are written, never shown, not even to the organisation.
    let shown = org.client.get(&format!("/people/{person}"));
    assert!(!shown.told().contains(code), "{}", shown.told());
    let shown = shown.is(200);
    assert_eq!((&shown["has_access_code"], &shown["badges"]), (&json!(true), &json!(["04A2F1B3"])));
    assert!(!rig.log_text().contains(code));
}

#[test]
fn nothing_personal_stands_in_the_data_in_clear() {
    let mut rig = Rig::start();
    let org = rig.org();
    org.person_with(&json!({"name": "Giuseppina Verdicchio", "access_code": "27182818284", "mobile": "+390212345678"}));
    rig.tell_to_stop();
    rig.wait_for_end();
    let mut folders = vec![rig.data()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            for secret in ["Verdicchio", "27182818284", "390212345678", "anna@rossi.example", &org.token[58..]] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{secret} stands in {}", path.display());
            }
        }
    }
}

#[test]
fn people_are_made_changed_and_listed() {
    let rig = Rig::start();
    let org = rig.org();
    let body = json!({
        "name": "Bruno Bianchi", "email": "bruno@rossi.example", "mobile": "+390212345678", "role": "admin",
        "access_code": "123456", "badges": ["B1", "B2"],
    });
    let person = org.person_with(&body);
    let path = format!("/people/{person}");
    let shown = org.client.get(&path).is(200);
    for member in ["name", "email", "mobile", "role", "badges"] {
        assert_eq!(shown[member], body[member], "{member}");
    }
    let changed = org.client.patch(&path, &json!({"mobile": null, "role": "viewer", "badges": ["B2", "B3"]})).is(200);
    let shown = org.client.get(&path).is(200);
    assert_eq!((&shown["mobile"], &shown["role"], &shown["badges"]), (&Value::Null, &json!("viewer"), &json!(["B2", "B3"])));
    assert_eq!((&shown["name"], &shown["has_access_code"]), (&body["name"], &json!(true)), "the rest stays");
    assert_eq!(shown["revision"], changed["revision"]);
    org.client.patch(&path, &json!({"access_code": null})).is(200);
    assert_eq!(org.client.get(&path).is(200)["has_access_code"], false);

    let more: Vec<_> = (0..7).map(|number| org.person(&format!("Person {number}"))).collect();
    for limit in [1, 3, 9, 200] {
        let listed = org.client.all("/people", limit);
        let mut ids: Vec<_> = listed.iter().map(|row| string(row, "person")).collect();
        assert_eq!(ids.len(), 9, "limit {limit}");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 9, "limit {limit}");
        assert!(more.iter().chain([&person, &org.owner]).all(|person| ids.contains(person)));
        assert!(listed.iter().any(|row| row["name"] == "Bruno Bianchi"));
    }
}

#[test]
fn unique_values_are_taken_once_and_free_again() {
    let rig = Rig::start();
    let org = rig.org();
    let body = json!({"name": "B", "email": "b@rossi.example", "access_code": "123456", "badges": ["X"]});
    let first = org.person_with(&body);
    for (other, code) in [
        (json!({"name": "C", "email": "B@Rossi.Example"}), "people.email_taken"),
        (json!({"name": "C", "access_code": "123456"}), "people.access_code_taken"),
        (json!({"name": "C", "badges": ["Y", "X"]}), "people.badge_taken"),
    ] {
        org.client.post("/people", &other).problem(409, code);
    }
    let second = org.person_with(&json!({"name": "C", "badges": ["Y"], "access_code": "654321"}));
    org.client.patch(&format!("/people/{second}"), &json!({"access_code": "123456"})).problem(409, "people.access_code_taken");
    assert_eq!(org.client.all("/people", 200).len(), 3, "a lost race changes nothing");
    org.client.patch(&format!("/people/{first}"), &json!({"access_code": "111111"})).is(200);
    org.client.patch(&format!("/people/{second}"), &json!({"access_code": "123456"})).is(200);
    org.client.patch(&format!("/people/{second}"), &json!({"access_code": "123456", "badges": ["Y"]})).is(200);
}

#[test]
fn twenty_at_once_and_one_gets_the_code() {
    let rig = Rig::start();
    let org = rig.org();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = |number: usize| {
            let client = org.client.clone();
            move || client.post("/people", &json!({"name": format!("P{number}"), "access_code": "999999"})).status
        };
        let asked: Vec<_> = (0..20).map(|number| scope.spawn(ask(number))).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let made = answers.iter().filter(|status| **status == 201).count();
    assert_eq!((made, answers.iter().filter(|status| **status == 409).count()), (1, 19), "{answers:?}");
    assert_eq!(org.client.all("/people", 200).len(), 2);
}

#[test]
fn an_erased_person_is_gone_and_what_was_theirs_is_free() {
    let mut rig = Rig::start();
    let org = rig.org();
    let body = json!({"name": "Bruno Bianchi", "email": "b@rossi.example", "access_code": "123456", "badges": ["X"]});
    let person = org.person_with(&body);
    let path = format!("/people/{person}");
    let erased = org.client.delete(&path).is(200);
    let gone = |rig: &Rig| {
        org.client.get(&path).problem(404, "object.not_found");
        org.client.patch(&path, &json!({"name": "B"})).problem(404, "object.not_found");
        assert_eq!(org.client.delete(&path).is(200), erased, "again is no error and no change");
        assert!(!org.client.get("/people").told().contains("Bianchi"));
        assert!(!rig.log_text().contains("Bianchi"));
    };
    gone(&rig);
    org.person_with(&body);
    org.client.get(&path).problem(404, "object.not_found");
    rig.kill_and_start();
    org.client.get(&path).problem(404, "object.not_found");
    org.client.post("/people", &body).problem(409, "people.email_taken");
}

#[test]
fn guesses_from_one_address_are_limited() {
    let rig = Rig::with(&[("LIMITS__FAILED_AUTHENTICATIONS_PER_MINUTE", "50")]);
    let org = rig.org();
    let wrong = format!("{}{}", &org.token[..58], "A".repeat(43));
    let guess = || rig.client(Some(&wrong)).get("/people");
    // Within the first minute a tenth is enough.
    for _ in 0..5 {
        guess().problem(401, "auth.invalid");
    }
    let limited = guess();
    limited.problem(429, "auth.too_many_failures");
    assert_eq!(limited.header("www-authenticate"), None);
    assert_eq!(org.client.get("/people").status, 200, "who has a good token is not punished");
}
