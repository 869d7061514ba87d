//! A directory that accepts one account, and can fall silent: it reads binds (RFC 4511) and answers them.
//! `tests/parts/recovery/run` asks a real one.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

pub const ACCOUNT: (&str, &str) = ("rossi", "il gatto sul tetto");
pub const DN: &str = "uid=rossi,ou=installations,dc=castle,dc=example";

pub struct Directory {
    pub address: SocketAddr,
    binds: Arc<AtomicUsize>,
    answers: Arc<AtomicUsize>,
}

/// What the directory answers to a right bind.
const SUCCESS: usize = 0;
const BUSY: usize = 51;
const INVALID_CREDENTIALS: usize = 49;
/// It hangs up.
const DOWN: usize = 1000;

impl Directory {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let directory =
            Self { address: listener.local_addr().unwrap(), binds: Arc::default(), answers: Arc::default() };
        let (binds, answers) = (Arc::clone(&directory.binds), Arc::clone(&directory.answers));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (binds, answers) = (Arc::clone(&binds), Arc::clone(&answers));
                std::thread::spawn(move || serve(stream, &binds, answers.load(Ordering::SeqCst)));
            }
        });
        directory
    }

    pub fn config(&self) -> [(&'static str, String); 4] {
        [
            ("DIRECTORY__DRIVER", "ldap".to_owned()),
            ("DIRECTORY__URL", format!("ldap://{}", self.address)),
            ("DIRECTORY__BIND_DN", "uid={account},ou=installations,dc=castle,dc=example".to_owned()),
            ("DIRECTORY__TIMEOUT_MS", "1000".to_owned()),
        ]
    }

    pub fn down(&self) {
        self.answers.store(DOWN, Ordering::SeqCst);
    }

    pub fn busy(&self) {
        self.answers.store(BUSY, Ordering::SeqCst);
    }

    pub fn up(&self) {
        self.answers.store(SUCCESS, Ordering::SeqCst);
    }

    /// How many binds came.
    pub fn binds(&self) -> usize {
        self.binds.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, binds: &AtomicUsize, answers: usize) {
    if answers == DOWN {
        return;
    }
    while let Some((id, operation)) = message(&mut stream) {
        const BIND: u8 = 0x60;
        let Some(bind) = operation.strip_prefix(&[BIND]) else { return };
        binds.fetch_add(1, Ordering::SeqCst);
        // Behind the length and the version stand the name and the password.
        let (name, password) = fields(&bind[4..]);
        let right = (name, password) == (DN.as_bytes(), ACCOUNT.1.as_bytes());
        let code = if right { answers } else { INVALID_CREDENTIALS };
        let answer = [0x30, 0x0c, 0x02, 0x01, id, 0x61, 0x07, 0x0a, 0x01, code as u8, 0x04, 0x00, 0x04, 0x00];
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// A message's number and what it asks. All is short here: one byte of length each.
fn message(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    let mut body = vec![0; usize::from(head[1])];
    stream.read_exact(&mut body).ok()?;
    Some((body[2], body[3..].to_vec()))
}

fn fields(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (name, rest) = bytes[2..].split_at(usize::from(bytes[1]));
    (name, &rest[2..2 + usize::from(rest[1])])
}
