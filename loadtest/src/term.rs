//! `term`: the first days of a university's term. Many web stores, many shoppers: customers' servers register them,
//! browsers redeem, shoppers order and sign out, by turns with a bare handler. What each may see, which orders succeed
//! and which code goes to whom is compared with an independent model.

mod crowd;
mod model;
mod shopping;
mod stores;

use crate::{
    chance::Chance,
    cpu::{Meter, Used},
    phones::serve_with,
    process::{EchoProcess, find_binary, raise_open_files},
    report::{Bound, Figure, Latencies, LoadError, Report, median},
    screen::bar,
    site::{Common, Site},
};
use crowd::{Crowd, Done};
use model::Model;
use serde_json::json;
use std::{cell::RefCell, rc::Rc, time::Duration};

/// The least share of a bare handler's throughput that registrations, and redemptions, have: each is durable.
const RATIO_MIN: f64 = 0.35;
/// Every so many tokens are redeemed by two browsers at the same moment, tried again later, looked at in advance.
const TWINS_EVERY: usize = 20;
const AGAIN_EVERY: usize = 50;
const LOOKED_AT_EVERY: usize = 25;
/// Processors that others may keep busy before a rate says nothing.
const FOREIGN_CORES_MAX: f64 = 0.25;

#[derive(clap::Args, Clone, Debug)]
pub struct TermArgs {
    /// Over so many web stores.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub stores: u16,
    /// How many shoppers there are.
    #[arg(long, default_value_t = 20_000)]
    pub shoppers: usize,
    /// Connections of the customers' servers and of the browsers' proxies.
    #[arg(long, default_value_t = 256)]
    pub connections: usize,
    /// How often everybody signs in; medians count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub rounds: u16,
    /// How long the bare handler is asked each time.
    #[arg(long, default_value_t = 2.0)]
    pub echo_s: f64,
    /// Only measure: do not fail when a ratio to the bare handler is below 0.35.
    #[arg(long)]
    pub no_floor: bool,
}

/// Shoppers' addresses are said by the proxy that speaks TLS.
const SECTIONS: &str = "[public]\nbase_url = \"https://stores.example\"\n";

/// One thing that was done so many times, as fast as answers came.
struct Lap {
    per_s: f64,
    latencies: Latencies,
    used: Used,
}

#[derive(Default)]
struct Laps {
    echo: Vec<Lap>,
    register: Vec<Lap>,
    redeem: Vec<Lap>,
}

