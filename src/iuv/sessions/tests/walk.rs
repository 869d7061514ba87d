//! Every sequence of commands and pauses of a small world, with the invariants after each.

use super::*;
use crate::kernel::invariants::{REDEEMED_ONCE, SESSION_ENDS};

const DEPTH: usize = 6;

#[derive(Clone, Copy, Debug)]
enum Step {
    Register,
    Redeem,
    RedeemWrongly,
    RedeemUnderOtherKey,
    SignOut,
    Wait(u64),
    Tick,
}

const STEPS: [Step; 8] = [
    Step::Register,
    Step::Redeem,
    Step::RedeemWrongly,
    Step::RedeemUnderOtherKey,
    Step::SignOut,
    Step::Wait(40_000),
    Step::Wait(24 * 3_600_000),
    Step::Tick,
];

/// What an onlooker knows without looking into the session.
#[derive(Clone, Copy, Default)]
struct Onlooker {
    registered: Option<UnixMillis>,
    redeemed: u32,
    over: bool,
}

fn take(story: &mut Story, seen: &mut Onlooker, step: Step) {
    match step {
        Step::Register => {
            if story.tell(register()).is_ok() {
                seen.registered = seen.registered.or(Some(story.now));
            }
        }
        Step::Redeem => {
            if let Ok(Told::Redeemed(_)) = story.tell(redeem()) {
                seen.redeemed += 1;
                let at = seen.registered.unwrap();
                assert!(story.now.since(at) <= REDEEMED_WITHIN, "{}", REDEEMED_ONCE.says);
            }
        }
        Step::RedeemWrongly => {
            let other = Redemption { check: Check([0; 16]), ..redemption() };
            let told = story.tell(Command::Redeem { redemption: other, standing: standing() });
            assert!(!matches!(told, Ok(Told::Redeemed(_))));
        }
        Step::RedeemUnderOtherKey => {
            let told = story.tell(Command::Redeem { redemption: redemption(), standing: StoreStanding::default() });
            assert!(!matches!(told, Ok(Told::Redeemed(_))));
        }
        Step::SignOut => {
            let was_in = story.is_in();
            let _ = story.tell(Command::SignOut);
            seen.over |= was_in;
        }
        Step::Wait(milliseconds) => {
            let was_in = story.is_in();
            story.pass(milliseconds);
            seen.over |= was_in && !story.is_in();
        }
        Step::Tick => drop(story.tell(Command::Tick)),
    }
    assert!(seen.redeemed <= 1, "{}", REDEEMED_ONCE.says);
    assert!(!(seen.over && story.is_in()), "{}", SESSION_ENDS.says);
}

fn walk(story: &Story, seen: Onlooker, depth: usize, told: &mut usize) {
    if depth == 0 {
        *told += 1;
        assert_eq!(story.reloaded(), story.session);
        return;
    }
    for step in STEPS {
        let (mut next, mut onlooker) = (story.clone(), seen);
        take(&mut next, &mut onlooker, step);
        walk(&next, onlooker, depth - 1, told);
    }
}

#[test]
fn every_short_story_holds_the_invariants() {
    let mut told = 0;
    walk(&Story::new(), Onlooker::default(), DEPTH, &mut told);
    assert_eq!(told, STEPS.len().pow(DEPTH as u32));
}
