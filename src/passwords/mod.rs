//! Passwords: hashed by argon2id on threads of their own, so that a burst of logins starves nobody.
//!
//! A name that is not known costs exactly what a known one does: `check` hashes in either case.

mod hash;
mod pool;
#[cfg(test)]
mod tests;

pub use hash::{Cost, PasswordHash};
pub use pool::{Busy, Passwords};
