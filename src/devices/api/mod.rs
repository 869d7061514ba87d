//! The administration of devices, and what a telephone system asks of them.

pub mod authenticate;
pub mod csv;
pub mod events;
mod list;
pub mod phones;
mod show;

pub(crate) use list::{LIST, list};
pub(crate) use show::{PAP, SHOW, pap, show};

use super::{
    mac::Mac,
    provisioning::{Model, Vendor, fits},
    rows::{AccountPlain, AccountsPlain},
    state::{Accounts, Changes, Command, Description, Device, FreshPap, Refusal},
    words::Pap,
};
use crate::{
    http::{Ask, Bulk, Cell, Changed, Code, Doc, Problem, Reply, body::objects},
    kernel::{
        Address, Codec, DeviceId, Stamp, VaultField,
        schema::{Text, TextOrEmpty, pattern, shapes},
    },
    orgs::api::{Wrong, is_text, or_null, text},
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

pub(super) const LABEL_MAX: usize = 80;
pub(super) const SITE_MAX: usize = 80;
const ACCOUNTS_MAX: usize = 16;
const ACCOUNT_TEXT_MAX: usize = 80;
type Label = TextOrEmpty<LABEL_MAX>;
type Site = TextOrEmpty<SITE_MAX>;
type AccountName = TextOrEmpty<ACCOUNT_TEXT_MAX>;
type AccountText = Text<ACCOUNT_TEXT_MAX>;

shapes! {
    MacText, "A MAC address in every usual spelling; shown as 12 lower-case hexadecimal digits",
        pattern("^[0-9A-Fa-f][02468ACEace]([:-]?[0-9A-Fa-f]{2}){5}$").examples(["00:04:13:ab:cd:ef"]);
    PapText, "Six digits; leading zeros belong to it", pattern("^[0-9]{6}$").examples(["000123"]);
}

#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSipAccount)]
pub(super) struct NewAccount {
    #[schema(value_type = AccountText)]
    user: String,
    #[schema(value_type = AccountText)]
    password: String,
    /// What the phone shows.
    #[serde(default)]
    #[schema(value_type = AccountName)]
    name: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDevice)]
struct Create {
    #[schema(value_type = MacText)]
    mac: String,
    vendor: Vendor,
    model: Option<Model>,
    #[serde(default)]
    #[schema(value_type = Label)]
    label: String,
    #[serde(default)]
    #[schema(value_type = Site)]
    site: String,
    #[serde(default, deserialize_with = "objects")]
    #[schema(max_items = 16)]
    accounts: Vec<NewAccount>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeviceCreated)]
struct Created {
    device: DeviceId,
    revision: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeviceChange)]
struct Change {
    #[schema(value_type = Option<MacText>)]
    mac: Option<String>,
    vendor: Option<Vendor>,
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<Model>)]
    model: Option<Option<Model>>,
    #[schema(value_type = Option<Label>)]
    label: Option<String>,
    #[schema(value_type = Option<Site>)]
    site: Option<String>,
    #[schema(max_items = 16)]
    accounts: Option<Vec<NewAccount>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NothingOfDevice)]
struct Nothing {}

pub(super) fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => Problem::detailed(Code::NotFound, "no such device"),
        Refusal::AlreadyExists => Code::AlreadyExists.into(),
        Refusal::NoPap => Code::NoPap.into(),
    }
}

/// The device that the path names.
fn named(ask: &Ask) -> Result<Address, Problem> {
    Ok(ask.path::<DeviceId>("device")?.at(ask.org()))
}

pub(super) fn checked_mac(wrong: &mut Wrong, text: &str) -> Option<Mac> {
    let read = text.parse::<Mac>();
    if let Err(error) = &read {
        wrong.add("/mac", error.to_string());
    }
    read.ok()
}

pub(super) fn check_short(wrong: &mut Wrong, pointer: &str, value: &str, max: usize) {
    if !value.is_empty() && !is_text(value, max) {
        wrong.add(pointer, format!("expected at most {max} characters, no control characters, no blanks at the ends"));
    }
}

/// Whether a vendor's phones can be told these accounts: users and passwords.
fn check_fits<'a>(wrong: &mut Wrong, vendor: Vendor, accounts: impl ExactSizeIterator<Item = [&'a str; 2]>) {
    let most = vendor.accounts_max();
    if accounts.len() > most {
        wrong.add("/accounts", format!("phones of {vendor} take at most {most} accounts"));
    }
    for (at, values) in accounts.enumerate().take(ACCOUNTS_MAX) {
        for (name, value) in ["user", "password"].into_iter().zip(values) {
            if !fits(vendor, value) {
                wrong.add(format!("/accounts/{at}/{name}"), format!("phones of {vendor} cannot be told this"));
            }
        }
    }
}

