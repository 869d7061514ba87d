//! The vocabulary every room shares: ids, time, chance, the `Machine` trait and what may follow from a change.
//!
//! Pure: knows no context, no RocksDB, no HTTP.

pub mod chance;
pub mod condition;
pub mod effects;
pub mod feed;
#[cfg(test)]
pub mod golden;
pub mod ids;
pub mod invariants;
pub mod machine;
pub mod mail_trouble;
mod opaque;
pub mod schema;
#[cfg(test)]
pub mod testing;
pub mod time;

pub use chance::{Chance, digits};
pub use condition::{Condition, Named};
pub use effects::{
    ClaimOp, ClaimSpace, Effects, MailCopy, MailName, MailRequest, Message, MessageTarget, Recipient, RowOp, RowSpace,
    VaultField, VaultOp,
};
pub use feed::{EventOutcome, EventView, FeedCursor};
pub use ids::{
    AccessId, Address, BoxId, DeviceId, EntityId, EntityKind, ExchangeId, GroupId, InstallationId, KeyId, MailId,
    OrgId, PassId, PersonId, ProductId, SessionId, ShopperId, StoreId, TokenId, WebhookId,
};
pub use machine::{Codec, Context, Incoming, KeyedHash, Machine, Principal, Progress, Stamp};
pub use mail_trouble::MailTrouble;
pub(crate) use opaque::opaque;
pub use time::{Clock, UnixMillis};
