//! Devices: desk phones that prove with a PIN where they stand (`docs/devices.md`). Invariants DEV-1 to DEV-5.
//!
//! A PAP is sealed; states and events know a keyed hash of it. A device's credential, and the account of a phone that is
//! not trusted, are made of the server's own secret whenever they are wanted: nobody can read them anywhere.

pub mod api;
mod check;
mod decide;
mod digest;
mod door;
mod effects;
mod enter;
mod evolve;
mod guard;
mod mac;
pub mod network;
mod nonces;
pub mod page;
mod prompt;
pub mod provisioning;
mod rows;
mod serve;
mod state;
#[cfg(test)]
mod tests;
mod trust;
mod words;

pub use check::check_invariants;
pub use door::{Door, path_of};
pub use enter::{Entered, Entry, Paged, SentForm, enter, page_form, paged};
pub use guard::Source;
pub use mac::{Mac, MacError};
pub use rows::{AccountPlain, AccountsPlain, DeviceRow};
pub use serve::{Body, Delivery, Fetch, Served, serve};
pub use state::{Accounts, Changes, Command, Description, Device, Event, FreshPap, Known, Outcome, Refusal, Told};
pub use words::{Authentication, Contact, Pap, Rules, Salt, Why, Window};
