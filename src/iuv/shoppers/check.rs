//! The invariants that one shopper's state can show by itself.

use super::{
    state::{Event, Shopper},
    words::{GUESSES_MAX, LineCode},
};
use crate::kernel::{
    UnixMillis,
    invariants::{GUESSES_BOUNDED, Invariant, LINE_ONE_CODE, TEST_NO_CODE},
};

/// Those that do not hold after these events at this time; none, as it should be.
pub fn check_invariants(before: &Shopper, events: &[Event], after: &Shopper, now: UnixMillis) -> Vec<Invariant> {
    let Some(known) = after.known() else { return Vec::new() };
    let lines = |test: bool| known.orders.iter().filter(move |order| order.test == test).flat_map(|order| &order.lines);
    let was_settled = |number: u32, line: usize| {
        let order = before.known().and_then(|known| known.order(number));
        order.and_then(|order| order.lines.get(line)).filter(|line| line.code != LineCode::Waits).copied()
    };
    let stays = known.orders.iter().all(|order| {
        order.lines.iter().enumerate().all(|(at, line)| was_settled(order.number, at).is_none_or(|was| was == *line))
    });
    let was_locked = before.known().is_some_and(|known| known.is_locked(now));
    let charged = events.iter().any(|event| matches!(event, Event::GuessCharged));
    [
        (lines(true).all(|line| line.code == LineCode::Test), TEST_NO_CODE),
        (stays && lines(false).all(|line| line.code != LineCode::Test), LINE_ONE_CODE),
        (known.guesses <= GUESSES_MAX && !(was_locked && charged), GUESSES_BOUNDED),
    ]
    .into_iter()
    .filter_map(|(holds, invariant)| (!holds).then_some(invariant))
    .collect()
}
