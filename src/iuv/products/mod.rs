//! Products of a store: who may have one, and the pool of codes that it comes with, each given out once, ever.
//! Invariants IUV-10 and IUV-11.
//!
//! A code is sealed under the product's key, by its number; its text is claimed in the whole organisation and never given
//! back, so that the same text is taken into no pool twice. An order asks by a durable message, which the engine takes
//! once, and is answered by another that names the number alone.

pub mod api;
mod check;
mod decide;
mod effects;
pub(crate) mod events;
mod messages;
mod rows;
mod state;
#[cfg(test)]
mod tests;

pub use check::check_invariants;
pub use messages::ProductMessage;
pub use rows::{GivenRow, ProductRow, given_key, key};
pub use state::{
    CODES_AT_ONCE, Changes, Command, Description, Event, Known, NewCode, Product, Refusal, WAITING_MAX, Want,
};
