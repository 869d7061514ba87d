//! The machine: which command is decided where, and what a box takes from messages.

use super::{
    codes::KeyCodesPlain,
    command::{Answer, BoxOrOther, Command, Refusal},
    decide_codes::Wanted,
    event::Event,
    messages::{BookingPlain, BoxMessage, CredentialsPlain},
    state::SmartBox,
    stolen,
    words::Verifier,
};
use crate::kernel::{
    Address, BoxId, ClaimOp, Codec, Context, Effects, EntityKind, Incoming, KeyedHash, Machine, Progress, Stamp,
    UnixMillis,
};
use crate::orgs::Mark;
use hmac::{Hmac, Mac};
use sha2::Sha256;

impl Machine for SmartBox {
    const KIND: EntityKind = EntityKind::SmartBox;
    const EVOLVE_VERSION: u16 = 4;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;
    type Answer = Answer;
    type View = ();

    fn blank(address: Address) -> Self {
        Self::blank_at(address)
    }

    fn decide(
        &self,
        command: &Command,
        step: usize,
        cx: &Context,
        events: &mut Vec<Event>,
    ) -> Result<Progress, Refusal> {
        if !self.exists() {
            return match command {
                Command::Create(creation) => self.decide_create(creation, events),
                Command::Tick | Command::Heard { .. } | Command::Unclaimed { .. } | Command::AskAgain { .. } => Ok(()),
                Command::Credentials { .. } | Command::KeyCodeGiven { .. } | Command::ReissueKeyCodes(_) => Ok(()),
                _ => Err(Refusal::NotFound),
            }
            .map(|()| Progress::Done);
        }
        // A sync begins and ends alerts before it closes, any other command when it has changed what it changes.
        if step > 0 && !matches!(command, Command::Sync { .. }) {
            self.alert(self.standing(), cx.now, events);
            return Ok(Progress::Done);
        }
        match command {
            Command::Create(creation) => self.decide_create(creation, events)?,
            Command::Describe { name, location, zone } => {
                self.decide_describe(name.as_deref(), location.as_deref(), zone.as_deref(), events);
            }
            Command::MakeEnrolmentCode { code_hash, expires, stolen } => {
                self.decide_enrolment_code(*code_hash, *expires, *stolen, events);
            }
            Command::Unlink => self.decide_unlink(events),
            Command::Enrol { code_hash, token_hash } => self.decide_enrol(*code_hash, *token_hash, cx, events)?,
            Command::Sync { token_hash, request } => return self.decide_sync(token_hash, request, step, cx, events),
            Command::Confirm { token_hash, cursor } => self.decide_confirm(token_hash, *cursor, cx, events)?,
            Command::SetBin { bin, state, size } => self.decide_bin(*bin, *state, *size, events)?,
            Command::CorrectBin { bin, fob, key } => self.decide_correct(*bin, *fob, *key, events)?,
            Command::ConfirmBin { bin } => self.decide_confirm_bin(*bin, events)?,
            Command::AddKey { key, bin, .. } => self.decide_add_key(key, *bin, events)?,
            Command::ChangeKey { key, name, roaming, groups, size, fob, texts } => {
                let (name, groups) = (name.as_deref(), groups.as_deref());
                let known = self.key(*key).ok_or(Refusal::KeyNotFound)?;
                known.decide_change(name, *roaming, groups, *size, texts.as_ref(), events);
                if let Some(fob) = fob {
                    self.decide_fob(*key, *fob, events)?;
                }
            }
            Command::RemoveKey { key } => self.decide_remove_key(*key, events)?,
            Command::Grant { accesses } => self.decide_grant(accesses, events)?,
            Command::Revoke { access } => self.decide_revoke(*access, events)?,
            Command::ResolveConflict { conflict, accept } => self.decide_resolve(conflict, *accept, events)?,
            Command::SetAlerts { settings } => self.decide_alert_settings(settings, events),
            Command::SetKeyAlerts { key, alerts } => self.decide_key_alerts(*key, *alerts, events)?,
            Command::AcknowledgeAlert { number } => self.decide_acknowledge(*number, events)?,
            Command::Online(command) => self.decide_online(command, cx, events)?,
            Command::Tick => self.decide_tick(cx, events),
            Command::Heard { from, message } => self.decide_heard(*from, message, events),
            Command::Unclaimed { sighting } => self.decide_unclaimed(sighting, events),
            Command::AskAgain { fob } => events.extend(self.asked_again(fob)),
            Command::Credentials { person, revision, generation, code, badges, pin, bookings } => {
                self.decide_pin(*person, *revision, *generation, *pin, events);
                self.decide_bookings(*person, *revision, *generation, bookings, events);
                self.decide_credentials(*person, *revision, *generation, *code, badges, events);
            }
            Command::SetKeyCode { key, mark, verifier, generation, base, plain: _ } => {
                self.decide_key_code(*key, *mark, verifier.filter(|_| *generation == self.generation), *base, events)?;
            }
            Command::KeyCodeGiven { key, mark, verifier, generation } => {
                self.decide_key_code_given(*key, *mark, *verifier, *generation, events);
            }
            Command::ReissueKeyCodes(new) => self.decide_new_key_codes(new, events),
            Command::ShowSheet { number, renew, generation, marks } => {
                self.decide_sheet(*number, *renew, *generation, marks.len(), events)?;
            }
            Command::SignPass { pass, access, hours, key, renew, moved } => {
                let (moved, hours) = (*moved, *hours);
                let wanted = Wanted { pass: *pass, access: *access, hours, key: *key, moved };
                self.decide_pass(&wanted, *renew, cx.now, events)?;
            }
            Command::TakeSettings(settings) => self.decide_settings(settings, events),
        }
        Ok(if self.concerns_alerts(events) { Progress::More } else { Progress::Done })
    }

