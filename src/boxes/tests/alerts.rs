//! What administrators are told without asking: each condition once, and its end once.

use super::world::*;
use crate::{
    boxes::{mails::BoxMail, *},
    kernel::{AccessId, Codec, KeyId, Machine, PersonId, Recipient, RowSpace, UnixMillis},
};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn settings() -> AlertSettings {
    AlertSettings {
        unconfirmed_minutes: Some(60),
        late: LateLimits { after_pick_up: Some(120), after_end: Some(10), before_booking: Some(30) },
        ..AlertSettings::default()
    }
}

fn set(world: &mut World, settings: AlertSettings) {
    for site in 0..world.sites.len() {
        world.hear(site, BoxMessage::AlertsChanged(Box::new(settings.clone())));
    }
}

/// One box with a key in `A-1` that Anna may take, and limits.
fn world() -> (World, KeyId) {
    let mut world = World::new(1);
    let key = world.add_key(0, "F1", Some("A-1"), true);
    world.grant(0, ANNA, Scope::Key(key));
    set(&mut world, settings());
    world.sync(0, vec![]);
    world.sync(0, vec![]);
    (world, key)
}

/// What was told, in order: `+kind` for a beginning, `-kind` for an end.
fn told(world: &World, site: usize) -> Vec<String> {
    let kind = |condition: &Trouble| condition.what.kind().name();
    let told = world.events_of(site).filter_map(|event| match event {
        Event::AlertRaised(condition) => Some(format!("+{}", kind(condition))),
        Event::AlertEnded { condition, .. } => Some(format!("-{}", kind(condition))),
        Event::ExchangeTold(told) => Some(if told.pick_up { "pick" } else { "drop" }.to_owned()),
        _ => None,
    });
    told.collect()
}

/// The alerts in force, as the list shows them.
fn listed(world: &World) -> Vec<AlertRow> {
    let rows = world.rows.iter().filter(|((space, _), _)| *space == RowSpace::Alerts as u8);
    let mut rows: Vec<_> = rows.map(|(_, row)| AlertRow::decode_from(row).unwrap()).collect();
    rows.sort_by_key(|row| row.number);
    rows
}

/// As the timer does: it comes at the deadline, and there must be none that it cannot settle.
fn until(world: &mut World, site: usize, end: UnixMillis) {
    for _ in 0..50 {
        match world.sites[site].state.next_deadline().filter(|due| *due <= end) {
            Some(due) => {
                world.now = due.max(world.now);
                world.run(site, Command::Tick).unwrap();
            }
            None => return world.now = end,
        }
    }
    panic!("a deadline that no tick settles");
}

/// The box goes on syncing while time passes.
fn wait(world: &mut World, site: usize, span: Duration) {
    let end = world.now.plus(span);
    while world.now < end {
        let next = world.now.plus(4 * MINUTE).min(end);
        until(world, site, next);
        world.sync(site, vec![]);
    }
}

#[test]
fn a_key_that_is_out_too_long_is_told_once_and_so_is_its_end() {
    let (mut world, key) = world();
    let taken = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.sync(0, vec![taken]);
    let since = world.now;
    wait(&mut world, 0, 2 * HOUR - MINUTE);
    assert!(told(&world, 0).is_empty());
    wait(&mut world, 0, 5 * HOUR);
    assert_eq!(told(&world, 0), ["+late_after_pick_up"]);
    let [alert] = listed(&world)[..] else { panic!() };
    let condition = alert.condition;
    assert_eq!(condition.what, AlertWhat::Late(Lateness::AfterPickUp, key));
    assert_eq!((condition.since, condition.person), (Some(since), Some(ANNA)));
    assert_eq!((condition.due, alert.raised), (Some(since.plus(2 * HOUR)), since.plus(2 * HOUR)));
    let back = world.drop(0, 1, "F1", "A-2", Some(ANNA));
    world.sync(0, vec![back]);
    assert_eq!(told(&world, 0), ["+late_after_pick_up", "-late_after_pick_up"]);
    assert!(listed(&world).is_empty());
    wait(&mut world, 0, 5 * HOUR);
    assert_eq!(told(&world, 0).len(), 2);
    let mails: Vec<_> = world.mails.iter().map(|mail| (&*mail.template, mail.to)).collect();
    assert_eq!(mails, [("box_alerts", Recipient::Owner); 2]);
}

