//! Stories on the pure core: what a shopper and an administrator try, and what must happen.

use super::{state::*, words::*, *};
use crate::{
    iuv::{Attributes, Group, ShopperMessage, Side, VerificationKind, products::Description, testing::Keys},
    kernel::*,
    orgs::Mark,
};
use std::{collections::HashSet, time::Duration};
use zeroize::Zeroizing;

const ORG: OrgId = OrgId(7);
const STORE: StoreId = StoreId(3);
const SHOPPER: ShopperId = ShopperId(9);
const START: UnixMillis = UnixMillis(1_767_225_600_000);
const GOLDEN: &str = include_str!("../../../tests/golden/shopper_events.txt");

fn group(code: &str) -> Group {
    Group { class: "academic_statuses".into(), code: code.into() }
}

fn attributes(groups: &[&str]) -> Attributes {
    Attributes {
        user_name: "anna".into(),
        email: Some("anna@uni.example".into()),
        groups: groups.iter().map(|code| group(code)).collect(),
        member: Some("OrgB".into()),
        ..Attributes::default()
    }
}

fn sign_in(groups: &[&str], at: UnixMillis) -> SignIn {
    SignIn::of(STORE, VerificationKind::Iuv, at, attributes(groups))
}

fn offer(product: u128, groups: &[&str], per_shopper: u16) -> Offer {
    let description = Description {
        store: STORE,
        name: "Editor".into(),
        about: "".into(),
        groups: groups.iter().map(|code| group(code)).collect(),
        per_shopper,
        alert_below: 0,
        listed: true,
    };
    Offer { product: ProductId(product), description }
}

fn link(n: u8) -> FreshLink {
    FreshLink { mark: Mark([n; 16]), salt: [n; 16], mail: Some("https://shop.example/?token=".into()) }
}

struct Story {
    shopper: Shopper,
    now: UnixMillis,
    revision: u64,
    effects: Effects,
}

impl Story {
    fn blank() -> Self {
        Self { shopper: Shopper::blank(SHOPPER.at(ORG)), now: START, revision: 0, effects: Effects::default() }
    }

    fn new() -> Self {
        let mut story = Self::blank();
        story.tell(Command::SignIn(sign_in(&["students"], START))).unwrap();
        story
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now.plus(span);
    }

    fn tell(&mut self, command: Command) -> Result<Told, Refusal> {
        let cx = Context { org: ORG, now: self.now, epoch: 1, up_since: START, by: Principal::Server, from: None };
        let mut events = Vec::new();
        self.shopper.decide(&command, 0, &cx, &mut events)?;
        let before = self.shopper.clone();
        for event in &events {
            self.revision += 1;
            self.shopper.evolve(event, Stamp { at: self.now, revision: self.revision });
        }
        assert_eq!(check_invariants(&before, &events, &self.shopper, self.now), [], "{command:?}: {events:?}");
        self.effects = Effects::default();
        self.shopper.effects(&command, &events, &cx, &mut self.effects);
        Ok(self.shopper.answer(&command, &events, self.revision, &cx))
    }

    fn known(&self) -> &Known {
        self.shopper.known().unwrap()
    }

    fn put(&mut self, offer: &Offer) -> Result<Told, Refusal> {
        self.tell(Command::PutInCart(Box::new(offer.clone())))
    }

    fn order(&mut self, offer: &Offer, test: bool) -> Result<Told, Refusal> {
        self.put(offer)?;
        self.tell(Command::PlaceOrder { test, offers: vec![offer.clone()] })
    }

    fn with_password() -> Self {
        let mut story = Self::new();
        story.tell(Command::Allow(sign_in(&["students"], START))).unwrap();
        story.tell(Command::Invite { link: link(1) }).unwrap();
        let verifier = Verifier(Zeroizing::new(b"hash".to_vec()));
        story.tell(Command::SetPassword { mark: Mark([1; 16]), verifier }).unwrap();
        story
    }
}

