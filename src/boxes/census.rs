//! How the boxes of all organisations stand and which alerts are in force, for the operator's metrics: counted from list
//! rows once a minute, in pages and on reader threads, so that no box is woken and nobody waits.

use super::{AlertKind, AlertRow, BoxRow, Plan};
use crate::{
    engine::Engine,
    kernel::{Codec, RowSpace, UnixMillis},
    metrics,
    store::StoreError,
};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(60);
const PAGE: usize = 2_000;
/// Between pages: a million boxes are counted within some five seconds, at a quarter of one core.
const PAUSE: Duration = Duration::from_millis(8);

/// Boxes of one plan. One box may count in several.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub known: u64,
    pub enrolled: u64,
    pub offline: u64,
    pub suspended: u64,
    /// Missing a change.
    pub pending: u64,
    /// Missing it for longer than the plan guarantees.
    pub late: u64,
    pub open_conflicts: u64,
    /// The longest that an enrolled box has been missing a change.
    pub oldest_pending_ms: u64,
}

impl Tally {
    fn add(&mut self, row: &BoxRow, now: UnixMillis) {
        self.known += 1;
        self.enrolled += u64::from(row.enrolled);
        self.offline += u64::from(row.offline);
        self.suspended += u64::from(row.suspended);
        self.open_conflicts += u64::from(row.open_conflicts);
        // Before its enrolment nothing is promised to a box.
        let Some(since) = row.pending_since.filter(|_| row.enrolled) else { return };
        let age_ms = now.0.saturating_sub(since.0);
        self.pending += 1;
        self.late += u64::from(Duration::from_millis(age_ms) > row.plan.guarantee());
        self.oldest_pending_ms = self.oldest_pending_ms.max(age_ms);
    }
}

/// By plan, in the order of `Plan::ALL`.
pub type Census = [Tally; Plan::ALL.len()];

/// Counts as long as the server runs.
pub async fn run(engine: Engine) {
    loop {
        match count(&engine).await {
            Ok(census) => metrics::boxes(&census),
            Err(error) => tracing::error!(%error, "the boxes cannot be counted"),
        }
        match count_alerts(&engine).await {
            Ok(census) => metrics::alerts(&census),
            Err(error) => tracing::error!(%error, "the alerts cannot be counted"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Alerts in force by kind, in the order of `AlertKind::ALL`: those that nobody has acknowledged, and the others.
pub type AlertCensus = [[u64; 2]; AlertKind::ALL.len()];

async fn count_alerts(engine: &Engine) -> Result<AlertCensus, StoreError> {
    let mut census = AlertCensus::default();
    count_rows(engine, RowSpace::Alerts, "alert's row", |row: AlertRow, _| {
        census[row.condition.what.kind() as usize][usize::from(row.acknowledged.is_some())] += 1;
    })
    .await?;
    Ok(census)
}

async fn count(engine: &Engine) -> Result<Census, StoreError> {
    let mut census = Census::default();
    count_rows(engine, RowSpace::Boxes, "box's row", |row: BoxRow, now| census[row.plan as usize].add(&row, now))
        .await?;
    Ok(census)
}

async fn count_rows<R: Codec>(
    engine: &Engine,
    space: RowSpace,
    what: &'static str,
    mut add: impl FnMut(R, UnixMillis),
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let rows = engine.rows_of_all(space, after, PAGE).await?;
        let now = engine.clock().now();
        for (_, row) in &rows {
            add(R::decode_from(row).map_err(|why| StoreError::Corrupt { what, why })?, now);
        }
        match rows.into_iter().last() {
            Some((last, _)) => after = Some(last),
            None => return Ok(()),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boxes::Model;

    #[test]
    fn a_box_counts_as_late_when_its_plan_says_so() {
        let row = |enrolled, pending_s: Option<u64>| BoxRow {
            name: "Hall".into(),
            model: Model::MS4,
            plan: Plan::BusinessPro,
            location: "".into(),
            zone: "UTC".into(),
            enrolled,
            suspended: false,
            offline: false,
            pending_since: pending_s.map(|seconds| UnixMillis(100_000_000 - seconds * 1000)),
            open_conflicts: 2,
        };
        let mut tally = Tally::default();
        for row in [row(true, None), row(true, Some(900)), row(true, Some(901)), row(false, Some(5_000))] {
            tally.add(&row, UnixMillis(100_000_000));
        }
        let expected = Tally {
            known: 4,
            enrolled: 3,
            pending: 2,
            late: 1,
            open_conflicts: 8,
            oldest_pending_ms: 901_000,
            ..Tally::default()
        };
        assert_eq!(tally, expected);
    }
}
