//! What is set for desk phones: whom to trust, and what they fetch.

use super::{ConfigError, at_least};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

section! {
    Devices {
        rounds_until_blocked: u8 = 3,
        trusted_window_s: u32 = 600,
        wrong_paps_per_source: u32 = 60,
        wrong_paps_per_office: u32 = 300,
        wrong_paps_per_pbx: u32 = 1200,
        wrong_paps_per_organisation: u32 = 600,
    }
}

section! {
    Provisioning {
        basic_over_http: bool = false,
        ask_for_pap: bool = false,
        minimal_poll_s: u32 = 60,
        full_poll_s: u32 = 86_400,
        templates_dir: PathBuf = PathBuf::new(),
        client_ca_file: PathBuf = PathBuf::new(),
    }
}

pub(super) fn check(devices: &Devices, provisioning: &Provisioning, tls: bool) -> Result<(), ConfigError> {
    for (key, value) in [
        ("devices.rounds_until_blocked", u32::from(devices.rounds_until_blocked)),
        ("devices.trusted_window_s", devices.trusted_window_s),
        ("devices.wrong_paps_per_source", devices.wrong_paps_per_source),
        ("devices.wrong_paps_per_office", devices.wrong_paps_per_office),
        ("devices.wrong_paps_per_pbx", devices.wrong_paps_per_pbx),
        ("devices.wrong_paps_per_organisation", devices.wrong_paps_per_organisation),
        ("provisioning.minimal_poll_s", provisioning.minimal_poll_s),
        ("provisioning.full_poll_s", provisioning.full_poll_s),
    ] {
        at_least(key, value.into(), 1)?;
    }
    if !provisioning.client_ca_file.as_os_str().is_empty() && !tls {
        let reason = "needs http.tls: behind a proxy nobody sees the phones' certificates".to_owned();
        return Err(ConfigError::Value { key: "provisioning.client_ca_file", reason });
    }
    Ok(())
}
