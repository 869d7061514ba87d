//! `GET /api/v1/people/{person}/export`: all that is known of a person. That it was handed out is an event of theirs.

use crate::{
    boxes::{
        CredentialsPlain, SmartBox,
        api::{events as box_events, person as at_boxes},
    },
    http::{Ask, Code, Doc, Problem, Reply, limit_of},
    kernel::{BoxId, EntityKind, EventView, OrgId, PersonId, RowSpace, Stamp, VaultField, schema::Time},
    orgs::{
        Person, ProfilePlain, Role,
        api::{events as org_events, people},
        person::Command,
    },
    store::{Db, StoreError, StoredRecord},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Query {
    /// How many events at most, give or take the rest of a record; 50 if nothing is said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before: the log goes on there.
    after: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PersonExport)]
struct Export {
    person: PersonId,
    #[schema(value_type = Time)]
    exported_at: String,
    /// On the first page alone.
    known: Option<Known>,
    log: Log,
}

/// What holds now.
#[derive(Serialize, ToSchema)]
#[schema(as = PersonKnown)]
struct Known {
    revision: u64,
    role: Role,
    #[schema(value_type = Time)]
    created_at: String,
    profile: Profile,
    credentials: Credentials,
    boxes: Vec<at_boxes::AtBox>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PersonProfile)]
struct Profile {
    name: String,
    email: Option<String>,
    mobile: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PersonCredentials)]
struct Credentials {
    access_code: Option<String>,
    pin: Option<String>,
    badges: Vec<String>,
}

/// Events that name the person, oldest first in each entity.
#[derive(Serialize, ToSchema)]
#[schema(as = PersonLog)]
struct Log {
    items: Vec<Entry>,
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PersonLogEntry)]
struct Entry {
    entity: String,
    revision: u64,
    #[schema(value_type = Time)]
    at: String,
    r#type: &'static str,
    outcome: &'static str,
    #[schema(value_type = Object)]
    data: serde_json::Value,
}

/// Where the log goes on: whose records, from which revision. Written `person.12`, `organisation.0`, `box_….7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    whose: Whose,
    from: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Person,
    Organisation,
    Box(BoxId),
}

const START: Place = Place { whose: Whose::Person, from: 0 };

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whose {
            Whose::Person => write!(f, "person.{}", self.from),
            Whose::Organisation => write!(f, "organisation.{}", self.from),
            Whose::Box(id) => write!(f, "{id}.{}", self.from),
        }
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (whose, from) = text.split_once('.').ok_or(())?;
        let whose = match whose {
            "person" => Whose::Person,
            "organisation" => Whose::Organisation,
            id => Whose::Box(id.parse().map_err(|_| ())?),
        };
        Ok(Self { whose, from: from.parse().map_err(|_| ())? })
    }
}

/// Boxes looked at in one go of a reader.
const BOXES_PER_LOOK: usize = 32;
/// Records looked at in one go of a reader, and goes for one page: a long stretch without the person ends a page early.
const RECORDS_PER_LOOK: usize = 500;
const LOOKS_MAX: usize = 40;

pub(crate) const EXPORT: Doc = Doc::new("Hand out all that is known of a person")
    .details("That it was handed out is an event of the person. The log goes on by pages.")
    .query::<Query>()
    .answers::<Export>()
    .refuses(&[Code::NotFound, Code::Invalid]);

pub(crate) async fn export(ask: Ask) -> Result<Reply, Problem> {
    let person: PersonId = ask.path("person")?;
    let Query { limit, after } = ask.query()?;
    let limit = limit_of(limit)?;
    let wrong = |_| Problem::detailed(Code::Invalid, "`after` is not the `next` of a page");
    let after = after.map(|text| text.parse::<Place>().map_err(wrong)).transpose()?;
    let address = person.at(ask.org());
    let known = match after {
        None => Some(known(&ask, person).await?),
        Some(_) => {
            let known = ask.engine.read(address, |state: &Person, _| state.known().is_some()).await?;
            known.then_some(()).ok_or(Code::NotFound)?;
            None
        }
    };
    let log = log(&ask, person, after.unwrap_or(START), limit).await?;
    Reply::ok(&Export { person, exported_at: ask.now().to_rfc3339(), known, log })
}

