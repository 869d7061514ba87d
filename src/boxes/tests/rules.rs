//! Enrolment, guarantee, absence, what a box is told, credentials, administration, bounds.

use super::world::*;
use crate::{
    boxes::*,
    kernel::{
        AccessId, BoxId, Codec, Context, GroupId, Incoming, KeyId, Machine, MessageTarget, PersonId, Principal,
        RowSpace, testing::TestKeys,
    },
};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn world() -> World {
    let mut world = World::new(1);
    world.add_key(0, "F1", Some("A-1"), true);
    world.grant(0, ANNA, Scope::Box);
    world.sync(0, vec![]);
    world.sync(0, vec![]);
    world
}

fn seen(world: &World) -> Overview {
    world.sites[0].state.overview(world.now, START)
}

fn tick(world: &mut World) {
    world.run(0, Command::Tick).unwrap();
}

fn count(world: &World, wanted: fn(&Event) -> bool) -> usize {
    world.events_of(0).filter(|event| wanted(event)).count()
}

#[test]
fn an_enrolment_code_works_once_and_for_its_time() {
    let mut world = world();
    let (code, token) = (SecretHash([1; 32]), SecretHash([2; 32]));
    let make = |expires| Command::MakeEnrolmentCode { code_hash: code, expires, stolen: false };
    let enrol = || Command::Enrol { code_hash: code, token_hash: token };
    let invalid = Err(No::Refused(Refusal::EnrolmentCodeInvalid));
    assert_eq!(world.run(0, enrol()), invalid);
    world.run(0, make(world.now.plus(HOUR))).unwrap();
    let row = (RowSpace::EnrolmentCodes as u8, vec![1; 32]);
    assert_eq!(world.rows[&row], world.id(0).to_bytes());
    world.pass(HOUR);
    assert_eq!(world.run(0, enrol()), invalid, "its time is over, tick or not");
    tick(&mut world);
    assert!(!world.rows.contains_key(&row));
    world.run(0, make(world.now.plus(HOUR))).unwrap();
    assert!(matches!(world.run(0, enrol()), Ok(Answer::Enrolled { generation: 2, .. })));
    assert_eq!(world.run(0, enrol()), invalid);
    assert!(!world.rows.contains_key(&row));
}

#[test]
fn a_stolen_box_is_shut_out_until_it_is_enrolled_anew() {
    let mut world = world();
    let (code_hash, expires) = (SecretHash([1; 32]), world.now.plus(HOUR));
    world.run(0, Command::MakeEnrolmentCode { code_hash, expires, stolen: true }).unwrap();
    let request = world.request(0, vec![]);
    assert_eq!(world.send(0, request), Err(No::Refused(Refusal::Suspended)));
    world.run(0, Command::Enrol { code_hash, token_hash: SecretHash([9; 32]) }).unwrap();
    assert!(!seen(&world).suspended);
}

#[test]
fn a_broken_guarantee_is_told_and_so_is_its_end() {
    let mut world = world();
    assert_eq!(seen(&world).pending_since, None);
    let since = world.now;
    world.grant(0, BEN, Scope::Box);
    world.pass(HOUR);
    world.correct(0, "A-2", Some("F1"));
    assert_eq!((seen(&world).pending_since, seen(&world).late), (Some(since), false), "since the oldest");
    world.pass(HOUR + Duration::from_millis(1));
    assert!(seen(&world).late, "premium: two hours, without waiting for a tick");
    assert!(world.sites[0].state.next_deadline().unwrap() <= world.now);
    tick(&mut world);
    tick(&mut world);
    assert_eq!(count(&world, |event| matches!(event, Event::GuaranteeBroken { .. })), 1);
    world.sync(0, vec![]);
    assert!(seen(&world).late, "told, but not yet confirmed");
    let (token_hash, cursor) = (world.token(0), world.sites[0].cursor.unwrap());
    world.run(0, Command::Confirm { token_hash, cursor }).unwrap();
    assert_eq!((seen(&world).pending_since, seen(&world).late), (None, false));
    assert_eq!(count(&world, |event| matches!(event, Event::GuaranteeKeptAgain)), 1);
}

#[test]
fn a_breach_that_no_tick_noticed_is_told_at_its_end() {
    let mut world = world();
    world.hear(0, BoxMessage::PlanChanged { plan: Plan::BusinessPro });
    world.grant(0, BEN, Scope::Box);
    world.sync(0, vec![]);
    world.pass(Duration::from_secs(901));
    world.sync(0, vec![]);
    let broken = |event: &Event| matches!(event, Event::GuaranteeBroken { .. } | Event::GuaranteeKeptAgain);
    assert_eq!((count(&world, broken), seen(&world).late), (2, false));
}

