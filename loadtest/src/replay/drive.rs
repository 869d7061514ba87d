//! Lets the month happen: the world moves, boxes write their journals and sync, an administrator enters van moves,
//! withdraws permissions, and puts right what conflicts left. Each operation is told to the model as soon as it is
//! acknowledged, and the server's receipt is compared with the model's there and then.
//!
//! Time: a box's clock is the real one (with its own skew), and an exchange is stamped when it is replayed. So sequence
//! and clock agree with the server's clock at every speed, and a permission withdrawn before or after an offline
//! pick-up is before or after it for the server, too. The month's spans shrink: a six-hour outage may last
//! milliseconds, so windows of accesses by date are not tested here, nor is lateness.

use super::{
    explain::{Cause, Explained, Lookback},
    live::Live,
    plan::{Half, Plan, Step, Timed, between},
    world::{Spot, World},
};
use crate::{
    chance::Chance,
    model::{Entry, Kind, Model, Outcome, Receipts, SmartBox, Sync},
    wire::MAX_ENTRIES,
};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 3_600;
/// Visits to boxes that are offline which the administrator puts off, in percent.
const VISITS_THAT_WAIT_PERCENT: u64 = 75;

/// One box's own side, beside what the library keeps.
#[derive(Debug, Default)]
pub struct Side {
    /// Everything it ever wrote; entry `n` has sequence number `n + 1`.
    pub journal: Vec<Entry>,
    /// The trip of each entry, and its place in the order of everything.
    pub notes: Vec<Note>,
    resume_at: usize,
    offline: bool,
    visit_due: bool,
    clock: Clock,
}

#[derive(Clone, Copy, Debug)]
pub struct Note {
    pub trip: usize,
    pub at_s: i64,
    /// Counts everything that happens in the world.
    pub order: u64,
}

/// A clock is broken and mended only while the journal is empty, so that each entry is sent by the clock that stamped
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Clock {
    #[default]
    Good,
    BreaksSoon,
    At1970,
    MendedSoon,
}

/// What happened on the way of one sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    AnswerLost,
    SentTwice,
}

/// What the server said to one sync.
pub struct Heard {
    pub clock_ms: i64,
    pub server_ms: i64,
    /// Sequence number, outcome and reason of each receipt, and where to resume; nothing without a server.
    pub receipts: Option<HeardReceipts>,
}

pub struct HeardReceipts {
    pub receipts: Vec<(u64, String, Option<String>)>,
    pub resume_at: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub syncs: u64,
    pub answers_lost: u64,
    pub sent_twice: u64,
    pub in_pieces: u64,
    pub van_corrections: u64,
    pub visits: u64,
    pub visit_corrections: u64,
    pub withdrawn: u64,
    pub granted_again: u64,
}

pub struct Drive {
    pub plan: Plan,
    pub world: World,
    pub model: Model,
    pub sides: Vec<Side>,
    pub live: Option<Live>,
    pub tally: Tally,
    pub explained: Vec<Explained>,
    /// Of each of the model's gaps.
    pub gap_causes: Vec<Cause>,
    /// Receipts that were not what the model said.
    pub mismatches: Vec<String>,
    lookback: Lookback,
    chance: Chance,
    visits: BinaryHeap<Reverse<(i64, usize)>>,
    now_s: i64,
    order: u64,
    closing: bool,
}

impl Drive {
    /// Without a server only the model judges.
    pub fn new(plan: Plan, model: Model, live: Option<Live>, seed: u64) -> Self {
        Self {
            world: World::new(&plan),
            model,
            sides: plan.places.iter().map(|_| Side::default()).collect(),
            live,
            tally: Tally::default(),
            explained: Vec::new(),
            gap_causes: Vec::new(),
            mismatches: Vec::new(),
            lookback: Lookback::new(plan.trips.bikes.len()),
            chance: Chance::seeded(seed).fork(1),
            visits: BinaryHeap::new(),
            now_s: 0,
            order: 0,
            closing: false,
            plan,
        }
    }

