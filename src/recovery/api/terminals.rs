//! Terminals: the login windows of an installation's clients.

use super::{DIRECTORY, Name, accepted_by_directory, refused, rests, users_of};
use crate::{
    http::{Ask, Code, Doc, Problem, Reply},
    kernel::{
        Address, Stamp, UnixMillis,
        schema::{Time, pattern},
    },
    orgs::Mark,
    recovery::{
        Command, Installation, Login, Minted, Refusal, Role, Salt, Told,
        words::{self, mark_of_name},
    },
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

crate::kernel::schema::shapes! {
    TerminalToken, "The terminal's token; whoever has it is at the terminal",
        pattern("^ctm_[0-9a-hjkmnp-tv-z]{78}$")
            .examples(["ctm_0224jemc59p0vq7ycjye040jny0224jemc59p0vq7ycjye040jny0224jemc59p0vq7ycjye040jny"]);
    Confirmation, "What a first request was answered, to be sent with the second", pattern("^[0-9a-f]{32}$").examples(["3f2a9c4be1d07788a5c6d4e3b2f10987"]);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NothingAtTerminal)]
pub(super) struct Nothing {}

#[derive(Serialize, ToSchema)]
#[schema(as = TerminalOpened)]
struct Opened {
    #[schema(value_type = TerminalToken)]
    terminal: String,
    /// It is closed if it is not renewed within so long.
    timeout_s: u64,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TerminalLogin)]
struct LoginForm {
    #[schema(value_type = Name)]
    name: String,
    #[schema(value_type = crate::kernel::schema::Password)]
    password: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    LoggedIn,
    Refused,
}

/// The same for every name that is refused: unknown, wrong, blocked.
#[derive(Serialize, ToSchema)]
#[schema(as = TerminalLoginAnswer)]
struct LoginAnswer {
    outcome: Outcome,
    /// Attempts left at this terminal; at 0 it is closed.
    attempts_left: Option<u8>,
    /// Whether "forgotten password" is offered.
    forgotten_password: bool,
    user: Option<u16>,
    role: Option<Role>,
    /// There is no validated recovery contact yet: administrator 1 is reminded of it.
    contact_reminder: bool,
    /// The operator has started a reset of administrator 1 to a new address, which goes out then. If nobody asked for it,
    /// whoever is the contact, or administrator 1, stops it.
    #[schema(value_type = Option<Time>)]
    break_glass_due_at: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ForgottenPassword)]
struct Forgotten {
    #[schema(value_type = Option<Confirmation>)]
    confirmation: Option<String>,
}

/// The same whether a message was sent or not.
#[derive(Serialize, ToSchema)]
#[schema(as = ForgottenPasswordAnswer)]
struct ForgottenAnswer {
    /// To be sent with the second request.
    #[schema(value_type = Option<Confirmation>)]
    confirmation: Option<String>,
    /// If recovery is set up, the main administrator has been sent a message.
    accepted: bool,
}

const PREFIX: &str = "ctm_";
const SECRET_LETTERS: usize = 26;

fn mark_of(ask: &Ask, of: Address, token: &str) -> Mark {
    words::mark_of_terminal(ask.engine.keys(), of, token)
}

/// The terminal that the request's token names. Whether it is open is seen by its installation.
pub(super) fn terminal(ask: &Ask) -> Result<(Address, Mark), Problem> {
    ask.count_recovery()?;
    let token = ask.bearer()?.strip_prefix(PREFIX).ok_or(Code::AuthInvalid)?;
    let address = words::address_of_token(token).ok_or(Code::AuthInvalid)?;
    Ok((address, mark_of(ask, address, token)))
}

/// Of an installation that is not there all terminals are closed.
pub(super) fn at_terminal(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => Code::TerminalClosed.into(),
        other => refused(other),
    }
}

/// Room is made for "the terminal is closed": these codes every route of a terminal knows.
pub(super) const REFUSES: &[Code] =
    &[Code::AuthMissing, Code::AuthInvalid, Code::TooManyFailures, Code::TerminalClosed];

