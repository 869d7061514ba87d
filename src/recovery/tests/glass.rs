//! Break-glass, and what gateways and mail servers report later.

use super::*;
use crate::kernel::KeyedHash;
use crate::recovery::{
    GlassStage, LinkEnd, Next, Purpose, Stopper, TextStatus,
    words::{report_token, text_of_report},
};

const WAIT: u64 = 72 * 3600;

impl Story {
    fn stage(&self) -> Option<GlassStage> {
        self.known().glass.map(|glass| glass.stage)
    }

    fn ended(&self) -> Option<LinkEnd> {
        self.history.iter().rev().find_map(|(_, event)| match event {
            Event::GlassEnded { why } => Some(*why),
            _ => None,
        })
    }

    /// Started and waited for; the number of its mail.
    fn glass_sent(&mut self) -> u8 {
        self.glass().unwrap();
        let mail = self.mail;
        self.pass(WAIT);
        self.tell(Command::Tick).unwrap();
        assert_eq!(self.stage(), Some(GlassStage::Sent));
        mail
    }
}

#[test]
fn what_the_operator_starts_waits_to_the_second_and_is_announced() {
    let mut story = Story::new();
    story.validated(Some(60));
    let sent = story.sent.len();
    story.glass().unwrap();
    assert_eq!(story.sent[sent..], ["recovery_glass", "sms_recovery_glass"], "to the old address and number");
    assert_eq!(story.installation.next_deadline(), Some(story.now.plus(Duration::from_secs(WAIT))));
    assert_eq!(story.glass(), Err(Refusal::GlassPending));
    let due = story.known().glass_due();
    for (terminal, name) in [(ONE, ADMIN), (TWO, OTHER)] {
        story.open(terminal).unwrap();
        assert!(
            matches!(story.log_in(terminal, name, true), Ok(Login::In { glass_due, .. }) if glass_due == due && due.is_some())
        );
    }
    assert_eq!(story.stage(), Some(GlassStage::Waiting), "a login alone does not end what waits");
    story.pass(WAIT - 1);
    story.tell(Command::Tick).unwrap();
    assert_eq!((story.stage(), story.mails("recovery_glass_reset")), (Some(GlassStage::Waiting), 0));
    story.pass(1);
    story.tell(Command::Tick).unwrap();
    story.tell(Command::Tick).unwrap();
    assert_eq!((story.stage(), story.mails("recovery_glass_reset")), (Some(GlassStage::Sent), 1));
}

#[test]
fn after_the_wait_the_new_address_leads_to_new_credentials_without_the_lost_telephone() {
    let mut story = Story::new();
    story.validated(Some(60));
    let mail = story.glass_sent();
    assert_eq!(story.press(mail), Ok(Told::Pressed(Next::ResetForm)), "no code: the telephone is lost too");
    assert_eq!(story.stage(), Some(GlassStage::Opened));
    story.reset(mail, 9).unwrap();
    assert_eq!(story.stage(), None);
    assert!(!story.known().is_validated(), "what was lost guards nothing any more");
    assert!(story.known().contact.is_some());
    assert_eq!(story.stop(mail), Err(Refusal::Expired), "too late");
    story.open(ONE).unwrap();
    assert!(matches!(story.log_in(ONE, 9, true), Ok(Login::In { contact_missing: true, glass_due: None, .. })));
}

#[test]
fn whoever_is_told_stops_it_at_every_stage() {
    for stage in [GlassStage::Waiting, GlassStage::Sent, GlassStage::Opened] {
        let mut story = Story::new();
        story.validated(None);
        story.glass().unwrap();
        let mail = story.mail;
        if stage != GlassStage::Waiting {
            story.pass(WAIT);
            story.tell(Command::Tick).unwrap();
        }
        if stage == GlassStage::Opened {
            story.press(mail).unwrap();
        }
        assert_eq!(story.stage(), Some(stage));
        let other = Command::StopGlass { by: Stopper::Told(mark(77)) };
        assert_eq!(story.tell(other), Err(Refusal::Expired), "nobody guesses it");
        story.stop(mail).unwrap();
        assert_eq!((story.stage(), story.ended()), (None, Some(LinkEnd::Stopped)));
        assert_eq!(story.stop(mail), Err(Refusal::Expired));
        assert_eq!(story.press(mail), Err(Refusal::Expired));
        assert_eq!(story.reset(mail, 9), Err(Refusal::Expired));
        story.pass(WAIT);
        story.tell(Command::Tick).unwrap();
        assert_eq!(story.mails("recovery_glass_reset"), usize::from(stage != GlassStage::Waiting));
        assert!(story.known().is_validated(), "all is as before");
        story.glass().unwrap();
    }
}