#[test]
fn attributes_are_replaced_not_merged_and_the_account_stays_13() {
    let mut story = Story::new();
    story.tell(Command::Grant(StoreRole::StoreAdmin)).unwrap();
    story.pass(Duration::from_secs(5));
    story.tell(Command::SignIn(sign_in(&["staff"], story.now))).unwrap();
    assert_eq!(story.known().membership.groups, [group("staff")]);
    assert!(story.known().has_role(StoreRole::StoreAdmin), "the same name keeps its roles");
    assert_eq!(story.effects.vault.len(), 1);
    // One that was on its way for longer says nothing any more.
    story.tell(Command::SignIn(sign_in(&["faculty"], START))).unwrap();
    assert_eq!(story.known().membership.groups, [group("staff")]);
    assert!(story.effects.vault.is_empty(), "nor do its names");
}

#[test]
fn an_order_needs_eligibility_at_its_own_time() {
    let mut story = Story::new();
    assert_eq!(story.order(&offer(1, &["staff"], 1), false), Err(Refusal::NotEligible));
    let mine = offer(2, &["students"], 1);
    story.put(&mine).unwrap();
    story.pass(Duration::from_secs(1));
    story.tell(Command::SignIn(sign_in(&["staff"], story.now))).unwrap();
    let order = Command::PlaceOrder { test: false, offers: vec![mine.clone()] };
    assert_eq!(story.tell(order), Err(Refusal::NotEligible), "no student any more");
    let unlisted = Offer { description: Description { listed: false, ..mine.description.clone() }, ..mine.clone() };
    assert_eq!(story.put(&unlisted), Ok(Told::Nothing), "it is there already");
    story.tell(Command::TakeFromCart(mine.product)).unwrap();
    assert_eq!(story.put(&unlisted), Err(Refusal::NotListed));
    let foreign = Offer { description: Description { store: StoreId(8), ..mine.description }, ..unlisted };
    assert_eq!(story.put(&foreign), Err(Refusal::NotListed));
}

#[test]
fn a_real_order_waits_for_its_code_and_gets_one() {
    let mut story = Story::new();
    let mine = offer(2, &[], 1);
    assert_eq!(story.order(&mine, false), Ok(Told::Ordered(1)));
    assert_eq!(story.effects.messages.len(), 1);
    let code = |product, number| Command::CodeGiven { product: ProductId(product), order: 1, line: 0, number };
    story.tell(code(3, 5)).unwrap();
    assert_eq!(story.known().orders[0].lines[0].code, LineCode::Waits, "of another product");
    story.tell(code(2, 5)).unwrap();
    story.tell(code(2, 6)).unwrap();
    story.tell(Command::NoCode { product: ProductId(2), order: 1, line: 0 }).unwrap();
    assert_eq!(story.known().orders[0].lines[0].code, LineCode::Given(5), "the first one stays");
    assert_eq!(story.order(&mine, false), Ok(Told::Ordered(2)).and(Err(Refusal::LimitReached)));
    assert_eq!(story.tell(Command::PlaceOrder { test: false, offers: vec![] }), Err(Refusal::NotListed));
    story.tell(Command::TakeFromCart(mine.product)).unwrap();
    assert_eq!(story.tell(Command::PlaceOrder { test: false, offers: vec![] }), Err(Refusal::CartEmpty));
}

#[test]
fn a_test_order_has_no_code_and_counts_for_nothing() {
    let mut story = Story::new();
    let mine = offer(2, &[], 1);
    assert_eq!(story.order(&mine, true), Ok(Told::Ordered(1)));
    assert!(story.effects.messages.is_empty());
    story.tell(Command::CodeGiven { product: ProductId(2), order: 1, line: 0, number: 5 }).unwrap();
    assert_eq!(story.known().orders[0].lines[0].code, LineCode::Test);
    assert_eq!(story.order(&mine, false), Ok(Told::Ordered(2)));
}

