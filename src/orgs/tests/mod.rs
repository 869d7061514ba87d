//! Stories on the pure core.

mod contract;

use super::{
    ApiToken, DeadLetter, DeadMail, Language, MailChoice, Mark, Organisation, OrganisationRow, Person, Role, Scope,
    Scopes, organisation, person,
    state::person::{Credentials, Profile},
    token,
};
use crate::kernel::testing::TestKeys;
use crate::{
    boxes::{BoxMessage, PersonMessage, Plan},
    kernel::{
        BoxId, ClaimOp, ClaimSpace, Codec, Context, Effects, EntityKind, Incoming, Machine, MailCopy, MailId, MailName,
        MailTrouble, MessageTarget, OrgId, PersonId, Principal, Recipient, RowSpace, Stamp, TokenId, UnixMillis,
        VaultField, VaultOp,
    },
};
use std::time::Duration;

const ORG: OrgId = OrgId(7);

/// One entity and what it did last.
struct Story<M: Machine> {
    state: M,
    revision: u64,
    claims: Vec<ClaimOp>,
    effects: Effects,
}

impl<M: Machine + Clone + PartialEq + std::fmt::Debug> Story<M> {
    fn of(address: crate::kernel::Address) -> Self {
        Self { state: M::blank(address), revision: 0, claims: Vec::new(), effects: Effects::default() }
    }

    /// Decides, evolves, and checks that events and snapshot survive their bytes.
    fn tell(&mut self, command: M::Command) -> Result<usize, M::Refusal> {
        let now = UnixMillis(1_790_000_000_000 + self.revision);
        let cx = Context { org: ORG, now, epoch: 1, up_since: UnixMillis(0), by: Principal::Server, from: None };
        let mut events = Vec::new();
        self.state.decide(&command, 0, &cx, &mut events)?;
        self.claims.clear();
        self.state.claims(&command, &events, &mut self.claims);
        let mut reread = self.state.clone();
        for event in &events {
            self.revision += 1;
            let stamp = Stamp { at: now, revision: self.revision };
            self.state.evolve(event, stamp);
            reread.evolve(&M::Event::decode_from(&event.to_bytes()).unwrap(), stamp);
        }
        assert_eq!(reread, self.state);
        let mut snapshot = Vec::new();
        self.state.to_snapshot(&mut snapshot);
        assert_eq!(M::from_snapshot(&snapshot).unwrap(), self.state);
        self.effects = Effects::default();
        self.state.effects(&command, &events, &cx, &mut self.effects);
        Ok(events.len())
    }

    fn row(&self, space: RowSpace) -> Option<bool> {
        self.effects.rows.iter().find(|row| row.space == space).map(|row| row.value.is_some())
    }
}

fn create_organisation() -> organisation::Command {
    organisation::Command::Create {
        name: "Rossi".into(),
        plan: Plan::Lite,
        language: Language::It,
        zone: "Europe/Rome".into(),
        owner: PersonId(1),
    }
}

fn change_plan(plan: Plan) -> organisation::Command {
    organisation::Command::Change { name: None, plan: Some(plan), language: None, zone: None }
}

#[test]
fn a_new_plan_is_told_to_every_box_once() {
    let mut story = Story::<Organisation>::of(ORG.at(ORG));
    assert_eq!(story.tell(change_plan(Plan::Lite)), Err(organisation::Refusal::NotFound));
    assert_eq!(story.tell(create_organisation()), Ok(1));
    assert!(story.effects.messages.is_empty());
    assert_eq!(story.tell(change_plan(Plan::BusinessPro)), Ok(1));
    let [message] = &story.effects.messages[..] else { panic!("one fan-out") };
    let everyone = MessageTarget::Index { space: RowSpace::Boxes, prefix: Vec::new(), kind: EntityKind::SmartBox };
    assert_eq!(message.to, everyone);
    let told = BoxMessage::decode_from(&message.body).unwrap();
    assert_eq!(told, BoxMessage::PlanChanged { plan: Plan::BusinessPro });
    assert_eq!(story.state.view().unwrap().plan, Plan::BusinessPro);
    assert_eq!(story.tell(change_plan(Plan::BusinessPro)), Ok(0), "the same again changes nothing");
    assert!(story.effects.messages.is_empty() && story.effects.rows.is_empty());
}

