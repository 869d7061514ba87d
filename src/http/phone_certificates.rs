//! Certificates that phones carry from their factory. Whose vendor an operator has named may stand in for a PAP; any
//! other one is as good as none, so that a phone with a strange certificate still gets its minimal configuration.

use super::tls::TlsError;
use crate::{
    devices::Mac,
    kernel::{Clock, UnixMillis},
};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{dev::Extensions, rt::net::TcpStream};
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::ring,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use std::{any::Any, path::Path, sync::Arc, time::Duration};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

/// Whose certificates prove what a phone's MAC is.
#[derive(Debug)]
pub struct PhoneAuthorities {
    vendors: Arc<dyn ClientCertVerifier>,
}

/// What a connection's certificate proves.
#[derive(Debug, Clone, Copy)]
pub struct ProvenMac(pub Mac);

impl PhoneAuthorities {
    pub fn load(file: &Path) -> Result<Arc<Self>, TlsError> {
        let unreadable = |reason: String| TlsError::Unreadable {
            key: "provisioning.client_ca_file",
            path: file.display().to_string(),
            reason,
        };
        let pem = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unreadable("holds no certificate; expected the vendors' authorities in PEM".to_owned()));
        }
        let provider = Arc::new(ring::default_provider());
        let vendors = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| TlsError::Provider(error.to_string()))?;
        Ok(Arc::new(Self { vendors }))
    }

    /// Notes at the start of a connection whose it is.
    pub fn look(&self, clock: &Clock, connection: &dyn Any, noted: &mut Extensions) {
        let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
        let Some([own, between @ ..]) = stream.get_ref().1.peer_certificates() else { return };
        if let Some(mac) = self.proven(own, between, clock.now()) {
            noted.insert(ProvenMac(mac));
        }
    }

    fn proven(&self, own: &CertificateDer<'_>, between: &[CertificateDer<'_>], now: UnixMillis) -> Option<Mac> {
        let now = UnixTime::since_unix_epoch(Duration::from_millis(now.0));
        self.vendors.verify_client_cert(own, between, now).ok()?;
        let (_, certificate) = X509Certificate::from_der(own).ok()?;
        let subject = certificate.subject();
        let names = subject.iter_common_name().chain(subject.iter_attributes());
        let mut macs = names.filter_map(|name| Mac::within(name.as_str().ok()?));
        macs.next()
    }
}

/// Asks for a certificate and takes any whose key the phone holds: what it is worth is judged afterwards.
impl ClientCertVerifier for PhoneAuthorities {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.vendors.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.vendors.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.vendors.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.vendors.supported_verify_schemes()
    }
}
