//! What would happen to an installation that is there.

use super::{
    event::Event,
    state::{Command, Known, NewContact, Refusal, Sealed, Terminal},
    words::{
        ADMINISTRATOR_1, Asked, Closing, DAY, Link, LinkEnd, Minted, OFFER_AFTER, Purpose, RESETS_MAX, Role, Rules,
        Stage, TERMINALS_MAX, USERS_MAX, WRONG_CODES_MAX, is_same,
    },
};
use crate::{kernel::UnixMillis, orgs::Mark};

type Decided = Result<(), Refusal>;

pub(super) fn decide(known: &Known, command: &Command, now: UnixMillis, events: &mut Vec<Event>) -> Decided {
    match command {
        // A repeated request; another one was refused before.
        Command::Create { .. } => Ok(()),
        Command::Change { wanted, account } => {
            let description = wanted.of(&known.description);
            if description != known.description || account.is_some() {
                events.push(Event::Changed { description });
            }
            Ok(())
        }
        Command::Delete => {
            events.push(Event::Deleted);
            Ok(())
        }
        Command::AddUser { role, name, users } => known.add_user(*role, *name, users, events),
        Command::ChangeUser { user, name, password, unblock, users } => {
            known.may_change(*user)?;
            known.sealed_from(users.as_ref())?;
            known.is_free(*name, Some(*user))?;
            if name.is_some() || *password {
                events.extend(known.terminals_of(*user, Closing::Credentials));
            }
            events.push(Event::UserChanged { user: *user, name: *name, password: *password, unblocked: *unblock });
            Ok(())
        }
        Command::RemoveUser { user, users } => {
            known.may_change(*user)?;
            if *user == ADMINISTRATOR_1 {
                return Err(Refusal::Administrator1);
            }
            known.sealed_from(Some(users))?;
            events.push(Event::UserRemoved { user: *user });
            Ok(())
        }
        Command::OpenTerminal { terminal, rules } => known.open(*terminal, rules, now, events),
        Command::RenewTerminal { terminal, rules } => {
            let until = known.at(*terminal, now)?.until;
            // Not each renewal is worth a line.
            if until.since(now) * 3 < rules.terminal_timeout * 2 {
                events.push(Event::TerminalRenewed { terminal: *terminal, until: now.plus(rules.terminal_timeout) });
            }
            Ok(())
        }
        Command::CloseTerminal { terminal } => {
            known.at(*terminal, now)?;
            events.push(Event::TerminalClosed { terminal: *terminal, why: Closing::EndOfWork });
            Ok(())
        }
        Command::Begin { terminal, name } => known.begin(*terminal, *name, now, events),
        Command::End { terminal, attempt, right, rules } => known.end(*terminal, *attempt, *right, rules, now, events),
        Command::Forsake { terminal, attempt } => {
            let open = known.at(*terminal, now)?;
            if open.pending.iter().any(|pending| pending.number == *attempt) {
                events.push(Event::Forsaken { terminal: *terminal, attempt: *attempt });
            }
            Ok(())
        }
        Command::Forgotten { terminal, minted, rules } => known.forgotten(*terminal, minted, rules, now, events),
        Command::SetContact { terminal, contact, sealed, minted, rules, .. } => {
            known.set_contact(*terminal, contact.as_ref(), sealed, (minted, rules), now, events)
        }
        Command::RequestValidation { terminal, minted, rules } => {
            known.is_administrator(*terminal, now)?;
            let contact = known.contact.as_ref().ok_or(Refusal::NoContact)?;
            if contact.validated {
                return Err(Refusal::AlreadyValidated);
            }
            events.extend(known.validation.map(|link| died(&link, LinkEnd::Newer)));
            events.push(sent(minted, Purpose::Validation, rules, now));
            Ok(())
        }
        Command::Press { link, rules } => known.press(*link, rules, now, events),
        Command::EnterCode { form, code, rules } => known.enter_code(*form, *code, rules, now, events),
        Command::TextAccepted { link } => {
            if known.link(*link).is_some_and(|link| matches!(link.stage, Stage::Texting { .. })) {
                events.push(Event::TextAccepted { link: *link });
            }
            Ok(())
        }
        Command::TextDied { link, why } => {
            if known.link(*link).is_some_and(|link| matches!(link.stage, Stage::Texting { .. })) {
                events.push(Event::TextDied { link: *link, why: why.clone() });
            }
            Ok(())
        }
        Command::MailDied { why } => {
            if known.contact.is_some() {
                events.push(Event::MailDied { why: why.clone() });
            }
            Ok(())
        }
        Command::MailBounced { mail } => {
            known.mail_bounced(*mail, events);
            Ok(())
        }
        Command::TextReported { text, status } => {
            known.text_reported(*text, *status, events);
            Ok(())
        }
        Command::BreakGlass { minted, stop, rules, .. } => known.break_glass(minted, *stop, rules, now, events),
        Command::StopGlass { by } => known.stop_glass(*by, now, events),
        Command::Reset { form, name, users } => {
            if !known.reset_terminal_at(*form, now) {
                return Err(Refusal::Expired);
            }
            known.sealed_from(Some(users))?;
            known.is_free(Some(*name), Some(ADMINISTRATOR_1))?;
            events.extend(known.terminals_of(ADMINISTRATOR_1, Closing::Reset));
            events.extend(known.links().map(|link| died(link, LinkEnd::OtherUsed)));
            events.push(Event::ResetDone { name: *name });
            Ok(())
        }
        Command::Tick => {
            known.end_what_is_over(now, events);
            Ok(())
        }
    }
}

