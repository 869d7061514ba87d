//! Compares what boxes and administrators were told with what the server says, entry by entry.

use crate::{
    api::{Api, ApiError},
    clock::from_rfc3339,
    fleet::FleetBox,
    outage::Acknowledged,
    vbox::StoredState,
    wire::{Entry, Outcome, Receipt},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a box has been told about its journal, kept outside the box and the server.
#[derive(Debug, Default)]
pub struct Receipts {
    pub by_seq: BTreeMap<u64, (Entry, Receipt)>,
    /// The server asked again for something that it had receipted, or went back to an older state.
    pub taken_back: Vec<String>,
    /// What a restored server had lost and the box had thrown away: nobody has it any more.
    pub gone: std::ops::Range<u64>,
    /// How many entries a restored server has asked for again; `None`: it never was.
    pub asked_again: Option<u64>,
}

impl Receipts {
    /// Notes one answer. The first word about an entry counts; later ones may only say `duplicate`.
    pub fn note(&mut self, receipts: Vec<(Entry, Receipt)>) {
        for (entry, receipt) in receipts {
            let seq = entry.seq;
            match self.by_seq.get(&seq) {
                Some((_, before)) if receipt.outcome != Outcome::Duplicate && before.outcome != receipt.outcome => {
                    let (before, after) = (before.outcome.name(), receipt.outcome.name());
                    self.taken_back.push(format!("entry {seq} was receipted `{before}`, then `{after}`"));
                }
                Some(_) => {}
                None => {
                    self.by_seq.insert(seq, (entry, receipt));
                }
            }
        }
    }

    /// The server was restored from a backup and asks for everything from `resume_at` on: what it said of that is void.
    pub fn restored(&mut self, resume_at: u64, kept_from: u64) {
        let void = self.by_seq.split_off(&resume_at);
        self.asked_again = Some(void.len() as u64);
        self.gone = resume_at..kept_from.max(resume_at);
    }

    /// Notes where the server wants to go on, and the state that it speaks of.
    pub fn note_position(&mut self, resume_at: u64, cursor_before: Option<&str>, cursor: Option<&str>) {
        if let Some((last, _)) = self.by_seq.last_key_value()
            && resume_at <= *last
        {
            self.taken_back.push(format!("resumes at {resume_at} after a receipt for {last}"));
        }
        let position = |cursor: Option<&str>| {
            let (epoch, revision) = cursor?.split_once('.')?;
            Some((epoch.parse::<u64>().ok()?, revision.parse::<u64>().ok()?))
        };
        if position(cursor) < position(cursor_before) {
            self.taken_back.push(format!("state went back from {cursor_before:?} to {cursor:?}"));
        }
    }
}

/// What the comparison of boxes found.
#[derive(Debug, Default)]
pub struct Findings {
    pub lost: u64,
    pub doubled: u64,
    pub mismatches: u64,
    pub acknowledged_lost: u64,
    pub conflicts: u64,
    pub flagged: u64,
    /// Entries that nobody has any more.
    pub gone: u64,
    /// The first ones, in words.
    pub words: Vec<String>,
    /// How often each reason was given.
    pub reasons: BTreeMap<String, u64>,
}

impl Findings {
    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.mismatches += other.mismatches;
        self.acknowledged_lost += other.acknowledged_lost;
        self.conflicts += other.conflicts;
        self.flagged += other.flagged;
        self.gone += other.gone;
        self.words.extend(other.words);
        for (reason, count) in other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
    }
}

