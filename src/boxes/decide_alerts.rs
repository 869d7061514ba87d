//! When an alert begins and ends. One function looks at the state as a command leaves it, and compares what is wrong
//! with what has been told: so nothing is told twice, whatever restarts, and whatever ends is told once.

use super::{
    access::Access,
    alerts::{
        AlertRow, AlertSettings, AlertWhat, Alerts, Doubtful, ExchangeAlert, ExchangeTold, KeyAlerts, Lateness,
        Trouble, span,
    },
    command::{Act, Refusal, Scope},
    event::{Event, Judged},
    state::{Key, Place, SmartBox},
    words::Outcome,
};
use crate::kernel::{KeyId, PersonId, Stamp, UnixMillis};

/// What a command's own events, still to be applied, change of what is wrong with the box as a whole.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    pub offline: bool,
    pub breached: bool,
    pub conflicts: bool,
    /// The journal is known to its end: a key that seems to be out is out.
    pub drained: bool,
}

impl SmartBox {
    pub(super) fn standing(&self) -> Standing {
        Standing {
            offline: self.sync.offline,
            breached: self.sync.breached,
            conflicts: self.open_conflicts() > 0,
            drained: self.sync.drained,
        }
    }

    /// Whether a command with these events, other than a sync, may begin or end an alert.
    pub(super) fn concerns_alerts(&self, events: &[Event]) -> bool {
        let begins = |event: &Event| {
            matches!(event, Event::WentOffline | Event::GuaranteeBroken { .. } | Event::VisitorDoubled { .. })
        };
        self.alerts.is_some() || events.iter().any(begins)
    }

    /// Begins and ends alerts. Nothing is done for a box with which nothing is and was wrong.
    pub(super) fn alert(&self, standing: Standing, now: UnixMillis, events: &mut Vec<Event>) {
        let alerts = self.alerts.as_deref();
        let Standing { offline, breached, conflicts, drained } = standing;
        if alerts.is_none() && !(offline || breached || conflicts) {
            return;
        }
        let settings = Alerts::of(alerts);
        let mut wrong = Vec::new();
        let mut box_itself = |is: bool, what, since| {
            if is {
                wrong.push(Trouble { what, since, due: None, person: None });
            }
        };
        let power = self.sync.health.mains == Some(false);
        box_itself(offline && settings.offline, AlertWhat::Offline { power }, self.sync.last_contact);
        box_itself(breached && settings.guarantee, AlertWhat::Guarantee, self.pending_since());
        box_itself(conflicts && settings.conflict, AlertWhat::Conflict, None);
        if let Some(alerts) = alerts {
            self.each_late(alerts, |condition, due| {
                if due <= now {
                    wrong.push(condition);
                }
            });
            self.each_doubtful(alerts, |condition, due| {
                if due <= now {
                    wrong.push(condition);
                }
            });
        }
        let in_force = alerts.map_or(&[][..], |alerts| &alerts.in_force);
        for alert in in_force {
            if !wrong.iter().any(|condition| condition.is(&alert.condition)) {
                events.push(Event::AlertEnded { number: alert.number, condition: alert.condition });
            }
        }
        for condition in wrong {
            let known = in_force.iter().any(|alert| alert.condition.is(&condition));
            if !known && (drained || !matches!(condition.what, AlertWhat::Late(..))) {
                events.push(Event::AlertRaised(condition));
            }
        }
    }

