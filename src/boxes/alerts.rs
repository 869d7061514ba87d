//! What administrators are told without asking: settings, conditions, and what a box keeps of both. A box of an
//! organisation that has chosen nothing, and with which nothing is wrong, keeps nothing.

use super::{
    rare::Rare,
    words::{Fob, Label},
};
use crate::kernel::{KeyId, PersonId, UnixMillis};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::{sync::LazyLock, time::Duration};
use utoipa::ToSchema;

/// Recipients of one organisation's mails about alerts.
pub const MAX_ALERT_MAILS: usize = 16;
/// A year. Nobody waits longer for a key.
pub const MAX_ALERT_MINUTES: u32 = 525_600;
/// A key's own limit that says: never, whatever the organisation's limit is.
const NEVER: u32 = u32::MAX;

/// What an alert is about. Stored in masks: numbers are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    LateAfterPickUp = 0,
    LateAfterEnd = 1,
    LateBeforeBooking = 2,
    Exchange = 3,
    Offline = 4,
    Guarantee = 5,
    Conflict = 6,
    Unconfirmed = 7,
}

impl AlertKind {
    pub const ALL: [Self; 8] = [
        Self::LateAfterPickUp,
        Self::LateAfterEnd,
        Self::LateBeforeBooking,
        Self::Exchange,
        Self::Offline,
        Self::Guarantee,
        Self::Conflict,
        Self::Unconfirmed,
    ];

    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::LateAfterPickUp => "late_after_pick_up",
            Self::LateAfterEnd => "late_after_end",
            Self::LateBeforeBooking => "late_before_booking",
            Self::Exchange => "exchange",
            Self::Offline => "offline",
            Self::Guarantee => "guarantee",
            Self::Conflict => "conflict",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// A set of kinds, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct AlertKinds(#[n(0)] u32);

impl AlertKinds {
    pub fn has(self, kind: AlertKind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    pub fn list(self) -> Vec<AlertKind> {
        AlertKind::ALL.into_iter().filter(|kind| self.has(*kind)).collect()
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<AlertKind> for AlertKinds {
    fn from_iter<I: IntoIterator<Item = AlertKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | 1 << kind as u8))
    }
}

/// Which exchanges are told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, ToSchema)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeAlert {
    #[default]
    #[n(0)]
    None,
    /// Those that were applied although something about them was not in order.
    #[n(1)]
    Flagged,
    #[n(2)]
    All,
}

/// When a key that is out counts as late, in minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct LateLimits {
    #[n(0)]
    pub after_pick_up: Option<u32>,
    /// Of the access by which it was taken.
    #[n(1)]
    pub after_end: Option<u32>,
    /// Of somebody else's access to this very key.
    #[n(2)]
    pub before_booking: Option<u32>,
}

/// Who gets mails, and about what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AlertMails {
    /// `None`: the owner.
    #[n(0)]
    pub person: Option<PersonId>,
    #[n(1)]
    pub kinds: AlertKinds,
}

/// What an organisation wants to be told, as it and each of its boxes keep it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AlertSettings {
    #[n(0)]
    pub offline: bool,
    #[n(1)]
    pub guarantee: bool,
    #[n(2)]
    pub conflict: bool,
    #[n(3)]
    pub unconfirmed_minutes: Option<u32>,
    #[n(4)]
    pub late: LateLimits,
    #[n(5)]
    pub exchange: ExchangeAlert,
    /// Each recipient once.
    #[n(6)]
    pub mails: Box<[AlertMails]>,
}

impl Default for AlertSettings {
    /// The owner gets mails about what an organisation turns on; those about conflicts and guarantees he has anyway.
    fn default() -> Self {
        use AlertKind as Kind;
        let kinds =
            [Kind::LateAfterPickUp, Kind::LateAfterEnd, Kind::LateBeforeBooking, Kind::Exchange, Kind::Unconfirmed];
        Self {
            offline: true,
            guarantee: true,
            conflict: true,
            unconfirmed_minutes: None,
            late: LateLimits::default(),
            exchange: ExchangeAlert::None,
            mails: [AlertMails { person: None, kinds: kinds.into_iter().collect() }].into(),
        }
    }
}

