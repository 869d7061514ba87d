//! The pure core of every context: what would happen, what it changes, what follows.

use super::{
    chance::Chance,
    effects::{ClaimOp, Effects},
    ids::{Address, EntityKind, OrgId},
    time::UnixMillis,
};
use minicbor::{Decode, Encode};
use std::{fmt::Debug, net::IpAddr};

/// Stored bytes: CBOR with field numbers. Append-only, golden bytes in the tests.
pub trait Codec: Sized {
    fn encode_into(&self, bytes: &mut Vec<u8>);
    fn decode_from(bytes: &[u8]) -> Result<Self, String>;

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        self.encode_into(&mut bytes);
        bytes
    }
}

impl<T: Encode<()> + for<'b> Decode<'b, ()>> Codec for T {
    fn encode_into(&self, bytes: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        let _ = minicbor::encode(self, bytes);
    }

    fn decode_from(bytes: &[u8]) -> Result<Self, String> {
        minicbor::decode(bytes).map_err(|error| error.to_string())
    }
}

/// Who asked. Stands in every record; people are named by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Principal {
    /// The server's own clock and messages.
    #[n(0)]
    Server,
    #[n(1)]
    Token(#[n(0)] Address),
    #[n(2)]
    Entity(#[n(0)] Address),
    /// Nobody known yet, such as a box that shows an enrolment code.
    #[n(3)]
    Anonymous,
}

/// The circumstances of one command, read once at the door.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    pub org: OrgId,
    /// Never runs backwards inside an actor.
    pub now: UnixMillis,
    /// Of the log; raised by a restore from backup.
    pub epoch: u32,
    /// Since when this server process has been up: its own downtime is nobody's absence.
    pub up_since: UnixMillis,
    pub by: Principal,
    pub from: Option<IpAddr>,
}

/// When and as which revision an event happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub at: UnixMillis,
    /// 1 for an entity's first event.
    pub revision: u64,
}

/// Whether a batch has a further step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Done,
    More,
}

/// One kind of entity. `decide` and `evolve` are sync, do no I/O, read no clock and draw no chance.
pub trait Machine: Sized + Send + Unpin + 'static {
    const KIND: EntityKind;
    /// Raised when `evolve` or the snapshot changes meaning: older snapshots are then made anew from the events.
    const EVOLVE_VERSION: u16;
    type Command: Send + 'static;
    type Event: Codec + Debug + Send + 'static;
    type Refusal: Debug + Send + 'static;
    type Answer: Send + 'static;
    /// What others read of this entity without a hop through its actor; published when durable.
    type View: Send + Sync + 'static;

    /// The entity before its first event.
    fn blank(address: Address) -> Self;

    /// What would happen. Events are pushed; none is an accepted replay. A batch is decided step by step: the shell
    /// evolves the events of one step and asks for the next while the answer is `More`. Only step 0 may refuse.
    fn decide(
        &self,
        command: &Self::Command,
        step: usize,
        cx: &Context,
        events: &mut Vec<Self::Event>,
    ) -> Result<Progress, Self::Refusal>;

    /// Applies one event. Cannot refuse.
    fn evolve(&mut self, event: &Self::Event, stamp: Stamp);

    /// Unique values taken or given back by these events, judged before they are applied (step 0 only).
    fn claims(&self, _command: &Self::Command, _events: &[Self::Event], _claims: &mut Vec<ClaimOp>) {}

    /// What the caller is told, computed in the same turn: `self` is the state after the events.
    fn answer(&self, command: &Self::Command, events: &[Self::Event], revision: u64, cx: &Context) -> Self::Answer;

    /// What else follows.
    fn effects(&self, command: &Self::Command, events: &[Self::Event], cx: &Context, effects: &mut Effects);

    /// The list and index rows that this state stands for, whatever led to it: what `castellan verify` compares.
    fn standing_rows(&self, _rows: &mut Effects) {}

    /// The revision that the entity tag of what this command changes shows, such as that of one key of a box; `None` if
    /// it is not there. Of a command that adds something: of what holds it, and once it is there, of the new thing.
    fn tag(&self, _command: &Self::Command, revision: u64) -> Option<u64> {
        (revision > 0).then_some(revision)
    }

    /// The next moment at which time alone changes this entity.
    fn next_deadline(&self) -> Option<UnixMillis> {
        None
    }

    /// The command for a deadline that has come. `None` for entities without deadlines.
    fn tick() -> Option<Self::Command> {
        None
    }

    /// Reads a message from another actor. `secret` is the opened vault row that it referred to, if it still exists;
    /// `unclaimed` says that it is the sender's own message, come back because nobody held the claim.
    fn message(_message: Incoming<'_>) -> Result<Self::Command, String> {
        Err("this entity takes no messages".to_owned())
    }

    /// What a message comes to if somebody else holds a value that it would take. `None`: it is sent again for a while,
    /// and holds up what is behind it.
    fn if_taken(_command: &Self::Command) -> Option<Self::Command> {
        None
    }

    fn view(&self) -> Option<Self::View> {
        None
    }

    fn to_snapshot(&self, bytes: &mut Vec<u8>);
    fn from_snapshot(bytes: &[u8]) -> Result<Self, String>;

    /// Reads a base: the state that stands for events which are no longer there. A snapshot of an older version is made
    /// anew, a base cannot be: whoever raises `EVOLVE_VERSION` adds the reader of the version before, for ever. Golden
    /// bytes in the tests.
    fn from_base(evolve_version: u16, bytes: &[u8]) -> Result<Self, String> {
        if evolve_version == Self::EVOLVE_VERSION {
            return Self::from_snapshot(bytes);
        }
        Err(format!("version {evolve_version} of a base has no reader"))
    }
}

/// A message as it reaches its receiver.
#[derive(Debug)]
pub struct Incoming<'a> {
    pub to: Address,
    pub from: Address,
    pub body: &'a [u8],
    pub secret: Option<&'a [u8]>,
    pub unclaimed: bool,
    /// Makes keyed hashes of secrets, for verifiers.
    pub keys: &'a dyn KeyedHash,
    /// Of this delivery: what is drawn for a message is drawn anew when it comes again.
    pub chance: &'a Chance,
}

/// Keyed hashing under the server's own secret, by purpose.
pub trait KeyedHash {
    fn keyed_hash(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32];
}

impl Debug for dyn KeyedHash + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedHash")
    }
}
