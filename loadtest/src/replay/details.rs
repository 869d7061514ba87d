//! What the report lists: every conflict and flag with what was believed and why, counts by cause, the month in numbers.

use super::{
    drive::Drive,
    explain::{Cause, Explained},
    live::{bin_label, fob_serial},
};
use crate::model::{Gap, Kind, Outcome};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Outcome, reason, cause.
type Class = (&'static str, &'static str, Cause);

pub struct Details {
    pub conflicts: Vec<Value>,
    pub flags: Vec<Value>,
    pub counts: BTreeMap<Class, u64>,
    /// A line each for people: the counts with what they mean and an example.
    pub summary: Vec<String>,
}

impl Details {
    pub fn of(drive: &Drive) -> Self {
        let mut details =
            Self { conflicts: Vec::new(), flags: Vec::new(), counts: BTreeMap::new(), summary: Vec::new() };
        let mut examples: BTreeMap<Class, String> = BTreeMap::new();
        for explained in &drive.explained {
            let (class, line, example) = entry(drive, explained);
            let list = if class.0 == "flagged" { &mut details.flags } else { &mut details.conflicts };
            list.push(line);
            *details.counts.entry(class).or_default() += 1;
            examples.entry(class).or_insert(example);
        }
        for (gap, cause) in drive.model.gaps.iter().zip(&drive.gap_causes) {
            let class = ("ignored", "late_pick_up_missing", *cause);
            details.conflicts.push(missing_pick_up(drive, gap, *cause));
            *details.counts.entry(class).or_default() += 1;
            let station = &drive.plan.places[gap.place].station;
            let bike = &drive.plan.trips.bikes[gap.key];
            examples.entry(class).or_insert(format!("bike {bike}, box {station} bin {}", bin_label(gap.bin)));
        }
        for (place, model) in drive.model.boxes.iter().enumerate() {
            for arrival in model.moved_in.iter().filter(|arrival| arrival.flagged) {
                let class = ("flagged", "may_not_be_dropped_here", Cause::HomeOnly);
                details.flags.push(json!({
                    "box": drive.plan.places[place].station, "fob": fob_serial(arrival.key),
                    "bike": drive.plan.trips.bikes[arrival.key], "reason": class.1, "cause": class.2.name(),
                }));
                *details.counts.entry(class).or_default() += 1;
                let (bike, station) = (&drive.plan.trips.bikes[arrival.key], &drive.plan.places[place].station);
                examples.entry(class).or_insert(format!("bike {bike}, box {station}"));
            }
        }
        for (class, count) in &details.counts {
            let example = examples.get(class).map_or("", String::as_str);
            details.summary.push(format!("{count:>6} {} {}: {} (such as {example})", class.0, class.1, class.2.says()));
        }
        details
    }

    /// Counts by outcome, reason and cause.
    pub fn counted(&self) -> Value {
        let mut counted: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        for ((outcome, reason, cause), count) in &self.counts {
            let causes = counted.entry(format!("{outcome} {reason}")).or_default();
            causes.insert(cause.name().to_owned(), json!({ "count": count, "explanation": cause.says() }));
        }
        json!(counted)
    }
}

fn entry(drive: &Drive, explained: &Explained) -> (Class, Value, String) {
    let Explained { place, number, cause } = *explained;
    let judged = &drive.model.boxes[place].judged[number];
    let note = drive.sides[place].notes[number];
    let reason = judged.verdict.reason.map_or("", |reason| reason.name());
    let kind = match judged.entry.kind {
        Kind::PickUp => "pick_up",
        Kind::DropOff => "drop_off",
    };
    let outcome = if judged.verdict.outcome == Outcome::Flagged { "flagged" } else { judged.verdict.outcome.name() };
    let station = &drive.plan.places[place].station;
    let bike = &drive.plan.trips.bikes[judged.entry.key];
    let at = local_time(note.at_s);
    let believed = named(drive, &judged.believed);
    let line = json!({
        "box": station, "seq": judged.entry.seq, "at": at, "kind": kind, "bin": bin_label(judged.entry.bin),
        "fob": fob_serial(judged.entry.key), "bike": bike, "person": judged.entry.person + 1,
        "reason": reason, "cause": cause.name(), "believed": believed,
    });
    let example = format!("bike {bike}, {kind} at box {station} on {at}: {believed}");
    ((outcome, reason, cause), line, example)
}

/// The model's numbers as the month's own names.
fn named(drive: &Drive, believed: &str) -> String {
    let (places, bikes) = (&drive.plan.places, &drive.plan.trips.bikes);
    let mut words: Vec<String> = Vec::new();
    for word in believed.split(' ') {
        let digits = word.trim_end_matches([',', ';']);
        let number = digits.strip_prefix('#').and_then(|digits| digits.parse::<usize>().ok());
        let what = words.last().map(String::as_str);
        let name = match (what, number) {
            (Some("box"), Some(number)) => places.get(number).map(|place| place.station.clone()),
            (Some("key"), Some(number)) => bikes.get(number).map(|bike| format!("of bike {bike}")),
            (Some("bin"), Some(number)) => Some(bin_label(number)),
            (Some("person"), Some(number)) => Some((number + 1).to_string()),
            _ => None,
        };
        words.push(name.map_or_else(|| word.to_owned(), |name| name + &word[digits.len()..]));
    }
    words.join(" ")
}

fn missing_pick_up(drive: &Drive, gap: &Gap, cause: Cause) -> Value {
    json!({
        "box": drive.plan.places[gap.place].station, "bin": bin_label(gap.bin), "fob": fob_serial(gap.key),
        "bike": drive.plan.trips.bikes[gap.key], "reason": "late_pick_up_missing", "cause": cause.name(),
    })
}

/// The month's own local time.
fn local_time(at_s: i64) -> String {
    crate::clock::to_rfc3339(at_s.max(0).unsigned_abs() * 1000).trim_end_matches(".000Z").to_owned()
}