#[test]
fn a_key_that_came_back_while_the_box_was_away_is_not_late() {
    let (mut world, _) = world();
    let taken = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.now = world.now.plus(3 * HOUR);
    let back = world.drop(0, 2, "F1", "A-1", Some(ANNA));
    // In two pieces: after the first one the key only seems to be out.
    let mut request = world.request(0, vec![taken]);
    (request.more, request.head) = (true, 2);
    world.exchange(0, request);
    let now = world.now;
    until(&mut world, 0, now);
    assert!(told(&world, 0).is_empty());
    world.sync(
        0,
        vec![match back {
            Entry::Read(entry) => Entry::Read(JournalEntry { seq: 2, ..entry }),
            other => other,
        }],
    );
    assert!(!told(&world, 0).iter().any(|told| told.contains("late")));
}

#[test]
fn a_key_taken_again_is_late_anew() {
    let (mut world, _) = world();
    for _ in 0..2 {
        let taken = world.pick(0, 1, "F1", "A-1", Some(ANNA));
        world.sync(0, vec![taken]);
        wait(&mut world, 0, 3 * HOUR);
        let back = world.drop(0, 1, "F1", "A-1", Some(ANNA));
        world.sync(0, vec![back]);
    }
    let one = ["+late_after_pick_up", "-late_after_pick_up"];
    assert_eq!(told(&world, 0), [one, one].concat());
}

#[test]
fn the_end_of_the_access_counts_and_a_longer_one_helps() {
    let (mut world, key) = world();
    let until_at = |world: &World, span| Some(world.now.plus(span));
    let grant = |world: &mut World, id, from, until| {
        let record =
            AccessRecord { id: AccessId(id), person: BEN, scope: Scope::Key(key), from, until, reminder: None };
        world.run(0, Command::Grant { accesses: [record].into() }).unwrap();
    };
    let end = until_at(&world, HOUR);
    grant(&mut world, 77, None, end);
    let taken = world.pick(0, 1, "F1", "A-1", Some(BEN));
    world.sync(0, vec![taken]);
    wait(&mut world, 0, HOUR);
    assert!(told(&world, 0).is_empty(), "ten minutes are left");
    wait(&mut world, 0, 12 * MINUTE);
    assert_eq!(told(&world, 0), ["+late_after_end"]);
    let longer = until_at(&world, HOUR);
    grant(&mut world, 78, end, longer);
    assert_eq!(told(&world, 0), ["+late_after_end", "-late_after_end"]);
    world.run(0, Command::Revoke { access: AccessId(78) }).unwrap();
    wait(&mut world, 0, 40 * MINUTE);
    assert_eq!(told(&world, 0)[2..], ["+late_after_end"], "a revoked access has ended too, and stays remembered");
}

#[test]
fn a_key_that_somebody_has_booked_must_be_back_before() {
    let (mut world, key) = world();
    let taken = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.sync(0, vec![taken]);
    let from = Some(world.now.plus(HOUR));
    let record =
        AccessRecord { id: AccessId(77), person: BEN, scope: Scope::Key(key), from, until: None, reminder: None };
    world.run(0, Command::Grant { accesses: [record].into() }).unwrap();
    wait(&mut world, 0, 29 * MINUTE);
    assert!(told(&world, 0).is_empty());
    wait(&mut world, 0, 2 * MINUTE);
    assert_eq!(told(&world, 0), ["+late_before_booking"]);
    world.run(0, Command::Revoke { access: AccessId(77) }).unwrap();
    assert_eq!(told(&world, 0), ["+late_before_booking", "-late_before_booking"]);
}