fn died(link: &Link, why: LinkEnd) -> Event {
    Event::LinkDied { link: link.minted.link, why }
}

fn sent(minted: &Minted, purpose: Purpose, rules: &Rules, now: UnixMillis) -> Event {
    Event::LinkSent { minted: *minted, purpose, until: now.plus(rules.link_lives) }
}

impl Known {
    fn at(&self, terminal: Mark, now: UnixMillis) -> Result<&Terminal, Refusal> {
        self.terminal(terminal, now).ok_or(Refusal::NoTerminal)
    }

    fn is_administrator(&self, terminal: Mark, now: UnixMillis) -> Decided {
        self.at(terminal, now)?;
        if self.is_administrators(terminal, now) { Ok(()) } else { Err(Refusal::NotAdministrator) }
    }

    fn sealed_from(&self, users: Option<&Sealed>) -> Decided {
        match users {
            Some(users) if users.instead_of != self.users_at => Err(Refusal::ChangedMeanwhile),
            _ => Ok(()),
        }
    }

    fn is_free(&self, name: Option<Mark>, but: Option<u16>) -> Decided {
        let holder = name.and_then(|name| self.named(name)).map(|user| user.number);
        if holder.is_some() && holder != but { Err(Refusal::NameTaken) } else { Ok(()) }
    }

    fn may_change(&self, user: u16) -> Decided {
        self.user(user).map(|_| ()).ok_or(Refusal::NotFound)
    }

    fn add_user(&self, role: Role, name: Mark, users: &Sealed, events: &mut Vec<Event>) -> Decided {
        if role == Role::Administrator1 {
            return Err(Refusal::Administrator1);
        }
        self.sealed_from(Some(users))?;
        self.is_free(Some(name), None)?;
        if self.users.len() >= USERS_MAX || self.next_user == u16::MAX {
            return Err(Refusal::TooManyUsers);
        }
        events.push(Event::UserAdded { user: self.next_user, role, name });
        Ok(())
    }

    fn open(&self, terminal: Mark, rules: &Rules, now: UnixMillis, events: &mut Vec<Event>) -> Decided {
        if self.terminal(terminal, now).is_some() {
            return Ok(());
        }
        if self.exclusive_at(now).is_some() {
            return Err(Refusal::ExclusiveUse);
        }
        self.end_what_is_over(now, events);
        let alive = self.terminals.iter().filter(|terminal| now < terminal.until);
        if alive.clone().count() >= TERMINALS_MAX {
            let oldest = alive.filter(|terminal| terminal.user.is_none()).min_by_key(|terminal| terminal.opened);
            let oldest = oldest.ok_or(Refusal::TooManyTerminals)?;
            events.push(Event::TerminalClosed { terminal: oldest.mark, why: Closing::Displaced });
        }
        events.push(Event::TerminalOpened { terminal, until: now.plus(rules.terminal_timeout) });
        Ok(())
    }

    fn begin(&self, terminal: Mark, name: Mark, now: UnixMillis, events: &mut Vec<Event>) -> Decided {
        let open = self.at(terminal, now)?;
        if open.user.is_some() {
            return Err(Refusal::LoggedIn);
        }
        if open.attempts >= self.attempts_max() {
            return Err(Refusal::NoTerminal);
        }
        if let Some(until) = self.rests_until(name).filter(|until| now < *until) {
            return Err(Refusal::BackOff { until });
        }
        let user = self.named(name);
        let open = user.is_some_and(|user| !user.blocked && user.errors < self.errors_max(user));
        events.push(Event::Charged { terminal, name, user: user.map(|user| user.number), open });
        Ok(())
    }