    /// Replays everything. `speed`: seconds of the month in one second; 0: as fast as it goes.
    pub async fn run(&mut self, speed: f64, mut done: impl FnMut()) -> Result<(), String> {
        let steps = std::mem::take(&mut self.plan.steps);
        let begun = Instant::now();
        let first_s = steps.first().map_or(0, |timed| timed.at_s);
        for &Timed { at_s, step } in &steps {
            self.visits_until(at_s).await?;
            self.now_s = at_s;
            if speed > 0.0 {
                let due = Duration::from_secs_f64((at_s - first_s) as f64 / speed);
                tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
            }
            self.step(step).await?;
            if let Step::Exchange { .. } = step {
                done();
            }
        }
        self.plan.steps = steps;
        self.close().await
    }

    /// The month is over: everyone comes back, brings everything, and the administrator puts the rest right.
    async fn close(&mut self) -> Result<(), String> {
        self.closing = true;
        for place in 0..self.sides.len() {
            self.sides[place].offline = false;
            self.drain(place).await?;
        }
        // Complete syncs turn open gaps into conflicts; each visit may leave doubt in another box.
        loop {
            self.visits_until(i64::MAX).await?;
            for place in 0..self.sides.len() {
                self.sync(place, MAX_ENTRIES, Fate::Fine).await?;
            }
            let doubtful = |model: &SmartBox| model.bins.iter().any(|bin| !bin.confirmed);
            let places: Vec<usize> =
                (0..self.sides.len()).filter(|&place| doubtful(&self.model.boxes[place])).collect();
            if places.is_empty() && self.visits.is_empty() {
                return Ok(());
            }
            for place in places {
                self.visit(place).await?;
            }
        }
    }

    async fn step(&mut self, step: Step) -> Result<(), String> {
        self.order += 1;
        match step {
            Step::Exchange { half, trip } => self.exchange(half, trip).await?,
            Step::Van { key, to, .. } => {
                let (was, is) = self.world.van(key, to).ok_or("a van found no key or no free bin")?;
                self.correct(was, None).await?;
                self.correct(is, Some(key)).await?;
                self.tally.van_corrections += 2;
            }
            Step::Offline { place } => self.sides[place].offline = true,
            Step::Online { place } => {
                self.sides[place].offline = false;
                self.drain(place).await?;
            }
            Step::Withdraw { place, person } => {
                let decided = self.decided(async |live| live.withdraw(place, person).await).await?;
                self.model.withdraw(place, person, decided);
                self.tally.withdrawn += 1;
            }
            Step::Grant { place, person } => {
                self.decided(async |live| live.grant(place, person).await).await?;
                self.model.grant(place, person);
                self.tally.granted_again += 1;
            }
            Step::ClockBreaks { place } => self.sides[place].clock = Clock::BreaksSoon,
            Step::ClockMended { place } => {
                let clock = &mut self.sides[place].clock;
                *clock = if *clock == Clock::At1970 { Clock::MendedSoon } else { Clock::Good };
            }
        }
        Ok(())
    }

    /// The span in which the server decided something.
    async fn decided(&mut self, act: impl AsyncFnOnce(&mut Live) -> Result<(), String>) -> Result<(i64, i64), String> {
        match &mut self.live {
            None => Ok((self.order as i64, self.order as i64)),
            Some(live) => {
                let from_ms = live.now_ms();
                act(live).await?;
                Ok((from_ms, live.now_ms()))
            }
        }
    }

    async fn exchange(&mut self, half: Half, trip: usize) -> Result<(), String> {
        let row = self.plan.trips.trips[trip];
        let (place, kind) = match half {
            Half::PickUp => (row.from, Kind::PickUp),
            Half::DropOff => (row.to, Kind::DropOff),
        };
        let spot = self.world.exchange(place, row.key, half).ok_or("a box has no free bin")?;
        let person = self.plan.person_of[trip];
        self.turn_clock(place);
        let at_ms = match &mut self.live {
            Some(live) => live.journal(place, kind, spot.bin, row.key, person)?,
            None => self.order as i64,
        };
        self.lookback.happened(row.key, self.order);
        let side = &mut self.sides[place];
        let seq = side.journal.len() as u64 + 1;
        side.journal.push(Entry { seq, at_ms, kind, bin: spot.bin, key: row.key, person });
        side.notes.push(Note { trip, at_s: self.now_s, order: self.order });
        if side.offline { Ok(()) } else { self.drain(place).await }
    }

