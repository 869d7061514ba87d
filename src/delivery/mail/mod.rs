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
    engine::{Carried, Courier, Post, PostLimits},
    iuv,
    kernel::{Codec, MailCopy, MailTrouble, Recipient},
    orgs::{DeadMail, MailChoice, OrganisationMessage, OrganisationRow, ProfilePlain},
    templates::TemplateError,
};
use lettre::message::Mailbox;
use message::Sender;
use serde_json::Value;
use smtp::Smtp;
use std::{path::PathBuf, pin::Pin, time::Duration};
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
    boxes::api::mails::KINDS.iter().chain(&webhooks::mails::KINDS).chain(of_stores)
}

fn kind_of(template: &str) -> Option<&'static MailKind> {
    kinds().find(|kind| kind.template == template)
}

/// What a mail is about, by ids.
pub fn ids_in(mail: &MailCopy) -> Value {
    kind_of(&mail.template).map_or(Value::Null, |kind| (kind.ids)(&mail.about))
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
}

impl Mailer {
    /// Reads everything that can be wrong: addresses, password, certificates, templates.
    pub fn new(config: &Config) -> Result<Self, MailError> {
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
        Ok(Self { driver, templates, limits })
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
        let reader = Reader::new(post.db, post.keys, mail.name.from.org);
        let organisation = reader.organisation().map_err(unrenderable)?;
        if !(kind.wanted)(organisation.mails) {
            return Ok(false);
        }
        let to = recipient(&reader, &organisation, mail.to)?;
        let data = (kind.data)(&reader, &mail.about).map_err(unrenderable)?;
        let about = templates::About { organisation: &organisation.name, recipient: &to.name, data };
        let rendered = self.templates.render(kind.template, organisation.language, about).map_err(unrenderable)?;
        match &self.driver {
            Driver::None => Err(Trouble::of(MailTrouble::NoDriver)),
            Driver::Log => {
                tracing::info!(template = kind.template, message_id = local_part(&mail.name), "a mail, not sent");
                Ok(true)
            }
            Driver::File(folder, sender) => {
                let message = sender.message(&mail.name, to.mailbox()?, organisation.language, rendered)?;
                let file = folder.join(format!("{}.eml", local_part(&mail.name)));
                let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(file, message.formatted()));
                written.map(|()| true).map_err(|error| {
                    tracing::error!(%error, "a mail cannot be written");
                    Trouble::of(MailTrouble::Unreachable)
                })
            }
            Driver::Smtp(smtp, sender) => {
                let message = sender.message(&mail.name, to.mailbox()?, organisation.language, rendered)?;
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
    name: String,
    email: String,
}

impl Addressee {
    fn mailbox(&self) -> Result<Mailbox, Trouble> {
        let address = self.email.parse().map_err(|_| Trouble::of(MailTrouble::NoAddress))?;
        let name = Some(message::one_line(&self.name)).filter(|name| !name.is_empty());
        Ok(Mailbox::new(name, address))
    }
}

fn recipient(reader: &Reader<'_>, organisation: &OrganisationRow, to: Recipient) -> Result<Addressee, Trouble> {
    let person = match to {
        Recipient::Owner => organisation.owner,
        Recipient::Person(person) => person,
        Recipient::Shopper(shopper) => {
            let attributes = reader.shopper(shopper).map_err(unreadable)?.ok_or(Trouble::of(MailTrouble::Erased))?;
            let email = attributes.email.clone().ok_or(Trouble::of(MailTrouble::NoAddress))?;
            return Ok(Addressee { name: attributes.full_name(), email });
        }
        Recipient::IuvAdministrator { store, verification, place } => {
            let found = reader.store_secrets(store).map_err(unreadable)?.unwrap_or_default();
            let of = found.of(verification);
            let email = of.and_then(|of| of.administrators.get(usize::from(place))).cloned();
            return Ok(Addressee { name: String::new(), email: email.ok_or(Trouble::of(MailTrouble::NoAddress))? });
        }
    };
    let profile = reader.profile(person).map_err(unreadable)?;
    let ProfilePlain { name, email, .. } = profile.ok_or(Trouble::of(MailTrouble::Erased))?;
    let email = email.ok_or(Trouble::of(MailTrouble::NoAddress))?;
    Ok(Addressee { name, email })
}

fn unreadable(why: String) -> Trouble {
    tracing::error!(%why, "a recipient cannot be read");
    Trouble::of(MailTrouble::Unrenderable)
}

impl Courier for Mailer {
    fn carry<'a>(&'a self, post: Post<'a>) -> Pin<Box<dyn Future<Output = Carried> + 'a>> {
        Box::pin(async move {
            match self.try_once(post).await {
                Ok(true) => Carried::Sent,
                Ok(false) => Carried::Unwanted,
                Err(Trouble { why, code }) => Carried::Failed { trouble: why, code },
            }
        })
    }

    fn died(&self, mail: &MailCopy, trouble: MailTrouble, code: Option<u16>) -> Vec<u8> {
        OrganisationMessage::MailDied(DeadMail { mail: mail.clone(), trouble, code }).to_bytes()
    }

    fn limits(&self) -> PostLimits {
        self.limits
    }
}
