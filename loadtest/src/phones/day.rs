//! What happens at a site, step by step in an order that chance draws, and what happens when the power comes back.

use super::{
    desk::{Desk, temporary},
    line::Line,
    script::{self, Step},
    town::SiteOfDesks,
    world::World,
};
use crate::{chance::Chance, clock, fleet::gather, phones::model::State, report::LoadError, screen::bar};
use serde_json::Value;
use std::{
    collections::VecDeque,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Sites at which something happens at the same time. A telephone system has 64 PAPs judged at once.
const SITES_AT_ONCE: usize = 48;

#[derive(Clone, Copy, Debug)]
pub struct Day {
    pub number: usize,
    pub wrong_share: f64,
}

/// A day at all sites.
pub async fn all(world: &Rc<World>, sites: Vec<SiteOfDesks>, day: Day) -> Result<Vec<SiteOfDesks>, LoadError> {
    let progress = bar(if day.number == 1 { "first day" } else { "second day" }, sites.len() as u64);
    let room = Rc::new(Semaphore::new(SITES_AT_ONCE));
    let playing = sites.into_iter().enumerate().map(|(index, mut site)| {
        let (world, progress, room) = (world.clone(), progress.clone(), room.clone());
        async move {
            let _place = room.acquire().await.map_err(|error| LoadError::Unfit(error.to_string()))?;
            play(&world, &mut site, day).await?;
            progress.inc(1);
            Ok(vec![(index, site)])
        }
    });
    let sites = gather(playing).await?;
    progress.finish_and_clear();
    Ok(sites)
}

/// Share of the sites at which nobody gets the PAPs on the first day.
const WITHOUT_PAPS: f64 = 0.25;

fn steps(desk: &mut Desk, day: Day, without_paps: bool) -> VecDeque<Step> {
    let steps = match day.number {
        1 => script::first_day(&mut desk.chance, day.wrong_share),
        _ => script::second_day(&mut desk.chance, day.wrong_share / 2.0),
    };
    if without_paps { script::without_paps(steps).into() } else { steps.into() }
}

/// Steps of one desk keep their order; those of different desks mingle.
async fn play(world: &Rc<World>, site: &mut SiteOfDesks, day: Day) -> Result<(), LoadError> {
    let organisation = world.organisations[site.organisation].clone();
    let mut callers = organisation.callers(&world.target, &site.chance.fork(day.number as u64));
    let mut line = Line::new(&world.target);
    if day.number > 1 && site.chance.happens(0.3) {
        revoke(site, &mut callers.admin).await?;
    }
    let without_paps = day.number == 1 && site.chance.happens(WITHOUT_PAPS);
    let mut plans: Vec<VecDeque<Step>> = site.desks.iter_mut().map(|desk| steps(desk, day, without_paps)).collect();
    // Everybody plugs his phone in before the first one has found the PAP.
    for (desk, plan) in site.desks.iter_mut().zip(&mut plans) {
        if let Some(step) = plan.pop_front() {
            desk.take(step, world, &mut line, &mut callers).await?;
        }
    }
    loop {
        let busy: Vec<usize> = (0..plans.len()).filter(|at| !plans[*at].is_empty()).collect();
        let Some(at) = site.chance.pick(&busy).copied() else { break };
        if let Some(step) = plans[at].pop_front() {
            site.desks[at].take(step, world, &mut line, &mut callers).await?;
        }
    }
    line.close().await;
    Ok(())
}

/// The administrator takes the site's temporary entry off the whitelist.
async fn revoke(site: &mut SiteOfDesks, admin: &mut crate::Api) -> Result<(), LoadError> {
    let list = admin.get("/phones/whitelist").await?;
    let entry = temporary(&list).get(&*site.home.to_string()).copied();
    if let Some(entry) = entry {
        let entry = match &entry["entry"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        admin.delete(&format!("/phones/whitelist/{entry}")).await?;
        site.lists.borrow_mut().temporary.remove(&site.home);
    }
    Ok(())
}

/// What a power cut came to.
pub struct Cut {
    pub seconds: f64,
    pub answers: u64,
}

/// The power comes back everywhere at once: every phone starts, on a connection of its own.
pub async fn power_cut(world: &Rc<World>, sites: Vec<SiteOfDesks>) -> Result<(Vec<SiteOfDesks>, Cut), LoadError> {
    let desks = sites.iter().map(|site| site.desks.len()).sum::<usize>();
    let progress = bar("power back", desks as u64);
    world.course.mark("the power is back");
    let (began, before) = (Instant::now(), world.tally.answers.get());
    let mut homes = Vec::new();
    let mut starting = Vec::new();
    for (at, mut site) in sites.into_iter().enumerate() {
        for desk in site.desks.drain(..) {
            starting.push((at, desk));
        }
        homes.push(site);
    }
    let starts = starting.into_iter().enumerate().map(|(index, (at, mut desk))| {
        let (world, progress) = (world.clone(), progress.clone());
        async move {
            // Not even the same phones are equally fast.
            tokio::time::sleep(Duration::from_millis(desk.chance.below(500))).await;
            let mut line = Line::new(&world.target);
            desk.start(&world, &mut line).await;
            line.close().await;
            progress.inc(1);
            Ok(vec![(index, (at, desk))])
        }
    });
    let started: Vec<(usize, Desk)> = gather(starts).await?;
    let cut = Cut { seconds: began.elapsed().as_secs_f64(), answers: world.tally.answers.get() - before };
    progress.finish_and_clear();
    for (at, desk) in started {
        homes[at].desks.push(desk);
    }
    Ok((homes, cut))
}

/// Compares every device and every whitelist with the model.
pub async fn compare_all(world: &Rc<World>, sites: &mut [SiteOfDesks], chance: &Chance) -> Result<(), LoadError> {
    // What the server does after an answer is done a moment later.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for (at, organisation) in world.organisations.iter().enumerate() {
        let mut admin = organisation.callers(&world.target, &chance.fork(at as u64)).admin;
        let mut devices: std::collections::BTreeMap<String, Value> = std::collections::BTreeMap::new();
        for device in admin.list("/devices").await? {
            let id = device["device"].as_str().unwrap_or_default().to_owned();
            devices.insert(id, device);
        }
        for desk in sites.iter_mut().filter(|site| site.organisation == at).flat_map(|site| &mut site.desks) {
            match devices.remove(&desk.id) {
                Some(device) => desk.compare(&device, world),
                None => world.tally.wrong_state(format!("{} is not in the list", desk.id)),
            }
        }
        for id in devices.keys() {
            world.tally.wrong_state(format!("{id} is in the list, and nobody has made it"));
        }
        let list = admin.get("/phones/whitelist").await?;
        compare_whitelist(world, &list, sites.iter().filter(|site| site.organisation == at));
    }
    Ok(())
}

fn compare_whitelist<'a>(world: &World, list: &Value, sites: impl Iterator<Item = &'a SiteOfDesks>) {
    let mut found = temporary(list);
    for site in sites {
        // Where it is not known what became of a device, nothing is known of the list either.
        let doubtful = site.desks.iter().any(|desk| desk.model.doubtful);
        for (address, until) in &site.lists.borrow().temporary {
            let item = found.remove(&*address.to_string());
            let ends = item.and_then(|item| clock::from_rfc3339(item["until"].as_str()?));
            if !doubtful && !ends.is_some_and(|at| until.holds(at)) {
                world.tally.wrong_state(format!("whitelist: {address} until {until:?}, found {item:?}"));
            }
        }
        if doubtful {
            for address in site.desks.iter().flat_map(|desk| [desk.home, desk.elsewhere]) {
                found.remove(&*address.to_string());
            }
        }
    }
    for (network, item) in found {
        world.tally.wrong_state(format!("whitelist: {network} is there for no reason: {item}"));
    }
}

