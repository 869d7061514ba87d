//! What must be: who may have reset what, and how many guesses may have been judged. It knows what owners did and what
//! came into their mailboxes, and compares that with what the server says happened.

use serde_json::Value;
use std::{cell::RefCell, collections::HashMap};

/// Codes of one mail that are judged, the right one too.
pub const JUDGED_MAX: u64 = 5;
/// Attempts at one terminal.
pub const ATTEMPTS_MAX: u64 = 6;

#[derive(Default)]
struct Line {
    /// Mails that were there when the owner began: theirs are of the validation.
    reads: usize,
    /// Credentials that the owner has sent.
    tried: Vec<(String, String)>,
    /// Resets of which the owner has seen that they worked.
    done: u64,
}

/// What owners know of their own installations.
#[derive(Default)]
pub struct Ledger(RefCell<HashMap<usize, Line>>);

impl Ledger {
    fn with<T>(&self, index: usize, then: impl FnOnce(&mut Line) -> T) -> T {
        then(self.0.borrow_mut().entry(index).or_default())
    }

    pub fn begins(&self, index: usize, mails: usize) {
        self.with(index, |line| line.reads = mails);
    }

    pub fn reads(&self, index: usize) -> usize {
        self.with(index, |line| line.reads)
    }

    pub fn tries(&self, index: usize, name: &str, password: &str) {
        self.with(index, |line| line.tried.push((name.to_owned(), password.to_owned())));
    }

    pub fn done(&self, index: usize) {
        self.with(index, |line| line.done += 1);
    }

    /// At least and at most so many resets are the owner's own.
    pub fn own_resets(&self, index: usize) -> (u64, u64) {
        self.with(index, |line| (line.done, line.tried.len() as u64))
    }
}

/// What happened to one installation, as its events tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub resets: u64,
    /// Mails with a link that can ask for a code.
    pub mails: u64,
    pub codes_wrong: u64,
    /// The most that were judged of one validation mail: there is one at a time.
    pub most_of_validation: u64,
    pub validations: u64,
    /// Of the newest validation mail, as long as there is no mail of a reset.
    judged: u64,
    reset_mails: u64,
}

impl Seen {
    pub fn take(&mut self, event: &Value) {
        let purpose = event["data"]["purpose"].as_str().unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "recovery.mail_asked" => {
                self.mails += 1;
                match purpose {
                    "validation" => self.judged = 0,
                    _ => self.reset_mails += 1,
                }
            }
            "recovery.code_wrong" => {
                self.codes_wrong += 1;
                self.judges(1);
            }
            "recovery.validated" => {
                self.validations += 1;
                self.judges(1);
            }
            "recovery.reset_done" => self.resets += 1,
            _ => {}
        }
    }

    fn judges(&mut self, more: u64) {
        self.judged += more;
        // Later a code may be of any of several mails.
        if self.reset_mails == 0 {
            self.most_of_validation = self.most_of_validation.max(self.judged);
        }
    }

    /// Judged codes beyond what all mails together allow.
    pub fn over_limit(&self) -> u64 {
        self.most_of_validation.saturating_sub(JUDGED_MAX) + self.codes_wrong.saturating_sub(JUDGED_MAX * self.mails)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn seen(types: &[&str]) -> Seen {
        let mut seen = Seen::default();
        for kind in types {
            let (kind, purpose) = kind.split_once(' ').unwrap_or((kind, ""));
            seen.take(&json!({ "type": kind, "data": { "purpose": purpose } }));
        }
        seen
    }

    #[test]
    fn five_codes_of_a_mail_may_be_judged_and_no_sixth() {
        const MAIL: &str = "recovery.mail_asked validation";
        const RESET: &str = "recovery.mail_asked reset";
        const WRONG: &str = "recovery.code_wrong";
        assert_eq!(seen(&[MAIL, WRONG, WRONG, WRONG, WRONG, "recovery.validated"]).over_limit(), 0);
        assert_eq!(seen(&[MAIL, WRONG, WRONG, WRONG, WRONG, WRONG, MAIL, WRONG]).over_limit(), 0);
        assert_eq!(seen(&[MAIL, WRONG, WRONG, WRONG, WRONG, WRONG, "recovery.validated"]).over_limit(), 1);
        assert_eq!(seen(&[MAIL, WRONG, WRONG, WRONG, WRONG, WRONG, WRONG]).over_limit(), 2);
        assert_eq!(seen(&[MAIL, RESET, RESET, WRONG, WRONG, WRONG, WRONG, WRONG, WRONG]).over_limit(), 0);
        let seven = [RESET, WRONG, WRONG, WRONG, WRONG, WRONG, WRONG, WRONG];
        assert_eq!(seen(&seven).over_limit(), 2);
    }

    #[test]
    fn a_reset_is_the_owners_if_the_owner_has_sent_it() {
        let ledger = Ledger::default();
        assert_eq!(ledger.own_resets(7), (0, 0));
        ledger.tries(7, "a", "b");
        ledger.tries(7, "c", "d");
        ledger.done(7);
        assert_eq!(ledger.own_resets(7), (1, 2));
    }
}
