//! Backups and the master key over HTTP, for the operator.

use super::{
    NotNow, Operations,
    backup::BackupName,
    manifest::{Manifest, ManifestError, PartitionEnd},
    rotation::RotationError,
};
use crate::{
    http::{Ask, Code, Doc, Page, Problem, Reply, table::Format},
    kernel::{
        OrgId,
        schema::{Time, shapes, words},
    },
    orgs::{
        Organisation,
        organisation::{self, Operation},
    },
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use std::{fs, io, sync::atomic::Ordering};
use utoipa::ToSchema;

shapes! {
    RotationState, "How it stands", words(&["idle", "running", "done", "failed"]);
}

/// A backup that is there, is being made, or could not be made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backup)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Shown {
    Running {
        name: String,
        bytes_done: u64,
        bytes_total: Option<u64>,
    },
    Failed {
        name: String,
        error: String,
    },
    Done {
        name: String,
        #[schema(value_type = Time)]
        made_at: String,
        made_by: String,
        bytes: u64,
        files: usize,
        data_format: u32,
        partitions: Vec<PartitionEnd>,
        master_keys: Vec<u32>,
        holds_master_key: bool,
    },
}

impl Shown {
    fn name(&self) -> &str {
        match self {
            Self::Running { name, .. } | Self::Failed { name, .. } | Self::Done { name, .. } => name,
        }
    }
}

impl From<Manifest> for Shown {
    fn from(manifest: Manifest) -> Self {
        Self::Done {
            bytes: manifest.bytes(),
            files: manifest.files.len(),
            master_keys: manifest.key_versions(),
            name: manifest.name,
            made_at: manifest.made_at,
            made_by: manifest.made_by,
            data_format: manifest.data_format,
            partitions: manifest.partitions,
            holds_master_key: manifest.holds_master_key,
        }
    }
}

impl From<NotNow> for Problem {
    fn from(why: NotNow) -> Self {
        match why {
            NotNow::Busy => Code::OperationRunning.into(),
            NotNow::Exists => Code::AlreadyExists.into(),
            NotNow::Rotation(error @ (RotationError::InEnvironment | RotationError::FileChanged(_))) => {
                Self::detailed(Code::MasterKeyNotOurs, error.to_string())
            }
            NotNow::Rotation(error) => failed(&error),
            NotNow::Io(error) => failed(&error),
        }
    }
}

fn failed(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "an operator's request failed");
    Code::Internal.into()
}

impl Operations {
    /// What is under way, or has failed since.
    fn unfinished(&self) -> Option<Shown> {
        let work = self.0.backup.lock();
        let running = work.under_way.as_ref().map(|under_way| {
            let total = under_way.progress.bytes_total.load(Ordering::Relaxed);
            Shown::Running {
                name: under_way.name.as_str().to_owned(),
                bytes_done: under_way.progress.bytes_done.load(Ordering::Relaxed),
                bytes_total: (total > 0).then_some(total),
            }
        });
        let failed = work.last.as_ref();
        running.or_else(|| {
            failed.map(|(name, error)| Shown::Failed { name: name.as_str().to_owned(), error: error.clone() })
        })
    }

    /// Those that are there, by name.
    fn finished(&self) -> io::Result<Vec<Shown>> {
        let entries = match fs::read_dir(self.folder()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_str().and_then(|name| name.parse::<BackupName>().ok()).is_none() {
                continue;
            }
            match Manifest::read(&entry.path()) {
                Ok(manifest) => found.push(manifest.into()),
                Err(ManifestError::Missing) => {}
                Err(error) => tracing::warn!(%error, backup = %entry.path().display(), "a backup cannot be read"),
            }
        }
        found.sort_unstable_by(|one: &Shown, other| one.name().cmp(other.name()));
        Ok(found)
    }
}

/// Runs on a reader thread: it looks at folders.
async fn looked<T: Send + 'static>(
    ask: &Ask,
    look: impl FnOnce(&Operations) -> io::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    let operations = ask.operations().clone();
    Ok(ask.engine.with_db(move |_, _| look(&operations).map_err(StoreError::Io)).await?)
}

fn named(ask: &Ask) -> Result<BackupName, Problem> {
    ask.path::<BackupName>("name")
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BackupWanted)]
struct Create {
    #[schema(value_type = BackupName)]
    name: String,
    #[serde(default)]
    with_master_key: bool,
}

pub(crate) const CREATE: Doc = Doc::new("Make a backup")
    .details("It is made in the background: ask for it by its name until its state is `done` or `failed`.")
    .takes::<Create>()
    .answers::<Shown>()
    .accepted()
    .refuses(&[Code::AlreadyExists, Code::OperationRunning]);

