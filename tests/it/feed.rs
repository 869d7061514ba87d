//! Whoever follows an organisation sees every event once, in order, whatever happens to him or to the server.

use crate::{
    follower::{Quiet, try_follow},
    rig::{Client, Rig, eventually, string},
    site::Org,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(5);

/// Everything that the feed has, by pages.
fn pages(client: &Client, query: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let mut page = client.get(&format!("/events?limit={limit}{query}{after}")).is(200);
        let Value::Array(some) = page["items"].take() else { panic!("{page}") };
        assert!(some.len() <= limit);
        items.extend(some);
        after = format!("&after={}", string(&page, "next"));
        if page["more"] == false {
            return items;
        }
    }
}

fn cursors(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["cursor"].as_str().unwrap()).collect()
}

/// No revision of an entity is missing or comes before its time.
fn whole_and_in_order(events: &[Value]) {
    let mut last: HashMap<&str, u64> = HashMap::new();
    for event in events {
        let (entity, revision) = (event["entity"].as_str().unwrap(), event["revision"].as_u64().unwrap());
        assert_eq!(last.insert(entity, revision).unwrap_or_default() + 1, revision, "{event}");
    }
}

#[test]
fn every_event_once_and_in_order_over_reconnects_and_kill_9() {
    for partitions in ["1", "4"] {
        let mut rig = Rig::with(&[("STORE__PARTITIONS", partitions)]);
        let org = rig.org();
        let other = rig.org();
        let boxes: Vec<String> = (0..3).map(|_| org.smart_box("MS4", 2)).collect();
        let stranger = other.smart_box("MS4", 2);
        let (stop, changed) = (AtomicBool::new(false), AtomicUsize::new(0));
        let addresses = std::sync::RwLock::new(rig.addresses());
        let (steady, restless) = std::thread::scope(|scope| {
            for (client, id) in boxes.iter().map(|id| (&org.client, id)).chain([(&other.client, &stranger)]) {
                let (stop, changed) = (&stop, &changed);
                scope.spawn(move || {
                    for n in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let body = json!({"name": format!("N {n}")}).to_string();
                        match client.try_send("PATCH", &format!("/boxes/{id}"), &[], Some(body.as_bytes())) {
                            Ok(answer) if answer.status == 200 => {
                                changed.fetch_add(1, Ordering::Relaxed);
                            }
                            _ => std::thread::sleep(Duration::from_millis(10)),
                        }
                    }
                });
            }
            // One goes on as long as he can, the other hangs up every few events.
            let follow = |events_each: usize| {
                let (addresses, stop, token) = (&addresses, &stop, &org.token);
                move || {
                    let (mut seen, mut last): (Vec<Value>, Option<String>) = (Vec::new(), None);
                    loop {
                        let at = *addresses.read().unwrap();
                        let Ok(mut stream) = try_follow(at, token, "", last.as_deref()) else {
                            std::thread::sleep(Duration::from_millis(20));
                            continue;
                        };
                        for _ in 0..events_each {
                            match stream.next(Duration::from_millis(500)) {
                                Ok(event) => seen.push(event),
                                Err(Quiet::Silent) if stop.load(Ordering::Relaxed) => return seen,
                                Err(_) => break,
                            }
                        }
                        last = stream.last;
                    }
                }
            };
            let steady = scope.spawn(follow(usize::MAX));
            let restless = scope.spawn(follow(7));
            for kills in 0..3 {
                let so_far = changed.load(Ordering::Relaxed);
                eventually("changes", || changed.load(Ordering::Relaxed) > so_far + 80);
                if kills < 2 {
                    rig.kill_and_start();
                    *addresses.write().unwrap() = rig.addresses();
                }
            }
            stop.store(true, Ordering::Relaxed);
            (steady.join().unwrap(), restless.join().unwrap())
        });
        let all = pages(&org.client, "", 50);
        whole_and_in_order(&all);
        assert!(all.len() > 150, "{} events", all.len());
        assert_eq!(cursors(&steady), cursors(&all), "{partitions} partitions: the steady one");
        assert_eq!(cursors(&restless), cursors(&all), "{partitions} partitions: the restless one");
        assert_eq!((&steady, &restless), (&all, &all), "an event is always told the same");
        let theirs = pages(&other.client, "", 200);
        whole_and_in_order(&theirs);
        assert!(theirs.iter().all(|event| !boxes.contains(&string(event, "entity"))));
        assert!(all.iter().all(|event| event["entity"] != *stranger));
    }
}

