//! Reading an entity from the store: its snapshot, or the base behind which its records were trimmed, and the events
//! since.

use super::{Shared, actor::EntityActor, directory::Directory};
use crate::{
    kernel::{Address, Codec, Machine, Stamp, UnixMillis},
    store::{Db, StoreError, StoredRecord, keys, record::SnapshotHead},
};
use std::sync::Arc;

/// An entity as the store knows it.
pub(super) struct Loaded<M> {
    pub state: M,
    pub revision: u64,
    pub last_at: UnixMillis,
    armed: Option<UnixMillis>,
    events_since_snapshot: u32,
    snapshot_bytes: u32,
}

impl<M: Machine> Loaded<M> {
    /// One that was never written.
    pub fn new(address: Address) -> Self {
        Self {
            state: M::blank(address),
            revision: 0,
            last_at: UnixMillis(0),
            armed: None,
            events_since_snapshot: 0,
            snapshot_bytes: 0,
        }
    }

    pub fn into_actor(
        self,
        shared: Arc<Shared>,
        address: Address,
        generation: u64,
        directory: &Directory<M>,
    ) -> EntityActor<M> {
        if self.revision > 0
            && let Some(view) = self.state.view()
        {
            directory.publish(address, Arc::new(view));
        }
        EntityActor {
            shared,
            address,
            generation,
            state: self.state,
            revision: self.revision,
            last_at: self.last_at,
            armed: self.armed,
            last_place: 0,
            events_since_snapshot: self.events_since_snapshot,
            bytes_since_snapshot: 0,
            snapshot_bytes: self.snapshot_bytes,
        }
    }
}

fn corrupt(what: &'static str) -> impl Fn(String) -> StoreError {
    move |why| StoreError::Corrupt { what, why }
}

/// A state and how far it reaches.
pub(super) struct Folded<M> {
    pub state: M,
    pub revision: u64,
    pub last_at: UnixMillis,
    /// Of the row that it was read from.
    pub bytes: usize,
}

impl<M: Machine> Folded<M> {
    pub fn blank(of: Address) -> Self {
        Self { state: M::blank(of), revision: 0, last_at: UnixMillis(0), bytes: 0 }
    }

    fn read(
        head: SnapshotHead,
        state: Result<M, String>,
        what: &'static str,
        bytes: usize,
    ) -> Result<Self, StoreError> {
        Ok(Self { state: state.map_err(corrupt(what))?, revision: head.revision, last_at: head.last_at, bytes })
    }
}

fn head(bytes: &[u8], what: &'static str) -> Result<(SnapshotHead, usize), StoreError> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let head = decoder.decode().map_err(|error| corrupt(what)(error.to_string()))?;
    Ok((head, decoder.position()))
}

fn base_row(db: &Db, of: Address) -> Result<Option<(SnapshotHead, Vec<u8>)>, StoreError> {
    let Some(mut bytes) = db.get_once(&keys::base(db.partition_of(of.org), of))? else { return Ok(None) };
    let (head, end) = head(&bytes, "base")?;
    bytes.drain(..end);
    Ok(Some((head, bytes)))
}

/// The state that stands for the trimmed records, whichever version of `evolve` made it.
pub(super) fn base<M: Machine>(db: &Db, of: Address) -> Result<Option<Folded<M>>, StoreError> {
    let Some((head, bytes)) = base_row(db, of)? else { return Ok(None) };
    Folded::read(head, M::from_base(head.evolve_version, &bytes), "base", bytes.len()).map(Some)
}

/// What stands before the first record that is kept: the base, or nothing.
pub(super) fn start<M: Machine>(db: &Db, of: Address) -> Result<Folded<M>, StoreError> {
    Ok(base(db, of)?.unwrap_or_else(|| Folded::blank(of)))
}

/// The head of the snapshot, whichever version made it.
pub(super) fn snapshot_head(db: &Db, of: Address) -> Result<Option<SnapshotHead>, StoreError> {
    let row = db.get_once(&keys::snapshot(db.partition_of(of.org), of))?;
    row.map(|bytes| head(&bytes, "snapshot").map(|(head, _)| head)).transpose()
}

/// The snapshot, if there is one that this program's `evolve` made and that reaches at least to `from`.
pub(super) fn snapshot<M: Machine>(db: &Db, of: Address, from: u64) -> Result<Option<Folded<M>>, StoreError> {
    let Some(bytes) = db.get_once(&keys::snapshot(db.partition_of(of.org), of))? else { return Ok(None) };
    let (head, end) = head(&bytes, "snapshot")?;
    if head.evolve_version != M::EVOLVE_VERSION || head.revision < from {
        return Ok(None);
    }
    Folded::read(head, M::from_snapshot(&bytes[end..]), "snapshot", bytes.len()).map(Some)
}

/// Applies a record's events; the record must follow `revision`.
pub(super) fn apply<M: Machine>(state: &mut M, revision: &mut u64, record: &StoredRecord) -> Result<(), StoreError> {
    if record.first_revision != *revision + 1 {
        let why = format!("revision {} follows {revision}", record.first_revision);
        return Err(corrupt("record")(why));
    }
    for bytes in &record.events {
        *revision += 1;
        let event = M::Event::decode_from(bytes).map_err(corrupt("event"))?;
        state.evolve(&event, Stamp { at: record.at, revision: *revision });
    }
    Ok(())
}

/// Snapshot, else base, else nothing; then the records behind it. Records may be trimmed meanwhile: as long as the base
/// does not reach further than what was begun with, none of those read were.
pub(super) fn load<M: Machine>(db: &Db, of: Address) -> Result<Loaded<M>, StoreError> {
    let mut at_least = 0;
    loop {
        let start = match snapshot(db, of, at_least)? {
            Some(snapshot) => snapshot,
            None => start(db, of)?,
        };
        let begun = start.revision;
        let loaded = load_behind(db, of, start);
        match base_row(db, of)? {
            Some((head, _)) if head.revision > begun => at_least = head.revision,
            _ => return loaded,
        }
    }
}

/// Which timer row an entity has: as its own row says, or where there is none, for its deadline.
pub(super) fn armed(db: &Db, of: Address, deadline: Option<UnixMillis>) -> Result<Option<UnixMillis>, StoreError> {
    match (db.armed(of)?, deadline) {
        (None, Some(due)) => Ok(db.get(&keys::timer(db.partition_of(of.org), due, of))?.map(|_| due)),
        (armed, _) => Ok(armed),
    }
}

fn load_behind<M: Machine>(db: &Db, of: Address, start: Folded<M>) -> Result<Loaded<M>, StoreError> {
    let mut loaded = Loaded {
        state: start.state,
        revision: start.revision,
        last_at: start.last_at,
        armed: None,
        events_since_snapshot: 0,
        snapshot_bytes: u32::try_from(start.bytes).unwrap_or(u32::MAX),
    };
    let from = loaded.revision + 1;
    db.each_record(of, from, |record| {
        apply(&mut loaded.state, &mut loaded.revision, &record)?;
        loaded.last_at = record.at;
        loaded.events_since_snapshot += u32::try_from(record.events.len()).unwrap_or(u32::MAX);
        Ok(())
    })?;
    loaded.armed = armed(db, of, loaded.state.next_deadline())?;
    Ok(loaded)
}
