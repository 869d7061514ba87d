//! Codes, sheets and passes on the pure core.

use super::world::*;
use crate::{boxes::*, kernel::*, orgs::Mark};

fn with(by: By, entry: Entry) -> Entry {
    match entry {
        Entry::Read(entry) => Entry::Read(JournalEntry { by: Some(by), ..entry }),
        other => other,
    }
}

fn set(world: &mut World, site: usize, key: KeyId, code: Option<u8>) -> Result<Answer, No> {
    let command = Command::SetKeyCode {
        key,
        mark: code.map(|code| Mark([code; 16])),
        verifier: code.map(|code| Verifier([code; 16])),
        generation: 1,
        base: world.sites[site].state.key_codes_sealed(),
        plain: Vec::new().into(),
    };
    world.run(site, command)
}

fn told(world: &World, site: usize) -> CodeChanges {
    world.sites[site].state.changes_since(0).codes.map(|codes| *codes).unwrap_or_default()
}

#[test]
fn a_box_that_uses_no_codes_is_told_of_none_and_stores_none() {
    let world = World::new(1);
    assert!(world.sites[0].state.changes_since(0).codes.is_none());
    assert_eq!((world.sites[0].state.sheet_number(), world.sites[0].state.next_counter(WHOLE_BOX)), (0, 0));
}

/// Case 11, the server's part.
#[test]
fn key_codes_are_told_only_where_the_organisation_wants_it_and_a_new_one_kills_the_old() {
    let mut world = World::new(1);
    let (van, car) = (world.add_key(0, "F1", Some("A-1"), false), world.add_key(0, "F2", Some("A-2"), false));
    set(&mut world, 0, van, Some(1)).unwrap();
    world.sync(0, vec![]);
    assert_eq!(told(&world, 0), CodeChanges::default(), "off unless somebody wants it");
    let settings = OfflineSettings { revision: 5, key_codes: true, pass_keys: vec![] };
    world.hear(0, BoxMessage::OfflineSettings(settings.clone()));
    world.sync(0, vec![]);
    assert_eq!(told(&world, 0).key_codes, [(van, Some(Verifier([1; 16])))]);
    set(&mut world, 0, van, Some(2)).unwrap();
    assert_eq!(set(&mut world, 0, car, Some(2)), Err(No::Refused(Refusal::CodeTaken)));
    set(&mut world, 0, car, Some(1)).unwrap();
    world.sync(0, vec![]);
    set(&mut world, 0, van, None).unwrap();
    world.sync(0, vec![]);
    assert_eq!(told(&world, 0).key_codes, [(car, Some(Verifier([1; 16]))), (van, None)]);
    // Older settings that come late change nothing.
    world.hear(0, BoxMessage::OfflineSettings(OfflineSettings { revision: 4, ..settings.clone() }));
    world.hear(0, BoxMessage::OfflineSettings(OfflineSettings { revision: 9, key_codes: false, ..settings }));
    world.sync(0, vec![]);
    assert!(told(&world, 0).key_codes.is_empty());
    let picks = |world: &World, after, serial, bin| with(By::KeyCode, world.pick(0, after, serial, bin, None));
    let (first, second) = (picks(&world, 1, "F1", "A-1"), picks(&world, 2, "F2", "A-2"));
    assert_eq!(world.sync(0, vec![first, second]), [flagged(Flag::NotPermitted), applied()]);
}

#[test]
fn digits_of_another_box_are_taken() {
    let mut world = World::new(2);
    let (here, there) = (world.add_key(0, "F1", None, false), world.add_key(1, "F2", None, false));
    set(&mut world, 0, here, Some(1)).unwrap();
    assert_eq!(set(&mut world, 1, there, Some(1)), Err(No::Taken));
    world.run(0, Command::RemoveKey { key: here }).unwrap();
    set(&mut world, 1, there, Some(1)).unwrap();
}

