//! List and index rows against the states that they are made from: each row that a state stands for is there and as it
//! would be written now, and there is none besides.

use super::{
    erasure::ClosedOrgs,
    verify::{Report, each_row},
};
use crate::{
    kernel::{Address, Effects, Machine, OrgId, RowOp, RowSpace},
    store::{Db, StoreError, keys},
};
use std::collections::BTreeMap;

/// Spaces whose rows are all told by `Machine::standing_rows`.
const STANDING: [RowSpace; 11] = [
    RowSpace::Organisations,
    RowSpace::People,
    RowSpace::Tokens,
    RowSpace::Boxes,
    RowSpace::Keys,
    RowSpace::PersonBoxes,
    RowSpace::EnrolmentCodes,
    RowSpace::Devices,
    RowSpace::DeviceMacs,
    RowSpace::Installations,
    RowSpace::Alerts,
];

/// How many rows of each space the states of a partition stand for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Standing(BTreeMap<u8, u64>);

/// Compares the rows that this state stands for.
pub(super) fn check_state<M: Machine>(db: &Db, of: Address, state: &M, report: &mut Report) -> Result<(), StoreError> {
    let mut effects = Effects::default();
    state.standing_rows(&mut effects);
    for RowOp { space, org, key, value } in effects.rows {
        report.rows += 1;
        *report.standing.0.entry(space as u8).or_default() += 1;
        let stored = db.get(&keys::row(db.partition_of(org), space, org, &key))?;
        if stored.is_none() {
            report.find(format!("{}: its row in {space:?} is missing", of.entity));
        } else if stored != value {
            report.find(format!("{}: its row in {space:?} says something else", of.entity));
        }
    }
    Ok(())
}

/// Rows of a partition that no state stands for. To be called when its entities and its outbox were looked at.
pub(super) fn check_rest(db: &Db, partition: u8, closed: &ClosedOrgs, report: &mut Report) -> Result<(), StoreError> {
    let standing = std::mem::take(&mut report.standing);
    for space in STANDING {
        // A key between two boxes is in a message, and its row where it was.
        if space == RowSpace::Keys && report.outbox_items > 0 {
            continue;
        }
        let mut stored = 0;
        each_row(db, &keys::row_space(partition, space), |key, _| {
            let org = key.get(keys::ROW_PREFIX - 16..keys::ROW_PREFIX).and_then(OrgId::from_bytes);
            stored += u64::from(!org.is_some_and(|org| closed.has(org)));
            Ok(())
        })?;
        let stands = standing.0.get(&(space as u8)).copied().unwrap_or_default();
        if stored != stands {
            report.find(format!("partition {partition}: {stored} rows in {space:?}, the states stand for {stands}"));
        }
    }
    Ok(())
}
