//! The words of recovery: users, terminals, links, and the secrets that are made of a salt.

use super::state::Description;
use crate::{
    kernel::{Address, KeyedHash, UnixMillis},
    orgs::{Language, Mark},
};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// What a user of an installation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
#[schema(as = InstallationRole)]
pub enum Role {
    /// The main administrator: there is one.
    #[n(0)]
    Administrator1,
    #[n(1)]
    Administrator,
    #[n(2)]
    User,
}

/// Where an installation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Environment {
    #[n(0)]
    Local,
    #[n(1)]
    Live,
}

/// The number of administrator 1.
pub const ADMINISTRATOR_1: u16 = 1;
/// Attempts at one terminal, if the installation sets no maximum of its own.
pub const ATTEMPTS_MAX: u8 = 6;
/// From this error on the answer offers "forgotten password".
pub const OFFER_AFTER: u8 = 2;
/// Wrong passwords in a row for one name, whatever an installation sets.
pub const WRONG_IN_A_ROW_MAX: u16 = 100;
/// Wrong codes of one mail that are judged.
pub const WRONG_CODES_MAX: u8 = 5;
/// Reset links that live at a time.
pub const RESETS_MAX: usize = 3;
pub const USERS_MAX: usize = 200;
pub const TERMINALS_MAX: usize = 64;
/// Names whose errors are remembered, known or not.
pub const NAMES_MAX: usize = 512;
/// An error is forgotten after so long.
pub const ERRORS_KEPT: Duration = Duration::from_secs(24 * 3600);
pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long a name rests after so many errors in a row.
pub fn back_off(errors: u16) -> Duration {
    match errors.checked_sub(u16::from(ATTEMPTS_MAX)) {
        None => Duration::ZERO,
        Some(beyond) => Duration::from_secs((1u64 << beyond.min(6)).min(60)),
    }
}

/// What the operator sets; travels in the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub terminal_timeout: Duration,
    pub link_lives: Duration,
    pub code_lives: Duration,
    pub reset_lives: Duration,
    pub reset_mails_a_day: usize,
    pub reset_mail_pause: Duration,
    /// "Forgotten password" is offered only where it leads somewhere, as the product's manual says it.
    pub offer_as_documented: bool,
    /// A reset asks for a code too, where there is a telephone.
    pub code_before_reset: bool,
    /// How long a reset that the operator starts may be objected to.
    pub break_glass_wait: Duration,
}

/// What a mail's secrets are made of, together with the server's own secret; alone it is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Salt(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl Salt {
    pub fn of(bytes: [u8; 32]) -> Self {
        let mut salt = [0; 16];
        salt.copy_from_slice(&bytes[..16]);
        Self(salt)
    }
}

/// Which of a mail's secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In the mail's link.
    Link,
    /// In the address of the form that takes the code.
    CodeForm,
    /// In the address of the form that takes the new name and password.
    ResetForm,
    /// In the address that stops a reset which the operator has started.
    Stop,
}

impl Secret {
    fn purpose(self) -> &'static str {
        match self {
            Self::Link => "recovery.link",
            Self::CodeForm => "recovery.code_form",
            Self::ResetForm => "recovery.reset_form",
            Self::Stop => "recovery.stop",
        }
    }
}

const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const SECRET_LETTERS: usize = 26;
const ID_LETTERS: usize = 26;
pub const CODE_DIGITS: usize = 6;

/// A secret as it stands in an address: whose it is, and 130 bits.
pub fn token(keys: &dyn KeyedHash, of: Address, salt: Salt, which: Secret) -> Zeroizing<String> {
    let hash = keys.keyed_hash(which.purpose(), &[&of.to_bytes(), &salt.0]);
    Zeroizing::new(format!("{}{}", path_of(of), &*letters(&hash, SECRET_LETTERS)))
}

/// So many letters of 5 bits each.
pub fn letters(bytes: &[u8; 32], count: usize) -> Zeroizing<String> {
    bytes.iter().take(count).map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect::<String>().into()
}

/// What is stored of a terminal's token.
pub fn mark_of_terminal(keys: &dyn KeyedHash, of: Address, token: &str) -> Mark {
    mark(keys, "recovery.terminal", of, token)
}

