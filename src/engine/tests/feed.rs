//! The feed of what has become durable: whole, in order, for each organisation its own.

use super::*;
use crate::{
    kernel::FeedCursor,
    store::{FeedError, FeedQuery, FeedRecord},
};
use std::collections::HashMap;

const ORG: OrgId = OrgId(3);

/// Entity, revision and cursor of each event.
fn events(records: &[FeedRecord]) -> Vec<(Address, u64, FeedCursor)> {
    let each = |found: &FeedRecord| {
        let (of, first) = (found.record.of, found.record.first_revision);
        (0..found.record.events.len())
            .map(|event| (of, first + event as u64, found.cursor_behind(event)))
            .collect::<Vec<_>>()
    };
    records.iter().flat_map(each).collect()
}

/// Everything behind a cursor, read in pages.
async fn follow(engine: &Engine, mut after: Option<FeedCursor>, limit: usize) -> Vec<(Address, u64, FeedCursor)> {
    let mut found = Vec::new();
    loop {
        let page = engine.feed(ORG, after, limit).await.unwrap();
        assert!(page.reached <= engine.feed_end(ORG), "a cursor beyond what is durable");
        found.extend(events(&page.records));
        after = Some(page.reached);
        if page.at_end {
            return found;
        }
    }
}

fn plain(events: &[(Address, u64, FeedCursor)]) -> Vec<(Address, u64)> {
    events.iter().map(|(of, revision, _)| (*of, *revision)).collect()
}

#[test]
fn the_feed_is_whole_and_in_order_from_every_cursor_both_ways() {
    for partitions in [1, 4] {
        run(async move {
            let folder = tempfile::tempdir().unwrap();
            let rig = Rig::start(folder.path(), partitions, EngineConfig::default()).await;
            for round in 0..4u128 {
                let asks = (0..70).map(|n| rig.ask(address(n), Ask::Add(1)));
                futures_util::future::join_all(asks).await;
                rig.ask(address(3), Ask::Many(5 + round as u64)).await.unwrap();
            }
            rig.stop().await;
            let rig = Rig::start(folder.path(), partitions, EngineConfig::default()).await;
            let engine = &rig.engine;

            let all = follow(engine, None, 1_000).await;
            assert_eq!(all.len(), 4 * 10 + 5 + 6 + 7 + 8);
            assert!(all.iter().all(|(of, ..)| of.org == ORG), "somebody else's event");
            assert!(all.windows(2).all(|pair| pair[0].2 < pair[1].2), "cursors grow");
            let mut last = HashMap::new();
            for (of, revision, _) in &all {
                assert_eq!(last.insert(*of, *revision).unwrap_or_default() + 1, *revision, "{of:?}");
            }
            for (at, (_, _, cursor)) in all.iter().enumerate() {
                let text: FeedCursor = cursor.to_string().parse().unwrap();
                assert_eq!(follow(engine, Some(text), 3).await, all[at + 1..], "behind {cursor}");
                let page = engine.feed_back(FeedQuery::of(ORG, 1_000), Some(*cursor)).await.unwrap();
                let mut back: Vec<_> = page.records;
                back.reverse();
                assert_eq!(plain(&events(&back)), plain(&all[..=at]), "before {cursor}");
            }

            let (mut back, mut before) = (Vec::new(), None);
            loop {
                let page = engine.feed_back(FeedQuery::of(ORG, 7), before).await.unwrap();
                back.extend(page.records);
                before = Some(page.reached);
                if page.at_end {
                    break;
                }
            }
            back.reverse();
            assert_eq!(events(&back), all, "pages from the end");

            let one = FeedQuery { entity: Some(address(3).entity), ..FeedQuery::of(ORG, 1_000) };
            let page = engine.feed_where(one, None).await.unwrap();
            assert!(page.records.iter().all(|found| found.record.of == address(3)));
            assert_eq!(events(&page.records).len(), 4 + 26);

            let db = engine.db().clone();
            rig.stop().await;
            let report = verify::verify(&db, &kinds(), |_| {}).unwrap();
            assert_eq!((report.findings.clone(), report.feed_entries), (vec![], report.records));
        });
    }
}

