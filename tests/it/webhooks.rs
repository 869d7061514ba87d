//! Webhooks against real receivers: what happens is told, once at least, in order for each entity, whatever breaks.

use crate::{
    receiver::{Hook, Post, Reaction, Receiver, quick},
    rig::{eventually, string},
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

/// All events of the organisation behind a cursor, as the feed has them.
pub fn events(org: &Org, mut after: String) -> Vec<Value> {
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

pub fn now_of(org: &Org) -> String {
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

/// What comes next is not kept any more: nobody is told only a part without knowing it.
#[test]
fn a_webhook_that_stood_still_for_too_long_must_be_told_from_where() {
    use castellan::store::{Batch, CommitLog, Db, Ops, Options, RocksLog, keys};
    let mut rig = quick(&[]);
    let org = rig.org();
    let receiver = Receiver::that_takes();
    let hook = Hook::make(&org, &receiver.url(), &["people.created"]);
    org.person("One");
    eventually("the first", || receiver.count() == 1);
    hook.post("/pause");
    org.person("Two");
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    {
        // As retention does it: the oldest rows of the index go, in a batch like any other.
        let log = RocksLog::new(Db::open(&rig.data().join("db"), Options::default(), false).unwrap());
        let tail = log.tail(0).unwrap();
        let mut ops = Ops::default();
        (0..=tail.position).for_each(|position| ops.delete(&keys::feed(0, position)));
        let (position, prev_hash) = (tail.position + 1, tail.hash());
        log.append(&Batch { partition: 0, id: 7, epoch: tail.epoch, position, prev_hash, records: vec![ops] });
    }
    rig.start_again();
    hook.post("/resume");
    eventually("it is paused again", || hook.pause_reason().as_deref() == Some("feed_trimmed"));
    org.client.post(&hook.path("/resume"), &json!({})).problem(409, "webhooks.feed_trimmed");
    org.person("Three");
    receiver.forget();
    org.client.post(&hook.path("/resume"), &json!({"from": "oldest"})).ok();
    eventually("what is kept", || receiver.count() == 1);
    let three = org.client.all("/people", 200).into_iter().find(|row| row["name"] == "Three").unwrap();
    assert_eq!(receiver.posts()[0].json()["entity"], three["person"]);
    assert_eq!(hook.show()["state"], "active");
}