#[test]
fn making_the_same_again_is_a_replay_and_another_is_refused() {
    let mut story = Story::<Organisation>::of(ORG.at(ORG));
    assert_eq!(story.tell(create_organisation()), Ok(1));
    assert_eq!(story.tell(create_organisation()), Ok(0));
    let organisation::Command::Create { plan, language, zone, owner, .. } = create_organisation() else { return };
    let other = organisation::Command::Create { name: "Bianchi".into(), plan, language, zone, owner };
    assert_eq!(story.tell(other), Err(organisation::Refusal::AlreadyExists));
}

fn died(n: u32) -> organisation::Command {
    let name = MailName { from: BoxId(9).at(ORG), revision: 57, n, at: UnixMillis(1_790_000_000_000) };
    let mail = MailCopy { name, template: "box_conflicts".into(), to: Recipient::Owner, about: vec![1, 2, 3] };
    organisation::Command::MailDied(Box::new(DeadMail { mail, trouble: MailTrouble::Rejected, code: Some(550) }))
}

/// The dead letter that the last change wrote.
fn written_letter(story: &Story<Organisation>) -> (MailId, DeadLetter) {
    let row = story.effects.rows.iter().find(|row| row.space == RowSpace::DeadLetters).unwrap();
    let letter = DeadLetter::decode_from(row.value.as_ref().unwrap()).unwrap();
    (MailId::from_bytes(&row.key).unwrap(), letter)
}

#[test]
fn a_mail_that_died_is_kept_sent_again_under_its_name_or_given_up() {
    let mut story = Story::<Organisation>::of(ORG.at(ORG));
    assert_eq!(story.tell(died(0)), Err(organisation::Refusal::NotFound));
    assert_eq!(story.tell(create_organisation()), Ok(1));
    assert_eq!(story.tell(died(0)), Ok(1));
    let (first, letter) = written_letter(&story);
    assert_eq!((letter.dead.code, letter.dead.trouble), (Some(550), MailTrouble::Rejected));
    assert_eq!(story.tell(died(1)), Ok(1));
    let (second, _) = written_letter(&story);
    assert!(second < first, "the newest stands first");

    let resend = organisation::Command::ResendMail { id: first, letter: Box::new(letter.clone()) };
    assert_eq!(story.tell(resend.clone()), Ok(1));
    assert_eq!(story.row(RowSpace::DeadLetters), Some(false));
    let [mail] = &story.effects.mails[..] else { panic!("one mail") };
    assert_eq!((mail.name, &*mail.template), (Some(letter.dead.mail.name), "box_conflicts"));
    assert_eq!(story.tell(resend), Err(organisation::Refusal::MailNotFound), "not twice");
    assert_eq!(story.tell(organisation::Command::GiveUpMail { id: second }), Ok(1));
    assert!(story.effects.mails.is_empty() && story.row(RowSpace::DeadLetters) == Some(false));
    let again = organisation::Command::GiveUpMail { id: second };
    assert_eq!(story.tell(again), Err(organisation::Refusal::MailNotFound));
}

#[test]
fn dead_letters_are_bounded() {
    let mut story = Story::<Organisation>::of(ORG.at(ORG));
    assert_eq!(story.tell(create_organisation()), Ok(1));
    for n in 0..u32::try_from(organisation::DEAD_MAILS_MAX).unwrap() {
        assert_eq!(story.tell(died(n)), Ok(1));
    }
    let oldest = story.state.dead_mails[0];
    assert_eq!(story.tell(died(5_000)), Ok(2), "the oldest makes room");
    assert_eq!(story.state.dead_mails.len(), organisation::DEAD_MAILS_MAX);
    assert!(!story.state.dead_mails.contains(&oldest));
    let removed = story.effects.rows.iter().find(|row| row.value.is_none()).unwrap();
    assert_eq!(removed.key, MailId::to_bytes(oldest));
}

#[test]
fn which_mails_are_wanted_is_the_organisations_choice() {
    let choose = |conflicts, guarantee| organisation::Command::ChooseMails { conflicts, guarantee };
    let mut story = Story::<Organisation>::of(ORG.at(ORG));
    assert_eq!(story.tell(choose(Some(false), None)), Err(organisation::Refusal::NotFound));
    assert_eq!(story.tell(create_organisation()), Ok(1));
    assert_eq!(story.state.view().unwrap().mails, MailChoice { conflicts: true, guarantee: true });
    assert_eq!(story.tell(choose(Some(false), None)), Ok(1));
    let row = story.effects.rows.iter().find(|row| row.space == RowSpace::Organisations).unwrap();
    let row = OrganisationRow::decode_from(row.value.as_ref().unwrap()).unwrap();
    assert_eq!(row.mails, MailChoice { conflicts: false, guarantee: true });
    assert_eq!(story.tell(choose(Some(false), Some(true))), Ok(0));
}

