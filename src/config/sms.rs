//! How texts leave.

use super::{ConfigError, at_least};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmsDriver {
    /// Not at all: telephones are no part of a recovery contact.
    None,
    /// Kannel's `sendsms`.
    Kannel,
    /// Any gateway over HTTP.
    Http,
    Log,
}

section! {
    Sms {
        driver: SmsDriver = SmsDriver::None,
        url: String = String::new(),
        username: String = String::new(),
        password_file: PathBuf = PathBuf::new(),
        from: String = String::new(),
        body: String = String::new(),
        content_type: String = "application/json".to_owned(),
        authorization_file: PathBuf = PathBuf::new(),
        accepted: String = String::new(),
        timeout_ms: u64 = 10_000,
        reports: bool = true,
        reports_url: String = String::new(),
        countries: Vec<String> = Vec::new(),
        per_number_in_10_minutes: usize = 3,
        per_number_a_day: usize = 10,
        per_organisation_a_day: usize = 200,
        per_prefix_a_day: usize = 1000,
    }
}

impl Sms {
    /// Whether texts leave this server.
    pub fn sends(&self) -> bool {
        self.driver != SmsDriver::None
    }
}

pub(super) fn check(sms: &Sms) -> Result<(), ConfigError> {
    at_least("sms.timeout_ms", sms.timeout_ms, 100)?;
    for (key, value) in [
        ("sms.per_number_in_10_minutes", sms.per_number_in_10_minutes),
        ("sms.per_number_a_day", sms.per_number_a_day),
        ("sms.per_organisation_a_day", sms.per_organisation_a_day),
        ("sms.per_prefix_a_day", sms.per_prefix_a_day),
    ] {
        at_least(key, value as u64, 1)?;
    }
    let wrong = |key, reason: &str| Err(ConfigError::Value { key, reason: reason.to_owned() });
    let over_http = matches!(sms.driver, SmsDriver::Kannel | SmsDriver::Http);
    if over_http && !sms.url.starts_with("http://") && !sms.url.starts_with("https://") {
        return wrong("sms.url", "must begin with http:// or https://");
    }
    let reports = &sms.reports_url;
    if !reports.is_empty() && !reports.starts_with("http://") && !reports.starts_with("https://") {
        return wrong("sms.reports_url", "must begin with http:// or https://");
    }
    if !sms.countries.iter().all(|prefix| is_prefix(prefix)) {
        return wrong("sms.countries", "must be prefixes of numbers, such as \"+39\"");
    }
    Ok(())
}

fn is_prefix(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| (1..=7).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
