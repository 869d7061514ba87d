//! An HTTP server that receives webhooks and fares as the test wants: takes, refuses, drops, stalls, restarts.

use crate::{
    rig::{Rig, string},
    site::Org,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// What the receiver does with a post.
#[derive(Debug, Clone)]
pub enum Reaction {
    Status(u16),
    /// With headers and a body of its own.
    Whole(String),
    /// Hangs up without a word.
    Drop,
    /// Says nothing for so long, then 200.
    Stall(Duration),
}

#[derive(Debug, Clone)]
pub struct Post {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Whether it was answered 2xx.
    pub taken: bool,
}

impl Post {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// Whether one of the signatures is this secret's.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        assert!(key.len() >= 24);
        let timestamp: u64 = self.headers["webhook-timestamp"].parse().unwrap();
        assert!((timestamp * 1000).abs_diff(crate::smart_box::now_ms()) < 300_000, "{timestamp}");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{timestamp}.", self.id()).as_bytes());
        mac.update(&self.body);
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.headers["webhook-signature"].split(' ').any(|signature| signature == expected)
    }

    pub fn signatures(&self) -> usize {
        self.headers["webhook-signature"].split(' ').count()
    }
}

type React = dyn Fn(&Post, usize) -> Reaction + Send + Sync;

struct Shared {
    posts: Mutex<Vec<Post>>,
    react: Mutex<Arc<React>>,
    over: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

pub struct Receiver {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Receiver {
    /// `react` sees each post and how many came before it.
    pub fn start(react: impl Fn(&Post, usize) -> Reaction + Send + Sync + 'static) -> Self {
        let shared = Shared {
            posts: Mutex::default(),
            react: Mutex::new(Arc::new(react)),
            over: AtomicBool::new(false),
            streams: Mutex::default(),
        };
        let mut receiver =
            Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), shared: Arc::new(shared), accepting: None };
        receiver.listen();
        receiver
    }

    pub fn that_takes() -> Self {
        Self::start(|_, _| Reaction::Status(204))
    }

    pub fn url(&self) -> String {
        format!("http://{}/hooks?key=word", self.address)
    }

    pub fn react(&self, react: impl Fn(&Post, usize) -> Reaction + Send + Sync + 'static) {
        *self.shared.react.lock().unwrap() = Arc::new(react);
    }

    pub fn posts(&self) -> Vec<Post> {
        self.shared.posts.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.shared.posts.lock().unwrap().len()
    }

    pub fn forget(&self) {
        self.shared.posts.lock().unwrap().clear();
    }

    /// Posts that were taken, of these types.
    pub fn taken(&self, types: &str) -> Vec<Post> {
        let of_type = |post: &Post| post.json()["type"].as_str().unwrap().starts_with(types);
        self.posts().into_iter().filter(|post| post.taken && of_type(post)).collect()
    }

    /// Goes away: the port refuses, open connections end.
    pub fn stop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Comes back under the same address.
    pub fn listen(&mut self) {
        self.shared.over.store(false, Ordering::SeqCst);
        let listener = TcpListener::bind(self.address).unwrap();
        self.address = listener.local_addr().unwrap();
        let shared = Arc::clone(&self.shared);
        self.accepting = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                shared.streams.lock().unwrap().extend(stream.try_clone());
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&shared, stream));
            }
        }));
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) {
    let Ok(reading) = stream.try_clone() else { return };
    let mut reader = BufReader::new(reading);
    while let Some(mut post) = read(&mut reader) {
        let react = Arc::clone(&shared.react.lock().unwrap());
        let before = shared.posts.lock().unwrap().len();
        let mut reaction = react(&post, before);
        if let Reaction::Stall(pause) = reaction {
            std::thread::sleep(pause);
            reaction = Reaction::Status(200);
        }
        let answer = match reaction {
            Reaction::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nno"),
            Reaction::Whole(answer) => answer,
            Reaction::Drop | Reaction::Stall(_) => String::new(),
        };
        // Booked before the answer: what was answered was seen.
        post.taken = answer.starts_with("HTTP/1.1 2");
        shared.posts.lock().unwrap().push(post);
        if answer.is_empty() || stream.write_all(answer.as_bytes()).is_err() {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Reads one request.
pub fn read(reader: &mut impl BufRead) -> Option<Post> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    assert!(matches!(words.next(), Some("GET" | "POST")), "{line}");
    let path = words.next()?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(Some(0), |length| length.parse().ok())?];
    reader.read_exact(&mut body).ok()?;
    Some(Post { path, headers, body, taken: false })
}

/// Short pauses, and receivers on this machine.
const QUICK: [(&str, &str); 6] = [
    ("WEBHOOKS__ALLOW_HTTP", "true"),
    ("WEBHOOKS__ALLOW_NETWORKS", "127.0.0.0/8"),
    ("WEBHOOKS__TIMEOUT_MS", "400"),
    ("WEBHOOKS__RETRY_FIRST_MS", "20"),
    ("WEBHOOKS__RETRY_LONGEST_S", "1"),
    ("WEBHOOKS__PROBE_LONGEST_S", "1"),
];

pub fn quick(more: &[(&str, &str)]) -> Rig {
    Rig::with(&[&QUICK, more].concat())
}

/// A webhook of an organisation.
pub struct Hook<'a> {
    pub org: &'a Org,
    pub id: String,
    pub secret: String,
}

impl<'a> Hook<'a> {
    pub fn make(org: &'a Org, url: &str, types: &[&str]) -> Self {
        let made = org.client.post("/webhooks", &json!({"url": url, "types": types})).is(201);
        Self { org, id: string(&made, "webhook"), secret: string(&made, "secret") }
    }

    pub fn path(&self, rest: &str) -> String {
        format!("/webhooks/{}{rest}", self.id)
    }

    pub fn show(&self) -> Value {
        self.org.client.get(&self.path("")).is(200)
    }

    pub fn post(&self, rest: &str) -> Value {
        self.org.client.post(&self.path(rest), &json!({})).ok()
    }

    pub fn log(&self) -> Vec<Value> {
        self.org.client.all(&self.path("/deliveries"), 200)
    }

    pub fn pause_reason(&self) -> Option<String> {
        self.show()["paused"]["reason"].as_str().map(str::to_owned)
    }
}
