//! The administration of shoppers: the list of users, accounts, invitations.

mod orders;
mod roles;

pub(crate) use orders::{ORDERS, REPORT, orders, report};
pub(crate) use roles::{CONFIRM, GRANT, REVOKE, TRANSFER, confirm, grant, revoke, transfer};

use super::{
    rows::ShopperRow,
    state::{Command, FreshLink, Known, Refusal, Shopper, SignIn},
    words::{LinkToken, StoreRole, link_mark},
};
use crate::{
    http::{Ask, Bulk, Cell, Changed, Code, Doc, List, Problem, Reply},
    iuv::{
        Attributes, EMAIL_MAX, NAME_MAX, Side, USER_NAME_MAX, VerificationKind, normal,
        products::api::{GroupNamed, check_groups, store_named},
        shopper_of,
        stores::state::ACADEMIC_STATUSES,
    },
    kernel::{
        Address, Codec, RowSpace, ShopperId, StoreId, VaultField,
        schema::{Text, Time},
    },
    orgs::api::{Email, Wrong, is_email, text},
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

const MEMBER_MAX: usize = 50;
const GROUP_MAX: usize = 101;
type UserName = Text<USER_NAME_MAX>;
type Name = Text<NAME_MAX>;
type Member = Text<MEMBER_MAX>;
type GroupText = Text<GROUP_MAX>;

pub(in crate::iuv) fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => Problem::detailed(Code::NotFound, "no such shopper"),
        Refusal::RoleMissing => Code::ShopperRoleMissing.into(),
        Refusal::TransferPending => Code::TransferPending.into(),
        Refusal::NoTransfer => Problem::detailed(Code::NotFound, "no transfer waits for its confirmation"),
        Refusal::Locked
        | Refusal::NoPassword
        | Refusal::NotAllowed
        | Refusal::LinkInvalid
        | Refusal::NotListed
        | Refusal::NotEligible
        | Refusal::LimitReached
        | Refusal::CartFull
        | Refusal::CartEmpty
        | Refusal::TooManyOrders => Code::ShopperNotAllowed.into(),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AllowedShopper)]
struct Allow {
    #[schema(value_type = UserName)]
    username: String,
    /// Where the link goes by which the password is chosen.
    #[schema(value_type = Option<Email>)]
    email: Option<String>,
    #[schema(value_type = Option<Name>)]
    last_name: Option<String>,
    #[schema(value_type = Option<Name>)]
    first_name: Option<String>,
    #[schema(value_type = Option<Member>)]
    member_org: Option<String>,
    /// `class:group`, or a group of `academic_statuses` alone.
    #[serde(default)]
    #[schema(value_type = Vec<GroupText>, max_items = 50)]
    groups: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ShopperAllowed)]
struct Allowed {
    shopper: ShopperId,
    revision: u64,
}

/// The shopper that the path names, if it is of the store that stands there.
pub(super) async fn named(ask: &Ask) -> Result<(StoreId, Address, Known), Problem> {
    let store = ask.path::<StoreId>("store")?;
    let shopper = ask.path::<ShopperId>("shopper")?;
    let known = of_store(ask, store, shopper).await?;
    Ok((store, shopper.at(ask.org()), known))
}

pub(super) async fn of_store(ask: &Ask, store: StoreId, shopper: ShopperId) -> Result<Known, Problem> {
    let read = |state: &Shopper, _| state.known().cloned();
    let known = ask.engine.read(shopper.at(ask.org()), read).await?;
    known.filter(|known| known.membership.store == store).ok_or_else(|| refused(Refusal::NotFound))
}

const ROWS: Bulk = Bulk {
    takes: &[
        ("username", Cell::Text),
        ("email", Cell::Text),
        ("last_name", Cell::Text),
        ("first_name", Cell::Text),
        ("member_org", Cell::Text),
        ("groups", Cell::List),
    ],
    gives: &["shopper", "revision"],
};

pub(crate) const ALLOW: Doc = Doc::new("Put a user on a store's list")
    .details("The list of `user_import`. Who stands there already gets these attributes instead of those before.")
    .takes::<Allow>()
    .created::<Allowed>()
    .refuses(&[Code::NotFound]);

