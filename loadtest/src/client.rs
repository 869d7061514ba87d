//! A cheap HTTP/1.1 client over one kept-alive connection: the generator shares two cores with the server.

use crate::tls::{Handshake, Tls};
use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

const MAX_HEADERS: usize = 48;
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    Io(io::Error),
    /// The connection ended before the answer did: the outcome is unknown.
    Closed,
    /// Not HTTP/1.1 as we speak it.
    Unreadable(&'static str),
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "connection: {error}"),
            Self::Closed => f.write_str("connection closed before the answer was whole"),
            Self::Unreadable(what) => write!(f, "answer is not readable: {what}"),
        }
    }
}

impl std::error::Error for ClientError {}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub address: SocketAddr,
    /// What stands in `Host`.
    pub host: String,
    /// How it is spoken to over TLS; plainly without it.
    pub tls: Option<Tls>,
}

impl Target {
    /// Reads `http://host:port`; a path is not allowed.
    pub fn from_url(url: &str) -> Result<Self, String> {
        let host = url.strip_prefix("http://").ok_or_else(|| format!("{url}: expected http://host:port"))?;
        let host = host.trim_end_matches('/');
        let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let mut found = with_port.to_socket_addrs().map_err(|error| format!("{url}: {error}"))?;
        let address = found.next().ok_or_else(|| format!("{url}: no address"))?;
        Ok(Self { address, host: host.to_owned(), tls: None })
    }

    pub fn local(port: u16) -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), host: format!("127.0.0.1:{port}"), tls: None }
    }

    #[must_use]
    pub fn over(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }
}

#[derive(Debug)]
pub struct Response<'a> {
    pub status: u16,
    pub retry_after_s: Option<u64>,
    pub body: &'a [u8],
    head: &'a [u8],
}

