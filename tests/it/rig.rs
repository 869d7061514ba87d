//! A real server: the program itself on a fresh folder, asked over TCP. When a test ends well, its server is stopped by
//! SIGTERM and `castellan verify` must find nothing wrong.

use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use ureq::http::{HeaderMap, Request};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_castellan");
const PATIENCE: Duration = Duration::from_secs(20);

const CONFIG: &str = r#"
[http]
listen = "127.0.0.1:0"
workers = 2
shutdown_timeout_s = 10
[observability]
listen = "127.0.0.1:0"
[store]
data_dir = "DATA"
block_cache_mib = 8
write_buffer_mib = 8
max_total_wal_mib = 32
disk_low_watermark_mib = 1
[limits]
failed_authentications_per_minute = 1000000
[log]
format = "json"
"#;

/// Where the server is; it has another port after each start.
#[derive(Clone, Copy)]
pub struct Addresses {
    pub api: SocketAddr,
    pub observability: SocketAddr,
}

pub struct Rig {
    folder: TempDir,
    variables: Vec<(String, String)>,
    server: Option<Child>,
    starts: u32,
    addresses: Arc<RwLock<Addresses>>,
    agent: ureq::Agent,
    pub operator_token: String,
    /// Whether the folder is verified when the test has ended.
    pub verify: bool,
}

impl Rig {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With keys of the configuration that differ, such as `("HTTP__WORKERS", "1")`.
    pub fn with(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let config = CONFIG.replace("DATA", data.to_str().unwrap());
        std::fs::write(folder.path().join("castellan.toml"), config).unwrap();
        let partitions = variables.iter().find(|(key, _)| *key == "STORE__PARTITIONS").map_or("1", |(_, value)| value);
        let init = run(&["init", "--data", data.to_str().unwrap(), "--partitions", partitions]);
        assert!(init.status.success(), "init: {}", text(&init.stderr));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut rig = Self {
            operator_token: text(&init.stdout).trim().to_owned(),
            variables: Vec::new(),
            server: None,
            starts: 0,
            addresses: Arc::new(RwLock::new(Addresses { api: nowhere, observability: nowhere })),
            agent: agent(),
            verify: true,
            folder,
        };
        variables.iter().for_each(|(key, value)| rig.set(key, value));
        rig.start_again();
        rig
    }

    /// Another configuration from the next start on.
    pub fn set(&mut self, key: &str, value: &str) {
        self.variables.push((format!("CASTELLAN__{key}"), value.to_owned()));
    }

    /// Any variable of the environment, from the next start on.
    pub fn environment(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("castellan.toml")
    }

    pub fn addresses(&self) -> Addresses {
        *self.addresses.read().unwrap()
    }

    /// Starts the server and waits until it says that it is ready.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "the server is running");
        self.starts += 1;
        let log = std::fs::File::create(self.log()).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("serve").arg("--config").arg(self.config()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.envs(self.variables.iter().map(|(key, value)| (key, value)));
        let mut server = command.spawn().unwrap();
        let until = Instant::now() + PATIENCE;
        let addresses = loop {
            if let Some(addresses) = self.ready() {
                break addresses;
            }
            if let Some(status) = server.try_wait().unwrap() {
                panic!("the server ended, {status}: {}", self.log_text());
            }
            assert!(Instant::now() < until, "not ready: {}", self.log_text());
            std::thread::sleep(Duration::from_millis(5));
        };
        *self.addresses.write().unwrap() = addresses;
        self.server = Some(server);
    }

    fn ready(&self) -> Option<Addresses> {
        let log = self.log_text();
        let line = log.lines().find(|line| line.contains(r#""message":"ready""#))?;
        let line: Value = serde_json::from_str(line).ok()?;
        let address = |name: &str| line["fields"][name].as_str()?.parse().ok();
        Some(Addresses { api: address("api")?, observability: address("observability")? })
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join(format!("server-{}.log", self.starts))
    }

    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// `kill -9`, of this server alone.
    pub fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    pub fn kill_and_start(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Sends SIGTERM and does not wait.
    pub fn tell_to_stop(&self) {
        self.signal("TERM");
    }

    pub fn signal(&self, name: &str) {
        let pid = self.server.as_ref().unwrap().id().to_string();
        let told = Command::new("sh").args(["-c", "kill -$1 \"$0\"", &pid, name]).status().unwrap();
        assert!(told.success());
    }

    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut server = self.server.take().unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = server.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > until {
                let _ = server.kill();
                let _ = server.wait();
                panic!("the server does not end after SIGTERM: {}", self.log_text());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A caller with this token.
    pub fn client(&self, token: Option<&str>) -> Client {
        Client {
            agent: self.agent.clone(),
            addresses: Arc::clone(&self.addresses),
            token: token.map(Into::into),
            patient: false,
        }
    }

    pub fn operator(&self) -> Client {
        self.client(Some(&self.operator_token))
    }

    pub fn nobody(&self) -> Client {
        self.client(None)
    }

    /// What `/metrics`, `/healthz` or `/readyz` says.
    pub fn observed(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.addresses().observability);
        answer(self.agent.get(&url).call().unwrap(), &format!("GET {path}"))
    }

    /// Bytes as they are, and all that the server says until it closes or is silent for a while.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.addresses().api).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        // A server that has heard enough may close before it was told everything.
        let _ = stream.write_all(bytes);
        let _ = stream.flush();
        let mut heard = Vec::new();
        let mut part = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut part) {
            heard.extend_from_slice(&part[..read]);
            if complete(&heard) {
                break;
            }
        }
        text(&heard)
    }
}

/// Whether a whole answer with a known length was heard.
pub fn complete(heard: &[u8]) -> bool {
    let heard = String::from_utf8_lossy(heard);
    let Some((head, body)) = heard.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| body.len() >= length)
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let Some(mut server) = self.server.take() {
                let _ = server.kill();
                let _ = server.wait();
            }
            let log = self.log_text();
            let from = log.len().saturating_sub(2000);
            eprintln!("the server's last words:\n{}", log.get(from..).unwrap_or(&log));
            return;
        }
        if self.server.is_some() {
            self.tell_to_stop();
            let status = self.wait_for_end();
            assert!(status.success(), "after SIGTERM: {status}\n{}", self.log_text());
        }
        assert!(!self.log_text().contains("panicked"), "{}", self.log_text());
        if self.verify {
            verify(&self.data());
        }
    }
}

