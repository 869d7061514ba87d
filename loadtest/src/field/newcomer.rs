//! A key that was made without a fob: it learns the one that somebody leaves in its name.

use super::{
    Tally, add,
    clock::Clock,
    model::{Place, Shown, Verdict, What},
    site::{LATE, Person, Site},
    visit::{ended, is_right},
};
use crate::{
    api::{Api, text},
    chance::Chance,
    report::LoadError,
    vbox::{self, Attempt, Left},
};
use serde_json::json;
use std::time::Duration;

/// Looks, fifty a second, until the server has asked around whose fob it is.
const LOOKS: usize = 250;
/// Of those who use a box, so many may take all of its keys for ever: what they name is clear.
const TRUSTED: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    InSomebodysHand,
    /// In a bin; the server has not heard of it.
    Left,
    /// The server has learned it, the box has not heard of it.
    Learned,
    /// It is a key as any other; or nobody could take what was left for it.
    Over,
}

pub struct Newcomer {
    key: String,
    pub fob: String,
    stage: Stage,
}

impl Newcomer {
    pub async fn made(api: &mut Api, smart_box: &str, fob: String) -> Result<Self, LoadError> {
        let made = api.post(&format!("/boxes/{smart_box}/keys"), &json!({"name": fob})).await?;
        Ok(Self { key: text(&made, "key", "POST /keys")?, fob, stage: Stage::InSomebodysHand })
    }

    pub fn is_waited_for(&self) -> bool {
        self.stage == Stage::InSomebodysHand
    }
}

/// Somebody leaves it, and says which key it is.
pub fn is_left(
    site: &mut Site,
    people: &[Person],
    clock: &Clock,
    tally: &Tally,
    chance: &mut Chance,
) -> Result<(), LoadError> {
    let Some(newcomer) = &site.newcomer else { return Ok(()) };
    let (now_ms, key) = (clock.now_ms(), site.model.keys.len());
    let who = site.staff[chance.index(TRUSTED)];
    let (shown, real) = if chance.happens(0.5) {
        (Shown::Badge(who), vbox::Shown::Badge(&people[who].badge))
    } else {
        (Shown::AccessCode(who), vbox::Shown::Digits(&people[who].code))
    };
    let verdict = site.model.leaves_alone(shown, key, now_ms);
    let left = Left { fob: &newcomer.fob, key: Some(&newcomer.key) };
    let attempt = site.vbox.leave(Some(real), left, now_ms)?;
    add(&tally.decisions, 1);
    add(&tally.offline_decisions, u64::from(!site.online));
    tally.count(if site.online { "alone" } else { "offline" }, "key_without_a_fob", ended(verdict));
    if !is_right(site, people, verdict, &attempt) {
        tally.wrong(&tally.wrong_decisions, || {
            format!("box {}: a key without a fob at {now_ms}: {attempt:?}, not {verdict:?}", site.vbox.id())
        });
    }
    if let (Attempt::Done(_), Verdict::Opens { bin, person, .. }) = (attempt, verdict) {
        site.model.did(Some(bin), What::DropOff { key, person }, now_ms);
        site.newcomer.as_mut().into_iter().for_each(|newcomer| newcomer.stage = Stage::Left);
    }
    Ok(())
}

/// The server is about to hear of it.
pub fn before_sync(site: &mut Site) {
    if site.newcomer.as_ref().is_some_and(|newcomer| newcomer.stage == Stage::Left) {
        site.model.add_key(LATE);
    }
}

/// What the server has taken over is learned, in a moment; and the next sync tells the box.
pub async fn after_sync(site: &mut Site, api: &mut Api, clock: &Clock, tally: &Tally) -> Result<(), LoadError> {
    let Some(newcomer) = &mut site.newcomer else { return Ok(()) };
    match newcomer.stage {
        Stage::InSomebodysHand | Stage::Over => {}
        Stage::Left => {
            let taken_over = matches!(site.model.keys.last(), Some(Place::Bin(_)));
            newcomer.stage = if taken_over { Stage::Learned } else { Stage::Over };
            if taken_over && !is_learned(newcomer, api).await? {
                tally.wrong(&tally.wrong_states, || format!("{} never learned its fob", newcomer.key));
            }
            if taken_over {
                site.model.has_learned(clock.now_ms());
            }
        }
        Stage::Learned => {
            newcomer.stage = Stage::Over;
            let heard =
                site.vbox.state().keys.values().any(|key| *key.key == *newcomer.key && *key.fob == *newcomer.fob);
            if !heard {
                tally.wrong(&tally.wrong_states, || format!("the box never heard of {}", newcomer.key));
            }
            site.keys.push(newcomer.key.clone());
            site.fobs.push(newcomer.fob.clone());
        }
    }
    Ok(())
}

async fn is_learned(newcomer: &Newcomer, api: &mut Api) -> Result<bool, LoadError> {
    for _ in 0..LOOKS {
        if api.get(&format!("/keys/{}", newcomer.key)).await?["fob"] == *newcomer.fob {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(false)
}
