//! What can be seen of a SmartBox: pure functions for reads, and the history folded from events.

use super::{
    access::Access,
    advice::Advice,
    alerts::Alerts,
    codes::Codes,
    command::{AccessRecord, Act, Scope},
    event::{Event, Judged},
    extras::Extras,
    online::{OnlineEvent, Opening, Order},
    rows::Conflict,
    state::{Place, SmartBox},
    watch::Watch,
    words::{BinState, By, Cursor, Flag, Fob, Health, Label, Model, Outcome, Plan, Size},
};
use crate::kernel::{BoxId, ExchangeId, GroupId, KeyId, PersonId, Stamp, UnixMillis};

/// One box, with what time has changed since its last event.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    pub id: BoxId,
    pub revision: u64,
    pub described: u64,
    pub name: Box<str>,
    pub model: Model,
    pub plan: Plan,
    pub location: Box<str>,
    pub zone: Box<str>,
    pub enrolled: bool,
    pub generation: u32,
    pub suspended: bool,
    pub offline: bool,
    /// Entries are without a receipt.
    pub reconciling: bool,
    pub last_contact: Option<UnixMillis>,
    /// When the next contact counts as missed.
    pub contact_due: Option<UnixMillis>,
    /// The state that the box has stored.
    pub confirmed: Option<Cursor>,
    pub journal_next: u64,
    pub skew_ms: i64,
    pub health: Health,
    /// Since when the box has been missing a change that it did not make itself.
    pub pending_since: Option<UnixMillis>,
    pub due_by: Option<UnixMillis>,
    /// The plan's guarantee is broken.
    pub late: bool,
    pub visitors_unresolved: u32,
    pub late_pick_ups: u32,
    pub open_conflicts: u32,
    /// Nobody has its offline codes in hand.
    pub unprepared: bool,
    pub advice: Option<Advice>,
    /// The oldest ones; see `MAX_OPEN_CONFLICTS`.
    pub conflicts: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    pub revision: u64,
    pub bins: Vec<BinView>,
    pub keys: Vec<KeyView>,
    pub accesses: Vec<AccessView>,
    pub people: Vec<PersonId>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct BinView {
    pub bin: Label,
    pub state: BinState,
    pub fob: Option<Fob>,
    pub key: Option<KeyId>,
    pub confirmed: bool,
    pub expects_late_pick_up: bool,
    pub size: Size,
    /// Of its last change.
    pub revision: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct KeyView {
    pub key: KeyId,
    pub name: Box<str>,
    pub fob: Option<Fob>,
    pub roaming: bool,
    pub groups: Box<[GroupId]>,
    pub size: Size,
    pub place: KeyPlace,
    /// Of the last change of the key itself; its place is told by the bins.
    pub revision: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccessView {
    pub record: AccessRecord,
    /// Of its last change.
    pub revision: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum KeyPlace {
    Bin {
        bin: Label,
        since: UnixMillis,
    },
    /// `None`: somebody anonymous.
    Person {
        person: Option<PersonId>,
        since: UnixMillis,
    },
    Unknown {
        since: UnixMillis,
    },
}

/// A key whose record has left and, unless its row says otherwise, has not arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaving {
    pub key: KeyId,
    pub to: BoxId,
    pub since: UnixMillis,
}

/// One line of a box's history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryItem {
    pub revision: u64,
    /// When it happened.
    pub at: UnixMillis,
    /// When the server heard of it.
    pub heard: UnixMillis,
    pub kind: HistoryKind,
    pub seq: Option<u64>,
    pub bin: Option<Label>,
    pub fob: Option<Fob>,
    pub key: Option<KeyId>,
    pub person: Option<PersonId>,
    pub offline: bool,
    /// Ignored and rejected entries are told too: leave them out unless everything is wanted.
    pub outcome: Outcome,
    pub box_time: Option<UnixMillis>,
    pub estimated: bool,
    pub by: Option<By>,
    /// The server had decided it.
    pub exchange: Option<ExchangeId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryKind {
    PickUp,
    DropOff,
    Opened,
    OpenedAll,
    Corrected,
    MovedIn,
    MovedOut,
    /// A fob that was dropped off turned out to be nobody's.
    UnknownFob,
    /// A key hangs on this fob from now on.
    FobSet,
    /// An entry that could not be read.
    Unreadable,
}

impl HistoryKind {
    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::PickUp => "pick_up",
            Self::DropOff => "drop_off",
            Self::Opened => "opened",
            Self::OpenedAll => "opened_all",
            Self::Corrected => "corrected",
            Self::MovedIn => "moved_in",
            Self::MovedOut => "moved_out",
            Self::UnknownFob => "unknown_fob",
            Self::FobSet => "fob_set",
            Self::Unreadable => "unreadable",
        }
    }
}

