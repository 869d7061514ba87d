//! TLS as a box speaks it: one certificate that it trusts, TLS 1.3 or 1.2, a session that it takes up again.

use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring::default_provider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{io, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// What one client keeps between its connections. A clone shares it; `another_client` does not.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl Eq for Tls {}

fn wrong(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

impl Tls {
    /// Trusts this certificate alone; the server is 127.0.0.1.
    pub fn trusting(certificate: &SelfSigned) -> io::Result<Self> {
        let provider = Arc::new(default_provider());
        let known = CertificateDer::from(certificate.der.clone());
        let verifier = Arc::new(Known { certificate: known, provider: Arc::clone(&provider) });
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(wrong)?.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = config.with_no_client_auth();
        config.resumption = Resumption::in_memory_sessions(1);
        let name = ServerName::try_from("127.0.0.1").map_err(wrong)?;
        Ok(Self { config: Arc::new(config), name })
    }

    /// The same trust with sessions of its own: another box.
    #[must_use]
    pub fn another_client(&self) -> Self {
        let mut config = (*self.config).clone();
        config.resumption = Resumption::in_memory_sessions(1);
        Self { config: Arc::new(config), name: self.name.clone() }
    }

    pub async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), stream).await
    }
}

/// Whoever knows the one certificate compares it, and need not check who signed it: the machine is the server's too.
/// That the server holds its key is checked as always.
#[derive(Debug)]
struct Known {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let is_known = *shown == self.certificate;
        let other = rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        is_known.then(ServerCertVerified::assertion).ok_or(other)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, shown, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, shown, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// How a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    Full,
    Resumed,
}

impl Handshake {
    pub(crate) fn of(connection: &ClientConnection) -> Self {
        match connection.handshake_kind() {
            Some(HandshakeKind::Resumed) => Self::Resumed,
            _ => Self::Full,
        }
    }
}

/// A certificate for 127.0.0.1 and localhost, made and signed by a fresh key (ECDSA on P-256).
pub struct SelfSigned {
    der: Vec<u8>,
    key_pkcs8: Vec<u8>,
}

impl SelfSigned {
    pub fn make() -> io::Result<Self> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(wrong)?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).map_err(wrong)?;
        let serial = ring::rand::generate::<[u8; 8]>(&random).map_err(wrong)?.expose();
        let to_sign = to_be_signed(key.public_key().as_ref(), &serial);
        let signature = key.sign(&random, &to_sign).map_err(wrong)?;
        let der = sequence(&[&to_sign, &sequence(&[&ECDSA_WITH_SHA256]), &bit_string(signature.as_ref())]);
        Ok(Self { der, key_pkcs8: pkcs8.as_ref().to_vec() })
    }

    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key_pkcs8)
    }
}

// The few words of DER that a certificate needs (RFC 5280): object identifiers whole, as they stand on the wire.
const ECDSA_WITH_SHA256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_PUBLIC_KEY: [u8; 9] = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const PRIME256V1: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
const SUBJECT_ALT_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x1d, 0x11];

fn to_be_signed(public_key: &[u8], serial: &[u8; 8]) -> Vec<u8> {
    let mut serial = *serial;
    // Positive and not beginning with a zero byte, as DER wants its numbers.
    serial[0] = serial[0] & 0x7f | 0x40;
    let common_name = sequence(&[&COMMON_NAME, &tagged(0x0c, &[b"castellan-load"])]);
    let name = sequence(&[&tagged(0x31, &[&common_name])]);
    // A run's certificate: valid whenever the machine's clock says it is.
    let valid = sequence(&[&tagged(0x17, &[b"200101000000Z"]), &tagged(0x18, &[b"20991231235959Z"])]);
    let key = sequence(&[&sequence(&[&EC_PUBLIC_KEY, &PRIME256V1]), &bit_string(public_key)]);
    let alt_names = sequence(&[&tagged(0x82, &[b"localhost"]), &tagged(0x87, &[&[127, 0, 0, 1]])]);
    let extension = sequence(&[&SUBJECT_ALT_NAME, &tagged(0x04, &[&alt_names])]);
    sequence(&[
        &tagged(0xa0, &[&tagged(0x02, &[&[2]])]),
        &tagged(0x02, &[&serial]),
        &sequence(&[&ECDSA_WITH_SHA256]),
        &name,
        &valid,
        &name,
        &key,
        &tagged(0xa3, &[&sequence(&[&extension])]),
    ])
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tagged(0x30, parts)
}

fn bit_string(bytes: &[u8]) -> Vec<u8> {
    tagged(0x03, &[&[0], bytes])
}

fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    match u16::try_from(length).map(u16::to_be_bytes) {
        Ok([0, short]) if short < 0x80 => bytes.push(short),
        Ok([0, long]) => bytes.extend([0x81, long]),
        Ok([high, low]) => bytes.extend([0x82, high, low]),
        // Nothing here is as long as 64 KiB.
        Err(_) => {}
    }
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

fn pem(label: &str, bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in bytes.chunks(48) {
        for three in line.chunks(3) {
            let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
            for place in 0..4 {
                let letter = LETTERS[(bits >> (18 - 6 * place)) as usize & 63];
                text.push(if place <= three.len() { char::from(letter) } else { '=' });
            }
        }
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Connection, Target, write_request};
    use rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, pem::PemObject},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;

    /// A TLS server that answers every connection's one request.
    async fn serving(certificate: &SelfSigned) -> Target {
        let chain = vec![CertificateDer::from_pem_slice(certificate.certificate_pem().as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(certificate.key_pem().as_bytes()).unwrap();
        let provider = Arc::new(default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::local(listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut buffer = [0; 1024];
                if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                    let _ = stream.flush().await;
                }
            }
        });
        target
    }

    async fn ask(target: &Target) -> io::Result<Option<Handshake>> {
        let mut connection = Connection::open(target).await.map_err(wrong)?;
        let mut request = Vec::new();
        write_request(&mut request, target, "GET", "/", None, &[], &[]);
        assert_eq!(connection.round_trip(&request).await.map_err(wrong)?.body, b"ok");
        let handshake = connection.handshake();
        connection.close().await;
        Ok(handshake)
    }

    #[tokio::test]
    async fn a_box_trusts_the_certificate_and_takes_its_session_up_again() {
        let certificate = SelfSigned::make().unwrap();
        let target = serving(&certificate).await;
        let tls = Tls::trusting(&certificate).unwrap();
        let target = target.over(tls.clone());
        assert_eq!(ask(&target).await.unwrap(), Some(Handshake::Full));
        assert_eq!(ask(&target).await.unwrap(), Some(Handshake::Resumed));
        let other = target.clone().over(tls.another_client());
        assert_eq!(ask(&other).await.unwrap(), Some(Handshake::Full), "another box has no session yet");
        let stranger = Tls::trusting(&SelfSigned::make().unwrap()).unwrap();
        assert!(ask(&target.over(stranger)).await.is_err(), "a certificate that is not trusted");
    }

    #[test]
    fn pem_is_base64_in_lines() {
        assert_eq!(pem("X", b"Ma"), "-----BEGIN X-----\nTWE=\n-----END X-----\n");
        assert_eq!(pem("X", b"Man"), "-----BEGIN X-----\nTWFu\n-----END X-----\n");
        assert_eq!(pem("X", b"M"), "-----BEGIN X-----\nTQ==\n-----END X-----\n");
        assert_eq!(pem("X", &[0; 49]).lines().nth(1).map(str::len), Some(64));
    }
}