pub(crate) async fn create(mut ask: Ask) -> Result<Reply, Problem> {
    ask.judge_untagged()?;
    let Create { name, with_master_key } = ask.json()?;
    let name: BackupName = name.parse().map_err(|rule: &'static str| Problem::field("/name", rule))?;
    if ask.done_before(OrgId::SYSTEM).await?.is_none() {
        let wanted = name.clone();
        looked(&ask, move |operations| Ok(operations.back_up(wanted, with_master_key))).await??;
        book(&ask, Operation::BackupBegun(name.as_str().into())).await?;
    }
    Reply::new(202, &shown(&ask, name).await?)
}

/// For the audit, and so that a repeat of the request does nothing.
async fn book(ask: &Ask, operation: Operation) -> Result<u64, Problem> {
    let system = OrgId::SYSTEM.at(OrgId::SYSTEM);
    ask.tell_once::<Organisation>(system, organisation::Command::Operated(operation), |_| Code::Internal.into()).await
}

pub(crate) const LIST: Doc =
    Doc::new("List backups, the one that is being made last").pages::<Shown>().refuses(&[Code::NotAcceptable]);

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    ask.format(&[Format::Json])?;
    let mut items = looked(&ask, Operations::finished).await?;
    items.extend(ask.operations().unfinished());
    Reply::ok(&Page { items, next: None })
}

pub(crate) const SHOW: Doc = Doc::new("Show a backup, or how far it is").answers::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let name = named(&ask)?;
    Reply::ok(&shown(&ask, name).await?)
}

async fn shown(ask: &Ask, name: BackupName) -> Result<Shown, Problem> {
    // Before the folder: what is finished in between is then seen there.
    let unfinished = ask.operations().unfinished().filter(|shown| shown.name() == name.as_str());
    if let Some(shown) = unfinished {
        return Ok(shown);
    }
    let found = looked(ask, move |operations| Ok(Manifest::read(&operations.folder().join(name.as_str()))));
    match found.await? {
        Ok(manifest) => Ok(manifest.into()),
        Err(ManifestError::Missing) => Err(Code::NotFound.into()),
        Err(error) => Err(failed(&error)),
    }
}

pub(crate) const REMOVE: Doc = Doc::new("Remove a backup").done().refuses(&[Code::OperationRunning]);

pub(crate) async fn remove(mut ask: Ask) -> Result<Reply, Problem> {
    ask.judge_untagged()?;
    let name = named(&ask)?;
    if matches!(ask.operations().unfinished(), Some(Shown::Running { name: running, .. }) if running == name.as_str()) {
        return Err(Code::OperationRunning.into());
    }
    let known = name.clone();
    let removed = looked(&ask, move |operations| {
        let backup = operations.folder().join(name.as_str());
        if !backup.join(super::manifest::FILE).exists() {
            return Ok(false);
        }
        // First what makes it a backup: half of one is none.
        fs::remove_file(backup.join(super::manifest::FILE))?;
        fs::remove_dir_all(&backup)?;
        tracing::info!(name = name.as_str(), "backup removed");
        Ok(true)
    });
    if !removed.await? {
        return Err(Code::NotFound.into());
    }
    book(&ask, Operation::BackupRemoved(known.as_str().into())).await?;
    Ok(Reply::no_content())
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rotation)]
struct ShownRotation {
    #[schema(value_type = RotationState)]
    state: &'static str,
    /// Of the master key by which new secrets are wrapped.
    version: u32,
    /// All that are still there.
    versions: Vec<u32>,
    keys_checked: u64,
    keys_total: Option<u64>,
    keys_rewrapped: u64,
    error: Option<String>,
}

fn rotation_of(operations: &Operations) -> ShownRotation {
    let masters = operations.0.engine.keys().masters();
    let work = operations.0.rotation.lock();
    let (state, error) = match (&work.under_way, &work.last) {
        (Some(_), _) => ("running", None),
        (None, Some(Ok(_))) => ("done", None),
        (None, Some(Err(error))) => ("failed", Some(error.clone())),
        (None, None) => ("idle", None),
    };
    let count = |of: fn(&super::rotation::Progress) -> u64| work.under_way.as_deref().map_or(0, of);
    let total = count(|progress| progress.total.load(Ordering::Relaxed));
    ShownRotation {
        state,
        version: masters.newest().0,
        versions: masters.versions(),
        keys_checked: count(|progress| progress.checked.load(Ordering::Relaxed)),
        keys_total: (total > 0).then_some(total),
        keys_rewrapped: count(|progress| progress.rewrapped.load(Ordering::Relaxed)),
        error,
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RotationWanted)]
struct Rotate {}

pub(crate) const ROTATE: Doc = Doc::new("Make a new version of the master key and seal everything by it")
    .details("It goes on in the background, over restarts too. Backups made before need the version before.")
    .takes::<Rotate>()
    .answers::<ShownRotation>()
    .accepted()
    .refuses(&[Code::MasterKeyNotOurs, Code::OperationRunning]);

pub(crate) async fn rotate(mut ask: Ask) -> Result<Reply, Problem> {
    ask.judge_untagged()?;
    let Rotate {} = ask.json()?;
    if ask.done_before(OrgId::SYSTEM).await?.is_none() {
        looked(&ask, |operations| Ok(operations.rotate())).await??;
        book(&ask, Operation::RotationBegun).await?;
    }
    Reply::new(202, &rotation_of(ask.operations()))
}

pub(crate) const ROTATION: Doc = Doc::new("Show how far the rotation of the master key is").answers::<ShownRotation>();

pub(crate) async fn rotation(ask: Ask) -> Result<Reply, Problem> {
    Reply::ok(&rotation_of(ask.operations()))
}
