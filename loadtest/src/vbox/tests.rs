use super::*;
use crate::wire::{AccessItem, BinItem, Changes, KeyItem, Outcome, PersonItem, PinItem, Settings, Size};

const CODE: &str = "482913";

fn identity() -> Enrolment {
    Enrolment {
        box_id: "box_1".into(),
        organisation: "org_1".into(),
        model: "MS5".into(),
        token: "cbx_1".into(),
        generation: 1,
        verifier_key: "00ff".repeat(16),
        offline_key: "0a".repeat(32),
        public_keys: vec![],
    }
}

fn fresh(storage: Storage) -> VirtualBox {
    let bins = [("A-1".into(), Some("F1".into())), ("A-2".into(), None), ("A-3".into(), Some("F3".into()))];
    VirtualBox::new(identity(), bins, storage, Chance::seeded(1)).unwrap()
}

fn bin(name: &str, fob: Option<&str>, state: BinState) -> BinItem {
    BinItem { bin: name.into(), state, size: Size::Medium, fob: fob.map(Into::into), confirmed: true }
}

fn access(id: &str, from_ms: Option<u64>, until_ms: Option<u64>) -> AccessItem {
    let (access, person) = (id.into(), "per_1".into());
    AccessItem { access, person, key: Some("key_1".into()), group: None, whole_box: None, from_ms, until_ms }
}

fn snapshot() -> Changes {
    let code = state::verifier(&state::from_hex(&identity().verifier_key), "code:", CODE);
    let key = |n: u8| KeyItem {
        key: format!("key_{n}").into(),
        fob: format!("F{n}").into(),
        size: Size::Medium,
        roaming: false,
        groups: if n == 3 { vec!["grp_1".into()] } else { vec![] },
    };
    Changes {
        full: true,
        bins: vec![
            bin("A-1", Some("F1"), BinState::Enabled),
            bin("A-2", None, BinState::Enabled),
            bin("A-3", Some("F3"), BinState::Protected),
        ],
        keys: vec![key(1), key(3)],
        accesses: vec![access("acc_1", Some(1000), Some(2000))],
        people: vec![PersonItem { person: "per_1".into(), code: Some(code.into()), badges: vec![] }],
        removed: vec![],
        ..Changes::default()
    }
}

fn answer(cursor: &str, changes: Changes, receipts: Vec<Receipt>, resume_at: u64) -> SyncAnswer {
    let ticket = Some("t".to_owned());
    SyncAnswer { receipts, resume_at, cursor: cursor.into(), changes, server_ms: 0, next_sync_s: 287, ticket }
}

fn receipt(seq: u64, outcome: Outcome) -> Receipt {
    Receipt { seq, outcome, reason: None }
}

fn synced(storage: Storage) -> VirtualBox {
    let mut vbox = fresh(storage);
    let first = answer("1.10", snapshot(), vec![], 1);
    vbox.apply(first).unwrap().unwrap();
    vbox
}