    fn evolve(&mut self, event: &Event, stamp: Stamp) {
        self.apply(event, stamp);
    }

    fn claims(&self, command: &Command, events: &[Event], claims: &mut Vec<ClaimOp>) {
        self.fob_claims(events, claims);
        self.code_claims(command, events, claims);
    }

    fn answer(&self, command: &Command, events: &[Event], revision: u64, cx: &Context) -> Answer {
        self.answer_to(command, events, revision, cx)
    }

    fn tag(&self, command: &Command, _revision: u64) -> Option<u64> {
        self.tag_of(command)
    }

    fn effects(&self, command: &Command, events: &[Event], cx: &Context, effects: &mut Effects) {
        self.what_follows(command, events, cx, effects);
    }

    fn next_deadline(&self) -> Option<UnixMillis> {
        self.earliest_deadline()
    }

    fn tick() -> Option<Command> {
        Some(Command::Tick)
    }

    fn if_taken(command: &Command) -> Option<Command> {
        match command {
            Command::Unclaimed { sighting } | Command::Heard { message: BoxMessage::FobUnclaimed { sighting }, .. } => {
                sighting.ask_again()
            }
            _ => None,
        }
    }

    fn message(incoming: Incoming<'_>) -> Result<Command, String> {
        let message = BoxMessage::decode_from(incoming.body)?;
        if incoming.unclaimed {
            return match message {
                BoxMessage::FobSeen(sighting) => Ok(Command::Unclaimed { sighting }),
                // Forgotten by whoever has signed it.
                BoxMessage::PassUsed { .. } => Ok(Command::Heard { from: BoxOrOther::Other, message }),
                _ => Err("only a sighting goes to a claim's holder".to_owned()),
            };
        }
        if let BoxMessage::PersonCredentials { person, revision, generation } = message {
            // Without a row there are no credentials (any more).
            let plain = incoming.secret.map(CredentialsPlain::decode_from).transpose()?.unwrap_or_default();
            let key = verifier_key(incoming.keys, BoxId(incoming.to.entity.raw), generation);
            let code = plain.code.as_deref().map(|code| verifier(&key, "code:", code));
            let badges = plain.badges.iter().map(|badge| verifier(&key, "badge:", badge)).collect();
            let booking = |plain: &BookingPlain| (plain.access, verifier(&key, "booking:", &plain.code));
            let bookings = plain.bookings.iter().map(booking).collect();
            // With whose it is: equal PINs must not look equal.
            let pin = plain.pin.as_deref().map(|pin| verifier(&key, "pin:", &format!("{person}:{pin}")));
            return Ok(Command::Credentials { person, revision, generation, code, badges, pin, bookings });
        }
        if let BoxMessage::ReissueKeyCodes { base, generation, keys } = &message {
            return stolen::drawn(*base, *generation, keys, &incoming);
        }
        if let BoxMessage::KeyCodeGiven { key, generation } = message {
            let plain = incoming.secret.map(KeyCodesPlain::decode_from).transpose()?.unwrap_or_default();
            let Some(found) = plain.codes.iter().find(|found| found.key == key) else {
                return Ok(Command::Heard { from: BoxOrOther::Other, message });
            };
            let by = verifier_key(incoming.keys, BoxId(incoming.to.entity.raw), generation);
            return Ok(Command::KeyCodeGiven {
                key,
                mark: Mark::of(incoming.keys, TYPED, incoming.to.org, &found.code),
                verifier: verifier(&by, "key:", &found.code),
                generation,
            });
        }
        let from = match incoming.from.entity.kind {
            EntityKind::SmartBox => BoxOrOther::Box(BoxId(incoming.from.entity.raw)),
            _ => BoxOrOther::Other,
        };
        Ok(Command::Heard { from, message })
    }

    fn standing_rows(&self, rows: &mut Effects) {
        self.rows_of_state(rows);
    }

    fn to_snapshot(&self, bytes: &mut Vec<u8>) {
        self.encode_into(bytes);
    }

    fn from_snapshot(bytes: &[u8]) -> Result<Self, String> {
        let mut state = Self::decode_from(bytes)?;
        state.tighten();
        Ok(state)
    }
}

/// What marks of typed digits are made for: one space for all kinds of them.
pub const TYPED: &str = "orgs.access_code";

/// The key under which this enrolment of the box hashes codes and badges.
pub fn verifier_key(keys: &dyn KeyedHash, id: BoxId, generation: u32) -> [u8; 32] {
    keys.keyed_hash("box-verifier", &[&id.to_bytes(), &generation.to_be_bytes()])
}

/// The first 16 bytes of HMAC-SHA256 over what it is (`code:`, `badge:`, `booking:`, `key:`, `pin:`) and the value.
pub fn verifier(key: &[u8; 32], kind: &str, value: &str) -> Verifier {
    let mut short = [0; 16];
    // Any length is a key to HMAC.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
        mac.update(kind.as_bytes());
        mac.update(value.as_bytes());
        short.copy_from_slice(&mac.finalize().into_bytes()[..16]);
    }
    Verifier(short)
}