static DEFAULT_SETTINGS: LazyLock<AlertSettings> = LazyLock::new(AlertSettings::default);

impl AlertSettings {
    /// Each recipient once, with all that was named for him.
    pub fn merged(mails: impl IntoIterator<Item = AlertMails>) -> Box<[AlertMails]> {
        let mut merged: Vec<AlertMails> = Vec::new();
        for mail in mails {
            match merged.iter_mut().find(|known| known.person == mail.person) {
                Some(known) => known.kinds = known.kinds.and(mail.kinds),
                None => merged.push(mail),
            }
        }
        merged.into()
    }
}

/// What is different for one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct KeyAlerts {
    /// A limit left out is the organisation's; `u32::MAX`: never.
    #[n(0)]
    pub late: LateLimits,
    /// Left out: as the organisation says.
    #[n(1)]
    pub exchange: Option<ExchangeAlert>,
}

impl KeyAlerts {
    /// From the wire: left out, never, or so many minutes.
    pub fn limit(said: Option<Option<u32>>) -> Option<u32> {
        said.map(|minutes| minutes.unwrap_or(NEVER))
    }

    pub fn said(limit: Option<u32>) -> Option<Option<u32>> {
        limit.map(|minutes| Some(minutes).filter(|minutes| *minutes != NEVER))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Lateness {
    #[n(0)]
    AfterPickUp,
    #[n(1)]
    AfterEnd,
    #[n(2)]
    BeforeBooking,
}

/// What is wrong as long as an alert is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum AlertWhat {
    #[n(0)]
    Late(#[n(0)] Lateness, #[n(1)] KeyId),
    #[n(1)]
    Offline {
        /// It had said that it runs without mains; else it has lost the internet.
        #[n(0)]
        power: bool,
    },
    #[n(2)]
    Guarantee,
    /// There are conflicts that nobody has settled.
    #[n(3)]
    Conflict,
    #[n(4)]
    Unconfirmed(#[n(0)] Label),
}

impl AlertWhat {
    pub fn kind(self) -> AlertKind {
        match self {
            Self::Late(Lateness::AfterPickUp, _) => AlertKind::LateAfterPickUp,
            Self::Late(Lateness::AfterEnd, _) => AlertKind::LateAfterEnd,
            Self::Late(Lateness::BeforeBooking, _) => AlertKind::LateBeforeBooking,
            Self::Offline { .. } => AlertKind::Offline,
            Self::Guarantee => AlertKind::Guarantee,
            Self::Conflict => AlertKind::Conflict,
            Self::Unconfirmed(_) => AlertKind::Unconfirmed,
        }
    }

    pub fn key(self) -> Option<KeyId> {
        match self {
            Self::Late(_, key) => Some(key),
            _ => None,
        }
    }

    pub fn bin(self) -> Option<Label> {
        match self {
            Self::Unconfirmed(bin) => Some(bin),
            _ => None,
        }
    }

    /// Of a box that is offline: whether it had said that it runs without mains.
    pub fn power(self) -> Option<bool> {
        match self {
            Self::Offline { power } => Some(power),
            _ => None,
        }
    }
}

/// One thing that is wrong now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Trouble {
    #[n(0)]
    pub what: AlertWhat,
    /// Since when the key is out, the box silent or missing something, the bin doubtful.
    #[n(1)]
    pub since: Option<UnixMillis>,
    /// Until when the key should have been back.
    #[n(2)]
    pub due: Option<UnixMillis>,
    /// Who has the key.
    #[n(3)]
    pub person: Option<PersonId>,
}

impl Trouble {
    /// A key that came back and was taken again is late anew; all else that goes on is the same.
    pub fn is(&self, other: &Self) -> bool {
        match (self.what, other.what) {
            (AlertWhat::Late(..), AlertWhat::Late(..)) => self.what == other.what && self.since == other.since,
            (AlertWhat::Offline { .. }, AlertWhat::Offline { .. }) => true,
            (own, other) => own == other,
        }
    }
}

/// `RowSpace::Alerts`, by box and number: an alert in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AlertRow {
    /// The box's revision that raised it.
    #[n(0)]
    pub number: u64,
    #[n(1)]
    pub condition: Trouble,
    #[n(2)]
    pub raised: UnixMillis,
    #[n(3)]
    pub acknowledged: Option<UnixMillis>,
}

/// An exchange that somebody wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ExchangeTold {
    #[n(0)]
    pub pick_up: bool,
    #[n(1)]
    pub fob: Fob,
    #[n(2)]
    pub key: Option<KeyId>,
    #[n(3)]
    pub bin: Label,
    #[n(4)]
    pub person: Option<PersonId>,
    #[n(5)]
    pub at: UnixMillis,
    #[n(6)]
    pub flagged: bool,
}

