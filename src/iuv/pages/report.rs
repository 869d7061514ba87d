//! Orders by member organisation. Test orders are counted apart.

use crate::{
    iuv::shoppers::{LineCode, OrderRow},
    kernel::{Codec, OrgId, RowSpace, StoreId},
    store::{Db, StoreError},
};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct MemberOrders {
    /// `null`: of shoppers without one.
    pub member_org: Option<String>,
    pub orders: u64,
    pub products: u64,
    pub codes_given: u64,
    pub codes_waiting: u64,
    pub test_orders: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StoreReport)]
pub struct Report {
    pub member_orgs: Vec<MemberOrders>,
    /// There are more orders than are counted at once.
    pub truncated: bool,
}

/// Orders that are counted at once.
const ORDERS_MAX: usize = 200_000;
const PIECE: usize = 1_000;

pub fn report(db: &Db, org: OrgId, store: StoreId) -> Result<Report, StoreError> {
    let prefix = StoreId::to_bytes(store);
    let mut by_member: BTreeMap<Option<String>, MemberOrders> = BTreeMap::new();
    let (mut after, mut seen) = (None, 0);
    loop {
        let rows = db.rows(RowSpace::Orders, org, &prefix, after.as_deref(), PIECE)?;
        for (_, bytes) in &rows {
            let corrupt = |why: String| StoreError::Corrupt { what: "order's row", why };
            let OrderRow { order } = OrderRow::decode_from(bytes).map_err(corrupt)?;
            let member = order.member.as_deref().map(str::to_owned);
            let sum = by_member
                .entry(member.clone())
                .or_insert_with(|| MemberOrders { member_org: member, ..Default::default() });
            if order.test {
                sum.test_orders += 1;
                continue;
            }
            sum.orders += 1;
            sum.products += order.lines.len() as u64;
            for line in &order.lines {
                sum.codes_given += u64::from(matches!(line.code, LineCode::Given(_)));
                sum.codes_waiting += u64::from(line.code == LineCode::Waits);
            }
        }
        seen += rows.len();
        match rows.last().filter(|_| rows.len() == PIECE && seen < ORDERS_MAX) {
            Some((key, _)) => after = Some(key.clone()),
            None => {
                return Ok(Report { member_orgs: by_member.into_values().collect(), truncated: rows.len() == PIECE });
            }
        }
    }
}
