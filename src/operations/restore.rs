//! Restoring a backup into a new data folder. Everything is checked before anything is written; the folder can be used
//! only when the last step is done.

use super::manifest::{self, DATABASE, MASTER_KEY, Manifest, ManifestError};
use crate::{
    app::database_folder,
    kernel::UnixMillis,
    store::{Db, MasterKeySource, MasterKeys, Options, StoreError, checkpoint::Seen, db},
};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Stands in a data folder until its restore is done.
const MARKER: &str = "restore.unfinished";

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("{backup}: {reason}")]
    Manifest { backup: PathBuf, reason: ManifestError },
    #[error(
        "this backup's data has format {found}, this program reads up to {known}: restore it with the newer program"
    )]
    NewerData { found: u32, known: u32 },
    #[error("{0} is damaged: its bytes are not those that were backed up")]
    Damaged(PathBuf),
    #[error("{path}: {reason}")]
    Io { path: PathBuf, reason: io::Error },
    #[error("{0} is not empty: restore into a new folder")]
    NotEmpty(PathBuf),
    #[error("a restore into {0} was interrupted: remove the folder and restore again")]
    Unfinished(PathBuf),
    #[error("the backup does not hold the master key: name its file with --master-key (needed: version {0:?})")]
    NoMasterKey(Vec<u32>),
    #[error("the backup needs version {needed} of the master key, {source_name} holds {known:?}")]
    OlderMasterKey { needed: u32, known: Vec<u32>, source_name: String },
    #[error("{source_name} holds another master key as version {version} than the backup was made with")]
    OtherMasterKey { version: u32, source_name: String },
    #[error("{0}")]
    Store(#[from] StoreError),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_owned();
    move |reason| RestoreError::Io { path, reason }
}

/// What to restore, and where.
pub struct Order<'a> {
    pub from: &'a Path,
    pub data_dir: &'a Path,
    /// Instead of the one in the backup.
    pub master_key: Option<MasterKeySource>,
    pub now: UnixMillis,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// Of each partition, from now on.
    pub epochs: Vec<u64>,
    /// Whether the new folder holds the master key.
    pub holds_master_key: bool,
}

/// Says no to a folder that a restore has not finished.
pub fn refuse_unfinished(data_dir: &Path) -> Result<(), RestoreError> {
    if data_dir.join(MARKER).exists() { Err(RestoreError::Unfinished(data_dir.to_owned())) } else { Ok(()) }
}

/// Checks everything, then copies, then begins a new epoch. `progress` hears bytes done and bytes in all, twice: they
/// are read to be checked, and read to be copied.
pub fn restore(order: &Order<'_>, mut progress: impl FnMut(u64, u64)) -> Result<Restored, RestoreError> {
    let manifest = Manifest::read(order.from)
        .map_err(|reason| RestoreError::Manifest { backup: order.from.to_owned(), reason })?;
    if manifest.data_format > db::FORMAT {
        return Err(RestoreError::NewerData { found: manifest.data_format, known: db::FORMAT });
    }
    must_be_empty(order.data_dir)?;
    let (masters, comes_along) = master_keys(order, &manifest)?;
    let total = 2 * manifest.bytes();
    let mut done = 0;
    for file in &manifest.files {
        let path = order.from.join(&file.path);
        let digest = manifest::digest(&path, |piece| {
            done += piece.len() as u64;
            progress(done.min(total), total);
            Ok(())
        });
        if digest.map_err(at(&path))? != (file.bytes, file.sha256.clone()) {
            return Err(RestoreError::Damaged(path));
        }
    }
    let marker = begin(order.data_dir)?;
    let filled = fill(order, &manifest, &masters, comes_along, |copied| {
        progress((done + copied).min(total), total);
    });
    // Whatever is in there we made ourselves: it was empty.
    let epochs = filled.inspect_err(|_| drop(fs::remove_dir_all(order.data_dir)))?;
    fs::remove_file(&marker).map_err(at(&marker))?;
    File::open(order.data_dir).and_then(|folder| folder.sync_all()).map_err(at(order.data_dir))?;
    Ok(Restored { manifest, epochs, holds_master_key: comes_along })
}

fn must_be_empty(data_dir: &Path) -> Result<(), RestoreError> {
    refuse_unfinished(data_dir)?;
    match fs::read_dir(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at(data_dir)(error)),
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(RestoreError::NotEmpty(data_dir.to_owned())),
            None => Ok(()),
        },
    }
}

/// The keys that open this backup, and whether they are to lie in the new folder.
fn master_keys(order: &Order<'_>, manifest: &Manifest) -> Result<(MasterKeys, bool), RestoreError> {
    let held = || manifest.holds_master_key.then(|| MasterKeySource::File(order.from.join(MASTER_KEY)));
    let source = order.master_key.clone().or_else(held);
    let source = source.ok_or_else(|| RestoreError::NoMasterKey(manifest.key_versions()))?;
    let masters = source.read()?;
    for needed in &manifest.master_keys {
        let (version, source_name) = (needed.version, source.to_string());
        match masters.fingerprint(version) {
            Some(fingerprint) if fingerprint == needed.fingerprint => {}
            Some(_) => return Err(RestoreError::OtherMasterKey { version, source_name }),
            None => {
                let known = masters.versions();
                return Err(RestoreError::OlderMasterKey { needed: version, known, source_name });
            }
        }
    }
    Ok((masters, matches!(source, MasterKeySource::File(_))))
}

fn begin(data_dir: &Path) -> Result<PathBuf, RestoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(at(data_dir))?;
    let marker = data_dir.join(MARKER);
    let made = File::create_new(&marker).and_then(|made| made.sync_all());
    made.and_then(|()| File::open(data_dir)?.sync_all()).map_err(at(&marker))?;
    Ok(marker)
}

fn fill(
    order: &Order<'_>,
    manifest: &Manifest,
    masters: &MasterKeys,
    comes_along: bool,
    mut copied: impl FnMut(u64),
) -> Result<Vec<u64>, RestoreError> {
    let database = database_folder(order.data_dir);
    fs::create_dir(&database).map_err(at(&database))?;
    let mut done = 0;
    for file in manifest.files.iter().filter(|file| file.path != MASTER_KEY) {
        let (from, name) =
            (order.from.join(&file.path), file.path.trim_start_matches(DATABASE).trim_start_matches('/'));
        let to = database.join(name);
        let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&to).map_err(at(&to))?;
        let digest = manifest::digest(&from, |piece| {
            target.write_all(piece)?;
            done += piece.len() as u64;
            copied(done);
            Ok(())
        });
        if digest.map_err(at(&to))? != (file.bytes, file.sha256.clone()) {
            return Err(RestoreError::Damaged(from));
        }
        target.sync_all().map_err(at(&to))?;
    }
    File::open(&database).and_then(|folder| folder.sync_all()).map_err(at(&database))?;
    let scratch = order.data_dir.join("restore.scratch");
    fs::create_dir(&scratch).map_err(at(&scratch))?;
    Seen::of(&database, &scratch)?.opens_with(masters)?;
    fs::remove_dir_all(&scratch).map_err(at(&scratch))?;
    if comes_along {
        masters.create(&order.data_dir.join(MASTER_KEY))?;
    }
    let partitions = u8::try_from(manifest.partitions.len()).unwrap_or(u8::MAX);
    let db = Db::open(&database, Options { partitions, ..Options::default() }, false)?;
    Ok(db.raise_epochs(order.now)?)
}
