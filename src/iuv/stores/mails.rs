//! What a store's mails are about. Stored in the outbox and in dead letters: numbers are append-only.

use super::state::Trouble;
use crate::kernel::{StoreId, UnixMillis};
use minicbor::{Decode, Encode};

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum StoreMail {
    /// Requests to register shoppers were refused, or failed.
    #[n(0)]
    Trouble {
        #[n(0)]
        store: StoreId,
        #[n(1)]
        at: UnixMillis,
        #[n(2)]
        troubles: Vec<Trouble>,
    },
}

impl StoreMail {
    pub fn template(&self) -> &'static str {
        match self {
            Self::Trouble { .. } => "iuv_trouble",
        }
    }
}
