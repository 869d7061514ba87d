//! The shell with a small machine of its own, on a real RocksDB, with one and with four partitions.

mod counter;
mod feed;
mod guarded;
mod post;
mod sealed;
mod timers;
mod trimming;

use super::*;
use crate::{
    kernel::{
        ClaimOp, Codec, Context, Effects, EntityId, Incoming, MessageTarget, Progress, Recipient, TokenId,
        machine::Stamp as EventStamp,
    },
    store::{
        Options, RocksLog,
        faults::{Faults, FaultyLog},
    },
};
use counter::{Ask, Counter};
use std::sync::atomic::AtomicU32;

struct Rig {
    engine: Engine,
    arbiters: Vec<actix::Arbiter>,
}

fn kinds() -> Kinds {
    Kinds::new(2).with::<Counter>()
}

impl Rig {
    async fn start(folder: &std::path::Path, partitions: u8, config: EngineConfig) -> Self {
        Self::start_with(folder, partitions, config, None).await
    }

    async fn start_with(
        folder: &std::path::Path,
        partitions: u8,
        config: EngineConfig,
        faults: Option<(Faults, u64)>,
    ) -> Self {
        Self::start_kinds(folder, partitions, config, faults, kinds()).await
    }

    async fn start_kinds(
        folder: &std::path::Path,
        partitions: u8,
        config: EngineConfig,
        faults: Option<(Faults, u64)>,
        kinds: Kinds,
    ) -> Self {
        let options = Options { partitions, ..Options::default() };
        let is_new = !folder.join("CURRENT").exists();
        let db = Db::open(folder, options, true).unwrap();
        let (master, chance) = (zeroize::Zeroizing::new([7; 32]), Chance::system());
        let open = if is_new { Keyring::init } else { Keyring::open };
        let keys = Arc::new(open(&db, master.into(), chance.clone()).unwrap());
        let log = RocksLog::new(db.clone());
        let log: Arc<dyn CommitLog> = match faults {
            Some((faults, seed)) => Arc::new(FaultyLog::new(log, faults, seed)),
            None => Arc::new(log),
        };
        let engine = Engine::start(config, kinds, db, log, keys, Clock::system(), chance).unwrap();
        let arbiters: Vec<_> = (0..2).map(|_| actix::Arbiter::new()).collect();
        for arbiter in &arbiters {
            let engine = engine.clone();
            arbiter.spawn_fn(move || engine.attach_worker());
        }
        while !engine.is_ready() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Self { engine, arbiters }
    }

    async fn ask(&self, to: Address, ask: Ask) -> Result<Committed<u64>, Failure<&'static str>> {
        self.engine.ask::<Counter>(to, ask, call()).await
    }

    async fn state(&self, of: Address) -> Counter {
        self.engine.read::<Counter, _>(of, |state, _| state.clone()).await.unwrap()
    }

    async fn eventually(&self, of: Address, what: impl Fn(&Counter) -> bool) -> Counter {
        for _ in 0..500 {
            let state = self.state(of).await;
            if what(&state) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never came");
    }

    /// Stops, but keeps the database open.
    async fn stop_and_keep(self) -> Db {
        let db = self.engine.db().clone();
        self.stop().await;
        db
    }

    async fn stop(self) {
        self.engine.stop().await;
        for arbiter in self.arbiters {
            arbiter.stop();
            let _ = tokio::task::spawn_blocking(move || arbiter.join()).await;
        }
    }
}

fn call() -> Call<Counter> {
    Call::own(Clock::system().now())
}

fn address(n: u128) -> Address {
    TokenId(n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C)).at(OrgId(n % 7))
}

fn run(test: impl Future<Output = ()>) {
    actix::System::new().block_on(test);
}

