//! The list of boxes, and what it can be filtered by.

use super::{key_of, time};
use crate::{
    boxes::{BoxRow, Model, Plan},
    http::{Ask, Doc, List, Problem, Reply},
    kernel::{BoxId, RowSpace, schema::Time},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

#[derive(Serialize, ToSchema)]
#[schema(as = BoxListed)]
struct Listed {
    r#box: BoxId,
    name: Box<str>,
    model: Model,
    plan: Plan,
    location: Box<str>,
    zone: Box<str>,
    enrolled: bool,
    suspended: bool,
    offline: bool,
    #[schema(value_type = Option<Time>)]
    pending_since: Option<String>,
    late: bool,
    open_conflicts: u32,
}

const COLUMNS: [&str; 12] = [
    "box",
    "name",
    "model",
    "plan",
    "location",
    "zone",
    "enrolled",
    "suspended",
    "offline",
    "pending_since",
    "late",
    "open_conflicts",
];

/// Which boxes; every filter that is named must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// How the name begins; upper and lower case alike
    name: Option<String>,
    #[param(inline)]
    model: Option<Model>,
    #[param(inline)]
    plan: Option<Plan>,
    enrolled: Option<bool>,
    suspended: Option<bool>,
    offline: Option<bool>,
    /// Missing a change
    pending: Option<bool>,
    /// Missing it for longer than the plan guarantees
    late: Option<bool>,
    /// With open conflicts
    conflicts: Option<bool>,
}

fn is(wanted: Option<bool>, found: bool) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

/// Whether a name begins so, upper and lower case alike. `start` is in lower case.
pub(super) fn begins(name: &str, start: Option<&String>) -> bool {
    start.is_none_or(|start| name.to_lowercase().starts_with(start))
}

impl Filter {
    fn passes(&self, row: &Listed) -> bool {
        begins(&row.name, self.name.as_ref())
            && self.model.is_none_or(|model| model == row.model)
            && self.plan.is_none_or(|plan| plan == row.plan)
            && is(self.enrolled, row.enrolled)
            && is(self.suspended, row.suspended)
            && is(self.offline, row.offline)
            && is(self.pending, row.pending_since.is_some())
            && is(self.late, row.late)
            && is(self.conflicts, row.open_conflicts > 0)
    }
}

pub(crate) const LIST: Doc = Doc::new("List boxes").query::<Filter>().exports::<Listed, BoxId>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let (page, mut filter) = ask.list_query::<Filter>()?;
    filter.name = filter.name.map(|name| name.to_lowercase());
    let now = ask.now();
    let list = List::of_rows(&COLUMNS, (RowSpace::Boxes, ask.org(), Vec::new()), move |_, key, row: BoxRow| {
        let listed = Listed {
            r#box: key_of(key)?,
            late: row.pending_since.is_some_and(|since| since.plus(row.plan.guarantee()) < now),
            pending_since: time(row.pending_since),
            name: row.name,
            model: row.model,
            plan: row.plan,
            location: row.location,
            zone: row.zone,
            enrolled: row.enrolled,
            suspended: row.suspended,
            offline: row.offline,
            open_conflicts: row.open_conflicts,
        };
        Ok(filter.passes(&listed).then_some(listed))
    });
    ask.list::<BoxId, _>(list, &page).await
}
