//! `crash`: boxes and administrators go on while the server is killed with -9 again and again. What had been
//! acknowledged stands in a ledger outside the process, and must be there at the end.

use crate::{
    api::Api,
    chance::Chance,
    client::Target,
    clock::Backoff,
    course::Course,
    fleet::{self, Fleet, Shape, gather},
    link::Synced,
    outage::{Acknowledged, Desk, administer, use_box},
    report::{Figure, LoadError, Report, median},
    road::{Tally, Watched, add, apis, conclude, one_sync, watch},
    screen::bar,
    site::{Common, Site},
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::{Duration, Instant},
};

/// Administrators who change things all the time.
const ADMINISTRATORS: usize = 8;
/// A call that is repeated for so long across restarts without an answer is an error.
const PATIENCE: Duration = Duration::from_secs(180);

#[derive(clap::Args, Clone, Debug)]
pub struct CrashArgs {
    /// How many boxes go on syncing.
    #[arg(long, default_value_t = 300)]
    pub boxes: usize,
    /// How often the server is killed.
    #[arg(long, default_value_t = 50)]
    pub kills: usize,
    /// Exchanges at a box between two syncs, at most.
    #[arg(long, default_value_t = 6)]
    pub entries: usize,
    /// The server lives at least so long after it is ready.
    #[arg(long, default_value_t = 100)]
    pub live_min_ms: u64,
    /// The server lives at most so long after it is ready.
    #[arg(long, default_value_t = 1500)]
    pub live_max_ms: u64,
}

pub async fn run(args: &CrashArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("crash", seed);
    let chance = Chance::seeded(seed);
    let mut site = Site::open(common).await?;
    site.own()?;
    let shape = Shape { boxes: args.boxes, bins: 12, keys: 10, people: 2 };
    let mut fleet = fleet::build(&mut site.operator(&chance), &shape, &chance).await?;
    fleet::until_codes_arrive(&site.target, &mut fleet.boxes).await?;
    let (fleet, boxes) = watch(fleet);
    let desks: Vec<Desk> = boxes.iter().map(|watched| Desk::of(&watched.fleet_box)).collect();

    let course = site.observe();
    let tally = Tally::on(&course)?;
    let running = Rc::new(Cell::new(true));
    let noted: Rc<RefCell<HashMap<usize, Acknowledged>>> = Rc::default();
    let broken = Rc::new(Cell::new(0));
    let tasks = boxes.into_iter().enumerate().map(|(index, mut watched)| {
        let (tally, running, broken) = (tally.clone(), running.clone(), broken.clone());
        let (target, entries) = (site.target.clone(), args.entries);
        async move {
            box_life(&mut watched, &target, entries, &running, &tally, &broken).await?;
            Ok(vec![(index, watched)])
        }
    });
    let boxes = tokio::task::spawn_local(gather(tasks.collect::<Vec<_>>().into_iter()));
    let administrators: Vec<_> = (0..ADMINISTRATORS.min(args.boxes))
        .map(|number| {
            let mut chance = chance.fork(600_000 + number as u64);
            let apis = patient(&site.target, &fleet, &chance);
            let mine: Vec<(usize, Desk)> =
                desks.iter().cloned().enumerate().skip(number).step_by(ADMINISTRATORS).collect();
            let (running, noted, tally) = (running.clone(), noted.clone(), tally.clone());
            let course = course.clone();
            tokio::task::spawn_local(async move {
                administrator(number, apis, mine, &running, &noted, (&tally, &course), &mut chance).await;
            })
        })
        .collect();

    let restarts = kill_again_and_again(args, &mut site, &mut report, &course, &chance).await;
    running.set(false);
    for administrator in administrators {
        administrator.await.map_err(|error| LoadError::Unfit(error.to_string()))?;
    }
    let mut boxes = boxes.await.map_err(|error| LoadError::Unfit(error.to_string()))??;
    let restarts = restarts?;
    course.end(&mut report).await;
    for (index, acknowledged) in noted.take() {
        boxes[index].noted = acknowledged;
    }
    let changes: usize = boxes.iter().map(|watched| watched.noted.changes()).sum();
    report.entries = Some(boxes.iter().map(|watched| watched.fleet_box.vbox.head()).sum());
    report.detail("kills", restarts.len());
    report.detail("administrators_changes_acknowledged", changes);
    report.detail("answers_lost", broken.get());
    let slowest = restarts.iter().copied().fold(0.0, f64::max);
    let quantiles = [("p50", median(restarts.clone())), ("max", slowest)];
    report.ready_s = Some(Figure::Each(quantiles.map(|(name, seconds)| (name.to_owned(), seconds)).to_vec()));
    report.server_rss_kib = site.rss_kib();

    conclude(&mut report, &site.target, &fleet, boxes, tally, &chance).await?;
    // The last word: the store of the server that is stopped in peace.
    let own = site.own()?;
    match own.stop().await {
        Ok(()) => {
            if let Err(words) = own.verify().await? {
                report.breaks(format!("verify after the end: {words}"));
            }
        }
        Err(error) => report.breaks(error.to_string()),
    }
    Ok(report)
}

