//! How mails leave.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How mails leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailDriver {
    /// Not at all: they wait, and become dead letters.
    None,
    Smtp,
    File,
    Log,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpSecurity {
    Starttls,
    Tls,
    Plain,
}

section! {
    Mail {
        driver: MailDriver = MailDriver::None,
        from: String = String::new(),
        reply_to: String = String::new(),
        message_id_domain: String = String::new(),
        smtp_host: String = String::new(),
        smtp_port: u16 = 0,
        smtp_security: SmtpSecurity = SmtpSecurity::Starttls,
        smtp_username: String = String::new(),
        smtp_password_file: PathBuf = PathBuf::new(),
        smtp_ca_file: PathBuf = PathBuf::new(),
        smtp_hello_name: String = String::new(),
        connections_max: usize = 4,
        timeout_ms: u64 = 30_000,
        retry_first_ms: u64 = 2_000,
        retry_longest_ms: u64 = 600_000,
        file_dir: PathBuf = PathBuf::new(),
        templates_dir: PathBuf = PathBuf::new(),
    }
}
