//! What people do at boxes, what administrators do meanwhile, and boxes that come and go.

use super::{
    Tally, add,
    clock::Clock,
    model::{Grant, Place, What},
    site::{STAFF, Site, World},
};
use crate::{
    api::{Api, ApiError, text},
    chance::Chance,
    client::{Connection, Target},
    clock::to_rfc3339,
    link::{Synced, confirm, sync_once_at},
    report::LoadError,
    vbox::{
        Attempt,
        online::{Online, Road},
    },
    wire::Kind,
};
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE_MS: u64 = 60_000;
/// How often, in each step, somebody comes to a box, an administrator does something about it, the road is cut or
/// mended, the mains fail.
const SOMEBODY: f64 = 0.12;
const ADMINISTRATOR: f64 = 0.06;
const CUT: f64 = 0.012;
const MENDED: f64 = 0.04;
const DARK: f64 = 0.02;

pub async fn people_and_administrators(
    world: &mut World,
    clock: &Clock,
    tally: &Tally,
    chance: &mut Chance,
) -> Result<(), LoadError> {
    for site in &mut world.sites {
        if site.online && chance.happens(CUT) {
            site.online = false;
            site.connected = false;
            site.link = None;
        } else if !site.online && chance.happens(MENDED) {
            site.online = true;
        }
        if chance.happens(DARK) {
            site.vbox.health.mains = !site.vbox.health.mains;
        }
        if chance.happens(SOMEBODY) {
            let people = &world.organisations[site.organisation].people;
            let who = chance.index(STAFF);
            let (code, badge) = (&people[site.staff[who]].code, &people[site.staff[who]].badge);
            if site.connected && !site.model.has_unsent() && chance.happens(0.6) {
                with_the_server(site, &world.target, (who, code), clock, tally, chance).await?;
            } else {
                somebody(site, (who, code, badge), clock, tally, chance)?;
            }
        }
    }
    // What a person does and what an administrator does are never in the same millisecond.
    tokio::time::sleep(Duration::from_millis(3)).await;
    for index in 0..world.sites.len() {
        if chance.happens(ADMINISTRATOR) {
            let site = &mut world.sites[index];
            let organisation = &mut world.organisations[site.organisation];
            let people: Vec<&str> = site.staff.iter().map(|who| &*organisation.people[*who].id).collect();
            administrator(site, &mut organisation.api, &people, clock, chance).await?;
        }
    }
    tokio::time::sleep(Duration::from_millis(3)).await;
    Ok(())
}

/// One person at the box: by code or badge; a key is taken or brought back, or a bin opened by an offline code.
fn somebody(
    site: &mut Site,
    (who, code, badge): (usize, &str, &str),
    clock: &Clock,
    tally: &Tally,
    chance: &mut Chance,
) -> Result<(), LoadError> {
    let now_ms = clock.now_ms();
    if chance.happens(0.05) {
        let bin = chance.index(site.bins.len());
        site.vbox.journal(Kind::Opened, &site.bins[bin], None, None, now_ms)?;
        site.model.did(bin, What::Opened, now_ms);
        return Ok(());
    }
    add(&tally.decisions, 1);
    add(&tally.offline_decisions, u64::from(!site.online));
    let by_badge = chance.happens(0.4);
    let out: Vec<usize> = (0..site.fobs.len()).filter(|key| !site.model.physical.contains(&Some(*key))).collect();
    let (key, expected, attempt, what) = match chance.pick(&out) {
        Some(key) if chance.happens(0.5) => {
            let fob = &site.fobs[*key];
            let attempt = match by_badge {
                true => site.vbox.drop_off_by_badge(badge, fob, now_ms)?,
                false => site.vbox.drop_off(Some(code), fob, now_ms)?,
            };
            (*key, site.model.free_bin(), attempt, What::DropOff { key: *key, person: who })
        }
        _ => {
            let key = chance.index(site.fobs.len());
            let fob = &site.fobs[key];
            let expected = site.model.may_take(who, key, now_ms);
            let attempt = match by_badge {
                true => site.vbox.pick_up_by_badge(badge, fob, now_ms)?,
                false => site.vbox.pick_up(code, fob, now_ms)?,
            };
            (key, expected, attempt, What::PickUp { key, person: who })
        }
    };
    let decided = match &attempt {
        Attempt::Done(exchange) => site.bins.iter().position(|bin| *bin == exchange.bin),
        Attempt::Refused(_) | Attempt::NothingInside(_) | Attempt::Opened(_) => None,
    };
    // A box that believes in a key that is not there opens an empty bin: that is nobody's decision.
    let empty =
        matches!(attempt, Attempt::NothingInside(_)) && expected.is_some_and(|bin| site.model.physical[bin].is_none());
    if decided != expected && !empty {
        tally.wrong(&tally.wrong_decisions, || {
            format!("box {}: {what:?} of key {key} at {now_ms}: {attempt:?}, expected bin {expected:?}", site.vbox.id())
        });
    }
    if let Some(bin) = decided {
        site.model.did(bin, what, now_ms);
    }
    Ok(())
}

