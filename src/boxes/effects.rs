//! What follows from a change: claims, rows, messages, the answer.

use super::{
    changes::{Receipt, SyncAnswer},
    codes::PassUse,
    command::{Act, Answer, Command, KeyRecord, SyncRequest},
    event::{Event, Judged, SightingAnswer, Suspicion},
    mails::{BoxMail, CODES_WITHIN, MailNews},
    messages::{BoxMessage, PersonMessage, Sighting},
    online::OnlineEvent,
    rows::{BoxRow, BoxVersion, Conflict, KeyRow, Resolution, ServerVersion, numbered_key, person_box_key},
    state::SmartBox,
    words::{Clash, Fault, Fob, Label, Outcome},
};
use crate::kernel::{
    BoxId, ClaimOp, ClaimSpace, Codec, Context, Effects, KeyId, MessageTarget, PassId, PersonId, Recipient, RowSpace,
    UnixMillis, VaultField,
};

/// What says which box answers for a fob.
pub fn fob_claim(fob: &Fob) -> (ClaimSpace, Vec<u8>) {
    (ClaimSpace::Fob, fob.as_bytes().to_vec())
}

impl SmartBox {
    pub(super) fn fob_claims(&self, events: &[Event], claims: &mut Vec<ClaimOp>) {
        for event in events {
            match event {
                Event::KeyAdded { key, .. } => claims.extend(key.fob.as_ref().map(|fob| self.take_fob(fob))),
                Event::KeyFobSet { fob, before, .. } => {
                    claims.push(self.take_fob(fob));
                    claims.extend(before.as_ref().map(release));
                }
                // In a bin it stays, unknown, and this box still answers for it.
                Event::KeyRemoved { fob: Some(fob), .. } if self.bin_of(fob).is_none() => claims.push(release(fob)),
                Event::KeyArrived(arrival) => {
                    let from = arrival.from.at(self.home.org);
                    let inherited = arrival.key.fob.as_ref().map(fob_claim);
                    claims.extend(inherited.map(|(space, value)| ClaimOp::Inherit { space, value, from }));
                }
                Event::VisitorUnknown { fob, .. } => {
                    let (space, value) = fob_claim(fob);
                    claims.push(ClaimOp::Take { space, value });
                }
                Event::FobReleased { fob } => claims.push(release(fob)),
                Event::BinCorrected { bin, fob, .. } => {
                    let gone =
                        self.bin_index(bin).and_then(|index| self.bins[index].fob).filter(|gone| Some(*gone) != *fob);
                    let claimed = gone.filter(|gone| self.holds_unknown(gone));
                    claims.extend(claimed.as_ref().map(release));
                }
                _ => {}
            }
        }
    }

    fn take_fob(&self, fob: &Fob) -> ClaimOp {
        let (space, value) = fob_claim(fob);
        // While a key's record is on its way to another box, its fob is still claimed here, and not free.
        let is_leaving = self.departed.iter().any(|departed| departed.fob == *fob);
        match is_leaving && !self.holds_unknown(fob) {
            true => ClaimOp::TakeFree { space, value },
            false => ClaimOp::Take { space, value },
        }
    }

    pub(super) fn answer_to(&self, command: &Command, events: &[Event], revision: u64, cx: &Context) -> Answer {
        match command {
            Command::Sync { request, .. } => Answer::Synced(Box::new(self.sync_answer(request, events))),
            Command::Online(command) => Answer::Online(self.online_answer(command, events, revision, cx)),
            Command::Enrol { .. } => Answer::Enrolled { model: self.model, generation: self.generation, revision },
            _ => Answer::Done { revision },
        }
    }

