//! The invariants that one session's state can show by itself.

use super::state::{Event, IuvSession, REDEEMED_WITHIN, Standing};
use crate::kernel::{
    UnixMillis,
    invariants::{Invariant, REDEEMED_ONCE, SESSION_ENDS},
};

/// Those that do not hold after these events at this time; none, as it should be.
pub fn check_invariants(before: &IuvSession, events: &[Event], after: &IuvSession, now: UnixMillis) -> Vec<Invariant> {
    let redeemed = events.iter().filter(|event| matches!(event, Event::Redeemed { .. })).count();
    let in_time = match &before.standing {
        Standing::Registered(known) => now.since(known.at) <= REDEEMED_WITHIN,
        _ => false,
    };
    let was_over = matches!(before.standing, Standing::Ended { .. });
    [
        (redeemed == 0 || (redeemed == 1 && in_time), REDEEMED_ONCE),
        (!was_over || matches!(after.standing, Standing::Ended { .. }), SESSION_ENDS),
    ]
    .into_iter()
    .filter_map(|(holds, invariant)| (!holds).then_some(invariant))
    .collect()
}
