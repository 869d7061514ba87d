//! What is written into a phone's configuration.

use super::{RenderError, escape::Format};
use crate::{devices::Mac, orgs::Language};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

/// A phone, as its template sees it.
#[derive(Clone, Copy)]
pub struct Phone<'a> {
    pub mac: Mac,
    /// What people call it; shown where no account has a name of its own.
    pub label: &'a str,
    pub language: Language,
    /// IANA name, such as `Europe/Rome`.
    pub zone: &'a str,
    /// Where the organisation's phones ask, with scheme and the organisation's path, ending with `/`.
    pub base_url: &'a str,
    /// How often the phone is to ask again.
    pub poll_s: u32,
    pub pbx: Pbx<'a>,
    pub trust: Trust<'a>,
}

/// The telephone system.
#[derive(Clone, Copy)]
pub struct Pbx<'a> {
    /// Host name or address; an IPv6 address stands in brackets.
    pub registrar: &'a str,
    pub registrar_port: u16,
    /// What a phone that is not trusted may dial, besides the authentication service. Digits, `*` and `+`.
    pub emergency_numbers: &'a [String],
    /// The number of the authentication service. Digits, `*` and `+`.
    pub authentication_number: &'a str,
}

/// How far a phone is trusted, and what it therefore gets.
#[derive(Clone, Copy)]
pub enum Trust<'a> {
    Full {
        accounts: &'a [Account],
        /// For its later requests.
        credential: Credential<'a>,
    },
    /// The derived account, good for the authentication service and emergency calls.
    Minimal { user: &'a str, password: &'a str },
}

/// What a device proves itself with at its later requests.
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    pub user: &'a str,
    pub password: &'a str,
}

/// A SIP account.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    pub display_name: String,
    pub user: String,
    /// Where it differs from `user`.
    pub authentication_user: Option<String>,
    pub password: String,
    /// Where it is not the organisation's.
    pub registrar: Option<(String, u16)>,
}

/// What the template sees: nothing of it stands in an error.
#[derive(Serialize)]
pub(super) struct Seen<'a> {
    mac: SeenMac,
    /// What the display may show as the phone's name.
    label: String,
    language: &'static str,
    zone: SeenZone<'a>,
    base_url: &'a str,
    /// `base_url` in parts, for the phones that want them apart. The path begins with a slash and does not end with one.
    scheme: &'a str,
    host: &'a str,
    port: &'a str,
    path: &'a str,
    /// `base_url` with the credential before the host, where there is one.
    authorised_url: String,
    poll_s: u32,
    poll_minutes: u32,
    poll_hours: u32,
    registrar: &'a str,
    registrar_port: u16,
    emergency_numbers: &'a [String],
    authentication_number: &'a str,
    trusted: bool,
    accounts: Vec<SeenAccount<'a>>,
    /// Empty while the phone is not trusted.
    user: &'a str,
    password: &'a str,
}

#[derive(Serialize)]
pub(super) struct SeenMac {
    lower: String,
    upper: String,
    colons: String,
}

#[derive(Serialize)]
struct SeenAccount<'a> {
    /// From 1.
    number: usize,
    name: String,
    user: &'a str,
    authentication_user: &'a str,
    password: &'a str,
    registrar: &'a str,
    registrar_port: u16,
}

#[derive(Serialize)]
struct SeenZone<'a> {
    name: &'a str,
    /// East of Greenwich, in winter.
    offset_minutes: i32,
    /// The same as phones like to have it: `+01:00`.
    offset: String,
    /// `none`, `europe` (an hour more, from the last Sunday of March, 1:00 UTC, to that of October) or `other`.
    summer: &'static str,
}

impl SeenMac {
    pub fn of(mac: Mac) -> Self {
        Self { lower: mac.to_string(), upper: mac.upper(), colons: mac.with_colons() }
    }
}

