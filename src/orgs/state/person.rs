//! A person: a role, and credentials that boxes are told of. Names and codes are in the vault; here stand marks only.

use super::reissue::{self, Reissue};
use crate::{
    boxes::{Exposed, PersonMessage},
    kernel::{
        AccessId, Address, BoxId, ClaimOp, ClaimSpace, Codec, Context, Effects, EntityKind, Incoming, Machine,
        Progress, Stamp, UnixMillis,
    },
    orgs::{
        effects,
        words::{Mark, Role},
    },
};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Person {
    #[n(0)]
    pub address: Address,
    #[n(1)]
    pub standing: Standing,
    /// Of the last event.
    #[n(2)]
    pub revision: u64,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Standing {
    #[n(0)]
    Unknown,
    #[n(1)]
    Known(#[n(0)] Known),
    #[n(2)]
    Erased,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Known {
    #[n(0)]
    pub role: Role,
    #[n(1)]
    pub email: Option<Mark>,
    #[n(2)]
    pub access_code: Option<Mark>,
    #[n(3)]
    pub badges: Vec<Mark>,
    #[n(4)]
    pub created: UnixMillis,
    /// Of the last change of role, profile or credentials.
    #[n(5)]
    pub changed: u64,
    #[cbor(n(6), default)]
    pub bookings: Vec<Booking>,
}

/// An access that is told by a code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Booking {
    #[n(0)]
    pub access: AccessId,
    #[n(1)]
    pub mark: Mark,
}

/// Bookings with a code that one person may have.
pub const BOOKINGS_MAX: usize = 64;

/// A profile to seal, and what of it must be unique.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pub email: Option<Mark>,
    /// `ProfilePlain`.
    pub plain: Zeroizing<Vec<u8>>,
}

/// Credentials to seal, and what of them must be unique.
#[derive(Debug, Clone, PartialEq)]
pub struct Credentials {
    pub access_code: Option<Mark>,
    pub badges: Vec<Mark>,
    /// `CredentialsPlain`.
    pub plain: Zeroizing<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Create {
        role: Role,
        profile: Profile,
        credentials: Credentials,
    },
    /// What is left out stays. `base`: the revision of the last change that profile and credentials were merged with.
    Change {
        base: u64,
        role: Option<Role>,
        profile: Option<Profile>,
        credentials: Option<Credentials>,
    },
    Erase,
    /// An access gets a code of its own. `plain`: credentials as after it, merged with those of revision `base`.
    Book {
        base: u64,
        booking: Booking,
        plain: Zeroizing<Vec<u8>>,
    },
    /// It has none any more. Without `plain` its digits stay sealed until the next change, and mean nothing.
    Unbook {
        access: AccessId,
        plain: Option<(u64, Zeroizing<Vec<u8>>)>,
    },
    /// An identity was signed, to be shown at boxes until then.
    ShowQr {
        until: UnixMillis,
    },
    /// A box was stolen that could check these codes.
    Expose(Exposed),
    /// New ones were drawn.
    Reissue(Reissue),
    /// Everything that is known of them goes out; only that it did is noted.
    Export,
    /// A box asks by what it shall know this person.
    GiveCredentials {
        to: BoxId,
        generation: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Event {
    #[n(0)]
    Created {
        #[n(0)]
        role: Role,
    },
    #[n(1)]
    ProfileSealed {
        #[n(0)]
        email: Option<Mark>,
    },
    #[n(2)]
    CredentialsSealed {
        #[n(0)]
        access_code: Option<Mark>,
        #[n(1)]
        badges: Vec<Mark>,
    },
    #[n(3)]
    RoleChanged {
        #[n(0)]
        role: Role,
    },
    #[n(4)]
    Erased,
    /// A box was told the credentials, or that there are none any more.
    #[n(5)]
    CredentialsGiven {
        #[n(0)]
        to: BoxId,
        #[n(1)]
        generation: u32,
    },
    /// All that was known of them was handed out.
    #[n(6)]
    Exported,
    #[n(65)]
    Booked(#[n(0)] Booking),
    #[n(66)]
    Unbooked {
        #[n(0)]
        access: AccessId,
    },
    #[n(67)]
    QrShown {
        #[n(0)]
        until: UnixMillis,
    },
    /// Who has stolen a box may find these out: they are about to be drawn anew.
    #[n(80)]
    CodesExposed(#[n(0)] Exposed),
    #[n(81)]
    CodesReissued {
        /// The box that was stolen.
        #[n(0)]
        at: BoxId,
        /// As it is now.
        #[n(1)]
        access_code: Option<Mark>,
        /// Those that have a new code.
        #[n(2)]
        bookings: Box<[Booking]>,
        #[n(3)]
        pin: bool,
    },
}

/// In order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    AlreadyExists,
    /// Changed since `base`.
    ChangedMeanwhile,
    /// The owner can neither be erased nor have another role.
    IsOwner,
    /// Another code of theirs has these digits.
    CodeTaken,
    TooManyBookings,
}

impl Person {
    pub fn known(&self) -> Option<&Known> {
        match &self.standing {
            Standing::Known(known) => Some(known),
            Standing::Unknown | Standing::Erased => None,
        }
    }
}

fn sealed(credentials: &Credentials) -> Event {
    Event::CredentialsSealed { access_code: credentials.access_code, badges: credentials.badges.clone() }
}

impl Machine for Person {
    const KIND: EntityKind = EntityKind::Person;
    const EVOLVE_VERSION: u16 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;
    type Answer = ();
    type View = ();

    fn blank(address: Address) -> Self {
        Self { address, standing: Standing::Unknown, revision: 0 }
    }

    fn decide(&self, command: &Command, _: usize, _: &Context, events: &mut Vec<Event>) -> Result<Progress, Refusal> {
        match (command, &self.standing) {
            (Command::Create { role, profile, credentials }, Standing::Unknown) => {
                events.push(Event::Created { role: *role });
                events.push(Event::ProfileSealed { email: profile.email });
                events.push(sealed(credentials));
            }
            (Command::Create { role, profile, credentials }, Standing::Known(known)) => {
                let same = (*role, profile.email, credentials.access_code, &credentials.badges)
                    == (known.role, known.email, known.access_code, &known.badges);
                if !same {
                    return Err(Refusal::AlreadyExists);
                }
            }
            (Command::Create { .. }, Standing::Erased) => return Err(Refusal::AlreadyExists),
            (
                Command::Change { .. }
                | Command::Erase
                | Command::Export
                | Command::Book { .. }
                | Command::ShowQr { .. },
                Standing::Unknown,
            ) => {
                return Err(Refusal::NotFound);
            }
            (
                Command::Change { .. } | Command::Export | Command::Book { .. } | Command::ShowQr { .. },
                Standing::Erased,
            ) => return Err(Refusal::NotFound),
            (Command::ShowQr { until }, Standing::Known(_)) => events.push(Event::QrShown { until: *until }),
            (Command::Book { base, booking, .. }, Standing::Known(known)) => {
                if known.bookings.contains(booking) {
                    return Ok(Progress::Done);
                }
                if *base != known.changed {
                    return Err(Refusal::ChangedMeanwhile);
                }
                if known.access_code == Some(booking.mark) {
                    return Err(Refusal::CodeTaken);
                }
                if known.bookings.iter().any(|other| other.access == booking.access) {
                    return Err(Refusal::AlreadyExists);
                }
                if known.bookings.len() >= BOOKINGS_MAX {
                    return Err(Refusal::TooManyBookings);
                }
                events.push(Event::Booked(*booking));
            }
            (Command::Unbook { access, plain }, Standing::Known(known)) => {
                if known.bookings.iter().any(|booking| booking.access == *access) {
                    if plain.as_ref().is_some_and(|(base, _)| *base != known.changed) {
                        return Err(Refusal::ChangedMeanwhile);
                    }
                    events.push(Event::Unbooked { access: *access });
                }
            }
            (Command::Unbook { .. }, Standing::Unknown | Standing::Erased) => {}
            (Command::Export, Standing::Known(_)) => events.push(Event::Exported),
            (Command::Erase, Standing::Erased) => {}
            (Command::Change { base, role, profile, credentials }, Standing::Known(known)) => {
                if *base != known.changed {
                    return Err(Refusal::ChangedMeanwhile);
                }
                let code = credentials.as_ref().and_then(|credentials| credentials.access_code);
                if code.is_some_and(|code| known.bookings.iter().any(|booking| booking.mark == code)) {
                    return Err(Refusal::CodeTaken);
                }
                if let Some(role) = role.filter(|role| *role != known.role) {
                    if known.role == Role::Owner {
                        return Err(Refusal::IsOwner);
                    }
                    events.push(Event::RoleChanged { role });
                }
                events.extend(profile.as_ref().map(|profile| Event::ProfileSealed { email: profile.email }));
                events.extend(credentials.as_ref().map(sealed));
            }
            (Command::Erase, Standing::Known(known)) => {
                if known.role == Role::Owner {
                    return Err(Refusal::IsOwner);
                }
                events.push(Event::Erased);
            }
            (Command::Expose(exposed), Standing::Known(_)) => events.push(Event::CodesExposed(exposed.clone())),
            (Command::Reissue(new), Standing::Known(known)) => known.decide_reissue(new, events),
            // Whoever is erased has no codes any more.
            (Command::Expose(_) | Command::Reissue(_), Standing::Unknown | Standing::Erased) => {}
            (Command::GiveCredentials { to, generation }, _) => {
                events.push(Event::CredentialsGiven { to: *to, generation: *generation });
            }
        }
        Ok(Progress::Done)
    }

    fn evolve(&mut self, event: &Event, stamp: Stamp) {
        self.revision = stamp.revision;
        match (event, &mut self.standing) {
            (Event::Created { role }, standing) => {
                *standing = Standing::Known(Known {
                    role: *role,
                    email: None,
                    access_code: None,
                    badges: Vec::new(),
                    created: stamp.at,
                    changed: stamp.revision,
                    bookings: Vec::new(),
                });
            }
            (Event::Erased, standing) => *standing = Standing::Erased,
            (Event::CredentialsGiven { .. } | Event::Exported | Event::QrShown { .. } | Event::CodesExposed(_), _) => {}
            (event, Standing::Known(known)) => {
                known.changed = stamp.revision;
                known.apply(event);
            }
            (
                Event::ProfileSealed { .. }
                | Event::CredentialsSealed { .. }
                | Event::RoleChanged { .. }
                | Event::Booked(_)
                | Event::Unbooked { .. }
                | Event::CodesReissued { .. },
                Standing::Unknown | Standing::Erased,
            ) => {}
        }
    }

    fn claims(&self, _: &Command, events: &[Event], claims: &mut Vec<ClaimOp>) {
        let known = self.known();
        for event in events {
            match event {
                Event::ProfileSealed { email } => {
                    let before = known.and_then(|known| known.email);
                    exchange(ClaimSpace::Email, before.as_slice(), email.as_slice(), claims);
                }
                Event::CredentialsSealed { access_code, badges } => {
                    let before = known.and_then(|known| known.access_code);
                    exchange(ClaimSpace::AccessCode, before.as_slice(), access_code.as_slice(), claims);
                    let before = known.map(|known| &known.badges[..]).unwrap_or_default();
                    exchange(ClaimSpace::Badge, before, badges, claims);
                }
                Event::Erased => {
                    let Some(known) = known else { continue };
                    exchange(ClaimSpace::Email, known.email.as_slice(), &[], claims);
                    exchange(ClaimSpace::AccessCode, known.access_code.as_slice(), &[], claims);
                    let mut marks: Vec<_> = known.bookings.iter().map(|booking| booking.mark).collect();
                    marks.sort_unstable_by_key(|mark| mark.0);
                    marks.dedup();
                    exchange(ClaimSpace::AccessCode, &marks, &[], claims);
                    exchange(ClaimSpace::Badge, &known.badges, &[], claims);
                }
                Event::Booked(booking) => {
                    exchange(ClaimSpace::AccessCode, &[], &[booking.mark], claims);
                }
                Event::Unbooked { access } => {
                    let all = known.map(|known| &known.bookings[..]).unwrap_or_default();
                    let Some(booking) = all.iter().find(|booking| booking.access == *access) else { continue };
                    // Several accesses may be told by one code.
                    if all.iter().filter(|other| other.mark == booking.mark).count() == 1 {
                        exchange(ClaimSpace::AccessCode, &[booking.mark], &[], claims);
                    }
                }
                Event::CodesReissued { access_code, bookings, .. } => {
                    let Some(known) = known else { continue };
                    let (before, after) = known.replaced(*access_code, bookings);
                    exchange(ClaimSpace::AccessCode, &before, &after, claims);
                }
                Event::Created { .. }
                | Event::RoleChanged { .. }
                | Event::CredentialsGiven { .. }
                | Event::QrShown { .. }
                | Event::CodesExposed(_)
                | Event::Exported => {}
            }
        }
    }

    fn answer(&self, _: &Command, _: &[Event], _: u64, _: &Context) {}

    /// Credentials given to boxes change nothing that a person sees.
    fn tag(&self, _: &Command, _: u64) -> Option<u64> {
        self.known().map(|known| known.changed)
    }

    fn effects(&self, command: &Command, events: &[Event], cx: &Context, effects: &mut Effects) {
        effects::of_person(self, command, events, cx, effects);
    }

    fn message(message: Incoming<'_>) -> Result<Command, String> {
        match PersonMessage::decode_from(message.body)? {
            PersonMessage::CredentialsWanted { to, generation } => Ok(Command::GiveCredentials { to, generation }),
            PersonMessage::BookingEnded { access } => Ok(Command::Unbook { access, plain: None }),
            PersonMessage::CodesExposed(exposed) => Ok(Command::Expose(exposed)),
            PersonMessage::Reissue { base, exposed } => reissue::drawn(base, exposed, &message).map(Command::Reissue),
        }
    }

    fn standing_rows(&self, rows: &mut Effects) {
        effects::person_row(self, rows);
    }

    fn to_snapshot(&self, bytes: &mut Vec<u8>) {
        self.encode_into(bytes);
    }

    fn from_snapshot(bytes: &[u8]) -> Result<Self, String> {
        Codec::decode_from(bytes)
    }
}

impl Known {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::ProfileSealed { email } => self.email = *email,
            Event::CredentialsSealed { access_code, badges } => {
                self.access_code = *access_code;
                self.badges = badges.clone();
            }
            Event::RoleChanged { role } => self.role = *role,
            Event::Booked(booking) => self.bookings.push(*booking),
            Event::Unbooked { access } => self.bookings.retain(|booking| booking.access != *access),
            Event::CodesReissued { access_code, bookings, .. } => self.reissue(*access_code, bookings),
            Event::Created { .. }
            | Event::Erased
            | Event::CredentialsGiven { .. }
            | Event::QrShown { .. }
            | Event::CodesExposed(_)
            | Event::Exported => {}
        }
    }
}

/// Takes what is new and gives back what is no longer there.
fn exchange(space: ClaimSpace, before: &[Mark], after: &[Mark], claims: &mut Vec<ClaimOp>) {
    let value = |mark: &Mark| mark.0.to_vec();
    let taken = after.iter().filter(|mark| !before.contains(mark));
    claims.extend(taken.map(|mark| ClaimOp::Take { space, value: value(mark) }));
    let left = before.iter().filter(|mark| !after.contains(mark));
    claims.extend(left.map(|mark| ClaimOp::Release { space, value: value(mark) }));
}
