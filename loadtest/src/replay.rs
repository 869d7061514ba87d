//! Scenario `replay`: a month of real exchanges, with boxes that go offline and an administrator who moves keys, told
//! to a server and, independently, to a model; at the end both must believe the same.
//!
//! Exchanges of the month are facts: a box journals them whatever it may decide alone. Everything else is drawn from
//! the seed. How simulated time and the server's clock go together is said in `drive`.

mod compare;
mod details;
mod drive;
mod explain;
mod live;
mod plan;
#[cfg(test)]
mod tests;
mod trips;
mod world;

use crate::{
    model::Model,
    report::{Admission, Figure, Latencies, LoadError, Report},
    screen::bar,
    site::{Common, Site},
};
use compare::Findings;
use details::Details;
use drive::Drive;
use live::Live;
use plan::{PEOPLE, Plan};
use serde_json::json;
use std::{path::PathBuf, time::Duration};
use trips::Trips;

#[derive(Clone, Debug, clap::Args)]
pub struct ReplayArgs {
    /// Trips: picked_up_at, dropped_off_at, from_station, to_station, bike; gzip if it ends in .gz.
    #[arg(long)]
    pub csv: PathBuf,
    /// Share of the time for which each box is offline, up to 0.95.
    #[arg(long, default_value_t = 0.3, value_parser = share)]
    pub offline: f64,
    /// Seconds of the month in one second; 0: as fast as it goes.
    #[arg(long, default_value_t = 0.0, value_parser = not_negative)]
    pub speed: f64,
}

fn share(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number")?;
    if (0.0..=0.95).contains(&number) { Ok(number) } else { Err("expected 0 to 0.95".to_owned()) }
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number")?;
    if number >= 0.0 && number.is_finite() { Ok(number) } else { Err("expected 0 or more".to_owned()) }
}

/// `Report::holds` says whether everything agreed.
pub async fn run(args: &ReplayArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let trips = Trips::read(&args.csv).map_err(LoadError::Unfit)?;
    let plan = Plan::new(trips, seed, args.offline);
    let site = Site::open(common).await?;
    let mut report = Report::new("replay", seed);
    report.boxes = Some(plan.places.len() as u64);
    report.entries = Some(plan.exchanges() as u64);
    report.ready_s = site.ready_s.map(Figure::One);
    let progress = bar("boxes made", plan.places.len() as u64);
    let live = Live::set_up(&plan, site.target.clone(), &site.token, seed, || progress.inc(1)).await;
    let live = live.map_err(LoadError::Unfit)?;
    progress.finish_and_clear();

    let progress = bar("exchanges", plan.exchanges() as u64);
    let model = starting_model(&plan);
    let mut drive = Drive::new(plan, model, Some(live), seed);
    let course = site.observe();
    if let Some(live) = &mut drive.live {
        live.course = Some(course.clone());
    }
    let meter = site.meter();
    let broken = drive.run(args.speed, || progress.inc(1)).await.err();
    let used = meter.stop();
    course.end(&mut report).await;
    progress.finish_and_clear();

    let mut findings = Findings::default();
    if broken.is_none() {
        let progress = bar("compared", drive.plan.places.len() as u64);
        findings = compare::compare(&mut drive, || progress.inc(1)).await.map_err(LoadError::Unfit)?;
        progress.finish_and_clear();
    }
    report.server_rss_kib = site.rss_kib();
    let syncs = drive.tally.syncs;
    report.syncs_per_s = Some(Figure::One(syncs as f64 / used.wall_s.max(1e-9)));
    report.entries_per_s = Some(Figure::One(drive.plan.exchanges() as f64 / used.wall_s.max(1e-9)));
    site.report_cpu(&mut report, used, syncs);
    let mut latencies = Latencies::new()?;
    let mut seen = Admission { admitted: syncs, ..Admission::default() };
    if let Some(live) = &drive.live {
        live.latencies_us.iter().for_each(|&us| latencies.record(Duration::from_micros(us)));
        seen.deferred = live.deferred;
    }
    report.admission = Some(site.admission(seen).await);
    latencies.into_report(&mut report);
    conclude(&drive, findings, broken, &mut report);
    site.close(&mut report).await;
    Ok(report)
}

/// Puts into the report what was found, and what must be zero.
fn conclude(drive: &Drive, findings: Findings, broken: Option<String>, report: &mut Report) {
    let details = Details::of(drive);
    println!("\nWhat was not simply applied, by cause:");
    details.summary.iter().for_each(|line| println!("{line}"));
    let mismatches: Vec<&String> = drive.mismatches.iter().chain(&findings.mismatches).collect();
    let errors = u64::from(broken.is_some());
    report.errors = Some(errors);
    report.lost = Some(findings.lost);
    report.doubled = Some(findings.doubled);
    report.model_mismatches = Some(mismatches.len() as u64);
    report.conflicts = Some(findings.conflicts);
    report.flagged = Some(details.flags.len() as u64);
    for (name, count) in [
        ("errors", errors),
        ("lost", findings.lost),
        ("doubled", findings.doubled),
        ("model_mismatches", mismatches.len() as u64),
    ] {
        report.must_be_zero(name, count);
    }
    if let Some(broken) = broken {
        report.breaks(broken);
    }
    mismatches.iter().for_each(|mismatch| report.breaks(mismatch.as_str()));
    let tally = &drive.tally;
    report.detail(
        "month",
        json!({
            "people": PEOPLE, "keys": drive.plan.trips.bikes.len(), "van_moves": drive.plan.van_moves,
            "overlapping_trips": drive.plan.overlapping.iter().filter(|overlaps| **overlaps).count(),
            "offline_share": drive.plan.offline_share, "syncs": tally.syncs, "answers_lost": tally.answers_lost,
            "sent_twice": tally.sent_twice, "in_pieces": tally.in_pieces, "van_corrections": tally.van_corrections,
            "administrator_visits": tally.visits, "administrator_corrections": tally.visit_corrections,
            "permissions_withdrawn": tally.withdrawn, "permissions_granted_again": tally.granted_again,
            "syncs_put_off": drive.live.as_ref().map(|live| live.deferred),
        }),
    );
    let judged = drive.model.boxes.iter().flat_map(|model| &model.judged);
    report.detail(
        "moments_too_close_to_tell",
        json!({
            "permission_or_pick_up_first": judged.filter(|judged| judged.unsure).count(),
        }),
    );
    report.detail("by_cause", details.counted());
    report.detail("summary", details.summary);
    report.detail("conflicts", details.conflicts);
    report.detail("flags", details.flags);
}

/// Every key in its first bin, everyone permitted everywhere.
fn starting_model(plan: &Plan) -> Model {
    let bins: Vec<usize> = plan.places.iter().map(|place| place.bins).collect();
    let mut model = Model::new(&bins);
    let mut first = vec![None; plan.trips.bikes.len()];
    for (place, start) in plan.places.iter().enumerate() {
        for (bin, &key) in start.keys.iter().enumerate() {
            first[key] = Some((place, bin));
        }
    }
    // Keys have the numbers that the trips give them; each has a first trip, and so a first place.
    for (key, (place, bin)) in first.into_iter().flatten().enumerate() {
        model.add_key(place, bin, plan.roaming[key]);
    }
    for place in 0..plan.places.len() {
        for person in 0..PEOPLE {
            model.grant(place, person);
        }
    }
    model
}
