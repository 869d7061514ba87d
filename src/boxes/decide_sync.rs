//! The box's side of the wire: enrolment, sync step by step, confirmation, and what time alone changes.

use super::{
    command::{Refusal, SyncRequest},
    decide_alerts::Standing,
    event::{Event, Suspicion, Synced},
    judge::content_of,
    rows::{SEQ_BITS, SERVER_CONFLICT},
    state::{ASK_AGAIN_AFTER, SmartBox},
    words::{Cursor, Fault, Health, Outcome, SecretHash},
};
use crate::kernel::{Context, Progress, UnixMillis};

/// How often a box comes that has nothing to do: changes reach it within five minutes.
const NORMAL_SYNC_S: u32 = 300;
const BUSY_SYNC_S: u32 = 150;
const BUSIEST_SYNC_S: u32 = 60;
/// Entries of late that make a box busy, or busiest.
const BUSY_ENTRIES: u32 = 10;
const BUSIEST_ENTRIES: u32 = 40;

impl SmartBox {
    pub(in crate::boxes) fn check_token(&self, token_hash: &SecretHash) -> Result<(), Refusal> {
        if !self.token_hash.as_ref().is_some_and(|known| known.matches(token_hash)) {
            return Err(Refusal::TokenInvalid);
        }
        if self.suspended { Err(Refusal::Suspended) } else { Ok(()) }
    }

    pub(super) fn decide_enrol(
        &self,
        code_hash: SecretHash,
        token_hash: SecretHash,
        cx: &Context,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        let code = self.enrolment.as_ref().filter(|code| code.hash.matches(&code_hash) && cx.now < code.expires);
        if code.is_none() {
            return Err(Refusal::EnrolmentCodeInvalid);
        }
        self.orders_of_a_cabinet_that_goes(events);
        events.push(Event::Enrolled { code_hash, token_hash, generation: self.generation + 1 });
        Ok(())
    }

    /// Step 0: who is it, and is it alone? Then one entry a step; then the end.
    pub(super) fn decide_sync(
        &self,
        token_hash: &SecretHash,
        request: &SyncRequest,
        step: usize,
        cx: &Context,
        events: &mut Vec<Event>,
    ) -> Result<Progress, Refusal> {
        let Some(index) = step.checked_sub(1) else {
            self.check_token(token_hash)?;
            return Ok(self.open_sync(request, cx, events));
        };
        match request.entries.get(index) {
            Some(entry) if entry.seq() <= self.journal.next => {
                if entry.seq() == self.journal.next {
                    let judged = self.judge(entry, request, cx.now);
                    let told = self.told_of(&judged);
                    let in_vain = self.used_in_vain(&judged);
                    events.push(Event::EntryJudged(judged));
                    events.extend(told.into_iter().chain(in_vain));
                }
                Ok(Progress::More)
            }
            _ => {
                self.close_sync(request, cx, events);
                Ok(Progress::Done)
            }
        }
    }

    fn open_sync(&self, request: &SyncRequest, cx: &Context, events: &mut Vec<Event>) -> Progress {
        if cx.epoch > self.epoch {
            events.push(Event::Restored { epoch: cx.epoch });
        }
        let gap = self.gap(request);
        let Some(mut doubt) = self.doubt(request, gap.unwrap_or(self.journal.next)) else {
            events.reserve(request.entries.len() + 1);
            if let Some(next) = gap {
                let number = self.server_conflict(0);
                events.push(Event::JournalGap { number, first: self.journal.next, last: next - 1 });
            }
            return Progress::More;
        };
        if self.journal.adopting {
            // A journal that ends early goes on after its end; one that differs counts from where it differs.
            let next = if doubt.index.is_some() { doubt.seq } else { doubt.seq + 1 };
            match self.doubt(request, next.max(1)) {
                None => {
                    events.push(Event::JournalRestarted { next });
                    return Progress::More;
                }
                Some(still) => doubt = still,
            }
        }
        let Doubt { why, index, .. } = doubt;
        let entry = index.map(|index| {
            let mut judged = self.judge(&request.entries[index], request, cx.now);
            judged.outcome = Outcome::Rejected(match why {
                Suspicion::SequenceReused { .. } => Fault::SequenceReused,
                _ => Fault::BehindReceipts,
            });
            Box::new(judged)
        });
        let number = entry.as_ref().map(|_| self.server_conflict(0));
        events.push(Event::Suspended { why, entry, number });
        let standing = self.standing();
        self.alert(Standing { conflicts: standing.conflicts || number.is_some(), ..standing }, cx.now, events);
        Progress::Done
    }

