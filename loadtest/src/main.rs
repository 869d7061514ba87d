//! `castellan-load`: scenarios that drive a server as thousands of boxes do, and verify what became of it.

use castellan_load::{
    census, clock, crash, demo, field, guess, herd,
    html::{self, Circumstances},
    links, logins, phones, play, ramp, recovery, replay,
    report::{LoadError, Report},
    restore,
    site::Common,
    soak, storm, term, versus,
};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  castellan-load storm --boxes 10000 --entries 10 --json s.json
      10,000 boxes come back at once after an outage; every one is compared with the server.
  castellan-load crash --boxes 300 --kills 50 --json c.json
      300 boxes and 8 administrators go on while the server is killed 50 times; `castellan verify` after every kill.
  castellan-load replay --csv exchanges.csv.gz --offline 0.3 --json r.json
      The trips of a file (see replay --help) as exchanges at boxes that go offline at random; the server must believe what an independent model does.
  castellan-load versus --boxes 20000 --entries 10 --connections 64,256,2000 --repeat 5 --json v.json
      How much of a bare handler's throughput is left when every answer is durable; needs a quiet machine.
  castellan-load herd --connections 10000 --html h.html
      10,000 boxes come at once, each with a new connection, plain and over TLS, beside a bare handler.
  castellan-load census --known 1000000 --awake 100000 --keep /var/tmp/census --html n.html
      A million boxes on the disk, a tenth of them in memory; --reuse takes the same folder again.
  castellan-load ramp --html p.html
      Open load in rising steps: how many syncs a second with a p99 of 50 ms, of 250 ms.
  castellan-load soak --seconds 600 --html k.html
      Syncs, administrators, lists, enrolments at half the knee: memory flat, no queue that grows.
  castellan-load restore --boxes 300 --json t.json
      A backup under load, more load, kill -9, restored elsewhere: every box comes back, nothing it still has is lost.
  castellan-load phones --count 5000 --wrong 0.2 --json p.json
      Phones of every vendor, persons who enter wrong PAPs, power cuts; states and answers against a model.
  castellan-load guess --devices 1000 --sources 50 --json g.json
      Attackers try PAPs from 50 addresses while honest phones go on: at most three judged a device and round.
  castellan-load term --stores 20 --shoppers 20000 --json t.json
      A university's start of term: shoppers registered, let in, ordering, signing out; each code once, each token once.
  castellan-load field --boxes 200 --days 3 --json f.json
      Codes and badges at boxes that go on and off the network for three days; every decision and alert against a model.
  castellan-load box
      One virtual box in the terminal: type a code, pull the plug, put it back.
  castellan-load link --boxes 10000 --json l.json
      10,000 boxes hold a link each; boxes are changed at random, and each change must be heard within a second.
  castellan-load recovery --installations 200 --kill 3 --json q.json
      Owners get back in by mail and text while attackers guess passwords, codes and links, and the server is killed.
  castellan-load logins --boxes 500 --rate 300 --logins 200 --json i.json
      A burst of 200 logins a second beside box syncs, by turns with quiet; needs a quiet machine and a release build.
  castellan-load demo --seconds 60
      Three organisations and 500 boxes through an outage, then a server to look at.
  castellan-load storm --boxes 500 --url http://127.0.0.1:8080 --token cas_… --observability-url http://127.0.0.1:9090
      The same against a server that runs already.

Without --url a fresh `castellan serve` is started on loopback, in a temporary folder, with the production defaults, and
stopped at the end. Exit status: 0 when everything holds, 1 when something does not (the report says what), 2 when the
scenario could not be carried through. Progress goes to stderr, the summary to stdout, the whole report to
--json, and with charts, as one page that needs nothing else, to --html.";

