//! Mails: read what one is about, render it in the recipient's language, hand it to the mail server.

mod message;
mod read;
mod smtp;
mod templates;
#[cfg(test)]
mod tests;

pub use message::local_part;
pub use read::Reader;

use crate::{
    boxes,
    config::{Config, MailDriver},
    delivery::webhooks,
    engine::{Carried, Post, PostLimits},
    iuv,
    kernel::{Clock, MailCopy, MailTrouble, Recipient},
    orgs::{Language, MailChoice, OrganisationRow, ProfilePlain},
    recovery,
    templates::TemplateError,
};
use lettre::message::Mailbox;
use message::Sender;
use serde_json::Value;
use smtp::Smtp;
use std::{path::PathBuf, time::Duration};
use templates::Templates;

/// One kind of mail: its context knows what it is about.
pub struct MailKind {
    pub template: &'static str,
    pub wanted: fn(MailChoice) -> bool,
    /// Reads what the template needs, when the mail is sent.
    pub data: fn(&Reader<'_>, &[u8]) -> Result<Value, String>,
    /// The ids that a dead letter shows.
    pub ids: fn(&[u8]) -> Value,
    /// Data to try templates with.
    pub sample: fn() -> Value,
}

/// Every kind of mail there is.
fn kinds() -> impl Iterator<Item = &'static MailKind> {
    let of_stores = iuv::stores::api::mails::KINDS.iter().chain(&iuv::shoppers::mails::KINDS);
    let of_boxes = boxes::api::mails::KINDS.iter().chain(&boxes::api::texts::KINDS);
    let of_houses = of_boxes.chain(&webhooks::mails::KINDS);
    of_houses.chain(of_stores).chain(&recovery::api::mails::KINDS)
}

fn kind_of(template: &str) -> Option<&'static MailKind> {
    kinds().find(|kind| kind.template == template)
}

/// What a mail is about, by ids.
pub fn ids_in(mail: &MailCopy) -> Value {
    let texts = || recovery::api::mails::TEXTS.iter().chain(&boxes::api::texts::TEXTS);
    let text = || texts().find(|kind| kind.template == &*mail.template);
    kind_of(&mail.template).or_else(text).map_or(Value::Null, |kind| (kind.ids)(&mail.about))
}

/// Why mails cannot be sent as configured.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("mail.{key}: {reason}")]
    Key { key: &'static str, reason: String },
    #[error(transparent)]
    Template(#[from] TemplateError),
}

fn wrong(key: &'static str, reason: impl ToString) -> MailError {
    MailError::Key { key, reason: reason.to_string() }
}

#[derive(Debug)]
enum Driver {
    None,
    Smtp(Box<Smtp>, Sender),
    File(PathBuf, Sender),
    Log,
}

/// Renders mails and hands them over as configured.
#[derive(Debug)]
pub struct Mailer {
    driver: Driver,
    templates: Templates,
    limits: PostLimits,
    base_url: String,
    clock: Clock,
}

impl Mailer {
    /// Reads everything that can be wrong: addresses, password, certificates, templates.
    pub fn new(config: &Config, clock: Clock) -> Result<Self, MailError> {
        let mail = &config.mail;
        let templates = Templates::load(&mail.templates_dir)?;
        let driver = match mail.driver {
            MailDriver::None => Driver::None,
            MailDriver::Smtp => Driver::Smtp(Box::new(Smtp::new(mail)?), Sender::new(mail)?),
            MailDriver::File => Driver::File(config.mail_dir(), Sender::new(mail)?),
            MailDriver::Log => Driver::Log,
        };
        let limits = PostLimits {
            at_once: mail.connections_max,
            retry_first: Duration::from_millis(mail.retry_first_ms),
            retry_longest: Duration::from_millis(mail.retry_longest_ms),
        };
        let base_url = config.public.base_url.trim_end_matches('/').to_owned();
        Ok(Self { driver, templates, limits, base_url, clock })
    }

    /// Whether mails really leave.
    pub fn sends(&self) -> bool {
        matches!(self.driver, Driver::Smtp(..))
    }

    async fn try_once(&self, post: Post<'_>) -> Result<bool, Trouble> {
        if matches!(self.driver, Driver::None) {
            return Err(Trouble::of(MailTrouble::NoDriver));
        }
        let mail = &post.item.mail;
        let unrenderable = |why: String| {
            tracing::error!(%why, template = %mail.template, "a mail cannot be rendered");
            Trouble::of(MailTrouble::Unrenderable)
        };
        let kind = kind_of(&mail.template).ok_or_else(|| unrenderable("no such template".to_owned()))?;
        let reader = Reader::new(post.db, post.keys, mail.name.from.org, &self.base_url);
        let organisation = reader.organisation().map_err(unrenderable)?;
        if !(kind.wanted)(organisation.mails) {
            return Ok(false);
        }
        let Some(to) = self.recipient(&reader, &organisation, mail)? else { return Ok(false) };
        let data = (kind.data)(&reader, &mail.about).map_err(unrenderable)?;
        let about = templates::About { organisation: &organisation.name, recipient: &to.name, data };
        let rendered = self.templates.render(kind.template, to.language, about).map_err(unrenderable)?;
        match &self.driver {
            Driver::None => Err(Trouble::of(MailTrouble::NoDriver)),
            Driver::Log => {
                tracing::info!(template = kind.template, message_id = local_part(&mail.name), "a mail, not sent");
                Ok(true)
            }
            Driver::File(folder, sender) => {
                let message = sender.message(&mail.name, to.mailbox()?, to.language, rendered)?;
                let file = folder.join(format!("{}.eml", local_part(&mail.name)));
                let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(file, message.formatted()));
                written.map(|()| true).map_err(|error| {
                    tracing::error!(%error, "a mail cannot be written");
                    Trouble::of(MailTrouble::Unreachable)
                })
            }
            Driver::Smtp(smtp, sender) => {
                let message = sender.message(&mail.name, to.mailbox()?, to.language, rendered)?;
                smtp.send(message.envelope(), &message.formatted()).await.map(|()| true)
            }
        }
    }
}

