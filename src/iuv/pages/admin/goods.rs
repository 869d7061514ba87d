//! Products and their codes, user groups, member organisations, and the report on the administration's pages.

use super::{
    desk::{Desk, Done, Names, Said},
    frames::{ClassSeen, GroupsPage, MembersPage, ProductPage, ProductsPage, ReportPage, TypedProduct},
    verifications::{group_lines, groups_given},
};
use crate::{
    http::Problem,
    iuv::{
        pages::{report, shop::shelf},
        products::{self, ProductRow},
        stores::{api::parts, state::GroupClass},
    },
    kernel::ProductId,
};
use askama::Template;
use serde_json::{Value, json};

/// A line as `code, name`; the code stands for a name that is left out.
fn coded(line: &str) -> (&str, &str) {
    let (code, name) = line.split_once(',').unwrap_or((line, line));
    let (code, name) = (code.trim(), name.trim());
    (code, if name.is_empty() { code } else { name })
}

fn class_lines(class: &GroupClass) -> String {
    class.groups.iter().map(|group| format!("{}, {}", group.code, group.name)).collect::<Vec<_>>().join("\n")
}

/// What is no number is refused as one that may not stand.
fn number(text: &str) -> Option<u32> {
    if text.is_empty() { None } else { Some(text.parse().unwrap_or(u32::MAX)) }
}

