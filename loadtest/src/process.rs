//! The server as a process of our own: started on a fresh folder with production defaults, killed, started again.

use crate::{
    client::{Connection, Target, write_request},
    course::Watched,
    cpu,
    tls::SelfSigned,
};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub enum ProcessError {
    Io(String, io::Error),
    /// The program said no, with its last words.
    Failed(String, String),
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            Self::Failed(what, words) => write!(f, "{what}\n{words}"),
        }
    }
}

impl std::error::Error for ProcessError {}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> ProcessError {
    let what = what.into();
    move |error| ProcessError::Io(what, error)
}

/// The server's binary: named, or the one beside this program.
pub fn find_binary(named: Option<&Path>) -> Result<PathBuf, ProcessError> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe().map_err(io_error("own path"))?.with_file_name("castellan"),
    };
    if path.is_file() {
        return Ok(path);
    }
    let words = "build it with `cargo build --release`, or name it with --server-bin".to_owned();
    Err(ProcessError::Failed(format!("no server binary at {}", path.display()), words))
}

/// Where a server's store, configuration and log are.
enum Folder {
    Temporary(TempFolder),
    /// Somebody wants to use it again.
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

/// A folder of our own that is gone when dropped.
pub struct TempFolder(PathBuf);

impl TempFolder {
    pub fn new() -> Result<Self, ProcessError> {
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let path = std::env::temp_dir().join(format!("castellan-load-{}-{nanos:x}", std::process::id()));
        fs::create_dir_all(&path).map_err(io_error(path.display().to_string()))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub struct ServerProcess {
    binary: PathBuf,
    folder: Folder,
    /// The store that is served.
    data: PathBuf,
    /// Listeners and store, as the configuration has them.
    config: String,
    child: Option<Child>,
    pub target: Target,
    pub observability: Target,
    pub operator_token: String,
    /// Who it is now, for those who look at what it uses.
    pub watched: Watched,
}

impl ServerProcess {
    /// Makes a fresh store and serves it; only the addresses and the folder differ from the defaults.
    pub async fn start(binary: &Path) -> Result<Self, ProcessError> {
        Self::start_in(binary, Folder::Temporary(TempFolder::new()?), "").await
    }

    /// The same with further lines of the section `[store]`.
    pub async fn start_tuned(binary: &Path, store: &str) -> Result<Self, ProcessError> {
        Self::start_in(binary, Folder::Temporary(TempFolder::new()?), store).await
    }

    /// The same in a folder that stays; a store that is there already is served as it is.
    pub async fn start_kept(binary: &Path, folder: &Path) -> Result<Self, ProcessError> {
        fs::create_dir_all(folder).map_err(io_error(folder.display().to_string()))?;
        let folder = folder.canonicalize().map_err(io_error(folder.display().to_string()))?;
        Self::start_in(binary, Folder::Kept(folder), "").await
    }

    async fn start_in(binary: &Path, folder: Folder, store: &str) -> Result<Self, ProcessError> {
        let (data, token_file) = (folder.path().join("data"), folder.path().join("operator.token"));
        let operator_token = if data.exists() {
            fs::read_to_string(&token_file).map_err(io_error(token_file.display().to_string()))?
        } else {
            let token = init(binary, &data).await?;
            if let Folder::Kept(_) = folder {
                write_secret(&token_file, &token).map_err(io_error(token_file.display().to_string()))?;
            }
            token
        };
        let (port, observability_port) = free_ports().map_err(io_error("free ports"))?;
        let config = format!(
            "[http]\nlisten = \"127.0.0.1:{port}\"\n\n[observability]\nlisten = \"127.0.0.1:{observability_port}\"\n\n\
             [store]\n{store}data_dir = {:?}\n",
            data.display().to_string()
        );
        fs::write(folder.path().join("castellan.toml"), &config).map_err(io_error("castellan.toml"))?;
        let mut server = Self {
            binary: binary.to_owned(),
            folder,
            data,
            config,
            child: None,
            target: Target::local(port),
            observability: Target::local(observability_port),
            operator_token,
            watched: Watched::default(),
        };
        server.spawn().await?;
        Ok(server)
    }

    /// From the next start on it has these settings too: lines for the section of HTTP, and whole sections.
    pub fn settle(&self, http: &str, sections: &str) -> Result<(), ProcessError> {
        let config = self.config.replacen("[http]\n", &format!("[http]\n{http}"), 1);
        let config = format!("{config}\n{sections}");
        fs::write(self.folder.path().join("castellan.toml"), config).map_err(io_error("castellan.toml"))
    }

    /// From the next start on it speaks TLS with this certificate.
    pub fn serve_tls(&mut self, certificate: &SelfSigned) -> Result<(), ProcessError> {
        let (chain, key) = (self.folder.path().join("certificate.pem"), self.folder.path().join("key.pem"));
        fs::write(&chain, certificate.certificate_pem()).map_err(io_error("certificate.pem"))?;
        write_secret(&key, &certificate.key_pem()).map_err(io_error("key.pem"))?;
        let (chain, key) = (chain.display().to_string(), key.display().to_string());
        let config = self.config.replacen("[http]\n", "[http]\ntls = true\n", 1);
        let config = format!("{config}\n[tls]\ncertificate_file = {chain:?}\nkey_file = {key:?}\n");
        fs::write(self.folder.path().join("castellan.toml"), config).map_err(io_error("castellan.toml"))
    }

    /// Starts it again on the same folder; how long until it said that it is ready.
    pub async fn spawn(&mut self) -> Result<Duration, ProcessError> {
        let began = Instant::now();
        let log_path = self.folder.path().join("server.log");
        let log = fs::File::options().create(true).append(true).open(&log_path).map_err(io_error("server.log"))?;
        let errors = log.try_clone().map_err(io_error("server.log"))?;
        let mut command = Command::new(&self.binary);
        command.arg("serve").arg("--config").arg(self.folder.path().join("castellan.toml"));
        // A setting that happens to stand in the environment is not a production default.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CASTELLAN__")) {
            command.env_remove(name);
        }
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        let child = self.child.insert(child.map_err(io_error(self.binary.display().to_string()))?);
        self.watched.set(Some(child.id()));
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(ProcessError::Failed(format!("castellan serve ended: {status}"), tail(&log_path)));
            }
            if status_of(&self.observability, "/readyz").await == Some(200) {
                return Ok(began.elapsed());
            }
            if began.elapsed() > READY_WITHIN {
                return Err(ProcessError::Failed("castellan serve is not ready after 60 s".into(), tail(&log_path)));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    pub fn data_folder(&self) -> PathBuf {
        self.data.clone()
    }

    /// Makes a store of its own out of a backup, with the master key of the store before, and serves that from the next
    /// start on; how long it took.
    pub async fn restore(&mut self, backup: &Path) -> Result<Duration, ProcessError> {
        let (began, elsewhere) = (Instant::now(), self.folder.path().join("restored"));
        let mut command = tokio::process::Command::new(&self.binary);
        command.arg("restore").arg("--from").arg(backup).arg("--data-dir").arg(&elsewhere);
        command.arg("--master-key").arg(self.data.join("master.key"));
        let output = command.output().await.map_err(io_error("castellan restore"))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(ProcessError::Failed(format!("castellan restore: {}", output.status), words));
        }
        let shown = |path: &Path| format!("{:?}", path.display().to_string());
        self.config = self.config.replace(&shown(&self.data), &shown(&elsewhere));
        fs::write(self.folder.path().join("castellan.toml"), &self.config).map_err(io_error("castellan.toml"))?;
        self.data = elsewhere;
        Ok(began.elapsed())
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) -> Result<(), ProcessError> {
        if let Some(mut child) = self.child.take() {
            self.watched.set(None);
            child.kill().map_err(io_error("kill -9"))?;
            child.wait().map_err(io_error("kill -9"))?;
        }
        Ok(())
    }

    /// SIGTERM, and waits for the graceful end.
    pub async fn stop(&mut self) -> Result<(), ProcessError> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        self.watched.set(None);
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).map_err(|error| ProcessError::Io("SIGTERM".into(), error.into()))?;
        }
        let began = Instant::now();
        while began.elapsed() < STOPPED_WITHIN {
            match child.try_wait().map_err(io_error("waiting for the server"))? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    let words = tail(&self.folder.path().join("server.log"));
                    return Err(ProcessError::Failed(format!("castellan serve ended: {status}"), words));
                }
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        let words = tail(&self.folder.path().join("server.log"));
        Err(ProcessError::Failed("castellan serve did not end within 30 s of SIGTERM".into(), words))
    }

    /// `castellan verify` on the folder of the stopped server; its words when it is not clean.
    pub async fn verify(&self) -> Result<Result<(), String>, ProcessError> {
        let mut command = tokio::process::Command::new(&self.binary);
        command.arg("verify").arg("--data").arg(self.data_folder());
        let output = command.output().await.map_err(io_error("castellan verify"))?;
        if output.status.success() {
            return Ok(Ok(()));
        }
        let words = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(Err(format!("{}: {}", output.status, words.join("\n").trim())))
    }

    pub fn rss_kib(&self) -> Option<u64> {
        cpu::process_rss_kib(self.pid()?)
    }
}

