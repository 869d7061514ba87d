//! The wire of SmartBoxes: the box protocol (`wire`), and their administration.

pub mod accesses;
pub mod alerts;
mod answer;
pub mod bins;
pub mod codes;
pub mod conflicts;
mod decode;
mod enrolment;
pub(crate) mod events;
pub mod groups;
pub mod history;
mod key_list;
pub mod keys;
mod list;
pub(crate) mod mails;
pub mod online;
pub mod passes;
pub(crate) mod person;
mod place;
mod schema;
mod setup;
pub mod sheets;
#[cfg(test)]
mod tests;
pub(crate) mod texts;
pub mod wire;

pub use decode::decode_sync;
pub(crate) use enrolment::{MAKE as MAKE_ENROLMENT, UNLINK, make as make_enrolment, unlink};
pub(crate) use key_list::{LIST as KEY_LIST, list as list_keys};
pub(crate) use list::{LIST, list};
pub(crate) use setup::{BULK, CREATE, bulk, create};

use crate::{
    boxes::{
        AccessView, BinState, BinView, Command, Cursor, Fob, Health, Inventory, KeyPlace, Label, Leaving, Link, Model,
        Overview, Plan, Refusal, Reminder, Scope, Size, SmartBox,
    },
    http::{Ask, Changed, Code, Doc, Problem, Reply, RowKey},
    kernel::{
        AccessId, Address, BoxId, Codec, GroupId, KeyId, PersonId, Stamp, UnixMillis,
        schema::{Text, TextOrEmpty, Time, Zone},
    },
    orgs::api::{Wrong, checked_zone, is_text, text},
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) const NAME_MAX: usize = 80;
pub(super) const LOCATION_MAX: usize = 160;
const WRONG_LOCATION: &str = "expected at most 160 characters in one line";
type Name = Text<NAME_MAX>;
type Location = TextOrEmpty<LOCATION_MAX>;

/// From refusals to problems, as administrators see them.
pub(super) fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => Problem::detailed(Code::NotFound, "no such box"),
        Refusal::BinNotFound => Problem::detailed(Code::NotFound, "the box has no such bin"),
        Refusal::KeyNotFound => Problem::detailed(Code::NotFound, "no such key is at home in this box"),
        Refusal::AccessNotFound => Problem::detailed(Code::NotFound, "the box has no such access"),
        Refusal::ConflictNotFound => Problem::detailed(Code::NotFound, "no such conflict is open"),
        Refusal::AlertNotFound => Problem::detailed(Code::NotFound, "no such alert is in force"),
        Refusal::TokenInvalid => Code::BoxTokenInvalid.into(),
        Refusal::Suspended => Code::BoxSuspended.into(),
        Refusal::EnrolmentCodeInvalid => Code::EnrolmentCodeInvalid.into(),
        Refusal::AlreadyExists => Code::AlreadyExists.into(),
        Refusal::CannotAccept => Code::CannotAccept.into(),
        Refusal::FobTaken => Code::FobTaken.into(),
        Refusal::BinOccupied => Code::BinOccupied.into(),
        Refusal::FobInOtherBin => Code::FobInOtherBin.into(),
        Refusal::LimitReached => Code::LimitReached.into(),
        Refusal::NotEnrolled => Code::BoxNotEnrolled.into(),
        Refusal::PassNotFound => Problem::detailed(Code::NotFound, "the box has signed no such pass"),
        Refusal::AccessOver => Code::AccessOver.into(),
        Refusal::PassUsed => Code::PassUsed.into(),
        Refusal::TooManyPasses => Code::TooManyCodes.into(),
        Refusal::CodeTaken => Code::TypedCodeTaken.into(),
        Refusal::ChangedMeanwhile => Code::BoxChangedMeanwhile.into(),
        Refusal::Online(refusal) => online::refused(refusal),
    }
}

/// The box that the path names.
pub(super) fn named(ask: &Ask) -> Result<Address, Problem> {
    Ok(ask.path::<BoxId>("box")?.at(ask.org()))
}

/// One command to the box that the path names.
pub(super) async fn change_box(ask: &Ask, command: Command) -> Result<u64, Problem> {
    ask.tell_once::<SmartBox>(named(ask)?, command, refused).await
}

/// Looks at a box that exists.
pub(super) async fn look<R: Send + 'static>(
    ask: &Ask,
    at: Address,
    read: impl FnOnce(&SmartBox) -> R + Send + 'static,
) -> Result<R, Problem> {
    let read = |state: &SmartBox, _: Stamp| state.exists().then(|| read(state));
    ask.engine.read(at, read).await?.ok_or_else(|| refused(Refusal::NotFound))
}

pub(super) fn stored<T: Codec>(bytes: &[u8]) -> Result<T, Problem> {
    T::decode_from(bytes).map_err(|error| Problem::detailed(Code::Internal, error))
}

