//! What is sealed by records that overtake their own fsync.

use super::*;

async fn opened(rig: &Rig, of: Address, field: VaultField) -> Option<u8> {
    rig.engine.open_vault(of, field).await.unwrap().map(|plain| plain[0])
}

#[test]
fn what_two_records_seal_before_the_first_is_durable_can_both_be_read() {
    const FIELDS: [VaultField; 2] = [VaultField::Profile, VaultField::Credentials];
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        for number in 0..50 {
            let of = address(number);
            let asks = [Ask::Seal(FIELDS[0], 1), Ask::Seal(FIELDS[1], 2), Ask::Erase, Ask::Seal(FIELDS[1], 3)];
            let asks = asks.into_iter().take(if number % 2 == 0 { 2 } else { 4 });
            let told = asks.map(|ask| rig.ask(of, ask));
            assert!(futures_util::future::join_all(told).await.iter().all(Result::is_ok));
            let found = (opened(&rig, of, FIELDS[0]).await, opened(&rig, of, FIELDS[1]).await);
            assert_eq!(found, if number % 2 == 0 { (Some(1), Some(2)) } else { (None, Some(3)) }, "{number}");
        }
        rig.stop().await;
    });
}

#[test]
fn a_secret_that_stands_alone_is_one_row_and_gone_with_it() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::start(folder.path(), 1, EngineConfig::default()).await;
        let (one, other, field) = (address(1), address(2), VaultField::IuvAttributes);
        for (of, byte) in [(one, 1), (other, 2)] {
            rig.ask(of, Ask::SealAlone(field, byte)).await.unwrap();
        }
        assert_eq!((opened(&rig, one, field).await, opened(&rig, other, field).await), (Some(1), Some(2)));
        assert_eq!(opened(&rig, one, VaultField::Profile).await, None, "another field");
        let db = rig.engine.db();
        assert!(db.scan(&keys::prefix(0, keys::KeyKind::Vault), None, 9).unwrap().is_empty());
        // Whoever could write rows could not give one's secret to another.
        let stolen = db.get(&keys::subject_key(0, one)).unwrap().unwrap();
        db.raw_put(&keys::subject_key(0, other), &stolen);
        assert!(rig.engine.open_vault(other, field).await.is_err());
        rig.ask(one, Ask::Erase).await.unwrap();
        assert_eq!(opened(&rig, one, field).await, None);
        assert!(rig.engine.db().get(&keys::subject_key(0, one)).unwrap().is_none());
        rig.stop().await;
    });
}
