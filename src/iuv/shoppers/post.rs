//! What the shop's mails are about. Stored in outboxes and dead letters: numbers are append-only.

use super::words::StoreRole;
use crate::kernel::{ProductId, ShopperId, StoreId, UnixMillis};
use minicbor::{Decode, Encode};

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum ShopMail {
    /// To the shopper: a link that signs in.
    #[n(0)]
    SignIn(#[n(0)] MailedLink),
    /// To the shopper: a link that sets a password.
    #[n(1)]
    Password(#[n(0)] MailedLink),
    /// To the owner of the organisation.
    #[n(2)]
    PoolLow {
        #[n(0)]
        store: StoreId,
        #[n(1)]
        product: ProductId,
        #[n(2)]
        left: u64,
    },
    /// To the owner of the organisation: a link that confirms.
    #[n(3)]
    Transfer {
        #[n(0)]
        link: MailedLink,
        #[n(1)]
        to: ShopperId,
        #[n(2)]
        role: StoreRole,
    },
}

/// Nothing of it signs anybody in: it takes the server's own secret to make the token.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct MailedLink {
    #[n(0)]
    pub store: StoreId,
    #[n(1)]
    pub shopper: ShopperId,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub salt: [u8; 16],
    /// What stands before the token.
    #[n(3)]
    pub start: Box<str>,
    #[n(4)]
    pub until: UnixMillis,
}

impl ShopMail {
    pub fn template(&self) -> &'static str {
        match self {
            Self::SignIn(_) => "iuv_sign_in",
            Self::Password(_) => "iuv_password",
            Self::PoolLow { .. } => "iuv_pool_low",
            Self::Transfer { .. } => "iuv_role_transfer",
        }
    }
}
