//! A WebSocket as RFC 6455 has it, from the client's side and no larger than a box needs it.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

pub struct WebSocket {
    stream: TcpStream,
    bytes: Vec<u8>,
}

#[derive(Debug, PartialEq)]
pub enum Heard {
    Text(String),
    Ping,
    Pong(Vec<u8>),
    /// Its code and its words.
    Close(u16, String),
    /// The connection ended.
    End,
    /// Nothing within the time.
    Nothing,
}

impl WebSocket {
    /// The status of the answer, and the socket if it was 101.
    pub fn open(to: SocketAddr, token: &str) -> (u16, Option<Self>) {
        Self::open_saying(to, token, b"")
    }

    /// One that says something in the same breath, before it has its answer.
    pub fn open_saying(to: SocketAddr, token: &str, early: &[u8]) -> (u16, Option<Self>) {
        let mut stream = TcpStream::connect(to).unwrap();
        let request = format!(
            "GET /box/v1/link HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(&[request.as_bytes(), early].concat()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head[9..12].parse().unwrap();
        if status == 101 {
            // The key of the RFC's own example.
            assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        }
        (status, (status == 101).then_some(Self { stream, bytes: Vec::new() }))
    }

    pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            short @ ..126 => frame.push(0x80 | short as u8),
            long => frame.extend([&[0x80 | 126], &(long as u16).to_be_bytes()[..]].concat()),
        }
        frame.extend(mask);
        frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        frame
    }

    /// These bytes as they are, so many at once.
    pub fn write(&mut self, bytes: &[u8], at_once: usize) {
        for piece in bytes.chunks(at_once) {
            // Whether it arrives shows by what is heard.
            let _ = self.stream.write_all(piece);
        }
    }

    pub fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.write(&Self::frame(opcode, payload), usize::MAX);
    }

    pub fn say(&mut self, text: &str) {
        self.send(1, text.as_bytes());
    }

    fn fill(&mut self, wanted: usize, until: Instant) -> Option<Heard> {
        while self.bytes.len() < wanted {
            let left = until.saturating_duration_since(Instant::now());
            self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1)))).unwrap();
            let mut more = [0; 1024];
            match self.stream.read(&mut more) {
                Ok(0) => return Some(Heard::End),
                Ok(count) => self.bytes.extend(&more[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if Instant::now() >= until {
                        return Some(Heard::Nothing);
                    }
                }
                Err(_) => return Some(Heard::End),
            }
        }
        None
    }

    /// The next frame, at most so long waited for. Pings are answered.
    pub fn hear(&mut self, within: Duration) -> Heard {
        let until = Instant::now() + within;
        if let Some(heard) = self.fill(2, until) {
            return heard;
        }
        let (opcode, mut length, mut head) = (self.bytes[0] & 15, usize::from(self.bytes[1] & 127), 2);
        if length == 126 {
            if let Some(heard) = self.fill(4, until) {
                return heard;
            }
            (length, head) = (usize::from(u16::from_be_bytes([self.bytes[2], self.bytes[3]])), 4);
        }
        if let Some(heard) = self.fill(head + length, until) {
            return heard;
        }
        let payload: Vec<u8> = self.bytes.drain(..head + length).skip(head).collect();
        match opcode {
            1 => Heard::Text(String::from_utf8(payload).unwrap()),
            8 if payload.len() >= 2 => {
                let words = String::from_utf8(payload[2..].to_vec()).unwrap();
                Heard::Close(u16::from_be_bytes([payload[0], payload[1]]), words)
            }
            9 => {
                self.send(10, &payload);
                Heard::Ping
            }
            10 => Heard::Pong(payload),
            other => panic!("opcode {other}"),
        }
    }
}
