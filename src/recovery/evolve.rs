//! What an installation is after an event, and what follows from it for the house.

use super::{
    decide, effects,
    event::Event,
    glass::GlassStage,
    state::{
        Attempt, Command, Contact, Installation, Known, Login, NameErrors, Next, Refusal, ResetTerminal, Standing,
        Terminal, Told, Tried, User,
    },
    words::{
        ADMINISTRATOR_1, DAY, ERRORS_KEPT, Link, NAMES_MAX, Purpose, Role, Rules, Stage, WRONG_CODES_MAX, is_same,
    },
};
use crate::{
    kernel::{Address, Codec, Context, Effects, EntityKind, Incoming, Machine, Progress, Stamp, UnixMillis},
    orgs::Mark,
};

impl Machine for Installation {
    const KIND: EntityKind = EntityKind::Installation;
    const EVOLVE_VERSION: u16 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;
    type Answer = Told;
    type View = ();

    fn blank(address: Address) -> Self {
        Self { address, standing: Standing::Unknown }
    }

    fn decide(&self, command: &Command, _: usize, cx: &Context, events: &mut Vec<Event>) -> Result<Progress, Refusal> {
        match (command, &self.standing) {
            (Command::Create { description, administrator, .. }, Standing::Unknown) => {
                events.push(Event::Created { description: description.clone(), administrator: *administrator });
            }
            (Command::Create { description, .. }, Standing::Known(known)) if known.description == *description => {}
            (Command::Create { .. }, _) => return Err(Refusal::AlreadyExists),
            (Command::Delete, Standing::Deleted) => {}
            // Of what the server itself remarks, too late.
            (
                Command::TextAccepted { .. }
                | Command::TextDied { .. }
                | Command::MailDied { .. }
                | Command::MailBounced { .. }
                | Command::TextReported { .. }
                | Command::Tick,
                Standing::Deleted | Standing::Unknown,
            ) => {}
            (_, Standing::Unknown | Standing::Deleted) => return Err(Refusal::NotFound),
            (_, Standing::Known(known)) => decide::decide(known, command, cx.now, events)?,
        }
        Ok(Progress::Done)
    }

    fn evolve(&mut self, event: &Event, stamp: Stamp) {
        match (event, &mut self.standing) {
            (Event::Created { description, administrator }, standing) => {
                let first = User {
                    number: ADMINISTRATOR_1,
                    role: Role::Administrator1,
                    name: *administrator,
                    errors: 0,
                    blocked: false,
                    password_at: stamp.revision,
                };
                *standing = Standing::Known(Box::new(Known {
                    description: description.clone(),
                    created: stamp.at,
                    changed: stamp.revision,
                    users: vec![first],
                    users_at: stamp.revision,
                    next_user: ADMINISTRATOR_1 + 1,
                    terminals: Vec::new(),
                    names: Vec::new(),
                    exclusive: None,
                    contact: None,
                    contact_at: 0,
                    validation: None,
                    resets: Vec::new(),
                    reset_mails: Vec::new(),
                    reset_terminal: None,
                    glass: None,
                }));
            }
            (Event::Deleted, standing) => *standing = Standing::Deleted,
            (event, Standing::Known(known)) => known.apply(event, stamp),
            (_, Standing::Unknown | Standing::Deleted) => {}
        }
    }

    fn answer(&self, command: &Command, events: &[Event], _: u64, cx: &Context) -> Told {
        let Some(known) = self.known() else { return Told::Nothing };
        match command {
            Command::Begin { terminal, .. } => known.begun(*terminal, cx.now),
            Command::End { terminal, rules, .. } => Told::Login(known.login(*terminal, events, rules)),
            Command::Press { .. } => Told::Pressed(next(events).unwrap_or(Next::Code)),
            Command::EnterCode { form, .. } => Told::Code {
                left: known.link_of_form(*form).map_or(0, |link| WRONG_CODES_MAX.saturating_sub(link.wrong)),
                next: next(events),
            },
            Command::SetContact { .. } => Told::Contact { changed: !events.is_empty() },
            _ => Told::Nothing,
        }
    }

