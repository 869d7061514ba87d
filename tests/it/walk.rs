//! The whole route table, seen by those who may not.

use crate::{
    documented,
    rig::{Answer, Client, Rig, string},
    site::Org,
};
use castellan::{
    http::routes::{Guard, ROUTES, Route},
    orgs::Scope,
};
use serde_json::{Value, json};

const NOTHING: &str = "0123456789abcdefghjkmnpqrs";

/// What the parameters of a path stand for.
struct Objects(Vec<(&'static str, String)>);

impl Objects {
    fn path(&self, route: &Route) -> String {
        let mut path = route.path.to_owned();
        for (name, value) in &self.0 {
            path = path.replace(&format!("{{{name}}}"), value);
        }
        assert!(!path.contains('{'), "the walk does not know a parameter of {path}");
        if route.name == "boxes.exchanges" {
            path.push_str(&format!("?box={}", self.of("box")));
        }
        path
    }

    fn of(&self, name: &str) -> &str {
        &self.0.iter().find(|(known, _)| *known == name).unwrap().1
    }
}

fn things_of(org: &Org) -> Objects {
    let person = org.person("Bruno");
    let smart_box = org.smart_box("MS5", 4);
    let key = org.key(&smart_box, "04A2F1", Some("A-1"));
    let access = org.access(&smart_box, &person);
    let group = org.group("Vans");
    let signed = org.client.post(&format!("/boxes/{smart_box}/accesses/{access}/passes"), &json!({})).is(201);
    let pass = string(&signed, "pass");
    let token = org.client.post("/tokens", &json!({"label": "x", "scopes": ["boxes:read"]})).is(201);
    let mut actual = org.enrolled(&smart_box);
    actual.pick_up("A-2", "04A2F1", Some(&person));
    assert_eq!(actual.outcomes(), ["ignored key_not_in_bin"], "makes conflict 1");
    let alerts = org.client.get("/alerts").is(200);
    assert_eq!(alerts["items"][0]["kind"], "conflict");
    let webhook = org.client.post("/webhooks", &json!({"url": "https://nowhere.invalid/", "types": ["none"]})).is(201);
    let webhook = string(&webhook, "webhook");
    let device = org.client.post("/devices", &json!({"mac": "000413abcdef", "vendor": "snom"})).is(201);
    let entry = org.client.post("/phones/whitelist", &json!({"network": "192.0.2.0/24"})).is(201);
    let store = json!({"system_name": "shop", "name": "Shop", "language": "it"});
    let store = string(&org.client.post("/stores", &store).is(201), "store");
    let product = org.client.post(&format!("/stores/{store}/products"), &json!({"name": "Editor"})).is(201);
    let shopper = org.client.post(&format!("/stores/{store}/shoppers"), &json!({"username": "anna"})).is(201);
    let installation = json!({
        "label": "x", "product": "Mexal", "environment": "live",
        "administrator": {"name": "Anna", "password": "tre gatti sul tetto"},
    });
    let installation = org.client.post("/installations", &installation).is(201);
    let order = org.client.post(&format!("/boxes/{smart_box}/orders"), &json!({"do": "restart"})).is(201);
    Objects(vec![
        ("path", string(&installation, "path")),
        ("installation", string(&installation, "installation")),
        ("user", "1".to_owned()),
        ("report", format!("{NOTHING}{NOTHING}{NOTHING}1")),
        ("product", string(&product, "product")),
        ("shopper", string(&shopper, "shopper")),
        ("role", "store_admin".to_owned()),
        ("store", store),
        ("class", "academic_statuses".to_owned()),
        ("member", "OrgA".to_owned()),
        ("verification", "1".to_owned()),
        ("device", string(&device, "device")),
        ("entry", entry["entry"].to_string()),
        ("organisation", org.id.clone()),
        ("person", person),
        ("token_id", token["token_id"].as_str().unwrap().to_owned()),
        ("box", smart_box),
        ("bin", "A-1".to_owned()),
        ("group", group),
        ("key", key),
        ("access", access),
        ("pass", pass),
        ("seq", "1".to_owned()),
        ("alert", alerts["items"][0]["alert"].to_string()),
        ("mail", format!("mail_{NOTHING}")),
        ("webhook", webhook),
        ("delivery", "1".to_owned()),
        ("name", "no-backup".to_owned()),
        ("exchange", format!("exc_{NOTHING}")),
        ("order", order["order"].to_string()),
    ])
}

fn unknown_things() -> Objects {
    let id = |prefix: &str| format!("{prefix}_{NOTHING}");
    Objects(vec![
        ("organisation", id("org")),
        ("store", id("ws")),
        ("product", id("prd")),
        ("shopper", id("shp")),
        ("role", "store_admin".to_owned()),
        ("class", "academic_statuses".to_owned()),
        ("member", "OrgA".to_owned()),
        ("verification", "1".to_owned()),
        ("device", id("dev")),
        ("path", format!("{NOTHING}{NOTHING}")),
        ("installation", id("ins")),
        ("user", "1".to_owned()),
        ("report", format!("{NOTHING}{NOTHING}{NOTHING}1")),
        ("entry", "99".to_owned()),
        ("person", id("per")),
        ("token_id", id("tok")),
        ("box", id("box")),
        ("bin", "A-1".to_owned()),
        ("key", id("key")),
        ("group", id("grp")),
        ("access", id("acc")),
        ("pass", id("pass")),
        ("seq", "1".to_owned()),
        ("alert", "1".to_owned()),
        ("mail", id("mail")),
        ("webhook", id("whk")),
        ("delivery", "1".to_owned()),
        ("name", "no-backup".to_owned()),
        ("exchange", format!("exc_{NOTHING}")),
        ("order", "1".to_owned()),
    ])
}

/// A body that the route takes, as the document describes it.
fn body_for(route: &Route, person: &str) -> Option<Value> {
    let mut body = documented::body(route)?;
    if body["person"].is_string() {
        body["person"] = person.into();
    }
    if body["network"].is_string() {
        body["network"] = "192.0.2.0/24".into();
    }
    let grants = body.get_mut("accesses").and_then(Value::as_array_mut);
    grants.into_iter().flatten().for_each(|grant| grant["person"] = person.into());
    Some(body)
}

fn ask(client: &Client, route: &Route, path: &str, person: &str) -> Answer {
    let body = body_for(route, person).map(|body| body.to_string());
    let headers: &[_] = if path.ends_with("/bulk") || path.ends_with("/import") {
        &[("content-type", "application/x-ndjson")]
    } else {
        &[]
    };
    client.send(route.method.as_str(), path, headers, body.as_ref().map(|body| body.as_bytes()))
}

fn api() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(|route| matches!(route.guard, Guard::Token(_)))
}

fn of_boxes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(|route| matches!(route.guard, Guard::Box))
}

