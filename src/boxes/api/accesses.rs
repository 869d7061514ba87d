//! Accesses: who may pick up what, from when until when.

use super::{ShownAccess, change_box, codes, groups::check_groups, look, named, refused, schema::Grant};
use crate::{
    boxes::{AccessRecord, AccessView, Command, MAX_REMINDER_MINUTES, Refusal, Reminder, Scope, SmartBox},
    http::{Ask, Bulk, BulkQuery, Cell, Changed, Code, Doc, List, Problem, Reply, body::objects},
    kernel::{AccessId, GroupId, KeyId, PersonId, RowSpace, UnixMillis},
    orgs::api::{Wrong, checked_zone},
    store::keys,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub(super) const BATCH_MAX: usize = 200;

/// A grant, in a request of its own, in a batch, or with a new box.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccess {
    person: PersonId,
    key: Option<KeyId>,
    /// With a new box: the row of `keys`.
    key_index: Option<usize>,
    group: Option<GroupId>,
    r#box: Option<bool>,
    /// RFC 3339, or a local time in `zone`, else in the box's zone.
    from: Option<String>,
    until: Option<String>,
    zone: Option<String>,
    /// When whoever took a key by it is reminded to bring it back; not both.
    remind_before_end_minutes: Option<u32>,
    remind_after_minutes: Option<u32>,
}

