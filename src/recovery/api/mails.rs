//! Recovery's mails and texts as their templates see them. Links and codes are made when they are sent.

use crate::{
    delivery::mail::{MailKind, Reader},
    kernel::{Codec, MailCopy, Recipient, RowSpace, UnixMillis, VaultField},
    orgs::Language,
    recovery::{
        ContactPlain, FormerPlain, InstallationRow, News, RecoveryMail, Secret,
        mails::{CHANGED, DONE, GLASS, GLASS_RESET, RESET, TEXT_CHANGED, TEXT_CODE, TEXT_DONE, TEXT_GLASS, VALIDATION},
        words,
    },
};
use serde_json::{Value, json};

const fn kind(template: &'static str) -> MailKind {
    MailKind { template, wanted: |_| true, data, ids, sample }
}

pub(crate) static KINDS: [MailKind; 6] =
    [kind(VALIDATION), kind(RESET), kind(DONE), kind(CHANGED), kind(GLASS), kind(GLASS_RESET)];
pub(crate) static TEXTS: [MailKind; 4] = [kind(TEXT_CODE), kind(TEXT_DONE), kind(TEXT_CHANGED), kind(TEXT_GLASS)];

fn read(about: &[u8]) -> Result<RecoveryMail, String> {
    RecoveryMail::decode_from(about)
}

fn row(reader: &Reader<'_>, mail: &RecoveryMail) -> Result<Option<InstallationRow>, String> {
    reader.row(RowSpace::Installations, &mail.installation.to_bytes())
}

fn data(reader: &Reader<'_>, about: &[u8]) -> Result<Value, String> {
    let mail = read(about)?;
    let installation = row(reader, &mail)?.ok_or("there is no such installation")?;
    let (zone, address) = (reader.organisation()?.zone, mail.installation.at(reader.org()));
    let page = |page: &str, salt, secret| {
        let token = words::token(reader.keyed_hash(), address, salt, secret);
        format!("{}/recovery/{page}/{}", reader.base_url(), &*token)
    };
    let (link, code, until) = match &mail.news {
        News::Validation { salt, until, .. }
        | News::Reset { salt, until, .. }
        | News::GlassReset { salt, until, .. } => (Some(page("link", *salt, Secret::Link)), None, Some(*until)),
        News::GlassStarted { salt, due, .. } => (Some(page("stop", *salt, Secret::Stop)), None, Some(*due)),
        News::Code { salt, until, .. } => {
            (None, Some(words::code(reader.keyed_hash(), address, *salt).to_string()), Some(*until))
        }
        News::Done | News::Administered | News::Changed { .. } => (None, None, None),
    };
    Ok(json!({
        "installation": installation.description.label,
        "product": installation.description.product,
        "id": mail.installation.to_string(),
        "at": mail.at.0,
        "from": mail.from,
        "zone": zone,
        "link": link,
        "code": code,
        "until": until.map(|until| until.0),
        "cleared": matches!(mail.news, News::Changed { cleared: true, .. }),
        "administered": mail.news == News::Administered,
    }))
}

fn ids(about: &[u8]) -> Value {
    read(about).map_or(Value::Null, |mail| json!({ "installation": mail.installation.to_string() }))
}

fn sample() -> Value {
    json!({
        "installation": "Studio Rossi", "product": "Mexal", "id": "ins_0123456789abcdefghjkmnpqrs",
        "at": 1_793_491_200_000_i64, "from": "192.0.2.7", "zone": "Europe/Rome",
        "link": "https://castellan.example/recovery/link/0", "code": "012345", "until": 1_793_577_600_000_i64,
        "cleared": true, "administered": true,
    })
}

pub(crate) use crate::recovery::words::report_token;

/// Whom such a mail or text goes to, by address or number, and in which language. `None`: nobody wants it any more.
pub(crate) fn addressee(
    reader: &Reader<'_>,
    mail: &MailCopy,
    now: UnixMillis,
) -> Result<Option<(String, Language)>, String> {
    let about = read(&mail.about)?;
    let Some(installation) = row(reader, &about)? else { return Ok(None) };
    let is_over = about.news.until().is_some_and(|until| until <= now);
    if is_over || about.news.contact_at().is_some_and(|at| at != installation.contact_at) {
        return Ok(None);
    }
    let subject = about.installation.at(reader.org());
    let contact: Option<ContactPlain> = match (mail.to, &about.news) {
        (Recipient::Contact(_) | Recipient::Telephone(_), _) => reader.sealed(subject, VaultField::RecoveryContact)?,
        (_, News::GlassReset { sealed_at, .. }) => {
            if installation.glass.is_none_or(|glass| glass.sealed_at != *sealed_at) {
                return Ok(None);
            }
            reader.sealed(subject, VaultField::BreakGlassAddress)?
        }
        (_, News::Changed { former, .. }) => {
            let all: Option<FormerPlain> = reader.sealed(subject, VaultField::FormerContacts)?;
            let found = all.and_then(|all| all.contacts.into_iter().find(|one| one.at == *former));
            found.map(|one| one.contact)
        }
        _ => None,
    };
    let reached = contact.and_then(|contact| match mail.to.is_telephone() {
        true => contact.telephone,
        false => Some(contact.email),
    });
    Ok(reached.map(|reached| (reached, installation.description.language)))
}
