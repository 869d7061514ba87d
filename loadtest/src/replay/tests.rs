//! The whole month without a server: does the accounting close?

use super::{
    drive::Drive,
    plan::{Plan, Step},
    starting_model,
    trips::Trips,
};
use crate::model::Outcome;
use std::path::Path;

fn month() -> Option<Trips> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/exchanges-2016-07.csv.gz");
    path.exists().then(|| Trips::read(&path).unwrap())
}

async fn replayed(trips: Trips, seed: u64, offline: f64) -> Drive {
    let plan = Plan::new(trips, seed, offline);
    let model = starting_model(&plan);
    let mut drive = Drive::new(plan, model, None, seed);
    drive.run(0.0, |_| ()).await.unwrap();
    drive
}

#[tokio::test]
async fn the_month_is_accounted_for() {
    let Some(trips) = month() else { return };
    let begun = std::time::Instant::now();
    let drive = replayed(trips, 1, 0.3).await;
    eprintln!("{:?} {:?}", begun.elapsed(), drive.tally);
    for (cause, n) in drive.causes() { eprintln!("{n:6} {cause:?}"); }
    let mut g = std::collections::BTreeMap::new(); for c in &drive.gap_causes { *g.entry(c).or_insert(0) += 1; } eprintln!("{g:?}");
    eprintln!("moved flagged {}", drive.model.boxes.iter().flat_map(|b| &b.moved_in).filter(|a| a.flagged).count());
    eprintln!("gaps {} offline {}", drive.model.gaps.len(), drive.plan.offline_share);
    assert_eq!(drive.plan.places.len(), 55);
    assert_eq!(drive.plan.van_moves, 5_163);
    assert_eq!(drive.plan.exchanges(), 48_872);
    let journalled: usize = drive.sides.iter().map(|side| side.journal.len()).sum();
    let judged: usize = drive.model.boxes.iter().map(|place| place.judged.len()).sum();
    assert_eq!((journalled, judged), (48_872, 48_872));
    let _ = (Step::Online { place: 0 }, Outcome::Applied);
}
