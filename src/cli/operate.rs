//! Backup, restore, rotation of the master key: asked of the running server, or done here on a folder that nobody uses.

use super::{
    bar::{Bar, mib},
    client::Server,
};
use crate::{
    app,
    config::Config,
    kernel::{Chance, Clock},
    operations::{
        backup::{self, BackupName},
        restore, rotation,
    },
    store::{MasterKeySource, StoreError},
};
use clap::Args;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc, sync::atomic::Ordering, time::Duration};

/// A server that runs, or the folder of one that does not.
#[derive(Args)]
pub(super) struct Where {
    /// The server's configuration: its folder is used directly while no server runs on it, else the server is asked
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the server is; without it `[http] listen` of --config, else http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The operator's token, to ask a running server
    #[arg(long, env = "CASTELLAN_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

#[derive(Args)]
pub(super) struct Backup {
    /// What it is called: a folder of this name in `[backup] dir`
    name: String,
    /// Put the master key into the backup too: who has the backup can then read everything
    #[arg(long)]
    with_master_key: bool,
    #[command(flatten)]
    place: Where,
}

#[derive(Args)]
pub(super) struct Restore {
    /// The folder of the backup
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The data folder to make; it must not exist or be empty
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The file of the master key as it was when the backup was made; without it CASTELLAN__SECRETS__MASTER_KEY, else
    /// the one in the backup. A file is copied into the new folder
    #[arg(long, value_name = "FILE")]
    master_key: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    place: Where,
}

impl Where {
    fn config(&self) -> Result<Option<Config>, String> {
        self.config.as_deref().map(Config::load).transpose().map_err(|error| error.to_string())
    }

    fn server(&self, config: Option<&Config>) -> Result<Server, String> {
        let listen = config.map(|config| format!("http://{}", config.http.listen));
        let url = self.url.clone().or(listen).unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
        let hint = match config {
            Some(_) => "a server runs on this folder: give its operator's token with --token or CASTELLAN_TOKEN",
            None => {
                "give the operator's token with --token or CASTELLAN_TOKEN, or --config to work on a stopped server"
            }
        };
        Ok(Server { url, token: self.token.clone().ok_or(hint)? })
    }
}

/// How often a running server is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(200);

pub(super) fn backup(command: &Backup) -> Result<(), String> {
    let name: BackupName = command.name.parse().map_err(|rule| format!("`{}`: {rule}", command.name))?;
    let config = command.place.config()?;
    if let Some(config) = &config {
        match back_up_here(config, &name, command.with_master_key) {
            Err(Here::InUse) => {}
            Err(Here::Failed(why)) => return Err(why),
            Ok(told) => return done(&told),
        }
    }
    let server = command.place.server(config.as_ref())?;
    let mut state = server.send(
        "POST",
        "/operator/backups",
        Some(json!({"name": name.as_str(), "with_master_key": command.with_master_key})),
    )?;
    let mut bar = Bar::new("backup");
    let path = format!("/operator/backups/{}", name.as_str());
    loop {
        match state["state"].as_str() {
            Some("done") => break,
            Some("failed") => {
                return Err(format!("the backup failed: {}", state["error"].as_str().unwrap_or_default()));
            }
            _ => {}
        }
        let number = |field: &str| state[field].as_u64().unwrap_or_default();
        let (made, total) = (number("bytes_done"), number("bytes_total"));
        bar.show(made, total, || format!("{} of {}", mib(made), mib(total)));
        std::thread::sleep(ASK_EVERY);
        state = server.send("GET", &path, None)?;
    }
    drop(bar);
    done(&state)
}

fn done(told: &Value) -> Result<(), String> {
    println!("{}", serde_json::to_string_pretty(told).map_err(|error| error.to_string())?);
    Ok(())
}

/// Why it was not done here.
enum Here {
    /// A server runs on the folder.
    InUse,
    Failed(String),
}

impl<E: std::error::Error + 'static> From<E> for Here {
    fn from(error: E) -> Self {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(error) = source {
            if matches!(error.downcast_ref(), Some(StoreError::InUse(_))) {
                return Self::InUse;
            }
            source = error.source();
        }
        Self::Failed(error.to_string())
    }
}

