//! What would happen to a device.

use super::{
    state::{Changes, Command, Description, Event, Guess, Known, Outcome, Refusal},
    words::{
        Authentication, GUESSES_MAX, LOCKED_ATTEMPTS_MAX, LOCKED_FOR, REPEATS_WITHIN, Rules, SUSPENDED_FOR, Salt,
        Window, is_same,
    },
};
use crate::{kernel::UnixMillis, orgs::Mark};
use std::net::IpAddr;

/// One command to a device that is there.
pub(super) fn decide(
    known: &Known,
    command: &Command,
    now: UnixMillis,
    events: &mut Vec<Event>,
) -> Result<(), Refusal> {
    match command {
        // A repeated request; another one was refused before.
        Command::Create { .. } => {}
        Command::Change { changes, pap } => {
            let description = known.description.with(changes);
            let (sealed, moved) = (changes.accounts.is_some(), description.mac != known.description.mac);
            if description != known.description || sealed {
                let left = moved.then_some(known.description.mac);
                events.push(Event::Changed { description, accounts: sealed, left });
            }
            if moved {
                events.push(Event::Reset { pap: pap.mark });
            }
        }
        Command::Delete => events.push(Event::Deleted { mac: known.description.mac }),
        Command::Authenticate { guess, trace, seen, salt, rules } => {
            known.end_what_is_over(now, events);
            known.judge(Attempt { guess: *guess, trace: *trace, seen: *seen, salt: *salt }, rules, now, events);
        }
        Command::Admit { salt } => {
            if known.credential.is_none() {
                events.push(Event::CredentialMinted { salt: *salt });
            }
        }
        Command::Delivered { salt, to, why } => {
            let is_open = !matches!(known.authentication, Authentication::Blocked) && !known.authentication.is_done();
            if is_open && known.credential == Some(*salt) {
                known.end_what_is_over(now, events);
                events.push(Event::Provisioned { why: *why, to: *to });
            }
        }
        Command::Used { salt } => {
            if known.credential == Some(*salt) && known.previous.is_some() {
                events.push(Event::PreviousEnded);
            }
        }
        Command::Seen(contact) => {
            let pause = contact.pause_after(known.contact.as_ref());
            if pause.is_none_or(|pause| now >= known.contact_at.plus(pause)) {
                events.push(Event::Seen(contact.clone()));
            }
        }
        Command::Suspend => {
            known.end_what_is_over(now, events);
            events.push(Event::Suspended { until: now.plus(SUSPENDED_FOR) });
        }
        Command::Reset { pap } => events.push(Event::Reset { pap: pap.mark }),
        Command::ShowPap => match known.pap {
            Some(_) => events.push(Event::PapShown),
            None => return Err(Refusal::NoPap),
        },
        Command::Tick => known.end_what_is_over(now, events),
    }
    Ok(())
}

/// A PAP as it was entered.
struct Attempt {
    guess: Mark,
    trace: Mark,
    seen: Option<IpAddr>,
    salt: Salt,
}

impl Known {
    fn end_what_is_over(&self, now: UnixMillis, events: &mut Vec<Event>) {
        if self.authentication.at(now) != self.authentication {
            events.push(Event::LockEnded);
        }
        if self.suspended_until.is_some_and(|until| until <= now) {
            events.push(Event::SuspensionEnded);
        }
    }

    fn judge(&self, attempt: Attempt, rules: &Rules, now: UnixMillis, events: &mut Vec<Event>) {
        match self.authentication.at(now) {
            Authentication::Failed { .. } | Authentication::Blocked => {
                if self.locked_attempts < LOCKED_ATTEMPTS_MAX {
                    events.push(Event::RefusedWhileLocked);
                }
            }
            Authentication::Successful { provisioned: true } => {}
            Authentication::Required | Authentication::Successful { provisioned: false } => {
                self.judge_open(attempt, rules, now, events);
            }
        }
    }

    fn judge_open(&self, attempt: Attempt, rules: &Rules, now: UnixMillis, events: &mut Vec<Event>) {
        if self.is_right(attempt.guess) {
            let window = attempt.seen.map(|address| Window { address, until: now.plus(rules.trusted_window) });
            if !self.was_just_accepted(window) {
                events.push(Event::Authenticated { window, salt: attempt.salt });
            }
            return;
        }
        if self.repeats(attempt.trace, now) {
            return;
        }
        events.push(Event::Guessed { trace: attempt.trace });
        if self.wrong_at(now).len() + 1 < GUESSES_MAX {
            return;
        }
        events.push(match self.rounds + 1 < rules.rounds_until_blocked {
            true => Event::Locked { until: now.plus(LOCKED_FOR) },
            false => Event::Blocked,
        });
    }

    pub(super) fn is_right(&self, guess: Mark) -> bool {
        self.pap.is_some_and(|pap| is_same(pap, guess))
    }

    /// The guesses of the round that it is now: a lock that is over ends a round, whether somebody said so or not.
    fn wrong_at(&self, now: UnixMillis) -> &[Guess] {
        if self.authentication.at(now) == self.authentication { &self.wrong } else { &[] }
    }

    /// The same wrong value again, by somebody who retries.
    fn repeats(&self, trace: Mark, now: UnixMillis) -> bool {
        let same = |guess: &Guess| is_same(guess.trace, trace) && now < guess.at.plus(REPEATS_WITHIN);
        self.wrong_at(now).iter().any(same)
    }

    /// The right value again, by somebody who retries.
    fn was_just_accepted(&self, wanted: Option<Window>) -> bool {
        let Authentication::Successful { provisioned: false } = self.authentication else { return false };
        match (self.window, wanted) {
            (Some(open), Some(wanted)) => {
                open.address == wanted.address && wanted.until < open.until.plus(REPEATS_WITHIN)
            }
            _ => false,
        }
    }

    /// What somebody hears whose PAP was judged so.
    pub(super) fn outcome(&self, guess: Mark, events: &[Event], now: UnixMillis) -> Outcome {
        let left = GUESSES_MAX.saturating_sub(self.wrong.len()) as u8;
        if events.iter().any(|event| matches!(event, Event::Authenticated { .. })) {
            return Outcome::Accepted;
        }
        match self.authentication.at(now) {
            Authentication::Failed { until } => Outcome::Failed { until },
            Authentication::Blocked => Outcome::Blocked,
            Authentication::Successful { provisioned: true } => Outcome::NotNeeded,
            _ if self.is_right(guess) => Outcome::Accepted,
            _ => Outcome::Wrong { left },
        }
    }
}

impl Description {
    fn with(&self, changes: &Changes) -> Self {
        Self {
            mac: changes.mac.unwrap_or(self.mac),
            vendor: changes.vendor.unwrap_or(self.vendor),
            model: changes.model.clone().unwrap_or_else(|| self.model.clone()),
            label: changes.label.clone().unwrap_or_else(|| self.label.clone()),
            site: changes.site.clone().unwrap_or_else(|| self.site.clone()),
            accounts: changes.accounts.as_ref().map_or(self.accounts, |accounts| accounts.count),
        }
    }
}