#[test]
fn a_keys_own_limits_hold_and_move_with_it() {
    let mut world = World::new(2);
    let key = world.add_key(0, "F1", Some("A-1"), true);
    set(&mut world, settings());
    let own = KeyAlerts {
        late: LateLimits { after_pick_up: Some(5), after_end: KeyAlerts::limit(Some(None)), before_booking: None },
        exchange: Some(ExchangeAlert::All),
    };
    world.run(0, Command::SetKeyAlerts { key, alerts: own }).unwrap();
    assert_eq!(
        world.run(0, Command::SetKeyAlerts { key: KeyId(1), alerts: own }),
        Err(No::Refused(Refusal::KeyNotFound))
    );
    let taken = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.told(0, vec![taken]);
    wait(&mut world, 0, 6 * MINUTE);
    assert_eq!(told(&world, 0), ["pick", "+late_after_pick_up"]);
    let back = world.drop(1, 1, "F1", "A-2", Some(ANNA));
    world.told(1, vec![back]);
    assert_eq!(told(&world, 0)[2..], ["-late_after_pick_up"], "it is not this box's any more");
    assert_eq!(
        (world.sites[0].state.key_alerts(key), world.sites[1].state.key_alerts(key)),
        (KeyAlerts::default(), own)
    );
    let taken = world.pick(1, 1, "F1", "A-2", Some(ANNA));
    world.told(1, vec![taken]);
    wait(&mut world, 1, 6 * MINUTE);
    assert_eq!(told(&world, 1), ["pick", "+late_after_pick_up"]);
}

#[test]
fn a_box_that_stays_away_is_told_with_its_cause() {
    for (mains, power) in [(Some(false), true), (Some(true), false), (None, false)] {
        let mut world = World::new(1);
        let mut request = world.request(0, vec![]);
        request.health.mains = mains;
        world.exchange(0, request);
        let end = world.now.plus(2 * HOUR);
        until(&mut world, 0, end);
        assert_eq!(told(&world, 0), ["+offline"], "by default too");
        assert_eq!(listed(&world)[0].condition.what, AlertWhat::Offline { power });
        assert!(world.mails.is_empty(), "a mail for each outage has to be asked for");
        world.sync(0, vec![]);
        assert_eq!(told(&world, 0), ["+offline", "-offline"]);
        assert!(world.sites[0].state.alerts.is_none(), "nothing is kept when nothing is wrong");
    }
}

#[test]
fn a_broken_guarantee_a_conflict_and_their_ends_are_told_by_default() {
    let mut world = World::new(1);
    world.add_key(0, "F1", Some("A-1"), true);
    world.sync(0, vec![]);
    world.sync(0, vec![]);
    world.correct(0, "A-2", Some("F1"));
    wait(&mut world, 0, MINUTE);
    let end = world.now.plus(3 * HOUR);
    world.correct(0, "A-3", Some("F1"));
    until(&mut world, 0, end);
    let wrong = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.sync(0, vec![wrong]);
    world.sync(0, vec![]);
    let conflict = Box::new(world.conflict(0, world.conflicts(0)[0]));
    world.run(0, Command::ResolveConflict { conflict, accept: Accept::ByHand }).unwrap();
    let expected = ["+offline", "+guarantee", "-offline", "+conflict", "-guarantee", "-conflict"];
    assert_eq!(told(&world, 0), expected);
    assert!(
        world.mails.iter().all(|mail| &*mail.template != "box_alerts"),
        "the owner has mails of their own of these"
    );
}

#[test]
fn a_bin_that_nobody_confirms_is_told() {
    let (mut world, _) = world();
    let opened = world.entry(0, 1, Act::Opened, "A-2", None);
    world.sync(0, vec![opened]);
    wait(&mut world, 0, 59 * MINUTE);
    assert!(told(&world, 0).is_empty());
    wait(&mut world, 0, 2 * MINUTE);
    assert_eq!(told(&world, 0), ["+unconfirmed"]);
    assert_eq!(listed(&world)[0].condition.what, AlertWhat::Unconfirmed(label("A-2")));
    world.run(0, Command::ConfirmBin { bin: label("A-2") }).unwrap();
    assert_eq!(told(&world, 0), ["+unconfirmed", "-unconfirmed"]);
}

