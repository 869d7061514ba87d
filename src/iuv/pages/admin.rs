//! The administration: through the store for whoever has a role there, and at `/admin`, without brand, with account
//! number, user name and password, whatever is wrong with the store's own ways in.

use super::{
    Browser, Reply, Scene,
    account::{attributes_of, known},
    frame::{AdminSignInPage, AdminStorePage, Frame, ShopSeen, Support, rendered},
    report,
    shop::shelf,
    signin::is_right,
    texts::{Texts, texts},
};
use crate::{
    http::{Ask, Problem},
    iuv::{
        Side, guid, normal,
        sessions::{self, Pass},
        shopper_of,
        shoppers::{Known, StoreRole},
        stores,
    },
    kernel::{Codec, OrgId, PersonId, RowSpace, ShopperId, StoreId, VaultField},
    orgs::{Language, OrganisationRow, ProfilePlain},
    store::StoreError,
};
use askama::Template;

/// Stores of one account that are looked through.
const STORES_MAX: usize = 20;
const COOKIE_PATH: &str = "/admin";
pub const ADMIN_COOKIE: &str = "ws_admin";

impl Browser<'_> {
    pub(super) fn reads(&self) -> Language {
        self.language.unwrap_or(Language::En)
    }

    fn admin_cookie(&self, value: &str, more: &str) -> String {
        let secure = if self.ask.iuv().base_url().starts_with("http://") { "" } else { "; Secure" };
        format!("{ADMIN_COOKIE}={value}; Path={COOKIE_PATH}; HttpOnly; SameSite=Lax{secure}{more}")
    }

    fn sign_in_page(&self, status: u16, said: Option<&'static str>, support: &Support) -> Result<Reply, Problem> {
        let language = self.reads();
        let title = texts(language).admin_title;
        let frame = Frame { said, ..Frame::neutral(language, "admin-signin", title, self.token()) };
        rendered(status, language, AdminSignInPage { f: &frame, account: &self.fields.account, support }.render())
    }

    /// Whoever is signed in, and the store that he administers.
    async fn administered(&self) -> Result<Option<Scene<'_>>, Problem> {
        let Some(cookie) = &self.session else { return Ok(None) };
        let Some(visitor) = sessions::who(&self.ask.engine, cookie).await? else { return Ok(None) };
        let view = stores::look(&self.ask.engine, visitor.store.at(visitor.org)).await?;
        Ok(view.map(|view| Scene { browser: self, view, side: Side::Real, visitor: Some(visitor) }))
    }
}

/// `GET /admin`: the neutral page; for whoever is signed in, his store.
pub async fn admin_home(browser: &Browser<'_>) -> Result<Reply, Problem> {
    match browser.administered().await? {
        Some(scene) => match scene.administrator().await? {
            Some(known) => scene.administration_page(&known, "/admin/leave".to_owned()).await,
            None => browser.sign_in_page(200, None, &Support::default()),
        },
        None => browser.sign_in_page(200, None, &Support::default()),
    }
}

/// `POST /admin`.
pub async fn admin_sign_in(browser: &Browser<'_>) -> Result<Reply, Problem> {
    let (ask, fields, t) = (browser.ask, &browser.fields, texts(browser.reads()));
    let support = Support { account: fields.account.chars().take(9).collect(), ..Support::default() };
    if !browser.is_ours() {
        return browser.sign_in_page(403, Some(t.expired), &support);
    }
    if (browser.count)().is_err() {
        return browser.sign_in_page(429, Some(t.too_many), &support);
    }
    let account = fields.account.trim().parse::<u32>().ok();
    let stores = account.map(|account| ask.iuv().registry.of_account(account)).unwrap_or_default();
    let name = normal(fields.username.trim());
    let mut candidate = None;
    for store in stores.iter().take(STORES_MAX) {
        let id = shopper_of(ask.engine.keys(), store.org, StoreId(store.entity.raw), &name);
        let shopper = id.at(store.org);
        let known = known(ask, shopper).await?;
        if known.is_some_and(|known| !known.roles.is_empty() && known.password.is_some()) {
            candidate = Some((*store, shopper));
            break;
        }
    }
    let right = is_right(ask, candidate.map(|(_, shopper)| shopper), &fields.password).await?;
    let (Some((store, shopper)), true) = (candidate, right) else {
        return browser.sign_in_page(403, Some(t.wrong), &support);
    };
    let attributes = attributes_of(ask, shopper).await?.unwrap_or_default();
    // It stays the kind of account that it was.
    let kind = known(ask, shopper).await?.map(|known| known.membership.kind);
    let Some(kind) = kind else { return browser.sign_in_page(403, Some(t.wrong), &support) };
    let pass = Pass {
        store: StoreId(store.entity.raw),
        shopper: ShopperId(shopper.entity.raw),
        side: Side::Real,
        kind,
        verification: 0,
    };
    let value = sessions::open(ask, store.org, pass, &attributes, ask.iuv().session_lasts()).await?;
    Ok(Reply::to("/admin").with_cookie(browser.admin_cookie(&value, "")))
}

