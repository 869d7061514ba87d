//! One herd: everybody at once.

use crate::{
    chance::Chance,
    client::{ClientError, Connection, Target},
    clock::Backoff,
    course::Course,
    cpu::Used,
    fleet::gather,
    kernel::ListenDrops,
    report::{Latencies, LoadError},
    tls::Handshake,
    versus::request::{Driver, Road},
};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

/// A box without an answer for so long counts as an error.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// 503s that a box obeys before it counts as an error.
const PATIENCE: usize = 20;
const WORDS: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Herd {
    Echo,
    Plain,
    /// Over TLS by boxes that never were here.
    TlsFirst,
    /// Over TLS by boxes that take their sessions up again.
    TlsAgain,
}

impl Herd {
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Plain => "plain",
            Self::TlsFirst => "TLS, new sessions",
            Self::TlsAgain => "TLS, sessions taken up",
        }
    }

    fn road(self) -> Road {
        if self == Self::Echo { Road::Echo } else { Road::Sync }
    }
}

/// What became of one herd.
pub struct Run {
    /// Until the last had its answer.
    pub took_s: f64,
    /// From a box's own connect to its answer.
    pub latencies: Latencies,
    pub errors: u64,
    pub deferred: u64,
    pub resumed: u64,
    pub words: Vec<String>,
    pub used: Used,
    pub drops: ListenDrops,
    /// When each was answered, in seconds.
    answered_s: Vec<f64>,
}

impl Run {
    pub fn row(&self, name: &str) -> Value {
        let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
        json!({
            "herd": name, "took_s": rounded(self.took_s), "errors": self.errors, "put_off": self.deferred,
            "sessions_taken_up": self.resumed, "p50_ms": rounded(self.latencies.quantile_ms(0.5)),
            "p99_ms": rounded(self.latencies.quantile_ms(0.99)), "listen_overflows": self.drops.overflows,
            "listen_drops": self.drops.drops, "server_cpu_s": rounded(self.used.server_s),
            "generator_cpu_s": rounded(self.used.generator_s), "foreign_cores": rounded(self.used.foreign_cores),
        })
    }

    /// Points of "so many had been answered by then".
    pub fn answered_by(&self) -> Vec<(f64, f64)> {
        let mut times = self.answered_s.clone();
        times.sort_by(f64::total_cmp);
        let step = times.len().div_ceil(400).max(1);
        let mut points: Vec<(f64, f64)> =
            times.iter().enumerate().step_by(step).map(|(before, at)| (*at, before as f64)).collect();
        points.extend(times.last().map(|last| (*last, times.len() as f64)));
        points
    }
}

/// Lets everybody go at once, each to its own target, and waits for the last.
pub async fn stampede(
    herd: Herd,
    mut drivers: Vec<Driver>,
    target: impl Fn(usize) -> Target,
    course: &Course,
) -> Result<(Run, Vec<Driver>), LoadError> {
    drivers.iter_mut().for_each(|driver| {
        driver.take(herd.road());
        driver.patch();
    });
    let run = Rc::new(RefCell::new(Run {
        took_s: 0.0,
        latencies: Latencies::new()?,
        errors: 0,
        deferred: 0,
        resumed: 0,
        words: Vec::new(),
        used: Used::default(),
        drops: ListenDrops::default(),
        answered_s: Vec::with_capacity(drivers.len()),
    }));
    let targets: Vec<Target> = (0..drivers.len()).map(target).collect();
    let began = Instant::now();
    let boxes = drivers.into_iter().zip(targets).enumerate().map(|(index, (mut driver, target))| {
        let (run, course) = (run.clone(), course.clone());
        async move {
            let mut chance = Chance::seeded(index as u64);
            let came = Instant::now();
            let outcome = tokio::time::timeout(ANSWER_WITHIN, one_box(herd, &target, &mut driver, &run, &mut chance));
            let outcome = outcome.await.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_WITHIN:?}")));
            let mut run = run.borrow_mut();
            match outcome {
                Ok(()) => {
                    run.latencies.record(came.elapsed());
                    run.answered_s.push(began.elapsed().as_secs_f64());
                    course.answered(herd.name(), came.elapsed());
                }
                Err(words) => {
                    run.errors += 1;
                    course.failed(herd.name());
                    if run.words.len() < WORDS {
                        run.words.push(format!("{}: {words}", herd.name()));
                    }
                }
            }
            Ok(vec![(index, driver)])
        }
    });
    let drivers = gather(boxes).await?;
    let run = Rc::try_unwrap(run).map_err(|_| LoadError::Unfit("a box outlived its herd".to_owned()))?;
    let mut run = run.into_inner();
    run.took_s = began.elapsed().as_secs_f64();
    Ok((run, drivers))
}

async fn one_box(
    herd: Herd,
    target: &Target,
    driver: &mut Driver,
    run: &RefCell<Run>,
    chance: &mut Chance,
) -> Result<(), String> {
    for _ in 0..PATIENCE {
        let mut link = Connection::open(target).await.map_err(|error: ClientError| error.to_string())?;
        if link.handshake() == Some(Handshake::Resumed) {
            run.borrow_mut().resumed += 1;
        }
        let answer = link.round_trip(&driver.bytes).await.map_err(|error| error.to_string())?;
        match answer.status {
            200 if herd == Herd::Echo => drop(driver.echoed(answer.body)),
            200 => driver.answered(answer.body)?,
            429 | 503 => {
                let seconds = answer.retry_after_s.unwrap_or(1);
                link.close().await;
                run.borrow_mut().deferred += 1;
                tokio::time::sleep(Backoff::after_refusal(seconds, chance)).await;
                continue;
            }
            status => return Err(format!("{status} {}", String::from_utf8_lossy(answer.body))),
        }
        link.close().await;
        return Ok(());
    }
    Err(format!("put off {PATIENCE} times"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_ends_with_everybody() {
        let run = Run {
            took_s: 2.0,
            latencies: Latencies::new().unwrap(),
            errors: 0,
            deferred: 0,
            resumed: 0,
            words: vec![],
            used: Used::default(),
            drops: ListenDrops::default(),
            answered_s: (0..1000).rev().map(|at| f64::from(at) / 500.0).collect(),
        };
        let points = run.answered_by();
        assert_eq!(points.last(), Some(&(1.998, 1000.0)));
        assert!(points.windows(2).all(|pair| pair[0].1 <= pair[1].1) && points.len() < 500);
    }
}