/// One person at a connected box: the server decides, and hears of the end at once, or from the journal.
async fn with_the_server(
    site: &mut Site,
    target: &Target,
    (who, code): (usize, &str),
    clock: &Clock,
    tally: &Tally,
    chance: &mut Chance,
) -> Result<(), LoadError> {
    add(&tally.decisions, 1);
    add(&tally.decided_online, 1);
    let now_ms = clock.now_ms();
    let out: Vec<usize> = (0..site.fobs.len()).filter(|key| !site.model.physical.contains(&Some(*key))).collect();
    let (key, kind, expected, what) = match chance.pick(&out).copied().filter(|_| chance.happens(0.5)) {
        Some(key) => (key, Kind::DropOff, site.model.takes_back(key), What::DropOff { key, person: who }),
        None => {
            let key = chance.index(site.fobs.len());
            (key, Kind::PickUp, site.model.gives(who, key, now_ms), What::PickUp { key, person: who })
        }
    };
    let mut road = Road { kept: &mut site.link, target, cut: chance.happens(0.15) };
    let ended = site.vbox.exchange(&mut road, kind, Some(code), &site.fobs[key], now_ms).await;
    let ended = ended.map_err(|error| LoadError::Unfit(format!("{}: {error:?}", site.vbox.id())))?;
    let fits = |bin: usize| site.model.physical[bin] == (kind == Kind::PickUp).then_some(key);
    // What has moved.
    let moved = site
        .bins
        .iter()
        .zip(&site.model.physical)
        .position(|(label, before)| site.vbox.physically_in(label) != before.map(|key| &*site.fobs[key]));
    let right = match (&ended, expected) {
        (Online::Done { .. }, Some(bin)) => fits(bin) && moved == Some(bin),
        // Somebody was wrong about what is in it.
        (Online::Cancelled(_), Some(bin)) => !fits(bin) && moved.is_none(),
        (Online::Refused(_), None) => moved.is_none(),
        _ => false,
    };
    if !right {
        tally.wrong(&tally.wrong_decisions, || {
            format!("box {}: {what:?} at {now_ms}: {ended:?}, expected bin {expected:?}", site.vbox.id())
        });
    }
    match (ended, moved) {
        (Online::Done { told: true, .. }, Some(bin)) => site.model.exchanged(bin, what, now_ms),
        (Online::Done { told: false, .. } | Online::Alone(_), Some(bin)) => site.model.did(bin, what, now_ms),
        _ => {}
    }
    Ok(())
}

/// Nothing that was there a moment ago may be gone for reasons of the scenario's own.
fn gone(error: &ApiError) -> bool {
    error.status() == Some(404)
}

async fn administrator(
    site: &mut Site,
    api: &mut Api,
    people: &[&str],
    clock: &Clock,
    chance: &mut Chance,
) -> Result<(), LoadError> {
    let id = site.vbox.id().to_owned();
    let now_ms = clock.now_ms();
    let bin = chance.index(site.bins.len());
    match chance.below(8) {
        // An access with an end, for somebody who has none to this key; or one that begins later, which is a booking.
        0..=2 => {
            let key = 1 + chance.index(site.keys.len().saturating_sub(1));
            let person = 2 + chance.index(STAFF - 2);
            // Limits fall four minutes behind the steps: never together with what people do, nor with a look.
            let step = |hours: u64| now_ms / MINUTE_MS * MINUTE_MS + hours * 3_600_000 + 3 * MINUTE_MS;
            let from_ms = chance.happens(0.5).then(|| step(1 + chance.below(6)));
            let until_ms = Some(step(8 + chance.below(12)));
            let body = json!({
                "person": people[person], "key": site.keys[key], "from": from_ms.map(to_rfc3339),
                "until": until_ms.map(to_rfc3339),
            });
            let made = api.post(&format!("/boxes/{id}/accesses"), &body).await?;
            site.accesses.push(text(&made, "access", "POST /accesses")?);
            let grant = Grant { person, key: Some(key), from_ms, until_ms, revoked_ms: None };
            site.model.grant(grant, clock.now_ms());
        }
        3 => {
            let live: Vec<usize> =
                (STAFF..site.accesses.len()).filter(|at| site.model.grants[*at].revoked_ms.is_none()).collect();
            if let Some(grant) = chance.pick(&live) {
                api.delete(&format!("/boxes/{id}/accesses/{}", site.accesses[*grant])).await?;
                site.model.revoke(*grant, clock.now_ms());
            }
        }
        // Somebody takes a key off the list that is still in its bin.
        4 if chance.happens(0.6) => correct(site, api, bin, None, clock).await?,
        // Somebody has looked.
        4 | 5 => {
            let content = site.model.physical[bin];
            correct(site, api, bin, content, clock).await?;
        }
        6 => {
            if site.model.bins[bin].doubtful_ms.is_some() {
                let path = format!("/boxes/{id}/bins/{}/confirmation", site.bins[bin]);
                api.post(&path, &json!({})).await?;
                site.model.confirm(bin, clock.now_ms());
            }
        }
        _ => settle(site, api, &id, chance).await?,
    }
    Ok(())
}

