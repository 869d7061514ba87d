//! `storm`: an outage, and everyone back at once.

use crate::{
    chance::Chance,
    fleet::{self, Shape, gather},
    process::raise_open_files,
    report::{Admission, Figure, LoadError, Report},
    road::{Tally, change_some, come_back, conclude, use_all, watch},
    screen::bar,
    site::{Common, Site},
};
use std::time::Instant;

#[derive(clap::Args, Clone, Debug)]
pub struct StormArgs {
    /// How many boxes, over three organisations, one of each plan.
    #[arg(long, default_value_t = 1000)]
    pub boxes: usize,
    /// Exchanges at each box during the outage.
    #[arg(long, default_value_t = 10)]
    pub entries: usize,
    /// Share of the boxes for which administrators change something during the outage.
    #[arg(long, default_value_t = 0.3)]
    pub changed: f64,
}

pub async fn run(args: &StormArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("storm", seed);
    let chance = Chance::seeded(seed);
    let may_open = raise_open_files(args.boxes as u64 + 200);
    if may_open < args.boxes as u64 + 100 {
        let why = format!("{} boxes need as many sockets, this process may open {may_open}", args.boxes);
        return Err(LoadError::Unfit(why));
    }
    let site = Site::open(common).await?;
    let before_kib = site.rss_kib();
    let shape = Shape { boxes: args.boxes, bins: 12, keys: 10, people: 2 };
    let mut fleet = fleet::build(&mut site.operator(&chance), &shape, &chance).await?;
    fleet::until_codes_arrive(&site.target, &mut fleet.boxes).await?;
    let (fleet, mut boxes) = watch(fleet);

    // The road is cut: nobody syncs.
    report.entries = Some(use_all(&mut boxes, args.entries, 1000)?);
    change_some(&site.target, &fleet, &mut boxes, args.changed, &chance).await?;

    let course = site.observe();
    let tally = Tally::on(&course)?;
    let meter = site.meter();
    let began = Instant::now();
    let progress = bar("back", boxes.len() as u64);
    let returning = boxes.into_iter().enumerate().map(|(index, mut watched)| {
        let (tally, progress, target) = (tally.clone(), progress.clone(), site.target.clone());
        async move {
            come_back(&mut watched, &target, &tally).await;
            progress.inc(1);
            Ok(vec![(index, watched)])
        }
    });
    let boxes = gather(returning).await?;
    let wall_s = began.elapsed().as_secs_f64();
    progress.finish_and_clear();
    let used = meter.stop();
    course.end(&mut report).await;
    report.syncs_per_s = Some(Figure::One(tally.syncs.get() as f64 / wall_s));
    report.entries_per_s = Some(Figure::One(tally.entries.get() as f64 / wall_s));
    site.report_cpu(&mut report, used, tally.syncs.get());
    site.report_memory(&mut report, before_kib, args.boxes);
    let seen = Admission { admitted: tally.syncs.get(), deferred: tally.deferred.get(), ..Admission::default() };
    report.admission = Some(site.admission(seen).await);
    report.ready_s = site.ready_s.map(Figure::One);
    report.detail("all_back_s", (wall_s * 1000.0).round() / 1000.0);
    report.detail("sync_deferrals", tally.deferred.get());

    conclude(&mut report, &site.target, &fleet, boxes, tally, &chance).await?;
    site.close(&mut report).await;
    Ok(report)
}
