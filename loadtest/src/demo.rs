//! `demo`: three organisations, some hundred boxes, an outage, and then a server to look at.

use crate::{
    chance::Chance,
    fleet::{self, Shape, gather},
    report::{Figure, LoadError, Report},
    road::{Tally, change_some, come_back, conclude, use_all, watch},
    screen::bar,
    site::{Common, Site},
};
use std::time::{Duration, Instant};

#[derive(clap::Args, Clone, Debug)]
pub struct DemoArgs {
    /// How many boxes, over three organisations, one of each plan.
    #[arg(long, default_value_t = 500)]
    pub boxes: usize,
    /// Exchanges at each box during the outage.
    #[arg(long, default_value_t = 10)]
    pub entries: usize,
    /// Go on serving for so long; without it until Ctrl-C. The environment's DEMO_SECONDS says the same.
    #[arg(long)]
    pub seconds: Option<u64>,
}

pub async fn run(args: &DemoArgs, common: &Common, seed: u64) -> Result<Report, LoadError> {
    let mut report = Report::new("demo", seed);
    let chance = Chance::seeded(seed);
    println!("Starting a server on loopback with an empty store …");
    let site = Site::open(common).await?;
    report.ready_s = site.ready_s.map(Figure::One);
    let shape = Shape { boxes: args.boxes, bins: 12, keys: 10, people: 2 };
    println!("Making three organisations and {} SmartBoxes with {} keys each …", shape.boxes, shape.keys);
    let mut fleet = fleet::build(&mut site.operator(&chance), &shape, &chance).await?;
    fleet::until_codes_arrive(&site.target, &mut fleet.boxes).await?;
    let (fleet, mut boxes) = watch(fleet);

    println!("The road is cut. People go on using the boxes, administrators go on changing permissions …");
    report.entries = Some(use_all(&mut boxes, args.entries, 1000)?);
    change_some(&site.target, &fleet, &mut boxes, 0.3, &chance).await?;

    println!("The road is back, and so is everyone …");
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
    progress.finish_and_clear();
    let wall_s = began.elapsed().as_secs_f64();
    course.end(&mut report).await;
    report.syncs_per_s = Some(Figure::One(tally.syncs.get() as f64 / wall_s));
    site.report_cpu(&mut report, meter.stop(), tally.syncs.get());
    println!("Comparing every box with the server …");
    let boxes = conclude(&mut report, &site.target, &fleet, boxes, tally, &chance).await?;
    println!("{report}");

    println!("What to look at ({}):", if site.process.is_some() { "loopback only" } else { "your server" });
    println!("  API                 http://{}/api/v1", site.target.host);
    if let Some(observability) = &site.observability {
        println!("  metrics             http://{}/metrics", observability.host);
        println!("  ready               http://{}/readyz", observability.host);
    }
    println!("  operator token      {}", site.token);
    println!("  {:<14} {:<14} {:>6}  token", "organisation", "plan", "boxes");
    for (at, organisation) in fleet.organisations.iter().enumerate() {
        let count = boxes.iter().filter(|watched| watched.fleet_box.organisation == at).count();
        println!("  {:<14} {:<14} {count:>6}  {}", at + 1, organisation.plan, organisation.token);
    }
    if let (Some(organisation), Some(watched)) = (fleet.organisations.first(), boxes.first()) {
        println!("\nTry:");
        let (host, token) = (&site.target.host, &organisation.token);
        for path in ["boxes".to_owned(), format!("boxes/{}/inventory", watched.fleet_box.id()), "conflicts".to_owned()]
        {
            println!("  curl -s -H 'Authorization: Bearer {token}' http://{host}/api/v1/{path}");
        }
    }
    serve_on(args).await;
    site.close(&mut report).await;
    Ok(report)
}

async fn serve_on(args: &DemoArgs) {
    let said = std::env::var("DEMO_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    match args.seconds.or(said) {
        Some(seconds) => {
            println!("\nServing for {seconds} s; Ctrl-C ends it sooner.");
            let _ = tokio::time::timeout(Duration::from_secs(seconds), tokio::signal::ctrl_c()).await;
        }
        None => {
            println!("\nServing until Ctrl-C.");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
