//! What people do, and what must happen. Numbers are those of "What a demanding user tries".

use super::*;
use crate::recovery::{
    Next,
    words::{Asked, Closing, back_off, read_code},
};

fn refused(left: u8, offered: bool) -> Result<Login, Refusal> {
    Ok(Login::Refused { left, offered })
}

#[test]
fn six_attempts_at_one_terminal_then_it_closes_and_another_must_be_opened() {
    let mut story = Story::new();
    story.open(ONE).unwrap();
    for (left, offered) in [(5, false), (4, true), (3, true), (2, true), (1, true), (0, false)] {
        assert_eq!(story.log_in(ONE, NOBODY, false), refused(left, offered));
    }
    assert_eq!(story.log_in(ONE, ADMIN, true), Err(Refusal::NoTerminal));
    assert_eq!(story.count(|event| matches!(event, Event::TerminalClosed { why: Closing::Errors, .. })), 1);
    story.open(TWO).unwrap();
    assert!(matches!(story.log_in(TWO, ADMIN, true), Ok(Login::In { user: 1, contact_missing: true, .. })));
}

/// Case 12: identical for unknown, ordinary, administrator 1, blocked; the names may alternate.
#[test]
fn case_12_the_offer_comes_with_the_second_error_and_is_the_same_for_every_name() {
    let told = |names: [u8; 4], blocked: bool| {
        let mut story = Story::with(Description { errors_max: blocked.then_some(6), ..described() });
        story.open(ONE).unwrap();
        if blocked {
            for _ in 0..6 {
                story.log_in(ONE, OTHER, false).unwrap();
            }
            assert!(story.known().user(2).unwrap().blocked);
            story.pass(25 * 3600);
            story.open(TWO).unwrap();
        }
        let terminal = if blocked { TWO } else { ONE };
        names.map(|name| story.log_in(terminal, name, false))
    };
    let same = told([NOBODY; 4], false);
    assert_eq!(same, [refused(5, false), refused(4, true), refused(3, true), refused(2, true)]);
    for names in [[ADMIN; 4], [OTHER; 4], [ADMIN, NOBODY, OTHER, ADMIN], [OTHER, ADMIN, OTHER, NOBODY]] {
        assert_eq!(told(names, false), same, "{names:?}");
    }
    assert_eq!(told([OTHER; 4], true), same, "blocked");
}

#[test]
fn as_documented_the_offer_shows_where_it_leads() {
    let mut story = Story::new();
    story.rules.offer_as_documented = true;
    story.open(ONE).unwrap();
    assert_eq!(story.log_in(ONE, NOBODY, false), refused(5, false));
    assert_eq!(story.log_in(ONE, OTHER, false), refused(4, false), "the latest decides");
    assert_eq!(story.forgotten(ONE), Err(Refusal::NotOffered));
    assert_eq!(story.log_in(ONE, ADMIN, false), refused(3, true));
    assert_eq!(story.log_in(ONE, NOBODY, false), refused(2, true));
}

#[test]
fn a_maximum_of_the_installation_decides_below_six_and_above() {
    for maximum in [3, 9] {
        let mut story = Story::with(Description { errors_max: Some(maximum), ..described() });
        story.open(ONE).unwrap();
        for error in 1..=maximum {
            story.pass(100);
            story.open(ONE).ok();
            assert_eq!(story.known().user(2).unwrap().blocked, error > maximum);
            if error % 2 == 0 {
                story.tell(Command::CloseTerminal { terminal: mark(ONE) }).unwrap();
                story.open(ONE).unwrap();
            }
            story.log_in(ONE, OTHER, false).unwrap();
        }
        assert!(story.known().user(2).unwrap().blocked, "{maximum}");
        story.pass(3600);
        story.open(TWO).unwrap();
        assert!(matches!(story.log_in(TWO, OTHER, true), Ok(Login::Refused { .. })), "the right one too");
        let command = Command::ChangeUser { user: 2, name: None, password: false, unblock: true, users: None };
        story.tell(command).unwrap();
        assert!(matches!(story.log_in(TWO, OTHER, true), Ok(Login::In { user: 2, .. })));
    }
}

