//! The administration: through the store for whoever has a role there, and at `/admin`, without brand, with account
//! number, user name and password, whatever is wrong with the store's own ways in.

mod desk;
mod frames;
mod goods;
mod people;
mod tester;
mod verifications;
mod words;

use super::{
    Browser, Reply, Scene,
    account::{attributes_of, known},
    frame::{AdminSignInPage, Frame, Support, rendered},
    signin::is_right,
    texts::{Texts, texts},
    transfer::transfer_page,
};
use crate::{
    http::{Ask, Code, Problem},
    iuv::{
        Side, guid, normal,
        sessions::{self, Pass},
        shopper_of,
        shoppers::Known,
        stores,
    },
    kernel::{Codec, OrgId, PersonId, RowSpace, ShopperId, StoreId, VaultField},
    orgs::{Language, OrganisationRow, ProfilePlain},
    store::StoreError,
};
use askama::Template;
use desk::Desk;

/// Stores of one account that are looked through.
const STORES_MAX: usize = 20;
const ROOT: &str = "/admin";
pub const ADMIN_COOKIE: &str = "ws_admin";

impl Browser<'_> {
    pub(super) fn reads(&self) -> Language {
        self.language.unwrap_or(Language::En)
    }

    fn admin_cookie(&self, value: &str, more: &str) -> String {
        let secure = if self.ask.iuv().base_url().starts_with("http://") { "" } else { "; Secure" };
        format!("{ADMIN_COOKIE}={value}; Path={ROOT}; HttpOnly; SameSite=Lax{secure}{more}")
    }

    fn sign_in_page(&self, status: u16, said: Option<&'static str>, support: &Support) -> Result<Reply, Problem> {
        let language = self.reads();
        let title = texts(language).admin_title;
        let frame = Frame { said, ..Frame::neutral(language, "admin-signin", title, self.token()) };
        rendered(status, language, AdminSignInPage { f: &frame, account: &self.fields.account, support }.render())
    }

    /// What support asks for before anybody is signed in: what he has typed, where, and what he was told. To whom an
    /// account number belongs is not said.
    fn guessed_support(&self, said: Option<&str>) -> Support {
        let typed = |text: &str, most: usize| text.trim().chars().take(most).collect::<String>();
        let (account, name) = (typed(&self.fields.account, 9), typed(&self.fields.username, 100));
        let email = if name.contains('@') { name.clone() } else { String::new() };
        let t = texts(self.reads());
        let about = [Some(t.admin_title), said].into_iter().flatten().collect::<Vec<_>>().join(": ");
        let description = format!("{about} ({}{ROOT}, {})", self.ask.iuv().base_url(), self.ask.now().to_rfc3339());
        let mut support = Support { account, name, email, description, ..Support::default() };
        support.mailto = mailto(self.ask.iuv().support_email(), t, &support);
        support
    }

    /// Whoever is signed in, and the store that he administers.
    async fn administered(&self) -> Result<Option<Scene<'_>>, Problem> {
        let Some(cookie) = &self.session else { return Ok(None) };
        let Some(visitor) = sessions::who(&self.ask.engine, cookie).await? else { return Ok(None) };
        let view = stores::look(&self.ask.engine, visitor.store.at(visitor.org)).await?;
        Ok(view.map(|view| Scene { browser: self, view, side: Side::Real, visitor: Some(visitor) }))
    }
}

/// `/admin` and what stands below it: the neutral page; for whoever is signed in, his store.
pub async fn admin_page(browser: &Browser<'_>, path: &str) -> Result<Reply, Problem> {
    match (browser.is_post, path) {
        (true, "") => return sign_in(browser).await,
        (true, "leave") => return leave(browser).await,
        (_, "transfer") => return transfer_page(browser).await,
        (false, "leave") => return Err(Problem::from(Code::MethodNotAllowed).allow("POST".to_owned())),
        _ => {}
    }
    if browser.is_post && !browser.is_ours() {
        return browser.sign_in_page(403, Some(texts(browser.reads()).expired), &browser.guessed_support(None));
    }
    if let Some(scene) = browser.administered().await?
        && let Some(known) = scene.administrator().await?
    {
        return Desk::new(&scene, known, ROOT.to_owned()).serve(path).await;
    }
    browser.sign_in_page(if path.is_empty() { 200 } else { 403 }, None, &browser.guessed_support(None))
}

async fn sign_in(browser: &Browser<'_>) -> Result<Reply, Problem> {
    let (ask, fields, t) = (browser.ask, &browser.fields, texts(browser.reads()));
    let support = browser.guessed_support(Some(t.wrong));
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

/// The session ends, and the neutral page says what support wants to know.
async fn leave(browser: &Browser<'_>) -> Result<Reply, Problem> {
    let mut support = browser.guessed_support(None);
    if !browser.is_ours() {
        return browser.sign_in_page(403, Some(texts(browser.reads()).expired), &support);
    }
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

    pub(super) async fn administration(&self, path: &str) -> Result<Reply, Problem> {
        match self.administrator().await? {
            Some(known) => Desk::new(self, known, format!("{}admin", self.home())).serve(path).await,
            None if self.visitor.is_none() => self.sign_in(None),
            None => self.message(403, "message", self.t().administration, self.t().refused, None),
        }
    }

    /// Leaving the administration lands on the neutral page.
    pub(super) async fn leave(&self) -> Result<Reply, Problem> {
        let support = match self.administrator().await? {
            Some(_) => self.support().await?,
            None => Support {
                // Everybody sees the store's name.
                customer: self.view.description.name.to_string(),
                ..self.browser.guessed_support(None)
            },
        };
        let language = self.language();
        let frame = Frame::neutral(language, "admin-signin", self.t().admin_title, self.browser.token());
        rendered(200, language, AdminSignInPage { f: &frame, account: &support.account, support: &support }.render())
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
