//! What an organisation sets for all its phones: the telephone system, the path, the whitelist.

use crate::{
    devices::{Salt, network, path_of},
    http::{Ask, Changed, Code, Doc, Problem, Reply},
    kernel::{
        Stamp, UnixMillis,
        schema::{Text, TextOrEmpty, Time, pattern, shapes, words},
    },
    orgs::{
        Network, Organisation, PbxSettings, Phones, PhonesCommand,
        api::{Wrong, is_text, organisations, text},
        organisation::Command,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const REGISTRAR_MAX: usize = 120;
const NOTE_MAX: usize = 80;
const NUMBER_MAX: usize = 32;
const EMERGENCY_MAX: usize = 10;
const NETWORK_MAX: usize = 64;
type Note = TextOrEmpty<NOTE_MAX>;
type NetworkGiven = Text<NETWORK_MAX>;

shapes! {
    Registrar, "Host name or address of the telephone system; an IPv6 address stands in brackets",
        pattern(r"^([A-Za-z0-9]([A-Za-z0-9.-]{0,118}[A-Za-z0-9])?|\[[0-9A-Fa-f:]{2,39}\])$").examples(["pbx.example.org"]);
    PhoneNumber, "Digits, `*` and `+`", pattern(r"^[0-9*+]{1,32}$").examples(["112"]);
    NetworkText, "An address or a network", pattern(r"^[0-9A-Fa-f:./]+$").examples(["192.0.2.0/24"]);
    EntryKind, "Whether it ends by itself", words(&["permanent", "temporary"]);
    ProvisioningUrl, "A URL", pattern("^https?://.+$").examples(["https://castellan.example.org/provisioning/x"]);
}

#[derive(Serialize, ToSchema)]
#[schema(as = PhoneSettings)]
struct Shown {
    #[schema(value_type = Registrar)]
    registrar: Box<str>,
    #[schema(minimum = 1, maximum = 65535)]
    registrar_port: u16,
    #[schema(value_type = Vec<PhoneNumber>)]
    emergency_numbers: Vec<String>,
    #[schema(value_type = PhoneNumber)]
    authentication_number: Box<str>,
    /// What phones are pointed at; nothing until it is made.
    #[schema(value_type = Option<ProvisioningUrl>)]
    provisioning_url: Option<String>,
    /// The page for the person at the phone.
    #[schema(value_type = Option<ProvisioningUrl>)]
    page_url: Option<String>,
    revision: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PhoneSettingsChange)]
struct Change {
    #[schema(value_type = Option<Registrar>)]
    registrar: Option<String>,
    #[schema(minimum = 1, maximum = 65535)]
    registrar_port: Option<u16>,
    #[schema(value_type = Option<Vec<PhoneNumber>>, min_items = 1, max_items = 10)]
    emergency_numbers: Option<Vec<String>>,
    #[schema(value_type = Option<PhoneNumber>)]
    authentication_number: Option<String>,
}

async fn tell(ask: &Ask, command: PhonesCommand) -> Result<u64, Problem> {
    organisations::tell(ask, ask.org(), Command::Phones(command)).await
}

async fn look(ask: &Ask) -> Result<(Phones, u64), Problem> {
    let org = ask.org();
    let read =
        |state: &Organisation, stamp: Stamp| state.known.as_ref().map(|known| (known.phones.clone(), stamp.revision));
    ask.engine.read(org.at(org), read).await?.ok_or_else(|| Code::NotFound.into())
}

/// What phones are pointed at, and the page.
fn urls(ask: &Ask, phones: &Phones) -> Option<(String, String)> {
    let path = path_of(ask.engine.keys(), ask.org(), phones)?;
    Some((ask.phones().provisioning_url(&path), ask.phones().page_url(&path)))
}

pub(crate) const SETTINGS: Doc = Doc::new("Show what holds for all phones").answers::<Shown>();

pub(crate) async fn settings(ask: Ask) -> Result<Reply, Problem> {
    let (phones, revision) = look(&ask).await?;
    let (provisioning_url, page_url) = urls(&ask, &phones).unzip();
    let PbxSettings { registrar, registrar_port, emergency_numbers, authentication_number } = phones.pbx;
    Reply::ok(&Shown {
        registrar,
        registrar_port,
        emergency_numbers,
        authentication_number,
        provisioning_url,
        page_url,
        revision,
    })
}

fn is_number(text: &str) -> bool {
    (1..=NUMBER_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || b"*+".contains(&byte))
}

fn is_registrar(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= REGISTRAR_MAX
        && edge(text.bytes().next())
        && edge(text.bytes().next_back())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
}

pub(crate) const SET: Doc = Doc::new("Change what holds for all phones").takes::<Change>().changed();

pub(crate) async fn set(ask: Ask) -> Result<Reply, Problem> {
    let body: Change = ask.json()?;
    let mut wrong = Wrong::default();
    let registrar = body.registrar.as_deref().is_none_or(is_registrar);
    wrong.unless(registrar, "/registrar", "expected a host name or an address; an IPv6 address stands in brackets");
    wrong.unless(body.registrar_port != Some(0), "/registrar_port", "expected 1 to 65535");
    if let Some(numbers) = &body.emergency_numbers {
        let count = (1..=EMERGENCY_MAX).contains(&numbers.len());
        wrong.unless(count, "/emergency_numbers", "expected 1 to 10 numbers");
        for (at, number) in numbers.iter().enumerate().take(EMERGENCY_MAX) {
            wrong.unless(is_number(number), &format!("/emergency_numbers/{at}"), "expected 1 to 32 of 0-9 * +");
        }
    }
    let number = body.authentication_number.as_deref().is_none_or(is_number);
    wrong.unless(number, "/authentication_number", "expected 1 to 32 of 0-9 * +");
    wrong.check()?;
    let pbx = look(&ask).await?.0.pbx;
    let pbx = PbxSettings {
        registrar: body.registrar.map_or(pbx.registrar, Into::into),
        registrar_port: body.registrar_port.unwrap_or(pbx.registrar_port),
        emergency_numbers: body.emergency_numbers.unwrap_or(pbx.emergency_numbers),
        authentication_number: body.authentication_number.map_or(pbx.authentication_number, Into::into),
    };
    Reply::ok(&Changed { revision: tell(&ask, PhonesCommand::Set(pbx)).await? })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NothingOfPhones)]