/// What went wrong, and what the mail server called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trouble {
    why: MailTrouble,
    code: Option<u16>,
}

impl Trouble {
    fn of(why: MailTrouble) -> Self {
        Self { why, code: None }
    }
}

/// Whoever gets the mail, as known at this moment.
struct Addressee {
    /// Empty, if nobody knows it.
    name: String,
    email: String,
    language: Language,
}

impl Addressee {
    fn mailbox(&self) -> Result<Mailbox, Trouble> {
        let address = self.email.parse().map_err(|_| Trouble::of(MailTrouble::NoAddress))?;
        let name = Some(message::one_line(&self.name)).filter(|name| !name.is_empty());
        Ok(Mailbox::new(name, address))
    }
}

impl Mailer {
    /// Who gets a mail; `None` if nobody is meant to any more.
    fn recipient(
        &self,
        reader: &Reader<'_>,
        organisation: &OrganisationRow,
        mail: &MailCopy,
    ) -> Result<Option<Addressee>, Trouble> {
        let unreadable = |why: String| {
            tracing::error!(%why, "a recipient cannot be read");
            Trouble::of(MailTrouble::Unrenderable)
        };
        let person = match mail.to {
            Recipient::Owner => organisation.owner,
            Recipient::Person(person) | Recipient::Mobile(person) => person,
            Recipient::Shopper(shopper) => {
                let attributes =
                    reader.shopper(shopper).map_err(unreadable)?.ok_or(Trouble::of(MailTrouble::Erased))?;
                let email = attributes.email.clone().ok_or(Trouble::of(MailTrouble::NoAddress))?;
                return Ok(Some(Addressee { name: attributes.full_name(), email, language: organisation.language }));
            }
            Recipient::IuvAdministrator { store, verification, place } => {
                let found = reader.store_secrets(store).map_err(unreadable)?.unwrap_or_default();
                let of = found.of(verification);
                let email = of.and_then(|of| of.administrators.get(usize::from(place))).cloned();
                let email = email.ok_or(Trouble::of(MailTrouble::NoAddress))?;
                return Ok(Some(Addressee { name: String::new(), email, language: organisation.language }));
            }
            Recipient::Contact(_)
            | Recipient::FormerContact(_)
            | Recipient::Telephone(_)
            | Recipient::FormerTelephone(_) => {
                let found = recovery::api::mails::addressee(reader, mail, self.clock.now()).map_err(unreadable)?;
                return Ok(found.map(|(email, language)| Addressee { name: String::new(), email, language }));
            }
        };
        let profile = reader.profile(person).map_err(unreadable)?;
        let ProfilePlain { name, email, .. } = profile.ok_or(Trouble::of(MailTrouble::Erased))?;
        // Who has no address gets a text instead, or nothing: nobody has to care.
        if email.is_none() && *mail.template == *boxes::BoxMail::REMINDER {
            return Ok(None);
        }
        let email = email.ok_or(Trouble::of(MailTrouble::NoAddress))?;
        Ok(Some(Addressee { name, email, language: organisation.language }))
    }
}

impl Mailer {
    /// Tries one mail once.
    pub async fn carry(&self, post: Post<'_>) -> Carried {
        match self.try_once(post).await {
            Ok(true) => Carried::Sent,
            Ok(false) => Carried::Unwanted,
            Err(Trouble { why, code }) => Carried::Failed { trouble: why, code },
        }
    }

    pub fn limits(&self) -> PostLimits {
        self.limits
    }
}