#[test]
fn carts_and_orders_are_bounded() {
    let mut story = Story::new();
    for product in 1..=CART_MAX as u128 {
        story.put(&offer(product, &[], 1)).unwrap();
    }
    assert_eq!(story.put(&offer(99, &[], 1)), Err(Refusal::CartFull));
    let offers: Vec<_> = (1..=CART_MAX as u128).map(|product| offer(product, &[], 1)).collect();
    assert_eq!(story.tell(Command::PlaceOrder { test: false, offers }), Ok(Told::Ordered(1)));
    for _ in 1..ORDERS_MAX {
        story.order(&offer(1, &[], 1), true).unwrap();
    }
    assert_eq!(story.order(&offer(1, &[], 1), true), Err(Refusal::TooManyOrders));
}

#[test]
fn guesses_are_charged_before_they_are_judged() {
    let mut story = Story::new();
    assert_eq!(story.tell(Command::BeginGuess), Err(Refusal::NoPassword));
    let mut story = Story::with_password();
    let Ok(Told::Guess(password)) = story.tell(Command::BeginGuess) else { panic!("no guess") };
    assert_eq!(story.tell(Command::EndGuess { password, right: true }), Ok(Told::Entered(true)));
    // Many at the same instant: all are counted before one is judged.
    let begun = (0..20).filter(|_| story.tell(Command::BeginGuess).is_ok()).count();
    assert_eq!(begun as u32, GUESSES_MAX);
    assert_eq!(story.tell(Command::BeginGuess), Err(Refusal::Locked));
    story.pass(LOCKED_FOR);
    assert_eq!(story.tell(Command::BeginGuess), Ok(Told::Guess(password)));
    assert_eq!(story.known().guesses, 1, "the count begins anew");
    assert_eq!(story.tell(Command::EndGuess { password: password + 1, right: true }), Ok(Told::Entered(false)));
}

#[test]
fn a_link_works_once_in_its_time_for_its_purpose() {
    let mut story = Story::blank();
    let newcomer = Some(SignIn::of(STORE, VerificationKind::EmailDomain, START, attributes(&["staff"])));
    let ask = |n, newcomer| Command::AskForLink { purpose: Purpose::SignIn, test: false, link: link(n), newcomer };
    assert_eq!(story.tell(ask(1, None)), Err(Refusal::NotFound));
    story.tell(ask(1, newcomer.clone())).unwrap();
    assert_eq!((story.effects.mails.len(), story.effects.vault.len()), (1, 1));
    assert_eq!(story.effects.mails[0].to, Recipient::Shopper(SHOPPER));
    let follow = |n, test| Command::FollowLink { mark: Mark([n; 16]), test };
    assert_eq!(story.tell(follow(2, false)), Err(Refusal::LinkInvalid));
    assert_eq!(story.tell(follow(1, true)), Err(Refusal::LinkInvalid), "of the other side");
    assert_eq!(story.tell(follow(1, false)), Ok(Told::Entered(true)));
    assert_eq!(story.tell(follow(1, false)), Err(Refusal::LinkInvalid), "used");
    story.tell(ask(2, newcomer.clone())).unwrap();
    story.pass(LINK_LIVES);
    assert_eq!(story.tell(follow(2, false)), Err(Refusal::LinkInvalid), "too old");
    let verifier = Verifier(Zeroizing::new(b"hash".to_vec()));
    story.tell(ask(3, newcomer.clone())).unwrap();
    let password = Command::SetPassword { mark: Mark([3; 16]), verifier };
    assert_eq!(story.tell(password), Err(Refusal::LinkInvalid), "it signs in, and sets no password");
    story.tell(ask(4, newcomer)).unwrap();
    assert!(story.effects.mails.is_empty(), "three in an hour are enough");
}

