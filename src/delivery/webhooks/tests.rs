//! Stories on the pure core.

use super::{
    rows::{DeliveryRow, DeliveryState, ErrorClass, EventKey, HeadRow, PreviousSecret, SealedPlain},
    state::{Command, Event, Extra, Refusal, Settings, Status, Webhook, Why},
};
use crate::kernel::{
    BoxId, Codec, Context, Effects, Machine, OrgId, Principal, RowSpace, Stamp, UnixMillis, VaultField, VaultOp,
    WebhookId, golden::hex,
};
use zeroize::Zeroizing;

const ORG: OrgId = OrgId(7);

struct Story {
    state: Webhook,
    revision: u64,
    effects: Effects,
}

impl Story {
    fn new() -> Self {
        Self { state: Webhook::blank(WebhookId(5).at(ORG)), revision: 0, effects: Effects::default() }
    }

    /// One that was made.
    fn made() -> Self {
        let mut story = Self::new();
        assert_eq!(story.tell(create()), Ok(1));
        story
    }

    /// Decides, evolves, and checks that events and snapshot survive their bytes.
    fn tell(&mut self, command: Command) -> Result<usize, Refusal> {
        let now = UnixMillis(1_790_000_000_000 + self.revision);
        let cx = Context { org: ORG, now, up_since: UnixMillis(0), by: Principal::Server, from: None, epoch: 1 };
        let mut events = Vec::new();
        self.state.decide(&command, 0, &cx, &mut events)?;
        let mut reread = self.state.clone();
        for event in &events {
            self.revision += 1;
            let stamp = Stamp { at: now, revision: self.revision };
            self.state.evolve(event, stamp);
            reread.evolve(&Event::decode_from(&event.to_bytes()).unwrap(), stamp);
        }
        assert_eq!(reread, self.state);
        let mut snapshot = Vec::new();
        self.state.to_snapshot(&mut snapshot);
        assert_eq!(Webhook::from_snapshot(&snapshot).unwrap(), self.state);
        self.effects = Effects::default();
        if !events.is_empty() {
            self.state.effects(&command, &events, &cx, &mut self.effects);
        }
        Ok(events.len())
    }

    fn status(&self) -> Status {
        self.state.known().unwrap().status
    }

    fn why(&self) -> Option<Why> {
        match self.status() {
            Status::Active => None,
            Status::Paused { why, .. } => Some(why),
        }
    }

    fn sealed(&self) -> Option<Vec<u8>> {
        self.effects.vault.iter().find_map(|op| match op {
            VaultOp::Seal { field: VaultField::WebhookSecret, plaintext } => Some(plaintext.to_vec()),
            _ => None,
        })
    }

    /// Whether the list row was written (true) or removed (false).
    fn row(&self) -> Option<bool> {
        self.effects.rows.iter().find(|row| row.space == RowSpace::Webhooks).map(|row| row.value.is_some())
    }

    fn changed(&self) -> u64 {
        self.state.known().unwrap().changed
    }
}

fn settings() -> Settings {
    Settings { origin: "https://a.example".into(), description: "erp".into(), types: vec!["boxes.key".into()] }
}

fn sealed(text: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.as_bytes().to_vec())
}

fn create() -> Command {
    Command::Create { settings: settings(), sealed: sealed("secret"), start: "1-9-0".into() }
}

#[test]
fn a_new_webhook_is_active_from_where_the_feed_ends_and_its_secret_is_sealed() {
    let mut story = Story::made();
    assert_eq!((story.status(), story.row(), story.sealed()), (Status::Active, Some(true), Some(b"secret".to_vec())));
    let known = story.state.known().unwrap();
    assert_eq!((&*known.start.cursor, known.start.since), ("1-9-0", 1));
    assert_eq!(story.tell(create()), Ok(0), "a repeat");
    let other = Settings { description: "other".into(), ..settings() };
    let other = Command::Create { settings: other, sealed: sealed("x"), start: "1-9-0".into() };
    assert_eq!(story.tell(other), Err(Refusal::AlreadyExists));
    for command in [Command::Pause, Command::Resume { from: None }, Command::Ask(Extra::Test), Command::Delete] {
        assert_eq!(Story::new().tell(command), Err(Refusal::NotFound));
    }
}

#[test]
fn changes_rest_on_what_was_seen() {
    let mut story = Story::made();
    let base = story.changed();
    let change = |base, description: &str, sealed| Command::Change {
        base,
        settings: Settings { description: description.into(), ..settings() },
        sealed,
    };
    assert_eq!(story.tell(change(base, "erp", None)), Ok(0), "nothing is different");
    assert_eq!(story.tell(change(base, "crm", None)), Ok(1));
    assert_eq!((story.sealed(), story.row()), (None, Some(true)));
    assert_eq!(story.tell(change(base, "erp", None)), Err(Refusal::ChangedMeanwhile));
    let base = story.changed();
    assert_eq!(story.tell(change(base, "crm", Some(sealed("new path")))), Ok(1), "only the sealed part differs");
    assert_eq!(story.sealed(), Some(b"new path".to_vec()));
    let until = UnixMillis(1_800_000_000_000);
    let rotate = |base| Command::Rotate { base, sealed: sealed("two"), previous_until: until };
    assert_eq!(story.tell(rotate(base)), Err(Refusal::ChangedMeanwhile));
    assert_eq!(story.tell(rotate(story.changed())), Ok(1));
    assert_eq!(story.state.known().unwrap().previous_until, Some(until));
    assert_eq!(story.sealed(), Some(b"two".to_vec()));
}

