//! The users of an installation, as its organisation administers them.

use super::{Name, TRIES, check_password, hashed, named, refused, users_of};
use crate::{
    http::{Ask, Changed, Code, Doc, Problem, Reply},
    kernel::{Address, Codec, Stamp, schema::words as one_of},
    orgs::api::{Wrong, text},
    passwords::PasswordHash,
    recovery::{Command, Installation, Role, Sealed, UserPlain, UsersPlain, words::mark_of_name},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

crate::kernel::schema::shapes! {
    OtherRole, "Any role but `administrator1`: there is one, named when the installation is made",
        one_of(&["administrator", "user"]);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewInstallationUser)]
struct Add {
    #[schema(value_type = Name)]
    name: String,
    #[schema(value_type = crate::kernel::schema::Password)]
    password: String,
    #[schema(value_type = OtherRole)]
    role: Role,
}

#[derive(Serialize, ToSchema)]
#[schema(as = InstallationUserAdded)]
struct Added {
    user: u16,
    revision: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InstallationUserChange)]
struct Change {
    #[schema(value_type = Option<Name>)]
    name: Option<String>,
    #[schema(value_type = Option<crate::kernel::schema::Password>)]
    password: Option<String>,
    /// `true`: errors are forgotten, and the user may log in again.
    #[serde(default)]
    unblock: bool,
}

const REFUSES: &[Code] = &[Code::UserNameTaken, Code::InstallationChangedMeanwhile];

/// The users as they are, and the revision that they were sealed with.
async fn read(ask: &Ask, address: Address) -> Result<(UsersPlain, u64, u16), Problem> {
    let read = |state: &Installation, _: Stamp| state.known().map(|known| (known.users_at, known.next_user));
    let (at, next) = ask.engine.read(address, read).await?.ok_or(Code::NotFound)?;
    Ok((users_of(ask, address).await?, at, next))
}

fn seal(users: &UsersPlain, instead_of: u64) -> Sealed {
    Sealed { instead_of, plain: Zeroizing::new(users.to_bytes()) }
}

/// One change of the sealed users, again if another came first.
async fn change_sealed(
    ask: &Ask,
    address: Address,
    make: impl Fn(UsersPlain, u64, u16) -> Result<Command, Problem>,
) -> Result<(u64, u16), Problem> {
    let mut told = Err(Code::InstallationChangedMeanwhile.into());
    for _ in 0..TRIES {
        let (users, at, next) = read(ask, address).await?;
        told = ask.tell_once::<Installation>(address, make(users, at, next)?, refused).await.map(|at| (at, next));
        if !told.as_ref().is_err_and(|problem| problem.code() == Code::InstallationChangedMeanwhile) {
            break;
        }
    }
    told
}

pub(crate) const ADD: Doc = Doc::new("Add a user to an installation").takes::<Add>().created::<Added>().refuses(&[
    Code::UserNameTaken,
    Code::InstallationChangedMeanwhile,
    Code::TooManyUsers,
    Code::IsAdministrator1,
]);

pub(crate) async fn add(ask: Ask) -> Result<Reply, Problem> {
    let address = named(&ask)?;
    let body: Add = ask.json()?;
    let mut wrong = Wrong::default();
    text(&mut wrong, "/name", &body.name, super::NAME_MAX);
    check_password(&ask, &mut wrong, "/password", &body.password, &body.name);
    wrong.unless(body.role != Role::Administrator1, "/role", "expected administrator or user");
    wrong.check()?;
    let password = hashed(&ask, &body.password).await?;
    let name = mark_of_name(ask.engine.keys(), address, &body.name);
    let (revision, user) = change_sealed(&ask, address, |mut users, at, next| {
        users.users.push(UserPlain { number: next, name: body.name.clone(), password: password.clone() });
        Ok(Command::AddUser { role: body.role, name, users: seal(&users, at) })
    })
    .await?;
    Reply::created(&Added { user, revision })
}

pub(crate) const CHANGE: Doc =
    Doc::new("Change a user of an installation").takes::<Change>().changed().refuses(REFUSES);

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let (address, user) = (named(&ask)?, ask.path::<u16>("user")?);
    let body: Change = ask.json()?;
    let mut wrong = Wrong::default();
    if let Some(name) = &body.name {
        text(&mut wrong, "/name", name, super::NAME_MAX);
    }
    if let Some(password) = &body.password {
        let known = users_of(&ask, address).await?;
        let name = body.name.as_deref().or_else(|| known.of(user).map(|user| user.name.as_str()));
        check_password(&ask, &mut wrong, "/password", password, name.unwrap_or_default());
    }
    wrong.check()?;
    let password: Option<PasswordHash> = match &body.password {
        Some(password) => Some(hashed(&ask, password).await?),
        None => None,
    };
    let name = body.name.as_deref().map(|name| mark_of_name(ask.engine.keys(), address, name));
    let (revision, _) = change_sealed(&ask, address, |mut users, at, _| {
        let plain = users.users.iter_mut().find(|plain| plain.number == user).ok_or(Code::NotFound)?;
        plain.name = body.name.clone().unwrap_or_else(|| plain.name.clone());
        plain.password = password.clone().unwrap_or_else(|| plain.password.clone());
        let users = (name.is_some() || password.is_some()).then(|| seal(&users, at));
        Ok(Command::ChangeUser { user, name, password: password.is_some(), unblock: body.unblock, users })
    })
    .await?;
    Reply::ok(&Changed { revision })
}

pub(crate) const REMOVE: Doc = Doc::new("Remove a user of an installation")
    .changed()
    .refuses(&[Code::InstallationChangedMeanwhile, Code::IsAdministrator1]);

pub(crate) async fn remove(ask: Ask) -> Result<Reply, Problem> {
    let (address, user) = (named(&ask)?, ask.path::<u16>("user")?);
    let (revision, _) = change_sealed(&ask, address, |mut users, at, _| {
        users.users.retain(|plain| plain.number != user);
        Ok(Command::RemoveUser { user, users: seal(&users, at) })
    })
    .await?;
    Reply::ok(&Changed { revision })
}
