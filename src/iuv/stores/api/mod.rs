//! The administration of stores.

pub(crate) mod events;
pub mod keys;
pub(crate) mod mails;
pub mod parts;
mod shapes;
mod show;
pub mod tester;
pub mod verifications;

pub(crate) use shapes::{ClassCode, ClassCodeShape, MemberCode, MemberCodeShape};
pub(crate) use show::{LIST, SHOW, list, show};

use super::{
    rows::SecretsPlain,
    state::{Command, Description, Refusal, WebStore},
    view::StoreView,
};
use crate::{
    http::{Ask, Changed, Code, Doc, Problem, Reply},
    iuv::words::guid,
    kernel::{Address, Codec, KeyedHash, OrgId, Stamp, StoreId, VaultField},
    orgs::{
        Language, Organisation,
        api::{Wrong, organisations::refused as refused_by_organisation, text},
        organisation,
    },
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use shapes::{Account, Guid, NAME_MAX, Name, SystemName, is_system_name};
use std::sync::Arc;
use utoipa::ToSchema;

pub(in crate::iuv) fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound | Refusal::NoSuchPart => Code::NotFound.into(),
        Refusal::AlreadyExists => Code::AlreadyExists.into(),
        Refusal::ChangedMeanwhile => Code::StoreChangedMeanwhile.into(),
        Refusal::KindTaken => Code::VerificationTaken.into(),
        Refusal::KeyTaken => Code::IuvKeyTaken.into(),
        Refusal::KeyTooShort => Code::IuvKeyTooShort.into(),
        Refusal::HasNoKey => Code::NoIuvKey.into(),
        Refusal::NotReady => Code::VerificationNotReady.into(),
        Refusal::Full => Code::StoreLimitReached.into(),
    }
}

/// The store that the path names.
fn named(ask: &Ask) -> Result<Address, Problem> {
    Ok(ask.path::<StoreId>("store")?.at(ask.org()))
}

/// The same, as it is.
async fn look(ask: &Ask) -> Result<Arc<StoreView>, Problem> {
    super::look(&ask.engine, named(ask)?).await?.ok_or_else(|| Code::NotFound.into())
}

async fn tell(ask: &Ask, command: Command) -> Result<Reply, Problem> {
    let revision = ask.tell_once::<WebStore>(named(ask)?, command, refused).await?;
    Reply::ok(&Changed { revision })
}

/// Keys and administrators as they are sealed.
pub(in crate::iuv) async fn secrets_of(ask: &Ask, store: Address) -> Result<SecretsPlain, Problem> {
    let sealed = ask.engine.open_vault(store, VaultField::StoreSecrets).await?;
    let plain = sealed.map(|sealed| SecretsPlain::decode_from(&sealed)).transpose();
    Ok(plain.map_err(|why| StoreError::Corrupt { what: "store's secrets", why })?.unwrap_or_default())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewStore)]
struct Create {
    #[schema(value_type = SystemName)]
    system_name: String,
    #[schema(value_type = Name)]
    name: String,
    language: Language,
    /// Its customers must say to which groups of `academic_statuses` a shopper belongs.
    #[serde(default)]
    academic: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = StoreCreated)]
struct Created {
    store: StoreId,
    #[schema(value_type = Guid)]
    guid: String,
    #[schema(value_type = Account)]
    account: String,
    revision: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StoreChange)]
struct Change {
    #[schema(value_type = Option<SystemName>)]
    system_name: Option<String>,
    #[schema(value_type = Option<Name>)]
    name: Option<String>,
    language: Option<Language>,
    academic: Option<bool>,
}

const SYSTEM_NAME: &str = "expected 1 to 50 letters, digits and hyphens, no hyphen at the ends";

pub(crate) const CREATE: Doc = Doc::new("Set up a web store")
    .details("It begins with the groups `students`, `faculty`, `staff` and with `user_import`. An organisation's first store gets it an account number, unless it has one.")
    .takes::<Create>()
    .created::<Created>()
    .refuses(&[Code::AlreadyExists, Code::StoreNameTaken, Code::AccountTaken]);

