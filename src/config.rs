//! The configuration: typed, read once, checked once. `config/castellan.toml` shows every key with its default.

use crate::store::MasterKeySource;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($key:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(pub $key: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }
    };
}

mod directory;
mod mail;
mod passwords;
mod phones;
mod recovery;
mod sms;
pub use directory::{Directory, DirectoryDriver};
pub use mail::{Mail, MailDriver, SmtpSecurity};
pub use passwords::Passwords;
pub use phones::{Devices, Provisioning};
mod stores;
pub use recovery::{Offer, Recovery};
pub use sms::{Sms, SmsDriver};
pub use stores::Iuv;

section! {
    /// Everything. What each key means stands in `config/castellan.toml`.
    Config {
        public: Public = Public::default(),
        http: Http = Http::default(),
        tls: Tls = Tls::default(),
        observability: Observability = Observability::default(),
        store: Store = Store::default(),
        backup: Backup = Backup::default(),
        engine: Engine = Engine::default(),
        admission: Admission = Admission::default(),
        bulk: Bulk = Bulk::default(),
        limits: Limits = Limits::default(),
        feed: Feed = Feed::default(),
        retention: Retention = Retention::default(),
        webhooks: Webhooks = Webhooks::default(),
        devices: Devices = Devices::default(),
        provisioning: Provisioning = Provisioning::default(),
        iuv: Iuv = Iuv::default(),
        passwords: Passwords = Passwords::default(),
        recovery: Recovery = Recovery::default(),
        directory: Directory = Directory::default(),
        links: Links = Links::default(),
        secrets: Secrets = Secrets::default(),
        mail: Mail = Mail::default(),
        sms: Sms = Sms::default(),
        log: Log = Log::default(),
    }
}

section! {
    Public {
        base_url: String = "http://127.0.0.1:8080".to_owned(),
    }
}

section! {
    Http {
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
        workers: usize = 0,
        backlog: u32 = 8192,
        max_connections: usize = 25_000,
        body_limit_bytes: usize = 1 << 20,
        decompressed_limit_bytes: usize = 4 << 20,
        client_timeout_ms: u64 = 10_000,
        keep_alive_s: u64 = 600,
        stalled_timeout_s: u32 = 60,
        shutdown_timeout_s: u64 = 20,
        tls: bool = false,
        tls_handshakes_max: usize = 256,
        trusted_proxies: Vec<IpNet> = Vec::new(),
    }
}

section! {
    Links {
        max: usize = 20_000,
        ping_s: u64 = 30,
        silence_s: u64 = 90,
    }
}

section! {
    Tls {
        certificate_file: PathBuf = PathBuf::new(),
        key_file: PathBuf = PathBuf::new(),
        reload_s: u64 = 60,
    }
}

section! {
    Observability {
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9090)),
        tls: bool = false,
    }
}

section! {
    Store {
        data_dir: PathBuf = PathBuf::from("data"),
        partitions: u8 = 1,
        max_total_wal_mib: u64 = 256,
        block_cache_mib: usize = 256,
        write_buffer_mib: usize = 64,
        disk_low_watermark_mib: u64 = 512,
    }
}

section! {
    Backup {
        dir: PathBuf = PathBuf::new(),
    }
}

section! {
    Engine {
        awake_entities_max: usize = 200_000,
        mailbox_capacity: usize = 64,
        idle_before_sleep_s: u32 = 900,
        snapshot_every_events: u32 = 256,
        reader_threads: usize = 2,
        answers_kept_s: u64 = 7 * 24 * 3600,
    }
}

section! {
    Admission {
        records_in_flight_max: usize = 4096,
        bytes_in_flight_max: usize = 64 << 20,
        waiting_max: usize = 8192,
        waiting_ms_max: u64 = 2000,
    }
}

section! {
    Bulk {
        body_limit_bytes: usize = 16 << 20,
        client_timeout_ms: u64 = 60_000,
        rows_max: usize = 10_000,
        rows_at_once: usize = 64,
        calls_at_once: usize = 4,
    }
}

section! {
    Limits {
        failed_authentications_per_minute: u32 = 60,
        requests_per_minute_per_token: u32 = 120_000,
        requests_per_minute_per_organisation: u32 = 240_000,
        unauthenticated_requests_per_minute: u32 = 600_000,
    }
}