impl Response<'_> {
    /// The values of a header, one for each line.
    pub fn headers<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        let lines = self.head.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
        lines.filter_map(move |line| {
            let (named, value) = line.split_once(':')?;
            named.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

pub struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that belong to the answer last given out.
    used: usize,
    /// A body that came in chunks, put together.
    gathered: Vec<u8>,
    open: bool,
}

struct Head {
    bytes: usize,
    status: u16,
    retry_after_s: Option<u64>,
    length: Length,
    close: bool,
}

#[derive(Clone, Copy)]
enum Length {
    Known(usize),
    Chunked,
}

impl Connection {
    pub async fn open(target: &Target) -> Result<Self, ClientError> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let stream = match &target.tls {
            None => Stream::Plain(stream),
            Some(tls) => Stream::Tls(Box::new(tls.connect(stream).await?)),
        };
        Ok(Self { stream, buffer: Vec::with_capacity(4096), used: 0, gathered: Vec::new(), open: true })
    }

    /// How the TLS session began; `None` on a plain connection.
    pub fn handshake(&self) -> Option<Handshake> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => Some(Handshake::of(stream.get_ref().1)),
        }
    }

    /// Ends it as a client that is done does.
    pub async fn close(mut self) {
        let _ = match &mut self.stream {
            Stream::Plain(stream) => stream.shutdown().await,
            Stream::Tls(stream) => stream.shutdown().await,
        };
    }

    /// The connection that is kept here, opened anew when it is not open.
    pub async fn kept<'a>(slot: &'a mut Option<Self>, target: &Target) -> Result<&'a mut Self, ClientError> {
        slot.take_if(|connection| !connection.open);
        match slot {
            Some(connection) => Ok(connection),
            closed => Ok(closed.insert(Self::open(target).await?)),
        }
    }

    /// False once the server has said that it closes; the answer that said so is still good.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Sends these bytes, which are one whole request, and waits for the whole answer.
    pub async fn round_trip(&mut self, request: &[u8]) -> Result<Response<'_>, ClientError> {
        match self.exchange(request).await {
            Ok((head, body)) => {
                self.open = !head.close;
                let body = match head.length {
                    Length::Known(_) => &self.buffer[body],
                    Length::Chunked => &self.gathered[..],
                };
                let bytes = &self.buffer[..head.bytes];
                Ok(Response { status: head.status, retry_after_s: head.retry_after_s, body, head: bytes })
            }
            Err(error) => {
                self.open = false;
                Err(error)
            }
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<(Head, std::ops::Range<usize>), ClientError> {
        self.buffer.drain(..self.used);
        self.used = 0;
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(request).await?,
            Stream::Tls(stream) => {
                stream.write_all(request).await?;
                stream.flush().await?;
            }
        }
        let head = loop {
            // Nothing is parsed before bytes have come: an answer that was waiting is not this request's.
            if !self.buffer.is_empty()
                && let Some(mut head) = parse_head(&self.buffer)?
            {
                if head.status >= 200 {
                    // The length is that of the body which GET would have.
                    if request.starts_with(b"HEAD ") {
                        head.length = Length::Known(0);
                    }
                    break head;
                }
                self.buffer.drain(..head.bytes);
                continue;
            }
            self.more().await?;
        };
        let end = match head.length {
            Length::Known(length) => {
                let end = head.bytes.checked_add(length).filter(|end| *end <= MAX_ANSWER_BYTES);
                let end = end.ok_or(ClientError::Unreadable("too long"))?;
                while self.buffer.len() < end {
                    self.more().await?;
                }
                end
            }
            Length::Chunked => loop {
                if let Some(end) = gather_chunks(&self.buffer, head.bytes, &mut self.gathered)? {
                    break end;
                }
                self.more().await?;
            },
        };
        self.used = end;
        let body = head.bytes..end;
        Ok((head, body))
    }

    async fn more(&mut self) -> Result<(), ClientError> {
        if self.buffer.len() > MAX_ANSWER_BYTES {
            return Err(ClientError::Unreadable("too long"));
        }
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read_buf(&mut self.buffer).await?,
            Stream::Tls(stream) => stream.read_buf(&mut self.buffer).await?,
        };
        match read {
            0 => Err(ClientError::Closed),
            _ => Ok(()),
        }
    }
}

fn parse_head(buffer: &[u8]) -> Result<Option<Head>, ClientError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let bytes = match response.parse(buffer) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(ClientError::Unreadable("header")),
    };
    let status = response.code.ok_or(ClientError::Unreadable("no status"))?;
    let mut head = Head { bytes, status, retry_after_s: None, length: Length::Known(0), close: false };
    for header in response.headers.iter() {
        let text = || std::str::from_utf8(header.value).map(str::trim).unwrap_or_default();
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = text().parse().map_err(|_| ClientError::Unreadable("content-length"))?;
            head.length = Length::Known(length);
        } else if header.name.eq_ignore_ascii_case("retry-after") {
            head.retry_after_s = text().parse().ok();
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.length = Length::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.close = text().eq_ignore_ascii_case("close");
        }
    }
    if matches!(head.status, 204 | 304) {
        head.length = Length::Known(0);
    }
    Ok(Some(head))
}

/// Puts a chunked body together; `None` while it is not whole, else where it ends in `buffer`.
fn gather_chunks(buffer: &[u8], from: usize, gathered: &mut Vec<u8>) -> Result<Option<usize>, ClientError> {
    gathered.clear();
    let mut at = from;
    loop {
        let (digits, length) = match httparse::parse_chunk_size(&buffer[at..]) {
            Ok(httparse::Status::Complete((digits, length))) => (digits, length),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(ClientError::Unreadable("chunk size")),
        };
        let length = usize::try_from(length).ok().filter(|length| *length <= MAX_ANSWER_BYTES);
        let length = length.ok_or(ClientError::Unreadable("chunk too long"))?;
        at += digits;
        let Some(chunk) = buffer.get(at..at + length + 2) else { return Ok(None) };
        gathered.extend_from_slice(&chunk[..length]);
        at += length + 2;
        if length == 0 {
            return Ok(Some(at));
        }
    }
}

