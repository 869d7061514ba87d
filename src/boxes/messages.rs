//! What boxes say to each other and hear from organisations and people. Stored in the outbox: numbers are append-only.

use super::{
    alerts::{AlertSettings, KeyAlerts},
    codes::{KeyCodeRecord, OfflineSettings, PassUse},
    command::{AccessRecord, KeyRecord},
    words::{Fob, Plan},
};
use crate::kernel::{AccessId, BoxId, KeyId, PassId, PersonId, UnixMillis};
use minicbor::{Decode, Encode};

/// What a SmartBox receives.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum BoxMessage {
    /// From the organisation.
    #[n(0)]
    PlanChanged {
        #[n(0)]
        plan: Plan,
    },
    /// From another box, to whoever holds the fob's claim: it is here now.
    #[n(1)]
    FobSeen(#[n(0)] Sighting),
    /// From the key's home to the box that saw it: its record is yours.
    #[n(2)]
    KeyMoved {
        #[n(0)]
        key: KeyRecord,
        #[n(1)]
        accesses: Box<[AccessRecord]>,
        /// The sighting that this answers.
        #[n(2)]
        sighting: Sighting,
        #[n(3)]
        code: Option<KeyCodeRecord>,
        /// One of the accesses has a booking code.
        #[n(4)]
        booked: Option<bool>,
        #[n(10)]
        alerts: Option<Box<KeyAlerts>>,
    },
    /// From the key's home: it has been elsewhere since.
    #[n(3)]
    FobMovedOn {
        #[n(0)]
        sighting: Sighting,
        #[n(1)]
        key: KeyId,
    },
    /// From a box that holds the same unknown fob.
    #[n(4)]
    FobHeldElsewhere {
        #[n(0)]
        sighting: Sighting,
    },
    /// A question that was passed on came back: nobody holds this fob.
    #[n(5)]
    FobUnclaimed {
        #[n(0)]
        sighting: Sighting,
    },
    /// From this box to itself: an unknown fob has left, its claim can be given back.
    #[n(6)]
    FobLeft {
        #[n(0)]
        fob: Fob,
    },
    /// From a person, to one box that asked. Its secret is the sealed `Credentials` row, `CredentialsPlain`.
    #[n(7)]
    PersonCredentials {
        #[n(0)]
        person: PersonId,
        #[n(1)]
        revision: u64,
        /// Echoes `CredentialsWanted`.
        #[n(2)]
        generation: u32,
    },
    /// From a person, to every box under `RowSpace::PersonBoxes`: ask again.
    #[n(8)]
    PersonChanged {
        #[n(0)]
        person: PersonId,
        #[n(1)]
        revision: u64,
    },
    /// From the home of a key to whoever has sealed its code.
    #[n(10)]
    KeyCodeWanted {
        #[n(0)]
        key: KeyId,
        #[n(1)]
        to: BoxId,
        /// Of the asking box.
        #[n(2)]
        generation: u32,
    },
    /// The answer. Its secret is the sealed `KeyCodes` row, `KeyCodesPlain`.
    #[n(11)]
    KeyCodeGiven {
        #[n(0)]
        key: KeyId,
        #[n(1)]
        generation: u32,
    },
    /// From the organisation, to all its boxes.
    #[n(12)]
    OfflineSettings(#[n(0)] OfflineSettings),
    /// From a box whose journal tells of a pass, to the box that has signed it.
    #[n(13)]
    PassUsed {
        #[n(0)]
        pass: PassId,
        #[n(1)]
        used: PassUse,
    },
    /// From a person who is erased, to every box under `RowSpace::PersonBoxes`.
    #[n(9)]
    PersonGone {
        #[n(0)]
        person: PersonId,
    },
    /// From this box to itself, when it was stolen. Its secret is the sealed `KeyCodes` row.
    #[n(31)]
    ReissueKeyCodes {
        /// Of the last sealing.
        #[n(0)]
        base: u64,
        #[n(1)]
        generation: u32,
        /// Those that have a code.
        #[n(2)]
        keys: Box<[KeyId]>,
    },
    /// From the organisation.
    #[n(30)]
    AlertsChanged(#[n(0)] Box<AlertSettings>),
}

/// What a person receives from a SmartBox.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum PersonMessage {
    /// Answered by `BoxMessage::PersonCredentials` with the same generation; an unknown person answers `PersonGone`.
    #[n(0)]
    CredentialsWanted {
        #[n(0)]
        to: BoxId,
        #[n(1)]
        generation: u32,
    },
    /// From a box that was stolen.
    #[n(2)]
    CodesExposed(#[n(0)] Exposed),
    /// From the person itself. Its secret is the sealed `Credentials` row.
    #[n(3)]
    Reissue {
        /// Of the last change of the credentials.
        #[n(0)]
        base: u64,
        #[n(1)]
        exposed: Exposed,
    },
    /// An access with a booking code has ended: the code is free again.
    #[n(1)]
    BookingEnded {
        #[n(0)]
        access: AccessId,
    },
}

/// By what a stolen box could find out somebody's codes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Exposed {
    #[n(0)]
    pub at: BoxId,
    #[n(1)]
    pub code: bool,
    #[n(2)]
    pub pin: bool,
    /// Accesses whose booking codes it could check.
    #[n(3)]
    pub bookings: Box<[AccessId]>,
}

/// A fob that is not at home where it was dropped off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Sighting {
    #[n(0)]
    pub fob: Fob,
    /// Who saw it.
    #[n(1)]
    pub by: BoxId,
    #[n(2)]
    pub at: UnixMillis,
    /// When the server heard of it: of two places the one that was heard of later holds.
    #[n(3)]
    pub heard: UnixMillis,
    /// An administrator's word, which explains itself: no late pick-up is expected.
    #[n(4)]
    pub corrected: bool,
    /// How often it was passed on.
    #[n(5)]
    pub hops: u8,
}

/// The plaintext of a person's sealed `Credentials` row.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct CredentialsPlain {
    #[n(0)]
    pub code: Option<String>,
    #[n(1)]
    pub badges: Vec<String>,
    /// The second factor at pick-ups. Boxes that want one hear by what to check it, never the PIN itself.
    #[n(2)]
    pub pin: Option<String>,
    #[cbor(n(3), default)]
    pub bookings: Vec<BookingPlain>,
}

crate::kernel::opaque!(CredentialsPlain);

/// The code of a booking: an access of the person that has one.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct BookingPlain {
    #[n(0)]
    pub access: AccessId,
    #[n(1)]
    pub code: String,
}

crate::kernel::opaque!(BookingPlain);