    fn end(
        &self,
        terminal: Mark,
        attempt: u16,
        right: bool,
        rules: &Rules,
        now: UnixMillis,
        events: &mut Vec<Event>,
    ) -> Decided {
        let open = self.at(terminal, now)?;
        let pending = open.pending.iter().find(|pending| pending.number == attempt).ok_or(Refusal::NoTerminal)?;
        let user = pending.user.and_then(|user| self.user(user));
        // With what was compared may have been replaced meanwhile, and another may have been blocked or let in.
        let same = user.filter(|user| user.password_at == pending.password_at && !user.blocked);
        if let Some(user) = same.filter(|_| right && pending.open && open.user.is_none()) {
            events.push(Event::LoggedIn { terminal, user: user.number });
            if user.number == ADMINISTRATOR_1 {
                events.extend(self.resets.iter().map(|link| died(link, LinkEnd::LoggedIn)));
                events.extend(self.reset_terminal.map(|_| Event::ResetOver));
                self.end_glass_at_login(events);
            }
            events.push(Event::TerminalRenewed { terminal, until: now.plus(rules.terminal_timeout) });
            return Ok(());
        }
        events.push(Event::Wrong { terminal, attempt });
        if let Some(user) = user.filter(|user| !user.blocked && user.errors >= self.errors_max(user)) {
            events.push(Event::UserBlocked { user: user.number });
        }
        if open.errors + 1 >= self.attempts_max() {
            events.push(Event::TerminalClosed { terminal, why: Closing::Errors });
        }
        Ok(())
    }

    /// Whether "forgotten password" leads anywhere from this terminal: the name that was tried last decides.
    fn leads_somewhere(&self, terminal: &Terminal) -> bool {
        terminal.tried.is_some_and(|tried| tried.user.is_none_or(|user| user == ADMINISTRATOR_1))
    }

    pub(super) fn is_offered(&self, terminal: &Terminal, rules: &Rules) -> bool {
        let asked = terminal.user.is_none() && terminal.errors >= OFFER_AFTER;
        asked && (!rules.offer_as_documented || self.leads_somewhere(terminal))
    }

    fn forgotten(
        &self,
        terminal: Mark,
        minted: &Minted,
        rules: &Rules,
        now: UnixMillis,
        events: &mut Vec<Event>,
    ) -> Decided {
        let open = self.at(terminal, now)?;
        if !self.is_offered(open, rules) {
            return Err(Refusal::NotOffered);
        }
        let today = self.reset_mails.iter().filter(|at| now.since(**at) < DAY);
        let too_soon = today.clone().any(|at| now.since(*at) < rules.reset_mail_pause);
        let outcome = match () {
            () if !self.leads_somewhere(open) => Asked::OtherUser,
            () if !self.is_validated() => Asked::NoContact,
            () if too_soon || today.count() >= rules.reset_mails_a_day => Asked::TooMany,
            () => Asked::Sent,
        };
        events.push(Event::ResetAsked { outcome });
        if outcome == Asked::Sent {
            let asked = self.resets.iter().filter(|link| link.purpose == Purpose::Reset);
            let alive: Vec<_> = asked.filter(|link| now < link.ends()).collect();
            if alive.len() >= RESETS_MAX {
                events.extend(alive.first().map(|link| died(link, LinkEnd::Newer)));
            }
            events.push(sent(minted, Purpose::Reset, rules, now));
        }
        Ok(())
    }

    /// Whether this needs the installation for oneself: any change but entering a first address without a telephone.
    pub(super) fn needs_exclusive_use(&self, wanted: Option<&NewContact>) -> bool {
        match (&self.contact, wanted) {
            (None, None) => false,
            (None, Some(new)) => new.telephone.is_some(),
            (Some(_), None) => true,
            (Some(old), Some(new)) => !is_same(old.email, new.email) || old.telephone != new.telephone,
        }
    }

