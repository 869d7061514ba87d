//! Organisations, people, boxes, keys and accesses, made over the API, several connections at a time.

use crate::{
    api::{Api, ApiError, text},
    chance::Chance,
    client::{Connection, Target},
    link::{Synced, sync_once},
    report::LoadError,
    screen::bar,
    vbox::{Storage, VirtualBox},
    wire::Enrolment,
};
use serde_json::{Value, json};
use std::{cell::Cell, rc::Rc, time::Duration};

/// Calls that are in flight together while the fleet is made.
const BUILDERS: usize = 24;

/// The three plans and how soon a change must be at a box.
pub const PLANS: [(&str, Duration); 3] = [
    ("business_pro", Duration::from_secs(15 * 60)),
    ("premium", Duration::from_secs(2 * 3600)),
    ("lite", Duration::from_secs(6 * 3600)),
];

/// What is made.
#[derive(Clone, Debug)]
pub struct Shape {
    pub boxes: usize,
    pub bins: usize,
    /// Keys at home in each box, each in its bin.
    pub keys: usize,
    /// People who may use each box; each may pick up each of its keys.
    pub people: usize,
}

#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub code: String,
}

pub struct Organisation {
    pub id: String,
    pub plan: &'static str,
    pub guarantee: Duration,
    pub token: String,
    pub people: Vec<Person>,
}

#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub fob: String,
}

#[derive(Clone, Debug)]
pub struct Access {
    pub id: String,
    pub person: String,
    pub key: usize,
}

/// A box with what was made for it.
pub struct FleetBox {
    pub organisation: usize,
    pub vbox: VirtualBox,
    pub keys: Vec<Key>,
    pub people: Vec<Person>,
    pub accesses: Vec<Access>,
    /// Keys in people's pockets: the fob, and the access code of who has it.
    pub out: Vec<(String, String)>,
    /// Somebody took a key without the box noticing.
    pub by_hand: bool,
}

impl FleetBox {
    pub fn id(&self) -> &str {
        self.vbox.id()
    }
}

pub struct Fleet {
    pub organisations: Vec<Organisation>,
    pub boxes: Vec<FleetBox>,
}

pub fn bin_name(index: usize) -> String {
    format!("{}-{}", char::from(b'A' + (index / 10 % 26) as u8), index % 10 + 1)
}

/// Makes three organisations, one of each plan, with their people, and boxes that have synced once.
pub async fn build(operator: &mut Api, shape: &Shape, chance: &Chance) -> Result<Fleet, LoadError> {
    let mut organisations = Vec::new();
    for (index, (plan, guarantee)) in PLANS.into_iter().enumerate() {
        let made = organisation(operator, index, plan, guarantee, chance).await?;
        organisations.push(made);
    }
    let each = shape.boxes.div_ceil(PLANS.len());
    // A person has several boxes, as in a company: about one person for every two boxes, so that each meets four.
    let people_each = (each / 2).clamp(shape.people, 2000);
    let progress = bar("people", (people_each * PLANS.len()) as u64);
    let target = operator.target().clone();
    for (index, organisation) in organisations.iter_mut().enumerate() {
        let work = people_each.min(BUILDERS);
        let makers = (0..work).map(|maker| {
            let chance = chance.fork((index * 1000 + maker) as u64 + 1);
            let mut api = Api::new(target.clone(), &*organisation.token, chance);
            let progress = progress.clone();
            async move {
                let mut made = Vec::new();
                for number in (maker..people_each).step_by(work) {
                    made.push((number, person(&mut api, number).await?));
                    progress.inc(1);
                }
                Ok(made)
            }
        });
        organisation.people = gather(makers).await?;
    }
    progress.finish_and_clear();
    let boxes = build_boxes(&target, &organisations, shape, chance).await?;
    Ok(Fleet { organisations, boxes })
}

