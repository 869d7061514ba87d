//! What every page has around it, and the pages as their templates see them.

use super::{
    Reply, Scene,
    texts::{Texts, texts},
};
use crate::{
    http::{Code, Problem},
    iuv::Side,
    kernel::ProductId,
    orgs::Language,
};
use askama::Template;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

pub(super) const STYLE: &str = "*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;color:#1c2733;\
background:#fff;margin:0 auto;max-width:48rem;padding:0 1rem 3rem}h1{font-size:1.6rem}h2{font-size:1.2rem;margin:0 0 .25rem}\
a{color:#0b5cad}a:focus-visible,button:focus-visible,input:focus-visible{outline:3px solid #0b5cad;outline-offset:2px}\
.skip{position:absolute;left:-999px}.skip:focus{left:1rem;top:1rem;background:#fff;padding:.5rem}\
.brand{font-size:1.2rem;font-weight:700;margin:1rem 0 .5rem}.brand a{color:inherit;text-decoration:none}\
nav ul,.products{list-style:none;padding:0;margin:0}nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1rem}\
nav a{display:inline-block;padding:.5rem 0}nav a[aria-current]{font-weight:700;color:inherit}\
.out{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:center;justify-content:space-between;margin:.5rem 0}\
.products li{border:1px solid #c6d0da;border-radius:.5rem;padding:1rem;margin:0 0 1rem}\
label,form>input:not([type=hidden]){display:block;width:100%}input{font:inherit;padding:.6rem;margin:0 0 1rem;border:1px solid #5a6875;border-radius:.25rem}\
button,.button{display:inline-block;font:inherit;min-height:44px;padding:.5rem 1.25rem;border:2px solid #0b5cad;border-radius:.25rem;\
background:#0b5cad;color:#fff;text-decoration:none;cursor:pointer}button.quiet,.out button{background:#fff;color:#0b5cad}\
.said{padding:.75rem;border:2px solid #0b5cad;border-radius:.25rem}.test{display:inline-block;font-weight:700;color:#8a2c0d}\
.note{color:#44505c}table{width:100%;border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.5rem .5rem .5rem 0;border-bottom:1px solid #c6d0da}\
select,textarea{display:block;width:100%;font:inherit;padding:.6rem;margin:0 0 1rem;border:1px solid #5a6875;border-radius:.25rem}textarea{min-height:6rem}\
.check{display:flex;gap:.5rem;align-items:center;min-height:44px}.check input{width:1.5rem;height:1.5rem;margin:0}\
.line{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:end;margin:0 0 .5rem}.wide{overflow-x:auto}section{margin:0 0 2rem}h3{margin:0 0 .25rem}\
code{font-size:1.1rem;overflow-wrap:anywhere}dt{font-weight:600}dd{margin:0 0 .5rem;overflow-wrap:anywhere}";

/// What a browser may do with a page: nothing of others, no script, forms to ourselves and, when we send it on, to the
/// customer.
pub fn content_security_policy(elsewhere: Option<&str>) -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let (space, elsewhere) = elsewhere.map_or(("", ""), |origin| (" ", origin));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'{space}{elsewhere}; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}

pub(super) struct Frame {
    pub t: &'static Texts,
    pub language: &'static str,
    pub style: &'static str,
    pub page: &'static str,
    pub title: String,
    /// The store's name; none on neutral pages.
    pub brand: String,
    pub home: String,
    pub test: bool,
    pub user: Option<String>,
    pub admin: bool,
    pub token: String,
    pub said: Option<&'static str>,
}

impl Frame {
    /// Of a page without brand.
    pub fn neutral(language: Language, page: &'static str, title: &str, token: String) -> Self {
        Self {
            t: texts(language),
            language: language.tag(),
            style: STYLE,
            page,
            title: title.to_owned(),
            brand: String::new(),
            home: String::new(),
            test: false,
            user: None,
            admin: false,
            token,
            said: None,
        }
    }
}

macro_rules! pages {
    ($($name:ident = $path:literal { $($field:ident: $type:ty),* $(,)? })*) => {$(
        #[derive(Template)]
        #[template(path = $path)]
        pub(super) struct $name<'a> {
            pub f: &'a Frame,
            $(pub $field: $type,)*
        }
    )*};
}

pages! {
    CataloguePage = "store_catalogue.html" { items: &'a [Item] }
    CartPage = "store_cart.html" { items: &'a [Item] }
    OrdersPage = "store_orders.html" { orders: &'a [Listed] }
    OrderPage = "store_order.html" { order: &'a Listed, lines: &'a [ShownLine] }
    SignInPage = "store_signin.html" { sso: Option<String>, password: bool, email: bool }
    LinkPage = "store_link.html" { action: String, shopper: &'a str, key: &'a str, sets_password: bool }
    MessagePage = "store_message.html" { next: Option<(String, &'static str)> }
    AdminSignInPage = "admin_signin.html" { account: &'a str, support: &'a Support }
    TransferPage = "admin_transfer.html" {
        role: &'static str,
        from: String,
        to: String,
        store: &'a str,
        shopper: &'a str,
        key: &'a str,
    }
}

#[derive(Template)]
#[template(path = "store_home.html")]
pub(super) struct HomePage<'a> {
    pub f: &'a Frame,
}

/// A product in the catalogue or the cart.
pub(super) struct Item {
    pub product: ProductId,
    pub name: Box<str>,
    pub about: Box<str>,
    pub note: Option<&'static str>,
    pub orderable: bool,
}

pub(super) struct Listed {
    pub number: u32,
    pub at: String,
    pub date: String,
    pub test: bool,
    pub products: String,
}

pub(super) struct ShownLine {
    pub name: String,
    pub state: &'static str,
    pub code: Option<String>,
    pub note: &'static str,
}

/// What a message to support needs, as far as it is known.
#[derive(Default)]
pub(super) struct Support {
    pub customer: String,
    pub name: String,
    pub email: String,
    pub phone: String,
    pub account: String,
    pub description: String,
    pub mailto: String,
}

pub(super) fn rendered(
    status: u16,
    language: Language,
    template: Result<String, askama::Error>,
) -> Result<Reply, Problem> {
    let html = template.map_err(|error| Problem::detailed(Code::Internal, error.to_string()))?;
    Ok(Reply::Page { status, html, language, cookie: None, elsewhere: None })
}

impl Scene<'_> {
    pub(super) fn language(&self) -> Language {
        self.view.language()
    }

    pub(super) fn t(&self) -> &'static Texts {
        texts(self.language())
    }

    pub(super) fn frame(&self, page: &'static str, title: &str) -> Frame {
        Frame {
            brand: self.view.description.name.to_string(),
            home: self.home(),
            test: self.side == Side::Test,
            ..Frame::neutral(self.language(), page, title, self.browser.token())
        }
    }

    /// A page that says one thing.
    pub(super) fn message(
        &self,
        status: u16,
        page: &'static str,
        title: &str,
        said: &'static str,
        next: Option<(String, &'static str)>,
    ) -> Result<Reply, Problem> {
        let frame = Frame { said: Some(said), ..self.frame(page, title) };
        rendered(status, self.language(), MessagePage { f: &frame, next }.render())
    }
}