#[test]
fn only_who_is_on_the_list_registers() {
    let mut story = Story::new();
    let ask = Command::AskForLink { purpose: Purpose::Password, test: false, link: link(1), newcomer: None };
    assert_eq!(story.tell(ask.clone()), Err(Refusal::NotAllowed));
    story.tell(Command::Allow(sign_in(&["students"], START))).unwrap();
    story.tell(ask.clone()).unwrap();
    assert_eq!(story.effects.mails.len(), 1);
    story.tell(Command::Bar).unwrap();
    assert_eq!(story.tell(ask), Err(Refusal::NotAllowed));
}

#[test]
fn a_role_moves_only_when_the_primary_administrator_confirms() {
    let mut story = Story::new();
    let to = ShopperId(10);
    let ask = |role| Command::AskTransfer { to, role, link: link(5) };
    assert_eq!(story.tell(ask(StoreRole::StoreAdmin)), Err(Refusal::RoleMissing));
    story.tell(Command::Grant(StoreRole::StoreAdmin)).unwrap();
    story.tell(Command::Grant(StoreRole::IuvAdmin)).unwrap();
    story.tell(ask(StoreRole::StoreAdmin)).unwrap();
    assert_eq!(story.effects.mails[0].to, Recipient::Owner);
    assert!(story.known().has_role(StoreRole::StoreAdmin), "nothing has moved");
    assert_eq!(story.tell(ask(StoreRole::IuvAdmin)), Err(Refusal::TransferPending));
    let end = |n, confirmed| Command::EndTransfer { mark: Some(Mark([n; 16])), confirmed };
    assert_eq!(story.tell(end(6, true)), Err(Refusal::NoTransfer), "another link");
    story.tell(end(5, true)).unwrap();
    assert_eq!(story.known().roles, [StoreRole::IuvAdmin]);
    let message = ShopperMessage::Role { role: StoreRole::StoreAdmin };
    assert_eq!(story.effects.messages[0].body, message.to_bytes());
    assert_eq!(story.tell(end(5, true)), Err(Refusal::NoTransfer), "once");
    story.tell(ask(StoreRole::IuvAdmin)).unwrap();
    story.tell(end(5, false)).unwrap();
    assert_eq!(story.known().roles, [StoreRole::IuvAdmin], "refused");
    story.tell(ask(StoreRole::IuvAdmin)).unwrap();
    story.pass(TRANSFER_LIVES);
    assert_eq!(story.tell(end(5, true)), Err(Refusal::NoTransfer), "too late");
    story.tell(Command::ReceiveRole(NewRole { role: StoreRole::StoreAdmin, from: to })).unwrap();
    assert_eq!(story.known().roles, [StoreRole::IuvAdmin, StoreRole::StoreAdmin]);
}

#[test]
fn whoever_is_erased_leaves_no_name_and_may_come_again() {
    let mut story = Story::new();
    story.order(&offer(2, &[], 9), false).unwrap();
    story.tell(Command::Erase).unwrap();
    assert_eq!(story.effects.vault, [VaultOp::Erase]);
    story.tell(Command::CodeGiven { product: ProductId(2), order: 1, line: 0, number: 5 }).unwrap();
    assert_eq!(story.tell(Command::BeginGuess), Err(Refusal::NotFound));
    let before = Command::SignIn(sign_in(&[], story.now));
    assert_eq!(story.tell(before), Err(Refusal::NotFound), "a session from before does not bring the name back");
    story.pass(Duration::from_millis(1));
    story.tell(Command::SignIn(sign_in(&[], story.now))).unwrap();
    assert_eq!(story.order(&offer(2, &[], 9), false), Ok(Told::Ordered(2)), "no number comes twice");
}

