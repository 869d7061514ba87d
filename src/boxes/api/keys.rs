//! Keys: they live in the box that is their home.

use super::{ShownPlace, change_box, groups::check_groups, look, named, refused, stored};
use crate::{
    boxes::{Command, Fob, KeyRecord, KeyRow, KeyTexts, KeyView, Label, Refusal, Size},
    http::{Ask, Bulk, BulkQuery, Cell, Changed, Code, Doc, Problem, Reply},
    kernel::{
        BoxId, GroupId, KeyId, RowSpace,
        schema::{Text, TextOrEmpty},
    },
    orgs::api::{Wrong, is_text, text},
};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use utoipa::ToSchema;

const NAME_MAX: usize = 80;
const GROUPS_MAX: usize = 16;
const DESCRIPTION_MAX: usize = 60;
const NOTES_MAX: usize = 100;
const PICK_UP_NOTE_MAX: usize = 240;
type Name = Text<NAME_MAX>;
type Description = TextOrEmpty<DESCRIPTION_MAX>;
type Notes = TextOrEmpty<NOTES_MAX>;
type PickUpNote = TextOrEmpty<PICK_UP_NOTE_MAX>;

/// A new key, in a request of its own or with a new box.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    #[schema(value_type = Name)]
    name: String,
    /// Without one the key learns its fob at the first drop-off.
    pub fob: Option<Fob>,
    #[serde(default)]
    roaming: bool,
    #[serde(default)]
    #[schema(value_type = HashSet<GroupId>, max_items = 16)]
    groups: Vec<GroupId>,
    /// `medium` if nothing is said. It goes into bins of its size and of larger ones.
    size: Option<Size>,
    #[schema(value_type = Option<Description>)]
    description: Option<String>,
    #[schema(value_type = Option<Notes>)]
    notes: Option<String>,
    #[schema(value_type = Option<PickUpNote>)]
    pick_up_note: Option<String>,
    /// Where it is; else unknown.
    pub bin: Option<Label>,
}

impl NewKey {
    pub fn check(&self, wrong: &mut Wrong, at: &str) {
        text(wrong, &format!("{at}/name"), &self.name, NAME_MAX);
        check_list(wrong, &format!("{at}/groups"), &self.groups);
        let lies_nowhere = self.fob.is_some() || self.bin.is_none();
        wrong.unless(lies_nowhere, &format!("{at}/bin"), "a key without a fob lies in no bin");
        check_texts(wrong, at, [self.description.as_ref(), self.notes.as_ref(), self.pick_up_note.as_ref()]);
    }

    /// Each with where it stands.
    pub fn groups(&self, at: String) -> impl Iterator<Item = (String, GroupId)> + '_ {
        each(at, &self.groups)
    }

    pub fn command(self, id: KeyId) -> Command {
        let texts = [&self.description, &self.notes, &self.pick_up_note].into_iter().any(Option::is_some);
        let texts = texts.then(|| KeyTexts {
            description: self.description.unwrap_or_default().into(),
            notes: self.notes.unwrap_or_default().into(),
            pick_up_note: self.pick_up_note.unwrap_or_default().into(),
        });
        let size = self.size.and_then(Size::stated);
        let (name, groups) = (self.name.into(), self.groups.into());
        let key = KeyRecord { id, name, fob: self.fob, roaming: self.roaming, groups, size };
        Command::AddKey { key, bin: self.bin, texts }
    }
}

fn each(at: impl Display, groups: &[GroupId]) -> impl Iterator<Item = (String, GroupId)> {
    groups.iter().enumerate().map(move |(nth, group)| (format!("{at}/{nth}"), *group))
}

fn check_list(wrong: &mut Wrong, pointer: &str, groups: &[GroupId]) {
    wrong.unless(groups.len() <= GROUPS_MAX, pointer, "expected at most 16 groups");
    let twice = (1..groups.len().min(GROUPS_MAX)).any(|at| groups[..at].contains(&groups[at]));
    wrong.unless(!twice, pointer, "a group stands here twice");
}