pub(crate) fn patient(target: &Target, fleet: &Fleet, chance: &Chance) -> Vec<Api> {
    let mut apis = apis(target, fleet, chance);
    apis.iter_mut().for_each(|api| api.patience = PATIENCE);
    apis
}

/// How long each restart took until it was ready.
async fn kill_again_and_again(
    args: &CrashArgs,
    site: &mut Site,
    report: &mut Report,
    course: &Course,
    chance: &Chance,
) -> Result<Vec<f64>, LoadError> {
    let mut chance = chance.fork(500_000);
    let mut restarts = Vec::new();
    let progress = bar("kills", args.kills as u64);
    let own = site.own()?;
    for kill in 0..args.kills {
        let span = args.live_max_ms.saturating_sub(args.live_min_ms) + 1;
        tokio::time::sleep(Duration::from_millis(args.live_min_ms + chance.below(span))).await;
        own.kill()?;
        course.mark(format!("kill {}", kill + 1));
        if let Err(words) = own.verify().await? {
            report.breaks(format!("verify after kill {}: {words}", kill + 1));
        }
        let ready_s = own.spawn().await?.as_secs_f64();
        course.value("Start to ready after kill -9, seconds", ready_s);
        restarts.push(ready_s);
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(restarts)
}

/// A box that is used and syncs, through every restart, and at the end until nothing is unsent.
pub(crate) async fn box_life(
    watched: &mut Watched,
    target: &Target,
    entries: usize,
    running: &Cell<bool>,
    tally: &Tally,
    broken: &Cell<u64>,
) -> Result<(), LoadError> {
    let mut link = None;
    let mut stopping = Instant::now();
    loop {
        if running.get() {
            stopping = Instant::now();
            let some = 1 + watched.fleet_box.vbox.chance.index(entries.max(1));
            use_box(&mut watched.fleet_box, some, 1, false)?;
        } else if watched.fleet_box.vbox.unsent() == 0 {
            return Ok(());
        } else if stopping.elapsed() > PATIENCE {
            tally.error(format!("{}: entries without a receipt after {PATIENCE:?}", watched.fleet_box.id()));
            return Ok(());
        }
        let outcome = one_sync(&mut link, watched, target).await;
        let vbox = &mut watched.fleet_box.vbox;
        let wait = match outcome {
            Ok((Synced::Applied(applied), took)) => {
                tally.answered(took);
                add(&tally.entries, applied.receipts.len() as u64);
                watched.receipts.note(applied.receipts);
                vbox.backoff.succeeded();
                Duration::from_millis(20 + vbox.chance.below(200))
            }
            Ok((Synced::Deferred { retry_after_s }, _)) => {
                tally.put_off();
                Backoff::after_refusal(retry_after_s, &mut vbox.chance)
            }
            Ok((Synced::Stopped { status, problem }, _)) => {
                tally.error(format!("{}: {status} {problem}", vbox.id()));
                return Ok(());
            }
            Ok((Synced::Unbelievable(why), _)) => {
                tally.error(format!("{}: {why}", vbox.id()));
                return Ok(());
            }
            // The server is being killed all the time: no answer is no error here.
            Err(crate::link::LinkError::Broken(_)) => {
                add(broken, 1);
                vbox.backoff.after_failure(&mut vbox.chance).min(Duration::from_secs(1))
            }
            Err(error) => return Err(error.into()),
        };
        tokio::time::sleep(wait).await;
    }
}

pub(crate) async fn administrator(
    number: usize,
    mut apis: Vec<Api>,
    mut mine: Vec<(usize, Desk)>,
    running: &Cell<bool>,
    noted: &RefCell<HashMap<usize, Acknowledged>>,
    (tally, course): (&Tally, &Course),
    chance: &mut Chance,
) {
    let mut tag = number as u64 * 10_000_000;
    while running.get() {
        let at = chance.index(mine.len());
        let (index, desk) = &mut mine[at];
        // Taken out while the call is under way: nobody else changes this box.
        let mut acknowledged = noted.borrow_mut().remove(index).unwrap_or_default();
        tag += 1;
        let began = Instant::now();
        let outcome = administer(&mut apis[desk.organisation], desk, &mut acknowledged, tag, chance).await;
        noted.borrow_mut().insert(*index, acknowledged);
        match outcome {
            Ok(()) => course.answered("change by an administrator", began.elapsed()),
            Err(error) => tally.error(format!("administrator {number}: {error}")),
        }
        tokio::time::sleep(Duration::from_millis(chance.below(60))).await;
    }
}
