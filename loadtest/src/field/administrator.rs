//! What administrators do: accesses, codes, passes, bins, conflicts, alerts.

use super::{
    Tally, add,
    clock::Clock,
    model::{Grant, Identity, Pass, Setup, Slip, UNSURE_MS},
    site::{Organisation, SIZES, STAFF, Site, World},
    visit::Carried,
};
use crate::{
    api::{Api, ApiError, text},
    chance::Chance,
    clock::{from_rfc3339, to_rfc3339},
    report::LoadError,
};
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE_MS: u64 = 60_000;
/// Of each list of a sheet.
const PRINTED: usize = 20;
/// Bins of one box that may not be used at the same time.
const CLOSED: usize = 3;
/// Printed codes that are kept in a drawer.
const KEPT: usize = 400;
/// Looks, a hundred a second, until a box has been told by a message.
const LOOKS: usize = 500;

pub async fn acts(
    world: &mut World,
    index: usize,
    clock: &Clock,
    tally: &Tally,
    chance: &mut Chance,
) -> Result<(), LoadError> {
    let site = &mut world.sites[index];
    let organisation = &mut world.organisations[site.organisation];
    let api = &mut organisation.api;
    let id = site.vbox.id().to_owned();
    let bin = chance.index(site.bins.len());
    match chance.below(19) {
        0..=2 => {
            let grant = give_access(site, organisation, &id, clock, chance).await?;
            if chance.happens(0.5) {
                sign(site, &mut organisation.api, grant, &mut world.carried, clock, tally, chance).await?;
            }
            if chance.happens(0.6) {
                book(site, &mut organisation.api, grant, clock).await?;
            }
        }
        3 | 14 => {
            let live = live(site, STAFF, clock);
            let mut carried = world.carried.passes.iter().rev().filter(|(pass, _)| pass.site == index);
            let carried = carried.find(|(pass, _)| live.contains(&pass.grant)).map(|(pass, _)| pass.grant);
            // Mostly one whose pass somebody carries.
            let grant = carried.filter(|_| chance.happens(0.7)).or_else(|| chance.pick(&live).copied());
            if let Some(grant) = grant {
                api.delete(&format!("/boxes/{id}/accesses/{}", site.accesses[grant])).await?;
                site.model.revoke(grant, clock.now_ms());
            }
        }
        // Somebody takes a key off the list that is still in its bin.
        4 if chance.happens(0.6) => correct(site, api, bin, None, clock).await?,
        // Somebody has looked.
        4 | 5 => {
            let content = site.model.physical[bin];
            // By what is in it nobody would know a key that the box has not heard of.
            if content.is_none_or(|key| key < site.keys.len()) {
                correct(site, api, bin, content, clock).await?;
            }
        }
        6 => {
            if site.model.bins[bin].doubtful_ms.is_some() {
                let path = format!("/boxes/{id}/bins/{}/confirmation", site.bins[bin]);
                api.post(&path, &json!({})).await?;
                site.model.confirm(bin, clock.now_ms());
            }
        }
        7 => settle(site, api, &id, chance).await?,
        8 | 9 => {
            if let Some(grant) = chance.pick(&live(site, 0, clock)).copied() {
                sign(site, api, grant, &mut world.carried, clock, tally, chance).await?;
            }
        }
        10 => identify(site, organisation, &mut world.carried, chance).await?,
        11 => {
            let key = chance.index(site.keys.len());
            if chance.happens(0.25) {
                no_key_code(site, api, key, clock).await?
            } else {
                let code = organisation.next_code();
                key_code(site, &mut organisation.api, key, code, clock).await?;
            }
        }
        12 => {
            let renew = chance.happens(0.3);
            print(site, api, renew, clock).await?;
        }
        15 => close(site, api, bin, clock).await?,
        16 => {
            let named_only = !site.model.setup.named_only;
            set_up(site, api, Setup { named_only, ..site.model.setup.clone() }, clock).await?;
        }
        17 | 18 => {
            let mut setup = site.model.setup.clone();
            setup.bins[bin] = SIZES[chance.index(SIZES.len())];
            let key = chance.index(site.keys.len());
            setup.keys[key] = SIZES[chance.index(SIZES.len())];
            set_up(site, api, setup, clock).await?;
        }
        _ => {
            if let Some(grant) = chance.pick(&live(site, 0, clock)).copied() {
                book(site, api, grant, clock).await?;
            }
        }
    }
    Ok(())
}