#[test]
fn a_keys_code_moves_with_it_and_its_new_home_asks_for_it() {
    let mut world = World::new(2);
    let van = world.add_key(0, "F1", Some("A-1"), true);
    world.grant(0, ANNA, Scope::Box);
    set(&mut world, 0, van, Some(1)).unwrap();
    let taken = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.sync(0, vec![taken]);
    let left = world.drop(1, 1, "F1", "A-2", Some(ANNA));
    world.sync(1, vec![left]);
    for _ in 0..3 {
        world.deliver_one(false);
    }
    let asked = world.outbox.iter().any(|(_, message)| {
        matches!(BoxMessage::decode_from(&message.body), Ok(BoxMessage::KeyCodeWanted { key, .. }) if key == van)
    });
    assert!(asked, "{:?}", world.events_of(1).last());
    world.settle();
    let told = world.events_of(0).any(|event| matches!(event, Event::KeyCodeTold { key, .. } if *key == van));
    assert!(told);
    let verifier = Verifier([9; 16]);
    let wrong = Command::KeyCodeGiven { key: van, mark: Mark([2; 16]), verifier, generation: 1 };
    world.run(1, wrong).unwrap();
    world.run(1, Command::KeyCodeGiven { key: van, mark: Mark([1; 16]), verifier, generation: 1 }).unwrap();
    let verified = world.events_of(1).filter(|event| matches!(event, Event::KeyCodeVerified { .. })).count();
    assert_eq!(verified, 1);
    assert_eq!(set(&mut world, 1, van, None), Ok(Answer::Done { revision: world.sites[1].state.revision() }));
}

#[test]
fn a_booking_is_told_with_its_access_and_ends_with_it() {
    let mut world = World::new(1);
    let (van, car) = (world.add_key(0, "F1", Some("A-1"), false), world.add_key(0, "F2", Some("A-2"), false));
    let (one, other) = (world.grant(0, ANNA, Scope::Key(van)), world.grant(0, ANNA, Scope::Key(car)));
    let give = |revision, bookings: &[(AccessId, Verifier)]| Command::Credentials {
        person: ANNA,
        revision,
        generation: 1,
        code: None,
        badges: Box::default(),
        pin: None,
        bookings: bookings.into(),
    };
    let elsewhere = (AccessId(99), Verifier([5; 16]));
    world.run(0, give(1, &[(one, Verifier([3; 16])), elsewhere])).unwrap();
    world.sync(0, vec![]);
    assert_eq!(told(&world, 0).bookings, [(one, Verifier([3; 16]))]);
    world.run(0, give(2, &[(one, Verifier([3; 16])), (other, Verifier([3; 16]))])).unwrap();
    world.sync(0, vec![]);
    world.run(0, Command::Revoke { access: one }).unwrap();
    let ended = world.events_of(0).any(|event| matches!(event, Event::BookingEnded { access, .. } if *access == one));
    assert!(ended);
    world.sync(0, vec![]);
    world.run(0, give(3, &[])).unwrap();
    world.sync(0, vec![]);
    assert!(told(&world, 0).bookings.is_empty());
    world.enrol(0, true);
    assert!(told(&world, 0).bookings.is_empty());
}

fn show(world: &mut World, number: u32, renew: bool, mark: u8) -> Result<Answer, No> {
    let marks = [Mark([mark; 16])].into();
    let generation = world.sites[0].state.generation();
    world.run(0, Command::ShowSheet { number, renew, generation, marks })
}

/// Case 10, the server's part.
#[test]
fn offline_codes_count_once_and_a_new_sheet_kills_the_old() {
    let mut world = World::new(1);
    world.add_key(0, "F1", Some("A-1"), false);
    assert!(world.sites[0].state.overview(world.now, START).unprepared);
    show(&mut world, 0, false, 1).unwrap();
    assert!(!world.sites[0].state.overview(world.now, START).unprepared);
    let opened = |world: &World, after, sheet, counter| {
        with(By::OfflineCode { sheet, counter }, world.entry(0, after, Act::Opened, "A-1", None))
    };
    let entries =
        vec![opened(&world, 1, 0, 3), opened(&world, 2, 0, 3), opened(&world, 3, 0, 4), opened(&world, 4, 1, 9)];
    let reused = flagged(Flag::CodeReused);
    assert_eq!(world.sync(0, entries), [applied(), reused, applied(), reused]);
    assert_eq!((world.sites[0].state.next_counter(0), world.shows(0, "A-1").1), (5, false));
    assert_eq!(show(&mut world, 2, true, 2), Err(No::Refused(Refusal::ChangedMeanwhile)));
    show(&mut world, 1, true, 2).unwrap();
    assert_eq!((world.sites[0].state.sheet_number(), world.sites[0].state.next_counter(0)), (1, 0));
    world.run(0, Command::ConfirmBin { bin: label("A-1") }).unwrap();
    world.sync(0, vec![]);
    let Entry::Read(all) = opened(&world, 1, 1, 0) else { panic!("readable") };
    let all = Entry::Read(JournalEntry { act: Act::OpenedAll, bin: None, ..all });
    assert_eq!(world.sync(0, vec![all]), [applied()]);
    assert!(["A-1", "A-2", "A-3"].iter().all(|bin| !world.shows(0, bin).1));
    assert_eq!(world.sites[0].state.next_counter(WHOLE_BOX), 1);
    // A new enrolment has other secrets: nobody holds its codes.
    world.enrol(0, true);
    assert_eq!(world.sites[0].state.sheet_number(), 2);
    assert!(world.sites[0].state.overview(world.now, START).unprepared);
}