const AUTHORIZATION: &[(&str, &str)] = &[("authorization", "`Bearer` and the terminal's token")];

/// What the routes of a terminal have in common.
pub(super) const fn at(doc: Doc) -> Doc {
    doc.headers(AUTHORIZATION).refuses(REFUSES)
}

pub(crate) const OPEN: Doc = Doc::new("Open a terminal")
    .details("The path stands in the answer that made the installation.")
    .takes::<Nothing>()
    .created::<Opened>()
    .refuses(&[Code::NotFound, Code::ExclusiveUse, Code::TooManyTerminals]);

pub(crate) async fn open(ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = ask.json()?;
    ask.count_recovery()?;
    let path: String = ask.path("path")?;
    let is_whole = path.len() == words::path_of(words::address_in(&path).ok_or(Code::NotFound)?).len();
    let address = words::address_in(&path).filter(|_| is_whole).ok_or(Code::NotFound)?;
    let letters = words::letters(&ask.mint_secret("terminal", 0), SECRET_LETTERS);
    let token = Zeroizing::new(format!("{path}{}", &*letters));
    let (rules, terminal) = (ask.recovery().rules, mark_of(&ask, address, &token));
    ask.tell::<Installation>(address, Command::OpenTerminal { terminal, rules }, refused).await?;
    Reply::created(&Opened { terminal: format!("{PREFIX}{}", &*token), timeout_s: rules.terminal_timeout.as_secs() })
}

pub(crate) const RENEW: Doc = at(Doc::new("Keep a terminal open").takes::<Nothing>().done());

pub(crate) async fn renew(ask: Ask) -> Result<Reply, Problem> {
    let Nothing {} = ask.json()?;
    let (address, terminal) = terminal(&ask)?;
    let command = Command::RenewTerminal { terminal, rules: ask.recovery().rules };
    ask.tell::<Installation>(address, command, at_terminal).await?;
    Ok(Reply::no_content())
}

pub(crate) const CLOSE: Doc = at(Doc::new("End work at a terminal").done());

pub(crate) async fn close(ask: Ask) -> Result<Reply, Problem> {
    let (address, terminal) = terminal(&ask)?;
    ask.tell::<Installation>(address, Command::CloseTerminal { terminal }, at_terminal).await?;
    Ok(Reply::no_content())
}

pub(crate) const LOG_IN: Doc = at(Doc::new("Log in at a terminal")
    .details("An attempt is counted before its password is judged. Every name that is refused is answered alike.")
    .takes::<LoginForm>()
    .answers::<LoginAnswer>())
.refuses(&[
    Code::AuthMissing,
    Code::AuthInvalid,
    Code::TooManyFailures,
    Code::TerminalClosed,
    Code::Invalid,
    Code::AlreadyLoggedIn,
    Code::NameRests,
]);

pub(crate) async fn log_in(ask: Ask) -> Result<Reply, Problem> {
    let body: LoginForm = ask.json()?;
    let (address, terminal) = terminal(&ask)?;
    let password = Zeroizing::new(body.password.into_bytes());
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(Problem::field("/password", "expected at most 1024 bytes"));
    }
    if body.name.chars().count() > super::NAME_MAX {
        return Err(Problem::field("/name", "expected at most 80 characters"));
    }
    let name = mark_of_name(ask.engine.keys(), address, &body.name);
    let (attempt, user) = begin(&ask, address, terminal, name).await?;
    let right = match judge(&ask, address, user, password).await {
        Ok(right) => right,
        Err(problem) => {
            let forsake = Command::Forsake { terminal, attempt };
            ask.tell::<Installation>(address, forsake, at_terminal).await?;
            return Err(problem);
        }
    };
    let command = Command::End { terminal, attempt, right, rules: ask.recovery().rules };
    let told = ask.tell::<Installation>(address, command, at_terminal).await?;
    let Told::Login(login) = told.answer else { return Err(Code::Internal.into()) };
    Reply::ok(&match login {
        Login::In { user, role, contact_missing, glass_due } => LoginAnswer {
            outcome: Outcome::LoggedIn,
            attempts_left: None,
            forgotten_password: false,
            user: Some(user),
            role: Some(role),
            contact_reminder: contact_missing,
            break_glass_due_at: glass_due.map(|due| due.to_rfc3339()),
        },
        Login::Refused { left, offered } => LoginAnswer {
            outcome: Outcome::Refused,
            attempts_left: Some(left),
            forgotten_password: offered,
            user: None,
            role: None,
            contact_reminder: false,
            break_glass_due_at: None,
        },
    })
}