#[test]
fn messages_are_taken_only_from_whom_they_can_come() {
    let body = ShopperMessage::CodeGiven { order: 1, line: 0, number: 5 }.to_bytes();
    let (to, unclaimed, keys, chance) = (SHOPPER.at(ORG), false, &Keys, &Chance::seeded(1));
    let incoming = |from, body, secret| Incoming { to, from, body, secret, unclaimed, keys, chance };
    assert!(Shopper::message(incoming(ProductId(2).at(ORG), &body, None)).is_ok());
    assert!(Shopper::message(incoming(ShopperId(2).at(ORG), &body, None)).is_err());
    let signed_in = ShopperMessage::SignedIn {
        session: SessionId(1),
        store: STORE,
        side: Side::Real,
        kind: VerificationKind::Iuv,
        at: START,
    };
    let (body, plain) = (signed_in.to_bytes(), attributes(&["students"]).to_bytes());
    let command = Shopper::message(incoming(SessionId(1).at(ORG), &body, Some(&plain))).unwrap();
    assert_eq!(command, Command::SignIn(sign_in(&["students"], START)));
    assert!(Shopper::message(incoming(SessionId(1).at(ORG), &body, None)).is_err());
}

fn samples() -> Vec<(&'static str, Event)> {
    let lines = [LineCode::Test, LineCode::Waits, LineCode::Given(7), LineCode::Denied];
    let lines = lines.map(|code| Line { product: ProductId(2), code }).to_vec();
    let order = Order { number: 3, at: START, test: false, member: Some("OrgB".into()), lines };
    let transfer = Transfer { to: ShopperId(10), role: StoreRole::IuvAdmin, mark: Mark([3; 16]), until: UnixMillis(9) };
    vec![
        ("described", Event::Described(sign_in(&["students"], START).membership)),
        ("signed_in", Event::SignedIn { registered: START }),
        ("allowed", Event::Allowed),
        ("barred", Event::Barred),
        ("put_in_cart", Event::PutInCart(ProductId(2))),
        ("taken_from_cart", Event::TakenFromCart(ProductId(2))),
        ("ordered", Event::Ordered(order)),
        ("code_received", Event::CodeReceived { order: 3, line: 1, number: 8 }),
        ("code_denied", Event::CodeDenied { order: 3, line: 1 }),
        (
            "link_made",
            Event::LinkMade(Link { purpose: Purpose::Password, mark: Mark([3; 16]), until: START, test: true }),
        ),
        ("link_used", Event::LinkUsed),
        ("password_set", Event::PasswordSet),
        ("guess_charged", Event::GuessCharged),
        ("guessed_right", Event::GuessedRight),
        ("role_granted", Event::RoleGranted(StoreRole::StoreAdmin)),
        ("role_revoked", Event::RoleRevoked(StoreRole::IuvAdmin)),
        ("transfer_asked", Event::TransferAsked(transfer)),
        ("transfer_confirmed", Event::TransferConfirmed { to: ShopperId(10), role: StoreRole::IuvAdmin }),
        ("transfer_refused", Event::TransferRefused),
        ("role_received", Event::RoleReceived { role: StoreRole::IuvAdmin, from: ShopperId(10) }),
        ("erased", Event::Erased),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn events_are_written_and_read_as_ever_and_tell_no_secret() {
    let now: String = samples().iter().map(|(name, event)| format!("{name} {}\n", hex(&event.to_bytes()))).collect();
    assert_eq!(now, GOLDEN);
    let mut names = HashSet::new();
    for (_, event) in samples() {
        let view = events::view(&event);
        assert!(names.insert(view.name), "{}", view.name);
        assert!(!view.data.to_string().contains("3,3"));
        assert_eq!(Event::decode_from(&event.to_bytes()), Ok(event));
    }
}

#[test]
fn a_snapshot_reads_back() {
    let mut story = Story::with_password();
    story.order(&offer(2, &[], 9), false).unwrap();
    let mut bytes = Vec::new();
    story.shopper.to_snapshot(&mut bytes);
    assert_eq!(Shopper::from_snapshot(&bytes), Ok(story.shopper.clone()));
}