#[test]
fn what_a_box_and_people_do_is_told() {
    let rig = Rig::start();
    let org = rig.org();
    let person = org.person_with(&json!({"name": "Bruno Bianchi", "access_code": "246810", "badges": ["B-77"]}));
    let smart_box = org.smart_box("MS5", 4);
    let key = org.key(&smart_box, "04A2F1", Some("A-1"));
    org.access(&smart_box, &person);
    let start = string(&org.client.get("/events?after=now").is(200), "next");
    let mut actual = org.enrolled(&smart_box);
    actual.sync_until_quiet();
    actual.pick_up("A-1", "04A2F1", Some(&person));
    actual.pick_up("A-2", "04A2F9", Some(&person));
    assert_eq!(actual.outcomes(), ["applied", "ignored key_not_in_bin"]);

    let all = pages(&org.client, "", 200);
    whole_and_in_order(&all);
    let told = serde_json::to_string(&all).unwrap();
    for secret in ["Bruno", "Bianchi", "246810", "B-77", "anna@", "hash", "verifier", &actual.token[60..]] {
        assert!(!told.contains(secret), "{secret} stands in the feed");
    }
    let taken: Vec<_> = all.iter().filter(|event| event["type"] == "boxes.key.picked_up").collect();
    assert_eq!(taken.len(), 1);
    assert_eq!((&taken[0]["entity"], &taken[0]["by"]), (&json!(smart_box), &json!(smart_box)));
    assert_eq!((&taken[0]["data"]["key"], &taken[0]["data"]["person"]), (&json!(key), &json!(person)));

    let since = org.client.get(&format!("/events?after={start}&limit=200")).is(200)["items"].take();
    assert_eq!(since.as_array().unwrap()[..], all[all.len() - since.as_array().unwrap().len()..]);
    assert_eq!(since[0]["type"], "boxes.enrolment.code_made");
}

#[test]
fn filters_and_cursors_are_checked() {
    let rig = Rig::start();
    let org = rig.org();
    let (one, two) = (org.smart_box("MS4", 2), org.smart_box("MS4", 2));
    org.key(&one, "04A2F1", Some("A-1"));
    let types = |query: &str| {
        let found = pages(&org.client, query, 3);
        found.iter().map(|event| string(event, "type")).collect::<Vec<_>>()
    };
    assert_eq!(types("&type=boxes.key"), ["boxes.key.added"]);
    assert_eq!(types("&type=boxes.created"), ["boxes.created", "boxes.created"]);
    assert_eq!(types("&type=boxes.creat"), Vec::<String>::new());
    assert_eq!(types(&format!("&entity={two}")), ["boxes.created"]);
    assert!(types("&kind=token").iter().all(|name| name.starts_with("tokens.")));
    for wrong in [
        "after=x",
        "after=1-2",
        "after=1-999999-0",
        "after=7-1-0",
        "entity=box_1",
        "kind=boxes",
        "type=Boxes",
        "type=",
        "limit=0",
        "limit=201",
        "y=1",
    ] {
        let answer = org.client.get(&format!("/events?{wrong}"));
        assert_eq!(answer.refused()["status"], 400, "{wrong}");
        let refused = try_follow(rig.addresses(), &org.token, &format!("?{wrong}"), None).map(drop).unwrap_err();
        assert_eq!(refused.0, 400, "{wrong}: {}", refused.1);
    }
    let end = org.client.get("/events?after=now").is(200);
    assert_eq!((end["items"].as_array().unwrap().len(), &end["more"]), (0, &json!(false)));
    org.person("Carla");
    let news = org.client.get(&format!("/events?after={}", string(&end, "next"))).is(200);
    assert_eq!(news["items"][0]["type"], "people.created");
}

