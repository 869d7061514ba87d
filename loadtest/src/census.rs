//! `census`: a million boxes are known, a tenth of them awake. What does one cost in memory, how long does a sleeping
//! one take to answer, how long does the server take to be ready with all of them on its disk?

mod people;
mod wake;

use crate::{
    chance::Chance,
    course::Course,
    figures::trend,
    fleet::{self, Shape},
    html::Chart,
    process::raise_open_files,
    prometheus::Scraped,
    report::{Bound, Figure, LoadError, Report},
    site::{Common, Site},
    versus::{
        drive::{drive, open_all},
        request::{Driver, Road},
    },
};
use people::Census;
use serde_json::json;
use std::{path::PathBuf, time::Duration};

const MIB: f64 = 1_048_576.0;
/// What a server may use before the first box counts.
const BASE_MIB: f64 = 200.0;
const BYTES_PER_AWAKE_BOX_MAX: f64 = 6.0 * 1024.0;
/// What all the sleeping boxes together may cost, beside the database's bounded caches: noise.
const ASLEEP_MIB_MAX: f64 = 32.0;
const READY_S_MAX: f64 = 3.0;
/// Boxes and connections of the load under which the server is killed.
const LOADED: Shape = Shape { boxes: 1000, bins: 10, keys: 10, people: 2 };
const LOAD_CONNECTIONS: usize = 64;
const LOAD_ENTRIES: usize = 10;

#[derive(clap::Args, Clone, Debug)]
pub struct CensusArgs {
    /// Boxes that exist.
    #[arg(long, default_value_t = 1_000_000)]
    pub known: usize,
    /// Boxes that are woken: enrolled, 10 bins, 10 keys, 20 accesses.
    #[arg(long, default_value_t = 100_000)]
    pub awake: usize,
    /// Keep the folder with the boxes here, to use it again.
    #[arg(long, value_name = "FOLDER", conflicts_with = "reuse")]
    pub keep: Option<PathBuf>,
    /// Use the boxes of an earlier --keep instead of making them.
    #[arg(long, value_name = "FOLDER")]
    pub reuse: Option<PathBuf>,
    /// Length of the full load before kill -9.
    #[arg(long, default_value_t = 5.0)]
    pub load_s: f64,
    /// Connections that make boxes, and that wake them.
    #[arg(long, default_value_t = 32)]
    pub connections: usize,
    /// Only measure: do not fail when a figure is beyond its target.
    #[arg(long)]
    pub no_targets: bool,
}

/// Memory of the server at one moment, in MiB.
#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    resident: f64,
    /// Of it the database's caches and memory tables, which its configuration bounds whatever is known or awake.
    store: f64,
}

impl Moment {
    fn beside_the_store(self) -> f64 {
        self.resident - self.store
    }
}

/// The moments that are compared.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    empty: Moment,
    asleep: Moment,
    awake: Moment,
}

