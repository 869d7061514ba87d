//! Every sequence of what can be done to verification types, some steps deep, with the invariants after each step.

use super::*;
use VerificationKind::{EmailDomain, Iuv, Shibboleth};
use VerificationState::{Active, Inactive, Test};

const DEPTH: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Step {
    Add(VerificationKind),
    Put(u32, VerificationState),
    Remove(u32),
    Save(u32, u8, u64),
    Wait,
}

const STEPS: [Step; 12] = [
    Step::Add(Iuv),
    Step::Add(Shibboleth),
    Step::Add(EmailDomain),
    Step::Put(2, Active),
    Step::Put(2, Test),
    Step::Put(3, Active),
    Step::Put(3, Inactive),
    Step::Remove(2),
    Step::Save(2, 1, 0),
    Step::Save(2, 2, 3600),
    Step::Save(3, 1, 0),
    Step::Wait,
];

fn take(story: &mut Story, step: Step) {
    // Refusals change nothing, and `tell` checks the invariants.
    let _ = match step {
        Step::Add(kind) => story.add(kind).map(|_| 0),
        Step::Put(verification, state) => story.put(verification, state),
        Step::Remove(verification) => {
            let sealed = story.sealed();
            story.tell(Command::RemoveVerification { verification, sealed })
        }
        Step::Save(verification, key, overlap) => story.save(verification, key, false, Duration::from_secs(overlap)),
        Step::Wait => {
            story.pass(Duration::from_secs(3600));
            story.tell(Command::Tick)
        }
    };
    let keys = story.known().verifications.iter().flat_map(Verification::keys).map(|key| key.mark.0);
    assert_eq!(story.claims.len(), 1 + keys.collect::<BTreeSet<_>>().len(), "claims are what is held: {step:?}");
}

fn walk(story: &Story, depth: usize, told: &mut usize) {
    if depth == 0 {
        *told += 1;
        assert_eq!(story.reloaded(), story.store);
        return;
    }
    for step in STEPS {
        let mut next = story.clone();
        take(&mut next, step);
        walk(&next, depth - 1, told);
    }
}

#[test]
fn every_short_story_holds_the_invariants() {
    // Two that are ready, so that states can change.
    let mut story = Story::new();
    story.ready_iuv(8);
    story.ready_iuv(9);
    let mut told = 0;
    walk(&story, DEPTH, &mut told);
    assert_eq!(told, STEPS.len().pow(DEPTH as u32));
}