fn refused(attempt: Attempt) -> Refusal {
    match attempt {
        Attempt::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn verifier_is_the_first_half_of_the_hmac() {
    // RFC 4231, test case 2: key "Jefe", data "what do ya want for nothing?".
    let expected = "5bdcc146bf60754e6a042426089575c7";
    assert_eq!(state::verifier(b"Jefe", "what do ya want ", "for nothing?"), expected);
}

#[test]
fn decides_alone_and_says_why_not() {
    let mut vbox = fresh(Storage::Memory);
    assert_eq!(refused(vbox.pick_up(CODE, "F1", 1500).unwrap()), Refusal::NoState);
    let mut vbox = synced(Storage::Memory);
    assert_eq!(refused(vbox.pick_up("000000", "F1", 1500).unwrap()), Refusal::UnknownCode);
    assert_eq!(refused(vbox.pick_up(CODE, "F9", 1500).unwrap()), Refusal::UnknownKey);
    assert_eq!(refused(vbox.pick_up(CODE, "F3", 1500).unwrap()), Refusal::NotPermitted);
    assert_eq!(refused(vbox.pick_up(CODE, "F1", 999).unwrap()), Refusal::NotYetValid);
    assert_eq!(refused(vbox.pick_up(CODE, "F1", 2000).unwrap()), Refusal::Expired);
    let Attempt::Done(exchange) = vbox.pick_up(CODE, "F1", 1000).unwrap() else { panic!("permitted") };
    assert_eq!((exchange.seq, exchange.bin.as_str()), (1, "A-1"));
    assert_eq!(refused(vbox.pick_up(CODE, "F1", 1500).unwrap()), Refusal::KeyNotHere);
}

#[test]
fn groups_and_whole_boxes_permit_and_closed_bins_stay_shut() {
    let mut vbox = synced(Storage::Memory);
    let by_group = AccessItem { key: None, group: Some("grp_1".into()), ..access("acc_2", None, None) };
    let changes = Changes { accesses: vec![by_group], ..Changes::default() };
    vbox.apply(answer("1.11", changes, vec![], 1)).unwrap().unwrap();
    assert_eq!(refused(vbox.pick_up(CODE, "F3", 5).unwrap()), Refusal::BinClosed);
    assert_eq!(vbox.may_pick_up(CODE, "F1", 5), Err(Refusal::NotYetValid));
    let whole = AccessItem { key: None, whole_box: Some(true), ..access("acc_3", None, None) };
    let changes = Changes { accesses: vec![whole], removed: vec!["acc_2".into()], ..Changes::default() };
    vbox.apply(answer("1.12", changes, vec![], 1)).unwrap().unwrap();
    assert_eq!(vbox.may_pick_up(CODE, "F1", 5), Ok(("A-1".into(), "per_1".into())));
}

#[test]
fn drop_off_needs_an_enabled_empty_bin_and_no_valid_window() {
    let mut vbox = synced(Storage::Memory);
    let Attempt::Done(left) = vbox.drop_off(Some(CODE), "F7", 9_999).unwrap() else { panic!("A-2 is free") };
    assert_eq!((left.bin.as_str(), vbox.physically_in("A-2")), ("A-2", Some("F7")));
    assert_eq!(refused(vbox.drop_off(None, "F8", 9_999).unwrap()), Refusal::NoFreeBin);
    assert_eq!(refused(vbox.drop_off(Some("1"), "F8", 9_999).unwrap()), Refusal::UnknownCode);
}

#[test]
fn the_sensor_is_believed_and_an_empty_bin_is_not_journalled() {
    let mut vbox = synced(Storage::Memory);
    assert_eq!(vbox.put_by_hand("A-1", Some("F5")).as_deref(), Some("F1"));
    let Attempt::Done(taken) = vbox.pick_up(CODE, "F1", 1500).unwrap() else { panic!("opens") };
    assert_eq!(taken.fob, "F5");
    let mut vbox = synced(Storage::Memory);
    vbox.put_by_hand("A-1", None);
    assert_eq!(vbox.pick_up(CODE, "F1", 1500).unwrap(), Attempt::NothingInside("A-1".into()));
    assert_eq!(vbox.head(), 0);
}

#[test]
fn unreceipted_entries_are_sent_again_and_lie_over_the_stored_state() {
    let mut vbox = synced(Storage::Memory);
    vbox.clock = ClockFault::SkewMs(-500);
    vbox.pick_up(CODE, "F1", 1700).unwrap();
    vbox.drop_off(None, "F1", 1800).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&vbox.sync_body(1900)).unwrap();
    assert_eq!(body["journal"]["head"], 2);
    assert_eq!(body["journal"]["entries"][0]["at_ms"], 1200);
    assert_eq!(body["journal"]["entries"][1]["person"], serde_json::Value::Null);
    assert_eq!(body["clock_ms"], 1400);
    // The server knows only the first one yet.
    let changes = Changes { bins: vec![bin("A-1", None, BinState::Enabled)], ..Changes::default() };
    let applied = vbox.apply(answer("1.12", changes, vec![receipt(1, Outcome::Applied)], 2)).unwrap().unwrap();
    assert_eq!((applied.receipts.len(), applied.unsent), (1, 1));
    assert_eq!(vbox.believed().find(|(bin, _)| *bin == "A-1"), Some(("A-1", Some("F1"))));
    assert_eq!(vbox.state().bins["A-1"].fob, None);
    let body: serde_json::Value = serde_json::from_slice(&vbox.sync_body(1900)).unwrap();
    assert_eq!(body["cursor"], "1.12");
    assert_eq!(body["journal"]["entries"].as_array().unwrap().len(), 1);
}

#[test]
fn a_restored_server_gets_receipted_entries_again() {
    let mut vbox = synced(Storage::Memory);
    for _ in 0..700 {
        vbox.journal(Kind::Opened, "A-1", None, None, 1).unwrap();
    }
    let body: serde_json::Value = serde_json::from_slice(&vbox.sync_body(1)).unwrap();
    assert_eq!(body["journal"]["entries"].as_array().unwrap().len(), MAX_ENTRIES);
    assert_eq!(body["journal"]["more"], true);
    vbox.apply(answer("1.20", Changes::default(), vec![], 701)).unwrap().unwrap();
    assert_eq!(vbox.unsent(), 0);
    let refused = vbox.apply(answer("1.21", Changes::default(), vec![], 100)).unwrap();
    assert_eq!(refused.unwrap_err(), Unbelievable::ResumesBehindKept(100));
    vbox.apply(answer("2.1", Changes::default(), vec![], 600)).unwrap().unwrap();
    assert_eq!(vbox.unsent(), 101);
}

#[test]
fn unbelievable_answers_change_nothing() {
    let mut vbox = synced(Storage::Memory);
    vbox.journal(Kind::Opened, "A-1", None, None, 1).unwrap();
    let before = vbox.state().clone();
    let cases = [
        (answer("9.9", snapshot(), vec![receipt(2, Outcome::Applied)], 2), Unbelievable::ReceiptNotAsked(2)),
        (answer("9.9", snapshot(), vec![], 3), Unbelievable::ResumesBeyondHead(3)),
    ];
    for (wrong, why) in cases {
        assert_eq!(vbox.apply(wrong).unwrap().unwrap_err(), why);
        assert_eq!((vbox.state(), vbox.unsent()), (&before, 1));
    }
}

#[test]
fn a_reboot_loses_nothing_but_a_torn_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut vbox = synced(Storage::folder(folder.path()));
    vbox.pick_up(CODE, "F1", 1500).unwrap();
    vbox.drop_off(None, "F1", 1600).unwrap();
    vbox.apply(answer("1.12", Changes::default(), vec![receipt(1, Outcome::Applied)], 2)).unwrap().unwrap();
    let (state, body) = (vbox.state().clone(), vbox.sync_body(2000));
    drop(vbox);
    let journal = folder.path().join("journal.ndjson");
    let mut torn = std::fs::read(&journal).unwrap();
    torn.extend_from_slice(b"{\"seq\":3,\"at_");
    std::fs::write(&journal, torn).unwrap();
    let mut again = fresh(Storage::folder(folder.path()));
    assert_eq!((again.state(), again.head(), again.unsent(), again.ticket()), (&state, 2, 1, Some("t")));
    assert_eq!(again.sync_body(2000), body);
    assert_eq!(again.journal(Kind::Opened, "A-1", None, None, 1).unwrap(), 3);
    drop(again);
    assert_eq!(fresh(Storage::folder(folder.path())).head(), 3);
}

