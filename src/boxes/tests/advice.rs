//! A box that is used much is advised to have the plan with the shortest guarantee.

use super::world::*;
use crate::{
    boxes::{mails::BoxMail, *},
    kernel::UnixMillis,
};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// A Monday, 10:00 in Rome.
const MONDAY: UnixMillis = UnixMillis(1_790_582_400_000);

/// A box with a key that is taken and brought back all the time.
fn world() -> World {
    let mut world = World::new(1);
    world.now = MONDAY;
    world.hear(0, BoxMessage::PlanChanged { plan: Plan::Premium });
    let key = world.add_key(0, "F1", Some("A-1"), true);
    world.grant(0, ANNA, Scope::Key(key));
    world.sync(0, vec![]);
    world.sync(0, vec![]);
    world
}

/// So many pick-ups, and each brought back, a sync each.
fn use_it(world: &mut World, times: usize) {
    for _ in 0..times {
        let taken = world.pick(0, 1, "F1", "A-1", Some(ANNA));
        assert_eq!(world.sync(0, vec![taken]), [applied()]);
        let back = world.drop(0, 1, "F1", "A-1", Some(ANNA));
        assert_eq!(world.sync(0, vec![back]), [applied()]);
    }
}

fn advised(world: &World) -> Vec<u32> {
    let of = |event: &Event| match event {
        Event::PlanAdvised(advice) => Some(advice.exchanges),
        _ => None,
    };
    world.events_of(0).filter_map(of).collect()
}

fn mails(world: &World) -> usize {
    world.mails.iter().filter(|mail| mail.template == BoxMail::ADVICE).count()
}

fn advice(world: &World) -> Option<u32> {
    world.sites[0].state.advice(world.now).map(|advice| advice.exchanges)
}

#[test]
fn more_than_fifty_exchanges_of_a_working_day_are_told() {
    let mut world = world();
    use_it(&mut world, 25);
    assert_eq!((advised(&world), advice(&world)), (vec![], None), "fifty are not more than fifty");
    use_it(&mut world, 10);
    assert_eq!((advised(&world), advice(&world), mails(&world)), (vec![51], Some(51), 1));
    world.now = MONDAY.plus(DAY);
    use_it(&mut world, 20);
    assert_eq!(advised(&world).len(), 1, "a day is counted by itself");
    use_it(&mut world, 20);
    assert_eq!((advised(&world).len(), mails(&world)), (2, 1), "and mailed once a month");
    world.now = MONDAY.plus(35 * DAY);
    use_it(&mut world, 30);
    assert_eq!((advised(&world).len(), mails(&world)), (3, 2));
    world.hear(0, BoxMessage::PlanChanged { plan: Plan::BusinessPro });
    assert_eq!(advice(&world), None);
    world.now = MONDAY.plus(70 * DAY);
    use_it(&mut world, 30);
    assert_eq!((advised(&world).len(), mails(&world)), (3, 2));
    assert!(world.sites[0].state.watch.is_none());
}

#[test]
fn a_day_off_is_not_counted_and_the_advice_ends() {
    let mut world = world();
    world.now = MONDAY.plus(5 * DAY);
    use_it(&mut world, 40);
    assert!(advised(&world).is_empty(), "a Saturday");
    // Its day ends at midnight in Rome, 22:00 in UTC.
    world.now = MONDAY.plus(7 * DAY + Duration::from_secs(13 * 3600));
    use_it(&mut world, 20);
    world.now = MONDAY.plus(7 * DAY + Duration::from_secs(15 * 3600));
    use_it(&mut world, 20);
    assert!(advised(&world).is_empty(), "two days");
    use_it(&mut world, 10);
    assert_eq!(advice(&world), Some(51));
    world.now = world.now.plus(31 * DAY);
    assert_eq!(advice(&world), None, "long ago");
}