impl Desk<'_> {
    pub async fn groups(&self, said: Said) -> Done {
        let (frame, desk) = self.frames("admin-groups", self.w.groups, &said).await?;
        let seen = |class: &GroupClass| ClassSeen { code: class.code.to_string(), groups: class_lines(class) };
        let classes = self.scene.view.classes.iter().map(seen).collect();
        let page = GroupsPage { f: &frame, d: &desk, classes, code: self.typed("code"), groups: self.typed("groups") };
        self.render(said.status, page.render())
    }

    pub async fn define_class(&self) -> Done {
        let group = |line: &&str| {
            let (group, name) = coded(line);
            json!({"group": group, "name": name})
        };
        let groups: Vec<Value> = self.lines("groups").iter().map(group).collect();
        let names = vec![("class", self.typed("code").to_owned())];
        match self.ask(names, &json!({"groups": groups}), parts::define_class).await? {
            Ok(_) => self.done("groups"),
            Err(said) => self.groups(self.about_code(said)).await,
        }
    }

    /// A code that cannot be one is, to the API, no path.
    fn about_code(&self, said: Said) -> Said {
        match said.status {
            404 => Said { status: 400, text: Some(self.w.check_fields), wrong: vec![self.w.code] },
            _ => said,
        }
    }

    pub async fn delete_class(&self) -> Done {
        let names = vec![("class", self.typed("code").to_owned())];
        match self.sure(names, parts::remove_class).await? {
            Ok(()) => self.done("groups"),
            Err(said) => self.groups(said).await,
        }
    }

    async fn sure<F: Future<Output = Result<crate::http::Reply, Problem>>>(
        &self,
        names: Names,
        handler: fn(crate::http::Ask) -> F,
    ) -> Result<Result<(), Said>, Problem> {
        if !self.is_checked("sure") {
            return Ok(Err(Said::of(400, self.w.not_saved)));
        }
        Ok(self.ask(names, &Value::Null, handler).await?.map(drop))
    }

    pub async fn members(&self, said: Said) -> Done {
        let (frame, desk) = self.frames("admin-members", self.w.members, &said).await?;
        let (code, name) = (self.typed("code"), self.typed("name"));
        let page = MembersPage { f: &frame, d: &desk, members: &self.scene.view.members, code, name };
        self.render(said.status, page.render())
    }

    pub async fn define_member(&self) -> Done {
        let names = vec![("member", self.typed("code").to_owned())];
        match self.ask(names, &json!({"name": self.typed("name")}), parts::define_member).await? {
            Ok(_) => self.done("members"),
            Err(said) => self.members(self.about_code(said)).await,
        }
    }

    pub async fn delete_member(&self) -> Done {
        let names = vec![("member", self.typed("code").to_owned())];
        match self.sure(names, parts::remove_member).await? {
            Ok(()) => self.done("members"),
            Err(said) => self.members(said).await,
        }
    }

    fn typed_product(&self) -> TypedProduct {
        let own = |name: &str| self.typed(name).to_owned();
        TypedProduct {
            name: own("name"),
            about: own("about"),
            groups: own("groups"),
            per_shopper: own("per_shopper"),
            alert_below: own("alert_below"),
            listed: self.is_checked("listed"),
        }
    }

    fn product_given(&self) -> Value {
        json!({
            "name": self.typed("name"), "about": self.typed("about"), "groups": groups_given(&self.lines("groups")),
            "per_shopper": number(self.typed("per_shopper")).map(|count| u16::try_from(count).unwrap_or(0)),
            "alert_below": number(self.typed("alert_below")), "listed": self.is_checked("listed"),
        })
    }

    pub async fn products(&self, said: Said) -> Done {
        let (frame, desk) = self.frames("admin-products", self.w.products, &said).await?;
        let typed = match said.status {
            200 => TypedProduct { listed: true, ..TypedProduct::default() },
            _ => self.typed_product(),
        };
        let page = ProductsPage { f: &frame, d: &desk, products: shelf(self.scene).await?, typed };
        self.render(said.status, page.render())
    }

    pub async fn add_product(&self) -> Done {
        match self.ask(Vec::new(), &self.product_given(), products::api::create).await? {
            Ok(made) => self.done(&format!("products/{}", made["product"].as_str().unwrap_or_default())),
            Err(said) => self.products(said).await,
        }
    }

    async fn on_shelf(&self, product: &str) -> Result<Option<(ProductId, ProductRow)>, Problem> {
        let Ok(wanted) = product.parse::<ProductId>() else { return Ok(None) };
        Ok(shelf(self.scene).await?.into_iter().find(|(known, _)| *known == wanted))
    }

    pub async fn product(&self, product: &str, said: Said) -> Done {
        let Some((product, row)) = self.on_shelf(product).await? else {
            return self.message(404, self.scene.t().missing);
        };
        let (frame, desk) = self.frames("admin-product", &row.description.name, &said).await?;
        let about = &row.description;
        let typed = match said.status {
            400.. if self.scene.browser.fields.more.contains_key("name") => self.typed_product(),
            _ => TypedProduct {
                name: about.name.to_string(),
                about: about.about.to_string(),
                groups: group_lines(&about.groups),
                per_shopper: about.per_shopper.to_string(),
                alert_below: about.alert_below.to_string(),
                listed: about.listed,
            },
        };
        let page = ProductPage { f: &frame, d: &desk, product, row: &row, typed, codes: self.typed("codes") };
        self.render(said.status, page.render())
    }

    pub async fn change_product(&self, product: &str) -> Done {
        let names = vec![("product", product.to_owned())];
        match self.ask(names, &self.product_given(), products::api::change).await? {
            Ok(_) => self.done(&format!("products/{product}")),
            Err(said) => self.product(product, said).await,
        }
    }

    pub async fn add_codes(&self, product: &str) -> Done {
        let names = vec![("product", product.to_owned())];
        match self.ask(names, &json!({"codes": self.lines("codes")}), products::api::add_codes).await? {
            Ok(_) => self.done(&format!("products/{product}")),
            Err(said) => self.product(product, said).await,
        }
    }

    pub async fn report(&self) -> Done {
        let (frame, desk) = self.frames("admin-report", self.w.report, &Said::default()).await?;
        let (org, store) = (self.scene.view.address.org, self.scene.store());
        let found = self.scene.browser.ask.engine.with_db(move |db, _| report(db, org, store)).await?;
        let page = ReportPage { f: &frame, d: &desk, members: found.member_orgs, truncated: found.truncated };
        self.render(200, page.render())
    }
}
