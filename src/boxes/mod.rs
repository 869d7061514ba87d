//! SmartBoxes: cabinets whose numbered bins hold keys on fobs, that go on working while the road is cut, and whose
//! journal is made one history with what the server did meanwhile.
//!
//! One actor per box, and the unit of sync. Holds BOX-1 to BOX-6 (`kernel/invariants.rs`).

mod access;
pub mod api;
mod brief;
pub mod census;
mod check;
mod codes;
mod command;
mod decide;
mod decide_admin;
mod decide_codes;
mod decide_moves;
mod decide_sync;
mod delta;
mod effects;
mod event;
mod event_moves;
mod evolve;
mod evolve_bins;
mod hotp;
mod judge;
mod mails;
mod messages;
mod pass;
mod qr;
mod rare;
mod read;
mod rows;
mod state;
mod tag;
#[cfg(test)]
mod tests;
mod words;

pub use check::check_invariants;
pub use codes::{KeyCodePlain, KeyCodeRecord, KeyCodesPlain, OfflineSettings, Pass, PassKey, PassUse, MAX_PASSES, WHOLE_BOX};
pub use command::*;
pub use hotp::{digits, hotp, list_secret, offline_key};
pub use pass::{Claims, Permission, public_key, sign};
pub use qr::{png, svg};
pub use decide::{TYPED, verifier, verifier_key};
pub use effects::fob_claim;
pub use event::*;
pub use mails::BoxMail;
pub use messages::*;
pub use read::*;
pub use rows::*;
pub use state::{MAX_ACCESSES, MAX_BINS, MAX_KEYS, MAX_OPEN_CONFLICTS, MAX_RECEIPTS, SmartBox};
pub use words::*;
