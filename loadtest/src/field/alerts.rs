//! Alerts in force, as the server lists them, against the model.

use super::{Tally, add, clock::Clock, model::Alert, site::World};
use crate::report::LoadError;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Timers are looked for ten times a second.
const PATIENCE: Duration = Duration::from_secs(4);
/// Once something has been wrong, it is not waited for so long again.
const LESS_PATIENCE: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(60);
/// Looks between which nothing should have changed are not all made.
const LOOK_ANYWAY: u64 = 6;

/// By box.
type InForce = BTreeMap<usize, BTreeSet<Alert>>;

/// Waits until the server says what the model says; what it still says otherwise then is wrong.
pub async fn compare(world: &mut World, clock: &Clock, tally: &Tally) -> Result<(), LoadError> {
    add(&tally.looks, 1);
    let now_ms = clock.now_ms();
    let mut changed = tally.looks.get().is_multiple_of(LOOK_ANYWAY);
    let mut wanted = Vec::new();
    for (index, site) in world.sites.iter().enumerate() {
        let (must, may) = site.model.alerts(now_ms);
        let before = &mut world.told[index];
        if must.iter().any(|alert| !before.contains(alert)) || before.iter().any(|alert| !must.contains(alert)) {
            changed = true;
            let new = must.iter().filter(|alert| !before.contains(alert)).count();
            add(&tally.alerts, new as u64);
            before.clone_from(&must);
        }
        wanted.push((must, may));
    }
    if !changed {
        return Ok(());
    }
    let began = Instant::now();
    let patience = if tally.words.borrow().is_empty() { PATIENCE } else { LESS_PATIENCE };
    loop {
        let found = in_force(world).await?;
        let empty = BTreeSet::new();
        let (mut missing, mut wrong) = (Vec::new(), Vec::new());
        for (index, (must, may)) in wanted.iter().enumerate() {
            let found = found.get(&index).unwrap_or(&empty);
            missing.extend(must.iter().filter(|alert| !found.contains(alert)).map(|alert| (index, *alert)));
            let known = |alert: &&Alert| must.contains(alert) || may.contains(alert);
            wrong.extend(found.iter().filter(|alert| !known(alert)).map(|alert| (index, *alert)));
        }
        if missing.is_empty() && wrong.is_empty() {
            return Ok(());
        }
        if began.elapsed() > patience {
            let words = |what: &str, (index, alert): (usize, Alert)| {
                let site = &world.sites[index];
                format!("{what} at {}: {alert:?} (box {index}, online {}, {:?})", now_ms, site.online, site.vbox.id())
            };
            missing.into_iter().for_each(|one| tally.wrong(&tally.missing_alerts, || words("missing alert", one)));
            wrong.into_iter().for_each(|one| tally.wrong(&tally.false_alerts, || words("false alert", one)));
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn in_force(world: &mut World) -> Result<InForce, LoadError> {
    let mut found = InForce::new();
    for organisation in 0..world.organisations.len() {
        for alert in world.organisations[organisation].api.list("/alerts").await? {
            let Some(index) = world.sites.iter().position(|site| alert["box"] == site.vbox.id()) else { continue };
            let site = &world.sites[index];
            let place = |list: &[String], field: &str| list.iter().position(|known| alert[field] == **known);
            let kind = KINDS.iter().find(|kind| alert["kind"] == **kind).copied().unwrap_or("of no known kind");
            found.entry(index).or_default().insert(Alert {
                kind,
                key: place(&site.keys, "key"),
                bin: place(&site.bins, "bin"),
                power: alert["power"] == Value::Bool(true),
            });
        }
    }
    Ok(found)
}

const KINDS: [&str; 7] =
    ["late_after_pick_up", "late_after_end", "late_before_booking", "offline", "guarantee", "conflict", "unconfirmed"];

/// Over the whole feed: nothing is told to have begun twice without an end, nor to have ended twice. Every exchange about
/// which something was not in order is told once, and no other.
pub async fn told_once(world: &mut World, tally: &Tally) -> Result<(), LoadError> {
    let mut exchanges = vec![0; world.sites.len()];
    for organisation in &mut world.organisations {
        let mut open: BTreeSet<String> = BTreeSet::new();
        let mut events = Vec::new();
        let mut path = "/events?type=boxes.alert&limit=200".to_owned();
        loop {
            let page = organisation.api.get(&path).await?;
            events.extend(page["items"].as_array().cloned().unwrap_or_default());
            if page["more"] != true {
                break;
            }
            path = format!("/events?type=boxes.alert&limit=200&after={}", page["next"].as_str().unwrap_or_default());
        }
        for event in events {
            if event["type"] == "boxes.alert.exchange" {
                if let Some(site) = world.sites.iter().position(|site| event["entity"] == site.vbox.id()) {
                    exchanges[site] += 1;
                }
                continue;
            }
            let data = &event["data"];
            let of = format!("{} {} {} {}", event["entity"], data["kind"], data["key"], data["bin"]);
            let right = match event["type"].as_str() {
                Some("boxes.alert.raised") => open.insert(of.clone()),
                Some("boxes.alert.ended") => open.remove(&of),
                _ => true,
            };
            if !right {
                tally.wrong(&tally.false_alerts, || format!("told twice: {} {of}", event["type"]));
            }
        }
    }
    for (site, told) in world.sites.iter().zip(exchanges) {
        add(&tally.alerts, site.model.told as u64);
        let words = || format!("{}: told of {told} exchanges, not of {}", site.vbox.id(), site.model.told);
        match told.cmp(&site.model.told) {
            std::cmp::Ordering::Less => tally.wrong(&tally.missing_alerts, words),
            std::cmp::Ordering::Greater => tally.wrong(&tally.false_alerts, words),
            std::cmp::Ordering::Equal => {}
        }
    }
    Ok(())
}
