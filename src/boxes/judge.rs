//! Reconciliation: one journal entry against the state that its predecessors left. The table of
//! `docs/box-protocol.md`, row by row; total.

use super::{
    command::{Act, Entry, JournalEntry, SyncRequest},
    event::Judged,
    online::OfExchange,
    rows::ServerVersion,
    state::{Bin, Place, SmartBox},
    words::{BinState, By, Clash, Fault, Flag, Fob, Label, Outcome},
};
use crate::kernel::{GroupId, KeyId, PersonId, UnixMillis};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// No box was built before: 2015-01-01T00:00:00Z.
const FIRST_PLAUSIBLE_MS: u64 = 1_420_070_400_000;
/// A clock that is further off than this is wrong.
const MAX_SKEW_MS: u64 = 2 * 3600 * 1000;

/// 32 bits over everything that an entry says, to know it when it comes again.
pub(super) fn content_of(entry: &Entry) -> u32 {
    match entry {
        Entry::Read(read) => content_of_read(read),
        Entry::Unreadable { text, .. } => xxh3_64_with_seed(text.as_bytes(), 0) as u32,
    }
}

/// Part of what is stored, though computed anew when an event is read: it never changes. Which key is named is not in
/// it: where that was not clear it is not stored either.
pub(super) fn content_of_read(read: &JournalEntry) -> u32 {
    let (number, fob) = match &read.act {
        Act::PickUp(fob) => (1, Some(fob)),
        Act::DropOff(fob) => (2, Some(fob)),
        Act::Opened => (3, None),
        Act::OpenedAll => (4, None),
    };
    // In one piece: byte by byte it was a fortieth of a sync.
    let (mut bytes, mut len) = ([0; 1 + 8 + 2 * 32 + 16 + 12 + 17 + 16], 0);
    let mut take = |part: &[u8]| {
        bytes[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    };
    take(&[number]);
    take(&read.at.0.to_be_bytes());
    for text in [read.bin.as_ref().map_or(&[][..], Label::as_bytes), fob.map_or(&[], Fob::as_bytes)] {
        take(&[text.len() as u8]);
        take(text);
    }
    take(&read.person.map_or([0; 16], PersonId::to_bytes));
    if let Some(cursor) = read.cursor {
        take(&cursor.epoch.to_be_bytes());
        take(&cursor.revision.to_be_bytes());
    }
    if let Some(by) = read.by {
        take(&[by.number()]);
        match by {
            By::Pass(pass) => take(&pass.to_bytes()),
            By::OfflineCode { sheet, counter } => {
                take(&sheet.to_be_bytes());
                take(&counter.to_be_bytes());
            }
            By::AccessCode | By::Badge | By::BookingCode | By::KeyCode | By::PersonalQr => {}
        }
    }
    if let Some(exchange) = read.exchange {
        take(&exchange.to_bytes());
    }
    xxh3_64_with_seed(&bytes[..len], 1) as u32
}

/// When something in the journal happened, by the server's clock; and whether that is only when it was received,
/// because the box's clock is plainly wrong.
fn corrected(at: UnixMillis, request: &SyncRequest, now: UnixMillis) -> (UnixMillis, bool) {
    let clock = request.clock;
    let plausible = clock.0 >= FIRST_PLAUSIBLE_MS && now.0.abs_diff(clock.0) <= MAX_SKEW_MS;
    if !plausible || at.0 < FIRST_PLAUSIBLE_MS || at > clock {
        return (now, true);
    }
    (UnixMillis(now.0 - (clock.0 - at.0).min(now.0)), false)
}

impl SmartBox {
    /// Judges the entry whose turn it is. The outcome is final: it is what the receipt says.
    pub(super) fn judge(&self, entry: &Entry, request: &SyncRequest, now: UnixMillis) -> Judged {
        let content = content_of(entry);
        let read = match entry {
            Entry::Read(read) => read,
            Entry::Unreadable { seq, text } => {
                return Judged {
                    seq: *seq,
                    content,
                    outcome: Outcome::Rejected(Fault::Unreadable),
                    act: None,
                    bin: None,
                    person: None,
                    box_time: None,
                    at: now,
                    estimated: true,
                    cursor: None,
                    key: None,
                    late: false,
                    found: None,
                    text: Some(text.clone()),
                    by: None,
                    exchange: None,
                    named: None,
                };
            }
        };
        let (at, estimated) = corrected(read.at, request, now);
        let mut judged = Judged {
            seq: read.seq,
            content,
            outcome: Outcome::Applied,
            act: Some(read.act),
            bin: read.bin,
            person: read.person,
            box_time: Some(read.at),
            at,
            estimated,
            cursor: read.cursor,
            key: read.act.fob().and_then(|fob| self.key_on(&fob)).map(|key| key.id),
            late: false,
            found: None,
            text: None,
            by: read.by,
            exchange: read.exchange.map(|id| OfExchange { id, known: false }),
            named: None,
        };
        let exchange = self.exchange_of(read);
        if let Some(exchange) = exchange.filter(|exchange| exchange.is_completed()) {
            // The answer to its completion was lost: this is the same once more.
            judged.person = exchange.person;
            judged.exchange = Some(OfExchange { id: exchange.id, known: true });
            return judged;
        }
        let index = read.bin.as_ref().and_then(|label| self.bin_index(label));
        match (index, read.act) {
            (_, Act::OpenedAll) => judged.outcome = self.judge_opened(read, None),
            (None, _) => judged.outcome = Outcome::Rejected(Fault::UnknownBin),
            (Some(index), Act::Opened) => judged.outcome = self.judge_opened(read, Some(index)),
            (Some(index), Act::PickUp(fob)) => match self.late_pick_up(index, &fob) {
                Some(late) => {
                    let late = &self.late[late];
                    judged.late = true;
                    judged.key = Some(late.key);
                    let read = exchange.map_or(*read, |exchange| exchange.told_by(read, &mut judged));
                    judged.outcome = match exchange {
                        Some(exchange) if exchange.is_of(index, read.act) => Outcome::Applied,
                        _ => self.permitted(&read, Some((late.key, &late.groups)), at),
                    };
                }
                None => match exchange {
                    Some(exchange) => self.judge_decided(exchange, read, index, &mut judged),
                    None => judged.outcome = self.judge_pick_up(read, &self.bins[index], &fob, at),
                },
            },
            (Some(index), Act::DropOff(_)) if exchange.is_some() => {
                exchange.iter().for_each(|exchange| self.judge_decided(exchange, read, index, &mut judged));
            }
            (Some(index), Act::DropOff(fob)) => {
                judged.outcome = self.judge_drop_off(read, &self.bins[index], &fob);
                let named = self.may_learn(read.named, &fob);
                let clear = named.filter(|key| self.admits(read.by, read.person, Some((key.id, &key.groups)), at));
                judged.named = clear.map(|key| key.id);
            }
        }
        if !judged.outcome.took_place() {
            judged.found = Some(Box::new(self.found(index, read.act.fob())));
        }
        judged
    }

    /// What is done cannot be undone: it is told all the same.
    fn judge_opened(&self, read: &JournalEntry, list: Option<usize>) -> Outcome {
        match read.by {
            Some(By::OfflineCode { sheet, counter }) if self.is_stale_code(list, sheet, counter) => {
                Outcome::Flagged(Flag::CodeReused)
            }
            _ => Outcome::Applied,
        }
    }

    pub(super) fn judge_pick_up(&self, read: &JournalEntry, bin: &Bin, fob: &Fob, at: UnixMillis) -> Outcome {
        if bin.fob.as_ref() != Some(fob) {
            return Outcome::Ignored(Clash::KeyNotInBin);
        }
        if bin.state != BinState::Enabled {
            return Outcome::Flagged(Flag::NotPermitted);
        }
        let key = self.key_on(fob).map(|key| (key.id, &*key.groups));
        self.permitted(read, key, at)
    }

    fn permitted(&self, read: &JournalEntry, key: Option<(KeyId, &[GroupId])>, at: UnixMillis) -> Outcome {
        let reused = read.by.and_then(By::pass).and_then(|pass| self.signed_pass(pass));
        if reused.is_some_and(|pass| pass.used.is_some()) {
            return Outcome::Flagged(Flag::PassReused);
        }
        match self.admits(read.by, read.person, key, at) {
            true => Outcome::Applied,
            false => Outcome::Flagged(Flag::NotPermitted),
        }
    }

    /// No end of an access stops a drop-off. A fob that is not at home here is taken too: its home is asked.
    pub(super) fn judge_drop_off(&self, read: &JournalEntry, bin: &Bin, fob: &Fob) -> Outcome {
        match &bin.fob {
            // The state says already what the entry says (an administrator was first): there is nothing to disagree on.
            Some(there) if there == fob => return Outcome::Applied,
            Some(_) => return Outcome::Ignored(Clash::BinOccupied),
            None => {}
        }
        if self.bin_of(fob).is_some() {
            return Outcome::Ignored(Clash::KeyElsewhere);
        }
        if bin.state != BinState::Enabled {
            return Outcome::Flagged(Flag::MayNotBeDroppedHere);
        }
        let place = self.key_on(fob).map(|key| key.place).or_else(|| self.visitor(fob).map(|visitor| visitor.place));
        match (place, read.person) {
            (Some(Place::Out(Some(holder))), Some(person)) if holder != person => Outcome::Flagged(Flag::OtherHolder),
            _ => Outcome::Applied,
        }
    }

    /// The server's version, for the conflict.
    pub(super) fn found(&self, bin: Option<usize>, fob: Option<Fob>) -> ServerVersion {
        let bin = bin.map(|index| &self.bins[index]);
        let key = fob.as_ref().and_then(|fob| self.key_on(fob));
        let visitor = fob.as_ref().and_then(|fob| self.visitor(fob));
        let place = key.map(|key| key.place).or(visitor.map(|visitor| visitor.place));
        ServerVersion {
            bin_fob: bin.and_then(|bin| bin.fob),
            bin_state: bin.map(|bin| bin.state),
            key: key.map(|key| key.id),
            fob_bin: fob.as_ref().and_then(|fob| self.bin_of(fob)).map(|index| self.bins[index].label),
            holder: match place {
                Some(Place::Out(person)) => person,
                _ => None,
            },
            since: key.map(|key| key.since).or(visitor.map(|visitor| visitor.since)),
        }
    }
}
