//! What was judged, counted from the change feed: a round ends when its lock ends, by a right PAP, or by a reset. A
//! guess that were judged while the device is locked would count for the round that locked it.

use crate::{api::ApiError, chance::Chance, phones::Organisation, report::LoadError, site::Site};
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Judged {
    pub max_per_round: u64,
    pub wrong: u64,
    pub refused: u64,
    pub locked: u64,
    /// Events of devices that nobody has made.
    pub unknown: u64,
    rounds: BTreeMap<String, u64>,
}

impl Judged {
    fn take(&mut self, event: &Value) {
        let device = event["entity"].as_str().unwrap_or_default();
        let kind = event["type"].as_str().unwrap_or_default();
        if kind == "devices.created" {
            self.rounds.insert(device.to_owned(), 0);
            return;
        }
        if !kind.starts_with("devices.") {
            return;
        }
        let Some(round) = self.rounds.get_mut(device) else {
            self.unknown += 1;
            return;
        };
        match kind {
            "devices.pap_wrong" => {
                *round += 1;
                self.wrong += 1;
                self.max_per_round = self.max_per_round.max(*round);
            }
            "devices.pap_refused" => self.refused += 1,
            "devices.locked" | "devices.blocked" => self.locked += 1,
            "devices.lock_ended" | "devices.reset" | "devices.authenticated" | "devices.provisioned" => *round = 0,
            _ => {}
        }
    }
}

/// Reads every event of these organisations.
pub async fn count(site: &Site, organisations: &[Organisation], chance: &Chance) -> Result<Judged, LoadError> {
    let mut judged = Judged::default();
    for (at, organisation) in organisations.iter().enumerate() {
        let mut admin = organisation.callers(&site.target, &chance.fork(60 + at as u64)).admin;
        let mut after = String::new();
        loop {
            let call = format!("/events?type=devices&limit=200{after}");
            let page = admin.get(&call).await?;
            let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().for_each(|event| judged.take(event));
            if page["more"] != true {
                break;
            }
            let next = page["next"].as_str().ok_or(ApiError::Shape { call, missing: "next".into() })?;
            after = format!("&after={next}");
        }
    }
    Ok(judged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn counted(kinds: &[&str]) -> Judged {
        let mut judged = Judged::default();
        for kind in kinds {
            judged.take(&json!({ "entity": "dev_1", "type": format!("devices.{kind}") }));
        }
        judged
    }

    #[test]
    fn a_round_ends_with_its_lock_and_not_before() {
        let round = ["pap_wrong", "pap_wrong", "pap_wrong", "locked"];
        let two = [&["created"][..], &round, &["pap_refused", "lock_ended"], &round].concat();
        let judged = counted(&two);
        assert_eq!((judged.max_per_round, judged.wrong, judged.refused, judged.locked), (3, 6, 1, 2));
        let judged_while_locked = [&["created"][..], &round, &["pap_wrong"]].concat();
        assert_eq!(counted(&judged_while_locked).max_per_round, 4);
        assert_eq!(counted(&["created", "pap_wrong", "pap_wrong", "reset", "pap_wrong"]).max_per_round, 2);
        assert_eq!(counted(&["pap_wrong"]).unknown, 1);
    }
}
