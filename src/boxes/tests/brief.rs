//! Both ways of writing a journal entry say the same.

use super::world::line;
use crate::{
    boxes::{judge::content_of_read, *},
    kernel::*,
};
use proptest::prelude::*;

/// Of an ordinary entry, received at once.
fn judged(read: &JournalEntry) -> Judged {
    Judged {
        seq: read.seq,
        content: content_of_read(read),
        outcome: Outcome::Applied,
        act: Some(read.act),
        bin: read.bin,
        person: read.person,
        box_time: Some(read.at),
        at: read.at,
        estimated: false,
        cursor: read.cursor,
        key: None,
        late: false,
        found: None,
        text: None,
        by: read.by,
        exchange: None,
        named: None,
    }
}

fn entry() -> impl Strategy<Value = Judged> {
    let fob = "[0-9A-F]{1,31}".prop_map(|text| Fob::new(&text).unwrap());
    let act = prop_oneof![fob.clone().prop_map(Act::PickUp), fob.prop_map(Act::DropOff), Just(Act::Opened),];
    let bin = "[A-Z]-[0-9]{1,13}".prop_map(|text| Label::new(&text).unwrap());
    let outcome = prop_oneof![
        4 => Just(Outcome::Applied),
        1 => prop_oneof![
            Just(Flag::NotPermitted),
            Just(Flag::OtherHolder),
            Just(Flag::MayNotBeDroppedHere),
            Just(Flag::UnknownFob)
        ]
        .prop_map(Outcome::Flagged),
        1 => Just(Outcome::Ignored(Clash::KeyNotInBin)),
    ];
    let time = prop_oneof![8 => 0..1u64 << 48, 1 => any::<u64>()].prop_map(UnixMillis);
    let cursor = (any::<u32>(), any::<u64>()).prop_map(|(epoch, revision)| Cursor { epoch, revision });
    (
        (any::<u64>(), outcome, act, bin),
        (proptest::option::of(any::<u128>()), proptest::option::of(any::<u128>()), proptest::option::of(cursor)),
        by(),
        (time.clone(), time, any::<bool>(), any::<bool>()),
    )
        .prop_map(|((seq, outcome, act, bin), (person, key, cursor), by, (at, box_time, estimated, late))| {
            let person = person.map(PersonId);
            let read = JournalEntry { cursor, person, by, ..line(seq, box_time, act, Some(bin)) };
            Judged { outcome, at, estimated, key: key.map(KeyId), late, ..judged(&read) }
        })
}

fn by() -> impl Strategy<Value = Option<By>> {
    prop_oneof![
        Just(None),
        Just(Some(By::AccessCode)),
        Just(Some(By::Badge)),
        Just(Some(By::BookingCode)),
        Just(Some(By::KeyCode)),
        any::<u128>().prop_map(|pass| Some(By::Pass(PassId(pass)))),
        (any::<u32>(), any::<u32>()).prop_map(|(sheet, counter)| Some(By::OfflineCode { sheet, counter })),
        Just(Some(By::PersonalQr)),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(judged in entry()) {
        let event = Event::EntryJudged(judged);
        prop_assert_eq!(Event::decode_from(&event.to_bytes()), Ok(event));
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_but_never_a_panic(judged in entry(), at in 0usize..80, bits in 1u8..) {
        let mut bytes = Event::EntryJudged(judged).to_bytes();
        let at = at % bytes.len();
        bytes[at] ^= bits;
        let _ = Event::decode_from(&bytes);
        let _ = Event::decode_from(&bytes[..at]);
    }
}

#[test]
fn an_ordinary_entry_is_shorter_than_its_fields_by_more_than_a_quarter() {
    let (at, act) = (UnixMillis(1_767_225_599_000), Act::PickUp(Fob::new("04A2F1C3").unwrap()));
    let read = JournalEntry {
        cursor: Some(Cursor { epoch: 1, revision: 300 }),
        person: Some(PersonId(u128::MAX)),
        ..line(300, at, act, Label::new("A-1"))
    };
    let judged = Judged { at: UnixMillis(1_767_225_600_000), key: Some(KeyId(u128::MAX)), ..judged(&read) };
    let (brief, fields) =
        (Event::EntryJudged(judged.clone()).to_bytes().len(), minicbor::to_vec(&judged).unwrap().len());
    assert!(brief * 4 <= (fields + 4) * 3, "{brief} of {} bytes", fields + 4);
}