/// ENG-1: the records of every entity follow each other, before and after a restart.
#[test]
fn changes_survive_a_restart_with_one_and_with_four_partitions() {
    for partitions in [1, 4] {
        run(async move {
            let folder = tempfile::tempdir().unwrap();
            let rig = Rig::start(folder.path(), partitions, EngineConfig::default()).await;
            for n in 0..300u128 {
                rig.ask(address(n % 30), Ask::Add(1)).await.unwrap();
            }
            let many = rig.ask(address(0), Ask::Many(200)).await.unwrap();
            assert_eq!((many.answer, many.revision), (210, 210), "a batch is one record");
            assert_eq!(rig.ask(address(1), Ask::Refuse).await, Err(Failure::Refused("no")));
            rig.stop().await;

            let rig = Rig::start(folder.path(), partitions, EngineConfig::default()).await;
            assert_eq!(rig.state(address(0)).await.total, 210);
            assert_eq!(rig.state(address(29)).await.total, 10);
            assert_eq!(rig.engine.view::<Counter>(address(29)).await.unwrap().as_deref(), Some(&10));
            assert_eq!(rig.engine.view::<Counter>(address(999)).await.unwrap(), None);
            let db = rig.engine.db().clone();
            rig.stop().await;
            let report = verify::verify(&db, &kinds(), |_| {}).unwrap();
            assert_eq!(report.findings, Vec::<String>::new());
            assert_eq!((report.entities, report.events), (30, 500));
        });
    }
}

#[test]
fn parallel_commands_to_one_entity_are_all_counted() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig { mailbox_capacity: 256, ..Default::default() }).await;
        let asks = (0..200).map(|_| rig.ask(address(5), Ask::Add(1)));
        let answers = futures_util::future::join_all(asks).await;
        let mut totals: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().answer).collect();
        totals.sort_unstable();
        assert_eq!(totals, (1..=200).collect::<Vec<_>>());
        rig.stop().await;
    });
}

#[test]
fn a_full_mailbox_has_an_answer() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig { mailbox_capacity: 4, ..Default::default() }).await;
        let asks = (0..500).map(|_| rig.ask(address(5), Ask::Add(1)));
        let answers = futures_util::future::join_all(asks).await;
        let counted = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(Failure::Busy))));
        assert!(counted < 500, "the bound was never met");
        assert_eq!(rig.state(address(5)).await.total, counted);
        rig.stop().await;
    });
}

#[test]
fn a_panic_quarantines_the_entity_and_nobody_else() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        rig.ask(address(1), Ask::Add(3)).await.unwrap();
        assert_eq!(rig.ask(address(1), Ask::Panic).await, Err(Failure::Quarantined));
        assert_eq!(rig.ask(address(1), Ask::Add(1)).await, Err(Failure::Quarantined));
        assert_eq!(rig.ask(address(2), Ask::Add(1)).await.unwrap().answer, 1);
        rig.stop().await;
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        assert_eq!(rig.ask(address(1), Ask::Add(1)).await.unwrap().answer, 4);
        rig.stop().await;
    });
}

#[test]
fn messages_arrive_once_also_over_restarts() {
    for partitions in [1, 4] {
        run(async move {
            let folder = tempfile::tempdir().unwrap();
            let (from, to) = (address(7), address(14));
            assert_eq!(from.org, to.org);
            for round in 1..=3u64 {
                let rig = Rig::start(folder.path(), partitions, EngineConfig::default()).await;
                for _ in 0..20 {
                    rig.ask(from, Ask::Tell(to, 1)).await.unwrap();
                }
                // Some are delivered after the next start.
                if round == 3 {
                    rig.eventually(to, |state| state.heard == 60).await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    assert_eq!(rig.state(to).await.heard, 60);
                    assert!(rig.engine.db().scan(&[0, keys::KeyKind::Outbox as u8], None, 10).unwrap().is_empty());
                }
                rig.stop().await;
            }
        });
    }
}

#[test]
fn a_claim_has_one_owner_and_can_be_given_back() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        let name = || b"name".to_vec();
        let asks = (0..50u128).map(|n| rig.ask(address(n * 7), Ask::Take(name())));
        let answers = futures_util::future::join_all(asks).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(Failure::Taken(ClaimSpace::Fob)))));
        let owner = address(answers.iter().position(Result::is_ok).unwrap() as u128 * 7);
        rig.ask(owner, Ask::Take(name())).await.expect("again by its owner");
        rig.ask(address(357), Ask::TellHolder(name(), 5)).await.unwrap();
        rig.eventually(owner, |state| state.heard == 5).await;
        rig.ask(owner, Ask::Release(name())).await.unwrap();
        rig.ask(address(357), Ask::Take(name())).await.expect("free again");
        rig.stop().await;
    });
}

