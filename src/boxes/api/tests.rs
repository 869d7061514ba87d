//! What a box may send, and what it is answered.

use super::{answer, decode_sync};
use crate::{
    boxes::{
        AccessRecord, Act, BinChange, BinState, Changes, Clash, Cursor, Entry, Fault, Flag, Fob, KeyChange, Label,
        Link, Outcome, PersonChange, Plan, Receipt, RemovedItem, Scope, SyncAnswer, Verifier,
    },
    kernel::{AccessId, KeyId, PersonId, UnixMillis},
};
use proptest::prelude::*;
use serde_json::{Value, json};

const WHOLE: &str = r#"{"cursor": "1.140",
 "journal": {"head": 57, "more": false, "entries": [
   {"seq": 56, "at_ms": 1790000000000, "cursor": "1.133", "kind": "pick_up", "bin": "A-3", "fob": "04A2F1",
    "person": "per_00000000000000000000000005"},
   {"seq": 57, "at_ms": 1790000060000, "kind": "opened", "bin": "A-\u0031"}]},
 "clock_ms": 1790000090000,
 "health": {"battery_percent": 97, "mains": true, "link": "ethernet", "firmware": "5.1.2"}}"#;

fn entry(fields: &str) -> Entry {
    let body =
        format!(r#"{{"journal": {{"head": 9, "entries": [{{"seq": 9, "at_ms": 1, {fields}}}]}}, "clock_ms": 1}}"#);
    decode_sync(body.as_bytes()).unwrap().entries[0].clone()
}

fn pointer(body: &str) -> (u16, String) {
    let problem = decode_sync(body.as_bytes()).unwrap_err();
    let json: Value = serde_json::from_slice(&problem.to_json("")).unwrap();
    (problem.status(), json["errors"][0]["pointer"].as_str().unwrap().to_owned())
}

#[test]
fn the_protocols_own_example_is_read() {
    let request = decode_sync(WHOLE.as_bytes()).unwrap();
    assert_eq!(request.cursor, Some(Cursor { epoch: 1, revision: 140 }));
    assert_eq!((request.head, request.more, request.clock), (57, false, UnixMillis(1_790_000_090_000)));
    assert_eq!((request.health.battery_percent, request.health.link), (Some(97), Some(Link::Ethernet)));
    let Entry::Read(first) = &request.entries[0] else { panic!("readable") };
    assert_eq!((first.seq, first.person), (56, Some(PersonId(5))));
    assert_eq!(first.act, Act::PickUp(Fob::new("04A2F1").unwrap()));
    let Entry::Read(second) = &request.entries[1] else { panic!("readable") };
    assert_eq!((second.act, second.bin, second.cursor), (Act::Opened, Label::new("A-1"), None));
}

#[test]
fn little_is_enough() {
    let request = decode_sync(br#"{"journal": {"head": 0}, "clock_ms": 0, "cursor": null}"#).unwrap();
    assert!(request.cursor.is_none() && request.entries.is_empty());
}

#[test]
fn a_journals_numbers_end_before_those_that_the_server_gives_to_conflicts() {
    let sync = |head: u64, kept_from: u64, seq: u64| {
        let line = format!(r#"{{"seq": {seq}, "at_ms": 1, "kind": "opened", "bin": "A-1"}}"#);
        format!(r#"{{"journal": {{"head": {head}, "kept_from": {kept_from}, "entries": [{line}]}}, "clock_ms": 1}}"#)
    };
    const LAST: u64 = crate::boxes::SEQ_MAX;
    assert!(decode_sync(sync(LAST, LAST, LAST).as_bytes()).is_ok());
    for beyond in [LAST + 1, u64::MAX] {
        assert_eq!(pointer(&sync(beyond, 1, 1)).1, "/journal/head");
        assert!(pointer(&sync(LAST, 1, beyond)).1.starts_with("/journal/entries"));
    }
    assert_eq!(pointer(&sync(LAST, u64::MAX, LAST)).1, "/journal/kept_from");
}

#[test]
fn what_is_not_the_protocol_is_refused_with_a_pointer() {
    let at = |body: &str| pointer(body).1;
    assert_eq!(at(r#"{"clock_ms": 1}"#), "");
    assert_eq!(at(r#"{"journal": {"head": -1}, "clock_ms": 1}"#), "/journal/head");
    for kept_from in ["0", "3", "-1", "null1"] {
        let body = format!(r#"{{"journal": {{"head": 1, "kept_from": {kept_from}}}, "clock_ms": 1}}"#);
        assert!(decode_sync(body.as_bytes()).is_err(), "{kept_from}");
    }
    assert_eq!(at(r#"{"journal": {"head": 1, "kept_from": 3}, "clock_ms": 1}"#), "/journal/kept_from");
    assert_eq!(decode_sync(br#"{"journal": {"head": 1, "kept_from": 2}, "clock_ms": 1}"#).unwrap().kept_from, Some(2));
    assert_eq!(at(r#"{"journal": {"head": 1, "tail": 1}, "clock_ms": 1}"#), "/journal/tail");
    assert_eq!(at(r#"{"cursor": "1", "journal": {"head": 1}, "clock_ms": 1}"#), "/cursor");
    assert_eq!(at(r#"{"journal": {"head": 1}, "clock_ms": 1e400}"#), "/clock_ms");
    assert_eq!(
        at(r#"{"journal": {"head": 1}, "clock_ms": 1, "health": {"battery_percent": 101}}"#),
        "/health/battery_percent"
    );
    assert_eq!(at(r#"{"journal": {"head": 1}, "clock_ms": 1, "health": {"link": "smoke"}}"#), "/health/link");
    let list = |line: &str| at(&format!(r#"{{"journal": {{"head": 1, "entries": [{line}]}}, "clock_ms": 1}}"#));
    assert_eq!(list(r#"{"at_ms": 1, "kind": "opened"}"#), "/journal/entries/0");
    assert_eq!(list(r#"{"seq": 1, "at_ms": 1, "kind": "opened", "bin": "A", "mood": 1}"#), "/journal/entries/0/mood");
    assert_eq!(list(r#"{"seq": 1, "at_ms": 1, "kind": "opened", "bin": 7}"#), "/journal/entries/0/bin");
    assert!(list(r#"{"seq": 0, "at_ms": 1, "kind": "opened", "bin": "A"}"#).starts_with("/journal/entries"));
    let many = vec![r#"{"seq": 1, "at_ms": 1, "kind": "opened", "bin": "A"}"#; 257].join(",");
    assert!(list(&many).starts_with("/journal/entries"));
}

#[test]
fn a_line_whose_values_make_no_sense_is_unreadable_and_holds_up_nothing() {
    for (fields, says) in [
        (r#""kind": "fly", "bin": "A-1""#, "`kind` \"fly\" is not known"),
        (r#""kind": "pick_up", "bin": "A-1""#, "`fob` is missing"),
        (r#""kind": "pick_up", "fob": "04", "bin": "a label that is far too long""#, "`bin`"),
        (r#""kind": "pick_up", "fob": "04""#, "`bin` is missing"),
        (r#""kind": "opened", "bin": "A-1", "fob": "04""#, "`opened` has no `fob`"),
        (r#""kind": "pick_up", "bin": "A-1", "fob": "04", "person": "Anna""#, "`person` \"Anna\""),
        (r#""kind": "pick_up", "bin": "A-1", "fob": "04", "cursor": "x""#, "`cursor`"),
    ] {
        let Entry::Unreadable { seq: 9, text } = entry(fields) else { panic!("{fields} is readable") };
        assert!(text.contains(says), "{text}");
    }
    assert!(matches!(entry(r#""kind": "pick_up", "bin": "A-1", "fob": "04", "person": null"#), Entry::Read(_)));
}

fn short<const N: usize>(text: &str) -> crate::boxes::Short<N> {
    crate::boxes::Short::new(text).unwrap()
}

#[test]
fn the_answer_is_what_the_protocol_says() {
    let receipt = |seq, outcome| Receipt { seq, outcome };
    let access = |scope| AccessRecord {
        id: AccessId(2),
        person: PersonId(3),
        scope,
        from: None,
        until: Some(UnixMillis(9)),
        reminder: None,
    };
    let answer = SyncAnswer {
        receipts: vec![
            receipt(1, Outcome::Applied),
            receipt(2, Outcome::Flagged(Flag::NotPermitted)),
            receipt(3, Outcome::Ignored(Clash::BinOccupied)),
            receipt(4, Outcome::Rejected(Fault::UnknownBin)),
            receipt(5, Outcome::Duplicate),
        ],
        resume_at: 6,
        cursor: Some(Cursor { epoch: 1, revision: 151 }),
        changes: Changes {
            full: false,
            bins: vec![BinChange {
                bin: short("A-3"),
                state: BinState::Enabled,
                fob: None,
                confirmed: true,
                size: Some(crate::boxes::Size::Large),
            }],
            keys: vec![KeyChange {
                key: KeyId(1),
                fob: short("04"),
                roaming: true,
                groups: Box::default(),
                size: None,
            }],
            accesses: vec![access(Scope::Key(KeyId(1))), access(Scope::Box)],
            people: vec![PersonChange {
                person: PersonId(3),
                code: Some(Verifier([0xab; 16])),
                badges: Box::new([Verifier([1; 16])]),
            }],
            removed: vec![RemovedItem::Key(KeyId(7))],
            codes: None,
        },
        next_sync_s: 287,
        due_by: None,
        plan: Plan::Lite,
    };
    let zeros = "0".repeat(25);
    let told: Value = serde_json::from_slice(&answer::encode(&answer, 5, "ticket")).unwrap();
    let expected = json!({
        "receipts": [
            {"seq": 1, "outcome": "applied"},
            {"seq": 2, "outcome": "flagged", "reason": "not_permitted"},
            {"seq": 3, "outcome": "ignored", "reason": "bin_occupied"},
            {"seq": 4, "outcome": "rejected", "reason": "unknown_bin"},
            {"seq": 5, "outcome": "duplicate"},
        ],
        "resume_at": 6,
        "cursor": "1.151",
        "changes": {
            "full": false,
            "bins": [{"bin": "A-3", "state": "enabled", "fob": null, "confirmed": true, "size": "large"}],
            "keys": [{"key": format!("key_{zeros}1"), "fob": "04", "roaming": true, "groups": []}],
            "accesses": [
                {"access": format!("acc_{zeros}2"), "person": format!("per_{zeros}3"), "key": format!("key_{zeros}1"),
                 "from_ms": null, "until_ms": 9},
                {"access": format!("acc_{zeros}2"), "person": format!("per_{zeros}3"), "box": true,
                 "from_ms": null, "until_ms": 9},
            ],
            "people": [{"person": format!("per_{zeros}3"), "code": "ab".repeat(16), "badges": ["01".repeat(16)]}],
            "removed": [format!("key_{zeros}7")],
        },
        "server_ms": 5, "next_sync_s": 287, "ticket": "ticket",
    });
    assert_eq!(told, expected);
}

#[test]
fn empty_lists_are_left_out() {
    let answer = SyncAnswer {
        receipts: Vec::new(),
        resume_at: 1,
        cursor: None,
        changes: Changes::default(),
        next_sync_s: 1,
        due_by: None,
        plan: Plan::Lite,
    };
    let told: Value = serde_json::from_slice(&answer::encode(&answer, 5, "")).unwrap();
    assert_eq!(told["changes"], json!({"full": false}));
    assert_eq!(told["cursor"], Value::Null);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_sync(&body);
    }

    /// One byte changed in a good body: read, or refused with a 400.
    #[test]
    fn a_damaged_body_is_read_or_refused(at in 0..WHOLE.len(), byte: u8) {
        let mut body = WHOLE.as_bytes().to_vec();
        body[at] = byte;
        if let Err(problem) = decode_sync(&body) {
            prop_assert_eq!(problem.status(), 400);
        }
    }
}
