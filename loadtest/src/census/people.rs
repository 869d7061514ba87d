//! Makes everybody who is counted, and remembers them in the folder that is kept.

use super::CensusArgs;
use crate::{
    api::{Api, ApiError, text},
    chance::Chance,
    client::{Connection, Target, write_request},
    fleet::{bin_name, gather},
    report::LoadError,
    screen::bar,
    site::Site,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{cell::Cell, fs, path::Path, rc::Rc, time::Duration};

/// Whoever may use boxes; few, so that the boxes are what is measured.
const PEOPLE: usize = 100;
const KEYS: usize = 10;
/// Rows of one bulk call.
const ROWS: usize = 10_000;
const FILE: &str = "census.json";

/// What a box needs to sync.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counted {
    pub token: String,
    /// The state that it has stored.
    pub cursor: String,
}

#[derive(Serialize, Deserialize)]
pub struct Census {
    pub known: usize,
    /// Those that can be woken.
    pub boxes: Vec<Counted>,
}

impl Census {
    pub fn read(folder: &Path) -> Result<Self, LoadError> {
        let bytes = fs::read(folder.join(FILE))?;
        serde_json::from_slice(&bytes).map_err(|error| LoadError::Unfit(format!("{FILE}: {error}")))
    }

    pub fn write(&self, folder: &Path) -> Result<(), LoadError> {
        let bytes = serde_json::to_vec(self).map_err(|error| LoadError::Unfit(error.to_string()))?;
        Ok(fs::write(folder.join(FILE), bytes)?)
    }

    /// One organisation with all boxes: those to be woken with everything that they need, the others bare.
    pub async fn make(site: &Site, args: &CensusArgs, chance: &Chance) -> Result<Self, LoadError> {
        let organisation = json!({
            "name": "Census", "plan": "business_pro", "language": "en", "zone": "Europe/Rome",
            "owner": { "name": "Census Owner", "email": "owner@census.example" },
        });
        let answer = site.operator(chance).post("/organisations", &organisation).await?;
        let token = text(&answer, "token", "POST /organisations")?;
        let mut api = Api::new(site.target.clone(), &*token, chance.fork(2));
        let people = people(&mut api).await?;
        let boxes = ordinary_boxes(&site.target, &token, args, &people, chance).await?;
        bare_boxes(&site.target, &token, args, chance).await?;
        Ok(Self { known: args.known, boxes })
    }
}

async fn people(api: &mut Api) -> Result<Vec<String>, ApiError> {
    let mut made = Vec::new();
    for number in 0..PEOPLE {
        let body = json!({ "name": format!("Person {number}"), "access_code": format!("{:08}", 10_000_000 + number) });
        made.push(text(&api.post("/people", &body).await?, "person", "POST /people")?);
    }
    Ok(made)
}

/// Ten bins, ten keys in them, two people who may pick up each: one request; then its enrolment and first sync.
async fn ordinary_boxes(
    target: &Target,
    token: &str,
    args: &CensusArgs,
    people: &[String],
    chance: &Chance,
) -> Result<Vec<Counted>, LoadError> {
    let progress = bar("boxes", args.awake as u64);
    let next = Rc::new(Cell::new(0));
    let makers = (0..args.connections).map(|maker| {
        let mut api = Api::new(target.clone(), token, chance.fork(100 + maker as u64));
        let (next, progress, target, people) = (next.clone(), progress.clone(), target.clone(), people.to_vec());
        let count = args.awake;
        async move {
            let (mut link, mut made) = (None, Vec::new());
            while next.get() < count {
                let index = next.replace(next.get() + 1);
                let answer = api.post("/boxes", &ordinary_box(index, &people)).await?;
                let identity = api.enrol(&text(&answer, "enrolment_code", "POST /boxes")?).await?;
                let cursor = super::wake::sync(&mut link, &target, &identity.token, None).await?;
                made.push((index, Counted { token: identity.token, cursor }));
                progress.inc(1);
            }
            Ok(made)
        }
    });
    let boxes = gather(makers).await?;
    progress.finish_and_clear();
    Ok(boxes)
}

