//! What the entities of this context tell each other. Stored in the outbox: numbers are append-only.

use super::words::{Side, VerificationKind};
use crate::kernel::{SessionId, StoreId, UnixMillis};
use minicbor::{Decode, Encode};

/// What a shopper receives.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ShopperMessage {
    /// From a session: the shopper was let in. Its secret is `Attributes`, which replace what was known of him.
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
}
