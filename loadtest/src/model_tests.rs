//! The table, row by row, and what it takes for an entry to count once.

use super::*;

/// Two boxes of four bins; key 0 roams, key 1 does not; both stand in box 0. Persons 0 and 1 may use both boxes.
fn model() -> Model {
    let mut model = Model::new(&[4, 4]);
    assert_eq!(model.add_key(0, 0, true), 0);
    assert_eq!(model.add_key(0, 1, false), 1);
    for (place, person) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        model.grant(place, person);
    }
    model
}

fn sync(model: &mut Model, place: usize, entries: &[Entry]) -> Receipts {
    model.sync(&Sync { place, entries, more: false, clock_ms: 1_000, server_ms: 1_000 })
}

fn entry(seq: u64, kind: Kind, bin: usize, key: usize, person: usize) -> Entry {
    Entry { seq, at_ms: 500, kind, bin, key, person }
}

fn pick(seq: u64, bin: usize, key: usize) -> Entry {
    entry(seq, Kind::PickUp, bin, key, 0)
}

fn drop(seq: u64, bin: usize, key: usize) -> Entry {
    entry(seq, Kind::DropOff, bin, key, 0)
}

fn verdicts(receipts: &Receipts) -> Vec<Verdict> {
    receipts.receipts.iter().map(|&(_, verdict)| verdict).collect()
}

#[test]
fn a_key_goes_out_and_comes_back() {
    let mut model = model();
    let receipts = sync(&mut model, 0, &[pick(1, 0, 0), drop(2, 2, 0)]);
    assert_eq!(verdicts(&receipts), [Verdict::APPLIED; 2]);
    assert_eq!(receipts.resume_at, 3);
    assert_eq!(model.keys[0].place, KeyPlace::Bin(2));
    assert_eq!(model.boxes[0].bins[0], Bin { key: None, confirmed: true, expects: Vec::new() });
}

#[test]
fn a_withdrawn_permission_flags_what_came_after_it_by_the_servers_clock() {
    let mut model = model();
    model.withdraw(0, 0, (600, 601));
    // The box is 10 seconds behind: its 500 is 10,500 for the server when it shows 1,000 at 11,000.
    let mut at = |seq, kind, at_ms: i64| {
        let entries = [Entry { at_ms: at_ms - 10_000, ..entry(seq, kind, 0, 0, 0) }];
        model.sync(&Sync { place: 0, entries: &entries, more: false, clock_ms: 1_000, server_ms: 11_000 });
        let judged = model.boxes[0].judged.last().unwrap();
        (judged.verdict, judged.unsure)
    };
    let flagged = Verdict::flagged(Reason::NotPermitted);
    assert_eq!(at(1, Kind::PickUp, 599), (Verdict::APPLIED, false));
    at(2, Kind::DropOff, 599);
    assert_eq!(at(3, Kind::PickUp, 601), (Verdict::APPLIED, true), "withdrawn in that very moment");
    at(4, Kind::DropOff, 650);
    assert_eq!(at(5, Kind::PickUp, 650), (flagged, false));
    at(6, Kind::DropOff, 650);
    model.grant(0, 0);
    let again = sync(&mut model, 0, &[pick(7, 0, 0)]);
    assert_eq!(verdicts(&again), [Verdict::APPLIED], "given again, without dates: for ever");
}

#[test]
fn a_pick_up_that_does_not_fit_is_ignored_and_leaves_doubt() {
    let mut model = model();
    let receipts = sync(&mut model, 0, &[pick(1, 1, 0), pick(2, 3, 1)]);
    assert_eq!(verdicts(&receipts), [Verdict::ignored(Reason::KeyNotInBin); 2]);
    let confirmed: Vec<bool> = model.boxes[0].bins.iter().map(|bin| bin.confirmed).collect();
    assert_eq!(confirmed, [false, false, true, false]);
    assert_eq!(model.keys[0].place, KeyPlace::Bin(0));
}

#[test]
fn a_drop_off_that_does_not_fit_is_ignored() {
    let mut model = model();
    let receipts = sync(&mut model, 0, &[drop(1, 2, 0), pick(2, 0, 0), drop(3, 1, 0)]);
    assert_eq!(
        verdicts(&receipts),
        [Verdict::ignored(Reason::KeyElsewhere), Verdict::APPLIED, Verdict::ignored(Reason::BinOccupied)]
    );
}

