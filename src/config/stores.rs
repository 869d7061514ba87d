//! What is set for web stores.

use super::{ConfigError, at_least};
use serde::{Deserialize, Serialize};

section! {
    Iuv {
        session_s: u64 = 8 * 3600,
        plain_from_loopback: bool = false,
        wrong_keys_per_caller: u32 = 60,
        failed_redemptions_per_source: u32 = 600,
        sign_ins_per_minute_per_source: u32 = 60,
        support_email: String = String::new(),
    }
}

pub(super) fn check(iuv: &Iuv) -> Result<(), ConfigError> {
    at_least("iuv.session_s", iuv.session_s, 60)?;
    at_least("iuv.wrong_keys_per_caller", iuv.wrong_keys_per_caller.into(), 1)?;
    at_least("iuv.failed_redemptions_per_source", iuv.failed_redemptions_per_source.into(), 1)?;
    at_least("iuv.sign_ins_per_minute_per_source", iuv.sign_ins_per_minute_per_source.into(), 1)?;
    let email = &iuv.support_email;
    if !email.is_empty() && !crate::orgs::api::is_email(email) {
        let reason = format!("expected an e-mail address or nothing, got `{email}`");
        return Err(ConfigError::Value { key: "iuv.support_email", reason });
    }
    Ok(())
}
