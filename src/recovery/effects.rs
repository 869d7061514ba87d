//! What follows from a change to an installation: its row, what is sealed, mails and texts. Pure.

use super::{
    event::Event,
    mails::{
        CHANGED, DONE, GLASS, GLASS_RESET, NEWS_WITHIN, News, RESET, RecoveryMail, TEXT_CHANGED, TEXT_CODE, TEXT_DONE,
        TEXT_GLASS, VALIDATION,
    },
    rows::InstallationRow,
    state::{Command, Installation, Known},
    words::{ADMINISTRATOR_1, Purpose},
};
use crate::{
    kernel::{
        Codec, Context, Effects, Incoming, InstallationId, MailTrouble, Recipient, RowSpace, UnixMillis, VaultField,
    },
    orgs::Mark,
};
use minicbor::{Decode, Encode};

/// What an installation receives. Numbers are append-only.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum InstallationMessage {
    /// From the post: the gateway has accepted the text of this link.
    #[n(0)]
    TextAccepted(#[n(0)] Mark),
    /// From the organisation: one of its mails or texts died.
    #[n(1)]
    Died {
        /// Of a code.
        #[n(0)]
        link: Option<Mark>,
        #[n(1)]
        trouble: MailTrouble,
    },
}

pub(super) fn read_message(message: Incoming<'_>) -> Result<Command, String> {
    Ok(match InstallationMessage::decode_from(message.body)? {
        InstallationMessage::TextAccepted(link) => Command::TextAccepted { link },
        InstallationMessage::Died { link: Some(link), trouble } => {
            Command::TextDied { link, why: trouble.name().into() }
        }
        InstallationMessage::Died { link: None, trouble } => Command::MailDied { why: trouble.name().into() },
    })
}

/// What an installation is told of one of its own mails that died; `None` if the mail was none of its own.
pub fn died(about: &[u8], trouble: MailTrouble) -> Option<InstallationMessage> {
    let mail = RecoveryMail::decode_from(about).ok()?;
    let link = match mail.news {
        News::Code { link, .. } => Some(link),
        // It was not the contact that could not be reached.
        News::Changed { .. } | News::GlassReset { .. } => return None,
        _ => None,
    };
    Some(InstallationMessage::Died { link, trouble })
}

/// The same of a text that was accepted, where that matters.
pub fn accepted(about: &[u8]) -> Option<InstallationMessage> {
    match RecoveryMail::decode_from(about).ok()?.news {
        News::Code { link, .. } => Some(InstallationMessage::TextAccepted(link)),
        _ => None,
    }
}

pub(super) fn of_installation(
    state: &Installation,
    command: &Command,
    events: &[Event],
    cx: &Context,
    effects: &mut Effects,
) {
    let org = state.address.org;
    for event in events {
        match event {
            Event::Created { .. } => {
                if let Command::Create { users, account, .. } = command {
                    effects.seal(VaultField::InstallationUsers, users.to_vec());
                    seal_account(account.as_deref(), effects);
                }
            }
            Event::Changed { .. } => {
                if let Command::Change { account, .. } = command {
                    seal_account(account.as_deref(), effects);
                }
            }
            Event::UserAdded { .. }
            | Event::UserChanged { .. }
            | Event::UserRemoved { .. }
            | Event::ResetDone { .. } => match command {
                Command::AddUser { users, .. }
                | Command::ChangeUser { users: Some(users), .. }
                | Command::RemoveUser { users, .. }
                | Command::Reset { users, .. } => {
                    effects.seal(VaultField::InstallationUsers, users.plain.to_vec());
                }
                _ => {}
            },
            Event::ContactSet { .. } => {
                if let Command::SetContact { sealed, former, .. } = command {
                    effects.seal(VaultField::RecoveryContact, sealed.plain.to_vec());
                    effects.seal(VaultField::FormerContacts, former.to_vec());
                }
            }
            Event::GlassStarted { .. } => {
                if let Command::BreakGlass { address, .. } = command {
                    effects.seal(VaultField::BreakGlassAddress, address.to_vec());
                }
            }
            Event::Deleted => {
                effects.erase();
                effects.delete(RowSpace::Installations, org, &state.address.entity.raw.to_be_bytes());
            }
            _ => {}
        }
        if let Some(known) = state.known() {
            news(state, known, event, cx, effects);
        }
    }
    rows(state, effects);
}