#[test]
fn an_acknowledged_alert_stays_in_force_and_another_is_not_found() {
    let (mut world, _) = world();
    let taken = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.sync(0, vec![taken]);
    wait(&mut world, 0, 3 * HOUR);
    let number = listed(&world)[0].number;
    for _ in 0..2 {
        world.run(0, Command::AcknowledgeAlert { number }).unwrap();
    }
    assert!(listed(&world)[0].acknowledged.is_some());
    assert_eq!(world.events_of(0).filter(|event| matches!(event, Event::AlertAcknowledged { .. })).count(), 1);
    let other = world.run(0, Command::AcknowledgeAlert { number: number + 1 });
    assert_eq!(other, Err(No::Refused(Refusal::AlertNotFound)));
    set(&mut world, AlertSettings::default());
    assert_eq!(told(&world, 0), ["+late_after_pick_up", "-late_after_pick_up"], "nobody wants to know any more");
}

#[test]
fn each_recipient_gets_one_mail_about_what_he_wants_to_hear() {
    let (mut world, _) = world();
    let kinds = |kinds: &[AlertKind]| kinds.iter().copied().collect::<AlertKinds>();
    let (late, offline) = (AlertKind::LateAfterPickUp, AlertKind::Offline);
    let mail = |person, list: &[AlertKind]| AlertMails { person, kinds: kinds(list) };
    let all = [mail(Some(ANNA), &[late]), mail(None, &[offline]), mail(Some(ANNA), &[offline]), mail(Some(BEN), &[])];
    set(&mut world, AlertSettings { mails: AlertSettings::merged(all), ..settings() });
    let taken = world.pick(0, 1, "F1", "A-1", Some(ANNA));
    world.sync(0, vec![taken]);
    let end = world.now.plus(3 * HOUR);
    until(&mut world, 0, end);
    let mut got = world.mails.iter().filter(|mail| &*mail.template == "box_alerts").map(|mail| {
        let BoxMail::Alerts { items, total, .. } = BoxMail::decode_from(&mail.about).unwrap() else { panic!() };
        assert_eq!(items.len() as u32, total);
        (mail.to, items[0].kind())
    });
    let (first, second, third) = (got.next(), got.next(), got.next());
    assert_eq!(first, Some((Recipient::Person(ANNA), offline)));
    assert_eq!(second, Some((Recipient::Owner, offline)));
    assert_eq!((third, got.next()), (Some((Recipient::Person(ANNA), late)), None));
}

/// What a restart makes of the events is what was there: nothing is told twice.
#[test]
fn alerts_survive_a_restart() {
    let (mut world, _) = world();
    let taken = world.pick(0, 1, "F1", "A-1", Some(PersonId(9)));
    let opened = world.entry(0, 2, Act::Opened, "A-2", None);
    world.sync(0, vec![taken, opened]);
    let end = world.now.plus(3 * HOUR);
    until(&mut world, 0, end);
    let before = told(&world, 0);
    assert_eq!(before.len(), 3, "{before:?}");
    let mut again = SmartBox::blank(world.id(0).at(ORG));
    for (stamp, event) in &world.sites[0].events {
        again.evolve(event, *stamp);
    }
    let bytes = |state: &SmartBox| {
        let mut bytes = Vec::new();
        state.to_snapshot(&mut bytes);
        bytes
    };
    assert_eq!(bytes(&again), bytes(&world.sites[0].state));
    world.sites[0].state = SmartBox::from_snapshot(&bytes(&again)).unwrap();
    world.run(0, Command::Tick).unwrap();
    assert_eq!(told(&world, 0), before);
}
