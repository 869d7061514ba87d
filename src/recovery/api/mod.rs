//! What installations show and take over HTTP: their administration, their terminals.

pub(crate) mod contact;
pub(crate) mod events;
pub(crate) mod glass;
pub(crate) mod installations;
mod list;
pub(crate) mod mails;
pub(crate) mod reports;
pub(crate) mod reset;
pub(crate) mod terminals;
pub(crate) mod users;

pub(crate) use list::{LIST, list};

use super::{
    AccountPlain, NotAccepted, Refusal, UsersPlain,
    policy::{self, Weak},
};
use crate::{
    http::{Ask, Code, Problem},
    kernel::{Address, Codec, InstallationId, UnixMillis, VaultField, schema::Text},
    orgs::api::Wrong,
    passwords::PasswordHash,
    store::StoreError,
};
use zeroize::Zeroizing;

const LABEL_MAX: usize = 80;
const PRODUCT_MAX: usize = 40;
const NAME_MAX: usize = 80;
type Label = Text<LABEL_MAX>;
type Product = Text<PRODUCT_MAX>;
type Name = Text<NAME_MAX>;

/// How often a change is tried again that another came before.
const TRIES: usize = 4;

pub(crate) fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound | Refusal::NotAdministrator | Refusal::Expired | Refusal::NoGlass => Code::NotFound.into(),
        Refusal::GlassPending => Code::BreakGlassPending.into(),
        Refusal::AlreadyExists => Code::AlreadyExists.into(),
        Refusal::NoTerminal => Code::TerminalClosed.into(),
        Refusal::LoggedIn => Code::AlreadyLoggedIn.into(),
        Refusal::ExclusiveUse => Code::ExclusiveUse.into(),
        Refusal::TooManyTerminals => Code::TooManyTerminals.into(),
        Refusal::BackOff { .. } => Code::NameRests.into(),
        Refusal::NotOffered => Code::NotOffered.into(),
        Refusal::OtherTerminals => Code::OtherTerminals.into(),
        Refusal::AlreadyValidated => Code::AlreadyValidated.into(),
        Refusal::NoContact => Code::NoContact.into(),
        Refusal::ChangedMeanwhile => Code::InstallationChangedMeanwhile.into(),
        Refusal::NameTaken => Code::UserNameTaken.into(),
        Refusal::TooManyUsers => Code::TooManyUsers.into(),
        Refusal::Administrator1 => Code::IsAdministrator1.into(),
    }
}

/// Says how long a name rests.
fn rests(problem: Problem, until: UnixMillis, now: UnixMillis) -> Problem {
    let seconds = until.since(now).as_millis().div_ceil(1000);
    problem.retry_after_s(u32::try_from(seconds).unwrap_or(u32::MAX).max(1))
}

/// The installation that the path names.
fn named(ask: &Ask) -> Result<Address, Problem> {
    Ok(ask.path::<InstallationId>("installation")?.at(ask.org()))
}

/// What is sealed of an installation; nothing, if nothing is.
async fn sealed<T: Codec + Default>(ask: &Ask, of: Address, field: VaultField) -> Result<T, Problem> {
    let plain = ask.engine.open_vault(of, field).await?.filter(|plain| !plain.is_empty());
    let read = plain.as_deref().map(|plain| T::decode_from(plain)).transpose();
    Ok(read.map_err(|why| StoreError::Corrupt { what: "installation", why })?.unwrap_or_default())
}

async fn users_of(ask: &Ask, of: Address) -> Result<UsersPlain, Problem> {
    sealed(ask, of, VaultField::InstallationUsers).await
}

/// That the directory accepts the installation's account. Asked before anything is changed or counted.
async fn accepted_by_directory(ask: &Ask, of: Address) -> Result<(), Problem> {
    let directory = &ask.recovery().directory;
    if !directory.is_elsewhere() {
        return Ok(());
    }
    let account: AccountPlain = sealed(ask, of, VaultField::DirectoryAccount).await?;
    directory.accepts(&account).await.map_err(|why| match why {
        NotAccepted::Refused => Code::DirectoryRefused.into(),
        NotAccepted::Unavailable => Problem::from(Code::DirectoryUnavailable).retry_after_s(DIRECTORY_AGAIN_S),
    })
}

const DIRECTORY_AGAIN_S: u32 = 30;
/// What a route has to say that asks the directory.
const DIRECTORY: [Code; 2] = [Code::DirectoryRefused, Code::DirectoryUnavailable];

fn check_password(ask: &Ask, wrong: &mut Wrong, pointer: &str, password: &str, name: &str) {
    let least = ask.recovery().password_characters_min;
    if let Err(weak) = policy::judge(password, name, least) {
        wrong.add(pointer, weak.says(least));
    }
}

impl Weak {
    fn says(self, least: usize) -> String {
        match self {
            Self::Short => format!("expected at least {least} characters"),
            Self::Long => "expected at most 256 characters".to_owned(),
            Self::Known => "this is one of the passwords that everybody tries first".to_owned(),
            Self::Name => "the user's name is most of it".to_owned(),
        }
    }
}

/// Hashes a new password.
async fn hashed(ask: &Ask, password: &str) -> Result<PasswordHash, Problem> {
    let drawn = ask.mint_secret("password", 0);
    let mut salt = [0; 16];
    salt.copy_from_slice(&drawn[..16]);
    Ok(ask.passwords().hash(Zeroizing::new(password.as_bytes().to_vec()), salt).await?)
}