#[test]
fn administrator_1_stops_it_and_nobody_else_at_a_terminal() {
    let mut story = Story::new();
    story.glass().unwrap();
    assert_eq!(story.sent.len(), 0, "nobody to tell: it is seen at every login");
    let stop = |terminal| Command::StopGlass { by: Stopper::Terminal(mark(terminal)) };
    story.open(TWO).unwrap();
    assert_eq!(story.tell(stop(TWO)), Err(Refusal::NotAdministrator));
    story.log_in(TWO, OTHER, true).unwrap();
    assert_eq!(story.tell(stop(TWO)), Err(Refusal::NotAdministrator));
    assert_eq!(story.tell(stop(99)), Err(Refusal::NoTerminal));
    story.administrator(ONE);
    story.tell(stop(ONE)).unwrap();
    assert_eq!(story.tell(stop(ONE)), Err(Refusal::NoGlass));
    story.glass().unwrap();
    story.tell(Command::StopGlass { by: Stopper::Operator }).unwrap();
    assert_eq!(story.ended(), Some(LinkEnd::Withdrawn));
    assert_eq!(story.tell(Command::StopGlass { by: Stopper::Operator }), Err(Refusal::NoGlass));
}

#[test]
fn it_ends_when_the_owner_shows_that_nothing_was_lost() {
    let begun = || {
        let mut story = Story::new();
        story.validated(None);
        story
    };
    // The owner's own link is used.
    let mut story = begun();
    story.glass().unwrap();
    let mail = story.asked(TWO, ADMIN).unwrap();
    story.press(mail).unwrap();
    assert_eq!(story.ended(), Some(LinkEnd::OtherUsed));
    // The contact is changed.
    let mut story = begun();
    story.glass().unwrap();
    story.administrator(ONE);
    story.contact(ONE, Some((51, None))).unwrap();
    assert_eq!(story.ended(), Some(LinkEnd::ContactChanged));
    // Administrator 1 comes in after the mail has gone out.
    let mut story = begun();
    let mail = story.glass_sent();
    story.administrator(ONE);
    assert_eq!((story.ended(), story.press(mail)), (Some(LinkEnd::LoggedIn), Err(Refusal::Expired)));
    // Nobody presses.
    let mut story = begun();
    let mail = story.glass_sent();
    story.pass(24 * 3600);
    assert_eq!(story.press(mail), Err(Refusal::Expired));
    story.tell(Command::Tick).unwrap();
    assert_eq!((story.stage(), story.ended()), (None, Some(LinkEnd::Expired)));
    // It was pressed, and nobody set credentials.
    let mut story = begun();
    let mail = story.glass_sent();
    story.press(mail).unwrap();
    story.pass(3600);
    story.tell(Command::Tick).unwrap();
    assert_eq!((story.stage(), story.ended()), (None, Some(LinkEnd::Expired)));
    assert!(story.known().is_validated());
}

#[test]
fn a_visitor_cannot_kill_the_operators_link_by_asking_for_others() {
    let mut story = Story::new();
    story.rules.reset_mails_a_day = 10;
    story.validated(None);
    let mail = story.glass_sent();
    for terminal in 100..106 {
        story.pass(601);
        story.asked(terminal, 50 + terminal).unwrap();
    }
    let asked = story.known().resets.iter().filter(|link| link.purpose == Purpose::Reset);
    assert_eq!(asked.count(), 3);
    assert_eq!(story.press(mail), Ok(Told::Pressed(Next::ResetForm)));
    assert_eq!(story.known().resets.len(), 0, "any use kills all");
}

