//! `field`: people use boxes that go on and off the network for days, in a time that is moved by hand. An independent
//! model says what every box must decide, what the server must make of every entry, and which alerts must be in force.

mod administrator;
mod alerts;
mod clock;
mod contact;
mod life;
mod model;
mod newcomer;
mod site;
mod visit;

use crate::{
    chance::Chance,
    process::{ServerProcess, find_binary},
    report::{LoadError, Report},
    screen::bar,
    site::Common,
};
use clock::Clock;
use site::World;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Instant,
};

/// Everything comes round in this time; a box that has nothing to do is told to come at least so often.
const STEP_MS: u64 = 5 * 60_000;
/// In a step, time goes on by this before people come, and once more before boxes sync: so no limit falls together with
/// a look at what is in force.
const WITHIN_MS: u64 = 60_000;
/// Steps after which the server is killed with -9 and started again: nothing may be told twice.
const KILLED_EVERY: u64 = 60;
/// Words about what is wrong that are kept; there may be thousands.
const WORDS: usize = 40;

#[derive(clap::Args, Clone, Debug)]
pub struct FieldArgs {
    /// How many boxes, over three organisations, one of each plan.
    #[arg(long, default_value_t = 200)]
    pub boxes: usize,
    /// How long, in days of their time.
    #[arg(long, default_value_t = 3.0)]
    pub days: f64,
    /// Keys of each box.
    #[arg(long, default_value_t = 6)]
    pub keys: usize,
}

/// What was found.
#[derive(Default)]
struct Tally {
    decisions: Cell<u64>,
    wrong_decisions: Cell<u64>,
    entries: Cell<u64>,
    looks: Cell<u64>,
    missing_alerts: Cell<u64>,
    false_alerts: Cell<u64>,
    wrong_states: Cell<u64>,
    /// Alerts that came to be in force.
    alerts: Cell<u64>,
    conflicts: Cell<u64>,
    offline_decisions: Cell<u64>,
    decided_online: Cell<u64>,
    /// Decisions by where they were made, by what somebody showed, and how they had to end.
    counts: RefCell<Counts>,
    words: RefCell<Vec<String>>,
}

type Counts = BTreeMap<&'static str, BTreeMap<&'static str, BTreeMap<&'static str, u64>>>;

fn add(counter: &Cell<u64>, count: u64) {
    counter.set(counter.get() + count);
}

impl Tally {
    fn count(&self, place: &'static str, kind: &'static str, ended: &'static str) {
        *self.counts.borrow_mut().entry(place).or_default().entry(kind).or_default().entry(ended).or_default() += 1;
    }

    fn wrong(&self, counter: &Cell<u64>, words: impl FnOnce() -> String) {
        add(counter, 1);
        let mut kept = self.words.borrow_mut();
        if kept.len() < WORDS {
            kept.push(words());
        }
    }
}

pub async fn run(args: &FieldArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    if common.url.is_some() {
        return Err(LoadError::Unfit("this scenario moves the server's clock: leave out --url".to_owned()));
    }
    if !(2..=7).contains(&args.keys) {
        return Err(LoadError::Unfit("--keys is from 2 to 7: bins have names of three characters".to_owned()));
    }
    let mut report = Report::new("field", seed);
    let mut clock = Clock::new()?;
    let mut server = ServerProcess::start(&clock.around(&find_binary(common.server_bin.as_deref())?)?).await?;
    let mut chance = Chance::seeded(seed);
    let began = Instant::now();
    let tally = Tally::default();
    let mut world = World::made(&server, args, &chance, &clock).await?;
    administrator::hands_out(&mut world, &clock, &tally, &mut chance).await?;
    let steps = (args.days * 86_400_000.0 / STEP_MS as f64).ceil() as u64;
    let progress = bar("5 minutes", steps);
    let start_ms = clock.now_ms() / STEP_MS * STEP_MS + STEP_MS;
    for step in 0..steps {
        let at_ms = start_ms + step * STEP_MS;
        clock.move_to(at_ms)?;
        alerts::compare(&mut world, &clock, &tally).await?;
        clock.move_to(at_ms + WITHIN_MS)?;
        life::people_and_administrators(&mut world, &clock, &tally, &mut chance).await?;
        if step == steps * 2 / 3 {
            administrator::new_signers(&mut world, &clock).await?;
        }
        clock.move_to(at_ms + 2 * WITHIN_MS)?;
        contact::syncs(&mut world, &clock, &tally).await?;
        let compared_ms = clock.now_ms();
        alerts::compare(&mut world, &clock, &tally).await?;
        if step % KILLED_EVERY == KILLED_EVERY / 2 {
            clock.move_to(at_ms + 3 * WITHIN_MS)?;
            server.kill()?;
            server.spawn().await?;
            let now_ms = clock.now_ms();
            world.sites.iter_mut().for_each(|site| {
                site.link = None;
                site.model.restarted(compared_ms, now_ms);
            });
        }
        progress.inc(1);
    }
    // Everybody comes back: what is believed of each box must be what this model believes.
    contact::everyone_back(&mut world, &clock, &tally).await?;
    alerts::compare(&mut world, &clock, &tally).await?;
    contact::inventories(&mut world, &tally).await?;
    alerts::told_once(&mut world, &tally).await?;
    progress.finish_and_clear();
    if let Err(error) = server.stop().await {
        report.breaks(error.to_string());
    }
    report.boxes = Some(args.boxes as u64);
    report.entries = Some(tally.entries.get());
    report.conflicts = Some(tally.conflicts.get());
    report.wrong_states = Some(tally.wrong_states.get());
    report.wrong_decisions = Some(tally.wrong_decisions.get());
    report.missing_alerts = Some(tally.missing_alerts.get());
    report.false_alerts = Some(tally.false_alerts.get());
    let counts = [
        ("days", args.days),
        ("decisions", tally.decisions.get() as f64),
        ("decided_offline", tally.offline_decisions.get() as f64),
        ("decided_online", tally.decided_online.get() as f64),
        ("alerts_raised", tally.alerts.get() as f64),
        ("looks_at_alerts", tally.looks.get() as f64),
        ("wall_s", began.elapsed().as_secs_f64().round()),
    ];
    counts.into_iter().for_each(|(name, count)| report.detail(name, count));
    report.detail("decided", serde_json::json!(*tally.counts.borrow()));
    report.must_be_zero("wrong_decisions", tally.wrong_decisions.get());
    report.must_be_zero("missing_alerts", tally.missing_alerts.get());
    report.must_be_zero("false_alerts", tally.false_alerts.get());
    report.must_be_zero("wrong_states", tally.wrong_states.get());
    tally.words.take().into_iter().for_each(|words| report.breaks(words));
    Ok(report)
}