pub(crate) async fn create(ask: Ask) -> Result<Reply, Problem> {
    let body: Create = ask.json()?;
    let mut wrong = Wrong::default();
    wrong.unless(is_system_name(&body.system_name), "/system_name", SYSTEM_NAME);
    text(&mut wrong, "/name", &body.name, NAME_MAX);
    wrong.check()?;
    let org = ask.org();
    let account = match account_of(&ask, org).await? {
        Some(account) => account,
        None => reserve(&ask, org, None).await?,
    };
    let store = StoreId(ask.mint_id("store", 0));
    let description = Description {
        account,
        system_name: body.system_name.into(),
        name: body.name.into(),
        language: body.language,
        academic: body.academic,
    };
    let revision = ask.tell_once::<WebStore>(store.at(org), Command::Create(description), refused).await?;
    Reply::created(&Created { store, guid: guid(store), account: format!("{account:09}"), revision })
}

pub(crate) const CHANGE: Doc =
    Doc::new("Change a web store").takes::<Change>().changed().refuses(&[Code::StoreNameTaken]);

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let body: Change = ask.json()?;
    let mut wrong = Wrong::default();
    wrong.unless(body.system_name.as_deref().is_none_or(is_system_name), "/system_name", SYSTEM_NAME);
    if let Some(name) = &body.name {
        text(&mut wrong, "/name", name, NAME_MAX);
    }
    wrong.check()?;
    let Change { system_name, name, language, academic } = body;
    let (system_name, name) = (system_name.map(Into::into), name.map(Into::into));
    tell(&ask, Command::Change { system_name, name, language, academic }).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountNumber)]
struct SetAccount {
    #[schema(value_type = Account)]
    account: String,
}

pub(crate) const SET_ACCOUNT: Doc = Doc::new("Give an organisation its account number")
    .details("Before its first store, so that it keeps the number that its servers send already. It is given once and for ever; without this the server draws one.")
    .takes::<SetAccount>()
    .untagged()
    .changed()
    .refuses(&[Code::AccountTaken]);

pub(crate) async fn set_account(mut ask: Ask) -> Result<Reply, Problem> {
    let organisation: OrgId = ask.path("organisation")?;
    let body: SetAccount = ask.json()?;
    let digits = body.account.len() == 9 && body.account.bytes().all(|byte| byte.is_ascii_digit());
    let mut wrong = Wrong::default();
    wrong.unless(digits && !body.account.starts_with('0'), "/account", "expected nine digits, the first not a zero");
    wrong.check()?;
    let read = |state: &Organisation, stamp: Stamp| state.known.is_some().then_some(stamp.revision);
    let revision = ask.engine.read(organisation.at(organisation), read).await?.ok_or(Code::NotFound)?;
    ask.judge_untagged()?;
    reserve(&ask, organisation, body.account.parse().ok()).await?;
    Reply::ok(&Changed { revision })
}

fn directory() -> Address {
    OrgId::SYSTEM.at(OrgId::SYSTEM)
}

async fn account_of(ask: &Ask, org: OrgId) -> Result<Option<u32>, Problem> {
    Ok(ask.engine.read(directory(), move |state: &Organisation, _| state.account_of(org)).await?)
}

/// Account numbers that are drawn for one organisation: all of them taken is as good as impossible.
const DRAWS: u8 = 8;
const FIRST_ACCOUNT: u32 = 100_000_000;
const ACCOUNTS: u32 = 900_000_000;

/// One account number for an organisation; the same one, however often.
async fn reserve(ask: &Ask, organisation: OrgId, wanted: Option<u32>) -> Result<u32, Problem> {
    let drawn = (0..DRAWS).map(|draw| {
        let hash = ask.engine.keys().keyed_hash("iuv.account", &[&organisation.to_bytes(), &[draw]]);
        let number = hash[..4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        FIRST_ACCOUNT + number % ACCOUNTS
    });
    let command = organisation::Command::ReserveAccount { organisation, wanted, drawn: drawn.collect() };
    ask.tell::<Organisation>(directory(), command, refused_by_organisation).await?;
    account_of(ask, organisation).await?.ok_or_else(|| Code::Internal.into())
}
