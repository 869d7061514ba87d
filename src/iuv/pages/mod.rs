//! The pages of a store, and of its administration: rendered here, without script, in the store's language. What comes
//! from a form is believed only with a token that belongs to this browser.

/// Texts in three languages, and where they are found.
macro_rules! texts {
    ($find:ident: $Texts:ident; $($name:ident: $it:literal, $de:literal, $en:literal;)*) => {
        pub struct $Texts {
            $(pub $name: &'static str,)*
        }

        pub fn $find(language: crate::orgs::Language) -> &'static $Texts {
            const IT: &$Texts = &$Texts { $($name: $it,)* };
            const DE: &$Texts = &$Texts { $($name: $de,)* };
            const EN: &$Texts = &$Texts { $($name: $en,)* };
            match language {
                crate::orgs::Language::It => IT,
                crate::orgs::Language::De => DE,
                crate::orgs::Language::En => EN,
            }
        }
    };
}

mod account;
mod admin;
mod frame;
mod link;
mod report;
mod shop;
mod signin;
mod texts;
mod transfer;

pub use frame::content_security_policy;
pub use report::{MemberOrders, Report, report};

use super::{
    Side,
    sessions::{self, Pass, Visitor},
    stores::{self, SignAction, StoreView, home_path},
};
use crate::{
    devices::page::{form_token, is_form_token},
    http::{Ask, Code, Problem},
    kernel::StoreId,
    orgs::Language,
};
use serde::Deserialize;
use std::{collections::HashMap, net::IpAddr, sync::Arc};
use zeroize::Zeroize;

/// What any of the forms and links may bring.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    pub token: String,
    pub product: String,
    pub username: String,
    pub password: String,
    pub again: String,
    pub email: String,
    pub shopper: String,
    pub store: String,
    pub key: String,
    pub account: String,
    pub confirmed: String,
    pub via: String,
    /// The administration's forms, each with fields of its own.
    #[serde(flatten)]
    pub more: HashMap<String, String>,
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        self.fields.password.zeroize();
        self.fields.again.zeroize();
        self.fields.key.zeroize();
        self.fields.more.values_mut().for_each(Zeroize::zeroize);
    }
}

/// One request of a browser.
pub struct Browser<'a> {
    pub ask: &'a Ask,
    pub fields: Fields,
    pub is_post: bool,
    /// The value of the session's cookie.
    pub session: Option<String>,
    /// The value of the cookie that forms belong to.
    pub form: String,
    /// As far as the browser says, the form came from here.
    pub own: bool,
    /// Who is at the other end of the connection: a proxy, if there is one.
    pub peer: Option<IpAddr>,
    /// A header of the request, as text.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    /// What the browser would rather read, for pages without a store.
    pub language: Option<Language>,
    /// Counts one try to sign in by where it came from.
    pub count: &'a dyn Fn() -> Result<(), Problem>,
}

/// What the browser is answered.
pub enum Reply {
    Page {
        status: u16,
        html: String,
        language: Language,
        cookie: Option<String>,
        /// Where else a form of the page may lead: to the customer, by a redirection.
        elsewhere: Option<String>,
    },
    To {
        url: String,
        cookie: Option<String>,
    },
}

impl Reply {
    fn to(url: impl Into<String>) -> Self {
        Self::To { url: url.into(), cookie: None }
    }

    fn with_cookie(self, line: String) -> Self {
        match self {
            Self::Page { status, html, language, elsewhere, .. } => {
                Self::Page { status, html, language, cookie: Some(line), elsewhere }
            }
            Self::To { url, .. } => Self::To { url, cookie: Some(line) },
        }
    }
}

/// What a page is rendered from: the store, one of its sides, and whoever looks at it.
pub struct Scene<'a> {
    browser: &'a Browser<'a>,
    view: Arc<StoreView>,
    side: Side,
    visitor: Option<Visitor>,
}

const FORM: &str = "store";