#[test]
fn what_an_administrator_has_paused_only_he_resumes() {
    let mut story = Story::made();
    assert_eq!(story.tell(Command::Pause), Ok(1));
    assert_eq!((story.why(), story.row()), (Some(Why::ByHand), Some(true)));
    assert!(story.effects.mails.is_empty(), "he knows");
    assert_eq!(story.tell(Command::Pause), Ok(0));
    let base = story.changed();
    assert_eq!(story.tell(Command::GiveUp { base, why: Why::Dead }), Ok(0), "it is paused already");
    assert_eq!(story.why(), Some(Why::ByHand));
    assert_eq!(story.tell(Command::Resume { from: None }), Ok(1));
    assert_eq!((story.status(), &*story.state.known().unwrap().start.cursor), (Status::Active, "1-9-0"));
    assert_eq!(story.tell(Command::Resume { from: None }), Ok(0));
    assert_eq!(story.tell(Command::Pause), Ok(1));
    assert_eq!(story.tell(Command::Resume { from: Some("1-50-0".into()) }), Ok(1));
    let known = story.state.known().unwrap();
    assert_eq!((&*known.start.cursor, known.start.since), ("1-50-0", story.revision));
}

#[test]
fn the_server_gives_up_only_on_what_it_saw() {
    let mut story = Story::made();
    let base = story.changed();
    assert_eq!(story.tell(Command::Ask(Extra::Redelivery(3))), Ok(1));
    assert_eq!((story.changed(), story.row()), (base, None), "asking changes nothing");
    let other = Settings { description: "mended".into(), ..settings() };
    assert_eq!(story.tell(Command::Change { base, settings: other, sealed: None }), Ok(1));
    assert_eq!(story.tell(Command::GiveUp { base, why: Why::Dead }), Ok(0));
    assert_eq!(story.status(), Status::Active, "the new settings get their own try");
    for why in [Why::Dead, Why::Gone, Why::FeedTrimmed] {
        assert_eq!(story.tell(Command::GiveUp { base: story.changed(), why }), Ok(1));
        assert_eq!(story.effects.mails.len(), 1, "the owner hears of it");
        assert_eq!(story.why(), Some(why));
        if why == Why::FeedTrimmed {
            assert_eq!(story.tell(Command::Resume { from: None }), Err(Refusal::FeedTrimmed));
        }
        assert_eq!(story.tell(Command::Resume { from: Some("1-70-0".into()) }), Ok(1));
    }
}

#[test]
fn a_removed_webhook_leaves_no_secret_and_does_not_come_back() {
    let mut story = Story::made();
    let base = story.changed();
    assert_eq!(story.tell(Command::Delete), Ok(1));
    assert_eq!((story.row(), &story.effects.vault[..]), (Some(false), &[VaultOp::Erase][..]));
    assert_eq!(story.tell(Command::Delete), Ok(0));
    assert_eq!(story.tell(Command::GiveUp { base, why: Why::Dead }), Ok(0));
    assert_eq!(story.tell(create()), Err(Refusal::AlreadyExists));
    assert_eq!(story.tell(Command::Pause), Err(Refusal::NotFound));
}

/// Stored bytes are a contract: what was written once is read for ever.
#[test]
fn golden_bytes() {
    let head = HeadRow {
        cursor: "1-2-0".into(),
        since: 1,
        next_number: 9,
        failing_since: Some(UnixMillis(5)),
        delivered_at: None,
        changed: 3,
    };
    let delivery = DeliveryRow {
        number: 1,
        event: Some(EventKey { of: BoxId(1).at(OrgId(2)), revision: 3 }),
        r#type: "a.b".into(),
        happened: UnixMillis(1),
        first_at: UnixMillis(2),
        last_at: UnixMillis(3),
        attempts: 2,
        state: DeliveryState::Retrying,
        status: Some(500),
        error: Some(ErrorClass::Status),
        took_ms: 4,
        next_at: Some(UnixMillis(5)),
        excerpt: Some("no".into()),
        asked: None,
    };
    let plain = SealedPlain {
        url: "https://a/".to_owned(),
        secret: vec![1, 2],
        previous: Some(PreviousSecret { secret: vec![3], until: UnixMillis(4) }),
    };
    let written = [
        Event::Created { settings: settings(), start: "1-9-0".into() }.to_bytes(),
        Event::Changed { settings: settings() }.to_bytes(),
        Event::SecretRotated { previous_until: UnixMillis(256) }.to_bytes(),
        Event::Paused(Why::Gone).to_bytes(),
        Event::Resumed { from: None }.to_bytes(),
        Event::Asked(Extra::Redelivery(7)).to_bytes(),
        Event::Asked(Extra::Test).to_bytes(),
        Event::Deleted.to_bytes(),
        head.to_bytes(),
        delivery.to_bytes(),
        plain.to_bytes(),
    ];
    assert_eq!(written.map(hex), GOLDEN);
    assert_eq!(DeliveryRow::decode_from(&delivery.to_bytes()).unwrap(), delivery);
    assert_eq!(HeadRow::decode_from(&head.to_bytes()).unwrap(), head);
    assert_eq!(SealedPlain::decode_from(&plain.to_bytes()).unwrap(), plain);
}

const GOLDEN: [&str; 11] = [
    "820082837168747470733a2f2f612e6578616d706c65636572708169626f7865732e6b657965312d392d30",
    "820181837168747470733a2f2f612e6578616d706c65636572708169626f7865732e6b6579",
    "820281190100",
    "82038102",
    "820480",
    "82058182018107",
    "820581820080",
    "820680",
    "8665312d322d30010905f603",
    "8d018258210000000000000000000000000000000204000000000000000000000000000000010363612e6201020302011901f4060405626e6f",
    "836a68747470733a2f2f612f42010282410304",
];
