//! Fobs away from home, and people's credentials: what boxes and people say to each other. Nothing here refuses: a
//! message that changes nothing is heard all the same.

use super::{
    access::Access,
    alerts::KeyAlerts,
    command::{AccessRecord, BoxOrOther, Command, KeyRecord, Scope},
    event::{Arrival, Departure, Event, SightingAnswer},
    evolve::heard_as,
    messages::{BoxMessage, Sighting},
    state::{Place, SmartBox, Visitor},
    words::{Fob, Verifier},
};
use crate::kernel::{BoxId, PersonId};

/// A question that was passed on so often is answered with "nobody's".
const MAX_HOPS: u8 = 8;

impl Sighting {
    /// Not after a question that went round in vain: it would go round again at once.
    pub(super) fn ask_again(&self) -> Option<Command> {
        (self.hops < MAX_HOPS).then_some(Command::AskAgain { fob: self.fob })
    }
}

impl SmartBox {
    pub(super) fn decide_heard(&self, from: BoxOrOther, message: &BoxMessage, events: &mut Vec<Event>) {
        match message {
            BoxMessage::PlanChanged { plan } => {
                if *plan != self.plan {
                    events.push(Event::PlanSet { plan: *plan });
                }
            }
            BoxMessage::AlertsChanged(settings) => self.decide_alert_settings(settings, events),
            BoxMessage::FobSeen(sighting) => self.answer_sighting(sighting, events),
            BoxMessage::KeyMoved { key, accesses, sighting, code, booked, alerts } => {
                if let (BoxOrOther::Box(from), None) = (from, self.key(key.id)) {
                    let (code, booked, alerts) = (*code, *booked, alerts.clone());
                    let arrival = Arrival { code, booked, alerts, ..self.arrival(key, accesses, from, sighting) };
                    events.push(Event::KeyArrived(Box::new(arrival)));
                }
            }
            BoxMessage::KeyCodeWanted { key, to, generation } => {
                events.push(Event::KeyCodeTold { key: *key, to: *to, generation: *generation });
            }
            BoxMessage::PassUsed { pass, used } => events.extend(self.pass_used(*pass, *used)),
            // A key code that is not sealed any more. The others become commands of their own before they come here.
            BoxMessage::KeyCodeGiven { .. }
            | BoxMessage::ReissueKeyCodes { .. }
            | BoxMessage::PersonCredentials { .. } => {}
            BoxMessage::OfflineSettings(settings) => self.decide_settings(settings, events),
            BoxMessage::FobMovedOn { sighting, key } => {
                if let Some(visitor) = self.asked_visitor(&sighting.fob) {
                    events.push(match visitor.place {
                        Place::Bin(_) if visitor.heard > sighting.heard => {
                            Event::VisitorAskedAgain { fob: visitor.fob }
                        }
                        Place::Bin(_) => Event::VisitorMovedOn { fob: visitor.fob, key: *key },
                        Place::Out(_) | Place::Unknown => Event::VisitorForgotten { fob: visitor.fob },
                    });
                }
            }
            BoxMessage::FobHeldElsewhere { sighting } => {
                if let (Some(visitor), BoxOrOther::Box(elsewhere)) = (self.asked_visitor(&sighting.fob), from) {
                    let fob = visitor.fob;
                    events.push(match visitor.place {
                        Place::Bin(bin) => {
                            let bin = self.bins[usize::from(bin)].label;
                            Event::VisitorDoubled { number: self.server_conflict(0), fob, bin, elsewhere }
                        }
                        Place::Out(_) | Place::Unknown => Event::VisitorForgotten { fob },
                    });
                }
            }
            BoxMessage::FobUnclaimed { sighting } => self.settle_unclaimed(&sighting.fob, events),
            BoxMessage::FobLeft { fob } => {
                if self.leaving.contains(fob) {
                    events.push(Event::FobReleased { fob: *fob });
                }
            }
            BoxMessage::PersonChanged { person, revision } => {
                let behind = self.person(*person).is_some_and(|known| known.heard < heard_as(*revision));
                if behind && self.generation > 0 {
                    events.push(Event::CredentialsAsked { person: *person });
                }
            }
            BoxMessage::PersonGone { person } => {
                let own = self.accesses.iter().filter(|access| access.person == *person);
                events.extend(own.map(|access| access.revoked()));
            }
        }
    }

    /// Our question, or one that we passed on, came back: nobody holds this fob.
    pub(super) fn decide_unclaimed(&self, sighting: &Sighting, events: &mut Vec<Event>) {
        if sighting.by == self.id() {
            self.settle_unclaimed(&sighting.fob, events);
        } else {
            events.push(Event::SightingAnswered { sighting: *sighting, answer: SightingAnswer::Unclaimed });
        }
    }

