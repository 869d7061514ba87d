//! What values of stores may come over the wire.

use crate::{
    devices::network,
    iuv::words::{Group, VerificationKind, VerificationState},
    kernel::schema::{BLANKS, CONTROLS, Text, TextOrEmpty, pattern, shapes},
    orgs::{
        Network,
        api::{Wrong, is_text},
    },
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use utoipa::ToSchema;

pub(super) const NAME_MAX: usize = 100;
pub(super) const CODE_MAX: usize = 50;
pub(super) const SECTOR_MAX: usize = 80;
pub(super) const URL_MAX: usize = 500;
pub(super) const DOMAINS_MAX: usize = 50;
pub(super) const DEFAULT_GROUPS_MAX: usize = 50;
const NETWORK_MAX: usize = 64;

pub(super) type Name = Text<NAME_MAX>;
pub(super) type Sector = TextOrEmpty<SECTOR_MAX>;
pub(super) type NetworkGiven = Text<NETWORK_MAX>;

shapes! {
    GroupCode, "The code of a user group: no comma, no control characters, no blanks at the ends",
        pattern(&format!("^[^,{CONTROLS}{BLANKS}]([^,{CONTROLS}]*[^,{CONTROLS}{BLANKS}])?$")).max_length(Some(CODE_MAX)).examples(["students"]);
    Account, "Nine digits, the first not a zero", pattern("^[1-9][0-9]{8}$").examples(["100001111"]);
    Guid, "The store's GUID", pattern("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$").examples(["2fb0a48a-350a-dc11-bb1f-001372747fc5"]);
    SystemName, "Letters, digits and hyphens", pattern("^[A-Za-z0-9]([A-Za-z0-9-]{0,48}[A-Za-z0-9])?$").examples(["software-shop"]);
    Url, "An absolute URL without blanks", pattern(r"^https?://[A-Za-z0-9\[][!-~]*$").max_length(Some(URL_MAX)).examples(["https://www.example.edu/login"]);
    NetworkText, "An address or a network", pattern(r"^[0-9A-Fa-f:./]+$").examples(["192.0.2.0/24"]);
    HeaderName, "The name of a header, in lower case", pattern("^[a-z0-9_-]{1,64}$").examples(["eppn"]);
    Domain, "A domain, in lower case", pattern(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$").max_length(Some(253)).examples(["example.edu"]);
    IuvKey, "8 to 64 letters, digits and signs without blanks", pattern("^[!-~]{8,64}$").examples(["5f0c1d2e3b4a59687786a5b4c3d2e1f0"]);
}

/// Refuses what does not look so.
pub(crate) struct Code<const CLASS: bool>(pub Box<str>);

/// The code of a class of user groups, such as `academic_statuses`.
pub(crate) type ClassCode = Code<true>;
/// The code of a member organisation.
pub(crate) type MemberCode = Code<false>;

/// Parameters of the protocol: no class can have such a name.
const RESERVED: [&str; 8] =
    ["account", "username", "key", "email", "last_name", "first_name", "shopper_ip", "member_org"];

impl<const CLASS: bool> FromStr for Code<CLASS> {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let sign = |byte: u8| byte == b'_' || (!CLASS && b".-".contains(&byte));
        let right = (1..=CODE_MAX).contains(&text.len())
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || sign(byte));
        let reserved = CLASS && RESERVED.iter().any(|name| name.eq_ignore_ascii_case(text));
        if right && !reserved { Ok(Self(text.into())) } else { Err(()) }
    }
}

shapes! {
    ClassCodeShape, "The code of a class of user groups: a letter or digit, then letters, digits, `_`; none of the protocol's other parameters",
        pattern("^(?!([aA][cC][cC][oO][uU][nN][tT]|[uU][sS][eE][rR][nN][aA][mM][eE]|[kK][eE][yY]|[eE][mM][aA][iI][lL]|([lL][aA]|[fF][iI][rR])[sS][tT]_[nN][aA][mM][eE]|[sS][hH][oO][pP][pP][eE][rR]_[iI][pP]|[mM][eE][mM][bB][eE][rR]_[oO][rR][gG])$)[A-Za-z0-9][A-Za-z0-9_]{0,49}$").examples(["academic_statuses"]);
    MemberCodeShape, "The code of a member organisation: a letter or digit, then letters, digits, `.`, `_`, `-`",
        pattern("^[A-Za-z0-9][A-Za-z0-9_.-]{0,49}$").examples(["OrgB"]);
}

/// A user group, by its class.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserGroupOfClass)]
pub(super) struct GroupGiven {
    #[schema(value_type = ClassCodeShape)]
    pub class: Box<str>,
    #[schema(value_type = GroupCode)]
    pub group: Box<str>,
}

impl From<&Group> for GroupGiven {
    fn from(group: &Group) -> Self {
        Self { class: group.class.clone(), group: group.code.clone() }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewVerification)]
pub(super) struct NewVerification {
    pub kind: VerificationKind,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VerificationStateChange)]
pub(super) struct NewState {
    pub state: VerificationState,
}

pub(super) fn is_system_name(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= CODE_MAX
        && edge(text.bytes().next())
        && edge(text.bytes().next_back())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

pub(super) fn is_group(text: &str) -> bool {
    is_text(text, CODE_MAX) && !text.contains(',')
}

pub(super) fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = |rest: &str| rest.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'[');
    text.len() <= URL_MAX && rest.is_some_and(host) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(super) fn is_header(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
}

pub(super) fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

pub(super) fn is_key(text: &str) -> bool {
    (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a key can be guessed: fewer than 128 bits, if they are hexadecimal digits.
pub(super) fn is_short_key(text: &str) -> bool {
    text.len() < 32
}

/// The shortest prefixes of a list: more would be everybody, or nearly.
const SHORTEST_V4: u8 = 8;
const SHORTEST_V6: u8 = 16;

pub(super) fn checked_network(wrong: &mut Wrong, pointer: &str, text: &str) -> Option<Network> {
    match network::parse(text) {
        Ok(IpNet::V4(network)) if network.prefix_len() < SHORTEST_V4 => {
            wrong.add(pointer, "expected a prefix of 8 bits at least");
            None
        }
        Ok(IpNet::V6(network)) if network.prefix_len() < SHORTEST_V6 => {
            wrong.add(pointer, "expected a prefix of 16 bits at least");
            None
        }
        Ok(network) => Some(network.into()),
        Err(error) => {
            wrong.add(pointer, error.to_string());
            None
        }
    }
}