section! {
    Feed {
        streams_max: usize = 512,
        streams_per_organisation_max: usize = 16,
        heartbeat_s: u64 = 15,
        slow_reader_s: u64 = 10,
    }
}

section! {
    Retention {
        history_days: u32 = 730,
        round_every_s: u64 = 3600,
        entities_per_s: u32 = 2000,
        records_per_s: u32 = 5000,
    }
}

section! {
    Webhooks {
        allow_http: bool = false,
        allow_networks: Vec<IpNet> = Vec::new(),
        timeout_ms: u64 = 15_000,
        concurrency: usize = 64,
        concurrency_per_endpoint: usize = 8,
        open_per_endpoint: usize = 1000,
        open_total: usize = 50_000,
        retry_first_ms: u64 = 1000,
        retry_longest_s: u64 = 3600,
        probe_longest_s: u64 = 30,
        dead_after_s: u64 = 259_200,
        attempts_max: u32 = 500,
        log_entries: u64 = 1000,
        per_organisation_max: usize = 20,
    }
}

section! {
    Secrets {
        master_key_file: PathBuf = PathBuf::new(),
        master_key: Sensitive = Sensitive::default(),
    }
}

/// A text that is shown nowhere.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sensitive(pub String);

impl std::fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sensitive")
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Human,
    Json,
}

section! {
    Log {
        format: LogFormat = LogFormat::Human,
        level: String = "info".to_owned(),
    }
}

/// What is wrong with a configuration, said with file, line and key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: {reason}")]
    Unreadable { path: PathBuf, reason: std::io::Error },
    #[error("{path}: {reason}")]
    Toml { path: PathBuf, reason: toml::de::Error },
    #[error("{variable}: {reason}")]
    Variable { variable: String, reason: String },
    #[error("{key}: {reason}")]
    Value { key: &'static str, reason: String },
}

pub const VARIABLE_PREFIX: &str = "CASTELLAN__";

fn at_least(key: &'static str, value: u64, least: u64) -> Result<(), ConfigError> {
    if value >= least {
        return Ok(());
    }
    Err(ConfigError::Value { key, reason: format!("must be at least {least}, is {value}") })
}

impl Webhooks {
    fn check(&self) -> Result<(), ConfigError> {
        at_least("webhooks.timeout_ms", self.timeout_ms, 100)?;
        at_least("webhooks.concurrency", self.concurrency as u64, 1)?;
        at_least("webhooks.concurrency_per_endpoint", self.concurrency_per_endpoint as u64, 1)?;
        at_least("webhooks.open_per_endpoint", self.open_per_endpoint as u64, 1)?;
        at_least("webhooks.open_total", self.open_total as u64, 1)?;
        at_least("webhooks.retry_first_ms", self.retry_first_ms, 1)?;
        at_least("webhooks.retry_longest_s", self.retry_longest_s, 1)?;
        at_least("webhooks.probe_longest_s", self.probe_longest_s, 1)?;
        at_least("webhooks.dead_after_s", self.dead_after_s, 1)?;
        at_least("webhooks.attempts_max", self.attempts_max.into(), 1)?;
        at_least("webhooks.log_entries", self.log_entries, 1)
    }
}

