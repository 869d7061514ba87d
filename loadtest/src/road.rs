//! The road back: boxes that return after an outage, settle, and are compared with the server.

use crate::{
    api::Api,
    chance::Chance,
    client::{Connection, Target},
    clock::{Backoff, now_ms},
    course::Course,
    fleet::{Fleet, FleetBox, PLANS, gather},
    link::{LinkError, Synced, confirm, sync_once},
    outage::{Acknowledged, Desk, administer, use_box},
    report::{Latencies, LoadError, Report},
    screen::bar,
    verify::{Findings, Receipts, check_box},
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

/// A sync without an answer for so long counts as an error.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Connections that are used together when nothing is measured.
const CALM_CONNECTIONS: usize = 32;
/// Rounds of calm syncs after which every message between boxes must have been delivered.
const SETTLE_ROUNDS: usize = 40;

/// A box with what the ledger outside knows of it.
pub struct Watched {
    pub fleet_box: FleetBox,
    pub receipts: Receipts,
    pub noted: Acknowledged,
}

/// What is counted while boxes come back.
pub struct Tally {
    pub latencies: RefCell<Latencies>,
    pub syncs: Cell<u64>,
    pub entries: Cell<u64>,
    pub deferred: Cell<u64>,
    pub errors: Cell<u64>,
    pub past_guarantee: Cell<u64>,
    pub words: RefCell<Vec<String>>,
    /// Hears of everything too, when it happens.
    course: Option<Course>,
}

impl Tally {
    pub fn new() -> Result<Rc<Self>, LoadError> {
        Self::with(None)
    }

    /// Tells a course what it counts.
    pub fn on(course: &Course) -> Result<Rc<Self>, LoadError> {
        Self::with(Some(course.clone()))
    }

    fn with(course: Option<Course>) -> Result<Rc<Self>, LoadError> {
        let latencies = RefCell::new(Latencies::new()?);
        let zero = || Cell::new(0);
        Ok(Rc::new(Self {
            latencies,
            syncs: zero(),
            entries: zero(),
            deferred: zero(),
            errors: zero(),
            past_guarantee: zero(),
            words: RefCell::default(),
            course,
        }))
    }

    /// A sync was answered.
    pub fn answered(&self, took: Duration) {
        self.latencies.borrow_mut().record(took);
        add(&self.syncs, 1);
        if let Some(course) = &self.course {
            course.answered("sync", took);
        }
    }

    /// A sync was asked to come again later.
    pub fn put_off(&self) {
        add(&self.deferred, 1);
        if let Some(course) = &self.course {
            course.failed("sync");
        }
    }

    pub fn error(&self, what: String) {
        self.errors.set(self.errors.get() + 1);
        let mut words = self.words.borrow_mut();
        if words.len() < 50 {
            words.push(what);
        }
    }
}

pub fn add(cell: &Cell<u64>, more: u64) {
    cell.set(cell.get() + more);
}

/// Puts a ledger beside each box.
pub fn watch(fleet: Fleet) -> (Fleet, Vec<Watched>) {
    let Fleet { organisations, boxes } = fleet;
    let watched = |fleet_box| Watched { fleet_box, receipts: Receipts::default(), noted: Acknowledged::default() };
    (Fleet { organisations, boxes: Vec::new() }, boxes.into_iter().map(watched).collect())
}

/// People use every box; how many entries that made.
pub fn use_all(boxes: &mut [Watched], entries: usize, between_ms: u64) -> Result<u64, LoadError> {
    let mut written = 0;
    for watched in boxes {
        let before = watched.fleet_box.vbox.head();
        use_box(&mut watched.fleet_box, entries, between_ms, true)?;
        written += watched.fleet_box.vbox.head() - before;
    }
    Ok(written)
}

/// Administrators change something at some boxes that cannot hear of it.
pub async fn change_some(
    target: &Target,
    fleet: &Fleet,
    boxes: &mut Vec<Watched>,
    share: f64,
    chance: &Chance,
) -> Result<(), LoadError> {
    let progress = bar("changes", boxes.len() as u64);
    let changed = in_parts(std::mem::take(boxes), |part, mine| {
        let mut chance = chance.fork(300_000 + part as u64);
        let mut apis = apis(target, fleet, &chance);
        let progress = progress.clone();
        async move {
            let mut done = Vec::new();
            for (index, mut watched) in mine {
                let mut desk = Desk::of(&watched.fleet_box);
                for again in 0..2 {
                    if chance.happens(share) {
                        let api = &mut apis[desk.organisation];
                        let tag = index as u64 * 10 + again;
                        administer(api, &mut desk, &mut watched.noted, tag, &mut chance).await?;
                    }
                }
                progress.inc(1);
                done.push((index, watched));
            }
            Ok(done)
        }
    });
    *boxes = changed.await?;
    progress.finish_and_clear();
    Ok(())
}

pub fn apis(target: &Target, fleet: &Fleet, chance: &Chance) -> Vec<Api> {
    let callers = fleet.organisations.iter().enumerate();
    callers.map(|(at, org)| Api::new(target.clone(), &*org.token, chance.fork(at as u64 + 1))).collect()
}

/// Deals the boxes out to a few tasks and collects them again in order.
async fn in_parts<F>(
    boxes: Vec<Watched>,
    work: impl Fn(usize, Vec<(usize, Watched)>) -> F,
) -> Result<Vec<Watched>, LoadError>
where
    F: Future<Output = Result<Vec<(usize, Watched)>, LoadError>> + 'static,
{
    let mut parts: Vec<Vec<(usize, Watched)>> = (0..CALM_CONNECTIONS).map(|_| Vec::new()).collect();
    for (index, watched) in boxes.into_iter().enumerate() {
        parts[index % CALM_CONNECTIONS].push((index, watched));
    }
    gather(parts.into_iter().enumerate().map(|(part, mine)| work(part, mine))).await
}

/// One box that has its road again: a connection of its own, then syncs until nothing is unsent.
pub async fn come_back(watched: &mut Watched, target: &Target, tally: &Tally) {
    let mut link = None;
    // It gives up when it is stopped, or after so many failures that something is badly wrong.
    for _ in 0..1000 {
        let outcome = tokio::time::timeout(ANSWER_WITHIN, one_sync(&mut link, watched, target)).await;
        let vbox = &mut watched.fleet_box.vbox;
        let wait = match outcome {
            Ok(Ok((Synced::Applied(applied), took))) => {
                tally.answered(took);
                add(&tally.entries, applied.receipts.len() as u64);
                vbox.backoff.succeeded();
                watched.receipts.note(applied.receipts);
                let guarantee = PLANS[watched.fleet_box.organisation].1.as_millis() as u64;
                if let Some(since) = watched.noted.since_ms.take()
                    && now_ms().saturating_sub(since) > guarantee
                {
                    add(&tally.past_guarantee, 1);
                }
                if applied.unsent == 0 {
                    return;
                }
                continue;
            }
            Ok(Ok((Synced::Deferred { retry_after_s }, _))) => {
                tally.put_off();
                Backoff::after_refusal(retry_after_s, &mut vbox.chance)
            }
            Ok(Ok((Synced::Stopped { status, problem }, _))) => {
                tally.error(format!("{}: {status} {problem}", vbox.id()));
                return;
            }
            Ok(Ok((Synced::Unbelievable(why), _))) => {
                tally.error(format!("{}: {why}", vbox.id()));
                return;
            }
            Ok(Err(error)) => {
                tally.error(format!("{}: {error}", vbox.id()));
                vbox.backoff.after_failure(&mut vbox.chance)
            }
            Err(_) => {
                link = None;
                tally.error(format!("{}: no answer within {ANSWER_WITHIN:?}", vbox.id()));
                vbox.backoff.after_failure(&mut vbox.chance)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// One sync, with the connection if there is none yet, and how long it took; then its confirmation.
pub async fn one_sync(
    link: &mut Option<Connection>,
    watched: &mut Watched,
    target: &Target,
) -> Result<(Synced, Duration), LinkError> {
    let began = Instant::now();
    let connection = Connection::kept(link, target).await?;
    let before = watched.fleet_box.vbox.state().cursor.clone();
    let synced = sync_once(connection, target, &mut watched.fleet_box.vbox).await?;
    let took = began.elapsed();
    if let Synced::Applied(applied) = &synced {
        let vbox = &watched.fleet_box.vbox;
        if applied.restored {
            watched.receipts.restored(vbox.resume_at(), vbox.kept_from());
        }
        let cursor = vbox.state().cursor.as_deref();
        watched.receipts.note_position(vbox.resume_at(), before.as_deref(), cursor);
        // A lost confirmation loses nothing, the next sync says the same.
        if before.as_deref() != cursor && connection.is_open() {
            let _ = confirm(connection, target, vbox).await;
        }
    }
    Ok((synced, took))
}

/// Syncs calmly until nothing changes any more: messages between boxes are delivered after the sync that caused them.
pub async fn settle(target: &Target, mut boxes: Vec<Watched>, tally: &Rc<Tally>) -> Result<Vec<Watched>, LoadError> {
    let mut quiet = 0;
    for _ in 0..SETTLE_ROUNDS {
        let changed = Rc::new(Cell::new(0));
        boxes = in_parts(boxes, |_, mine| {
            let (target, tally, changed) = (target.clone(), tally.clone(), changed.clone());
            async move {
                let mut done = Vec::new();
                let mut link = None;
                for (index, mut watched) in mine {
                    let before = watched.fleet_box.vbox.state().cursor.clone();
                    settle_one(&mut link, &mut watched, &target, &tally).await;
                    changed.set(changed.get() + u64::from(watched.fleet_box.vbox.state().cursor != before));
                    done.push((index, watched));
                }
                Ok(done)
            }
        })
        .await?;
        quiet = if changed.get() == 0 { quiet + 1 } else { 0 };
        if quiet == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(boxes)
}

async fn settle_one(link: &mut Option<Connection>, watched: &mut Watched, target: &Target, tally: &Tally) {
    for attempt in 0..20 {
        match one_sync(link, watched, target).await {
            Ok((Synced::Applied(applied), _)) => {
                let unsent = applied.unsent;
                watched.receipts.note(applied.receipts);
                if unsent == 0 {
                    return;
                }
            }
            Ok((Synced::Deferred { retry_after_s }, _)) => {
                let wait = Backoff::after_refusal(retry_after_s, &mut watched.fleet_box.vbox.chance);
                tokio::time::sleep(wait).await;
            }
            Ok((Synced::Stopped { status, problem }, _)) => {
                return tally.error(format!("{}: {status} {problem}", watched.fleet_box.id()));
            }
            Ok((Synced::Unbelievable(why), _)) => return tally.error(format!("{}: {why}", watched.fleet_box.id())),
            Err(error) if attempt == 19 => return tally.error(format!("{}: {error}", watched.fleet_box.id())),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Settles, compares every box with the server, and says what does not hold.
pub async fn conclude(
    report: &mut Report,
    target: &Target,
    fleet: &Fleet,
    boxes: Vec<Watched>,
    tally: Rc<Tally>,
    chance: &Chance,
) -> Result<Vec<Watched>, LoadError> {
    let boxes = settle(target, boxes, &tally).await?;
    report.boxes = Some(boxes.len() as u64);
    let findings = Rc::new(RefCell::new(Findings::default()));
    let progress = bar("compared", boxes.len() as u64);
    let boxes = in_parts(boxes, |part, mine| {
        let mut apis = apis(target, fleet, &chance.fork(400_000 + part as u64));
        let (findings, progress) = (findings.clone(), progress.clone());
        async move {
            for (_, watched) in &mine {
                let api = &mut apis[watched.fleet_box.organisation];
                let found = check_box(api, &watched.fleet_box, &watched.receipts, &watched.noted).await?;
                findings.borrow_mut().add(found);
                progress.inc(1);
            }
            Ok(mine)
        }
    })
    .await?;
    progress.finish_and_clear();
    let findings = findings.take();
    report.errors = Some(tally.errors.get());
    report.past_guarantee = Some(tally.past_guarantee.get());
    report.lost = Some(findings.lost);
    report.doubled = Some(findings.doubled);
    report.model_mismatches = Some(findings.mismatches);
    report.acknowledged_lost = Some(findings.acknowledged_lost);
    report.conflicts = Some(findings.conflicts);
    report.flagged = Some(findings.flagged);
    if findings.gone > 0 {
        report.detail("gone", findings.gone);
    }
    report.must_be_zero("errors", tally.errors.get());
    report.must_be_zero("lost", findings.lost);
    report.must_be_zero("doubled", findings.doubled);
    report.must_be_zero("model_mismatches", findings.mismatches);
    report.must_be_zero("acknowledged_lost", findings.acknowledged_lost);
    report.must_be_zero("past_guarantee", tally.past_guarantee.get());
    report.broken.extend(tally.words.take());
    report.broken.extend(findings.words);
    report.detail("reasons", serde_json::to_value(findings.reasons).unwrap_or_default());
    let latencies = Rc::try_unwrap(tally).ok().map(|tally| tally.latencies.into_inner());
    if let Some(latencies) = latencies {
        latencies.into_report(report);
    }
    Ok(boxes)
}