pub(crate) async fn allow(ask: Ask) -> Result<Reply, Problem> {
    let store = store_named(&ask).await?;
    let body: Allow = ask.json()?;
    let mut wrong = Wrong::default();
    text(&mut wrong, "/username", &body.username, USER_NAME_MAX);
    if let Some(email) = &body.email {
        let fits = is_email(email) && email.chars().count() <= EMAIL_MAX;
        wrong.unless(fits, "/email", "expected an e-mail address of at most 100 characters");
    }
    for (pointer, value, max) in [
        ("/last_name", &body.last_name, NAME_MAX),
        ("/first_name", &body.first_name, NAME_MAX),
        ("/member_org", &body.member_org, MEMBER_MAX),
    ] {
        if let Some(value) = value {
            text(&mut wrong, pointer, value, max);
        }
    }
    let groups: Vec<GroupNamed> = body.groups.iter().map(|group| named_group(group)).collect();
    check_groups(&mut wrong, &groups);
    wrong.check()?;
    let attributes = Attributes {
        user_name: normal(&body.username),
        email: body.email,
        last_name: body.last_name,
        first_name: body.first_name,
        member: body.member_org.map(Into::into),
        groups: groups.iter().map(GroupNamed::to_group).collect(),
    };
    let shopper = shopper_of(ask.engine.keys(), ask.org(), store, &attributes.user_name);
    let sign_in = SignIn::of(store, VerificationKind::UserImport, ask.now(), attributes);
    let revision = ask.tell_once::<Shopper>(shopper.at(ask.org()), Command::Allow(sign_in), refused).await?;
    Reply::created(&Allowed { shopper, revision })
}

fn named_group(text: &str) -> GroupNamed {
    let (class, code) = text.split_once(':').unwrap_or((ACADEMIC_STATUSES, text));
    GroupNamed { class: class.to_owned(), group: code.to_owned() }
}

pub(crate) const IMPORT: Doc = Doc::new("Put many users on a store's list")
    .details("A row is what putting one user there takes; CSV or NDJSON.")
    .rows(&ROWS);

pub(crate) async fn import(ask: Ask) -> Result<Reply, Problem> {
    ask.no_query()?;
    store_named(&ask).await?;
    ask.bulk(&ROWS, allow).await
}

#[derive(Serialize, ToSchema)]
#[schema(as = ShopperListed)]
struct Listed {
    shopper: ShopperId,
    username: String,
    email: Option<String>,
    last_name: Option<String>,
    first_name: Option<String>,
    member_org: Option<Box<str>>,
    groups: Vec<GroupNamed>,
    /// By which kind of verification the account came, or comes now.
    kind: VerificationKind,
    /// Stands on the list of `user_import`.
    allowed: bool,
    has_password: bool,
    roles: Vec<StoreRole>,
    orders: u32,
    #[schema(value_type = Option<Time>)]
    signed_in_at: Option<String>,
    #[schema(value_type = Time)]
    created_at: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PendingTransfer)]
struct PendingTransfer {
    to: ShopperId,
    role: StoreRole,
    #[schema(value_type = Time)]
    until: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Shopper)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    /// A role that waits for the primary administrator's word.
    transfer: Option<PendingTransfer>,
    revision: u64,
}

impl Listed {
    fn of(shopper: ShopperId, row: ShopperRow, attributes: Attributes) -> Self {
        let Attributes { user_name, email, last_name, first_name, .. } = attributes;
        Self {
            shopper,
            username: user_name,
            email,
            last_name,
            first_name,
            member_org: row.member,
            groups: row.groups.iter().map(GroupNamed::of).collect(),
            kind: row.kind,
            allowed: row.allowed,
            has_password: row.has_password,
            roles: row.roles,
            orders: row.orders,
            signed_in_at: row.signed_in.map(|at| at.to_rfc3339()),
            created_at: row.created.to_rfc3339(),
        }
    }
}

/// What is sealed of a shopper.
pub(in crate::iuv) async fn attributes_of(ask: &Ask, shopper: Address) -> Result<Option<Attributes>, Problem> {
    let plain = ask.engine.open_vault(shopper, VaultField::ShopperProfile).await?;
    let read = plain.map(|plain| Attributes::decode_from(&plain)).transpose();
    Ok(read.map_err(|why| StoreError::Corrupt { what: "shopper's names", why })?)
}

pub(crate) const SHOW: Doc = Doc::new("Show a shopper").shows::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let (_, address, known) = named(&ask).await?;
    let attributes = attributes_of(&ask, address).await?.unwrap_or_default();
    let transfer = known.transfer_at(ask.now()).map(|transfer| PendingTransfer {
        to: transfer.to,
        role: transfer.role,
        until: transfer.until.to_rfc3339(),
    });
    let listed = Listed::of(ShopperId(address.entity.raw), ShopperRow::of(&known), attributes);
    Reply::object(known.changed, &Shown { listed, transfer, revision: known.changed })
}