/// Everything that can be read of an organisation, to see that nothing has changed.
fn everything(org: &Org, objects: &Objects) -> Vec<String> {
    let smart_box = objects.of("box");
    let paths = [
        format!("/organisations/{}", org.id),
        "/people".to_owned(),
        format!("/people/{}", objects.of("person")),
        "/tokens".to_owned(),
        "/boxes".to_owned(),
        format!("/boxes/{smart_box}/inventory"),
        format!("/boxes/{smart_box}/history?all=true"),
        "/keys".to_owned(),
        "/conflicts".to_owned(),
        "/webhooks".to_owned(),
        "/devices".to_owned(),
        "/installations".to_owned(),
        format!("/installations/{}", objects.of("installation")),
        "/phones/whitelist".to_owned(),
        "/phones/settings".to_owned(),
    ];
    paths.iter().map(|path| org.client.get(path).is(200).to_string()).collect()
}

#[test]
fn without_a_good_token_nobody_gets_in() {
    let rig = Rig::start();
    let org = rig.org();
    let objects = things_of(&org);
    let before = everything(&org, &objects);
    let person = objects.of("person");
    let forged = format!("{}{}", &org.token[..58], "A".repeat(43));
    let of_system = format!("cas_{}{}", "0".repeat(26), &org.token[30..]);
    let of_a_box = org.enrolled(&org.smart_box("MS5", 1)).token;
    let before_boxes = org.client.all("/boxes", 200).len();
    let garbage = ["x", "cas_", &forged, &of_system, &of_a_box, &org.token[..100], &"A".repeat(8000)];
    for route in api() {
        let path = objects.path(route);
        ask(&rig.nobody(), route, &path, person).problem(401, "auth.missing");
        for token in garbage {
            let refused = ask(&rig.client(Some(token)), route, &path, person);
            refused.problem(401, "auth.invalid");
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        }
        for scheme in ["Basic Y2FzOmNhcw==", "Bearer", "", "bearer\t", &org.token] {
            let body = body_for(route, person).map(|body| body.to_string());
            let headers = [("authorization", scheme)];
            let body = body.as_ref().map(|body| body.as_bytes());
            rig.nobody().send(route.method.as_str(), &path, &headers, body).problem(401, "auth.invalid");
        }
    }
    for route in of_boxes() {
        for token in garbage.iter().filter(|token| **token != of_a_box).chain([&&*org.token]) {
            ask(&rig.client(Some(token)), route, &objects.path(route), person).problem(401, "boxes.token_invalid");
        }
        ask(&rig.nobody(), route, &objects.path(route), person).problem(401, "boxes.token_invalid");
    }
    let heard = rig.raw("GET /api/v1/people HTTP/1.1\r\nhost: x\r\nauthorization: Bearer cas_é\r\n\r\n".as_bytes());
    assert!(heard.starts_with("HTTP/1.1 401") && heard.contains("auth.invalid"), "{heard}");
    assert_eq!(before_boxes, org.client.all("/boxes", 200).len());
    assert_eq!(everything(&org, &objects)[5..], before[5..]);
}

