//! An installation: what happens to it and what it then is. Pure.

use super::words::{
    ADMINISTRATOR_1, ATTEMPTS_MAX, Environment, Link, Minted, Purpose, Role, Rules, WRONG_IN_A_ROW_MAX, Wanted,
    back_off, is_same,
};
use super::{
    glass::{Glass, Stopper},
    reports::{TextReport, TextStatus},
};
use crate::{
    kernel::{Address, UnixMillis},
    orgs::{Language, Mark},
};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Installation {
    #[n(0)]
    pub address: Address,
    #[n(1)]
    pub standing: Standing,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Standing {
    #[n(0)]
    Unknown,
    #[n(1)]
    Known(#[n(0)] Box<Known>),
    #[n(2)]
    Deleted,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Description {
    #[n(0)]
    pub label: Box<str>,
    #[n(1)]
    pub product: Box<str>,
    #[n(2)]
    pub environment: Environment,
    /// Of its mails and pages.
    #[n(3)]
    pub language: Language,
    /// Wrong passwords after which a user is blocked.
    #[n(4)]
    pub errors_max: Option<u8>,
    /// Whether that blocks administrator 1 too.
    #[n(5)]
    pub blocks_administrator: bool,
    /// What the directory calls it.
    #[n(6)]
    pub account: Box<str>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Known {
    #[n(0)]
    pub description: Description,
    #[n(1)]
    pub created: UnixMillis,
    /// The revision of the last change that whoever administers it sees.
    #[n(2)]
    pub changed: u64,
    #[n(3)]
    pub users: Vec<User>,
    /// The revision with which names and passwords were sealed.
    #[n(4)]
    pub users_at: u64,
    #[n(5)]
    pub next_user: u16,
    #[n(6)]
    pub terminals: Vec<Terminal>,
    #[n(7)]
    pub names: Vec<NameErrors>,
    /// The terminal that has the installation for itself.
    #[n(8)]
    pub exclusive: Option<Mark>,
    #[n(9)]
    pub contact: Option<Contact>,
    /// The revision with which the contact was sealed.
    #[n(10)]
    pub contact_at: u64,
    #[n(11)]
    pub validation: Option<Link>,
    #[n(12)]
    pub resets: Vec<Link>,
    /// When reset mails were sent, within the last day.
    #[n(13)]
    pub reset_mails: Vec<UnixMillis>,
    #[n(14)]
    pub reset_terminal: Option<ResetTerminal>,
    /// A reset that the operator has started.
    #[n(15)]
    pub glass: Option<Glass>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct User {
    #[n(0)]
    pub number: u16,
    #[n(1)]
    pub role: Role,
    #[n(2)]
    pub name: Mark,
    /// Wrong passwords in a row, at whatever terminal.
    #[n(3)]
    pub errors: u16,
    #[n(4)]
    pub blocked: bool,
    /// The revision that gave the password.
    #[n(5)]
    pub password_at: u64,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Terminal {
    #[n(0)]
    pub mark: Mark,
    #[n(1)]
    pub opened: UnixMillis,
    /// It times out then, unless it is renewed.
    #[n(2)]
    pub until: UnixMillis,
    /// Attempts that were charged.
    #[n(3)]
    pub attempts: u8,
    /// Of these, those that were judged wrong.
    #[n(4)]
    pub errors: u8,
    #[n(5)]
    pub pending: Vec<Attempt>,
    /// Whose name was tried last; `None` inside: nobody's.
    #[n(6)]
    pub tried: Option<Tried>,
    #[n(7)]
    pub user: Option<u16>,
    /// The number of the last attempt.
    #[n(8)]
    pub last: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Tried {
    #[n(0)]
    pub user: Option<u16>,
}

/// An attempt that was charged and not yet judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Attempt {
    #[n(0)]
    pub number: u16,
    #[n(1)]
    pub name: Mark,
    #[n(2)]
    pub user: Option<u16>,
    /// Whether a right password counts.
    #[n(3)]
    pub open: bool,
    #[n(4)]
    pub password_at: u64,
}

/// Errors in a row under one name, known or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct NameErrors {
    #[n(0)]
    pub name: Mark,
    #[n(1)]
    pub errors: u16,
    #[n(2)]
    pub last: UnixMillis,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Contact {
    #[n(0)]
    pub email: Mark,
    #[n(1)]
    pub telephone: Option<Mark>,
    #[n(2)]
    pub validated: bool,
    /// Why the last mail or text to it could not be brought.
    #[n(3)]
    pub trouble: Option<Box<str>>,
    /// What the gateway said later of the last text.
    #[n(4)]
    pub report: Option<TextReport>,
}

/// The terminal that opens without the old credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct ResetTerminal {
    #[n(0)]
    pub form: Mark,
    #[n(1)]
    pub until: UnixMillis,
}

/// Plaintext to seal, and the revision of what it replaces.
#[derive(Clone, PartialEq)]
pub struct Sealed {
    pub instead_of: u64,
    pub plain: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({})", self.instead_of)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct NewContact {
    pub email: Mark,
    pub telephone: Option<Mark>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Create {
        description: Description,
        administrator: Mark,
        users: Zeroizing<Vec<u8>>,
        /// With the directory, sealed.
        account: Option<Zeroizing<Vec<u8>>>,
    },
    Change {
        wanted: Wanted,
        /// The account with the directory, sealed; empty: there is none any more.
        account: Option<Zeroizing<Vec<u8>>>,
    },
    Delete,
    AddUser {
        role: Role,
        name: Mark,
        users: Sealed,
    },
    /// With a new name or password the users are sealed anew.
    ChangeUser {
        user: u16,
        name: Option<Mark>,
        password: bool,
        unblock: bool,
        users: Option<Sealed>,
    },
    RemoveUser {
        user: u16,
        users: Sealed,
    },
    OpenTerminal {
        terminal: Mark,
        rules: Rules,
    },
    RenewTerminal {
        terminal: Mark,
        rules: Rules,
    },
    CloseTerminal {
        terminal: Mark,
    },
    /// An attempt is charged; its password is judged next.
    Begin {
        terminal: Mark,
        name: Mark,
    },
    End {
        terminal: Mark,
        attempt: u16,
        right: bool,
        rules: Rules,
    },
    /// Nobody could judge it.
    Forsake {
        terminal: Mark,
        attempt: u16,
    },
    Forgotten {
        terminal: Mark,
        minted: Minted,
        rules: Rules,
    },
    SetContact {
        terminal: Mark,
        contact: Option<NewContact>,
        sealed: Sealed,
        /// The contacts before, with the one that this replaces.
        former: Zeroizing<Vec<u8>>,
        minted: Minted,
        rules: Rules,
    },
    RequestValidation {
        terminal: Mark,
        minted: Minted,
        rules: Rules,
    },
    /// The button of a mail's page.
    Press {
        link: Mark,
        rules: Rules,
    },
    EnterCode {
        form: Mark,
        code: Mark,
        rules: Rules,
    },
    /// The gateway has accepted the text of this link.
    TextAccepted {
        link: Mark,
    },
    TextDied {
        link: Mark,
        why: Box<str>,
    },
    MailDied {
        why: Box<str>,
    },
    /// The mail of this revision came back.
    MailBounced {
        mail: u64,
    },
    TextReported {
        text: u64,
        status: TextStatus,
    },
    /// The operator starts a reset to a new address.
    BreakGlass {
        minted: Minted,
        stop: Mark,
        address: Zeroizing<Vec<u8>>,
        rules: Rules,
    },
    StopGlass {
        by: Stopper,
    },
    /// New credentials of administrator 1, at the reset terminal.
    Reset {
        form: Mark,
        name: Mark,
        users: Sealed,
    },
    Tick,
}

/// In order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    AlreadyExists,
    /// There is no such terminal, or no longer.
    NoTerminal,
    /// Somebody is logged in there already.
    LoggedIn,
    /// What only administrator 1, logged in, may know of.
    NotAdministrator,
    ExclusiveUse,
    TooManyTerminals,
    BackOff {
        until: UnixMillis,
    },
    NotOffered,
    OtherTerminals,
    AlreadyValidated,
    NoContact,
    /// What was read to decide was changed by another.
    ChangedMeanwhile,
    NameTaken,
    TooManyUsers,
    Administrator1,
    /// The link or the form is dead.
    Expired,
    /// The operator has started a reset already.
    GlassPending,
    NoGlass,
}

/// What a caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Nothing,
    Begun {
        attempt: u16,
        user: Option<u16>,
    },
    Login(Login),
    /// Whether the button led to a code form, to the reset form, or to the end.
    Pressed(Next),
    Code {
        left: u8,
        next: Option<Next>,
    },
    /// The contact was changed.
    Contact {
        changed: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Code,
    Validated,
    ResetForm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    In { user: u16, role: Role, contact_missing: bool, glass_due: Option<UnixMillis> },
    Refused { left: u8, offered: bool },
}

impl Installation {
    pub fn known(&self) -> Option<&Known> {
        match &self.standing {
            Standing::Known(known) => Some(known),
            Standing::Unknown | Standing::Deleted => None,
        }
    }
}

impl Known {
    pub fn terminal(&self, mark: Mark, now: UnixMillis) -> Option<&Terminal> {
        self.terminals.iter().find(|terminal| is_same(terminal.mark, mark) && now < terminal.until)
    }

    pub fn user(&self, number: u16) -> Option<&User> {
        self.users.iter().find(|user| user.number == number)
    }

    pub fn named(&self, name: Mark) -> Option<&User> {
        self.users.iter().find(|user| is_same(user.name, name))
    }

    /// The terminal that has the installation for itself, if it is still there.
    pub fn exclusive_at(&self, now: UnixMillis) -> Option<Mark> {
        self.exclusive.filter(|mark| self.terminal(*mark, now).is_some())
    }

    /// Whether administrator 1 is logged in at this terminal.
    pub fn is_administrators(&self, terminal: Mark, now: UnixMillis) -> bool {
        self.terminal(terminal, now).is_some_and(|terminal| terminal.user == Some(ADMINISTRATOR_1))
    }

    /// Until when nothing is judged under this name.
    pub fn rests_until(&self, name: Mark) -> Option<UnixMillis> {
        let errors = self.names.iter().find(|errors| is_same(errors.name, name))?;
        Some(errors.last.plus(back_off(errors.errors)))
    }

    /// Attempts at one terminal.
    pub fn attempts_max(&self) -> u8 {
        self.description.errors_max.unwrap_or(ATTEMPTS_MAX)
    }

    /// Wrong passwords in a row after which this user is blocked.
    pub fn errors_max(&self, user: &User) -> u16 {
        let counts = user.role != Role::Administrator1 || self.description.blocks_administrator;
        let set = self.description.errors_max.filter(|_| counts).map(u16::from);
        set.unwrap_or(WRONG_IN_A_ROW_MAX).min(WRONG_IN_A_ROW_MAX)
    }

    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.validation.iter().chain(&self.resets)
    }

    pub fn link(&self, mark: Mark) -> Option<&Link> {
        self.links().find(|link| is_same(link.minted.link, mark))
    }

    /// The link whose code form this is.
    pub fn link_of_form(&self, form: Mark) -> Option<&Link> {
        self.links().find(|link| is_same(link.minted.code_form, form))
    }

    pub fn reset_terminal_at(&self, form: Mark, now: UnixMillis) -> bool {
        self.reset_terminal.is_some_and(|open| now < open.until && is_same(open.form, form))
    }

    pub fn is_validated(&self) -> bool {
        self.contact.as_ref().is_some_and(|contact| contact.validated)
    }

    /// Whether the link's page asks for a code first.
    pub fn wants_code(&self, purpose: Purpose, rules: &Rules) -> bool {
        let telephone = self.contact.as_ref().is_some_and(|contact| contact.telephone.is_some());
        let wanted = match purpose {
            Purpose::Validation => true,
            Purpose::Reset => rules.code_before_reset,
            // The telephone is lost too.
            Purpose::BreakGlass => false,
        };
        telephone && wanted
    }
}
