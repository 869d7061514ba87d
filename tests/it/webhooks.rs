//! Webhooks against real receivers: what happens is told, once at least, in order for each entity, whatever breaks.

use crate::{
    receiver::{Post, Reaction, Receiver},
    rig::{Rig, eventually, string},
    site::Org,
    smart_box::TestBox,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const QUICK: [(&str, &str); 6] = [
    ("WEBHOOKS__ALLOW_HTTP", "true"),
    ("WEBHOOKS__ALLOW_NETWORKS", "127.0.0.0/8"),
    ("WEBHOOKS__TIMEOUT_MS", "400"),
    ("WEBHOOKS__RETRY_FIRST_MS", "20"),
    ("WEBHOOKS__RETRY_LONGEST_S", "1"),
    ("WEBHOOKS__PROBE_LONGEST_S", "1"),
];

fn quick(more: &[(&str, &str)]) -> Rig {
    Rig::with(&[&QUICK, more].concat())
}

struct Hook<'a> {
    org: &'a Org,
    id: String,
    secret: String,
}

impl<'a> Hook<'a> {
    fn make(org: &'a Org, url: &str, types: &[&str]) -> Self {
        let made = org.client.post("/webhooks", &json!({"url": url, "types": types})).is(201);
        Self { org, id: string(&made, "webhook"), secret: string(&made, "secret") }
    }

    fn path(&self, rest: &str) -> String {
        format!("/webhooks/{}{rest}", self.id)
    }

    fn show(&self) -> Value {
        self.org.client.get(&self.path("")).is(200)
    }

    fn post(&self, rest: &str) -> Value {
        self.org.client.post(&self.path(rest), &json!({})).ok()
    }

    fn log(&self) -> Vec<Value> {
        self.org.client.all(&self.path("/deliveries"), 200)
    }

    fn pause_reason(&self) -> Option<String> {
        self.show()["paused"]["reason"].as_str().map(str::to_owned)
    }
}

/// All events of the organisation behind a cursor, as the feed has them.
fn events(org: &Org, mut after: String) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let mut page = org.client.get(&format!("/events?limit=200&after={after}")).is(200);
        let Value::Array(items) = page["items"].take() else { panic!("{page}") };
        all.extend(items);
        after = string(&page, "next");
        if page["more"] == false {
            return all;
        }
    }
}

fn now_of(org: &Org) -> String {
    string(&org.client.get("/events?after=now").is(200), "next")
}

/// Each entity's revisions, in order.
fn by_entity<'a>(items: impl IntoIterator<Item = &'a Value>) -> BTreeMap<String, Vec<u64>> {
    let mut entities = BTreeMap::<String, Vec<u64>>::new();
    for item in items {
        entities.entry(string(item, "entity")).or_default().push(item["revision"].as_u64().unwrap());
    }
    entities
}

/// Nothing is missing, and nothing was sent before all that its entity did before it was taken.
#[track_caller]
fn must_be_whole(posts: &[Post], wanted: &BTreeMap<String, Vec<u64>>) {
    let mut taken = BTreeMap::<String, BTreeSet<u64>>::new();
    for post in posts {
        let body = post.json();
        let (entity, revision) = (string(&body, "entity"), body["revision"].as_u64().unwrap());
        let known = taken.entry(entity.clone()).or_default();
        let Some(order) = wanted.get(&entity) else { panic!("{entity} is not in the feed") };
        let missing = order.iter().find(|earlier| **earlier < revision && !known.contains(earlier));
        assert_eq!(missing, None, "{entity}: {revision} came before an earlier one was taken");
        if post.taken {
            known.insert(revision);
        }
    }
    let taken: BTreeMap<_, Vec<_>> =
        taken.into_iter().map(|(entity, seen)| (entity, seen.into_iter().collect())).collect();
    for (entity, order) in wanted {
        assert_eq!(taken.get(entity), Some(order), "{entity}");
    }
}

