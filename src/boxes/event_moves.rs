//! What events say of keys that move between boxes. Stored for ever, as they are.

use super::{
    alerts::KeyAlerts,
    codes::KeyCodeRecord,
    command::{AccessRecord, KeyRecord},
    messages::Sighting,
    words::Label,
};
use crate::kernel::{BoxId, KeyId, PersonId, UnixMillis};
use minicbor::{Decode, Encode};

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Departure {
    #[n(0)]
    pub key: KeyRecord,
    #[n(1)]
    pub accesses: Box<[AccessRecord]>,
    #[n(2)]
    pub sighting: Sighting,
    /// The bin that was believed to hold it.
    #[n(3)]
    pub bin: Option<Label>,
    #[n(4)]
    pub code: Option<KeyCodeRecord>,
    /// One of the accesses has a booking code.
    #[n(5)]
    pub booked: Option<bool>,
    /// What is different about its alerts.
    #[n(10)]
    pub alerts: Option<Box<KeyAlerts>>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Arrival {
    #[n(0)]
    pub key: KeyRecord,
    #[n(1)]
    pub accesses: Box<[AccessRecord]>,
    #[n(2)]
    pub from: BoxId,
    #[n(3)]
    pub at: UnixMillis,
    /// It may not be dropped here.
    #[n(4)]
    pub flagged: bool,
    #[n(5)]
    pub bin: Option<Label>,
    /// Who took it out meanwhile.
    #[n(6)]
    pub person: Option<PersonId>,
    #[n(7)]
    pub code: Option<KeyCodeRecord>,
    #[n(8)]
    pub booked: Option<bool>,
    /// What is different about its alerts.
    #[n(10)]
    pub alerts: Option<Box<KeyAlerts>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum SightingAnswer {
    /// The key has left for this box, which is asked instead.
    #[n(0)]
    PassedOn(#[n(0)] BoxId),
    /// Asked anew of whoever holds the fob now.
    #[n(1)]
    AskedAround,
    /// The key has been here, or with somebody, since.
    #[n(2)]
    MovedOn(#[n(0)] KeyId),
    /// The same unknown fob lies here.
    #[n(3)]
    HeldHere,
    #[n(4)]
    Unclaimed,
}