    fn sync_answer(&self, request: &SyncRequest, events: &[Event]) -> SyncAnswer {
        let mut receipts = Vec::with_capacity(request.entries.len());
        let resume_at = self.journal.next;
        let shut_out = events.iter().find_map(|event| match event {
            Event::Suspended { why, .. } => Some(*why),
            _ => None,
        });
        if let Some(why) = shut_out {
            let outcome = Outcome::Rejected(match why {
                Suspicion::SequenceReused { .. } => Fault::SequenceReused,
                Suspicion::BehindReceipts { .. } | Suspicion::Stolen => Fault::BehindReceipts,
            });
            receipts.extend(request.entries.iter().map(|entry| Receipt { seq: entry.seq(), outcome }));
            return SyncAnswer {
                receipts,
                resume_at,
                cursor: request.cursor,
                changes: Default::default(),
                next_sync_s: self.sync.next_sync_s.max(1),
                due_by: None,
                plan: self.plan,
            };
        }
        let mut judged = events.iter().filter_map(|event| match event {
            Event::EntryJudged(judged) => Some(judged),
            _ => None,
        });
        let mut next = judged.next();
        for entry in &request.entries {
            let seq = entry.seq();
            let outcome = match next.filter(|judged| judged.seq == seq) {
                Some(judged_now) => {
                    next = judged.next();
                    judged_now.outcome
                }
                None if seq < resume_at => Outcome::Duplicate,
                None => break,
            };
            receipts.push(Receipt { seq, outcome });
        }
        let shown = events.iter().rev().find_map(|event| match event {
            Event::Synced(synced) => Some(synced.shown),
            _ => None,
        });
        SyncAnswer {
            receipts,
            resume_at,
            cursor: Some(self.cursor()),
            changes: self.changes_since(shown.unwrap_or_default()),
            next_sync_s: self.sync.next_sync_s,
            due_by: self.due_by(),
            plan: self.plan,
        }
    }

    pub(super) fn what_follows(&self, command: &Command, events: &[Event], cx: &Context, effects: &mut Effects) {
        let mut rewrite = self.pending_since() == Some(cx.now);
        let mut wanted: Vec<PersonId> = Vec::new();
        let mut news = MailNews::default();
        for event in events {
            news.note(event);
            self.tell_pass_used(event, effects);
            self.note_group_access(event, effects);
            self.remind(event, effects);
            match event {
                Event::Created(_)
                | Event::Described { .. }
                | Event::PlanSet { .. }
                | Event::WentOffline
                | Event::Unlinked
                | Event::Restored { .. } => rewrite = true,
                Event::Synced(synced) => rewrite |= synced.back || synced.settled,
                Event::Confirmed { settled, .. } => rewrite |= settled,
                Event::EnrolmentCodeMade { code_hash, .. } => {
                    let id = self.id().to_bytes().to_vec();
                    effects.put(RowSpace::EnrolmentCodes, cx.org, &code_hash.0, id);
                }
                Event::EnrolmentCodeDropped { code_hash } => {
                    effects.delete(RowSpace::EnrolmentCodes, cx.org, &code_hash.0);
                }
                Event::Enrolled { code_hash, .. } => {
                    effects.delete(RowSpace::EnrolmentCodes, cx.org, &code_hash.0);
                    wanted.extend(self.people.iter().map(|person| person.id));
                    self.ask_key_codes(effects);
                    rewrite = true;
                }
                Event::AccessGranted(record) => wanted.push(record.person),
                Event::AccessRevoked { person, .. } => self.unwant(*person, cx, effects),
                Event::CredentialsAsked { person } => self.ask_person(*person, effects),
                Event::KeyAdded { key, .. } => self.put_key(key.id, effects),
                Event::KeyChanged { key, .. } | Event::KeyFobSet { key, .. } => self.put_key(*key, effects),
                Event::KeyRemoved { key, .. } => {
                    let key = KeyId::to_bytes(*key);
                    effects.delete(RowSpace::Keys, cx.org, &key);
                    effects.delete(RowSpace::KeyTexts, cx.org, &key);
                }
                Event::KeyArrived(arrival) => {
                    self.put_key(arrival.key.id, effects);
                    wanted.extend(arrival.accesses.iter().map(|access| access.person));
                    self.ask_key_codes(effects);
                    if arrival.booked == Some(true) && self.generation > 0 {
                        let mut people: Vec<_> = arrival.accesses.iter().map(|access| access.person).collect();
                        people.sort_unstable();
                        people.dedup();
                        let known = |person: &PersonId| self.person(*person).is_some_and(|known| known.heard > 0);
                        people.into_iter().filter(known).for_each(|person| self.ask_person(person, effects));
                    }
                }
                Event::KeyCodeSet { verifier, .. } => {
                    if let Command::SetKeyCode { plain, .. } = command {
                        effects.seal(VaultField::KeyCodes, plain.to_vec());
                    }
                    if verifier.is_none() {
                        self.ask_key_codes(effects);
                    }
                }
                Event::CodesExposed { .. } => self.tell_exposed(effects),
                Event::KeyCodesExposed => self.ask_new_key_codes(effects),
                Event::BookingEnded { access, person } => {
                    let ended = PersonMessage::BookingEnded { access: *access };
                    effects.send(MessageTarget::Entity(person.at(self.home.org)), &ended);
                }
                Event::KeyCodeTold { key, to, generation } => {
                    let told = BoxMessage::KeyCodeGiven { key: *key, generation: *generation };
                    let own = self.id().at(self.home.org);
                    let to = MessageTarget::Entity(to.at(self.home.org));
                    effects.send_with_secret(to, &told, own, VaultField::KeyCodes);
                }
                Event::KeyDeparted(departure) => {
                    let (key, accesses) = (departure.key.clone(), departure.accesses.clone());
                    let (sighting, code, booked) = (departure.sighting, departure.code, departure.booked);
                    let alerts = departure.alerts.clone();
                    let moved = BoxMessage::KeyMoved { key, accesses, sighting, code, booked, alerts };
                    self.tell(sighting.by, &moved, effects);
                    departure.accesses.iter().for_each(|access| self.unwant(access.person, cx, effects));
                }
                Event::SightingAnswered { sighting, answer } => self.pass_on(*sighting, *answer, effects),
                Event::VisitorAskedAgain { fob } => self.ask_home(fob, effects),
                Event::AlertRaised(_) | Event::AlertAcknowledged { .. } | Event::AlertEnded { .. } => {
                    self.alert_row(event, effects);
                }
                _ => rewrite |= self.keep(event, command, cx, &mut news, effects),
            }
        }
        effects.rings = self.concerns_its_link(command);
        self.mail(news, cx.now, effects);
        self.ask_homes(events, cx.now, effects);
        self.let_go(events, effects);
        wanted.sort_unstable();
        wanted.dedup();
        for person in wanted {
            effects.put(RowSpace::PersonBoxes, cx.org, &person_box_key(person, self.id()), Vec::new());
            if self.generation > 0 && self.person(person).is_some_and(|known| known.heard == 0) {
                self.ask_person(person, effects);
            }
        }
        if let Command::AddKey { key: KeyRecord { id: key, .. }, texts: Some(texts), .. }
        | Command::ChangeKey { key, texts: Some(texts), .. } = command
        {
            effects.put(RowSpace::KeyTexts, cx.org, &KeyId::to_bytes(*key), texts.to_bytes());
        }
        if let (Command::ReissueKeyCodes(new), Some(Event::KeyCodeSet { .. })) = (command, events.first()) {
            effects.seal(VaultField::KeyCodes, new.plain.to_vec());
            let keys = new.codes.iter().map(|(key, ..)| *key).collect();
            let mail = BoxMail::KeyCodes { smart_box: self.id(), at: cx.now, keys };
            effects.mail(mail.template(), Recipient::Owner, &mail, cx.now.plus(CODES_WITHIN));
        }
        if rewrite {
            effects.put(RowSpace::Boxes, cx.org, &self.id().to_bytes(), self.row().to_bytes());
        }
    }

