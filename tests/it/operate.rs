//! Running it: health, stop, crash, a second server, configuration, a door that is full.

use crate::{
    rig::{Rig, complete, eventually, run, text},
    smart_box::{TestBox, outcomes_of},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Barrier, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

#[test]
fn health_and_metrics_have_their_own_listener() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(2);
    smart_box.drop_off("A-1", "F-1", None);
    smart_box.sync();
    assert_eq!(rig.observed("/healthz").status, 200);
    assert_eq!(rig.observed("/readyz").status, 200);
    assert_eq!(rig.observed("/api/v1/people").status, 404);
    let metrics = rig.observed("/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    let told = metrics.told();
    for line in told.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        assert!(line.starts_with("castellan_"), "{line}");
        assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        for secret in [&*org.token, &org.id, &smart_box.id, &smart_box.token] {
            assert!(!line.contains(secret), "{line}");
        }
    }
    assert!(told.contains("box.sync"), "{told}");
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let rig = Rig::start();
    let org = rig.org();
    let config = rig.config();
    let second = run(&["serve", "--config", config.to_str().unwrap()]);
    assert!(!second.status.success());
    let said = text(&second.stderr);
    assert!(said.contains("is in use: another server is running on it"), "{said}");
    let verified = run(&["verify", "--data", rig.data().to_str().unwrap()]);
    assert_eq!(verified.status.code(), Some(2), "{}", text(&verified.stderr));
    let init = run(&["init", "--data", rig.data().to_str().unwrap()]);
    assert!(!init.status.success() && text(&init.stderr).contains("not empty"), "{}", text(&init.stderr));
    assert_eq!(org.client.get("/people").status, 200, "the first one goes on");
}

#[test]
fn check_config_tries_the_phones_templates() {
    let folder = tempfile::tempdir().unwrap();
    let (file, templates) = (folder.path().join("c.toml"), folder.path().join("templates"));
    std::fs::create_dir(&templates).unwrap();
    std::fs::write(&file, format!("[provisioning]\ntemplates_dir = {templates:?}\n")).unwrap();
    let check = || {
        let checked = run(&["check-config", "--config", file.to_str().unwrap()]);
        (checked.status.code(), text(&checked.stderr))
    };
    assert_eq!(check().0, Some(0));
    std::fs::write(templates.join("snom.device.xml.j2"), "<settings>\n{{ pasword }}\n</settings>\n").unwrap();
    let (code, said) = check();
    assert_eq!(code, Some(1));
    assert!(said.contains("provisioning.templates_dir") && said.contains("snom.device.xml.j2:2"), "{said}");
}

#[test]
fn check_config_names_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    for (wrong, told) in [
        ("[http]\nlisten = \"127.0.0.1:0\"\nworker = 2\n", vec!["line 3", "worker"]),
        ("[http]\nlisten = 8080\n", vec!["line 2", "listen"]),
        ("[htttp]\n", vec!["line 1", "htttp"]),
        ("[store]\npartitions = 0\n", vec!["store.partitions", "at least 1"]),
        ("[public]\nbase_url = \"ftp://x\"\n", vec!["public.base_url"]),
        ("[http\n", vec!["line 1"]),
        ("[admission]\nwaiting_ms_max = -1\n", vec!["line 2", "waiting_ms_max"]),
    ] {
        std::fs::write(&file, wrong).unwrap();
        for command in ["check-config", "serve"] {
            let checked = run(&[command, "--config", file.to_str().unwrap()]);
            let said = text(&checked.stderr);
            assert_eq!(checked.status.code(), Some(1), "{wrong}: {said}");
            for part in &told {
                assert!(said.contains(part), "{command} {wrong}: `{part}` is missing in: {said}");
            }
        }
    }
    let shown = concat!(env!("CARGO_MANIFEST_DIR"), "/config/castellan.toml");
    let right = run(&["check-config", "--config", shown]);
    assert!(right.status.success() && text(&right.stdout).contains("waiting_ms_max"), "{}", text(&right.stderr));
    let nowhere = run(&["check-config", "--config", "/nowhere/castellan.toml"]);
    assert!(!nowhere.status.success() && text(&nowhere.stderr).contains("/nowhere/castellan.toml"));
}

