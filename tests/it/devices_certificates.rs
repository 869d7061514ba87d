//! Certificates that phones carry from their factory, over real TLS: whose vendor the operator names stands in for a PAP.

use crate::{
    devices::{Phone, other, phone},
    rig::{Rig, run, text},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, generate_simple_self_signed};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// What a phone shows: its certificate and its key.
type Shown = (CertificateDer<'static>, Vec<u8>);

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str) -> Authority {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn carried(vendor: &Authority, name: &str) -> Shown {
    let key = KeyPair::generate().unwrap();
    (named(name).signed_by(&key, vendor).unwrap().der().clone(), key.serialize_der())
}

/// A server that speaks TLS from its second start on, when the phones are set up.
struct Site {
    rig: Rig,
    own: CertificateDer<'static>,
    vendor: Authority,
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let vendor = authority("Vendor of phones");
        std::fs::write(folder.path().join("chain.pem"), own.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), own.signing_key.serialize_pem()).unwrap();
        std::fs::write(folder.path().join("vendors.pem"), vendor.as_ref().pem()).unwrap();
        Self { rig: Rig::start(), own: own.cert.der().clone(), vendor, folder }
    }

    fn start_with_tls(&mut self) {
        let file = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let (chain, key, vendors) = (file("chain.pem"), file("key.pem"), file("vendors.pem"));
        self.rig.set("HTTP__TLS", "true");
        self.rig.set("TLS__CERTIFICATE_FILE", &chain);
        self.rig.set("TLS__KEY_FILE", &key);
        self.rig.set("PROVISIONING__CLIENT_CA_FILE", &vendors);
        self.rig.kill_and_start();
    }

    /// Status and text that a phone gets which shows this.
    fn fetch(&self, phone: &Phone, file: &str, shown: Option<&Shown>) -> (u16, String) {
        let mut roots = RootCertStore::empty();
        roots.add(self.own.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            Some((certificate, key)) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.clone()));
                config.with_client_auth_cert(vec![certificate.clone()], key).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        let tcp = TcpStream::connect(self.rig.addresses().api).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(connection, tcp);
        let request = format!("GET {}/{file} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", phone.path);
        stream.write_all(request.as_bytes()).unwrap();
        let mut told = Vec::new();
        stream.read_to_end(&mut told).unwrap();
        let told = text(&told);
        (told.split(' ').nth(1).unwrap().parse().unwrap(), told)
    }

    fn is_full(&self, phone: &Phone, shown: Option<&Shown>) -> bool {
        let (status, told) = self.fetch(phone, &phone.file(), shown);
        assert_eq!(status, 200, "{told}");
        let (full, minimal) = (told.contains("s3cret-sip"), told.contains("pap-"));
        assert!(full != minimal, "{told}");
        full
    }
}

#[test]
fn a_vendors_certificate_stands_in_for_the_pap() {
    let mut site = Site::new();
    let org = site.rig.org();
    let phones = ["00:04:13:00:00:01", "00:04:13:00:00:02", "00:04:13:00:00:03"].map(|mac| phone(&site.rig, &org, mac));
    let [one, two, failed] = &phones;
    // A PAP that is locked is not helped by a certificate: the lock is about the device.
    let pap = failed.pap();
    (1..=3).for_each(|by| assert_eq!(failed.outcome(&other(&pap, by)), if by < 3 { "wrong" } else { "failed" }));
    site.start_with_tls();

    let own = carried(&site.vendor, "snom D785, MAC: 000413000001, Serial: 1234");
    let strange = carried(&authority("Vendor of phones"), "000413000001");
    let locked = carried(&site.vendor, "00:04:13:00:00:03");
    assert!(!site.is_full(one, None));
    assert!(!site.is_full(one, Some(&strange)), "of a vendor that nobody named: as good as none, but no worse");
    assert!(!site.is_full(failed, Some(&locked)));
    let (status, told) = site.fetch(two, &two.file(), Some(&own));
    assert!(status == 403 && told.contains("devices.mac_contradicted"), "{told}");
    assert!(site.is_full(one, Some(&own)));
    assert!(!site.is_full(two, None), "its address is not trusted by that");
    assert!(site.is_full(one, Some(&own)), "and again");
}

#[test]
fn what_was_done_by_certificate_is_told_so() {
    let mut site = Site::new();
    let org = site.rig.org();
    let phone = phone(&site.rig, &org, "00:04:13:00:00:01");
    site.start_with_tls();
    assert!(site.is_full(&phone, Some(&carried(&site.vendor, "000413000001"))));
    let rig = &mut site.rig;
    rig.set("HTTP__TLS", "false");
    rig.set("PROVISIONING__CLIENT_CA_FILE", "");
    rig.tell_to_stop();
    rig.wait_for_end();
    rig.start_again();
    assert!(phone.done());
    let told = org.client.all_events("devices.provisioned");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["data"]["trusted_by"], "certificate", "{}", told[0]);
}

#[test]
fn check_config_says_what_is_wrong_with_the_vendors() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("castellan.toml");
    let check = |lines: &str| {
        std::fs::write(&file, lines).unwrap();
        let checked = run(&["check-config", "--config", file.to_str().unwrap()]);
        assert!(!checked.status.success());
        text(&checked.stderr)
    };
    let said = check("[provisioning]\nclient_ca_file = \"vendors.pem\"\n");
    assert!(said.contains("provisioning.client_ca_file: needs http.tls"), "{said}");
}