#[test]
fn what_belongs_to_others_is_not_there() {
    let rig = Rig::start();
    let (ours, theirs) = (rig.org(), rig.org());
    let (our_things, their_things, no_things) = (things_of(&ours), things_of(&theirs), unknown_things());
    let before = everything(&theirs, &their_things);
    let person = our_things.of("person").to_owned();
    let mut walked = 0;
    // Entries of a whitelist are counted in each organisation: theirs of the same number is another.
    for route in api().filter(|route| route.path.contains('{') && !route.path.contains("{entry}")) {
        let foreign = ask(&ours.client, route, &their_things.path(route), &person);
        let absent = ask(&ours.client, route, &no_things.path(route), &person);
        assert!(matches!(foreign.status, 403 | 404), "{}: {} {}", route.name, foreign.status, foreign.told());
        if foreign.status == 404 {
            foreign.problem(404, "object.not_found");
        }
        assert_eq!(foreign.bare(), absent.bare(), "{} tells them apart", route.name);
        walked += 1;
        // A thing of theirs under a box of ours.
        if route.path.contains("{box}/") {
            let mixed = |things: &Objects| {
                let own = things.0.iter().filter(|(name, _)| *name != "box").cloned();
                Objects(own.chain([("box", our_things.of("box").to_owned())]).collect()).path(route)
            };
            if ["{key}", "{access}", "{pass}"].iter().any(|name| route.path.contains(name)) {
                let foreign = ask(&ours.client, route, &mixed(&their_things), &person);
                foreign.problem(404, "object.not_found");
                assert_eq!(foreign.bare(), ask(&ours.client, route, &mixed(&no_things), &person).bare());
            }
        }
    }
    assert!(walked > 20, "{walked} routes");
    assert_eq!(everything(&theirs, &their_things), before);
}

#[test]
fn a_body_that_names_what_belongs_to_others_tells_nothing() {
    let rig = Rig::start();
    let (ours, theirs) = (rig.org(), rig.org());
    let (our_things, their_things, no_things) = (things_of(&ours), things_of(&theirs), unknown_things());
    let path = format!("/boxes/{}/accesses", our_things.of("box"));
    for name in ["person", "key"] {
        let with = |things: &Objects| {
            let mut body = json!({"person": our_things.of("person"), "key": our_things.of("key")});
            body[name] = things.of(name).into();
            ours.client.post(&path, &body)
        };
        let (foreign, absent) = (with(&their_things), with(&no_things));
        foreign.refused();
        assert_eq!(foreign.bare(), absent.bare(), "{name}");
    }
    // One fob number in two organisations: two fobs.
    let shown = theirs.client.get(&format!("/keys/{}", their_things.of("key"))).is(200);
    assert_eq!(shown["fob"], "04A2F1");
}

#[test]
fn who_may_read_may_not_write() {
    let rig = Rig::start();
    let org = rig.org();
    let objects = things_of(&org);
    let made = org.client.post("/tokens", &json!({"label": "r", "scopes": ["boxes:read", "audit:read"]})).is(201);
    let reader = rig.client(made["token"].as_str());
    let before = everything(&org, &objects);
    for route in api() {
        let answer = ask(&reader, route, &objects.path(route), objects.of("person"));
        if route.method == "GET" {
            assert!(matches!(answer.status, 200 | 403), "{}: {} {}", route.name, answer.status, answer.told());
        } else {
            answer.problem(403, "auth.forbidden");
        }
    }
    for path in ["/boxes", "/keys", "/conflicts"] {
        assert_eq!(reader.get(path).status, 200);
    }
    let made = org.client.post("/tokens", &json!({"label": "a", "scopes": ["audit:read"]})).is(201);
    let auditor = rig.client(made["token"].as_str());
    for route in api().filter(|route| route.path.contains("/boxes") || route.path.contains("/keys")) {
        ask(&auditor, route, &objects.path(route), objects.of("person")).problem(403, "auth.forbidden");
    }
    let after = everything(&org, &objects);
    assert_eq!(after[4..], before[4..]);
}

