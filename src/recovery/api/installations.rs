//! The administration of installations: made, shown, changed and removed with a token of their organisation.

use super::{Label, Name, Product, check_password, hashed, named, refused, users_of};
use crate::{
    http::{Ask, Changed, Code, Doc, Problem, Reply},
    kernel::{
        Codec, InstallationId, Stamp,
        schema::{Text, Time, line, shapes},
    },
    orgs::{
        Language,
        api::{Wrong, is_text, or_null, text},
    },
    recovery::{
        AccountPlain, Command, Description, Environment, Installation, InstallationRow, Role, TextStatus, UserPlain,
        UsersPlain,
        words::{self, ADMINISTRATOR_1, Wanted, mark_of_name},
    },
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAdministrator)]
struct Administrator {
    #[schema(value_type = Name)]
    name: String,
    #[schema(value_type = crate::kernel::schema::Password)]
    password: String,
}

const ACCOUNT_MAX: usize = 80;
type AccountName = Text<ACCOUNT_MAX>;
const ACCOUNT_PASSWORD_MAX: usize = 256;

shapes! {
    AccountPassword, "A password that a directory knows: not empty, at most 256 characters", line(ACCOUNT_PASSWORD_MAX);
}

/// What the directory knows the installation by.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DirectoryAccount)]
struct Account {
    #[schema(value_type = AccountName)]
    account: String,
    #[schema(value_type = AccountPassword)]
    password: String,
}

impl Account {
    fn check(&self, wrong: &mut Wrong) {
        text(wrong, "/directory/account", &self.account, ACCOUNT_MAX);
        let whole = is_text(&self.password, ACCOUNT_PASSWORD_MAX);
        wrong.unless(whole, "/directory/password", "expected 1 to 256 characters, without blanks at the ends");
    }

    fn sealed(self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(AccountPlain { name: self.account, password: self.password }.to_bytes())
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewInstallation)]
struct Create {
    #[schema(value_type = Label)]
    label: String,
    #[schema(value_type = Product)]
    product: String,
    environment: Environment,
    /// Of its mails and pages; the organisation's if nothing is said.
    language: Option<Language>,
    /// Wrong passwords after which a user is blocked, and attempts at one terminal; `null`: nobody is, and six attempts.
    #[schema(minimum = 1, maximum = 100)]
    errors_max: Option<u8>,
    /// Whether that blocks administrator 1 too.
    #[serde(default)]
    blocks_administrator: bool,
    administrator: Administrator,
    /// Where the server asks a directory.
    directory: Option<Account>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = InstallationCreated)]
struct Created {
    installation: InstallationId,
    /// How terminals name it: `/recovery/v1/{path}/terminals`
    path: String,
    revision: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = InstallationChange)]
struct Change {
    #[schema(value_type = Option<Label>)]
    label: Option<String>,
    language: Option<Language>,
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 100)]
    errors_max: Option<Option<u8>>,
    blocks_administrator: Option<bool>,
    /// `null`: the installation has no account with the directory any more.
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<Account>)]
    directory: Option<Option<Account>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = InstallationListed)]
pub(super) struct Listed {
    pub(super) installation: InstallationId,
    path: String,
    label: Box<str>,
    product: Box<str>,
    environment: Environment,
    language: Language,
    errors_max: Option<u8>,
    blocks_administrator: bool,
    /// What the directory calls it.
    directory_account: Option<Box<str>>,
    #[schema(value_type = Time)]
    created_at: String,
    /// Whether administrator 1 can get back in.
    pub(super) contact: ContactState,
    contact_has_telephone: bool,
    /// Why the last mail or text to the contact could not be brought.
    contact_trouble: Option<Box<str>>,
    /// What the gateway said later of the last text to the contact.
    contact_text: Option<TextStatus>,
    #[schema(value_type = Option<Time>)]
    contact_text_at: Option<String>,
    /// When a reset that the operator has started leads, or led, to a new address.
    #[schema(value_type = Option<Time>)]
    break_glass_due_at: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RecoveryContactState)]
pub(super) enum ContactState {
    None,
    ToValidate,
    Validated,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Installation)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    users: Vec<User>,
    /// Terminals that are open.
    terminals: usize,
    /// One of them has the installation for itself.
    exclusive_use: bool,
    revision: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = InstallationUser)]
struct User {
    user: u16,
    name: String,
    role: Role,
    blocked: bool,
    /// Wrong passwords in a row.
    errors: u16,
}

impl Listed {
    pub fn of(installation: InstallationId, path: String, row: InstallationRow) -> Self {
        let Description { label, product, environment, language, errors_max, blocks_administrator, account } =
            row.description;
        let contact = row.contact;
        let report = contact.as_ref().and_then(|contact| contact.report);
        Self {
            installation,
            path,
            label,
            product,
            environment,
            language,
            errors_max,
            blocks_administrator,
            directory_account: Some(account).filter(|account| !account.is_empty()),
            created_at: row.created.to_rfc3339(),
            contact: match &contact {
                None => ContactState::None,
                Some(contact) if contact.validated => ContactState::Validated,
                Some(_) => ContactState::ToValidate,
            },
            contact_has_telephone: contact.as_ref().is_some_and(|contact| contact.has_telephone),
            contact_text: report.map(|report| report.status),
            contact_text_at: report.map(|report| report.at.to_rfc3339()),
            contact_trouble: contact.and_then(|contact| contact.trouble),
            break_glass_due_at: row.glass.map(|glass| glass.due.to_rfc3339()),
        }
    }
}

