//! A token of a program: who may do what, until when. The secret is known only as its hash.

use crate::{
    kernel::{Address, Codec, Context, Effects, EntityKind, Machine, Progress, Stamp, UnixMillis},
    orgs::{effects, words::Scopes},
};
use minicbor::{Decode, Encode};

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct ApiToken {
    #[n(0)]
    pub address: Address,
    #[n(1)]
    pub standing: Standing,
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
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Create(Issue),
    Revoke,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Event {
    #[n(0)]
    Created(#[n(0)] Issue),
    #[n(1)]
    Revoked,
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
        Self { address, standing: Standing::Unknown }
    }

    fn decide(&self, command: &Command, _: usize, _: &Context, events: &mut Vec<Event>) -> Result<Progress, Refusal> {
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
        Some(TokenView { revoked, scopes: issue.scopes, expires_at: issue.expires_at, hash: issue.hash })
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
