//! The course of a run: what was answered when and how fast, what the server said of itself, who used the machine.
//! A scenario begins one where its measuring begins, and tells it every answer; the rest is looked at once a second.

mod charts;

use crate::{
    client::{Connection, Target},
    cpu,
    process::fetch_on,
    prometheus::Scraped,
    report::{LoadError, Report},
};
use hdrhistogram::Histogram;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

/// How finely answers are told apart in time.
const ANSWERS_EVERY: Duration = Duration::from_millis(250);
/// How often server and machine are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The answers of one quarter of a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    pub at_s: f64,
    pub per_s: f64,
    pub failed_per_s: f64,
    /// p50, p90, p99 and the slowest, in milliseconds.
    pub quantiles_ms: [f64; 4],
}

/// Everything of one kind of request.
pub(crate) struct Lane {
    pub name: &'static str,
    now: Histogram<u64>,
    failed_now: u64,
    pub all: Histogram<u64>,
    pub failed: u64,
    pub moments: Vec<Moment>,
}

/// What was seen from outside in one second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    pub at_s: f64,
    /// Processors kept busy, by whom.
    pub cores: BTreeMap<String, f64>,
    pub rss_mib: BTreeMap<String, f64>,
    /// The server's own words; none while it is down or too busy to answer.
    pub scraped: Option<Scraped>,
}

/// The process whose use is looked at: another one after a restart.
pub type Watched = Rc<Cell<Option<u32>>>;