fn to_be_told(accounts: &[NewAccount]) -> impl ExactSizeIterator<Item = [&str; 2]> {
    accounts.iter().map(|account| [&*account.user, &*account.password])
}

/// The same of the accounts that a device has.
pub(super) async fn check_has_fitting(
    ask: &Ask,
    wrong: &mut Wrong,
    device: Address,
    vendor: Vendor,
) -> Result<(), Problem> {
    let plain = accounts_of(ask, device).await?;
    check_fits(wrong, vendor, plain.accounts.iter().map(|account| [&*account.user, &*account.password]));
    Ok(())
}

/// The accounts that a device has.
async fn accounts_of(ask: &Ask, device: Address) -> Result<AccountsPlain, Problem> {
    let sealed = ask.engine.open_vault(device, VaultField::SipSecret).await?.filter(|sealed| !sealed.is_empty());
    let plain = sealed.map(|sealed| AccountsPlain::decode_from(&sealed)).transpose();
    Ok(plain.map_err(|why| StoreError::Corrupt { what: "device's accounts", why })?.unwrap_or_default())
}

fn check_accounts(wrong: &mut Wrong, accounts: &[NewAccount]) {
    wrong.unless(accounts.len() <= ACCOUNTS_MAX, "/accounts", "expected at most 16 accounts");
    for (at, account) in accounts.iter().enumerate().take(ACCOUNTS_MAX) {
        text(wrong, &format!("/accounts/{at}/user"), &account.user, ACCOUNT_TEXT_MAX);
        text(wrong, &format!("/accounts/{at}/password"), &account.password, ACCOUNT_TEXT_MAX);
        check_short(wrong, &format!("/accounts/{at}/name"), &account.name, ACCOUNT_TEXT_MAX);
    }
}

fn sealed(accounts: Vec<NewAccount>) -> Accounts {
    let plain =
        |account: NewAccount| AccountPlain { user: account.user, password: account.password, name: account.name };
    let plain = AccountsPlain { accounts: accounts.into_iter().map(plain).collect() };
    Accounts { count: plain.accounts.len() as u8, plain: Zeroizing::new(plain.to_bytes()) }
}

/// How often a PAP is drawn again because another device has it.
const DRAWS: usize = 8;

/// A PAP for this request; a repeated request draws the same ones.
fn drawn(ask: &Ask, draw: usize) -> FreshPap {
    let pap = Pap::drawn(&ask.mint_secret("pap", draw));
    FreshPap { mark: pap.mark(ask.engine.keys(), ask.org()), plain: Zeroizing::new(pap.as_str().into()) }
}

/// One command to a device that may need a PAP that no other has.
async fn tell_with_pap(ask: &Ask, device: Address, command: impl Fn(FreshPap) -> Command) -> Result<u64, Problem> {
    let mut told = Err(Code::NoFreePap.into());
    for draw in 0..DRAWS {
        told = ask.tell_once::<Device>(device, command(drawn(ask, draw)), refused).await;
        if !told.as_ref().is_err_and(|problem| problem.code() == Code::NoFreePap) {
            break;
        }
    }
    told
}

pub(crate) const CREATE: Doc = Doc::new("Set up a device")
    .details("It gets a PAP, which stands in no answer but the one that shows it.")
    .takes::<Create>()
    .created::<Created>()
    .refuses(&[Code::AlreadyExists, Code::MacTaken, Code::NoFreePap]);

pub(crate) async fn create(ask: Ask) -> Result<Reply, Problem> {
    let body: Create = ask.json()?;
    let mut wrong = Wrong::default();
    let mac = checked_mac(&mut wrong, &body.mac);
    check_short(&mut wrong, "/label", &body.label, LABEL_MAX);
    check_short(&mut wrong, "/site", &body.site, SITE_MAX);
    check_accounts(&mut wrong, &body.accounts);
    check_fits(&mut wrong, body.vendor, to_be_told(&body.accounts));
    wrong.check()?;
    let Some(mac) = mac else { return Err(Code::Invalid.into()) };
    let description = Description {
        mac,
        vendor: body.vendor,
        model: body.model,
        label: body.label.into(),
        site: body.site.into(),
        accounts: body.accounts.len() as u8,
    };
    let accounts = Some(body.accounts).filter(|accounts| !accounts.is_empty()).map(sealed);
    let (device, revision) = make(&ask, description, accounts).await?;
    Reply::created(&Created { device, revision })
}

