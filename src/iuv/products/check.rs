//! The invariants that one product's state can show by itself.

use super::state::{Event, Product};
use crate::kernel::invariants::{CODE_ONCE, CODES_NOT_HELD_BACK, Invariant};

/// Those that do not hold after these events; none, as it should be.
pub fn check_invariants(before: &Product, events: &[Event], after: &Product) -> Vec<Invariant> {
    let Some(known) = &after.known else { return Vec::new() };
    let first = before.known.as_ref().map_or(0, |known| known.given) + 1;
    let given = events.iter().filter_map(|event| match event {
        Event::Given { number, .. } => Some(*number),
        _ => None,
    });
    let in_order = given.zip(first..).all(|(number, expected)| number == expected);
    [
        (in_order && known.given <= known.added, CODE_ONCE),
        (known.waiting.is_empty() || known.left() == 0, CODES_NOT_HELD_BACK),
    ]
    .into_iter()
    .filter_map(|(holds, invariant)| (!holds).then_some(invariant))
    .collect()
}
