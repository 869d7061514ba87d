//! A token of a program: who may do what, until when. The secret is known only as its hash.

use crate::{
    kernel::{Address, Codec, Context, Effects, EntityKind, Machine, Progress, Stamp, UnixMillis},
    orgs::{effects, words::Scopes},
};
use minicbor::{Decode, Encode};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct ApiToken {
    #[n(0)]
    pub address: Address,
    #[n(1)]
    pub standing: Standing,
    /// Written once an hour at most.
    #[cbor(n(2), default)]
    pub last_used: Option<UnixMillis>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Standing {
    #[n(0)]
    Unknown,
    #[n(1)]
    Valid {
        #[n(0)]
        issue: Issue,
        #[n(1)]
        created: UnixMillis,
    },
    #[n(2)]
    Revoked {
        #[n(0)]
        issue: Issue,
    },
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Issue {
    #[n(0)]
    pub label: Box<str>,
    #[n(1)]
    pub scopes: Scopes,
    #[n(2)]
    pub expires_at: Option<UnixMillis>,
    /// SHA-256 of the secret.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub hash: [u8; 32],
}

/// What the tag of a valid token shows.
pub const ISSUED: u64 = 1;

/// What the door needs to know of a token.
#[derive(Debug, Clone)]
pub struct TokenView {
    pub revoked: bool,
    pub scopes: Scopes,
    pub expires_at: Option<UnixMillis>,
    pub hash: [u8; 32],
    pub last_used: Option<UnixMillis>,
}

/// How far apart two uses are that are both written down.
const USES_APART: Duration = Duration::from_secs(3600);

pub fn is_use_worth_a_record(last: Option<UnixMillis>, now: UnixMillis) -> bool {
    last.is_none_or(|last| now.since(last) >= USES_APART)
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Create(Issue),
    Revoke,
    /// It was used; most uses leave no event.
    Use,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Event {
    #[n(0)]
    Created(#[n(0)] Issue),
    #[n(1)]
    Revoked,
    #[n(2)]
    Used,
}

/// In order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    AlreadyExists,
}

impl Machine for ApiToken {
    const KIND: EntityKind = EntityKind::Token;
    const EVOLVE_VERSION: u16 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;
    type Answer = ();
    type View = TokenView;

    fn blank(address: Address) -> Self {
        Self { address, standing: Standing::Unknown, last_used: None }
    }

    fn decide(&self, command: &Command, _: usize, cx: &Context, events: &mut Vec<Event>) -> Result<Progress, Refusal> {
        match (command, &self.standing) {
            (Command::Create(issue), Standing::Unknown) => events.push(Event::Created(issue.clone())),
            (Command::Create(wanted), Standing::Valid { issue, .. } | Standing::Revoked { issue }) => {
                if wanted != issue {
                    return Err(Refusal::AlreadyExists);
                }
            }
            (Command::Revoke, Standing::Unknown) => return Err(Refusal::NotFound),
            (Command::Revoke, Standing::Valid { .. }) => events.push(Event::Revoked),
            (Command::Revoke, Standing::Revoked { .. }) => {}
            (Command::Use, Standing::Valid { .. }) if is_use_worth_a_record(self.last_used, cx.now) => {
                events.push(Event::Used);
            }
            (Command::Use, _) => {}
        }
        Ok(Progress::Done)
    }

    fn evolve(&mut self, event: &Event, stamp: Stamp) {
        match (event, &self.standing) {
            (Event::Created(issue), _) => {
                self.standing = Standing::Valid { issue: issue.clone(), created: stamp.at };
            }
            (Event::Revoked, Standing::Valid { issue, .. }) => {
                self.standing = Standing::Revoked { issue: issue.clone() };
            }
            (Event::Revoked, Standing::Unknown | Standing::Revoked { .. }) => {}
            (Event::Used, _) => self.last_used = Some(stamp.at),
        }
    }

    fn answer(&self, _: &Command, _: &[Event], _: u64, _: &Context) {}

    /// A token is issued and revoked; between the two nothing of it changes.
    fn tag(&self, _: &Command, _: u64) -> Option<u64> {
        matches!(self.standing, Standing::Valid { .. }).then_some(ISSUED)
    }

    fn effects(&self, _: &Command, events: &[Event], _: &Context, effects: &mut Effects) {
        effects::of_token(self, events, effects);
    }

    fn view(&self) -> Option<TokenView> {
        let (issue, revoked) = match &self.standing {
            Standing::Unknown => return None,
            Standing::Valid { issue, .. } => (issue, false),
            Standing::Revoked { issue } => (issue, true),
        };
        let Issue { scopes, expires_at, hash, .. } = issue;
        Some(TokenView { revoked, scopes: *scopes, expires_at: *expires_at, hash: *hash, last_used: self.last_used })
    }

    fn standing_rows(&self, rows: &mut Effects) {
        effects::token_row(self, rows);
    }

    fn to_snapshot(&self, bytes: &mut Vec<u8>) {
        self.encode_into(bytes);
    }

    fn from_snapshot(bytes: &[u8]) -> Result<Self, String> {
        Codec::decode_from(bytes)
    }
}