fn issue() -> token::Issue {
    token::Issue {
        label: "erp".into(),
        scopes: [Scope::BoxesRead].into_iter().collect(),
        expires_at: None,
        hash: [7; 32],
    }
}

#[test]
fn most_uses_of_a_token_leave_no_record() {
    let mut story = Story::<ApiToken>::of(TokenId(3).at(ORG));
    assert_eq!(story.tell(token::Command::Use), Ok(0), "nobody knows it");
    story.tell(token::Command::Create(issue())).unwrap();
    assert_eq!(story.tell(token::Command::Use), Ok(1));
    assert_eq!(story.row(RowSpace::Tokens), Some(true));
    let last = story.state.view().unwrap().last_used;
    assert_eq!((story.tell(token::Command::Use), story.tell(token::Command::Use)), (Ok(0), Ok(0)));
    assert_eq!(story.state.view().unwrap().last_used, last);
    let hour = Duration::from_secs(3600);
    assert!(token::is_use_worth_a_record(last, last.unwrap().plus(hour)));
    assert!(!token::is_use_worth_a_record(last, UnixMillis(last.unwrap().plus(hour).0 - 1)));
    story.tell(token::Command::Revoke).unwrap();
    assert_eq!(story.tell(token::Command::Use), Ok(0));
}

#[test]
fn a_revoked_token_says_so_and_stays_revoked() {
    let mut story = Story::<ApiToken>::of(TokenId(3).at(ORG));
    assert!(story.state.view().is_none());
    assert_eq!(story.tell(token::Command::Revoke), Err(token::Refusal::NotFound));
    assert_eq!(story.tell(token::Command::Create(issue())), Ok(1));
    assert_eq!(story.row(RowSpace::Tokens), Some(true));
    assert!(story.state.view().is_some_and(|view| !view.revoked && view.scopes.has(Scope::BoxesRead)));
    assert_eq!(story.tell(token::Command::Revoke), Ok(1));
    assert_eq!(story.row(RowSpace::Tokens), Some(false));
    assert!(story.state.view().unwrap().revoked);
    assert_eq!(story.tell(token::Command::Revoke), Ok(0));
    assert_eq!(story.tell(token::Command::Create(issue())), Ok(0), "a late repeat of the request");
    assert!(story.state.view().unwrap().revoked, "does not bring it back");
    let other = token::Issue { hash: [8; 32], ..issue() };
    assert_eq!(story.tell(token::Command::Create(other)), Err(token::Refusal::AlreadyExists));
}

#[test]
fn scopes_are_their_own_bits() {
    for scope in Scope::ALL {
        let only: Scopes = [scope].into_iter().collect();
        assert_eq!(only.list(), [scope]);
        assert_eq!(serde_json::to_value(scope).unwrap(), scope.name());
    }
    assert!(!Scopes::of_organisation().has(Scope::Operator));
}

fn mark(value: &str) -> Mark {
    Mark::of(&TestKeys(1), "test", ORG, value)
}

fn profile(email: Option<&str>) -> Profile {
    Profile { email: email.map(mark), plain: b"profile".to_vec().into() }
}

fn credentials(code: Option<&str>, badges: &[&str]) -> Credentials {
    Credentials {
        access_code: code.map(mark),
        badges: badges.iter().map(|badge| mark(badge)).collect(),
        plain: b"credentials".to_vec().into(),
    }
}

fn create_person(role: Role) -> person::Command {
    person::Command::Create { role, profile: profile(Some("a@b.it")), credentials: credentials(Some("111111"), &["x"]) }
}

fn take(space: ClaimSpace, value: &str) -> ClaimOp {
    ClaimOp::Take { space, value: mark(value).0.to_vec() }
}

fn release(space: ClaimSpace, value: &str) -> ClaimOp {
    ClaimOp::Release { space, value: mark(value).0.to_vec() }
}

fn known_person(role: Role) -> Story<Person> {
    let mut story = Story::<Person>::of(PersonId(5).at(ORG));
    assert_eq!(story.tell(create_person(role)), Ok(3));
    story
}

