//! Arbitrary journals and administrators: nothing panics, the invariants hold, and nothing counts twice.

use super::{mirror::Mirror, world::*};
use crate::{boxes::*, kernel::UnixMillis};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Sync { site: usize, entries: Vec<(i8, u8, u8, u8, u64)>, more: bool, head: i8, clock: u64, lose_answer: bool },
    Correct { site: usize, bin: u8, serial: Option<u8> },
    Confirm { site: usize, bin: u8 },
    Protect { site: usize, bin: u8 },
    Remove { site: usize, nth: usize },
    Add { site: usize, serial: u8 },
    Revoke { site: usize, nth: usize },
    Enrol { site: usize, stolen: bool },
    Deliver { newest: bool },
    Pass { seconds: u64 },
    Tick { site: usize },
}

fn bin(number: u8) -> &'static str {
    ["A-1", "A-2", "A-3", "Z-9"][usize::from(number % 4)]
}

fn serial(number: u8) -> &'static str {
    ["F1", "F2", "F3", "F9"][usize::from(number % 4)]
}

fn clock() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(START.0 + 60_000), 1 => Just(0), 1 => any::<u64>()]
}

fn op() -> impl Strategy<Value = Op> {
    let entry = (-1i8..4, any::<u8>(), any::<u8>(), any::<u8>(), clock());
    let sync = (0..2usize, prop::collection::vec(entry, 0..6), any::<bool>(), -2i8..6, clock(), any::<bool>());
    prop_oneof![
        6 => sync.prop_map(|(site, entries, more, head, clock, lose_answer)| {
            Op::Sync { site, entries, more, head, clock, lose_answer }
        }),
        1 => (0..2usize, any::<u8>(), prop::option::of(any::<u8>()))
            .prop_map(|(site, bin, serial)| Op::Correct { site, bin, serial }),
        1 => (0..2usize, any::<u8>()).prop_map(|(site, bin)| Op::Confirm { site, bin }),
        1 => (0..2usize, any::<u8>()).prop_map(|(site, bin)| Op::Protect { site, bin }),
        1 => (0..2usize, 0..4usize).prop_map(|(site, nth)| Op::Remove { site, nth }),
        1 => (0..2usize, any::<u8>()).prop_map(|(site, serial)| Op::Add { site, serial }),
        1 => (0..2usize, 0..4usize).prop_map(|(site, nth)| Op::Revoke { site, nth }),
        1 => (0..2usize, any::<bool>()).prop_map(|(site, stolen)| Op::Enrol { site, stolen }),
        4 => any::<bool>().prop_map(|newest| Op::Deliver { newest }),
        1 => (0..20_000u64).prop_map(|seconds| Op::Pass { seconds }),
        1 => (0..2usize).prop_map(|site| Op::Tick { site }),
    ]
}

/// An entry, its number relative to what the box has a receipt for.
fn entry(world: &World, site: usize, (after, kind, place, what, at): (i8, u8, u8, u8, u64)) -> Entry {
    let seq = world.sites[site].seq.saturating_add_signed(i64::from(after));
    let fob = fob(serial(what));
    let act = match kind % 8 {
        0..3 => Act::PickUp(fob),
        3..6 => Act::DropOff(fob),
        6 => Act::Opened,
        _ => return Entry::Unreadable { seq, text: format!("{what}").into() },
    };
    let person = [None, Some(ANNA), Some(BEN)][usize::from(what % 3)];
    Entry::Read(JournalEntry { person, ..line(seq, UnixMillis(at), act, Some(label(bin(place)))) })
}

fn judged(world: &World, site: usize) -> usize {
    world.events_of(site).filter(|event| matches!(event, Event::EntryJudged(_))).count()
}

