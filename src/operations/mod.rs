//! What an operator does with a running server: backups, restores, rotation of the master key. Each on a thread of its
//! own, one of a kind at a time, its progress to be seen.

pub mod api;
pub mod backup;
pub mod manifest;
pub mod restore;
pub mod rotation;

use crate::{config::Config, engine::Engine, metrics, store::MasterKeySource};
use backup::{BackupError, BackupName};
use manifest::Manifest;
use parking_lot::Mutex;
use rotation::RotationError;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
};

/// The operator's work on a running server. Cheap to clone.
#[derive(Clone)]
pub struct Operations(Arc<Inner>);

struct Inner {
    engine: Engine,
    folder: PathBuf,
    master_key: MasterKeySource,
    backup: Mutex<Work<BackupUnderWay, (BackupName, String)>>,
    rotation: Mutex<Work<Arc<rotation::Progress>, Result<u32, String>>>,
}

/// Work of which there is one at a time.
struct Work<U, L> {
    under_way: Option<U>,
    /// How the last one ended, as far as that is to be told.
    last: Option<L>,
    thread: Option<JoinHandle<()>>,
}

impl<U, L> Default for Work<U, L> {
    fn default() -> Self {
        Self { under_way: None, last: None, thread: None }
    }
}

#[derive(Clone)]
struct BackupUnderWay {
    name: BackupName,
    progress: Arc<backup::Progress>,
}

/// Why something is not begun.
#[derive(Debug)]
pub enum NotNow {
    /// Another one is under way.
    Busy,
    Exists,
    Rotation(RotationError),
    Io(io::Error),
}

impl Operations {
    /// Clears away what was never finished, and goes on with a rotation that was cut off.
    pub fn start(engine: Engine, config: &Config) -> io::Result<Self> {
        let folder = config.backup_dir();
        backup::sweep(&folder)?;
        ::metrics::gauge!(metrics::BACKUP_MADE).set(backup::newest_s(&folder) as f64);
        let operations = Self(Arc::new(Inner {
            engine,
            folder,
            master_key: config.master_key(),
            backup: Mutex::default(),
            rotation: Mutex::default(),
        }));
        if operations.0.engine.keys().masters().versions().len() > 1 {
            tracing::info!("several versions of the master key are there: looking for what older ones wrapped");
            operations.run_rotation(&mut operations.0.rotation.lock())?;
        }
        Ok(operations)
    }

    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Begins a backup.
    fn back_up(&self, name: BackupName, with_master_key: bool) -> Result<(), NotNow> {
        let mut work = self.0.backup.lock();
        if work.under_way.is_some() {
            return Err(NotNow::Busy);
        }
        if self.0.folder.join(name.as_str()).exists() {
            return Err(NotNow::Exists);
        }
        let progress = Arc::new(backup::Progress::default());
        let of = self.clone();
        let under_way = BackupUnderWay { name, progress };
        work.under_way = Some(under_way.clone());
        work.last = None;
        let thread = std::thread::Builder::new().name("backup".to_owned()).spawn(move || {
            let made = of.make(&under_way, with_master_key);
            let mut work = of.0.backup.lock();
            work.under_way = None;
            match made {
                Ok(manifest) => {
                    tracing::info!(name = manifest.name, bytes = manifest.bytes(), "backup made");
                    ::metrics::counter!(metrics::BACKUPS, "outcome" => "made").increment(1);
                    ::metrics::gauge!(metrics::BACKUP_MADE).set(backup::newest_s(of.folder()) as f64);
                }
                Err(error) => {
                    tracing::error!(%error, name = under_way.name.as_str(), "backup failed");
                    ::metrics::counter!(metrics::BACKUPS, "outcome" => "failed").increment(1);
                    work.last = Some((under_way.name, error.to_string()));
                }
            }
        });
        self.keep(&mut work, thread)
    }

    fn make(&self, under_way: &BackupUnderWay, with_master_key: bool) -> Result<Manifest, BackupError> {
        let (engine, masters) = (&self.0.engine, self.0.engine.keys().masters());
        let wanted = backup::Wanted {
            folder: &self.0.folder,
            name: &under_way.name,
            masters: &masters,
            with_master_key,
            now: engine.clock().now(),
        };
        backup::make(engine.db(), &wanted, &under_way.progress)
    }

    fn keep<U, L>(&self, work: &mut Work<U, L>, thread: io::Result<JoinHandle<()>>) -> Result<(), NotNow> {
        match thread {
            Ok(thread) => {
                work.thread = Some(thread);
                Ok(())
            }
            Err(error) => {
                work.under_way = None;
                Err(NotNow::Io(error))
            }
        }
    }

    /// Makes a further version of the master key and begins to wrap everything by it. Its number.
    fn rotate(&self) -> Result<u32, NotNow> {
        let mut work = self.0.rotation.lock();
        if work.under_way.is_some() {
            return Err(NotNow::Busy);
        }
        let version = rotation::begin(&self.0.engine, &self.0.master_key).map_err(NotNow::Rotation)?;
        self.run_rotation(&mut work).map_err(NotNow::Io)?;
        Ok(version)
    }

    fn run_rotation(&self, work: &mut Work<Arc<rotation::Progress>, Result<u32, String>>) -> io::Result<()> {
        let progress = Arc::new(rotation::Progress::default());
        let of = self.clone();
        work.under_way = Some(Arc::clone(&progress));
        work.last = None;
        let thread = std::thread::Builder::new().name("rotation".to_owned()).spawn(move || {
            let finished = rotation::finish(&of.0.engine, &of.0.master_key, &progress);
            let rewrapped = progress.rewrapped.load(Ordering::Relaxed);
            match &finished {
                Ok(version) => tracing::info!(version, rewrapped, "everything is wrapped by this master key"),
                Err(error) => tracing::warn!(%error, rewrapped, "the rotation of the master key did not finish"),
            }
            let mut work = of.0.rotation.lock();
            work.under_way = None;
            work.last = Some(finished.map_err(|error| error.to_string()));
        });
        match self.keep(work, thread) {
            Err(NotNow::Io(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Ends what is under way: a backup is given up, a rotation goes on at the next start.
    pub async fn stop(self) {
        let mut threads = Vec::new();
        {
            let mut backup = self.0.backup.lock();
            if let Some(under_way) = &backup.under_way {
                under_way.progress.cancelled.store(true, Ordering::Relaxed);
            }
            threads.extend(backup.thread.take());
            let mut rotation = self.0.rotation.lock();
            if let Some(progress) = &rotation.under_way {
                progress.cancelled.store(true, Ordering::Relaxed);
            }
            threads.extend(rotation.thread.take());
        }
        let ended = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        let _ = ended.await;
    }
}