#[test]
fn a_person_claims_what_is_unique_and_seals_the_rest() {
    let story = known_person(Role::User);
    let expected =
        [take(ClaimSpace::Email, "a@b.it"), take(ClaimSpace::AccessCode, "111111"), take(ClaimSpace::Badge, "x")];
    assert_eq!(story.claims, expected);
    let sealed = story.effects.vault.iter().map(|op| match op {
        VaultOp::Seal { field, plaintext } => (*field, plaintext.to_vec()),
        VaultOp::SealAlone { .. } | VaultOp::SealNumbered { .. } | VaultOp::Erase => {
            panic!("nothing to erase, and nothing of which there are many")
        }
    });
    let expected = [(VaultField::Profile, b"profile".to_vec()), (VaultField::Credentials, b"credentials".to_vec())];
    assert_eq!(sealed.collect::<Vec<_>>(), expected);
    assert!(story.effects.messages.is_empty(), "no box needs a person who was just made");
}

#[test]
fn new_credentials_are_claimed_old_ones_given_back_and_boxes_told() {
    let mut story = known_person(Role::User);
    let base = story.state.known().unwrap().changed;
    let change = |base| person::Command::Change {
        base,
        role: None,
        profile: None,
        credentials: Some(credentials(Some("222222"), &["x", "y"])),
    };
    assert_eq!(story.tell(change(base)), Ok(1));
    let expected = [
        take(ClaimSpace::AccessCode, "222222"),
        release(ClaimSpace::AccessCode, "111111"),
        take(ClaimSpace::Badge, "y"),
    ];
    assert_eq!(story.claims, expected);
    let [message] = &story.effects.messages[..] else { panic!("one fan-out") };
    let MessageTarget::Index { space: RowSpace::PersonBoxes, prefix, .. } = &message.to else { panic!("to an index") };
    assert_eq!(prefix[..], PersonId(5).to_bytes());
    let told = BoxMessage::decode_from(&message.body).unwrap();
    assert_eq!(told, BoxMessage::PersonChanged { person: PersonId(5), revision: story.revision });
    assert_eq!(story.tell(change(base)), Err(person::Refusal::ChangedMeanwhile), "merged with what is no more");
}

#[test]
fn a_new_name_concerns_no_box() {
    let mut story = known_person(Role::User);
    let base = story.state.known().unwrap().changed;
    let change = person::Command::Change {
        base,
        role: Some(Role::Admin),
        profile: Some(profile(Some("a@b.it"))),
        credentials: None,
    };
    assert_eq!(story.tell(change), Ok(2));
    assert!(story.effects.messages.is_empty() && story.claims.is_empty());
    assert_eq!(story.row(RowSpace::People), Some(true));
}

#[test]
fn a_box_that_asks_is_told_by_a_sealed_reference() {
    let mut story = known_person(Role::User);
    let body = PersonMessage::CredentialsWanted { to: BoxId(9), generation: 4 }.to_bytes();
    let message = Incoming {
        to: PersonId(5).at(ORG),
        from: BoxId(9).at(ORG),
        body: &body,
        secret: None,
        unclaimed: false,
        keys: &TestKeys(1),
        chance: &crate::kernel::Chance::seeded(1),
    };
    let before = story.state.known().unwrap().changed;
    assert_eq!(story.tell(Person::message(message).unwrap()), Ok(1));
    let [message] = &story.effects.messages[..] else { panic!("one answer") };
    assert_eq!(message.to, MessageTarget::Entity(BoxId(9).at(ORG)));
    assert_eq!(message.secret, Some((PersonId(5).at(ORG), VaultField::Credentials)));
    let told = BoxMessage::decode_from(&message.body).unwrap();
    assert_eq!(told, BoxMessage::PersonCredentials { person: PersonId(5), revision: story.revision, generation: 4 });
    assert_eq!(story.state.known().unwrap().changed, before, "an administrator's change is not disturbed");
}

