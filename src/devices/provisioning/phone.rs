//! What is written into a phone's configuration.

use crate::{devices::Mac, orgs::Language};

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
