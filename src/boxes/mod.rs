//! SmartBoxes: cabinets whose numbered bins hold keys on fobs, that go on working while the road is cut, and whose
//! journal is made one history with what the server did meanwhile.
//!
//! One actor per box, and the unit of sync. Holds BOX-1 to BOX-6 (`kernel/invariants.rs`).

mod access;
mod alerts;
pub mod api;
mod brief;
pub mod census;
mod check;
mod command;
mod decide;
mod decide_admin;
mod decide_alerts;
mod decide_moves;
mod decide_sync;
mod delta;
mod effects;
mod event;
mod evolve;
mod evolve_bins;
mod judge;
mod mails;
mod messages;
mod online;
mod rare;
mod read;
mod rows;
mod state;
mod tag;
#[cfg(test)]
mod tests;
mod words;

pub use alerts::*;
pub use check::check_invariants;
pub use command::*;
pub use decide::{verifier, verifier_key};
pub use effects::fob_claim;
pub use event::*;
pub use mails::{AlertItem, BoxMail};
pub use messages::*;
pub use online::*;
pub use read::*;
pub use rows::*;
pub use state::{MAX_ACCESSES, MAX_BINS, MAX_KEYS, MAX_OPEN_CONFLICTS, MAX_RECEIPTS, SmartBox};
pub use words::*;
