//! After the month: the server's histories, inventories and conflicts against the model, entry by entry.

use super::{
    drive::Drive,
    live::{bin_label, bin_number, fob_number, fob_serial},
};
use crate::model::{Judged, KeyPlace, Kind, Outcome};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// What does not agree. Each line of `mismatches` is one thing.
#[derive(Debug, Default)]
pub struct Findings {
    pub lost: u64,
    pub doubled: u64,
    pub mismatches: Vec<String>,
    /// Conflicts that the server keeps.
    pub conflicts: u64,
}

/// Conflicts that the server itself found have numbers from here on: no journal entry stands for them.
const SERVER_CONFLICT: u64 = 1 << 52;

/// Reads everything back from the server.
pub async fn compare(drive: &mut Drive, mut done: impl FnMut()) -> Result<Findings, String> {
    let mut findings = Findings::default();
    for place in 0..drive.plan.places.len() {
        let Some(live) = &mut drive.live else { return Ok(findings) };
        let id = live.box_id(place).to_owned();
        let history =
            live.api.list(&format!("/boxes/{id}/history?all=true")).await.map_err(|error| error.to_string())?;
        let path = format!("/boxes/{id}/inventory");
        let inventory = live.api.get(&path).await.map_err(|error| error.to_string())?;
        let mut at = At { drive, place, findings: &mut findings };
        at.history(&history);
        at.bins(&inventory);
        at.keys(&inventory);
        done();
    }
    if let Some(live) = &mut drive.live {
        let conflicts = live.api.list("/conflicts").await.map_err(|error| error.to_string())?;
        compare_conflicts(drive, &conflicts, &mut findings);
    }
    Ok(findings)
}

/// One box under comparison.
struct At<'a> {
    drive: &'a Drive,
    place: usize,
    findings: &'a mut Findings,
}