    fn effects(&self, command: &Command, events: &[Event], cx: &Context, effects: &mut Effects) {
        effects::of_installation(self, command, events, cx, effects);
    }

    fn standing_rows(&self, rows: &mut Effects) {
        effects::rows(self, rows);
    }

    /// What terminals and links do is no change that an administrator would overwrite.
    fn tag(&self, _: &Command, _: u64) -> Option<u64> {
        self.known().map(|known| known.changed)
    }

    fn next_deadline(&self) -> Option<UnixMillis> {
        let known = self.known()?;
        let terminals = known.terminals.iter().map(|terminal| terminal.until);
        let links = known.links().map(Link::ends);
        let glass = known.glass.filter(|glass| glass.stage == GlassStage::Waiting).map(|glass| glass.due);
        terminals.chain(links).chain(known.reset_terminal.map(|open| open.until)).chain(glass).min()
    }

    fn tick() -> Option<Command> {
        Some(Command::Tick)
    }

    fn message(message: Incoming<'_>) -> Result<Command, String> {
        effects::read_message(message)
    }

    fn to_snapshot(&self, bytes: &mut Vec<u8>) {
        self.encode_into(bytes);
    }

    fn from_snapshot(bytes: &[u8]) -> Result<Self, String> {
        Codec::decode_from(bytes)
    }
}

/// Where a button or a code has led.
fn next(events: &[Event]) -> Option<Next> {
    events.iter().find_map(|event| match event {
        Event::Validated => Some(Next::Validated),
        Event::ResetOpened { .. } => Some(Next::ResetForm),
        Event::Pressed { .. } => Some(Next::Code),
        _ => None,
    })
}

impl Known {
    fn begun(&self, terminal: Mark, now: UnixMillis) -> Told {
        let pending = self.terminal(terminal, now).and_then(|terminal| terminal.pending.last());
        pending.map_or(Told::Nothing, |pending| Told::Begun { attempt: pending.number, user: pending.user })
    }

    fn login(&self, mark: Mark, events: &[Event], rules: &Rules) -> Login {
        let user = events.iter().find_map(|event| match event {
            Event::LoggedIn { user, .. } => self.user(*user),
            _ => None,
        });
        if let Some(user) = user {
            let contact_missing = user.number == ADMINISTRATOR_1 && !self.is_validated();
            return Login::In { user: user.number, role: user.role, contact_missing, glass_due: self.glass_due() };
        }
        // A terminal that was closed by its last error is gone.
        match self.terminals.iter().find(|terminal| is_same(terminal.mark, mark)) {
            Some(open) => Login::Refused {
                left: self.attempts_max().saturating_sub(open.attempts),
                offered: self.is_offered(open, rules),
            },
            None => Login::Refused { left: 0, offered: false },
        }
    }

    fn apply(&mut self, event: &Event, stamp: Stamp) {
        match event {
            Event::Created { .. } | Event::Deleted => {}
            Event::Changed { description } => {
                self.description = description.clone();
                self.changed = stamp.revision;
            }
            Event::UserAdded { user, role, name } => {
                self.users.push(User {
                    number: *user,
                    role: *role,
                    name: *name,
                    errors: 0,
                    blocked: false,
                    password_at: stamp.revision,
                });
                self.next_user = user.saturating_add(1);
                self.users_sealed(stamp);
            }
            Event::UserChanged { user, name, password, unblocked } => {
                self.change(*user, *name, *password, *unblocked, stamp);
            }
            Event::UserRemoved { user } => {
                self.users.retain(|known| known.number != *user);
                self.terminals.retain(|terminal| terminal.user != Some(*user));
                self.users_sealed(stamp);
            }
            Event::TerminalOpened { .. }
            | Event::TerminalRenewed { .. }
            | Event::TerminalClosed { .. }
            | Event::Charged { .. }
            | Event::Wrong { .. }
            | Event::Forsaken { .. }
            | Event::LoggedIn { .. }
            | Event::UserBlocked { .. } => self.apply_terminal(event, stamp),
            Event::ResetAsked { .. } => {}
            Event::ContactSet { email, telephone, exclusive, validated, .. } => {
                self.contact = email.map(|email| Contact {
                    email,
                    telephone: *telephone,
                    validated: *validated,
                    trouble: None,
                    report: None,
                });
                self.exclusive = exclusive.or(self.exclusive);
                self.contact_at = stamp.revision;
            }
            Event::MailDied { why } => self.trouble(Some(why.clone())),
            Event::TextReported { text, status } => self.apply_report(*text, *status, stamp),
            _ => {
                self.apply_link(event, stamp);
                self.apply_glass(event, stamp);
            }
        }
    }