#[test]
fn administrator_1_is_blocked_only_where_that_is_set_and_a_right_login_clears_the_count() {
    for blocks_administrator in [false, true] {
        let mut story = Story::with(Description { errors_max: Some(4), blocks_administrator, ..described() });
        story.open(ONE).unwrap();
        for _ in 0..3 {
            story.log_in(ONE, ADMIN, false).unwrap();
        }
        assert!(matches!(story.log_in(ONE, ADMIN, true), Ok(Login::In { .. })));
        assert_eq!(story.known().user(1).unwrap().errors, 0);
        story.open(TWO).unwrap();
        for _ in 0..4 {
            story.log_in(TWO, ADMIN, false).unwrap();
        }
        assert_eq!(story.known().user(1).unwrap().blocked, blocks_administrator);
    }
}

#[test]
fn names_rest_after_the_sixth_error_known_or_not_and_a_hundred_in_a_row_are_the_end() {
    assert_eq!([5, 6, 7, 8, 11, 12, 90].map(back_off).map(|span| span.as_secs()), [0, 1, 2, 4, 32, 60, 60]);
    for name in [ADMIN, NOBODY, OTHER] {
        let mut story = Story::new();
        let mut judged = 0;
        for round in 0..40 {
            let terminal = 100 + round;
            story.open(terminal).unwrap();
            while let Ok(attempt) = story.begin(terminal, name) {
                judged += 1;
                story.end(terminal, attempt, false).unwrap();
                if judged >= 6 {
                    let rest = story.begin(terminal, name);
                    assert!(matches!(rest, Err(Refusal::BackOff { .. } | Refusal::NoTerminal)), "{judged} {rest:?}");
                }
                story.pass(61);
                if story.known().terminal(mark(terminal), story.now).is_none() {
                    break;
                }
                let renew = Command::RenewTerminal { terminal: mark(terminal), rules: RULES };
                story.tell(renew).unwrap();
            }
        }
        assert!(judged > 100);
        let blocked = name != NOBODY;
        let user = story.known().named(mark(name));
        assert_eq!(user.is_some_and(|user| user.blocked), blocked, "by a hundred");
        story.open(TWO).unwrap();
        assert!(matches!(story.log_in(TWO, name, true), Ok(Login::Refused { .. })));
    }
}

#[test]
fn parallel_guesses_are_all_charged_before_one_is_judged() {
    let mut story = Story::with(Description { errors_max: Some(6), ..described() });
    let mut begun = Vec::new();
    for terminal in 100..120 {
        story.open(terminal).unwrap();
        for _ in 0..6 {
            if let Ok(attempt) = story.begin(terminal, OTHER) {
                begun.push((terminal, attempt));
            }
        }
    }
    assert_eq!(begun.len(), 6, "the seventh rests");
    // A crash in between changes nothing.
    story.installation = story.reloaded();
    let let_in = begun
        .iter()
        .skip(1)
        .filter(|(terminal, attempt)| matches!(story.end(*terminal, *attempt, false), Ok(Login::In { .. })));
    assert_eq!(let_in.count(), 0);
    let (terminal, attempt) = begun[0];
    assert!(matches!(story.end(terminal, attempt, true), Err(Refusal::NoTerminal) | Ok(Login::Refused { .. })));
    assert!(story.known().user(2).unwrap().blocked);
}

#[test]
fn an_attempt_that_nobody_could_judge_is_given_back() {
    let mut story = Story::new();
    story.open(ONE).unwrap();
    for _ in 0..20 {
        let attempt = story.begin(ONE, ADMIN).unwrap();
        story.tell(Command::Forsake { terminal: mark(ONE), attempt }).unwrap();
    }
    assert_eq!(story.log_in(ONE, ADMIN, false), refused(5, false));
}

#[test]
fn what_was_compared_with_a_password_of_before_counts_for_nothing() {
    let mut story = Story::new();
    story.open(ONE).unwrap();
    let attempt = story.begin(ONE, OTHER).unwrap();
    let users = Some(story.users());
    story.tell(Command::ChangeUser { user: 2, name: None, password: true, unblock: false, users }).unwrap();
    assert!(matches!(story.end(ONE, attempt, true), Ok(Login::Refused { .. })));
}

