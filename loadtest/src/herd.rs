//! `herd`: thousands of boxes come at once, each with a connection of its own: connect, one sync, its answer, close.
//! A bare handler takes the same herd by turns; then the server once more, over TLS.

mod stampede;

use crate::{
    chance::Chance,
    course::Course,
    cpu::Meter,
    fleet::{self, Shape},
    html::Chart,
    kernel::ListenDrops,
    process::{EchoProcess, find_binary, raise_open_files},
    report::{Bound, Figure, LoadError, Report, median},
    screen::bar,
    site::{Common, Site},
    tls::{SelfSigned, Tls},
    versus::request::Driver,
};
use serde_json::json;
use stampede::{Herd, Run, stampede};
use std::{collections::BTreeMap, time::Duration};

/// The longest time against the bare handler's herd, and of TLS against plain.
const AGAINST_ECHO_MAX: f64 = 2.5;
const TLS_AGAINST_PLAIN_MAX: f64 = 3.5;

#[derive(clap::Args, Clone, Debug)]
pub struct HerdArgs {
    /// How many boxes come at once, each with a new connection.
    #[arg(long, default_value_t = 10_000)]
    pub connections: usize,
    /// Journal entries in each sync: pick-ups and drop-offs by turns, so an even number.
    #[arg(long, default_value_t = 10, value_parser = crate::versus::even)]
    pub entries: usize,
    /// Herds of each kind; medians count.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Leave TLS out.
    #[arg(long)]
    pub no_tls: bool,
    /// Only measure: do not fail when a time is too long.
    #[arg(long)]
    pub no_targets: bool,
}

pub async fn run(args: &HerdArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("herd", seed);
    let may_open = raise_open_files(args.connections as u64 + 200);
    if may_open < args.connections as u64 + 100 || args.rounds == 0 || args.connections == 0 {
        let why =
            format!("{} connections in {} rounds: this process may open {may_open}", args.connections, args.rounds);
        return Err(LoadError::Unfit(why));
    }
    let chance = Chance::seeded(seed);
    let mut site = Site::open(common).await?;
    site.own()?;
    report.ready_s = site.ready_s.map(Figure::One);
    let shape = Shape { boxes: args.connections, bins: 10, keys: 10.max(args.entries / 2), people: 2 };
    let shape = Shape { bins: shape.keys, ..shape };
    let fleet = fleet::build(&mut site.operator(&chance), &shape, &chance).await?;
    let drivers = fleet.boxes.iter().map(|fleet_box| Driver::new(fleet_box, &site.target, args.entries)).collect();
    let echo = EchoProcess::start(&find_binary(common.server_bin.as_deref())?).await?;

    let course = site.observe();
    course.watch("echo", echo.pid());
    let mut field = Field { course: &course, drivers, runs: BTreeMap::new() };
    let progress = bar("herds", (args.rounds * if args.no_tls { 2 } else { 4 }) as u64);
    for round in 0..args.rounds {
        let order = if round % 2 == 0 { [Herd::Echo, Herd::Plain] } else { [Herd::Plain, Herd::Echo] };
        for herd in order {
            let target = if herd == Herd::Echo { echo.target.clone() } else { site.target.clone() };
            field.run(herd, &site, &echo, |_| target.clone()).await?;
            progress.inc(1);
        }
    }
    if !args.no_tls {
        over_tls(args, &mut site, &echo, &mut field, &progress).await?;
    }
    progress.finish_and_clear();
    let (runs, drivers) = (field.runs, field.drivers);
    course.end(&mut report).await;
    drop(echo);
    report.boxes = Some(args.connections as u64);
    report.entries = Some(drivers.iter().map(|driver| driver.acknowledged).sum());
    report.server_rss_kib = site.rss_kib();
    summarise(&mut report, args, &runs);
    site.close(&mut report).await;
    Ok(report)
}

/// The same boxes for every herd.
struct Field<'a> {
    course: &'a Course,
    drivers: Vec<Driver>,
    runs: BTreeMap<Herd, Vec<Run>>,
}

impl Field<'_> {
    async fn run(
        &mut self,
        herd: Herd,
        site: &Site,
        echo: &EchoProcess,
        target: impl Fn(usize) -> crate::client::Target,
    ) -> Result<(), LoadError> {
        // Let the last herd's connections be gone, and the server be done with what it still writes.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        self.course.mark(herd.name());
        let server = site.process.as_ref().and_then(|process| process.pid()).unwrap_or(0);
        let pids = if herd == Herd::Echo { [echo.pid(), server] } else { [server, echo.pid()] };
        let (meter, drops) = (Meter::start(&pids), ListenDrops::now());
        let (mut run, drivers) = stampede(herd, std::mem::take(&mut self.drivers), target, self.course).await?;
        run.used = meter.stop();
        run.drops = ListenDrops::now().since(drops);
        self.drivers = drivers;
        self.runs.entry(herd).or_default().push(run);
        Ok(())
    }
}