fn back_up_here(config: &Config, name: &BackupName, with_master_key: bool) -> Result<Value, Here> {
    let db = app::open_to_verify(&config.store.data_dir)?;
    let (folder, masters) = (config.backup_dir(), config.master_key().read()?);
    let wanted =
        backup::Wanted { folder: &folder, name, masters: &masters, with_master_key, now: Clock::system().now() };
    let progress = backup::Progress::default();
    let manifest = std::thread::scope(|scope| {
        let making = scope.spawn(|| backup::make(&db, &wanted, &progress));
        let mut bar = Bar::new("backup");
        while !making.is_finished() {
            let (made, total) =
                (progress.bytes_done.load(Ordering::Relaxed), progress.bytes_total.load(Ordering::Relaxed));
            bar.show(made, total, || format!("{} of {}", mib(made), mib(total)));
            std::thread::sleep(Duration::from_millis(20));
        }
        making.join()
    });
    let manifest = manifest.map_err(|_| Here::Failed("the backup was broken off".to_owned()))??;
    Ok(json!({"state": "done", "name": manifest.name, "made_at": manifest.made_at, "bytes": manifest.bytes(),
        "files": manifest.files.len(), "master_keys": manifest.key_versions(),
        "holds_master_key": manifest.holds_master_key, "folder": folder.join(name.as_str())}))
}

pub(super) fn restore(command: &Restore) -> Result<(), String> {
    let from_environment = || {
        let text = std::env::var("CASTELLAN__SECRETS__MASTER_KEY").ok().filter(|text| !text.is_empty())?;
        Some(MasterKeySource::Environment(text.into()))
    };
    let master_key = command.master_key.clone().map(MasterKeySource::File).or_else(from_environment);
    let order =
        restore::Order { from: &command.from, data_dir: &command.data_dir, master_key, now: Clock::system().now() };
    let mut bar = Bar::new("restore");
    let restored = restore::restore(&order, |done, total| {
        bar.show(done, total, || format!("{} of {}", mib(done / 2), mib(total / 2)));
    });
    drop(bar);
    let restored = restored.map_err(|error| error.to_string())?;
    let key = match restored.holds_master_key {
        true => "The master key lies in it as master.key.",
        false => "The master key comes from the environment: give it to the server too.",
    };
    let manifest = &restored.manifest;
    println!(
        "Restored {} as it was at {} ({} partitions, {}) into {}. {key}\n\
         Start the server on it with partitions = {} in [store]. Boxes send again what they still have; what \
         administrators changed after that moment is not there.",
        manifest.name,
        manifest.made_at,
        manifest.partitions.len(),
        mib(manifest.bytes()),
        command.data_dir.display(),
        manifest.partitions.len(),
    );
    Ok(())
}

const KEEP_THE_OLD: &str = "Backups made before need the version before: keep a copy of it with them.";

pub(super) fn rotate(command: &Rotate) -> Result<(), String> {
    let config = command.place.config()?;
    if let Some(config) = &config {
        match rotate_here(config) {
            Err(Here::InUse) => {}
            Err(Here::Failed(why)) => return Err(why),
            Ok((version, rewrapped)) => {
                println!("Everything is sealed by version {version} now ({rewrapped} keys). {KEEP_THE_OLD}");
                return Ok(());
            }
        }
    }
    let server = command.place.server(config.as_ref())?;
    let path = "/operator/master-key/rotation";
    let mut state = server.send("POST", path, Some(json!({})))?;
    let mut bar = Bar::new("rotation");
    while state["state"] == "running" {
        let number = |field: &str| state[field].as_u64().unwrap_or_default();
        let (checked, total) = (number("keys_checked"), number("keys_total"));
        bar.show(checked, total, || format!("{checked} of {total} keys"));
        std::thread::sleep(ASK_EVERY);
        state = server.send("GET", path, None)?;
    }
    drop(bar);
    match state["error"].as_str() {
        None => {
            println!("Everything is sealed by version {} now. {KEEP_THE_OLD}", state["version"]);
            Ok(())
        }
        Some(error) => Err(format!("the rotation did not finish: {error}")),
    }
}

fn rotate_here(config: &Config) -> Result<(u32, u64), Here> {
    actix_rt::System::new().block_on(async {
        let alone = app::open_alone(config, Clock::system(), Chance::system()).await?;
        let (of, source) = (alone.engine.clone(), config.master_key());
        let progress = Arc::new(rotation::Progress::default());
        let under_way = Arc::clone(&progress);
        let rotating = tokio::task::spawn_blocking(move || {
            // One that was cut off is finished, not begun anew.
            if of.keys().masters().versions().len() == 1 {
                rotation::begin(&of, &source)?;
            }
            rotation::finish(&of, &source, &under_way)
        });
        let mut bar = Bar::new("rotation");
        while !rotating.is_finished() {
            let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
            let (checked, total) = (of(&progress.checked), of(&progress.total));
            bar.show(checked, total, || format!("{checked} of {total} keys"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let rotated = rotating.await;
        drop(bar);
        alone.end().await;
        let version = rotated.map_err(|_| Here::Failed("the rotation was broken off".to_owned()))??;
        Ok((version, progress.rewrapped.load(Ordering::Relaxed)))
    })
}
