//! A webhook: where an organisation's events are sent, which of them, and whether they are. Address and secrets are
//! sealed: of the address, only its origin stands here.

use super::effects;
use crate::kernel::{Address, Codec, Context, Effects, EntityKind, Machine, Progress, Stamp, UnixMillis};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Webhook {
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
    Known(#[n(0)] Known),
    #[n(2)]
    Deleted,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Known {
    #[n(0)]
    pub settings: Settings,
    #[n(1)]
    pub status: Status,
    /// Behind which place of the change feed it begins, and since which revision that is so.
    #[n(2)]
    pub start: Start,
    #[n(3)]
    pub created: UnixMillis,
    /// Until when the secret before this one signs too.
    #[n(4)]
    pub previous_until: Option<UnixMillis>,
    /// The revision of the last change to anything of this.
    #[n(5)]
    pub changed: u64,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Settings {
    /// Scheme, host and port of the address.
    #[n(0)]
    pub origin: Box<str>,
    #[n(1)]
    pub description: Box<str>,
    /// Types of events that are sent, or the beginnings of types; none: all.
    #[n(2)]
    pub types: Vec<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Start {
    #[n(0)]
    pub cursor: Box<str>,
    #[n(1)]
    pub since: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Status {
    #[n(0)]
    Active,
    #[n(1)]
    Paused {
        #[n(0)]
        why: Why,
        #[n(1)]
        since: UnixMillis,
    },
}

/// Why a webhook is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Why {
    #[n(0)]
    ByHand,
    /// It has not taken what was sent for too long.
    #[n(1)]
    Dead,
    /// It answered 410.
    #[n(2)]
    Gone,
    /// What comes next has been trimmed away.
    #[n(3)]
    FeedTrimmed,
}

impl Why {
    pub fn name(self) -> &'static str {
        match self {
            Self::ByHand => "by_hand",
            Self::Dead => "dead",
            Self::Gone => "gone",
            Self::FeedTrimmed => "feed_trimmed",
        }
    }
}

/// What an administrator may ask to be sent at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Extra {
    #[n(0)]
    Test,
    /// The delivery with this number, again.
    #[n(1)]
    Redelivery(#[n(0)] u64),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Create {
        settings: Settings,
        sealed: Zeroizing<Vec<u8>>,
        start: Box<str>,
    },
    /// `base`: the revision that `settings` and `sealed` were made from.
    Change {
        base: u64,
        settings: Settings,
        sealed: Option<Zeroizing<Vec<u8>>>,
    },
    Rotate {
        base: u64,
        sealed: Zeroizing<Vec<u8>>,
        previous_until: UnixMillis,
    },
    Pause,
    /// The server's own pause, for what it saw at revision `base`.
    GiveUp {
        base: u64,
        why: Why,
    },
    /// Goes on where it stopped, or behind another place of the feed.
    Resume {
        from: Option<Box<str>>,
    },
    Ask(Extra),
    Delete,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Event {
    #[n(0)]
    Created {
        #[n(0)]
        settings: Settings,
        #[n(1)]
        start: Box<str>,
    },
    #[n(1)]
    Changed {
        #[n(0)]
        settings: Settings,
    },
    #[n(2)]
    SecretRotated {
        #[n(0)]
        previous_until: UnixMillis,
    },
    #[n(3)]
    Paused(#[n(0)] Why),
    #[n(4)]
    Resumed {
        #[n(0)]
        from: Option<Box<str>>,
    },
    #[n(5)]
    Asked(#[n(0)] Extra),
    #[n(6)]
    Deleted,
}

/// In order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    AlreadyExists,
    ChangedMeanwhile,
    /// There is nothing left where it stopped: it must be said from where to go on.
    FeedTrimmed,
}

impl Webhook {
    pub fn known(&self) -> Option<&Known> {
        match &self.standing {
            Standing::Known(known) => Some(known),
            Standing::Unknown | Standing::Deleted => None,
        }
    }
}

impl Known {
    fn based_on(&self, base: u64) -> Result<&Self, Refusal> {
        if self.changed == base { Ok(self) } else { Err(Refusal::ChangedMeanwhile) }
    }
}

impl Machine for Webhook {
    const KIND: EntityKind = EntityKind::Webhook;
    const EVOLVE_VERSION: u16 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;
    type Answer = ();
    type View = ();

    fn blank(address: Address) -> Self {
        Self { address, standing: Standing::Unknown }
    }

    fn decide(&self, command: &Command, _: usize, _: &Context, events: &mut Vec<Event>) -> Result<Progress, Refusal> {
        let known = match (command, &self.standing) {
            (Command::Create { settings, start, .. }, Standing::Unknown) => {
                events.push(Event::Created { settings: settings.clone(), start: start.clone() });
                return Ok(Progress::Done);
            }
            (Command::Create { settings, .. }, Standing::Known(known)) if known.settings == *settings => {
                return Ok(Progress::Done);
            }
            (Command::Create { .. }, _) => return Err(Refusal::AlreadyExists),
            (Command::Delete, Standing::Deleted) => return Ok(Progress::Done),
            // What the server would pause is no more.
            (Command::GiveUp { .. }, Standing::Unknown | Standing::Deleted) => return Ok(Progress::Done),
            (_, Standing::Unknown | Standing::Deleted) => return Err(Refusal::NotFound),
            (_, Standing::Known(known)) => known,
        };
        match command {
            Command::Create { .. } => {}
            Command::Change { base, settings, sealed } => {
                if known.based_on(*base)?.settings != *settings || sealed.is_some() {
                    events.push(Event::Changed { settings: settings.clone() });
                }
            }
            Command::Rotate { base, previous_until, .. } => {
                known.based_on(*base)?;
                events.push(Event::SecretRotated { previous_until: *previous_until });
            }
            Command::Pause => {
                if known.status == Status::Active {
                    events.push(Event::Paused(Why::ByHand));
                }
            }
            Command::GiveUp { base, why } => {
                // Whoever has changed it meanwhile gets another try.
                if known.status == Status::Active && known.changed == *base {
                    events.push(Event::Paused(*why));
                }
            }
            Command::Resume { from } => match known.status {
                Status::Active => {}
                Status::Paused { why: Why::FeedTrimmed, .. } if from.is_none() => return Err(Refusal::FeedTrimmed),
                Status::Paused { .. } => events.push(Event::Resumed { from: from.clone() }),
            },
            Command::Ask(extra) => events.push(Event::Asked(*extra)),
            Command::Delete => events.push(Event::Deleted),
        }
        Ok(Progress::Done)
    }

    fn evolve(&mut self, event: &Event, stamp: Stamp) {
        if let Event::Created { settings, start } = event {
            self.standing = Standing::Known(Known {
                settings: settings.clone(),
                status: Status::Active,
                start: Start { cursor: start.clone(), since: stamp.revision },
                created: stamp.at,
                previous_until: None,
                changed: stamp.revision,
            });
        }
        let Standing::Known(known) = &mut self.standing else { return };
        match event {
            Event::Created { .. } => {}
            Event::Changed { settings } => known.settings = settings.clone(),
            Event::SecretRotated { previous_until } => known.previous_until = Some(*previous_until),
            Event::Paused(why) => known.status = Status::Paused { why: *why, since: stamp.at },
            Event::Resumed { from } => {
                known.status = Status::Active;
                if let Some(cursor) = from {
                    known.start = Start { cursor: cursor.clone(), since: stamp.revision };
                }
            }
            Event::Asked(_) => return,
            Event::Deleted => {
                self.standing = Standing::Deleted;
                return;
            }
        }
        known.changed = stamp.revision;
    }

    fn answer(&self, _: &Command, _: &[Event], _: u64, _: &Context) {}

    fn effects(&self, command: &Command, events: &[Event], cx: &Context, effects: &mut Effects) {
        effects::of_webhook(self, command, events, cx.now, effects);
    }

    /// What an administrator asks to be sent changes nothing of it.
    fn tag(&self, _: &Command, _: u64) -> Option<u64> {
        self.known().map(|known| known.changed)
    }

    fn to_snapshot(&self, bytes: &mut Vec<u8>) {
        self.encode_into(bytes);
    }

    fn from_snapshot(bytes: &[u8]) -> Result<Self, String> {
        Codec::decode_from(bytes)
    }
}