    /// Where the journal goes on, if the entries before it are nowhere any more: a restored server asks for what it has
    /// lost, and the box may have thrown it away after its receipt. Neither may wait for it for ever.
    fn gap(&self, request: &SyncRequest) -> Option<u64> {
        let kept_from = request.kept_from.filter(|kept_from| *kept_from > self.journal.next)?;
        let honest = kept_from - 1 <= request.head && request.entries.iter().all(|entry| entry.seq() >= kept_from);
        honest.then_some(kept_from)
    }

    /// Whether two boxes seem to use this identity: a number with another content than was receipted (or than stands
    /// before it in this batch), or a journal behind what was receipted before `next`.
    fn doubt(&self, request: &SyncRequest, next: u64) -> Option<Doubt> {
        let oldest = self.journal.next - self.journal.contents.len() as u64;
        let (mut expected, mut head) = (next, request.head);
        for (index, entry) in request.entries.iter().enumerate() {
            let seq = entry.seq();
            if seq > expected {
                break;
            }
            head = head.max(seq);
            if seq == expected {
                expected += 1;
                continue;
            }
            let known = if seq >= next {
                request.entries[..index].iter().find(|earlier| earlier.seq() == seq).map(content_of)
            } else {
                seq.checked_sub(oldest).and_then(|at| self.journal.contents.get(usize::try_from(at).ok()?)).copied()
            };
            let why = match known {
                Some(known) if known == content_of(entry) => continue,
                Some(_) => Suspicion::SequenceReused { seq },
                None => Suspicion::BehindReceipts { seq },
            };
            return Some(Doubt { why, seq, index: Some(index) });
        }
        let behind = head.saturating_add(1) < next;
        behind.then_some(Doubt { why: Suspicion::BehindReceipts { seq: head }, seq: head, index: None })
    }

    fn close_sync(&self, request: &SyncRequest, cx: &Context, events: &mut Vec<Event>) {
        let drained = !request.more && request.head < self.journal.next;
        if drained {
            for (late, nth) in self.late.iter().zip(0..) {
                events.push(Event::LatePickUpMissing {
                    number: self.server_conflict(nth),
                    bin: self.bins[usize::from(late.bin)].label,
                    fob: late.fob,
                    key: Some(late.key),
                });
            }
        }
        let shown = request.cursor.filter(|cursor| self.gave(*cursor)).map_or(0, |cursor| cursor.revision);
        let lost = shown < self.sync.confirmed;
        let mut standing = Standing { offline: false, drained, ..self.standing() };
        standing.conflicts |= drained && !self.late.is_empty();
        if !lost {
            standing.breached = self.judge_guarantee(shown, cx.now, events);
        }
        self.alert(standing, cx.now, events);
        let health = overlaid(&self.sync.health, &request.health);
        let judged = events.iter().filter(|event| matches!(event, Event::EntryJudged(_))).count();
        let entries = u32::try_from(judged).unwrap_or(u32::MAX);
        let day = self.day_begun(events);
        events.extend(self.advise(day.as_ref(), cx.now));
        events.push(Event::Synced(Synced {
            shown,
            skew_ms: (cx.now.0 as i64).saturating_sub(i64::try_from(request.clock.0).unwrap_or(i64::MAX)),
            health: (health != self.sync.health).then(|| Box::new(health)),
            drained,
            next_sync_s: self.next_sync_s(drained, entries),
            entries,
            back: self.sync.offline,
            settled: lost || self.settles(shown),
            day,
        }));
    }

    /// Whether this is a state that the box was given since its enrolment.
    fn gave(&self, cursor: Cursor) -> bool {
        cursor.epoch == self.epoch && cursor.revision <= self.sync.offered
    }

    /// Whether storing this revision gives the box something it was missing.
    fn settles(&self, revision: u64) -> bool {
        self.sync.missing.first().is_some_and(|missing| missing.revision <= revision)
    }

    pub(super) fn decide_confirm(
        &self,
        token_hash: &SecretHash,
        cursor: Cursor,
        cx: &Context,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        self.check_token(token_hash)?;
        if self.gave(cursor) && cursor.revision > self.sync.confirmed {
            self.judge_guarantee(cursor.revision, cx.now, events);
            events.push(Event::Confirmed { revision: cursor.revision, settled: self.settles(cursor.revision) });
        }
        Ok(())
    }

