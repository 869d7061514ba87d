//! One who follows the events of an organisation, over a connection of his own.

use crate::rig::{Addresses, Rig};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// An open stream of server-sent events.
pub struct Follower {
    reader: BufReader<TcpStream>,
    /// What came and was not yet read as events.
    text: String,
    /// Of the last event or heartbeat.
    pub last: Option<String>,
    pub trimmed: Option<Value>,
}

/// Why nothing more came.
#[derive(Debug, PartialEq, Eq)]
pub enum Quiet {
    /// Nothing came for as long as one waited.
    Silent,
    Ended,
    Broken,
}

/// Opens a stream; the status and the head of the answer if it is none.
pub fn try_follow(at: Addresses, token: &str, query: &str, last: Option<&str>) -> Result<Follower, (u16, String)> {
    let broken = |error: std::io::Error| (0, error.to_string());
    let mut connection = TcpStream::connect(at.api).map_err(broken)?;
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let last_event_id = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
    let request = format!(
        "GET /api/v1/events{query} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         accept: text/event-stream\r\n{last_event_id}\r\n"
    );
    connection.write_all(request.as_bytes()).map_err(broken)?;
    let mut reader = BufReader::new(connection);
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).map_err(broken)? > 2 {
        head.push_str(&line);
        line.clear();
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    if status != 200 {
        return Err((status, head));
    }
    assert!(head.contains("text/event-stream") && head.contains("chunked"), "{head}");
    Ok(Follower { reader, text: String::new(), last: last.map(str::to_owned), trimmed: None })
}

impl Rig {
    pub fn follow(&self, token: &str, query: &str, last: Option<&str>) -> Follower {
        try_follow(self.addresses(), token, query, last).unwrap_or_else(|told| panic!("no stream: {told:?}"))
    }
}

impl Follower {
    /// The next event, waiting so long for each piece.
    pub fn next(&mut self, patience: Duration) -> Result<Value, Quiet> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(event) = self.read_block(&block) {
                    return Ok(event);
                }
            }
            self.read_piece(patience)?;
        }
    }

    /// Waits for the next heartbeat, passing over events.
    pub fn heartbeat(&mut self, patience: Duration) -> Result<(), Quiet> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                self.read_block(&block);
                if block.starts_with(": alive") {
                    return Ok(());
                }
            }
            self.read_piece(patience)?;
        }
    }

    fn read_block(&mut self, block: &str) -> Option<Value> {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        if let Some(id) = field("id") {
            self.last = Some(id.to_owned());
        }
        let data: Value = serde_json::from_str(field("data")?).unwrap();
        if field("event") == Some("trimmed") {
            self.trimmed = Some(data);
            return None;
        }
        assert_eq!(data["cursor"].as_str(), self.last.as_deref());
        Some(data)
    }

    fn read_piece(&mut self, patience: Duration) -> Result<(), Quiet> {
        let quiet = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Quiet::Silent,
            _ => Quiet::Broken,
        };
        self.reader.get_ref().set_read_timeout(Some(patience)).unwrap();
        let mut size = String::new();
        if self.reader.read_line(&mut size).map_err(quiet)? == 0 {
            return Err(Quiet::Broken);
        }
        let size = usize::from_str_radix(size.trim(), 16).map_err(|_| Quiet::Broken)?;
        let mut piece = vec![0; size + 2];
        self.reader.get_ref().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        self.reader.read_exact(&mut piece).map_err(|_| Quiet::Broken)?;
        piece.truncate(size);
        self.text.push_str(&String::from_utf8(piece).unwrap());
        if size == 0 { Err(Quiet::Ended) } else { Ok(()) }
    }

    /// All events until nothing comes for a while.
    pub fn all(&mut self) -> (Vec<Value>, Quiet) {
        let mut events = Vec::new();
        loop {
            match self.next(Duration::from_millis(700)) {
                Ok(event) => events.push(event),
                Err(quiet) => return (events, quiet),
            }
        }
    }
}
