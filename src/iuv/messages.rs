//! What the entities of this context tell each other. Stored in the outbox: numbers are append-only.

use super::{
    shoppers::StoreRole,
    words::{Side, VerificationKind},
};
use crate::kernel::{SessionId, StoreId, UnixMillis};
use minicbor::{Decode, Encode};

/// What a shopper receives.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ShopperMessage {
    /// From a session of an older version: the shopper was let in. Its secret is `Attributes`, which replace what was
    /// known of him. Now the session's first page says so itself.
    #[n(0)]
    SignedIn {
        #[n(0)]
        session: SessionId,
        #[n(1)]
        store: StoreId,
        #[n(2)]
        side: Side,
        #[n(3)]
        kind: VerificationKind,
        #[n(4)]
        at: UnixMillis,
    },
    /// From a product: one of its codes.
    #[n(1)]
    CodeGiven {
        #[n(0)]
        order: u32,
        #[n(1)]
        line: u8,
        #[n(2)]
        number: u64,
    },
    /// From a product: it has none, and too many wait.
    #[n(2)]
    NoCode {
        #[n(0)]
        order: u32,
        #[n(1)]
        line: u8,
    },
    /// From the account that had it.
    #[n(3)]
    Role {
        #[n(0)]
        role: StoreRole,
    },
}