async fn correct(
    site: &mut Site,
    api: &mut Api,
    bin: usize,
    content: Option<usize>,
    clock: &Clock,
) -> Result<(), LoadError> {
    let fob = content.map(|key| &site.fobs[key]);
    let path = format!("/boxes/{}/bins/{}/correction", site.vbox.id(), site.bins[bin]);
    api.post(&path, &json!({"fob": fob})).await?;
    site.model.correct(bin, content, clock.now_ms());
    Ok(())
}

/// Settles an open conflict, or acknowledges an alert.
async fn settle(site: &mut Site, api: &mut Api, id: &str, chance: &mut Chance) -> Result<(), LoadError> {
    if site.model.conflicts > 0 {
        let open = api.list(&format!("/conflicts?box={id}&open=true")).await?;
        if let Some(conflict) = open.first() {
            let path = format!("/boxes/{id}/conflicts/{}/resolution", conflict["seq"]);
            api.post(&path, &json!({"accept": "by_hand"})).await?;
            site.model.conflicts -= 1;
        }
        return Ok(());
    }
    let alerts = api.list(&format!("/alerts?box={id}&acknowledged=false")).await?;
    if let Some(alert) = chance.pick(&alerts) {
        let path = format!("/boxes/{id}/alerts/{}/acknowledgement", alert["alert"]);
        match api.post(&path, &json!({})).await {
            Ok(_) => {}
            // It has ended meanwhile.
            Err(error) if gone(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The boxes with an open road sync; what becomes of each entry is what the model says.
pub async fn syncs(world: &mut World, clock: &Clock, tally: &Tally) -> Result<(), LoadError> {
    for site in world.sites.iter_mut().filter(|site| site.online) {
        checked_contact(site, &world.target, clock, tally).await?;
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
) -> Result<(Vec<&'static str>, Vec<&'static str>), LoadError> {
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
    Ok((applied.receipts.iter().map(|(_, receipt)| receipt.outcome.name()).collect(), expected))
}

/// What the server believes of every box, against the model.
pub async fn inventories(world: &mut World, tally: &Tally) -> Result<(), LoadError> {
    for site in &world.sites {
        let api = &mut world.organisations[site.organisation].api;
        let shown = api.get(&format!("/boxes/{}/inventory", site.vbox.id())).await?;
        for (bin, label) in site.bins.iter().enumerate() {
            let known = &site.model.bins[bin];
            let fob = known.key.map_or(Value::Null, |key| Value::from(&*site.fobs[key]));
            let wanted = (&fob, &Value::Bool(known.doubtful_ms.is_none()));
            let found = shown["bins"].as_array().into_iter().flatten().find(|found| found["bin"] == **label);
            let right = found.is_some_and(|found| (&found["fob"], &found["confirmed"]) == wanted);
            if !right {
                tally.wrong(&tally.wrong_states, || {
                    format!("{} {label}: {found:?}, expected {wanted:?}", site.vbox.id())
                });
            }
        }
        for (key, place) in site.model.keys.iter().enumerate() {
            let wanted = match place {
                Place::Bin(_) => "bin",
                Place::Out { .. } => "person",
                Place::Unknown => "unknown",
            };
            let found = shown["keys"].as_array().into_iter().flatten().find(|found| found["key"] == *site.keys[key]);
            if !found.is_some_and(|found| found["place"]["in"] == wanted) {
                tally.wrong(&tally.wrong_states, || {
                    format!("{} key {key}: {found:?}, expected {wanted}", site.vbox.id())
                });
            }
        }
    }
    Ok(())
}