struct Nothing {}

#[derive(Serialize, ToSchema)]
#[schema(as = PhonePath)]
struct Made {
    #[schema(value_type = ProvisioningUrl)]
    provisioning_url: String,
    #[schema(value_type = ProvisioningUrl)]
    page_url: String,
    revision: u64,
}

pub(crate) const MAKE_PATH: Doc = Doc::new("Make the path that phones are pointed at")
    .details("It cannot be guessed. One that was made before is dead at once.")
    .takes::<Nothing>()
    .created::<Made>();

pub(crate) async fn make_path(ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = ask.json()?;
    let salt = Salt::of(ask.mint_secret("phones' path", 0));
    let revision = tell(&ask, PhonesCommand::MakePath { salt }).await?;
    let made = Phones { path: Some(salt), ..Phones::default() };
    let (provisioning_url, page_url) = urls(&ask, &made).ok_or(Code::Internal)?;
    Reply::created(&Made { provisioning_url, page_url, revision })
}

#[derive(Serialize, ToSchema)]
#[schema(as = Whitelist)]
struct Whitelist {
    items: Vec<Entry>,
    revision: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WhitelistEntry)]
struct Entry {
    entry: u32,
    #[schema(value_type = NetworkText)]
    network: String,
    #[schema(value_type = EntryKind)]
    kind: &'static str,
    note: Box<str>,
    #[schema(value_type = Time)]
    since: String,
    #[schema(value_type = Option<Time>)]
    until: Option<String>,
}

pub(crate) const WHITELIST: Doc = Doc::new("List the addresses that phones are trusted from").answers::<Whitelist>();

pub(crate) async fn whitelist(ask: Ask) -> Result<Reply, Problem> {
    let (phones, revision) = look(&ask).await?;
    let now = ask.now();
    let permanent = phones.permanent.into_iter().map(|entry| Entry {
        entry: entry.entry,
        network: entry.network.to_string(),
        kind: "permanent",
        note: entry.note,
        since: entry.since.to_rfc3339(),
        until: None,
    });
    let standing = phones.temporary.into_iter().filter(|entry| now < entry.until);
    let temporary = standing.map(|entry| Entry {
        entry: entry.entry,
        network: Network::from(entry.address).to_string(),
        kind: "temporary",
        note: "".into(),
        since: entry.since.to_rfc3339(),
        until: Some(UnixMillis::to_rfc3339(entry.until)),
    });
    Reply::ok(&Whitelist { items: permanent.chain(temporary).collect(), revision })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWhitelistEntry)]
struct Allow {
    /// 192.0.2.7, 192.0.2.0/24, 192.0.2.0/255.255.255.0, 2001:db8::/32.
    #[schema(value_type = NetworkGiven)]
    network: String,
    #[serde(default)]
    #[schema(value_type = Note)]
    note: String,
    /// Needed for everybody (`/0`).
    #[serde(default)]
    force: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WhitelistEntryMade)]
struct Allowed {
    entry: u32,
    #[schema(value_type = NetworkText)]
    network: String,
    revision: u64,
}

pub(crate) const ALLOW: Doc = Doc::new("Trust phones from an address or a network")
    .details("What is nearly right is refused with its corrected form.")
    .takes::<Allow>()
    .created::<Allowed>()
    .refuses(&[Code::WhitelistFull]);

pub(crate) async fn allow(ask: Ask) -> Result<Reply, Problem> {
    let body: Allow = ask.json()?;
    let mut wrong = Wrong::default();
    text(&mut wrong, "/note", if body.note.is_empty() { "-" } else { &body.note }, NOTE_MAX);
    let network = match network::parse(&body.network).map_err(|error| error.to_string()) {
        Ok(network) if network.prefix_len() == 0 && !body.force => {
            wrong.add("/network", "this is everybody: say `force` if that is meant");
            None
        }
        Ok(network) => Some(network),
        Err(error) => {
            wrong.add("/network", error);
            None
        }
    };
    wrong.unless(is_text(&body.network, NETWORK_MAX) || network.is_none(), "/network", "expected a short text");
    wrong.check()?;
    let Some(network) = network else { return Err(Code::Invalid.into()) };
    let command = PhonesCommand::Allow { network: network.into(), note: body.note.into() };
    let revision = tell(&ask, command).await?;
    let (phones, _) = look(&ask).await?;
    let made = phones.permanent.iter().find(|entry| entry.network == network.into());
    let entry = made.map(|entry| entry.entry).ok_or(Code::NotFound)?;
    Reply::created(&Allowed { entry, network: network.to_string(), revision })
}

pub(crate) const REVOKE: Doc = Doc::new("Trust phones from an address no longer").changed();

pub(crate) async fn revoke(ask: Ask) -> Result<Reply, Problem> {
    let entry: u32 = ask.path("entry")?;
    Reply::ok(&Changed { revision: tell(&ask, PhonesCommand::Revoke { entry }).await? })
}