/// Makes a store; the operator's token.
async fn init(binary: &Path, data: &Path) -> Result<String, ProcessError> {
    let init = tokio::process::Command::new(binary).arg("init").arg("--data").arg(data).output().await;
    let init = init.map_err(io_error(binary.display().to_string()))?;
    let said = String::from_utf8_lossy(&init.stdout);
    let token = said.lines().find(|line| line.starts_with("cas_")).map(|line| line.trim().to_owned());
    match token.filter(|_| init.status.success()) {
        Some(token) => Ok(token),
        None => {
            let words = String::from_utf8_lossy(&init.stderr).into_owned();
            Err(ProcessError::Failed("castellan init gave no operator token".into(), words))
        }
    }
}

fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// The bare handler of the yardstick: the same server library without anything behind it.
pub struct EchoProcess {
    child: Child,
    pub target: Target,
}

impl EchoProcess {
    pub async fn start(binary: &Path) -> Result<Self, ProcessError> {
        let (port, _) = free_ports().map_err(io_error("free ports"))?;
        let target = Target::local(port);
        let mut command = Command::new(binary);
        command.arg("echo").arg("--listen").arg(&target.host).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().map_err(io_error(binary.display().to_string()))?;
        let mut echo = Self { child, target };
        let began = Instant::now();
        while Connection::open(&echo.target).await.is_err() {
            if let Ok(Some(status)) = echo.child.try_wait() {
                return Err(ProcessError::Failed(format!("castellan echo ended: {status}"), String::new()));
            }
            if began.elapsed() > READY_WITHIN {
                return Err(ProcessError::Failed("castellan echo does not listen".into(), String::new()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(echo)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for EchoProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status of a GET, if there is an answer.
pub async fn status_of(target: &Target, path: &str) -> Option<u16> {
    Some(fetch(target, path).await?.0)
}

/// Status and body of a GET on a connection that is kept.
pub async fn fetch_on(kept: &mut Option<Connection>, target: &Target, path: &str) -> Option<(u16, String)> {
    let mut request = Vec::new();
    write_request(&mut request, target, "GET", path, None, &[], &[]);
    // Taken out while it is used: one whose answer was not awaited to its end is not used again.
    let mut connection = match kept.take().filter(Connection::is_open) {
        Some(connection) => connection,
        None => Connection::open(target).await.ok()?,
    };
    let answer = connection.round_trip(&request).await.ok()?;
    let told = (answer.status, String::from_utf8_lossy(answer.body).into_owned());
    *kept = Some(connection);
    Some(told)
}

/// Status and body of a GET on a connection of its own.
pub async fn fetch(target: &Target, path: &str) -> Option<(u16, String)> {
    let mut connection = Connection::open(target).await.ok()?;
    let mut request = Vec::new();
    write_request(&mut request, target, "GET", path, None, &[("Connection", "close")], &[]);
    let answer = connection.round_trip(&request).await.ok()?;
    Some((answer.status, String::from_utf8_lossy(answer.body).into_owned()))
}

/// Lets this process have so many sockets, as far as the hard limit allows; what it may have now.
pub fn raise_open_files(wanted: u64) -> u64 {
    let limits = getrlimit(Resource::Nofile);
    let maximum = limits.maximum.unwrap_or(u64::MAX);
    if limits.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(wanted.min(maximum)), maximum: limits.maximum };
        let _ = setrlimit(Resource::Nofile, raised);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn free_ports() -> io::Result<(u16, u16)> {
    let (one, other) = (std::net::TcpListener::bind("127.0.0.1:0")?, std::net::TcpListener::bind("127.0.0.1:0")?);
    Ok((one.local_addr()?.port(), other.local_addr()?.port()))
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
