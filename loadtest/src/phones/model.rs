//! The independent model: what a device must be after what happened to it, and what its phone must get, from the
//! specification alone. No time of its own: what happened is known to have happened between two moments, and where
//! that does not suffice to tell, the device is doubtful from then on.

use std::{collections::BTreeMap, net::Ipv4Addr};

const SECOND_MS: u64 = 1000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
pub const LOCKED_MS: u64 = 30 * MINUTE_MS;
pub const SUSPENDED_MS: u64 = 30 * MINUTE_MS;
pub const WINDOW_MS: u64 = 10 * MINUTE_MS;
pub const TEMPORARY_MS: u64 = 8 * 60 * MINUTE_MS;
/// The same wrong value within this counts once.
pub const REPEAT_MS: u64 = 10 * SECOND_MS;
/// Contacts nearer to one another than this need not all be noted.
const NOTED_AGAIN_MS: u64 = 11 * SECOND_MS;
/// That the last byte was sent the server knows when it was, and notes it then.
const NOTED_WITHIN_MS: u64 = 3 * SECOND_MS;
const GUESSES: usize = 3;
const LOCKED_ATTEMPTS_MAX: u32 = 100;

/// When something happened, as far as it is known from outside: not before it was sent, not after it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: u64,
    pub to: u64,
}

impl Span {
    pub fn new(from: u64, to: u64) -> Self {
        Self { from, to }
    }

    pub fn plus(self, ms: u64) -> Self {
        Self { from: self.from + ms, to: self.to + ms }
    }

    /// Whether this comes before another; nothing where nobody can tell.
    fn is_before(self, other: Self) -> Option<bool> {
        if self.to < other.from {
            Some(true)
        } else if self.from >= other.to {
            Some(false)
        } else {
            None
        }
    }

    pub fn holds(self, at: u64) -> bool {
        (self.from..=self.to).contains(&at)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Required,
    Failed {
        until: Span,
    },
    Blocked,
    /// The PAP was right, the full configuration was not fetched whole yet.
    Provisioning,
    Successful,
}

/// Which configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    Minimal,
    Full,
}

/// What somebody who enters a PAP must hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    Wrong { left: u32 },
    Failed { until: Span },
    Blocked,
    NotNeeded,
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Wrong { .. } => "wrong",
            Self::Failed { .. } => "failed",
            Self::Blocked => "blocked",
            Self::NotNeeded => "not_needed",
        }
    }
}

/// The organisation's whitelists, as far as one site can see them.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    pub permanent: bool,
    /// Until when.
    pub temporary: BTreeMap<Ipv4Addr, Span>,
}

impl Lists {
    fn trust(&self, address: Ipv4Addr, home: Ipv4Addr, now: Span) -> Option<bool> {
        if self.permanent && address == home {
            return Some(true);
        }
        match self.temporary.get(&address) {
            Some(until) => now.is_before(*until),
            None => Some(false),
        }
    }

    fn add(&mut self, address: Ipv4Addr, now: Span) {
        let until = now.plus(TEMPORARY_MS);
        let entry = self.temporary.entry(address).or_insert(until);
        // Several at once: the last one counts, whichever it was.
        *entry = Span::new(entry.from.max(until.from), entry.to.max(until.to));
    }

    /// A device was provisioned from there: that makes an entry longer, and makes none.
    fn extend(&mut self, address: Ipv4Addr, now: Span) {
        if self.temporary.get(&address).is_some_and(|until| now.from < until.to) {
            self.add(address, Span::new(now.from, now.to + NOTED_WITHIN_MS));
        }
    }
}

#[derive(Clone, Debug)]
pub struct Device {
    pub pap: Option<String>,
    pub state: State,
    /// Where its site is.
    home: Ipv4Addr,
    wrong: Vec<(String, Span)>,
    pub rounds: u32,
    pub locked_attempts: u32,
    /// Until when.
    pub suspended: Option<Span>,
    /// Trusted from where, until when.
    pub window: Option<(Ipv4Addr, Span)>,
    /// Where it came from when it last got the minimal configuration.
    asked_from: Option<Ipv4Addr>,
    /// The server was started again since, and need not have noted it.
    asked_before: bool,
    /// What its full configuration holds for later requests, once somebody has read it.
    pub credential: Option<String>,
    served: Option<Served>,
    served_at: Option<Span>,
    /// It got something else than a moment before: whether that is shown is not promised.
    changed_soon: bool,
    /// Something happened so near to a limit that nobody can tell from outside what follows.
    pub doubtful: bool,
}

impl Device {
    pub fn new(pap: String, home: Ipv4Addr) -> Self {
        Self {
            pap: Some(pap),
            state: State::Required,
            home,
            wrong: Vec::new(),
            rounds: 0,
            locked_attempts: 0,
            suspended: None,
            window: None,
            asked_from: None,
            asked_before: false,
            credential: None,
            served: None,
            served_at: None,
            changed_soon: false,
            doubtful: false,
        }
    }

    /// Wrong guesses of this round.
    pub fn wrong(&self) -> usize {
        self.wrong.len()
    }

    pub fn is_lost(&self) -> bool {
        self.state == State::Successful && self.served == Some(Served::Minimal)
    }

    /// Contacts that follow one another at once need not all be noted.
    pub fn is_lost_sure(&self) -> bool {
        !self.changed_soon
    }