/// Cases 7 to 9, as far as the machine decides them.
#[test]
fn cases_8_and_9_validated_is_validated_until_it_is_cleared_and_entered_anew() {
    let mut story = Story::new();
    story.validated(None);
    story.administrator(ONE);
    let again = |story: &mut Story| {
        story.mail += 1;
        let minted = minted(story.mail);
        story.tell(Command::RequestValidation { terminal: mark(ONE), minted, rules: RULES })
    };
    assert_eq!(again(&mut story), Err(Refusal::AlreadyValidated));
    assert_eq!(story.contact(ONE, Some((50, None))), Ok(false), "nothing has changed");
    assert_eq!(story.contact(ONE, None), Ok(true));
    assert_eq!(again(&mut story), Err(Refusal::NoContact));
    assert_eq!(story.contact(ONE, Some((50, None))), Ok(true));
    assert!(!story.known().is_validated());
    let first = story.mail;
    again(&mut story).unwrap();
    assert_eq!(story.press(first), Err(Refusal::Expired), "the newer one has killed it");
    assert_eq!(story.press(story.mail), Ok(Told::Pressed(Next::Validated)));
}

/// Case 10.
#[test]
fn case_10_changes_need_the_installation_for_oneself_but_for_a_first_address() {
    let mut story = Story::new();
    story.administrator(ONE);
    story.open(TWO).unwrap();
    assert_eq!(story.contact(ONE, Some((50, Some(60)))), Err(Refusal::OtherTerminals));
    assert_eq!(story.contact(ONE, Some((50, None))), Ok(true), "into an empty field");
    assert_eq!(story.known().exclusive, None);
    for wanted in [Some((50, Some(60))), Some((51, None)), None] {
        assert_eq!(story.contact(ONE, wanted), Err(Refusal::OtherTerminals));
    }
    story.tell(Command::CloseTerminal { terminal: mark(TWO) }).unwrap();
    assert_eq!(story.contact(ONE, Some((50, Some(60)))), Ok(true));
    assert_eq!(story.open(TWO), Err(Refusal::ExclusiveUse));
    // Its client has crashed.
    story.pass(119);
    assert_eq!(story.open(TWO), Err(Refusal::ExclusiveUse));
    story.pass(1);
    story.open(TWO).unwrap();
}

/// Case 11.
#[test]
fn case_11_nobody_but_administrator_1_touches_the_contact() {
    let mut story = Story::new();
    story.open(ONE).unwrap();
    assert_eq!(story.contact(ONE, Some((50, None))), Err(Refusal::NotAdministrator));
    story.log_in(ONE, OTHER, true).unwrap();
    assert_eq!(story.contact(ONE, Some((50, None))), Err(Refusal::NotAdministrator));
    assert_eq!(story.contact(TWO, None), Err(Refusal::NoTerminal));
}

/// Case 2: pressed in two tabs.
#[test]
fn case_2_one_press_is_one_text_and_is_spent_when_the_gateway_took_it() {
    let mut story = Story::new();
    story.administrator(ONE);
    story.contact(ONE, Some((50, Some(60)))).unwrap();
    let mail = story.mail;
    for _ in 0..3 {
        assert_eq!(story.press(mail), Ok(Told::Pressed(Next::Code)));
    }
    assert_eq!(story.mails("sms_recovery_code"), 1);
    story.tell(Command::TextAccepted { link: minted(mail).link }).unwrap();
    assert_eq!(story.press(mail), Err(Refusal::Expired));
    assert_eq!(story.enter(mail, true), Ok(Told::Code { left: 0, next: Some(Next::Validated) }));
    assert_eq!(story.enter(mail, true), Err(Refusal::Expired));
}

#[test]
fn a_text_that_never_left_gives_the_button_back() {
    let mut story = Story::new();
    story.administrator(ONE);
    story.contact(ONE, Some((50, Some(60)))).unwrap();
    let mail = story.mail;
    story.press(mail).unwrap();
    story.tell(Command::TextDied { link: minted(mail).link, why: "rejected".into() }).unwrap();
    assert_eq!(story.known().contact.as_ref().unwrap().trouble.as_deref(), Some("rejected"));
    story.press(mail).unwrap();
    assert_eq!(story.mails("sms_recovery_code"), 2);
    assert!(story.enter(mail, true).is_ok(), "the same code");
}

/// Case 3: to the second, and a change of clocks is no matter to milliseconds since 1970.
#[test]
fn case_3_a_link_lives_for_24_hours_from_its_sending() {
    for (seconds, lives) in [(24 * 3600 - 1, true), (24 * 3600, false), (24 * 3600 + 1, false)] {
        for ticks in [false, true] {
            let mut story = Story::new();
            story.administrator(ONE);
            story.contact(ONE, Some((50, None))).unwrap();
            story.pass(seconds);
            if ticks {
                story.tell(Command::Tick).unwrap();
            }
            assert_eq!(story.press(story.mail).is_ok(), lives, "{seconds}");
        }
    }
}