/// The server is started again with a certificate; every box has a session of its own.
async fn over_tls(
    args: &HerdArgs,
    site: &mut Site,
    echo: &EchoProcess,
    field: &mut Field<'_>,
    progress: &indicatif::ProgressBar,
) -> Result<(), LoadError> {
    let certificate = SelfSigned::make()?;
    let own = site.own()?;
    own.stop().await?;
    own.serve_tls(&certificate)?;
    own.spawn().await?;
    let trust = Tls::trusting(&certificate)?;
    let boxes: Vec<Tls> = (0..args.connections).map(|_| trust.another_client()).collect();
    let target = site.target.clone();
    for round in 0..=args.rounds {
        // The first time nobody has a session; from then on each box takes its own up again.
        let herd = if round == 0 { Herd::TlsFirst } else { Herd::TlsAgain };
        field.run(herd, site, echo, |index| target.clone().over(boxes[index].clone())).await?;
        progress.inc(1);
    }
    for _ in 1..args.rounds {
        // Other boxes: full handshakes again, as many as of the other kinds.
        field.run(Herd::TlsFirst, site, echo, |_| target.clone().over(trust.another_client())).await?;
        progress.inc(1);
    }
    Ok(())
}

fn summarise(report: &mut Report, args: &HerdArgs, runs: &BTreeMap<Herd, Vec<Run>>) {
    let middle = |herd: Herd, of: &dyn Fn(&Run) -> f64| {
        runs.get(&herd).map(|runs| median(runs.iter().map(of).collect::<Vec<_>>()))
    };
    let each = |of: &dyn Fn(&Run) -> f64| {
        let cases = runs.keys().filter_map(|herd| Some((herd.name().to_owned(), middle(*herd, of)?)));
        Some(Figure::Each(cases.collect()))
    };
    let count = args.connections as f64;
    report.p50_ms = each(&|run| run.latencies.quantile_ms(0.5));
    report.p99_ms = each(&|run| run.latencies.quantile_ms(0.99));
    report.syncs_per_s = each(&|run| count / run.took_s);
    report.server_cpu_us_per_sync = each(&|run| run.used.server_s * 1e6 / count);
    report.generator_cpu_us_per_sync = each(&|run| run.used.generator_s * 1e6 / count);
    report.foreign_cpu_cores = each(&|run| run.used.foreign_cores);

    let all = || runs.values().flatten();
    let errors: u64 = all().map(|run| run.errors).sum();
    report.errors = Some(errors);
    report.must_be_zero("errors", errors);
    report.must_be_zero("listen_overflows", all().map(|run| run.drops.overflows).sum());
    report.must_be_zero("listen_drops", all().map(|run| run.drops.drops).sum());
    let words: Vec<String> = all().flat_map(|run| run.words.iter().cloned()).collect();
    report.broken.extend(words);

    let took = |herd| middle(herd, &|run| run.took_s);
    let ratio = |report: &mut Report, what: &str, above: Option<f64>, below: Option<f64>, most: f64| {
        let (Some(above), Some(below)) = (above, below) else { return };
        let ratio = above / below.max(1e-9);
        report.detail(what, (ratio * 1000.0).round() / 1000.0);
        if !args.no_targets {
            report.must(what, ratio, Bound::AtMost(most));
        }
    };
    ratio(report, "time against the echo herd", took(Herd::Plain), took(Herd::Echo), AGAINST_ECHO_MAX);
    let first = took(Herd::TlsFirst);
    ratio(report, "TLS, new sessions, against plain", first, took(Herd::Plain), TLS_AGAINST_PLAIN_MAX);
    let again = took(Herd::TlsAgain);
    ratio(report, "TLS, sessions taken up, against plain", again, took(Herd::Plain), TLS_AGAINST_PLAIN_MAX);
    let rows: Vec<_> = runs.iter().flat_map(|(herd, runs)| runs.iter().map(|run| run.row(herd.name()))).collect();
    report.detail("herds", json!(rows));
    report.charts.insert(0, all_back(runs));
}

/// How many have their answer, second by second after the herd began: the middle one of each kind.
fn all_back(runs: &BTreeMap<Herd, Vec<Run>>) -> Chart {
    let chart = Chart::new("A herd, answered so far", "seconds since it began", "boxes");
    runs.iter().fold(chart, |chart, (herd, runs)| {
        let took = median(runs.iter().map(|run| run.took_s).collect());
        let nearest = runs.iter().min_by(|a, b| (a.took_s - took).abs().total_cmp(&(b.took_s - took).abs()));
        match nearest {
            Some(run) => chart.line(herd.name(), &run.answered_by()),
            None => chart,
        }
    })
}
