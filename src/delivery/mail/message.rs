//! A rendered mail as it goes over the line (RFC 5322), the same bytes however often it is sent.

use super::{MailError, Trouble, templates::Rendered, wrong};
use crate::{
    config,
    kernel::{MailName, MailTrouble},
    orgs::Language,
};
use lettre::message::{
    Mailbox, Message, MultiPart, SinglePart,
    header::{ContentType, HeaderName, HeaderValue},
};
use std::time::{Duration, UNIX_EPOCH};

/// Who sends, as configured.
#[derive(Debug)]
pub(super) struct Sender {
    from: Mailbox,
    reply_to: Option<Mailbox>,
    domain: String,
}

impl Sender {
    pub fn new(config: &config::Mail) -> Result<Self, MailError> {
        let mailbox = |key, text: &str| {
            text.parse::<Mailbox>().map_err(|_| {
                wrong(key, format!("expected a mail address, such as Castellan <castellan@example.org>, got `{text}`"))
            })
        };
        let from = mailbox("from", &config.from)?;
        let reply_to = (!config.reply_to.is_empty()).then(|| mailbox("reply_to", &config.reply_to)).transpose()?;
        let domain = match config.message_id_domain.as_str() {
            "" => from.email.domain().to_owned(),
            domain => domain.to_owned(),
        };
        let clean = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        if domain.is_empty() || !domain.chars().all(clean) {
            return Err(wrong("message_id_domain", format!("expected a domain name in ASCII, got `{domain}`")));
        }
        Ok(Self { from, reply_to, domain })
    }

    pub fn message(
        &self,
        name: &MailName,
        to: Mailbox,
        language: Language,
        rendered: Rendered,
    ) -> Result<Message, Trouble> {
        let local = local_part(name);
        let header = |name, value: &str| HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned());
        let mut builder = Message::builder()
            .message_id(Some(format!("<{local}@{}>", self.domain)))
            .date(UNIX_EPOCH + Duration::from_millis(name.at.0))
            .from(self.from.clone())
            .to(to)
            .subject(one_line(&rendered.subject))
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("Content-Language", language.tag()));
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        let part = |kind, body| SinglePart::builder().header(kind).body(body);
        let parts = MultiPart::alternative()
            .boundary(format!("=_{local}"))
            .singlepart(part(ContentType::TEXT_PLAIN, rendered.text))
            .singlepart(part(ContentType::TEXT_HTML, rendered.html));
        builder.multipart(parts).map_err(|error| {
            tracing::error!(%error, "a mail cannot be put together");
            Trouble::of(MailTrouble::Unrenderable)
        })
    }
}

/// The part of the Message-ID before the `@`: the same for every try of one mail.
pub fn local_part(name: &MailName) -> String {
    format!("{}.{}.{}.{:x}", name.from.entity, name.revision, name.n, name.at.0)
}

/// Text for a header: without line ends and other control characters.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}