/// Cases 4 and 5.
#[test]
fn cases_4_and_5_five_codes_are_judged_within_an_hour_and_no_sixth() {
    let begun = |telephone| {
        let mut story = Story::new();
        story.administrator(ONE);
        story.contact(ONE, Some((50, Some(telephone)))).unwrap();
        let mail = story.mail;
        story.press(mail).unwrap();
        story.tell(Command::TextAccepted { link: minted(mail).link }).unwrap();
        (story, mail)
    };
    let (mut story, mail) = begun(60);
    for left in [4, 3, 2, 1, 0] {
        assert_eq!(story.enter(mail, false), Ok(Told::Code { left, next: None }));
        story.installation = story.reloaded();
    }
    assert_eq!(story.enter(mail, true), Err(Refusal::Expired));
    assert_eq!(story.press(mail), Err(Refusal::Expired));
    assert_eq!(story.count(|event| matches!(event, Event::CodeWrong { .. })), 5);
    for (seconds, lives) in [(3599, true), (3600, false), (3601, false)] {
        let (mut story, mail) = begun(60);
        story.pass(seconds);
        assert_eq!(story.enter(mail, true).is_ok(), lives, "{seconds}");
    }
    let (mut story, mail) = begun(60);
    for _ in 0..4 {
        story.enter(mail, false).unwrap();
    }
    assert_eq!(story.enter(mail, true), Ok(Told::Code { left: 0, next: Some(Next::Validated) }));
}

/// Case 6.
#[test]
fn case_6_leading_zeros_belong_to_a_code_and_blanks_do_not() {
    for (text, code) in [
        ("000123", Some("000123")),
        (" 000 123 ", Some("000123")),
        ("12345", None),
        ("1234567", None),
        ("12345a", None),
        ("١٢٣٤٥٦", None),
        ("", None),
    ] {
        assert_eq!(read_code(text).as_deref().map(String::as_str), code, "{text}");
    }
}

/// Case 14.
#[test]
fn case_14_fifty_times_forgotten_are_one_mail_and_three_a_day_are_the_end() {
    let mut story = Story::new();
    story.validated(None);
    story.open(ONE).unwrap();
    for _ in 0..2 {
        story.log_in(ONE, NOBODY, false).unwrap();
    }
    for _ in 0..50 {
        assert_eq!(story.forgotten(ONE), Ok(Told::Nothing));
        story.pass(1);
    }
    assert_eq!(story.mails("recovery_reset"), 1);
    for name in 150..160 {
        story.pass(600);
        story.asked(TWO, name);
        story.tell(Command::CloseTerminal { terminal: mark(TWO) }).unwrap();
    }
    assert_eq!(story.mails("recovery_reset"), 3);
    story.pass(24 * 3600);
    assert!(story.asked(TWO, ADMIN).is_some());
}

#[test]
fn only_the_seeds_conditions_send_a_mail() {
    let outcome = |story: &Story| {
        story.history.iter().rev().find_map(|(_, event)| match event {
            Event::ResetAsked { outcome } => Some(*outcome),
            _ => None,
        })
    };
    let mut story = Story::new();
    assert_eq!(story.asked(ONE, ADMIN), None);
    assert_eq!(outcome(&story), Some(Asked::NoContact));
    let mut story = Story::new();
    story.validated(None);
    assert_eq!(story.asked(ONE, OTHER), None);
    assert_eq!(outcome(&story), Some(Asked::OtherUser));
    story.open(TWO).unwrap();
    assert_eq!(story.forgotten(TWO), Err(Refusal::NotOffered), "no error yet");
}

