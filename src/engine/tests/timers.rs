//! Durable deadlines, and which row fires for them.

use super::*;

fn findings(rig: &Rig) -> Vec<String> {
    verify::verify(rig.engine.db(), &kinds(), |_| {}).unwrap().findings
}

/// The row that says which timer is armed is written from an entity's second timer on.
#[test]
fn a_deadline_that_moved_is_kept_over_restarts_and_one_without_a_timer_is_found() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        let (of, now) = (address(1), Clock::system().now());
        let at = |seconds| now.plus(Duration::from_secs(seconds));
        rig.ask(of, Ask::WakeAt(at(1))).await.unwrap();
        assert_eq!(rig.engine.db().armed(of).unwrap(), None, "the state knows it");
        // Later: its timer stays, and fires for nothing.
        rig.ask(of, Ask::WakeAt(at(3600))).await.unwrap();
        rig.stop().await;
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        assert_eq!(findings(&rig), [""; 0]);
        let timers = |rig: &Rig| {
            let rows = rig.engine.db().scan(&keys::prefix(0, keys::KeyKind::Timer), None, 9).unwrap();
            rows.iter().map(|(key, _)| keys::parse_timer(key).unwrap().0).collect::<Vec<_>>()
        };
        for _ in 0..500 {
            if timers(&rig) == [at(3600)] {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(timers(&rig), [at(3600)]);
        assert_eq!((rig.state(of).await.ticks, rig.engine.db().armed(of).unwrap()), (0, Some(at(3600))));
        // Earlier again: one timer, not two.
        rig.ask(of, Ask::WakeAt(at(1800))).await.unwrap();
        assert_eq!(timers(&rig), [at(1800)]);
        assert_eq!(findings(&rig), [""; 0]);
        rig.engine.db().raw_delete(&keys::timer(0, at(1800), of));
        for _ in 0..2 {
            let findings = findings(&rig);
            assert!(findings.len() == 1 && findings[0].contains("no timer will fire"), "{findings:?}");
            rig.engine.db().raw_delete(&keys::armed(0, of));
        }
        rig.stop().await;
    });
}
