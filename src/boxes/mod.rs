//! SmartBoxes: cabinets whose numbered bins hold keys on fobs, that go on working while the road is cut, and whose
//! journal is made one history with what the server did meanwhile.
//!
//! One actor per box, and the unit of sync. Holds BOX-1 to BOX-6 and BOX-13, and in `online` BOX-10 to BOX-12
//! (`kernel/invariants.rs`).

mod access;
mod advice;
mod alerts;
pub mod api;
mod brief;
pub mod census;
mod changes;
mod check;
mod codes;
mod command;
mod decide;
mod decide_admin;
mod decide_alerts;
mod decide_codes;
mod decide_moves;
mod decide_sync;
mod delta;
mod effects;
mod event;
mod event_moves;
mod evolve;
mod evolve_bins;
mod extras;
mod fobs;
mod groups;
mod hotp;
mod judge;
mod mails;
mod messages;
mod online;
mod pass;
mod qr;
mod rare;
mod read;
mod rows;
mod state;
mod stolen;
mod tag;
#[cfg(test)]
mod tests;
mod watch;
mod words;

pub use advice::{ADVISED_ABOVE, ADVISED_EVERY, Advice, Day};
pub use alerts::*;
pub use changes::*;
pub use check::check_invariants;
pub use codes::{
    KeyCodePlain, KeyCodeRecord, KeyCodesPlain, Loan, MAX_PASSES, OfflineSettings, Pass, PassKey, PassUse, WHOLE_BOX,
};
pub use command::*;
pub use decide::{TYPED, verifier, verifier_key};
pub use effects::fob_claim;
pub use event::*;
pub use hotp::{digits, hotp, list_secret, offline_key};
pub use mails::{AlertItem, BoxMail, CodesReplaced};
pub use messages::*;
pub use online::*;
pub use pass::{Claims, Permission, public_key, read, sign};
pub use qr::{png, svg};
pub use read::*;
pub use rows::*;
pub use state::{MAX_ACCESSES, MAX_BINS, MAX_KEYS, MAX_OPEN_CONFLICTS, MAX_RECEIPTS, SmartBox};
pub use stolen::NewKeyCodes;
pub use watch::{MAX_REMINDER_MINUTES, REMINDED_WITHIN, Reminded, Reminder};
pub use words::*;
