//! Groups of keys: names for the ids that keys carry and accesses are granted to.

use super::{key_of, list::begins, time};
use crate::{
    boxes::{GroupAccessRow, KeyRow, group_access_key},
    http::{Ask, Bulk, BulkQuery, Cell, Changed, Code, Doc, List, Problem, Reply, RowKey},
    kernel::{
        AccessId, BoxId, Codec, GroupId, OrgId, PersonId, RowSpace, Stamp,
        schema::{Text, Time, pattern},
    },
    orgs::{
        Group, GroupsCommand, Organisation,
        api::{Wrong, organisations::tell, text},
        organisation::Command,
    },
    store::{Db, StoreError},
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, str::FromStr};
use utoipa::{
    IntoParams, ToSchema,
    openapi::{RefOr, Schema},
};

const NAME_MAX: usize = 80;
type Name = Text<NAME_MAX>;
/// Rows that are looked at in one go.
const SCANNED: usize = 1_000;

#[derive(Serialize, ToSchema)]
#[schema(as = Group)]
struct Shown {
    group: GroupId,
    name: Box<str>,
    revision: u64,
}

impl From<&Group> for Shown {
    fn from(group: &Group) -> Self {
        Self { group: group.id, name: group.name.clone(), revision: group.revision }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewGroup)]
struct Named {
    #[schema(value_type = Name)]
    name: String,
}

impl Named {
    fn checked(self) -> Result<Box<str>, Problem> {
        let mut wrong = Wrong::default();
        text(&mut wrong, "/name", &self.name, NAME_MAX);
        wrong.check()?;
        Ok(self.name.into())
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = GroupCreated)]
struct Created {
    group: GroupId,
    revision: u64,
}

pub(crate) const CREATE: Doc = Doc::new("Make a group of keys")
    .details("An organisation may have 1,000. Keys are put into it with their own `groups`.")
    .takes::<Named>()
    .created::<Created>()
    .refuses(&[Code::GroupNameTaken, Code::TooManyGroups, Code::AlreadyExists]);

pub(crate) async fn create(ask: Ask) -> Result<Reply, Problem> {
    let body: Named = ask.json()?;
    let name = body.checked()?;
    let id = GroupId(ask.mint_id("group", 0));
    let revision = tell(&ask, ask.org(), Command::Groups(GroupsCommand::Make { id, name })).await?;
    Reply::created(&Created { group: id, revision })
}

const ROWS: Bulk = Bulk {
    takes: &[("name", Cell::Text), ("group", Cell::Own), ("revision", Cell::Own)],
    gives: &["group", "revision"],
};

pub(crate) const BULK: Doc = Doc::new("Make many groups, each by itself")
    .details("A row is what making one group takes; what the list of groups exports can be imported elsewhere.")
    .query::<BulkQuery>()
    .rows(&ROWS);

pub(crate) async fn bulk(ask: Ask) -> Result<Reply, Problem> {
    ask.bulk_or_try(&ROWS, create).await
}

const COLUMNS: [&str; 3] = ["group", "name", "revision"];

/// Which groups
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// How the name begins; upper and lower case alike
    name: Option<String>,
}

async fn look<T: Send + 'static>(
    ask: &Ask,
    read: impl FnOnce(&Organisation) -> T + Send + 'static,
) -> Result<T, Problem> {
    let org = ask.org();
    Ok(ask.engine.read(org.at(org), move |state: &Organisation, _: Stamp| read(state)).await?)
}

pub(crate) const LIST: Doc = Doc::new("List groups of keys").query::<Filter>().exports::<Shown, GroupId>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let (page, filter) = ask.list_query::<Filter>()?;
    let start = filter.name.map(|name| name.to_lowercase());
    let items = look(&ask, move |state| {
        let passing = state.groups().iter().filter(|group| begins(&group.name, start.as_ref()));
        passing.map(|group| (group.id.to_bytes().to_vec(), Shown::from(group))).collect()
    });
    let items = items.await?;
    ask.list::<GroupId, _>(List::of_items(&COLUMNS, items), &page).await
}

/// Asked once everything else is right: a list has its limits then. Keys are put into, and accesses granted to, groups that there are. One that is deleted at this very moment may still
/// be named: that is an access to nothing.
pub(super) async fn check_groups(ask: &Ask, named: impl IntoIterator<Item = (String, GroupId)>) -> Result<(), Problem> {
    let named: Vec<_> = named.into_iter().collect();
    if named.is_empty() {
        return Ok(());
    }
    let unknown = look(ask, move |state| {
        let unknown = named.into_iter().filter(|(_, group)| state.group(*group).is_none());
        unknown.map(|(pointer, _)| pointer).collect::<Vec<_>>()
    });
    let mut wrong = Wrong::default();
    unknown.await?.into_iter().for_each(|pointer| wrong.add(pointer, "there is no such group"));
    wrong.check()
}

fn unknown() -> Problem {
    Problem::detailed(Code::NotFound, "no such group")
}

pub(crate) const SHOW: Doc = Doc::new("Show a group of keys").shows::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let id: GroupId = ask.path("group")?;
    let shown = look(&ask, move |state| state.group(id).map(Shown::from)).await?.ok_or_else(unknown)?;
    Reply::object(shown.revision, &shown)
}

pub(crate) const CHANGE: Doc =
    Doc::new("Give a group of keys another name").takes::<Named>().changed().refuses(&[Code::GroupNameTaken]);

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let id: GroupId = ask.path("group")?;
    let body: Named = ask.json()?;
    let name = body.checked()?;
    let command = Command::Groups(GroupsCommand::Rename { id, name });
    Reply::ok(&Changed { revision: tell(&ask, ask.org(), command).await? })
}

