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