    fn set_contact(
        &self,
        terminal: Mark,
        wanted: Option<&NewContact>,
        sealed: &Sealed,
        (minted, rules): (&Minted, &Rules),
        now: UnixMillis,
        events: &mut Vec<Event>,
    ) -> Decided {
        self.is_administrator(terminal, now)?;
        if sealed.instead_of != self.contact_at {
            return Err(Refusal::ChangedMeanwhile);
        }
        let old = self.contact.as_ref();
        let is_new = match (old, wanted) {
            (None, None) => false,
            (Some(old), Some(new)) => !is_same(old.email, new.email) || old.telephone != new.telephone,
            (None, Some(_)) | (Some(_), None) => true,
        };
        if !is_new {
            return Ok(());
        }
        let exclusive = self.needs_exclusive_use(wanted);
        let alone = self.terminals.iter().all(|other| is_same(other.mark, terminal) || other.until <= now);
        if exclusive && !alone {
            return Err(Refusal::OtherTerminals);
        }
        // Taking the telephone away leaves what was proven; anything else has to be proven anew.
        let proven = old
            .zip(wanted)
            .is_some_and(|(old, new)| old.validated && is_same(old.email, new.email) && new.telephone.is_none());
        events.extend(self.links().map(|link| died(link, LinkEnd::ContactChanged)));
        if self.reset_terminal.is_some() {
            events.push(Event::ResetOver);
        }
        events.extend(self.glass.map(|_| Event::GlassEnded { why: LinkEnd::ContactChanged }));
        events.push(Event::ContactSet {
            email: wanted.map(|new| new.email),
            telephone: wanted.and_then(|new| new.telephone),
            exclusive: exclusive.then_some(terminal),
            validated: proven,
            former: old.map(|_| self.contact_at),
            former_telephone: old.is_some_and(|old| old.telephone.is_some()),
        });
        if wanted.is_some() && !proven {
            events.push(sent(minted, Purpose::Validation, rules, now));
        }
        Ok(())
    }

    fn press(&self, link: Mark, rules: &Rules, now: UnixMillis, events: &mut Vec<Event>) -> Decided {
        let link = self.link(link).filter(|link| link.is_pressable(now)).ok_or(Refusal::Expired)?;
        if !self.wants_code(link.purpose, rules) {
            self.used(link, rules, now, events);
            return Ok(());
        }
        // Pressed again while the text is on its way: it is one text.
        if !matches!(link.stage, Stage::Texting { until } if now < until) {
            events.push(Event::Pressed { link: link.minted.link, until: now.plus(rules.code_lives) });
        }
        Ok(())
    }

    fn enter_code(&self, form: Mark, code: Mark, rules: &Rules, now: UnixMillis, events: &mut Vec<Event>) -> Decided {
        let link = self.link_of_form(form).filter(|link| link.takes_code(now)).ok_or(Refusal::Expired)?;
        if is_same(link.minted.code, code) {
            self.used(link, rules, now, events);
            return Ok(());
        }
        events.push(Event::CodeWrong { link: link.minted.link });
        if link.wrong + 1 >= WRONG_CODES_MAX {
            events.push(died(link, LinkEnd::WrongCodes));
        }
        Ok(())
    }

    /// A link has led to its end.
    fn used(&self, link: &Link, rules: &Rules, now: UnixMillis, events: &mut Vec<Event>) {
        match link.purpose {
            Purpose::Validation => events.push(Event::Validated),
            Purpose::Reset | Purpose::BreakGlass => {
                if link.purpose == Purpose::Reset {
                    events.extend(self.glass.map(|_| Event::GlassEnded { why: LinkEnd::OtherUsed }));
                }
                events.extend(self.resets.iter().map(|other| died(other, LinkEnd::OtherUsed)));
                events.push(Event::ResetOpened { form: link.minted.reset_form, until: now.plus(rules.reset_lives) });
            }
        }
    }

    fn terminals_of(&self, user: u16, why: Closing) -> impl Iterator<Item = Event> {
        let theirs = self.terminals.iter().filter(move |terminal| terminal.user == Some(user));
        theirs.map(move |terminal| Event::TerminalClosed { terminal: terminal.mark, why })
    }

    fn end_what_is_over(&self, now: UnixMillis, events: &mut Vec<Event>) {
        let over = self.terminals.iter().filter(|terminal| terminal.until <= now);
        events.extend(over.map(|terminal| Event::TerminalClosed { terminal: terminal.mark, why: Closing::TimedOut }));
        events.extend(self.links().filter(|link| link.ends() <= now).map(|link| died(link, LinkEnd::Expired)));
        if self.reset_terminal.is_some_and(|open| open.until <= now) {
            events.push(Event::ResetOver);
        }
        self.tick_glass(now, events);
    }
}
