//! `soak`: everything that a day brings, at half of what the server can do, for long. Nothing may grow that should not.

mod life;

use crate::{
    chance::Chance,
    course::Course,
    figures::{after_warm_up, growth, mean},
    fleet::{self, Fleet, Shape},
    process::raise_open_files,
    prometheus::{QUEUES, Scraped},
    ramp::{Ground, RampArgs, USABLE_MS, find, knee},
    report::{Bound, Figure, LoadError, Report},
    site::{Common, Site},
    timetable::{Paced, Timetable, sync_by},
    versus::{drive::open_all, request::Driver},
};
use life::Life;
use serde_json::json;
use std::time::Duration;

/// What is left out at the beginning, while caches and memory tables fill.
const WARM_UP: f64 = 0.3;
/// Growth of memory over the rest that still counts as flat: this share of it, or so much.
const GROWTH_SHARE_MAX: f64 = 0.05;
const GROWTH_MIB_MAX: f64 = 48.0;
/// Small, so that it is full when the warm-up is over: the disk's tables grow all the time, and so would what is cached of
/// them, up to the 256 MiB that are the default.
const STORE: &str = "block_cache_mib = 32\n";
/// How long queues may take to be empty once nobody asks any more.
const DRAINED_WITHIN: Duration = Duration::from_secs(15);
const SYNC_CONNECTIONS: usize = 256;

#[derive(clap::Args, Clone, Debug)]
pub struct SoakArgs {
    /// Length of the load.
    #[arg(long, default_value_t = 600)]
    pub seconds: u64,
    /// How many boxes sync, beside the few that people and administrators use.
    #[arg(long, default_value_t = 3000)]
    pub boxes: usize,
    /// Syncs a second. Without it a short ramp finds the knee, and half of it is taken.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Journal entries in each sync, an even number.
    #[arg(long, default_value_t = 10, value_parser = crate::versus::even)]
    pub entries: usize,
}

pub async fn run(args: &SoakArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("soak", seed);
    let connections = SYNC_CONNECTIONS.min(args.boxes);
    raise_open_files(connections as u64 + 400);
    if args.boxes == 0 || args.rate.is_some_and(|rate| rate <= 0.0) {
        return Err(LoadError::Unfit("boxes and rate must be above 0".to_owned()));
    }
    let chance = Chance::seeded(seed);
    let site = Site::open_tuned(common, STORE).await?;
    report.ready_s = site.ready_s.map(Figure::One);
    let keys = 10.max(args.entries / 2);
    let shape = Shape { boxes: args.boxes, bins: keys, keys, people: 2 };
    let fleet = fleet::build(&mut site.operator(&chance), &shape, &chance).await?;
    let mut drivers: Vec<Driver> =
        fleet.boxes.iter().map(|fleet_box| Driver::new(fleet_box, &site.target, args.entries)).collect();
    // Boxes that administrators change are others than those whose entries must all fit.
    let shape = Shape { boxes: life::BOXES, bins: 12, keys: 10, people: 2 };
    let lively = fleet::build(&mut site.operator(&chance.fork(2)), &shape, &chance.fork(2)).await?;

    let rate = match args.rate {
        Some(rate) => rate,
        None => half_the_knee(args, &site, &mut drivers, &mut report).await?,
    };
    report.detail("syncs_offered_per_s", rate.round());
    let course = site.observe();
    let refused_before = site.metrics().await.map_or(0.0, |text| Scraped::read(&text).mailbox_full);
    let meter = site.meter();
    let length = Duration::from_secs(args.seconds);
    let life = Life::begin(&site.target, lively, &course, length, &chance);
    let links = open_all(&site.target, connections).await?;
    let timetable = Timetable::new(rate, length);
    let (paced, links, _) = sync_by(&timetable, links, drivers, Duration::ZERO, &course).await?;
    drop(links);
    let lived = life.end().await?;
    let used = meter.stop();
    let drained = drain(&site).await;

    report.boxes = Some((args.boxes + life::BOXES) as u64);
    report.entries = Some(paced.answers * args.entries as u64);
    report.syncs_per_s = Some(Figure::One(paced.answers as f64 / paced.took_s.max(1e-9)));
    site.report_cpu(&mut report, used, paced.answers);
    report.server_rss_kib = site.rss_kib();
    judge(&mut report, &course, &paced, lived, drained);
    let refused = site.metrics().await.map_or(0.0, |text| Scraped::read(&text).mailbox_full) - refused_before;
    report.must_be_zero("mailbox_full_refusals", refused.max(0.0) as u64);
    paced.latencies.into_report(&mut report);
    report.admission = Some(site.admission(crate::report::Admission::default()).await);
    course.end(&mut report).await;
    look_at_everybody(&mut report, &site, &fleet, &chance).await?;
    site.close(&mut report).await;
    Ok(report)
}

