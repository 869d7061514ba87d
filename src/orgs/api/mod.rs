//! The wire of organisations, people and tokens.

pub(crate) mod events;
pub mod mails;
pub mod organisations;
pub mod people;
pub mod tokens;
mod values;

pub use values::{Email, Mobile, Wrong, checked_zone, is_email, is_mobile, is_text, or_null, text};