/// Everybody begins with something in hand.
pub async fn hands_out(world: &mut World, clock: &Clock, tally: &Tally, chance: &mut Chance) -> Result<(), LoadError> {
    for site in &mut world.sites {
        let organisation = &mut world.organisations[site.organisation];
        for grant in [0, STAFF - 1] {
            sign(site, &mut organisation.api, grant, &mut world.carried, clock, tally, chance).await?;
        }
        book(site, &mut organisation.api, STAFF - 1, clock).await?;
        identify(site, organisation, &mut world.carried, chance).await?;
    }
    Ok(())
}

/// Grants from this one on that are neither withdrawn nor over, nor will be in a moment.
fn live(site: &Site, from: usize, clock: &Clock) -> Vec<usize> {
    let soon = clock.now_ms() + UNSURE_MS;
    let grants = &site.model.grants;
    (from..grants.len()).filter(|grant| grants[*grant].end_ms() > soon).collect()
}

/// An access with an end, for somebody who has none to this key; or one that begins later, which is a booking.
async fn give_access(
    site: &mut Site,
    organisation: &mut Organisation,
    id: &str,
    clock: &Clock,
    chance: &mut Chance,
) -> Result<usize, LoadError> {
    let now_ms = clock.now_ms();
    let key = 1 + chance.index(site.keys.len().saturating_sub(1));
    let person = 2 + chance.index(STAFF - 2);
    // Limits fall four minutes behind the steps: never together with what people do, nor with a look.
    let step = |hours: u64| now_ms / MINUTE_MS * MINUTE_MS + hours * 3_600_000 + 3 * MINUTE_MS;
    let from_ms = chance.happens(0.5).then(|| step(1 + chance.below(6)));
    let until_ms = Some(step(8 + chance.below(12)));
    let body = json!({
        "person": organisation.people[site.staff[person]].id, "key": site.keys[key],
        "from": from_ms.map(to_rfc3339), "until": until_ms.map(to_rfc3339),
    });
    let made = organisation.api.post(&format!("/boxes/{id}/accesses"), &body).await?;
    site.accesses.push(text(&made, "access", "POST /accesses")?);
    let grant = Grant { person, key: Some(key), from_ms, until_ms, ..Grant::default() };
    site.model.grant(grant, clock.now_ms());
    Ok(site.accesses.len() - 1)
}

/// A pass for whom this access is for; its time must be the access's, and no longer than was asked for.
async fn sign(
    site: &Site,
    api: &mut Api,
    grant: usize,
    carried: &mut Carried,
    clock: &Clock,
    tally: &Tally,
    chance: &mut Chance,
) -> Result<(), LoadError> {
    let hours = 1 + chance.below(24);
    let (from_ms, until_ms) = site.model.pass_window(grant, hours, clock.now_ms());
    let path = format!("/boxes/{}/accesses/{}/passes", site.vbox.id(), site.accesses[grant]);
    add(&tally.decisions, 1);
    let made = match api.post(&path, &json!({ "hours": hours })).await {
        Ok(made) if from_ms < until_ms => made,
        Err(ApiError::Problem { status: 409, .. }) if from_ms >= until_ms => {
            tally.count("signing", "pass", "not_in_its_time");
            return Ok(());
        }
        other => {
            tally.wrong(&tally.wrong_decisions, || format!("a pass from {from_ms} until {until_ms}: {other:?}"));
            return Ok(());
        }
    };
    tally.count("signing", "pass", "signed");
    let (from, until) = (moment(&made, "from")?, moment(&made, "until")?);
    if from.abs_diff(from_ms) > UNSURE_MS || until.abs_diff(until_ms) > UNSURE_MS {
        tally.wrong(&tally.wrong_decisions, || {
            format!("a pass from {from} until {until}, expected {from_ms} until {until_ms}")
        });
    }
    let known = &site.model.grants[grant];
    let pass = Pass {
        number: carried.passes.len(),
        organisation: site.organisation,
        site: site.model.here.site,
        grant,
        person: known.person,
        who: site.staff[known.person],
        key: known.key,
        signer: site.model.signer,
        from_s: from / 1000,
        until_s: until / 1000,
    };
    carried.passes.push((pass, text(&made, "text", "POST /passes")?));
    Ok(())
}

