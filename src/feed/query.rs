//! What callers may ask of feed and audit alike: whose events, and which of them.

use super::item::Item;
use crate::{
    http::{Ask, Code, Problem, auth::Caller},
    kernel::{
        EntityId, EntityKind, FeedCursor, OrgId,
        schema::{pattern, shapes, words},
    },
    orgs::{Organisation, Scope},
    store::{FeedError, FeedQuery},
};
use utoipa::openapi::ObjectBuilder;

fn kinds() -> ObjectBuilder {
    words(&EntityKind::ALL.map(EntityKind::name))
}

fn entity() -> ObjectBuilder {
    let prefixes = EntityKind::ALL.map(EntityKind::prefix).join("|");
    pattern(&format!("^({prefixes})_[0-7][0-9a-hjkmnp-tv-z]{{25}}$")).examples(["box_0123456789abcdefghjkmnpqrs"])
}

shapes! {
    EntityName, "The id of an organisation, a person, a token, a box …", entity();
    KindName, "A kind of entity", kinds();
    TypePrefix, "An event's type, or how it begins: boxes.key, boxes.key.picked_up", pattern("^[a-z._]{1,64}$").examples(["boxes.key"]);
    EventType, "Dotted and stable, such as boxes.key.picked_up", pattern("^[a-z_]+([.][a-z_]+)+$").examples(["boxes.key.picked_up"]);
    WordOfOutcome, "What became of it", words(&["applied", "flagged", "refused"]);
    Doer, "The id of whoever did it, or `server`, or `anonymous`", pattern("^(server|anonymous|[a-z]+_[0-9a-z]{26})$").examples(["tok_0123456789abcdefghjkmnpqrs"]);
}

/// Which events are wanted.
#[derive(Debug, Clone)]
pub struct Filter {
    pub org: OrgId,
    pub entity: Option<EntityId>,
    pub kind: Option<EntityKind>,
    pub r#type: Option<String>,
}

impl Filter {
    /// Reads the parameters as they came.
    pub async fn read(
        ask: &Ask,
        organisation: Option<&str>,
        entity: Option<&str>,
        kind: Option<&str>,
        r#type: Option<String>,
    ) -> Result<Self, Problem> {
        let entity = entity.map(|entity| entity.parse().map_err(|_| wrong("`entity` is not the id of an entity")));
        let known = |kind: &str| EntityKind::ALL.into_iter().find(|known| known.name() == kind);
        let kind = kind.map(|kind| known(kind).ok_or_else(|| wrong("`kind` is not a kind of entity")));
        let dotted = |name: &str| {
            (1..=64).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte))
        };
        if r#type.as_deref().is_some_and(|name| !dotted(name)) {
            return Err(wrong("`type` is not the beginning of an event type, such as boxes.key"));
        }
        let filter = Self { org: ask.org(), entity: entity.transpose()?, kind: kind.transpose()?, r#type };
        Ok(Self { org: organisation_of(ask, organisation).await?, ..filter })
    }

    pub fn query(&self, limit: usize) -> FeedQuery {
        FeedQuery { org: self.org, entity: self.entity, kind: self.kind, limit }
    }

    pub fn wants(&self, item: &Item) -> bool {
        self.r#type.as_deref().is_none_or(|prefix| item.is_under(prefix))
    }
}

/// The operator may name an organisation; everybody else has one, and only that is there.
async fn organisation_of(ask: &Ask, named: Option<&str>) -> Result<OrgId, Problem> {
    let Some(named) = named else { return Ok(ask.org()) };
    let org: OrgId = named.parse().map_err(|_| Problem::from(Code::NotFound))?;
    let is_operator = matches!(ask.caller, Caller::Token { scopes, .. } if scopes.has(Scope::Operator));
    if org == ask.org() {
        return Ok(org);
    }
    if !is_operator || ask.engine.view::<Organisation>(org.at(org)).await?.is_none() {
        return Err(Code::NotFound.into());
    }
    Ok(org)
}

pub fn wrong(detail: &'static str) -> Problem {
    Problem::detailed(Code::Invalid, detail)
}

/// A cursor that a caller shows.
pub fn cursor(text: &str) -> Result<FeedCursor, Problem> {
    text.parse().map_err(|_| wrong("`after` is not a cursor of the feed"))
}

/// What a caller is told whose cursor leads nowhere: `end` is where to go on.
pub fn unreadable(error: FeedError, end: FeedCursor) -> Problem {
    match error {
        FeedError::Trimmed { .. } => Problem::from(Code::CursorTrimmed).snapshot(end.to_string()),
        FeedError::Unknown => wrong("`after` is not a cursor of this feed"),
        FeedError::Store(error) => error.into(),
    }
}

pub fn unrendered(why: String) -> Problem {
    tracing::error!(why, "a stored event cannot be shown");
    Code::Internal.into()
}