    fn turn_clock(&mut self, place: usize) {
        let side = &mut self.sides[place];
        if side.resume_at < side.journal.len() {
            return;
        }
        let broken = match side.clock {
            Clock::BreaksSoon => true,
            Clock::MendedSoon => false,
            Clock::Good | Clock::At1970 => return,
        };
        side.clock = if broken { Clock::At1970 } else { Clock::Good };
        if let Some(live) = &mut self.live {
            live.break_clock(place, broken);
        }
    }

    /// Brings everything that a box has: at once or in pieces, over a line that now and then loses an answer.
    async fn drain(&mut self, place: usize) -> Result<(), String> {
        let waiting = self.sides[place].journal.len() - self.sides[place].resume_at;
        let in_pieces = waiting > 1 && self.chance.below(4) == 0;
        let limit = if in_pieces { 1 + self.chance.index(waiting) } else { MAX_ENTRIES };
        self.tally.in_pieces += u64::from(in_pieces);
        loop {
            let fate = match self.chance.below(40) {
                0 => Fate::AnswerLost,
                1 => Fate::SentTwice,
                _ => Fate::Fine,
            };
            self.sync(place, limit, fate).await?;
            // A box that got no answer may well wait until something happens, and then bring the same again and more.
            let waits = fate == Fate::AnswerLost && !self.closing && self.chance.below(2) == 0;
            if waits || self.sides[place].resume_at == self.sides[place].journal.len() {
                return Ok(());
            }
        }
    }

    async fn sync(&mut self, place: usize, limit: usize, fate: Fate) -> Result<(), String> {
        let side = &self.sides[place];
        let to = (side.resume_at + limit.min(MAX_ENTRIES)).min(side.journal.len());
        let entries = side.journal[side.resume_at..to].to_vec();
        let more = to < side.journal.len();
        let visitors =
            entries.iter().any(|entry| entry.kind == Kind::DropOff && self.model.keys[entry.key].home != place);
        if let Some(live) = &mut self.live {
            live.prepare(place, entries.len(), more)?;
        }
        let sends = if fate == Fate::SentTwice { 2 } else { 1 };
        for _ in 0..sends {
            let heard = match &mut self.live {
                Some(live) => live.send(place).await?,
                None => Heard { clock_ms: self.order as i64, server_ms: self.order as i64, receipts: None },
            };
            let (gaps, judged) = (self.model.gaps.len(), self.model.boxes[place].judged.len());
            let sync = Sync { place, entries: &entries, more, clock_ms: heard.clock_ms, server_ms: heard.server_ms };
            let receipts = self.model.sync(&sync);
            self.tally.syncs += 1;
            if let Some(heard) = &heard.receipts {
                self.compare(place, &receipts, heard);
            }
            self.look_back(place, judged, gaps);
            if visitors && let Some(live) = &mut self.live {
                live.settle(place).await?;
            }
        }
        match fate {
            Fate::AnswerLost => {
                self.tally.answers_lost += 1;
                if let Some(live) = &mut self.live {
                    live.lose();
                }
                return Ok(());
            }
            Fate::SentTwice => self.tally.sent_twice += 1,
            Fate::Fine => {}
        }
        if let Some(live) = &mut self.live {
            live.store(place)?;
        }
        self.sides[place].resume_at = self.model.boxes[place].judged.len();
        Ok(())
    }

