//! What is set for installations and their recovery.

use super::{ConfigError, Passwords, Sms, at_least};
use crate::recovery::Rules;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When "forgotten password" is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offer {
    /// For every name alike.
    SameForAll,
    /// Where it leads somewhere.
    AsDocumented,
}

section! {
    Recovery {
        terminal_timeout_s: u64 = 120,
        link_lives_s: u64 = 86_400,
        code_lives_s: u64 = 3600,
        reset_lives_s: u64 = 3600,
        reset_mails_a_day: usize = 3,
        reset_mail_pause_s: u64 = 600,
        offer: Offer = Offer::SameForAll,
        code_before_reset: bool = true,
        break_glass_wait_s: u64 = 259_200,
        password_characters_min: usize = 12,
        requests_per_minute_per_source: u32 = 120,
    }
}

impl Recovery {
    pub fn rules(&self) -> Rules {
        Rules {
            terminal_timeout: Duration::from_secs(self.terminal_timeout_s),
            link_lives: Duration::from_secs(self.link_lives_s),
            code_lives: Duration::from_secs(self.code_lives_s),
            reset_lives: Duration::from_secs(self.reset_lives_s),
            reset_mails_a_day: self.reset_mails_a_day,
            reset_mail_pause: Duration::from_secs(self.reset_mail_pause_s),
            offer_as_documented: self.offer == Offer::AsDocumented,
            code_before_reset: self.code_before_reset,
            break_glass_wait: Duration::from_secs(self.break_glass_wait_s),
        }
    }
}

pub(super) fn check(passwords: &Passwords, recovery: &Recovery, sms: &Sms) -> Result<(), ConfigError> {
    super::passwords::check(passwords)?;
    super::sms::check(sms)?;
    for (key, value) in [
        ("recovery.terminal_timeout_s", recovery.terminal_timeout_s),
        ("recovery.link_lives_s", recovery.link_lives_s),
        ("recovery.code_lives_s", recovery.code_lives_s),
        ("recovery.reset_lives_s", recovery.reset_lives_s),
        ("recovery.reset_mails_a_day", recovery.reset_mails_a_day as u64),
        ("recovery.break_glass_wait_s", recovery.break_glass_wait_s),
        ("recovery.requests_per_minute_per_source", recovery.requests_per_minute_per_source.into()),
    ] {
        at_least(key, value, 1)?;
    }
    at_least("recovery.password_characters_min", recovery.password_characters_min as u64, 8)
}