/// Case 13, small: the server is killed in the middle of 200 syncs. Which entries had a receipt is known outside it.
#[test]
fn kill_9_in_the_middle_of_200_syncs_loses_no_receipt_and_doubles_nothing() {
    const BOXES: usize = 200;
    const ROUNDS: usize = 3;
    let mut rig = Rig::start();
    let org = rig.org();
    let made: Vec<String> = (0..BOXES).map(|_| org.smart_box("MS5", 2)).collect();
    let boxes: Vec<Mutex<TestBox>> = made.iter().map(|id| Mutex::new(org.enrolled(id))).collect();
    for round in 0..ROUNDS {
        for smart_box in &boxes {
            let mut smart_box = smart_box.lock().unwrap();
            let fob = format!("FOB-{}", &smart_box.id[20..]);
            for _ in 0..2 {
                smart_box.drop_off("A-1", &fob, None);
                smart_box.pick_up("A-1", &fob, None);
            }
        }
        let (answered, next) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let start = Barrier::new(17);
        let until = 20 + 50 * round;
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    start.wait();
                    while let Some(smart_box) = boxes.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let mut smart_box = smart_box.lock().unwrap();
                        let request = smart_box.request().to_string();
                        let sent = smart_box.client.try_send("POST", "/box/v1/sync", &[], Some(request.as_bytes()));
                        let Ok(answer) = sent else { continue };
                        if answer.status == 200 {
                            smart_box.store(&answer.json());
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            start.wait();
            while answered.load(Ordering::Relaxed) < until {
                std::thread::yield_now();
            }
            rig.kill();
        });
        let answered = answered.load(Ordering::Relaxed);
        assert!((until..BOXES).contains(&answered), "the kill came too late: {answered} were answered");
        rig.start_again();
        let mut receipted = 0;
        for smart_box in &boxes {
            let smart_box = smart_box.lock().unwrap();
            let known = seqs(&org.whole_history(&smart_box.id));
            assert!(known.values().all(|times| *times == 1), "{known:?}");
            for seq in 1..smart_box.resume_at {
                assert!(known.contains_key(&seq), "{}: {seq} had a receipt and is gone", smart_box.id);
                receipted += 1;
            }
        }
        assert!(receipted >= 4 * until);
    }
    for smart_box in &boxes {
        let mut smart_box = smart_box.lock().unwrap();
        smart_box.sync_until_quiet();
        let known = seqs(&org.whole_history(&smart_box.id));
        assert_eq!(known, (1..=smart_box.head()).map(|seq| (seq, 1)).collect(), "{}", smart_box.id);
        smart_box.must_equal(&org.inventory(&smart_box.id));
    }
}

/// How often each sequence number was judged.
fn seqs(history: &[serde_json::Value]) -> BTreeMap<u64, usize> {
    let mut known = BTreeMap::new();
    for item in history {
        if let Some(seq) = item["seq"].as_u64() {
            *known.entry(seq).or_default() += 1;
        }
    }
    known
}

/// Whatever was admitted is answered, and what was answered is there.
#[test]
fn sigterm_answers_what_was_admitted() {
    let mut rig = Rig::start();
    let org = rig.org();
    let made = Mutex::new(Vec::new());
    let odd = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for caller in 0..16 {
            let (client, made, odd) = (org.client.clone(), &made, &odd);
            scope.spawn(move || {
                for number in 0..2000 {
                    let body = json!({"name": format!("P {caller} {number}")}).to_string();
                    match client.try_send("POST", "/people", &[], Some(body.as_bytes())) {
                        Ok(answer) if answer.status == 201 => {
                            made.lock().unwrap().push(answer.json()["person"].as_str().unwrap().to_owned());
                        }
                        Ok(answer) if answer.status == 503 => {
                            answer.problem(503, "server.stopping");
                            return;
                        }
                        Ok(answer) => odd.lock().unwrap().push(answer.told()),
                        Err(_) => return,
                    }
                }
            });
        }
        while made.lock().unwrap().len() < 100 {
            std::thread::yield_now();
        }
        rig.tell_to_stop();
        let status = rig.wait_for_end();
        assert!(status.success(), "{status}");
    });
    assert!(odd.lock().unwrap().is_empty(), "{odd:?}");
    let log = rig.log_text();
    assert!(log.contains("finishing what was admitted") && log.contains("\"stopped\""), "{log}");
    rig.start_again();
    let made = made.into_inner().unwrap();
    let there: std::collections::BTreeSet<_> =
        org.client.all("/people", 200).iter().map(|row| row["person"].as_str().unwrap().to_owned()).collect();
    assert!(made.iter().all(|person| there.contains(person)));
    assert_eq!(there.len(), made.len() + 1, "with the owner: what was made was answered");
}