/// A short ramp over the same boxes.
async fn half_the_knee(
    args: &SoakArgs,
    site: &Site,
    drivers: &mut Vec<Driver>,
    report: &mut Report,
) -> Result<f64, LoadError> {
    let ramp = RampArgs {
        boxes: args.boxes,
        entries: args.entries,
        connections: SYNC_CONNECTIONS.min(args.boxes),
        from: 500.0,
        factor: 1.5,
        step_s: 2.0,
        to: 60_000.0,
    };
    let links = open_all(&site.target, ramp.connections).await?;
    let mut ground = Ground { links, drivers: std::mem::take(drivers), course: site.observe() };
    let steps = find(&mut ground, &site.target, &ramp, Duration::from_secs_f64(ramp.step_s)).await?;
    *drivers = ground.drivers;
    // What it saw is not the soak's; its charts go nowhere.
    ground.course.end(&mut Report::new("ramp", 0)).await;
    let knee = knee(&steps, USABLE_MS).unwrap_or(ramp.from);
    report.detail("knee_per_s", knee.round());
    Ok(knee / 2.0)
}

/// Whether all queues are empty soon after the last request, and how long that took.
async fn drain(site: &Site) -> Result<f64, Vec<String>> {
    let began = std::time::Instant::now();
    loop {
        let Some(text) = site.metrics().await else { return Ok(0.0) };
        let gauges = Scraped::read(&text).gauges;
        let full: Vec<String> = QUEUES
            .iter()
            .filter(|(metric, _)| gauges.get(metric).is_some_and(|waiting| *waiting > 0.0))
            .map(|(metric, words)| format!("{words}: {}", gauges[metric]))
            .collect();
        match full.is_empty() {
            true => return Ok(began.elapsed().as_secs_f64()),
            false if began.elapsed() > DRAINED_WITHIN => return Err(full),
            false => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

fn judge(report: &mut Report, course: &Course, paced: &Paced, lived: life::Lived, drained: Result<f64, Vec<String>>) {
    let errors = paced.errors + lived.errors;
    report.errors = Some(errors);
    report.must_be_zero("errors", errors);
    report.must_be_zero("syncs_put_off", paced.deferred);
    report.must_be_zero("syncs_never_sent", paced.never_sent);
    report.broken.extend(paced.words.iter().cloned().chain(lived.words));
    report.detail("feed_items_read", lived.feed_items);
    match drained {
        Ok(seconds) => report.detail("queues_empty_after_s", (seconds * 100.0).round() / 100.0),
        Err(full) => report.breaks(format!("not empty {DRAINED_WITHIN:?} after the end: {}", full.join(", "))),
    }
    let memory = course.server_memory();
    let flat = after_warm_up(&memory, WARM_UP);
    if flat.len() > 1 {
        let allowed = GROWTH_MIB_MAX.max(GROWTH_SHARE_MAX * mean(flat.iter().map(|point| point.1)));
        let word = "growth of memory after the warm-up, MiB by its trend";
        report.must(word, growth(flat), Bound::AtMost(allowed));
        let store = course.store_memory();
        let store = after_warm_up(&store, WARM_UP);
        let ends = |points: &[(f64, f64)]| {
            thirds(points)
                .map(|(first, last)| json!({ "first_third_mib": first.round(), "last_third_mib": last.round() }))
        };
        report.detail("memory_resident", ends(flat));
        report.detail("memory_of_the_database", ends(store));
    }
    for (metric, words) in QUEUES {
        let depths = course.queue(metric);
        if let Some((before, after)) = thirds(after_warm_up(&depths, WARM_UP)) {
            // Twice as deep, and more than a burst: it grows.
            report.must(&format!("{words}, at the end"), after, Bound::AtMost(2.0 * before + 200.0));
        }
    }
}

/// The mean in the first and in the last third.
fn thirds(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let third = points.len() / 3;
    let of = |points: &[(f64, f64)]| mean(points.iter().map(|point| point.1));
    (third > 0).then(|| (of(&points[..third]), of(&points[points.len() - third..])))
}

/// Every organisation's list can still be read to its end.
async fn look_at_everybody(report: &mut Report, site: &Site, fleet: &Fleet, chance: &Chance) -> Result<(), LoadError> {
    let mut listed = 0;
    for api in &mut crate::road::apis(&site.target, fleet, chance) {
        listed += api.list("/boxes").await?.len();
    }
    if listed != fleet.boxes.len() {
        report.breaks(format!("the lists name {listed} boxes of {}", fleet.boxes.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_grows_is_seen() {
        let rising: Vec<(f64, f64)> = (0..90).map(|at| (f64::from(at), f64::from(at) * 20.0)).collect();
        let (before, after) = thirds(&rising).unwrap();
        assert!(after > 2.0 * before + 200.0, "{before} {after}");
        let busy: Vec<(f64, f64)> = (0..90).map(|at| (f64::from(at), f64::from(at % 9) * 20.0)).collect();
        let (before, after) = thirds(&busy).unwrap();
        assert!(after <= 2.0 * before + 200.0, "{before} {after}");
        assert_eq!(thirds(&[(0.0, 1.0)]), None);
    }
}
