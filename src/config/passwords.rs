//! What a password costs, and on how many threads.

use super::{ConfigError, at_least};
use crate::passwords::Cost;
use serde::{Deserialize, Serialize};

section! {
    Passwords {
        memory_kib: u32 = 19_456,
        iterations: u32 = 2,
        lanes: u32 = 1,
        threads: usize = 1,
        queue_max: usize = 64,
        niceness: i32 = 10,
    }
}

impl Passwords {
    pub fn cost(&self) -> Cost {
        Cost { memory_kib: self.memory_kib, iterations: self.iterations, lanes: self.lanes }
    }
}

pub(super) fn check(passwords: &Passwords) -> Result<(), ConfigError> {
    at_least("passwords.threads", passwords.threads as u64, 1)?;
    at_least("passwords.queue_max", passwords.queue_max as u64, 1)?;
    let wrong = |key, reason: &str| Err(ConfigError::Value { key, reason: reason.to_owned() });
    if !passwords.cost().is_possible() || passwords.memory_kib > 4 << 20 {
        return wrong(
            "passwords.memory_kib",
            "must be 8 for each lane to 4194304, with at least 1 iteration and 1 lane",
        );
    }
    if !(0..=19).contains(&passwords.niceness) {
        return wrong("passwords.niceness", "must be 0 to 19");
    }
    Ok(())
}
