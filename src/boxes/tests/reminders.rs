//! Whoever has a key is reminded once for each pick-up, and not of what he has done already.

use super::world::*;
use crate::{
    boxes::{mails::BoxMail, *},
    kernel::{AccessId, Codec, KeyId, Machine, PersonId, Recipient, UnixMillis},
};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const ID: AccessId = AccessId(88);

/// A box with a key in `A-1` that Anna may take, and is reminded of.
fn world(reminder: Reminder, until: Option<Duration>) -> (World, KeyId) {
    let mut world = World::new(1);
    let key = world.add_key(0, "F1", Some("A-1"), true);
    let until = until.map(|span| world.now.plus(span));
    let access =
        AccessRecord { id: ID, person: ANNA, scope: Scope::Key(key), from: None, until, reminder: Some(reminder) };
    world.run(0, Command::Grant { accesses: [access].into() }).unwrap();
    world.sync(0, vec![]);
    world.sync(0, vec![]);
    (world, key)
}

/// As the timer does.
fn until(world: &mut World, end: UnixMillis) {
    for _ in 0..50 {
        match world.sites[0].state.next_deadline().filter(|due| *due <= end) {
            Some(due) => {
                world.now = due.max(world.now);
                world.run(0, Command::Tick).unwrap();
            }
            None => return world.now = end,
        }
    }
    panic!("a deadline that no tick settles");
}

/// The box goes on syncing while time passes.
fn wait(world: &mut World, span: Duration) {
    let end = world.now.plus(span);
    while world.now < end {
        let next = world.now.plus(4 * MINUTE).min(end);
        until(world, next);
        world.sync(0, vec![]);
    }
}

fn reminded(world: &World) -> Vec<Reminded> {
    let of = |event: &Event| match event {
        Event::Reminded(reminded) => Some(*reminded),
        _ => None,
    };
    world.events_of(0).filter_map(of).collect()
}

fn mailed(world: &World) -> Vec<(PersonId, UnixMillis)> {
    let mails = world.mails.iter().filter(|mail| mail.template == BoxMail::REMINDER);
    mails
        .map(|mail| {
            assert!(matches!(BoxMail::decode_from(&mail.about), Ok(BoxMail::ReturnReminder { .. })));
            let Recipient::Person(person) = mail.to else { panic!("{:?}", mail.to) };
            (person, mail.deadline)
        })
        .collect()
}

#[test]
fn whoever_has_a_key_is_reminded_once_for_each_pick_up() {
    let (mut world, key) = world(Reminder::AfterPickUp(90), None);
    wait(&mut world, 3 * HOUR);
    assert!(reminded(&world).is_empty(), "the key is in its bin");
    let taken = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.sync(0, vec![taken]);
    let since = world.now;
    wait(&mut world, 89 * MINUTE);
    assert!(mailed(&world).is_empty());
    wait(&mut world, 5 * HOUR);
    let due = since.plus(90 * MINUTE);
    assert_eq!(reminded(&world), [Reminded { key, since, access: ID, person: ANNA, due, dropped: false }]);
    assert_eq!(mailed(&world), [(ANNA, due.plus(REMINDED_WITHIN))]);
    let back = world.drop(0, 1, "F1", "A-1", Some(ANNA));
    world.sync(0, vec![back]);
    let again = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.sync(0, vec![again]);
    wait(&mut world, 2 * HOUR);
    assert_eq!(mailed(&world).len(), 2);
}

#[test]
fn before_the_end_and_not_when_it_is_back_or_the_access_is_gone() {
    let minutes = Reminder::BeforeEnd(30);
    let (mut late, _) = world(minutes, Some(5 * HOUR));
    let start = late.now;
    let taken = late.pick(0, 1, "F1", "A-1", Some(ANNA));
    late.sync(0, vec![taken]);
    wait(&mut late, 6 * HOUR);
    let [told] = reminded(&late)[..] else { panic!() };
    assert!(told.due <= start.plus(4 * HOUR + 30 * MINUTE) && told.due > start.plus(4 * HOUR + 20 * MINUTE));

    let (mut back, _) = world(minutes, Some(5 * HOUR));
    let taken = back.pick(0, 1, "F1", "A-1", Some(ANNA));
    back.sync(0, vec![taken]);
    wait(&mut back, HOUR);
    let brought = back.drop(0, 1, "F1", "A-1", Some(ANNA));
    back.sync(0, vec![brought]);
    wait(&mut back, 6 * HOUR);
    assert!(reminded(&back).is_empty());

    let (mut gone, _) = world(minutes, Some(5 * HOUR));
    let taken = gone.pick(0, 1, "F1", "A-1", Some(ANNA));
    gone.sync(0, vec![taken]);
    gone.run(0, Command::Revoke { access: ID }).unwrap();
    wait(&mut gone, 6 * HOUR);
    assert!(reminded(&gone).is_empty());
}

#[test]
fn a_box_that_is_away_reminds_nobody_and_what_is_too_late_is_dropped() {
    let (mut world, _) = world(Reminder::AfterPickUp(60), None);
    let taken = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.sync(0, vec![taken]);
    // It goes offline before the reminder is due, and comes back within the hour: made up for.
    let back_at = world.now.plus(100 * MINUTE);
    until(&mut world, back_at);
    assert!(reminded(&world).is_empty());
    world.sync(0, vec![]);
    wait(&mut world, 4 * MINUTE);
    assert_eq!(mailed(&world).len(), 1);
    let brought = world.drop(0, 1, "F1", "A-1", Some(ANNA));
    world.sync(0, vec![brought]);
    let taken = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.sync(0, vec![taken]);
    // And once more, for too long.
    let back_at = world.now.plus(3 * HOUR);
    until(&mut world, back_at);
    world.sync(0, vec![]);
    wait(&mut world, 4 * HOUR);
    assert_eq!(reminded(&world).iter().map(|told| told.dropped).collect::<Vec<_>>(), [false, true]);
    assert_eq!(mailed(&world).len(), 1);
}
