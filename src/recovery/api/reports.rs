//! What gateways and mail servers tell after they had taken a text or a mail.

use super::refused;
use crate::{
    http::{Ask, Code, Doc, Problem, Reply},
    kernel::{InstallationId, schema::pattern},
    recovery::{Command, Installation, TextStatus, words::text_of_report},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// As Kannel fills in its `%d`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Reported {
    /// 1 delivered, 2 failed, 4 queued, 8 accepted by the network, 16 rejected by it.
    #[serde(rename = "type")]
    #[param(inline, minimum = 1, maximum = 31)]
    kind: u8,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TextReportTaken)]
struct Taken {
    taken: bool,
}

pub(crate) const TEXT: Doc = Doc::new("Report what became of a text")
    .details("For the gateway, at the address that it was given together with the text. Nobody can guess it.")
    .query::<Reported>()
    .answers::<Taken>()
    .refuses(&[Code::NotFound, Code::TooManyFailures]);

pub(crate) async fn text(ask: Ask) -> Result<Reply, Problem> {
    let Reported { kind } = ask.query()?;
    let token: String = ask.path("report")?;
    let (of, text) = text_of_report(ask.engine.keys(), &token).ok_or(Code::NotFound)?;
    let status = TextStatus::of_kannel(kind);
    // Other numbers of Kannel's say nothing that anybody asked for.
    if let Some(status) = status {
        ask.tell::<Installation>(of, Command::TextReported { text, status }, refused).await?;
    }
    Reply::ok(&Taken { taken: status.is_some() })
}

crate::kernel::schema::shapes! {
    MessageId, "The Message-ID of one of our mails to a recovery contact, or what stands in it before the `@`",
        pattern(r"^<?ins_[0-9a-hjkmnp-tv-z]{26}\.[0-9]{1,19}\.[0-9]{1,9}\.[0-9a-f]{1,16}(@[A-Za-z0-9.-]{1,253})?>?$")
            .examples(["<ins_0224jemc59p0vq7ycjye040jny.7.0.19a53c1e8c0@castle.example>"]);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MailBounce)]
struct Bounce {
    #[schema(value_type = MessageId)]
    message_id: String,
}

pub(crate) const BOUNCE: Doc = Doc::new("Report that a mail to a recovery contact came back")
    .details(
        "For whatever reads the mailbox that bounces come to. Administrator 1 and the operator see it at the contact.",
    )
    .takes::<Bounce>()
    .done()
    .untagged()
    .refuses(&[Code::NotFound]);

pub(crate) async fn bounce(ask: Ask) -> Result<Reply, Problem> {
    let body: Bounce = ask.json()?;
    let wrong = || Problem::field("/message_id", "expected the Message-ID of a mail to a recovery contact");
    let (installation, mail) = read_message_id(&body.message_id).ok_or_else(wrong)?;
    let of = installation.at(ask.org());
    ask.engine.read(of, |state: &Installation, _| state.known().map(|_| ())).await?.ok_or(Code::NotFound)?;
    ask.tell::<Installation>(of, Command::MailBounced { mail }, refused).await?;
    Ok(Reply::no_content())
}

/// Whose mail it was, and the revision that asked for it.
fn read_message_id(text: &str) -> Option<(InstallationId, u64)> {
    let bare = text.trim_start_matches('<').trim_end_matches('>');
    let local = bare.split_once('@').map_or(bare, |(local, _)| local);
    let mut parts = local.split('.');
    let (installation, mail) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let (n, at) = (parts.next()?.parse::<u32>().ok(), u64::from_str_radix(parts.next()?, 16).ok());
    (n.is_some() && at.is_some() && parts.next().is_none()).then_some((installation, mail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_read_as_it_was_written() {
        let id = InstallationId(9);
        for text in [format!("{id}.7.0.19a53c1e8c0"), format!("<{id}.7.0.19a53c1e8c0@castle.example>")] {
            assert_eq!(read_message_id(&text), Some((id, 7)), "{text}");
        }
        for text in [format!("{id}.7.0"), format!("{id}.7.0.xyz"), format!("{id}.-7.0.1"), "a@b.example".to_owned()] {
            assert_eq!(read_message_id(&text), None, "{text}");
        }
    }
}
