//! `ramp`: open load in rising steps, until answers come too late or not at all; where that begins is the knee.

use crate::{
    chance::Chance,
    client::Connection,
    course::Course,
    fleet::{self, Shape},
    html::{Chart, Scale},
    process::raise_open_files,
    report::{Figure, LoadError, Report},
    screen::bar,
    site::{Common, Site},
    timetable::{Paced, Timetable, sync_by},
    versus::{drive::open_all, request::Driver},
};
use serde_json::{Value, json};
use std::time::Duration;

/// p99 up to which a server counts as quick, and as usable.
pub const QUICK_MS: f64 = 50.0;
pub const USABLE_MS: f64 = 250.0;
/// More than so many answers that fail or are put off end the ramp too.
const FAILED_SHARE_MAX: f64 = 0.001;
/// How many times the steps around a knee are halved.
const HALVINGS: usize = 3;

#[derive(clap::Args, Clone, Debug)]
pub struct RampArgs {
    /// How many boxes share the connections.
    #[arg(long, default_value_t = 5000)]
    pub boxes: usize,
    /// Journal entries in each sync: pick-ups and drop-offs by turns, so an even number.
    #[arg(long, default_value_t = 10, value_parser = crate::versus::even)]
    pub entries: usize,
    /// Kept connections; so many requests can be on their way at once.
    #[arg(long, default_value_t = 1000)]
    pub connections: usize,
    /// Syncs a second of the first step.
    #[arg(long, default_value_t = 1000.0)]
    pub from: f64,
    /// Each step has so many times the rate of the one before.
    #[arg(long, default_value_t = 1.3)]
    pub factor: f64,
    /// Length of a step; its first fifth only warms up.
    #[arg(long, default_value_t = 5.0)]
    pub step_s: f64,
    /// The rate at which it ends in any case.
    #[arg(long, default_value_t = 100_000.0)]
    pub to: f64,
}

/// One rate that was tried.
pub struct Step {
    pub per_s: f64,
    pub paced: Paced,
}

impl Step {
    pub fn p99_ms(&self) -> f64 {
        self.paced.latencies.quantile_ms(0.99)
    }

    /// Whether everything was answered, and soon enough.
    pub fn holds(&self, p99_ms: f64) -> bool {
        self.p99_ms() <= p99_ms && self.paced.failed_share() <= FAILED_SHARE_MAX
    }

    fn row(&self) -> Value {
        let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
        json!({
            "offered_per_s": self.per_s.round(), "answered_per_s": (self.answered_per_s()).round(),
            "p50_ms": rounded(self.paced.latencies.quantile_ms(0.5)), "p99_ms": rounded(self.p99_ms()),
            "p999_ms": rounded(self.paced.latencies.quantile_ms(0.999)), "errors": self.paced.errors,
            "put_off": self.paced.deferred, "never_sent": self.paced.never_sent,
        })
    }

    fn answered_per_s(&self) -> f64 {
        self.paced.answers as f64 / self.paced.took_s.max(1e-9)
    }
}

/// Boxes and connections that a ramp drives.
pub struct Ground {
    pub links: Vec<Connection>,
    pub drivers: Vec<Driver>,
    pub course: Course,
}

impl Ground {
    pub async fn step(&mut self, per_s: f64, length: Duration, target: &crate::Target) -> Result<Step, LoadError> {
        let wanted = self.links.len();
        self.course.mark(format!("{per_s:.0}/s"));
        let timetable = Timetable::new(per_s, length);
        let (links, drivers) = (std::mem::take(&mut self.links), std::mem::take(&mut self.drivers));
        let (paced, links, drivers) = sync_by(&timetable, links, drivers, length / 5, &self.course).await?;
        (self.links, self.drivers) = (links, drivers);
        // A connection that broke is replaced, so that every step has as many.
        self.links.extend(open_all(target, wanted - self.links.len()).await?);
        Ok(Step { per_s, paced })
    }
}

