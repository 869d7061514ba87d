//! Typed ids: 128 bits, written `box_0h3…` (prefix, then 26 characters of Crockford's base32 in lower case).
//!
//! Packed to 8 bytes: a u128 alone stands at multiples of 16, and what holds many ids pays for the gaps.
//!
//! A create derives its id from the caller and its idempotency key, so that a repeated request meets the same actor.

use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// What an entity is. Stored in keys: numbers are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum EntityKind {
    Organisation = 1,
    Person = 2,
    Token = 3,
    SmartBox = 4,
    Webhook = 5,
    Device = 6,
    WebStore = 7,
    IuvSession = 8,
    Shopper = 9,
    Product = 10,
    Installation = 11,
}

impl EntityKind {
    pub const ALL: [Self; 11] = [
        Self::Organisation,
        Self::Person,
        Self::Token,
        Self::SmartBox,
        Self::Webhook,
        Self::Device,
        Self::WebStore,
        Self::IuvSession,
        Self::Shopper,
        Self::Product,
        Self::Installation,
    ];

    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Person => "person",
            Self::Token => "token",
            Self::SmartBox => "box",
            Self::Webhook => "webhook",
            Self::Device => "device",
            Self::WebStore => "store",
            Self::IuvSession => "session",
            Self::Shopper => "shopper",
            Self::Product => "product",
            Self::Installation => "installation",
        }
    }

    /// How ids of such entities begin.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Organisation => OrgId::PREFIX,
            Self::Person => PersonId::PREFIX,
            Self::Token => TokenId::PREFIX,
            Self::SmartBox => BoxId::PREFIX,
            Self::Webhook => WebhookId::PREFIX,
            Self::Device => DeviceId::PREFIX,
            Self::WebStore => StoreId::PREFIX,
            Self::IuvSession => SessionId::PREFIX,
            Self::Shopper => ShopperId::PREFIX,
            Self::Product => ProductId::PREFIX,
            Self::Installation => InstallationId::PREFIX,
        }
    }
}

/// The name of one actor, unique in the whole server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(Rust, packed(8))]
pub struct EntityId {
    pub kind: EntityKind,
    pub raw: u128,
}

impl EntityId {
    pub const BYTES: usize = 17;

    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = self.kind as u8;
        bytes[1..].copy_from_slice(&self.raw.to_be_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, raw) = bytes.split_first()?;
        Some(Self { kind: EntityKind::from_number(*kind)?, raw: u128::from_be_bytes(raw.try_into().ok()?) })
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.kind.prefix(), to_text(self.raw))
    }
}

impl FromStr for EntityId {
    type Err = IdError;

    /// Reads the id of an entity of any kind.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let read = |kind: EntityKind| {
            let raw = from_text(text.strip_prefix(kind.prefix())?.strip_prefix('_')?)?;
            Some(Self { kind, raw })
        };
        EntityKind::ALL.into_iter().find_map(read).ok_or(IdError { prefix: "kind" })
    }
}

/// Where an actor lives: its organisation decides the partition, its id the owner worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub org: OrgId,
    pub entity: EntityId,
}

impl Address {
    pub const BYTES: usize = 16 + EntityId::BYTES;

    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.org.0.to_be_bytes());
        bytes[16..].copy_from_slice(&self.entity.to_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::BYTES {
            return None;
        }
        let (org, entity) = bytes.split_at(16);
        Some(Self { org: OrgId(u128::from_be_bytes(org.try_into().ok()?)), entity: EntityId::from_bytes(entity)? })
    }
}