#[test]
fn another_holder_and_a_wrong_box_are_flagged() {
    let mut model = model();
    let receipts =
        sync(&mut model, 0, &[pick(1, 0, 0), entry(2, Kind::DropOff, 0, 0, 1), pick(3, 0, 0), pick(4, 1, 1)]);
    assert_eq!(verdicts(&receipts)[1], Verdict::flagged(Reason::OtherHolder));
    let receipts = sync(&mut model, 1, &[drop(1, 0, 0), drop(2, 1, 1)]);
    assert_eq!(verdicts(&receipts), [Verdict::APPLIED; 2], "the homes are asked afterwards");
    let moved = [(0, false), (1, true)].map(|(key, flagged)| Arrival { key, flagged });
    assert_eq!((&model.boxes[1].moved_in[..], &model.boxes[0].moved_out[..]), (&moved[..], &[0, 1][..]));
    assert_eq!((model.keys[0].home, model.keys[1].home), (1, 1));
}

#[test]
fn a_late_pick_up_closes_the_gap() {
    let mut model = model();
    sync(&mut model, 1, &[drop(1, 0, 0)]);
    assert_eq!(model.boxes[0].bins[0], Bin { key: None, confirmed: false, expects: vec![0] });
    let receipts = sync(&mut model, 0, &[pick(1, 0, 0)]);
    assert_eq!(verdicts(&receipts), [Verdict::APPLIED]);
    assert!(model.boxes[0].judged[0].late && model.gaps.is_empty());
    assert_eq!((model.keys[0].home, model.keys[0].place), (1, KeyPlace::Bin(0)));
}

#[test]
fn a_late_pick_up_without_permission_is_told_all_the_same() {
    let mut model = model();
    model.withdraw(0, 0, (100, 100));
    sync(&mut model, 1, &[drop(1, 0, 0)]);
    let receipts = sync(&mut model, 0, &[pick(1, 0, 0)]);
    assert_eq!(verdicts(&receipts), [Verdict::flagged(Reason::NotPermitted)]);
    assert!(model.boxes[0].judged[0].late && model.gaps.is_empty());
}

#[test]
fn a_gap_becomes_a_conflict_only_at_a_complete_sync() {
    let mut model = model();
    sync(&mut model, 1, &[drop(1, 0, 0)]);
    model.sync(&Sync { place: 0, entries: &[pick(1, 1, 1)], more: true, clock_ms: 0, server_ms: 0 });
    sync(&mut model, 0, &[pick(3, 0, 0)]);
    assert!(model.gaps.is_empty(), "the journal had not arrived whole");
    sync(&mut model, 0, &[]);
    assert_eq!(model.gaps, [Gap { place: 0, bin: 0, key: 0 }]);
    assert!(!model.boxes[0].bins[0].confirmed);
    sync(&mut model, 0, &[]);
    assert_eq!(model.gaps.len(), 1, "once");
}

#[test]
fn a_correction_moves_the_key_and_clears_doubt() {
    let mut model = model();
    model.correct(0, 0, None);
    assert_eq!(model.keys[0].place, KeyPlace::Unknown);
    model.correct(1, 2, Some(0));
    assert_eq!((model.keys[0].home, model.keys[0].place), (1, KeyPlace::Bin(2)));
    let receipts = sync(&mut model, 0, &[pick(1, 0, 0)]);
    assert_eq!(verdicts(&receipts), [Verdict::ignored(Reason::KeyNotInBin)], "the journal comes after the correction");
    model.correct(0, 0, None);
    assert!(model.boxes[0].bins[0].confirmed);
    model.correct(0, 0, None);
    assert_eq!(model.boxes[0].corrected, [(0, None), (0, None)], "the third said nothing new");
}

#[test]
fn an_entry_counts_once() {
    let mut model = model();
    let batch = [pick(1, 0, 0), drop(2, 0, 0)];
    sync(&mut model, 0, &batch);
    let again = sync(&mut model, 0, &[batch[0], batch[1], pick(3, 0, 0), drop(5, 0, 0)]);
    assert_eq!(verdicts(&again), [Verdict::DUPLICATE, Verdict::DUPLICATE, Verdict::APPLIED]);
    assert_eq!(again.resume_at, 4);
    let cloned = sync(&mut model, 0, &[pick(1, 3, 0), drop(4, 0, 0)]);
    assert_eq!(verdicts(&cloned), [Verdict::rejected(Reason::SequenceReused)]);
    assert!(model.boxes[0].suspended);
}

#[test]
fn an_unknown_bin_is_rejected() {
    let mut model = model();
    let receipts = sync(&mut model, 0, &[pick(1, 9, 0), pick(2, 0, 0)]);
    assert_eq!(verdicts(&receipts), [Verdict::rejected(Reason::UnknownBin), Verdict::APPLIED]);
}
