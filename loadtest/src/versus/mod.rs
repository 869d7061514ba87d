//! `versus`: the yardstick. The same generator sends the same bytes to the server, where every answer is durable, and
//! to a bare handler that parses them and answers as many bytes; the two take turns, and medians count.

pub(crate) mod drive;
pub(crate) mod request;

use crate::{
    chance::Chance,
    client::Target,
    course::Course,
    cpu::{Meter, Used},
    fleet::{self, FleetBox, Shape},
    process::{EchoProcess, find_binary, raise_open_files},
    report::{Figure, Latencies, LoadError, Report, median},
    screen::bar,
    site::{Common, Site},
};
use drive::{Driven, drive};
use request::{Driver, Road};
use serde_json::{Value, json};
use std::time::Duration;

/// Processors that others may keep busy before a run says nothing.
const FOREIGN_CORES_MAX: f64 = 0.15;
/// Boxes whose histories are looked at in the end.
const SAMPLED: usize = 200;

#[derive(clap::Args, Clone, Debug)]
pub struct VersusArgs {
    /// How many boxes share the connections.
    #[arg(long, default_value_t = 20_000)]
    pub boxes: usize,
    /// Journal entries in each sync: pick-ups and drop-offs by turns, so an even number.
    #[arg(long, default_value_t = 10, value_parser = even)]
    pub entries: usize,
    /// Connection counts to measure with.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256, 2000])]
    pub connections: Vec<usize>,
    /// Runs of each kind with each connection count.
    #[arg(long, default_value_t = 5)]
    pub repeat: usize,
    /// Length of one run.
    #[arg(long, default_value_t = 5.0)]
    pub duration_s: f64,
    /// Only measure: do not fail when the ratio is below 0.45 (0.40 from 1,000 connections on).
    #[arg(long)]
    pub no_floor: bool,
}

pub(crate) fn even(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number % 2 == 0 && (2..=256).contains(&number) => Ok(number),
        _ => Err("an even number from 2 to 256".to_owned()),
    }
}

/// One run that counts.
struct Run {
    per_s: f64,
    driven: Driven,
    used: Used,
}

/// All runs with one connection count.
struct Measured {
    connections: usize,
    syncs: Vec<Run>,
    echoes: Vec<Run>,
    thrown_away: usize,
}

pub async fn run(args: &VersusArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("versus", seed);
    let most = args.connections.iter().copied().max().unwrap_or(0);
    let may_open = raise_open_files(most as u64 + 200);
    if args.connections.iter().any(|count| *count == 0 || *count > args.boxes) || may_open < most as u64 + 100 {
        let why = format!("connections must be 1 to --boxes; this process may open {may_open} sockets");
        return Err(LoadError::Unfit(why));
    }
    let chance = Chance::seeded(seed);
    let mut site = Site::open(common).await?;
    site.own()?;
    let before_kib = site.rss_kib();
    let shape = Shape { boxes: args.boxes, bins: 10, keys: 10.max(args.entries / 2), people: 2 };
    let shape = Shape { bins: shape.keys, ..shape };
    let fleet = fleet::build(&mut site.operator(&chance), &shape, &chance).await?;
    site.report_memory(&mut report, before_kib, args.boxes);
    let echo = EchoProcess::start(&find_binary(common.server_bin.as_deref())?).await?;
    let mut drivers = prepare(&fleet.boxes, &site.target, args.entries)?;

    let course = site.observe();
    course.watch("echo", echo.pid());
    let mut all = Vec::new();
    let progress = bar("runs", (args.connections.len() * args.repeat * 2) as u64);
    for connections in &args.connections {
        course.mark(format!("{connections} connections"));
        let measured = measure(args, *connections, &site, &echo, &mut drivers, (&progress, &course)).await?;
        all.push(measured);
    }
    progress.finish_and_clear();
    course.end(&mut report).await;
    drop(echo);
    check_histories(&mut report, &site, &fleet, &drivers, &chance).await?;
    summarise(&mut report, args, all)?;
    report.boxes = Some(args.boxes as u64);
    report.admission = Some(site.admission(crate::report::Admission::default()).await);
    report.ready_s = site.ready_s.map(Figure::One);
    site.close(&mut report).await;
    Ok(report)
}