impl<C> Encode<C> for Address {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.to_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Address {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::from_bytes(d.bytes()?).ok_or_else(|| minicbor::decode::Error::message("not an address"))
    }
}

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `{prefix}_` and 26 characters of 0-9 a-z without i, l, o, u")]
pub struct IdError {
    pub prefix: &'static str,
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const TEXT_LENGTH: usize = 26;

fn to_digits(raw: u128) -> [u8; TEXT_LENGTH] {
    let mut digits = [0; TEXT_LENGTH];
    for (at, digit) in digits.iter_mut().enumerate() {
        let shift = 5 * (TEXT_LENGTH - 1 - at);
        *digit = ALPHABET[(raw >> shift) as usize & 31];
    }
    digits
}

fn to_text(raw: u128) -> String {
    to_digits(raw).iter().map(|digit| char::from(*digit)).collect()
}

/// Reads the 26 characters after an id's prefix.
pub fn from_text(text: &str) -> Option<u128> {
    if text.len() != TEXT_LENGTH || text.as_bytes()[0] > b'7' {
        return None;
    }
    text.bytes().try_fold(0u128, |raw, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'h' => byte - b'a' + 10,
            b'j' | b'k' => byte - b'j' + 18,
            b'm' | b'n' => byte - b'm' + 20,
            b'p'..=b't' => byte - b'p' + 22,
            b'v'..=b'z' => byte - b'v' + 27,
            _ => return None,
        };
        Some(raw << 5 | u128::from(digit))
    })
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(Rust, packed(8))]
        pub struct $name(pub u128);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            pub fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                Some(Self(u128::from_be_bytes(bytes.try_into().ok()?)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let digits = to_digits(self.0);
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(from_text)
                    .map(Self)
                    .ok_or(IdError { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                let text = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::Type::String);
                let text = text.pattern(Some(concat!("^", $prefix, "_[0-7][0-9a-hjkmnp-tv-z]{25}$")));
                text.examples([concat!($prefix, "_0123456789abcdefghjkmnpqrs")]).into()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.to_bytes())?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Self::from_bytes(d.bytes()?)
                    .ok_or_else(|| minicbor::decode::Error::message(concat!("not an id: ", $prefix)))
            }
        }
    };
}

macro_rules! entity_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:ident) => {
        typed_id!($(#[$doc])* $name, $prefix);

        impl From<$name> for EntityId {
            fn from(id: $name) -> Self {
                Self { kind: EntityKind::$kind, raw: id.0 }
            }
        }

        impl $name {
            pub fn at(self, org: OrgId) -> Address {
                Address { org, entity: self.into() }
            }
        }
    };
}

entity_id!(
    /// An organisation. `OrgId::SYSTEM` is the server itself: the operator's tokens live there.
    OrgId, "org", Organisation);
entity_id!(PersonId, "per", Person);
entity_id!(TokenId, "tok", Token);
entity_id!(BoxId, "box", SmartBox);
entity_id!(WebhookId, "whk", Webhook);
entity_id!(DeviceId, "dev", Device);
entity_id!(
    /// A web store. Its GUID is the same number in another dress.
    StoreId, "ws", WebStore);
entity_id!(SessionId, "iuv", IuvSession);
entity_id!(ShopperId, "shp", Shopper);
entity_id!(ProductId, "prd", Product);
entity_id!(InstallationId, "ins", Installation);
typed_id!(
    /// A key on its fob. Lives inside the SmartBox that is its home.
    KeyId, "key");
typed_id!(
    /// A grant: person × (key, group of keys, or box).
    AccessId, "acc");
typed_id!(
    /// A group of keys, for grants.
    GroupId, "grp");
typed_id!(
    /// A signed permission that a person carries.
    PassId, "pass");
typed_id!(
    /// An exchange that a box asked the server for.
    ExchangeId, "exc");
typed_id!(
    /// A dead letter; newer ones sort before older ones.
    MailId, "mail");

impl OrgId {
    pub const SYSTEM: Self = Self(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_bytes_round_trip(raw: u128) {
            let id = BoxId(raw);
            prop_assert_eq!(id.to_string().parse::<BoxId>().unwrap(), id);
            prop_assert_eq!(BoxId::from_bytes(&id.to_bytes()).unwrap(), id);
            let address = id.at(OrgId(raw.rotate_left(7)));
            prop_assert_eq!(id.to_string().parse::<EntityId>().unwrap(), address.entity);
            prop_assert_eq!(address.entity.to_string(), id.to_string());
            prop_assert_eq!(Address::from_bytes(&address.to_bytes()).unwrap(), address);
        }
    }

    #[test]
    fn refuses_other_prefixes_letters_and_lengths() {
        let good = BoxId(7).to_string();
        assert!(good.parse::<KeyId>().is_err());
        assert!(good.to_uppercase().parse::<BoxId>().is_err());
        assert!(good[..good.len() - 1].parse::<BoxId>().is_err());
        assert!("box_zzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<BoxId>().is_err(), "more than 128 bits");
    }
}