impl<'a> Seen<'a> {
    pub fn phone(phone: &'a Phone<'a>, format: Format) -> Result<Self, RenderError> {
        let (scheme, host, port, path) = parts(phone.base_url).ok_or(RenderError::Value("the provisioning address"))?;
        let Pbx { registrar, registrar_port, emergency_numbers, authentication_number } = phone.pbx;
        if !emergency_numbers.iter().map(String::as_str).chain([authentication_number]).all(is_number) {
            return Err(RenderError::Value("an emergency number or the authentication service's"));
        }
        let zone = zone(phone.zone).ok_or(RenderError::Value("the time zone"))?;
        let account = |(index, account): (usize, &'a Account)| {
            let (registrar, registrar_port) =
                account.registrar.as_ref().map_or((registrar, registrar_port), |(host, port)| (host.as_str(), *port));
            let user = account.user.as_str();
            SeenAccount {
                number: index + 1,
                name: format.tamed(&account.display_name),
                user,
                authentication_user: account.authentication_user.as_deref().unwrap_or(user),
                password: &account.password,
                registrar,
                registrar_port,
            }
        };
        let (trusted, accounts, user, password) = match phone.trust {
            Trust::Full { accounts, credential: Credential { user, password } } => {
                (true, accounts.iter().enumerate().map(account).collect(), user, password)
            }
            Trust::Minimal { user, password } => {
                let name = format.tamed(notice(phone.language));
                let one = SeenAccount {
                    number: 1,
                    name,
                    user,
                    authentication_user: user,
                    password,
                    registrar,
                    registrar_port,
                };
                (false, vec![one], "", "")
            }
        };
        let authorised_url = if trusted {
            let rest = phone.base_url.split_once("://").map_or("", |(_, rest)| rest);
            format!("{scheme}://{}:{}@{rest}", percent(user), percent(password))
        } else {
            phone.base_url.to_owned()
        };
        Ok(Self {
            mac: SeenMac::of(phone.mac),
            label: format.tamed(phone.label),
            language: phone.language.tag(),
            zone,
            base_url: phone.base_url,
            scheme,
            host,
            port,
            path,
            authorised_url,
            poll_s: phone.poll_s.max(1),
            poll_minutes: phone.poll_s.div_ceil(60).max(1),
            poll_hours: phone.poll_s.div_ceil(3600).max(1),
            registrar,
            registrar_port,
            emergency_numbers,
            authentication_number,
            trusted,
            accounts,
            user,
            password,
        })
    }
}

/// What a display says until the phone has proved where it stands.
fn notice(language: Language) -> &'static str {
    match language {
        Language::It => "Autenticazione necessaria",
        Language::De => "Authentifizierung erforderlich",
        Language::En => "Authentication needed",
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || b"*+".contains(&byte))
}

/// Scheme, host, port and path of a provisioning address.
fn parts(url: &str) -> Option<(&str, &str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/')?);
    let usual = match scheme {
        "https" => "443",
        "http" => "80",
        _ => return None,
    };
    // The colons of an IPv6 address stand in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, usual),
    };
    let plain = !host.is_empty() && port.parse::<u16>().is_ok() && !authority.contains('@');
    path.strip_suffix('/').filter(|_| plain).map(|path| (scheme, host, port, path))
}

/// For the part of an address before the host.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The rule by which a zone lives now. Phones know two offsets and a rule, no history.
fn zone(name: &str) -> Option<SeenZone<'_>> {
    /// A winter that lies in no change of rules: 15 January 2026, noon, and the changes of Central Europe that follow.
    const WINTER_S: i64 = 1_768_478_400;
    const EUROPE_S: [i64; 2] = [1_774_746_000, 1_792_890_000];

    let zone = TimeZone::get(name).ok()?;
    let start = Timestamp::from_second(WINTER_S).ok()?;
    let changes: Vec<_> = zone.following(start).take(2).map(|change| change.timestamp().as_second()).collect();
    let summer = match changes.as_slice() {
        [] => "none",
        [first, second] if [*first, *second] == EUROPE_S => "europe",
        _ => "other",
    };
    let offset_minutes = zone.to_offset(start).seconds() / 60;
    let sign = if offset_minutes < 0 { '-' } else { '+' };
    let offset = format!("{sign}{:02}:{:02}", offset_minutes.abs() / 60, offset_minutes.abs() % 60);
    Some(SeenZone { name, offset_minutes, offset, summer })
}
