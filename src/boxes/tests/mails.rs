//! What the owner hears: one mail for all conflicts of a sync, one for a broken guarantee, one for its end, one for a
//! box that seems to be cloned.

use super::world::*;
use crate::{
    boxes::*,
    kernel::{AccessId, BoxId, Codec, KeyId, PersonId, Recipient, UnixMillis, golden},
};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn world() -> World {
    let mut world = World::new(1);
    world.add_key(0, "F1", Some("A-1"), true);
    world.grant(0, PersonId(3), Scope::Box);
    world.sync(0, vec![]);
    world.sync(0, vec![]);
    assert!(world.mails.is_empty(), "nothing has gone wrong yet");
    world
}

/// The only mail, read as the sender of mails reads it.
fn only_mail(world: &World) -> BoxMail {
    let [mail] = &world.mails[..] else { panic!("{} mails", world.mails.len()) };
    let about = BoxMail::decode_from(&mail.about).unwrap();
    assert_eq!((&*mail.template, mail.to, mail.name), (about.template(), Recipient::Owner, None));
    assert!(mail.deadline >= world.now.plus(DAY), "time enough for a mail server that is down over night");
    about
}

#[test]
fn all_conflicts_of_a_sync_are_one_mail() {
    let mut world = world();
    let entries = vec![
        world.pick(0, 1, "F1", "A-2", Some(PersonId(3))),
        world.pick(0, 2, "F1", "A-1", Some(PersonId(3))),
        world.pick(0, 3, "F1", "A-3", None),
        world.drop(0, 4, "F1", "Z-9", None),
    ];
    world.sync(0, entries);
    let conflicts = world.conflicts(0);
    assert_eq!(conflicts.len(), 3);
    let BoxMail::Conflicts { smart_box, numbers, total } = only_mail(&world) else { panic!() };
    assert_eq!((smart_box, numbers, total), (world.id(0), conflicts, 3));
    world.mails.clear();
    world.sync(0, vec![]);
    assert!(world.mails.is_empty(), "and it is told once");
    let conflict = Box::new(world.conflict(0, 1));
    world.run(0, Command::ResolveConflict { conflict, accept: Accept::ByHand }).unwrap();
    assert!(world.mails.is_empty(), "its end is the administrator's own doing");
}

#[test]
fn very_many_conflicts_are_counted() {
    let mut world = world();
    let entries = (1..=120).map(|after| world.pick(0, after, "F1", "A-2", None)).collect();
    world.sync(0, entries);
    let BoxMail::Conflicts { numbers, total, .. } = only_mail(&world) else { panic!() };
    assert_eq!((numbers.len(), total), (50, 120));
}

#[test]
fn a_broken_guarantee_and_its_end_are_a_mail_each() {
    let mut world = world();
    let since = world.now;
    world.correct(0, "A-2", Some("F1"));
    world.pass(3 * HOUR);
    world.run(0, Command::Tick).unwrap();
    world.run(0, Command::Tick).unwrap();
    let BoxMail::GuaranteeBroken { pending_since, due, plan, .. } = only_mail(&world) else { panic!() };
    assert_eq!((pending_since, due, plan), (since, since.plus(2 * HOUR), Plan::Premium));
    world.mails.clear();
    world.sync(0, vec![]);
    world.sync(0, vec![]);
    let BoxMail::GuaranteeKept { at, pending_since, .. } = only_mail(&world) else { panic!() };
    assert_eq!((at, pending_since), (world.now, None));
}

#[test]
fn a_breach_that_is_noticed_at_its_end_is_one_mail() {
    let mut world = world();
    let since = world.now;
    world.correct(0, "A-2", Some("F1"));
    world.sync(0, vec![]);
    world.pass(3 * HOUR);
    world.sync(0, vec![]);
    let BoxMail::GuaranteeKept { pending_since, .. } = only_mail(&world) else { panic!() };
    assert_eq!(pending_since, Some(since));
}

#[test]
fn a_cloned_box_is_one_mail_and_a_stolen_one_none() {
    let mut world = world();
    let taken = world.pick(0, 1, "F1", "A-1", Some(PersonId(3)));
    let request = world.request(0, vec![taken]);
    world.send(0, request).unwrap();
    let other = world.pick(0, 1, "F1", "A-2", None);
    let request = world.request(0, vec![other]);
    world.send(0, request).unwrap();
    assert!(world.sites[0].state.overview(world.now, START).suspended);
    let BoxMail::Suspended { seq, reused, .. } = only_mail(&world) else { panic!() };
    assert_eq!((seq, reused), (1, true));
    world.mails.clear();
    world.enrol(0, true);
    assert!(world.mails.is_empty(), "the administrator said so");
}

/// Mails wait in the outbox and in dead letters: what was written once is read for ever.
#[test]
fn golden_mails() {
    let (smart_box, at) = (BoxId(6), UnixMillis(1_767_225_600_000));
    let hex = |mail: &BoxMail| golden::hex(mail.to_bytes());
    let codes =
        CodesReplaced { person: PersonId(3), smart_box, code: true, pin: true, accesses: [AccessId(5)].into(), at };
    assert_eq!(
        golden::hex(codes.to_bytes()),
        "8650000000000000000000000000000000035000000000000000000000000000000006f5f58150000000000000000000000000000000051b0000019b76daa800"
    );
    let golden = [
        (BoxMail::Stolen { smart_box, at, people: 7 }, "820b8350000000000000000000000000000000061b0000019b76daa80007"),
        (
            BoxMail::KeyCodes { smart_box, at, keys: vec![KeyId(2)] },
            "820c8350000000000000000000000000000000061b0000019b76daa800815000000000000000000000000000000002",
        ),
        (
            BoxMail::Conflicts { smart_box, numbers: vec![57, 1 << 52 | 1], total: 2 },
            "82008350000000000000000000000000000000068218391b001000000000000102",
        ),
        (
            BoxMail::GuaranteeBroken {
                smart_box,
                pending_since: at,
                due: at,
                plan: Plan::Premium,
                last_contact: Some(at),
            },
            "82018550000000000000000000000000000000061b0000019b76daa8001b0000019b76daa800011b0000019b76daa800",
        ),
        (
            BoxMail::GuaranteeKept { smart_box, at, pending_since: Some(at), plan: Plan::Lite },
            "82028450000000000000000000000000000000061b0000019b76daa8001b0000019b76daa80000",
        ),
        (
            BoxMail::Suspended { smart_box, at, seq: 57, reused: true },
            "82038450000000000000000000000000000000061b0000019b76daa8001839f5",
        ),
    ];
    for (mail, bytes) in golden {
        assert_eq!(hex(&mail), bytes);
        assert_eq!(BoxMail::decode_from(&mail.to_bytes()).unwrap(), mail);
    }
}
