//! What an installation's organisation changes over the API.

use super::*;
use crate::recovery::words::Wanted;

#[test]
fn what_the_api_changes_of_administrator_1_is_told_to_the_contact_and_closes_the_terminals() {
    let mut story = Story::new();
    let change = |story: &Story, user, name: Option<u8>, password| {
        let users = (name.is_some() || password).then(|| story.users());
        Command::ChangeUser { user, name: name.map(mark), password, unblock: true, users }
    };
    let told = |story: &Story| (story.mails("recovery_done"), story.mails("sms_recovery_done"));
    story.tell(change(&story, 1, None, true)).unwrap();
    assert_eq!(told(&story), (0, 0), "there is no contact");
    story.validated(Some(60));
    story.administrator(ONE);
    story.open(TWO).unwrap();
    assert!(matches!(story.log_in(TWO, OTHER, true), Ok(Login::In { user: 2, .. })));
    story.tell(change(&story, 1, None, false)).unwrap();
    assert!(story.known().is_administrators(mark(ONE), story.now), "unblocking is none");
    assert_eq!(told(&story), (0, 0));
    story.tell(change(&story, 1, None, true)).unwrap();
    assert!(story.known().terminal(mark(ONE), story.now).is_none());
    assert!(story.known().terminal(mark(TWO), story.now).is_some(), "somebody else's");
    assert_eq!(told(&story), (1, 1));
    story.tell(change(&story, 1, Some(9), false)).unwrap();
    assert_eq!(told(&story), (2, 2), "a name that nobody told him keeps him out as well");
    story.tell(change(&story, 2, None, true)).unwrap();
    assert!(story.known().terminal(mark(TWO), story.now).is_none());
    assert_eq!(told(&story), (2, 2), "the contact is administrator 1's");
    assert_eq!(story.reloaded(), story.installation);
}

#[test]
fn two_who_change_different_things_at_once_both_get_what_they_want() {
    let mut story = Story::new();
    let change = |wanted| Command::Change { wanted, account: None };
    story.tell(change(Wanted { label: Some("Studio Verdi".into()), ..Wanted::default() })).unwrap();
    story
        .tell(change(Wanted { errors_max: Some(Some(4)), language: Some(Language::De), ..Wanted::default() }))
        .unwrap();
    let wanted =
        Description { label: "Studio Verdi".into(), errors_max: Some(4), language: Language::De, ..described() };
    assert_eq!(story.known().description, wanted);
    story.tell(change(Wanted { errors_max: Some(None), account: Some("".into()), ..Wanted::default() })).unwrap();
    assert_eq!(story.known().description, Description { errors_max: None, account: "".into(), ..wanted });
    let told = story.history.len();
    story.tell(change(Wanted::default())).unwrap();
    assert_eq!(story.history.len(), told, "nothing is no change");
}