/// Drives a Castellan server as SmartBoxes do, and verifies what became of it.
#[derive(Parser)]
#[command(name = "castellan-load", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand)]
enum Scenario {
    /// An outage, and everyone back at once; every box's state is compared with the server's afterwards.
    Storm(storm::StormArgs),
    /// The server is killed with -9 again and again; whatever it had acknowledged must be there at the end.
    Crash(crash::CrashArgs),
    /// A month of real exchanges with outages and corrections; histories, inventories and conflicts against a model.
    Replay(replay::ReplayArgs),
    /// The yardstick: syncs against a bare handler that parses and answers the same bytes, by turns.
    Versus(versus::VersusArgs),
    /// Thousands of new connections at once, one sync each, plain and over TLS, beside a bare handler.
    Herd(herd::HerdArgs),
    /// A million boxes known, a hundred thousand awake: memory, waking, time to ready.
    Census(census::CensusArgs),
    /// Open load in rising steps, until answers come too late: where is the knee?
    Ramp(ramp::RampArgs),
    /// Everything that a day brings, at half the knee, for long: nothing may grow.
    Soak(soak::SoakArgs),
    /// A backup under load, then the server is lost: restored elsewhere, the boxes send again what they still have.
    Restore(restore::RestoreArgs),
    /// Desk phones of every vendor with their persons, administrators and power cuts; against a model.
    Phones(phones::PhonesArgs),
    /// Attackers try PAPs on many devices from many addresses while honest phones go on.
    Guess(guess::GuessArgs),
    /// Customers' servers register shoppers with many web stores, browsers redeem, shoppers order and sign out.
    Term(term::TermArgs),
    /// People use boxes that come and go for days, in moved time; every decision and every alert against a model.
    Field(field::FieldArgs),
    /// Thousands of boxes hold a link each: who hears of a change, how soon, and what an idle link costs.
    Link(links::LinkArgs),
    /// A burst of logins beside box syncs, by turns with quiet: the syncs' p99 must hardly move.
    Logins(logins::LoginsArgs),
    /// Owners recover their installations while others guess passwords, codes and links; against a model.
    Recovery(recovery::RecoveryArgs),
    /// Three organisations, some hundred boxes, an outage; then a server to look at.
    Demo(demo::DemoArgs),
    /// One virtual box in the terminal: type a code, pull the plug, put it back, see what becomes of it.
    Box(play::BoxArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&LoadError::Io(error)),
    };
    let seed = cli.common.seed.unwrap_or_else(|| clock::now_ms() % 1_000_000_007);
    println!("seed {seed} (repeat with --seed {seed})");
    let (began_ms, began) = (clock::now_ms(), std::time::Instant::now());
    let outcome = tokio::task::LocalSet::new().block_on(&runtime, scenario(&cli, seed));
    let report = match outcome {
        Ok(report) => report,
        Err(error) => return fail(&error),
    };
    // The demo has shown its table before it went on serving.
    if !matches!(cli.scenario, Scenario::Demo(_) | Scenario::Box(_)) {
        println!("{report}");
    }
    if let Some(path) = &cli.common.json {
        if let Err(error) = report.write(path) {
            return fail(&LoadError::Io(error));
        }
        println!("report: {}", path.display());
    }
    if let Some(path) = &cli.common.html {
        let circumstances = Circumstances::here(began_ms, began.elapsed().as_secs_f64());
        if let Err(error) = html::write(path, &report, &circumstances) {
            return fail(&LoadError::Io(error));
        }
        println!("to look at: {}", path.display());
    }
    if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn scenario(cli: &Cli, seed: u64) -> Result<Report, LoadError> {
    match &cli.scenario {
        Scenario::Storm(args) => storm::run(args, &cli.common, seed).await,
        Scenario::Crash(args) => crash::run(args, &cli.common, seed).await,
        Scenario::Replay(args) => replay::run(args, &cli.common, seed).await,
        Scenario::Versus(args) => versus::run(args, &cli.common, seed).await,
        Scenario::Herd(args) => herd::run(args, &cli.common, seed).await,
        Scenario::Census(args) => census::run(args, &cli.common, seed).await,
        Scenario::Ramp(args) => ramp::run(args, &cli.common, seed).await,
        Scenario::Soak(args) => soak::run(args, &cli.common, seed).await,
        Scenario::Restore(args) => restore::run(args, &cli.common, seed).await,
        Scenario::Phones(args) => phones::run(args, &cli.common, seed).await,
        Scenario::Guess(args) => guess::run(args, &cli.common, seed).await,
        Scenario::Term(args) => term::run(args, &cli.common, seed).await,
        Scenario::Field(args) => field::run(args, &cli.common, seed).await,
        Scenario::Link(args) => links::run(args, &cli.common, seed).await,
        Scenario::Logins(args) => logins::run(args, &cli.common, seed).await,
        Scenario::Recovery(args) => recovery::run(args, &cli.common, seed).await,
        Scenario::Demo(args) => demo::run(args, &cli.common, seed).await,
        Scenario::Box(args) => play::run(args, &cli.common, seed).await,
    }
}

fn fail(error: &LoadError) -> ExitCode {
    eprintln!("castellan-load: {error}");
    ExitCode::from(2)
}
