//! Every sequence of steps of a small world, with the invariants after each.

use super::*;
use crate::{
    kernel::invariants::{BLOCKED_OUT, DEAD_LINKS, FIVE_CODES, WAITED},
    recovery::{Closing, LinkEnd, Purpose, words::Stage},
};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Open(u8),
    Close(u8),
    Login(u8, u8, bool),
    Contact(Option<(u8, Option<u8>)>),
    Validate,
    Press,
    Accepted,
    Died,
    Code(bool),
    Forgotten,
    Reset,
    Wait(u64),
    Tick,
    Glass,
    Stop,
    Withdraw,
}

use Step::{
    Accepted, Close, Code, Contact, Died, Forgotten, Glass, Login as Log, Open, Press, Reset, Stop, Tick, Validate,
    Wait, Withdraw,
};

/// What an onlooker knows without looking into the installation.
#[derive(Clone, Default)]
struct Onlooker {
    /// Codes judged wrong, by mail.
    judged: BTreeMap<u8, usize>,
    dead: Vec<u8>,
    newest: u8,
    /// The mail of the operator's reset, and when it was started.
    glass: Option<(u8, UnixMillis)>,
    resets: usize,
}

fn take(story: &mut Story, seen: &mut Onlooker, step: Step) {
    let events = story.history.len();
    let mail = seen.newest;
    match step {
        Open(terminal) => drop(story.open(terminal)),
        Close(terminal) => drop(story.tell(Command::CloseTerminal { terminal: mark(terminal) })),
        Log(terminal, name, right) => {
            let blocked = story.known().named(mark(name)).is_some_and(|user| user.blocked);
            let told = story.log_in(terminal, name, right);
            assert!(!(blocked && matches!(told, Ok(Login::In { .. }))), "{}", BLOCKED_OUT.says);
        }
        Contact(wanted) => drop(story.contact(ONE, wanted)),
        Validate => {
            story.mail += 1;
            let minted = minted(story.mail);
            drop(story.tell(Command::RequestValidation { terminal: mark(ONE), minted, rules: RULES }));
        }
        Press => drop(story.press(mail)),
        Accepted => drop(story.tell(Command::TextAccepted { link: minted(mail).link })),
        Died => drop(story.tell(Command::TextDied { link: minted(mail).link, why: "rejected".into() })),
        Code(right) => drop(story.enter(mail, right)),
        Forgotten => drop(story.forgotten(TWO)),
        Reset => drop(story.reset(mail, ADMIN)),
        Wait(seconds) => story.pass(seconds),
        Tick => drop(story.tell(Command::Tick)),
        Glass => {
            if story.glass().is_ok() {
                seen.glass = Some((story.mail, story.now));
            }
        }
        Stop => {
            let mail = seen.glass.map_or(0, |(mail, _)| mail);
            if story.stop(mail).is_ok() {
                seen.dead.push(mail);
            }
        }
        Withdraw => drop(story.tell(Command::StopGlass { by: Stopper::Operator })),
    }
    for (_, event) in story.history[events..].iter().cloned() {
        let whose = |link: Mark| link.0[0];
        match event {
            Event::LinkSent { minted, purpose, .. } => {
                seen.newest = whose(minted.link);
                assert!(!seen.dead.contains(&seen.newest), "{}", WAITED.says);
                if purpose == Purpose::BreakGlass {
                    let (mail, started) = seen.glass.unwrap();
                    let waited = story.now.since(started) >= RULES.break_glass_wait;
                    assert!(mail == seen.newest && waited, "{}", WAITED.says);
                }
            }
            Event::ResetOpened { form, .. } => {
                assert!(!seen.dead.contains(&whose(form)) || form == minted(mail).reset_form, "{}", WAITED.says);
            }
            Event::ResetDone { .. } => seen.resets += 1,
            Event::GlassEnded { why } => {
                let stopped = matches!(why, LinkEnd::Stopped | LinkEnd::Withdrawn);
                seen.dead.extend(seen.glass.filter(|_| stopped).map(|(mail, _)| mail));
            }
            Event::LinkDied { link, .. } => seen.dead.push(whose(link)),
            Event::CodeWrong { link } => {
                let judged = seen.judged.entry(whose(link)).or_default();
                *judged += 1;
                assert!(*judged <= 5, "{}", FIVE_CODES.says);
                assert!(!seen.dead.contains(&whose(link)), "{}", DEAD_LINKS.says);
            }
            Event::Pressed { link, .. } | Event::TextAccepted { link } => {
                assert!(!seen.dead.contains(&whose(link)), "{}", DEAD_LINKS.says);
            }
            Event::TerminalClosed { why: Closing::Displaced, .. } => panic!("there is room"),
            _ => {}
        }
    }
    for dead in &seen.dead {
        assert!(story.known().link(minted(*dead).link).is_none(), "{}", DEAD_LINKS.says);
    }
    for link in story.known().links() {
        assert!(link.stage == Stage::Sent || story.known().contact.as_ref().unwrap().telephone.is_some());
    }
}

