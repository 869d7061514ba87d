//! The directory that has to accept an installation's account before a contact is registered, a mail is sent, or a reset
//! begins. Every question is a bind of its own: what it said yesterday counts for nothing.

use crate::{
    config::{self, DirectoryDriver},
    kernel::time,
    metrics as names,
};
use ldap3::{LdapConnAsync, LdapConnSettings, LdapError, dn_escape};
use metrics::{Counter, Histogram};
use minicbor::{Decode, Encode};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};
use zeroize::Zeroizing;

/// `VaultField::DirectoryAccount`. Stored: numbers are append-only.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct AccountPlain {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub password: String,
}

/// Why the directory has not accepted an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAccepted {
    /// It said no, or there is no account that it could be asked about.
    Refused,
    /// It said nothing: nobody knows.
    Unavailable,
}

/// Why the directory cannot be asked as configured.
#[derive(Debug, thiserror::Error)]
#[error("directory.ca_file: {0}")]
pub struct DirectoryError(String);

pub enum Directory {
    /// This server: an installation that it knows is accepted.
    Builtin,
    Ldap(Box<Ldap>),
}

pub struct Ldap {
    url: String,
    bind_dn: String,
    settings: LdapConnSettings,
    patience: Duration,
    /// Whoever guesses names at terminals must not open connections without end.
    places: Semaphore,
    accepted: Counter,
    refused: Counter,
    unavailable: Counter,
    seconds: Histogram,
}

impl Directory {
    /// Reads what can be wrong: the certificate of who vouches for the directory.
    pub fn new(config: &config::Directory) -> Result<Self, DirectoryError> {
        if config.driver == DirectoryDriver::Builtin {
            return Ok(Self::Builtin);
        }
        // Another part may have chosen it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let patience = Duration::from_millis(config.timeout_ms);
        let mut settings = LdapConnSettings::new().set_conn_timeout(patience).set_starttls(config.starttls);
        if !config.ca_file.as_os_str().is_empty() {
            settings = settings.set_config(trusting(&config.ca_file)?);
        }
        let outcome = |outcome| metrics::counter!(names::DIRECTORY_QUESTIONS, "outcome" => outcome);
        Ok(Self::Ldap(Box::new(Ldap {
            url: config.url.clone(),
            bind_dn: config.bind_dn.clone(),
            settings,
            patience,
            places: Semaphore::new(config.at_once),
            accepted: outcome("accepted"),
            refused: outcome("refused"),
            unavailable: outcome("unavailable"),
            seconds: metrics::histogram!(names::DIRECTORY_SECONDS),
        })))
    }

    /// Whether it has to be asked at all.
    pub fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Ldap(_))
    }

    /// Asks whether this account is accepted.
    pub async fn accepts(&self, account: &AccountPlain) -> Result<(), NotAccepted> {
        match self {
            Self::Builtin => Ok(()),
            Self::Ldap(ldap) => ldap.accepts(account).await,
        }
    }
}

impl Ldap {
    async fn accepts(&self, account: &AccountPlain) -> Result<(), NotAccepted> {
        let began = time::instant();
        // An empty password is an unauthenticated bind (RFC 4513, 5.1.2), which some servers answer with success.
        let told = match account.name.is_empty() || account.password.is_empty() {
            true => Err(NotAccepted::Refused),
            false => timeout(self.patience, self.bind(account)).await.unwrap_or(Err(NotAccepted::Unavailable)),
        };
        self.seconds.record(began.elapsed().as_secs_f64());
        match told {
            Ok(()) => self.accepted.increment(1),
            Err(NotAccepted::Refused) => self.refused.increment(1),
            Err(NotAccepted::Unavailable) => self.unavailable.increment(1),
        }
        told
    }