/// The bytes of every box's sync, once and for all, dealt out so that neighbours are on different connections.
fn prepare(boxes: &[FleetBox], target: &Target, entries: usize) -> Result<Vec<Driver>, LoadError> {
    let drivers: Vec<Driver> = boxes.iter().map(|fleet_box| Driver::new(fleet_box, target, entries)).collect();
    match drivers.iter().find(|driver| driver.layout != drivers[0].layout) {
        None => Ok(drivers),
        Some(_) => {
            Err(LoadError::Unfit("the boxes' requests differ in length: ids or tickets vary in size".to_owned()))
        }
    }
}

async fn measure(
    args: &VersusArgs,
    connections: usize,
    site: &Site,
    echo: &EchoProcess,
    drivers: &mut Vec<Driver>,
    (progress, course): (&indicatif::ProgressBar, &Course),
) -> Result<Measured, LoadError> {
    let mut measured = Measured { connections, syncs: Vec::new(), echoes: Vec::new(), thrown_away: 0 };
    let length = Duration::from_secs_f64(args.duration_s);
    // The first run of each kind only warms up.
    for road in [Road::Echo, Road::Sync] {
        one_run(road, connections, length / 5, site, echo, drivers, None).await?;
    }
    let mut thrown: [Vec<Run>; 2] = [Vec::new(), Vec::new()];
    for turn in 0..args.repeat * 3 + 3 {
        // Each kind goes first every second time.
        let order = if turn % 2 == 0 { [Road::Echo, Road::Sync] } else { [Road::Sync, Road::Echo] };
        for road in order {
            let kept = if road == Road::Sync { &mut measured.syncs } else { &mut measured.echoes };
            if kept.len() == args.repeat {
                continue;
            }
            let run = one_run(road, connections, length, site, echo, drivers, Some(course)).await?;
            if run.used.foreign_cores > FOREIGN_CORES_MAX {
                measured.thrown_away += 1;
                thrown[usize::from(road == Road::Sync)].push(run);
            } else {
                kept.push(run);
                progress.inc(1);
            }
        }
        if measured.syncs.len() == args.repeat && measured.echoes.len() == args.repeat {
            break;
        }
    }
    // A machine that is never quiet: the calmest runs stand in, and the report says so.
    let [echoes, syncs] = thrown;
    for (kept, mut noisy) in [(&mut measured.echoes, echoes), (&mut measured.syncs, syncs)] {
        noisy.sort_by(|a, b| a.used.foreign_cores.total_cmp(&b.used.foreign_cores));
        noisy.truncate(args.repeat - kept.len());
        kept.append(&mut noisy);
    }
    Ok(measured)
}

async fn one_run(
    road: Road,
    connections: usize,
    length: Duration,
    site: &Site,
    echo: &EchoProcess,
    drivers: &mut Vec<Driver>,
    course: Option<&Course>,
) -> Result<Run, LoadError> {
    let server = site.process.as_ref().and_then(|process| process.pid()).unwrap_or(0);
    let (target, pids) = match road {
        Road::Sync => (&site.target, [server, echo.pid()]),
        Road::Echo => (&echo.target, [echo.pid(), server]),
    };
    drivers.iter_mut().for_each(|driver| driver.take(road));
    let links = drive::open_all(target, connections).await?;
    let meter = Meter::start(&pids);
    let driven = drive(road, links, std::mem::take(drivers), length, course.cloned()).await?;
    let used = meter.stop();
    let (driven, back) = driven;
    *drivers = back;
    Ok(Run { per_s: driven.answers as f64 / used.wall_s, driven, used })
}

/// The newest entry of some boxes must be the last one that was receipted.
async fn check_histories(
    report: &mut Report,
    site: &Site,
    fleet: &fleet::Fleet,
    drivers: &[Driver],
    chance: &Chance,
) -> Result<(), LoadError> {
    let mut apis = crate::road::apis(&site.target, fleet, chance);
    let mut lost = 0;
    for at in (0..drivers.len()).step_by((drivers.len() / SAMPLED).max(1)) {
        let fleet_box = &fleet.boxes[at];
        let path = format!("/boxes/{}/history?limit=1", fleet_box.id());
        let newest = apis[fleet_box.organisation].get(&path).await?["items"][0]["seq"].as_u64().unwrap_or(0);
        let expected = drivers[at].acknowledged;
        if newest != expected {
            lost += expected.abs_diff(newest);
            report.breaks(format!("{}: newest entry {newest}, receipted up to {expected}", fleet_box.id()));
        }
    }
    report.lost = Some(lost);
    report.must_be_zero("lost", lost);
    Ok(())
}