pub(crate) const DELETE: Doc = Doc::new("Delete a group of keys")
    .details("Only one that no key is in and no access is to.")
    .changed()
    .refuses(&[Code::GroupInUse]);

pub(crate) async fn delete(ask: Ask) -> Result<Reply, Problem> {
    let id: GroupId = ask.path("group")?;
    let org = ask.org();
    if let Some(revision) = ask.done_before(org).await? {
        return Reply::ok(&Changed { revision });
    }
    look(&ask, move |state| state.group(id).map(|_| ())).await?.ok_or_else(unknown)?;
    // A key that is put into it at this very moment keeps its id: it names nothing then.
    let (keys, accesses) =
        ask.engine.with_db(move |db, _| Ok((keys_in(db, org, id)?, accesses_to(db, org, id)?))).await?;
    if keys + accesses > 0 {
        let detail = format!("{keys} keys are in the group, {accesses} accesses are to it");
        return Err(Problem::detailed(Code::GroupInUse, detail));
    }
    let revision = tell(&ask, org, Command::Groups(GroupsCommand::Delete { id })).await?;
    Reply::ok(&Changed { revision })
}

fn count(
    db: &Db,
    (space, org, prefix): (RowSpace, OrgId, &[u8]),
    counts: impl Fn(&[u8]) -> Result<bool, StoreError>,
) -> Result<usize, StoreError> {
    let (mut found, mut after) = (0, None::<Vec<u8>>);
    loop {
        let rows = db.rows(space, org, prefix, after.as_deref(), SCANNED)?;
        for (_, bytes) in &rows {
            found += usize::from(counts(bytes)?);
        }
        if rows.len() < SCANNED {
            return Ok(found);
        }
        after = rows.into_iter().next_back().map(|(key, _)| key);
    }
}

fn keys_in(db: &Db, org: OrgId, group: GroupId) -> Result<usize, StoreError> {
    count(db, (RowSpace::Keys, org, &[]), |bytes| {
        let row = KeyRow::decode_from(bytes).map_err(|why| StoreError::Corrupt { what: "key's row", why })?;
        Ok(row.groups.contains(&group))
    })
}

fn accesses_to(db: &Db, org: OrgId, group: GroupId) -> Result<usize, StoreError> {
    count(db, (RowSpace::GroupAccesses, org, &group.to_bytes()), |_| Ok(true))
}

#[derive(Serialize, ToSchema)]
#[schema(as = GroupAccess)]
struct Access {
    r#box: BoxId,
    access: AccessId,
    person: PersonId,
    #[schema(value_type = Option<Time>)]
    from: Option<String>,
    #[schema(value_type = Option<Time>)]
    until: Option<String>,
}

const ACCESS_COLUMNS: [&str; 5] = ["box", "access", "person", "from", "until"];

/// Which accesses; every filter that is named must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct AccessFilter {
    #[param(inline)]
    r#box: Option<BoxId>,
    #[param(inline)]
    person: Option<PersonId>,
}

pub(crate) const ACCESSES: Doc = Doc::new("List the accesses to a group of keys, of all boxes")
    .query::<AccessFilter>()
    .exports::<Access, AccessPlace>();

pub(crate) async fn accesses(ask: Ask) -> Result<Reply, Problem> {
    let group: GroupId = ask.path("group")?;
    let (page, filter) = ask.list_query::<AccessFilter>()?;
    look(&ask, move |state| state.group(group).map(|_| ())).await?.ok_or_else(unknown)?;
    let rows = (RowSpace::GroupAccesses, ask.org(), group.to_bytes().to_vec());
    let list = List::of_rows_under(&ACCESS_COLUMNS, rows, move |_, key, row: GroupAccessRow| {
        let AccessPlace(smart_box, access) = key_of(key)?;
        let passes = filter.r#box.is_none_or(|wanted| wanted == smart_box)
            && filter.person.is_none_or(|wanted| wanted == row.person);
        let GroupAccessRow { person, from, until } = row;
        Ok(passes.then(|| Access { r#box: smart_box, access, person, from: time(from), until: time(until) }))
    });
    ask.list::<AccessPlace, _>(list, &page).await
}

/// Where a page of a group's accesses ended.
#[derive(Debug, Clone, Copy)]
struct AccessPlace(BoxId, AccessId);

impl utoipa::PartialSchema for AccessPlace {
    fn schema() -> RefOr<Schema> {
        pattern(r"^box_[0-7][0-9a-hjkmnp-tv-z]{25}\.acc_[0-7][0-9a-hjkmnp-tv-z]{25}$")
            .examples(["box_0123456789abcdefghjkmnpqrs.acc_0123456789abcdefghjkmnpqrs"])
            .into()
    }
}

impl ToSchema for AccessPlace {
    fn name() -> Cow<'static, str> {
        "GroupAccessPlace".into()
    }
}

impl FromStr for AccessPlace {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (id, access) = text.split_once('.').ok_or(())?;
        Ok(Self(id.parse().map_err(|_| ())?, access.parse().map_err(|_| ())?))
    }
}

impl fmt::Display for AccessPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl RowKey for AccessPlace {
    fn to_key(&self) -> Vec<u8> {
        group_access_key(GroupId(0), self.0, self.1)[16..].to_vec()
    }

    fn from_key(key: &[u8]) -> Option<Self> {
        let (id, access) = key.split_at_checked(16)?;
        Some(Self(BoxId::from_bytes(id)?, AccessId::from_bytes(access)?))
    }
}