impl Browser<'_> {
    fn token(&self) -> String {
        form_token(self.ask.engine.keys(), FORM, &self.form, self.ask.now())
    }

    /// Whether what was sent came from a form of ours in this browser.
    fn is_ours(&self) -> bool {
        self.own && is_form_token(self.ask.engine.keys(), FORM, &self.form, &self.fields.token, self.ask.now())
    }
}

impl Scene<'_> {
    fn home(&self) -> String {
        home_path(self.view.id(), self.side)
    }

    fn store(&self) -> StoreId {
        self.view.id()
    }

    /// Lets somebody in: a session, its cookie, and on to the store.
    async fn enter(&self, pass: Pass, attributes: &super::Attributes) -> Result<Reply, Problem> {
        let (ask, door) = (self.browser.ask, self.browser.ask.iuv());
        let value = sessions::open(ask, self.view.address.org, pass, attributes, door.session_lasts()).await?;
        Ok(Reply::to(self.home()).with_cookie(door.set_cookie(&pass, &value)))
    }
}

/// A page of a store: `path` is what follows its home path.
pub async fn store_page(browser: &Browser<'_>, store: StoreId, side: Side, path: &str) -> Result<Reply, Problem> {
    let engine = &browser.ask.engine;
    let view = stores::find(engine, &browser.ask.iuv().registry, store).await?.ok_or(Code::NotFound)?;
    let visitor = match &browser.session {
        Some(cookie) => sessions::who(engine, cookie).await?,
        None => None,
    };
    let visitor =
        visitor.filter(|visitor| (visitor.org, visitor.store, visitor.side) == (view.address.org, view.id(), side));
    let scene = Scene { browser, view, side, visitor };
    if browser.is_post && !browser.is_ours() {
        return scene.message(403, "message", scene.t().sign_in, scene.t().expired, None);
    }
    let mut reply = scene.serve(path).await?;
    if let Reply::Page { elsewhere, .. } = &mut reply {
        *elsewhere = scene.view.external_url(side, SignAction::In).as_deref().and_then(origin);
    }
    Ok(reply)
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())?;
    let clean = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
    clean.then(|| format!("{scheme}://{host}"))
}

impl Scene<'_> {
    async fn serve(&self, path: &str) -> Result<Reply, Problem> {
        let (scene, browser) = (self, self.browser);
        match (browser.is_post, path) {
            (false, "") => scene.home_page().await,
            (false, "catalogue") => scene.catalogue(None).await,
            (false, "cart") => scene.cart(None).await,
            (true, "cart") => scene.put_in_cart().await,
            (true, "cart/remove") => scene.take_from_cart().await,
            (true, "order") => scene.place_order().await,
            (false, "orders") => scene.orders().await,
            (false, "signin") => scene.sign_in(None),
            (true, "signin/password") => scene.with_password().await,
            (true, "signin/register") => scene.register().await,
            (true, "signin/email") => scene.with_email().await,
            (false, "signin/shibboleth") => scene.with_shibboleth().await,
            (false, "signin/link") => scene.link_page(false, None),
            (true, "signin/link") => scene.follow_link().await,
            (false, "signin/set-password") => scene.link_page(true, None),
            (true, "signin/set-password") => scene.set_password().await,
            (true, "signout") => scene.sign_out().await,
            (true, "admin/leave") => scene.leave().await,
            (_, "admin") => scene.administration("").await,
            (_, path) if path.starts_with("admin/") => scene.administration(&path["admin/".len()..]).await,
            (false, path) => match path.strip_prefix("orders/").and_then(|number| number.parse().ok()) {
                Some(number) => scene.order(number).await,
                None => scene.message(404, "message", scene.t().home, scene.t().missing, None),
            },
            (true, _) => scene.message(404, "message", scene.t().home, scene.t().missing, None),
        }
    }
}

pub use admin::{ADMIN_COOKIE, admin_page};