    fn settle_unclaimed(&self, fob: &Fob, events: &mut Vec<Event>) {
        let Some(visitor) = self.asked_visitor(fob) else { return };
        if let Some(key) = self.may_learn(visitor.named, fob) {
            events.push(self.fob_set(key, *fob));
            return;
        }
        events.push(match visitor.place {
            Place::Bin(bin) => {
                let bin = self.bins[usize::from(bin)].label;
                Event::VisitorUnknown { fob: *fob, bin, person: visitor.person }
            }
            Place::Out(_) | Place::Unknown => Event::VisitorForgotten { fob: *fob },
        });
    }

    pub(super) fn asked_again(&self, fob: &Fob) -> Option<Event> {
        self.asked_visitor(fob).map(|visitor| Event::VisitorAskedAgain { fob: visitor.fob })
    }

    /// A fob that is nobody's lies here, and this box answers for it.
    pub(super) fn holds_unknown(&self, fob: &Fob) -> bool {
        self.visitor(fob).is_some_and(|visitor| visitor.claimed)
    }

    fn asked_visitor(&self, fob: &Fob) -> Option<&Visitor> {
        self.visitor(fob).filter(|visitor| visitor.asked.is_some())
    }

    /// Another box holds this fob in its hands: the key's record goes there, whatever is believed here. Only that it
    /// came here, heard of after that sighting, stands against it (messages of several boxes may overtake each other).
    fn answer_sighting(&self, sighting: &Sighting, events: &mut Vec<Event>) {
        let (sighting, own) = (*sighting, sighting.by == self.id());
        let answer = if let Some(key) = self.key_on(&sighting.fob) {
            if own {
                return;
            }
            if key.place == Place::Unknown || sighting.heard >= key.heard {
                let own = self.accesses.iter().map(Access::record);
                let own = own.filter(|record| record.scope == Scope::Key(key.id));
                let bin = match key.place {
                    Place::Bin(bin) => Some(self.bins[usize::from(bin)].label),
                    Place::Out(_) | Place::Unknown => None,
                };
                let accesses: Box<[AccessRecord]> = own.collect();
                let code = self.key_code(key.id).and_then(|known| known.code);
                let booked = accesses.iter().any(|access| self.booking(access.id).is_some()).then_some(true);
                let alerts = self.key_alerts(key.id);
                let alerts = (alerts != KeyAlerts::default()).then(|| Box::new(alerts));
                let departure = Departure { key: key.record(), accesses, sighting, bin, code, booked, alerts };
                events.push(Event::KeyDeparted(Box::new(departure)));
                return;
            }
            SightingAnswer::MovedOn(key.id)
        } else if !own && self.holds_unknown(&sighting.fob) {
            // Also one that hung on a key which has moved away, and was replaced there.
            SightingAnswer::HeldHere
        } else if let Some(departed) = self.departed.iter().find(|departed| departed.fob == sighting.fob) {
            if departed.to == sighting.by {
                return;
            }
            SightingAnswer::PassedOn(departed.to)
        } else if own {
            // We hold the claim of an unknown fob ourselves.
            return self.settle_unclaimed(&sighting.fob, events);
        } else {
            SightingAnswer::AskedAround
        };
        let passes_on = matches!(answer, SightingAnswer::PassedOn(_) | SightingAnswer::AskedAround);
        let answer = if passes_on && sighting.hops >= MAX_HOPS { SightingAnswer::Unclaimed } else { answer };
        events.push(Event::SightingAnswered { sighting, answer });
    }

    /// Where a key that moves in is by now, and whether it may be here.
    fn arrival(&self, key: &KeyRecord, accesses: &[AccessRecord], from: BoxId, sighting: &Sighting) -> Arrival {
        let visitor = key.fob.as_ref().and_then(|fob| self.visitor(fob));
        let (bin, person) = match visitor.map(|visitor| visitor.place) {
            Some(Place::Bin(bin)) => (Some(self.bins[usize::from(bin)].label), None),
            Some(Place::Out(person)) => (None, person),
            Some(Place::Unknown) | None => (None, None),
        };
        Arrival {
            key: key.clone(),
            accesses: accesses.into(),
            from,
            at: visitor.map_or(sighting.at, |visitor| visitor.since),
            flagged: !key.roaming && !sighting.corrected,
            bin,
            person,
            code: None,
            booked: None,
            alerts: None,
        }
    }

    pub(super) fn decide_credentials(
        &self,
        person: PersonId,
        revision: u64,
        generation: u32,
        code: Option<Verifier>,
        badges: &[Verifier],
        events: &mut Vec<Event>,
    ) {
        let Some(known) = self.person(person) else { return };
        if generation == self.generation && known.heard < heard_as(revision) {
            events.push(Event::CredentialsSet { person, revision, code, badges: badges.into() });
        }
    }
}
