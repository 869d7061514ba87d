//! The mail about a webhook that was paused because it was of no use any more. Whoever pauses it by hand knows.

use super::{rows::WebhookRow, state::Why};
use crate::{
    delivery::mail::{MailKind, Reader},
    kernel::{Codec, Effects, Recipient, RowSpace, UnixMillis, WebhookId},
};
use minicbor::{Decode, Encode};
use serde_json::{Value, json};
use std::time::Duration;

/// Stored in the outbox and in dead letters: numbers are append-only.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PausedMail {
    #[n(0)]
    pub webhook: WebhookId,
    #[n(1)]
    pub why: Why,
    #[n(2)]
    pub at: UnixMillis,
}

const TEMPLATE: &str = "webhook_paused";
/// The feed is kept for months; who reads this after three days still loses nothing.
const WITHIN: Duration = Duration::from_secs(3 * 24 * 3600);

pub(super) fn send(webhook: WebhookId, why: Why, now: UnixMillis, effects: &mut Effects) {
    if why != Why::ByHand {
        effects.mail(TEMPLATE, Recipient::Owner, &PausedMail { webhook, why, at: now }, now.plus(WITHIN));
    }
}

pub(crate) static KINDS: [MailKind; 1] = [MailKind { template: TEMPLATE, wanted: |_| true, data, ids, sample }];

fn seen(mail: &PausedMail, origin: &str, description: &str, zone: &str) -> Value {
    let PausedMail { webhook, why, at } = mail;
    json!({
        "webhook": { "id": webhook, "origin": origin, "description": description },
        "why": why.name(), "at": at, "zone": zone,
    })
}

fn data(reader: &Reader<'_>, about: &[u8]) -> Result<Value, String> {
    let mail = PausedMail::decode_from(about)?;
    let row: Option<WebhookRow> = reader.row(RowSpace::Webhooks, &mail.webhook.to_bytes())?;
    let row = row.ok_or("there is no such webhook")?;
    Ok(seen(&mail, &row.origin, &row.description, &reader.organisation()?.zone))
}

fn ids(about: &[u8]) -> Value {
    PausedMail::decode_from(about).map_or(Value::Null, |mail| json!({ "webhook": mail.webhook }))
}

fn sample() -> Value {
    let mail = PausedMail { webhook: WebhookId(1), why: Why::Dead, at: UnixMillis(1_790_000_000_000) };
    seen(&mail, "https://hooks.example.org", "Facility & Co", "Europe/Rome")
}
