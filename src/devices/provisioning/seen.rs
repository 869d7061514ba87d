//! What a template sees of a phone. Nothing of it stands in an error.

use super::{Account, Credential, Model, Pbx, Phone, RenderError, Trust, Vendor, escape::Format};
use crate::{devices::Mac, orgs::Language};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Seen<'a> {
    mac: SeenMac,
    /// Empty where it is not known.
    model: &'a str,
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
    emergency_numbers: &'a [String],
    authentication_number: &'a str,
    /// All that a phone may dial that is not trusted.
    allowed_numbers: Vec<&'a str>,
    trusted: bool,
    /// "Authentication needed", in the phone's language.
    notice: String,
    accounts: Vec<SeenAccount<'a>>,
    /// Accounts that such a phone may have and this one has not: they are to be switched off.
    unused_accounts: Vec<usize>,
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

impl SeenMac {
    pub fn of(mac: Mac) -> Self {
        Self { lower: mac.to_string(), upper: mac.upper(), colons: mac.with_colons() }
    }
}

impl<'a> Seen<'a> {
    pub fn of(
        vendor: Vendor,
        model: Option<&'a Model>,
        phone: &'a Phone<'a>,
        format: Format,
    ) -> Result<Self, RenderError> {
        let pbx = phone.pbx;
        let (scheme, host, port, path) = parts(phone.base_url).ok_or(RenderError::Value("the provisioning address"))?;
        if !is_host(pbx.registrar) {
            return Err(RenderError::Value("the registrar"));
        }
        let mut allowed_numbers: Vec<&str> = pbx.emergency_numbers.iter().map(String::as_str).collect();
        if !allowed_numbers.contains(&pbx.authentication_number) {
            allowed_numbers.push(pbx.authentication_number);
        }
        if !allowed_numbers.iter().all(|number| is_number(number)) {
            return Err(RenderError::Value("an emergency number or the authentication service's"));
        }
        let zone = SeenZone::of(phone.zone).ok_or(RenderError::Value("the time zone"))?;
        let notice = format.tamed(notice(phone.language));
        let (accounts, Credential { user, password }) = match phone.trust {
            Trust::Full { accounts, credential } => {
                let accounts = accounts.iter().enumerate();
                let accounts: Result<Vec<_>, _> =
                    accounts.map(|(index, account)| SeenAccount::of(index + 1, account, pbx, format)).collect();
                if !is_plain(credential.user) || !is_plain(credential.password) {
                    return Err(RenderError::Value("the device's credential"));
                }
                (accounts?, credential)
            }
            Trust::Minimal { user, password } => {
                if !is_plain(user) || !is_plain(password) {
                    return Err(RenderError::Value("the derived account"));
                }
                let name = notice.clone();
                let Pbx { registrar, registrar_port, .. } = pbx;
                let account = SeenAccount {
                    number: 1,
                    name,
                    user,
                    authentication_user: user,
                    password,
                    registrar,
                    registrar_port,
                };
                (vec![account], Credential { user: "", password: "" })
            }
        };
        if accounts.len() > vendor.accounts_max() {
            return Err(RenderError::Value("the number of accounts, more than such a phone has,"));
        }
        let trusted = matches!(phone.trust, Trust::Full { .. });
        let authorised_url = match phone.base_url.split_once("://") {
            Some((_, rest)) if trusted => format!("{scheme}://{user}:{password}@{rest}"),
            _ => phone.base_url.to_owned(),
        };
        Ok(Self {
            mac: SeenMac::of(phone.mac),
            model: model.map_or("", Model::as_str),
            // Of a phone that is not trusted nothing is told, not even that it is known.
            label: if trusted { format.tamed(phone.label) } else { notice.clone() },
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
            emergency_numbers: pbx.emergency_numbers,
            authentication_number: pbx.authentication_number,
            allowed_numbers,
            trusted,
            notice,
            unused_accounts: (accounts.len() + 1..=vendor.accounts_max()).collect(),
            accounts,
            user,
            password,
        })
    }
}

