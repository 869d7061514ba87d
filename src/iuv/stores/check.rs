//! The invariants that one store's state can show by itself.

use super::state::{Verification, WebStore};
use crate::{
    iuv::words::{VerificationKind, VerificationState},
    kernel::invariants::{Invariant, KEYS_DIFFER, ONE_PER_KIND, ONE_SINGLE_SIGN_ON},
};

/// Those that do not hold; none, as it should be.
pub fn check_invariants(store: &WebStore) -> Vec<Invariant> {
    let Some(known) = store.known() else { return Vec::new() };
    let all = &known.verifications;
    let at_most_one = |is: &dyn Fn(&Verification) -> bool| all.iter().filter(|known| is(known)).count() <= 1;
    let in_state = |state| at_most_one(&|known| known.kind.is_single_sign_on() && known.state == state);
    let of_kind = |kind: VerificationKind| kind.is_single_sign_on() || at_most_one(&|known| known.kind == kind);
    let keys: Vec<_> = all.iter().map(|known| known.keys().map(|key| key.mark).collect::<Vec<_>>()).collect();
    let shared =
        keys.iter().enumerate().any(|(at, own)| keys.iter().skip(at + 1).flatten().any(|other| own.contains(other)));
    [
        (in_state(VerificationState::Active) && in_state(VerificationState::Test), ONE_SINGLE_SIGN_ON),
        (VerificationKind::ALL.into_iter().all(of_kind), ONE_PER_KIND),
        (!shared, KEYS_DIFFER),
    ]
    .into_iter()
    .filter_map(|(holds, invariant)| (!holds).then_some(invariant))
    .collect()
}