pub async fn run(args: &CensusArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("census", seed);
    if args.awake == 0 || args.awake > args.known || args.connections == 0 {
        return Err(LoadError::Unfit("--awake must be 1 to --known, --connections above 0".to_owned()));
    }
    raise_open_files(args.connections as u64 + 400);
    let chance = Chance::seeded(seed);
    let mut memory = Memory { empty: of_an_empty_server(common).await?, ..Memory::default() };
    let mut site = Site::open_own(common, args.keep.as_deref().or(args.reuse.as_deref())).await?;
    site.own()?;
    let census = match &args.reuse {
        Some(folder) => Census::read(folder)?,
        None => Census::make(&site, args, &chance).await?,
    };
    if let Some(folder) = &args.keep {
        census.write(folder)?;
    }
    if census.boxes.len() < args.awake {
        return Err(LoadError::Unfit(format!("only {} boxes there can be woken", census.boxes.len())));
    }

    // Everybody goes to sleep, and nobody may cost anything.
    let stopping = std::time::Instant::now();
    site.own()?.stop().await?;
    report.detail("graceful_stop_s", seconds(stopping.elapsed()));
    let after_stop = site.own()?.spawn().await?.as_secs_f64();
    memory.asleep = settled(&site).await;

    let course = site.observe();
    course.mark("waking");
    let woken = wake::all(&site.target, &census.boxes[..args.awake], args.connections, &course, &site).await?;
    memory.awake = settled(&site).await;
    let awake = site.metrics().await.and_then(|text| Scraped::read(&text).awake.get("box").copied());
    course.mark("asked again");
    let again = args.awake.min(10_000);
    wake::again(&site.target, &census.boxes[..again], args.connections, &course).await?;

    let after_kill = killed_under_load(args, &mut site, &course, &chance, &mut report).await?;
    course.end(&mut report).await;

    report.boxes = Some(census.known as u64);
    report.errors = Some(woken.errors);
    report.must_be_zero("errors", woken.errors);
    report.broken.extend(woken.words);
    report.p50_ms = Some(woken.latencies.quantile_ms(0.5).into());
    report.p99_ms = Some(woken.latencies.quantile_ms(0.99).into());
    report.p999_ms = Some(woken.latencies.quantile_ms(0.999).into());
    let ready = [("after a stop", after_stop), ("after kill -9 under load", after_kill)];
    report.ready_s = Some(Figure::Each(ready.map(|(when, seconds)| (when.to_owned(), seconds)).to_vec()));
    report.detail("awake_by_the_server", awake.unwrap_or_default());
    conclude(&mut report, args, memory, &woken.memory, &ready);
    site.close(&mut report).await;
    Ok(report)
}

fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1000.0).round() / 1000.0
}

async fn of_an_empty_server(common: &Common) -> Result<Moment, LoadError> {
    let mut site = Site::open_own(common, None).await?;
    let moment = settled(&site).await;
    site.own()?.stop().await?;
    Ok(moment)
}

/// A moment later, when what was only for a moment is given back.
async fn settled(site: &Site) -> Moment {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let store = site.metrics().await.map_or(0.0, |text| Scraped::read(&text).store_memory.values().sum());
    Moment { resident: site.rss_kib().unwrap_or(0) as f64 / 1024.0, store: store / MIB }
}

/// As many syncs as go, then kill -9 in the middle; until the server is ready again. What had its receipt must be there.
async fn killed_under_load(
    args: &CensusArgs,
    site: &mut Site,
    course: &Course,
    chance: &Chance,
    report: &mut Report,
) -> Result<f64, LoadError> {
    let shape = Shape { boxes: LOADED.boxes.min(args.known), ..LOADED };
    let fleet = fleet::build(&mut site.operator(&chance.fork(5)), &shape, &chance.fork(5)).await?;
    let drivers = fleet.boxes.iter().map(|fleet_box| Driver::new(fleet_box, &site.target, LOAD_ENTRIES)).collect();
    let links = open_all(&site.target, LOAD_CONNECTIONS.min(shape.boxes)).await?;
    course.mark("full load");
    let length = Duration::from_secs_f64(args.load_s);
    // The load is longer than the server lives: the kill comes in its middle.
    let load = tokio::task::spawn_local(drive(Road::Sync, links, drivers, length * 2, Some(course.clone())));
    tokio::time::sleep(length).await;
    site.own()?.kill()?;
    course.mark("kill -9");
    let ready = site.own()?.spawn().await?;
    course.mark("ready");
    let (driven, drivers) = load.await.map_err(|error| LoadError::Unfit(error.to_string()))??;
    report.detail("syncs_before_the_kill", driven.answers);
    let mut lost = 0;
    let mut apis = crate::road::apis(&site.target, &fleet, chance);
    for (fleet_box, driver) in fleet.boxes.iter().zip(&drivers).step_by(5) {
        let path = format!("/boxes/{}/history?limit=1", fleet_box.id());
        let newest = apis[fleet_box.organisation].get(&path).await?["items"][0]["seq"].as_u64().unwrap_or(0);
        lost += driver.acknowledged.saturating_sub(newest);
    }
    report.acknowledged_lost = Some(lost);
    report.must_be_zero("acknowledged_lost", lost);
    Ok(ready.as_secs_f64())
}