#[test]
fn a_cursor_confirms_only_what_was_in_its_answer() {
    let mut world = world();
    world.grant(0, BEN, Scope::Box);
    world.sync(0, vec![]);
    let (first, token_hash) = (world.sites[0].cursor.unwrap(), world.token(0));
    world.pass(HOUR);
    let since = world.now;
    world.correct(0, "A-3", Some("F1"));
    world.run(0, Command::Confirm { token_hash, cursor: first }).unwrap();
    assert_eq!(seen(&world).pending_since, Some(since));
    let invented = Cursor { revision: first.revision + 1, ..first };
    world.run(0, Command::Confirm { token_hash, cursor: invented }).unwrap();
    assert_eq!(seen(&world).pending_since, Some(since), "it was never given that");
}

#[test]
fn a_box_that_has_lost_its_state_is_given_everything_and_is_pending() {
    let mut world = world();
    world.box_lost_its_state(0);
    let request = world.request(0, vec![]);
    let answer = world.exchange(0, request);
    assert!(answer.changes.full);
    assert_eq!(seen(&world).pending_since, Some(world.now));
    world.sync(0, vec![]);
    assert_eq!(seen(&world).pending_since, None);
}

#[test]
fn a_missed_contact_is_absence_but_not_while_the_server_was_away() {
    let mut world = world();
    let due = seen(&world).contact_due.unwrap();
    let row = |world: &World| {
        let key = (RowSpace::Boxes as u8, world.id(0).to_bytes().to_vec());
        BoxRow::decode_from(&world.rows[&key]).unwrap()
    };
    world.now = due.plus(Duration::from_millis(1));
    let back = Context { org: ORG, now: world.now, epoch: 1, up_since: due, by: Principal::Server, from: None };
    let mut events = Vec::new();
    world.sites[0].state.decide(&Command::Tick, 0, &back, &mut events).unwrap();
    assert!(matches!(events[..], [Event::ContactAwaited { due: later }] if later > world.now), "it came up just now");
    assert!(!world.sites[0].state.overview(world.now, due).offline);
    assert!(seen(&world).offline);
    tick(&mut world);
    assert!(row(&world).offline);
    assert_eq!(count(&world, |event| matches!(event, Event::WentOffline)), 1);
    world.sync(0, vec![]);
    assert!(!seen(&world).offline && !row(&world).offline);
}

#[test]
fn a_box_is_told_to_come_in_time_and_sooner_when_it_is_busy() {
    for plan in [Plan::Lite, Plan::Premium, Plan::BusinessPro] {
        let mut world = world();
        world.hear(0, BoxMessage::PlanChanged { plan });
        let mut spans = Vec::new();
        for _ in 0..50 {
            let request = world.request(0, vec![]);
            spans.push(world.exchange(0, request).next_sync_s);
        }
        assert!(spans.iter().all(|span| (240..=300).contains(span)), "{spans:?}");
        spans.dedup();
        assert!(spans.len() > 20, "spread");
        let entries = (1..=40).map(|after| world.entry(0, after, Act::Opened, "A-1", None)).collect();
        let request = world.request(0, entries);
        assert!(world.exchange(0, request).next_sync_s <= 60);
        let request = SyncRequest { more: true, ..world.request(0, vec![]) };
        assert_eq!(world.exchange(0, request).next_sync_s, 1, "there is more to tell");
    }
}

#[test]
fn a_box_without_offline_exchange_gets_no_permissions() {
    let mut world = World::new(0);
    let site = world.add_box(Model::MS3, &["A-1"]);
    world.add_key(site, "F1", Some("A-1"), false);
    world.sync(site, vec![]);
    world.sync(site, vec![]);
    world.grant(site, ANNA, Scope::Box);
    assert_eq!(seen(&world).pending_since, None, "it misses nothing that it is ever told");
    let changes = world.sites[site].state.changes_since(0);
    assert_eq!((changes.keys.len(), changes.accesses.len(), changes.people.len()), (1, 0, 0));
}

