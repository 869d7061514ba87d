//! IUV, integrated user verification: a customer has signed his user in already, registers him with a web store by one
//! request, and sends his browser there (`docs/iuv.md`). Invariants IUV-1 to IUV-5; products and
//! shoppers have theirs.
//!
//! Names and addresses of shoppers stand in vault rows alone; keys are known as keyed hashes, tokens as hashes.

mod door;
mod messages;
pub mod page;
pub mod pages;
pub mod products;
pub mod sessions;
pub mod shoppers;
pub mod stores;
#[cfg(test)]
mod testing;
pub mod wire;
mod words;

pub use door::{COOKIE, Door};
pub use messages::ShopperMessage;
pub use words::{
    Attributes, EMAIL_MAX, Group, NAME_MAX, Side, USER_NAME_MAX, VerificationKind, VerificationState, guid, normal,
    shopper_of, store_of_guid,
};
