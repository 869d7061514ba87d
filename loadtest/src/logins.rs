//! `logins`: boxes sync at a steady rate, and by turns a burst of logins at terminals comes beside them. Passwords are
//! hashed at their full price; the syncs must hardly notice.

use crate::{
    api::text,
    chance::Chance,
    client::Target,
    course::Course,
    fleet::{self, Shape, gather},
    phones::serve_with,
    process::raise_open_files,
    ramp::Ground,
    recovery::Caller,
    report::{Bound, Figure, LoadError, Report, median},
    screen::bar,
    site::{Common, Site},
    timetable::Timetable,
    versus::{drive::open_all, request::Driver},
};
use serde_json::json;
use std::{cell::Cell, rc::Rc, time::Duration};

/// How much later syncs may be answered beside a burst of logins.
const SLOWER_MAX: f64 = 1.2;
/// Terminals that are used at the same time.
const PEOPLE: usize = 96;
const INSTALLATIONS: usize = 40;
/// Other processes may use so much of the machine before a p99 says nothing.
const FOREIGN_CORES_MAX: f64 = 0.25;

#[derive(clap::Args, Clone, Debug)]
pub struct LoginsArgs {
    /// How many boxes sync.
    #[arg(long, default_value_t = 500)]
    pub boxes: usize,
    /// Over how many connections.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Syncs in a second.
    #[arg(long, default_value_t = 300.0)]
    pub rate: f64,
    /// Logins in a second, while there is a burst.
    #[arg(long, default_value_t = 200.0)]
    pub logins: f64,
    /// How long it is quiet each time, and how long each burst goes on.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Quiet and burst by turns, so often: medians count.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// Only measure: do not fail when syncs wait longer.
    #[arg(long)]
    pub no_targets: bool,
}

/// All come from one address here.
const SECTIONS: &str = "[recovery]\nrequests_per_minute_per_source = 100000000\n";

