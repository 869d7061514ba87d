//! What the pages of mails do: look, press, enter a code, set new credentials. Looking never consumes anything.

use super::{TRIES, accepted_by_directory, hashed, refused, users_of};
use crate::{
    http::{Ask, Code, Problem},
    kernel::{Address, Codec, Stamp},
    orgs::{Language, Mark, api::is_text},
    passwords::PasswordHash,
    recovery::{
        Command, Description, Installation, Next, Purpose, Salt, Sealed, Secret, Stopper, Told, UserPlain,
        page::{Page, Unfit},
        policy,
        words::{self, ADMINISTRATOR_1, mark_of_code, mark_of_name, mark_of_token},
    },
};
use zeroize::Zeroizing;

/// What a browser is given: a page, or where to go on.
pub(crate) enum Step {
    Page(Page),
    /// A page and its token.
    Go(&'static str, Zeroizing<String>),
}

pub(crate) struct Shown {
    pub step: Step,
    /// Of the installation.
    pub language: Option<Language>,
}

impl Shown {
    fn page(page: Page, language: Language) -> Self {
        Self { step: Step::Page(page), language: Some(language) }
    }
}

fn expired(language: Option<Language>) -> Shown {
    Shown { step: Step::Page(Page::Expired), language }
}

/// What was sent with a form.
pub(crate) struct Sent {
    pub code: String,
    pub name: String,
    pub password: Zeroizing<String>,
    pub again: Zeroizing<String>,
}

/// Whose token it is, and what is stored of it.
fn read(ask: &Ask, token: &str) -> Option<(Address, Mark)> {
    let address = words::address_of_token(token)?;
    Some((address, mark_of_token(ask.engine.keys(), address, token)))
}

/// What is seen of an installation from a link or a form.
struct Seen {
    label: Box<str>,
    language: Language,
    /// Of the link.
    link: Option<(Salt, Purpose)>,
    /// Whether the page has its form.
    open: bool,
}

#[derive(Clone, Copy)]
enum Look {
    Link,
    CodeForm,
    ResetForm,
}

async fn look(ask: &Ask, address: Address, mark: Mark, look: Look) -> Result<Option<Seen>, Problem> {
    let now = ask.now();
    let read = move |state: &Installation, _: Stamp| {
        let known = state.known()?;
        let link = match look {
            Look::Link => known.link(mark),
            Look::CodeForm => known.link_of_form(mark),
            Look::ResetForm => None,
        };
        let open = match look {
            Look::Link => link.is_some_and(|link| link.is_pressable(now)),
            Look::CodeForm => link.is_some_and(|link| link.takes_code(now)),
            Look::ResetForm => known.reset_terminal_at(mark, now),
        };
        let link = link.map(|link| (link.minted.salt, link.purpose));
        let description = &known.description;
        Some(Seen { label: description.label.clone(), language: description.language, link, open })
    };
    Ok(ask.engine.read(address, read).await?)
}

fn token(ask: &Ask, address: Address, salt: Salt, which: Secret) -> Zeroizing<String> {
    words::token(ask.engine.keys(), address, salt, which)
}

/// The page of a mail's link; with `press`, its button.
pub(crate) async fn link(ask: &Ask, text: &str, press: bool) -> Result<Shown, Problem> {
    let Some((address, mark)) = read(ask, text) else { return Ok(expired(None)) };
    let Some(seen) = look(ask, address, mark, Look::Link).await? else { return Ok(expired(None)) };
    let Some((salt, purpose)) = seen.link.filter(|_| seen.open) else { return Ok(expired(Some(seen.language))) };
    let language = seen.language;
    if !press {
        let installation = seen.label;
        return Ok(Shown::page(
            match purpose {
                Purpose::Validation => Page::Validate { installation },
                Purpose::Reset | Purpose::BreakGlass => Page::StartReset { installation },
            },
            language,
        ));
    }
    if purpose != Purpose::Validation {
        accepted_by_directory(ask, address).await?;
    }
    let command = Command::Press { link: mark, rules: ask.recovery().rules };
    let told = match ask.tell::<Installation>(address, command, refused).await {
        Ok(told) => told,
        Err(problem) if problem.code() == Code::NotFound => return Ok(expired(Some(language))),
        Err(problem) => return Err(problem),
    };
    let next = match told.answer {
        Told::Pressed(next) => next,
        _ => return Err(Code::Internal.into()),
    };
    Ok(go(ask, address, salt, next, language))
}

fn go(ask: &Ask, address: Address, salt: Salt, next: Next, language: Language) -> Shown {
    let step = match next {
        Next::Code => Step::Go("code", token(ask, address, salt, Secret::CodeForm)),
        Next::ResetForm => Step::Go("reset", token(ask, address, salt, Secret::ResetForm)),
        Next::Validated => Step::Page(Page::Validated),
    };
    Shown { step, language: Some(language) }
}

/// The page that stops a reset which the operator has started; with `press`, its button.
pub(crate) async fn stop(ask: &Ask, text: &str, press: bool) -> Result<Shown, Problem> {
    let Some((address, mark)) = read(ask, text) else { return Ok(expired(None)) };
    let seen = move |state: &Installation, _: Stamp| {
        let known = state.known()?;
        let Description { label, language, .. } = &known.description;
        Some((label.clone(), *language, known.glass_stopped_by(mark).is_some()))
    };
    let Some((installation, language, open)) = ask.engine.read(address, seen).await? else { return Ok(expired(None)) };
    if !open {
        return Ok(expired(Some(language)));
    }
    if !press {
        return Ok(Shown::page(Page::Stop { installation }, language));
    }
    let command = Command::StopGlass { by: Stopper::Told(mark) };
    match ask.tell::<Installation>(address, command, refused).await {
        Ok(_) => Ok(Shown::page(Page::Stopped, language)),
        Err(problem) if problem.code() == Code::NotFound => Ok(expired(Some(language))),
        Err(problem) => Err(problem),
    }
}

/// The form that takes a code.
pub(crate) async fn code(ask: &Ask, text: &str, sent: Option<&Sent>) -> Result<Shown, Problem> {
    let Some((address, mark)) = read(ask, text) else { return Ok(expired(None)) };
    let Some(seen) = look(ask, address, mark, Look::CodeForm).await? else { return Ok(expired(None)) };
    let language = seen.language;
    let Some((salt, purpose)) = seen.link.filter(|_| seen.open) else { return Ok(expired(Some(language))) };
    let Some(sent) = sent else {
        return Ok(Shown::page(Page::Code { installation: seen.label, wrong: None }, language));
    };
    if purpose != Purpose::Validation {
        accepted_by_directory(ask, address).await?;
    }
    // What cannot be a code counts too.
    let given = words::read_code(&sent.code).unwrap_or_default();
    let code = mark_of_code(ask.engine.keys(), address, &given);
    let command = Command::EnterCode { form: mark, code, rules: ask.recovery().rules };
    let told = match ask.tell::<Installation>(address, command, refused).await {
        Ok(told) => told,
        Err(problem) if problem.code() == Code::NotFound => return Ok(expired(Some(language))),
        Err(problem) => return Err(problem),
    };
    match told.answer {
        Told::Code { next: Some(next), .. } => Ok(go(ask, address, salt, next, language)),
        Told::Code { left: 0, next: None } => Ok(expired(Some(language))),
        Told::Code { left, next: None } => {
            Ok(Shown::page(Page::Code { installation: seen.label, wrong: Some(left) }, language))
        }
        _ => Err(Code::Internal.into()),
    }
}

/// The reset terminal: it can do one thing.
pub(crate) async fn reset(ask: &Ask, text: &str, sent: Option<&Sent>) -> Result<Shown, Problem> {
    let Some((address, mark)) = read(ask, text) else { return Ok(expired(None)) };
    let Some(seen) = look(ask, address, mark, Look::ResetForm).await? else { return Ok(expired(None)) };
    let language = seen.language;
    if !seen.open {
        return Ok(expired(Some(language)));
    }
    let (installation, name) = (seen.label, sent.map(|sent| sent.name.clone()).unwrap_or_default());
    let page = |wrong| {
        Shown::page(Page::NewCredentials { installation: installation.clone(), name: name.clone(), wrong }, language)
    };
    let Some(sent) = sent else { return Ok(page(None)) };
    if let Err(unfit) = fits(ask, address, sent).await? {
        return Ok(page(Some(unfit)));
    }
    let password = hashed(ask, &sent.password).await?;
    match set(ask, address, mark, &sent.name, &password).await {
        Ok(()) => Ok(Shown::page(Page::ResetDone, language)),
        Err(problem) if problem.code() == Code::UserNameTaken => Ok(page(Some(Unfit::NameTaken))),
        Err(problem) if problem.code() == Code::NotFound => Ok(expired(Some(language))),
        Err(problem) => Err(problem),
    }
}

/// Whether the policy takes these credentials.
async fn fits(ask: &Ask, address: Address, sent: &Sent) -> Result<Result<(), Unfit>, Problem> {
    if !is_text(&sent.name, super::NAME_MAX) {
        return Ok(Err(Unfit::Name));
    }
    if sent.password != sent.again {
        return Ok(Err(Unfit::Different));
    }
    if let Err(weak) = policy::judge(&sent.password, &sent.name, ask.recovery().password_characters_min) {
        return Ok(Err(Unfit::Weak(weak)));
    }
    let old = users_of(ask, address).await?.of(ADMINISTRATOR_1).map(|user| user.password.clone());
    let given = Zeroizing::new(sent.password.as_bytes().to_vec());
    Ok(if ask.passwords().check(given, old).await? { Err(Unfit::Old) } else { Ok(()) })
}

/// Sets the credentials of administrator 1, again if another change of the users came first.
async fn set(ask: &Ask, address: Address, form: Mark, name: &str, password: &PasswordHash) -> Result<(), Problem> {
    let mut told = Err(Code::InstallationChangedMeanwhile.into());
    for _ in 0..TRIES {
        let at = |state: &Installation, _: Stamp| state.known().map(|known| known.users_at);
        let instead_of = ask.engine.read(address, at).await?.ok_or(Code::NotFound)?;
        let mut users = users_of(ask, address).await?;
        users.users.retain(|user| user.number != ADMINISTRATOR_1);
        let first = UserPlain { number: ADMINISTRATOR_1, name: name.to_owned(), password: password.clone() };
        users.users.insert(0, first);
        let users = Sealed { instead_of, plain: Zeroizing::new(users.to_bytes()) };
        let command = Command::Reset { form, name: mark_of_name(ask.engine.keys(), address, name), users };
        told = ask.tell::<Installation>(address, command, refused).await.map(drop);
        if !told.as_ref().is_err_and(|problem| problem.code() == Code::InstallationChangedMeanwhile) {
            break;
        }
    }
    told
}
