//! The invariants that one device's state can show by itself.

use super::{
    state::{Device, Event},
    words::{Authentication, GUESSES_MAX},
};
use crate::kernel::{
    UnixMillis,
    invariants::{BLOCKED_STAYS, Invariant, LOCKED_IS_LOCKED, PAP_WHILE_NEEDED, THREE_GUESSES},
};

/// Those that do not hold after these events at this time; none, as it should be.
pub fn check_invariants(before: &Device, events: &[Event], after: &Device, now: UnixMillis) -> Vec<Invariant> {
    let Some(known) = after.known() else { return Vec::new() };
    let was = before.known().map_or(Authentication::Required, |known| known.authentication.at(now));
    let accepted = events.iter().any(|event| matches!(event, Event::Authenticated { .. }));
    let was_locked = matches!(was, Authentication::Failed { .. } | Authentication::Blocked);
    let reset = events.iter().any(|event| matches!(event, Event::Reset { .. }));
    let guesses = known.wrong.len();
    let locked = matches!(known.authentication, Authentication::Failed { .. } | Authentication::Blocked);
    [
        (guesses <= GUESSES_MAX && (guesses < GUESSES_MAX) != locked, THREE_GUESSES),
        (!(was_locked && accepted), LOCKED_IS_LOCKED),
        (was != Authentication::Blocked || reset || known.authentication == Authentication::Blocked, BLOCKED_STAYS),
        (known.pap.is_some() != known.authentication.is_done(), PAP_WHILE_NEEDED),
    ]
    .into_iter()
    .filter_map(|(holds, invariant)| (!holds).then_some(invariant))
    .collect()
}
