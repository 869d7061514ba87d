//! Which alerts must be in force.

use super::{Alert, MINUTE_MS, Model, Place, UNSURE_MS};

impl Model {
    /// What must be in force now, and what may be as well as not.
    pub fn alerts(&self, now_ms: u64) -> (Vec<Alert>, Vec<Alert>) {
        let (mut must, mut may) = (Vec::new(), Vec::new());
        let offline = Alert { power: self.on_battery, ..Alert::of_box("offline") };
        may.extend(self.contact_perhaps_missed.then_some(offline));
        let mut at = |alert: Alert, due_ms: u64| {
            if now_ms.abs_diff(due_ms) < UNSURE_MS {
                may.push(alert);
            } else if now_ms > due_ms {
                must.push(alert);
            }
        };
        if let Some(due) = self.contact_due_ms {
            at(offline, due);
        }
        if let Some(since) = self.pending_ms {
            at(Alert::of_box("guarantee"), since + self.guarantee_ms);
        }
        for (bin, content) in self.bins.iter().enumerate() {
            if let Some(since) = content.doubtful_ms {
                let alert = Alert { bin: Some(bin), ..Alert::of_box("unconfirmed") };
                at(alert, since + self.unconfirmed_min * MINUTE_MS);
            }
        }
        for (key, place) in self.keys.iter().enumerate() {
            let Place::Out { person, since_ms } = *place else { continue };
            let late = |kind| Alert { key: Some(key), ..Alert::of_box(kind) };
            let limits = self.limits[key];
            if let Some(minutes) = limits.after_pick_up {
                at(late("late_after_pick_up"), since_ms + minutes * MINUTE_MS);
            }
            let end = person.and_then(|person| self.end_of(person, key, since_ms));
            if let (Some(minutes), Some(end)) = (limits.after_end, end) {
                at(late("late_after_end"), end + minutes * MINUTE_MS);
            }
            if let (Some(minutes), Some(from)) = (limits.before_booking, self.booked_from(person, key, since_ms)) {
                at(late("late_before_booking"), (from - minutes * MINUTE_MS).max(since_ms));
            }
        }
        if self.conflicts > 0 {
            must.push(Alert::of_box("conflict"));
        }
        (must, may)
    }

    /// When what let this person take the key ends; accesses that follow without a gap are one.
    fn end_of(&self, person: usize, key: usize, since_ms: u64) -> Option<u64> {
        let mut end = since_ms;
        while let Some(grant) = self.grants.iter().find(|grant| grant.covers(person, key) && grant.holds(end)) {
            end = grant.end_ms();
            if end == u64::MAX {
                return None;
            }
        }
        (end > since_ms).then_some(end)
    }

    fn booked_from(&self, holder: Option<usize>, key: usize, since_ms: u64) -> Option<u64> {
        let live = self.grants.iter().filter(|grant| grant.revoked_ms.is_none());
        let others = live.filter(|grant| Some(grant.person) != holder && grant.key == Some(key));
        others.filter_map(|grant| grant.from_ms).filter(|from| *from > since_ms).min()
    }
}