#[test]
fn a_deadline_fires_also_after_a_restart() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        let soon = Clock::system().now().plus(Duration::from_millis(300));
        rig.ask(address(1), Ask::WakeAt(soon)).await.unwrap();
        rig.ask(address(2), Ask::WakeAt(soon.plus(Duration::from_secs(3600)))).await.unwrap();
        rig.stop().await;
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        rig.eventually(address(1), |state| state.ticks == 1).await;
        assert_eq!(rig.state(address(2)).await.ticks, 0);
        rig.stop().await;
    });
}

/// ENG-3: whoever goes to sleep and is woken again is one actor, whose newest generation alone writes.
#[test]
fn more_entities_than_may_be_awake_take_turns() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let config = EngineConfig { awake_entities_max: 50, ..Default::default() };
        let rig = Rig::start(folder.path(), 1, config).await;
        let mut refused = 0u32;
        for round in 0..4u128 {
            for n in 0..300u128 {
                while rig.ask(address(n), Ask::Add(1)).await == Err(Failure::Busy) {
                    refused += 1;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let awake: usize = rig.engine.awake().iter().map(|(_, awake)| awake).sum();
                assert!(awake <= 60, "{awake} awake in round {round}");
            }
        }
        assert!(refused < 1000, "{refused} refusals");
        for n in 0..300u128 {
            assert_eq!(rig.state(address(n)).await.total, 4);
        }
        rig.stop().await;
    });
}

static BROKE: AtomicU32 = AtomicU32::new(0);

/// ENG-2. Rejected and unclear appends: whoever got an answer is counted once, whoever got none may ask again.
#[test]
fn a_failing_log_loses_nothing_acknowledged_and_counts_nothing_twice() {
    for seed in 1..=6u64 {
        let partitions = if seed % 2 == 0 { 4 } else { 1 };
        run(async move {
            let folder = tempfile::tempdir().unwrap();
            let faults = Faults { rejected_per_mille: 60, unknown_per_mille: 60, broken_per_mille: 0 };
            let config = EngineConfig { mailbox_capacity: 64, ..Default::default() };
            let rig = Rig::start_with(folder.path(), partitions, config, Some((faults, seed))).await;
            let mut acknowledged = [0u64; 20];
            for _ in 0..40 {
                let asks = (0..100usize).map(|n| {
                    let rig = &rig;
                    async move { (n % 20, rig.ask(address(n as u128 % 20), Ask::Add(1)).await) }
                });
                for (n, answer) in futures_util::future::join_all(asks).await {
                    match answer {
                        Ok(_) => acknowledged[n] += 1,
                        Err(Failure::NotWritten | Failure::Busy | Failure::Stopping) => {}
                        Err(other) => panic!("seed {seed}: {other:?}"),
                    }
                }
            }
            let db = rig.engine.db().clone();
            for (n, expected) in acknowledged.iter().enumerate() {
                assert_eq!(rig.state(address(n as u128)).await.total, *expected, "seed {seed}");
            }
            rig.stop().await;
            assert_eq!(verify::verify(&db, &kinds(), |_| {}).unwrap().findings, Vec::<String>::new(), "seed {seed}");
        });
    }
}