    /// The next moment at which time alone begins an alert.
    pub(super) fn alert_deadline(&self) -> Option<UnixMillis> {
        let alerts = self.alerts.as_deref()?;
        let mut next: Option<UnixMillis> = None;
        let mut note = |condition: Trouble, due: UnixMillis| {
            if !alerts.in_force.iter().any(|alert| alert.condition.is(&condition)) {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        };
        if self.sync.drained {
            self.each_late(alerts, &mut note);
        }
        self.each_doubtful(alerts, &mut note);
        next
    }

    fn each_doubtful(&self, alerts: &Alerts, mut each: impl FnMut(Trouble, UnixMillis)) {
        let Some(minutes) = alerts.settings().unconfirmed_minutes else { return };
        for Doubtful { bin, since } in &alerts.doubtful {
            let what = AlertWhat::Unconfirmed(self.bins[usize::from(*bin)].label);
            each(Trouble { what, since: Some(*since), due: None, person: None }, since.plus(span(minutes)));
        }
    }

    fn each_late(&self, alerts: &Alerts, mut each: impl FnMut(Trouble, UnixMillis)) {
        if !alerts.watches_keys() {
            return;
        }
        for key in &self.keys {
            let Place::Out(person) = key.place else { continue };
            let limits = alerts.limits(key.id);
            let mut late = |lateness, due: UnixMillis| {
                let what = AlertWhat::Late(lateness, key.id);
                each(Trouble { what, since: Some(key.since), due: Some(due), person }, due);
            };
            if let Some(minutes) = limits.after_pick_up {
                late(Lateness::AfterPickUp, key.since.plus(span(minutes)));
            }
            if let (Some(minutes), Some(person)) = (limits.after_end, person)
                && let Some(end) = self.may_keep_until(person, key)
            {
                late(Lateness::AfterEnd, end.plus(span(minutes)));
            }
            if let Some(minutes) = limits.before_booking
                && let Some(from) = self.next_booking(person, key)
            {
                let before = UnixMillis(from.0.saturating_sub(span(minutes).as_millis() as u64));
                late(Lateness::BeforeBooking, before.max(key.since));
            }
        }
    }

    /// The end of the accesses, one following another, by which the holder took this key. `None`: for ever, or he took
    /// it without one.
    fn may_keep_until(&self, person: PersonId, key: &Key) -> Option<UnixMillis> {
        let mut end = key.since;
        loop {
            let mut further = None;
            for access in self.accesses.iter().chain(&self.withdrawn) {
                if !access.permits(person, Some((key.id, &key.groups)), end) {
                    continue;
                }
                further = further.max(Some(access.record().until?));
            }
            match further {
                Some(until) => end = until,
                None => return (end > key.since).then_some(end),
            }
        }
    }

    /// When somebody else's access to this very key begins, of those that began after it was taken.
    fn next_booking(&self, holder: Option<PersonId>, key: &Key) -> Option<UnixMillis> {
        let records = self.accesses.iter().map(Access::record);
        let others = records.filter(|record| record.scope == Scope::Key(key.id) && Some(record.person) != holder);
        others.filter_map(|record| record.from).filter(|from| *from > key.since).min()
    }

    /// Who has a key out whose lateness is told: the ends of their accesses are still needed.
    pub(super) fn holders_watched(&self) -> Vec<PersonId> {
        if !self.alerts.as_deref().is_some_and(Alerts::watches_keys) {
            return Vec::new();
        }
        let holders = self.keys.iter().filter_map(|key| match key.place {
            Place::Out(person) => person,
            Place::Bin(_) | Place::Unknown => None,
        });
        holders.collect()
    }

    /// An exchange that took place, if somebody wants to hear of it.
    pub(super) fn told_of(&self, judged: &Judged) -> Option<Event> {
        let alerts = self.alerts.as_deref()?;
        let (act, bin) = (judged.act?, judged.bin.filter(|_| judged.took_place())?);
        let fob = act.fob()?;
        let flagged = matches!(judged.outcome, Outcome::Flagged(_));
        let wanted = match alerts.exchange(judged.key) {
            ExchangeAlert::None => false,
            ExchangeAlert::Flagged => flagged,
            ExchangeAlert::All => true,
        };
        let told = ExchangeTold {
            pick_up: matches!(act, Act::PickUp(_)),
            fob,
            key: judged.key,
            bin,
            person: judged.person,
            at: judged.at,
            flagged,
        };
        wanted.then_some(Event::ExchangeTold(told))
    }

    pub(super) fn decide_alert_settings(&self, settings: &AlertSettings, events: &mut Vec<Event>) {
        if Alerts::of(self.alerts.as_deref()) != settings {
            events.push(Event::AlertsSet(Box::new(settings.clone())));
        }
    }

    pub(super) fn decide_key_alerts(
        &self,
        key: KeyId,
        alerts: KeyAlerts,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        self.key(key).ok_or(Refusal::KeyNotFound)?;
        if self.key_alerts(key) != alerts {
            events.push(Event::KeyAlertsSet { key, alerts });
        }
        Ok(())
    }

    pub(super) fn decide_acknowledge(&self, number: u64, events: &mut Vec<Event>) -> Result<(), Refusal> {
        let alert = self.alert_in_force(number).ok_or(Refusal::AlertNotFound)?;
        if alert.acknowledged.is_none() {
            events.push(Event::AlertAcknowledged { number });
        }
        Ok(())
    }

    pub(super) fn alert_in_force(&self, number: u64) -> Option<&AlertRow> {
        self.alerts.as_deref()?.in_force.iter().find(|alert| alert.number == number)
    }

    pub(super) fn alert_told(&self, condition: &Trouble) -> Option<&AlertRow> {
        self.alerts.as_deref()?.in_force.iter().find(|alert| alert.condition.is(condition))
    }

    /// What is different for this key.
    pub fn key_alerts(&self, key: KeyId) -> KeyAlerts {
        self.alerts.as_deref().and_then(|alerts| alerts.of_key(key)).copied().unwrap_or_default()
    }

    pub(super) fn apply_alert(&mut self, event: &Event, stamp: Stamp) {
        let alerts = self.alerts.get_or_insert_default();
        match event {
            Event::AlertRaised(condition) => alerts.in_force.push(AlertRow {
                number: stamp.revision,
                condition: *condition,
                raised: stamp.at,
                acknowledged: None,
            }),
            Event::AlertEnded { number, .. } => alerts.in_force.retain(|alert| alert.number != *number),
            Event::AlertAcknowledged { number } => {
                let alert = alerts.in_force.iter_mut().find(|alert| alert.number == *number);
                alert.into_iter().for_each(|alert| alert.acknowledged = Some(stamp.at));
            }
            Event::AlertsSet(settings) => alerts.set(settings),
            Event::KeyAlertsSet { key, alerts: own } => {
                alerts.set_key(*key, *own, stamp.revision);
            }
            _ => {}
        }
    }

    /// After every event: since when which bins are doubtful, as long as the organisation wants to hear of it.
    pub(super) fn note_doubts(&mut self, stamp: Stamp) {
        let Some(alerts) = &mut self.alerts else { return };
        if alerts.settings().unconfirmed_minutes.is_none() {
            alerts.doubtful.retain(|_| false);
        } else {
            let bins = &self.bins;
            alerts.doubtful.retain(|doubtful| !bins[usize::from(doubtful.bin)].confirmed);
            for (index, _) in (0u16..).zip(bins).filter(|(_, bin)| !bin.confirmed) {
                if !alerts.doubtful.iter().any(|doubtful| doubtful.bin == index) {
                    alerts.doubtful.push(Doubtful { bin: index, since: stamp.at });
                }
            }
        }
        if alerts.is_empty() {
            self.alerts = None;
        }
    }

    /// A key that is at home here no more.
    pub(super) fn forget_key_alerts(&mut self, key: KeyId) {
        if let Some(alerts) = &mut self.alerts {
            alerts.keys.retain(|own| own.key != key);
        }
    }
}
