//! The recovery contact, as administrator 1 sees and changes it at his terminal. To everybody else it is not there.

use super::{
    DIRECTORY, accepted_by_directory, glass,
    installations::ContactState,
    sealed,
    terminals::{Confirmation, Nothing, at, at_terminal, minted, terminal},
};
use crate::{
    http::{Ask, Code, Doc, Problem, Reply},
    kernel::{Address, Codec, Stamp, VaultField, schema::Time},
    orgs::{
        Language, Mark,
        api::{Email, Mobile, Wrong, is_email, is_mobile, or_null},
    },
    recovery::{
        Command, ContactPlain, FormerPlain, GlassRow, Installation, NewContact, Sealed, TextReport, TextStatus, Told,
        words::{self, mark_of_address},
    },
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

#[derive(Serialize, ToSchema)]
#[schema(as = RecoveryContact)]
struct Shown {
    #[schema(value_type = Option<Email>)]
    email: Option<String>,
    #[schema(value_type = Option<Mobile>)]
    telephone: Option<String>,
    state: ContactState,
    /// Whether credentials can be reset: only when validated.
    reset_active: bool,
    /// Why the last mail or text could not be brought.
    trouble: Option<Box<str>>,
    /// What the gateway said later of the last text.
    text: Option<TextStatus>,
    #[schema(value_type = Option<Time>)]
    text_at: Option<String>,
    /// The operator has started a reset to another address; stop it, if it was not asked for.
    break_glass: Option<glass::Shown>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RecoveryContactChange)]
struct Change {
    /// `null` clears the contact.
    #[serde(deserialize_with = "or_null", default)]
    #[schema(value_type = Option<Email>)]
    email: Option<Option<String>>,
    /// What is left out stays; `null` deletes it.
    #[serde(deserialize_with = "or_null", default)]
    #[schema(value_type = Option<Mobile>)]
    telephone: Option<Option<String>>,
    #[schema(value_type = Option<Confirmation>)]
    confirmation: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RecoveryContactChangeAnswer)]
struct ChangeAnswer {
    saved: bool,
    /// To be sent with the second request.
    #[schema(value_type = Option<Confirmation>)]
    confirmation: Option<String>,
    /// What administrator 1 is to confirm, in the installation's language.
    says: Option<String>,
}

/// What administrator 1 is to see of it.
struct Known {
    at: u64,
    language: Language,
    label: Box<str>,
    state: ContactState,
    trouble: Option<Box<str>>,
    report: Option<TextReport>,
    glass: Option<GlassRow>,
}

/// Looks, for administrator 1 alone.
async fn look(ask: &Ask, address: Address, terminal: Mark) -> Result<(Known, Option<ContactPlain>), Problem> {
    let now = ask.now();
    let read = move |state: &Installation, _: Stamp| {
        let known = state.known().filter(|known| known.terminal(terminal, now).is_some())?;
        let shown = known.is_administrators(terminal, now).then(|| Known {
            at: known.contact_at,
            language: known.description.language,
            label: known.description.label.clone(),
            state: match &known.contact {
                None => ContactState::None,
                Some(contact) if contact.validated => ContactState::Validated,
                Some(_) => ContactState::ToValidate,
            },
            trouble: known.contact.as_ref().and_then(|contact| contact.trouble.clone()),
            report: known.contact.as_ref().and_then(|contact| contact.report),
            glass: known.glass.as_ref().map(GlassRow::of),
        });
        Some(shown)
    };
    let known = ask.engine.read(address, read).await?.ok_or(Code::TerminalClosed)?.ok_or(Code::NotFound)?;
    let plain = ask.engine.open_vault(address, VaultField::RecoveryContact).await?;
    let plain = plain.filter(|plain| !plain.is_empty()).as_deref().map(|plain| ContactPlain::decode_from(plain));
    let plain = plain.transpose().map_err(|why| StoreError::Corrupt { what: "recovery contact", why })?;
    Ok((known, plain))
}

pub(crate) const SHOW: Doc =
    at(Doc::new("Show the recovery contact").details("Only to administrator 1, logged in.").answers::<Shown>())
        .refuses(&[
            Code::AuthMissing,
            Code::AuthInvalid,
            Code::TooManyFailures,
            Code::TerminalClosed,
            Code::NotFound,
            Code::Busy,
            Code::Stopping,
            Code::Quarantined,
        ]);