/// What the second of two requests has to carry, so that it was meant.
pub fn confirmation(keys: &dyn KeyedHash, of: Address, parts: &[&[u8]]) -> String {
    let of = of.to_bytes();
    let parts: Vec<&[u8]> = std::iter::once(&of[..]).chain(parts.iter().copied()).collect();
    keys.keyed_hash("recovery.confirmation", &parts)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn is_confirmation(right: &str, given: &str) -> bool {
    right.as_bytes().ct_eq(given.as_bytes()).into()
}

/// How an installation is named in addresses: organisation and installation.
pub fn path_of(of: Address) -> String {
    let bare = |id: String| id.rsplit('_').next().unwrap_or_default().to_owned();
    format!("{}{}", bare(of.org.to_string()), bare(of.entity.to_string()))
}

/// Whose path or token this is; who has that secret is looked at next.
pub fn address_in(text: &str) -> Option<Address> {
    let (org, rest) = text.split_at_checked(ID_LETTERS)?;
    let (installation, _) = rest.split_at_checked(ID_LETTERS)?;
    let org = crate::kernel::ids::from_text(org).map(crate::kernel::OrgId)?;
    crate::kernel::ids::from_text(installation).map(|raw| crate::kernel::InstallationId(raw).at(org))
}

/// Whose token this is.
pub fn address_of_token(text: &str) -> Option<Address> {
    (text.len() == 2 * ID_LETTERS + SECRET_LETTERS).then(|| address_in(text))?
}

/// What is stored of a token.
pub fn mark_of_token(keys: &dyn KeyedHash, of: Address, token: &str) -> Mark {
    mark(keys, "recovery.token", of, token)
}

/// Where a gateway reports what became of a text: whose it is, the server's word for that, and which one.
pub fn report_token(keys: &dyn KeyedHash, of: Address, text: u64) -> String {
    format!("{}{}{text:x}", path_of(of), &*report_proof(keys, of, text))
}

fn report_proof(keys: &dyn KeyedHash, of: Address, text: u64) -> Zeroizing<String> {
    letters(&keys.keyed_hash("recovery.report", &[&of.to_bytes(), &text.to_be_bytes()]), SECRET_LETTERS)
}

/// Which text a report is about, if the server itself has made its address.
pub fn text_of_report(keys: &dyn KeyedHash, token: &str) -> Option<(Address, u64)> {
    let of = address_in(token)?;
    let (proof, text) = token.get(2 * ID_LETTERS..)?.split_at_checked(SECRET_LETTERS)?;
    let text = u64::from_str_radix(text, 16).ok()?;
    let right = report_proof(keys, of, text);
    bool::from(right.as_bytes().ct_eq(proof.as_bytes())).then_some((of, text))
}

/// The code that is texted: six digits, the same however often it is sent.
pub fn code(keys: &dyn KeyedHash, of: Address, salt: Salt) -> Zeroizing<String> {
    let hash = keys.keyed_hash("recovery.code", &[&of.to_bytes(), &salt.0]);
    let number = hash[..16].iter().fold(0u128, |number, byte| number << 8 | u128::from(*byte));
    Zeroizing::new(format!("{:06}", number % 1_000_000))
}

/// A code as somebody types it: blanks are nothing, other digits than these are wrong.
pub fn read_code(text: &str) -> Option<Zeroizing<String>> {
    let digits: Zeroizing<String> = Zeroizing::new(text.chars().filter(|c| !c.is_whitespace()).collect());
    (digits.len() == CODE_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// What is stored of a code; also of something that cannot be one, so that it counts.
pub fn mark_of_code(keys: &dyn KeyedHash, of: Address, code: &str) -> Mark {
    mark(keys, "recovery.code_mark", of, code)
}

/// What is stored of a user's name: upper and lower case are one.
pub fn mark_of_name(keys: &dyn KeyedHash, of: Address, name: &str) -> Mark {
    mark(keys, "recovery.name", of, &name.trim().to_lowercase())
}

pub fn mark_of_address(keys: &dyn KeyedHash, of: Address, address: &str) -> Mark {
    mark(keys, "recovery.contact", of, address)
}

fn mark(keys: &dyn KeyedHash, purpose: &str, of: Address, value: &str) -> Mark {
    let hash = keys.keyed_hash(purpose, &[&of.to_bytes(), value.as_bytes()]);
    let mut mark = [0; 16];
    mark.copy_from_slice(&hash[..16]);
    Mark(mark)
}

/// Compares without telling by its duration how much is alike.
pub fn is_same(one: Mark, other: Mark) -> bool {
    one.0.ct_eq(&other.0).into()
}

/// A mail's secrets, as they are stored. They follow from the salt; only the server can make them of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Minted {
    #[n(0)]
    pub salt: Salt,
    #[n(1)]
    pub link: Mark,
    #[n(2)]
    pub code_form: Mark,
    #[n(3)]
    pub reset_form: Mark,
    #[n(4)]
    pub code: Mark,
}

impl Minted {
    pub fn of(keys: &dyn KeyedHash, address: Address, salt: Salt) -> Self {
        let mark = |which| mark_of_token(keys, address, &token(keys, address, salt, which));
        Self {
            salt,
            link: mark(Secret::Link),
            code_form: mark(Secret::CodeForm),
            reset_form: mark(Secret::ResetForm),
            code: mark_of_code(keys, address, &code(keys, address, salt)),
        }
    }
}

/// What a mail's link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Purpose {
    #[n(0)]
    Validation,
    #[n(1)]
    Reset,
    /// To an address that the operator has named.
    #[n(2)]
    BreakGlass,
}

impl Purpose {
    pub fn name(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Reset => "reset",
            Self::BreakGlass => "break_glass",
        }
    }
}

