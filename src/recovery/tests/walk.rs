//! Every sequence of steps of a small world, with the invariants after each.

use super::*;
use crate::{
    kernel::invariants::{BLOCKED_OUT, DEAD_LINKS, FIVE_CODES},
    recovery::{Closing, words::Stage},
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
}

use Step::{Accepted, Close, Code, Contact, Died, Forgotten, Login as Log, Open, Press, Reset, Validate, Wait};

/// What an onlooker knows without looking into the installation.
#[derive(Clone, Default)]
struct Onlooker {
    /// Codes judged wrong, by mail.
    judged: BTreeMap<u8, usize>,
    dead: Vec<u8>,
    newest: u8,
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
    }
    for (_, event) in story.history[events..].iter().cloned() {
        let whose = |link: Mark| link.0[0];
        match event {
            Event::LinkSent { minted, .. } => seen.newest = whose(minted.link),
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