#[test]
fn a_long_journal_is_compacted_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut vbox = synced(Storage::folder(folder.path()));
    for _ in 0..4200 {
        vbox.journal(Kind::Opened, "A-1", None, None, 1).unwrap();
    }
    vbox.apply(answer("1.99", Changes::default(), vec![], 4201)).unwrap().unwrap();
    let lines = std::fs::read_to_string(folder.path().join("journal.ndjson")).unwrap().lines().count();
    assert_eq!(lines, KEPT_AFTER_RECEIPT);
    assert_eq!(fresh(Storage::folder(folder.path())).head(), 4200);
}

/// A box with so many receipted entries, of which it keeps the last `keeps`.
fn receipted(entries: u64, keeps: usize) -> VirtualBox {
    let mut vbox = fresh(Storage::Memory);
    vbox.keep_after_receipt(keeps);
    vbox.apply(answer("1.10", snapshot(), vec![], 1)).unwrap().unwrap();
    for _ in 0..entries {
        vbox.journal(Kind::Opened, "A-2", None, None, 1).unwrap();
    }
    let receipts = (1..=entries).map(|seq| receipt(seq, Outcome::Applied)).collect();
    let applied = vbox.apply(answer("1.20", Changes::default(), receipts, entries + 1)).unwrap().unwrap();
    assert!(!applied.restored);
    vbox
}