fn moment(made: &Value, field: &str) -> Result<u64, LoadError> {
    let told = made[field].as_str().and_then(from_rfc3339);
    told.ok_or_else(|| LoadError::Unfit(format!("no moment {field} in {made}")))
}

/// A personal QR code, for those who use this box, and for others.
async fn identify(
    site: &Site,
    organisation: &mut Organisation,
    carried: &mut Carried,
    chance: &mut Chance,
) -> Result<(), LoadError> {
    let someone = chance.index(organisation.people.len());
    let person = if chance.happens(0.15) { someone } else { site.staff[chance.index(STAFF)] };
    let hours = 1 + chance.below(12);
    let path = format!("/people/{}/qr", organisation.people[person].id);
    let made = organisation.api.post(&path, &json!({ "hours": hours })).await?;
    let until_ms = moment(&made, "until")?;
    let identity = Identity {
        organisation: site.organisation,
        person,
        signer: site.model.signer,
        from_s: until_ms / 1000 - hours * 3600,
        until_s: until_ms / 1000,
    };
    carried.identities.push((identity, text(&made, "text", "POST /qr")?));
    Ok(())
}

/// The code goes over the person to the box: it is waited for until it has come.
async fn book(site: &mut Site, api: &mut Api, grant: usize, clock: &Clock) -> Result<(), LoadError> {
    if site.model.grants[grant].booking.is_some() {
        return Ok(());
    }
    let id = site.vbox.id();
    let before = revision(api, id).await?;
    let path = format!("/boxes/{id}/accesses/{}/booking", site.accesses[grant]);
    let made = match api.post(&path, &json!({})).await {
        Ok(made) => made,
        // A person has so many codes and no more.
        Err(ApiError::Problem { code, .. }) if code == "codes.limit_reached" => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let code = text(&made, "code", "POST /booking")?;
    told_by_message(api, id, before).await?;
    site.model.book(grant, &code, clock.now_ms());
    let key = site.model.grants[grant].key.unwrap_or(0);
    site.given.push(("booking_code", code, key));
    Ok(())
}

/// Somebody has stolen a signing key: nothing that it has signed holds any more where boxes have heard of it, and what
/// the new one signs holds there alone.
pub async fn new_signers(world: &mut World, clock: &Clock) -> Result<(), LoadError> {
    for (number, organisation) in world.organisations.iter_mut().enumerate() {
        let api = &mut organisation.api;
        let mut before = Vec::new();
        for site in world.sites.iter().filter(|site| site.organisation == number) {
            before.push(revision(api, site.vbox.id()).await?);
        }
        api.post("/offline/public-keys", &json!({ "at_once": true })).await?;
        let sites = world.sites.iter_mut().filter(|site| site.organisation == number);
        for (site, before) in sites.zip(before) {
            told_by_message(api, site.vbox.id(), before).await?;
            site.model.renew_signer(site.model.signer + 1, clock.now_ms());
        }
    }
    Ok(())
}

/// Waits until a box has heard by a message of what was changed elsewhere.
async fn told_by_message(api: &mut Api, id: &str, before: u64) -> Result<(), LoadError> {
    for _ in 0..LOOKS {
        if revision(api, id).await? > before {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(LoadError::Unfit(format!("{id} was never told by a message")))
}

async fn revision(api: &mut Api, id: &str) -> Result<u64, LoadError> {
    Ok(api.get(&format!("/boxes/{id}")).await?["revision"].as_u64().unwrap_or_default())
}

pub async fn key_code(
    site: &mut Site,
    api: &mut Api,
    key: usize,
    code: String,
    clock: &Clock,
) -> Result<(), LoadError> {
    api.put(&format!("/boxes/{}/keys/{}/code", site.vbox.id(), site.keys[key]), &json!({ "code": code })).await?;
    site.given.push(("key_code", code.clone(), key));
    site.model.set_key_code(key, Some(code), clock.now_ms());
    Ok(())
}

async fn no_key_code(site: &mut Site, api: &mut Api, key: usize, clock: &Clock) -> Result<(), LoadError> {
    api.delete(&format!("/boxes/{}/keys/{}/code", site.vbox.id(), site.keys[key])).await?;
    site.model.set_key_code(key, None, clock.now_ms());
    Ok(())
}

/// How the box is set up, as far as it was not so before.
pub async fn set_up(site: &mut Site, api: &mut Api, setup: Setup, clock: &Clock) -> Result<(), LoadError> {
    let (path, old) = (format!("/boxes/{}", site.vbox.id()), &site.model.setup);
    for (bin, size) in (0..setup.bins.len()).zip(&setup.bins).filter(|(bin, size)| old.bins[*bin] != **size) {
        api.patch(&format!("{path}/bins/{}", site.bins[bin]), &json!({ "size": size })).await?;
    }
    for (key, size) in (0..setup.keys.len()).zip(&setup.keys).filter(|(key, size)| old.keys[*key] != **size) {
        api.patch(&format!("{path}/keys/{}", site.keys[key]), &json!({ "size": size })).await?;
    }
    if (setup.named_only, setup.wants_pin) != (old.named_only, old.wants_pin) {
        let second_factor = if setup.wants_pin { "pin" } else { "none" };
        let settings = json!({ "quick_scan": !setup.named_only, "second_factor": second_factor });
        api.patch(&format!("{path}/settings"), &settings).await?;
    }
    site.model.set_up(setup, clock.now_ms());
    Ok(())
}

/// The sheet of offline codes, as somebody prints it and puts it into a drawer.
pub async fn print(site: &mut Site, api: &mut Api, renew: bool, clock: &Clock) -> Result<(), LoadError> {
    let path = format!("/boxes/{}/offline-codes", site.vbox.id());
    let shown = api.post(&path, &json!({ "count": PRINTED, "renew": renew })).await?;
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(u32::MAX);
    let sheet = number(&shown["sheet"]);
    for list in shown["lists"].as_array().into_iter().flatten() {
        let bin = site.bins.iter().position(|bin| list["bin"] == **bin);
        for printed in list["codes"].as_array().into_iter().flatten() {
            let slip = Slip { sheet, bin, counter: number(&printed["counter"]) };
            site.printed.push((slip, text(printed, "code", "POST /offline-codes")?));
        }
    }
    let thrown_away = site.printed.len().saturating_sub(KEPT);
    site.printed.drain(..thrown_away);
    if sheet != site.model.sheet {
        site.model.renew_sheet(sheet, clock.now_ms());
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

/// Protects a bin, or lets it be used again.
async fn close(site: &mut Site, api: &mut Api, bin: usize, clock: &Clock) -> Result<(), LoadError> {
    let closed = !site.model.closed[bin];
    if closed && site.model.closed.iter().filter(|closed| **closed).count() == CLOSED {
        return Ok(());
    }
    let state = if closed { ["protected", "disabled"][bin % 2] } else { "enabled" };
    api.patch(&format!("/boxes/{}/bins/{}", site.vbox.id(), site.bins[bin]), &json!({ "state": state })).await?;
    site.model.close(bin, closed, clock.now_ms());
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
            Err(error) if error.status() == Some(404) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