fn seal_account(account: Option<&Vec<u8>>, effects: &mut Effects) {
    if let Some(account) = account {
        effects.seal(VaultField::DirectoryAccount, account.clone());
    }
}

/// Mails and texts.
fn news(state: &Installation, known: &Known, event: &Event, cx: &Context, effects: &mut Effects) {
    let installation = InstallationId(state.address.entity.raw);
    let mut send = |template, to, news: News, within: Option<UnixMillis>| {
        let mail = RecoveryMail { installation, at: cx.now, from: cx.from, news };
        effects.mail(template, to, &mail, within.unwrap_or(cx.now.plus(NEWS_WITHIN)));
    };
    let (contact, contact_at) = (Recipient::Contact(installation), known.contact_at);
    let has_telephone = known.contact.as_ref().is_some_and(|contact| contact.telephone.is_some());
    match event {
        Event::LinkSent { minted, purpose, until } => {
            let (salt, until) = (minted.salt, *until);
            let (template, news) = match purpose {
                Purpose::Validation => (VALIDATION, News::Validation { salt, until, contact_at }),
                Purpose::Reset => (RESET, News::Reset { salt, until, contact_at }),
                Purpose::BreakGlass => {
                    let sealed_at = known.glass.map_or(0, |glass| glass.sealed_at);
                    (GLASS_RESET, News::GlassReset { salt, until, sealed_at })
                }
            };
            let to = match purpose {
                Purpose::BreakGlass => Recipient::FormerContact(installation),
                _ => contact,
            };
            send(template, to, news, Some(until));
        }
        Event::Pressed { link, until } => {
            if let Some(salt) = known.link(*link).map(|link| link.minted.salt) {
                let news = News::Code { salt, link: *link, until: *until, contact_at };
                send(TEXT_CODE, Recipient::Telephone(installation), news, Some(*until));
            }
        }
        Event::GlassStarted { minted, due, .. } if known.contact.is_some() => {
            let news = || News::GlassStarted { salt: minted.salt, due: *due, contact_at };
            send(GLASS, contact, news(), Some(*due));
            if has_telephone {
                send(TEXT_GLASS, Recipient::Telephone(installation), news(), Some(*due));
            }
        }
        Event::ResetDone { .. } => {
            send(DONE, contact, News::Done, None);
            if has_telephone {
                send(TEXT_DONE, Recipient::Telephone(installation), News::Done, None);
            }
        }
        Event::UserChanged { user: ADMINISTRATOR_1, name, password, .. }
            if known.contact.is_some() && (name.is_some() || *password) =>
        {
            send(DONE, contact, News::Administered, None);
            if has_telephone {
                send(TEXT_DONE, Recipient::Telephone(installation), News::Administered, None);
            }
        }
        Event::ContactSet { email, former: Some(former), former_telephone, .. } => {
            let changed = || News::Changed { former: *former, cleared: email.is_none() };
            send(CHANGED, Recipient::FormerContact(installation), changed(), None);
            if *former_telephone {
                send(TEXT_CHANGED, Recipient::FormerTelephone(installation), changed(), None);
            }
        }
        _ => {}
    }
}

/// The row of an installation that is there.
pub(super) fn rows(state: &Installation, effects: &mut Effects) {
    if let Some(known) = state.known() {
        let key = state.address.entity.raw.to_be_bytes();
        effects.put(RowSpace::Installations, state.address.org, &key, InstallationRow::of(known).to_bytes());
    }
}
