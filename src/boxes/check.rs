//! The invariants that one box's state can show by itself.

use super::alerts::AlertWhat;
use super::state::{MAX_MISSING, MAX_RECEIPTS, MAX_REMOVALS, Place, SmartBox};
use crate::kernel::invariants::{
    ALERT_ONCE, DELTA_COMPLETE, Invariant, KEY_ONE_PLACE, PENDING_HONEST, RECEIPTS_DENSE, REMOVALS_BOUNDED,
};

/// Those that do not hold; none, as it should be.
pub fn check_invariants(state: &SmartBox) -> Vec<Invariant> {
    [
        (receipts_dense(state), RECEIPTS_DENSE),
        (key_one_place(state), KEY_ONE_PLACE),
        (delta_complete(state), DELTA_COMPLETE),
        (removals_bounded(state), REMOVALS_BOUNDED),
        (pending_honest(state), PENDING_HONEST),
        (alert_once(state), ALERT_ONCE),
    ]
    .into_iter()
    .filter_map(|(holds, invariant)| (!holds).then_some(invariant))
    .collect()
}

fn alert_once(state: &SmartBox) -> bool {
    let in_force = state.alerts.as_deref().map_or(&[][..], |alerts| &alerts.in_force);
    in_force.iter().enumerate().all(|(at, alert)| {
        let condition = alert.condition;
        let goes_on = match condition.what {
            AlertWhat::Late(_, key) => state
                .key(key)
                .is_some_and(|key| matches!(key.place, Place::Out(_)) && Some(key.since) == condition.since),
            AlertWhat::Offline { .. } => state.sync.offline,
            AlertWhat::Guarantee => state.sync.breached,
            AlertWhat::Conflict => state.open_conflicts() > 0,
            AlertWhat::Unconfirmed(bin) => state.bin_index(&bin).is_some_and(|bin| !state.bins[bin].confirmed),
        };
        goes_on && !in_force[..at].iter().any(|other| other.condition.is(&condition))
    })
}

fn receipts_dense(state: &SmartBox) -> bool {
    let known = state.journal.contents.len();
    known <= MAX_RECEIPTS && state.journal.next > known as u64
}

/// Every fob in a bin is exactly one key's or visitor's, who says that it is there; and the other way round.
fn key_one_place(state: &SmartBox) -> bool {
    let placed = state
        .keys
        .iter()
        .filter_map(|key| Some((key.fob?, key.place)))
        .chain(state.visitors.iter().map(|visitor| (visitor.fob, visitor.place)));
    // What has no fob was never seen anywhere.
    if state.keys.iter().any(|key| key.fob.is_none() && key.place != Place::Unknown) {
        return false;
    }
    let mut in_bins = 0;
    for (fob, place) in placed {
        let held = state.keys.iter().filter(|key| key.fob == Some(fob)).count()
            + state.visitors.iter().filter(|visitor| visitor.fob == fob).count();
        let bins = state.bins.iter().filter(|bin| bin.fob == Some(fob)).count();
        let there = match place {
            Place::Bin(bin) => state.bins.get(usize::from(bin)).is_some_and(|bin| bin.fob == Some(fob)) && bins == 1,
            Place::Out(_) | Place::Unknown => bins == 0,
        };
        if !there || held != 1 {
            return false;
        }
        in_bins += bins;
    }
    in_bins == state.bins.iter().filter(|bin| bin.fob.is_some()).count()
}

/// No item is newer than the state, every access has its person, and no removed item is there.
fn delta_complete(state: &SmartBox) -> bool {
    let revisions = state
        .bins
        .iter()
        .map(|bin| bin.revision)
        .chain(state.keys.iter().map(|key| key.revision))
        .chain(state.accesses.iter().map(|access| access.revision()))
        .chain(state.people.iter().map(|person| person.revision))
        .chain(state.removals.iter().map(|removal| removal.revision));
    let people = state.accesses.iter().all(|access| state.person(access.person).is_some())
        && state.people.iter().all(|person| state.accesses.iter().any(|access| access.person == person.id));
    let ordered = state.removals.iter().is_sorted_by_key(|removal| removal.revision);
    revisions.into_iter().all(|revision| revision <= state.revision) && people && ordered
}

fn removals_bounded(state: &SmartBox) -> bool {
    state.removals.len() <= MAX_REMOVALS
}

/// What is missing is unconfirmed, in order, and never a box's that was never enrolled.
fn pending_honest(state: &SmartBox) -> bool {
    let sync = &state.sync;
    sync.missing.len() <= MAX_MISSING
        && (sync.missing.is_empty() || state.token_hash.is_some())
        && sync.missing.iter().all(|missing| missing.revision > sync.confirmed && missing.revision <= state.revision)
        && sync.missing.is_sorted_by_key(|missing| (missing.revision, missing.since))
        && sync.confirmed <= sync.offered
        && sync.offered <= state.revision
}