pub(super) fn time(at: Option<UnixMillis>) -> Option<String> {
    at.map(UnixMillis::to_rfc3339)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BoxChange)]
struct Change {
    #[schema(value_type = Option<Name>)]
    name: Option<String>,
    #[schema(value_type = Option<Location>)]
    location: Option<String>,
    #[schema(value_type = Option<Zone>)]
    zone: Option<String>,
}

pub(crate) const CHANGE: Doc = Doc::new("Change a box").takes::<Change>().changed();

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let body: Change = ask.json()?;
    let mut wrong = Wrong::default();
    if let Some(name) = &body.name {
        text(&mut wrong, "/name", name, NAME_MAX);
    }
    if let Some(location) = &body.location {
        wrong.unless(location.is_empty() || is_text(location, LOCATION_MAX), "/location", WRONG_LOCATION);
    }
    if let Some(zone) = &body.zone {
        checked_zone(&mut wrong, "/zone", zone);
    }
    wrong.check()?;
    let command = Command::Describe {
        name: body.name.map(Into::into),
        location: body.location.map(Into::into),
        zone: body.zone.map(Into::into),
    };
    Reply::ok(&Changed { revision: change_box(&ask, command).await? })
}

/// What the key of a row names.
pub(super) fn key_of<K: RowKey>(key: &[u8]) -> Result<K, StoreError> {
    K::from_key(key).ok_or_else(|| StoreError::Corrupt { what: "list row", why: "its key".to_owned() })
}

#[derive(Serialize, ToSchema)]
#[schema(as = Box)]
struct ShownBox {
    r#box: BoxId,
    revision: u64,
    name: Box<str>,
    model: Model,
    plan: Plan,
    location: Box<str>,
    zone: Box<str>,
    enrolled: bool,
    generation: u32,
    suspended: bool,
    offline: bool,
    reconciling: bool,
    #[schema(value_type = Option<Time>)]
    last_contact: Option<String>,
    #[schema(value_type = Option<Time>)]
    contact_due: Option<String>,
    #[schema(value_type = Option<Cursor>)]
    cursor: Option<String>,
    journal_next: u64,
    clock_skew_ms: i64,
    health: ShownHealth,
    #[schema(value_type = Option<Time>)]
    pending_since: Option<String>,
    #[schema(value_type = Option<Time>)]
    due_by: Option<String>,
    late: bool,
    /// Fobs whose home is still being asked.
    visitors_unresolved: u32,
    late_pick_ups: u32,
    open_conflicts: u32,
    /// Nobody has its offline codes in hand: see `POST /api/v1/boxes/{box}/offline-codes`.
    unprepared: bool,
    /// It is used more than its plan is made for.
    advice: Option<ShownAdvice>,
    conflicts: Vec<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = BoxHealth)]
struct ShownHealth {
    #[schema(maximum = 100)]
    battery_percent: Option<u8>,
    mains: Option<bool>,
    link: Option<Link>,
    firmware: Option<Box<str>>,
}

impl From<Health> for ShownHealth {
    fn from(health: Health) -> Self {
        let Health { battery_percent, mains, link, firmware } = health;
        Self { battery_percent, mains, link, firmware }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = BoxAdvice)]
struct ShownAdvice {
    /// That would suit it.
    plan: Plan,
    /// When the working day began that had more than 50 exchanges.
    #[schema(value_type = Time)]
    day: String,
    /// When that was noticed.
    exchanges: u32,
}

pub(crate) const SHOW: Doc = Doc::new("Show a box with its health, cursor and lateness").shows::<ShownBox>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let (now, up_since) = (ask.now(), ask.engine.up_since());
    let Overview {
        id,
        revision,
        described,
        name,
        model,
        plan,
        location,
        zone,
        enrolled,
        generation,
        suspended,
        offline,
        reconciling,
        last_contact,
        contact_due,
        confirmed,
        journal_next,
        skew_ms,
        health,
        pending_since,
        due_by,
        late,
        visitors_unresolved,
        late_pick_ups,
        open_conflicts,
        unprepared,
        advice,
        conflicts,
    } = look(&ask, named(&ask)?, move |state| state.overview(now, up_since)).await?;
    Reply::object(
        described,
        &ShownBox {
            r#box: id,
            revision,
            name,
            model,
            plan,
            location,
            zone,
            enrolled,
            generation,
            suspended,
            offline,
            reconciling,
            last_contact: time(last_contact),
            contact_due: time(contact_due),
            cursor: confirmed.map(|cursor| cursor.to_string()),
            journal_next,
            clock_skew_ms: skew_ms,
            health: health.into(),
            pending_since: time(pending_since),
            due_by: time(due_by),
            late,
            visitors_unresolved,
            late_pick_ups,
            open_conflicts,
            unprepared,
            advice: advice.map(|advice| ShownAdvice {
                plan: Plan::BusinessPro,
                day: advice.day.to_rfc3339(),
                exchanges: advice.exchanges,
            }),
            conflicts,
        },
    )
}

