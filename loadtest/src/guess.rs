//! `guess`: attackers walk over the devices of several organisations and try PAPs, while honest phones go on polling.
//! First against the counts over all devices as they are in production, then without them, so that only each device
//! defends itself. What was judged is counted from the change feed.

mod attack;
mod honest;
mod judged;

use crate::{
    api::Api,
    chance::Chance,
    course::Course,
    fleet::gather,
    phones::{self, Organisation, new_handset, serve_with, set_up, vendors::Vendor},
    process::raise_open_files,
    report::{Bound, Figure, Latencies, LoadError, Report, median},
    screen::bar,
    site::{Common, Site},
};
use attack::{Attack, Heard, Waiting};
use serde_json::json;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
    time::Duration,
};

/// How much slower an honest phone may be answered while others guess.
const SLOWER_MAX: f64 = 2.0;
/// Organisations that are attacked together.
const ORGANISATIONS: usize = 4;
/// Calls that are in flight together while the devices are made.
const BUILDERS: usize = 24;

#[derive(clap::Args, Clone, Debug)]
pub struct GuessArgs {
    /// How many devices wait for their PAP.
    #[arg(long, default_value_t = 1000)]
    pub devices: usize,
    /// How many source addresses the attackers have.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=250))]
    pub sources: u16,
    /// How many honest phones go on.
    #[arg(long, default_value_t = 200)]
    pub honest: usize,
    /// Polls of all honest phones together in a second.
    #[arg(long, default_value_t = 100.0)]
    pub rate: f64,
    /// How long it is quiet each time, and how long each attack goes on.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Quiet and attack by turns, so often: what else the machine does is then in both. Medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// Only measure: do not fail when honest phones wait too long.
    #[arg(long)]
    pub no_targets: bool,
}

/// The counts over all devices, as in production, or as if there were none.
fn sections(open: bool) -> String {
    let quotas = ["source", "office", "pbx", "organisation"].map(|who| format!("wrong_paps_per_{who} = 1000000\n"));
    let quotas = if open { quotas.concat() } else { String::new() };
    format!("[devices]\n{quotas}\n[provisioning]\nbasic_over_http = true\n")
}

pub async fn run(args: &GuessArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("guess", seed);
    let chance = Chance::seeded(seed);
    raise_open_files(args.honest as u64 + 600);
    if args.devices == 0 || args.honest == 0 || args.rate <= 0.0 {
        return Err(LoadError::Unfit("devices, honest phones and their rate are more than 0".into()));
    }
    let mut site = Site::open(common).await?;
    serve_with(&mut site, &sections(false)).await?;
    let organisations = phones::organisations(&mut site.operator(&chance), ORGANISATIONS, &chance).await?;
    let waiting = Rc::new(wait(&site, &organisations, args.devices, &chance).await?);
    let honest = honest::provision(&site, &organisations, args, &chance).await?;
    // Since its start the server takes a tenth of what it takes later: it is to be quiet about the same server.
    let course = site.observe();
    let meter = site.meter();
    let span = Duration::from_secs(args.seconds);

    let attack = Attack::new(&site.target, &organisations, &waiting, &course, &chance);
    attack.add_pbx_thieves(&site, "first").await?;
    let (mut quiet, mut attacked) = (Vec::new(), Vec::new());
    let (mut heard, mut honest) = (Heard::default(), honest);
    for _ in 0..args.rounds {
        course.mark("quiet");
        let (phones, latencies) =
            honest::go_on(honest, &site.target, args.rate, span, &course, "honest, quiet").await?;
        quiet.push(latencies);
        course.mark("attack");
        let (phones, latencies, more) = under_attack(phones, &attack, args, &site, span, "honest, attacked").await?;
        attacked.push(latencies);
        heard.add(more);
        honest = phones;
    }
    let closed_by_metric = counter(&site, "castellan_pap_sources_closed_total").await;

    // Without the counts over all devices only each device defends itself. Counts and locks have survived.
    course.mark("attack without source governors");
    serve_with(&mut site, &sections(true)).await?;
    let open = Attack::new(&site.target, &organisations, &waiting, &course, &chance.fork(9));
    open.add_pbx_thieves(&site, "second").await?;
    let (honest, _, heard_open) = under_attack(honest, &open, args, &site, span, "honest, attacked by many").await?;
    let used = meter.stop();
    course.end(&mut report).await;

    let guessed: BTreeSet<String> =
        [&heard, &heard_open].iter().flat_map(|heard| heard.right.iter().cloned()).collect();
    let judged = judged::count(&site, &organisations, &chance).await?;
    conclude_states(&mut report, &site, &organisations, &waiting, &guessed, &chance).await?;
    report.devices = Some(args.devices as u64);
    report.max_judged_per_round = Some(judged.max_per_round);
    report.must("most PAPs judged in one round", judged.max_per_round as f64, Bound::AtMost(3.0));
    report.must_be_zero("devices_unknown_to_the_feed", judged.unknown);
    report.must_be_zero("wrong_answers", honest.wrong_answers() + heard.strange + heard_open.strange);
    report.broken.extend(honest.words());
    report.broken.extend([heard.words.clone(), heard_open.words.clone()].concat());
    // All must be closed: nobody's attack is as short as what he may try.
    report.must("sources closed", heard.closed.len() as f64, Bound::AtLeast(f64::from(args.sources)));
    report.must("guesses refused with 429", heard.too_many as f64, Bound::AtLeast(f64::from(args.sources)));
    report.must("PAPs judged wrong without source governors", judged.wrong as f64, Bound::AtLeast(1.0));
    let middle = |all: &[Latencies], quantile| median(all.iter().map(|one| one.quantile_ms(quantile)).collect());
    let (before, during) = (middle(&quiet, 0.99), middle(&attacked, 0.99));
    let each = |quantile| {
        let figures = [("quiet", &quiet), ("attacked", &attacked)];
        Some(Figure::Each(figures.map(|(name, all)| (name.to_owned(), middle(all, quantile))).to_vec()))
    };
    (report.p50_ms, report.p99_ms) = (each(0.5), each(0.99));
    let rounds = |all: &[Latencies]| all.iter().map(|one| one.quantile_ms(0.99)).collect::<Vec<_>>();
    report.detail("honest_p99_by_round", json!({ "quiet": rounds(&quiet), "attacked": rounds(&attacked) }));
    report.detail("honest_p99_against_quiet", (during / before.max(0.001) * 100.0).round() / 100.0);
    if !args.no_targets {
        report.must("honest p99 under attack against quiet", during / before.max(0.001), Bound::AtMost(SLOWER_MAX));
    }
    report.detail("sources_closed", heard.closed.len());
    report.detail("sources_closed_by_the_server", closed_by_metric);
    report.detail("judged_wrong", judged.wrong);
    report.detail("refused_while_locked", judged.refused);
    report.detail("locked", judged.locked);
    report.detail("guessed_right", guessed.len());
    report.detail(
        "guesses",
        json!({
            "with_source_governors": heard.told(), "without_source_governors": heard_open.told(),
        }),
    );
    report.foreign_cpu_cores = Some(used.foreign_cores.into());
    report.server_rss_kib = site.rss_kib();
    site.close(&mut report).await;
    Ok(report)
}