    /// Whoever has signed a pass hears of its use.
    fn tell_pass_used(&self, event: &Event, effects: &mut Effects) {
        if let Some(judged) = event.judged()
            && let Some(pass) = judged.opened_by()
            && !judged.exchange.is_some_and(|of| of.known)
            && self.signed_pass(pass).is_none()
        {
            let (space, value) = (ClaimSpace::Pass, PassId::to_bytes(pass).to_vec());
            let told = BoxMessage::PassUsed { pass, used: PassUse { at: self.id(), seq: judged.seq } };
            effects.send(MessageTarget::ClaimHolder { space, value }, &told);
        }
    }

    /// Conflicts, whole. Whether there was one.
    fn keep(&self, event: &Event, command: &Command, cx: &Context, news: &mut MailNews, effects: &mut Effects) -> bool {
        let conflict = match event {
            Event::Online(event) => match &**event {
                OnlineEvent::ExchangeCompleted { judged, number: Some(number) } => {
                    self.entry_row(*number, judged, cx.now)
                }
                event => {
                    self.follow_second(event, effects);
                    self.put_order(event, command, cx, effects);
                    return false;
                }
            },
            Event::EntryJudged(judged) if !judged.outcome.took_place() => {
                self.entry_row(self.entry_conflict(judged.seq), judged, cx.now)
            }
            Event::Suspended { entry: Some(judged), number: Some(number), .. } => {
                self.entry_row(*number, judged, cx.now)
            }
            Event::Suspended { .. } => return true,
            Event::LatePickUpMissing { number, bin, fob, key } => {
                let found = ServerVersion { key: *key, ..self.found(self.bin_index(bin), Some(*fob)) };
                self.server_row(*number, Clash::LatePickUpMissing, Act::PickUp(*fob), *bin, found, cx.now)
            }
            Event::VisitorDoubled { number, fob, bin, .. } => {
                let found = self.found(self.bin_index(bin), Some(*fob));
                self.server_row(*number, Clash::FobInTwoBoxes, Act::DropOff(*fob), *bin, found, cx.now)
            }
            Event::JournalGap { number, first, last } => {
                let text = Some(format!("{first} to {last}").into());
                Conflict {
                    number: *number,
                    kept_at: cx.now,
                    outcome: Outcome::Ignored(Clash::JournalGap),
                    box_says: BoxVersion { at: cx.now, text, ..BoxVersion::default() },
                    server_says: ServerVersion::default(),
                    resolved: None,
                }
            }
            Event::ConflictResolved { accept, .. } => {
                let Command::ResolveConflict { conflict, .. } = command else { return false };
                let resolved = Some(Resolution { at: cx.now, accept: *accept });
                Conflict { resolved, ..(**conflict).clone() }
            }
            _ => return false,
        };
        if conflict.resolved.is_none() {
            news.conflicts.push(conflict.number);
        }
        effects.put(RowSpace::Conflicts, cx.org, &numbered_key(self.id(), conflict.number), conflict.to_bytes());
        true
    }