#[test]
fn nobody_follows_another_organisation() {
    let rig = Rig::start();
    let (ours, theirs) = (rig.org(), rig.org());
    ours.smart_box("MS4", 1);
    theirs.smart_box("MS4", 1);
    let entities = |events: &[Value]| -> Vec<String> { events.iter().map(|event| string(event, "entity")).collect() };
    let (our_events, their_events) = (pages(&ours.client, "", 200), pages(&theirs.client, "", 200));
    assert!(entities(&our_events).iter().all(|id| !entities(&their_events).contains(id)));
    let of = |org: &Org| format!("&organisation={}", org.id);
    assert_eq!(pages(&rig.operator(), &of(&ours), 200), our_events);
    assert_eq!(pages(&ours.client, &of(&ours), 200), our_events);
    let nobody = "&organisation=org_0123456789abcdefghjkmnpqrs";
    for path in ["/events?", "/audit?", "/audit/refusals?"] {
        let foreign = ours.client.get(&format!("{path}{}", &of(&theirs)[1..]));
        foreign.problem(404, "object.not_found");
        assert_eq!(foreign.bare(), ours.client.get(&format!("{path}{}", &nobody[1..])).bare());
        rig.operator().get(&format!("{path}{}", &nobody[1..])).problem(404, "object.not_found");
        rig.operator().get(&format!("{path}{}", &of(&theirs)[1..])).is(200);
    }
    let weak = theirs.client.post("/tokens", &json!({"label": "x", "scopes": ["boxes:read"]})).is(201);
    theirs.client.with_token(&string(&weak, "token")).get("/events").problem(403, "auth.forbidden");
    let their_cursor = their_events.last().unwrap()["cursor"].as_str().unwrap();
    let found = ours.client.get(&format!("/events?after={their_cursor}")).is(200);
    assert!(found["items"].as_array().unwrap().is_empty(), "a place is a place, also in our own feed: {found}");
}

#[test]
fn streams_are_bounded_and_end_with_their_token_and_their_server() {
    let mut rig = Rig::with(&[
        ("FEED__STREAMS_MAX", "3"),
        ("FEED__STREAMS_PER_ORGANISATION_MAX", "2"),
        ("FEED__HEARTBEAT_S", "1"),
    ]);
    let (org, other) = (rig.org(), rig.org());
    let made = org.client.post("/tokens", &json!({"label": "till", "scopes": ["audit:read"]})).is(201);
    let token = string(&made, "token");
    let mut first = rig.follow(&token, "?after=now", None);
    let mut second = rig.follow(&org.token, "?after=now", None);
    let refused = try_follow(rig.addresses(), &org.token, "", None).map(drop).unwrap_err();
    assert!(refused.0 == 429 && refused.1.contains("retry-after"), "{refused:?}");
    let third = rig.follow(&other.token, "?after=now", None);
    assert_eq!(try_follow(rig.addresses(), &other.token, "", None).map(drop).unwrap_err().0, 503);
    assert_eq!(rig.metric("castellan_feed_streams "), 3.0);

    // A reader that hangs up makes room.
    drop(third);
    eventually("room for another", || try_follow(rig.addresses(), &other.token, "", None).is_ok());

    // A heartbeat moves the cursor on although all that happens is somebody else's.
    let before = first.last.clone();
    other.person("Dora");
    (0..2).for_each(|_| first.heartbeat(PATIENCE).unwrap());
    assert!(first.last.is_some() && first.last != before, "the cursor stays at {before:?}");

    let revoked = Instant::now();
    org.client.delete(&format!("/tokens/{}", string(&made, "token_id"))).is(200);
    let told = std::iter::from_fn(|| first.next(PATIENCE).ok()).map(|event| string(&event, "type")).last();
    assert!(told.is_none_or(|told| told == "tokens.revoked"));
    assert!(revoked.elapsed() < Duration::from_secs(4), "{:?}", revoked.elapsed());
    assert_eq!(try_follow(rig.addresses(), &token, "", None).map(drop).unwrap_err().0, 401);
    assert_eq!(second.next(PATIENCE).unwrap()["type"], "tokens.revoked");

    let told = Instant::now();
    rig.tell_to_stop();
    assert_eq!(second.all().1, Quiet::Ended, "the last chunk comes");
    assert!(rig.wait_for_end().success());
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    rig.start_again();
    let person = org.person("Ezio");
    let mut again = rig.follow(&org.token, "", second.last.as_deref());
    assert_eq!(again.next(PATIENCE).unwrap()["entity"], person);
}