pub(crate) async fn show(ask: Ask) -> Result<Reply, Problem> {
    let (address, terminal) = terminal(&ask)?;
    let (known, plain) = look(&ask, address, terminal).await?;
    let (email, telephone) = plain.map_or((None, None), |plain| (Some(plain.email), plain.telephone));
    let reset_active = known.state == ContactState::Validated;
    Reply::ok(&Shown {
        email,
        telephone,
        state: known.state,
        reset_active,
        trouble: known.trouble,
        text: known.report.map(|report| report.status),
        text_at: known.report.map(|report| report.at.to_rfc3339()),
        break_glass: known.glass.map(glass::Shown::of),
    })
}

/// An address as it is stored: the domain in ASCII and in lower case.
pub(super) fn checked_email(wrong: &mut Wrong, text: &str) -> Option<String> {
    let ascii = text.rsplit_once('@').filter(|_| is_email(text)).and_then(|(local, domain)| {
        let domain = idna::domain_to_ascii_strict(domain).ok().filter(|domain| domain.contains('.'))?;
        local.is_ascii().then(|| format!("{local}@{domain}"))
    });
    let ascii = ascii.filter(|address| address.parse::<lettre::Address>().is_ok());
    if ascii.is_none() {
        wrong.add("/email", "expected an e-mail address with ASCII before its `@`");
    }
    ascii
}

pub(crate) const CHANGE: Doc = at(Doc::new("Change the recovery contact")
    .details(
        "Only administrator 1, logged in. The first request is answered with a `confirmation` and a text that says what it \
         means; the second one carries the `confirmation`. Any change but a first address without a telephone needs the \
         installation for oneself.",
    )
    .takes::<Change>()
    .answers::<ChangeAnswer>())
.refuses(&[
    Code::AuthMissing,
    Code::AuthInvalid,
    Code::TooManyFailures,
    Code::TerminalClosed,
    Code::NotFound,
    Code::Invalid,
    Code::OtherTerminals,
    Code::TextsUnavailable,
    Code::InstallationChangedMeanwhile,
    DIRECTORY[0],
    DIRECTORY[1],
]);

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let body: Change = ask.json()?;
    let (address, terminal) = terminal(&ask)?;
    let (known, plain) = look(&ask, address, terminal).await?;
    let mut wrong = Wrong::default();
    let (old_email, old_telephone) = match &plain {
        Some(plain) => (Some(plain.email.clone()), plain.telephone.clone()),
        None => (None, None),
    };
    let email = match &body.email {
        None => old_email,
        Some(None) => None,
        Some(Some(text)) => checked_email(&mut wrong, text),
    };
    let cleared = matches!(body.email, Some(None));
    let telephone = match body.telephone {
        None => old_telephone.filter(|_| !cleared),
        Some(given) => given,
    };
    if let Some(telephone) = &telephone {
        wrong.unless(is_mobile(telephone), "/telephone", "expected a number as E.164 writes it, such as +390212345678");
        let alone = email.is_none() && (cleared || body.email.is_none());
        wrong.unless(!alone, "/telephone", "a telephone is taken only together with an address");
    }
    wrong.check()?;
    if telephone.is_some() && !ask.recovery().texts {
        return Err(Code::TextsUnavailable.into());
    }
    let keys = ask.engine.keys();
    let wanted = email.map(|email| ContactPlain { email, telephone });
    let bytes = wanted.as_ref().map(Codec::to_bytes).unwrap_or_default();
    let right = words::confirmation(keys, address, &[b"contact", &terminal.0, &known.at.to_be_bytes(), &bytes]);
    let Some(given) = body.confirmation else {
        let says = says(known.language, &known.label, wanted.as_ref());
        return Reply::ok(&ChangeAnswer { saved: false, confirmation: Some(right), says: Some(says) });
    };
    if !words::is_confirmation(&right, &given) {
        return Err(Problem::field("/confirmation", "expected what the first request for this contact was answered"));
    }
    if wanted.is_some() {
        accepted_by_directory(&ask, address).await?;
    }
    let mark = |text: &str| mark_of_address(keys, address, text);
    let contact = wanted
        .as_ref()
        .map(|wanted| NewContact { email: mark(&wanted.email), telephone: wanted.telephone.as_deref().map(mark) });
    let former: FormerPlain = sealed(&ask, address, VaultField::FormerContacts).await?;
    let former = plain.map_or_else(|| former.clone(), |plain| former.clone().with(known.at, plain));
    let command = Command::SetContact {
        terminal,
        contact,
        sealed: Sealed { instead_of: known.at, plain: Zeroizing::new(bytes) },
        former: Zeroizing::new(former.to_bytes()),
        minted: minted(&ask, address),
        rules: ask.recovery().rules,
    };
    let told = ask.tell::<Installation>(address, command, at_terminal).await?;
    let saved = matches!(told.answer, Told::Contact { changed: true });
    Reply::ok(&ChangeAnswer { saved, confirmation: None, says: None })
}