fn sent(vbox: &VirtualBox) -> (Option<u64>, Vec<u64>) {
    let body: serde_json::Value = serde_json::from_slice(&vbox.sync_body(1)).unwrap();
    let entries = body["journal"]["entries"].as_array().unwrap().iter();
    (body["journal"]["kept_from"].as_u64(), entries.map(|entry| entry["seq"].as_u64().unwrap()).collect())
}

#[test]
fn a_restored_server_gets_again_what_it_has_forgotten() {
    let mut vbox = receipted(5, 512);
    let applied = vbox.apply(answer("54310400.7", snapshot(), vec![], 3)).unwrap().unwrap();
    assert!(applied.restored && applied.unsent == 3);
    assert_eq!(sent(&vbox), (None, vec![3, 4, 5]));
}

#[test]
fn a_box_says_what_it_has_thrown_away() {
    let mut vbox = receipted(5, 2);
    assert_eq!(vbox.kept_from(), 4);
    let again = vbox.apply(answer("1.21", Changes::default(), vec![], 2)).unwrap();
    assert_eq!(again.unwrap_err(), Unbelievable::ResumesBehindKept(2), "in the same epoch nobody may ask for that");
    vbox.apply(answer("54310400.7", snapshot(), vec![], 2)).unwrap().unwrap();
    assert_eq!(sent(&vbox), (Some(4), vec![4, 5]));
    let receipts = vec![receipt(4, Outcome::Applied), receipt(5, Outcome::Applied)];
    vbox.apply(answer("54310400.9", Changes::default(), receipts, 6)).unwrap().unwrap();
    assert_eq!((vbox.unsent(), sent(&vbox)), (0, (None, vec![])));
}

#[test]
fn a_box_that_kept_nothing_still_says_so() {
    let mut vbox = receipted(3, 0);
    vbox.apply(answer("54310400.7", snapshot(), vec![], 2)).unwrap().unwrap();
    assert_eq!((vbox.unsent(), sent(&vbox)), (2, (Some(4), vec![])));
    vbox.apply(answer("54310400.8", Changes::default(), vec![], 4)).unwrap().unwrap();
    assert_eq!(vbox.unsent(), 0);
}