fn ordinary_box(index: usize, people: &[String]) -> Value {
    let bins: Vec<String> = (0..KEYS).map(bin_name).collect();
    let fob = |key: usize| format!("04{:010X}", index * 16 + key);
    let keys: Vec<Value> =
        (0..KEYS).map(|key| json!({ "name": format!("Key {}", key + 1), "fob": fob(key), "bin": bins[key] })).collect();
    let accesses: Vec<Value> = (0..2 * KEYS)
        .map(|at| json!({ "person": people[(index + at / KEYS) % people.len()], "key_index": at % KEYS }))
        .collect();
    json!({
        "name": format!("Box {index:07}"), "model": "MS5", "location": "Main hall, ground floor", "zone": "Europe/Rome",
        "bins": bins, "keys": keys, "accesses": accesses, "enrol": true,
    })
}

/// Boxes that are only known. In bulk where the server takes that, else one by one.
async fn bare_boxes(target: &Target, token: &str, args: &CensusArgs, chance: &Chance) -> Result<(), LoadError> {
    let (first, count) = (args.awake, args.known - args.awake);
    let progress = bar("known boxes", count as u64);
    let next = Rc::new(Cell::new(first));
    let makers = (0..args.connections).map(|maker| {
        let mut api = Api::new(target.clone(), token, chance.fork(10_000 + maker as u64));
        let (next, progress, target) = (next.clone(), progress.clone(), target.clone());
        let (token, known) = (token.to_owned(), args.known);
        async move {
            // A few bulk calls at a time are enough to keep the server busy.
            let mut bulk = maker < 4;
            while next.get() < known {
                let rows = if bulk { ROWS.min(known - next.get()) } else { 1 };
                let begin = next.replace(next.get() + rows);
                if bulk && !in_bulk(&target, &token, begin..begin + rows).await? {
                    bulk = false;
                    for index in begin..begin + rows {
                        api.post("/boxes", &bare_box(index)).await?;
                        progress.inc(1);
                    }
                    continue;
                }
                if !bulk {
                    api.post("/boxes", &bare_box(begin)).await?;
                }
                progress.inc(rows as u64);
            }
            Ok(vec![(maker, ())])
        }
    });
    gather(makers).await?;
    progress.finish_and_clear();
    Ok(())
}

fn bare_box(index: usize) -> Value {
    json!({ "name": format!("Box {index:07}"), "model": "MS5", "zone": "Europe/Rome", "bins": ["A-1"] })
}

/// False when the server knows no bulk.
async fn in_bulk(target: &Target, token: &str, rows: std::ops::Range<usize>) -> Result<bool, LoadError> {
    let body: String = rows.clone().map(|index| bare_box(index).to_string() + "\n").collect();
    let mut request = Vec::with_capacity(body.len() + 512);
    let key = format!("census-{}", rows.start);
    let headers = [("Idempotency-Key", key.as_str()), ("Content-Type", "application/x-ndjson")];
    write_request(&mut request, target, "POST", "/api/v1/boxes/bulk", Some(token), &headers, body.as_bytes());
    let mut link = Connection::open(target).await?;
    let mut answer = link.round_trip(&request).await?;
    while matches!(answer.status, 429 | 503) {
        tokio::time::sleep(Duration::from_secs(answer.retry_after_s.unwrap_or(1))).await;
        link = Connection::open(target).await?;
        answer = link.round_trip(&request).await?;
    }
    if matches!(answer.status, 404 | 405) {
        return Ok(false);
    }
    let told = String::from_utf8_lossy(answer.body);
    let made = told.lines().filter(|line| line.contains("\"box_")).count();
    if answer.status == 200 && made == rows.len() {
        return Ok(true);
    }
    let wrong = told.lines().find(|line| !line.contains("\"box_")).unwrap_or_default();
    Err(LoadError::Unfit(format!("bulk: {} with {made} boxes of {}: {wrong}", answer.status, rows.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_box_has_what_the_target_names() {
        let people: Vec<String> = (0..5).map(|number| format!("per_{number}")).collect();
        let one = ordinary_box(3, &people);
        let count = |field: &str| one[field].as_array().map(Vec::len);
        assert_eq!((count("bins"), count("keys"), count("accesses")), (Some(10), Some(10), Some(20)));
        assert_ne!(ordinary_box(4, &people)["keys"][0]["fob"], one["keys"][0]["fob"]);
        assert_ne!(one["accesses"][0]["person"], one["accesses"][10]["person"]);
    }

    #[test]
    fn a_census_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let counted = Counted { token: "cbx_1".into(), cursor: "1.7".into() };
        Census { known: 9, boxes: vec![counted] }.write(folder.path()).unwrap();
        let read = Census::read(folder.path()).unwrap();
        assert_eq!((read.known, read.boxes[0].cursor.as_str()), (9, "1.7"));
        assert!(Census::read(Path::new("/nowhere")).is_err());
    }
}
