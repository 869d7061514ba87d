//! What a client of terminals and a browser ask: one request, one answer, again if there was none.

use crate::{
    chance::Chance,
    client::{ClientError, Connection, Target, write_request},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// An answer.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    pub retry_after_s: Option<u64>,
    pub location: Option<String>,
    pub body: String,
}

impl Told {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    pub fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    /// The name of a page.
    pub fn page(&self) -> &str {
        let named = self.body.split("data-page=\"").nth(1);
        named.and_then(|rest| rest.split('"').next()).unwrap_or_default()
    }

    /// Where a form has led to.
    pub fn leads_to(&self) -> Option<String> {
        let location = self.location.as_ref().filter(|_| self.status == 303)?;
        Some(location.replacen("..", "/recovery", 1))
    }

    pub fn is_put_off(&self) -> bool {
        matches!(self.status, 429 | 503)
    }
}

/// How long somebody honest goes on asking, over restarts of the server.
const PATIENCE: Duration = Duration::from_secs(150);

pub struct Caller {
    target: Target,
    connection: Option<Connection>,
    request: Vec<u8>,
    pub chance: Chance,
}

impl Caller {
    pub fn new(target: &Target, chance: Chance) -> Self {
        Self { target: target.clone(), connection: None, request: Vec::new(), chance }
    }

    pub fn another(&self, stream: u64) -> Self {
        Self::new(&self.target, self.chance.fork(stream))
    }

    async fn try_once(
        &mut self,
        (method, path): (&str, &str),
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Told, ClientError> {
        self.request.clear();
        write_request(&mut self.request, &self.target, method, path, token, headers, body);
        let connection = Connection::kept(&mut self.connection, &self.target).await?;
        let answer = connection.round_trip(&self.request).await?;
        Ok(Told {
            status: answer.status,
            retry_after_s: answer.retry_after_s,
            location: answer.headers("location").next().map(str::to_owned),
            body: String::from_utf8_lossy(answer.body).into_owned(),
        })
    }

    /// Asks once; `None`: no answer, and nobody knows what became of it.
    pub async fn json(&mut self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Option<Told> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.try_once((method, path), token, &[], body.as_bytes()).await.ok()
    }

    pub async fn page(&mut self, path: &str) -> Option<Told> {
        self.try_once(("GET", path), None, &[], b"").await.ok()
    }

    /// Sends a form as a browser without a referrer does.
    pub async fn form(&mut self, path: &str, body: &str) -> Option<Told> {
        let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", "null")];
        self.try_once(("POST", path), None, &headers, body.as_bytes()).await.ok()
    }

    /// Until there is an answer that is no "later".
    async fn rest(&mut self, told: Option<&Told>) {
        let spread = 50 + self.chance.below(200);
        let named = told.and_then(|told| told.retry_after_s).unwrap_or_default().min(61);
        tokio::time::sleep(Duration::from_millis(named * 1000 + spread)).await;
    }

    pub async fn patient_json(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Option<Told> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let told = self.json(method, path, token, body).await;
            match told {
                Some(told) if !told.is_put_off() => return Some(told),
                told => self.rest(told.as_ref()).await,
            }
        }
        None
    }

    pub async fn patient_form(&mut self, path: &str, body: &str) -> Option<Told> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let told = self.form(path, body).await;
            match told {
                Some(told) if !told.is_put_off() => return Some(told),
                told => self.rest(told.as_ref()).await,
            }
        }
        None
    }

    /// A terminal's token.
    pub async fn open(&mut self, path: &str) -> Option<String> {
        let opened =
            self.patient_json("POST", &format!("/recovery/v1/{path}/terminals"), None, Some(&json!({}))).await?;
        (opened.status == 201).then(|| opened.text("terminal"))
    }

    pub async fn log_in(&mut self, terminal: &str, name: &str, password: &str) -> Option<Told> {
        let body = json!({ "name": name, "password": password });
        self.patient_json("POST", "/recovery/v1/terminal/login", Some(terminal), Some(&body)).await
    }

    /// The same request twice, the second time with what the first was answered.
    pub async fn confirmed(&mut self, method: &str, path: &str, terminal: &str, body: &Value) -> Option<Told> {
        let first = self.patient_json(method, path, Some(terminal), Some(body)).await?;
        if first.status != 200 {
            return Some(first);
        }
        let mut second = body.clone();
        second["confirmation"] = first.json()["confirmation"].clone();
        self.patient_json(method, path, Some(terminal), Some(&second)).await
    }

    pub async fn close(&mut self, terminal: &str) {
        self.patient_json("DELETE", "/recovery/v1/terminal", Some(terminal), None).await;
    }
}