impl SmartBox {
    /// `up_since`: the server's own downtime is not the box's absence.
    pub fn overview(&self, now: UnixMillis, up_since: UnixMillis) -> Overview {
        let missed = |due| now > due && now > up_since.plus(self.contact_grace());
        Overview {
            id: self.id(),
            revision: self.revision,
            described: self.described(),
            name: self.name.clone(),
            model: self.model,
            plan: self.plan,
            location: self.location.clone(),
            zone: self.zone.clone(),
            enrolled: self.token_hash.is_some(),
            generation: self.generation,
            suspended: self.suspended,
            offline: self.sync.offline || (!self.suspended && self.sync.contact_due.is_some_and(missed)),
            reconciling: !self.sync.drained,
            last_contact: self.sync.last_contact,
            contact_due: self.sync.contact_due,
            confirmed: (self.sync.confirmed > 0).then_some(Cursor { epoch: self.epoch, revision: self.sync.confirmed }),
            journal_next: self.journal.next,
            skew_ms: self.sync.skew_ms,
            health: self.sync.health.clone(),
            pending_since: self.pending_since(),
            due_by: self.due_by(),
            late: self.sync.breached || self.due_by().is_some_and(|due| now > due),
            visitors_unresolved: self.visitors.iter().map(|visitor| u32::from(visitor.asked.is_some())).sum(),
            late_pick_ups: u32::try_from(self.late.len()).unwrap_or(u32::MAX),
            open_conflicts: self.open_conflicts(),
            advice: self.advice(now),
            unprepared: self.codes.as_deref().is_none_or(|codes| codes.sheet.shown.is_none()),
            conflicts: self.conflicts.open.to_vec(),
        }
    }

    pub fn inventory(&self) -> Inventory {
        let bins = self.bins.iter().enumerate().map(|(index, bin)| BinView {
            bin: bin.label,
            state: bin.state,
            fob: bin.fob,
            key: bin.fob.as_ref().and_then(|fob| self.key_on(fob)).map(|key| key.id),
            confirmed: bin.confirmed,
            expects_late_pick_up: self.late.iter().any(|late| usize::from(late.bin) == index),
            size: bin.size.unwrap_or_default(),
            revision: bin.revision,
        });
        let keys = self.keys.iter().map(|key| KeyView {
            key: key.id,
            name: key.name.clone(),
            fob: key.fob,
            roaming: key.roaming,
            groups: key.groups[..].into(),
            size: key.size.unwrap_or_default(),
            place: match key.place {
                Place::Bin(bin) => KeyPlace::Bin { bin: self.bins[usize::from(bin)].label, since: key.since },
                Place::Out(person) => KeyPlace::Person { person, since: key.since },
                Place::Unknown => KeyPlace::Unknown { since: key.since },
            },
            revision: key.revision,
        });
        let accesses =
            self.accesses.iter().map(|access| AccessView { record: access.record(), revision: access.revision() });
        Inventory {
            revision: self.revision,
            bins: bins.collect(),
            keys: keys.collect(),
            accesses: accesses.collect(),
            people: self.people.iter().map(|person| person.id).collect(),
        }
    }

    /// Keys that left of late, the last first.
    pub fn left_of_late(&self) -> Vec<Leaving> {
        let left = self.departed.iter().rev();
        left.filter_map(|left| Some(Leaving { key: left.key?, to: left.to, since: left.at? })).collect()
    }

    pub fn open_conflicts(&self) -> u32 {
        u32::try_from(self.conflicts.open.len()).unwrap_or(u32::MAX).saturating_add(self.conflicts.unlisted)
    }

    /// The list of open conflicts is bounded; what did not find room in it is known by its row alone.
    pub(super) fn is_open(&self, conflict: &Conflict) -> bool {
        let known = self.conflicts.open.contains(&conflict.number) || self.conflicts.unlisted > 0;
        known && conflict.resolved.is_none()
    }