    fn entry_row(&self, number: u64, judged: &Judged, kept_at: UnixMillis) -> Conflict {
        Conflict {
            number,
            kept_at,
            outcome: judged.outcome,
            box_says: BoxVersion {
                act: judged.act,
                bin: judged.bin,
                person: judged.person,
                box_time: judged.box_time,
                at: judged.at,
                estimated: judged.estimated,
                cursor: judged.cursor,
                text: judged.text.clone(),
            },
            server_says: judged.found.as_deref().cloned().unwrap_or_default(),
            resolved: None,
        }
    }

    fn server_row(
        &self,
        number: u64,
        clash: Clash,
        act: Act,
        bin: Label,
        server_says: ServerVersion,
        at: UnixMillis,
    ) -> Conflict {
        let box_says = BoxVersion { act: Some(act), bin: Some(bin), at, ..BoxVersion::default() };
        Conflict { number, kept_at: at, outcome: Outcome::Ignored(clash), box_says, server_says, resolved: None }
    }

    /// The rows that this box stands for. Conflicts and long texts stand in rows alone.
    pub(super) fn rows_of_state(&self, effects: &mut Effects) {
        if !self.exists() {
            return;
        }
        let (org, id) = (self.home.org, self.id().to_bytes());
        effects.put(RowSpace::Boxes, org, &id, self.row().to_bytes());
        if let Some(code) = &self.enrolment {
            effects.put(RowSpace::EnrolmentCodes, org, &code.hash.0, id.to_vec());
        }
        for key in &self.keys {
            self.put_key(key.id, effects);
        }
        for person in &self.people {
            effects.put(RowSpace::PersonBoxes, org, &person_box_key(person.id, self.id()), Vec::new());
        }
        for alert in self.alerts.iter().flat_map(|alerts| &alerts.in_force) {
            effects.put(RowSpace::Alerts, org, &numbered_key(self.id(), alert.number), alert.to_bytes());
        }
    }

    fn alert_row(&self, event: &Event, effects: &mut Effects) {
        let org = self.home.org;
        let alert = match event {
            Event::AlertEnded { number, .. } => {
                return effects.delete(RowSpace::Alerts, org, &numbered_key(self.id(), *number));
            }
            Event::AlertAcknowledged { number } => self.alert_in_force(*number),
            Event::AlertRaised(condition) => self.alert_told(condition),
            _ => None,
        };
        if let Some(alert) = alert {
            effects.put(RowSpace::Alerts, org, &numbered_key(self.id(), alert.number), alert.to_bytes());
        }
    }

    fn row(&self) -> BoxRow {
        BoxRow {
            name: self.name.clone(),
            model: self.model,
            plan: self.plan,
            location: self.location.clone(),
            zone: self.zone.clone(),
            enrolled: self.token_hash.is_some(),
            suspended: self.suspended,
            offline: self.sync.offline,
            pending_since: self.pending_since(),
            open_conflicts: self.open_conflicts(),
        }
    }