impl<'a> SeenAccount<'a> {
    fn of(number: usize, account: &'a Account, pbx: Pbx<'a>, format: Format) -> Result<Self, RenderError> {
        let of_pbx = (pbx.registrar, pbx.registrar_port);
        let (registrar, registrar_port) =
            account.registrar.as_ref().map_or(of_pbx, |(host, port)| (host.as_str(), *port));
        let user = account.user.as_str();
        if !is_host(registrar) {
            return Err(RenderError::Value("an account's registrar"));
        }
        let authentication_user = account.authentication_user.as_deref().unwrap_or(user);
        if [user, authentication_user, &account.password].contains(&"") {
            return Err(RenderError::Value("an account's user or password"));
        }
        Ok(Self {
            number,
            name: format.tamed(&account.display_name),
            user,
            authentication_user,
            password: &account.password,
            registrar,
            registrar_port,
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

/// What may stand in an address, in brackets and on a command line without further ado.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

fn is_host(text: &str) -> bool {
    let of_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !text.is_empty() && of_name(text),
    }
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
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let plain = is_host(host) && port.parse::<u16>().is_ok() && path.bytes().all(in_path);
    path.strip_suffix('/').filter(|_| plain).map(|path| (scheme, host, port, path))
}

/// The rule by which a zone lives now. Phones know two offsets and a rule, no history.
#[derive(Serialize)]
struct SeenZone<'a> {
    name: &'a str,
    /// East of Greenwich, in winter.
    offset_s: i32,
    offset_minutes: i32,
    offset_hours: i32,
    /// `+01:00`
    offset: String,
    /// As in the environment variable `TZ`; without summer where that is `other`.
    posix: String,
    /// `none`, `europe` (an hour more, from the last Sunday of March, 1:00 UTC, to that of October) or `other`.
    summer: &'static str,
    /// Where it is `europe`: when, by the clock that hangs on the wall.
    summer_begins_hour: i32,
    summer_ends_hour: i32,
    /// `02:00`
    summer_begins: String,
    summer_ends: String,
}

impl<'a> SeenZone<'a> {
    fn of(name: &'a str) -> Option<Self> {
        /// 15 January 2026, noon, and the changes of Europe that follow: a year whose rules stand for all.
        const WINTER_S: i64 = 1_768_478_400;
        const MONTH_S: i64 = 30 * 24 * 3600;
        const EUROPE_S: [i64; 2] = [1_774_746_000, 1_792_890_000];

        let zone = TimeZone::get(name).ok()?;
        let offset_at = |second| Some(zone.to_offset(Timestamp::from_second(second).ok()?).seconds());
        let offset_s = offset_at(WINTER_S)?;
        let (offset_minutes, offset_hours) = (offset_s / 60, offset_s / 3600);
        let (summer_begins_hour, summer_ends_hour) = (offset_hours + 1, offset_hours + 2);
        let months: Vec<_> = (0..12).map(|month| offset_at(WINTER_S + month * MONTH_S)).collect();
        let around = EUROPE_S.map(|change| [offset_at(change - 1), offset_at(change)]);
        let (winter, summer) = (Some(offset_s), Some(offset_s + 3600));
        let summer = if months.iter().all(|offset| *offset == winter) {
            "none"
        } else if around == [[winter, summer], [summer, winter]] && (0..20).contains(&offset_hours) {
            "europe"
        } else {
            "other"
        };
        let clock = |minutes: i32| format!("{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
        // POSIX counts westwards.
        let west = if offset_minutes > 0 { "-" } else { "" };
        let mut posix = format!("STD{west}{}", clock(offset_minutes));
        if summer == "europe" {
            posix.push_str(&format!("DST,M3.5.0/{summer_begins_hour},M10.5.0/{summer_ends_hour}"));
        }
        Some(Self {
            name,
            offset_s,
            offset_minutes,
            offset_hours,
            offset: format!("{}{}", if offset_minutes < 0 { '-' } else { '+' }, clock(offset_minutes)),
            posix,
            summer,
            summer_begins_hour,
            summer_ends_hour,
            summer_begins: clock(summer_begins_hour * 60),
            summer_ends: clock(summer_ends_hour * 60),
        })
    }
}