#[test]
fn a_key_goes_into_the_smallest_bin_that_is_large_enough() {
    let mut vbox = synced(Storage::Memory);
    vbox.pick_up(CODE, "F1", 1500).unwrap();
    let sized = |name: &str, size| BinItem { size, ..bin(name, None, BinState::Enabled) };
    let large_key = KeyItem { size: Size::Large, ..snapshot().keys.remove(0) };
    let changes = Changes {
        bins: vec![sized("A-1", Size::Large), sized("A-2", Size::Small)],
        keys: vec![large_key.clone()],
        ..Changes::default()
    };
    vbox.apply(answer("1.12", changes, vec![receipt(1, Outcome::Applied)], 2)).unwrap().unwrap();
    assert_eq!(vbox.free_bin("F1"), Ok("A-1".into()));
    assert_eq!(vbox.free_bin("F9"), Ok("A-1".into()), "of unknown fobs nobody has said that they are small");
    let small = Changes { keys: vec![KeyItem { size: Size::Small, ..large_key }], ..Changes::default() };
    vbox.apply(answer("1.13", small, vec![], 2)).unwrap().unwrap();
    assert_eq!(vbox.free_bin("F1"), Ok("A-2".into()));
    let none = Changes { bins: vec![sized("A-1", Size::Small)], ..Changes::default() };
    vbox.apply(answer("1.14", none, vec![], 2)).unwrap().unwrap();
    assert_eq!(refused(vbox.drop_off(None, "F9", 1600).unwrap()), Refusal::BinsTooSmall);
    let item: BinItem = serde_json::from_str(r#"{"bin":"A","state":"enabled","confirmed":true}"#).unwrap();
    assert_eq!(item.size, Size::Medium);
}

#[test]
fn settings_want_a_person_and_a_pin() {
    let mut vbox = synced(Storage::Memory);
    let settings = Settings { quick_scan: false, second_factor: SecondFactor::Sms };
    let changes = Changes { settings: Some(settings), ..Changes::default() };
    vbox.apply(answer("1.12", changes, vec![], 1)).unwrap().unwrap();
    assert_eq!(refused(vbox.drop_off(None, "F9", 5).unwrap()), Refusal::PersonNeeded);
    let take = |vbox: &mut VirtualBox, pin: Option<&str>, at| vbox.take(Shown::Digits(CODE), "F1", pin, at).unwrap();
    assert_eq!(refused(take(&mut vbox, Some("2468"), 1500)), Refusal::PinNeeded, "it knows of none");
    let pin = state::verifier(&state::from_hex(&identity().verifier_key), "pin:", "per_1:2468");
    let told = |pin| Changes { pins: vec![PinItem { person: "per_1".into(), pin }], ..Changes::default() };
    vbox.apply(answer("1.13", told(Some(pin.into())), vec![], 1)).unwrap().unwrap();
    assert_eq!(refused(take(&mut vbox, None, 1500)), Refusal::PinNeeded);
    assert_eq!(refused(vbox.pick_up(CODE, "F1", 1500).unwrap()), Refusal::PinNeeded);
    // A right code is no way to forget wrong PINs.
    for _ in 0..5 {
        assert_eq!(refused(take(&mut vbox, Some("2469"), 1500)), Refusal::UnknownCode);
    }
    assert_eq!(refused(take(&mut vbox, Some("2468"), 1500)), Refusal::Throttled);
    assert_eq!(vbox.keypad().wrong, 5);
    let mut vbox = synced(Storage::Memory);
    let pin = state::verifier(&state::from_hex(&identity().verifier_key), "pin:", "per_1:2468");
    vbox.apply(answer("1.12", Changes { settings: Some(settings), ..told(Some(pin.into())) }, vec![], 1))
        .unwrap()
        .unwrap();
    assert_eq!(refused(take(&mut vbox, Some("1"), 1500)), Refusal::UnknownCode);
    assert!(matches!(take(&mut vbox, Some("2468"), 1500), Attempt::Done(done) if done.bin == "A-1"));
    assert_eq!(vbox.keypad().wrong, 0);
    let gone = Changes { removed: vec!["per_1".into()], ..Changes::default() };
    vbox.apply(answer("1.15", gone, vec![], 1)).unwrap().unwrap();
    assert!(vbox.state().pins.is_empty());
    vbox.apply(answer("1.16", Changes { full: true, ..Changes::default() }, vec![], 1)).unwrap().unwrap();
    assert_eq!(vbox.state().settings, Settings::default());
}