#[test]
fn a_reader_that_is_too_slow_is_cut_off_and_goes_on_by_cursor() {
    let rig = Rig::with(&[("FEED__SLOW_READER_S", "1"), ("HTTP__STALLED_TIMEOUT_S", "2")]);
    let org = rig.org();
    let person = org.person("Bruno");
    let accesses: Vec<Value> = (0..200).map(|_| json!({"person": person, "box": true})).collect();
    let boxes: Vec<String> = (0..50).map(|_| org.smart_box("MS4", 1)).collect();
    for id in &boxes {
        org.client.post(&format!("/boxes/{id}/accesses/batch"), &json!({"accesses": accesses})).is(201);
        org.client.post(&format!("/boxes/{id}/accesses/batch"), &json!({"accesses": accesses})).is(201);
    }
    let slow = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    slow.set_recv_buffer_size(4096).unwrap();
    slow.connect(&rig.addresses().api.into()).unwrap();
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\naccept: text/event-stream\r\n\r\n",
        org.token
    );
    slow.send(request.as_bytes()).unwrap();
    eventually("the slow one is cut off", || {
        rig.metric("castellan_feed_stream_ends_total{why=\"slow\"}") == 1.0
            && rig.metric("castellan_feed_streams ") == 0.0
    });
    // The connection itself ends too: the server holds nothing for him.
    std::thread::sleep(Duration::from_secs(5));
    let mut heard = Vec::new();
    let mut stream: std::net::TcpStream = slow.into();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let ended = std::io::Read::read_to_end(&mut stream, &mut heard);
    assert!(ended.is_err() || heard.len() < 4 << 20, "{ended:?} after {} bytes", heard.len());
    let timed_out = ended.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!timed_out, "the connection is still open");

    let all = pages(&org.client, "", 200);
    assert!(all.len() > 20_000);
    let heard = String::from_utf8_lossy(&heard);
    let whole: Vec<_> = heard.split("\n\n").filter_map(|block| block.split_once("id: ")?.1.split_once('\n')).collect();
    let (last, _) = whole[whole.len() - 2];
    let seen = cursors(&all).iter().position(|cursor| *cursor == last).unwrap();
    let (rest, _) = rig.follow(&org.token, "", Some(last)).all();
    assert_eq!(cursors(&rest), cursors(&all[seen + 1..]));
}

#[test]
fn a_cursor_whose_events_are_gone_gets_410_and_where_to_go_on() {
    use castellan::{
        kernel::FeedCursor,
        store::{Batch, CommitLog, Db, Ops, Options, RocksLog, keys},
    };
    let mut rig = Rig::start();
    let org = rig.org();
    let first = pages(&org.client, "", 200);
    let old = first[0]["cursor"].as_str().unwrap();
    let oldest: FeedCursor = old.parse().unwrap();
    let smart_box = org.smart_box("MS4", 1);
    rig.tell_to_stop();
    assert!(rig.wait_for_end().success());
    {
        // As retention does it: the oldest rows of the index go, in a batch like any other.
        let db = Db::open(&rig.data().join("db"), Options::default(), false).unwrap();
        let log = RocksLog::new(db);
        let tail = log.tail(0).unwrap();
        let mut ops = Ops::default();
        (0..=oldest.position).for_each(|position| ops.delete(&keys::feed(0, position)));
        let (position, prev_hash) = (tail.position + 1, tail.hash());
        log.append(&Batch { partition: 0, id: 7, epoch: tail.epoch, position, prev_hash, records: vec![ops] });
    }
    rig.start_again();
    let told = org.client.get(&format!("/events?after={old}")).problem(410, "feed.cursor_trimmed");
    let refused = try_follow(rig.addresses(), &org.token, "", Some(old)).map(drop).unwrap_err();
    assert_eq!(refused.0, 410);
    let snapshot = string(&told, "snapshot");
    assert_eq!(org.show(&smart_box)["name"], "Porter's lodge", "the lists are read anew");
    let person = org.person("Carla");
    let news = org.client.get(&format!("/events?after={snapshot}")).is(200);
    assert_eq!(news["items"][0]["entity"], person);
    let kept = pages(&org.client, "", 200);
    assert!(kept.len() < first.len() + 4 && kept.iter().any(|event| event["entity"] == *smart_box));
}

#[test]
fn a_follower_without_news_hears_that_the_server_lives() {
    let rig = Rig::with(&[("FEED__HEARTBEAT_S", "1")]);
    let org = rig.org();
    let mut follower = rig.follow(&org.token, "?after=now", None);
    follower.heartbeat(Duration::from_millis(2500)).unwrap();
}