/// `POST /admin/leave`: the session ends, and the neutral page says what support wants to know.
pub async fn admin_leave(browser: &Browser<'_>) -> Result<Reply, Problem> {
    if !browser.is_ours() {
        return browser.sign_in_page(403, Some(texts(browser.reads()).expired), &Support::default());
    }
    let mut support = Support::default();
    if let Some(scene) = browser.administered().await? {
        support = scene.support().await?;
        if let Some(visitor) = &scene.visitor {
            sessions::sign_out(browser.ask, visitor).await?;
        }
    }
    Ok(browser.sign_in_page(200, None, &support)?.with_cookie(browser.admin_cookie("", "; Max-Age=0")))
}

impl Scene<'_> {
    /// The account, if it has a role.
    async fn administrator(&self) -> Result<Option<Known>, Problem> {
        Ok(self.account().await?.map(|(_, known)| known).filter(|known| !known.roles.is_empty()))
    }

    pub(super) async fn administration(&self) -> Result<Reply, Problem> {
        match self.administrator().await? {
            Some(known) => self.administration_page(&known, format!("{}admin/leave", self.home())).await,
            None if self.visitor.is_none() => self.sign_in(None),
            None => self.message(403, "message", self.t().administration, self.t().refused, None),
        }
    }

    /// Leaving the administration lands on the neutral page.
    pub(super) async fn leave(&self) -> Result<Reply, Problem> {
        let support = match self.administrator().await? {
            Some(_) => self.support().await?,
            None => Support::default(),
        };
        let language = self.language();
        let frame = Frame::neutral(language, "admin-signin", self.t().admin_title, self.browser.token());
        rendered(200, language, AdminSignInPage { f: &frame, account: &support.account, support: &support }.render())
    }

    async fn administration_page(&self, known: &Known, leave: String) -> Result<Reply, Problem> {
        let (ask, door, store) = (self.browser.ask, self.browser.ask.iuv(), self.store());
        let verifications =
            self.view.verifications.iter().map(|known| (known.kind.name(), known.state.name())).collect();
        let shop = if known.has_role(StoreRole::StoreAdmin) {
            let org = self.view.address.org;
            let report = ask.engine.with_db(move |db, _| report(db, org, store)).await?;
            let products = shelf(self).await?.into_iter().map(|(_, row)| row).collect();
            Some(ShopSeen { products, report: report.member_orgs })
        } else {
            None
        };
        let mut frame = self.framed("admin", self.t().administration, Some(known)).await?;
        frame.test = false;
        let page = AdminStorePage {
            f: &frame,
            leave,
            account: self.view.description.account,
            guid: guid(store),
            store_url: door.home_url(store, Side::Real),
            test_url: door.home_url(store, Side::Test),
            verifications,
            shop,
            support: &self.support().await?,
        };
        rendered(200, self.language(), page.render())
    }

    /// What support asks for, filled in as far as it is known of whoever is signed in.
    async fn support(&self) -> Result<Support, Problem> {
        let ask = self.browser.ask;
        let org = self.view.address.org;
        let row = ask.engine.row(RowSpace::Organisations, org, Vec::new()).await?;
        let customer = row.map(|row| OrganisationRow::decode_from(&row)).transpose();
        let customer = customer.map_err(|why| StoreError::Corrupt { what: "organisation's row", why })?;
        let owner = customer.as_ref().map(|row| row.owner);
        let customer = customer.map(|row| row.name.to_string()).unwrap_or_default();
        let attributes = match self.shopper() {
            Some(shopper) => attributes_of(ask, shopper).await?.unwrap_or_default(),
            None => Default::default(),
        };
        let phone = owner_phone(ask, org, owner).await?;
        let mut support = Support {
            customer,
            name: attributes.full_name(),
            email: attributes.email.clone().unwrap_or_default(),
            phone,
            account: format!("{:09}", self.view.description.account),
            description: format!("{} {}", self.view.description.name, guid(self.store())),
            mailto: String::new(),
        };
        support.mailto = mailto(ask.iuv().support_email(), self.t(), &support);
        Ok(support)
    }
}

/// Of a shopper no telephone is known; the owner of the organisation may have left one, and is who support calls.
async fn owner_phone(ask: &Ask, org: OrgId, owner: Option<PersonId>) -> Result<String, Problem> {
    let Some(owner) = owner else { return Ok(String::new()) };
    let plain = ask.engine.open_vault(owner.at(org), VaultField::Profile).await?;
    let profile = plain.map(|plain| ProfilePlain::decode_from(&plain)).transpose();
    let profile = profile.map_err(|why| StoreError::Corrupt { what: "person's profile", why })?;
    Ok(profile.and_then(|profile| profile.mobile).unwrap_or_default())
}

/// A message that has all six already; none if the operator names no address.
fn mailto(to: &str, t: &Texts, support: &Support) -> String {
    if to.is_empty() {
        return String::new();
    }
    let lines = [
        (t.customer_name, &support.customer),
        (t.contact_name, &support.name),
        (t.contact_email, &support.email),
        (t.contact_phone, &support.phone),
        (t.support_account, &support.account),
        (t.description, &support.description),
    ];
    let body: Vec<String> = lines.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("mailto:{to}?body={}", escaped(&body.join("\r\n")))
}

fn escaped(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
