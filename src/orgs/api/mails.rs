//! Mails: which ones an organisation wants, and those that could not be brought.

use super::organisations::tell;
use crate::{
    delivery::mail,
    http::{Ask, Changed, Code, Doc, List, PageQuery, Problem, Reply},
    kernel::{
        Codec, InstallationId, MailId, MailTrouble, PersonId, Recipient, RowSpace, ShopperId, Stamp, StoreId,
        schema::{Time, shapes, words},
    },
    orgs::{DeadLetter, MailChoice, Organisation, organisation::Command},
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = MailsChosen)]
struct Chosen {
    #[serde(flatten)]
    choice: MailChoice,
    revision: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MailsChoice)]
struct Choose {
    conflicts: Option<bool>,
    guarantee: Option<bool>,
}

shapes! {
    WhyDead, "Why it was given up", words(&MailTrouble::ALL.map(MailTrouble::name));
}

pub(crate) const CHOICE: Doc = Doc::new("Show which mails the owner gets").shows::<Chosen>().refuses(&[Code::NotFound]);

pub(crate) async fn choice(ask: Ask) -> Result<Reply, Problem> {
    let of = ask.org();
    let read = |state: &Organisation, stamp: Stamp| {
        state.known.as_ref().map(|known| (known.changed, Chosen { choice: known.mails, revision: stamp.revision }))
    };
    let chosen = ask.engine.read(of.at(of), read).await?;
    let (changed, chosen) = chosen.ok_or(Code::NotFound)?;
    Reply::object(changed, &chosen)
}

pub(crate) const CHOOSE: Doc =
    Doc::new("Choose which mails the owner gets").takes::<Choose>().changed().refuses(&[Code::NotFound]);

pub(crate) async fn choose(ask: Ask) -> Result<Reply, Problem> {
    let Choose { conflicts, guarantee } = ask.json()?;
    Reply::ok(&Changed { revision: tell(&ask, ask.org(), Command::ChooseMails { conflicts, guarantee }).await? })
}

/// A dead letter. Addresses are not told: the mail server's own words may hold them, so only its code is kept.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadMail)]
struct Shown {
    mail: MailId,
    template: Box<str>,
    to: To,
    /// What stands before the `@`.
    message_id: String,
    #[schema(value_type = Time)]
    asked_at: String,
    #[schema(value_type = Time)]
    died_at: String,
    #[schema(value_type = WhyDead)]
    reason: &'static str,
    code: Option<u16>,
    /// What it is about, by ids.
    about: serde_json::Value,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = MailRecipient)]
enum To {
    Owner {
        owner: bool,
    },
    Person {
        person: PersonId,
    },
    IuvAdministrator {
        store: StoreId,
    },
    Shopper {
        shopper: ShopperId,
    },
    /// Its recovery contact, or one that it had before.
    Installation {
        installation: InstallationId,
    },
}

impl Shown {
    fn of(id: MailId, letter: DeadLetter) -> Self {
        let DeadLetter { dead, died } = letter;
        Self {
            mail: id,
            to: match dead.mail.to {
                Recipient::Owner => To::Owner { owner: true },
                Recipient::Person(person) | Recipient::Mobile(person) => To::Person { person },
                Recipient::IuvAdministrator { store, .. } => To::IuvAdministrator { store },
                Recipient::Shopper(shopper) => To::Shopper { shopper },
                Recipient::Contact(installation)
                | Recipient::FormerContact(installation)
                | Recipient::Telephone(installation)
                | Recipient::FormerTelephone(installation) => To::Installation { installation },
            },
            message_id: mail::local_part(&dead.mail.name),
            asked_at: dead.mail.name.at.to_rfc3339(),
            died_at: died.to_rfc3339(),
            reason: dead.trouble.name(),
            code: dead.code,
            about: mail::ids_in(&dead.mail),
            template: dead.mail.template,
        }
    }
}

fn stored(bytes: &[u8]) -> Result<DeadLetter, Problem> {
    DeadLetter::decode_from(bytes).map_err(|error| Problem::detailed(Code::Internal, error))
}

const COLUMNS: [&str; 12] = [
    "mail",
    "template",
    "to.owner",
    "to.person",
    "to.store",
    "to.shopper",
    "to.installation",
    "message_id",
    "asked_at",
    "died_at",
    "reason",
    "code",
];

pub(crate) const DEAD: Doc = Doc::new("List mails that could not be brought").exports::<Shown, MailId>();

pub(crate) async fn dead(ask: Ask) -> Result<Reply, Problem> {
    let page: PageQuery = ask.query()?;
    let list = List::of_rows(&COLUMNS, (RowSpace::DeadLetters, ask.org(), Vec::new()), |_, key, letter: DeadLetter| {
        let id = MailId::from_bytes(key);
        let id = id.ok_or_else(|| StoreError::Corrupt { what: "dead letter", why: "its key".to_owned() })?;
        Ok(Some(Shown::of(id, letter)))
    });
    ask.list::<MailId, _>(list, &page).await
}

pub(crate) const RESEND: Doc = Doc::new("Try again to bring a mail").changed();

pub(crate) async fn resend(ask: Ask) -> Result<Reply, Problem> {
    let id: MailId = ask.path("mail")?;
    if let Some(revision) = ask.done_before(ask.org()).await? {
        return Reply::ok(&Changed { revision });
    }
    let row = ask.engine.row(RowSpace::DeadLetters, ask.org(), id.to_bytes().to_vec()).await?;
    let letter = Box::new(stored(&row.ok_or(Code::NotFound)?)?);
    Reply::ok(&Changed { revision: tell(&ask, ask.org(), Command::ResendMail { id, letter }).await? })
}

pub(crate) const GIVE_UP: Doc = Doc::new("Give a mail up").changed();

pub(crate) async fn give_up(ask: Ask) -> Result<Reply, Problem> {
    let id: MailId = ask.path("mail")?;
    Reply::ok(&Changed { revision: tell(&ask, ask.org(), Command::GiveUpMail { id }).await? })
}