#[test]
fn an_event_arrives_signed_and_is_booked() {
    let rig = quick(&[]);
    let org = rig.org();
    let receiver = Receiver::that_takes();
    let hook = Hook::make(&org, &receiver.url(), &["people"]);
    let carla = org.person("Carla");
    eventually("it arrives", || receiver.count() > 0);
    let post = receiver.posts().remove(0);
    assert!(post.is_signed_by(&hook.secret) && post.signatures() == 1);
    assert_eq!((post.path.as_str(), post.headers["content-type"].as_str()), ("/hooks?key=word", "application/json"));
    let body = post.json();
    assert_eq!((string(&body, "type"), string(&body, "entity")), ("people.created".to_owned(), carla.clone()));
    assert!(!body.to_string().contains("Carla"), "nobody's name: {body}");
    assert!(body["timestamp"].is_string() && body["data"].is_object());
    eventually("all of it is booked", || hook.log().iter().any(|row| row["entity"] == *carla));
    let log = hook.log();
    let row = log.last().unwrap();
    assert_eq!((row["state"].as_str(), row["status"].as_u64()), (Some("delivered"), Some(204)), "{row}");
    assert_eq!((row["id"].as_str(), row["attempts"].as_u64()), (Some(post.id()), Some(1)));
    let shown = hook.show();
    assert_eq!((string(&shown, "url"), string(&shown, "state")), (receiver.url(), "active".to_owned()));
    assert!(!shown.to_string().contains("whsec_"));
    // Another webhook's secret is another, and of this one's events only its kind is sent.
    org.smart_box("MS5", 1);
    org.person("Dora");
    eventually("the next", || receiver.taken("people").iter().any(|later| later.json()["entity"] != *carla));
    assert!(receiver.taken("boxes").is_empty());
    assert_ne!(Hook::make(&org, &receiver.url(), &["x"]).secret, hook.secret);
    let metrics = rig.observed("/metrics").told();
    assert!(metrics.contains("castellan_webhook_delivered_total") && !metrics.contains(&receiver.address.to_string()));
    assert!(!rig.log_text().contains("key=word"));
}