impl Config {
    /// Reads a file and the environment's overrides, and checks the whole.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|reason| ConfigError::Unreadable { path: path.to_owned(), reason })?;
        let variables = std::env::vars().filter(|(name, _)| name.starts_with(VARIABLE_PREFIX));
        Self::read(path, &text, variables)
    }

    /// Reads the text of a file, then overrides such as `CASTELLAN__HTTP__WORKERS=2`.
    pub fn read(
        path: &Path,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let toml_error = |reason| ConfigError::Toml { path: path.to_owned(), reason };
        // Typed first: only then do errors know their line.
        let mut config: Self = toml::from_str(text).map_err(toml_error)?;
        if !config.secrets.master_key.0.is_empty() {
            let reason = "comes from the environment alone: CASTELLAN__SECRETS__MASTER_KEY, or use master_key_file";
            return Err(ConfigError::Value { key: "secrets.master_key", reason: reason.to_owned() });
        }
        for (variable, value) in variables {
            config = config.overridden(&variable, &value)?;
        }
        config.check()?;
        Ok(config)
    }

    fn overridden(&self, variable: &str, value: &str) -> Result<Self, ConfigError> {
        let wrong = |reason: String| ConfigError::Variable { variable: variable.to_owned(), reason };
        let name = variable.strip_prefix(VARIABLE_PREFIX).unwrap_or(variable).to_lowercase();
        let (section, key) =
            name.split_once("__").ok_or_else(|| wrong(format!("expected {VARIABLE_PREFIX}SECTION__KEY")))?;
        let mut table = toml::Table::try_from(self).map_err(|error| wrong(error.to_string()))?;
        let entry = table
            .get_mut(section)
            .and_then(toml::Value::as_table_mut)
            .and_then(|section| section.get_mut(key))
            .ok_or_else(|| wrong(format!("there is no key `{key}` in section [{section}]")))?;
        *entry = match entry {
            toml::Value::Integer(_) => value
                .replace('_', "")
                .parse()
                .map(toml::Value::Integer)
                .map_err(|_| wrong(format!("expected a whole number, got `{value}`")))?,
            toml::Value::Boolean(_) => value
                .parse()
                .map(toml::Value::Boolean)
                .map_err(|_| wrong(format!("expected true or false, got `{value}`")))?,
            toml::Value::Array(_) => {
                let values = value.split(',').map(str::trim).filter(|value| !value.is_empty());
                toml::Value::Array(values.map(|value| toml::Value::String(value.to_owned())).collect())
            }
            _ => toml::Value::String(value.to_owned()),
        };
        table.try_into().map_err(|error: toml::de::Error| wrong(error.message().to_owned()))
    }

    fn check(&self) -> Result<(), ConfigError> {
        at_least("http.backlog", self.http.backlog.into(), 1)?;
        at_least("http.max_connections", self.http.max_connections as u64, 1)?;
        at_least("http.body_limit_bytes", self.http.body_limit_bytes as u64, 64 << 10)?;
        at_least(
            "http.decompressed_limit_bytes",
            self.http.decompressed_limit_bytes as u64,
            self.http.body_limit_bytes as u64,
        )?;
        at_least("http.client_timeout_ms", self.http.client_timeout_ms, 100)?;
        at_least("http.keep_alive_s", self.http.keep_alive_s, 1)?;
        at_least("http.tls_handshakes_max", self.http.tls_handshakes_max as u64, 1)?;
        at_least("tls.reload_s", self.tls.reload_s, 1)?;
        let tls_files = [("tls.certificate_file", &self.tls.certificate_file), ("tls.key_file", &self.tls.key_file)];
        for (key, file) in tls_files {
            if (self.http.tls || self.observability.tls) && file.as_os_str().is_empty() {
                let reason = "must name a PEM file, since http.tls or observability.tls is true".to_owned();
                return Err(ConfigError::Value { key, reason });
            }
        }
        at_least("http.stalled_timeout_s", self.http.stalled_timeout_s.into(), 1)?;
        at_least("feed.heartbeat_s", self.feed.heartbeat_s, 1)?;
        at_least("feed.slow_reader_s", self.feed.slow_reader_s, 1)?;
        at_least("store.partitions", self.store.partitions.into(), 1)?;
        at_least("store.max_total_wal_mib", self.store.max_total_wal_mib, 1)?;
        at_least("store.block_cache_mib", self.store.block_cache_mib as u64, 1)?;
        at_least("store.write_buffer_mib", self.store.write_buffer_mib as u64, 1)?;
        at_least("engine.awake_entities_max", self.engine.awake_entities_max as u64, 16)?;
        at_least("engine.mailbox_capacity", self.engine.mailbox_capacity as u64, 1)?;
        at_least("engine.idle_before_sleep_s", self.engine.idle_before_sleep_s.into(), 1)?;
        at_least("engine.snapshot_every_events", self.engine.snapshot_every_events.into(), 1)?;
        at_least("engine.reader_threads", self.engine.reader_threads as u64, 1)?;
        at_least("admission.records_in_flight_max", self.admission.records_in_flight_max as u64, 1)?;
        at_least("admission.bytes_in_flight_max", self.admission.bytes_in_flight_max as u64, 64 << 10)?;
        at_least("admission.waiting_ms_max", self.admission.waiting_ms_max, 1)?;
        at_least("bulk.body_limit_bytes", self.bulk.body_limit_bytes as u64, 64 << 10)?;
        at_least("bulk.client_timeout_ms", self.bulk.client_timeout_ms, 100)?;
        at_least("bulk.rows_max", self.bulk.rows_max as u64, 1)?;
        at_least("bulk.rows_at_once", self.bulk.rows_at_once as u64, 1)?;
        at_least("bulk.calls_at_once", self.bulk.calls_at_once as u64, 1)?;
        for (key, value) in [
            ("limits.requests_per_minute_per_token", self.limits.requests_per_minute_per_token),
            ("limits.requests_per_minute_per_organisation", self.limits.requests_per_minute_per_organisation),
            ("limits.unauthenticated_requests_per_minute", self.limits.unauthenticated_requests_per_minute),
        ] {
            at_least(key, value.into(), 1)?;
        }
        at_least("engine.answers_kept_s", self.engine.answers_kept_s, 60)?;
        at_least("limits.failed_authentications_per_minute", self.limits.failed_authentications_per_minute.into(), 1)?;
        at_least("mail.connections_max", self.mail.connections_max as u64, 1)?;
        at_least("mail.timeout_ms", self.mail.timeout_ms, 100)?;
        at_least("mail.retry_first_ms", self.mail.retry_first_ms, 10)?;
        at_least("mail.retry_longest_ms", self.mail.retry_longest_ms, self.mail.retry_first_ms)?;
        let days = crate::orgs::organisation::HISTORY_DAYS;
        if !days.contains(&self.retention.history_days) {
            let reason = format!("must be {} to {}, is {}", days.start(), days.end(), self.retention.history_days);
            return Err(ConfigError::Value { key: "retention.history_days", reason });
        }
        at_least("retention.round_every_s", self.retention.round_every_s, 1)?;
        at_least("retention.entities_per_s", self.retention.entities_per_s.into(), 1)?;
        at_least("retention.records_per_s", self.retention.records_per_s.into(), 1)?;
        at_least("links.ping_s", self.links.ping_s, 1)?;
        at_least("links.silence_s", self.links.silence_s, self.links.ping_s + 1)?;
        self.webhooks.check()?;
        phones::check(&self.devices, &self.provisioning, self.http.tls)?;
        stores::check(&self.iuv)?;
        recovery::check(&self.passwords, &self.recovery, &self.sms)?;
        directory::check(&self.directory)?;
        if self.http.workers > 256 {
            return Err(ConfigError::Value { key: "http.workers", reason: "must be at most 256".to_owned() });
        }
        if self.http.listen == self.observability.listen && self.http.listen.port() != 0 {
            let reason = format!("http.listen is {} too", self.http.listen);
            return Err(ConfigError::Value { key: "observability.listen", reason });
        }
        if !self.public.base_url.starts_with("http://") && !self.public.base_url.starts_with("https://") {
            let reason = "must begin with http:// or https://".to_owned();
            return Err(ConfigError::Value { key: "public.base_url", reason });
        }
        let level = self.log.level.parse::<tracing_subscriber::EnvFilter>();
        level.map(drop).map_err(|error| ConfigError::Value { key: "log.level", reason: error.to_string() })
    }

    /// The file of the master key; beside the data if not set.
    pub fn master_key_file(&self) -> PathBuf {
        if self.secrets.master_key_file.as_os_str().is_empty() {
            return self.store.data_dir.join("master.key");
        }
        self.secrets.master_key_file.clone()
    }

    /// Where the mail driver `file` writes; beside the data if not set.
    pub fn mail_dir(&self) -> PathBuf {
        if self.mail.file_dir.as_os_str().is_empty() {
            return self.store.data_dir.join("mails");
        }
        self.mail.file_dir.clone()
    }

    /// Where the master key comes from: the environment if it is there, else the file.
    pub fn master_key(&self) -> MasterKeySource {
        match &self.secrets.master_key.0 {
            text if text.is_empty() => MasterKeySource::File(self.master_key_file()),
            text => MasterKeySource::Environment(text.clone().into()),
        }
    }

    /// Where backups are made; beside the database if not set.
    pub fn backup_dir(&self) -> PathBuf {
        if self.backup.dir.as_os_str().is_empty() {
            return self.store.data_dir.join("backups");
        }
        self.backup.dir.clone()
    }

    /// As it may be shown.
    pub fn shown(&self) -> Self {
        let mut shown = self.clone();
        if !shown.secrets.master_key.0.is_empty() {
            shown.secrets.master_key.0 = "(set)".to_owned();
        }
        shown
    }

    /// Worker threads: as configured, or one a core.
    pub fn workers(&self) -> usize {
        match self.http.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }
}

#[cfg(test)]
mod tests;
