//! The administration's pages behind the sign-in. They stand under two roots, through the store and at `/admin`, and do
//! what they do by the API's own handlers, in the name of the account that is signed in.

use super::{
    frames::{DeskFrame, OverviewPage},
    words::{Words, words},
};
use crate::{
    http::{self, Ask, Code, Problem},
    iuv::{
        Side, guid,
        pages::{
            Reply, Scene,
            frame::{Frame, rendered},
        },
        shoppers::{Known, StoreRole},
    },
    kernel::Address,
};
use askama::Template;
use serde_json::Value;

/// An administrator at work.
pub(super) struct Desk<'a> {
    pub scene: &'a Scene<'a>,
    pub known: Known,
    pub root: String,
    pub w: &'static Words,
}

/// What a page says of the change that was just tried.
pub(super) struct Said {
    pub status: u16,
    pub text: Option<&'static str>,
    /// Fields that are to be looked at again.
    pub wrong: Vec<&'static str>,
}

impl Default for Said {
    fn default() -> Self {
        Self { status: 200, text: None, wrong: Vec::new() }
    }
}

impl Said {
    pub fn of(status: u16, text: &'static str) -> Self {
        Self { status, text: Some(text), wrong: Vec::new() }
    }
}

pub(super) type Names = Vec<(&'static str, String)>;

/// A page, or what became of a change that it is shown again for.
pub(super) type Done = Result<Reply, Problem>;

impl<'a> Desk<'a> {
    pub fn new(scene: &'a Scene<'a>, known: Known, root: String) -> Self {
        Self { scene, known, root, w: words(scene.language()) }
    }

    pub async fn serve(&self, path: &str) -> Done {
        let (is_post, parts): (_, Vec<&str>) = (self.scene.browser.is_post, path.split('/').collect());
        let for_shop = matches!(parts[0], "groups" | "members" | "products" | "roles" | "report");
        if for_shop && !self.known.has_role(StoreRole::StoreAdmin) {
            return self.message(403, self.w.not_allowed);
        }
        match (is_post, &parts[..]) {
            (false, [""]) => self.overview().await,
            (false, ["verifications"]) => self.verifications(self.saved()).await,
            (true, ["verifications"]) => self.add_verification().await,
            (false, ["verifications", number]) => self.verification(number, self.saved()).await,
            (true, ["verifications", number, what]) => self.change_verification(number, what).await,
            (false, ["groups"]) => self.groups(self.saved()).await,
            (true, ["groups"]) => self.define_class().await,
            (true, ["groups", "delete"]) => self.delete_class().await,
            (false, ["members"]) => self.members(self.saved()).await,
            (true, ["members"]) => self.define_member().await,
            (true, ["members", "delete"]) => self.delete_member().await,
            (false, ["products"]) => self.products(self.saved()).await,
            (true, ["products"]) => self.add_product().await,
            (false, ["products", product]) => self.product(product, self.saved()).await,
            (true, ["products", product]) => self.change_product(product).await,
            (true, ["products", product, "codes"]) => self.add_codes(product).await,
            (false, ["roles"]) => self.roles(self.saved(), None).await,
            (true, ["roles"]) => self.change_roles().await,
            (false, ["tester"]) => self.tester(None, Said::default()).await,
            (true, ["tester"]) => self.try_request().await,
            (false, ["report"]) => self.report().await,
            _ => self.message(404, self.scene.t().missing),
        }
    }

    pub fn message(&self, status: u16, text: &'static str) -> Done {
        let next = Some((self.root.clone(), self.scene.t().administration));
        self.scene.message(status, "message", self.scene.t().administration, text, next)
    }

    /// A field of the form that was sent.
    pub fn typed(&self, name: &str) -> &str {
        self.scene.browser.fields.more.get(name).map(|text| text.trim()).unwrap_or_default()
    }

    pub fn is_checked(&self, name: &str) -> bool {
        !self.typed(name).is_empty()
    }

    /// The lines of a field, without empty ones.
    pub fn lines(&self, name: &str) -> Vec<&str> {
        self.typed(name).lines().map(str::trim).filter(|line| !line.is_empty()).collect()
    }

    fn saved(&self) -> Said {
        let text = self.is_checked("done").then_some(self.w.saved);
        Said { text, ..Said::default() }
    }

    /// Whoever reloads the page does not do it again.
    pub fn done(&self, page: &str) -> Done {
        Ok(Reply::to(format!("{}/{page}?done=1", self.root)))
    }

    pub fn shopper(&self) -> Address {
        self.scene.shopper().unwrap_or(self.scene.view.address)
    }

    /// Asks a handler of the API, in this administrator's name. The inner refusal is for the page to tell.
    pub async fn ask<F: Future<Output = Result<http::Reply, Problem>>>(
        &self,
        mut names: Names,
        body: &Value,
        handler: fn(Ask) -> F,
    ) -> Result<Result<Value, Said>, Problem> {
        names.push(("store", self.scene.store().to_string()));
        let body = body.to_string().into_bytes();
        match handler(self.scene.browser.ask.of_administrator(self.shopper(), names, body)).await {
            Ok(reply) => Ok(Ok(serde_json::from_slice(&reply.json).unwrap_or_default())),
            Err(problem) if problem.status() >= 500 => Err(problem),
            Err(problem) => Ok(Err(self.refused(&problem))),
        }
    }

    fn refused(&self, problem: &Problem) -> Said {
        let w = self.w;
        let text = match problem.code() {
            Code::Invalid | Code::Malformed => w.check_fields,
            Code::StoreChangedMeanwhile => w.changed_meanwhile,
            Code::VerificationTaken => w.kind_taken,
            Code::VerificationNotReady => w.not_ready,
            Code::IuvKeyTaken => w.key_taken,
            Code::IuvKeyTooShort => w.key_short,
            Code::NoIuvKey => w.no_key,
            Code::StoreLimitReached => w.full,
            Code::ProductCodeTaken => w.code_taken,
            Code::ShopperRoleMissing => w.role_missing,
            Code::TransferPending => w.transfer_pending,
            Code::NotFound => self.scene.t().missing,
            _ => w.not_saved,
        };
        let mut wrong: Vec<_> = problem.errors().iter().filter_map(|error| w.field(&error.pointer)).collect();
        wrong.dedup();
        Said { status: problem.status(), text: Some(text), wrong }
    }

    /// What stands around a page of the desk.
    pub async fn frames(&self, page: &'static str, title: &str, said: &Said) -> Result<(Frame, DeskFrame), Problem> {
        let mut frame = self.scene.framed(page, title, Some(&self.known)).await?;
        (frame.test, frame.said) = (false, said.text);
        let shop = self.known.has_role(StoreRole::StoreAdmin);
        Ok((frame, DeskFrame { w: self.w, root: self.root.clone(), shop, wrong: said.wrong.clone() }))
    }

    pub fn render(&self, status: u16, html: Result<String, askama::Error>) -> Done {
        rendered(status, self.scene.language(), html)
    }

    async fn overview(&self) -> Done {
        let (scene, door) = (self.scene, self.scene.browser.ask.iuv());
        let (frame, desk) = self.frames("admin", scene.t().administration, &Said::default()).await?;
        let all = scene.view.verifications.iter();
        let page = OverviewPage {
            f: &frame,
            d: &desk,
            account: format!("{:09}", scene.view.description.account),
            system_name: &scene.view.description.system_name,
            guid: guid(scene.store()),
            store_url: door.home_url(scene.store(), Side::Real),
            test_url: door.home_url(scene.store(), Side::Test),
            verifications: all.map(|known| (self.w.kind(known.kind), self.w.state(known.state))).collect(),
            support: &scene.support().await?,
        };
        self.render(200, page.render())
    }
}
