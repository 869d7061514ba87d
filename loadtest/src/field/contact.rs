//! Boxes sync; what becomes of their entries, and what the server believes afterwards, is what the model says.

use super::{
    Tally, add,
    clock::Clock,
    model::Place,
    newcomer,
    site::{Site, World},
};
use crate::{
    client::{Connection, Target},
    link::{Synced, confirm, sync_once_at},
    report::LoadError,
};
use serde_json::Value;
use std::time::Duration;

/// The boxes with an open road sync; what becomes of each entry is what the model says.
pub async fn syncs(world: &mut World, clock: &Clock, tally: &Tally) -> Result<(), LoadError> {
    for site in world.sites.iter_mut().filter(|site| site.online) {
        newcomer::before_sync(site);
        checked_contact(site, &world.target, clock, tally).await?;
        let api = &mut world.organisations[site.organisation].api;
        newcomer::after_sync(site, api, clock, tally).await?;
    }
    Ok(())
}

pub async fn everyone_back(world: &mut World, clock: &Clock, tally: &Tally) -> Result<(), LoadError> {
    world.sites.iter_mut().for_each(|site| site.online = true);
    syncs(world, clock, tally).await
}

async fn checked_contact(site: &mut Site, target: &Target, clock: &Clock, tally: &Tally) -> Result<(), LoadError> {
    site.connected = true;
    let before = site.model.conflicts;
    let (became, expected) = contact(site, target, clock).await?;
    add(&tally.entries, became.len() as u64);
    add(&tally.conflicts, site.model.conflicts.saturating_sub(before) as u64);
    for (number, (became, expected)) in became.iter().zip(&expected).enumerate() {
        tally.count("entries", "outcome", expected);
        if became != expected {
            tally.wrong(&tally.wrong_decisions, || {
                format!(
                    "box {}: entry {number} of {} became {became}, expected {expected}",
                    site.vbox.id(),
                    expected.len()
                )
            });
        }
    }
    if became.len() != expected.len() {
        tally.wrong(&tally.wrong_decisions, || format!("box {}: {} receipts", site.vbox.id(), became.len()));
    }
    Ok(())
}

/// One sync and its confirmation: what became of the entries, and what should have.
pub async fn contact(
    site: &mut Site,
    target: &Target,
    clock: &Clock,
) -> Result<(Vec<String>, Vec<&'static str>), LoadError> {
    let link = Connection::kept(&mut site.link, target).await?;
    let at_ms = clock.now_ms();
    let applied = loop {
        match sync_once_at(link, target, &mut site.vbox, at_ms).await? {
            Synced::Applied(applied) => break applied,
            Synced::Deferred { retry_after_s } => tokio::time::sleep(Duration::from_secs(retry_after_s)).await,
            Synced::Stopped { status, problem } => {
                return Err(LoadError::Unfit(format!("{}: {status} {problem}", site.vbox.id())));
            }
            Synced::Unbelievable(why) => return Err(LoadError::Unfit(format!("{}: {why}", site.vbox.id()))),
        }
    };
    confirm(link, target, &site.vbox).await?;
    let next_sync_ms = site.vbox.next_sync().as_millis() as u64;
    let expected = site.model.sync(at_ms, next_sync_ms, !site.vbox.health.mains);
    let became = applied.receipts.iter().map(|(_, receipt)| match &receipt.reason {
        Some(reason) => format!("{} {reason}", receipt.outcome.name()),
        None => receipt.outcome.name().to_owned(),
    });
    Ok((became.collect(), expected))
}

/// What the server believes of every box, against the model.
pub async fn inventories(world: &mut World, tally: &Tally) -> Result<(), LoadError> {
    for site in &world.sites {
        let api = &mut world.organisations[site.organisation].api;
        let shown = api.get(&format!("/boxes/{}/inventory", site.vbox.id())).await?;
        for (bin, label) in site.bins.iter().enumerate() {
            let known = &site.model.bins[bin];
            let fob = known.key.map_or(Value::Null, |key| Value::from(site.fob(key)));
            let wanted = (&fob, &Value::Bool(known.doubtful_ms.is_none()));
            let found = shown["bins"].as_array().into_iter().flatten().find(|found| found["bin"] == **label);
            let right = found.is_some_and(|found| (&found["fob"], &found["confirmed"]) == wanted);
            if !right {
                tally.wrong(&tally.wrong_states, || {
                    format!("{} {label}: {found:?}, expected {wanted:?}", site.vbox.id())
                });
            }
        }
        for (key, (place, id)) in site.model.keys.iter().zip(&site.keys).enumerate() {
            let wanted = match place {
                Place::Bin(_) => "bin",
                Place::Out { .. } => "person",
                Place::Unknown => "unknown",
            };
            let found = shown["keys"].as_array().into_iter().flatten().find(|found| found["key"] == **id);
            if !found.is_some_and(|found| found["place"]["in"] == wanted) {
                tally.wrong(&tally.wrong_states, || {
                    format!("{} key {key}: {found:?}, expected {wanted}", site.vbox.id())
                });
            }
        }
    }
    Ok(())
}
