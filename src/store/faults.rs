//! A log that fails on purpose, seeded: for the simulation, which must show that nothing acknowledged is lost.

use super::{
    StoreError,
    log::{Appended, Batch, CommitLog, RocksLog, Tail},
};
use crate::kernel::Chance;
use parking_lot::Mutex;

/// How often, in 1,000 batches, which fault happens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    pub rejected_per_mille: u64,
    /// Written or not, the answer is `Unknown`; offering the batch again tells.
    pub unknown_per_mille: u64,
    /// The log breaks before or after the write and stays broken.
    pub broken_per_mille: u64,
}

pub struct FaultyLog {
    inner: RocksLog,
    faults: Faults,
    chance: Chance,
    broken: Mutex<bool>,
}

impl FaultyLog {
    pub fn new(inner: RocksLog, faults: Faults, seed: u64) -> Self {
        Self { inner, faults, chance: Chance::seeded(seed), broken: Mutex::new(false) }
    }
}

impl CommitLog for FaultyLog {
    fn append(&self, batch: &Batch) -> Appended {
        let mut broken = self.broken.lock();
        if *broken {
            return Appended::Broken;
        }
        // What an unclear offer has written is durable: no later offer may say that it was rejected.
        let written = self.inner.tail(batch.partition).is_ok_and(|tail| tail.batch_id == batch.id.to_be_bytes());
        if written {
            return Appended::Durable { position: batch.position };
        }
        let draw = self.chance.below(1000);
        let before_write = self.chance.below(2) == 0;
        let Faults { rejected_per_mille, unknown_per_mille, broken_per_mille } = self.faults;
        if draw < rejected_per_mille {
            return Appended::Rejected;
        }
        if draw < rejected_per_mille + unknown_per_mille {
            if !before_write {
                self.inner.append(batch);
            }
            return Appended::Unknown;
        }
        if draw < rejected_per_mille + unknown_per_mille + broken_per_mille {
            if !before_write {
                self.inner.append(batch);
            }
            *broken = true;
            return Appended::Broken;
        }
        self.inner.append(batch)
    }

    fn tail(&self, partition: u8) -> Result<Tail, StoreError> {
        self.inner.tail(partition)
    }
}
