//! IUV: web stores that a customer's own users enter without signing in again (`docs/iuv.md`).

mod messages;
pub mod products;
pub mod shoppers;
mod words;

pub use messages::ShopperMessage;
pub use words::{
    Attributes, Group, Side, VerificationKind, VerificationState, guid, normal, shopper_of, store_of_guid,
};
