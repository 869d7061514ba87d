//! Who makes phones, and the names of models.

use crate::devices::Mac;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;

/// A maker of phones. The numbers are stored: append-only.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Vendor {
    #[n(0)]
    Snom,
    #[n(1)]
    Yealink,
    #[n(2)]
    Grandstream,
    /// SPA telephones and adapters, also where they say Linksys.
    #[n(3)]
    Cisco,
    #[n(4)]
    Polycom,
    /// Also where they say Mitel.
    #[n(5)]
    #[serde(alias = "mitel")]
    Aastra,
    #[n(6)]
    Gigaset,
    #[n(7)]
    Panasonic,
    #[n(8)]
    Fanvil,
    #[n(9)]
    Patton,
    #[n(10)]
    Htek,
}

/// A text that names no vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("vendors are snom, yealink, grandstream, cisco, polycom, aastra, gigaset, panasonic, fanvil, patton and htek")]
pub struct VendorError;

impl Vendor {
    pub const ALL: [Self; 11] = [
        Self::Snom,
        Self::Yealink,
        Self::Grandstream,
        Self::Cisco,
        Self::Polycom,
        Self::Aastra,
        Self::Gigaset,
        Self::Panasonic,
        Self::Fanvil,
        Self::Patton,
        Self::Htek,
    ];

    /// As in the API, in CSV and in file names.
    pub fn word(self) -> &'static str {
        match self {
            Self::Snom => "snom",
            Self::Yealink => "yealink",
            Self::Grandstream => "grandstream",
            Self::Cisco => "cisco",
            Self::Polycom => "polycom",
            Self::Aastra => "aastra",
            Self::Gigaset => "gigaset",
            Self::Panasonic => "panasonic",
            Self::Fanvil => "fanvil",
            Self::Patton => "patton",
            Self::Htek => "htek",
        }
    }

    /// As people know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Snom => "Snom",
            Self::Yealink => "Yealink",
            Self::Grandstream => "Grandstream",
            Self::Cisco => "Cisco SPA",
            Self::Polycom => "Polycom",
            Self::Aastra => "Aastra/Mitel",
            Self::Gigaset => "Gigaset",
            Self::Panasonic => "Panasonic",
            Self::Fanvil => "Fanvil",
            Self::Patton => "Patton",
            Self::Htek => "Htek",
        }
    }

    /// How many SIP accounts a phone may have, as far as its configuration is known here.
    pub fn accounts_max(self) -> usize {
        match self {
            Self::Snom | Self::Polycom => 12,
            Self::Yealink => 16,
            Self::Cisco | Self::Panasonic => 8,
            Self::Aastra => 9,
            Self::Grandstream | Self::Gigaset | Self::Fanvil => 6,
            Self::Patton => 4,
            Self::Htek => 1,
        }
    }

    /// How a phone can show its credential at its later requests.
    pub fn shows(self) -> Shows {
        match self {
            Self::Aastra => Shows::Digest,
            Self::Gigaset | Self::Patton => Shows::Path,
            _ => Shows::Password,
        }
    }

    /// Whether configurations of such a model are made here.
    pub fn serves(self, model: &Model) -> bool {
        let model = model.as_str();
        // The series around the N870 and the Maxwells have formats of their own.
        self != Self::Gigaset || model.starts_with("N510") || model.starts_with("N720")
    }

    /// Whose block of addresses a MAC is out of, as far as it is one that phones are known to have. Only asked where
    /// neither the user agent nor the file's name tells.
    pub fn of_mac(Mac([a, b, c, ..]): Mac) -> Option<Self> {
        Some(match [a, b, c] {
            [0x00, 0x04, 0x13] => Self::Snom,
            [0x00, 0x15, 0x65] | [0x80, 0x5e, 0xc0] | [0x80, 0x5e, 0x0c] | [0x24, 0x9a, 0xd8] => Self::Yealink,
            [0x00, 0x0b, 0x82] | [0xc0, 0x74, 0xad] | [0xec, 0x74, 0xd7] => Self::Grandstream,
            [0x00, 0x0e, 0x08] | [0x88, 0x43, 0xe1] | [0x00, 0x02, 0xfd] => Self::Cisco,
            [0x00, 0x04, 0xf2] | [0x64, 0x16, 0x7f] => Self::Polycom,
            [0x00, 0x08, 0x5d] | [0x08, 0x00, 0x0f] => Self::Aastra,
            [0x7c, 0x2f, 0x80] => Self::Gigaset,
            [0x00, 0x80, 0xf0] => Self::Panasonic,
            [0x0c, 0x38, 0x3e] => Self::Fanvil,
            [0x00, 0xa0, 0xba] => Self::Patton,
            [0x00, 0x1f, 0xc1] => Self::Htek,
            _ => return None,
        })
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Vendor {
    type Err = VendorError;

    /// The public word or the name, in any case; also `mitel`, `linksys`, `poly`.
    fn from_str(text: &str) -> Result<Self, VendorError> {
        let text = text.trim().to_lowercase();
        let known = |vendor: &Self| vendor.word() == text || vendor.name().to_lowercase() == text;
        Self::ALL.into_iter().find(known).map_or_else(
            || match text.as_str() {
                "mitel" | "mitel/aastra" => Ok(Self::Aastra),
                "linksys" | "cisco/linksys" | "spa" => Ok(Self::Cisco),
                "poly" => Ok(Self::Polycom),
                _ => Err(VendorError),
            },
            Ok,
        )
    }
}

/// How a credential can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// User and password: Basic, and Digest where the phone knows it.
    Password,
    /// User and password, Digest alone.
    Digest,
    /// Only as a part of the address: the `base_url` of the full configuration has to hold it.
    Path,
}

/// A model's name, such as `D385`, `SIP-T46S` or `KX-HDV130`: kept as it was written, compared without regard to case.
#[derive(Clone, Debug, Encode, Decode, Serialize, ToSchema)]
#[serde(transparent)]
#[cbor(transparent)]
#[schema(value_type = String, min_length = 1, max_length = 32, pattern = "^[A-Za-z0-9](?:[A-Za-z0-9 ._+-]{0,30}[A-Za-z0-9+])?$")]
pub struct Model(#[n(0)] String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a model has 1 to {} letters, digits, spaces and . _ + -, and begins with a letter or digit", Model::LONGEST)]
pub struct ModelError;

impl Model {
    pub const LONGEST: usize = 32;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Model {}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Model {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let text = text.trim();
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b" ._+-".contains(&byte);
        let edges = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && text.bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'+');
        if edges && text.len() <= Self::LONGEST && text.bytes().all(inner) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ModelError)
        }
    }
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