/// Cases 15 and 17.
#[test]
fn cases_15_and_17_after_the_reset_everything_old_is_dead() {
    let mut story = Story::with(Description { errors_max: Some(3), blocks_administrator: true, ..described() });
    story.validated(Some(60));
    story.administrator(ONE);
    story.open(100).unwrap();
    for _ in 0..3 {
        story.log_in(100, ADMIN, false).unwrap();
    }
    assert!(story.known().user(1).unwrap().blocked, "blocked or not");
    let mut mails = Vec::new();
    for terminal in [101, 102] {
        story.pass(601);
        mails.extend(story.asked(terminal, NOBODY));
    }
    let [first, second] = mails[..] else { panic!("{mails:?}") };
    assert_eq!(story.press(first), Ok(Told::Pressed(Next::Code)));
    assert_eq!(story.reset(first, 9), Err(Refusal::Expired), "the code comes first");
    assert_eq!(story.enter(first, true), Ok(Told::Code { left: 0, next: Some(Next::ResetForm) }));
    assert_eq!(story.press(second), Err(Refusal::Expired), "any use kills all");
    story.reset(first, 9).unwrap();
    assert_eq!(story.reset(first, 8), Err(Refusal::Expired), "twice");
    let administrator = story.known().user(1).unwrap().clone();
    assert_eq!((administrator.errors, administrator.blocked, administrator.name), (0, false, mark(9)));
    assert_eq!(story.known().links().count(), 0);
    assert!(story.known().terminals.iter().all(|terminal| terminal.user != Some(1)));
    assert_eq!((story.mails("recovery_done"), story.mails("sms_recovery_done")), (1, 1));
    story.open(TWO).unwrap();
    assert!(matches!(story.log_in(TWO, ADMIN, true), Ok(Login::Refused { .. })), "the old name is nobody's");
    assert!(matches!(story.log_in(TWO, 9, true), Ok(Login::In { user: 1, .. })));
}

#[test]
fn links_die_when_the_contact_changes_or_administrator_1_logs_in() {
    let mut story = Story::new();
    story.validated(None);
    let mail = story.asked(TWO, ADMIN).unwrap();
    assert!(matches!(story.log_in(TWO, ADMIN, true), Ok(Login::In { .. })));
    assert_eq!(story.press(mail), Err(Refusal::Expired));
    story.tell(Command::CloseTerminal { terminal: mark(TWO) }).unwrap();
    story.pass(601);
    let mail = story.asked(ONE, ADMIN).unwrap();
    story.tell(Command::CloseTerminal { terminal: mark(ONE) }).unwrap();
    // Somebody who was logged in all the time would have to close others first; a new login kills the link already.
    story.press(mail).unwrap();
    story.administrator(TWO);
    assert_eq!(story.reset(mail, 9), Err(Refusal::Expired));
    assert_eq!(story.contact(TWO, Some((51, None))), Ok(true));
    assert_eq!(story.mails("recovery_changed"), 1);
    assert!(!story.known().is_validated());
}

#[test]
fn taking_the_telephone_away_leaves_what_was_proven_and_its_owner_hears_of_it() {
    let mut story = Story::new();
    story.validated(Some(60));
    story.administrator(ONE);
    assert_eq!(story.contact(ONE, Some((50, None))), Ok(true));
    assert!(story.known().is_validated());
    assert_eq!((story.mails("recovery_changed"), story.mails("sms_recovery_changed")), (1, 1));
    assert_eq!(story.contact(ONE, Some((50, Some(61)))), Ok(true));
    assert!(!story.known().is_validated(), "nothing unproven guards a reset");
}

#[test]
fn what_was_read_meanwhile_changed_by_another_is_refused() {
    let mut story = Story::new();
    let stale = story.users();
    let users = story.users();
    story.tell(Command::AddUser { role: crate::recovery::Role::User, name: mark(4), users }).unwrap();
    let users = stale.clone();
    let add = Command::AddUser { role: crate::recovery::Role::User, name: mark(5), users };
    assert_eq!(story.tell(add), Err(Refusal::ChangedMeanwhile));
    let users = story.users();
    let add = Command::AddUser { role: crate::recovery::Role::User, name: mark(4), users };
    assert_eq!(story.tell(add), Err(Refusal::NameTaken));
    let users = story.users();
    assert_eq!(story.tell(Command::RemoveUser { user: 1, users }), Err(Refusal::Administrator1));
}

#[test]
fn terminals_are_bounded_and_a_window_without_a_login_makes_room() {
    let mut story = Story::new();
    story.administrator(ONE);
    for terminal in 100..200 {
        story.open(terminal).unwrap();
    }
    assert_eq!(story.known().terminals.len(), 64);
    assert!(story.known().terminal(mark(ONE), story.now).is_some(), "who works is not displaced");
}
