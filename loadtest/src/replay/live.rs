//! The server's end of a replay: one organisation, a virtual box for each station, the administrator's calls.

use super::{
    drive::{Heard, HeardReceipts},
    plan::{PEOPLE, Plan},
    world::Spot,
};
use crate::{
    Api, Chance, Connection, Target, VirtualBox, api,
    client::write_request,
    clock::{ClockFault, now_ms},
    model::Kind,
    vbox::Storage,
    wire::{self, MAX_ENTRIES, SyncAnswer},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How long the homes of foreign fobs may take to answer.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// Repetitions of a sync that the server puts off.
const DEFERRALS: u32 = 20;

pub fn bin_label(bin: usize) -> String {
    format!("A-{}", bin + 1)
}

/// The number of a bin by its label.
pub fn bin_number(label: &str) -> Option<usize> {
    label.strip_prefix("A-")?.parse::<usize>().ok()?.checked_sub(1)
}

pub fn fob_serial(key: usize) -> String {
    format!("04{key:04X}")
}

/// The number of a key by its fob.
pub fn fob_number(serial: &str) -> Option<usize> {
    usize::from_str_radix(serial.strip_prefix("04")?, 16).ok()
}

struct Station {
    id: String,
    vbox: VirtualBox,
    /// The access that each person has now.
    accesses: HashMap<usize, String>,
    good_clock: ClockFault,
}

pub struct Live {
    pub api: Api,
    target: Target,
    link: Connection,
    stations: Vec<Station>,
    people: Vec<String>,
    request: Vec<u8>,
    clock_ms: u64,
    answer: Option<SyncAnswer>,
    /// Syncs that the server put off.
    pub deferred: u64,
    /// Durations of the syncs in microseconds.
    pub latencies_us: Vec<u64>,
    /// Hears of every sync, when it is answered.
    pub course: Option<crate::course::Course>,
}

impl Live {
    /// Makes everything that the plan needs, with every key in its first bin.
    pub async fn set_up(
        plan: &Plan,
        target: Target,
        operator_token: &str,
        seed: u64,
        mut done: impl FnMut(),
    ) -> Result<Self, String> {
        let chance = Chance::seeded(seed).fork(2);
        let mut operator = Api::new(target.clone(), operator_token, chance.fork(1 ^ now_ms()));
        let call = "POST /organisations";
        let made = operator
            .post(
                "/organisations",
                &json!({ "name": "Jersey City bikes", "plan": "premium", "language": "en", "zone": "America/New_York",
                         "owner": { "name": "Replay", "email": "owner@replay.invalid" } }),
            )
            .await
            .map_err(text)?;
        let token = api::text(&made, "token", call).map_err(text)?;
        let mut live = Self {
            api: operator.with_token(token, chance.fork(2 ^ now_ms())),
            link: Connection::open(&target).await.map_err(text)?,
            target,
            stations: Vec::new(),
            people: Vec::new(),
            request: Vec::new(),
            clock_ms: 0,
            answer: None,
            deferred: 0,
            latencies_us: Vec::new(),
            course: None,
        };
        for person in 0..PEOPLE {
            let body = json!({ "name": format!("Rider {}", person + 1), "access_code": format!("{:06}", 100_003 + 97 * person) });
            let made = live.api.post("/people", &body).await.map_err(text)?;
            live.people.push(api::text(&made, "person", "POST /people").map_err(text)?);
        }
        for place in 0..plan.places.len() {
            live.add_station(plan, place, chance.fork(16 + place as u64)).await?;
            done();
        }
        Ok(live)
    }

    async fn add_station(&mut self, plan: &Plan, place: usize, chance: Chance) -> Result<(), String> {
        let start = &plan.places[place];
        let labels: Vec<String> = (0..start.bins).map(bin_label).collect();
        let body = json!({ "name": start.name, "model": "MS5", "location": start.station, "zone": "America/New_York", "bins": labels });
        let made = self.api.post("/boxes", &body).await.map_err(text)?;
        let id = api::text(&made, "box", "POST /boxes").map_err(text)?;
        for (bin, &key) in start.keys.iter().enumerate() {
            let body = json!({ "name": format!("Bike {}", plan.trips.bikes[key]), "fob": fob_serial(key), "roaming": plan.roaming[key], "bin": bin_label(bin) });
            self.api.post(&format!("/boxes/{id}/keys"), &body).await.map_err(text)?;
        }
        let accesses: Vec<Value> = self.people.iter().map(|person| json!({ "person": person, "box": true })).collect();
        let path = format!("/boxes/{id}/accesses/batch");
        let made = self.api.post(&path, &json!({ "accesses": accesses })).await.map_err(text)?;
        let ids = made["accesses"].as_array().into_iter().flatten();
        let accesses: HashMap<usize, String> =
            ids.filter_map(|id| id.as_str().map(str::to_owned)).enumerate().collect();
        if accesses.len() != self.people.len() {
            return Err(format!("POST {path}: {} accesses, expected {}", accesses.len(), self.people.len()));
        }
        let made = self.api.post(&format!("/boxes/{id}/enrolment"), &json!({})).await.map_err(text)?;
        let code = api::text(&made, "code", "POST enrolment").map_err(text)?;
        let identity = self.api.enrol(&code).await.map_err(text)?;
        let mut vbox = VirtualBox::new(identity, Vec::new(), Storage::Memory, chance).map_err(text)?;
        let good_clock = if start.skew_ms == 0 { ClockFault::None } else { ClockFault::SkewMs(start.skew_ms) };
        vbox.clock = good_clock;
        self.stations.push(Station { id, vbox, accesses, good_clock });
        self.prepare(place, 0, false)?;
        self.send(place).await?;
        self.store(place)
    }

    pub fn now_ms(&self) -> i64 {
        now_ms() as i64
    }

    pub fn box_id(&self, place: usize) -> &str {
        &self.stations[place].id
    }

    pub fn person_id(&self, person: usize) -> &str {
        &self.people[person]
    }

    /// Writes one entry into a box's journal; its time by the box's clock.
    pub fn journal(&mut self, place: usize, kind: Kind, bin: usize, key: usize, person: usize) -> Result<i64, String> {
        let vbox = &mut self.stations[place].vbox;
        let kind = match kind {
            Kind::PickUp => wire::Kind::PickUp,
            Kind::DropOff => wire::Kind::DropOff,
        };
        let true_ms = now_ms();
        let person = Some(self.people[person].as_str());
        vbox.journal(kind, &bin_label(bin), Some(&fob_serial(key)), person, true_ms).map_err(text)?;
        Ok(vbox.clock.shows(true_ms) as i64)
    }

    pub fn break_clock(&mut self, place: usize, broken: bool) {
        let station = &mut self.stations[place];
        station.vbox.clock = if broken {
            // The battery died and the box booted a minute ago.
            ClockFault::From1970 { boot_ms: now_ms() - 60_000 }
        } else {
            station.good_clock
        };
    }

    /// Writes the next sync of a box with its first `count` unsent entries.
    pub fn prepare(&mut self, place: usize, count: usize, more: bool) -> Result<(), String> {
        let vbox = &self.stations[place].vbox;
        let true_ms = now_ms();
        let mut body = vbox.sync_body(true_ms);
        if count < vbox.unsent().min(MAX_ENTRIES) {
            let mut whole: Value = serde_json::from_slice(&body).map_err(text)?;
            if let Some(entries) = whole["journal"]["entries"].as_array_mut() {
                entries.truncate(count);
            }
            whole["journal"]["more"] = Value::Bool(more);
            body = serde_json::to_vec(&whole).map_err(text)?;
        }
        self.clock_ms = vbox.clock.shows(true_ms);
        let ticket = vbox.ticket().map(|ticket| ("Castellan-Ticket", ticket));
        let token = Some(vbox.identity.token.as_str());
        self.request.clear();
        write_request(&mut self.request, &self.target, "POST", "/box/v1/sync", token, ticket.as_slice(), &body);
        Ok(())
    }

    /// Sends what was prepared, again when the server puts it off.
    pub async fn send(&mut self, place: usize) -> Result<Heard, String> {
        for _ in 0..DEFERRALS {
            if !self.link.is_open() {
                self.link = Connection::open(&self.target).await.map_err(text)?;
            }
            let begun = Instant::now();
            let answer = self.link.round_trip(&self.request).await.map_err(text)?;
            if matches!(answer.status, 429 | 503) {
                let wait = Duration::from_secs(answer.retry_after_s.unwrap_or(1));
                self.deferred += 1;
                tokio::time::sleep(wait).await;
                continue;
            }
            if answer.status != 200 {
                let problem = String::from_utf8_lossy(answer.body);
                return Err(format!("sync of box {}: {} {problem}", self.stations[place].id, answer.status));
            }
            let parsed: SyncAnswer = serde_json::from_slice(answer.body).map_err(text)?;
            self.latencies_us.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
            if let Some(course) = &self.course {
                course.answered("sync", begun.elapsed());
            }
            let receipt = |it: &wire::Receipt| (it.seq, it.outcome.name().to_owned(), it.reason.clone());
            let heard = Heard {
                clock_ms: self.clock_ms as i64,
                server_ms: parsed.server_ms as i64,
                receipts: Some(HeardReceipts {
                    receipts: parsed.receipts.iter().map(receipt).collect(),
                    resume_at: parsed.resume_at,
                }),
            };
            // A second answer to the same request has only duplicates: the box keeps the first.
            self.answer.get_or_insert(parsed);
            return Ok(heard);
        }
        Err(format!("sync of box {}: put off {DEFERRALS} times", self.stations[place].id))
    }

    /// The answer was lost on its way.
    pub fn lose(&mut self) {
        self.answer = None;
    }

    /// The box stores the answer.
    pub fn store(&mut self, place: usize) -> Result<(), String> {
        let Some(answer) = self.answer.take() else { return Ok(()) };
        let applied = self.stations[place].vbox.apply(answer).map_err(text)?;
        applied.map(|_| ()).map_err(|why| format!("box {}: {why:?}", self.stations[place].id))
    }

    /// Waits until the homes of all foreign fobs in a box have answered.
    pub async fn settle(&mut self, place: usize) -> Result<(), String> {
        let path = format!("/boxes/{}", self.stations[place].id);
        let begun = Instant::now();
        loop {
            let seen = self.api.get(&path).await.map_err(text)?;
            match seen["visitors_unresolved"].as_u64() {
                Some(0) => return Ok(()),
                None => return Err(format!("GET {path}: no number `visitors_unresolved`")),
                Some(_) if begun.elapsed() > SETTLED_WITHIN => {
                    return Err(format!("GET {path}: visitors stay unresolved"));
                }
                Some(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }

    pub async fn correct(&mut self, spot: Spot, key: Option<usize>) -> Result<(), String> {
        let path = format!("/boxes/{}/bins/{}/correction", self.stations[spot.place].id, bin_label(spot.bin));
        self.api.post(&path, &json!({ "fob": key.map(fob_serial) })).await.map(drop).map_err(text)
    }

    pub async fn withdraw(&mut self, place: usize, person: usize) -> Result<(), String> {
        let station = &mut self.stations[place];
        let access = station.accesses.remove(&person).ok_or("withdraws an access that is not there")?;
        self.api.delete(&format!("/boxes/{}/accesses/{access}", station.id)).await.map_err(text)
    }

    pub async fn grant(&mut self, place: usize, person: usize) -> Result<(), String> {
        let body = json!({ "person": self.people[person], "box": true });
        let path = format!("/boxes/{}/accesses", self.stations[place].id);
        let made = self.api.post(&path, &body).await.map_err(text)?;
        let access = api::text(&made, "access", "POST accesses").map_err(text)?;
        self.stations[place].accesses.insert(person, access);
        Ok(())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
