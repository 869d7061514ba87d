//! Texts: read what one is about, put it into words, hand it to the gateway. Their order, retries and deadlines are the
//! post's, as with mails.

mod gateway;
mod limits;
#[cfg(test)]
mod tests;

use crate::{
    boxes::api::texts as boxes,
    config::{Config, SmsDriver},
    delivery::mail::Reader,
    engine::{Carried, Post},
    kernel::{Clock, MailCopy, MailTrouble, Recipient},
    recovery::api::mails as recovery,
};
use gateway::Gateway;
use limits::{Limits, Spent};
use serde_json::Value;

/// Why texts cannot be sent as configured.
#[derive(Debug, thiserror::Error)]
#[error("sms.{key}: {reason}")]
pub struct SmsError {
    key: &'static str,
    reason: String,
}

#[derive(Debug)]
enum Driver {
    None,
    Log,
    Gateway(Box<Gateway>),
}

/// Puts texts into words and hands them over as configured.
#[derive(Debug)]
pub struct Texter {
    driver: Driver,
    limits: Limits,
    base_url: String,
    /// Where the gateway reports to, if it is asked to.
    reports_url: Option<String>,
    clock: Clock,
}

impl Texter {
    /// Reads everything that can be wrong: address, password, header.
    pub fn new(config: &Config, clock: Clock) -> Result<Self, SmsError> {
        let driver = match config.sms.driver {
            SmsDriver::None => Driver::None,
            SmsDriver::Log => Driver::Log,
            SmsDriver::Kannel | SmsDriver::Http => Driver::Gateway(Box::new(Gateway::new(&config.sms)?)),
        };
        let base_url = config.public.base_url.trim_end_matches('/').to_owned();
        let reports_url = match config.sms.reports_url.trim_end_matches('/') {
            "" => base_url.clone(),
            url => url.to_owned(),
        };
        let reports = config.sms.reports && config.sms.driver == SmsDriver::Kannel;
        let reports_url = reports.then_some(reports_url);
        Ok(Self { driver, limits: Limits::new(&config.sms), base_url, reports_url, clock })
    }

    fn sends_texts(&self) -> bool {
        !matches!(self.driver, Driver::None)
    }

    /// Tries one text once.
    pub async fn carry(&self, post: Post<'_>) -> Carried {
        match self.try_once(post).await {
            Ok(carried) => carried,
            Err(trouble) => Carried::Failed { trouble, code: None },
        }
    }

    async fn try_once(&self, post: Post<'_>) -> Result<Carried, MailTrouble> {
        let mail = &post.item.mail;
        let unrenderable = |why: String| {
            tracing::error!(%why, template = %mail.template, "a text cannot be put into words");
            MailTrouble::Unrenderable
        };
        let reader = Reader::new(post.db, post.keys, mail.name.from.org, &self.base_url);
        let now = self.clock.now();
        let (number, language) = match mail.to {
            Recipient::Mobile(person) => {
                if boxes::is_over(&mail.template, &mail.about, now).map_err(unrenderable)? {
                    return Ok(Carried::Unwanted);
                }
                let profile = reader.profile(person).map_err(unrenderable)?.ok_or(MailTrouble::Erased)?;
                let no_way = || profile.email.is_some() || profile.mobile.is_none() || !self.sends_texts();
                if boxes::stands_in(&mail.template) && no_way() {
                    return Ok(Carried::Unwanted);
                }
                let language = reader.organisation().map_err(unrenderable)?.language;
                (profile.mobile.ok_or(MailTrouble::NoAddress)?, language)
            }
            _ => match recovery::addressee(&reader, mail, now).map_err(unrenderable)? {
                Some(found) => found,
                None => return Ok(Carried::Unwanted),
            },
        };
        let kind = recovery::TEXTS.iter().chain(&boxes::TEXTS).find(|kind| kind.template == &*mail.template);
        let kind = kind.ok_or_else(|| unrenderable("no such text".to_owned()))?;
        let data = (kind.data)(&reader, &mail.about).map_err(unrenderable)?;
        let text = match mail.to {
            Recipient::Mobile(_) => boxes::words(language.tag(), &data),
            _ => words(kind.template, language.tag(), &data),
        };
        match self.limits.spend(mail.name, &number, now) {
            Spent::Free => {}
            Spent::Country => return Err(MailTrouble::CountryForbidden),
            Spent::TooMany => return Err(MailTrouble::Limited),
        }
        match &self.driver {
            Driver::None => Err(MailTrouble::CountryForbidden),
            Driver::Log => {
                tracing::info!(template = kind.template, "a text, not sent");
                Ok(Carried::Sent)
            }
            Driver::Gateway(gateway) => {
                let report = self.report_address(&reader, mail);
                gateway.send(&number, &text, report.as_deref()).await.map(|()| Carried::Sent)
            }
        }
    }
}

impl Texter {
    /// Where the gateway tells what became of a text to the contact of now; who was it before is nobody's to see.
    fn report_address(&self, reader: &Reader<'_>, mail: &MailCopy) -> Option<String> {
        let base = self.reports_url.as_ref().filter(|_| matches!(mail.to, Recipient::Telephone(_)))?;
        let token = recovery::report_token(reader.keyed_hash(), mail.name.from, mail.name.revision);
        Some(format!("{base}/recovery/v1/reports/{token}?type=%d"))
    }
}

/// A text in one segment where that can be: without letters that only the long alphabet has.
fn words(template: &str, language: &str, data: &Value) -> String {
    let value = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
    let (installation, code, link) = (value("installation"), value("code"), value("link"));
    match (template, language) {
        ("sms_recovery_code", "it") => format!("{code} e' il codice per {installation}. Non comunicarlo a nessuno."),
        ("sms_recovery_code", "de") => {
            format!("{code} ist der Code fuer {installation}. Geben Sie ihn niemandem weiter.")
        }
        ("sms_recovery_code", _) => format!("{code} is the code for {installation}. Tell it to nobody."),
        ("sms_recovery_done", "it") => {
            format!("{installation}: le credenziali dell'amministratore 1 sono state reimpostate.")
        }
        ("sms_recovery_done", "de") => {
            format!("{installation}: Die Zugangsdaten von Administrator 1 wurden neu gesetzt.")
        }
        ("sms_recovery_done", _) => format!("{installation}: the credentials of administrator 1 were reset."),
        ("sms_recovery_glass", "it") => {
            format!(
                "{installation}: reimpostazione dell'amministratore 1 verso un nuovo indirizzo. Per fermarla: {link}"
            )
        }
        ("sms_recovery_glass", "de") => {
            format!("{installation}: Administrator 1 wird an eine neue Adresse zurueckgesetzt. Anhalten: {link}")
        }
        ("sms_recovery_glass", _) => {
            format!("{installation}: administrator 1 is being reset to a new address. To stop it: {link}")
        }
        (_, "it") => {
            format!("{installation}: il contatto di recupero e' stato cambiato, questo telefono non ne fa piu' parte.")
        }
        (_, "de") => format!("{installation}: Der Kontakt zur Wiederherstellung wurde geaendert."),
        (_, _) => format!("{installation}: the recovery contact has changed."),
    }
}