#[test]
fn a_follower_hears_of_news() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        let mut news = rig.engine.feed_news(0);
        let mut after = Some(*news.borrow_and_update());
        let mut seen = Vec::new();
        let follower = async {
            while seen.len() < 50 {
                news.changed().await.unwrap();
                let page = rig.engine.feed(ORG, after, 100).await.unwrap();
                seen.extend(events(&page.records).into_iter().map(|(_, revision, _)| revision));
                after = Some(page.reached);
            }
        };
        let writer = async {
            for _ in 0..50 {
                rig.ask(address(3), Ask::Add(1)).await.unwrap();
                let end = rig.engine.feed_end(ORG);
                let page = rig.engine.feed(ORG, Some(end), 1).await.unwrap();
                assert!(page.records.is_empty(), "what is answered lies before the end");
            }
        };
        futures_util::future::join(follower, writer).await;
        assert_eq!(seen, (1..=50).collect::<Vec<_>>());
        rig.stop().await;
    });
}

#[test]
fn a_cursor_whose_events_are_gone_is_told_so() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        for _ in 0..10 {
            rig.ask(address(3), Ask::Add(1)).await.unwrap();
        }
        let (engine, db) = (rig.engine.clone(), rig.engine.db().clone());
        let read = |text: &str| {
            let after = text.parse().unwrap();
            let engine = engine.clone();
            async move { engine.feed(ORG, Some(after), 100).await }
        };
        assert_eq!(read("1-1-0").await.unwrap().records.len(), 10);
        assert_eq!(read("1-11-0").await.unwrap().records.len(), 0);
        assert!(matches!(read("1-11-1").await, Err(FeedError::Unknown)), "behind the end");
        assert!(matches!(read("2-3-0").await, Err(FeedError::Unknown)), "an epoch that never was");
        let first = FeedCursor::before(1, 5);

        // Retention has been there: rows of the index are gone,
        for position in 1..5 {
            db.raw_delete(&keys::feed(0, position));
        }
        let trimmed = |told: Result<_, FeedError>| matches!(told, Err(FeedError::Trimmed { first: at }) if at == first);
        assert!(trimmed(read("1-4-0").await) && trimmed(read("1-4-1").await));
        assert_eq!(read("1-5-0").await.unwrap().records.len(), 6);
        assert_eq!(follow(&engine, None, 100).await.len(), 6);
        // or this organisation's records are.
        db.raw_put(&keys::feed_floor(0, ORG), &8u64.to_be_bytes());
        assert!(matches!(read("1-7-0").await, Err(FeedError::Trimmed { first }) if first.position == 8));
        assert_eq!(follow(&engine, None, 100).await.len(), 3);
        rig.stop().await;
        assert_eq!(verify::verify(&db, &kinds(), |_| {}).unwrap().findings, Vec::<String>::new());

        // A record without its entry, and an entry without its record.
        db.raw_delete(&keys::feed(0, 10));
        let findings = verify::verify(&db, &kinds(), |_| {}).unwrap().findings;
        assert_eq!(findings.len(), 2, "{findings:?}");
    });
}

#[test]
fn a_restore_from_backup_takes_cursors_of_what_it_lost() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        for _ in 0..5 {
            rig.ask(address(3), Ask::Add(1)).await.unwrap();
        }
        let db = rig.engine.db().clone();
        rig.stop().await;
        let tail = crate::store::Tail { epoch: 2, ..crate::store::Tail::stored(&db, 0).unwrap() };
        db.raw_put(&keys::tail(0), &minicbor::to_vec(&tail).unwrap());
        drop(db);
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        for _ in 0..5 {
            rig.ask(address(3), Ask::Add(1)).await.unwrap();
        }
        let read = async |text: &str| rig.engine.feed(ORG, Some(text.parse().unwrap()), 100).await;
        assert_eq!(read("1-3-0").await.unwrap().records.len(), 8, "both have seen this");
        assert_eq!(read("1-6-0").await.unwrap().records.len(), 5, "up to where the backup was made");
        for lost in ["1-7-0", "1-6-1", "1-400-0"] {
            assert!(matches!(read(lost).await, Err(FeedError::Trimmed { .. })), "{lost}");
        }
        assert_eq!(read("2-7-0").await.unwrap().records.len(), 4);
        rig.stop().await;
    });
}

#[test]
fn a_place_in_time_is_found() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        for n in 1..=40u64 {
            let call = Call { now: UnixMillis(n * 1_000), ..call() };
            rig.engine.ask::<Counter>(address(u128::from(n)), Ask::Add(1), call).await.unwrap();
        }
        for (at, position) in [(0, 1), (1_000, 1), (1_001, 2), (20_500, 21), (40_000, 40), (99_000, 41)] {
            assert_eq!(rig.engine.feed_around(ORG, UnixMillis(at)).await.unwrap(), FeedCursor::before(1, position));
        }
        rig.stop().await;
    });
}