    /// The guarantee, when the box turns out to have stored `revision`: whether it is broken then. A breach that no
    /// tick noticed is told too.
    fn judge_guarantee(&self, revision: u64, now: UnixMillis, events: &mut Vec<Event>) -> bool {
        let due = |since: UnixMillis| since.plus(self.plan.guarantee());
        let overdue = self.pending_since().filter(|since| due(*since) < now);
        if let (Some(pending_since), false) = (overdue, self.sync.breached) {
            events.push(Event::GuaranteeBroken { pending_since });
        }
        let left = self.sync.missing.iter().find(|missing| missing.revision > revision);
        let broken = overdue.is_some() || self.sync.breached;
        let kept_again = broken && left.is_none_or(|missing| due(missing.since) >= now);
        if kept_again {
            events.push(Event::GuaranteeKeptAgain);
        }
        broken && !kept_again
    }

    /// Sooner when many exchanges happen, never later than a third of the guarantee, spread by up to a fifth.
    fn next_sync_s(&self, drained: bool, entries: u32) -> u32 {
        if !drained {
            return 1;
        }
        let activity = activity_after(self.sync.activity, entries);
        let wished = match activity {
            BUSIEST_ENTRIES.. => BUSIEST_SYNC_S,
            BUSY_ENTRIES.. => BUSY_SYNC_S,
            _ => NORMAL_SYNC_S,
        };
        let third = u32::try_from(self.plan.guarantee().as_secs() / 3).unwrap_or(u32::MAX);
        let span = wished.min(third);
        // Splitmix64: no chance is drawn here, and neighbours must not come together.
        let mut mixed = (self.home.id.0 as u64) ^ self.revision.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let spread = u64::from(span / 5) + 1;
        span - u32::try_from((mixed ^ (mixed >> 31)) % spread).unwrap_or_default()
    }

    /// The number for the nth conflict of this command that no journal entry stands for.
    pub(super) fn server_conflict(&self, nth: u32) -> u64 {
        SERVER_CONFLICT | u64::from(self.conflicts.numbered.saturating_add(nth).saturating_add(1))
    }

    /// The number of a journal entry's conflict. A later line of the journal may use its sequence numbers again.
    pub(super) fn entry_conflict(&self, seq: u64) -> u64 {
        u64::from(self.journal.line) << SEQ_BITS | seq
    }

    pub(super) fn decide_tick(&self, cx: &Context, events: &mut Vec<Event>) {
        let now = cx.now;
        if let Some(code) = self.enrolment.as_ref().filter(|code| code.expires <= now) {
            events.push(Event::EnrolmentCodeDropped { code_hash: code.hash });
        }
        if self.contact_deadline().is_some_and(|due| due <= now) {
            let heard_since = cx.up_since.plus(self.contact_grace());
            events.push(if now < heard_since {
                Event::ContactAwaited { due: heard_since }
            } else {
                Event::WentOffline
            });
        }
        if let (Some(due), Some(pending_since)) = (self.breach_deadline(), self.pending_since())
            && due <= now
        {
            events.push(Event::GuaranteeBroken { pending_since });
        }
        self.tick_online(now, events);
        self.tick_reminders(now, events);
        for visitor in &self.visitors {
            if visitor.asked.is_some_and(|asked| asked.plus(ASK_AGAIN_AFTER) <= now) {
                events.push(Event::VisitorAskedAgain { fob: visitor.fob });
            }
        }
    }

    pub(super) fn earliest_deadline(&self) -> Option<UnixMillis> {
        let code = self.enrolment.as_ref().map(|code| code.expires);
        let ask = self.visitors.iter().filter_map(|visitor| visitor.asked).min();
        let ask = ask.map(|asked| asked.plus(ASK_AGAIN_AFTER));
        let alert = self.alert_deadline();
        let online = self.online.as_ref().and_then(|online| online.next_deadline());
        let reminder = self.reminder_deadline();
        [code, self.contact_deadline(), self.breach_deadline(), ask, alert, online, reminder]
            .into_iter()
            .flatten()
            .min()
    }

    fn contact_deadline(&self) -> Option<UnixMillis> {
        self.sync.contact_due.filter(|_| !self.sync.offline && !self.suspended)
    }

    /// The first moment at which the guarantee is broken.
    fn breach_deadline(&self) -> Option<UnixMillis> {
        let due = self.due_by().filter(|_| !self.sync.breached && !self.suspended)?;
        Some(UnixMillis(due.0.saturating_add(1)))
    }
}

/// Why, at which number, and by which entry of the batch.
struct Doubt {
    why: Suspicion,
    seq: u64,
    index: Option<usize>,
}

/// Entries of late: halved at each sync.
pub(super) fn activity_after(activity: u32, entries: u32) -> u32 {
    (activity / 2).saturating_add(entries)
}

fn overlaid(known: &Health, told: &Health) -> Health {
    Health {
        battery_percent: told.battery_percent.or(known.battery_percent),
        mains: told.mains.or(known.mains),
        link: told.link.or(known.link),
        firmware: told.firmware.clone().or_else(|| known.firmware.clone()),
    }
}