/// Which shoppers; every filter that is named must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// How the user name begins; upper and lower case alike
    username: Option<String>,
    member_org: Option<String>,
    #[param(inline)]
    kind: Option<VerificationKind>,
    #[param(inline)]
    role: Option<StoreRole>,
    /// Stands on the list of `user_import`
    allowed: Option<bool>,
}

impl Filter {
    fn passes(&self, row: &Listed) -> bool {
        self.username.as_deref().is_none_or(|start| row.username.to_lowercase().starts_with(start))
            && self.member_org.as_deref().is_none_or(|member| row.member_org.as_deref() == Some(member))
            && self.kind.is_none_or(|kind| kind == row.kind)
            && self.role.is_none_or(|role| row.roles.contains(&role))
            && self.allowed.is_none_or(|allowed| allowed == row.allowed)
    }
}

const COLUMNS: [&str; 11] = [
    "shopper",
    "username",
    "email",
    "last_name",
    "first_name",
    "member_org",
    "kind",
    "allowed",
    "has_password",
    "orders",
    "signed_in_at",
];

pub(crate) const LIST: Doc =
    Doc::new("List shoppers").query::<Filter>().exports::<Listed, ShopperId>().refuses(&[Code::NotFound]);

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let store = store_named(&ask).await?;
    let (page, mut filter) = ask.list_query::<Filter>()?;
    filter.username = filter.username.map(|start| start.to_lowercase());
    let (org, prefix) = (ask.org(), StoreId::to_bytes(store).to_vec());
    let list = List::of_rows_under(&COLUMNS, (RowSpace::Shoppers, org, prefix), move |look, key, row: ShopperRow| {
        let corrupt = |why: String| StoreError::Corrupt { what: "shopper", why };
        let shopper = ShopperId::from_bytes(key).ok_or_else(|| corrupt("its row's key".to_owned()))?;
        let plain = look.keys.read(look.db, shopper.at(org), VaultField::ShopperProfile)?;
        let attributes = plain.map(|plain| Attributes::decode_from(&plain)).transpose().map_err(corrupt)?;
        let listed = Listed::of(shopper, row, attributes.unwrap_or_default());
        Ok(filter.passes(&listed).then_some(listed))
    });
    ask.list::<ShopperId, _>(list, &page).await
}

pub(crate) const ERASE: Doc = Doc::new("Erase a shopper")
    .details("Names, password and roles are gone. Whoever comes with the same user name is a new account.")
    .changed();

pub(crate) async fn erase(ask: Ask) -> Result<Reply, Problem> {
    let (_, shopper, _) = named(&ask).await?;
    Reply::ok(&Changed { revision: ask.tell_once::<Shopper>(shopper, Command::Erase, refused).await? })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NothingOfShopper)]
struct Nothing {}

pub(crate) const BAR: Doc = Doc::new("Take a user off a store's list").takes::<Nothing>().changed();

pub(crate) async fn bar(ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = ask.json()?;
    let (_, shopper, _) = named(&ask).await?;
    Reply::ok(&Changed { revision: ask.tell_once::<Shopper>(shopper, Command::Bar, refused).await? })
}

#[derive(Serialize, ToSchema)]
#[schema(as = ShopperInvited)]
struct Invited {
    /// Sets a password, once, within 24 hours; shown once.
    url: String,
    revision: u64,
}

pub(crate) const INVITE: Doc = Doc::new("Make a link by which a shopper chooses a password")
    .details("For whom it is not mailed, such as the first administrator, who signs in at `/admin`.")
    .takes::<Nothing>()
    .created::<Invited>();

pub(crate) async fn invite(ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = ask.json()?;
    let (store, address, _) = named(&ask).await?;
    let shopper = ShopperId(address.entity.raw);
    let (salt, token) = drawn(&ask, shopper);
    let mark = link_mark(ask.engine.keys(), shopper, token.as_str());
    let command = Command::Invite { link: FreshLink { mark, salt, mail: None } };
    let revision = ask.tell_once::<Shopper>(address, command, refused).await?;
    let home = ask.iuv().home_url(store, Side::Real);
    let url = format!("{home}signin/set-password?shopper={shopper}&key={}", token.as_str());
    Reply::created(&Invited { url, revision })
}

/// A salt for this request, and the token that is made of it; a repeated request draws the same ones.
fn drawn(ask: &Ask, shopper: ShopperId) -> ([u8; 16], LinkToken) {
    let salt = ask.mint_id("link", 0).to_be_bytes();
    (salt, LinkToken::of(ask.engine.keys(), shopper, &salt))
}