pub async fn run(args: &TermArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("term", seed);
    let chance = Chance::seeded(seed);
    let may_open = raise_open_files(args.connections as u64 + 300);
    if args.shoppers < usize::from(args.stores) || args.connections == 0 || may_open < args.connections as u64 + 100 {
        let why = format!("as many shoppers as stores at least; this process may open {may_open} sockets");
        return Err(LoadError::Unfit(why));
    }
    let mut site = Site::open(common).await?;
    serve_with(&mut site, SECTIONS).await?;
    let stores = stores::open(&mut site.operator(&chance), args, &chance).await?;
    let echo = EchoProcess::start(&find_binary(common.server_bin.as_deref())?).await?;
    let model = Rc::new(RefCell::new(Model::new(stores, args.shoppers, &chance)));

    let course = site.observe();
    course.watch("echo", echo.pid());
    let crowd = Crowd { target: site.target.clone(), connections: args.connections, course: course.clone() };
    let bare = Crowd { target: echo.target.clone(), ..crowd.clone() };
    let mut laps = Laps::default();
    let server = site.process.as_ref().and_then(|process| process.pid()).unwrap_or(0);
    let (asks_server, asks_echo) = ([server, echo.pid()], [echo.pid(), server]);
    let echo_span = Duration::from_secs_f64(args.echo_s);
    let progress = bar("sign-ins", u64::from(args.rounds));
    for round in 0..usize::from(args.rounds) {
        course.mark(format!("sign-in {}", round + 1));
        model.borrow_mut().regroup(round);
        let echo_first = round % 2 == 0;
        if echo_first {
            laps.echo.push(lap(asks_echo, bare.echo(echo_span)).await?);
        }
        laps.register.push(lap(asks_server, register_all(&crowd, &model)).await?);
        look_at(&crowd, &model, LOOKED_AT_EVERY).await?;
        laps.redeem.push(lap(asks_server, redeem_all(&crowd, &model)).await?);
        come_again(&crowd, &model).await?;
        if !echo_first {
            laps.echo.push(lap(asks_echo, bare.echo(echo_span)).await?);
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    drop(echo);
    course.mark("shopping");
    let meter = site.meter();
    let shopped = shopping::all(&crowd, &model, &chance).await?;
    let used = meter.stop();
    course.end(&mut report).await;
    stores::compare(&mut site.operator(&chance), &model, &chance).await?;

    summarise(&mut report, args, &laps);
    let model = Rc::try_unwrap(model).map_err(|_| LoadError::Unfit("a shopper outlived the term".to_owned()))?;
    model.into_inner().conclude(&mut report);
    report.detail(
        "shopping",
        json!({ "pages": shopped.answers, "seconds": shopped.seconds,
        "p50_ms": shopped.latencies.quantile_ms(0.5), "p99_ms": shopped.latencies.quantile_ms(0.99),
        "server_cpu_us_a_page": (used.server_s * 1e6 / shopped.answers.max(1) as f64).round() }),
    );
    report.server_rss_kib = site.rss_kib();
    report.ready_s = site.ready_s.map(Figure::One);
    site.close(&mut report).await;
    Ok(report)
}

/// `pids`: the one that is asked, and the other one.
async fn lap(pids: [u32; 2], doing: impl Future<Output = Result<Done, LoadError>>) -> Result<Lap, LoadError> {
    let meter = Meter::start(&pids);
    let done = doing.await?;
    Ok(Lap { per_s: done.answers as f64 / done.seconds.max(1e-9), latencies: done.latencies, used: meter.stop() })
}

/// The customers' servers register everybody.
async fn register_all(crowd: &Crowd, model: &Rc<RefCell<Model>>) -> Result<Done, LoadError> {
    let (asking, hearing) = (model.clone(), model.clone());
    let count = model.borrow().shoppers.len();
    crowd
        .all(
            "register",
            count,
            move |index, target, request| asking.borrow().write_registration(index, target, request),
            move |index, heard| hearing.borrow_mut().registered(index, &heard),
        )
        .await
}

/// Every browser comes with its token; some tokens are brought by two browsers at once.
async fn redeem_all(crowd: &Crowd, model: &Rc<RefCell<Model>>) -> Result<Done, LoadError> {
    let come: Vec<usize> = (0..model.borrow().shoppers.len())
        .flat_map(|index| std::iter::repeat_n(index, if index % TWINS_EVERY == 0 { 2 } else { 1 }))
        .collect();
    redeem(crowd, model, "redeem", "GET", come).await
}

/// A token that was redeemed opens nothing any more.
async fn come_again(crowd: &Crowd, model: &Rc<RefCell<Model>>) -> Result<(), LoadError> {
    let again = (0..model.borrow().shoppers.len()).step_by(AGAIN_EVERY).collect();
    redeem(crowd, model, "come again", "GET", again).await?;
    model.borrow_mut().count_redemptions();
    Ok(())
}

/// What prefetches a page redeems nothing.
async fn look_at(crowd: &Crowd, model: &Rc<RefCell<Model>>, every: usize) -> Result<(), LoadError> {
    let looked_at = (0..model.borrow().shoppers.len()).step_by(every).collect();
    redeem(crowd, model, "prefetch", "HEAD", looked_at).await.map(drop)
}

async fn redeem(
    crowd: &Crowd,
    model: &Rc<RefCell<Model>>,
    lane: &'static str,
    method: &'static str,
    indexes: Vec<usize>,
) -> Result<Done, LoadError> {
    let (asking, hearing, indexes) = (model.clone(), model.clone(), Rc::new(indexes));
    let (asked, heard_of) = (indexes.clone(), indexes.clone());
    crowd
        .all(
            lane,
            indexes.len(),
            move |at, target, request| asking.borrow().write_redemption(asked[at], method, target, request),
            move |at, heard| hearing.borrow_mut().redeemed(heard_of[at], method, &heard),
        )
        .await
}

fn summarise(report: &mut Report, args: &TermArgs, laps: &Laps) {
    let of = |laps: &[Lap], what: &dyn Fn(&Lap) -> f64| median(laps.iter().map(what).collect());
    let kinds = [("echo", &laps.echo), ("registrations", &laps.register), ("redemptions", &laps.redeem)];
    let each = |what: &dyn Fn(&Lap) -> f64| {
        Some(Figure::Each(kinds.iter().map(|(name, laps)| ((*name).to_owned(), of(laps, what))).collect()))
    };
    report.answers_per_s = each(&|lap| lap.per_s);
    report.p50_ms = each(&|lap| lap.latencies.quantile_ms(0.5));
    report.p99_ms = each(&|lap| lap.latencies.quantile_ms(0.99));
    report.foreign_cpu_cores = each(&|lap| lap.used.foreign_cores);
    let echo_per_s = of(&laps.echo, &|lap| lap.per_s);
    let mut ratios = Vec::new();
    for (name, laps) in &kinds[1..] {
        let ratio = of(laps, &|lap| lap.per_s) / echo_per_s.max(1e-9);
        ratios.push(((*name).to_owned(), ratio));
        report.detail(&format!("{name}_per_s"), of(laps, &|lap| lap.per_s).round());
        if !args.no_floor {
            report.must(&format!("{name} against echo"), ratio, Bound::AtLeast(RATIO_MIN));
        }
    }
    report.detail("echo_per_s", echo_per_s.round());
    report.ratio_to_echo = Some(Figure::Each(ratios));
    let rows: Vec<_> = kinds
        .iter()
        .flat_map(|(name, laps)| {
            laps.iter().enumerate().map(move |(round, lap)| {
                json!({
                    "round": round + 1, "what": name, "per_s": lap.per_s.round(),
                    "p99_ms": (lap.latencies.quantile_ms(0.99) * 1000.0).round() / 1000.0,
                    "server_cpu_us": (lap.used.server_s * 1e6 / (lap.per_s * lap.used.wall_s).max(1.0) * 10.0).round() / 10.0,
                    "generator_cores": (lap.used.generator_s / lap.used.wall_s.max(1e-9) * 100.0).round() / 100.0,
                    "foreign_cores": (lap.used.foreign_cores * 100.0).round() / 100.0,
                })
            })
        })
        .collect();
    report.detail("laps", rows);
    let foreign = kinds.iter().flat_map(|(_, laps)| laps.iter()).map(|lap| lap.used.foreign_cores).fold(0.0, f64::max);
    if foreign > FOREIGN_CORES_MAX && !args.no_floor {
        report.detail("not_quiet", format!("others used up to {foreign:.2} cores: the rates say little"));
    }
}