pub async fn run(args: &LoginsArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("logins", seed);
    let chance = Chance::seeded(seed);
    raise_open_files(args.connections as u64 + PEOPLE as u64 + 200);
    if !(1..=args.boxes).contains(&args.connections) || args.rate <= 0.0 || args.logins <= 0.0 || args.seconds == 0 {
        return Err(LoadError::Unfit("connections must be 1 to --boxes, rates and seconds more than 0".into()));
    }
    let mut site = Site::open(common).await?;
    serve_with(&mut site, SECTIONS).await?;
    let shape = Shape { boxes: args.boxes, bins: 10, keys: 10, people: 2 };
    let fleet = fleet::build(&mut site.operator(&chance), &shape, &chance).await?;
    let drivers = fleet.boxes.iter().map(|fleet_box| Driver::new(fleet_box, &site.target, 4)).collect();
    let links = open_all(&site.target, args.connections).await?;
    let paths = Rc::new(installations(&site, &chance).await?);
    let mut ground = Ground { links, drivers, course: site.observe() };
    let meter = site.meter();
    let span = Duration::from_secs(args.seconds);
    let progress = bar("rounds", args.rounds.into());
    let (mut quiet, mut beside, mut errors) = (Vec::new(), Vec::new(), 0);
    let people = People { target: site.target.clone(), paths, course: ground.course.clone(), done: Rc::default() };
    for _ in 0..args.rounds {
        let step = ground.step(args.rate, span, &site.target).await?;
        quiet.push(step.p99_ms());
        let burst = people.burst(args.logins, span, &chance);
        let (step, burst) = tokio::join!(ground.step(args.rate, span, &site.target), burst);
        let step = step?;
        burst?;
        beside.push(step.p99_ms());
        errors += step.paced.errors + step.paced.never_sent;
        progress.inc(1);
        // What waits for its hash is done before it is quiet again.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    progress.finish_and_clear();
    let used = meter.stop();
    ground.course.end(&mut report).await;
    let ratio = median(beside.clone()) / median(quiet.clone()).max(0.001);
    let each = [("quiet", median(quiet.clone())), ("beside logins", median(beside.clone()))];
    report.p99_ms = Some(Figure::Each(each.map(|(name, p99)| (name.to_owned(), p99)).to_vec()));
    report.boxes = Some(args.boxes as u64);
    report.errors = Some(errors);
    report.must_be_zero("errors", errors);
    let done = people.done;
    report.must("logins judged", done.judged.get() as f64, Bound::AtLeast(1.0));
    if !args.no_targets {
        report.must("p99 of syncs beside logins against quiet", ratio, Bound::AtMost(SLOWER_MAX));
        report.must("foreign CPU, cores", used.foreign_cores, Bound::AtMost(FOREIGN_CORES_MAX));
    }
    report.detail("sync_p99_against_quiet", (ratio * 100.0).round() / 100.0);
    report.detail("sync_p99_by_round", json!({ "quiet": quiet, "beside_logins": beside }));
    report.detail(
        "logins",
        json!({ "judged": done.judged.get(), "put_off": done.put_off.get(), "unanswered": done.unanswered.get() }),
    );
    report.foreign_cpu_cores = Some(used.foreign_cores.into());
    report.server_rss_kib = site.rss_kib();
    site.close(&mut report).await;
    Ok(report)
}

/// How terminals name the installations that people log in at.
async fn installations(site: &Site, chance: &Chance) -> Result<Vec<String>, LoadError> {
    let mut operator = site.operator(chance);
    let body = json!({
        "name": "Studies", "plan": "business_pro", "language": "en", "zone": "Europe/Rome",
        "owner": {"name": "Owner", "email": "owner@studies.example"},
    });
    let token = text(&operator.post("/organisations", &body).await?, "token", "POST /organisations")?;
    let mut admin = operator.with_token(&*token, chance.fork(3));
    let mut paths = Vec::new();
    for index in 0..INSTALLATIONS {
        let body = json!({
            "label": format!("Studio {index}"), "product": "Mexal", "environment": "live",
            "administrator": {"name": "Anna", "password": "tre gatti sul tetto"},
        });
        paths.push(text(&admin.post("/installations", &body).await?, "path", "POST /installations")?);
    }
    Ok(paths)
}

#[derive(Default)]
struct Done {
    judged: Cell<u64>,
    put_off: Cell<u64>,
    unanswered: Cell<u64>,
}

struct People {
    target: Target,
    paths: Rc<Vec<String>>,
    course: Course,
    done: Rc<Done>,
}

impl People {
    /// Logins by a timetable, each at a terminal of its own and under a name of its own.
    async fn burst(&self, per_s: f64, span: Duration, chance: &Chance) -> Result<(), LoadError> {
        let timetable = Timetable::new(per_s, span);
        let people = (0..PEOPLE).map(|number| {
            let (timetable, paths, done) = (timetable.clone(), Rc::clone(&self.paths), Rc::clone(&self.done));
            let course = self.course.clone();
            let mut caller = Caller::new(&self.target, chance.fork(4000 + number as u64));
            async move {
                while let Some(due) = timetable.next().await {
                    let path = &paths[caller.chance.index(paths.len())];
                    let open = format!("/recovery/v1/{path}/terminals");
                    let opened = caller.json("POST", &open, None, Some(&json!({}))).await;
                    let Some(terminal) = opened.map(|opened| opened.text("terminal")) else { continue };
                    let body = json!({ "name": format!("user{}", caller.chance.number()), "password": "what was it" });
                    let told = caller.json("POST", "/recovery/v1/terminal/login", Some(&terminal), Some(&body)).await;
                    let count = match &told {
                        Some(told) if told.status == 200 => &done.judged,
                        Some(_) => &done.put_off,
                        None => &done.unanswered,
                    };
                    count.set(count.get() + 1);
                    match told.is_some_and(|told| told.status == 200) {
                        true => course.answered("login", due.elapsed()),
                        false => course.failed("login"),
                    }
                    caller.json("DELETE", "/recovery/v1/terminal", Some(&terminal), None).await;
                }
                Ok(Vec::<(usize, ())>::new())
            }
        });
        gather(people).await.map(drop)
    }
}
