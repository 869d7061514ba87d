//! The whole month without a server: does the accounting close, is everything explained?

use super::{details::Details, drive::Drive, explain::Cause, plan::Plan, starting_model, trips::Trips, world::Spot};
use crate::model::{Judged, Kind, Outcome};
use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

/// The real month where it is at hand; else a smaller one of the same shape.
fn month() -> (Trips, bool) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/exchanges-2016-07.csv.gz");
    if path.exists() {
        return (Trips::read(&path).unwrap(), true);
    }
    let mut chance = crate::Chance::seeded(5);
    let mut text = "picked_up_at,dropped_off_at,from_station,to_station,bike\n".to_owned();
    let mut places = vec![0; 30];
    for trip in 0..3_000u64 {
        let (bike, to) = (chance.index(30), chance.index(12));
        // Now and then a van was there.
        let from = if chance.below(8) == 0 { chance.index(12) } else { places[bike] };
        places[bike] = to;
        let time =
            |minute: u64| format!("2016-07-{:02}T{:02}:{:02}:00", 1 + minute / 1440, minute / 60 % 24, minute % 60);
        text += &format!("{},{},{from},{to},{bike}\n", time(trip * 9), time(trip * 9 + 8));
    }
    (Trips::parse(text.as_bytes()).unwrap(), false)
}

async fn replayed(trips: Trips, seed: u64, offline: f64) -> Drive {
    let plan = Plan::new(trips, seed, offline);
    let model = starting_model(&plan);
    let mut drive = Drive::new(plan, model, None, seed);
    drive.run(0.0, || ()).await.unwrap();
    drive
}

#[test]
fn the_month_is_as_its_description_says() {
    let (trips, real) = month();
    let plan = Plan::new(trips, 1, 0.3);
    if real {
        assert_eq!((plan.places.len(), plan.trips.bikes.len(), plan.exchanges()), (55, 287, 48_872));
        assert_eq!(plan.van_moves, 5_163);
        assert_eq!(plan.overlapping.iter().filter(|overlaps| **overlaps).count(), 52, "26 trips overlap another");
        assert!(plan.places.iter().any(|place| place.name != place.station));
    }
    assert!((0.28..0.32).contains(&plan.offline_share), "{}", plan.offline_share);
    assert!(plan.places.iter().all(|place| (15..=120).contains(&place.bins)));
}

#[tokio::test]
async fn every_exchange_gets_exactly_one_outcome_and_a_cause() {
    let drive = replayed(month().0, 1, 0.3).await;
    let mut outcomes: BTreeMap<Outcome, usize> = BTreeMap::new();
    for (side, model) in drive.sides.iter().zip(&drive.model.boxes) {
        assert_eq!(side.journal.len(), model.judged.len());
        for (entry, judged) in side.journal.iter().zip(&model.judged) {
            assert_eq!(*entry, judged.entry);
            *outcomes.entry(judged.verdict.outcome).or_default() += 1;
        }
    }
    assert_eq!(outcomes.values().sum::<usize>(), drive.plan.exchanges());
    assert!(outcomes.keys().all(|outcome| [Outcome::Applied, Outcome::Flagged, Outcome::Ignored].contains(outcome)));
    let details = Details::of(&drive);
    let unexplained: Vec<_> = details.counts.keys().filter(|(_, _, cause)| *cause == Cause::Unexplained).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
    assert!(details.counts.keys().any(|class| class.1 == "not_permitted"));
    let late = drive.model.boxes.iter().flat_map(|model| &model.judged).filter(|judged| judged.late).count();
    assert!(late > 50, "{late} late pick-ups closed their gap");
    assert!(drive.tally.answers_lost > 0 && drive.tally.sent_twice > 0 && drive.tally.in_pieces > 0);
    eprintln!("{:?} {outcomes:?} {late} late, {} gaps", drive.tally, drive.model.gaps.len());
    details.summary.iter().for_each(|line| eprintln!("{line}"));
}

#[tokio::test]
async fn without_outages_only_contradictions_and_withdrawals_remain() {
    let (trips, real) = month();
    let drive = replayed(trips, 1, 0.0).await;
    let all = drive.plan.trips.trips.iter().zip(&drive.plan.overlapping);
    let contradicted: HashSet<usize> = all.filter(|(_, overlaps)| **overlaps).map(|(trip, _)| trip.key).collect();
    let mut pick_ups = 0;
    for (side, model) in drive.sides.iter().zip(&drive.model.boxes) {
        let ignored = |(_, judged): &(_, &Judged)| judged.verdict.outcome == Outcome::Ignored;
        for (note, judged) in side.notes.iter().zip(&model.judged).filter(ignored) {
            assert!(contradicted.contains(&judged.entry.key), "{judged:?}");
            pick_ups += u32::from(judged.entry.kind == Kind::PickUp && drive.plan.overlapping[note.trip]);
        }
    }
    if real {
        assert_eq!(pick_ups, 26, "once each, where a key was taken that was still out");
    }
}

#[tokio::test]
async fn the_administrator_puts_every_bin_right() {
    for seed in 1..4 {
        let drive = replayed(month().0, seed, 0.3).await;
        for place in 0..drive.plan.places.len() {
            for (bin, believed) in drive.model.boxes[place].bins.iter().enumerate() {
                let real = drive.world.content(Spot { place, bin });
                let right = believed.confirmed && believed.key == real;
                assert!(right, "seed {seed}, box {place}, bin {bin}: {believed:?}, really {real:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_month() {
    let (one, other) = (replayed(month().0, 7, 0.5).await, replayed(month().0, 7, 0.5).await);
    assert_eq!(one.tally, other.tally);
    assert_eq!(one.model.gaps, other.model.gaps);
}