/// A log that breaks for good: waiters hear that the outcome is unknown, a restart has every acknowledged change.
#[test]
fn a_broken_log_ends_the_service_and_a_restart_has_what_was_acknowledged() {
    for seed in 1..=4u64 {
        run(async move {
            let folder = tempfile::tempdir().unwrap();
            let mut acknowledged = 0u64;
            let mut unknown = 0u64;
            for round in 0..5 {
                let faults = Faults { broken_per_mille: 100, ..Faults::default() };
                let config = EngineConfig {
                    on_broken_log: || {
                        BROKE.fetch_add(1, Ordering::Relaxed);
                    },
                    ..Default::default()
                };
                let rig = Rig::start_with(folder.path(), 1, config, Some((faults, seed * 100 + round))).await;
                for _ in 0..200 {
                    match rig.ask(address(3), Ask::Add(1)).await {
                        Ok(_) => acknowledged += 1,
                        Err(Failure::OutcomeUnknown) => {
                            unknown += 1;
                            break;
                        }
                        Err(other) => panic!("seed {seed}: {other:?}"),
                    }
                }
                rig.stop().await;
            }
            assert!(unknown > 0, "seed {seed}: the log never broke");
            let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
            let total = rig.state(address(3)).await.total;
            assert!((acknowledged..=acknowledged + unknown).contains(&total), "seed {seed}: {total}");
            rig.stop().await;
        });
    }
    assert!(BROKE.load(Ordering::Relaxed) > 0);
}

/// What a follower reads from the write-ahead log is every batch, in order, hash-chained.
#[test]
fn the_log_can_be_followed() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        for _ in 0..10 {
            rig.ask(address(3), Ask::Add(1)).await.unwrap();
        }
        let log = RocksLog::new(rig.engine.db().clone());
        let batches = log.read(0, 3).unwrap();
        let positions: Vec<_> = batches.iter().map(|(tail, _)| tail.position).collect();
        assert_eq!(positions, (4..=10).collect::<Vec<_>>());
        assert_eq!(batches.last().map(|(tail, _)| tail.clone()), Some(log.tail(0).unwrap()));
        rig.stop().await;
    });
}

#[test]
fn a_repeated_idempotency_key_is_not_decided_again() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        let keyed = |body| {
            let replay =
                ReplayWrite { key: [9; 32], body_hash: [body; 32], render: |told| (201, vec![told.answer as u8]) };
            Call { replay: Some(replay), ..call() }
        };
        let to = address(3);
        let asks = (0..10).map(|_| rig.engine.ask::<Counter>(to, Ask::Add(5), keyed(1)));
        let answers = futures_util::future::join_all(asks).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert!(answers.iter().all(|a| matches!(a, Ok(_) | Err(Failure::InProgress | Failure::Replayed))));
        let again = rig.engine.ask::<Counter>(to, Ask::Add(5), keyed(1)).await;
        assert_eq!(again, Err(Failure::Replayed));
        let stored = rig.engine.replay(to.org, [9; 32]).await.unwrap().unwrap();
        assert_eq!((stored.status, stored.body, stored.body_hash), (201, vec![5], [1; 32]));
        assert_eq!(rig.state(to).await.total, 5);
        rig.stop().await;
    });
}

#[test]
fn stored_answers_go_when_they_are_old() {
    run(async {
        for (kept_s, goes) in [(0, true), (3_600, false)] {
            let folder = tempfile::tempdir().unwrap();
            let config = EngineConfig { answers_kept_s: kept_s, ..EngineConfig::default() };
            let rig = Rig::start(folder.path(), 1, config).await;
            let to = address(3);
            for key in 0..3 {
                let render = |told: &Committed<u64>| (201, vec![told.answer as u8]);
                let replay = ReplayWrite { key: [key; 32], body_hash: [1; 32], render };
                let told = rig.engine.ask::<Counter>(to, Ask::Add(5), Call { replay: Some(replay), ..call() }).await;
                assert!(told.is_ok());
            }
            for _ in 0..100 {
                if rig.engine.replay(to.org, [2; 32]).await.unwrap().is_none() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            for key in 0..3 {
                assert_eq!(rig.engine.replay(to.org, [key; 32]).await.unwrap().is_none(), goes, "kept for {kept_s} s");
            }
            assert_eq!(rig.state(to).await.total, 15, "what was done stays");
            rig.stop().await;
        }
    });
}

#[test]
fn ids_of_entities_round_trip_through_keys() {
    let of = address(12);
    let key = keys::event(3, of, 77);
    assert_eq!(keys::parse_event(&key), Some((of, 77)));
    assert_eq!(EntityId::from_bytes(&of.entity.to_bytes()), Some(of.entity));
}
