//! The list of keys. Where a key is stands in its box alone: whoever filters by that names the box, or the fob.

use super::{ShownPlace, key_of, list::begins, look, stored};
use crate::{
    boxes::{Fob, Inventory, KeyPlace, KeyRow, Size, SmartBox, fob_claim},
    http::{Ask, Code, Doc, List, Problem, Reply},
    kernel::{BoxId, GroupId, KeyId, RowSpace},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

#[derive(Serialize, ToSchema)]
#[schema(as = KeyListed)]
struct Listed {
    key: KeyId,
    name: Box<str>,
    /// `null`: it will be learned.
    fob: Option<Fob>,
    roaming: bool,
    groups: Box<[GroupId]>,
    size: Size,
    /// Its home.
    r#box: BoxId,
    /// With `?box=` or `?fob=`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    place: Option<ShownPlace>,
}

const COLUMNS: [&str; 13] = [
    "key",
    "name",
    "fob",
    "roaming",
    "groups",
    "size",
    "box",
    "place.in",
    "place.bin",
    "place.person",
    "place.from",
    "place.to",
    "place.since",
];

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = KeyWhere)]
enum Where {
    Bin,
    Person,
    InTransit,
    Unknown,
}

impl Where {
    fn is(self, place: &KeyPlace) -> bool {
        match place {
            KeyPlace::Bin { .. } => self == Self::Bin,
            KeyPlace::Person { .. } => self == Self::Person,
            KeyPlace::Unknown { .. } => self == Self::Unknown,
        }
    }
}

/// Which keys; every filter that is named must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// At home in this box; then each key comes with its place
    #[param(inline)]
    r#box: Option<BoxId>,
    /// On this fob
    #[param(inline)]
    fob: Option<Fob>,
    /// How the name begins; upper and lower case alike
    name: Option<String>,
    #[param(inline)]
    group: Option<GroupId>,
    /// Where it is; needs `box` or `fob`
    #[param(inline)]
    r#where: Option<Where>,
}

impl Filter {
    fn passes(&self, name: &str, fob: Option<&Fob>, groups: &[GroupId]) -> bool {
        begins(name, self.name.as_ref())
            && self.fob.as_ref().is_none_or(|wanted| Some(wanted) == fob)
            && self.group.is_none_or(|group| groups.contains(&group))
    }
}

pub(crate) const LIST: Doc = Doc::new("List keys").query::<Filter>().exports::<Listed, KeyId>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let (page, mut filter) = ask.list_query::<Filter>()?;
    filter.name = filter.name.map(|name| name.to_lowercase());
    if filter.r#box.is_some() || filter.fob.is_some() {
        let items = of_one_box(&ask, &filter).await?;
        return ask.list::<KeyId, _>(List::of_items(&COLUMNS, items), &page).await;
    }
    if filter.r#where.is_some() {
        return Err(Problem::detailed(Code::Invalid, "`where` needs `box` or `fob`"));
    }
    let list = List::of_rows(&COLUMNS, (RowSpace::Keys, ask.org(), Vec::new()), move |_, key, row: KeyRow| {
        let KeyRow { home, name, fob, roaming, groups, size } = row;
        let size = size.unwrap_or_default();
        let key = key_of(key)?;
        let passes = filter.passes(&name, fob.as_ref(), &groups);
        Ok(passes.then_some(Listed { key, name, fob, roaming, groups, size, r#box: home, place: None }))
    });
    ask.list::<KeyId, _>(list, &page).await
}

/// A box that is not there has no keys.
async fn of_one_box(ask: &Ask, filter: &Filter) -> Result<Vec<(Vec<u8>, Listed)>, Problem> {
    let home = match &filter.fob {
        Some(fob) => {
            let (space, value) = fob_claim(fob);
            let holder = ask.engine.claim_holder(space, ask.org(), &value).await?;
            holder.map(|holder| BoxId(holder.entity.raw)).filter(|id| filter.r#box.is_none_or(|wanted| wanted == *id))
        }
        None => filter.r#box,
    };
    let Some(home) = home else { return Ok(Vec::new()) };
    let both = |state: &SmartBox| (state.inventory(), state.left_of_late());
    let (Inventory { keys, .. }, left) = match look(ask, home.at(ask.org()), both).await {
        Ok(both) => both,
        Err(problem) if problem.code() == Code::NotFound => return Ok(Vec::new()),
        Err(problem) => return Err(problem),
    };
    let here: BTreeSet<_> = keys.iter().map(|key| key.key).collect();
    let passing = keys.into_iter().filter(|key| {
        filter.passes(&key.name, key.fob.as_ref(), &key.groups)
            && filter.r#where.is_none_or(|wanted| wanted.is(&key.place))
    });
    let listed = passing.map(|key| Listed {
        key: key.key,
        name: key.name,
        fob: key.fob,
        roaming: key.roaming,
        groups: key.groups,
        size: key.size,
        r#box: home,
        place: Some(key.place.into()),
    });
    let mut listed: Vec<_> = listed.collect();
    for left in left {
        // It has come back.
        if here.contains(&left.key) {
            continue;
        }
        // Once it has arrived its row names another home.
        let Some(row) = ask.engine.row(RowSpace::Keys, ask.org(), left.key.to_bytes().to_vec()).await? else {
            continue;
        };
        let row: KeyRow = stored(&row)?;
        let wanted = filter.r#where.is_none_or(|wanted| wanted == Where::InTransit)
            && filter.passes(&row.name, row.fob.as_ref(), &row.groups);
        if row.home == home && wanted {
            listed.push(Listed {
                key: left.key,
                name: row.name,
                fob: row.fob,
                roaming: row.roaming,
                groups: row.groups,
                size: row.size.unwrap_or_default(),
                r#box: home,
                place: Some(ShownPlace::in_transit(home, left)),
            });
        }
    }
    Ok(listed.into_iter().map(|listed| (listed.key.to_bytes().to_vec(), listed)).collect())
}