/// One box against the server: inventory, history, acknowledgements.
pub async fn check_box(
    api: &mut Api,
    fleet_box: &FleetBox,
    receipts: &Receipts,
    noted: &Acknowledged,
) -> Result<Findings, ApiError> {
    let id = fleet_box.id();
    let inventory = api.get(&format!("/boxes/{id}/inventory")).await?;
    let history = api.list(&format!("/boxes/{id}/history?all=true")).await?;
    let mut findings = check_history(fleet_box, receipts, &history);
    let differences = compare_state(fleet_box.vbox.state(), &inventory);
    findings.mismatches += differences.len() as u64;
    findings.words.extend(differences.into_iter().take(5).map(|what| format!("{id}: {what}")));
    check_acknowledged(id, &inventory, noted, &mut findings);
    let only_applied =
        receipts.by_seq.values().all(|(_, receipt)| !matches!(receipt.outcome, Outcome::Ignored | Outcome::Rejected));
    if only_applied && !fleet_box.by_hand && noted.corrected == 0 && receipts.gone.is_empty() {
        for (bin, fob) in fleet_box.vbox.physical() {
            let item = list(&inventory, "bins").iter().find(|item| item["bin"] == bin);
            let listed = item.and_then(|item| item["fob"].as_str());
            if listed != fob {
                findings.mismatches += 1;
                findings.words.push(format!("{id}: {bin} really holds {fob:?}, the server says {listed:?}"));
            }
        }
    }
    Ok(findings)
}

fn check_history(fleet_box: &FleetBox, receipts: &Receipts, history: &[Value]) -> Findings {
    let id = fleet_box.id();
    let mut findings = Findings::default();
    let mut judged: HashMap<u64, Vec<&Value>> = HashMap::new();
    for item in history {
        if let Some(seq) = item["seq"].as_u64() {
            judged.entry(seq).or_default().push(item);
        }
    }
    for seq in 1..=fleet_box.vbox.head() {
        let found = judged.remove(&seq).unwrap_or_default();
        let told = receipts.by_seq.get(&seq);
        if found.is_empty() && receipts.gone.contains(&seq) {
            findings.gone += 1;
            continue;
        }
        let Some(item) = found.first() else {
            findings.lost += 1;
            findings.acknowledged_lost += u64::from(told.is_some());
            findings.words.push(format!("{id}: entry {seq} is not in the history, receipt: {}", told.is_some()));
            continue;
        };
        if found.len() > 1 {
            findings.doubled += 1;
            findings.words.push(format!("{id}: entry {seq} stands {} times in the history", found.len()));
        }
        let outcome = item["outcome"].as_str().unwrap_or_default();
        match outcome {
            "ignored" | "rejected" => findings.conflicts += 1,
            "flagged" => findings.flagged += 1,
            _ => {}
        }
        if let Some(reason) = item["reason"].as_str() {
            *findings.reasons.entry(format!("{outcome}: {reason}")).or_default() += 1;
        }
        let Some((entry, receipt)) = told else {
            findings.mismatches += 1;
            findings.words.push(format!("{id}: entry {seq} is in the history but was never receipted"));
            continue;
        };
        // What a fob from elsewhere means is found out by messages after the receipt.
        let at_home = entry.fob.as_ref().is_none_or(|fob| fleet_box.keys.iter().any(|key| key.fob == *fob));
        let same_outcome = receipt.outcome == Outcome::Duplicate || outcome == receipt.outcome.name();
        let same = item["kind"] == entry.kind.name()
            && item["bin"] == entry.bin.as_str()
            && item["fob"].as_str() == entry.fob.as_deref()
            && item["person"].as_str() == entry.person.as_deref()
            && (same_outcome || !at_home);
        if !same {
            findings.mismatches += 1;
            findings.words.push(format!("{id}: entry {entry:?} was receipted {receipt:?}, the history says {item}"));
        }
    }
    for (seq, items) in judged {
        findings.doubled += items.len() as u64;
        findings.words.push(format!("{id}: the history has an entry {seq} that the box never wrote"));
    }
    findings.acknowledged_lost += receipts.taken_back.len() as u64;
    findings.words.extend(receipts.taken_back.iter().map(|what| format!("{id}: {what}")));
    findings
}