    fn apply_link(&mut self, event: &Event, stamp: Stamp) {
        match event {
            Event::LinkSent { minted, purpose, until } => {
                let link = Link { minted: *minted, purpose: *purpose, until: *until, stage: Stage::Sent, wrong: 0 };
                match purpose {
                    Purpose::Validation => self.validation = Some(link),
                    Purpose::Reset => {
                        self.resets.push(link);
                        self.reset_mails.retain(|at| stamp.at.since(*at) < DAY);
                        self.reset_mails.push(stamp.at);
                    }
                    Purpose::BreakGlass => return self.resets.push(link),
                }
                self.trouble(None);
            }
            Event::Pressed { link, until } => self.stage(*link, Stage::Texting { until: *until }),
            Event::TextAccepted { link } => {
                if let Some(Stage::Texting { until }) = self.link(*link).map(|link| link.stage) {
                    self.stage(*link, Stage::Texted { until });
                }
            }
            Event::TextDied { link, why } => {
                self.stage(*link, Stage::Sent);
                self.trouble(Some(why.clone()));
            }
            Event::CodeWrong { link } => {
                if let Some(link) = self.link_mut(*link) {
                    link.wrong = link.wrong.saturating_add(1);
                }
            }
            Event::LinkDied { link, .. } => {
                self.validation = self.validation.filter(|known| !is_same(known.minted.link, *link));
                self.resets.retain(|known| !is_same(known.minted.link, *link));
            }
            Event::Validated => {
                self.validation = None;
                if let Some(contact) = &mut self.contact {
                    (contact.validated, contact.trouble) = (true, None);
                }
            }
            Event::ResetOpened { form, until } => {
                self.resets.clear();
                self.reset_terminal = Some(ResetTerminal { form: *form, until: *until });
            }
            Event::ResetDone { name } => {
                self.change(ADMINISTRATOR_1, Some(*name), true, true, stamp);
                (self.reset_terminal, self.validation) = (None, None);
                self.resets.clear();
            }
            Event::ResetOver => self.reset_terminal = None,
            _ => {}
        }
    }

