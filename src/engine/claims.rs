//! Unique values on their way to the disk: a sharded table of what is being claimed, checked with the durable rows.

use super::Engine;
use crate::{
    kernel::{Address, ClaimSpace, OrgId},
    store::{Db, StoreError},
};
use dashmap::{DashMap, Entry};

/// A claimed value: its space, organisation and keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ClaimKey {
    pub space: ClaimSpace,
    pub org: OrgId,
    pub digest: [u8; 32],
}

#[derive(Default)]
pub(super) struct Claims {
    in_flight: DashMap<ClaimKey, (Address, u32)>,
}

/// Why a claim was not given.
pub(super) enum Denied {
    Taken,
    Store(StoreError),
}

impl Claims {
    /// Takes a value for `owner`, or says that an entity has it that is not among `holders`.
    pub fn take(&self, db: &Db, key: ClaimKey, owner: Address, holders: &[Address]) -> Result<(), Denied> {
        self.hold(key, owner)?;
        match db.claim_holder(key.space, key.org, &key.digest) {
            Ok(None) => Ok(()),
            Ok(Some(holder)) if holders.contains(&holder) => Ok(()),
            Ok(Some(_)) => {
                self.settle(&key);
                Err(Denied::Taken)
            }
            Err(error) => {
                self.settle(&key);
                Err(Denied::Store(error))
            }
        }
    }

    /// Takes a value that never becomes a row, such as an idempotency key that is being worked on.
    pub fn hold(&self, key: ClaimKey, owner: Address) -> Result<(), Denied> {
        match self.in_flight.entry(key) {
            Entry::Vacant(free) => {
                free.insert((owner, 1));
                Ok(())
            }
            Entry::Occupied(mut held) if held.get().0 == owner && key.space != ClaimSpace::Replay => {
                held.get_mut().1 += 1;
                Ok(())
            }
            Entry::Occupied(_) => Err(Denied::Taken),
        }
    }

    /// The value's record is durable, or has failed: the row decides from here on.
    pub fn settle(&self, key: &ClaimKey) {
        if let Entry::Occupied(mut held) = self.in_flight.entry(*key) {
            if held.get().1 > 1 {
                held.get_mut().1 -= 1;
            } else {
                held.remove();
            }
        }
    }
}

impl Engine {
    /// Who holds a unique value.
    pub async fn claim_holder(
        &self,
        space: ClaimSpace,
        org: OrgId,
        value: &[u8],
    ) -> Result<Option<Address>, StoreError> {
        let digest = self.shared.claim_digest(space, org, value);
        self.with_db(move |db, _| db.claim_holder(space, org, &digest)).await
    }

    /// The same of many, in their order.
    pub async fn claim_holders(
        &self,
        space: ClaimSpace,
        org: OrgId,
        values: Vec<Vec<u8>>,
    ) -> Result<Vec<Option<Address>>, StoreError> {
        let shared = std::sync::Arc::clone(&self.shared);
        let holder =
            move |db: &Db, value: Vec<u8>| db.claim_holder(space, org, &shared.claim_digest(space, org, &value));
        self.with_db(move |db, _| values.into_iter().map(|value| holder(db, value)).collect()).await
    }
}