    /// Bytes of this state, its heap memory with it.
    pub fn size_in_memory(&self) -> usize {
        fn vec<T>(items: &Vec<T>) -> usize {
            items.capacity() * size_of::<T>()
        }
        let texts = self.name.len() + self.location.len() + self.zone.len();
        let keys: usize = self.keys.iter().map(|key| key.name.len() + key.groups.heap_bytes()).sum();
        let badges: usize = self.people.iter().map(|person| size_of_val(&*person.badges)).sum();
        let accesses: usize = self.accesses.iter().chain(&self.withdrawn).map(Access::heap_bytes).sum();
        let items = vec(&self.bins) + vec(&self.keys) + vec(&self.accesses) + vec(&self.people);
        let rare = self.withdrawn.heap_bytes()
            + self.visitors.heap_bytes()
            + self.late.heap_bytes()
            + self.departed.heap_bytes()
            + self.removals.heap_bytes()
            + self.leaving.heap_bytes()
            + self.sync.missing.heap_bytes()
            + self.conflicts.open.heap_bytes()
            + self.online.as_ref().map_or(0, |online| size_of_val(&**online) + online.heap_bytes());
        let enrolment = self.enrolment.as_deref().map_or(0, size_of_val);
        let codes = self.codes.as_deref().map_or(0, Codes::size_in_memory);
        let contents = self.journal.contents.capacity() * size_of::<u32>();
        let alerts = self.alerts.as_deref().map_or(0, Alerts::heap_bytes)
            + self.extras.as_deref().map_or(0, Extras::size_in_memory)
            + self.watch.as_deref().map_or(0, Watch::heap_bytes);
        let own = size_of::<Self>() + texts + keys + badges + accesses + items;
        own + rare + enrolment + contents + codes + alerts
    }

    /// Whether an access of this scope may be granted here.
    pub fn knows(&self, scope: Scope) -> bool {
        match scope {
            Scope::Key(key) => self.key(key).is_some(),
            Scope::Group(_) | Scope::Box => true,
        }
    }
}

/// The line that an event adds to its box's history, if it adds one.
pub fn history_item(event: &Event, stamp: Stamp) -> Option<HistoryItem> {
    let blank = HistoryItem {
        revision: stamp.revision,
        at: stamp.at,
        heard: stamp.at,
        kind: HistoryKind::Corrected,
        seq: None,
        bin: None,
        fob: None,
        key: None,
        person: None,
        offline: false,
        outcome: Outcome::Applied,
        box_time: None,
        estimated: false,
        by: None,
        exchange: None,
    };
    Some(match event {
        Event::EntryJudged(judged) => told(judged, blank)?,
        Event::Online(event) => match &**event {
            OnlineEvent::ExchangeCompleted { judged, .. } => told(judged, blank)?,
            OnlineEvent::OrderCompleted { order, results, .. } => {
                results.iter().find(|result| result.outcome == Opening::Opened)?;
                let bin = if let Order::Open(bin) = order { Some(*bin) } else { None };
                HistoryItem { kind: HistoryKind::Opened, bin, ..blank }
            }
            _ => return None,
        },
        Event::BinCorrected { bin, fob, key } => HistoryItem { bin: Some(*bin), fob: *fob, key: *key, ..blank },
        Event::KeyArrived(arrival) => HistoryItem {
            at: arrival.at,
            kind: HistoryKind::MovedIn,
            bin: arrival.bin,
            fob: arrival.key.fob,
            key: Some(arrival.key.id),
            person: arrival.person,
            outcome: match arrival.flagged {
                true => Outcome::Flagged(Flag::MayNotBeDroppedHere),
                false => Outcome::Applied,
            },
            ..blank
        },
        Event::KeyDeparted(departure) => HistoryItem {
            at: departure.sighting.at,
            kind: HistoryKind::MovedOut,
            bin: departure.bin,
            fob: departure.key.fob,
            key: Some(departure.key.id),
            ..blank
        },
        Event::KeyFobSet { key, fob, bin, person, .. } => HistoryItem {
            kind: HistoryKind::FobSet,
            bin: *bin,
            fob: Some(*fob),
            key: Some(*key),
            person: *person,
            ..blank
        },
        Event::VisitorUnknown { fob, bin, person } => HistoryItem {
            kind: HistoryKind::UnknownFob,
            bin: Some(*bin),
            fob: Some(*fob),
            person: *person,
            outcome: Outcome::Flagged(Flag::UnknownFob),
            ..blank
        },
        _ => return None,
    })
}

/// What the journal, or the box at once, says that happened; `None` if it was known before.
fn told(judged: &Judged, blank: HistoryItem) -> Option<HistoryItem> {
    (!judged.exchange.is_some_and(|of| of.known)).then(|| HistoryItem {
        at: judged.at,
        kind: match judged.act {
            Some(Act::PickUp(_)) => HistoryKind::PickUp,
            Some(Act::DropOff(_)) => HistoryKind::DropOff,
            Some(Act::Opened) => HistoryKind::Opened,
            Some(Act::OpenedAll) => HistoryKind::OpenedAll,
            None => HistoryKind::Unreadable,
        },
        seq: (judged.seq > 0).then_some(judged.seq),
        bin: judged.bin,
        fob: judged.act.and_then(Act::fob),
        key: judged.key,
        person: judged.person,
        offline: judged.exchange.is_none(),
        outcome: judged.outcome,
        box_time: judged.box_time,
        estimated: judged.estimated,
        exchange: judged.exchange.map(|of| of.id),
        by: judged.by,
        ..blank
    })
}
