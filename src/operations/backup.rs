//! Making a backup: a checkpoint of the open database, looked through once, with a manifest that is written last.

use super::manifest::{self, DATABASE, FORMAT, FileEntry, MASTER_KEY, Manifest, PartitionEnd};
use crate::{
    kernel::UnixMillis,
    store::{Db, MasterKeys, StoreError, checkpoint::Seen},
};
use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// What a backup is called: no path, nothing hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupName(String);

impl BackupName {
    pub const RULE: &str = "expected 1 to 64 letters, digits, hyphens, underscores or points, a letter or digit first";

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BackupName {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let clean = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if first && clean && text.len() <= 64 { Ok(Self(text.to_owned())) } else { Err(Self::RULE) }
    }
}

impl utoipa::PartialSchema for BackupName {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        crate::kernel::schema::pattern("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$").examples(["before-upgrade"]).into()
    }
}

impl utoipa::ToSchema for BackupName {}

/// How far it is.
#[derive(Debug, Default)]
pub struct Progress {
    pub bytes_done: AtomicU64,
    /// 0 until it is known.
    pub bytes_total: AtomicU64,
    /// Set from outside: it ends at once, and what was made so far is gone.
    pub cancelled: AtomicBool,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{0} exists already")]
    Exists(PathBuf),
    #[error("{path}: {reason}")]
    Io { path: PathBuf, reason: io::Error },
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("it was cancelled")]
    Cancelled,
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |reason| BackupError::Io { path, reason }
}

/// A backup that is being made, or was when the power went.
fn unfinished(folder: &Path, name: &BackupName) -> PathBuf {
    folder.join(format!(".{}.unfinished", name.0))
}

/// Removes what is left of backups that never came to their end.
pub fn sweep(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(".unfinished") && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// When the newest of the finished ones was made, in Unix time; 0 if there is none.
pub fn newest_s(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let finished = entries.filter(|entry| entry.file_name().to_string_lossy().parse::<BackupName>().is_ok());
    let made = finished.filter_map(|entry| {
        let written = fs::metadata(entry.path().join(manifest::FILE)).and_then(|manifest| manifest.modified()).ok()?;
        Some(written.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
    });
    made.max().unwrap_or_default()
}

/// What to make.
pub struct Wanted<'a> {
    pub folder: &'a Path,
    pub name: &'a BackupName,
    pub masters: &'a MasterKeys,
    /// Puts the master key in as well: who has the backup can then read everything.
    pub with_master_key: bool,
    pub now: UnixMillis,
}

/// Makes a backup in a folder of its name. It is there whole or not at all.
pub fn make(db: &Db, wanted: &Wanted<'_>, progress: &Progress) -> Result<Manifest, BackupError> {
    let finished = wanted.folder.join(wanted.name.as_str());
    if finished.exists() {
        return Err(BackupError::Exists(finished));
    }
    let path = unfinished(wanted.folder, wanted.name);
    if path.exists() {
        fs::remove_dir_all(&path).map_err(at(&path))?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(at(&path))?;
    let made = fill(db, wanted, &path, progress).and_then(|manifest| {
        fs::rename(&path, &finished).map_err(at(&finished))?;
        File::open(wanted.folder).and_then(|folder| folder.sync_all()).map_err(at(wanted.folder))?;
        Ok(manifest)
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(&path);
    }
    made
}

fn fill(db: &Db, wanted: &Wanted<'_>, path: &Path, progress: &Progress) -> Result<Manifest, BackupError> {
    let database = path.join(DATABASE);
    db.checkpoint(&database)?;
    let scratch = path.join("scratch");
    fs::create_dir(&scratch).map_err(at(&scratch))?;
    let seen = Seen::of(&database, &scratch)?;
    fs::remove_dir_all(&scratch).map_err(at(&scratch))?;
    if wanted.with_master_key {
        wanted.masters.create(&path.join(MASTER_KEY))?;
    }
    let manifest = Manifest {
        backup_format: FORMAT,
        name: wanted.name.as_str().to_owned(),
        made_at: wanted.now.to_rfc3339(),
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        data_format: seen.format,
        partitions: seen.tails.iter().map(|end| PartitionEnd { epoch: end.epoch, position: end.position }).collect(),
        master_keys: manifest::keys_needed(&seen, wanted.masters)?,
        holds_master_key: wanted.with_master_key,
        files: digests(path, wanted.with_master_key, progress)?,
    };
    let file = path.join(manifest::FILE);
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| at(&file)(error.into()))?;
    let written = File::create(&file).and_then(|mut written| {
        written.write_all(&text)?;
        written.sync_all()
    });
    written.map_err(at(&file))?;
    File::open(path).and_then(|folder| folder.sync_all()).map_err(at(path))?;
    Ok(manifest)
}

fn digests(path: &Path, with_master_key: bool, progress: &Progress) -> Result<Vec<FileEntry>, BackupError> {
    let database = path.join(DATABASE);
    let mut names = Vec::new();
    let mut total = 0;
    for entry in fs::read_dir(&database).map_err(at(&database))? {
        let entry = entry.map_err(at(&database))?;
        total += entry.metadata().map_err(at(&entry.path()))?.len();
        names.push(format!("{DATABASE}/{}", entry.file_name().to_string_lossy()));
    }
    if with_master_key {
        names.push(MASTER_KEY.to_owned());
    }
    names.sort_unstable();
    progress.bytes_total.store(total, Ordering::Relaxed);
    let mut files = Vec::with_capacity(names.len());
    for name in names {
        let file = path.join(&name);
        let mut paced = Pace::default();
        let (bytes, sha256) = manifest::digest(&file, |piece| {
            progress.bytes_done.fetch_add(piece.len() as u64, Ordering::Relaxed);
            paced.rest();
            match progress.cancelled.load(Ordering::Relaxed) {
                true => Err(io::Error::other("cancelled")),
                false => Ok(()),
            }
        })
        .map_err(|error| match progress.cancelled.load(Ordering::Relaxed) {
            true => BackupError::Cancelled,
            false => at(&file)(error),
        })?;
        files.push(FileEntry { path: name, bytes, sha256 });
    }
    Ok(files)
}

/// Rests as long as it worked: who serves goes first.
pub(super) struct Pace(std::time::Instant);

impl Default for Pace {
    fn default() -> Self {
        Self(crate::kernel::time::instant())
    }
}

impl Pace {
    const LONGEST: Duration = Duration::from_millis(100);

    pub fn rest(&mut self) {
        std::thread::sleep(self.0.elapsed().min(Self::LONGEST));
        self.0 = crate::kernel::time::instant();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_path() {
        for good in ["a", "2026-11-22", "Nightly_3.full", &"x".repeat(64)] {
            assert!(good.parse::<BackupName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", ".hidden", "-x", "a/b", "a\\b", "a b", "ä", "a\0", "../x", &"x".repeat(65)] {
            assert!(bad.parse::<BackupName>().is_err(), "{bad}");
        }
    }
}