async fn known(ask: &Ask, person: PersonId) -> Result<Known, Problem> {
    let address = person.at(ask.org());
    ask.tell::<Person>(address, Command::Export, people::refused).await?;
    let read = |state: &Person, stamp: Stamp| state.known().map(|known| (known.role, known.created, stamp.revision));
    let (role, created, revision) = ask.engine.read(address, read).await?.ok_or(Code::NotFound)?;
    let profile: ProfilePlain = people::open(ask, address, VaultField::Profile).await?;
    let credentials: CredentialsPlain = people::open(ask, address, VaultField::Credentials).await?;
    let mut boxes = Vec::new();
    let mut after = None;
    loop {
        let rows = ask.engine.rows(RowSpace::Boxes, ask.org(), Vec::new(), after, BOXES_PER_LOOK).await?;
        let ids = rows.iter().filter_map(|(key, _)| BoxId::from_bytes(key)).map(|id| id.at(ask.org())).collect();
        let look = move |_, state: SmartBox| at_boxes::at_box(&state, person);
        boxes.extend(ask.engine.peek(ids, look).await?.into_iter().flatten());
        if rows.len() < BOXES_PER_LOOK {
            break;
        }
        after = rows.into_iter().next_back().map(|(key, _)| key);
    }
    Ok(Known {
        revision,
        role,
        created_at: created.to_rfc3339(),
        profile: Profile { name: profile.name, email: profile.email, mobile: profile.mobile },
        credentials: Credentials { access_code: credentials.code, badges: credentials.badges, pin: credentials.pin },
        boxes,
    })
}

async fn log(ask: &Ask, person: PersonId, from: Place, limit: usize) -> Result<Log, Problem> {
    let (org, mut place, mut items) = (ask.org(), from, Vec::new());
    for _ in 0..LOOKS_MAX {
        let room = limit - items.len();
        let (found, next) = ask.engine.with_db(move |db, _| look(db, org, person, place, room)).await?;
        items.extend(found);
        let Some(next) = next else { return Ok(Log { items, next: None }) };
        place = next;
        if items.len() >= limit {
            break;
        }
    }
    Ok(Log { items, next: Some(place.to_string()) })
}

/// One bounded look at the records; a page ends with a record.
fn look(
    db: &Db,
    org: OrgId,
    person: PersonId,
    from: Place,
    room: usize,
) -> Result<(Vec<Entry>, Option<Place>), StoreError> {
    let (mut entries, mut looked_at, mut place) = (Vec::new(), 0, from);
    loop {
        let of = match place.whose {
            Whose::Person => person.at(org),
            Whose::Organisation => org.at(org),
            Whose::Box(id) => id.at(org),
        };
        let mut is_over = true;
        db.each_record_while(of, place.from, |record| {
            if entries.len() >= room || looked_at == RECORDS_PER_LOOK {
                is_over = false;
                return Ok(false);
            }
            looked_at += 1;
            place.from = record.first_revision + record.events.len() as u64;
            entries.extend(naming(&record, person)?);
            Ok(true)
        })?;
        if !is_over {
            return Ok((entries, Some(place)));
        }
        match behind(db, org, place.whose)? {
            Some(whose) => place = Place { whose, from: 0 },
            None => return Ok((entries, None)),
        }
    }
}

fn behind(db: &Db, org: OrgId, whose: Whose) -> Result<Option<Whose>, StoreError> {
    let after = match whose {
        Whose::Person => return Ok(Some(Whose::Organisation)),
        Whose::Organisation => None,
        Whose::Box(id) => Some(id.to_bytes()),
    };
    let rows = db.rows(RowSpace::Boxes, org, &[], after.as_ref().map(<[u8; 16]>::as_slice), 1)?;
    Ok(rows.first().and_then(|(key, _)| BoxId::from_bytes(key)).map(Whose::Box))
}

/// The events of a record that are about the person: their own, and others in whose bytes their id stands.
fn naming(record: &StoredRecord, person: PersonId) -> Result<Vec<Entry>, StoreError> {
    let (id, own) = (person.to_bytes(), record.of.entity == person.into());
    let names = |bytes: &Vec<u8>| own || bytes.windows(id.len()).any(|part| part == id);
    if !record.events.iter().any(names) {
        return Ok(Vec::new());
    }
    let views = views(record).map_err(|why| StoreError::Corrupt { what: "event", why })?;
    let entry = |(view, revision): (EventView, u64)| Entry {
        entity: record.of.entity.to_string(),
        revision,
        at: record.at.to_rfc3339(),
        r#type: view.name,
        outcome: view.outcome.name(),
        data: view.data,
    };
    let about = views.into_iter().zip(record.first_revision..).zip(&record.events).filter(|(_, bytes)| names(bytes));
    Ok(about.map(|(view, _)| entry(view)).collect())
}

fn views(record: &StoredRecord) -> Result<Vec<EventView>, String> {
    match record.of.entity.kind {
        EntityKind::Person => org_events::of_person(record),
        EntityKind::Organisation => org_events::of_organisation(record),
        EntityKind::SmartBox => box_events::views(record),
        _ => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_back() {
        for whose in [Whose::Person, Whose::Organisation, Whose::Box(BoxId(77))] {
            let place = Place { whose, from: 12 };
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for wrong in ["", "person", "person.x", "per_1.3", "box_zz.1", ".", "person.-1"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