/// `castellan verify` finds nothing wrong in this folder.
#[track_caller]
pub fn verify(data: &Path) {
    let verified = run(&["verify", "--data", data.to_str().unwrap()]);
    assert!(verified.status.success(), "verify: {}{}", text(&verified.stdout), text(&verified.stderr));
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections_per_host(64)
        .max_idle_connections(64)
        .build()
        .into()
}

/// Waits until it holds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    // Long for a machine that does other things too; only what never comes costs it.
    let until = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < until, "did not come true: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One who asks the server, with one token.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    addresses: Arc<RwLock<Addresses>>,
    token: Option<Arc<str>>,
    /// Comes again when the server is busy.
    pub patient: bool,
}

impl Client {
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], Some(body.to_string().as_bytes()))
    }

    /// With an `Idempotency-Key`.
    pub fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("idempotency-key", key)], Some(body.to_string().as_bytes()))
    }

    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, &[], Some(body.to_string().as_bytes()))
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], None)
    }

    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Answer {
        for _ in 0..500 {
            let sent = self.try_send(method, path, headers, body);
            let answer = sent.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            if !(self.patient && answer.status == 503) {
                return answer;
            }
            answer.problem(503, "server.busy");
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{method} {path}: always busy")
    }

    /// Paths are those of `/api/v1` unless they say more.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, ureq::Error> {
        let api = self.addresses.read().unwrap().api;
        let whole = ["/api/", "/box/", "/problems/", "/provisioning/", "/phone/", "/WebStore/", "/recovery/"]
            .iter()
            .any(|start| path.starts_with(start));
        let prefix = if whole { "" } else { "/api/v1" };
        let mut request = Request::builder().method(method).uri(format!("http://{api}{prefix}{path}"));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let what = format!("{method} {path}");
        let response = match body {
            Some(body) => self.agent.run(request.body(body)?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let answer = answer(response, &what);
        crate::documented::check(method, &format!("{prefix}{path}"), &answer);
        Ok(answer)
    }

    /// All items of a list, by pages of `limit`.
    pub fn all(&self, path: &str, limit: usize) -> Vec<Value> {
        let mut items = Vec::new();
        let mut after = String::new();
        let joint = if path.contains('?') { '&' } else { '?' };
        loop {
            let mut page = self.get(&format!("{path}{joint}limit={limit}{after}")).is(200);
            let Value::Array(some) = page["items"].take() else { panic!("{path}: no items") };
            assert!(some.len() <= limit);
            items.extend(some);
            match &page["next"] {
                Value::Null => return items,
                Value::String(next) => after = format!("&after={next}"),
                next => after = format!("&after={next}"),
            }
        }
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>, what: &str) -> Answer {
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap(),
        what: what.to_owned(),
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    what: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{}: {error}: {}", self.what, self.told()))
    }

    pub fn told(&self) -> String {
        text(&self.body)
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.what, self.told());
        self.json()
    }

    #[track_caller]
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {} {}", self.what, self.status, self.told());
        self.json()
    }

    /// A problem as RFC 9457 wants it, with this status and code.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.is(status);
        assert_eq!(problem["code"], code, "{}: {}", self.what, self.told());
        self.check_problem(&problem);
        problem
    }

    /// Any refusal of the client, well told.
    #[track_caller]
    pub fn refused(&self) -> Value {
        assert!((400..500).contains(&self.status), "{}: {} {}", self.what, self.status, self.told());
        let problem = self.json();
        self.check_problem(&problem);
        problem
    }

    #[track_caller]
    fn check_problem(&self, problem: &Value) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.what);
        assert_eq!(problem["status"], json!(self.status));
        assert_eq!(problem["type"], format!("/problems/{}", problem["code"].as_str().unwrap()));
        assert!(problem["title"].is_string());
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"), "{}", self.what);
        if matches!(self.status, 429 | 503) {
            assert!(self.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
        }
    }

    /// All that may be told of an object: status, headers and body, without the id of the request and the time.
    pub fn bare(&self) -> (u16, Vec<String>, String) {
        let id = self.header("x-request-id").unwrap_or("-");
        let told = self.headers.iter().filter(|(name, _)| *name != "date" && *name != "x-request-id");
        let mut headers: Vec<_> = told.map(|(name, value)| format!("{name}: {value:?}")).collect();
        headers.sort();
        (self.status, headers, self.told().replace(id, "-"))
    }
}

/// The text at a place in an answer.
#[track_caller]
pub fn string(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {value}")).to_owned()
}