/// Values of a scenario's own, by name.
type Line = (&'static str, Vec<(f64, f64)>);

struct Inner {
    began: Instant,
    last_moment: Cell<Instant>,
    lanes: RefCell<Vec<Lane>>,
    looks: RefCell<Vec<Look>>,
    marks: RefCell<Vec<(f64, String)>>,
    lines: RefCell<Vec<Line>>,
    watched: RefCell<Vec<(String, Watched)>>,
    observability: Option<Target>,
    connection: RefCell<Option<Connection>>,
    uses: RefCell<Option<Uses>>,
    running: Cell<bool>,
}

/// Cheap to clone: every task of a scenario holds one.
#[derive(Clone)]
pub struct Course(Rc<Inner>);

impl Course {
    /// Begins to look; needs a `LocalSet`. The first process is the server.
    pub fn begin(observability: Option<Target>, watched: Vec<(String, Watched)>) -> Self {
        let now = Instant::now();
        let course = Self(Rc::new(Inner {
            began: now,
            last_moment: Cell::new(now),
            lanes: RefCell::default(),
            looks: RefCell::default(),
            marks: RefCell::default(),
            lines: RefCell::default(),
            watched: RefCell::new(watched),
            observability,
            connection: RefCell::default(),
            uses: RefCell::default(),
            running: Cell::new(true),
        }));
        tokio::task::spawn_local(course.clone().gather_moments());
        tokio::task::spawn_local(course.clone().look_around());
        course
    }

    /// A request of this kind was answered well after so long.
    pub fn answered(&self, lane: &'static str, took: Duration) {
        self.on(lane, |lane| {
            let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            lane.now.saturating_record(us);
            lane.all.saturating_record(us);
        });
    }

    /// A request of this kind was refused, put off, or not answered.
    pub fn failed(&self, lane: &'static str) {
        self.on(lane, |lane| {
            lane.failed_now += 1;
            lane.failed += 1;
        });
    }

    /// Something happened now that explains what follows.
    pub fn mark(&self, words: impl Into<String>) {
        self.0.marks.borrow_mut().push((self.seconds(), words.into()));
    }

    /// A value of the scenario's own at this moment; lines with the same name make a picture.
    pub fn value(&self, line: &'static str, value: f64) {
        let point = (self.seconds(), value);
        let mut lines = self.0.lines.borrow_mut();
        match lines.iter_mut().find(|(name, _)| *name == line) {
            Some((_, points)) => points.push(point),
            None => lines.push((line, vec![point])),
        }
    }

    /// Watches another process from now on.
    pub fn watch(&self, name: impl Into<String>, pid: u32) {
        self.0.watched.borrow_mut().push((name.into(), Rc::new(Cell::new(Some(pid)))));
    }

    pub fn seconds(&self) -> f64 {
        self.0.began.elapsed().as_secs_f64()
    }

    /// Resident memory of the server in MiB, second by second.
    pub fn server_memory(&self) -> Vec<(f64, f64)> {
        let looks = self.0.looks.borrow();
        looks.iter().filter_map(|look| Some((look.at_s, *look.rss_mib.get("server")?))).collect()
    }

    /// Of it what the server's database holds within its configured bounds, as it says itself.
    pub fn store_memory(&self) -> Vec<(f64, f64)> {
        let looks = self.0.looks.borrow();
        let mib = |scraped: &Scraped| scraped.store_memory.values().sum::<f64>() / 1_048_576.0;
        looks.iter().filter_map(|look| Some((look.at_s, mib(look.scraped.as_ref()?)))).collect()
    }

    /// A queue's depth, second by second.
    pub fn queue(&self, metric: &str) -> Vec<(f64, f64)> {
        let looks = self.0.looks.borrow();
        looks.iter().filter_map(|look| Some((look.at_s, *look.scraped.as_ref()?.gauges.get(metric)?))).collect()
    }

    /// Looks for the last time, and gives what was seen to the report.
    pub async fn end(self, report: &mut Report) {
        self.0.running.set(false);
        self.take_moments();
        self.look().await;
        report.charts.extend(self.charts());
    }

    fn on(&self, name: &'static str, tell: impl FnOnce(&mut Lane)) {
        let mut lanes = self.0.lanes.borrow_mut();
        match lanes.iter_mut().find(|lane| lane.name == name) {
            Some(lane) => tell(lane),
            None => {
                if let Ok(mut lane) = Lane::new(name) {
                    tell(&mut lane);
                    lanes.push(lane);
                }
            }
        }
    }

    fn take_moments(&self) {
        let inner = &self.0;
        let span_s = inner.last_moment.replace(Instant::now()).elapsed().as_secs_f64().max(1e-3);
        let at_s = self.seconds() - span_s / 2.0;
        inner.lanes.borrow_mut().iter_mut().for_each(|lane| lane.take_moment(at_s, span_s));
    }

    async fn gather_moments(self) {
        while self.0.running.get() {
            tokio::time::sleep(ANSWERS_EVERY).await;
            if self.0.running.get() {
                self.take_moments();
            }
        }
    }

    async fn look_around(self) {
        let mut every = tokio::time::interval(LOOK_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.0.running.get() {
            every.tick().await;
            if self.0.running.get() {
                self.look().await;
            }
        }
    }

    async fn look(&self) {
        let now = Uses::now(&self.0.watched.borrow());
        let before = self.0.uses.replace(Some(now.clone()));
        let (cores, rss_mib) = now.since(before.as_ref());
        let scraped = match &self.0.observability {
            Some(target) => {
                // Taken out while it is used; a second look at the same time opens its own.
                let mut connection = self.0.connection.take();
                let asked = fetch_on(&mut connection, target, "/metrics");
                let told = tokio::time::timeout(LOOK_EVERY, asked).await.ok().flatten();
                self.0.connection.replace(connection);
                told.filter(|(status, _)| *status == 200).map(|(_, text)| Scraped::read(&text))
            }
            None => None,
        };
        self.0.looks.borrow_mut().push(Look { at_s: self.seconds(), cores, rss_mib, scraped });
    }
}

impl Lane {
    fn new(name: &'static str) -> Result<Self, LoadError> {
        let histogram = |digits| {
            let made = Histogram::new_with_bounds(1, 600_000_000, digits);
            made.map_err(|error| LoadError::Unfit(error.to_string()))
        };
        let (now, all) = (histogram(2)?, histogram(3)?);
        Ok(Self { name, now, failed_now: 0, all, failed: 0, moments: Vec::new() })
    }

    fn take_moment(&mut self, at_s: f64, span_s: f64) {
        let quantile = |quantile| self.now.value_at_quantile(quantile) as f64 / 1000.0;
        self.moments.push(Moment {
            at_s,
            per_s: self.now.len() as f64 / span_s,
            failed_per_s: self.failed_now as f64 / span_s,
            quantiles_ms: [quantile(0.5), quantile(0.9), quantile(0.99), quantile(1.0)],
        });
        self.now.reset();
        self.failed_now = 0;
    }
}

/// Processor seconds used so far.
#[derive(Clone)]
struct Uses {
    at: Instant,
    machine_s: f64,
    generator_s: f64,
    watched: Vec<(String, Option<u32>, f64)>,
}

impl Uses {
    fn now(watched: &[(String, Watched)]) -> Self {
        let used = |pid: Option<u32>| pid.and_then(cpu::process_cpu_s).unwrap_or(0.0);
        Self {
            at: Instant::now(),
            machine_s: cpu::machine_cpu_s().unwrap_or(0.0),
            generator_s: used(Some(std::process::id())),
            watched: watched.iter().map(|(name, pid)| (name.clone(), pid.get(), used(pid.get()))).collect(),
        }
    }

    /// Processors kept busy since then, and the memory now.
    fn since(&self, before: Option<&Self>) -> (BTreeMap<String, f64>, BTreeMap<String, f64>) {
        let (mut cores, mut rss_mib) = (BTreeMap::new(), BTreeMap::new());
        for (name, pid, _) in &self.watched {
            if let Some(kib) = pid.and_then(cpu::process_rss_kib) {
                rss_mib.insert(name.clone(), kib as f64 / 1024.0);
            }
        }
        // Ticks are hundredths of a second: a shorter span says nothing.
        let before = before.filter(|before| self.at - before.at >= Duration::from_millis(100));
        let Some(before) = before else { return (cores, rss_mib) };
        let span_s = (self.at - before.at).as_secs_f64();
        let mut ours_s = self.generator_s - before.generator_s;
        cores.insert("generator".to_owned(), ours_s / span_s);
        for (name, pid, used_s) in &self.watched {
            let then = before.watched.iter().find(|(known, then, _)| known == name && then == pid);
            let used_s = (used_s - then.map_or(0.0, |(_, _, then)| *then)).max(0.0);
            ours_s += used_s;
            cores.insert(name.clone(), used_s / span_s);
        }
        let foreign_s = (self.machine_s - before.machine_s - ours_s).max(0.0);
        cores.insert("others".to_owned(), foreign_s / span_s);
        (cores, rss_mib)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_keeps_what_it_is_told_and_looks_at_the_machine() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let own = vec![("server".to_owned(), Rc::new(Cell::new(Some(std::process::id()))))];
            let course = Course::begin(None, own);
            for _ in 0..12 {
                course.answered("sync", Duration::from_millis(3));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            course.failed("sync");
            course.mark("the end");
            course.value("own", 4.0);
            assert!(course.server_memory()[0].1 > 0.5);
            let mut report = Report::new("test", 1);
            course.clone().end(&mut report).await;
            let lanes = course.0.lanes.borrow();
            let answered: f64 = lanes[0].moments.iter().map(|moment| moment.per_s).sum();
            assert_eq!((lanes[0].all.len(), lanes[0].failed), (12, 1));
            assert!(lanes[0].moments.len() >= 4 && answered > 10.0, "{:?}", lanes[0].moments);
            assert!((2.9..3.1).contains(&lanes[0].moments[0].quantiles_ms[0]));
            let page = serde_json::to_string(&report.charts).unwrap();
            assert!(["p99", "the end", "own", "others"].iter().all(|word| page.contains(word)), "{page}");
        });
    }

    #[test]
    fn a_process_that_was_started_anew_counts_from_its_start() {
        let uses = |pid, used_s| Uses {
            at: Instant::now(),
            machine_s: 10.0,
            generator_s: 0.0,
            watched: vec![("server".to_owned(), Some(pid), used_s)],
        };
        let before = uses(1, 50.0);
        let mut after = uses(2, 0.5);
        after.at = before.at + Duration::from_secs(1);
        after.machine_s = 11.0;
        let (cores, _) = after.since(Some(&before));
        assert_eq!((cores["server"], cores["others"]), (0.5, 0.5));
    }
}