impl NewAccess {
    /// The record, if nothing is wrong. `keys`: those that are made in the same request.
    pub fn record(&self, id: AccessId, keys: &[KeyId], box_zone: &str, wrong: &mut Wrong, at: &str) -> AccessRecord {
        let by_index = self.key_index.map(|index| {
            let key = keys.get(index).copied();
            if key.is_none() {
                wrong.add(format!("{at}/key_index"), "names no row of `keys`");
            }
            Scope::Key(key.unwrap_or(KeyId(0)))
        });
        let named = [self.key.map(Scope::Key), by_index, self.group.map(Scope::Group), self.r#box.map(|_| Scope::Box)];
        let mut scopes = named.into_iter().flatten();
        let scope = match (scopes.next(), scopes.next(), self.r#box) {
            (Some(scope), None, None | Some(true)) => scope,
            (other, ..) => {
                wrong.add(at, "expected exactly one of `key`, `group`, `box: true`");
                other.unwrap_or(Scope::Box)
            }
        };
        if let Some(zone) = &self.zone {
            checked_zone(wrong, &format!("{at}/zone"), zone);
        }
        let zone = self.zone.as_deref().unwrap_or(box_zone);
        let mut time = |field: &str, text: &Option<String>| {
            let text = text.as_ref()?;
            let read = read_time(text, zone);
            if read.is_none() {
                wrong.add(format!("{at}/{field}"), "expected a time such as 2026-11-01T08:00:00Z or 2026-11-01T08:00");
            }
            read
        };
        let (from, until) = (time("from", &self.from), time("until", &self.until));
        if let (Some(from), Some(until)) = (from, until)
            && until <= from
        {
            wrong.add(format!("{at}/until"), "expected a time after `from`");
        }
        let reminder = self.reminder(until, wrong, at);
        AccessRecord { id, person: self.person, scope, from, until, reminder }
    }

    fn reminder(&self, until: Option<UnixMillis>, wrong: &mut Wrong, at: &str) -> Option<Reminder> {
        let (before, after) = (self.remind_before_end_minutes, self.remind_after_minutes);
        let in_bounds =
            |minutes: Option<u32>| minutes.is_none_or(|minutes| (1..=MAX_REMINDER_MINUTES).contains(&minutes));
        let bounds = "expected 1 to 525600";
        let pointer = format!("{at}/remind_before_end_minutes");
        wrong.unless(in_bounds(before), &pointer, bounds);
        wrong.unless(before.is_none() || until.is_some(), &pointer, "the access has no `until`");
        let pointer = format!("{at}/remind_after_minutes");
        wrong.unless(in_bounds(after), &pointer, bounds);
        wrong.unless(before.is_none() || after.is_none(), &pointer, "expected one of both reminders");
        before.map(Reminder::BeforeEnd).or(after.map(Reminder::AfterPickUp))
    }
}

/// A moment, or a local time in a zone.
fn read_time(text: &str, zone: &str) -> Option<UnixMillis> {
    let [b'0'..=b'9', _, _, _, b'-', _, _, b'-', _, _, b'T', _, _, b':', _, _, ..] = text.as_bytes() else {
        return None;
    };
    UnixMillis::from_rfc3339(text).or_else(|| {
        let local: jiff::civil::DateTime = text.parse().ok()?;
        let zone = jiff::tz::TimeZone::get(zone).ok()?;
        let at = local.to_zoned(zone).ok()?.timestamp().as_millisecond();
        u64::try_from(at).ok().map(UnixMillis)
    })
}

/// Whoever is named is somebody of this organisation. Asked once everything else is right.
pub(super) async fn check_people(
    ask: &Ask,
    named: impl IntoIterator<Item = (String, PersonId)>,
) -> Result<(), Problem> {
    let (org, named) = (ask.org(), named.into_iter().collect::<Vec<_>>());
    if named.is_empty() {
        return Ok(());
    }
    let unknown = ask.engine.with_db(move |db, _| {
        let mut unknown = Vec::new();
        for (pointer, person) in named {
            let row = keys::row(db.partition_of(org), RowSpace::People, org, &person.to_bytes());
            unknown.extend(db.get(&row)?.is_none().then_some(pointer));
        }
        Ok(unknown)
    });
    let mut wrong = Wrong::default();
    unknown.await?.into_iter().for_each(|pointer| wrong.add(pointer, "there is no such person"));
    wrong.check()
}

/// Grants only to people of this organisation, and groups of it.
pub(super) async fn check_named(ask: &Ask, accesses: &[NewAccess], at: &str) -> Result<(), Problem> {
    let at = |row: usize, field: &str| match at {
        "" => format!("/{field}"),
        at => format!("{at}/{row}/{field}"),
    };
    let rows = || accesses.iter().enumerate();
    check_people(ask, rows().map(|(row, access)| (at(row, "person"), access.person))).await?;
    check_groups(ask, rows().filter_map(|(row, access)| Some((at(row, "group"), access.group?)))).await
}

async fn granted(ask: &Ask, accesses: &[NewAccess], at: &str) -> Result<(Vec<AccessId>, u64), Problem> {
    let zone = look(ask, named(ask)?, |state| state.zone.clone()).await?;
    let mut wrong = Wrong::default();
    let mut records = Vec::with_capacity(accesses.len());
    for (row, access) in accesses.iter().enumerate() {
        let pointer = if at.is_empty() { String::new() } else { format!("{at}/{row}") };
        records.push(access.record(AccessId(ask.mint_id("access", row)), &[], &zone, &mut wrong, &pointer));
    }
    wrong.check()?;
    check_named(ask, accesses, at).await?;
    let ids = records.iter().map(|record| record.id).collect();
    let revision = change_box(ask, Command::Grant { accesses: records.into() }).await?;
    Ok((ids, revision))
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccessGranted)]
struct Granted {
    access: AccessId,
    revision: u64,
}

pub(crate) const GRANT: Doc = Doc::new("Let a person pick up a key, a group of keys, or all of a box")
    .takes::<Grant>()
    .created::<Granted>()
    .refuses(&[Code::LimitReached]);

pub(crate) async fn grant(ask: Ask) -> Result<Reply, Problem> {
    let access: NewAccess = ask.json()?;
    let (ids, revision) = granted(&ask, &[access], "").await?;
    let access = *ids.first().ok_or(Code::Internal)?;
    Reply::created(&Granted { access, revision })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessBatch)]
struct Batch {
    #[serde(deserialize_with = "objects")]
    #[schema(value_type = Vec<Grant>, min_items = 1, max_items = 200)]
    accesses: Vec<NewAccess>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccessesGranted)]
struct GrantedAll {
    accesses: Vec<AccessId>,
    revision: u64,
}

pub(crate) const BATCH: Doc =
    Doc::new("Grant many accesses at once").takes::<Batch>().created::<GrantedAll>().refuses(&[Code::LimitReached]);

pub(crate) async fn batch(ask: Ask) -> Result<Reply, Problem> {
    let Batch { accesses } = ask.json()?;
    if accesses.is_empty() || accesses.len() > BATCH_MAX {
        return Err(Problem::field("/accesses", "expected 1 to 200 accesses"));
    }
    let (accesses, revision) = granted(&ask, &accesses, "/accesses").await?;
    Reply::created(&GrantedAll { accesses, revision })
}

