//! Rotation of the master key while the server runs: a newer version is there, and everything that older ones wrapped is
//! wrapped anew, page by page. Nothing remembers how far it came: whatever is wrapped by the newest is done, so a
//! rotation that was cut off goes on at the next start.

use crate::{
    engine::{Engine, Guarded},
    kernel::Address,
    store::{
        MasterKeySource, StoreError,
        keys::{self, KeyKind},
        vault::wrapped_by,
    },
};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// How far it is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Keys looked at in this round.
    pub checked: AtomicU64,
    /// 0 until it is known.
    pub total: AtomicU64,
    pub rewrapped: AtomicU64,
    /// Set from outside: it ends after this page and goes on at the next start.
    pub cancelled: AtomicBool,
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("the server was stopped: it goes on at the next start")]
    Cancelled,
    #[error(
        "the master key comes from the environment: add a version to CASTELLAN__SECRETS__MASTER_KEY beside the old one \
         and start the server anew"
    )]
    InEnvironment,
    #[error("{0} does not hold the master key in force: it was changed by another hand")]
    FileChanged(String),
}

const PAGE: usize = 256;
/// The commit thread has other work too.
const PAUSE: Duration = Duration::from_millis(5);

/// Writes a further version of the master key beside the others, and uses it from now on. Its number.
pub fn begin(engine: &Engine, source: &MasterKeySource) -> Result<u32, RotationError> {
    let MasterKeySource::File(file) = source else { return Err(RotationError::InEnvironment) };
    let known = engine.keys().masters();
    let stored = source.read()?;
    let version = known.newest().0;
    if stored.newest().0 != version || stored.fingerprint(version) != known.fingerprint(version) {
        return Err(RotationError::FileChanged(source.to_string()));
    }
    let next = stored.with_next(engine.chance());
    let version = next.newest().0;
    // On disk before anything is wrapped by it.
    next.replace(file)?;
    engine.keys().set_masters(next);
    Ok(version)
}

/// Wraps anew whatever an older version wrapped, then drops the older versions where they stand in a file. Not for
/// workers: it takes its time.
pub fn finish(engine: &Engine, source: &MasterKeySource, progress: &Progress) -> Result<u32, RotationError> {
    let newest = engine.keys().masters().newest().0;
    // Whoever is wrapping by an older version at this moment has written it before the first look.
    engine.fence()?;
    engine.keys().rewrap_pepper(engine.db())?;
    progress.total.store(count(engine)?, Ordering::Relaxed);
    // What was changed by others while it was being wrapped is met in the next round.
    while round(engine, newest, progress)? > 0 {}
    if let MasterKeySource::File(file) = source
        && engine.keys().masters().versions().len() > 1
    {
        let only = engine.keys().masters().only_newest();
        only.replace(file)?;
        engine.keys().set_masters(only);
    }
    Ok(newest)
}

fn count(engine: &Engine) -> Result<u64, StoreError> {
    let mut count = 0;
    each_page(engine, |_, page| {
        count += page.len() as u64;
        Ok::<_, StoreError>(())
    })?;
    Ok(count)
}

/// Hands every subject's wrapped key to `each`, with its partition.
fn each_page<E: From<StoreError>>(
    engine: &Engine,
    mut each: impl FnMut(u8, &[(Vec<u8>, Vec<u8>)]) -> Result<(), E>,
) -> Result<(), E> {
    for partition in engine.db().partitions().all() {
        let prefix = keys::prefix(partition, KeyKind::SubjectKey);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = engine.db().scan_once(&prefix, after.as_deref(), PAGE)?;
            each(partition, &page)?;
            match page.last() {
                Some((last, _)) if page.len() == PAGE => after = Some(last.clone()),
                _ => break,
            }
        }
    }
    Ok(())
}

/// Looks at every subject's key once; how many were wrapped by an older version.
fn round(engine: &Engine, newest: u32, progress: &Progress) -> Result<u64, RotationError> {
    let mut older = 0;
    progress.checked.store(0, Ordering::Relaxed);
    each_page(engine, |partition, page| {
        if progress.cancelled.load(Ordering::Relaxed) {
            return Err(RotationError::Cancelled);
        }
        let mut writes = Vec::new();
        for (key, wrapped) in page.iter().filter(|(_, wrapped)| wrapped_by(wrapped) != Some(newest)) {
            let subject = key.get(2..).and_then(Address::from_bytes);
            let subject = subject.ok_or(StoreError::Corrupt { what: "subject key", why: "its key".to_owned() })?;
            if let Some(value) = engine.keys().rewrapped(subject, wrapped)? {
                writes.push(Guarded { key: key.clone(), expected: wrapped.clone(), value });
            }
        }
        progress.checked.fetch_add(page.len() as u64, Ordering::Relaxed);
        if !writes.is_empty() {
            older += writes.len() as u64;
            let written = engine.write_guarded(partition, writes)?;
            progress.rewrapped.fetch_add(written as u64, Ordering::Relaxed);
            std::thread::sleep(PAUSE);
        }
        Ok(())
    })?;
    Ok(older)
}
