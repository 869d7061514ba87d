//! TLS on both listeners, a certificate renewed while it is in use, and whose word about the client's address counts.

use crate::rig::{Rig, eventually, run, text};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, pki_types::CertificateDer,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

/// A certificate in two files.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Makes a new one and says what clients are to trust.
    fn issue(&self) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.key(), signing_key.serialize_pem()).unwrap();
        std::fs::write(self.chain(), cert.pem()).unwrap();
        cert.der().clone()
    }

    fn serve(&self) -> Rig {
        let (chain, key) = (self.chain(), self.key());
        Rig::with(&[
            ("HTTP__TLS", "true"),
            ("OBSERVABILITY__TLS", "true"),
            ("TLS__CERTIFICATE_FILE", chain.to_str().unwrap()),
            ("TLS__KEY_FILE", key.to_str().unwrap()),
            // Only SIGHUP, so that the test knows when.
            ("TLS__RELOAD_S", "3600"),
        ])
    }
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn connect(to: SocketAddr, trusted: &CertificateDer<'static>, version: &'static SupportedProtocolVersion) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(to).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap(), tcp)
}

/// The status line, or why there is none. The connection stays open.
fn ask(connection: &mut Tls, path: &str) -> Result<String, std::io::Error> {
    write!(connection, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    connection.read_exact(&mut vec![0; length.unwrap_or(0)])?;
    Ok(head.lines().next().unwrap().to_owned())
}

#[test]
fn both_listeners_speak_tls_and_a_renewal_needs_no_restart() {
    let site = Site::new();
    let old = site.issue();
    let mut rig = site.serve();
    let (api, observability) = (rig.addresses().api, rig.addresses().observability);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let status = ask(&mut connect(api, &old, version), "/api/v1/people").unwrap();
        assert_eq!(status, "HTTP/1.1 401 Unauthorized");
    }
    assert_eq!(ask(&mut connect(observability, &old, &rustls::version::TLS13), "/readyz").unwrap(), "HTTP/1.1 200 OK");

    // Who speaks plain HTTP to it gets no answer, and nobody else notices.
    let mut plain = TcpStream::connect(api).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    plain.write_all(b"GET /api/v1/people HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut told = Vec::new();
    let _ = plain.read_to_end(&mut told);
    assert!(!told.starts_with(b"HTTP/"), "{}", text(&told));

    let mut kept = connect(api, &old, &rustls::version::TLS13);
    ask(&mut kept, "/api/v1/people").unwrap();

    // A renewal that is half written is not used.
    std::fs::write(site.chain(), "-----BEGIN CERTIFICATE-----\nbroken").unwrap();
    rig.signal("HUP");
    eventually("it is said", || rig.log_text().contains("the old one stays in use"));
    ask(&mut connect(api, &old, &rustls::version::TLS13), "/api/v1/people").unwrap();

    let new = site.issue();
    rig.signal("HUP");
    eventually("it is renewed", || rig.log_text().contains("the TLS certificate was renewed"));
    ask(&mut connect(api, &new, &rustls::version::TLS13), "/api/v1/people").unwrap();
    ask(&mut connect(api, &old, &rustls::version::TLS13), "/api/v1/people").unwrap_err();
    ask(&mut kept, "/api/v1/people").expect("a connection that was there goes on");
    rig.tell_to_stop();
    rig.wait_for_end();
}

fn check_config(lines: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("castellan.toml");
    std::fs::write(&file, lines).unwrap();
    let checked = run(&["check-config", "--config", file.to_str().unwrap()]);
    assert!(!checked.status.success());
    text(&checked.stderr)
}

#[test]
fn check_config_says_what_is_wrong_with_a_certificate() {
    assert!(check_config("[http]\ntls = true\n").contains("tls.certificate_file: must name a PEM file"));
    let (one, other) = (Site::new(), Site::new());
    one.issue();
    other.issue();
    let with = |chain: &Path, key: &Path| {
        check_config(&format!("[http]\ntls = true\n[tls]\ncertificate_file = {chain:?}\nkey_file = {key:?}\n"))
    };
    let said = with(&one.chain(), &other.key());
    assert!(said.contains("do not belong together"), "{said}");
    let said = with(&one.chain(), &one.chain());
    assert!(said.contains("tls.key_file") && said.contains("no private key"), "{said}");
    let said = with(&one.folder.path().join("gone.pem"), &one.key());
    assert!(said.contains("tls.certificate_file") && said.contains("gone.pem"), "{said}");
}

/// Statuses of wrong tokens, each from this forwarded address.
fn guesses(rig: &Rig, forwarded: &[&str]) -> Vec<u16> {
    let client = rig.client(Some("cas_not_a_token"));
    let guess = |from: &&str| client.send("GET", "/people", &[("X-Forwarded-For", *from)], None).status;
    forwarded.iter().map(guess).collect()
}

#[test]
fn an_address_is_taken_from_the_header_of_a_trusted_proxy_alone() {
    let limit = ("LIMITS__FAILED_AUTHENTICATIONS_PER_MINUTE", "20");
    let from_one: Vec<_> = vec!["192.0.2.1"; 30];
    let from_many: Vec<_> = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].repeat(10);

    let rig = Rig::with(&[limit]);
    assert!(guesses(&rig, &from_many).contains(&429), "one stranger, whatever he writes");

    let rig = Rig::with(&[limit, ("HTTP__TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.0/8")]);
    assert!(guesses(&rig, &from_one).contains(&429));
    assert_eq!(guesses(&rig, &["192.0.2.9"]), [401], "somebody else is not held up");
    let spoofed: Vec<_> = (0..30).map(|n| format!("203.0.113.{n}, 192.0.2.50")).collect();
    assert!(guesses(&rig, &spoofed.iter().map(|line| &**line).collect::<Vec<_>>()).contains(&429), "from the right");
}
