//! What happens at a desk, drawn by chance: the phone, the person in front of it, the administrator, a stranger.

use crate::chance::Chance;

/// Which PAP a person enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pap {
    Right,
    /// One that was not entered before.
    Wrong,
    /// The last wrong one once more: a phone that tries again.
    Again,
    /// The one of the neighbour's phone.
    Neighbours,
}

/// By which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By calling the authentication service, which knows the derived account, or the MAC.
    Call {
        by_account: bool,
    },
    Page,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The whole sequence of requests.
    Start,
    /// Its configuration alone, unless it has it already.
    Poll,
    Head,
    Part,
    Enter(Pap, Way),
    /// Somebody elsewhere asks for this MAC.
    Stranger,
    /// The same with a credential that he made up.
    StrangerWithKey,
    /// Somebody asks for this MAC and names himself as another.
    Contradiction,
    Suspend,
    Reset,
    /// The phone is set back as it left the factory.
    Forget,
    /// The administrator looks at it.
    Look,
}

fn way(chance: &mut Chance) -> Way {
    match chance.index(3) {
        0 => Way::Page,
        call => Way::Call { by_account: call == 1 },
    }
}

/// A desk's first day.
pub fn first_day(chance: &mut Chance, wrong_share: f64) -> Vec<Step> {
    let mut steps = vec![Step::Start];
    let enter = |pap, chance: &mut Chance| Step::Enter(pap, way(chance));
    if chance.happens(0.1) {
        steps.push(Step::Stranger);
        // Whoever asked last is the one that the window is for.
        if chance.happens(0.7) {
            steps.push(Step::Poll);
        }
    }
    if chance.happens(wrong_share) {
        steps.extend(wrong_person(chance));
    } else if chance.happens(0.9) {
        steps.push(enter(Pap::Right, chance));
    }
    for (step, share) in [(Step::Stranger, 0.15), (Step::Head, 0.1), (Step::Part, 0.1), (Step::Look, 0.05)] {
        if chance.happens(share) {
            steps.push(step);
        }
    }
    if chance.happens(0.05) {
        // Somebody tries while the phone has not fetched yet.
        steps.push(enter(Pap::Wrong, chance));
    }
    steps.push(if chance.happens(0.5) { Step::Start } else { Step::Poll });
    later(chance, &mut steps);
    steps
}

/// Somebody who does not get it right at once.
fn wrong_person(chance: &mut Chance) -> Vec<Step> {
    let paps: &[Pap] = match chance.index(7) {
        0 => &[Pap::Wrong, Pap::Again, Pap::Again, Pap::Right],
        1 => &[Pap::Wrong, Pap::Again, Pap::Wrong, Pap::Right],
        2 => &[Pap::Neighbours, Pap::Right],
        3 => &[Pap::Wrong],
        4 => &[Pap::Wrong, Pap::Wrong],
        _ => &[Pap::Wrong, Pap::Wrong, Pap::Wrong, Pap::Right],
    };
    let mut steps: Vec<Step> = paps.iter().map(|pap| Step::Enter(*pap, way(chance))).collect();
    if paps.len() == 4 && paps[2] == Pap::Wrong && paps[1] == Pap::Wrong {
        rescue(chance, &mut steps, &[Step::Reset]);
    }
    steps
}

/// What the administrator does about a phone that is locked.
fn rescue(chance: &mut Chance, steps: &mut Vec<Step>, reset: &[Step]) {
    match chance.index(4) {
        0 => steps.extend([Step::Suspend, Step::Poll]),
        1 => {
            steps.extend_from_slice(reset);
            steps.extend([Step::Enter(Pap::Right, way(chance)), Step::Poll]);
        }
        2 => steps.push(Step::Look),
        _ => {}
    }
}

/// What else comes in a phone's life.
fn later(chance: &mut Chance, steps: &mut Vec<Step>) {
    let sometimes: [(f64, &[Step]); 8] = [
        (0.3, &[Step::Poll]),
        (0.06, &[Step::Forget, Step::Poll]),
        (0.06, &[Step::Reset, Step::Poll]),
        (0.04, &[Step::Suspend, Step::Poll]),
        (0.04, &[Step::Contradiction]),
        (0.04, &[Step::StrangerWithKey]),
        (0.04, &[Step::Enter(Pap::Wrong, Way::Call { by_account: false })]),
        (0.05, &[Step::Look]),
    ];
    for (share, more) in sometimes {
        if chance.happens(share) {
            steps.extend_from_slice(more);
        }
    }
}

/// The next day, on which the first lock is for good.
pub fn second_day(chance: &mut Chance, wrong_share: f64) -> Vec<Step> {
    let mut steps = vec![if chance.happens(0.3) { Step::Start } else { Step::Poll }];
    if chance.happens(wrong_share) {
        steps.extend([Step::Reset, Step::Poll]);
        steps.extend([Pap::Wrong, Pap::Wrong, Pap::Wrong, Pap::Right].map(|pap| Step::Enter(pap, way(chance))));
        // Where it asked from before the server was started again need not be known.
        rescue(chance, &mut steps, &[Step::Reset, Step::Poll]);
        steps.push(Step::Poll);
    } else if chance.happens(0.3) {
        steps.extend([Step::Enter(Pap::Right, way(chance)), Step::Poll]);
    }
    later(chance, &mut steps);
    steps
}

/// Where nobody has got the PAPs yet, no right one is entered.
pub fn without_paps(steps: Vec<Step>) -> Vec<Step> {
    steps.into_iter().filter(|step| !matches!(step, Step::Enter(Pap::Right, _))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_hold_everything_that_they_are_for() {
        let mut chance = Chance::seeded(5);
        let days: Vec<Vec<Step>> = (0..2000).map(|_| first_day(&mut chance, 0.2)).collect();
        assert!(days.iter().all(|day| day[0] == Step::Start));
        let has = |wanted: &dyn Fn(&Step) -> bool| days.iter().filter(|day| day.iter().any(wanted)).count();
        for step in [Step::Stranger, Step::Head, Step::Part, Step::Suspend, Step::Reset, Step::Forget, Step::Look] {
            assert!(has(&|other| *other == step) > 10, "{step:?}");
        }
        let wrong = has(&|step| matches!(step, Step::Enter(Pap::Wrong | Pap::Neighbours, _)));
        assert!((400..800).contains(&wrong), "{wrong}");
        assert!(has(&|step| matches!(step, Step::Enter(Pap::Right, Way::Page))) > 200);
        let three = |day: &Vec<Step>| day.iter().filter(|step| matches!(step, Step::Enter(Pap::Wrong, _))).count() >= 3;
        assert!(days.iter().filter(|day| three(day)).count() > 50);
        assert!(second_day(&mut chance, 1.0).iter().filter(|step| matches!(step, Step::Enter(..))).count() >= 4);
    }
}
