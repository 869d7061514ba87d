//! What a session is after an event, and what follows from it for the house: what is sealed, deadlines, erasure.

use super::state::{
    Command, Event, FORGOTTEN_AFTER, IuvSession, REDEEMED_WITHIN, Refusal, Registered, SignedIn, Standing, Told,
};
use crate::kernel::{Address, Codec, Context, Effects, EntityKind, Machine, Progress, Stamp, UnixMillis, VaultField};
use std::time::Duration;

/// A tick at the very moment would find that it is just not over yet.
const A_MOMENT: Duration = Duration::from_millis(1);

impl Machine for IuvSession {
    const KIND: EntityKind = EntityKind::IuvSession;
    const EVOLVE_VERSION: u16 = 2;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;
    type Answer = Told;
    type View = ();

    fn blank(address: Address) -> Self {
        Self { address, standing: Standing::Unknown }
    }

    fn decide(&self, command: &Command, _: usize, cx: &Context, events: &mut Vec<Event>) -> Result<Progress, Refusal> {
        self.judged(command, cx.now, events).map(|()| Progress::Done)
    }

    fn evolve(&mut self, event: &Event, stamp: Stamp) {
        match (event, &mut self.standing) {
            (Event::Registered(registration), standing) => {
                let registration = registration.clone();
                *standing = Standing::Registered(Box::new(Registered { registration, at: stamp.at, refused: 0 }));
            }
            (Event::Opened { pass, secret, until }, standing) => {
                let (pass, secret, until, since) = (*pass, *secret, *until, Some(stamp.at));
                *standing = Standing::SignedIn(SignedIn { pass, secret, until, redeemed: None, refused: 0, since });
            }
            (Event::Redeemed { secret, until }, standing) => {
                if let Standing::Registered(known) = standing {
                    let Registered { registration, refused, .. } = &**known;
                    *standing = Standing::SignedIn(SignedIn {
                        pass: registration.pass,
                        secret: *secret,
                        until: *until,
                        redeemed: Some(registration.check),
                        refused: *refused,
                        since: Some(stamp.at),
                    });
                }
            }
            (Event::RedemptionRefused { .. }, Standing::Registered(known)) => known.refused += 1,
            (Event::RedemptionRefused { .. }, Standing::SignedIn(known)) => known.refused += 1,
            (Event::RedemptionRefused { .. }, Standing::Ended { refused, .. }) => *refused += 1,
            (Event::RedemptionRefused { .. }, Standing::Unknown) => {}
            (Event::SignedOut, standing) => *standing = standing.ended(stamp.at, false),
            (Event::Expired, standing) => *standing = standing.ended(stamp.at, true),
            (Event::Forgotten, Standing::Ended { forgotten, .. }) => *forgotten = true,
            (Event::Forgotten, _) => {}
        }
    }

    fn answer(&self, command: &Command, events: &[Event], _: u64, cx: &Context) -> Told {
        let Command::Redeem { redemption, standing } = command else { return Told::Nothing };
        match (events.first(), &self.standing) {
            (Some(Event::Redeemed { .. }), Standing::SignedIn(signed_in)) => Told::Redeemed(signed_in.pass),
            (Some(Event::RedemptionRefused { why }), _) => Told::Refused(*why),
            _ => self.why(redemption, standing, cx.now).map_or(Told::Nothing, Told::Refused),
        }
    }

    fn effects(&self, command: &Command, events: &[Event], _: &Context, effects: &mut Effects) {
        for event in events {
            match event {
                Event::Registered(_) | Event::Opened { .. } => self.seal(command, effects),
                Event::Expired | Event::Forgotten => effects.erase(),
                Event::Redeemed { .. } | Event::RedemptionRefused { .. } | Event::SignedOut => {}
            }
        }
    }

    fn next_deadline(&self) -> Option<UnixMillis> {
        match &self.standing {
            Standing::Registered(known) => Some(known.at.plus(REDEEMED_WITHIN).plus(A_MOMENT)),
            Standing::SignedIn(known) => Some(known.until),
            Standing::Ended { at, forgotten: false, .. } => Some(at.plus(FORGOTTEN_AFTER)),
            Standing::Unknown | Standing::Ended { .. } => None,
        }
    }

    fn tick() -> Option<Command> {
        Some(Command::Tick)
    }

    fn to_snapshot(&self, bytes: &mut Vec<u8>) {
        self.encode_into(bytes);
    }

    fn from_snapshot(bytes: &[u8]) -> Result<Self, String> {
        Codec::decode_from(bytes)
    }

    /// The version before did not keep when a session began.
    fn from_base(evolve_version: u16, bytes: &[u8]) -> Result<Self, String> {
        match evolve_version {
            1 | Self::EVOLVE_VERSION => Self::from_snapshot(bytes),
            other => Err(format!("version {other} of a base has no reader")),
        }
    }
}

impl Standing {
    fn ended(&self, at: UnixMillis, forgotten: bool) -> Self {
        let (check, redeemed, refused) = match self {
            Self::Unknown => (None, false, 0),
            Self::Registered(known) => (Some(known.registration.check), false, known.refused),
            Self::SignedIn(known) => (known.redeemed, true, known.refused),
            Self::Ended { check, redeemed, refused, .. } => (*check, *redeemed, *refused),
        };
        Self::Ended { at, forgotten, check, redeemed, refused }
    }
}

impl IuvSession {
    fn seal(&self, command: &Command, effects: &mut Effects) {
        if let Command::Register { attributes, .. } | Command::Open { attributes, .. } = command {
            effects.seal_alone(VaultField::IuvAttributes, attributes.to_vec());
        }
    }
}