#[test]
fn erasing_gives_everything_back_and_leaves_nothing_to_read() {
    let mut story = known_person(Role::User);
    assert_eq!(story.tell(person::Command::Erase), Ok(1));
    let expected = [
        release(ClaimSpace::Email, "a@b.it"),
        release(ClaimSpace::AccessCode, "111111"),
        release(ClaimSpace::Badge, "x"),
    ];
    assert_eq!(story.claims, expected);
    assert_eq!(story.effects.vault, [VaultOp::Erase]);
    assert_eq!(story.row(RowSpace::People), Some(false));
    let told = BoxMessage::decode_from(&story.effects.messages[0].body).unwrap();
    assert_eq!(told, BoxMessage::PersonGone { person: PersonId(5) });
    assert_eq!(story.tell(person::Command::Erase), Ok(0), "again is a replay");
    assert_eq!(story.tell(create_person(Role::User)), Err(person::Refusal::AlreadyExists));
    assert_eq!(story.tell(person::Command::GiveCredentials { to: BoxId(9), generation: 1 }), Ok(1));
    let told = BoxMessage::decode_from(&story.effects.messages[0].body).unwrap();
    assert_eq!(told, BoxMessage::PersonGone { person: PersonId(5) });
}

#[test]
fn the_owner_stays() {
    let mut story = known_person(Role::Owner);
    let base = story.state.known().unwrap().changed;
    assert_eq!(story.tell(person::Command::Erase), Err(person::Refusal::IsOwner));
    let change = person::Command::Change { base, role: Some(Role::User), profile: None, credentials: None };
    assert_eq!(story.tell(change), Err(person::Refusal::IsOwner));
    let unknown = Story::<Person>::of(PersonId(6).at(ORG)).tell(person::Command::Erase);
    assert_eq!(unknown, Err(person::Refusal::NotFound));
}

#[test]
fn history_is_kept_as_long_as_the_organisation_says() {
    let mut story = Story::<Organisation>::of(ORG.at(ORG));
    let keep = |days| organisation::Command::KeepHistory { days };
    assert_eq!(story.tell(keep(Some(30))), Err(organisation::Refusal::NotFound));
    story.tell(create_organisation()).unwrap();
    assert_eq!(story.tell(keep(Some(30))), Ok(1));
    assert_eq!(story.row(RowSpace::Organisations), Some(true));
    assert_eq!(story.tell(keep(Some(30))), Ok(0), "the same again changes nothing");
    assert_eq!(story.tell(keep(None)), Ok(1));
    assert_eq!(story.state.known.as_ref().unwrap().history_days, None);
}

#[test]
fn only_the_system_organisation_erases_others_and_each_once() {
    let erase = organisation::Command::Erase { organisation: OrgId(9) };
    let erased = organisation::Command::Erased { organisation: OrgId(9) };
    let mut story = Story::<Organisation>::of(ORG.at(ORG));
    story.tell(create_organisation()).unwrap();
    assert_eq!(story.tell(erase.clone()), Err(organisation::Refusal::NotFound));
    assert_eq!(story.tell(erased.clone()), Err(organisation::Refusal::NotFound));

    let mut system = Story::<Organisation>::of(OrgId::SYSTEM.at(OrgId::SYSTEM));
    assert_eq!(system.tell(erased.clone()), Ok(0), "nothing was begun");
    assert_eq!(system.tell(erase.clone()), Ok(1));
    let [row] = &system.effects.rows[..] else { panic!("one row") };
    assert_eq!((row.space, row.org, &row.key[..]), (RowSpace::Erasures, OrgId::SYSTEM, &OrgId(9).to_bytes()[..]));
    assert_eq!(system.tell(erase), Ok(0), "again is a replay");
    assert_eq!(system.tell(erased), Ok(1));
    assert_eq!(system.row(RowSpace::Erasures), Some(false));
}

#[test]
fn an_export_is_noted_without_what_it_held() {
    let mut story = Story::<Person>::of(PersonId(3).at(ORG));
    assert_eq!(story.tell(person::Command::Export), Err(person::Refusal::NotFound));
    let profile = Profile { email: None, plain: b"name".to_vec().into() };
    let credentials = Credentials { access_code: None, badges: Vec::new(), plain: b"code".to_vec().into() };
    story.tell(person::Command::Create { role: Role::User, profile, credentials }).unwrap();
    let changed = story.state.known().unwrap().changed;
    assert_eq!(story.tell(person::Command::Export), Ok(1));
    assert!(story.effects.rows.is_empty() && story.effects.vault.is_empty() && story.effects.messages.is_empty());
    assert_eq!(story.state.known().unwrap().changed, changed, "nobody's change is disturbed by it");
    story.tell(person::Command::Erase).unwrap();
    assert_eq!(story.tell(person::Command::Export), Err(person::Refusal::NotFound));
}