#[test]
fn a_delta_names_what_changed_and_a_strange_cursor_gets_everything() {
    let mut world = world();
    for at in 0..10 {
        world.add_key(0, &format!("K{at}"), None, true);
    }
    world.sync(0, vec![]);
    let key = world.sites[0].state.inventory().keys[3].key;
    world.run(0, Command::RemoveKey { key }).unwrap();
    world.run(0, Command::SetBin { bin: label("A-3"), state: Some(BinState::Disabled), size: None }).unwrap();
    let request = world.request(0, vec![]);
    let changes = world.exchange(0, request).changes;
    assert!(!changes.full);
    assert_eq!((changes.bins.len(), changes.keys.len(), &changes.removed[..]), (1, 0, &[RemovedItem::Key(key)][..]));
    let known = world.sites[0].cursor.unwrap();
    for cursor in [Cursor { epoch: 9, ..known }, Cursor { revision: known.revision + 1_000, ..known }] {
        let request = SyncRequest { cursor: Some(cursor), ..world.request(0, vec![]) };
        world.sites[0].state.changes_since(0);
        assert!(world.send(0, request).unwrap().changes.full, "{cursor}");
        world.box_lost_its_state(0);
    }
}

#[test]
fn removals_beyond_the_ring_give_everything() {
    let mut world = world();
    world.sync(0, vec![]);
    let records: Vec<AccessRecord> = (0..100)
        .map(|at| AccessRecord {
            id: AccessId(at),
            person: PersonId(at % 9),
            scope: Scope::Box,
            from: None,
            until: None,
            reminder: None,
        })
        .collect();
    world.run(0, Command::Grant { accesses: records.into() }).unwrap();
    world.sync(0, vec![]);
    let before = world.sites[0].cursor.unwrap().revision;
    for at in 0..70 {
        world.run(0, Command::Revoke { access: AccessId(at) }).unwrap();
    }
    assert!(world.sites[0].state.changes_since(before).full);
    world.sync(0, vec![]);
}

#[test]
fn credentials_are_asked_for_per_enrolment_and_kept_as_verifiers() {
    let mut world = world();
    world.outbox.clear();
    let access = world.grant(0, BEN, Scope::Box);
    let (_, asked) = world.outbox.pop_front().unwrap();
    assert_eq!(asked.to, MessageTarget::Entity(BEN.at(ORG)));
    let wanted = PersonMessage::CredentialsWanted { to: world.id(0), generation: 1 };
    assert_eq!(PersonMessage::decode_from(&asked.body), Ok(wanted));
    let row = (RowSpace::PersonBoxes as u8, person_box_key(BEN, world.id(0)).to_vec());
    assert!(world.rows.contains_key(&row));
    let plain =
        CredentialsPlain { code: Some("123456".into()), badges: vec!["b1".into()], pin: None, bookings: Vec::new() }
            .to_bytes();
    let give = |revision, generation| {
        let body = BoxMessage::PersonCredentials { person: BEN, revision, generation }.to_bytes();
        let (to, from) = (BoxId(1).at(ORG), BEN.at(ORG));
        let secret = Some(&plain[..]);
        let chance = &crate::kernel::Chance::seeded(1);
        let incoming = Incoming { to, from, body: &body, secret, unclaimed: false, keys: &TestKeys(1), chance };
        SmartBox::message(incoming).unwrap()
    };
    world.run(0, give(4, 2)).unwrap();
    let told = |world: &World| world.sites[0].state.changes_since(0).people.into_iter().find(|told| told.person == BEN);
    assert_eq!(told(&world).unwrap().code, None, "of another enrolment");
    world.run(0, give(4, 1)).unwrap();
    let key = verifier_key(&TestKeys(1), world.id(0), 1);
    assert_eq!(told(&world).unwrap().code, Some(verifier(&key, "code:", "123456")));
    assert_eq!(told(&world).unwrap().badges[..], [verifier(&key, "badge:", "b1")]);
    world.hear(0, BoxMessage::PersonChanged { person: BEN, revision: 4 });
    assert!(world.outbox.is_empty(), "known already");
    world.hear(0, BoxMessage::PersonChanged { person: BEN, revision: 5 });
    assert_eq!(world.outbox.len(), 1);
    world.outbox.clear();
    world.enrol(0, false);
    assert_eq!(told(&world).unwrap().code, None);
    assert_eq!(world.outbox.len(), 2, "Anna and Ben, for the new key");
    world.run(0, Command::Revoke { access }).unwrap();
    assert!(!world.rows.contains_key(&row));
    world.hear(0, BoxMessage::PersonGone { person: ANNA });
    assert!(world.sites[0].state.inventory().accesses.is_empty());
}

