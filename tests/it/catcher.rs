//! A real mail server beside the one under test: aiosmtpd with faults, `tests/parts/smtp_catcher.py`.

use crate::rig::{Rig, eventually};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

pub const LOGIN: (&str, &str) = ("castellan", "Schlüssel-3");

pub struct Catcher {
    folder: TempDir,
    options: Vec<String>,
    process: Option<Child>,
    smtp: u16,
    http: u16,
    agent: ureq::Agent,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn certificate(name: &str) -> String {
    root().join("tests/parts/certificates").join(name).to_str().unwrap().to_owned()
}

impl Catcher {
    /// With STARTTLS and a login, both demanded.
    pub fn start() -> Self {
        Self::with(&[
            "--certificate",
            &certificate("server.pem"),
            "--key",
            &certificate("server.key"),
            "--login",
            &format!("{}:{}", LOGIN.0, LOGIN.1),
        ])
    }

    pub fn implicit_tls() -> Self {
        let (certificate, key) = (certificate("server.pem"), certificate("server.key"));
        Self::with(&["--certificate", &certificate, "--key", &key, "--implicit-tls"])
    }

    fn with(options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut catcher = Self { folder, options, process: None, smtp: 0, http: 0, agent: ureq::agent() };
        catcher.start_again();
        catcher
    }

    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the catcher is running");
        let python = Command::new(root().join(".ci/python")).arg("--path").output().unwrap();
        let python = PathBuf::from(String::from_utf8(python.stdout).unwrap().trim());
        assert!(python.exists(), "run `make setup`: there is no {}", python.display());
        let mut command = Command::new(python);
        command.arg(root().join("tests/parts/smtp_catcher.py")).args(&self.options).arg("--store").arg(self.store());
        command.args(["--smtp-port", &self.smtp.to_string(), "--http-port", &self.http.to_string()]);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ports: Value = serde_json::from_str(&line).expect("the catcher says where it listens");
        let port = |name: &str| u16::try_from(ports[name].as_u64().unwrap()).unwrap();
        (self.smtp, self.http) = (port("smtp"), port("http"));
        self.process = Some(process);
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("mails")
    }

    /// `kill -9`, of this catcher alone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// The configuration of a server that sends its mails here, quick to try again.
    pub fn config(&self) -> Vec<(&'static str, String)> {
        let password = self.folder.path().join("password");
        std::fs::write(&password, format!("{}\n", LOGIN.1)).unwrap();
        let security = if self.options.iter().any(|option| option == "--implicit-tls") { "tls" } else { "starttls" };
        let login = if security == "tls" { "" } else { LOGIN.0 };
        vec![
            ("MAIL__DRIVER", "smtp".to_owned()),
            ("MAIL__FROM", "Castellan <castellan@castle.example>".to_owned()),
            ("MAIL__SMTP_HOST", "127.0.0.1".to_owned()),
            ("MAIL__SMTP_PORT", self.smtp.to_string()),
            ("MAIL__SMTP_SECURITY", security.to_owned()),
            ("MAIL__SMTP_USERNAME", login.to_owned()),
            ("MAIL__SMTP_PASSWORD_FILE", password.to_str().unwrap().to_owned()),
            ("MAIL__SMTP_CA_FILE", certificate("ca.pem")),
            ("MAIL__RETRY_FIRST_MS", "20".to_owned()),
            ("MAIL__RETRY_LONGEST_MS", "200".to_owned()),
            ("MAIL__TIMEOUT_MS", "1500".to_owned()),
        ]
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }

    pub fn mails(&self) -> Vec<Value> {
        self.agent.get(self.url("/mails")).call().unwrap().body_mut().read_json().unwrap()
    }

    pub fn tried(&self, address: &str) -> u64 {
        let tried: Value = self.agent.get(self.url("/tried")).call().unwrap().body_mut().read_json().unwrap();
        tried[address].as_u64().unwrap_or_default()
    }

    pub fn forget(&self) {
        self.agent.delete(self.url("/mails")).call().unwrap();
    }

    pub fn faults(&self, faults: Value) {
        self.agent.put(self.url("/faults")).send(faults.to_string()).unwrap();
    }

    pub fn no_faults(&self) {
        self.faults(json!([]));
    }

    /// Waits for so many mails.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} mails"), || self.mails().len() >= count);
        let mails = self.mails();
        assert_eq!(mails.len(), count, "{mails:#?}");
        mails
    }
}

impl Drop for Catcher {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Rig {
    pub fn with_mail(catcher: &Catcher) -> Self {
        let config = catcher.config();
        Self::with(&config.iter().map(|(key, value)| (*key, value.as_str())).collect::<Vec<_>>())
    }
}

/// A header of a caught mail.
pub fn header<'a>(mail: &'a Value, name: &str) -> Option<&'a str> {
    let headers = mail["headers"].as_array().unwrap();
    headers.iter().find(|header| header[0].as_str().unwrap().eq_ignore_ascii_case(name))?[1].as_str()
}
