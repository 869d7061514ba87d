//! A line to the server from a public address: the connection comes over a proxy that says whose it is.

use super::model::Span;
use crate::{
    client::{ClientError, Connection, Target, write_request},
    clock,
};
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

/// How often a request that was put off is repeated.
const TRIES: usize = 8;

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after_s: Option<u64>,
    pub etag: Option<String>,
    pub challenges: Vec<String>,
    pub cookie: Option<String>,
    pub body: Vec<u8>,
    pub when: Span,
    pub took: Duration,
    /// How often it was put off before.
    pub deferred: u64,
}

impl Answer {
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

pub struct Line {
    target: Target,
    connection: Option<Connection>,
    request: Vec<u8>,
}

impl Line {
    pub fn new(target: &Target) -> Self {
        Self { target: target.clone(), connection: None, request: Vec::new() }
    }

    /// Hangs up, as phones do when they have what they want.
    pub async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }

    /// Asks from an address; what is put off with 503 is repeated when the server says.
    pub async fn ask(
        &mut self,
        from: Ipv4Addr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ClientError> {
        let from = from.to_string();
        let headers: Vec<(&str, &str)> =
            [("X-Forwarded-For", &*from)].into_iter().chain(headers.iter().copied()).collect();
        self.request.clear();
        write_request(&mut self.request, &self.target, method, path, None, &headers, body);
        let mut deferred = 0;
        loop {
            let mut answer = self.once().await?;
            answer.deferred = deferred;
            if answer.status != 503 || deferred as usize >= TRIES {
                return Ok(answer);
            }
            deferred += 1;
            let wait = answer.retry_after_s.unwrap_or(1).clamp(1, 20);
            tokio::time::sleep(Duration::from_millis(wait * 1000 + 37 * deferred)).await;
        }
    }

    async fn once(&mut self) -> Result<Answer, ClientError> {
        let (sent, began) = (clock::now_ms(), Instant::now());
        let connection = Connection::kept(&mut self.connection, &self.target).await?;
        let response = connection.round_trip(&self.request).await?;
        let one = |name| response.headers(name).next().map(str::to_owned);
        Ok(Answer {
            status: response.status,
            retry_after_s: response.retry_after_s,
            etag: one("etag"),
            challenges: response.headers("www-authenticate").map(str::to_owned).collect(),
            cookie: one("set-cookie"),
            body: response.body.to_vec(),
            when: Span::new(sent, clock::now_ms()),
            took: began.elapsed(),
            deferred: 0,
        })
    }
}