/// What the confirming step says: the address, the telephone, and what it means.
fn says(language: Language, label: &str, wanted: Option<&ContactPlain>) -> String {
    let Some(ContactPlain { email, telephone }) = wanted else {
        return match language {
            Language::It => format!(
                "Il contatto di recupero dell'installazione «{label}» viene azzerato: le credenziali dimenticate dell'amministratore 1 non si potranno più recuperare in autonomia. Confermare?"
            ),
            Language::De => format!(
                "Der Kontakt zur Wiederherstellung der Installation «{label}» wird gelöscht: Vergessene Zugangsdaten von Administrator 1 lassen sich dann nicht mehr selbst wiederherstellen. Bestätigen?"
            ),
            Language::En => format!(
                "The recovery contact of the installation “{label}” is cleared: forgotten credentials of administrator 1 can then no longer be recovered without help. Confirm?"
            ),
        };
    };
    match (language, telephone) {
        (Language::It, None) => format!(
            "A {email} verranno inviate le istruzioni per recuperare le credenziali dell'amministratore 1 di «{label}». Il proprietario di questa casella diventa il proprietario degli archivi. Confermare?"
        ),
        (Language::It, Some(telephone)) => format!(
            "A {email} verranno inviate le istruzioni per recuperare le credenziali dell'amministratore 1 di «{label}», e un codice al telefono {telephone}. Il proprietario di questa casella e di questo telefono diventa il proprietario degli archivi. Confermare?"
        ),
        (Language::De, None) => format!(
            "An {email} gehen die Anweisungen, um die Zugangsdaten von Administrator 1 von «{label}» wiederherzustellen. Wem dieses Postfach gehört, dem gehören die Archive. Bestätigen?"
        ),
        (Language::De, Some(telephone)) => format!(
            "An {email} gehen die Anweisungen, um die Zugangsdaten von Administrator 1 von «{label}» wiederherzustellen, und ein Code an das Telefon {telephone}. Wem dieses Postfach und dieses Telefon gehören, dem gehören die Archive. Bestätigen?"
        ),
        (Language::En, None) => format!(
            "The instructions to recover the credentials of administrator 1 of “{label}” will be sent to {email}. The owner of this mailbox becomes the owner of the archives. Confirm?"
        ),
        (Language::En, Some(telephone)) => format!(
            "The instructions to recover the credentials of administrator 1 of “{label}” will be sent to {email}, and a code to the telephone {telephone}. The owner of this mailbox and this telephone becomes the owner of the archives. Confirm?"
        ),
    }
}

pub(crate) const VALIDATE: Doc = at(Doc::new("Ask for another validation mail")
    .details("Only while the contact is not validated. The links and codes of earlier mails are dead.")
    .takes::<Nothing>()
    .done())
.refuses(&[
    Code::AuthMissing,
    Code::AuthInvalid,
    Code::TooManyFailures,
    Code::TerminalClosed,
    Code::NotFound,
    Code::AlreadyValidated,
    Code::NoContact,
    DIRECTORY[0],
    DIRECTORY[1],
]);

pub(crate) async fn validate(ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = ask.json()?;
    let (address, terminal) = terminal(&ask)?;
    look(&ask, address, terminal).await?;
    accepted_by_directory(&ask, address).await?;
    let command = Command::RequestValidation { terminal, minted: minted(&ask, address), rules: ask.recovery().rules };
    ask.tell::<Installation>(address, command, at_terminal).await?;
    Ok(Reply::no_content())
}
