//! A box on its link: one sync over one connection.

use crate::{
    client::{ClientError, Connection, Target, write_request},
    clock::now_ms,
    vbox::{Applied, Unbelievable, VirtualBox},
    wire::SyncAnswer,
};
use std::io;

/// How one sync ended.
#[derive(Debug)]
pub enum Synced {
    /// Stored by the box.
    Applied(Applied),
    /// 429 or 503: come again after so many seconds.
    Deferred { retry_after_s: u64 },
    /// A final answer: the box must not repeat this.
    Stopped { status: u16, problem: String },
    /// An answer that breaks the contract.
    Unbelievable(String),
}

#[derive(Debug)]
pub enum LinkError {
    /// No answer: the outcome is unknown, send the same again.
    Broken(ClientError),
    /// The box's own storage failed.
    Storage(io::Error),
}

impl From<ClientError> for LinkError {
    fn from(error: ClientError) -> Self {
        Self::Broken(error)
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        Self::Storage(error)
    }
}

impl std::fmt::Display for LinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(error) => error.fmt(f),
            Self::Storage(error) => write!(f, "the box cannot store: {error}"),
        }
    }
}

impl std::error::Error for LinkError {}

/// Sends what is unsent, shows the ticket, and stores what comes back.
pub async fn sync_once(link: &mut Connection, target: &Target, vbox: &mut VirtualBox) -> Result<Synced, LinkError> {
    sync_once_at(link, target, vbox, now_ms()).await
}

/// The same at a time of one's choosing (a replay of the past).
pub async fn sync_once_at(
    link: &mut Connection,
    target: &Target,
    vbox: &mut VirtualBox,
    true_ms: u64,
) -> Result<Synced, LinkError> {
    let body = vbox.sync_body(true_ms);
    let mut request = Vec::with_capacity(body.len() + 512);
    let ticket = vbox.ticket().map(|ticket| ("Castellan-Ticket", ticket));
    let headers = ticket.as_slice();
    write_request(&mut request, target, "POST", "/box/v1/sync", Some(&vbox.identity.token), headers, &body);
    let response = link.round_trip(&request).await?;
    match response.status {
        200 => {
            let answer: SyncAnswer = match serde_json::from_slice(response.body) {
                Ok(answer) => answer,
                Err(error) => return Ok(Synced::Unbelievable(error.to_string())),
            };
            Ok(match vbox.apply(answer)? {
                Ok(applied) => Synced::Applied(applied),
                Err(why) => Synced::Unbelievable(explain(&why)),
            })
        }
        429 | 503 => Ok(Synced::Deferred { retry_after_s: response.retry_after_s.unwrap_or(1) }),
        status => Ok(Synced::Stopped { status, problem: String::from_utf8_lossy(response.body).into_owned() }),
    }
}

fn explain(why: &Unbelievable) -> String {
    match why {
        Unbelievable::ReceiptNotAsked(seq) => format!("a receipt for entry {seq}, which was not sent"),
        Unbelievable::ResumesBeyondHead(seq) => format!("resumes at {seq}, which was never written"),
        Unbelievable::ResumesBehindKept(seq) => format!("resumes at {seq}, which was thrown away after its receipt"),
    }
}

/// Tells the server at once that the state of the last answer is stored. Losing this loses nothing: the next sync says
/// the same.
pub async fn confirm(link: &mut Connection, target: &Target, vbox: &VirtualBox) -> Result<u16, ClientError> {
    let body = serde_json::json!({ "cursor": vbox.state().cursor }).to_string();
    let mut request = Vec::with_capacity(512);
    write_request(&mut request, target, "POST", "/box/v1/confirm", Some(&vbox.identity.token), &[], body.as_bytes());
    Ok(link.round_trip(&request).await?.status)
}
