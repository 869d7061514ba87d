//! One round over everything that expires. It begins anew each time: what was done is no longer there, so that a round
//! that was cut off loses nothing.

use crate::{
    boxes::Conflict,
    config,
    engine::{Engine, Failure, Held},
    kernel::{Address, Codec, OrgId, RowSpace, UnixMillis},
    metrics,
    orgs::OrganisationRow,
    store::{Family, StoreError, keys},
};
use std::{convert::Infallible, time::Duration};

/// How long what is kept, and in which pace the rest goes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where an organisation has not chosen itself.
    pub history_days: u32,
    pub round_every: Duration,
    pub entities_per_s: u32,
    pub records_per_s: u32,
}

impl From<&config::Retention> for Settings {
    fn from(config: &config::Retention) -> Self {
        Self {
            history_days: config.history_days,
            round_every: Duration::from_secs(config.round_every_s),
            entities_per_s: config.entities_per_s,
            records_per_s: config.records_per_s,
        }
    }
}

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    pub records: u64,
    pub conflicts: u64,
    pub feed_rows: u64,
    /// When the oldest record was written that is kept.
    pub oldest: Option<UnixMillis>,
}

type Outcome<T> = Result<T, Failure<Infallible>>;

const ENTITIES_PER_LOOK: usize = 128;
const ROWS_PER_LOOK: usize = 500;

pub(super) fn failed(error: StoreError) -> Failure<Infallible> {
    match error {
        StoreError::Busy => Failure::Busy,
        error => Failure::Store(error.to_string()),
    }
}

fn before(now: UnixMillis, days: u32) -> UnixMillis {
    const DAY_MS: u64 = 86_400_000;
    UnixMillis(now.0.saturating_sub(u64::from(days) * DAY_MS))
}

/// So much work of a kind that may be done so often in a second takes so long.
pub(super) async fn pace(done: u64, per_s: u32) {
    if done > 0 {
        tokio::time::sleep(Duration::from_secs_f64(done as f64 / f64::from(per_s.max(1)))).await;
    }
}

/// Trims and removes what has expired.
pub async fn round(engine: &Engine, settings: &Settings) -> Outcome<Round> {
    let now = engine.clock().now();
    let mut done = Round::default();
    for partition in engine.db().partitions().all() {
        engine.mark_time(partition).await?;
        histories(engine, settings, now, partition, &mut done).await?;
    }
    let longest = conflicts(engine, settings, now, &mut done).await?;
    for partition in engine.db().partitions().all() {
        done.feed_rows += engine.trim_feed(partition, before(now, longest)).await?;
    }
    engine.forget_deleted_keys().await.map_err(failed)?;
    count("feed", done.feed_rows);
    count("conflicts", done.conflicts);
    let oldest = done.oldest.unwrap_or(now);
    ::metrics::gauge!(metrics::OLDEST_RECORD).set((oldest.0 / 1000) as f64);
    Ok(done)
}

pub(super) fn count(what: &'static str, rows: u64) {
    ::metrics::counter!(metrics::EXPIRED_ROWS, "what" => what).increment(rows);
}

/// How many days an organisation's history is kept.
async fn days_of(engine: &Engine, settings: &Settings, org: OrgId) -> Outcome<u32> {
    let row = engine.row(RowSpace::Organisations, org, Vec::new()).await.map_err(failed)?;
    let chosen = row.and_then(|bytes| OrganisationRow::decode_from(&bytes).ok()?.history_days);
    Ok(chosen.unwrap_or(settings.history_days))
}

async fn histories(
    engine: &Engine,
    settings: &Settings,
    now: UnixMillis,
    partition: u8,
    done: &mut Round,
) -> Outcome<()> {
    // Entities come by organisation: its setting is read once.
    let mut current: Option<(OrgId, UnixMillis)> = None;
    let mut after = None;
    loop {
        let held = engine.histories(partition, after, ENTITIES_PER_LOOK).await.map_err(failed)?;
        for Held { of, oldest } in &held {
            if engine.is_closed(of.org) {
                continue;
            }
            let end = match current {
                Some((org, end)) if org == of.org => end,
                _ => before(now, days_of(engine, settings, of.org).await?),
            };
            current = Some((of.org, end));
            let oldest = if *oldest < end { trim(engine, settings, *of, end, done).await? } else { Some(*oldest) };
            done.oldest = done.oldest.into_iter().chain(oldest).min();
        }
        after = held.last().map(|last| last.of);
        if held.len() < ENTITIES_PER_LOOK {
            return Ok(());
        }
        pace(held.len() as u64, settings.entities_per_s).await;
    }
}

/// One entity, to the end. When its oldest record was written that stays.
async fn trim(
    engine: &Engine,
    settings: &Settings,
    of: Address,
    end: UnixMillis,
    done: &mut Round,
) -> Outcome<Option<UnixMillis>> {
    loop {
        let step = match engine.trim(of, end).await {
            Ok(step) => step,
            // Its history cannot be folded: `verify` says what is wrong with it. Others go on.
            Err(Failure::Store(error)) => {
                tracing::error!(error, entity = %of.entity, "a history cannot be trimmed");
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        done.records += step.records;
        ::metrics::counter!(metrics::TRIMMED).increment(step.records);
        pace(step.records, settings.records_per_s).await;
        if !step.more {
            return Ok(step.oldest);
        }
    }
}

/// Conflicts that were resolved so long ago are history too. The longest retention of all, in days.
async fn conflicts(engine: &Engine, settings: &Settings, now: UnixMillis, done: &mut Round) -> Outcome<u32> {
    let mut longest = settings.history_days;
    let mut after = None;
    loop {
        let page = engine.organisations(after, ROWS_PER_LOOK).await.map_err(failed)?;
        for (org, row) in &page {
            let chosen = OrganisationRow::decode_from(row).ok().and_then(|row| row.history_days);
            let days = chosen.unwrap_or(settings.history_days);
            longest = longest.max(days);
            done.conflicts += conflicts_of(engine, settings, *org, before(now, days)).await?;
        }
        match page.last() {
            Some((last, _)) if page.len() == ROWS_PER_LOOK => after = Some(*last),
            _ => return Ok(longest),
        }
    }
}

async fn conflicts_of(engine: &Engine, settings: &Settings, org: OrgId, end: UnixMillis) -> Outcome<u64> {
    let partition = engine.db().partition_of(org);
    let (mut after, mut removed) = (None, 0);
    loop {
        let rows = engine.rows(RowSpace::Conflicts, org, Vec::new(), after, ROWS_PER_LOOK).await.map_err(failed)?;
        let is_over =
            |row: &[u8]| Conflict::decode_from(row).is_ok_and(|row| row.resolved.is_some_and(|it| it.at < end));
        let old = rows.iter().filter(|(_, row)| is_over(row));
        let old: Vec<_> = old.map(|(key, _)| keys::row(partition, RowSpace::Conflicts, org, key)).collect();
        engine.remove(partition, Family::Default, &old).await?;
        removed += old.len() as u64;
        if rows.len() < ROWS_PER_LOOK {
            return Ok(removed);
        }
        after = rows.into_iter().next_back().map(|(key, _)| key);
        pace(ROWS_PER_LOOK as u64, settings.records_per_s).await;
    }
}
