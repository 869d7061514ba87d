//! Events are a contract: what was once written is read for ever. A new event gets a new line in `tests/golden/`; no
//! line changes.

use super::world::*;
use crate::{boxes::*, kernel::*};

const GOLDEN: &str = include_str!("../../../tests/golden/box_events.txt");

/// One of each, every field filled.
pub(super) fn samples() -> Vec<(&'static str, Event)> {
    let (bin, key, person, at) = (label("A-1"), KeyId(2), PersonId(3), UnixMillis(1_767_225_600_000));
    let (name, groups) = ("Van 7".into(), [GroupId(4)].into());
    let record = KeyRecord { id: key, name, fob: Some(fob("04A2F1")), roaming: true, groups, size: None };
    let access = AccessRecord {
        id: AccessId(5),
        person,
        scope: Scope::Key(key),
        from: Some(at),
        until: Some(at),
        reminder: None,
    };
    let sighting = Sighting { fob: fob("04A2F1"), by: BoxId(6), at, heard: at, corrected: true, hops: 1 };
    let found = ServerVersion {
        bin_fob: Some(fob("04A2F2")),
        bin_state: Some(BinState::Protected),
        key: Some(key),
        fob_bin: Some(bin),
        holder: Some(person),
        since: Some(at),
    };
    let judged = Judged {
        seq: 56,
        content: 0xdead_beef,
        outcome: Outcome::Ignored(Clash::BinOccupied),
        act: Some(Act::DropOff(fob("04A2F1"))),
        bin: Some(bin),
        person: Some(person),
        box_time: Some(UnixMillis(60_000)),
        at,
        estimated: true,
        cursor: Some(Cursor { epoch: 1, revision: 133 }),
        key: Some(key),
        late: true,
        found: Some(Box::new(found)),
        text: Some("?".into()),
        by: None,
        exchange: None,
        named: None,
    };
    let taken = Judged {
        // Not written: computed anew when read.
        content: 0x05a9_6a83,
        outcome: Outcome::Flagged(Flag::OtherHolder),
        found: None,
        text: None,
        ..judged.clone()
    };
    let exchange = ExchangeId(9);
    let completed = Judged {
        seq: 0,
        content: 0,
        outcome: Outcome::Applied,
        cursor: None,
        box_time: None,
        estimated: false,
        late: false,
        exchange: Some(OfExchange { id: exchange, known: false }),
        ..taken.clone()
    };
    let told = Judged {
        content: 0xdead_beef,
        outcome: Outcome::Applied,
        exchange: Some(OfExchange { id: exchange, known: true }),
        ..taken.clone()
    };
    let online = |event| Event::Online(Box::new(event));
    let opened = Opened {
        exchange,
        act: Act::PickUp(fob("04A2F1")),
        bin,
        person: Some(person),
        key: Some(key),
        until: at,
        by: None,
    };
    let created = Created {
        name: "Hall".into(),
        model: Model::MS4,
        plan: Plan::Premium,
        location: "Rome".into(),
        zone: "Europe/Rome".into(),
        bins: [bin].into(),
    };
    let health = Health {
        battery_percent: Some(97),
        mains: Some(true),
        link: Some(Link::Cellular),
        firmware: Some("5.1.2".into()),
    };
    let synced = Synced {
        shown: 140,
        skew_ms: -5,
        health: Some(Box::new(health)),
        drained: true,
        next_sync_s: 287,
        entries: 2,
        back: true,
        settled: true,
        day: None,
    };
    let (accesses, fob): (Box<[_]>, _) = ([access].into(), fob("04A2F1"));
    let departure = Departure {
        key: record.clone(),
        accesses: accesses.clone(),
        sighting,
        bin: Some(bin),
        code: None,
        booked: None,
        alerts: None,
    };
    let arrival = Arrival {
        key: record.clone(),
        accesses,
        from: BoxId(6),
        at,
        flagged: true,
        bin: Some(bin),
        person: Some(person),
        code: None,
        booked: None,
        alerts: None,
    };
    let by = |by| {
        let Judged { seq, cursor, person, .. } = judged;
        let (at, act, by) = (UnixMillis(60_000), Act::Opened, Some(by));
        let content = judge::content_of_read(&JournalEntry { cursor, person, by, ..line(seq, at, act, Some(bin)) });
        let (act, outcome) = (Some(act), Outcome::Applied);
        Judged { text: None, found: None, act, outcome, content, by, ..judged.clone() }
    };
    let (by_pass, by_offline_code) = (by(By::Pass(PassId(8))), by(By::OfflineCode { sheet: 1, counter: 300 }));
    let code = KeyCodeRecord { mark: crate::orgs::Mark([4; 16]), at: BoxId(6) };
    let pass_key = PassKey { number: 2, public: [3; 32], from: at, until: Some(at) };
    let offline = OfflineSettings { revision: 9, key_codes: true, pass_keys: vec![pass_key] };
    let used = PassUse { at: BoxId(6), seq: 56 };
    let (from, until, signed, lent) = (at, at, at, None);
    let pass =
        Pass { id: PassId(8), access: AccessId(5), person, from, until, signed, key: 2, used: None, lent, opens: None };
    let late = LateLimits { after_pick_up: Some(60), after_end: Some(0), before_booking: Some(30) };
    let own = KeyAlerts { late, exchange: Some(ExchangeAlert::All) };
    let settings = AlertSettings {
        offline: true,
        guarantee: false,
        conflict: true,
        unconfirmed_minutes: Some(1440),
        late,
        exchange: ExchangeAlert::Flagged,
        mails: [AlertMails { person: Some(person), kinds: AlertKind::ALL.into_iter().collect() }].into(),
    };
    let condition = Trouble {
        what: AlertWhat::Late(Lateness::AfterEnd, key),
        since: Some(at),
        due: Some(at),
        person: Some(person),
    };
    let number = SERVER_CONFLICT | 1;
    let why = Suspicion::SequenceReused { seq: 56 };
    vec![
        ("created", Event::Created(Box::new(created))),
        ("described", Event::Described { name: "Hall".into(), location: "Rome".into(), zone: "Europe/Rome".into() }),
        ("plan_set", Event::PlanSet { plan: Plan::BusinessPro }),
        ("enrolment_code_made", Event::EnrolmentCodeMade { code_hash: SecretHash([1; 32]), expires: at }),
        ("enrolment_code_dropped", Event::EnrolmentCodeDropped { code_hash: SecretHash([1; 32]) }),
        (
            "enrolled",
            Event::Enrolled { code_hash: SecretHash([1; 32]), token_hash: SecretHash([2; 32]), generation: 3 },
        ),
        ("suspended", Event::Suspended { why, entry: Some(Box::new(judged.clone())), number: Some(number) }),
        ("journal_restarted", Event::JournalRestarted { next: 1 }),
        ("entry_judged", Event::EntryJudged(judged)),
        ("entry_taken", Event::EntryJudged(taken.clone())),
        ("late_pick_up_missing", Event::LatePickUpMissing { number, bin, fob, key: Some(key) }),
        ("synced", Event::Synced(synced)),
        ("confirmed", Event::Confirmed { revision: 151, settled: true }),
        ("went_offline", Event::WentOffline),
        ("contact_awaited", Event::ContactAwaited { due: at }),
        ("guarantee_broken", Event::GuaranteeBroken { pending_since: at }),
        ("guarantee_kept_again", Event::GuaranteeKeptAgain),
        ("bin_state_set", Event::BinStateSet { bin, state: BinState::Disabled }),
        ("bin_corrected", Event::BinCorrected { bin, fob: Some(fob), key: Some(key) }),
        ("bin_confirmed", Event::BinConfirmed { bin }),
        ("key_added", Event::KeyAdded { key: record, bin: Some(bin) }),
        (
            "key_changed",
            Event::KeyChanged { key, name: "Van".into(), roaming: false, groups: [GroupId(4)].into(), size: None },
        ),
        ("key_fob_set", Event::KeyFobSet { key, fob, before: Some(fob), bin: Some(bin), person: Some(person) }),
        ("entry_named", Event::EntryJudged(Judged { named: Some(key), ..taken.clone() })),
        ("key_removed", Event::KeyRemoved { key, fob: Some(fob) }),
        ("access_granted", Event::AccessGranted(access)),
        (
            "access_granted_with_reminder",
            Event::AccessGranted(AccessRecord { reminder: Some(Reminder::AfterPickUp(90)), ..access }),
        ),
        ("access_revoked_of_group", Event::AccessRevoked { access: AccessId(5), person, group: Some(GroupId(4)) }),
        ("plan_advised", Event::PlanAdvised(Advice { day: at, exchanges: 51, mailed: at })),
        (
            "reminded",
            Event::Reminded(Reminded { key, since: at, access: AccessId(5), person, due: at, dropped: false }),
        ),
        ("access_revoked", Event::AccessRevoked { access: AccessId(5), person, group: None }),
        (
            "conflict_resolved",
            Event::ConflictResolved { number: 56, accept: Accept::Box, taken: Some(fob), person: Some(person) },
        ),
        ("key_departed", Event::KeyDeparted(Box::new(departure))),
        ("key_arrived", Event::KeyArrived(Box::new(arrival))),
        ("sighting_answered", Event::SightingAnswered { sighting, answer: SightingAnswer::PassedOn(BoxId(7)) }),
        ("visitor_unknown", Event::VisitorUnknown { fob, bin, person: Some(person) }),
        ("visitor_forgotten", Event::VisitorForgotten { fob }),
        ("visitor_moved_on", Event::VisitorMovedOn { fob, key }),
        ("visitor_doubled", Event::VisitorDoubled { number, fob, bin, elsewhere: BoxId(6) }),
        ("visitor_asked_again", Event::VisitorAskedAgain { fob }),
        ("fob_released", Event::FobReleased { fob }),
        ("credentials_asked", Event::CredentialsAsked { person }),
        (
            "credentials_set",
            Event::CredentialsSet {
                person,
                revision: 4,
                code: Some(Verifier([7; 16])),
                badges: [Verifier([8; 16])].into(),
            },
        ),
        ("restored", Event::Restored { epoch: 54_310_400 }),
        ("journal_gap", Event::JournalGap { number, first: 57, last: 60 }),
        ("entry_by_pass", Event::EntryJudged(by_pass)),
        ("entry_by_offline_code", Event::EntryJudged(by_offline_code)),
        ("key_code_set", Event::KeyCodeSet { key, code: Some(code), verifier: Some(Verifier([7; 16])) }),
        ("key_code_verified", Event::KeyCodeVerified { key, verifier: Verifier([7; 16]) }),
        ("bookings_set", Event::BookingsSet { person, bookings: [(AccessId(5), Verifier([7; 16]))].into() }),
        ("settings_taken", Event::SettingsTaken(offline)),
        ("booking_ended", Event::BookingEnded { access: AccessId(5), person }),
        ("key_code_told", Event::KeyCodeTold { key, to: BoxId(6), generation: 3 }),
        ("sheet_renewed", Event::SheetRenewed { number: 2 }),
        ("sheet_shown", Event::SheetShown { number: 2, codes: 310 }),
        ("pass_signed", Event::PassSigned { pass, dropped: [PassId(9)].into() }),
        ("pass_of_key", Event::PassSigned { pass: Pass { opens: Some(key), ..pass }, dropped: Box::default() }),
        ("pass_used", Event::PassUsed { pass: PassId(8), used, before: Some(used) }),
        ("pin_set", Event::PinSet { person, pin: Some(Verifier([7; 16])) }),
        ("unlinked", Event::Unlinked),
        ("bin_sized", Event::BinSized { bin, size: Size::Large }),
        (
            "key_sized",
            Event::KeyChanged {
                key,
                name: "Van".into(),
                roaming: false,
                groups: Box::default(),
                size: Some(Size::Small),
            },
        ),
        ("codes_exposed", Event::CodesExposed { people: 7, keys: 2 }),
        ("key_codes_exposed", Event::KeyCodesExposed),
        ("pass_lent", Event::PassLent { pass: PassId(8), loan: Loan { to: BoxId(6), until: at } }),
        ("alerts_set", Event::AlertsSet(Box::new(settings))),
        ("key_alerts_set", Event::KeyAlertsSet { key, alerts: own }),
        ("alert_raised", Event::AlertRaised(condition)),
        ("alert_ended", Event::AlertEnded { number: 152, condition }),
        (
            "offline_ended",
            Event::AlertEnded {
                number: 153,
                condition: Trouble { what: AlertWhat::Offline { power: true }, due: None, person: None, ..condition },
            },
        ),
        (
            "unconfirmed_raised",
            Event::AlertRaised(Trouble { what: AlertWhat::Unconfirmed(bin), due: None, person: None, ..condition }),
        ),
        ("alert_acknowledged", Event::AlertAcknowledged { number: 152 }),
        (
            "exchange_told",
            Event::ExchangeTold(ExchangeTold {
                pick_up: true,
                fob,
                key: Some(key),
                bin,
                person: Some(person),
                at,
                flagged: true,
            }),
        ),
        ("entry_told_again", Event::EntryJudged(told)),
        (
            "settings_changed",
            online(OnlineEvent::SettingsChanged(Settings { quick_scan: false, second_factor: SecondFactor::Pin })),
        ),
        (
            "settings_set",
            online(OnlineEvent::SettingsSet(Settings { quick_scan: true, second_factor: SecondFactor::Sms })),
        ),
        ("code_texted", online(OnlineEvent::CodeTexted(Texted { person, salt: TextSalt([5; 16]), until: at }))),
        ("wrong_code", online(OnlineEvent::WrongCode)),
        ("exchange_opened", online(OnlineEvent::ExchangeOpened(Box::new(opened)))),
        (
            "exchange_completed",
            online(OnlineEvent::ExchangeCompleted { judged: Box::new(completed), number: Some(number) }),
        ),
        ("exchange_cancelled", online(OnlineEvent::ExchangeEnded { exchange, why: Ended::Cancelled })),
        ("exchange_expired", online(OnlineEvent::ExchangeEnded { exchange, why: Ended::Expired })),
        ("order_given", online(OnlineEvent::OrderGiven { number: 7, order: Order::Open(bin), until: at })),
        ("order_retrieved", online(OnlineEvent::OrderRetrieved { number: 7, until: at })),
        (
            "order_completed",
            online(OnlineEvent::OrderCompleted {
                number: 7,
                order: Order::OpenAll,
                given_at: at,
                retrieved_at: Some(at),
                results: [BinResult { bin, outcome: Opening::Jammed }].into(),
            }),
        ),
        ("order_expired", online(OnlineEvent::OrderExpired { number: 7 })),
    ]
}

#[test]
fn events_are_written_and_read_as_ever() {
    golden::assert_is_kept(GOLDEN, &samples());
}