    async fn bind(&self, account: &AccountPlain) -> Result<(), NotAccepted> {
        let _place = self.places.acquire().await.map_err(|_| NotAccepted::Unavailable)?;
        // The directory's own words stay out of the log: they may hold the account.
        let unavailable = |error: LdapError| {
            tracing::warn!(why = kind_of(&error), "the directory cannot be asked");
            NotAccepted::Unavailable
        };
        let opened = LdapConnAsync::with_settings(self.settings.clone(), &self.url).await;
        let (connection, mut ldap) = opened.map_err(unavailable)?;
        // It ends with `ldap`.
        actix_rt::spawn(async move {
            let _ = connection.drive().await;
        });
        let dn = self.bind_dn.replace("{account}", &dn_escape(&*account.name));
        let password = Zeroizing::new(account.password.clone());
        let told = ldap.with_timeout(self.patience).simple_bind(&dn, &password).await.map_err(unavailable)?;
        let _ = ldap.unbind().await;
        judge(told.rc)
    }
}

/// What a bind's result code says of the account (RFC 4511, appendix A).
fn judge(code: u32) -> Result<(), NotAccepted> {
    const NO_SUCH_OBJECT: u32 = 32;
    const INVALID_DN: u32 = 34;
    const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
    const INVALID_CREDENTIALS: u32 = 49;
    const INSUFFICIENT_ACCESS: u32 = 50;
    const UNWILLING: u32 = 53;
    match code {
        0 => Ok(()),
        NO_SUCH_OBJECT
        | INVALID_DN
        | INAPPROPRIATE_AUTHENTICATION
        | INVALID_CREDENTIALS
        | INSUFFICIENT_ACCESS
        | UNWILLING => Err(NotAccepted::Refused),
        _ => {
            tracing::warn!(code, "the directory could not judge an account");
            Err(NotAccepted::Unavailable)
        }
    }
}

fn kind_of(error: &LdapError) -> &'static str {
    match error {
        LdapError::Io { .. } => "connection",
        LdapError::Timeout { .. } => "timeout",
        LdapError::LdapResult { .. } => "refused TLS",
        _ => "protocol",
    }
}

/// TLS that trusts whom this file vouches for, and nobody else.
fn trusting(file: &Path) -> Result<Arc<ClientConfig>, DirectoryError> {
    let unusable = |error: String| DirectoryError(format!("{}: {error}", file.display()));
    let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("there is no certificate in it".to_owned()));
    }
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn directory(url: &str) -> Directory {
        let config = config::Directory {
            driver: DirectoryDriver::Ldap,
            url: url.to_owned(),
            bind_dn: "uid={account},ou=installations,dc=castle,dc=example".to_owned(),
            timeout_ms: 300,
            ..config::Directory::default()
        };
        Directory::new(&config).unwrap()
    }

    fn account(name: &str, password: &str) -> AccountPlain {
        AccountPlain { name: name.to_owned(), password: password.to_owned() }
    }

    #[actix_rt::test]
    async fn an_empty_password_never_reaches_the_directory() {
        // Nobody listens: whoever asked would hear that.
        let directory = directory("ldap://127.0.0.1:9");
        assert_eq!(directory.accepts(&account("rossi", "")).await, Err(NotAccepted::Refused));
        assert_eq!(directory.accepts(&account("", "x")).await, Err(NotAccepted::Refused));
        assert_eq!(directory.accepts(&account("rossi", "x")).await, Err(NotAccepted::Unavailable));
        assert_eq!(Directory::Builtin.accepts(&AccountPlain::default()).await, Ok(()));
    }

    #[actix_rt::test]
    async fn one_who_never_answers_is_waited_for_within_bounds() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let directory = directory(&format!("ldap://{}", silent.local_addr().unwrap()));
        let began = time::instant();
        assert_eq!(directory.accepts(&account("rossi", "x")).await, Err(NotAccepted::Unavailable));
        assert!(began.elapsed() < Duration::from_secs(3));
    }

    #[test]
    fn what_is_no_clear_answer_is_none() {
        for (code, told) in [
            (0, Ok(())),
            (49, Err(NotAccepted::Refused)),
            (53, Err(NotAccepted::Refused)),
            (51, Err(NotAccepted::Unavailable)),
            (52, Err(NotAccepted::Unavailable)),
            (80, Err(NotAccepted::Unavailable)),
        ] {
            assert_eq!(judge(code), told, "{code}");
        }
        assert_eq!(dn_escape("rossi,ou=admins"), "rossi\\2cou\\3dadmins");
    }
}