fn check_errors_max(wrong: &mut Wrong, errors_max: Option<u8>) {
    wrong.unless(errors_max.is_none_or(|errors| (1..=100).contains(&errors)), "/errors_max", "expected 1 to 100");
}

pub(crate) const CREATE: Doc =
    Doc::new("Set up an installation").takes::<Create>().created::<Created>().refuses(&[Code::AlreadyExists]);

pub(crate) async fn create(ask: Ask) -> Result<Reply, Problem> {
    let body: Create = ask.json()?;
    let mut wrong = Wrong::default();
    text(&mut wrong, "/label", &body.label, super::LABEL_MAX);
    text(&mut wrong, "/product", &body.product, super::PRODUCT_MAX);
    check_errors_max(&mut wrong, body.errors_max);
    text(&mut wrong, "/administrator/name", &body.administrator.name, super::NAME_MAX);
    let Administrator { name, password } = &body.administrator;
    check_password(&ask, &mut wrong, "/administrator/password", password, name);
    body.directory.iter().for_each(|account| account.check(&mut wrong));
    wrong.check()?;
    let organisation = ask.engine.view::<crate::orgs::Organisation>(ask.org().at(ask.org())).await?;
    let language = body.language.or_else(|| organisation.map(|view| view.language)).unwrap_or(Language::En);
    let installation = InstallationId(ask.mint_id("installation", 0));
    let address = installation.at(ask.org());
    let user = UserPlain { number: ADMINISTRATOR_1, name: name.clone(), password: hashed(&ask, password).await? };
    let command = Command::Create {
        description: Description {
            label: body.label.into(),
            product: body.product.into(),
            environment: body.environment,
            language,
            errors_max: body.errors_max,
            blocks_administrator: body.blocks_administrator,
            account: body.directory.as_ref().map(|directory| directory.account.as_str()).unwrap_or_default().into(),
        },
        administrator: mark_of_name(ask.engine.keys(), address, &user.name),
        users: Zeroizing::new(UsersPlain { users: vec![user] }.to_bytes()),
        account: body.directory.map(Account::sealed),
    };
    let revision = ask.tell_once::<Installation>(address, command, refused).await?;
    Reply::created(&Created { installation, path: words::path_of(address), revision })
}

pub(crate) const SHOW: Doc = Doc::new("Show an installation").shows::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let address = named(&ask)?;
    let now = ask.now();
    let read = move |state: &Installation, stamp: Stamp| {
        let known = state.known()?;
        let terminals = known.terminals.iter().filter(|terminal| now < terminal.until).count();
        let exclusive = known.exclusive_at(now).is_some();
        let row = InstallationRow::of(known);
        Some((row, known.users.clone(), terminals, exclusive, known.changed, stamp.revision))
    };
    let found = ask.engine.read(address, read).await?.ok_or(Code::NotFound)?;
    let (row, users, terminals, exclusive_use, changed, revision) = found;
    let names = users_of(&ask, address).await?;
    let user = |user: crate::recovery::state::User| User {
        user: user.number,
        name: names.of(user.number).map(|plain| plain.name.clone()).unwrap_or_default(),
        role: user.role,
        blocked: user.blocked,
        errors: user.errors,
    };
    let users = users.into_iter().map(user).collect();
    let listed = Listed::of(InstallationId(address.entity.raw), words::path_of(address), row);
    Reply::object(changed, &Shown { listed, users, terminals, exclusive_use, revision })
}

pub(crate) const CHANGE: Doc = Doc::new("Change an installation").takes::<Change>().changed();

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let address = named(&ask)?;
    let body: Change = ask.json()?;
    let mut wrong = Wrong::default();
    if let Some(label) = &body.label {
        text(&mut wrong, "/label", label, super::LABEL_MAX);
    }
    check_errors_max(&mut wrong, body.errors_max.flatten());
    body.directory.iter().flatten().for_each(|account| account.check(&mut wrong));
    wrong.check()?;
    let named = |directory: &Option<Account>| directory.as_ref().map(|account| account.account.as_str().into());
    let wanted = Wanted {
        label: body.label.map(Into::into),
        language: body.language,
        errors_max: body.errors_max,
        blocks_administrator: body.blocks_administrator,
        account: body.directory.as_ref().map(|directory| named(directory).unwrap_or_default()),
    };
    let account = body.directory.map(|directory| directory.map_or_else(Zeroizing::default, Account::sealed));
    let command = Command::Change { wanted, account };
    let revision = ask.tell_once::<Installation>(address, command, refused).await?;
    Reply::ok(&Changed { revision })
}

pub(crate) const DELETE: Doc =
    Doc::new("Remove an installation").details("Its users, its contact and its terminals are gone.").changed();

pub(crate) async fn delete(ask: Ask) -> Result<Reply, Problem> {
    let address = named(&ask)?;
    Reply::ok(&Changed { revision: ask.tell_once::<Installation>(address, Command::Delete, refused).await? })
}
