//! Lists: filters, pages of a filtered list, CSV and NDJSON, and what `Accept` decides.

use crate::{
    rig::{Answer, Client, Rig},
    site::Org,
};
use serde_json::{Value, json};

fn accepting(client: &Client, path: &str, accept: &str) -> Answer {
    client.send("GET", path, &[("accept", accept)], None)
}

/// One field of all items, sorted.
fn names(org: &Org, path: &str, field: &str) -> Vec<String> {
    let mut names: Vec<_> =
        org.client.all(path, 3).iter().map(|item| item[field].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn new_box(org: &Org, name: &str, model: &str) -> String {
    let body = json!({"name": name, "model": model, "zone": "Europe/Rome", "bins": ["A-1", "A-2", "A-3"]});
    org.client.post("/boxes", &body).is(201)["box"].as_str().unwrap().to_owned()
}

/// Lines of CSV as cells. No cell of these tests holds a line break.
fn table(answer: &Answer) -> Vec<Vec<String>> {
    answer.is_text("text/csv; charset=utf-8; header=present");
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&answer.body[..]);
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

impl Answer {
    #[track_caller]
    fn is_text(&self, content_type: &str) {
        assert_eq!((self.status, self.header("content-type")), (200, Some(content_type)), "{}", self.told());
        assert_eq!(self.header("vary"), Some("Accept"));
    }
}

#[test]
fn boxes_by_what_a_person_looks_for() {
    let rig = Rig::start();
    let org = rig.org();
    for (name, model) in [("Hall", "MS5"), ("hallway", "MS4"), ("Garage", "MS5"), ("Gate", "MS3")] {
        new_box(&org, name, model);
    }
    let enrolled = new_box(&org, "Porter", "MS5");
    org.enrolled(&enrolled);
    let by = |query: &str| names(&org, &format!("/boxes?{query}"), "name");
    assert_eq!(by("name=HALL"), ["Hall", "hallway"]);
    assert_eq!(by("model=MS5&name=ga"), ["Garage"]);
    assert_eq!(by("plan=premium").len(), 5);
    assert!(by("plan=lite").is_empty());
    assert_eq!(by("enrolled=true"), ["Porter"]);
    assert_eq!(by("pending=true"), ["Porter"]);
    assert_eq!(by("pending=false&model=MS3"), ["Gate"]);
    assert!(by("late=true").is_empty() && by("offline=true").is_empty() && by("suspended=true").is_empty());
    assert_eq!(by("conflicts=false").len(), 5);
    for wrong in ["model=MS9", "late=maybe", "limit=x", "colour=red", "name=%ff"] {
        org.client.get(&format!("/boxes?{wrong}")).problem(400, "request.malformed");
    }
    for wrong in ["limit=0", "limit=201", "after=box_1", "after=nothing"] {
        org.client.get(&format!("/boxes?{wrong}")).problem(400, "request.invalid");
    }
}

#[test]
fn keys_by_box_fob_group_and_place() {
    let rig = Rig::start();
    let org = rig.org();
    let (first, second) = (new_box(&org, "One", "MS5"), new_box(&org, "Two", "MS5"));
    let group = org.group("Vans");
    org.key_with(&first, &json!({"name": "Van", "fob": "007", "bin": "A-1", "groups": [group]}));
    org.key_with(&first, &json!({"name": "Truck", "fob": "F-2"}));
    org.key_with(&second, &json!({"name": "vault", "fob": "F-3", "bin": "A-1"}));
    let by = |query: &str| names(&org, &format!("/keys?{query}"), "name");
    assert_eq!(by("name=va"), ["Van", "vault"]);
    assert_eq!(by(&format!("box={first}")), ["Truck", "Van"]);
    assert_eq!(by(&format!("box={first}&where=bin")), ["Van"]);
    assert_eq!(by(&format!("box={first}&where=unknown")), ["Truck"]);
    assert!(by(&format!("box={second}&where=person")).is_empty());
    assert_eq!(by("fob=007"), ["Van"]);
    assert_eq!(by(&format!("fob=F-3&box={second}")), ["vault"]);
    assert!(by(&format!("fob=F-3&box={first}")).is_empty() && by("fob=F-9").is_empty());
    assert_eq!(by(&format!("group={group}")), ["Van"]);
    assert!(by("box=box_0123456789abcdefghjkmnpqrs").is_empty());
    org.client.get("/keys?where=bin").problem(400, "request.invalid");
    let one = org.client.get("/keys?fob=007").is(200);
    assert_eq!(
        one["items"][0]["place"],
        json!({"in": "bin", "bin": "A-1", "since": one["items"][0]["place"]["since"]})
    );
    let other = rig.org();
    assert!(other.client.get(&format!("/keys?box={first}")).is(200)["items"].as_array().unwrap().is_empty());
    assert!(other.client.get("/keys?fob=007").is(200)["items"].as_array().unwrap().is_empty());
}

#[test]
fn people_tokens_and_conflicts() {
    let rig = Rig::start();
    let org = rig.org();
    org.person_with(&json!({"name": "Bruno Bianchi", "email": "bruno@rossi.example"}));
    org.person_with(&json!({"name": "Carla Bruni", "role": "viewer"}));
    let by = |query: &str| names(&org, &format!("/people?{query}"), "name");
    assert_eq!(by("name=brun"), ["Bruno Bianchi", "Carla Bruni"]);
    assert_eq!(by("name=BRUN&role=viewer"), ["Carla Bruni"]);
    assert_eq!(by("email=ROSSI.example"), ["Anna Rossi", "Bruno Bianchi"]);
    assert_eq!(by("role=owner"), ["Anna Rossi"]);
    let soon = castellan::kernel::UnixMillis(castellan::kernel::Clock::system().now().0 + 700).to_rfc3339();
    let label = |label: &str| json!({"label": label, "scopes": ["boxes:read"], "expires_at": soon});
    org.client.post("/tokens", &label("short")).is(201);
    std::thread::sleep(std::time::Duration::from_millis(800));
    assert_eq!(names(&org, "/tokens?active=false", "label"), ["short"]);
    assert_eq!(names(&org, "/tokens?active=true", "label"), ["first token"]);

    let mut boxes: Vec<_> = (0..2).map(|_| org.ready_box(2)).collect();
    for smart_box in &mut boxes {
        for fob in ["X-1", "X-2"] {
            smart_box.pick_up("A-1", fob, None);
        }
        assert_eq!(smart_box.outcomes().len(), 2);
    }
    let first = boxes[0].id.clone();
    org.client.post(&format!("/boxes/{first}/conflicts/1/resolution"), &json!({"accept": "by_hand"})).ok();
    let count = |query: &str| org.client.all(&format!("/conflicts?{query}"), 1).len();
    assert_eq!((count("open=true"), count("open=false")), (3, 1));
    assert_eq!((count(&format!("box={first}")), count(&format!("box={first}&open=true"))), (2, 1));
    let lines = table(&accepting(&org.client, "/conflicts?open=false", "text/csv"));
    let column = |name: &str| lines[0].iter().position(|head| head == name).unwrap();
    assert_eq!((&*lines[1][column("box")], &*lines[1][column("resolved.accept")]), (&*first, "by_hand"));
}

#[test]
fn a_list_is_taken_away_as_csv_and_ndjson() {
    let rig = Rig::start();
    let org = rig.org();
    let smart_box = new_box(&org, "One", "MS5");
    let formula = "=HYPERLINK(\"http://x\")";
    for (name, fob) in [(formula, "007"), ("@home", "00123"), ("Plain, \"quoted\"", "+39")] {
        org.key_with(&smart_box, &json!({"name": name, "fob": fob}));
    }
    let lines = table(&accepting(&org.client, "/keys", "text/csv"));
    assert_eq!(lines[0][..4], ["key", "name", "fob", "roaming"]);
    let mut rows: Vec<_> = lines[1..].iter().map(|row| (row[1].as_str(), row[2].as_str(), row[3].as_str())).collect();
    rows.sort_unstable();
    let safe = format!("'{formula}");
    assert_eq!(rows, [(&*safe, "007", "false"), ("'@home", "00123", "false"), ("Plain, \"quoted\"", "'+39", "false")]);
    let raw = accepting(&org.client, "/keys", "text/csv").told();
    assert!(raw.ends_with("\r\n") && raw.contains("\"Plain, \"\"quoted\"\"\""), "{raw}");

    let lines = accepting(&org.client, "/keys", "application/x-ndjson, application/json;q=0.5");
    lines.is_text("application/x-ndjson");
    let items: Vec<Value> = lines.told().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(items, org.client.all("/keys", 2));
    for (path, count) in [("/boxes", 1), ("/people", 1), ("/tokens", 1), ("/conflicts", 0)] {
        assert_eq!(table(&accepting(&org.client, path, "text/csv")).len(), count + 1, "{path}");
    }
    assert!(table(&accepting(&rig.operator(), "/organisations", "text/csv")).len() >= 2);
    let history = format!("/boxes/{smart_box}/history");
    org.client.post(&format!("/boxes/{smart_box}/bins/A-1/correction"), &json!({"fob": "007"})).ok();
    assert_eq!(table(&accepting(&org.client, &history, "text/csv")).len(), 2);
    for none in ["text/html", "text/csv;q=0", "image/png"] {
        accepting(&org.client, "/keys", none).problem(406, "request.not_acceptable");
    }
    accepting(&org.client, "/webhooks", "text/csv").problem(406, "request.not_acceptable");
    for json in ["*/*", "application/*", "text/html, */*;q=0.1", ""] {
        assert_eq!(accepting(&org.client, "/keys", json).header("content-type"), Some("application/json"), "{json}");
    }
}

#[test]
fn what_does_not_fit_is_behind_a_link() {
    let rig = Rig::start();
    let org = rig.org();
    (0..7).for_each(|n| drop(org.person(&format!("Person {n}"))));
    let mut seen = Vec::new();
    let mut path = "/people?limit=3&name=person".to_owned();
    for round in 0.. {
        let answer = accepting(&org.client, &path, "text/csv");
        let lines = table(&answer);
        assert!(lines.len() <= 4 && lines[0][0] == "person");
        seen.extend(lines[1..].iter().map(|row| row[1].clone()));
        let Some(link) = answer.header("link") else { break };
        assert!(round < 3, "{link}");
        let (target, rel) = link.split_once("; ").unwrap();
        assert_eq!(rel, "rel=\"next\"");
        path = target.trim_matches(['<', '>']).to_owned();
    }
    seen.sort();
    assert_eq!(seen, (0..7).map(|n| format!("Person {n}")).collect::<Vec<_>>());
    accepting(&org.client, "/people?limit=10001", "text/csv").problem(400, "request.invalid");
}