fn check_acknowledged(id: &str, inventory: &Value, noted: &Acknowledged, findings: &mut Findings) {
    let mut by_id: HashMap<&str, &Value> = HashMap::new();
    let mut by_end: HashMap<u64, u32> = HashMap::new();
    for access in list(inventory, "accesses") {
        by_id.insert(access["access"].as_str().unwrap_or_default(), access);
        if let Some(until) = moment(&access["until"]) {
            *by_end.entry(until).or_default() += 1;
        }
    }
    for access in noted.granted.keys().filter(|access| !by_id.contains_key(access.as_str())) {
        findings.acknowledged_lost += 1;
        findings.words.push(format!("{id}: {access} was granted and is gone"));
    }
    for access in noted.withdrawn.iter().filter(|access| by_id.contains_key(access.as_str())) {
        findings.acknowledged_lost += 1;
        findings.words.push(format!("{id}: {access} was withdrawn and is there"));
    }
    for (until, times) in by_end.into_iter().filter(|(_, times)| *times > 1) {
        findings.doubled += 1;
        findings.words.push(format!("{id}: the access that ends at {until} was made {times} times"));
    }
    for item in list(inventory, "bins") {
        let name = item["bin"].as_str().unwrap_or_default();
        if let Some(state) = noted.bins.get(name)
            && item["state"] != *state
        {
            findings.acknowledged_lost += 1;
            findings.words.push(format!("{id}: {name} was made {state}, the server says {}", item["state"]));
        }
    }
}

/// Every difference between what a box has stored and what the server lists.
pub fn compare_state(state: &StoredState, inventory: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, of_box: BTreeMap<String, String>, of_server: BTreeMap<String, String>| {
        let names: BTreeSet<&String> = of_box.keys().chain(of_server.keys()).collect();
        for name in names {
            let (ours, theirs) = (of_box.get(name), of_server.get(name));
            if ours != theirs {
                differences.push(format!("{what} {name}: the box has {ours:?}, the server {theirs:?}"));
            }
        }
    };
    let name = |item: &Value, field: &str| item[field].as_str().unwrap_or_default().to_owned();
    let or_none = |text: Option<&str>| text.unwrap_or("-").to_owned();
    compare(
        "bin",
        state
            .bins
            .values()
            .map(|bin| {
                let state = serde_json::to_value(bin.state).unwrap_or_default();
                let state = state.as_str().unwrap_or_default().to_owned();
                (bin.bin.to_string(), format!("{state} {} {}", or_none(bin.fob.as_deref()), bin.confirmed))
            })
            .collect(),
        list(inventory, "bins")
            .iter()
            .map(|bin| {
                let confirmed = bin["confirmed"].as_bool().unwrap_or_default();
                (name(bin, "bin"), format!("{} {} {confirmed}", name(bin, "state"), or_none(bin["fob"].as_str())))
            })
            .collect(),
    );
    let groups = |mut groups: Vec<&str>| {
        groups.sort_unstable();
        groups.join(",")
    };
    compare(
        "key",
        state
            .keys
            .values()
            .map(|key| {
                let groups = groups(key.groups.iter().map(|group| &**group).collect());
                (key.key.to_string(), format!("{} roaming {} [{groups}]", key.fob, key.roaming))
            })
            .collect(),
        list(inventory, "keys")
            .iter()
            .map(|key| {
                let groups = groups(list(key, "groups").iter().filter_map(Value::as_str).collect());
                let roaming = key["roaming"].as_bool().unwrap_or_default();
                (name(key, "key"), format!("{} roaming {roaming} [{groups}]", name(key, "fob")))
            })
            .collect(),
    );
    compare(
        "access",
        state
            .accesses
            .values()
            .map(|access| {
                let target = access.key.as_deref().or(access.group.as_deref()).unwrap_or("box");
                let window = format!("{:?}..{:?}", access.from_ms, access.until_ms);
                (access.access.to_string(), format!("{} {target} {window}", access.person))
            })
            .collect(),
        list(inventory, "accesses")
            .iter()
            .map(|access| {
                let target = access["key"].as_str().or(access["group"].as_str()).unwrap_or("box");
                let window = format!("{:?}..{:?}", moment(&access["from"]), moment(&access["until"]));
                (name(access, "access"), format!("{} {target} {window}", name(access, "person")))
            })
            .collect(),
    );
    let there = |ids: Vec<String>| ids.into_iter().map(|id| (id, "there".to_owned())).collect();
    compare(
        "person",
        there(state.people.keys().map(|id| id.to_string()).collect()),
        there(list(inventory, "people").iter().filter_map(Value::as_str).map(str::to_owned).collect()),
    );
    differences
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn moment(value: &Value) -> Option<u64> {
    from_rfc3339(value.as_str()?)
}

#[cfg(test)]
mod tests;