async fn build_boxes(
    target: &Target,
    organisations: &[Organisation],
    shape: &Shape,
    chance: &Chance,
) -> Result<Vec<FleetBox>, LoadError> {
    let progress = bar("boxes", shape.boxes as u64);
    let next = Rc::new(Cell::new(0));
    let makers = (0..BUILDERS.min(shape.boxes)).map(|maker| {
        let apis: Vec<_> = organisations
            .iter()
            .enumerate()
            .map(|(at, org)| Api::new(target.clone(), &*org.token, chance.fork((5000 + maker * 8 + at) as u64)))
            .collect();
        let people: Vec<Vec<Person>> = organisations.iter().map(|org| org.people.clone()).collect();
        let (shape, chance, next) = (shape.clone(), chance.clone(), next.clone());
        let (progress, target) = (progress.clone(), target.clone());
        async move {
            let mut apis = apis;
            let mut link = None;
            let mut made = Vec::new();
            while next.get() < shape.boxes {
                let index = next.replace(next.get() + 1);
                let at = index % apis.len();
                let mut fleet_box = one_box(&mut apis[at], at, index, &shape, &people[at], &chance).await?;
                first_sync(&mut link, &target, &mut fleet_box.vbox).await?;
                made.push((index, fleet_box));
                progress.inc(1);
            }
            Ok(made)
        }
    });
    let boxes = gather(makers).await?;
    progress.finish_and_clear();
    Ok(boxes)
}

/// Runs these together and puts what they made in order.
pub async fn gather<T: 'static>(
    makers: impl Iterator<Item = impl Future<Output = Result<Vec<(usize, T)>, LoadError>> + 'static>,
) -> Result<Vec<T>, LoadError> {
    let tasks: Vec<_> = makers.map(tokio::task::spawn_local).collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.map_err(|error| LoadError::Unfit(error.to_string()))??);
    }
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, made)| made).collect())
}

async fn organisation(
    operator: &mut Api,
    index: usize,
    plan: &'static str,
    guarantee: Duration,
    chance: &Chance,
) -> Result<Organisation, ApiError> {
    let names = ["Alpine Rentals", "Porto Facility", "Lido Hotels"];
    let run = chance.fork(index as u64 + 77).number() % 1_000_000;
    let body = json!({
        "name": format!("{} {run:06}", names[index % names.len()]), "plan": plan, "language": "en",
        "zone": "Europe/Rome", "owner": {"name": "Demo Owner", "email": format!("owner@org{index}.example")},
    });
    let call = "POST /organisations";
    let answer = operator.post("/organisations", &body).await?;
    let (id, token) = (text(&answer, "organisation", call)?, text(&answer, "token", call)?);
    Ok(Organisation { id, plan, guarantee, token, people: Vec::new() })
}

async fn person(api: &mut Api, number: usize) -> Result<Person, LoadError> {
    // Eight digits that do not repeat: multiplication by a number prime to 10^8 only reorders them.
    let code = format!("{:08}", (number as u64 + 1) * 61_803_399 % 100_000_000);
    let body = json!({ "name": format!("Person {number}"), "access_code": code });
    let answer = api.post("/people", &body).await?;
    Ok(Person { id: text(&answer, "person", "POST /people")?, code })
}

async fn one_box(
    api: &mut Api,
    organisation: usize,
    index: usize,
    shape: &Shape,
    people: &[Person],
    chance: &Chance,
) -> Result<FleetBox, LoadError> {
    let mut chance = chance.fork(100_000 + index as u64);
    let bins: Vec<String> = (0..shape.bins).map(bin_name).collect();
    let fobs: Vec<String> = (0..shape.keys).map(|key| format!("04{:08X}", index * 256 + key)).collect();
    let keys: Vec<Value> = fobs
        .iter()
        .zip(&bins)
        .map(|(fob, bin)| json!({ "name": format!("Key {fob}"), "fob": fob, "bin": bin }))
        .collect();
    let body = json!({
        "name": format!("Box {index:05}"), "model": "MS5", "zone": "Europe/Rome", "bins": bins, "keys": keys,
        "enrol": true,
    });
    let call = "POST /boxes";
    let answer = api.post("/boxes", &body).await?;
    let (box_id, code) = (text(&answer, "box", call)?, text(&answer, "enrolment_code", call)?);
    let keys: Vec<Key> = ids(&answer, "keys", fobs.len(), call)?
        .into_iter()
        .zip(&fobs)
        .map(|(id, fob)| Key { id, fob: fob.clone() })
        .collect();
    // Neighbours in the list share boxes with each other, as colleagues do.
    let first = chance.index(people.len());
    let people: Vec<Person> =
        (0..shape.people.min(people.len())).map(|offset| people[(first + offset) % people.len()].clone()).collect();
    let accesses = grant_all(api, &box_id, &people, &keys).await?;
    let identity: Enrolment = api.enrol(&code).await?;
    let content = bins.into_iter().enumerate().map(|(at, bin)| (bin, fobs.get(at).cloned()));
    let vbox = VirtualBox::new(identity, content, Storage::Memory, chance)?;
    Ok(FleetBox { organisation, vbox, keys, people, accesses, out: Vec::new(), by_hand: false })
}

