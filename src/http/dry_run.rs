//! Rows that only want to know: each is judged by its entity as it stands, and nothing is changed. Values that must be
//! unique are compared with what others hold and with the rows before.

use super::{ask::Ask, problem::Problem};
use crate::{
    engine::Failure,
    kernel::{Address, ClaimOp, Context, Machine},
};
use serde::Deserialize;
use std::{cell::RefCell, collections::HashSet, rc::Rc};
use utoipa::IntoParams;

/// How a bulk request may be tried out.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct BulkQuery {
    /// Whether every row is only judged, and nothing made
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// Unique values that rows of one request want, by space.
type Wanted = HashSet<(u8, Vec<u8>)>;

#[derive(Clone, Default)]
pub(super) struct DryRun(Rc<RefCell<Wanted>>);

impl DryRun {
    /// What would be refused. Only a command's first step can be, and it changes nothing yet.
    pub async fn judge<M: Machine>(
        &self,
        ask: &Ask,
        to: Address,
        command: M::Command,
        refused: fn(M::Refusal) -> Problem,
    ) -> Result<u64, Problem> {
        let cx = Context {
            org: to.org,
            now: ask.now(),
            epoch: 0,
            up_since: ask.engine.up_since(),
            by: ask.principal(),
            from: ask.from,
        };
        let judged = ask.engine.read(to, move |state: &M, stamp| {
            let (mut events, mut claims) = (Vec::new(), Vec::new());
            state.decide(&command, 0, &cx, &mut events)?;
            state.claims(&command, &events, &mut claims);
            Ok((claims, stamp.revision))
        });
        let (claims, revision) = judged.await?.map_err(refused)?;
        for claim in claims {
            let (space, value, from) = match claim {
                ClaimOp::Take { space, value } | ClaimOp::TakeFree { space, value } => (space, value, None),
                ClaimOp::Inherit { space, value, from } => (space, value, Some(from)),
                ClaimOp::Release { .. } => continue,
            };
            let holder = ask.engine.claim_holder(space, to.org, &value).await?;
            let free = holder.is_none_or(|holder| holder == to || Some(holder) == from);
            if !free || !self.0.borrow_mut().insert((space as u8, value)) {
                return Err(Problem::of(Failure::Taken(space), refused));
            }
        }
        Ok(revision)
    }
}