#[derive(Serialize, ToSchema)]
#[schema(as = Inventory)]
struct ShownInventory {
    revision: u64,
    bins: Vec<ShownBin>,
    keys: Vec<ShownKey>,
    accesses: Vec<ShownAccess>,
    people: Vec<PersonId>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Bin)]
struct ShownBin {
    bin: Label,
    state: BinState,
    fob: Option<Fob>,
    key: Option<KeyId>,
    confirmed: bool,
    expects_late_pick_up: bool,
    size: Size,
    revision: u64,
}

impl From<BinView> for ShownBin {
    fn from(view: BinView) -> Self {
        let BinView { bin, state, fob, key, confirmed, expects_late_pick_up, size, revision } = view;
        Self { bin, state, fob, key, confirmed, expects_late_pick_up, size, revision }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = KeyInBox)]
struct ShownKey {
    key: KeyId,
    name: Box<str>,
    /// `null`: it will be learned.
    fob: Option<Fob>,
    roaming: bool,
    groups: Box<[GroupId]>,
    size: Size,
    place: ShownPlace,
    revision: u64,
}

/// Where a key is.
#[derive(Serialize, ToSchema)]
#[serde(tag = "in", rename_all = "snake_case")]
#[schema(as = KeyPlace)]
pub(super) enum ShownPlace {
    Bin {
        bin: Label,
        #[schema(value_type = Time)]
        since: String,
    },
    Person {
        person: Option<PersonId>,
        #[schema(value_type = Time)]
        since: String,
    },
    /// Its record is on its way to the box that holds it now.
    InTransit {
        from: BoxId,
        to: BoxId,
        #[schema(value_type = Time)]
        since: String,
    },
    Unknown {
        #[schema(value_type = Time)]
        since: String,
    },
}

impl ShownPlace {
    fn in_transit(from: BoxId, left: Leaving) -> Self {
        Self::InTransit { from, to: left.to, since: left.since.to_rfc3339() }
    }
}

impl From<KeyPlace> for ShownPlace {
    fn from(place: KeyPlace) -> Self {
        match place {
            KeyPlace::Bin { bin, since } => Self::Bin { bin, since: since.to_rfc3339() },
            KeyPlace::Person { person, since } => Self::Person { person, since: since.to_rfc3339() },
            KeyPlace::Unknown { since } => Self::Unknown { since: since.to_rfc3339() },
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Access)]
struct ShownAccess {
    access: AccessId,
    person: PersonId,
    #[serde(flatten)]
    scope: ShownScope,
    #[schema(value_type = Option<Time>)]
    from: Option<String>,
    #[schema(value_type = Option<Time>)]
    until: Option<String>,
    /// Whoever took a key by it is reminded so long before its end,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    remind_before_end_minutes: Option<u32>,
    /// or so long after the pick-up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    remind_after_minutes: Option<u32>,
    revision: u64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AccessScope)]
enum ShownScope {
    Key(KeyId),
    Group(GroupId),
    Box(bool),
}

impl From<AccessView> for ShownAccess {
    fn from(AccessView { record, revision }: AccessView) -> Self {
        let scope = match record.scope {
            Scope::Key(key) => ShownScope::Key(key),
            Scope::Group(group) => ShownScope::Group(group),
            Scope::Box => ShownScope::Box(true),
        };
        let (remind_before_end_minutes, remind_after_minutes) = match record.reminder {
            Some(Reminder::BeforeEnd(minutes)) => (Some(minutes), None),
            Some(Reminder::AfterPickUp(minutes)) => (None, Some(minutes)),
            None => (None, None),
        };
        Self {
            access: record.id,
            person: record.person,
            scope,
            from: time(record.from),
            until: time(record.until),
            remind_before_end_minutes,
            remind_after_minutes,
            revision,
        }
    }
}

pub(crate) const INVENTORY: Doc =
    Doc::new("Show what a box holds: bins, keys, accesses, people").shows::<ShownInventory>();

pub(crate) async fn inventory(ask: Ask) -> Result<Reply, Problem> {
    let Inventory { revision, bins, keys, accesses, people } = look(&ask, named(&ask)?, SmartBox::inventory).await?;
    let keys = keys.into_iter().map(|key| ShownKey {
        key: key.key,
        name: key.name,
        fob: key.fob,
        roaming: key.roaming,
        groups: key.groups,
        size: key.size,
        place: key.place.into(),
        revision: key.revision,
    });
    Reply::view(&ShownInventory {
        revision,
        bins: bins.into_iter().map(Into::into).collect(),
        keys: keys.collect(),
        accesses: accesses.into_iter().map(Into::into).collect(),
        people,
    })
}
