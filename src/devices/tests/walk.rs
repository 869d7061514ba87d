//! Every sequence of commands and pauses of a small world, six steps deep, with the invariants after each.

use super::*;
use crate::{
    devices::Authentication,
    kernel::invariants::{BLOCKED_STAYS, COUNTS_STAY, LOCKED_IS_LOCKED, PAP_WHILE_NEEDED, THREE_GUESSES},
};

const DEPTH: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Right,
    Wrong(&'static str),
    Deliver,
    Admit,
    Suspend,
    Reset,
    Wait(u64),
    Tick,
}

const STEPS: [Step; 9] = [
    Step::Right,
    Step::Wrong("100000"),
    Step::Wrong("200000"),
    Step::Deliver,
    Step::Admit,
    Step::Suspend,
    Step::Reset,
    Step::Wait(11),
    Step::Wait(30 * 60 - 11),
];

/// What an onlooker knows without looking into the device.
#[derive(Clone, Default)]
struct Onlooker {
    judged_in_round: usize,
    locked_until: Option<UnixMillis>,
    blocked: bool,
}

fn take(story: &mut Story, seen: &mut Onlooker, step: Step) {
    let events = story.history.len();
    match step {
        Step::Right | Step::Wrong(_) => {
            let text = if let Step::Wrong(text) = step { text } else { RIGHT };
            let outcome = story.enter(text);
            let locked = seen.blocked || seen.locked_until.is_some_and(|until| story.now < until);
            assert!(!(locked && outcome == Outcome::Accepted), "{}", LOCKED_IS_LOCKED.says);
            if !locked && seen.locked_until.take().is_some() {
                seen.judged_in_round = 0;
            }
            let now = story.history[events..].iter();
            seen.judged_in_round += now.filter(|(_, event)| matches!(event, Event::Guessed { .. })).count();
            assert!(seen.judged_in_round <= 3, "{}", THREE_GUESSES.says);
            match outcome {
                Outcome::Failed { until } => seen.locked_until = Some(until),
                Outcome::Blocked => seen.blocked = true,
                Outcome::Accepted => seen.judged_in_round = 0,
                Outcome::Wrong { .. } | Outcome::NotNeeded => {}
            }
        }
        Step::Deliver => {
            if let Some(salt) = story.known().credential {
                story.tell(Command::Delivered { salt, to: Some(PHONE), why: Why::Whitelist }).unwrap();
                if story.known().authentication.is_done() {
                    *seen = Onlooker::default();
                }
            }
        }
        Step::Admit => drop(story.tell(Command::Admit { salt: salt(9) })),
        Step::Suspend => drop(story.tell(Command::Suspend)),
        Step::Reset => {
            story.tell(Command::Reset { pap: fresh(RIGHT) }).unwrap();
            *seen = Onlooker::default();
        }
        Step::Wait(seconds) => story.pass(Duration::from_secs(seconds)),
        Step::Tick => drop(story.tell(Command::Tick)),
    }
    let known = story.known();
    assert!(!seen.blocked || known.authentication == Authentication::Blocked, "{}", BLOCKED_STAYS.says);
    assert_eq!(known.pap.is_none(), known.authentication.is_done(), "{}", PAP_WHILE_NEEDED.says);
}

fn walk(story: &Story, seen: &Onlooker, depth: usize, path: &mut Vec<Step>, told: &mut usize) {
    if depth == 0 {
        *told += 1;
        assert_eq!(story.reloaded(), story.device, "{}: {path:?}", COUNTS_STAY.says);
        return;
    }
    for step in STEPS {
        let (mut next, mut onlooker) = (story.clone(), seen.clone());
        path.push(step);
        take(&mut next, &mut onlooker, step);
        walk(&next, &onlooker, depth - 1, path, told);
        path.pop();
    }
}

#[test]
fn every_short_story_holds_the_invariants() {
    let mut told = 0;
    walk(&Story::new(), &Onlooker::default(), DEPTH, &mut Vec::new(), &mut told);
    assert_eq!(told, STEPS.len().pow(DEPTH as u32));
}

/// Deeper, where it matters: only guesses and pauses, until a device is blocked, with and without ticks.
#[test]
fn every_long_row_of_guesses_ends_blocked_or_authenticated() {
    fn on(story: &Story, seen: &Onlooker, depth: usize, blocked: &mut usize) {
        if depth == 0 {
            *blocked += usize::from(story.known().authentication == Authentication::Blocked);
            return;
        }
        for step in [Step::Wrong("100000"), Step::Wait(11), Step::Wait(30 * 60), Step::Tick] {
            let (mut next, mut onlooker) = (story.clone(), seen.clone());
            for wrong in ["400000", "500000"] {
                if matches!(step, Step::Wrong(_)) {
                    take(&mut next, &mut onlooker, Step::Wrong(wrong));
                }
            }
            take(&mut next, &mut onlooker, step);
            on(&next, &onlooker, depth - 1, blocked);
        }
    }
    let mut blocked = 0;
    on(&Story::new(), &Onlooker::default(), 6, &mut blocked);
    assert!(blocked > 0, "three rounds fit into six steps");
}