pub async fn run(args: &RampArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("ramp", seed);
    let may_open = raise_open_files(args.connections as u64 + 200);
    let fits = (1..=args.boxes).contains(&args.connections) && may_open >= args.connections as u64 + 100;
    if !fits || args.factor <= 1.0 || args.from <= 0.0 || args.step_s <= 0.0 {
        let why = format!("connections must be 1 to --boxes (this process may open {may_open}), the factor above 1");
        return Err(LoadError::Unfit(why));
    }
    let chance = Chance::seeded(seed);
    let site = Site::open(common).await?;
    report.ready_s = site.ready_s.map(Figure::One);
    let keys = 10.max(args.entries / 2);
    let shape = Shape { boxes: args.boxes, bins: keys, keys, people: 2 };
    let fleet = fleet::build(&mut site.operator(&chance), &shape, &chance).await?;
    let drivers = fleet.boxes.iter().map(|fleet_box| Driver::new(fleet_box, &site.target, args.entries)).collect();
    let links = open_all(&site.target, args.connections).await?;
    let mut ground = Ground { links, drivers, course: site.observe() };
    let meter = site.meter();
    let length = Duration::from_secs_f64(args.step_s);
    let steps = find(&mut ground, &site.target, args, length).await?;
    let used = meter.stop();
    let Ground { course, links, drivers } = ground;
    drop(links);
    course.end(&mut report).await;
    report.boxes = Some(args.boxes as u64);
    report.entries = Some(drivers.iter().map(|driver| driver.acknowledged).sum());
    let answers = steps.iter().map(|step| step.paced.answers).sum();
    site.report_cpu(&mut report, used, answers);
    report.server_rss_kib = site.rss_kib();
    report.admission = Some(site.admission(crate::report::Admission::default()).await);
    summarise(&mut report, &steps);
    site.close(&mut report).await;
    Ok(report)
}

/// Rises until no longer usable, then looks more closely around both knees.
pub async fn find(
    ground: &mut Ground,
    target: &crate::Target,
    args: &RampArgs,
    length: Duration,
) -> Result<Vec<Step>, LoadError> {
    let mut steps: Vec<Step> = Vec::new();
    let progress = bar("steps", 0);
    let mut per_s = args.from;
    while per_s <= args.to {
        let mut step = ground.step(per_s, length, target).await?;
        progress.inc(1);
        if !step.holds(QUICK_MS) {
            // Once more: a moment's disturbance from outside is no knee.
            let again = ground.step(per_s, length, target).await?;
            step = if again.p99_ms() < step.p99_ms() { again } else { step };
        }
        let holds = step.holds(USABLE_MS);
        steps.push(step);
        if !holds {
            break;
        }
        per_s *= args.factor;
    }
    for p99_ms in [QUICK_MS, USABLE_MS] {
        for _ in 0..HALVINGS {
            let (Some(good), Some(bad)) = around(&steps, p99_ms) else { break };
            // What was put off and piled up goes first.
            tokio::time::sleep(Duration::from_millis(500)).await;
            let step = ground.step((good * bad).sqrt(), length, target).await?;
            progress.inc(1);
            steps.push(step);
        }
    }
    progress.finish_and_clear();
    steps.sort_by(|a, b| a.per_s.total_cmp(&b.per_s));
    Ok(steps)
}

/// The highest rate below which every step held, and the lowest that did not.
fn around(steps: &[Step], p99_ms: f64) -> (Option<f64>, Option<f64>) {
    let bad = steps.iter().filter(|step| !step.holds(p99_ms)).map(|step| step.per_s).reduce(f64::min);
    let below = |step: &&Step| step.holds(p99_ms) && bad.is_none_or(|bad| step.per_s < bad);
    (steps.iter().filter(below).map(|step| step.per_s).reduce(f64::max), bad)
}

/// The highest rate that held, with all below it.
pub fn knee(steps: &[Step], p99_ms: f64) -> Option<f64> {
    around(steps, p99_ms).0
}