#[test]
fn a_token_that_holds_no_more_is_no_token() {
    let rig = Rig::start();
    let org = rig.org();
    let objects = things_of(&org);
    let person = objects.of("person");
    let all = json!([
        "org:admin",
        "boxes:read",
        "boxes:write",
        "audit:read",
        "devices:write",
        "recovery:read",
        "recovery:write"
    ]);
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(700);
    let short = json!({"label": "short", "scopes": all, "expires_at": soon.to_string()});
    let expired = org.client.post("/tokens", &short).is(201);
    let revoked = org.client.post("/tokens", &json!({"label": "revoked", "scopes": all})).is(201);
    org.client.delete(&format!("/tokens/{}", revoked["token_id"].as_str().unwrap())).is(200);
    let smart_box = org.ready_box(1);
    let former = rig.client(Some(&smart_box.token));
    org.enrolled(&smart_box.id);
    std::thread::sleep(std::time::Duration::from_millis(800));
    let never = rig.client(Some(&format!("{}{}", &org.token[..58], "B".repeat(43))));
    let before = everything(&org, &objects);
    for route in api() {
        let path = objects.path(route);
        let unknown = ask(&never, route, &path, person).bare();
        for token in [&expired, &revoked] {
            let refused = ask(&rig.client(token["token"].as_str()), route, &path, person);
            refused.problem(401, "auth.invalid");
            assert_eq!(refused.bare(), unknown, "{} tells that it was a token", route.name);
        }
    }
    for route in of_boxes() {
        ask(&former, route, &objects.path(route), person).problem(401, "boxes.token_invalid");
    }
    assert_eq!(everything(&org, &objects), before);
}

#[test]
fn the_operator_sees_organisations_and_nothing_in_them() {
    let rig = Rig::start();
    let org = rig.org();
    let (objects, no_things) = (things_of(&org), unknown_things());
    let person = objects.of("person");
    let may = |route: &Route| match route.guard {
        Guard::Token(scopes) => scopes.is_empty() || scopes.contains(&Scope::Operator),
        Guard::Nobody | Guard::Box => false,
    };
    for route in api().filter(|route| !route.path.contains("{organisation}")) {
        let answer = ask(&rig.operator(), route, &objects.path(route), person);
        if !may(route) {
            answer.problem(403, "auth.forbidden");
        } else if route.path.contains('{') {
            answer.problem(404, "object.not_found");
            assert_eq!(answer.bare(), ask(&rig.operator(), route, &no_things.path(route), person).bare());
        } else {
            assert!(!answer.told().contains(person), "{}: {}", route.name, answer.told());
        }
    }
}

#[test]
fn every_known_path_says_which_methods_it_knows() {
    let rig = Rig::start();
    let objects = unknown_things();
    let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    paths.dedup();
    for path in paths {
        let known: Vec<_> =
            ROUTES.iter().filter(|route| route.path == path).map(|route| route.method.as_str()).collect();
        let real = objects.path(ROUTES.iter().find(|route| route.path == path).unwrap());
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if known.contains(&method) {
                continue;
            }
            let refused = rig.operator().send(method, &real, &[], None);
            refused.problem(405, "route.method_not_allowed");
            let mut allowed: Vec<_> = refused.header("allow").unwrap().split(", ").map(str::to_owned).collect();
            let mut known = known.clone();
            allowed.sort();
            known.sort_unstable();
            assert_eq!(allowed, known, "{method} {path}");
        }
    }
}

#[test]
fn what_no_route_knows_is_a_problem_too() {
    let rig = Rig::start();
    for path in ["/api/v1", "/api/v2/people", "/api/v1/people/", "/box/v1", "/box/v1/sync/", "/api/v1/%70eople/x/y"] {
        rig.operator().get(path).problem(404, "route.unknown");
    }
    for path in ["/metrics", "/healthz", "/readyz", "/"] {
        let heard = rig.raw(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes());
        assert!(heard.starts_with("HTTP/1.1 404") && heard.contains("route.unknown"), "{path}: {heard}");
    }
    for code in ["object.not_found", "boxes.token_invalid", "request.malformed"] {
        let page = rig.nobody().get(&format!("/problems/{code}"));
        assert!(page.status == 200 && page.told().starts_with(&format!("# `{code}`")), "{}", page.told());
    }
    rig.nobody().get("/problems/no.such_code").problem(404, "route.unknown");
}
