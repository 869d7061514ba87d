//! What happens in one step: the road is cut and mended, people come to boxes, administrators change things.

use super::{
    Tally, administrator,
    clock::Clock,
    newcomer::{self, Newcomer},
    site::World,
    visit::{self, Crowd},
};
use crate::{chance::Chance, report::LoadError};
use std::time::Duration;

/// How often, in each step, somebody comes to a box, an administrator does something about it, the road is cut or
/// mended, the mains fail.
const SOMEBODY: f64 = 0.2;
const ADMINISTRATOR: f64 = 0.08;
const CUT: f64 = 0.012;
const MENDED: f64 = 0.04;
const DARK: f64 = 0.02;
/// Of those who come to a connected box: the server is asked.
const ASKED: f64 = 0.6;
/// Of those who come to one that decides alone: a key without a fob is left, while there is one.
const LEARNED: f64 = 0.1;

pub async fn people_and_administrators(
    world: &mut World,
    clock: &Clock,
    tally: &Tally,
    chance: &mut Chance,
) -> Result<(), LoadError> {
    let World { sites, organisations, carried, target, .. } = world;
    for site in sites.iter_mut() {
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
        if !chance.happens(SOMEBODY) {
            continue;
        }
        let crowd = Crowd { people: &organisations[site.organisation].people, carried };
        let reconciled = site.connected && !site.model.has_unsent() && !site.model.is_unsure(clock.now_ms());
        if reconciled && chance.happens(ASKED) {
            visit::with_the_server(site, &crowd, target, clock, tally, chance).await?;
        } else if site.newcomer.as_ref().is_some_and(Newcomer::is_waited_for) && chance.happens(LEARNED) {
            newcomer::is_left(site, crowd.people, clock, tally, chance)?;
        } else {
            visit::alone(site, &crowd, clock, tally, chance)?;
        }
    }
    // What a person does and what an administrator does are never in the same millisecond.
    tokio::time::sleep(Duration::from_millis(3)).await;
    for index in 0..world.sites.len() {
        if chance.happens(ADMINISTRATOR) {
            administrator::acts(world, index, clock, tally, chance).await?;
        }
    }
    tokio::time::sleep(Duration::from_millis(3)).await;
    Ok(())
}