/// A request that came in slowly before SIGTERM is still answered, on whichever thread the things it asks for live.
#[test]
fn sigterm_waits_for_requests_that_have_begun() {
    let mut rig = Rig::start();
    let org = rig.org();
    let before = org.client.all("/people", 200).len();
    let mut begun: Vec<_> = (0..6)
        .map(|number| {
            let body = json!({"name": format!("Slow {number}")}).to_string();
            let head = format!(
                "POST /api/v1/people HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
                org.token,
                body.len()
            );
            let mut stream = TcpStream::connect(rig.addresses().api).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body.as_bytes()[..5]).unwrap();
            (stream, body)
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    rig.tell_to_stop();
    std::thread::sleep(Duration::from_millis(200));
    for (stream, body) in &mut begun {
        stream.write_all(&body.as_bytes()[5..]).unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        assert!(heard.starts_with("HTTP/1.1 201"), "{heard}");
    }
    assert!(rig.wait_for_end().success());
    rig.start_again();
    assert_eq!(org.client.all("/people", 200).len(), before + begun.len());
}

/// What became of one request at a server that is being stopped.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Fate {
    Answered {
        keeps: bool,
    },
    Stopping,
    /// It went out and nothing came back.
    CutOff,
    /// The connection was gone before it went out, or could not be made.
    Closed,
}

fn one_request(stream: &mut TcpStream, request: &[u8]) -> Fate {
    if stream.write_all(request).is_err() {
        return Fate::Closed;
    }
    let (mut heard, mut part) = (Vec::new(), [0; 4096]);
    while !complete(&heard) {
        match stream.read(&mut part) {
            Ok(read @ 1..) => heard.extend_from_slice(&part[..read]),
            _ => return Fate::CutOff,
        }
    }
    let heard = text(&heard);
    match &heard[9..12] {
        "200" => Fate::Answered { keeps: !heard.to_lowercase().contains("connection: close") },
        "503" => {
            assert!(heard.contains("server.stopping") && heard.contains("retry-after"), "{heard}");
            Fate::Stopping
        }
        _ => panic!("{heard}"),
    }
}

/// Nobody who is heard at all is left without an answer: neither on kept connections nor on new ones.
#[test]
fn sigterm_under_load_cuts_nobody_off() {
    let mut rig = Rig::start();
    let org = rig.org();
    let api = rig.addresses().api;
    let request = format!("GET /api/v1/people HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", org.token);
    let (answered, fates) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for caller in 0..12 {
            let (request, answered, fates) = (request.as_bytes(), &answered, &fates);
            scope.spawn(move || {
                let keeps_connections = caller % 2 == 0;
                let mut kept: Option<TcpStream> = None;
                loop {
                    let fresh = || TcpStream::connect(api).ok();
                    let Some(mut stream) = kept.take().or_else(fresh) else { return };
                    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
                    let fate = one_request(&mut stream, request);
                    match fate {
                        Fate::Answered { keeps } => {
                            answered.fetch_add(1, Ordering::Relaxed);
                            kept = Some(stream).filter(|_| keeps && keeps_connections);
                        }
                        other => fates.lock().unwrap().push((keeps_connections, other)),
                    }
                }
            });
        }
        while answered.load(Ordering::Relaxed) < 300 {
            std::thread::yield_now();
        }
        rig.tell_to_stop();
        assert!(rig.wait_for_end().success());
    });
    let fates = fates.into_inner().unwrap();
    let of = |wanted: Fate| fates.iter().filter(|(_, fate)| *fate == wanted).count();
    assert!(of(Fate::Stopping) > 0, "nobody came while it ended: {fates:?}");
    // The kernel may let one in while the process is already over.
    assert!(of(Fate::CutOff) <= 1, "{} cut off, {} told to come again", of(Fate::CutOff), of(Fate::Stopping));
}

