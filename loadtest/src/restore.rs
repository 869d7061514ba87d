//! `restore`: a backup is made while boxes and administrators are at work, the work goes on, the server is lost. Another
//! one starts from the backup; the boxes come back to it and send again what they still have.

use crate::{
    chance::Chance,
    course::Course,
    crash::{administrator, box_life, patient},
    fleet::{self, Fleet, Shape, gather},
    outage::{Acknowledged, Desk},
    report::{Bound, Figure, Latencies, LoadError, Report},
    road::{Tally, Watched, conclude, watch},
    site::{Common, Site},
};
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

/// Administrators at work: before the backup what they are told is held against the server; after it, it may be lost.
const ADMINISTRATORS: usize = 4;
/// A backup must be done by then.
const BACKUP_WITHIN: Duration = Duration::from_secs(120);
/// How often it is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(50);

#[derive(clap::Args, Clone, Debug)]
pub struct RestoreArgs {
    /// How many boxes go on syncing.
    #[arg(long, default_value_t = 300)]
    pub boxes: usize,
    /// Exchanges at a box between two syncs, at most.
    #[arg(long, default_value_t = 6)]
    pub entries: usize,
    /// Load before the backup.
    #[arg(long, default_value_t = 5)]
    pub seconds_before: u64,
    /// Load between the backup and the loss: what the backup does not have.
    #[arg(long, default_value_t = 5)]
    pub seconds_after: u64,
    /// Load on the restored server.
    #[arg(long, default_value_t = 5)]
    pub seconds_back: u64,
    /// Every so-manieth box has thrown away what was receipted; 0: none.
    #[arg(long, default_value_t = 25)]
    pub forgetful: usize,
}

pub async fn run(args: &RestoreArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("restore", seed);
    let chance = Chance::seeded(seed);
    let mut site = Site::open(common).await?;
    site.own()?;
    let shape = Shape { boxes: args.boxes, bins: 12, keys: 10, people: 2 };
    let mut fleet = fleet::build(&mut site.operator(&chance), &shape, &chance).await?;
    fleet::until_codes_arrive(&site.target, &mut fleet.boxes).await?;
    let (fleet, mut boxes) = watch(fleet);
    if args.forgetful > 0 {
        boxes.iter_mut().step_by(args.forgetful).for_each(|watched| watched.fleet_box.vbox.keep_after_receipt(0));
    }
    let desks: Vec<Desk> = boxes.iter().map(|watched| Desk::of(&watched.fleet_box)).collect();

    let course = site.observe();
    let tally = Tally::on(&course)?;
    let (running, broken) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(0)));
    let tasks = boxes.into_iter().enumerate().map(|(index, mut watched)| {
        let (tally, running, broken) = (tally.clone(), running.clone(), broken.clone());
        let (target, entries) = (site.target.clone(), args.entries);
        async move {
            box_life(&mut watched, &target, entries, &running, &tally, &broken).await?;
            Ok(vec![(index, watched)])
        }
    });
    let boxes = tokio::task::spawn_local(gather(tasks.collect::<Vec<_>>().into_iter()));
    let lost = live_and_lose(args, &mut site, &fleet, desks, &tally, &course, &mut report, &chance).await;
    running.set(false);
    let boxes = boxes.await.map_err(|error| LoadError::Unfit(error.to_string()))?;
    let (mut boxes, noted): (Vec<Watched>, _) = (boxes?, lost?);
    course.end(&mut report).await;
    for (index, acknowledged) in noted {
        boxes[index].noted = acknowledged;
    }
    let changes: usize = boxes.iter().map(|watched| watched.noted.changes()).sum();
    report.entries = Some(boxes.iter().map(|watched| watched.fleet_box.vbox.head()).sum());
    report.detail("administrators_changes_before_the_backup", changes);
    report.detail("answers_lost", broken.get());
    report.server_rss_kib = site.rss_kib();
    told_of_the_restore(&mut report, args, &boxes);
    conclude(&mut report, &site.target, &fleet, boxes, tally, &chance).await?;
    let own = site.own()?;
    own.stop().await?;
    if let Err(words) = own.verify().await? {
        report.breaks(format!("verify after the end: {words}"));
    }
    Ok(report)
}

/// Every box has met the restored server, and some had to send again what they had sent.
fn told_of_the_restore(report: &mut Report, args: &RestoreArgs, boxes: &[Watched]) {
    let met = boxes.iter().filter(|watched| watched.receipts.asked_again.is_some()).count();
    let again: u64 = boxes.iter().filter_map(|watched| watched.receipts.asked_again).sum();
    let forgetful = boxes.iter().filter(|watched| !watched.receipts.gone.is_empty()).count();
    report.must("boxes that noticed the restore", met as f64, Bound::AtLeast(boxes.len() as f64));
    report.must("entries asked for again", again as f64, Bound::AtLeast(1.0));
    if args.forgetful > 0 {
        report.must("boxes that had thrown away what was asked for", forgetful as f64, Bound::AtLeast(1.0));
    }
    report.detail("entries_asked_for_again", again);
    report.detail("forgetful_boxes", forgetful);
}

