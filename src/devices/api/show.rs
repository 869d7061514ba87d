//! One device, and its PAP.

use super::{AccountName, AccountText, PapText, accounts_of, named, refused};
use crate::{
    devices::{
        provisioning::{Model, Vendor},
        rows::DeviceRow,
        state::{Command, Device, Refusal},
    },
    http::{Ask, Code, Doc, Problem, Reply},
    kernel::{
        DeviceId, Stamp, UnixMillis, VaultField,
        schema::{Address as AddressText, Time, shapes, words},
    },
};
use serde::Serialize;
use std::net::IpAddr;
use utoipa::ToSchema;

shapes! {
    DeviceState, "Where a device stands", words(&crate::devices::Authentication::NAMES);
    Served, "What a phone was given", words(&["minimal", "full"]);
}

/// What lists and single objects show alike.
#[derive(Serialize, ToSchema)]
#[schema(as = DeviceListed)]
pub(super) struct Listed {
    pub device: DeviceId,
    pub mac: String,
    pub vendor: Vendor,
    pub model: Option<Model>,
    pub label: Box<str>,
    pub site: Box<str>,
    #[schema(value_type = Time)]
    pub created_at: String,
    #[schema(value_type = DeviceState)]
    pub state: &'static str,
    /// Authenticated; its full configuration has not been fetched whole.
    pub provisioning: bool,
    #[schema(value_type = Option<Time>)]
    pub locked_until: Option<String>,
    /// Wrong PAPs in this round.
    pub wrong: u8,
    /// How often in a row it was locked.
    pub rounds: u8,
    /// PAPs that were refused while it is locked, up to 100.
    pub locked_attempts: u32,
    #[schema(value_type = Option<Time>)]
    pub suspended_until: Option<String>,
    pub window: Option<Window>,
    pub has_pap: bool,
    /// It is authenticated, and came last without its credential.
    pub lost_configuration: bool,
    pub last_contact: Option<Contact>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TrustedWindow)]
pub(super) struct Window {
    #[schema(value_type = AddressText)]
    address: IpAddr,
    #[schema(value_type = Time)]
    until: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PhoneContact)]
pub(super) struct Contact {
    #[schema(value_type = Time)]
    at: String,
    #[schema(value_type = AddressText)]
    address: IpAddr,
    user_agent: Box<str>,
    file: Box<str>,
    #[schema(value_type = Served)]
    served: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Device)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    accounts: Vec<ShownAccount>,
    revision: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SipAccount)]
struct ShownAccount {
    #[schema(value_type = AccountText)]
    user: String,
    #[schema(value_type = AccountName)]
    name: String,
}

impl Listed {
    pub fn of(device: DeviceId, row: DeviceRow, now: UnixMillis) -> Self {
        let state = row.authentication.at(now);
        let (wrong, lost_configuration) = (row.wrong_at(now), row.is_lost());
        let suspended_until = row.suspended_at(now).map(UnixMillis::to_rfc3339);
        let contact_at = row.contact_at.to_rfc3339();
        Self {
            device,
            mac: row.description.mac.to_string(),
            vendor: row.description.vendor,
            model: row.description.model,
            label: row.description.label,
            site: row.description.site,
            created_at: row.created.to_rfc3339(),
            state: state.name(),
            provisioning: state == crate::devices::Authentication::Successful { provisioned: false },
            locked_until: match state {
                crate::devices::Authentication::Failed { until } => Some(until.to_rfc3339()),
                _ => None,
            },
            wrong,
            rounds: row.rounds,
            locked_attempts: row.locked_attempts,
            suspended_until,
            window: row
                .window
                .filter(|window| now < window.until)
                .map(|window| Window { address: window.address, until: window.until.to_rfc3339() }),
            has_pap: row.has_pap,
            lost_configuration,
            last_contact: row.contact.map(|contact| Contact {
                at: contact_at,
                address: contact.address,
                user_agent: contact.user_agent,
                file: contact.file,
                served: if contact.full { "full" } else { "minimal" },
            }),
        }
    }
}

pub(crate) const SHOW: Doc = Doc::new("Show a device").shows::<Shown>();

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let address = named(&ask)?;
    let read =
        |state: &Device, stamp: Stamp| state.known().map(|known| (DeviceRow::of(known), known.changed, stamp.revision));
    let found = ask.engine.read(address, read).await?;
    let (row, changed, revision) = found.ok_or_else(|| refused(Refusal::NotFound))?;
    let plain = accounts_of(&ask, address).await?;
    let shown = |account: &crate::devices::AccountPlain| ShownAccount {
        user: account.user.clone(),
        name: account.name.clone(),
    };
    let accounts = plain.accounts.iter().map(shown).collect();
    let listed = Listed::of(DeviceId(address.entity.raw), row, ask.now());
    Reply::object(changed, &Shown { listed, accounts, revision })
}

#[derive(Serialize, ToSchema)]
#[schema(as = DevicePap)]
struct ShownPap {
    #[schema(value_type = PapText)]
    pap: String,
}

pub(crate) const PAP: Doc = Doc::new("Show the PAP of a device")
    .details("That it was shown is noted. A device that is completely provisioned has none.")
    .answers::<ShownPap>()
    .refuses(&[Code::NoPap, Code::ReadOnly, Code::OutcomeUnknown]);

pub(crate) async fn pap(ask: Ask) -> Result<Reply, Problem> {
    let address = named(&ask)?;
    // Noted first: what cannot be noted is not shown.
    ask.tell::<Device>(address, Command::ShowPap, refused).await?;
    let pap =
        ask.engine.open_vault(address, VaultField::Pap).await?.filter(|pap| !pap.is_empty()).ok_or(Code::NoPap)?;
    Reply::ok(&ShownPap { pap: String::from_utf8_lossy(&pap).into_owned() })
}
