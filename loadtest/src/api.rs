//! The administrator's side: JSON in and out over `/api/v1`, repeated safely until the server has answered.

use crate::{
    chance::Chance,
    client::{ClientError, Connection, Target, write_request},
    clock::Backoff,
    wire::Enrolment,
};
use serde_json::Value;
use std::{
    cell::Cell,
    hash::BuildHasher,
    time::{Duration, Instant},
};

/// Why a call has no good answer.
#[derive(Debug)]
pub enum ApiError {
    /// The server answered with a problem.
    Problem { status: u16, code: String, body: String, call: String },
    /// No answer within the patience; the outcome is unknown.
    NoAnswer { call: String, last: String },
    /// An answer without what the contract promises.
    Shape { call: String, missing: String },
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Problem { status, body, call, .. } => write!(f, "{call}: {status} {body}"),
            Self::NoAnswer { call, last } => write!(f, "{call}: no answer ({last})"),
            Self::Shape { call, missing } => write!(f, "{call}: the answer has no {missing}"),
        }
    }
}

impl std::error::Error for ApiError {}

impl ApiError {
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// One caller with one connection. Every POST carries an idempotency key, so that it can be repeated when the
/// connection breaks or the server is started again; 429 and 503 are obeyed.
pub struct Api {
    target: Target,
    token: String,
    connection: Option<Connection>,
    chance: Chance,
    /// Begins this caller's idempotency keys. Not from the seed: the same seed twice must not be answered from memory.
    caller: u64,
    calls: u64,
    request: Vec<u8>,
    /// How long one call is repeated before it counts as not answered.
    pub patience: Duration,
    /// Round trips that ended without an answer.
    pub broken: Cell<u64>,
    /// Answers of 429 and 503.
    pub deferred: Cell<u64>,
}

impl Api {
    pub fn new(target: Target, token: impl Into<String>, chance: Chance) -> Self {
        Self {
            target,
            token: token.into(),
            connection: None,
            chance,
            caller: std::collections::hash_map::RandomState::new().hash_one(0u8),
            calls: 0,
            request: Vec::new(),
            patience: Duration::from_secs(60),
            broken: Cell::new(0),
            deferred: Cell::new(0),
        }
    }

    /// The same caller with another token.
    pub fn with_token(&self, token: impl Into<String>, chance: Chance) -> Self {
        Self { patience: self.patience, ..Self::new(self.target.clone(), token, chance) }
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    pub async fn get(&mut self, path: &str) -> Result<Value, ApiError> {
        self.call("GET", path, None).await
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.call("POST", path, Some(body)).await
    }

    pub async fn patch(&mut self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.call("PATCH", path, Some(body)).await
    }

    pub async fn put(&mut self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.call("PUT", path, Some(body)).await
    }

    /// Gone already counts as gone: the answer to the first attempt may have been lost.
    pub async fn delete(&mut self, path: &str) -> Result<(), ApiError> {
        match self.call("DELETE", path, None).await {
            Err(ApiError::Problem { status: 404 | 410, .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Trades an enrolment code for what makes a box this box.
    pub async fn enrol(&mut self, code: &str) -> Result<Enrolment, ApiError> {
        let call = "/box/v1/enrol";
        let answer = self.call("POST", call, Some(&serde_json::json!({ "code": code }))).await?;
        let missing = |error: serde_json::Error| ApiError::Shape { call: call.to_owned(), missing: error.to_string() };
        serde_json::from_value(answer).map_err(missing)
    }

    /// All items of a list, page by page.
    pub async fn list(&mut self, path: &str) -> Result<Vec<Value>, ApiError> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let page = match &after {
                None => format!("{path}{joint}limit=200"),
                Some(after) => format!("{path}{joint}limit=200&after={after}"),
            };
            let mut answer = self.get(&page).await?;
            match answer.get_mut("items").map(Value::take) {
                Some(Value::Array(some)) => items.extend(some),
                _ => return Err(ApiError::Shape { call: format!("GET {page}"), missing: "items".into() }),
            }
            after = match answer.get("next") {
                Some(Value::String(next)) => Some(next.clone()),
                Some(Value::Number(next)) => Some(next.to_string()),
                _ => return Ok(items),
            };
        }
    }

    async fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let call = || format!("{method} {path}");
        self.calls += 1;
        let key = format!("{:016x}-{}", self.caller, self.calls);
        // A box that enrols has no token yet.
        let enrols = path.starts_with("/box/");
        let token = (!enrols).then_some(self.token.as_str());
        let headers: &[(&str, &str)] = if method == "POST" && !enrols { &[("Idempotency-Key", &key)] } else { &[] };
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = std::mem::take(&mut self.request);
        request.clear();
        let path = if path.starts_with("/api/") || enrols { path.to_owned() } else { format!("/api/v1{path}") };
        write_request(&mut request, &self.target, method, &path, token, headers, body.as_bytes());
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let began = Instant::now();
        let outcome = loop {
            let wait = match self.attempt(&request).await {
                Ok((200..=299, _, answer)) => {
                    let parsed = if answer.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&answer) };
                    break parsed.map_err(|_| ApiError::Shape { call: call(), missing: "JSON".into() });
                }
                Ok((429 | 503, retry_after_s, answer)) => {
                    self.deferred.set(self.deferred.get() + 1);
                    if began.elapsed() > self.patience {
                        let last = String::from_utf8_lossy(&answer).into_owned();
                        break Err(ApiError::NoAnswer { call: call(), last });
                    }
                    match retry_after_s {
                        Some(seconds) => Backoff::after_refusal(seconds, &mut self.chance),
                        None => backoff.after_failure(&mut self.chance),
                    }
                }
                Ok((status, _, answer)) => {
                    let problem: Value = serde_json::from_slice(&answer).unwrap_or_default();
                    let code = problem["code"].as_str().unwrap_or_default().to_owned();
                    let body = String::from_utf8_lossy(&answer).into_owned();
                    break Err(ApiError::Problem { status, code, body, call: call() });
                }
                Err(error) => {
                    self.connection = None;
                    self.broken.set(self.broken.get() + 1);
                    if began.elapsed() > self.patience {
                        break Err(ApiError::NoAnswer { call: call(), last: error.to_string() });
                    }
                    backoff.after_failure(&mut self.chance)
                }
            };
            tokio::time::sleep(wait).await;
        };
        self.request = request;
        outcome
    }

    async fn attempt(&mut self, request: &[u8]) -> Result<(u16, Option<u64>, Vec<u8>), ClientError> {
        let connection = Connection::kept(&mut self.connection, &self.target).await?;
        let response = connection.round_trip(request).await?;
        Ok((response.status, response.retry_after_s, response.body.to_vec()))
    }
}

/// A text that the contract promises in an answer.
pub fn text(answer: &Value, field: &str, call: &str) -> Result<String, ApiError> {
    let missing = || ApiError::Shape { call: call.to_owned(), missing: format!("text `{field}`") };
    answer.get(field).and_then(Value::as_str).map(str::to_owned).ok_or_else(missing)
}