type UnderAttack = (honest::Honest, Latencies, Heard);

async fn under_attack(
    honest: honest::Honest,
    attack: &Attack,
    args: &GuessArgs,
    site: &Site,
    span: Duration,
    lane: &'static str,
) -> Result<UnderAttack, LoadError> {
    let attacking = attack.clone().run(args.sources, span);
    let going_on = honest::go_on(honest, &site.target, args.rate, span, attack.course(), lane);
    let (heard, honest) = tokio::join!(attacking, going_on);
    let (honest, latencies) = honest?;
    Ok((honest, latencies, heard?))
}

/// Devices that nobody has authenticated yet.
async fn wait(
    site: &Site,
    organisations: &[Organisation],
    count: usize,
    chance: &Chance,
) -> Result<Vec<Waiting>, LoadError> {
    let progress = bar("devices", count as u64);
    let next = Rc::new(Cell::new(0));
    let makers = (0..BUILDERS.min(count)).map(|maker| {
        let (organisations, next, progress) = (organisations.to_vec(), next.clone(), progress.clone());
        let mut chance = chance.fork(3000 + maker as u64);
        let mut admins: Vec<Api> = organisations
            .iter()
            .map(|organisation| organisation.callers(&site.target, &chance.fork(maker as u64)).admin)
            .collect();
        async move {
            let mut made = Vec::new();
            while next.get() < count {
                let index = next.replace(next.get() + 1);
                let organisation = index % organisations.len();
                let handset = new_handset(Vendor::drawn(&mut chance), index, &organisations[organisation]);
                let (id, pap) = set_up(&mut admins[organisation], &handset, index, index / 10).await?;
                let file = handset.vendor.device_file(&handset.mac);
                made.push((index, Waiting { id, organisation, mac: handset.mac, agent: handset.agent, file, pap }));
                progress.inc(1);
            }
            Ok(made)
        }
    });
    let made = gather(makers).await?;
    progress.finish_and_clear();
    Ok(made)
}

/// No device is authenticated whose PAP nobody has said.
async fn conclude_states(
    report: &mut Report,
    site: &Site,
    organisations: &[Organisation],
    waiting: &[Waiting],
    guessed: &BTreeSet<String>,
    chance: &Chance,
) -> Result<(), LoadError> {
    let (mut wrong, mut seen) = (0, 0);
    let ids: BTreeSet<&str> = waiting.iter().map(|device| &*device.id).collect();
    let states = RefCell::new(std::collections::BTreeMap::<String, u64>::new());
    for (at, organisation) in organisations.iter().enumerate() {
        let mut admin = organisation.callers(&site.target, &chance.fork(70 + at as u64)).admin;
        for device in admin.list("/devices").await? {
            let id = device["device"].as_str().unwrap_or_default();
            if !ids.contains(id) {
                continue;
            }
            seen += 1;
            let state = device["state"].as_str().unwrap_or_default();
            *states.borrow_mut().entry(state.to_owned()).or_default() += 1;
            if state == "successful" && !guessed.contains(id) {
                wrong += 1;
                report.breaks(format!("{id} is successful, and nobody has said its PAP: {device}"));
            }
        }
    }
    report.detail("states", json!(states.into_inner()));
    wrong += ids.len() as u64 - seen;
    report.wrong_states = Some(wrong);
    report.must_be_zero("wrong_states", wrong);
    Ok(())
}

async fn counter(site: &Site, name: &str) -> Option<f64> {
    let text = site.metrics().await?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

/// The course is told under names that live as long as the program.
pub(crate) fn told(course: &Course, lane: &'static str, status: u16, took: Duration) {
    if matches!(status, 429 | 503) { course.failed(lane) } else { course.answered(lane, took) }
}
