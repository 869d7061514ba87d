//! The small words of this context, and what is made and not stored. Stored: numbers are append-only.

use crate::{
    kernel::{KeyedHash, ProductId, ShopperId},
    orgs::Mark,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};
use utoipa::ToSchema;

/// Different products in a cart.
pub const CART_MAX: usize = 20;
/// Orders of one shopper, ever.
pub const ORDERS_MAX: usize = 200;
/// Wrong passwords in a row that lock an account.
pub const GUESSES_MAX: u32 = 5;
/// For how long it is then locked.
pub const LOCKED_FOR: Duration = Duration::from_secs(15 * 60);
/// Mails with links that one shopper can ask for.
pub const LINKS_MAX: usize = 3;
pub const LINKS_WITHIN: Duration = Duration::from_secs(3600);
pub const LINK_LIVES: Duration = Duration::from_secs(30 * 60);
/// A link that an administrator hands over.
pub const INVITATION_LIVES: Duration = Duration::from_secs(24 * 3600);
/// How long the primary administrator may think about a transfer.
pub const TRANSFER_LIVES: Duration = Duration::from_secs(7 * 24 * 3600);

/// What somebody may administer of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, ToSchema)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum StoreRole {
    #[n(0)]
    StoreAdmin,
    /// Verification types and their settings, nothing else.
    #[n(1)]
    IuvAdmin,
}

impl StoreRole {
    pub fn name(self) -> &'static str {
        match self {
            Self::StoreAdmin => "store_admin",
            Self::IuvAdmin => "iuv_admin",
        }
    }
}

/// One product of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Line {
    #[n(0)]
    pub product: ProductId,
    #[n(1)]
    pub code: LineCode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum LineCode {
    /// A test order has none.
    #[n(0)]
    Test,
    #[n(1)]
    Waits,
    #[n(2)]
    Given(#[n(0)] u64),
    /// There was none left, and too many waited.
    #[n(3)]
    Denied,
}

impl LineCode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Waits => "waiting",
            Self::Given(_) => "given",
            Self::Denied => "denied",
        }
    }
}

/// What a mailed link holds: made of the server's own secret whenever it is wanted.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkToken(String);

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken")
    }
}

impl LinkToken {
    pub fn of(keys: &dyn KeyedHash, shopper: ShopperId, salt: &[u8; 16]) -> Self {
        let secret = keys.keyed_hash("iuv.link", &[&ShopperId::to_bytes(shopper), salt]);
        Self(URL_SAFE_NO_PAD.encode(secret))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is remembered of a link.
pub fn link_mark(keys: &dyn KeyedHash, shopper: ShopperId, token: &str) -> Mark {
    mark(keys, "iuv.link_mark", shopper, token)
}

/// The same, of a link that confirms a transfer.
pub fn transfer_mark(keys: &dyn KeyedHash, shopper: ShopperId, token: &str) -> Mark {
    mark(keys, "iuv.transfer_mark", shopper, token)
}

fn mark(keys: &dyn KeyedHash, purpose: &str, shopper: ShopperId, token: &str) -> Mark {
    let hash = keys.keyed_hash(purpose, &[&ShopperId::to_bytes(shopper), token.as_bytes()]);
    let mut mark = [0; 16];
    mark.copy_from_slice(&hash[..16]);
    Mark(mark)
}
