//! TLS on the listeners: one certificate from two PEM files, read again when they change, so that a renewal needs no
//! restart. A renewal that cannot be used is said in the log and counted; the old certificate stays in use.

use super::phone_certificates::PhoneAuthorities;
use crate::{config::Tls, metrics};
use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// Why the certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{key}: {path}: {reason}")]
    Unreadable { key: &'static str, path: String, reason: String },
    #[error("tls.certificate_file and tls.key_file do not belong together: {0}")]
    Mismatch(rustls::Error),
    #[error("TLS cannot be set up: {0}")]
    Provider(String),
}

impl From<TlsError> for std::io::Error {
    fn from(error: TlsError) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, error.to_string())
    }
}

/// The certificate in use. Shared by all listeners and replaced as a whole.
#[derive(Debug)]
pub struct Certificate {
    config: Tls,
    current: RwLock<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    key: Arc<CertifiedKey>,
    /// Of both files, to know when they changed: a time stamp may stay the same.
    hash: [u8; 32],
}

impl Certificate {
    pub fn load(config: &Tls) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(read(config)?);
        Ok(Arc::new(Self { config: config.clone(), current }))
    }

    /// What a listener needs. TLS 1.2 and 1.3; sessions resume by tickets, which cost the server no memory.
    pub fn server_config(self: &Arc<Self>, phones: Option<Arc<PhoneAuthorities>>) -> Result<ServerConfig, TlsError> {
        let provider_error = |error: rustls::Error| TlsError::Provider(error.to_string());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(provider_error)?;
        let config = match phones {
            Some(phones) => config.with_client_cert_verifier(phones),
            None => config.with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.ticketer = ring::Ticketer::new().map_err(provider_error)?;
        // A box keeps its connection alive and resumes one session at a time.
        config.send_tls13_tickets = 1;
        Ok(config)
    }

    /// Reads the files again if they have changed.
    fn refresh(&self) {
        match read(&self.config) {
            Ok(loaded) if loaded.hash == self.current.read().hash => {}
            Ok(loaded) => {
                *self.current.write() = loaded;
                tracing::info!("the TLS certificate was renewed");
                ::metrics::counter!(metrics::TLS_RELOADS, "outcome" => "renewed").increment(1);
            }
            Err(error) => {
                tracing::error!(%error, "the TLS certificate cannot be read anew: the old one stays in use");
                ::metrics::counter!(metrics::TLS_RELOADS, "outcome" => "failed").increment(1);
            }
        }
    }

    /// Looks every `reload_s`, and at once when told by SIGHUP.
    pub async fn keep_fresh(self: Arc<Self>) {
        let mut told = match signal(SignalKind::hangup()) {
            Ok(told) => told,
            Err(error) => return tracing::error!(%error, "SIGHUP cannot be listened to: certificates stay as they are"),
        };
        loop {
            tokio::select! {
                _ = told.recv() => {}
                () = tokio::time::sleep(Duration::from_secs(self.config.reload_s)) => {}
            }
            let certificate = Arc::clone(&self);
            let _ = tokio::task::spawn_blocking(move || certificate.refresh()).await;
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().key))
    }
}

fn read(config: &Tls) -> Result<Loaded, TlsError> {
    let chain_pem = bytes("tls.certificate_file", &config.certificate_file)?;
    let key_pem = bytes("tls.key_file", &config.key_file)?;
    let unreadable = |key: &'static str, path: &Path, reason: String| TlsError::Unreadable {
        key,
        path: path.display().to_string(),
        reason,
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain_pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable("tls.certificate_file", &config.certificate_file, error.to_string()))?;
    if chain.is_empty() {
        let reason = "holds no certificate; expected the chain in PEM, the server's own first".to_owned();
        return Err(unreadable("tls.certificate_file", &config.certificate_file, reason));
    }
    let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| {
        unreadable("tls.key_file", &config.key_file, format!("holds no private key in PEM ({error})"))
    })?;
    let certified = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(TlsError::Mismatch)?;
    certified.keys_match().map_err(TlsError::Mismatch)?;
    let hash = Sha256::new().chain_update(&chain_pem).chain_update(&key_pem).finalize().into();
    Ok(Loaded { key: Arc::new(certified), hash })
}

fn bytes(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Unreadable {
        key,
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}
