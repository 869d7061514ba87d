//! Open load: requests go out at the moments of a timetable, whatever comes back. What is late counts from the moment
//! at which it should have been sent, so that a server that stands still is not asked less (no coordinated omission).

use crate::{
    client::Connection,
    course::Course,
    fleet::gather,
    report::{Latencies, LoadError},
    versus::request::Driver,
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

const WORDS: usize = 5;
/// An answer that takes longer is an error.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Evenly spaced moments, each moved a little inside its own place so that nothing beats in time.
pub struct Timetable {
    began: Instant,
    per_s: f64,
    length: Duration,
    next: Cell<u64>,
}

impl Timetable {
    pub fn new(per_s: f64, length: Duration) -> Rc<Self> {
        Rc::new(Self { began: Instant::now(), per_s: per_s.max(1e-3), length, next: Cell::new(0) })
    }

    fn moment(&self, number: u64) -> Duration {
        let jitter = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / f64::from(1 << 24);
        Duration::from_secs_f64((number as f64 + jitter) / self.per_s)
    }

    /// The next moment that nobody has taken, waited for; `None` when the timetable is over.
    pub async fn next(&self) -> Option<Instant> {
        let at = self.moment(self.next.get());
        if at >= self.length || self.began.elapsed() >= self.length {
            return None;
        }
        self.next.set(self.next.get() + 1);
        tokio::time::sleep_until((self.began + at).into()).await;
        Some(self.began + at)
    }

    /// How long each request that nobody came to send has been waiting at the end.
    fn never_sent(&self) -> impl Iterator<Item = Duration> {
        let now = self.began.elapsed().max(self.length);
        let first = self.next.get();
        (first..).map(|number| self.moment(number)).take_while(|at| *at < self.length).map(move |at| now - at)
    }
}

/// What an open load did.
pub struct Paced {
    pub answers: u64,
    pub errors: u64,
    pub deferred: u64,
    pub never_sent: u64,
    /// From the moment of the timetable.
    pub latencies: Latencies,
    pub words: Vec<String>,
    pub took_s: f64,
}

impl Paced {
    /// Requests that were not answered well, of all that were due.
    pub fn failed_share(&self) -> f64 {
        let failed = self.errors + self.deferred + self.never_sent;
        failed as f64 / (failed + self.answers).max(1) as f64
    }
}

/// Syncs by the timetable. Each connection has its share of the boxes; what is answered before `ignore` warms up.
pub async fn sync_by(
    timetable: &Rc<Timetable>,
    links: Vec<Connection>,
    drivers: Vec<Driver>,
    ignore: Duration,
    course: &Course,
) -> Result<(Paced, Vec<Connection>, Vec<Driver>), LoadError> {
    let paced = Rc::new(RefCell::new(Paced {
        answers: 0,
        errors: 0,
        deferred: 0,
        never_sent: 0,
        latencies: Latencies::new()?,
        words: Vec::new(),
        took_s: 0.0,
    }));
    let count = links.len();
    let mut shares: Vec<Vec<(usize, Driver)>> = (0..count).map(|_| Vec::new()).collect();
    for (index, driver) in drivers.into_iter().enumerate() {
        shares[index % count].push((index, driver));
    }
    let from = timetable.began + ignore;
    let tasks = links.into_iter().zip(shares).enumerate().map(|(number, (link, share))| {
        let (timetable, paced, course) = (timetable.clone(), paced.clone(), course.clone());
        async move { Ok(vec![(number, one_connection(&timetable, link, share, from, &paced, &course).await)]) }
    });
    let back = gather(tasks).await?;
    let paced = Rc::try_unwrap(paced).map_err(|_| LoadError::Unfit("a connection outlived its load".to_owned()))?;
    let mut paced = paced.into_inner();
    paced.took_s = (timetable.began.elapsed() - ignore.min(timetable.began.elapsed())).as_secs_f64();
    for waited in timetable.never_sent() {
        paced.never_sent += 1;
        paced.latencies.record(waited);
    }
    let (links, shares): (Vec<_>, Vec<_>) = back.into_iter().unzip();
    let mut drivers: Vec<(usize, Driver)> = shares.into_iter().flatten().collect();
    drivers.sort_by_key(|(index, _)| *index);
    Ok((paced, links.into_iter().flatten().collect(), drivers.into_iter().map(|(_, driver)| driver).collect()))
}

async fn one_connection(
    timetable: &Timetable,
    mut link: Connection,
    mut share: Vec<(usize, Driver)>,
    from: Instant,
    paced: &RefCell<Paced>,
    course: &Course,
) -> (Option<Connection>, Vec<(usize, Driver)>) {
    let mut at = 0;
    while let Some(due) = timetable.next().await {
        let (_, driver) = &mut share[at];
        driver.patch();
        let answer = tokio::time::timeout(ANSWER_WITHIN, link.round_trip(&driver.bytes)).await;
        let outcome = match answer {
            Ok(Ok(answer)) if answer.status == 200 => driver.answered(answer.body).map(|()| true),
            Ok(Ok(answer)) if matches!(answer.status, 429 | 503) => Ok(false),
            Ok(Ok(answer)) => Err(format!("{} {}", answer.status, String::from_utf8_lossy(answer.body))),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {ANSWER_WITHIN:?}")),
        };
        let took = due.elapsed();
        let mut paced = paced.borrow_mut();
        match outcome {
            Ok(true) => {
                course.answered("sync", took);
                if due >= from {
                    paced.answers += 1;
                    paced.latencies.record(took);
                }
            }
            Ok(false) => {
                course.failed("sync");
                paced.deferred += 1;
            }
            Err(words) => {
                course.failed("sync");
                paced.errors += 1;
                if paced.words.len() < WORDS {
                    paced.words.push(words);
                }
                // What became of this box's entries is unknown: this connection has nothing more to say.
                return (None, share);
            }
        }
        at = (at + 1) % share.len();
    }
    (Some(link), share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_in_order_at_the_rate_that_was_asked() {
        let timetable = Timetable::new(200.0, Duration::from_secs(1));
        let moments: Vec<Duration> = (0..200).map(|number| timetable.moment(number)).collect();
        assert!(moments.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(moments[0] < Duration::from_millis(5) && moments[199] >= Duration::from_millis(995));
    }

    #[tokio::test]
    async fn what_nobody_sends_counts_as_late() {
        let timetable = Timetable::new(1000.0, Duration::from_millis(100));
        let mut taken = 0;
        while let Some(due) = timetable.next().await {
            taken += 1;
            // A server that takes 10 ms for each, with one connection.
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(due.elapsed() >= Duration::from_millis(9));
        }
        let waited: Vec<Duration> = timetable.never_sent().collect();
        assert!(taken <= 11, "{taken}");
        assert_eq!(taken + waited.len(), 100);
        assert!(waited.iter().all(|waited| *waited < Duration::from_secs(1)));
        assert!(waited.first() > waited.last());
    }
}
