//! `phones`: a town of desk phones of every vendor, the persons in front of them, their administrators and a stranger.
//! Every answer on the way and every device at the end is compared with an independent model.

mod day;
mod desk;
pub mod handset;
pub mod line;
pub mod model;
#[cfg(test)]
mod model_tests;
mod person;
mod proof;
mod script;
mod town;
pub mod vendors;
mod world;

use crate::{
    chance::Chance,
    process::raise_open_files,
    report::{Figure, LoadError, Report},
    site::{Common, Site},
};
use day::Day;
use std::{cell::Cell, rc::Rc, time::Duration};
use world::{Tally, World};

pub use person::{Form, open_form};
pub use town::{handset as new_handset, organisations, set_up};
pub use world::Organisation;

#[derive(clap::Args, Clone, Debug)]
pub struct PhonesArgs {
    /// How many phones, at sites with one public address each.
    #[arg(long, default_value_t = 5000)]
    pub count: usize,
    /// Share of the persons who enter a wrong PAP first.
    #[arg(long, default_value_t = 0.2)]
    pub wrong: f64,
    /// Over so many organisations.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=200))]
    pub organisations: u64,
}

/// Where phones come from is said by a proxy; the counts over all devices are not what is looked at here.
pub const HTTP: &str = "trusted_proxies = [\"127.0.0.0/8\"]\n";
fn sections(rounds_max: u32) -> String {
    let quota = ["source", "office", "pbx", "organisation"].map(|who| format!("wrong_paps_per_{who} = 1000000\n"));
    format!(
        "[devices]\nrounds_until_blocked = {rounds_max}\n{}\n[provisioning]\nbasic_over_http = true\n",
        quota.concat()
    )
}

/// How long a contact counts as the same one.
const QUIET: Duration = Duration::from_secs(12);

pub async fn run(args: &PhonesArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("phones", seed);
    let chance = Chance::seeded(seed);
    let may_open = raise_open_files(args.count as u64 + 300);
    if may_open < args.count as u64 + 200 || args.count == 0 {
        let why = format!("{} phones need as many sockets, this process may open {may_open}", args.count);
        return Err(LoadError::Unfit(why));
    }
    let mut site = Site::open(common).await?;
    serve_with(&mut site, &sections(3)).await?;
    let count = usize::try_from(args.organisations).unwrap_or(1);
    let organisations = organisations(&mut site.operator(&chance), count, &chance).await?;
    let sizes = town::site_sizes(args.count, &mut chance.fork(2));
    let sites = town::sites(&site.target, &organisations, &sizes, 0.08, &chance).await?;

    let course = site.observe();
    let world = Rc::new(World {
        target: site.target.clone(),
        organisations,
        course: course.clone(),
        tally: Tally::new()?,
        rounds_max: Cell::new(3),
    });
    course.mark("first day");
    let mut sites = day::all(&world, sites, Day { number: 1, wrong_share: args.wrong }).await?;
    report.detail("states_after_the_first_day", day::states(&sites));
    day::compare_all(&world, &mut sites, &chance).await?;

    // Counts and times must survive; and from now on the first lock is for good.
    course.mark("started again");
    serve_with(&mut site, &sections(1)).await?;
    world.rounds_max.set(1);
    day::server_started_again(&mut sites);
    day::compare_all(&world, &mut sites, &chance).await?;
    let mut sites = day::all(&world, sites, Day { number: 2, wrong_share: args.wrong }).await?;
    day::compare_all(&world, &mut sites, &chance).await?;
    report.detail("states_after_the_second_day", day::states(&sites));

    // A power cut as things stand, then one after which every address is trusted.
    let days = world.tally.take_latencies()?;
    tokio::time::sleep(QUIET).await;
    let (mut sites, cut) = day::power_cut(&world, sites).await?;
    day::compare_all(&world, &mut sites, &chance).await?;
    let back = world.tally.take_latencies()?;
    day::whitelist_all(&world, &sites, &chance).await?;
    tokio::time::sleep(QUIET).await;
    let meter = site.meter();
    let (mut sites, whitelisted) = day::power_cut(&world, sites).await?;
    let used = meter.stop();
    day::compare_all(&world, &mut sites, &chance).await?;
    course.end(&mut report).await;

    report.devices = Some(args.count as u64);
    report.answers_per_s = Some(Figure::Each(vec![
        ("power back".to_owned(), cut.answers as f64 / cut.seconds),
        ("power back, all whitelisted".to_owned(), whitelisted.answers as f64 / whitelisted.seconds),
    ]));
    let all_trusted = world.tally.take_latencies()?;
    let each = |quantile| {
        let spans = [("two days", &days), ("power back", &back), ("power back, all whitelisted", &all_trusted)];
        Some(Figure::Each(spans.map(|(name, span)| (name.to_owned(), span.quantile_ms(quantile))).to_vec()))
    };
    (report.p50_ms, report.p99_ms) = (each(0.5), each(0.99));
    let us = |seconds: f64| seconds * 1e6 / whitelisted.answers.max(1) as f64;
    report.detail("server_cpu_us_per_answer", us(used.server_s).round());
    report.detail("generator_cpu_us_per_answer", us(used.generator_s).round());
    report.detail("all_back_s", (whitelisted.seconds * 1000.0).round() / 1000.0);
    report.detail("states_at_the_end", day::states(&sites));
    report.detail("sites", sites.len());
    let handsets = || sites.iter().flat_map(|site| &site.desks).map(|desk| &desk.handset);
    report.detail("configurations_applied", handsets().map(|handset| handset.applied).sum::<u64>());
    report.detail("configurations_unchanged", handsets().map(|handset| handset.unchanged).sum::<u64>());
    report.foreign_cpu_cores = Some(used.foreign_cores.into());
    report.server_rss_kib = site.rss_kib();
    world.tally.conclude(&mut report);
    // A machine that stood still for seconds leaves some of which nobody can tell; many would hide what is wrong.
    let doubtful = sites.iter().flat_map(|site| &site.desks).filter(|desk| desk.model.doubtful).count();
    report.detail("doubtful", doubtful);
    if doubtful * 50 > args.count {
        report.breaks(format!("{doubtful} devices cannot be judged: the machine was too slow"));
    }
    site.close(&mut report).await;
    Ok(report)
}

/// Starts the server again, with these settings.
pub async fn serve_with(site: &mut Site, sections: &str) -> Result<(), LoadError> {
    let own = site.own()?;
    own.stop().await?;
    own.settle(HTTP, sections)?;
    own.spawn().await?;
    Ok(())
}
