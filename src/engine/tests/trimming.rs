//! History is trimmed behind bases: at any point, at any time, and current state never changes by it.

use super::*;
use crate::store::{Batch, Ops, ops::OpTag, record::SnapshotHead};

fn at(second: u64) -> UnixMillis {
    UnixMillis(1_000_000 + second * 1_000)
}

async fn add(rig: &Rig, to: Address, n: u64, second: u64) -> Result<Committed<u64>, Failure<&'static str>> {
    rig.engine.ask::<Counter>(to, Ask::Add(n), Call { now: at(second), ..call() }).await
}

/// Trims to the end, coming again when a step was not written.
async fn trim(rig: &Rig, of: Address, before: UnixMillis) -> u64 {
    let mut records = 0;
    loop {
        match rig.engine.trim(of, before).await {
            Ok(step) => {
                records += step.records;
                if !step.more {
                    return records;
                }
            }
            Err(Failure::NotWritten) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}

async fn revision(rig: &Rig, of: Address) -> u64 {
    rig.engine.read::<Counter, _>(of, |_, stamp| stamp.revision).await.unwrap()
}

#[track_caller]
fn is_clean(db: &Db) -> verify::Report {
    let report = verify::verify(db, &kinds(), |_| {}).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    report
}

/// Writes operations as the log does, with no engine on the folder.
fn write(db: &Db, partition: u8, ops: Ops) {
    let log = RocksLog::new(db.clone());
    let tail = log.tail(partition).unwrap();
    let batch = Batch {
        partition,
        id: 99,
        epoch: tail.epoch,
        position: tail.position + 1,
        prev_hash: tail.hash(),
        records: vec![ops],
    };
    assert!(matches!(log.append(&batch), crate::store::Appended::Durable { .. }));
}

fn put_state(db: &Db, key: &[u8], head: SnapshotHead, state: &impl Codec) {
    let mut ops = Ops::default();
    ops.push(OpTag::Put, key, |bytes| {
        head.encode_into(bytes);
        state.encode_into(bytes);
    });
    write(db, 0, ops);
}

/// Whatever is asked, trimmed and restarted in whatever order, with whatever fault: totals and revisions stand.
#[test]
fn trimming_at_any_point_at_any_time_leaves_the_state_as_it_was() {
    for seed in 1..=8u64 {
        run(async move {
            let folder = tempfile::tempdir().unwrap();
            let partitions = if seed % 2 == 0 { 4 } else { 1 };
            let faults = Faults { rejected_per_mille: 50, unknown_per_mille: 50, broken_per_mille: 0 };
            let faults = (seed > 4).then_some((faults, seed));
            let config = EngineConfig { snapshot_every_events: 7 * seed as u32, ..EngineConfig::default() };
            let chance = Chance::seeded(seed);
            let mut rig = Rig::start_with(folder.path(), partitions, config.clone(), faults).await;
            let (mut totals, mut revisions, mut trimmed) = ([0u64; 5], [0u64; 5], [0u64; 5]);
            for second in 0..400u64 {
                let n = chance.below(5) as usize;
                let to = address(n as u128);
                match chance.below(20) {
                    0 => {
                        let before = chance.below(second + 1);
                        trim(&rig, to, at(before)).await;
                        trimmed[n] = trimmed[n].max(before);
                    }
                    1 if second % 3 == 0 => {
                        rig.stop().await;
                        rig = Rig::start_with(folder.path(), partitions, config.clone(), faults).await;
                    }
                    _ => match add(&rig, to, second, second).await {
                        Ok(done) => {
                            totals[n] += second;
                            revisions[n] += 1;
                            assert_eq!((done.answer, done.revision), (totals[n], revisions[n]), "seed {seed}");
                        }
                        Err(Failure::NotWritten | Failure::Busy) => {}
                        Err(other) => panic!("seed {seed}: {other:?}"),
                    },
                }
            }
            rig.stop().await;
            let rig = Rig::start(folder.path(), partitions, config).await;
            for n in 0..5 {
                let of = address(n as u128);
                let state = (rig.state(of).await.total, revision(&rig, of).await);
                assert_eq!(state, (totals[n], revisions[n]), "seed {seed}");
                let kept = rig.engine.history(of, None, 1_000).await.unwrap();
                assert!(kept.iter().all(|record| record.at >= at(trimmed[n])), "seed {seed}");
            }
            assert!(is_clean(&rig.stop_and_keep().await).bases > 0, "seed {seed}: nothing was trimmed");
        });
    }
}

#[test]
fn an_entity_without_any_record_left_stands_on_its_base_alone() {
    for partitions in [1, 4] {
        run(async move {
            let folder = tempfile::tempdir().unwrap();
            let rig = Rig::start(folder.path(), partitions, EngineConfig::default()).await;
            let of = address(3);
            for second in 0..100 {
                add(&rig, of, 1, second).await.unwrap();
            }
            rig.engine.ask::<Counter>(of, Ask::Take(b"name".to_vec()), call()).await.unwrap();
            let held = rig.engine.histories(rig.engine.db().partition_of(of.org), None, 10).await.unwrap();
            assert_eq!(held, [Held { of, oldest: at(0) }]);
            assert_eq!(
                rig.engine.trim(of, at(50)).await,
                Ok(Trimmed { records: 16, more: true, oldest: Some(at(16)) }),
                "a step is bounded"
            );
            assert_eq!(trim(&rig, of, UnixMillis(u64::MAX)).await, 85);
            assert_eq!(rig.engine.trim(of, UnixMillis(u64::MAX)).await, Ok(Trimmed::default()));
            assert!(rig.engine.histories(0, None, 10).await.unwrap().is_empty());
            rig.stop().await;

            let rig = Rig::start(folder.path(), partitions, EngineConfig::default()).await;
            assert_eq!((rig.state(of).await.total, revision(&rig, of).await), (100, 101));
            let again = rig.engine.ask::<Counter>(address(10), Ask::Take(b"name".to_vec()), call()).await;
            assert_eq!(again, Err(Failure::Taken(ClaimSpace::Fob)));
            let report = is_clean(&rig.stop_and_keep().await);
            assert_eq!((report.entities, report.bases, report.records, report.claims), (1, 1, 0, 1));
            let rig = Rig::start(folder.path(), partitions, EngineConfig::default()).await;
            assert_eq!(add(&rig, of, 5, 0).await.unwrap(), Committed { answer: 105, revision: 102, tag: Some(102) });
            let kept = rig.engine.history(of, None, 10).await.unwrap();
            assert!(kept[0].at > at(100), "time does not run backwards behind a base");
            is_clean(&rig.stop_and_keep().await);
        });
    }
}

#[test]
fn a_snapshot_from_before_the_base_is_not_used_and_a_base_of_an_older_version_is() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        let (one, other) = (address(3), address(4));
        for second in 0..20 {
            add(&rig, one, 1, second).await.unwrap();
            add(&rig, other, 1, second).await.unwrap();
        }
        trim(&rig, one, at(10)).await;
        trim(&rig, other, at(10)).await;
        let db = rig.stop_and_keep().await;
        let head = SnapshotHead { evolve_version: 1, revision: 4, last_at: at(3) };
        put_state(&db, &keys::snapshot(0, one), head, &Counter { total: 4, ..Counter::default() });
        put_state(&db, &keys::base(0, other), SnapshotHead { evolve_version: 0, revision: 10, last_at: at(9) }, &10u64);
        drop(db);
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        assert_eq!((rig.state(one).await.total, revision(&rig, one).await), (20, 20));
        assert_eq!((rig.state(other).await.total, revision(&rig, other).await), (20, 20));
        assert_eq!(trim(&rig, other, at(15)).await, 5, "folded on in the present version");
        let db = rig.stop_and_keep().await;
        is_clean(&db);
        put_state(
            &db,
            &keys::base(0, other),
            SnapshotHead { evolve_version: 7, revision: 15, last_at: at(14) },
            &15u64,
        );
        let report = verify::verify(&db, &kinds(), |_| {}).unwrap();
        assert!(report.findings[0].contains("a base is wrong"), "{:?}", report.findings);
    });
}

/// Whoever is read while it is being trimmed is read whole.
#[test]
fn an_entity_wakes_while_it_is_trimmed() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let config = EngineConfig { snapshot_every_events: 40, ..EngineConfig::default() };
        let rig = Rig::start(folder.path(), 1, config).await;
        let of = address(3);
        let mut total = 0;
        for second in 0..600 {
            total += 1;
            add(&rig, of, 1, second).await.unwrap();
        }
        let db = rig.engine.db().clone();
        let is_over = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (db, is_over) = (db.clone(), Arc::clone(&is_over));
                std::thread::spawn(move || {
                    let mut loads = 0u32;
                    while !is_over.load(Ordering::Acquire) {
                        let loaded = load::load::<Counter>(&db, of).unwrap();
                        assert_eq!((loaded.state.total, loaded.revision), (600, 600));
                        loads += 1;
                    }
                    loads
                })
            })
            .collect();
        assert_eq!(trim(&rig, of, UnixMillis(u64::MAX)).await, total);
        is_over.store(true, Ordering::Release);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
        drop(db);
        is_clean(&rig.stop_and_keep().await);
    });
}