async fn grant_all(api: &mut Api, box_id: &str, people: &[Person], keys: &[Key]) -> Result<Vec<Access>, ApiError> {
    let pairs: Vec<(&Person, usize)> =
        people.iter().flat_map(|person| (0..keys.len()).map(move |key| (person, key))).collect();
    let mut made = Vec::with_capacity(pairs.len());
    for some in pairs.chunks(200) {
        let wanted: Vec<Value> =
            some.iter().map(|(person, key)| json!({ "person": person.id, "key": keys[*key].id })).collect();
        let call = format!("/boxes/{box_id}/accesses/batch");
        let answer = api.post(&call, &json!({ "accesses": wanted })).await?;
        let granted = ids(&answer, "accesses", some.len(), &call)?;
        made.extend(some.iter().zip(granted).map(|((person, key), id)| Access {
            id,
            person: person.id.clone(),
            key: *key,
        }));
    }
    Ok(made)
}

fn ids(answer: &Value, field: &str, expected: usize, call: &str) -> Result<Vec<String>, ApiError> {
    let list = answer.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let ids: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if ids.len() == expected {
        return Ok(ids);
    }
    Err(ApiError::Shape { call: call.to_owned(), missing: format!("{expected} ids in `{field}`") })
}

/// How long people's codes may take to reach all boxes: they come by messages between the actors.
const CODES_WITHIN: Duration = Duration::from_secs(180);

/// Lets boxes sync again until each knows the code of everybody who may use it: else nobody could use it offline.
pub async fn until_codes_arrive(target: &Target, boxes: &mut [FleetBox]) -> Result<(), LoadError> {
    let progress = bar("codes", boxes.len() as u64);
    let (began, mut link) = (std::time::Instant::now(), None);
    let knows = |of: &FleetBox| of.people.iter().all(|person| of.vbox.person_by_code(&person.code).is_some());
    loop {
        let mut known = 0;
        for fleet_box in &mut *boxes {
            if !knows(fleet_box) {
                first_sync(&mut link, target, &mut fleet_box.vbox).await?;
            }
            known += u64::from(knows(fleet_box));
        }
        progress.set_position(known);
        if known == boxes.len() as u64 {
            progress.finish_and_clear();
            return Ok(());
        }
        if began.elapsed() > CODES_WITHIN {
            let why =
                format!("{} boxes do not know their people's codes after {CODES_WITHIN:?}", boxes.len() as u64 - known);
            return Err(LoadError::Unfit(why));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

pub async fn first_sync(
    link: &mut Option<Connection>,
    target: &Target,
    vbox: &mut VirtualBox,
) -> Result<(), LoadError> {
    loop {
        let connection = Connection::kept(link, target).await?;
        match sync_once(connection, target, vbox).await? {
            Synced::Applied(_) => return Ok(()),
            Synced::Deferred { retry_after_s } => {
                let wait = crate::clock::Backoff::after_refusal(retry_after_s, &mut vbox.chance);
                tokio::time::sleep(wait).await;
            }
            Synced::Stopped { status, problem } => {
                return Err(LoadError::Unfit(format!("first sync of {}: {status} {problem}", vbox.id())));
            }
            Synced::Unbelievable(why) => return Err(LoadError::Unfit(format!("first sync of {}: {why}", vbox.id()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_numbered_by_tens() {
        assert_eq!([0, 9, 10, 25].map(bin_name), ["A-1", "A-10", "B-1", "C-6"]);
    }

    #[test]
    fn access_codes_are_eight_digits_and_never_repeat() {
        let codes: std::collections::HashSet<u64> =
            (0..10_000u64).map(|number| (number + 1) * 61_803_399 % 100_000_000).collect();
        assert_eq!(codes.len(), 10_000);
    }
}