/// Puts one whole request into `into`.
pub fn write_request(
    into: &mut Vec<u8>,
    target: &Target,
    method: &str,
    path: &str,
    token: Option<&str>,
    headers: &[(&str, &str)],
    body: &[u8],
) {
    let mut add = |parts: &[&str]| parts.iter().for_each(|part| into.extend_from_slice(part.as_bytes()));
    add(&[method, " ", path, " HTTP/1.1\r\nHost: ", &target.host, "\r\n"]);
    if let Some(token) = token {
        add(&["Authorization: Bearer ", token, "\r\n"]);
    }
    for (name, value) in headers {
        add(&[name, ": ", value, "\r\n"]);
    }
    if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "Content-Type") {
        add(&["Content-Type: application/json\r\n"]);
    }
    add(&["Content-Length: ", &body.len().to_string(), "\r\n\r\n"]);
    into.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that answers each request it reads with the next of these texts, in two pieces.
    async fn serving(answers: &'static [&'static str]) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::local(listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            for answer in answers {
                if stream.read(&mut buffer).await.unwrap() == 0 {
                    return;
                }
                let (first, second) = answer.as_bytes().split_at(answer.len() / 2);
                stream.write_all(first).await.unwrap();
                stream.flush().await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                stream.write_all(second).await.unwrap();
            }
        });
        target
    }

    #[tokio::test]
    async fn reads_answers_in_pieces_and_keeps_the_connection() {
        let target = serving(&[
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "HTTP/1.1 503 Service Unavailable\r\nretry-after: 17\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
        ])
        .await;
        let mut connection = Connection::open(&target).await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..5 {
            let answer = connection.round_trip(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            seen.push((answer.status, answer.retry_after_s, String::from_utf8(answer.body.to_vec()).unwrap()));
        }
        let expected = [
            (200, None, "hello".to_owned()),
            (503, Some(17), String::new()),
            (204, None, String::new()),
            (200, None, "abcde".to_owned()),
            (201, None, "{}".to_owned()),
        ];
        assert_eq!(seen, expected);
        assert!(!connection.is_open());
        assert!(matches!(connection.round_trip(b"x").await, Err(ClientError::Closed | ClientError::Io(_))));
    }

    #[tokio::test]
    async fn an_answer_to_head_has_headers_and_no_body() {
        let answers = &["HTTP/1.1 200 OK\r\nETag: \"a\"\r\nX: 1\r\nx: 2\r\ncontent-length: 500\r\n\r\n"];
        let mut connection = Connection::open(&serving(answers).await).await.unwrap();
        let answer = connection.round_trip(b"HEAD / HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!((answer.headers("etag").next(), answer.body), (Some("\"a\""), &b""[..]));
        assert_eq!(answer.headers("X").collect::<Vec<_>>(), ["1", "2"]);
    }

    #[tokio::test]
    async fn half_an_answer_is_no_answer() {
        let target = serving(&["HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello"]).await;
        let mut connection = Connection::open(&target).await.unwrap();
        assert!(matches!(connection.round_trip(b"GET").await, Err(ClientError::Closed)));
    }

    #[tokio::test]
    async fn what_is_not_http_is_an_error() {
        let target = serving(&["SSH-2.0-OpenSSH_9.2\r\n\r\n"]).await;
        let mut connection = Connection::open(&target).await.unwrap();
        assert!(matches!(connection.round_trip(b"GET").await, Err(ClientError::Unreadable(_))));
    }

    #[test]
    fn urls() {
        assert_eq!(Target::from_url("http://127.0.0.1:8080/").unwrap(), Target::local(8080));
        assert!(Target::from_url("https://127.0.0.1").is_err());
        assert!(Target::from_url("127.0.0.1:80").is_err());
    }
}
