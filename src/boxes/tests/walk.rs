//! Every sequence of a few steps of a small world: two boxes, two keys, three bins each. The world checks the
//! invariants after each step; when all messages have arrived, every key has exactly one home and nobody waits.

use super::world::*;
use crate::boxes::*;

const DEPTH: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    PickUp {
        site: usize,
        serial: &'static str,
        bin: &'static str,
    },
    DropOff {
        site: usize,
        serial: &'static str,
        bin: &'static str,
    },
    /// A journal that ends here: late pick-ups are due.
    Sync {
        site: usize,
    },
    Correct {
        site: usize,
        bin: &'static str,
        content: Option<&'static str>,
    },
    Deliver {
        newest: bool,
    },
    Answer {
        site: usize,
    },
}

fn steps() -> Vec<Step> {
    let mut steps = vec![Step::Deliver { newest: false }, Step::Deliver { newest: true }];
    for site in 0..2 {
        steps.extend([Step::Sync { site }, Step::Answer { site }]);
        steps.push(Step::Correct { site, bin: "A-1", content: None });
        steps.push(Step::Correct { site, bin: "A-2", content: Some("F1") });
        for bin in ["A-1", "A-2", "A-3"] {
            steps.push(Step::PickUp { site, serial: "F1", bin });
            steps.push(Step::DropOff { site, serial: "F1", bin });
        }
        steps.push(Step::PickUp { site, serial: "F2", bin: "A-1" });
        steps.push(Step::DropOff { site, serial: "F2", bin: "A-2" });
        steps.push(Step::DropOff { site, serial: "F9", bin: "A-3" });
    }
    steps
}

fn start() -> World {
    let mut world = World::new(2);
    world.add_key(0, "F1", Some("A-1"), true);
    world.add_key(1, "F2", Some("A-1"), false);
    world.grant(0, ANNA, Scope::Box);
    world
}

fn take(world: &mut World, step: Step) {
    world.pass(std::time::Duration::from_secs(1));
    match step {
        Step::PickUp { site, serial, bin } => {
            let entry = world.pick(site, 1, serial, bin, Some(ANNA));
            more(world, site, entry);
        }
        Step::DropOff { site, serial, bin } => {
            let entry = world.drop(site, 1, serial, bin, Some(ANNA));
            more(world, site, entry);
        }
        Step::Sync { site } => drop(world.sync(site, vec![])),
        Step::Correct { site, bin, content } => world.correct(site, bin, content),
        Step::Deliver { newest } => drop(world.deliver_one(newest)),
        Step::Answer { site } => {
            let (token_hash, cursor) = (world.token(site), world.sites[site].cursor.unwrap());
            world.run(site, Command::Confirm { token_hash, cursor }).unwrap();
        }
    }
}

/// An entry of a journal that goes on.
fn more(world: &mut World, site: usize, entry: Entry) {
    let request = SyncRequest { more: true, ..world.request(site, vec![entry]) };
    world.exchange(site, request);
}

/// Unknown fobs may lie in two boxes; keys of the organisation may not.
fn at_rest(world: &World) {
    for serial in ["F1", "F2"] {
        let homes: Vec<_> = world
            .sites
            .iter()
            .filter(|site| site.state.inventory().keys.iter().any(|key| key.fob == Some(fob(serial))))
            .collect();
        assert_eq!(homes.len(), 1, "{serial} has one home");
        assert_eq!(world.claims[serial.as_bytes()], homes[0].state.id().at(ORG), "which holds its claim");
        let bins = world.sites.iter().flat_map(|site| site.state.inventory().bins);
        assert!(bins.filter(|bin| bin.fob == Some(fob(serial))).count() <= 1, "{serial} is in one bin");
    }
    for site in &world.sites {
        assert_eq!(site.state.overview(world.now, START).visitors_unresolved, 0);
    }
}

#[test]
fn every_short_story_ends_well() {
    let steps = steps();
    let mut told = 0;
    walk(start(), &steps, DEPTH, &mut Vec::new(), &mut told);
    assert_eq!(told, steps.len().pow(DEPTH as u32));
}

fn walk(world: World, steps: &[Step], depth: usize, path: &mut Vec<Step>, told: &mut usize) {
    if depth == 0 {
        *told += 1;
        let mut world = world;
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            world.settle();
            at_rest(&world);
        }));
        assert!(ended.is_ok(), "{path:?}");
        return;
    }
    for step in steps {
        let mut next = world.fork();
        path.push(*step);
        let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| take(&mut next, *step)));
        assert!(taken.is_ok(), "{path:?}");
        walk(next, steps, depth - 1, path, told);
        path.pop();
    }
}