    fn put_key(&self, key: KeyId, effects: &mut Effects) {
        if let Some(key) = self.key(key) {
            let row = KeyRow {
                home: self.id(),
                name: key.name.clone(),
                fob: key.fob,
                roaming: key.roaming,
                groups: key.groups[..].into(),
                size: key.size,
            };
            effects.put(RowSpace::Keys, self.home.org, &key.id.to_bytes(), row.to_bytes());
        }
    }

    fn unwant(&self, person: PersonId, cx: &Context, effects: &mut Effects) {
        if self.person(person).is_none() {
            effects.delete(RowSpace::PersonBoxes, cx.org, &person_box_key(person, self.id()));
        }
    }

    pub(super) fn ask_person(&self, person: PersonId, effects: &mut Effects) {
        let wanted = PersonMessage::CredentialsWanted { to: self.id(), generation: self.generation };
        effects.send(MessageTarget::Entity(person.at(self.home.org)), &wanted);
    }

    pub(super) fn tell(&self, other: BoxId, message: &BoxMessage, effects: &mut Effects) {
        effects.send(MessageTarget::Entity(other.at(self.home.org)), message);
    }

    fn ask_holder(&self, sighting: Sighting, effects: &mut Effects) {
        let (space, value) = fob_claim(&sighting.fob);
        effects.send(MessageTarget::ClaimHolder { space, value }, &BoxMessage::FobSeen(sighting));
    }

    fn ask_home(&self, fob: &Fob, effects: &mut Effects) {
        let Some(visitor) = self.visitor(fob) else { return };
        let (by, at, heard, corrected) = (self.id(), visitor.since, visitor.heard, visitor.corrected);
        self.ask_holder(Sighting { fob: *fob, by, at, heard, corrected, hops: 0 }, effects);
    }

    /// Asks once for each fob that came to be a visitor with these events.
    fn ask_homes(&self, events: &[Event], now: UnixMillis, effects: &mut Effects) {
        if !events.iter().any(|event| dropped_off(event).is_some()) {
            return;
        }
        for visitor in self.visitors.iter().filter(|visitor| visitor.asked == Some(now)) {
            let came = |event: &Event| dropped_off(event) == Some(visitor.fob);
            if events.iter().any(came) {
                self.ask_home(&visitor.fob, effects);
            }
        }
    }

    fn pass_on(&self, sighting: Sighting, answer: SightingAnswer, effects: &mut Effects) {
        let passed = Sighting { hops: sighting.hops.saturating_add(1), ..sighting };
        match answer {
            SightingAnswer::PassedOn(to) => self.tell(to, &BoxMessage::FobSeen(passed), effects),
            SightingAnswer::AskedAround => self.ask_holder(passed, effects),
            SightingAnswer::MovedOn(key) => self.tell(sighting.by, &BoxMessage::FobMovedOn { sighting, key }, effects),
            SightingAnswer::HeldHere => self.tell(sighting.by, &BoxMessage::FobHeldElsewhere { sighting }, effects),
            SightingAnswer::Unclaimed => self.tell(sighting.by, &BoxMessage::FobUnclaimed { sighting }, effects),
        }
    }

    /// A fob that nobody owns and that has left: claims are given back in a first step only, so the box tells itself.
    fn let_go(&self, events: &[Event], effects: &mut Effects) {
        for event in events {
            let left = match event {
                Event::ConflictResolved { taken: Some(fob), .. } => fob,
                event => match event.judged() {
                    Some(judged @ Judged { act: Some(Act::PickUp(fob)), late: false, .. }) if judged.took_place() => {
                        fob
                    }
                    _ => continue,
                },
            };
            if self.leaving.contains(left) {
                self.tell(self.id(), &BoxMessage::FobLeft { fob: *left }, effects);
            }
        }
    }
}

fn release(fob: &Fob) -> ClaimOp {
    let (space, value) = fob_claim(fob);
    ClaimOp::Release { space, value }
}

/// The fob that this event put into a bin.
fn dropped_off(event: &Event) -> Option<Fob> {
    match event {
        Event::BinCorrected { fob, .. } => *fob,
        event => match event.judged() {
            Some(judged @ Judged { act: Some(Act::DropOff(fob)), .. }) if judged.took_place() => Some(*fob),
            _ => None,
        },
    }
}