    fn apply_terminal(&mut self, event: &Event, stamp: Stamp) {
        match event {
            Event::TerminalOpened { terminal, until } => self.terminals.push(Terminal {
                mark: *terminal,
                opened: stamp.at,
                until: *until,
                attempts: 0,
                errors: 0,
                pending: Vec::new(),
                tried: None,
                user: None,
                last: 0,
            }),
            Event::TerminalRenewed { terminal, until } => {
                if let Some(terminal) = self.terminal_mut(*terminal) {
                    terminal.until = *until;
                }
            }
            Event::TerminalClosed { terminal, .. } => {
                self.terminals.retain(|known| !is_same(known.mark, *terminal));
                self.exclusive = self.exclusive.filter(|mark| !is_same(*mark, *terminal));
            }
            Event::Charged { terminal, name, user, open } => {
                let charged = user.and_then(|user| self.user_mut(user)).map(|user| {
                    user.errors = user.errors.saturating_add(1);
                    user.password_at
                });
                if let Some(terminal) = self.terminal_mut(*terminal) {
                    terminal.attempts = terminal.attempts.saturating_add(1);
                    terminal.last = terminal.last.wrapping_add(1);
                    terminal.pending.push(Attempt {
                        number: terminal.last,
                        name: *name,
                        user: *user,
                        open: *open,
                        password_at: charged.unwrap_or_default(),
                    });
                }
                self.charge(*name, stamp.at);
            }
            Event::Wrong { terminal, attempt } => {
                let Some(terminal) = self.terminal_mut(*terminal) else { return };
                let Some(attempt) = terminal.take(*attempt) else { return };
                terminal.errors = terminal.errors.saturating_add(1);
                terminal.tried = Some(Tried { user: attempt.user });
                if let Some(errors) = self.names.iter_mut().find(|errors| is_same(errors.name, attempt.name)) {
                    errors.last = stamp.at;
                }
            }
            Event::Forsaken { terminal, attempt } => {
                let Some(terminal) = self.terminal_mut(*terminal) else { return };
                let Some(attempt) = terminal.take(*attempt) else { return };
                terminal.attempts = terminal.attempts.saturating_sub(1);
                if let Some(user) = attempt.user.and_then(|user| self.user_mut(user)) {
                    user.errors = user.errors.saturating_sub(1);
                }
                if let Some(errors) = self.names.iter_mut().find(|errors| is_same(errors.name, attempt.name)) {
                    errors.errors = errors.errors.saturating_sub(1);
                }
            }
            Event::LoggedIn { terminal, user } => {
                let name = self.user_mut(*user).map(|user| {
                    user.errors = 0;
                    user.name
                });
                self.names.retain(|errors| !name.is_some_and(|name| is_same(errors.name, name)));
                if let Some(terminal) = self.terminal_mut(*terminal) {
                    terminal.user = Some(*user);
                    (terminal.attempts, terminal.errors, terminal.tried) = (0, 0, None);
                    terminal.pending.clear();
                }
            }
            Event::UserBlocked { user } => {
                if let Some(user) = self.user_mut(*user) {
                    user.blocked = true;
                }
            }
            _ => {}
        }
    }

    fn change(&mut self, number: u16, name: Option<Mark>, password: bool, unblocked: bool, stamp: Stamp) {
        let Some(user) = self.user_mut(number) else { return };
        let before = user.name;
        user.name = name.unwrap_or(user.name);
        if password {
            user.password_at = stamp.revision;
        }
        if unblocked {
            (user.blocked, user.errors) = (false, 0);
            let after = user.name;
            self.names.retain(|errors| !is_same(errors.name, before) && !is_same(errors.name, after));
        }
        if name.is_some() || password {
            self.users_sealed(stamp);
        }
        self.changed = stamp.revision;
    }

    fn users_sealed(&mut self, stamp: Stamp) {
        (self.users_at, self.changed) = (stamp.revision, stamp.revision);
    }

    /// One error more under this name; the longest quiet one makes room.
    fn charge(&mut self, name: Mark, now: UnixMillis) {
        self.names.retain(|errors| now.since(errors.last) < ERRORS_KEPT);
        if let Some(errors) = self.names.iter_mut().find(|errors| is_same(errors.name, name)) {
            errors.errors = errors.errors.saturating_add(1);
            errors.last = now;
            return;
        }
        if self.names.len() >= NAMES_MAX {
            let quietest = (0..self.names.len()).min_by_key(|at| self.names[*at].last);
            quietest.map(|at| self.names.swap_remove(at));
        }
        self.names.push(NameErrors { name, errors: 1, last: now });
    }

    fn trouble(&mut self, why: Option<Box<str>>) {
        if let Some(contact) = &mut self.contact {
            contact.trouble = why;
        }
    }

    fn stage(&mut self, link: Mark, stage: Stage) {
        if let Some(link) = self.link_mut(link) {
            link.stage = stage;
        }
    }

    fn link_mut(&mut self, mark: Mark) -> Option<&mut Link> {
        let mut links = self.validation.iter_mut().chain(&mut self.resets);
        links.find(|link| is_same(link.minted.link, mark))
    }

    fn terminal_mut(&mut self, mark: Mark) -> Option<&mut Terminal> {
        self.terminals.iter_mut().find(|terminal| is_same(terminal.mark, mark))
    }

    fn user_mut(&mut self, number: u16) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.number == number)
    }
}

impl Terminal {
    fn take(&mut self, number: u16) -> Option<Attempt> {
        let at = self.pending.iter().position(|pending| pending.number == number)?;
        Some(self.pending.remove(at))
    }
}
