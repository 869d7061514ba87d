//! The hot path in parts: decide and evolve a sync, the codec, the commit, a round trip through the actor, and a sync
//! end to end over HTTP. `benches/README.md` says how to compare.

use castellan::{
    app,
    boxes::{
        AccessRecord, Act, Answer, Command, Creation, Cursor, Entry, Event, Fob, JournalEntry, KeyRecord, Label, Model,
        Plan, Scope, SecretHash, SmartBox, SyncRequest,
    },
    config::Config,
    engine::{Call, Engine},
    kernel::{
        AccessId, BoxId, Chance, Clock, Codec, Context, KeyId, Machine, OrgId, PersonId, Principal, Progress, Stamp,
        UnixMillis,
    },
    store::{Batch, CommitLog, Db, Ops, Options, RocksLog},
};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::{
    hint::black_box,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

const ORG: OrgId = OrgId(7);
const BOX: BoxId = BoxId(0x0b0c);
const BINS: usize = 10;
const PEOPLE: u128 = 20;
const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const TOKEN: [u8; 32] = [3; 32];

fn label(bin: usize) -> Label {
    Label::new(&format!("A-{}", bin + 1)).expect("a label")
}

fn fob(bin: usize) -> Fob {
    Fob::new(&format!("04A2F1{bin:02}")).expect("a fob")
}

/// A box with 10 bins, 10 keys, 20 accesses, enrolled.
fn set_up() -> Vec<Command> {
    let hash = SecretHash(castellan::http::auth::hash_of(&TOKEN));
    let creation = Creation {
        name: "Bench".into(),
        model: Model::MS5,
        plan: Plan::BusinessPro,
        location: "".into(),
        zone: "Europe/Rome".into(),
        bins: (0..BINS).map(label).collect(),
    };
    let expires = NOW.plus(Duration::from_secs(3600 * 24 * 365 * 20));
    let mut commands = vec![
        Command::Create(creation),
        Command::MakeEnrolmentCode { code_hash: hash, expires, stolen: false },
        Command::Enrol { code_hash: hash, token_hash: hash },
    ];
    commands.extend((0..BINS).map(|bin| Command::AddKey {
        key: KeyRecord {
            id: KeyId(bin as u128 + 1),
            name: "Key".into(),
            fob: Some(fob(bin)),
            roaming: false,
            groups: [].into(),
            size: None,
        },
        bin: Some(label(bin)),
        texts: None,
    }));
    let access = |n: u128| AccessRecord {
        id: AccessId(n),
        person: PersonId(n % PEOPLE + 1),
        scope: Scope::Box,
        from: None,
        until: None,
        reminder: None,
    };
    commands.push(Command::Grant { accesses: (1..=PEOPLE).map(access).collect() });
    commands
}

fn context() -> Context {
    Context { org: ORG, now: NOW, epoch: 1, up_since: NOW, by: Principal::Server, from: None }
}

/// Decides and evolves a whole command; gives back its events.
fn run(state: &mut SmartBox, revision: &mut u64, command: &Command) -> Vec<Event> {
    let (cx, mut events, mut step) = (context(), Vec::new(), 0);
    loop {
        let before = events.len();
        let progress = state.decide(command, step, &cx, &mut events).expect("not refused");
        for event in &events[before..] {
            *revision += 1;
            state.evolve(event, Stamp { at: NOW, revision: *revision });
        }
        if progress == Progress::Done {
            return events;
        }
        step += 1;
    }
}

fn a_box() -> (SmartBox, u64) {
    let (mut state, mut revision) = (SmartBox::blank(BOX.at(ORG)), 0);
    for command in set_up() {
        run(&mut state, &mut revision, &command);
    }
    (state, revision)
}

/// Ten entries: five keys taken and put back.
fn sync(first_seq: u64, cursor: Option<Cursor>) -> Command {
    let entry = |n: u64| {
        let bin = (n / 2) as usize;
        let act = if n.is_multiple_of(2) { Act::PickUp(fob(bin)) } else { Act::DropOff(fob(bin)) };
        let person = Some(PersonId(u128::from(n) % PEOPLE + 1));
        Entry::Read(JournalEntry {
            seq: first_seq + n,
            at: NOW,
            cursor,
            act,
            bin: Some(label(bin)),
            person,
            by: None,
            exchange: None,
            named: None,
        })
    };
    Command::Sync {
        token_hash: SecretHash(castellan::http::auth::hash_of(&TOKEN)),
        request: SyncRequest {
            cursor,
            head: first_seq + 9,
            kept_from: None,
            more: false,
            entries: (0..10).map(entry).collect(),
            clock: NOW,
            health: Default::default(),
        },
    }
}

fn cursor_of(state: &SmartBox, command: &Command, events: &[Event], revision: u64) -> Option<Cursor> {
    match state.answer(command, events, revision, &context()) {
        Answer::Synced(answer) => answer.cursor,
        _ => None,
    }
}

fn pure(c: &mut Criterion) {
    let (mut state, mut revision) = a_box();
    let first = sync(1, None);
    let events = run(&mut state, &mut revision, &first);
    let mut cursor = cursor_of(&state, &first, &events, revision);
    let mut seq = 11;
    c.bench_function("decide, evolve and answer a sync of 10 entries", |b| {
        b.iter(|| {
            let command = sync(seq, cursor);
            let events = run(&mut state, &mut revision, &command);
            cursor = cursor_of(&state, &command, &events, revision);
            seq += 10;
        });
    });
    c.bench_function("evolve 11 events", |b| {
        let (mut state, revision) = a_box();
        b.iter(|| {
            for (n, event) in (1u64..).zip(&events) {
                state.evolve(event, Stamp { at: NOW, revision: revision + n });
            }
        });
    });
    c.bench_function("codec: write 11 events", |b| {
        b.iter(|| {
            let mut bytes = Vec::with_capacity(1024);
            events.iter().for_each(|event| event.encode_into(&mut bytes));
            black_box(bytes)
        });
    });
    let stored: Vec<_> = events.iter().map(Codec::to_bytes).collect();
    c.bench_function("codec: read 11 events", |b| {
        b.iter(|| stored.iter().map(|bytes| Event::decode_from(bytes).is_ok()).filter(|read| *read).count());
    });
    c.bench_function("codec: write a snapshot", |b| {
        b.iter(|| {
            let mut bytes = Vec::with_capacity(4096);
            state.to_snapshot(&mut bytes);
            black_box(bytes)
        });
    });
}

fn commit(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let db = Db::open(folder.path(), Options::default(), true).expect("a database");
    let log = RocksLog::new(db);
    let mut number = 0u64;
    for records in [1usize, 64, 1024] {
        c.bench_function(&format!("commit {records} records of 600 bytes, with fsync"), |b| {
            b.iter_batched(
                || {
                    (0..records)
                        .map(|_| {
                            number += 1;
                            let mut ops = Ops::default();
                            let key = castellan::store::keys::event(0, BoxId(u128::from(number)).at(ORG), 1);
                            ops.push(castellan::store::ops::OpTag::PutEvent, &key, |bytes| bytes.extend([7; 600]));
                            ops
                        })
                        .collect::<Vec<_>>()
                },
                |records| {
                    let tail = log.tail(0).expect("a tail");
                    let position = tail.position + 1;
                    let id = u128::from(position);
                    log.append(&Batch {
                        partition: 0,
                        id,
                        epoch: tail.epoch,
                        position,
                        prev_hash: tail.hash(),
                        records,
                    })
                },
                BatchSize::PerIteration,
            );
        });
    }
}

fn config(folder: &std::path::Path, api: SocketAddr, observability: SocketAddr) -> Config {
    let mut config = Config::default();
    config.store.data_dir = folder.to_owned();
    config.http.listen = api;
    config.http.workers = 1;
    config.observability.listen = observability;
    config
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// On a thread of its own: the folder is free again when its actors have gone, and no worker's place stays taken.
fn init(config: &Config) {
    let config = config.clone();
    let made = std::thread::spawn(move || {
        actix::System::new().block_on(app::init(&config, Chance::system())).expect("init");
    });
    made.join().expect("init");
}

async fn prepare(engine: &Engine) {
    for command in set_up() {
        let call = Call::own(engine.clock().now());
        engine.ask::<SmartBox>(BOX.at(ORG), command, call).await.expect("set up");
    }
}

fn actor(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(&folder.path().join("data"), free_address(), free_address());
    init(&config);
    let system = actix::System::new();
    let engine = system.block_on(async {
        let engine = app::open(&config, Clock::system(), Chance::system()).expect("open");
        engine.attach_worker();
        prepare(&engine).await;
        engine
    });
    c.bench_function("actor round trip: a read, nothing to write", |b| {
        b.iter(|| system.block_on(engine.read::<SmartBox, _>(BOX.at(ORG), |_, stamp| stamp.revision)));
    });
    let (mut seq, mut cursor) = (1, None);
    c.bench_function("actor round trip: a sync of 10 entries, durable", |b| {
        b.iter(|| {
            let now = engine.clock().now();
            let call = Call::own(now);
            let told = system.block_on(engine.ask::<SmartBox>(BOX.at(ORG), sync(seq, cursor), call)).expect("synced");
            if let Answer::Synced(answer) = told.answer {
                cursor = answer.cursor;
            }
            seq += 10;
        });
    });
    system.block_on(engine.stop());
}

/// One connection, one box, one sync after the other: latency, not throughput.
fn end_to_end(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let (api, observability) = (free_address(), free_address());
    let config = config(&folder.path().join("data"), api, observability);
    let (prepared, ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        init(&config);
        actix::System::new().block_on(async {
            let engine = app::open(&config, Clock::system(), Chance::system()).expect("open");
            let preparing = engine.clone();
            actix_rt::spawn(async move {
                while !preparing.is_ready() {
                    actix_rt::time::sleep(Duration::from_millis(5)).await;
                }
                prepare(&preparing).await;
                prepared.send(()).expect("somebody waits");
            });
            app::serve(&config, engine, None).await.expect("served");
        });
    });
    ready.recv_timeout(Duration::from_secs(30)).expect("the server is ready");
    let mut box_side = Wire::connect(api);
    let (mut seq, mut cursor) = (1u64, "null".to_owned());
    c.bench_function("end to end: a sync of 10 entries over HTTP, durable", |b| {
        b.iter(|| {
            let answer = box_side.ask(&sync_request(seq, &cursor));
            let from = answer.find("\"cursor\":").expect("a cursor") + 9;
            let to = from + answer[from..].find(',').expect("its end");
            cursor = answer[from..to].to_owned();
            seq += 10;
        });
    });
}

/// The same ten entries as `sync`, as a box writes them.
fn sync_request(first_seq: u64, cursor: &str) -> String {
    let now = Clock::system().now().0;
    let entries: Vec<_> = (0..10)
        .map(|n| {
            let (bin, kind) = ((n / 2) as usize, if n % 2 == 0 { "pick_up" } else { "drop_off" });
            let (seq, person) = (first_seq + n, PersonId(u128::from(n) % PEOPLE + 1));
            let (label, fob) = (label(bin), fob(bin));
            format!(
                r#"{{"seq":{seq},"at_ms":{now},"kind":"{kind}","bin":"{label}","fob":"{fob}","person":"{person}"}}"#
            )
        })
        .collect();
    let (head, entries) = (first_seq + 9, entries.join(","));
    let body = format!(r#"{{"cursor":{cursor},"journal":{{"head":{head},"entries":[{entries}]}},"clock_ms":{now}}}"#);
    let token = castellan::http::auth::token_text("cbx_", ORG, BOX, &TOKEN);
    let length = body.len();
    format!(
        "POST /box/v1/sync HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// The smallest HTTP client that can keep a connection.
struct Wire(TcpStream);

impl Wire {
    fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        Self(stream)
    }

    /// The body of the answer, which must be a 200.
    fn ask(&mut self, request: &str) -> String {
        self.0.write_all(request.as_bytes()).expect("sent");
        let (mut answer, mut chunk) = (Vec::new(), [0; 16_384]);
        loop {
            let read = self.0.read(&mut chunk).expect("an answer");
            answer.extend_from_slice(&chunk[..read]);
            let text = String::from_utf8_lossy(&answer);
            let Some(head) = text.find("\r\n\r\n") else { continue };
            let length = text[..head]
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            if answer.len() >= head + 4 + length {
                assert!(text.starts_with("HTTP/1.1 200"), "{text}");
                return text[head + 4..].to_owned();
            }
        }
    }
}

criterion_group! {
    name = hot_path;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    targets = pure, commit, actor, end_to_end
}
criterion_main!(hot_path);
