//! The vocabulary every room shares: ids, time, chance, the `Machine` trait and what may follow from a change.
//!
//! Pure: knows no context, no RocksDB, no HTTP.

pub mod chance;
pub mod effects;
pub mod ids;
pub mod invariants;
pub mod machine;
pub mod time;

pub use chance::Chance;
pub use effects::{ClaimOp, ClaimSpace, Effects, Message, Recipient, RowOp, RowSpace, VaultOp};
pub use ids::{Address, EntityId, EntityKind, OrgId, PersonId};
pub use machine::{Codec, Context, Machine, Principal, Progress, Stamp};
pub use time::{Clock, UnixMillis};