/// How many devices are in which state, by the model.
pub fn states(sites: &[SiteOfDesks]) -> Value {
    let mut counts = std::collections::BTreeMap::new();
    for desk in sites.iter().flat_map(|site| &site.desks) {
        let word = match desk.model.state {
            _ if desk.model.doubtful => "doubtful",
            State::Required => "required",
            State::Failed { .. } => "failed",
            State::Blocked => "blocked",
            State::Provisioning => "provisioning",
            State::Successful => "successful",
        };
        *counts.entry(word).or_insert(0u64) += 1;
    }
    serde_json::json!(counts)
}

/// The administrator trusts every address of every site.
pub async fn whitelist_all(world: &Rc<World>, sites: &[SiteOfDesks], chance: &Chance) -> Result<(), LoadError> {
    for (at, organisation) in world.organisations.iter().enumerate() {
        let mut admin = organisation.callers(&world.target, &chance.fork(500 + at as u64)).admin;
        let network = serde_json::json!({ "network": format!("10.{at}.0.0/16"), "note": "All sites" });
        admin.post("/phones/whitelist", &network).await?;
    }
    sites.iter().for_each(|site| site.lists.borrow_mut().permanent = true);
    Ok(())
}

/// What a restart changes for the model.
pub fn server_started_again(sites: &mut [SiteOfDesks]) {
    sites.iter_mut().flat_map(|site| &mut site.desks).for_each(|desk| desk.model.server_started_again());
}
