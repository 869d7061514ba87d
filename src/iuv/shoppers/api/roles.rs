//! Administrative roles, and how they move to another account.

use super::{drawn, named, of_store, refused};
use crate::{
    http::{Ask, Changed, Code, Doc, Problem, Reply},
    iuv::{
        guid,
        shoppers::{
            state::{Command, FreshLink, Shopper},
            words::{StoreRole, transfer_mark},
        },
    },
    kernel::ShopperId,
};
use serde::Deserialize;
use std::str::FromStr;
use utoipa::ToSchema;

impl FromStr for StoreRole {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::StoreAdmin, Self::IuvAdmin].into_iter().find(|role| role.name() == text).ok_or(())
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GrantedRole)]
struct Grant {
    role: StoreRole,
}

pub(crate) const GRANT: Doc = Doc::new("Give a shopper an administrative role").takes::<Grant>().changed();

pub(crate) async fn grant(ask: Ask) -> Result<Reply, Problem> {
    let Grant { role } = ask.json()?;
    let (_, shopper, _) = named(&ask).await?;
    Reply::ok(&Changed { revision: ask.tell_once::<Shopper>(shopper, Command::Grant(role), refused).await? })
}

pub(crate) const REVOKE: Doc = Doc::new("Take an administrative role from a shopper").changed();

pub(crate) async fn revoke(ask: Ask) -> Result<Reply, Problem> {
    let role: StoreRole = ask.path("role")?;
    let (_, shopper, _) = named(&ask).await?;
    Reply::ok(&Changed { revision: ask.tell_once::<Shopper>(shopper, Command::Revoke(role), refused).await? })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RoleTransfer)]
struct AskTransfer {
    /// Another account of the same store.
    to: ShopperId,
    role: StoreRole,
}

pub(crate) const TRANSFER: Doc = Doc::new("Ask to move a role to another account")
    .details("The primary administrator, who is the owner of the organisation, gets a mail; the role moves when he confirms, within seven days.")
    .takes::<AskTransfer>()
    .begun()
    .refuses(&[Code::ShopperRoleMissing, Code::TransferPending]);

pub(crate) async fn transfer(ask: Ask) -> Result<Reply, Problem> {
    let AskTransfer { to, role } = ask.json()?;
    let (store, address, _) = named(&ask).await?;
    of_store(&ask, store, to).await?;
    let shopper = ShopperId(address.entity.raw);
    if to == shopper {
        return Err(Problem::detailed(Code::Invalid, "the role is there already"));
    }
    let (salt, token) = drawn(&ask, shopper);
    let mark = transfer_mark(ask.engine.keys(), shopper, token.as_str());
    let base = ask.iuv().base_url();
    let start = format!("{base}/admin/transfer?store={}&shopper={shopper}&key=", guid(store));
    let link = FreshLink { mark, salt, mail: Some(start.into()) };
    let revision = ask.tell_once::<Shopper>(address, Command::AskTransfer { to, role, link }, refused).await?;
    Reply::new(202, &Changed { revision })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TransferConfirmation)]
struct Confirm {
    /// `false`: the role stays.
    confirmed: bool,
}

pub(crate) const CONFIRM: Doc = Doc::new("Confirm or refuse that a role moves")
    .details("For whoever administers the organisation; the link in the mail does the same.")
    .takes::<Confirm>()
    .changed()
    .refuses(&[Code::ShopperRoleMissing]);

pub(crate) async fn confirm(ask: Ask) -> Result<Reply, Problem> {
    let Confirm { confirmed } = ask.json()?;
    let (_, shopper, _) = named(&ask).await?;
    let command = Command::EndTransfer { mark: None, confirmed };
    Reply::ok(&Changed { revision: ask.tell_once::<Shopper>(shopper, command, refused).await? })
}