/// A connection that is kept and silent is closed, and holds nothing up.
#[test]
fn sigterm_closes_idle_connections_soon() {
    let mut rig = Rig::start();
    let org = rig.org();
    let request = format!("GET /api/v1/people HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", org.token);
    let mut idle: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(rig.addresses().api).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
            assert_eq!(one_request(&mut stream, request.as_bytes()), Fate::Answered { keeps: true });
            stream
        })
        .collect();
    let began = std::time::Instant::now();
    rig.tell_to_stop();
    for stream in &mut idle {
        assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0, "closed in good order");
    }
    assert!(rig.wait_for_end().success());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(!rig.log_text().contains('\u{1b}'), "no colours in a file");
}

/// A door for two, with no bench before it: the others are asked to come again, and nobody is lost.
#[test]
fn a_burst_at_a_tiny_door_is_spread_and_none_is_lost() {
    let rig = Rig::with(&[
        ("ADMISSION__RECORDS_IN_FLIGHT_MAX", "2"),
        ("ADMISSION__WAITING_MAX", "2"),
        ("ADMISSION__WAITING_MS_MAX", "5"),
    ]);
    let org = rig.org();
    let made: Vec<String> = (0..48).map(|_| org.smart_box("MS5", 1)).collect();
    let deferred = AtomicUsize::new(0);
    let start = Barrier::new(made.len());
    std::thread::scope(|scope| {
        for id in &made {
            let mut smart_box = org.enrolled(id);
            let (start, deferred) = (&start, &deferred);
            scope.spawn(move || {
                start.wait();
                for number in 0..20 {
                    let fob = format!("F-{}", &smart_box.id[20..]);
                    match number % 2 {
                        0 => smart_box.drop_off("A-1", &fob, None),
                        _ => smart_box.pick_up("A-1", &fob, None),
                    };
                    let answer = loop {
                        let answer = smart_box.send(&smart_box.request());
                        if answer.status == 200 {
                            break answer.json();
                        }
                        answer.problem(503, "server.busy");
                        deferred.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(20));
                    };
                    assert!(!outcomes_of(&answer).is_empty());
                    smart_box.store(&answer);
                }
            });
        }
    });
    let deferred = deferred.into_inner();
    assert!(deferred > 0, "nobody was deferred at this door");
    for id in &made {
        let known = seqs(&org.whole_history(id));
        assert_eq!(known, (1..=20).map(|seq| (seq, 1)).collect());
    }
    let metrics = rig.observed("/metrics").told();
    let counted: f64 = metrics
        .lines()
        .filter(|line| line.starts_with("castellan_admission") && line.contains("deferred"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!(counted >= deferred as f64, "{deferred} were deferred, {counted} were counted");
}

/// Who hangs up in the middle changes nothing for the others, and the door gets its room back.
#[test]
fn who_hangs_up_leaves_no_trace() {
    let rig = Rig::with(&[("ADMISSION__RECORDS_IN_FLIGHT_MAX", "2"), ("ADMISSION__WAITING_MS_MAX", "500")]);
    let org = rig.org();
    for number in 0..200 {
        let body = json!({"name": format!("Gone {number}")}).to_string();
        let whole = format!(
            "POST /api/v1/people HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
            org.token,
            body.len()
        );
        let mut stream = TcpStream::connect(rig.addresses().api).unwrap();
        let part = if number % 2 == 0 { whole.len() } else { whole.len() - 3 };
        stream.write_all(&whole.as_bytes()[..part]).unwrap();
    }
    eventually("the door has room again", || org.client.post("/people", &json!({"name": "Here"})).status == 201);
    let listed = org.client.all("/people", 200);
    assert!(listed.iter().all(|row| {
        let name = row["name"].as_str().unwrap();
        !name.starts_with("Gone") || name[5..].parse::<u32>().unwrap() % 2 == 0
    }));
    assert_eq!(rig.observed("/readyz").status, 200);
}