/// Reports come late, twice, out of order, and of texts to a telephone of before.
#[test]
fn the_last_word_about_the_last_text_to_the_contact_is_shown() {
    let mut story = Story::new();
    story.administrator(ONE);
    story.contact(ONE, Some((50, Some(60)))).unwrap();
    let asked = story.history.len() as u64 + 1;
    story.press(story.mail).unwrap();
    let status = |story: &Story| story.known().contact.as_ref().unwrap().report.map(|report| report.status);
    let trouble = |story: &Story| story.known().contact.as_ref().unwrap().trouble.clone();
    let tell = |story: &mut Story, text, status| story.tell(Command::TextReported { text, status }).unwrap();
    use TextStatus::{Accepted, Delivered, Failed, Queued, Rejected};
    for (reported, shown) in [(Accepted, Accepted), (Accepted, Accepted), (Failed, Failed), (Delivered, Failed)] {
        tell(&mut story, asked, reported);
        assert_eq!(status(&story), Some(shown), "{reported:?}");
    }
    assert_eq!(trouble(&story).as_deref(), Some("undelivered"));
    assert_eq!(story.count(|event| matches!(event, Event::TextReported { .. })), 2, "what is no news is no event");
    tell(&mut story, asked - 1, Rejected);
    assert_eq!(status(&story), Some(Failed), "of an earlier one");
    tell(&mut story, asked + 1, Queued);
    tell(&mut story, asked + 1, Delivered);
    assert_eq!((status(&story), trouble(&story)), (Some(Delivered), None));
    tell(&mut story, asked, Failed);
    assert_eq!(status(&story), Some(Delivered));
    story.contact(ONE, Some((50, Some(61)))).unwrap();
    assert_eq!(status(&story), None);
    tell(&mut story, asked, Failed);
    assert_eq!((status(&story), trouble(&story)), (None, None), "of the telephone before");
    assert_eq!(story.reloaded(), story.installation);
}

#[test]
fn a_mail_that_came_back_is_trouble_of_the_contact_that_it_went_to() {
    let mut story = Story::new();
    let bounced = |story: &mut Story, mail| {
        story.tell(Command::MailBounced { mail }).unwrap();
        story.known().contact.as_ref().and_then(|contact| contact.trouble.clone())
    };
    assert_eq!(bounced(&mut story, 1), None, "there is no contact");
    story.administrator(ONE);
    story.contact(ONE, Some((50, None))).unwrap();
    let first = story.known().contact_at;
    assert_eq!(bounced(&mut story, first).as_deref(), Some("bounced"));
    let events = story.history.len();
    assert_eq!(bounced(&mut story, first).as_deref(), Some("bounced"));
    assert_eq!(story.history.len(), events, "told twice, noted once");
    story.contact(ONE, Some((51, None))).unwrap();
    assert_eq!(bounced(&mut story, first), None, "of the address before");
}

/// A stand-in for the server's own secret.
struct Keys(u8);

impl KeyedHash for Keys {
    fn keyed_hash(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new().chain_update([self.0]).chain_update(purpose);
        parts.iter().for_each(|part| hash.update(part));
        hash.finalize().into()
    }
}

#[test]
fn where_reports_go_is_the_servers_own_and_names_one_text() {
    let token = report_token(&Keys(1), address(), 300);
    assert_eq!(text_of_report(&Keys(1), &token), Some((address(), 300)));
    assert_eq!(text_of_report(&Keys(2), &token), None, "another server's");
    let another = format!("{}12d", &token[..token.len() - 3]);
    assert_eq!(text_of_report(&Keys(1), &another), None, "another text");
    for wrong in ["", "x", &token[..52], &token[..78], &format!("{token}g"), &format!("{}é", &token[..77])] {
        assert_eq!(text_of_report(&Keys(1), wrong), None, "{wrong}");
    }
}