#[test]
fn a_conflict_is_resolved_once_by_the_boxs_version_or_by_hand() {
    let mut world = world();
    let key = world.bin(0, "A-1").key.unwrap();
    let entries = vec![
        world.pick(0, 1, "F1", "A-2", Some(BEN)),
        world.drop(0, 2, "F1", "A-3", Some(BEN)),
        Entry::Unreadable { seq: 3, text: "?".into() },
    ];
    world.told(0, entries);
    let resolve = |world: &mut World, number, accept| {
        let conflict = Box::new(world.conflict(0, number));
        world.run(0, Command::ResolveConflict { conflict, accept })
    };
    resolve(&mut world, 1, Accept::Box).unwrap();
    assert_eq!(
        (world.holder(0, key), world.shows(0, "A-1"), world.shows(0, "A-2")),
        (Some(BEN), (None, true, false), (None, true, false))
    );
    resolve(&mut world, 2, Accept::Box).unwrap();
    assert_eq!(world.shows(0, "A-3"), (Some("F1".into()), true, false));
    assert_eq!(resolve(&mut world, 3, Accept::Box), Err(No::Refused(Refusal::CannotAccept)));
    resolve(&mut world, 3, Accept::ByHand).unwrap();
    assert_eq!(resolve(&mut world, 3, Accept::ByHand), Err(No::Refused(Refusal::ConflictNotFound)));
    assert!(world.conflicts(0).is_empty());
    assert_eq!(world.conflict(0, 1).resolved.unwrap().accept, Accept::Box);
}

#[test]
fn open_conflicts_beyond_the_list_are_counted_and_resolvable() {
    let mut world = world();
    let entries = (1..=70).map(|after| world.pick(0, after, "F9", "A-1", None)).collect();
    world.told(0, entries);
    assert_eq!((seen(&world).open_conflicts, seen(&world).conflicts.len()), (70, MAX_OPEN_CONFLICTS));
    let conflict = Box::new(world.conflict(0, 70));
    world.run(0, Command::ResolveConflict { conflict, accept: Accept::ByHand }).unwrap();
    assert_eq!(seen(&world).open_conflicts, 69);
}

#[test]
fn administration_refuses_what_cannot_be_and_takes_a_repetition() {
    let mut world = world();
    let key = world.bin(0, "A-1").key.unwrap();
    let refused = |refusal| Err(No::Refused(refusal));
    let revision = seen(&world).revision;
    world.try_add_key(0, key, "F1", None, true).unwrap();
    assert_eq!(seen(&world).revision, revision, "the same again changes nothing");
    assert_eq!(world.try_add_key(0, key, "F2", None, true), refused(Refusal::AlreadyExists));
    assert_eq!(world.try_add_key(0, KeyId(1), "F1", None, true), refused(Refusal::FobTaken));
    assert_eq!(world.try_add_key(0, KeyId(1), "F2", Some("A-1"), true), refused(Refusal::BinOccupied));
    assert_eq!(world.try_add_key(0, KeyId(1), "F2", Some("Z-1"), true), refused(Refusal::BinNotFound));
    assert_eq!(world.run(0, Command::RemoveKey { key: KeyId(1) }), refused(Refusal::KeyNotFound));
    assert_eq!(world.run(0, Command::Revoke { access: AccessId(1) }), refused(Refusal::AccessNotFound));
    assert_eq!(world.run(0, Command::ConfirmBin { bin: label("Z-1") }), refused(Refusal::BinNotFound));
    let record = |id, key| AccessRecord {
        id: AccessId(id),
        person: BEN,
        scope: Scope::Key(key),
        from: None,
        until: None,
        reminder: None,
    };
    let accesses = [record(1, key), record(2, KeyId(9))].into();
    assert_eq!(world.run(0, Command::Grant { accesses }), refused(Refusal::KeyNotFound));
    assert_eq!(seen(&world).revision, revision, "all or none");
    let change = |groups: &[GroupId]| Command::ChangeKey {
        key,
        name: None,
        roaming: Some(false),
        groups: Some(groups.into()),
        size: None,
        fob: None,
        texts: Some(KeyTexts { notes: "spare".into(), ..KeyTexts::default() }),
    };
    world.run(0, change(&[GroupId(1)])).unwrap();
    let row = &world.rows[&(RowSpace::KeyTexts as u8, key.to_bytes().to_vec())];
    assert_eq!(&*KeyTexts::decode_from(row).unwrap().notes, "spare");
    world.run(0, Command::RemoveKey { key }).unwrap();
    assert!(!world.rows.keys().any(|(space, _)| [RowSpace::KeyTexts as u8, RowSpace::Keys as u8].contains(space)));
    world.run(0, Command::Describe { name: Some("Hall".into()), location: None, zone: None }).unwrap();
    assert_eq!(&*seen(&world).name, "Hall");
}

