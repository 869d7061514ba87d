//! Classes of user groups, and member organisations.

use super::{
    ClassCode, MemberCode,
    shapes::{GroupCode, NAME_MAX, Name, is_group},
    tell,
};
use crate::{
    http::{Ask, Code, Doc, Problem, Reply, body::objects},
    iuv::stores::state::{Command, GROUPS_MAX, GroupClass, Member, NamedGroup},
    orgs::api::{Wrong, text},
};
use serde::Deserialize;
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserGroupClassContent)]
struct Class {
    #[serde(deserialize_with = "objects")]
    #[schema(max_items = 200)]
    groups: Vec<GroupGiven>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUserGroup)]
struct GroupGiven {
    /// As customers send it, to the letter; no comma.
    #[schema(value_type = GroupCode)]
    group: String,
    #[schema(value_type = Name)]
    name: String,
}

pub(crate) const DEFINE_CLASS: Doc = Doc::new("Define a class of user groups")
    .details("Its code is a parameter that customers may send from then on; its groups replace those before.")
    .takes::<Class>()
    .changed()
    .refuses(&[Code::StoreLimitReached]);

pub(crate) async fn define_class(ask: Ask) -> Result<Reply, Problem> {
    let class = ask.path::<ClassCode>("class")?.0;
    let body: Class = ask.json()?;
    let mut wrong = Wrong::default();
    wrong.unless(body.groups.len() <= GROUPS_MAX, "/groups", "expected at most 200 groups");
    for (at, given) in body.groups.iter().enumerate().take(GROUPS_MAX) {
        let right = is_group(&given.group);
        let expected = "expected 1 to 50 characters, no comma, no control characters, no blanks at the ends";
        wrong.unless(right, &format!("/groups/{at}/group"), expected);
        text(&mut wrong, &format!("/groups/{at}/name"), &given.name, NAME_MAX);
        let twice = body.groups[..at].iter().any(|before| before.group == given.group);
        wrong.unless(!twice, &format!("/groups/{at}/group"), "stands there twice");
    }
    wrong.check()?;
    let group = |given: GroupGiven| NamedGroup { code: given.group.into(), name: given.name.into() };
    let groups = body.groups.into_iter().map(group).collect();
    tell(&ask, Command::Define(GroupClass { code: class, groups })).await
}

pub(crate) const REMOVE_CLASS: Doc = Doc::new("Remove a class of user groups").changed();

pub(crate) async fn remove_class(ask: Ask) -> Result<Reply, Problem> {
    let class = ask.path::<ClassCode>("class")?.0;
    tell(&ask, Command::RemoveClass { code: class }).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MemberOrganisationContent)]
struct MemberGiven {
    #[schema(value_type = Name)]
    name: String,
}

pub(crate) const DEFINE_MEMBER: Doc = Doc::new("Define a member organisation")
    .details("As soon as a store has several, customers must send `member_org`.")
    .takes::<MemberGiven>()
    .changed()
    .refuses(&[Code::StoreLimitReached]);

pub(crate) async fn define_member(ask: Ask) -> Result<Reply, Problem> {
    let member = ask.path::<MemberCode>("member")?.0;
    let body: MemberGiven = ask.json()?;
    let mut wrong = Wrong::default();
    text(&mut wrong, "/name", &body.name, NAME_MAX);
    wrong.check()?;
    tell(&ask, Command::DefineMember(Member { code: member, name: body.name.into() })).await
}

pub(crate) const REMOVE_MEMBER: Doc = Doc::new("Remove a member organisation").changed();

pub(crate) async fn remove_member(ask: Ask) -> Result<Reply, Problem> {
    let member = ask.path::<MemberCode>("member")?.0;
    tell(&ask, Command::RemoveMember { code: member }).await
}
