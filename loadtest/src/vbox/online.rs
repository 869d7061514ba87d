//! A box that is connected: it asks before it opens, for three seconds; then it decides alone. What it could not say in
//! time, its journal says, with the exchange's id.

use super::{Attempt, Exchange, Refusal, Shown, VirtualBox};
use crate::{
    client::{ClientError, Connection, Target, write_request},
    wire::Kind,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{io, time::Duration};

/// No answer for so long, and the box declares itself offline.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// What the server decided.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Decided {
    pub exchange: String,
    pub bin: String,
    pub fob: String,
    pub person: Option<String>,
    pub until_ms: u64,
}

/// How an attempt at a connected box ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Online {
    /// It happened as the server decided. `told`: the server has heard it; else the journal will say it.
    Done { exchange: String, fob: String, person: Option<String>, told: bool },
    /// The bin opened and was empty, or full: cancelled.
    Cancelled(Decided),
    /// The server's own word, such as `exchanges.not_permitted`.
    Refused(String),
    /// The server said nothing, or that it cannot decide: the box decided alone.
    Alone(Attempt),
}

/// What breaks the contract.
#[derive(Debug)]
pub enum Strange {
    Answer(u16, String),
    Storage(io::Error),
}

impl From<io::Error> for Strange {
    fn from(error: io::Error) -> Self {
        Self::Storage(error)
    }
}

/// A box's way to the server.
pub struct Road<'a> {
    pub kept: &'a mut Option<Connection>,
    pub target: &'a Target,
    /// The connection is cut before `completed` can be said.
    pub cut: bool,
}

impl Road<'_> {
    async fn post(&mut self, token: &str, path: &str, body: &Value) -> Option<(u16, Vec<u8>)> {
        let mut request = Vec::with_capacity(512);
        write_request(&mut request, self.target, "POST", path, Some(token), &[], body.to_string().as_bytes());
        let answer = async {
            let connection = Connection::kept(self.kept, self.target).await?;
            let response = connection.round_trip(&request).await?;
            Ok::<_, ClientError>((response.status, response.body.to_vec()))
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await.ok().and_then(Result::ok);
        if answer.is_none() {
            *self.kept = None;
        }
        answer
    }
}

impl VirtualBox {
    /// Somebody shows something, or nothing, and wants to take this fob or leave it. `pin`: what is typed besides.
    pub async fn exchange(
        &mut self,
        road: &mut Road<'_>,
        kind: Kind,
        (shown, pin): (Option<Shown<'_>>, Option<&str>),
        fob: &str,
        true_ms: u64,
    ) -> Result<Online, Strange> {
        let mut body = json!({ "kind": kind, "of": { "fob": fob }, "journal_head": self.head() });
        match shown {
            Some(Shown::Digits(digits)) => body["by"] = json!({ "code": digits }),
            Some(Shown::Badge(badge)) => body["by"] = json!({ "badge": badge }),
            Some(Shown::Qr(text)) => body["by"] = json!({ "qr": text }),
            None => {}
        }
        if let Some(pin) = pin {
            body["pin"] = json!(pin);
        }
        let token = self.identity.token.clone();
        match road.post(&token, "/box/v1/exchanges", &body).await {
            Some((201, answer)) => {
                let decided = serde_json::from_slice(&answer);
                let decided: Decided = decided.map_err(|error| Strange::Answer(201, error.to_string()))?;
                if let (Kind::PickUp, Some(Shown::Qr(text))) = (kind, shown) {
                    self.use_up(text, true_ms)?;
                }
                self.carry_out(road, &token, kind, fob, decided, true_ms).await
            }
            Some((status @ (403 | 404 | 409 | 429), answer)) => {
                let problem: Value = serde_json::from_slice(&answer).unwrap_or_default();
                match problem["code"].as_str() {
                    // It cannot decide this moment.
                    Some("boxes.reconciling" | "limits.too_many_requests") => {
                        self.alone(kind, (shown, pin), fob, true_ms)
                    }
                    Some(code) => Ok(Online::Refused(code.to_owned())),
                    None => Err(Strange::Answer(status, String::from_utf8_lossy(&answer).into_owned())),
                }
            }
            None | Some((503, _)) => self.alone(kind, (shown, pin), fob, true_ms),
            Some((status, answer)) => Err(Strange::Answer(status, String::from_utf8_lossy(&answer).into_owned())),
        }
    }

    fn alone(
        &mut self,
        kind: Kind,
        (shown, pin): (Option<Shown<'_>>, Option<&str>),
        fob: &str,
        true_ms: u64,
    ) -> Result<Online, Strange> {
        let attempt = match (kind, shown) {
            (Kind::PickUp, Some(shown)) => self.take(shown, fob, pin, true_ms)?,
            (Kind::PickUp, None) => Attempt::Refused(Refusal::UnknownCode),
            (Kind::DropOff | Kind::Opened | Kind::OpenedAll, shown) => self.leave(shown, fob, true_ms)?,
        };
        Ok(Online::Alone(attempt))
    }

    async fn carry_out(
        &mut self,
        road: &mut Road<'_>,
        token: &str,
        kind: Kind,
        fob: &str,
        decided: Decided,
        true_ms: u64,
    ) -> Result<Online, Strange> {
        let path = |end: &str| format!("/box/v1/exchanges/{}/{end}", decided.exchange);
        let moved = self.physical.get_mut(decided.bin.as_str()).and_then(|content| match kind {
            Kind::PickUp => content.take().map(String::from),
            _ if content.is_none() => content.insert(fob.into()).to_string().into(),
            _ => None,
        });
        let Some(moved) = moved else {
            road.post(token, &path("cancelled"), &json!({})).await;
            return Ok(Online::Cancelled(decided));
        };
        let body = if moved == fob { json!({}) } else { json!({ "fob": moved }) };
        let answer = if road.cut { None } else { road.post(token, &path("completed"), &body).await };
        let told = match answer {
            Some((204, _)) => true,
            // Too late, or not heard: whatever the server knows, the journal says it.
            Some((409 | 429 | 503, _)) | None => false,
            Some((status, answer)) => {
                return Err(Strange::Answer(status, String::from_utf8_lossy(&answer).into_owned()));
            }
        };
        if !told {
            let of = Exchange { seq: 0, bin: decided.bin.clone(), fob: moved.clone(), person: decided.person.clone() };
            self.journal_of(kind, &of, &decided.exchange, true_ms)?;
        }
        Ok(Online::Done { exchange: decided.exchange, fob: moved, person: decided.person, told })
    }

    /// Writes what the server had decided.
    fn journal_of(&mut self, kind: Kind, of: &Exchange, exchange: &str, true_ms: u64) -> io::Result<u64> {
        let (fob, person) = (Some(&*of.fob), of.person.as_deref());
        self.write_entry(kind, &of.bin, fob, person, Some(exchange), true_ms)
    }
}
