//! The invariants that one installation's change can show by itself.

use super::{
    event::Event,
    state::Installation,
    words::{Purpose, Stage, WRONG_CODES_MAX, is_same},
};
use crate::kernel::{
    UnixMillis,
    invariants::{ALONE, BLOCKED_OUT, FIVE_CODES, Invariant, PROVEN, WAITED},
};

/// Those that do not hold after these events at this time; none, as it should be.
pub fn check_invariants(
    before: &Installation,
    events: &[Event],
    after: &Installation,
    now: UnixMillis,
) -> Vec<Invariant> {
    let (Some(was), Some(is)) = (before.known(), after.known()) else { return Vec::new() };
    let five = is.links().all(|link| link.wrong < WRONG_CODES_MAX);
    let alone = events.iter().all(|event| match event {
        Event::ContactSet { exclusive, email, telephone, .. } => {
            let demanded =
                was.contact.as_ref().is_none_or(|old| Some(old.email) != *email || old.telephone != *telephone);
            let demanded = demanded && (was.contact.is_some() || telephone.is_some());
            let others =
                was.terminals.iter().any(|other| now < other.until && exclusive.is_none_or(|mine| mine != other.mark));
            !demanded || (exclusive.is_some() && !others)
        }
        Event::TerminalOpened { terminal, .. } => was.exclusive_at(now).is_none_or(|mine| is_same(mine, *terminal)),
        _ => true,
    });
    let proven = events.iter().all(|event| match event {
        Event::Validated => {
            let has_telephone = was.contact.as_ref().is_some_and(|contact| contact.telephone.is_some());
            was.contact.is_some()
                && was.validation.is_some_and(|link| {
                    link.purpose == Purpose::Validation
                        && (!has_telephone || matches!(link.stage, Stage::Texting { .. } | Stage::Texted { .. }))
                })
        }
        _ => true,
    });
    let kept_out = events.iter().all(|event| match event {
        Event::LoggedIn { user, .. } => was.user(*user).is_some_and(|user| !user.blocked),
        _ => true,
    });
    let waited = events.iter().all(|event| match event {
        Event::LinkSent { purpose: Purpose::BreakGlass, .. } => was.glass.is_some_and(|glass| glass.due <= now),
        Event::ResetOpened { form, .. } => was.links().any(|link| is_same(link.minted.reset_form, *form)),
        _ => true,
    });
    let whole = is.links().all(|link| link.purpose != Purpose::BreakGlass || is.glass.is_some());
    [(five, FIVE_CODES), (alone, ALONE), (proven, PROVEN), (kept_out, BLOCKED_OUT), (waited && whole, WAITED)]
        .into_iter()
        .filter_map(|(holds, invariant)| (!holds).then_some(invariant))
        .collect()
}
