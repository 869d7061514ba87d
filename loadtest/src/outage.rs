//! What happens while the road is cut: people at the boxes, hands in the bins, administrators at their desks.

use crate::{
    api::{Api, ApiError, text},
    chance::Chance,
    clock::{ClockFault, now_ms},
    fleet::{Access, FleetBox, Key, Person},
    vbox::Attempt,
    wire::Kind,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
};

/// People use a box that decides alone, so many entries long, with so much time between them; the last one is now.
pub fn use_box(fleet_box: &mut FleetBox, entries: usize, between_ms: u64, oddities: bool) -> io::Result<usize> {
    let chance = &mut fleet_box.vbox.chance.fork(fleet_box.vbox.head() + 1);
    if oddities {
        odd_things(fleet_box, chance);
    }
    let before = fleet_box.vbox.head();
    let began = now_ms() - entries as u64 * between_ms;
    // Attempts that are refused write nothing; their number is bounded, the box may be beyond use.
    for _ in 0..entries * 8 {
        let done = fleet_box.vbox.head() - before;
        if done as usize >= entries {
            break;
        }
        let at_ms = began + done * between_ms;
        let give_back = !fleet_box.out.is_empty() && chance.happens(0.5);
        if give_back {
            let (fob, code) = fleet_box.out.swap_remove(chance.index(fleet_box.out.len()));
            // A quick scan tells nobody's name; whoever has no code here can do nothing else.
            let code = (!code.is_empty() && chance.happens(0.95)).then_some(code);
            match fleet_box.vbox.drop_off(code.as_deref(), &fob, at_ms)? {
                Attempt::Done(_) => {}
                Attempt::Refused(_) | Attempt::NothingInside(_) | Attempt::Opened(_) => {
                    fleet_box.out.push((fob, code.unwrap_or_default()));
                }
            }
            continue;
        }
        let (Some(person), Some(key)) = (chance.pick(&fleet_box.people), chance.pick(&fleet_box.keys)) else { break };
        if let Attempt::Done(exchange) = fleet_box.vbox.pick_up(&person.code, &key.fob, at_ms)? {
            fleet_box.out.push((exchange.fob, person.code.clone()));
        }
    }
    Ok((fleet_box.vbox.head() - before) as usize)
}

/// Once in a while: a wrong clock, a key taken by hand, a fob that nobody knows, a bin opened by an offline code.
fn odd_things(fleet_box: &mut FleetBox, chance: &mut Chance) {
    let vbox = &mut fleet_box.vbox;
    if chance.happens(0.02) {
        vbox.clock = ClockFault::SkewMs(chance.below(10_800_000) as i64 - 5_400_000);
    } else if chance.happens(0.01) {
        vbox.clock = ClockFault::From1970 { boot_ms: now_ms() - 3_600_000 };
    }
    if chance.happens(0.01) {
        let full = vbox.physical().find(|(_, fob)| fob.is_some()).map(|(bin, _)| bin.to_owned());
        fleet_box.by_hand = full.is_some_and(|full| vbox.put_by_hand(&full, None).is_some());
    }
    if chance.happens(0.01) {
        fleet_box.out.push((format!("FF{:08X}", chance.below(1 << 32)), String::new()));
    }
    if chance.happens(0.02) {
        let bin = vbox.physical().next().map(|(bin, _)| bin.to_owned());
        if let Some(bin) = bin {
            let _ = vbox.journal(Kind::Opened, &bin, None, None, now_ms() - 60_000);
        }
    }
}

/// What an administrator needs to know of a box.
#[derive(Clone)]
pub struct Desk {
    pub id: String,
    pub organisation: usize,
    pub keys: Vec<Key>,
    pub bins: Vec<String>,
    pub people: Vec<Person>,
    pub accesses: Vec<Access>,
}

impl Desk {
    pub fn of(fleet_box: &FleetBox) -> Self {
        Self {
            id: fleet_box.id().to_owned(),
            organisation: fleet_box.organisation,
            keys: fleet_box.keys.clone(),
            bins: fleet_box.vbox.physical().map(|(bin, _)| bin.to_owned()).collect(),
            people: fleet_box.people.clone(),
            accesses: fleet_box.accesses.clone(),
        }
    }
}

/// What the server has acknowledged to administrators of one box.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged {
    /// Access id → its end, which no other access has: finds one that was made twice.
    pub granted: HashMap<String, u64>,
    pub withdrawn: HashSet<String>,
    pub bins: BTreeMap<String, &'static str>,
    /// Bins whose content was corrected: what is there is then not what the box says.
    pub corrected: u64,
    /// When the first change was acknowledged that the box has not yet.
    pub since_ms: Option<u64>,
}

impl Acknowledged {
    /// How much there is to be held to.
    pub fn changes(&self) -> usize {
        self.granted.len() + self.withdrawn.len() + self.bins.len() + self.corrected as usize
    }
}

/// One change by an administrator; noted only when the server has acknowledged it.
pub async fn administer(
    api: &mut Api,
    desk: &mut Desk,
    noted: &mut Acknowledged,
    tag: u64,
    chance: &mut Chance,
) -> Result<(), ApiError> {
    match chance.below(20) {
        0..8 => grant(api, desk, noted, tag, chance).await?,
        8..15 if !desk.accesses.is_empty() => {
            let access = desk.accesses.swap_remove(chance.index(desk.accesses.len()));
            api.delete(&format!("/boxes/{}/accesses/{}", desk.id, access.id)).await?;
            noted.granted.remove(&access.id);
            noted.withdrawn.insert(access.id);
        }
        15..19 => {
            let Some(bin) = chance.pick(&desk.bins) else { return Ok(()) };
            let state = ["enabled", "protected", "disabled"][chance.index(3)];
            api.patch(&format!("/boxes/{}/bins/{bin}", desk.id), &json!({ "state": state })).await?;
            noted.bins.insert(bin.clone(), state);
        }
        _ => {
            let Some(bin) = chance.pick(&desk.bins) else { return Ok(()) };
            let call = format!("/boxes/{}/bins/{bin}/correction", desk.id);
            api.post(&call, &json!({ "fob": null })).await?;
            noted.corrected += 1;
        }
    }
    noted.since_ms.get_or_insert_with(now_ms);
    Ok(())
}

async fn grant(
    api: &mut Api,
    desk: &mut Desk,
    noted: &mut Acknowledged,
    tag: u64,
    chance: &mut Chance,
) -> Result<(), ApiError> {
    let (Some(person), key) = (chance.pick(&desk.people), chance.index(desk.keys.len())) else { return Ok(()) };
    // The year 2100 and a bit: valid, and every access has an end of its own.
    let until_ms = 4_102_444_800_000 + tag * 1000;
    let until = crate::clock::to_rfc3339(until_ms);
    let call = format!("/boxes/{}/accesses", desk.id);
    let wanted = json!({ "person": person.id, "key": desk.keys[key].id, "until": until });
    let answer = api.post(&call, &wanted).await?;
    let id = text(&answer, "access", &call)?;
    noted.granted.insert(id.clone(), until_ms);
    desk.accesses.push(Access { id, person: person.id.clone(), key });
    Ok(())
}