fn check_texts(wrong: &mut Wrong, at: &str, texts: [Option<&String>; 3]) {
    let limits = [("description", DESCRIPTION_MAX), ("notes", NOTES_MAX), ("pick_up_note", PICK_UP_NOTE_MAX)];
    for ((name, max), value) in limits.into_iter().zip(texts) {
        if value.is_some_and(|value| !value.is_empty() && !is_text(value, max)) {
            wrong.add(format!("{at}/{name}"), format!("expected at most {max} characters, no control characters"));
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = KeyCreated)]
struct Created {
    key: KeyId,
    revision: u64,
}

pub(crate) const CREATE: Doc = Doc::new("Add a key to the box that is its home")
    .takes::<NewKey>()
    .created::<Created>()
    .refuses(&[Code::FobTaken, Code::BinOccupied, Code::FobInOtherBin, Code::LimitReached]);

pub(crate) async fn create(ask: Ask) -> Result<Reply, Problem> {
    let body: NewKey = ask.json()?;
    let mut wrong = Wrong::default();
    body.check(&mut wrong, "");
    wrong.check()?;
    check_groups(&ask, body.groups("/groups".to_owned())).await?;
    let key = KeyId(ask.mint_id("key", 0));
    let revision = change_box(&ask, body.command(key)).await?;
    Reply::created(&Created { key, revision })
}

const ROWS: Bulk = Bulk {
    takes: &[
        ("name", Cell::Text),
        ("fob", Cell::Text),
        ("roaming", Cell::Flag),
        ("groups", Cell::Words),
        ("size", Cell::Text),
        ("description", Cell::Text),
        ("notes", Cell::Text),
        ("pick_up_note", Cell::Text),
        ("bin", Cell::Text),
        ("place.bin", Cell::Of("bin")),
        ("key", Cell::Own),
        ("box", Cell::Own),
        ("place.in", Cell::Own),
        ("place.person", Cell::Own),
        ("place.from", Cell::Own),
        ("place.to", Cell::Own),
        ("place.since", Cell::Own),
    ],
    gives: &["key", "revision"],
};

pub(crate) const BULK: Doc = Doc::new("Add many keys")
    .details("A row is what adding one key takes; what the list of a box's keys exports can be imported.")
    .query::<BulkQuery>()
    .rows(&ROWS);

pub(crate) async fn bulk(ask: Ask) -> Result<Reply, Problem> {
    look(&ask, named(&ask)?, |_| ()).await?;
    ask.bulk_or_try(&ROWS, create).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyChange)]
struct Change {
    #[schema(value_type = Option<Name>)]
    name: Option<String>,
    roaming: Option<bool>,
    #[schema(value_type = Option<HashSet<GroupId>>, max_items = 16)]
    groups: Option<Vec<GroupId>>,
    size: Option<Size>,
    /// The fob that it hangs on from now on; the one before it is nobody's then.
    fob: Option<Fob>,
    #[schema(value_type = Option<Description>)]
    description: Option<String>,
    #[schema(value_type = Option<Notes>)]
    notes: Option<String>,
    #[schema(value_type = Option<PickUpNote>)]
    pick_up_note: Option<String>,
}