const PASSWORD_BYTES_MAX: usize = 1024;

/// Charges an attempt; whose password it is to be compared with.
async fn begin(ask: &Ask, address: Address, terminal: Mark, name: Mark) -> Result<(u16, Option<u16>), Problem> {
    let begun = ask.tell::<Installation>(address, Command::Begin { terminal, name }, at_terminal).await;
    let told = match begun {
        Err(problem) if problem.code() == Code::NameRests => {
            let read = move |state: &Installation, _: Stamp| state.known().and_then(|known| known.rests_until(name));
            let until: Option<UnixMillis> = ask.engine.read(address, read).await?;
            return Err(rests(problem, until.unwrap_or(ask.now()), ask.now()));
        }
        other => other?,
    };
    match told.answer {
        Told::Begun { attempt, user } => Ok((attempt, user)),
        _ => Err(Code::Internal.into()),
    }
}

/// Whether it is the user's password. Of nobody the same work is done.
async fn judge(ask: &Ask, address: Address, user: Option<u16>, password: Zeroizing<Vec<u8>>) -> Result<bool, Problem> {
    let users = users_of(ask, address).await?;
    let hash = user.and_then(|user| users.of(user)).map(|user| user.password.clone());
    Ok(ask.passwords().check(password, hash).await?)
}

pub(crate) const FORGOTTEN: Doc = at(Doc::new("Say that the password is forgotten")
    .details("The first request is answered with a `confirmation`, which the second one has to carry.")
    .takes::<Forgotten>()
    .answers::<ForgottenAnswer>())
.refuses(&[
    Code::AuthMissing,
    Code::AuthInvalid,
    Code::TooManyFailures,
    Code::TerminalClosed,
    Code::NotOffered,
    DIRECTORY[0],
    DIRECTORY[1],
]);

pub(crate) async fn forgotten(ask: Ask) -> Result<Reply, Problem> {
    let body: Forgotten = ask.json()?;
    let (address, terminal) = terminal(&ask)?;
    let right = words::confirmation(ask.engine.keys(), address, &[b"forgotten", &terminal.0]);
    let (rules, now) = (ask.recovery().rules, ask.now());
    let offered = move |state: &Installation, _: Stamp| {
        let known = state.known()?;
        known.terminal(terminal, now).map(|terminal| known.is_offered(terminal, &rules))
    };
    match ask.engine.read(address, offered).await? {
        None => return Err(Code::TerminalClosed.into()),
        Some(false) => return Err(Code::NotOffered.into()),
        Some(true) => {}
    }
    let Some(given) = body.confirmation else {
        return Reply::ok(&ForgottenAnswer { confirmation: Some(right), accepted: false });
    };
    if !words::is_confirmation(&right, &given) {
        return Err(Problem::field("/confirmation", "expected what the first request was answered"));
    }
    // Whatever name was tried: else its answer would tell which one leads to a mail.
    accepted_by_directory(&ask, address).await?;
    let minted = minted(&ask, address);
    let command = Command::Forgotten { terminal, minted, rules };
    ask.tell::<Installation>(address, command, at_terminal).await?;
    Reply::ok(&ForgottenAnswer { confirmation: None, accepted: true })
}

/// The secrets of a mail that may be sent.
pub(super) fn minted(ask: &Ask, address: Address) -> Minted {
    Minted::of(ask.engine.keys(), address, Salt::of(ask.engine.chance().bytes()))
}