#[test]
fn a_group_covers_its_keys_and_no_other() {
    let mut world = world();
    let access = world.sites[0].state.inventory().accesses[0].record.id;
    world.run(0, Command::Revoke { access }).unwrap();
    world.pass(HOUR);
    let key = world.bin(0, "A-1").key.unwrap();
    world.grant(0, BEN, Scope::Group(GroupId(5)));
    let (before, back) = (world.pick(0, 1, "F1", "A-1", Some(BEN)), world.drop(0, 2, "F1", "A-1", Some(BEN)));
    assert_eq!(world.told(0, vec![before, back])[0], flagged(Flag::NotPermitted));
    let groups = Some([GroupId(5)].into());
    world
        .run(0, Command::ChangeKey { key, name: None, roaming: None, groups, size: None, fob: None, texts: None })
        .unwrap();
    let after = world.pick(0, 1, "F1", "A-1", Some(BEN));
    assert_eq!(world.told(0, vec![after]), [applied()]);
}

#[test]
fn a_routine_sync_writes_no_list_row() {
    let mut world = world();
    world.rows.clear();
    let entries = vec![world.pick(0, 1, "F1", "A-1", Some(ANNA)), world.drop(0, 2, "F1", "A-1", Some(ANNA))];
    world.told(0, entries);
    assert!(world.rows.is_empty(), "{:?}", world.rows.keys());
}

#[test]
fn a_box_of_ordinary_size_is_small() {
    let mut world = World::new(0);
    let bins: Vec<String> = (1..=10).map(|at| format!("A-{at}")).collect();
    let site = world.add_box(Model::MS5, &bins.iter().map(String::as_str).collect::<Vec<_>>());
    for (at, bin) in bins.iter().enumerate() {
        world.add_key(site, &format!("04A2F1{at:08}"), Some(bin), true);
    }
    for at in 0..20 {
        world.grant(site, PersonId(at), Scope::Box);
        let (code, badges) = (Some(Verifier([1; 16])), [Verifier([2; 16])].into());
        let credentials = Command::Credentials {
            person: PersonId(at),
            revision: 1,
            generation: 1,
            code,
            badges,
            pin: None,
            bookings: Box::default(),
        };
        world.run(site, credentials).unwrap();
    }
    world.sync(site, vec![]);
    let bytes = world.sites[site].state.size_in_memory();
    assert!(bytes <= 6 * 1024, "{bytes} bytes");
}

#[test]
fn a_box_with_more_accesses_than_it_takes_knows_those_that_it_has() {
    let mut world = World::new(1);
    let access = |id: usize, scope| AccessRecord {
        id: AccessId(0x10_0000 + id as u128),
        person: ANNA,
        scope,
        from: None,
        until: None,
        reminder: None,
    };
    let all: Box<[_]> = (0..MAX_ACCESSES).map(|id| access(id, Scope::Box)).collect();
    world.run(0, Command::Grant { accesses: all }).unwrap();
    let key = KeyRecord {
        id: KeyId(9),
        name: "Van".into(),
        fob: Some(fob("F9")),
        roaming: true,
        groups: Box::default(),
        size: None,
    };
    let (by, at) = (world.id(0), world.now);
    let sighting = Sighting { fob: fob("F9"), by, at, heard: at, corrected: false, hops: 0 };
    let accesses = [access(MAX_ACCESSES, Scope::Key(KeyId(9)))].into();
    let message = BoxMessage::KeyMoved { key, accesses, sighting, code: None, booked: None, alerts: None };
    world.run(0, Command::Heard { from: BoxOrOther::Box(BoxId(8)), message }).unwrap();
    let mut grant = |id| world.run(0, Command::Grant { accesses: [access(id, Scope::Box)].into() });
    assert!(grant(7).is_ok(), "it stands there already");
    assert_eq!(grant(MAX_ACCESSES + 1), Err(No::Refused(Refusal::LimitReached)));
}