fn summarise(report: &mut Report, steps: &[Step]) {
    let errors = steps.iter().map(|step| step.paced.errors).sum();
    report.errors = Some(errors);
    report.must_be_zero("errors", errors);
    report.broken.extend(steps.iter().flat_map(|step| step.paced.words.iter().cloned()));
    let mut cases = Vec::new();
    for p99_ms in [QUICK_MS, USABLE_MS] {
        match knee(steps, p99_ms) {
            Some(per_s) => {
                cases.push((format!("p99 ≤ {p99_ms} ms"), per_s));
                report.detail(&format!("knee_at_p99_{p99_ms}_ms_per_s"), per_s.round());
            }
            None => report.breaks(format!("not even the first step had a p99 of {p99_ms} ms")),
        }
    }
    if let Some(best) = steps.iter().rev().find(|step| step.holds(QUICK_MS)) {
        report.p50_ms = Some(best.paced.latencies.quantile_ms(0.5).into());
        report.p99_ms = Some(best.p99_ms().into());
        report.p999_ms = Some(best.paced.latencies.quantile_ms(0.999).into());
    }
    report.syncs_per_s = Some(Figure::Each(cases));
    report.detail("steps", steps.iter().map(Step::row).collect::<Vec<_>>());
    report.charts.splice(0..0, pictures(steps));
}

fn pictures(steps: &[Step]) -> [Chart; 2] {
    let by_rate =
        |of: &dyn Fn(&Step) -> f64| -> Vec<(f64, f64)> { steps.iter().map(|step| (step.per_s, of(step))).collect() };
    let quantile = |quantile: f64| by_rate(&|step| step.paced.latencies.quantile_ms(quantile));
    let latency = Chart::new("Latency by rate", "syncs a second, offered", "ms")
        .note("from the moment a sync was due")
        .scales(Scale::Linear, Scale::Log)
        .dots("p50", &quantile(0.5))
        .dots("p99", &quantile(0.99))
        .dots("p999", &quantile(0.999))
        .limit(QUICK_MS, "quick")
        .limit(USABLE_MS, "usable");
    let answered = Chart::new("Answered of what was offered", "syncs a second, offered", "1/s")
        .dots("answered", &by_rate(&Step::answered_per_s))
        .line("offered", &by_rate(&|step| step.per_s));
    [latency, answered]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Latencies;

    fn step(per_s: f64, p99_ms: u64, errors: u64) -> Step {
        let mut latencies = Latencies::new().unwrap();
        (0..100).for_each(|_| latencies.record(Duration::from_millis(p99_ms)));
        let (answers, deferred, never_sent, took_s) = (100, 0, 0, 1.0);
        Step { per_s, paced: Paced { answers, errors, deferred, never_sent, latencies, words: vec![], took_s } }
    }

    #[test]
    fn the_knee_is_below_the_first_step_that_fails() {
        let steps = [step(100.0, 5, 0), step(200.0, 60, 0), step(300.0, 40, 0), step(400.0, 90, 0), step(500.0, 9, 3)];
        assert_eq!(knee(&steps, QUICK_MS), Some(100.0), "a lucky step behind it does not count");
        assert_eq!(knee(&steps, USABLE_MS), Some(400.0));
        assert_eq!(around(&steps, USABLE_MS).1, Some(500.0), "errors end it too");
        assert_eq!(knee(&steps[1..], QUICK_MS), None);
    }

    #[test]
    fn what_is_found_is_told_and_drawn() {
        let mut report = Report::new("ramp", 1);
        summarise(&mut report, &[step(100.0, 5, 0), step(200.0, 90, 0)]);
        assert!(report.holds(), "{:?}", report.broken);
        let told = report.syncs_per_s.unwrap().to_string();
        assert_eq!(told, "p99 ≤ 50 ms: 100, p99 ≤ 250 ms: 200");
        assert_eq!(report.charts.len(), 2);
    }
}