pub(crate) const CHANGE: Doc = Doc::new("Change a key").takes::<Change>().changed().refuses(&[Code::FobTaken]);

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let key: KeyId = ask.path("key")?;
    let body: Change = ask.json()?;
    let mut wrong = Wrong::default();
    if let Some(name) = &body.name {
        text(&mut wrong, "/name", name, NAME_MAX);
    }
    let groups = body.groups.as_deref().unwrap_or_default();
    check_list(&mut wrong, "/groups", groups);
    check_texts(&mut wrong, "", [body.description.as_ref(), body.notes.as_ref(), body.pick_up_note.as_ref()]);
    wrong.check()?;
    check_groups(&ask, each("/groups", groups)).await?;
    let texts = match (body.description, body.notes, body.pick_up_note) {
        (None, None, None) => None,
        (description, notes, pick_up_note) => {
            let old = texts_of(&ask, key).await?;
            Some(KeyTexts {
                description: description.map_or(old.description, Into::into),
                notes: notes.map_or(old.notes, Into::into),
                pick_up_note: pick_up_note.map_or(old.pick_up_note, Into::into),
            })
        }
    };
    let command = Command::ChangeKey {
        key,
        name: body.name.map(Into::into),
        roaming: body.roaming,
        groups: body.groups.map(Into::into),
        size: body.size,
        fob: body.fob,
        texts,
    };
    Reply::ok(&Changed { revision: change_box(&ask, command).await? })
}

pub(crate) const REMOVE: Doc = Doc::new("Remove a key").changed();

pub(crate) async fn remove(ask: Ask) -> Result<Reply, Problem> {
    let command = Command::RemoveKey { key: ask.path("key")? };
    Reply::ok(&Changed { revision: change_box(&ask, command).await? })
}

async fn texts_of(ask: &Ask, key: KeyId) -> Result<KeyTexts, Problem> {
    let row = ask.engine.row(RowSpace::KeyTexts, ask.org(), key.to_bytes().to_vec()).await?;
    row.map_or_else(|| Ok(KeyTexts::default()), |bytes| stored(&bytes))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
struct Shown {
    key: KeyId,
    name: Box<str>,
    /// `null`: it will be learned.
    fob: Option<Fob>,
    roaming: bool,
    groups: Box<[GroupId]>,
    size: Size,
    r#box: BoxId,
    place: ShownPlace,
    description: Box<str>,
    notes: Box<str>,
    pick_up_note: Box<str>,
    revision: u64,
}

impl Shown {
    fn of(key: KeyId, row: KeyRow, place: ShownPlace, texts: KeyTexts, revision: u64) -> Self {
        Self {
            key,
            name: row.name,
            fob: row.fob,
            roaming: row.roaming,
            groups: row.groups,
            size: row.size.unwrap_or_default(),
            r#box: row.home,
            place,
            description: texts.description,
            notes: texts.notes,
            pick_up_note: texts.pick_up_note,
            revision,
        }
    }
}

pub(crate) const SHOW: Doc = Doc::new("Show a key, its home and where it is").shows::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let key: KeyId = ask.path("key")?;
    let unknown = || refused(Refusal::KeyNotFound);
    let row = async || {
        let row = ask.engine.row(RowSpace::Keys, ask.org(), key.to_bytes().to_vec()).await?.ok_or_else(unknown)?;
        stored::<KeyRow>(&row)
    };
    let texts = texts_of(&ask, key).await?;
    let mut known = row().await?;
    let (home, found) = loop {
        let found = look(&ask, known.home.at(ask.org()), move |state| {
            let here = state.inventory().keys.into_iter().find(|known| known.key == key);
            here.ok_or_else(|| (state.revision(), state.left_of_late().into_iter().find(|left| left.key == key)))
        });
        match found.await? {
            Ok(found) => break (known.home, found),
            Err((revision, left)) => {
                // Arrived between the two looks?
                let now = row().await?;
                if now.home != known.home {
                    known = now;
                    continue;
                }
                let place = ShownPlace::in_transit(now.home, left.ok_or_else(unknown)?);
                return Reply::object(revision, &Shown::of(key, now, place, texts, revision));
            }
        }
    };
    let place = found.place.into();
    let KeyView { name, fob, roaming, groups, size, revision, .. } = found;
    let row = KeyRow { home, name, fob, roaming, groups, size: size.stated() };
    Reply::object(revision, &Shown::of(key, row, place, texts, revision))
}