    /// Explains what the model did not simply apply, and calls the administrator where there is a conflict.
    fn look_back(&mut self, place: usize, judged: usize, gaps: usize) {
        let mut conflict = false;
        for number in judged..self.model.boxes[place].judged.len() {
            let note = self.sides[place].notes[number];
            let judged = &self.model.boxes[place].judged[number];
            let spot = Spot { place, bin: judged.entry.bin };
            let cause = self.lookback.judged(spot, judged, &note, self.plan.overlapping[note.trip]);
            if judged.verdict.outcome == Outcome::Ignored {
                conflict = true;
            }
            if let Some(cause) = cause {
                self.explained.push(Explained { place, number, cause });
            }
        }
        for gap in &self.model.gaps[gaps..] {
            conflict = true;
            self.gap_causes.push(self.lookback.gap(gap));
        }
        if conflict && !self.sides[place].visit_due {
            self.sides[place].visit_due = true;
            let at_s = self.now_s + between(&mut self.chance, 10 * MINUTE_S, 8 * HOUR_S);
            self.visits.push(Reverse((at_s, place)));
        }
    }

    fn compare(&mut self, place: usize, expected: &Receipts, heard: &HeardReceipts) {
        let station = &self.plan.places[place].station;
        let mut differs = |what: String, heard: String, expected: String| {
            self.mismatches.push(format!("box {station}: {what}: server {heard}, model {expected}"));
        };
        for ((seq, verdict), (heard_seq, outcome, reason)) in expected.receipts.iter().zip(&heard.receipts) {
            let named = verdict.reason.map(|reason| reason.name());
            let same = seq == heard_seq && outcome == verdict.outcome.name() && reason.as_deref() == named;
            let flagged = outcome == "flagged" && reason.as_deref() == Some("not_permitted");
            let judged = self.model.boxes[place].judged.get(*seq as usize - 1);
            if !(same || flagged && judged.is_some_and(|judged| judged.unsure)) {
                let said = format!("{heard_seq} {outcome} {}", reason.as_deref().unwrap_or_default());
                differs(format!("receipt of entry {seq}"), said, format!("{verdict:?}"));
            }
        }
        if (expected.receipts.len(), expected.resume_at) != (heard.receipts.len(), heard.resume_at) {
            let show = |count: usize, resume_at: u64| format!("{count} receipts, resume at {resume_at}");
            differs(
                "answer".to_owned(),
                show(heard.receipts.len(), heard.resume_at),
                show(expected.receipts.len(), expected.resume_at),
            );
        }
    }

    async fn visits_until(&mut self, until_s: i64) -> Result<(), String> {
        while let Some(&Reverse((at_s, place))) = self.visits.peek()
            && at_s <= until_s
        {
            self.visits.pop();
            self.now_s = at_s;
            self.order += 1;
            if self.sides[place].offline && self.chance.below(100) < VISITS_THAT_WAIT_PERCENT {
                self.visits.push(Reverse((at_s + 30 * MINUTE_S, place)));
                continue;
            }
            self.sides[place].visit_due = false;
            self.visit(place).await?;
        }
        Ok(())
    }

    /// The administrator opens all bins and enters what is really in them: first what is gone, then what is there.
    async fn visit(&mut self, place: usize) -> Result<(), String> {
        self.tally.visits += 1;
        let believed = &self.model.boxes[place].bins;
        let wrong = |(bin, real): (usize, &Option<usize>)| {
            (believed[bin].key != *real || !believed[bin].confirmed).then_some((bin, *real))
        };
        let mut wrong: Vec<_> = self.world.bins(place).iter().enumerate().filter_map(wrong).collect();
        wrong.sort_by_key(|&(bin, real)| (real.is_some(), bin));
        for (bin, real) in wrong {
            self.correct(Spot { place, bin }, real).await?;
            self.tally.visit_corrections += 1;
        }
        Ok(())
    }

    async fn correct(&mut self, spot: Spot, key: Option<usize>) -> Result<(), String> {
        let visitor = key.is_some_and(|key| self.model.keys[key].home != spot.place);
        let before = self.model.boxes[spot.place].bins[spot.bin].key;
        if let Some(live) = &mut self.live {
            live.correct(spot, key).await?;
            if visitor {
                live.settle(spot.place).await?;
            }
        }
        self.lookback.corrected(spot, key, before, self.order);
        self.model.correct(spot.place, spot.bin, key);
        Ok(())
    }
}
