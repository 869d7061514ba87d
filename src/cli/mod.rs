//! The command line.

mod bar;
mod client;
mod operate;

use crate::{
    app,
    config::Config,
    delivery::{mail::Mailer, sms::Texter},
    devices::provisioning::Templates,
    engine::verify::{self, Report},
    http::{echo, openapi, phone_certificates::PhoneAuthorities, tls::Certificate},
    kernel::{Chance, Clock},
    metrics,
    recovery::Directory,
};
use clap::{Args, Parser, Subcommand};
use std::{
    io::{IsTerminal, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

const EXAMPLES: &str = "\
Examples:
  First start:
    castellan init --data /var/lib/castellan > operator.token
    castellan serve --config /etc/castellan.toml

  A first organisation, with the operator's token:
    export CASTELLAN_TOKEN=$(cat operator.token)
    castellan org create --name 'Rossi Auto' --plan premium --language it --zone Europe/Rome \\
        --owner-name 'Anna Rossi' --owner-email anna@rossi.example

  A token for a program, with the organisation's token:
    CASTELLAN_TOKEN=cas_… castellan token create --label erp --scope boxes:read --scope boxes:write

Every key of the configuration is explained in config/castellan.toml, every problem code in docs/problems/.";

/// Lets in exactly once, the right party, in a bounded time: one server, one file of configuration, one data folder.
#[derive(Parser)]
#[command(name = "castellan", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a data folder, its master key, and the operator's first token
    ///
    /// The token alone goes to standard output: it is shown this once. Keep a copy of the master key apart from the
    /// data: without it nothing personal can be read again.
    Init {
        /// The folder to make; it must not exist or be empty
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Into how many parts the organisations are divided; cannot be changed later
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
        partitions: u8,
    },
    /// Serve until SIGINT or SIGTERM
    Serve(WithConfig),
    /// Say what is wrong with a configuration, with line and key
    CheckConfig(WithConfig),
    /// Organisations (with an operator's token)
    #[command(subcommand)]
    Org(client::Org),
    /// Tokens of the organisation whose token is used
    #[command(subcommand)]
    Token(client::Token),
    /// Make a backup, while the server runs or on its folder when it does not
    ///
    /// The master key is not in it unless asked for: without the key, which is to be kept apart, nothing personal in the
    /// backup can be read, nor can it be restored.
    Backup(operate::Backup),
    /// Make a data folder out of a backup
    ///
    /// Everything is checked before anything is written. Boxes notice that the server is another one and send again what
    /// they still have.
    Restore(operate::Restore),
    /// Make a new version of the master key and seal everything by it, while the server runs or when it does not
    RotateMasterKey(operate::Rotate),
    /// Fold every entity's events against its snapshot and check what must agree; exit 1 if something does not
    ///
    /// The server must not be running on this folder.
    Verify {
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Print the OpenAPI document of the HTTP API
    Openapi,
    /// The yardstick of the load test: the same bytes parsed and answered by a bare handler
    #[command(hide = true)]
    Echo {
        #[arg(long, value_name = "ADDR")]
        listen: SocketAddr,
        /// 0: one a core
        #[arg(long, default_value_t = 0)]
        workers: usize,
    },
}

#[derive(Args)]
struct WithConfig {
    /// The file of configuration; the environment overrides it (CASTELLAN__HTTP__WORKERS=4)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Init { data, partitions } => init(data, partitions),
        Command::Serve(WithConfig { config }) => serve(&config),
        Command::CheckConfig(WithConfig { config }) => check_config(&config),
        Command::Org(command) => client::org(&command),
        Command::Token(command) => client::token(&command),
        Command::Openapi => say(&format!("{}\n", openapi::json())),
        Command::Backup(command) => operate::backup(&command),
        Command::Restore(command) => operate::restore(&command),
        Command::RotateMasterKey(command) => operate::rotate(&command),
        Command::Verify { data } => return verified(&data),
        Command::Echo { listen, workers } => echo::run(listen, workers).map_err(|error| error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("castellan: {error}");
            ExitCode::FAILURE
        }
    }
}

fn init(data: PathBuf, partitions: u8) -> Result<(), String> {
    let mut config = Config::default();
    config.store.data_dir = data;
    config.store.partitions = partitions;
    let token =
        actix_rt::System::new().block_on(app::init(&config, Chance::system())).map_err(|error| error.to_string())?;
    eprintln!(
        "Made {} with the master key {}. The operator's token, shown this once:",
        config.store.data_dir.display(),
        config.master_key_file().display()
    );
    println!("{token}");
    Ok(())
}

fn serve(file: &std::path::Path) -> Result<(), String> {
    let config = Config::load(file).map_err(|error| error.to_string())?;
    start_log(&config)?;
    let metrics = metrics::install().map_err(|error| error.to_string())?;
    actix_rt::System::new()
        .block_on(async {
            let engine = app::open(&config, Clock::system(), Chance::system())?;
            app::serve(&config, engine, Some(metrics)).await
        })
        .map_err(|error| error.to_string())
}

fn start_log(config: &Config) -> Result<(), String> {
    use crate::config::LogFormat;
    // What a stranger sends that is no HTTP is answered, and no error of the server's.
    let filter: tracing_subscriber::EnvFilter =
        format!("actix_http=off,{}", config.log.level).parse().map_err(|error| format!("log.level: {error}"))?;
    // Colours are for people: in a file they are rubbish.
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    let started = match config.log.format {
        LogFormat::Human => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    started.map_err(|error| error.to_string())
}

fn check_config(file: &std::path::Path) -> Result<(), String> {
    let config = Config::load(file).map_err(|error| error.to_string())?;
    if config.http.tls || config.observability.tls {
        Certificate::load(&config.tls).map_err(|error| error.to_string())?;
    }
    let vendors = &config.provisioning.client_ca_file;
    if !vendors.as_os_str().is_empty() {
        PhoneAuthorities::load(vendors).map_err(|error| error.to_string())?;
    }
    Mailer::new(&config, Clock::system()).map_err(|error| error.to_string())?;
    Texter::new(&config, Clock::system()).map_err(|error| error.to_string())?;
    Directory::new(&config.directory).map_err(|error| error.to_string())?;
    Templates::load(&config.provisioning.templates_dir).map_err(|error| error.to_string())?;
    let shown = toml::to_string(&config.shown()).map_err(|error| error.to_string())?;
    say(&format!("{} is right. With the environment's overrides it says:\n\n{shown}", file.display()))
}

/// Much text: whoever reads it may have had enough before its end.
fn say(text: &str) -> Result<(), String> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn verified(data: &std::path::Path) -> ExitCode {
    let mut bar = bar::Bar::new("verify");
    let verified = app::open_to_verify(data).and_then(|db| {
        let told =
            |report: &Report| bar.show(0, 0, || format!("{} entities, {} events", report.entities, report.events));
        Ok(verify::verify(&db, &app::kinds(1), told)?)
    });
    drop(bar);
    match verified {
        Ok(report) => {
            println!(
                "{} entities, {} records, {} events, {} snapshots, {} timers, {} claims, {} outbox items, {} mails, \
                 {} feed entries, {} list rows",
                report.entities,
                report.records,
                report.events,
                report.snapshots,
                report.timers,
                report.claims,
                report.outbox_items,
                report.mails,
                report.feed_entries,
                report.rows
            );
            for finding in &report.findings {
                println!("wrong: {finding}");
            }
            if report.findings.is_empty() {
                println!("all agree");
                return ExitCode::SUCCESS;
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("castellan: {error}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