fn walk(story: &Story, seen: &Onlooker, steps: &[Step], depth: usize, told: &mut usize) {
    if depth == 0 {
        *told += 1;
        assert_eq!(story.reloaded(), story.installation);
        return;
    }
    for step in steps {
        let (mut next, mut onlooker) = (story.clone(), seen.clone());
        take(&mut next, &mut onlooker, *step);
        walk(&next, &onlooker, steps, depth - 1, told);
    }
}

fn told(story: &Story, seen: &Onlooker, steps: &[Step], depth: usize) {
    let mut told = 0;
    walk(story, seen, steps, depth, &mut told);
    assert_eq!(told, steps.len().pow(depth as u32));
}

#[test]
fn every_short_story_of_the_contact_holds_the_invariants() {
    let mut story = Story::new();
    story.administrator(ONE);
    let steps = [
        Open(TWO),
        Close(TWO),
        Close(ONE),
        Contact(Some((50, None))),
        Contact(Some((50, Some(60)))),
        Contact(None),
        Validate,
        Press,
        Accepted,
        Died,
        Code(false),
        Code(true),
        Wait(3601),
    ];
    told(&story, &Onlooker::default(), &steps, 4);
    let mut seen = Onlooker::default();
    for step in [Contact(Some((50, Some(60)))), Press] {
        take(&mut story, &mut seen, step);
    }
    told(&story, &seen, &steps, 4);
}

#[test]
fn every_short_story_of_the_reset_holds_the_invariants() {
    let mut story = Story::with(Description { errors_max: Some(3), blocks_administrator: true, ..described() });
    story.validated(Some(60));
    let mut seen = Onlooker { newest: story.mail, ..Onlooker::default() };
    for step in [Open(TWO), Log(TWO, NOBODY, false), Log(TWO, ADMIN, false), Forgotten] {
        take(&mut story, &mut seen, step);
    }
    let steps = [
        Open(ONE),
        Open(TWO),
        Log(TWO, ADMIN, false),
        Log(ONE, ADMIN, true),
        Forgotten,
        Press,
        Accepted,
        Code(false),
        Code(true),
        Reset,
        Wait(601),
    ];
    told(&story, &seen, &steps, 4);
    for step in [Press, Code(false)] {
        take(&mut story, &mut seen, step);
    }
    told(&story, &seen, &steps, 4);
}

#[test]
fn every_short_story_of_break_glass_holds_the_invariants() {
    let mut story = Story::new();
    story.validated(Some(60));
    let mut seen = Onlooker { newest: story.mail, ..Onlooker::default() };
    let steps = [
        Glass,
        Stop,
        Withdraw,
        Wait(72 * 3600 - 1),
        Wait(1),
        Tick,
        Press,
        Reset,
        Open(ONE),
        Log(ONE, ADMIN, true),
        Contact(Some((51, None))),
    ];
    told(&story, &seen, &steps, 4);
    for step in [Glass, Wait(72 * 3600), Open(TWO), Log(TWO, NOBODY, false), Log(TWO, NOBODY, false), Forgotten] {
        take(&mut story, &mut seen, step);
    }
    told(&story, &seen, &steps, 4);
    for step in [Tick, Press] {
        take(&mut story, &mut seen, step);
    }
    told(&story, &seen, &steps, 4);
}

/// Deeper, where it matters: codes and texts of one mail.
#[test]
fn every_long_row_of_codes_is_judged_five_times_at_most() {
    let mut story = Story::new();
    story.administrator(ONE);
    let mut seen = Onlooker::default();
    for step in [Contact(Some((50, Some(60)))), Press, Code(false), Code(false)] {
        take(&mut story, &mut seen, step);
    }
    told(&story, &seen, &[Press, Accepted, Died, Code(false), Wait(1800)], 6);
}
