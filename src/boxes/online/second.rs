//! The second factor at pick-ups: a PIN, which boxes can check alone too, or a code by text, which only the server sends.

use super::{
    SecondFactor, Settings,
    words::{Asked, OnlineEvent, OnlineRefusal},
};
use crate::{
    boxes::{Event, Refusal, SmartBox, Verifier, evolve::heard_as, extras::Pin},
    kernel::{BoxId, Effects, KeyedHash, PersonId, Recipient, Stamp, UnixMillis, digits},
};
use minicbor::{Decode, Encode};
use std::time::Duration;

/// How long a code by text is good for one pick-up.
pub const TEXT_LIVES_FOR: Duration = Duration::from_secs(300);
/// Nobody gets another one sooner.
const TEXT_AGAIN_AFTER: Duration = Duration::from_secs(60);
const TEXT_DIGITS: usize = 6;

/// What a code by text is made of, with the server's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct TextSalt(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

/// A code that was sent and not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Texted {
    #[n(0)]
    pub person: PersonId,
    #[n(1)]
    pub salt: TextSalt,
    #[n(2)]
    pub until: UnixMillis,
}

/// What a text to a person is about. Stored in the outbox: numbers are append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct TextedCode {
    #[n(0)]
    pub smart_box: BoxId,
    #[n(1)]
    pub texted: Texted,
}

impl TextedCode {
    pub const TEXT: &str = "sms_box_code";

    pub fn code(&self, keys: &dyn KeyedHash) -> String {
        let Texted { person, salt, .. } = self.texted;
        let parts: [&[u8]; 3] = [&self.smart_box.to_bytes(), &person.to_bytes(), &salt.0];
        digits(&keys.keyed_hash("boxes.second_factor", &parts), TEXT_DIGITS)
    }
}

/// What the door found out about a second factor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Second {
    /// Whether what was typed is the person's PIN, if they have one.
    pub pin: Option<bool>,
    /// Whether it is the code that was made of this salt.
    pub text: Option<(TextSalt, bool)>,
    /// For a new code, if the person has a mobile telephone.
    pub new: Option<TextSalt>,
}

/// What becomes of a question.
pub(super) enum Judged {
    Right,
    Wrong,
    Texted(Texted),
}

impl SmartBox {
    /// A code by text that was sent to this person for this box.
    pub fn texted(&self, person: PersonId) -> Option<Texted> {
        self.extras.iter().flat_map(|extras| &extras.texts).find(|texted| texted.person == person).copied()
    }

    pub(super) fn judge_second(&self, person: PersonId, asked: &Asked, now: UnixMillis) -> Result<Judged, Refusal> {
        let needed = Err(Refusal::Online(OnlineRefusal::SecondFactorNeeded));
        let judged = |right| if right { Judged::Right } else { Judged::Wrong };
        match self.settings().second_factor {
            SecondFactor::None => Ok(Judged::Right),
            SecondFactor::Pin => asked.second.pin.map_or(needed, |right| Ok(judged(right))),
            SecondFactor::Sms => {
                let sent = self.texted(person).filter(|texted| now < texted.until);
                match (sent, asked.second.text, asked.second.new) {
                    (Some(sent), Some((salt, right)), _) => Ok(judged(right && salt == sent.salt)),
                    // Nothing was typed: the one that was sent a moment ago may still come.
                    (Some(sent), None, _) if now.plus(TEXT_LIVES_FOR - TEXT_AGAIN_AFTER) < sent.until => needed,
                    (None, Some(_), _) => Ok(Judged::Wrong),
                    (_, _, Some(salt)) => Ok(Judged::Texted(Texted { person, salt, until: now.plus(TEXT_LIVES_FOR) })),
                    (_, _, None) => needed,
                }
            }
        }
    }

    /// Whether the box has to check PINs while it decides alone.
    pub(in crate::boxes) fn checks_pins(&self) -> bool {
        self.model.exchanges_offline() && self.settings().second_factor != SecondFactor::None
    }

    pub(in crate::boxes) fn decide_pin(
        &self,
        person: PersonId,
        revision: u64,
        generation: u32,
        pin: Option<Verifier>,
        events: &mut Vec<Event>,
    ) {
        let stale = self.person(person).is_none_or(|known| known.heard > heard_as(revision));
        if stale || generation != self.generation || !self.checks_pins() {
            return;
        }
        let known = self.extras.iter().flat_map(|extras| &extras.pins).find(|known| known.person == person);
        if known.and_then(|known| known.verifier) != pin {
            events.push(Event::PinSet { person, pin });
        }
    }

    pub(in crate::boxes) fn set_pin(&mut self, person: PersonId, verifier: Option<Verifier>, stamp: Stamp) {
        let pins = &mut self.extras_mut().pins;
        pins.retain(|known| known.person != person);
        pins.push(Pin { person, verifier, revision: stamp.revision });
        self.miss_permission(stamp);
    }

    pub(super) fn set_settings(&mut self, settings: Settings, stamp: Stamp) {
        let online = self.online.get_or_insert_default();
        online.settings = settings;
        online.set_at = stamp.revision;
        if !self.checks_pins()
            && let Some(extras) = self.extras.as_deref_mut().filter(|extras| !extras.pins.is_empty())
        {
            extras.pins = Vec::new();
            // Nothing else tells the box to forget them.
            self.delta_from = stamp.revision;
        }
        self.miss(stamp);
    }

    pub(super) fn note_texted(&mut self, texted: Texted, now: UnixMillis) {
        let texts = &mut self.extras_mut().texts;
        texts.retain(|known| known.person != texted.person && now < known.until);
        texts.push(texted);
    }

    /// A code by text is good for one pick-up.
    pub(super) fn spend_text(&mut self, person: Option<PersonId>) {
        if let (Some(person), Some(extras)) = (person, self.extras.as_deref_mut()) {
            extras.texts.retain(|known| known.person != person);
        }
    }

    pub(in crate::boxes) fn follow_second(&self, event: &OnlineEvent, effects: &mut Effects) {
        match event {
            // Those who have one are asked for it.
            OnlineEvent::SettingsSet(_) if self.checks_pins() && self.generation > 0 => {
                self.people.iter().for_each(|person| self.ask_person(person.id, effects));
            }
            OnlineEvent::CodeTexted(texted) => {
                let about = TextedCode { smart_box: self.id(), texted: *texted };
                effects.mail(TextedCode::TEXT, Recipient::Mobile(texted.person), &about, texted.until);
            }
            _ => {}
        }
    }
}
