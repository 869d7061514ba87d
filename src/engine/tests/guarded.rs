//! Rows that the server writes anew by itself.

use super::*;
use crate::store::keys::global;

fn guarded(key: &str, expected: &[u8], value: &[u8]) -> Guarded {
    Guarded { key: global(key), expected: expected.to_vec(), value: value.to_vec() }
}

async fn write(rig: &Rig, writes: Vec<Guarded>) -> Result<usize, StoreError> {
    let engine = rig.engine.clone();
    tokio::task::spawn_blocking(move || engine.write_guarded(0, writes)).await.unwrap()
}

#[test]
fn a_row_that_was_touched_meanwhile_is_left_alone() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        for name in ["a", "b"] {
            rig.engine.db().put_global(name, b"old").unwrap();
        }
        rig.engine.db().put_global("b", b"touched").unwrap();
        let writes = vec![guarded("a", b"old", b"new"), guarded("b", b"old", b"new"), guarded("gone", b"old", b"new")];
        assert_eq!(write(&rig, writes.clone()).await.unwrap(), 1);
        assert_eq!(write(&rig, writes).await.unwrap(), 0, "it is done already");
        let row = |name| rig.engine.db().get(&global(name)).unwrap();
        assert_eq!((row("a"), row("b"), row("gone")), (Some(b"new".to_vec()), Some(b"touched".to_vec()), None));
        rig.stop().await;
    });
}

#[test]
fn guarded_rows_and_records_share_one_log() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        rig.engine.db().put_global("row", &0u32.to_be_bytes()).unwrap();
        for round in 0..20u32 {
            let (one, next) = (round.to_be_bytes(), (round + 1).to_be_bytes());
            let (written, asked) =
                tokio::join!(write(&rig, vec![guarded("row", &one, &next)]), rig.ask(address(1), Ask::Add(1)),);
            assert_eq!((written.unwrap(), asked.unwrap().answer), (1, u64::from(round) + 1));
        }
        let before = rig.engine.db().get(&global("row")).unwrap();
        rig.stop().await;
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        assert_eq!((rig.engine.db().get(&global("row")).unwrap(), rig.state(address(1)).await.total), (before, 20));
        rig.stop().await;
    });
}

#[test]
fn a_fence_waits_for_what_was_asked_before() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 4, EngineConfig::default()).await;
        for number in 0..8 {
            rig.ask(address(number), Ask::Add(1)).await.unwrap();
        }
        let engine = rig.engine.clone();
        tokio::task::spawn_blocking(move || engine.fence()).await.unwrap().unwrap();
        rig.stop().await;
    });
}
