//! Both ways of writing a journal entry say the same.

use crate::{
    boxes::{judge::content_of_read, *},
    kernel::*,
};
use proptest::prelude::*;

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
            let read = JournalEntry {
                seq,
                at: box_time,
                cursor,
                act,
                bin: Some(bin),
                person,
                by,
                exchange: None,
                named: None,
            };
            Judged {
                seq,
                content: content_of_read(&read),
                outcome,
                act: Some(act),
                bin: Some(bin),
                person,
                box_time: Some(box_time),
                at,
                estimated,
                cursor,
                key: key.map(KeyId),
                late,
                found: None,
                text: None,
                by,
                exchange: None,
                named: None,
            }
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
    let (at, person) = (UnixMillis(1_767_225_600_000), Some(PersonId(u128::MAX)));
    let read = JournalEntry {
        seq: 300,
        at: UnixMillis(1_767_225_599_000),
        cursor: Some(Cursor { epoch: 1, revision: 300 }),
        act: Act::PickUp(Fob::new("04A2F1C3").unwrap()),
        bin: Label::new("A-1"),
        person,
        by: None,
        exchange: None,
        named: None,
    };
    let judged = Judged {
        seq: read.seq,
        content: content_of_read(&read),
        outcome: Outcome::Applied,
        act: Some(read.act),
        bin: read.bin,
        person,
        box_time: Some(read.at),
        at,
        estimated: false,
        cursor: read.cursor,
        key: Some(KeyId(u128::MAX)),
        late: false,
        found: None,
        text: None,
        by: None,
        exchange: None,
        named: None,
    };
    let (brief, fields) =
        (Event::EntryJudged(judged.clone()).to_bytes().len(), minicbor::to_vec(&judged).unwrap().len());
    assert!(brief * 4 <= (fields + 4) * 3, "{brief} of {} bytes", fields + 4);
}
