//! Who carries what: mails and texts lie in one outbox, each recipient in a lane of its own.

use super::{mail::Mailer, sms::Texter};
use crate::{
    engine::{Carried, Courier, Post, PostLimits},
    kernel::{Codec, EntityKind, MailCopy, MailTrouble},
    orgs::{DeadMail, OrganisationMessage},
    recovery,
};
use std::pin::Pin;

#[derive(Debug)]
pub struct Couriers {
    pub mailer: Mailer,
    pub texter: Texter,
}

impl Courier for Couriers {
    fn carry<'a>(&'a self, post: Post<'a>) -> Pin<Box<dyn Future<Output = Carried> + 'a>> {
        Box::pin(async move {
            match post.item.mail.to.is_telephone() {
                true => self.texter.carry(post).await,
                false => self.mailer.carry(post).await,
            }
        })
    }

    fn accepted(&self, mail: &MailCopy) -> Option<Vec<u8>> {
        let of_recovery = mail.to.is_telephone() && mail.name.from.entity.kind == EntityKind::Installation;
        let text = of_recovery.then(|| recovery::accepted(&mail.about)).flatten();
        text.map(|message| message.to_bytes())
    }

    fn died(&self, mail: &MailCopy, trouble: MailTrouble, code: Option<u16>) -> Vec<u8> {
        OrganisationMessage::MailDied(DeadMail { mail: mail.clone(), trouble, code }).to_bytes()
    }

    fn limits(&self) -> PostLimits {
        self.mailer.limits()
    }
}
