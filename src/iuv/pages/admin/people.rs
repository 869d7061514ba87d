//! Who administers a store. A store's administrator makes and unmakes IUV administrators; his own role only moves, and
//! the primary administrator confirms it.

use super::{
    desk::{Desk, Done, Said},
    frames::{AccountSeen, RolesPage},
};
use crate::{
    http::Problem,
    iuv::{
        normal,
        pages::account::{attributes_of, known},
        shopper_of,
        shoppers::{Known, ShopperRow, StoreRole, api},
    },
    kernel::{Address, Codec, OrgId, RowSpace, ShopperId, StoreId},
    store::{Db, StoreError},
};
use askama::Template;
use serde_json::json;

const PIECE: usize = 1_000;
/// Administrators that are shown.
const SHOWN_MAX: usize = 50;

/// The accounts of a store that have a role.
fn with_roles(db: &Db, org: OrgId, store: StoreId) -> Result<Vec<ShopperId>, StoreError> {
    let prefix = StoreId::to_bytes(store);
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let rows = db.rows(RowSpace::Shoppers, org, &prefix, after.as_deref(), PIECE)?;
        for (key, bytes) in &rows {
            let corrupt = |why: String| StoreError::Corrupt { what: "shopper's row", why };
            let has_role = !ShopperRow::decode_from(bytes).map_err(corrupt)?.roles.is_empty();
            found.extend(key.get(prefix.len()..).and_then(ShopperId::from_bytes).filter(|_| has_role));
        }
        match rows.last().filter(|_| rows.len() == PIECE && found.len() < SHOWN_MAX) {
            Some((key, _)) => after = Some(key.clone()),
            None => return Ok(found),
        }
    }
}

impl Desk<'_> {
    /// An account of this store.
    async fn account_named(&self, user_name: &str) -> Result<Option<(Address, Known)>, Problem> {
        let (ask, org) = (self.scene.browser.ask, self.scene.view.address.org);
        let shopper = shopper_of(ask.engine.keys(), org, self.scene.store(), &normal(user_name.trim())).at(org);
        Ok(known(ask, shopper).await?.map(|known| (shopper, known)))
    }

    async fn seen(&self, shopper: Address, known: &Known) -> Result<AccountSeen, Problem> {
        let ask = self.scene.browser.ask;
        let name = async |of: Address| -> Result<String, Problem> {
            Ok(attributes_of(ask, of).await?.map(|known| known.user_name.clone()).unwrap_or_default())
        };
        let pending = match known.transfer_at(ask.now()) {
            Some(transfer) => Some((self.w.role(transfer.role), name(transfer.to.at(shopper.org)).await?)),
            None => None,
        };
        Ok(AccountSeen {
            user_name: name(shopper).await?,
            roles: known.roles.iter().map(|role| (role.name(), self.w.role(*role))).collect(),
            pending,
            own: shopper == self.shopper(),
            can_become_iuv_admin: known.roles.is_empty(),
        })
    }

    pub async fn roles(&self, said: Said, url: Option<String>) -> Done {
        let (ask, org, store) = (self.scene.browser.ask, self.scene.view.address.org, self.scene.store());
        let username = self.scene.browser.fields.username.trim();
        let mut found = ask.engine.with_db(move |db, _| with_roles(db, org, store)).await?;
        let mut said = said;
        if !username.is_empty() {
            match self.account_named(username).await? {
                Some((shopper, _)) => {
                    let wanted = ShopperId(shopper.entity.raw);
                    found.retain(|known| *known != wanted);
                    found.insert(0, wanted);
                }
                None if said.text.is_none() => said = Said::of(404, self.w.nobody_so),
                None => {}
            }
        }
        let mut accounts = Vec::with_capacity(found.len());
        for shopper in found {
            if let Some(known) = known(ask, shopper.at(org)).await? {
                accounts.push(self.seen(shopper.at(org), &known).await?);
            }
        }
        let (frame, desk) = self.frames("admin-roles", self.w.roles, &said).await?;
        let page = RolesPage { f: &frame, d: &desk, accounts, username, url };
        self.render(said.status, page.render())
    }

    pub async fn change_roles(&self) -> Done {
        let Some((shopper, known)) = self.account_named(&self.scene.browser.fields.username).await? else {
            return self.roles(Said::of(404, self.w.nobody_so), None).await;
        };
        let names = || vec![("shopper", ShopperId(shopper.entity.raw).to_string())];
        let told = match self.typed("action") {
            "grant" => {
                let body = json!({"role": StoreRole::IuvAdmin.name()});
                self.ask(names(), &body, api::grant).await?.map(|_| (self.w.saved, None))
            }
            "revoke" if shopper == self.shopper() => Err(Said::of(409, self.w.own_role)),
            "revoke" => {
                let names = names().into_iter().chain([("role", self.typed("role").to_owned())]).collect();
                self.ask(names, &json!(null), api::revoke).await?.map(|_| (self.w.saved, None))
            }
            "transfer" => match self.account_named(self.typed("to")).await? {
                Some((to, _)) if to != shopper => {
                    let body = json!({"to": ShopperId(to.entity.raw), "role": self.typed("role")});
                    self.ask(names(), &body, api::transfer).await?.map(|_| (self.w.transfer_sent, None))
                }
                _ => Err(Said::of(404, self.w.nobody_so)),
            },
            // Whoever makes a link can come in by it: for those alone who may do no more than he.
            "invite" if known.has_role(StoreRole::StoreAdmin) && shopper != self.shopper() => {
                Err(Said::of(403, self.w.not_allowed))
            }
            "invite" => {
                let made = self.ask(names(), &json!({}), api::invite).await?;
                made.map(|made| (self.w.invited, made["url"].as_str().map(str::to_owned)))
            }
            _ => Err(Said::of(400, self.w.not_saved)),
        };
        match told {
            Ok((text, url)) => self.roles(Said::of(200, text), url).await,
            Err(said) => self.roles(said, None).await,
        }
    }
}
