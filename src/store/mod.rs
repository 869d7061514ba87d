//! The only room that knows RocksDB: keys, codec of rows, commit log, vault, reads, checkpoints.

pub mod checkpoint;
pub mod db;
pub mod faults;
pub mod feed;
pub mod keys;
pub mod log;
pub mod master;
pub mod ops;
pub mod record;
mod scan;
pub mod vault;

pub use db::{Db, Family, Options, Partitions, StoreMemory};
pub use feed::{FeedError, FeedPage, FeedQuery, FeedRecord};
pub use log::{Appended, Batch, CommitLog, RocksLog, Tail};
pub use master::{MasterKeySource, MasterKeys};
pub use ops::Ops;
pub use record::{MailItem, OutboxItem, StoredRecord, StoredReplay};
pub use vault::Keyring;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database failed: {0}")]
    Rocks(#[from] rocksdb::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("a stored {what} cannot be read: {why}")]
    Corrupt { what: &'static str, why: String },
    #[error("this data folder has format {found}, this program reads up to {known}: start the newer program")]
    NewerFormat { found: u32, known: u32 },
    #[error("this data folder has {found} partitions, the config says {configured}: set [store] partitions = {found}")]
    Partitions { found: u8, configured: u8 },
    #[error("{0} is in use: another server is running on it")]
    InUse(String),
    #[error("{0} holds no data: run `castellan init` first")]
    NotInitialised(String),
    #[error("{0}")]
    MasterKey(String),
    #[error("version {version} of the master key is needed; known: {known:?}")]
    MissingMasterKey { version: u32, known: Vec<u32> },
    #[error("the master key does not open this data folder's secrets")]
    WrongMasterKey,
    #[error("the log is kept from position {first} on, not from {from}")]
    LogTrimmed { from: u64, first: u64 },
    #[error("the server is being stopped")]
    Stopped,
    #[error("the store's readers are all busy")]
    Busy,
}