/// Load, a backup under load, load, kill -9, a restore elsewhere, load. What administrators were told before the backup.
#[expect(clippy::too_many_arguments, reason = "one scene, told in one place")]
async fn live_and_lose(
    args: &RestoreArgs,
    site: &mut Site,
    fleet: &Fleet,
    mut desks: Vec<Desk>,
    tally: &Rc<Tally>,
    course: &Course,
    report: &mut Report,
    chance: &Chance,
) -> Result<HashMap<usize, Acknowledged>, LoadError> {
    let seconds = Duration::from_secs;
    let before = Desks::open(site, fleet, &desks, tally, course, &chance.fork(1));
    tokio::time::sleep(seconds(args.seconds_before)).await;
    let noted = before.close().await?;
    let p99_before = tally.latencies.replace(Latencies::new()?).quantile_ms(0.99);
    course.mark("backup begins");
    let began = Instant::now();
    let (folder, made) = back_up(site, chance).await?;
    let backup_s = began.elapsed().as_secs_f64();
    course.mark("backup made");
    let p99_during = tally.latencies.replace(Latencies::new()?).quantile_ms(0.99);
    // What they change from here on is lost with the server: nobody is held to it.
    for (index, acknowledged) in &noted {
        desks[*index].accesses.retain(|access| !acknowledged.withdrawn.contains(&access.id));
    }
    let after = Desks::open(site, fleet, &desks, tally, course, &chance.fork(2));
    tokio::time::sleep(seconds(args.seconds_after)).await;
    after.close().await?;
    let own = site.own()?;
    own.kill()?;
    course.mark("server lost");
    let restored = own.restore(&folder).await?;
    if let Err(words) = own.verify().await? {
        report.breaks(format!("verify of the restored store: {words}"));
    }
    let ready = own.spawn().await?;
    course.mark("restored server ready");
    tokio::time::sleep(seconds(args.seconds_back)).await;
    report.ready_s = Some(Figure::One(ready.as_secs_f64()));
    report.detail("backup_s", backup_s);
    report.detail("backup_bytes", made["bytes"].clone());
    report.detail("restore_s", restored.as_secs_f64());
    report.detail("sync_p99_ms", json!({ "before_the_backup": p99_before, "while_it_was_made": p99_during }));
    Ok(noted)
}

/// Asks for a backup and waits for it: where it is, and what the server says of it.
async fn back_up(site: &mut Site, chance: &Chance) -> Result<(PathBuf, Value), LoadError> {
    let mut operator = site.operator(&chance.fork(3));
    let mut state = operator.post("/operator/backups", &json!({ "name": "under-load" })).await?;
    let began = Instant::now();
    while state["state"] == "running" && began.elapsed() < BACKUP_WITHIN {
        tokio::time::sleep(ASK_EVERY).await;
        state = operator.get("/operator/backups/under-load").await?;
    }
    if state["state"] != "done" {
        return Err(LoadError::Unfit(format!("the backup is not done: {state}")));
    }
    Ok((site.own()?.data_folder().join("backups/under-load"), state))
}

/// Administrators at their desks, until they are told to go home.
struct Desks {
    working: Rc<Cell<bool>>,
    noted: Rc<RefCell<HashMap<usize, Acknowledged>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Desks {
    fn open(site: &Site, fleet: &Fleet, desks: &[Desk], tally: &Rc<Tally>, course: &Course, chance: &Chance) -> Self {
        let (working, noted): (_, Rc<RefCell<HashMap<_, _>>>) = (Rc::new(Cell::new(true)), Rc::default());
        let tasks = (0..ADMINISTRATORS.min(desks.len())).map(|number| {
            let mut chance = chance.fork(600_000 + number as u64);
            let apis = patient(&site.target, fleet, &chance);
            let mine: Vec<(usize, Desk)> =
                desks.iter().cloned().enumerate().skip(number).step_by(ADMINISTRATORS).collect();
            let (working, noted, tally) = (Rc::clone(&working), Rc::clone(&noted), Rc::clone(tally));
            let course = course.clone();
            tokio::task::spawn_local(async move {
                administrator(number, apis, mine, &working, &noted, (&tally, &course), &mut chance).await;
            })
        });
        Self { tasks: tasks.collect(), working, noted }
    }

    async fn close(self) -> Result<HashMap<usize, Acknowledged>, LoadError> {
        self.working.set(false);
        for task in self.tasks {
            task.await.map_err(|error| LoadError::Unfit(error.to_string()))?;
        }
        Ok(self.noted.take())
    }
}
