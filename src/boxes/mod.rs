//! SmartBoxes: cabinets whose numbered bins hold keys on fobs, that go on working while the road is cut, and whose
//! journal is made one history with what the server did meanwhile.
//!
//! One actor per box, and the unit of sync. Holds BOX-1 to BOX-6 (`kernel/invariants.rs`). Pure but for `api`.

mod command;
mod event;
mod messages;
mod read;
mod rows;
mod state;
mod words;

pub use command::*;
pub use event::*;
pub use messages::*;
pub use read::*;
pub use rows::*;
pub use state::{MAX_ACCESSES, MAX_BINS, MAX_KEYS, MAX_OPEN_CONFLICTS, MAX_RECEIPTS, SmartBox};
pub use words::*;