fn conclude(
    report: &mut Report,
    args: &CensusArgs,
    memory: Memory,
    by_awake: &[(f64, f64)],
    ready: &[(&'static str, f64)],
) {
    let Memory { empty, asleep, awake } = memory;
    let each = |mib: f64| mib.max(0.0) * MIB / args.awake as f64;
    let per_box = each(awake.resident - BASE_MIB);
    report.server_rss_kib = Some((awake.resident * 1024.0) as u64);
    report.rss_bytes_per_awake_box = Some(per_box as u64);
    let sleeping = asleep.beside_the_store() - empty.beside_the_store();
    let slope = trend(by_awake).map_or(0.0, |(slope, _)| slope * MIB);
    let parts = |moment: Moment| json!({ "resident": moment.resident.round(), "of_it_store": moment.store.round() });
    report.detail(
        "memory",
        json!({
            "empty_mib": parts(empty), "all_asleep_mib": parts(asleep), "awake_mib": parts(awake),
            "all_sleeping_boxes_mib": (asleep.resident - empty.resident).round(),
            "all_sleeping_boxes_beside_store_mib": sleeping.round(),
            "bytes_per_awake_box_beyond_200_mib": per_box.round(),
            "bytes_per_awake_box_beyond_asleep": each(awake.resident - asleep.resident).round(),
            "bytes_per_awake_box_beside_store": each(awake.beside_the_store() - asleep.beside_the_store()).round(),
            "bytes_per_awake_box_by_trend": slope.round(),
        }),
    );
    let line: Vec<(f64, f64)> = by_awake.to_vec();
    let chart = Chart::new("Memory by boxes awake", "boxes awake", "MiB resident")
        .dots("server", &line)
        .line("empty server", &[(0.0, empty.resident), (args.awake as f64, empty.resident)])
        .line(
            "allowed: 200 MiB and 6 KiB each",
            &[
                (0.0, BASE_MIB),
                (args.awake as f64, BASE_MIB + args.awake as f64 * BYTES_PER_AWAKE_BOX_MAX / 1_048_576.0),
            ],
        );
    report.charts.insert(0, chart);
    if args.no_targets {
        return;
    }
    let word = "bytes an awake box, beyond a base of 200 MiB";
    report.must(word, per_box, Bound::AtMost(BYTES_PER_AWAKE_BOX_MAX));
    report.must(
        "MiB for all sleeping boxes together, beside the database's bounded memory",
        sleeping,
        Bound::AtMost(ASLEEP_MIB_MAX),
    );
    for (when, seconds) in ready {
        report.must(&format!("seconds to ready {when}"), *seconds, Bound::AtMost(READY_S_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(awake: usize) -> CensusArgs {
        let (keep, reuse, load_s, connections) = (None, None, 1.0, 1);
        CensusArgs { known: awake * 10, awake, keep, reuse, load_s, connections, no_targets: false }
    }

    #[test]
    fn memory_is_judged_beyond_the_base() {
        let mut report = Report::new("census", 1);
        let at = |resident, store| Moment { resident, store };
        let memory = Memory { empty: at(40.0, 1.0), asleep: at(160.0, 110.0), awake: at(200.0 + 500.0, 130.0) };
        let by_awake = [(0.0, 60.0), (50_000.0, 380.0), (100_000.0, 700.0)];
        conclude(&mut report, &args(100_000), memory, &by_awake, &[("after a stop", 0.4)]);
        assert!(report.holds(), "{:?}", report.broken);
        assert_eq!(report.rss_bytes_per_awake_box, Some(5242));
        assert_eq!(report.details["memory"]["bytes_per_awake_box_by_trend"], 6711.0);
        assert_eq!(report.details["memory"]["all_sleeping_boxes_beside_store_mib"], 11.0);
        let mut report = Report::new("census", 1);
        let memory = Memory { empty: at(40.0, 1.0), asleep: at(400.0, 110.0), awake: at(900.0, 120.0) };
        conclude(&mut report, &args(100_000), memory, &by_awake, &[("after a stop", 3.5)]);
        assert_eq!(report.broken.len(), 3, "{:?}", report.broken);
    }
}