/// Makes a device.
pub(super) async fn make(
    ask: &Ask,
    description: Description,
    accounts: Option<Accounts>,
) -> Result<(DeviceId, u64), Problem> {
    let device = DeviceId(ask.mint_id("device", 0));
    let command = |pap| Command::Create { description: description.clone(), accounts: accounts.clone(), pap };
    let revision = tell_with_pap(ask, device.at(ask.org()), command).await?;
    Ok((device, revision))
}

const ROWS: Bulk = Bulk {
    takes: &[
        ("mac", Cell::Text),
        ("vendor", Cell::Text),
        ("model", Cell::Text),
        ("label", Cell::Text),
        ("site", Cell::Text),
    ],
    gives: &["device", "revision"],
};

pub(crate) const BULK: Doc = Doc::new("Set up many devices")
    .details("A row is what setting one device up takes; accounts come with NDJSON only.")
    .rows(&ROWS);

pub(crate) async fn bulk(ask: Ask) -> Result<Reply, Problem> {
    ask.no_query()?;
    ask.bulk(&ROWS, create).await
}

pub(crate) const CHANGE: Doc = Doc::new("Change a device")
    .details("Another MAC is another phone: it is reset.")
    .takes::<Change>()
    .changed()
    .refuses(&[Code::MacTaken, Code::NoFreePap]);

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let device = named(&ask)?;
    let body: Change = ask.json()?;
    let mut wrong = Wrong::default();
    let mac = body.mac.as_deref().and_then(|mac| checked_mac(&mut wrong, mac));
    check_short(&mut wrong, "/label", body.label.as_deref().unwrap_or_default(), LABEL_MAX);
    check_short(&mut wrong, "/site", body.site.as_deref().unwrap_or_default(), SITE_MAX);
    check_accounts(&mut wrong, body.accounts.as_deref().unwrap_or_default());
    if let Some(accounts) = &body.accounts {
        let vendor = match body.vendor {
            Some(vendor) => vendor,
            None => {
                let read = |state: &Device, _: Stamp| state.known().map(|known| known.description.vendor);
                ask.engine.read(device, read).await?.ok_or_else(|| refused(Refusal::NotFound))?
            }
        };
        check_fits(&mut wrong, vendor, to_be_told(accounts));
    } else if let Some(vendor) = body.vendor {
        check_has_fitting(&ask, &mut wrong, device, vendor).await?;
    }
    wrong.check()?;
    let changes = Changes {
        mac,
        vendor: body.vendor,
        model: body.model,
        label: body.label.map(Into::into),
        site: body.site.map(Into::into),
        accounts: body.accounts.map(sealed),
    };
    let command = |pap| Command::Change { changes: changes.clone(), pap };
    Reply::ok(&Changed { revision: tell_with_pap(&ask, device, command).await? })
}

pub(crate) const DELETE: Doc =
    Doc::new("Remove a device").details("Its PAP and its secrets are gone, its MAC is free.").changed();

pub(crate) async fn delete(ask: Ask) -> Result<Reply, Problem> {
    let device = named(&ask)?;
    Reply::ok(&Changed { revision: ask.tell_once::<Device>(device, Command::Delete, refused).await? })
}

pub(crate) const SUSPEND: Doc = Doc::new("Suspend the authentication of a device")
    .details("For 30 minutes from now nothing is asked of it.")
    .takes::<Nothing>()
    .changed();

pub(crate) async fn suspend(ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = ask.json()?;
    let device = named(&ask)?;
    Reply::ok(&Changed { revision: ask.tell_once::<Device>(device, Command::Suspend, refused).await? })
}

pub(crate) const RESET: Doc = Doc::new("Reset the authentication of a device")
    .details("It gets a new PAP; the old one and its credentials are dead at once.")
    .takes::<Nothing>()
    .changed()
    .refuses(&[Code::NoFreePap]);

pub(crate) async fn reset(ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = ask.json()?;
    let device = named(&ask)?;
    Reply::ok(&Changed { revision: tell_with_pap(&ask, device, |pap| Command::Reset { pap }).await? })
}
