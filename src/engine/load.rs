//! Reading an entity from the store: its snapshot, and the events since.

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

/// The snapshot, if there is one that this program's `evolve` made.
pub(super) fn snapshot<M: Machine>(db: &Db, of: Address) -> Result<Option<(SnapshotHead, M, usize)>, StoreError> {
    let Some(bytes) = db.get(&keys::snapshot(db.partition_of(of.org), of))? else { return Ok(None) };
    let mut decoder = minicbor::Decoder::new(&bytes);
    let head: SnapshotHead = decoder.decode().map_err(|error| corrupt("snapshot")(error.to_string()))?;
    if head.evolve_version != M::EVOLVE_VERSION {
        return Ok(None);
    }
    let state = M::from_snapshot(&bytes[decoder.position()..]).map_err(corrupt("snapshot"))?;
    Ok(Some((head, state, bytes.len())))
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

pub(super) fn load<M: Machine>(db: &Db, of: Address) -> Result<Loaded<M>, StoreError> {
    let mut loaded = match snapshot::<M>(db, of)? {
        Some((head, state, bytes)) => Loaded {
            state,
            revision: head.revision,
            last_at: head.last_at,
            armed: None,
            events_since_snapshot: 0,
            snapshot_bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        },
        None => Loaded {
            state: M::blank(of),
            revision: 0,
            last_at: UnixMillis(0),
            armed: None,
            events_since_snapshot: 0,
            snapshot_bytes: 0,
        },
    };
    let from = loaded.revision + 1;
    db.each_record(of, from, |record| {
        apply(&mut loaded.state, &mut loaded.revision, &record)?;
        loaded.last_at = record.at;
        loaded.events_since_snapshot += u32::try_from(record.events.len()).unwrap_or(u32::MAX);
        Ok(())
    })?;
    loaded.armed = db.armed(of)?;
    Ok(loaded)
}