fn perform(world: &mut World, op: &Op) {
    match op {
        Op::Sync { site, entries, more, head, clock, lose_answer } => {
            let entries: Vec<Entry> = entries.iter().map(|raw| entry(world, *site, *raw)).collect();
            let head = world.sites[*site].seq.saturating_add_signed(i64::from(*head));
            let (more, clock) = (*more, UnixMillis(*clock));
            let request = SyncRequest { more, head, clock, ..world.request(*site, entries) };
            let Ok(first) = world.send(*site, request.clone()) else { return };
            if world.sites[*site].state.overview(world.now, START).suspended {
                return;
            }
            let before = judged(world, *site);
            let again = world.send(*site, request).unwrap();
            assert_eq!(judged(world, *site), before, "replaying a batch counts nothing");
            assert_eq!(again.resume_at, first.resume_at);
            assert!(again.receipts.iter().all(|receipt| receipt.outcome == Outcome::Duplicate), "{again:?}");
            let here = &mut world.sites[*site];
            here.seq = again.resume_at - 1;
            if !lose_answer {
                here.mirror.apply(&again.changes);
                here.cursor = again.cursor;
                let mut whole = Mirror::default();
                whole.apply(&here.state.changes_since(0));
                assert_eq!(here.mirror, whole, "BOX-4");
            }
        }
        Op::Correct { site, bin: place, serial: what } => {
            let content = what.map(|what| fob(serial(what)));
            drop(world.run(*site, Command::CorrectBin { bin: label(bin(*place)), fob: content, key: None }));
        }
        Op::Confirm { site, bin: place } => drop(world.run(*site, Command::ConfirmBin { bin: label(bin(*place)) })),
        Op::Protect { site, bin: place } => {
            drop(
                world.run(
                    *site,
                    Command::SetBin { bin: label(bin(*place)), state: Some(BinState::Protected), size: None },
                ),
            );
        }
        Op::Remove { site, nth } => {
            if let Some(key) = world.sites[*site].state.inventory().keys.get(*nth).map(|key| key.key) {
                world.run(*site, Command::RemoveKey { key }).unwrap();
            }
        }
        Op::Add { site, serial: what } => {
            world.minted += 1;
            let key = crate::kernel::KeyId(world.minted);
            drop(world.try_add_key(*site, key, serial(*what), None, what % 2 == 0));
        }
        Op::Revoke { site, nth } => {
            if let Some(access) = world.sites[*site].state.inventory().accesses.get(*nth).map(|access| access.record.id)
            {
                world.run(*site, Command::Revoke { access }).unwrap();
            }
        }
        Op::Enrol { site, stolen } => world.enrol(*site, *stolen),
        Op::Deliver { newest } => drop(world.deliver_one(*newest)),
        Op::Pass { seconds } => world.pass(std::time::Duration::from_secs(*seconds)),
        Op::Tick { site } => drop(world.run(*site, Command::Tick).unwrap()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_the_invariants_hold(ops in prop::collection::vec(op(), 1..40)) {
        let mut world = World::new(2);
        let key = world.add_key(0, "F1", Some("A-1"), true);
        world.add_key(1, "F2", Some("A-2"), false);
        world.grant(0, ANNA, Scope::Box);
        world.grant(0, BEN, Scope::Key(key));
        world.grant(1, ANNA, Scope::Box);
        // A box that loses its stored state is told of by hand: here it may happen with any cursor.
        (0..2).for_each(|site| world.never_mind_pending(site));
        for op in &ops {
            perform(&mut world, op);
        }
        world.settle();
    }

    #[test]
    fn cursors_and_short_texts_are_read_as_written_or_not_at_all(
        text in "\\PC{0,40}",
        epoch in 0..1_000_000_000u32,
        revision in 0..1_000_000_000_000_000_000u64,
    ) {
        if let Some(short) = Label::new(&text) {
            prop_assert_eq!(short.as_str(), &text);
        }
        if let Ok(cursor) = text.parse::<Cursor>() {
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
        }
        let cursor = Cursor { epoch, revision };
        prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}