impl At<'_> {
    fn differs(&mut self, what: &str, server: impl std::fmt::Display, model: impl std::fmt::Display) {
        let station = &self.drive.plan.places[self.place].station;
        self.findings.mismatches.push(format!("box {station}: {what}: server {server}, model {model}"));
    }

    fn history(&mut self, newest_first: &[Value]) {
        let mut seen: HashMap<u64, &Value> = HashMap::new();
        let (mut corrected, mut moved_in, mut moved_out) = (Vec::new(), Vec::new(), Vec::new());
        for item in newest_first.iter().rev() {
            let text = |field: &str| item[field].as_str().map(str::to_owned);
            match item["kind"].as_str() {
                Some("corrected") => corrected.push((text("bin"), text("fob"))),
                Some("moved_in") => moved_in.push((text("fob"), item["outcome"] == "flagged")),
                Some("moved_out") => moved_out.push(text("fob")),
                _ => {
                    let Some(seq) = item["seq"].as_u64() else { continue };
                    if seen.insert(seq, item).is_some() {
                        self.findings.doubled += 1;
                        self.differs(&format!("entry {seq}"), "has it twice", "once");
                    }
                }
            }
        }
        let drive = self.drive;
        let side = &drive.sides[self.place];
        for entry in &side.journal {
            let judged = drive.model.boxes[self.place].judged.get(entry.seq as usize - 1);
            match (seen.remove(&entry.seq), judged) {
                (Some(item), Some(judged)) => self.entry(item, judged),
                (None, _) => self.findings.lost += 1,
                (Some(_), None) => self.differs(&format!("entry {}", entry.seq), "judged it", "did not"),
            }
        }
        for seq in seen.into_keys() {
            self.differs(&format!("entry {seq}"), "has it", "was never written");
        }
        let model = &drive.model.boxes[self.place];
        let expected = model.corrected.iter().map(|&(bin, key)| (Some(bin_label(bin)), key.map(fob_serial)));
        self.sequence("corrections", &corrected, &expected.collect::<Vec<_>>());
        let expected = model.moved_in.iter().map(|arrival| (Some(fob_serial(arrival.key)), arrival.flagged));
        let mut expected: Vec<_> = expected.collect();
        expected.sort();
        // Keys that came with one sync may be answered for in any order.
        moved_in.sort();
        moved_out.sort();
        self.sequence("keys moved in", &moved_in, &expected);
        let mut expected: Vec<_> = model.moved_out.iter().map(|&key| Some(fob_serial(key))).collect();
        expected.sort();
        self.sequence("keys moved out", &moved_out, &expected);
    }

    /// Everything that follows the first difference is not compared: one line a sequence.
    fn sequence<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, server: &[T], model: &[T]) {
        let first = server.iter().zip(model).position(|(server, model)| server != model);
        let first = first.or((server.len() != model.len()).then(|| server.len().min(model.len())));
        if let Some(first) = first {
            let show = |some: &[T]| format!("{} in all, number {}: {:?}", some.len(), first + 1, some.get(first));
            self.differs(what, show(server), show(model));
        }
    }

    fn entry(&mut self, item: &Value, judged: &Judged) {
        let entry = &judged.entry;
        let kind = match entry.kind {
            Kind::PickUp => "pick_up",
            Kind::DropOff => "drop_off",
        };
        let person = self.drive.live.as_ref().map(|live| live.person_id(entry.person).to_owned()).unwrap_or_default();
        let unsure = judged.unsure && item["outcome"] == "flagged" && item["reason"] == "not_permitted";
        let verdict = judged.verdict;
        let mut fields = vec![
            ("kind", item["kind"].as_str(), Some(kind.to_owned())),
            ("bin", item["bin"].as_str(), Some(bin_label(entry.bin))),
            ("fob", item["fob"].as_str(), Some(fob_serial(entry.key))),
            ("person", item["person"].as_str(), Some(person)),
        ];
        if !unsure {
            fields.push(("outcome", item["outcome"].as_str(), Some(verdict.outcome.name().to_owned())));
            fields.push(("reason", item["reason"].as_str(), verdict.reason.map(|reason| reason.name().to_owned())));
        }
        for (field, server, model) in fields {
            if server != model.as_deref() {
                let what = format!("entry {}: {field} ({})", entry.seq, judged.believed);
                self.differs(&what, server.unwrap_or("nothing"), model.as_deref().unwrap_or("nothing"));
            }
        }
        if item["estimated"].as_bool() != Some(judged.estimated) {
            self.differs(&format!("entry {}: estimated", entry.seq), &item["estimated"], judged.estimated);
        }
    }

    fn bins(&mut self, inventory: &Value) {
        let drive = self.drive;
        let model = &drive.model.boxes[self.place].bins;
        let bins = inventory["bins"].as_array().map(Vec::as_slice).unwrap_or_default();
        if bins.len() != model.len() {
            self.differs("bins", bins.len(), model.len());
        }
        for item in bins {
            let label = item["bin"].as_str().unwrap_or_default();
            let Some(bin) = bin_number(label).and_then(|bin| model.get(bin)) else {
                self.differs("bins", label, "no such bin");
                continue;
            };
            let fob = bin.key.map(fob_serial);
            if item["fob"].as_str() != fob.as_deref() {
                self.differs(&format!("bin {label}"), &item["fob"], fob.as_deref().unwrap_or("empty"));
            }
            if item["confirmed"].as_bool() != Some(bin.confirmed) {
                self.differs(&format!("bin {label}: confirmed"), &item["confirmed"], bin.confirmed);
            }
            if item["expects_late_pick_up"].as_bool() != Some(!bin.expects.is_empty()) {
                let what = format!("bin {label}: expects a late pick-up");
                self.differs(&what, &item["expects_late_pick_up"], !bin.expects.is_empty());
            }
        }
    }

    fn keys(&mut self, inventory: &Value) {
        let drive = self.drive;
        let at_home = |&(_, key): &(usize, &crate::model::Key)| key.home == self.place;
        let mut expected: BTreeMap<usize, KeyPlace> =
            drive.model.keys.iter().enumerate().filter(at_home).map(|(number, key)| (number, key.place)).collect();
        for item in inventory["keys"].as_array().into_iter().flatten() {
            let fob = item["fob"].as_str().unwrap_or_default();
            let Some(place) = fob_number(fob).and_then(|key| expected.remove(&key)) else {
                self.differs(&format!("key {fob}"), "at home here", "elsewhere");
                continue;
            };
            let model = match place {
                KeyPlace::Bin(bin) => format!("bin {}", bin_label(bin)),
                KeyPlace::Person(person) => {
                    format!("person {}", drive.live.as_ref().map_or("", |live| live.person_id(person)))
                }
                KeyPlace::Unknown => "unknown".to_owned(),
            };
            let seen = &item["place"];
            let server = match seen["in"].as_str() {
                Some("bin") => format!("bin {}", seen["bin"].as_str().unwrap_or_default()),
                Some("person") => format!("person {}", seen["person"].as_str().unwrap_or_default()),
                other => other.unwrap_or_default().to_owned(),
            };
            if server != model {
                self.differs(&format!("place of key {fob}"), server, model);
            }
        }
        for key in expected.into_keys() {
            self.differs(&format!("key {}", fob_serial(key)), "elsewhere", "at home here");
        }
    }
}

