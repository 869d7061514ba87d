//! The mail server: a few connections that are used again. What fails before a mail is offered is the server's trouble,
//! what fails after it is the mail's: a wrong password must not turn every waiting mail into a dead letter.

use super::{MailError, Trouble, wrong};
use crate::{
    config::{self, SmtpSecurity},
    kernel::{MailTrouble, time},
};
use lettre::{
    address::Envelope,
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        extension::ClientId,
    },
};
use parking_lot::Mutex;
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, time::timeout};

pub(super) struct Smtp {
    host: String,
    port: u16,
    security: SmtpSecurity,
    tls: Option<TlsParameters>,
    hello: ClientId,
    credentials: Option<Credentials>,
    patience: Duration,
    connections_max: usize,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Smtp({}:{})", self.host, self.port)
    }
}

/// An idle connection older than this is not used again: servers end them soon.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Codes that mean that our login is wrong or missing, whenever they come.
const LOGIN_CODES: [u16; 4] = [530, 534, 535, 538];
/// The server itself is about to go.
const CLOSING: u16 = 421;

impl Smtp {
    pub fn new(config: &config::Mail) -> Result<Self, MailError> {
        if config.smtp_host.is_empty() {
            return Err(wrong("smtp_host", "must be set when mail.driver is \"smtp\""));
        }
        let tls = match config.smtp_security {
            SmtpSecurity::Plain => None,
            SmtpSecurity::Starttls | SmtpSecurity::Tls => Some(tls_parameters(config)?),
        };
        let local = config.smtp_host == "localhost"
            || config.smtp_host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if !config.smtp_username.is_empty() && tls.is_none() && !local {
            return Err(wrong("smtp_security", "a password is not sent in clear: set \"starttls\" or \"tls\""));
        }
        let credentials = match config.smtp_username.as_str() {
            "" => None,
            name => {
                let file = &config.smtp_password_file;
                let password = std::fs::read_to_string(file)
                    .map_err(|error| wrong("smtp_password_file", format!("{}: {error}", file.display())))?;
                Some(Credentials::new(name.to_owned(), password.trim_end_matches(['\r', '\n']).to_owned()))
            }
        };
        let port = match (config.smtp_port, config.smtp_security) {
            (0, SmtpSecurity::Starttls) => 587,
            (0, SmtpSecurity::Tls) => 465,
            (0, SmtpSecurity::Plain) => 25,
            (port, _) => port,
        };
        let hello = match config.smtp_hello_name.as_str() {
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
        };
        Ok(Self {
            host: config.smtp_host.clone(),
            port,
            security: config.smtp_security,
            tls,
            hello,
            credentials,
            patience: Duration::from_millis(config.timeout_ms),
            connections_max: config.connections_max,
            idle: Mutex::default(),
        })
    }

    pub async fn send(&self, envelope: &Envelope, message: &[u8]) -> Result<(), Trouble> {
        let connected = timeout(self.patience, self.connection()).await;
        let mut connection = connected.unwrap_or(Err(Trouble::of(MailTrouble::Unreachable)))?;
        let sent = timeout(self.patience, connection.send(envelope, message)).await;
        sent.map_err(|_| Trouble::of(MailTrouble::Timeout))?.map_err(|error| of_this_mail(&error))?;
        let mut idle = self.idle.lock();
        if idle.len() < self.connections_max {
            idle.push((connection, time::instant()));
        }
        Ok(())
    }

    /// One that still answers, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, Trouble> {
        loop {
            let popped = self.idle.lock().pop();
            let Some((mut connection, since)) = popped else { break };
            if since.elapsed() < IDLE_MAX && connection.test_connected().await {
                return Ok(connection);
            }
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Trouble> {
        let unreachable = |error: Error| Trouble { why: MailTrouble::Unreachable, code: code_of(&error) };
        let server = (self.host.as_str(), self.port);
        let mut connection = if let (SmtpSecurity::Tls, Some(tls)) = (self.security, &self.tls) {
            let tls = Some(tls.clone());
            AsyncSmtpConnection::connect_tokio1(server, None, &self.hello, tls, None).await.map_err(unreachable)?
        } else {
            let stream = TcpStream::connect(server).await;
            let stream = stream.map_err(|_| Trouble::of(MailTrouble::Unreachable))?;
            // Without this every mail waits some 40 ms for a delayed acknowledgement.
            let _ = stream.set_nodelay(true);
            AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello).await.map_err(unreachable)?
        };
        if let (SmtpSecurity::Starttls, Some(tls)) = (self.security, &self.tls) {
            connection.starttls(tls.clone(), &self.hello).await.map_err(unreachable)?;
        }
        if let Some(credentials) = &self.credentials {
            let login = connection.auth(DEFAULT_MECHANISMS, credentials).await;
            login.map_err(|error| Trouble { why: MailTrouble::Login, code: code_of(&error) })?;
        }
        Ok(connection)
    }
}

fn tls_parameters(config: &config::Mail) -> Result<TlsParameters, MailError> {
    let mut tls = TlsParameters::builder(config.smtp_host.clone());
    let file = &config.smtp_ca_file;
    if !file.as_os_str().is_empty() {
        let unusable = |error: String| wrong("smtp_ca_file", format!("{}: {error}", file.display()));
        let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
        tls = tls.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| unusable(error.to_string()))?);
    }
    tls.build_rustls().map_err(|error| wrong("smtp_host", error))
}

fn code_of(error: &Error) -> Option<u16> {
    error.status().and_then(|code| code.to_string().parse().ok())
}

/// The server's words stay out of it: they may hold an address.
fn of_this_mail(error: &Error) -> Trouble {
    let code = code_of(error);
    let why = match code {
        Some(CLOSING) => MailTrouble::Unreachable,
        Some(code) if LOGIN_CODES.contains(&code) => MailTrouble::Login,
        Some(_) if error.is_permanent() => MailTrouble::Rejected,
        Some(_) => MailTrouble::Deferred,
        // The server does not know what an address with letters beyond ASCII needs.
        None if error.is_client() => MailTrouble::Rejected,
        None => MailTrouble::Broken,
    };
    Trouble { why, code }
}