const ROWS: Bulk = Bulk {
    takes: &[
        ("person", Cell::Text),
        ("key", Cell::Text),
        ("group", Cell::Text),
        ("box", Cell::Flag),
        ("from", Cell::Text),
        ("until", Cell::Text),
        ("zone", Cell::Text),
        ("remind_before_end_minutes", Cell::Number),
        ("remind_after_minutes", Cell::Number),
        ("access", Cell::Own),
        ("revision", Cell::Own),
    ],
    gives: &["access", "revision"],
};

pub(crate) const BULK: Doc = Doc::new("Grant many accesses, each by itself")
    .details("A row is what granting one access takes; what the list of a box's accesses exports can be imported.")
    .query::<BulkQuery>()
    .rows(&ROWS);

pub(crate) async fn bulk(ask: Ask) -> Result<Reply, Problem> {
    look(&ask, named(&ask)?, |_| ()).await?;
    ask.bulk_or_try(&ROWS, grant).await
}

const COLUMNS: [&str; 10] = [
    "access",
    "person",
    "key",
    "group",
    "box",
    "from",
    "until",
    "remind_before_end_minutes",
    "remind_after_minutes",
    "revision",
];

/// Which accesses; every filter that is named must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[param(inline)]
    person: Option<PersonId>,
    /// That hold now, or that do not hold yet or any more
    valid: Option<bool>,
}

pub(crate) const LIST: Doc =
    Doc::new("List the accesses of a box").query::<Filter>().exports::<ShownAccess, AccessId>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let (page, filter) = ask.list_query::<Filter>()?;
    let now = ask.now();
    let accesses = look(&ask, named(&ask)?, |state| state.inventory().accesses).await?;
    let passing = accesses.into_iter().filter(|AccessView { record, .. }| {
        let holds = record.from.is_none_or(|from| from <= now) && record.until.is_none_or(|until| now < until);
        filter.person.is_none_or(|person| person == record.person) && filter.valid.is_none_or(|valid| valid == holds)
    });
    let items = passing.map(|view| (view.record.id.to_bytes().to_vec(), ShownAccess::from(view))).collect();
    ask.list::<AccessId, _>(List::of_items(&COLUMNS, items), &page).await
}

pub(crate) const SHOW: Doc = Doc::new("Show an access").shows::<ShownAccess>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let id: AccessId = ask.path("access")?;
    let find = move |state: &SmartBox| state.inventory().accesses.into_iter().find(|access| access.record.id == id);
    let access = look(&ask, named(&ask)?, find).await?.ok_or_else(|| refused(Refusal::AccessNotFound))?;
    Reply::object(access.revision, &ShownAccess::from(access))
}

pub(crate) const REVOKE: Doc = Doc::new("Withdraw an access").changed();

pub(crate) async fn revoke(ask: Ask) -> Result<Reply, Problem> {
    let access: AccessId = ask.path("access")?;
    let find = move |state: &SmartBox| {
        let mut accesses = state.inventory().accesses.into_iter();
        accesses.find(|known| known.record.id == access).map(|known| known.record.person)
    };
    let person = look(&ask, named(&ask)?, find).await?;
    let revision = change_box(&ask, Command::Revoke { access }).await?;
    if let Some(person) = person {
        // Of a box that has not heard of the booking yet nobody else would give the code back.
        codes::forget_booking(&ask, person, access).await?;
    }
    Reply::ok(&Changed { revision })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_are_the_boxs_own() {
        let at = |text| read_time(text, "Europe/Rome").map(UnixMillis::to_rfc3339);
        assert_eq!(at("2026-07-01T08:00").as_deref(), Some("2026-07-01T06:00:00.000Z"));
        assert_eq!(at("2026-12-01T08:00:30").as_deref(), Some("2026-12-01T07:00:30.000Z"));
        assert_eq!(at("2026-07-01T08:00:00Z").as_deref(), Some("2026-07-01T08:00:00.000Z"));
        for wrong in
            ["tomorrow", "2026-07-01", "2026-07-01T08", "2026-07-01 08:00", "2026-W27-3T08:00", "-002026-07-01T08:00"]
        {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