/// Box, number (none for those that the server found itself), reason, and what it is about.
type ConflictKey = (usize, Option<u64>, String, String, String);

fn compare_conflicts(drive: &Drive, listed: &[Value], findings: &mut Findings) {
    let mut expected: BTreeMap<ConflictKey, i64> = BTreeMap::new();
    for (place, model) in drive.model.boxes.iter().enumerate() {
        let ignored = |judged: &&Judged| matches!(judged.verdict.outcome, Outcome::Ignored | Outcome::Rejected);
        for judged in model.judged.iter().filter(ignored) {
            let reason = judged.verdict.reason.map_or("", |reason| reason.name()).to_owned();
            let about = (bin_label(judged.entry.bin), fob_serial(judged.entry.key));
            *expected.entry((place, Some(judged.entry.seq), reason, about.0, about.1)).or_default() += 1;
        }
    }
    for gap in &drive.model.gaps {
        let about = (bin_label(gap.bin), fob_serial(gap.key));
        *expected.entry((gap.place, None, "late_pick_up_missing".to_owned(), about.0, about.1)).or_default() += 1;
    }
    let ids = (0..drive.plan.places.len()).filter_map(|place| Some((drive.live.as_ref()?.box_id(place), place)));
    let places: HashMap<&str, usize> = ids.collect();
    findings.conflicts = listed.len() as u64;
    for item in listed {
        let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
        let Some(&place) = places.get(text("box").as_str()) else {
            findings.mismatches.push(format!("a conflict of an unknown box: {item}"));
            continue;
        };
        let seq = item["seq"].as_u64().filter(|seq| *seq < SERVER_CONFLICT);
        *expected.entry((place, seq, text("reason"), text("bin"), text("fob"))).or_default() -= 1;
    }
    for ((place, seq, reason, bin, fob), missing) in expected {
        let who = if missing > 0 { "only the model has" } else { "only the server has" };
        let station = &drive.plan.places[place].station;
        let seq = seq.map_or("none".to_owned(), |seq| seq.to_string());
        for _ in 0..missing.abs() {
            let what = format!("box {station}: {who} the conflict {reason} of entry {seq}, bin {bin}, fob {fob}");
            findings.mismatches.push(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::{plan::Plan, starting_model, trips::Trips};
    use serde_json::json;

    const TRIPS: &str = "picked_up_at,dropped_off_at,from_station,to_station,bike\n\
        2016-07-01T00:06:00,2016-07-01T00:13:52,a,b,1\n\
        2016-07-01T01:06:00,2016-07-01T02:13:52,b,a,1\n\
        2016-07-01T03:06:00,2016-07-01T03:13:52,b,b,1\n";

    async fn drive() -> Drive {
        let plan = Plan::new(Trips::parse(TRIPS.as_bytes()).unwrap(), 3, 0.0);
        let model = starting_model(&plan);
        let mut drive = Drive::new(plan, model, None, 3);
        drive.run(0.0, || ()).await.unwrap();
        drive
    }

    /// What a server that agrees would answer, newest first.
    fn history(drive: &Drive, place: usize) -> Vec<Value> {
        let model = &drive.model.boxes[place];
        let judged = model.judged.iter().map(|judged| {
            let kind = if judged.entry.kind == Kind::PickUp { "pick_up" } else { "drop_off" };
            json!({ "kind": kind, "seq": judged.entry.seq, "bin": bin_label(judged.entry.bin), "person": "",
                    "fob": fob_serial(judged.entry.key), "outcome": judged.verdict.outcome.name(),
                    "reason": judged.verdict.reason.map(|reason| reason.name()), "estimated": false })
        });
        let corrected = model
            .corrected
            .iter()
            .map(|(bin, key)| json!({ "kind": "corrected", "bin": bin_label(*bin), "fob": key.map(fob_serial) }));
        let moved_in = model
            .moved_in
            .iter()
            .map(|arrival| json!({ "kind": "moved_in", "fob": fob_serial(arrival.key), "outcome": "applied" }));
        let moved_out = model.moved_out.iter().map(|key| json!({ "kind": "moved_out", "fob": fob_serial(*key) }));
        let mut all: Vec<Value> = judged.chain(corrected).chain(moved_in).chain(moved_out).collect();
        all.reverse();
        all
    }

    fn found(drive: &Drive, place: usize, tamper: impl FnOnce(&mut Vec<Value>)) -> (u64, u64, usize) {
        let (mut findings, mut items) = (Findings::default(), history(drive, place));
        tamper(&mut items);
        At { drive, place, findings: &mut findings }.history(&items);
        (findings.lost, findings.doubled, findings.mismatches.len())
    }

    #[tokio::test]
    async fn every_difference_in_a_history_is_found() {
        let drive = drive().await;
        assert!(drive.model.boxes.iter().all(|model| !model.judged.is_empty() && !model.moved_in.is_empty()));
        assert_eq!(found(&drive, 1, |_| ()), (0, 0, 0));
        let entry = |item: &&mut Value| item["seq"] == 1;
        let lose = |items: &mut Vec<Value>| items.retain(|item| item["seq"] != 1);
        assert_eq!(found(&drive, 1, lose), (1, 0, 0));
        let double = |items: &mut Vec<Value>| items.extend(items.clone().into_iter().find(|item| item["seq"] == 1));
        assert_eq!(found(&drive, 1, double), (0, 1, 1));
        for (field, other) in [
            ("outcome", json!("flagged")),
            ("reason", json!("not_permitted")),
            ("bin", json!("A-9")),
            ("fob", json!("04FFFF")),
            ("person", json!("somebody")),
            ("kind", json!("opened")),
            ("estimated", json!(true)),
        ] {
            let change = |items: &mut Vec<Value>| items.iter_mut().find(entry).unwrap()[field] = other;
            assert_eq!(found(&drive, 1, change), (0, 0, 1), "{field}");
        }
        for kind in ["corrected", "moved_in", "moved_out"] {
            assert_eq!(found(&drive, 1, |items| items.retain(|item| item["kind"] != kind)), (0, 0, 1), "{kind}");
        }
    }

    #[tokio::test]
    async fn every_difference_in_an_inventory_is_found() {
        let drive = drive().await;
        let (home, key) = (drive.model.keys[0].home, fob_serial(0));
        let bins = drive.model.boxes[home].bins.iter().enumerate().map(|(number, bin)| {
            json!({ "bin": bin_label(number), "fob": bin.key.map(fob_serial), "confirmed": bin.confirmed,
                    "expects_late_pick_up": false })
        });
        let KeyPlace::Bin(bin) = drive.model.keys[0].place else { panic!("the key is in a bin at the end") };
        let good = json!({ "bins": bins.collect::<Vec<_>>(),
                           "keys": [{ "fob": key, "place": { "in": "bin", "bin": bin_label(bin) } }] });
        let found = |inventory: &Value, place: usize| {
            let mut findings = Findings::default();
            let mut at = At { drive: &drive, place, findings: &mut findings };
            at.bins(inventory);
            at.keys(inventory);
            findings.mismatches.len()
        };
        assert_eq!(found(&good, home), 0);
        for (path, other) in [
            ("/bins/0/confirmed", json!(false)),
            ("/bins/3/expects_late_pick_up", json!(true)),
            ("/bins/5/fob", json!("04FFFF")),
            ("/keys/0/place/bin", json!("A-14")),
            ("/keys/0/place/in", json!("unknown")),
        ] {
            let mut wrong = good.clone();
            *wrong.pointer_mut(path).unwrap() = other;
            assert_eq!(found(&wrong, home), 1, "{path}");
        }
        let mut gone = good.clone();
        gone["keys"] = json!([]);
        assert_eq!(found(&gone, home), 1);
    }
}
