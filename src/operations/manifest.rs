//! What a backup says of itself: `manifest.json`, written last.

use crate::store::{MasterKeys, StoreError, checkpoint::Seen};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path},
};

/// The format of backups that this program makes. Older ones are read for ever, newer are refused.
pub const FORMAT: u32 = 1;
pub const FILE: &str = "manifest.json";
/// The database in a backup.
pub const DATABASE: &str = "db";
/// The master key, in a backup that was asked to hold it.
pub const MASTER_KEY: &str = "master.key";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub backup_format: u32,
    pub name: String,
    /// RFC 3339.
    pub made_at: String,
    /// Version of the program that made it.
    pub made_by: String,
    pub data_format: u32,
    /// In the order of their numbers.
    pub partitions: Vec<PartitionEnd>,
    /// Versions of the master key that are needed to read it.
    pub master_keys: Vec<KeyNeeded>,
    pub holds_master_key: bool,
    pub files: Vec<FileEntry>,
}

/// Where the log of a partition ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartitionEnd {
    pub epoch: u64,
    pub position: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyNeeded {
    pub version: u32,
    /// Tells it from another key of that number.
    pub fingerprint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Within the backup.
    pub path: String,
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("there is no {FILE}: this is no backup, or one that was never finished")]
    Missing,
    #[error("{FILE} cannot be read: {0}")]
    Unreadable(String),
    #[error("this backup has format {found}, this program reads up to {FORMAT}: restore it with the newer program")]
    Newer { found: u32 },
}

impl Manifest {
    pub fn read(backup: &Path) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Head {
            backup_format: u32,
        }
        let unreadable = |why: String| ManifestError::Unreadable(why);
        let text = match fs::read(backup.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ManifestError::Missing),
            read => read.map_err(|error| unreadable(error.to_string()))?,
        };
        let head: Head = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if head.backup_format > FORMAT {
            return Err(ManifestError::Newer { found: head.backup_format });
        }
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        match manifest.files.iter().find(|file| !is_inside(&file.path)) {
            Some(file) => Err(unreadable(format!("it names the file `{}`", file.path.escape_default()))),
            None => Ok(manifest),
        }
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub fn key_versions(&self) -> Vec<u32> {
        self.master_keys.iter().map(|key| key.version).collect()
    }
}

/// A file of the database, or the master key: nothing that leads elsewhere.
fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Component::Normal(file)), None, None) => file == MASTER_KEY,
        (Some(Component::Normal(folder)), Some(Component::Normal(_)), None) => folder == DATABASE,
        _ => false,
    }
}

/// The versions that something in there is wrapped by, each with its mark.
pub fn keys_needed(seen: &Seen, masters: &MasterKeys) -> Result<Vec<KeyNeeded>, StoreError> {
    let needed = |version: &u32| {
        let fingerprint = masters.fingerprint(*version);
        let missing = StoreError::MissingMasterKey { version: *version, known: masters.versions() };
        fingerprint.map(|fingerprint| KeyNeeded { version: *version, fingerprint }).ok_or(missing)
    };
    seen.master_keys.iter().map(needed).collect()
}

const PIECE: usize = 1 << 20;

/// Reads a file to its end, handing each piece on: its size and SHA-256.
pub fn digest(file: &Path, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<(u64, String)> {
    let (mut file, mut hash, mut bytes) = (File::open(file)?, Sha256::new(), 0);
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => {
                hash.update(&piece[..read]);
                bytes += read as u64;
                each(&piece[..read])?;
            }
        }
    }
    let text = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((bytes, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_leads_out_of_the_backup() {
        for good in ["db/000012.sst", "master.key"] {
            assert!(is_inside(good), "{good}");
        }
        for bad in ["", "/etc/passwd", "../x", "db/../x", "db", "db/a/b", "other.key", "db/..", "./master.key/x"] {
            assert!(!is_inside(bad), "{bad}");
        }
    }
}