fn sign(world: &mut World, site: usize, pass: u128, access: Option<AccessId>) -> Result<Answer, No> {
    let renew = access.is_none();
    world.run(site, Command::SignPass { pass: PassId(pass), access, hours: 12, key: 1, renew, moved: None })
}

#[test]
fn a_pass_lives_within_its_access_and_is_good_for_one_pick_up_anywhere() {
    let mut world = World::new(2);
    let van = world.add_key(0, "F1", Some("A-1"), true);
    let access = world.grant(0, ANNA, Scope::Key(van));
    let until = world.now.plus(std::time::Duration::from_secs(3600));
    let short = AccessRecord {
        id: AccessId(7),
        person: BEN,
        scope: Scope::Box,
        from: None,
        until: Some(until),
        reminder: None,
    };
    world.run(0, Command::Grant { accesses: [short].into() }).unwrap();
    sign(&mut world, 0, 1, Some(access)).unwrap();
    sign(&mut world, 0, 2, Some(AccessId(7))).unwrap();
    assert_eq!(world.sites[0].state.pass(PassId(2)).unwrap().until, until);
    assert_eq!(sign(&mut world, 0, 1, Some(AccessId(7))), Err(No::Refused(Refusal::AlreadyExists)));
    assert_eq!(sign(&mut world, 0, 3, Some(AccessId(8))), Err(No::Refused(Refusal::AccessNotFound)));
    assert_eq!(sign(&mut world, 0, 3, None), Err(No::Refused(Refusal::PassNotFound)));
    assert_eq!(sign(&mut world, 1, 1, Some(access)), Err(No::Refused(Refusal::AccessNotFound)));
    world.pass(std::time::Duration::from_secs(1800));
    let before = world.sites[0].state.pass(PassId(1)).unwrap().until;
    sign(&mut world, 0, 1, None).unwrap();
    assert!(world.sites[0].state.pass(PassId(1)).unwrap().until > before, "signed for longer");
    let used = with(By::Pass(PassId(1)), world.pick(0, 1, "F1", "A-1", Some(ANNA)));
    let back = world.drop(0, 2, "F1", "A-1", Some(ANNA));
    let again = with(By::Pass(PassId(1)), world.pick(0, 3, "F1", "A-1", Some(ANNA)));
    assert_eq!(world.sync(0, vec![used, back, again]), [applied(), applied(), flagged(Flag::PassReused)]);
    assert_eq!(sign(&mut world, 0, 1, None), Err(No::Refused(Refusal::PassUsed)));
    // Photographed, and shown at another box: its journal brings it, and whoever has signed it notices.
    world.correct(1, "A-2", Some("F9"));
    let other = with(By::Pass(PassId(1)), world.pick(1, 1, "F9", "A-2", Some(ANNA)));
    assert_eq!(world.told(1, vec![other]), [flagged(Flag::NotPermitted)]);
    let noticed = world.events_of(0).any(
        |event| matches!(event, Event::PassUsed { pass: PassId(1), used, before: Some(_) } if used.at == BoxId(2)),
    );
    assert!(noticed, "{:?} {:?}", world.events_of(0).last(), world.events_of(1).last());
    world.pass(std::time::Duration::from_secs(3600));
    assert_eq!(sign(&mut world, 0, 2, None), Err(No::Refused(Refusal::AccessOver)));
}

#[test]
fn a_pass_brings_a_key_back_whatever_has_become_of_it() {
    let mut story = super::online::Story::new();
    story.world.correct(0, "A-1", None);
    let permission = Permission { scope: Scope::Key(story.key), smart_box: Some(BoxId(99)) };
    let pass = Some(SignedPass { id: PassId(3), permission, access: None });
    let (hour, now) = (std::time::Duration::from_secs(3600), story.world.now);
    for (from, until) in [(UnixMillis(0), UnixMillis(1)), (now.plus(hour), now.plus(2 * hour))] {
        let signed = Signed { person: BEN, from, until, pass };
        let decision = story.decided(Act::DropOff(fob("F1")), Bearer::Signed(signed));
        assert_eq!(decision.person, Some(BEN));
        story.end(decision.id, End::Cancelled).unwrap();
        let identity = Bearer::Signed(Signed { pass: None, ..signed });
        story.refused(Act::DropOff(fob("F1")), identity, OnlineRefusal::NotPermitted);
    }
}