/// A mail's link, as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Link {
    #[n(0)]
    pub minted: Minted,
    #[n(1)]
    pub purpose: Purpose,
    #[n(2)]
    pub until: UnixMillis,
    #[n(3)]
    pub stage: Stage,
    /// Codes judged wrong.
    #[n(4)]
    pub wrong: u8,
}

/// How far a link has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Stage {
    /// The button may be pressed.
    #[n(0)]
    Sent,
    /// It was pressed; the gateway has not accepted the text yet.
    #[n(1)]
    Texting {
        #[n(0)]
        until: UnixMillis,
    },
    /// The press is spent: the code is waited for.
    #[n(2)]
    Texted {
        #[n(0)]
        until: UnixMillis,
    },
}

impl Link {
    /// Whether its button may be pressed.
    pub fn is_pressable(&self, now: UnixMillis) -> bool {
        now < self.until && !matches!(self.stage, Stage::Texted { .. })
    }

    /// Whether its code may be entered.
    pub fn takes_code(&self, now: UnixMillis) -> bool {
        match self.stage {
            Stage::Sent => false,
            Stage::Texting { until } | Stage::Texted { until } => now < until && self.wrong < WRONG_CODES_MAX,
        }
    }

    /// When nothing can become of it any more.
    pub fn ends(&self) -> UnixMillis {
        match self.stage {
            Stage::Sent => self.until,
            Stage::Texting { until } => self.until.max(until),
            Stage::Texted { until } => until,
        }
    }
}

/// What is to be different about an installation; what is left out stays as it is when it is decided, so that two who
/// change different things at once both get what they want.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    pub label: Option<Box<str>>,
    pub language: Option<Language>,
    pub errors_max: Option<Option<u8>>,
    pub blocks_administrator: Option<bool>,
    /// What the directory calls it; empty: there is no account any more.
    pub account: Option<Box<str>>,
}

impl Wanted {
    pub fn of(&self, known: &Description) -> Description {
        Description {
            label: self.label.as_ref().unwrap_or(&known.label).clone(),
            language: self.language.unwrap_or(known.language),
            errors_max: self.errors_max.unwrap_or(known.errors_max),
            blocks_administrator: self.blocks_administrator.unwrap_or(known.blocks_administrator),
            account: self.account.as_ref().unwrap_or(&known.account).clone(),
            ..known.clone()
        }
    }
}

/// Why a terminal is no longer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Closing {
    #[n(0)]
    EndOfWork,
    #[n(1)]
    Errors,
    #[n(2)]
    TimedOut,
    /// Others without a login came, and it was the oldest.
    #[n(3)]
    Displaced,
    /// Administrator 1 was given new credentials.
    #[n(4)]
    Reset,
    /// Its user was given another name or password over the API.
    #[n(5)]
    Credentials,
}

impl Closing {
    pub fn name(self) -> &'static str {
        match self {
            Self::EndOfWork => "end_of_work",
            Self::Errors => "errors",
            Self::TimedOut => "timed_out",
            Self::Displaced => "displaced",
            Self::Reset => "reset",
            Self::Credentials => "credentials",
        }
    }
}

/// Why a link lives no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum LinkEnd {
    #[n(0)]
    Expired,
    #[n(1)]
    WrongCodes,
    /// A newer mail took its place.
    #[n(2)]
    Newer,
    #[n(3)]
    ContactChanged,
    #[n(4)]
    LoggedIn,
    /// Another link was used.
    #[n(5)]
    OtherUsed,
    /// Somebody objected.
    #[n(6)]
    Stopped,
    /// The operator took it back.
    #[n(7)]
    Withdrawn,
}

impl LinkEnd {
    pub fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::WrongCodes => "wrong_codes",
            Self::Newer => "newer",
            Self::ContactChanged => "contact_changed",
            Self::LoggedIn => "logged_in",
            Self::OtherUsed => "other_used",
            Self::Stopped => "stopped",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What became of "forgotten password". The person who asked is told the same each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Asked {
    #[n(0)]
    Sent,
    /// The name is of somebody else than administrator 1.
    #[n(1)]
    OtherUser,
    #[n(2)]
    NoContact,
    /// There were enough mails for now.
    #[n(3)]
    TooMany,
}

impl Asked {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::OtherUser => "other_user",
            Self::NoContact => "no_contact",
            Self::TooMany => "too_many",
        }
    }
}
