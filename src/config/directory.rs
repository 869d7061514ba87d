//! Where the accounts of installations are known.

use super::{ConfigError, at_least};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, path::PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectoryDriver {
    /// This server: whatever installation it knows is accepted.
    Builtin,
    Ldap,
}

section! {
    Directory {
        driver: DirectoryDriver = DirectoryDriver::Builtin,
        url: String = String::new(),
        starttls: bool = false,
        ca_file: PathBuf = PathBuf::new(),
        bind_dn: String = String::new(),
        timeout_ms: u64 = 5000,
        at_once: usize = 8,
    }
}

pub(super) fn check(directory: &Directory) -> Result<(), ConfigError> {
    at_least("directory.timeout_ms", directory.timeout_ms, 100)?;
    at_least("directory.at_once", directory.at_once as u64, 1)?;
    if directory.driver == DirectoryDriver::Builtin {
        return Ok(());
    }
    let wrong = |key, reason: &str| Err(ConfigError::Value { key, reason: reason.to_owned() });
    let plain = directory.url.strip_prefix("ldap://");
    let Some(host) = plain.or(directory.url.strip_prefix("ldaps://")).filter(|host| !host.is_empty()) else {
        return wrong("directory.url", "must begin with ldap:// or ldaps:// and name a host");
    };
    if plain.is_some() && !directory.starttls && !is_loopback(host) {
        return wrong("directory.url", "a password is not sent in clear: use ldaps:// or starttls");
    }
    if plain.is_none() && directory.starttls {
        return wrong("directory.starttls", "ldaps:// speaks TLS from the beginning: use ldap:// with starttls");
    }
    if directory.bind_dn.matches("{account}").count() != 1 {
        return wrong(
            "directory.bind_dn",
            "must hold {account} once, such as uid={account},ou=installations,dc=example",
        );
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let host = host.split('/').next().unwrap_or_default();
    let bare = host.rsplit_once(':').filter(|(bare, _)| !bare.is_empty()).map_or(host, |(bare, _)| bare);
    let bare = bare.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_go_in_clear_but_to_this_machine() {
        let with = |url: &str, starttls| Directory {
            driver: DirectoryDriver::Ldap,
            url: url.to_owned(),
            starttls,
            bind_dn: "uid={account},dc=example".to_owned(),
            ..Directory::default()
        };
        for (url, starttls, fits) in [
            ("ldaps://directory.example", false, true),
            ("ldap://directory.example", false, false),
            ("ldap://directory.example:389", true, true),
            ("ldaps://directory.example", true, false),
            ("ldap://127.0.0.1:3890", false, true),
            ("ldap://[::1]:3890/", false, true),
            ("ldap://localhost", false, true),
            ("ldap://localhost.example", false, false),
            ("http://directory.example", false, false),
            ("ldaps://", false, false),
        ] {
            assert_eq!(check(&with(url, starttls)).is_ok(), fits, "{url} {starttls}");
        }
        let twice = Directory { bind_dn: "uid={account},cn={account}".to_owned(), ..with("ldaps://d.example", false) };
        assert!(check(&twice).is_err());
        assert!(check(&Directory::default()).is_ok());
    }
}