fn summarise(report: &mut Report, args: &VersusArgs, all: Vec<Measured>) -> Result<(), LoadError> {
    let mut table: Vec<Value> = Vec::new();
    let mut errors = 0;
    let mut answers = 0;
    for measured in all {
        let connections = measured.connections;
        let middle = |runs: &[Run], of: &dyn Fn(&Run) -> f64| median(runs.iter().map(of).collect());
        let syncs_per_s = middle(&measured.syncs, &|run| run.per_s);
        let echo_per_s = middle(&measured.echoes, &|run| run.per_s);
        let ratio = syncs_per_s / echo_per_s.max(1e-9);
        let per_sync = |of: &dyn Fn(&Used) -> f64| {
            middle(&measured.syncs, &|run| of(&run.used) * 1e6 / run.driven.answers.max(1) as f64)
        };
        let mut latencies = Latencies::new()?;
        for run in &measured.syncs {
            latencies.add(&run.driven.latencies)?;
            answers += run.driven.answers;
        }
        let foreign = measured.syncs.iter().chain(&measured.echoes).map(|run| run.used.foreign_cores);
        let foreign = foreign.fold(0.0, f64::max);
        for run in measured.syncs.iter().chain(&measured.echoes) {
            errors += run.driven.errors;
            report.broken.extend(run.driven.words.iter().cloned());
        }
        if foreign > FOREIGN_CORES_MAX {
            report.breaks(format!("{connections} connections: too few quiet runs, others used {foreign:.2} cores"));
        }
        let floor = if connections >= 1000 { 0.40 } else { 0.45 };
        if !args.no_floor && ratio < floor {
            report.breaks(format!("{connections} connections: ratio to echo {ratio:.3} is below {floor}"));
        }
        let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
        let rates = |runs: &[Run]| runs.iter().map(|run| run.per_s.round()).collect::<Vec<_>>();
        let columns = [
            (&mut report.syncs_per_s, syncs_per_s),
            (&mut report.entries_per_s, syncs_per_s * args.entries as f64),
            (&mut report.ratio_to_echo, ratio),
            (&mut report.p50_ms, latencies.quantile_ms(0.5)),
            (&mut report.p99_ms, latencies.quantile_ms(0.99)),
            (&mut report.p999_ms, latencies.quantile_ms(0.999)),
            (&mut report.server_cpu_us_per_sync, per_sync(&|used| used.server_s)),
            (&mut report.generator_cpu_us_per_sync, per_sync(&|used| used.generator_s)),
            (&mut report.foreign_cpu_cores, foreign),
        ];
        for (column, number) in columns {
            match column {
                Some(Figure::Each(cases)) => cases.push((connections.to_string(), number)),
                empty => *empty = Some(Figure::Each(vec![(connections.to_string(), number)])),
            }
        }
        table.push(json!({
            "connections": connections,
            "syncs_per_s": syncs_per_s.round(), "echo_per_s": echo_per_s.round(), "ratio_to_echo": rounded(ratio),
            "sync_runs": rates(&measured.syncs), "echo_runs": rates(&measured.echoes),
            "thrown_away": measured.thrown_away,
            "deferred": measured.syncs.iter().map(|run| run.driven.deferred).sum::<u64>(),
            "answer_bytes": measured.syncs.last().map_or(0, |run| run.driven.answer_bytes),
            "echo_answer_bytes": measured.echoes.last().map_or(0, |run| run.driven.answer_bytes),
            "echo_cpu_us": rounded(middle(&measured.echoes, &|run| {
                run.used.server_s * 1e6 / run.driven.answers.max(1) as f64
            })),
        }));
    }
    report.entries = Some(answers * args.entries as u64);
    report.errors = Some(errors);
    report.must_be_zero("errors", errors);
    report.detail("runs", table);
    Ok(())
}