    /// A relation in time that must be known from here on.
    fn sure(&mut self, known: Option<bool>) -> bool {
        known.unwrap_or_else(|| {
            self.doubtful = true;
            false
        })
    }

    /// What ends by itself.
    pub fn pass_to(&mut self, now: Span) {
        if let State::Failed { until } = self.state {
            let is_locked = now.is_before(until);
            if self.sure(is_locked.map(|locked| !locked)) {
                self.state = State::Required;
                self.wrong.clear();
            }
        }
        if let Some(until) = self.suspended {
            let goes_on = now.is_before(until);
            if self.sure(goes_on.map(|goes_on| !goes_on)) {
                self.suspended = None;
            }
        }
    }

    /// Somebody enters a PAP. `rounds_max`: which lock in a row is for good.
    pub fn authenticate(&mut self, guess: &str, lists: &mut Lists, now: Span, rounds_max: u32) -> Outcome {
        self.pass_to(now);
        match self.state {
            State::Failed { .. } | State::Blocked => {
                self.locked_attempts = (self.locked_attempts + 1).min(LOCKED_ATTEMPTS_MAX);
                self.locked()
            }
            State::Successful => Outcome::NotNeeded,
            State::Required | State::Provisioning if self.pap.as_deref() == Some(guess) => {
                self.doubtful |= self.asked_before;
                self.forget_counts();
                self.state = State::Provisioning;
                self.window = self.asked_from.map(|address| (address, now.plus(WINDOW_MS)));
                if let Some(address) = self.asked_from {
                    lists.add(address, now);
                }
                Outcome::Accepted
            }
            State::Required | State::Provisioning => self.miss(guess, now, rounds_max),
        }
    }

    fn miss(&mut self, guess: &str, now: Span, rounds_max: u32) -> Outcome {
        let same = self.wrong.iter().filter(|(known, _)| known == guess);
        let told: Vec<_> = same.map(|(_, at)| now.is_before(at.plus(REPEAT_MS))).collect();
        let repeats = match told.contains(&Some(true)) {
            true => Some(true),
            false if told.contains(&None) => None,
            false => Some(false),
        };
        if self.sure(repeats) {
            return Outcome::Wrong { left: (GUESSES - self.wrong.len()) as u32 };
        }
        self.wrong.push((guess.to_owned(), now));
        if self.wrong.len() < GUESSES {
            return Outcome::Wrong { left: (GUESSES - self.wrong.len()) as u32 };
        }
        self.rounds += 1;
        self.locked_attempts = 0;
        self.state =
            if self.rounds >= rounds_max { State::Blocked } else { State::Failed { until: now.plus(LOCKED_MS) } };
        self.locked()
    }

    fn locked(&self) -> Outcome {
        match self.state {
            State::Failed { until } => Outcome::Failed { until },
            _ => Outcome::Blocked,
        }
    }

    fn forget_counts(&mut self) {
        self.wrong.clear();
        (self.rounds, self.locked_attempts) = (0, 0);
    }

    /// Which configuration a request must get, from where, with which credential.
    pub fn deserves(&mut self, from: Ipv4Addr, credential: Option<&str>, lists: &Lists, now: Span) -> Served {
        self.pass_to(now);
        if self.suspended.is_some() {
            return Served::Full;
        }
        if self.state == State::Blocked {
            return Served::Minimal;
        }
        if credential.is_some() && credential == self.credential.as_deref() {
            return Served::Full;
        }
        let in_window = match self.window {
            Some((address, until)) if address == from => now.is_before(until),
            _ => Some(false),
        };
        let trusted = match (in_window, lists.trust(from, self.home, now)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
        if self.sure(trusted) { Served::Full } else { Served::Minimal }
    }

    /// It was answered. `read`: the credential, when the whole file with it was sent.
    pub fn was_served(&mut self, what: Served, from: Ipv4Addr, read: Option<&str>, lists: &mut Lists, now: Span) {
        let soon = self.served_at.is_some_and(|at| now.from < at.to + NOTED_AGAIN_MS);
        self.changed_soon = soon && (self.changed_soon || self.served != Some(what));
        (self.served, self.served_at) = (Some(what), Some(now));
        match what {
            Served::Minimal => (self.asked_from, self.asked_before) = (Some(from), false),
            Served::Full => {
                let Some(credential) = read else { return };
                self.credential = Some(credential.to_owned());
                if matches!(self.state, State::Blocked | State::Successful) {
                    return;
                }
                self.state = State::Successful;
                self.pap = None;
                self.forget_counts();
                lists.extend(from, now);
            }
        }
    }

    /// The server was started again: of contacts it knows what it noted, and that may be an older one.
    pub fn server_started_again(&mut self) {
        let is_noted = self.served == Some(Served::Minimal) && !self.changed_soon;
        self.asked_before = self.asked_from.is_some() && !is_noted;
    }

    pub fn suspend(&mut self, now: Span) {
        self.pass_to(now);
        self.suspended = Some(now.plus(SUSPENDED_MS));
    }

    pub fn reset(&mut self, pap: String, now: Span) {
        self.pass_to(now);
        self.state = State::Required;
        self.forget_counts();
        self.pap = Some(pap);
        (self.window, self.credential) = (None, None);
    }
}