/// The server is killed, stopped and started, the receiver drops, refuses, stalls and restarts, all while many boxes
/// write: every event is seen, in order for each entity, signed.
#[test]
fn every_event_is_seen_in_order_while_everything_breaks() {
    const BOXES: usize = 16;
    let mut rig = quick(&[]);
    let org = rig.org();
    let made: Vec<String> = (0..BOXES).map(|_| org.smart_box("MS5", 2)).collect();
    let boxes: Vec<Mutex<TestBox>> = made.iter().map(|id| Mutex::new(org.enrolled(id))).collect();
    let number = AtomicUsize::new(0);
    let chaos = move |_: &Post, _: usize| match number.fetch_add(7, Ordering::Relaxed) % 20 {
        0..=3 => Reaction::Drop,
        4..=6 => Reaction::Status(500),
        7 => Reaction::Stall(Duration::from_millis(600)),
        8 => Reaction::Status(302),
        _ => Reaction::Status(200),
    };
    let mut receiver = Receiver::start(chaos);
    let begin = now_of(&org);
    let hook = Hook::make(&org, &receiver.url(), &["boxes"]);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for part in boxes.chunks(BOXES / 4) {
            let over = &over;
            scope.spawn(move || {
                let mut round = 0;
                while !over.load(Ordering::Relaxed) {
                    round += 1;
                    for smart_box in part {
                        let mut smart_box = smart_box.lock().unwrap();
                        let fob = format!("FOB-{}", &smart_box.id[20..]);
                        match round % 2 {
                            0 => smart_box.pick_up("A-1", &fob, None),
                            _ => smart_box.drop_off("A-1", &fob, None),
                        };
                        let request = smart_box.request().to_string();
                        let sent = smart_box.client.try_send("POST", "/box/v1/sync", &[], Some(request.as_bytes()));
                        if let Ok(answer) = sent
                            && answer.status == 200
                        {
                            smart_box.store(&answer.json());
                        }
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
        let wait = |count: usize| {
            let (until, from) = (Instant::now() + Duration::from_secs(20), receiver.count());
            while receiver.count() < from + count && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        wait(60);
        rig.kill_and_start();
        wait(60);
        receiver.stop();
        std::thread::sleep(Duration::from_millis(300));
        receiver.listen();
        let wait = |count: usize| {
            let (until, from) = (Instant::now() + Duration::from_secs(20), receiver.count());
            while receiver.count() < from + count && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        wait(60);
        rig.tell_to_stop();
        assert!(rig.wait_for_end().success());
        rig.start_again();
        wait(60);
        over.store(true, Ordering::Relaxed);
    });
    rig.kill_and_start();
    // From here on it takes everything: what is late comes.
    receiver.react(|_, _| Reaction::Status(200));
    let wanted: Vec<Value> =
        events(&org, begin).into_iter().filter(|item| string(item, "type").starts_with("boxes.")).collect();
    assert!(wanted.len() > 200, "{} events", wanted.len());
    let until = Instant::now() + Duration::from_secs(60);
    let ids = |posts: &[Post]| {
        posts.iter().filter(|post| post.taken).map(|post| post.id().to_owned()).collect::<BTreeSet<_>>()
    };
    while ids(&receiver.posts()).len() < wanted.len() {
        assert!(Instant::now() < until, "{} of {}", ids(&receiver.posts()).len(), wanted.len());
        std::thread::sleep(Duration::from_millis(50));
    }
    let posts = receiver.posts();
    assert!(posts.iter().all(|post| post.is_signed_by(&hook.secret)));
    must_be_whole(&posts, &by_entity(&wanted));
    assert_eq!(ids(&posts).len(), wanted.len(), "an event has one id");
    let feed: BTreeMap<(String, u64), &Value> =
        wanted.iter().map(|item| ((string(item, "entity"), item["revision"].as_u64().unwrap()), item)).collect();
    for post in &posts {
        let body = post.json();
        let item = feed[&(string(&body, "entity"), body["revision"].as_u64().unwrap())];
        for (name, other) in
            [("type", "type"), ("data", "data"), ("timestamp", "at"), ("by", "by"), ("outcome", "outcome")]
        {
            assert_eq!(body[name], item[other], "the item of the feed");
        }
    }
}

#[test]
fn an_entity_that_is_refused_delays_only_itself() {
    let rig = quick(&[("WEBHOOKS__ATTEMPTS_MAX", "1000")]);
    let org = rig.org();
    let (stuck, free) = (org.person("Stuck"), org.person("Free"));
    let poison = stuck.clone();
    let receiver = Receiver::start(move |post, _| match post.json()["entity"] == *poison {
        true => Reaction::Status(500),
        false => Reaction::Status(200),
    });
    let hook = Hook::make(&org, &receiver.url(), &["people"]);
    for number in 0..30 {
        for person in [&stuck, &free] {
            org.client.patch(&format!("/people/{person}"), &json!({"name": format!("N {number}")})).ok();
        }
    }
    eventually("the free one has it all", || receiver.taken("people").len() >= 30);
    let tried: BTreeSet<_> =
        receiver.posts().iter().filter(|post| !post.taken).map(|post| post.id().to_owned()).collect();
    assert_eq!(tried.len(), 1, "one at a time: {tried:?}");
    assert!(hook.show()["state"] == "active");
    let row = || hook.log().into_iter().find(|row| row["state"] == "retrying");
    eventually("the log tells of it", || row().is_some_and(|row| row["attempts"].as_u64() > Some(2)));
    let row = row().unwrap();
    assert_eq!(
        (row["error"].as_str(), row["status"].as_u64(), row["response"].as_str()),
        (Some("status"), Some(500), Some("no"))
    );
    assert!(row["next_attempt_at"].is_string());
    receiver.react(|_, _| Reaction::Status(200));
    eventually("and then the other one too", || receiver.taken("people").len() >= 60);
    let wanted = receiver.taken("people").iter().map(Post::json).collect::<Vec<_>>();
    must_be_whole(
        &receiver.posts(),
        &by_entity(&wanted)
            .into_iter()
            .map(|(entity, mut order)| {
                order.sort_unstable();
                (entity, order)
            })
            .collect(),
    );
}

#[test]
fn a_dead_endpoint_is_paused_and_goes_on_where_it_stopped() {
    let rig = quick(&[("WEBHOOKS__DEAD_AFTER_S", "1")]);
    let org = rig.org();
    let receiver = Receiver::start(|_, _| Reaction::Status(503));
    let hook = Hook::make(&org, &receiver.url(), &["people"]);
    let begin = now_of(&org);
    for number in 0..10 {
        org.person(&format!("P {number}"));
    }
    eventually("it is paused", || hook.pause_reason().as_deref() == Some("dead"));
    assert!(hook.show()["failing_since"].is_string());
    let tried = receiver.count();
    org.person("Later");
    std::thread::sleep(Duration::from_millis(300));
    assert!(receiver.count() <= tried + 8, "what was on its way, nothing more");
    assert!(rig.observed("/metrics").told().contains(r#"castellan_webhook_paused_total{reason="dead"} 1"#));
    receiver.react(|_, _| Reaction::Status(200));
    hook.post("/resume");
    assert_eq!(hook.show()["state"], "active");
    let wanted: Vec<Value> =
        events(&org, begin).into_iter().filter(|item| string(item, "type").starts_with("people.")).collect();
    let seen = || receiver.taken("people").iter().map(|post| post.id().to_owned()).collect::<BTreeSet<_>>().len();
    eventually("all of it comes", || seen() == wanted.len());
    must_be_whole(&receiver.posts(), &by_entity(&wanted));
    eventually("nothing is held against it", || hook.show()["failing_since"].is_null());
}

#[test]
fn pausing_by_hand_holds_over_a_restart_and_gone_pauses_at_once() {
    let mut rig = quick(&[]);
    let org = rig.org();
    let receiver = Receiver::that_takes();
    let hook = Hook::make(&org, &receiver.url(), &["people.created"]);
    org.person("One");
    eventually("the first", || receiver.taken("people").len() == 1);
    hook.post("/pause");
    hook.post("/pause");
    org.person("Two");
    rig.kill_and_start();
    std::thread::sleep(Duration::from_millis(500));
    assert!(receiver.taken("people").len() <= 2, "the first may come twice, the second does not");
    assert_eq!(hook.pause_reason().as_deref(), Some("by_hand"));
    let body = json!({"from": "elsewhere"});
    hook.org.client.post(&hook.path("/resume"), &body).problem(400, "request.malformed");
    hook.org.client.post(&hook.path("/resume"), &json!({"from": "stopped"})).ok();
    let ids = || receiver.taken("people").iter().map(|post| post.id().to_owned()).collect::<BTreeSet<_>>().len();
    eventually("the second", || ids() == 2);
    // What happens while it is paused can be left out too.
    hook.post("/pause");
    org.person("Three");
    hook.org.client.post(&hook.path("/resume"), &json!({"from": "now"})).ok();
    org.person("Four");
    eventually("the fourth", || ids() == 3);
    let names: Vec<_> = receiver.taken("people").iter().map(|post| post.json()["entity"].clone()).collect();
    let all: Vec<_> = hook.org.client.all("/people", 200);
    let of = |name: &str| all.iter().find(|row| row["name"] == name).unwrap()["person"].clone();
    assert!(names.contains(&of("Four")) && !names.contains(&of("Three")), "{names:?}");
    hook.post("/pause");
    hook.org.client.post(&hook.path("/resume"), &json!({"from": "oldest"})).ok();
    eventually("all that is kept, the owner too", || {
        receiver.taken("people").iter().any(|post| post.json()["entity"] == *org.owner)
    });
    receiver.react(|_, _| Reaction::Status(410));
    org.person("Five");
    eventually("it is paused", || hook.pause_reason().as_deref() == Some("gone"));
}

#[test]
fn both_secrets_sign_while_one_follows_the_other() {
    let rig = quick(&[]);
    let org = rig.org();
    let receiver = Receiver::that_takes();
    let hook = Hook::make(&org, &receiver.url(), &["people"]);
    let path = hook.path("/secret");
    let told = org.client.post_once(&path, "once", &json!({})).is(201);
    let again = org.client.post_once(&path, "once", &json!({})).is(201);
    assert_eq!(told, again, "a repeat changes nothing");
    let (second, until) = (string(&told, "secret"), string(&told, "previous_secret_until"));
    assert!(second != hook.secret && second.starts_with("whsec_"));
    assert_eq!(hook.show()["previous_secret_until"], *until);
    org.person("One");
    eventually("it arrives", || receiver.count() > 0);
    let post = receiver.posts().remove(0);
    assert!(post.is_signed_by(&hook.secret) && post.is_signed_by(&second) && post.signatures() == 2);
    let third = string(&org.client.post(&path, &json!({})).is(201), "secret");
    receiver.forget();
    org.person("Two");
    eventually("the next", || receiver.count() > 0);
    let post = receiver.posts().remove(0);
    assert!(!post.is_signed_by(&hook.secret) && post.is_signed_by(&second) && post.is_signed_by(&third));
    let log = rig.log_text();
    assert!([&hook.secret, &second, &third].iter().all(|secret| !log.contains(&secret["whsec_".len()..])));
    let told = Value::from(events(&org, string(&org.client.get("/events?limit=1").is(200), "next"))).to_string();
    assert!(
        told.contains("webhooks.secret_rotated") && !told.contains("whsec_") && !told.contains("key=word"),
        "{told}"
    );
}

#[test]
fn a_test_and_a_redelivery_say_what_came_of_them() {
    let rig = quick(&[]);
    let org = rig.org();
    let receiver = Receiver::that_takes();
    let hook = Hook::make(&org, &receiver.url(), &["people.created"]);
    let sent = hook.post("/test");
    assert_eq!(
        (sent["delivery"]["state"].as_str(), sent["delivery"]["status"].as_u64()),
        (Some("delivered"), Some(204)),
        "{sent}"
    );
    let post = receiver.posts().remove(0);
    assert_eq!(post.json()["type"], "webhooks.test");
    assert!(post.is_signed_by(&hook.secret));
    org.person("One");
    eventually("it arrives", || receiver.taken("people").len() == 1);
    let original = receiver.taken("people").remove(0);
    eventually("it is booked", || hook.log().iter().any(|row| row["id"] == *original.id()));
    let number = hook.log().iter().find(|row| row["id"] == *original.id()).unwrap()["delivery"].clone();
    let path = hook.path(&format!("/deliveries/{number}/redelivery"));
    let first = org.client.post_once(&path, "again", &json!({})).is(200);
    assert_eq!(org.client.post_once(&path, "again", &json!({})).is(200), first, "a repeat sends nothing");
    let posts = receiver.taken("people");
    assert_eq!(posts.len(), 2);
    assert_eq!((posts[1].id(), &posts[1].body), (original.id(), &original.body), "the same message");
    assert_eq!(
        (first["delivery"]["by_hand"].as_bool(), first["delivery"]["id"].as_str()),
        (Some(true), Some(original.id()))
    );
    receiver.react(|_, _| Reaction::Status(400));
    let failed = org.client.post(&path, &json!({})).is(200);
    assert_eq!(
        (failed["delivery"]["state"].as_str(), failed["delivery"]["error"].as_str()),
        (Some("failed"), Some("status"))
    );
    let listed = org.client.get(&hook.path("/deliveries?state=failed&limit=1")).is(200);
    assert_eq!(listed["items"][0]["delivery"], failed["delivery"]["delivery"]);
    for (rest, status, code) in
        [("/deliveries/999/redelivery", 404, "object.not_found"), ("/deliveries/x/redelivery", 404, "object.not_found")]
    {
        org.client.post(&hook.path(rest), &json!({})).problem(status, code);
    }
    org.client.get(&hook.path("/deliveries?state=odd")).problem(400, "request.malformed");
    // Also while it is paused: to see whether it is mended.
    hook.post("/pause");
    assert_eq!(hook.post("/test")["delivery"]["status"], 400);
    org.client.delete(&hook.path("")).ok();
    org.client.post(&hook.path("/test"), &json!({})).problem(404, "object.not_found");
    org.client.get(&hook.path("")).problem(404, "object.not_found");
    assert!(org.client.all("/webhooks", 200).is_empty());
}

#[test]
fn what_only_this_server_can_reach_is_not_reached() {
    let rig = Rig::start();
    let org = rig.org();
    let receiver = Receiver::that_takes();
    let port = receiver.address.port();
    let refused = [
        "http://example.com/",
        "ftp://example.com/",
        "https://user:word@example.com/",
        "https://example.com:22/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://0/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://224.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[ff02::1]/",
        "https:///",
        "not an address",
        "",
    ];
    for url in refused {
        let problem = org.client.post("/webhooks", &json!({"url": url})).problem(400, "request.invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/url", "{url}");
    }
    assert!(org.client.all("/webhooks", 200).is_empty());
    let hook = Hook::make(&org, "https://hooks.example.com/", &[]);
    org.client.patch(&hook.path(""), &json!({"url": "https://127.0.0.1/"})).problem(400, "request.invalid");
    assert_eq!(hook.show()["url"], "https://hooks.example.com/");
    // A name says nothing until it is resolved; then its address counts, each time.
    for name in ["localhost", "ip6-localhost", "localhost.", "LOCALHOST"] {
        org.client.patch(&hook.path(""), &json!({"url": format!("https://{name}:{port}/")})).ok();
        let sent = hook.post("/test");
        let error = sent["delivery"]["error"].as_str();
        assert!(matches!(error, Some("address_forbidden" | "name_not_found")), "{name}: {sent}");
        assert!(
            name == "ip6-localhost" || name == "localhost." || error == Some("address_forbidden"),
            "{name}: {sent}"
        );
        assert_eq!(sent["delivery"]["status"], Value::Null);
    }
    assert_eq!(receiver.count(), 0);
}

#[test]
fn what_was_allowed_once_is_looked_at_again() {
    let mut rig = quick(&[]);
    let org = rig.org();
    let receiver = Receiver::that_takes();
    let url = format!("http://localhost:{}/", receiver.address.port());
    let hook = Hook::make(&org, &url, &[]);
    assert_eq!(hook.post("/test")["delivery"]["state"], "delivered");
    let literal = Hook::make(&org, &receiver.url(), &["none"]);
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    rig.set("WEBHOOKS__ALLOW_NETWORKS", "10.0.0.0/8");
    rig.start_again();
    let before = receiver.count();
    for hook in [&hook, &literal] {
        assert_eq!(hook.post("/test")["delivery"]["error"], "address_forbidden");
    }
    assert_eq!(receiver.count(), before);
}

#[test]
fn answers_are_read_no_further_than_needed() {
    let rig = quick(&[]);
    let org = rig.org();
    let other = Receiver::that_takes();
    let receiver = Receiver::that_takes();
    let hook = Hook::make(&org, &receiver.url(), &["none"]);
    let elsewhere = format!("HTTP/1.1 307 X\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", other.url());
    let endless = format!("HTTP/1.1 500 X\r\ncontent-length: 9000000\r\n\r\n{}", "x".repeat(200_000));
    let short = "HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nx".to_owned();
    let garbage = "HELLO\r\n\r\n".to_owned();
    for (answer, state, error, status) in [
        (elsewhere, "failed", Some("redirect"), Some(307)),
        (endless, "failed", Some("status"), Some(500)),
        (short, "delivered", None, Some(200)),
        (garbage, "failed", Some("closed"), None),
    ] {
        receiver.react(move |_, _| Reaction::Whole(answer.clone()));
        let sent = hook.post("/test")["delivery"].clone();
        let told = (sent["state"].as_str(), sent["error"].as_str(), sent["status"].as_u64());
        assert_eq!(told, (Some(state), error, status), "{sent}");
        assert!(sent["response"].as_str().is_none_or(|response| response.len() <= 200));
    }
    receiver.react(|_, _| Reaction::Stall(Duration::from_millis(1500)));
    let sent = hook.post("/test")["delivery"].clone();
    assert_eq!(sent["error"], "timeout");
    assert!(sent["duration_ms"].as_u64().unwrap() < 1400);
    receiver.react(|_, _| Reaction::Drop);
    assert_eq!(hook.post("/test")["delivery"]["error"], "closed");
    assert_eq!(other.count(), 0, "redirects are not followed");
    drop(receiver);
    assert_eq!(hook.post("/test")["delivery"]["error"], "connect");
}

#[test]
fn webhooks_are_bounded_checked_and_the_organisations_own() {
    let rig = quick(&[("WEBHOOKS__PER_ORGANISATION_MAX", "2"), ("WEBHOOKS__LOG_ENTRIES", "5")]);
    let (org, other) = (rig.org(), rig.org());
    let receiver = Receiver::that_takes();
    let body = json!({"url": receiver.url(), "description": "ERP", "types": ["people.created"]});
    let made = org.client.post_once("/webhooks", "one", &body).is(201);
    assert_eq!(org.client.post_once("/webhooks", "one", &body).is(201), made);
    let hook = Hook { org: &org, id: string(&made, "webhook"), secret: string(&made, "secret") };
    Hook::make(&org, &receiver.url(), &["none"]);
    assert_eq!(org.client.post_once("/webhooks", "one", &body).is(201), made, "a repeat is no third one");
    org.client.post("/webhooks", &body).problem(409, "webhooks.limit_reached");
    for (field, wrong) in [
        ("types", json!(["Boxes"])),
        ("types", json!([""])),
        ("types", json!(["a b"])),
        ("description", json!(" x")),
        ("types", Value::from(vec!["a"; 33])),
    ] {
        let problem = org.client.patch(&hook.path(""), &json!({field: wrong})).problem(400, "request.invalid");
        assert!(problem["errors"][0]["pointer"].as_str().unwrap().starts_with(&format!("/{field}")), "{problem}");
    }
    org.client.patch(&hook.path(""), &json!({"secret": "whsec_x"})).problem(400, "request.malformed");
    other.client.get(&hook.path("")).problem(404, "object.not_found");
    assert!(other.client.all("/webhooks", 200).is_empty());
    for number in 0..12 {
        org.person(&format!("P {number}"));
        other.person(&format!("P {number}"));
    }
    eventually("its own", || receiver.taken("people").len() == 12);
    let people: BTreeSet<_> = org.client.all("/people", 200).iter().map(|row| string(row, "person")).collect();
    assert!(receiver.taken("people").iter().all(|post| people.contains(&string(&post.json(), "entity"))));
    eventually("the log is short", || {
        let log = hook.log();
        log.len() == 5
            && log[0]["delivery"].as_u64() == Some(12)
            && log.is_sorted_by_key(|row| u64::MAX - row["delivery"].as_u64().unwrap())
    });
    org.client.delete(&hook.path("")).ok();
    Hook::make(&org, &receiver.url(), &["none"]);
}

/// A storm of events costs the webhook few records of its own, and none of them comes back as an event.
#[test]
fn progress_is_remembered_seldom_and_tells_nobody() {
    let rig = quick(&[]);
    let org = rig.org();
    let receiver = Receiver::that_takes();
    let begin = now_of(&org);
    Hook::make(&org, &receiver.url(), &[]);
    let many = org.person("Many");
    for number in 0..300 {
        org.client.patch(&format!("/people/{many}"), &json!({"name": format!("N {number}")})).ok();
    }
    let wanted = events(&org, begin.clone());
    eventually("all is told", || receiver.count() >= wanted.len());
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(events(&org, begin).len(), wanted.len(), "telling is no event");
    assert_eq!(receiver.count(), wanted.len(), "nothing feeds itself");
    let positions = |cursor: &str| cursor.split('-').nth(1).unwrap().parse::<u64>().unwrap();
    let end = now_of(&org);
    let last = wanted.last().unwrap()["cursor"].as_str().unwrap();
    assert!(positions(&end) - positions(last) < 8, "{last} {end}");
}