#[derive(Debug, Clone, Copy, Encode, Decode)]
pub(super) struct Doubtful {
    #[n(0)]
    pub bin: u16,
    #[n(1)]
    pub since: UnixMillis,
}

#[derive(Debug, Clone, Copy, Encode, Decode)]
pub(super) struct OfKey {
    #[n(0)]
    pub key: KeyId,
    #[n(1)]
    pub alerts: KeyAlerts,
    /// Of the last change of these.
    #[n(2)]
    pub revision: u64,
}

/// What one box keeps.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub(super) struct Alerts {
    /// `None`: as they are by default.
    #[n(0)]
    settings: Option<Box<AlertSettings>>,
    #[n(1)]
    pub keys: Rare<OfKey>,
    /// While the organisation wants to hear of them.
    #[n(2)]
    pub doubtful: Rare<Doubtful>,
    #[n(3)]
    pub in_force: Rare<AlertRow>,
}

impl Alerts {
    pub fn settings(&self) -> &AlertSettings {
        self.settings.as_deref().unwrap_or(&DEFAULT_SETTINGS)
    }

    pub fn of(alerts: Option<&Self>) -> &AlertSettings {
        alerts.map_or(&DEFAULT_SETTINGS, Self::settings)
    }

    pub fn set(&mut self, settings: &AlertSettings) {
        self.settings = (*settings != *DEFAULT_SETTINGS).then(|| Box::new(settings.clone()));
    }

    pub fn of_key(&self, key: KeyId) -> Option<&KeyAlerts> {
        self.keys.iter().find(|own| own.key == key).map(|own| &own.alerts)
    }

    /// What is as by default is not kept.
    pub fn set_key(&mut self, key: KeyId, alerts: KeyAlerts, revision: u64) {
        self.keys.retain(|own| own.key != key);
        if alerts != KeyAlerts::default() {
            self.keys.push(OfKey { key, alerts, revision });
        }
    }

    /// The limits that hold for a key.
    pub fn limits(&self, key: KeyId) -> LateLimits {
        let (own, all) = (self.of_key(key).map(|own| own.late).unwrap_or_default(), self.settings().late);
        let limit = |own: Option<u32>, all: Option<u32>| own.or(all).filter(|minutes| *minutes != NEVER);
        LateLimits {
            after_pick_up: limit(own.after_pick_up, all.after_pick_up),
            after_end: limit(own.after_end, all.after_end),
            before_booking: limit(own.before_booking, all.before_booking),
        }
    }

    pub fn exchange(&self, key: Option<KeyId>) -> ExchangeAlert {
        let own = key.and_then(|key| self.of_key(key)).and_then(|own| own.exchange);
        own.unwrap_or(self.settings().exchange)
    }

    /// Whether any limit is set at all.
    pub fn watches_keys(&self) -> bool {
        self.settings().late != LateLimits::default() || !self.keys.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.settings.is_none() && self.keys.is_empty() && self.doubtful.is_empty() && self.in_force.is_empty()
    }

    /// Heap memory of it.
    pub fn heap_bytes(&self) -> usize {
        let settings = self.settings.as_deref().map_or(0, |set| size_of_val(set) + size_of_val(&*set.mails));
        size_of::<Self>() + settings + self.keys.heap_bytes() + self.doubtful.heap_bytes() + self.in_force.heap_bytes()
    }
}

pub(super) fn span(minutes: u32) -> Duration {
    Duration::from_secs(60 * u64::from(minutes))
}
