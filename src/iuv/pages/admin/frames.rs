//! The administration's pages as their templates see them.

use super::words::Words;
use crate::{
    iuv::{
        VerificationKind,
        pages::{
            frame::{Frame, Support},
            report::MemberOrders,
        },
        products::ProductRow,
        stores::state::{Headers, Member},
    },
    kernel::ProductId,
};
use askama::Template;

/// What stands around every page of the desk.
pub(super) struct DeskFrame {
    pub w: &'static Words,
    /// Where the desk's pages begin, without a slash at the end.
    pub root: String,
    /// Products, groups, members and roles are for this administrator too.
    pub shop: bool,
    pub wrong: Vec<&'static str>,
}

macro_rules! pages {
    ($($name:ident = $path:literal { $($field:ident: $type:ty),* $(,)? })*) => {$(
        #[derive(Template)]
        #[template(path = $path)]
        pub(super) struct $name<'a> {
            pub f: &'a Frame,
            pub d: &'a DeskFrame,
            $(pub $field: $type,)*
        }
    )*};
}

pages! {
    OverviewPage = "admin_store.html" {
        account: String,
        system_name: &'a str,
        guid: String,
        store_url: String,
        test_url: String,
        verifications: Vec<(&'static str, &'static str)>,
        support: &'a Support,
    }
    VerificationsPage = "admin_verifications.html" {
        types: Vec<TypeListed>,
        kinds: Vec<(&'static str, &'static str)>,
        test_url: String,
    }
    VerificationPage = "admin_verification.html" {
        of: TypeListed,
        kind: VerificationKind,
        account: String,
        typed: TypedSettings,
        key: KeySeen<'a>,
        refused: Vec<RefusedSeen>,
    }
    GroupsPage = "admin_groups.html" { classes: Vec<ClassSeen>, code: &'a str, groups: &'a str }
    MembersPage = "admin_members.html" { members: &'a [Member], code: &'a str, name: &'a str }
    ProductsPage = "admin_products.html" { products: Vec<(ProductId, ProductRow)>, typed: TypedProduct }
    ProductPage = "admin_product.html" { product: ProductId, row: &'a ProductRow, typed: TypedProduct, codes: &'a str }
    RolesPage = "admin_roles.html" { accounts: Vec<AccountSeen>, username: &'a str, url: Option<String> }
    TesterPage = "admin_tester.html" { query: &'a str, caller: &'a str, told: Option<TestedSeen> }
    ReportPage = "admin_report.html" { members: Vec<MemberOrders>, truncated: bool }
}

/// A verification type in the list, with what can be done to its state: the wire's word and ours.
pub(super) struct TypeListed {
    pub number: u32,
    pub kind: &'static str,
    pub state: &'static str,
    pub actions: Vec<(&'static str, &'static str)>,
}

/// What stands in the fields: what was typed, or what is set.
pub(super) struct TypedSettings {
    pub external_url: String,
    pub callers: String,
    pub administrators: String,
    pub check_shopper_ip: bool,
    pub italian_action: bool,
    pub headers: Headers,
    pub domains: String,
    pub groups: String,
    pub sector: String,
    pub expires_in_days: String,
}

pub(super) struct KeySeen<'a> {
    pub saved: bool,
    pub short: bool,
    pub exposed: bool,
    pub previous_until: Option<String>,
    /// Generated or shown: what stands in the field.
    pub text: &'a str,
    pub note: Option<&'static str>,
}

pub(super) struct RefusedSeen {
    pub address: String,
    pub at: String,
    pub count: u32,
}

pub(super) struct ClassSeen {
    pub code: String,
    pub groups: String,
}

#[derive(Default)]
pub(super) struct TypedProduct {
    pub name: String,
    pub about: String,
    pub groups: String,
    pub per_shopper: String,
    pub alert_below: String,
    pub listed: bool,
}

pub(super) struct AccountSeen {
    pub user_name: String,
    /// The wire's word and ours.
    pub roles: Vec<(&'static str, &'static str)>,
    /// The role that waits, and for whom.
    pub pending: Option<(&'static str, String)>,
    pub own: bool,
    pub can_become_iuv_admin: bool,
}

pub(super) struct TestedSeen {
    pub status: u16,
    pub answer: String,
    pub steps: Vec<(&'static str, &'static str)>,
    pub shopper: Option<String>,
}
