//! The small words of web stores. Stored: numbers are append-only.

use crate::kernel::{KeyedHash, OrgId, ShopperId, StoreId};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use utoipa::ToSchema;

/// How a store lets shoppers in.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize, ToSchema,
)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum VerificationKind {
    #[n(0)]
    Iuv,
    #[n(1)]
    Shibboleth,
    #[n(2)]
    UserImport,
    #[n(3)]
    EmailDomain,
}

impl VerificationKind {
    pub const ALL: [Self; 4] = [Self::Iuv, Self::Shibboleth, Self::UserImport, Self::EmailDomain];

    /// Of which there may be several, but only one at work.
    pub fn is_single_sign_on(self) -> bool {
        matches!(self, Self::Iuv | Self::Shibboleth)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Iuv => "iuv",
            Self::Shibboleth => "shibboleth",
            Self::UserImport => "user_import",
            Self::EmailDomain => "email_domain",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize, ToSchema)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum VerificationState {
    /// Works in the test store alone.
    #[n(0)]
    Test,
    #[n(1)]
    Active,
    #[n(2)]
    Inactive,
}

impl VerificationState {
    pub const ALL: [Self; 3] = [Self::Test, Self::Active, Self::Inactive];

    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }

    /// Which of the two stores it opens: the test store or the real one.
    pub fn opens(self) -> Option<Side> {
        match self {
            Self::Test => Some(Side::Test),
            Self::Active => Some(Side::Real),
            Self::Inactive => None,
        }
    }
}

/// A store has two: one for shoppers, one to try out with what is in `test`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Side {
    #[n(0)]
    Real,
    #[n(1)]
    Test,
}

impl Side {
    pub fn is_test(self) -> bool {
        self == Self::Test
    }
}

/// A user group that a shopper belongs to: both parts to the letter as the store defines them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Group {
    #[n(0)]
    pub class: Box<str>,
    #[n(1)]
    pub code: Box<str>,
}

/// In characters of the NFC.
pub const USER_NAME_MAX: usize = 100;
pub const EMAIL_MAX: usize = 100;
pub const NAME_MAX: usize = 50;

/// What is known of a shopper who is let in. Personal: stands in vault rows alone (`VaultField::IuvAttributes`), and
/// travels to the shopper as a message's secret. What a customer registers replaces what was there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Attributes {
    /// In NFC.
    #[n(0)]
    pub user_name: String,
    #[n(1)]
    pub email: Option<String>,
    #[n(2)]
    pub last_name: Option<String>,
    #[n(3)]
    pub first_name: Option<String>,
    /// The code of a member organisation.
    #[n(4)]
    pub member: Option<Box<str>>,
    #[n(5)]
    pub groups: Vec<Group>,
}

impl Attributes {
    /// As a mail addresses somebody; the user name of one who gave no other.
    pub fn full_name(&self) -> String {
        let names = [&self.first_name, &self.last_name].into_iter().flatten().map(String::as_str);
        let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
        if names.is_empty() { self.user_name.clone() } else { names.join(" ") }
    }
}

/// A user name as it is compared.
pub fn normal(user_name: &str) -> String {
    user_name.nfc().collect()
}

/// The shopper of a user name, which is in NFC: the same name in the same store is the same shopper.
pub fn shopper_of(keys: &dyn KeyedHash, org: OrgId, store: StoreId, user_name: &str) -> ShopperId {
    let hash = keys.keyed_hash("iuv.shopper", &[&org.to_bytes(), &store.to_bytes(), user_name.as_bytes()]);
    ShopperId(hash[..16].iter().fold(0, |id, byte| id << 8 | u128::from(*byte)))
}

/// A store's GUID, as customers know it.
pub fn guid(store: StoreId) -> String {
    let raw = store.0;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        raw >> 96,
        raw >> 80 & 0xffff,
        raw >> 64 & 0xffff,
        raw >> 48 & 0xffff,
        raw & 0xffff_ffff_ffff
    )
}

/// Reads a GUID in either case, with its hyphens (wherever they stand), without them, or in braces.
pub fn store_of_guid(text: &str) -> Option<StoreId> {
    let bare = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let digits: String = bare.chars().filter(|c| *c != '-').collect();
    if bare.len() > 40 || digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(StoreId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_read_back() {
        let store = StoreId(0x2fb0_a48a_350a_dc11_bb1f_0013_7274_7fc5);
        assert_eq!(guid(store), "2fb0a48a-350a-dc11-bb1f-001372747fc5");
        for text in [
            "2fb0a48a-350a-dc11-bb1f-001372747fc5",
            "2FB0A48A-350A-DC11-BB1F-001372747FC5",
            "{2fb0a48a-350a-dc11-bb1f-001372747fc5}",
            "2fb0a48a350adc11bb1f001372747fc5",
            "2fb0a48a-350a-dc11-bb1f001372747fc5",
        ] {
            assert_eq!(store_of_guid(text), Some(store), "{text}");
        }
        for text in ["", "x", "2fb0a48a-350a-dc11-bb1f-001372747fc", "+fb0a48a350adc11bb1f001372747fc5", "é"] {
            assert_eq!(store_of_guid(text), None, "{text}");
        }
        assert_eq!(guid(StoreId(1)).len(), 36);
    }

    #[test]
    fn names_are_compared_in_nfc() {
        assert_eq!(normal("Zoe\u{308}"), "Zo\u{eb}");
    }
}
