//! Bounds against pumping: whoever makes the server send texts must not make money of it, or silence a telephone.

use crate::{
    config,
    kernel::{MailName, OrgId, UnixMillis},
};
use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};

#[derive(Debug)]
pub(super) struct Limits {
    countries: Vec<String>,
    per_number_in_10_minutes: usize,
    per_number_a_day: usize,
    per_organisation_a_day: usize,
    per_prefix_a_day: usize,
    spent: Mutex<Book>,
}

/// What was sent within a day. A text that is tried again is spent once.
#[derive(Debug, Default)]
struct Book {
    numbers: HashMap<String, Vec<(MailName, UnixMillis)>>,
    organisations: HashMap<OrgId, Vec<UnixMillis>>,
    prefixes: HashMap<String, Vec<UnixMillis>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    Free,
    Country,
    TooMany,
}

const DAY: Duration = Duration::from_secs(24 * 3600);
const WINDOW: Duration = Duration::from_secs(600);
/// Country and the first digits of the network: where pumping shows.
const PREFIX_DIGITS: usize = 6;
/// When more numbers than this are remembered, those of yesterday go.
const TIDY_AT: usize = 10_000;

impl Limits {
    pub fn new(config: &config::Sms) -> Self {
        Self {
            countries: config.countries.clone(),
            per_number_in_10_minutes: config.per_number_in_10_minutes,
            per_number_a_day: config.per_number_a_day,
            per_organisation_a_day: config.per_organisation_a_day,
            per_prefix_a_day: config.per_prefix_a_day,
            spent: Mutex::default(),
        }
    }

    /// Counts one text, unless it is counted already.
    pub fn spend(&self, text: MailName, number: &str, now: UnixMillis) -> Spent {
        if !self.countries.is_empty() && !self.countries.iter().any(|prefix| number.starts_with(prefix)) {
            return Spent::Country;
        }
        let mut book = self.spent.lock();
        if book.numbers.len() > TIDY_AT {
            book.numbers.retain(|_, sent| sent.iter().any(|(_, at)| now.since(*at) < DAY));
            book.prefixes.retain(|_, sent| sent.iter().any(|at| now.since(*at) < DAY));
        }
        let prefix: String = number.chars().take(PREFIX_DIGITS).collect();
        let Book { numbers, organisations, prefixes } = &mut *book;
        let to_number = numbers.entry(number.to_owned()).or_default();
        to_number.retain(|(_, at)| now.since(*at) < DAY);
        if to_number.iter().any(|(known, _)| *known == text) {
            return Spent::Free;
        }
        let soon = to_number.iter().filter(|(_, at)| now.since(*at) < WINDOW).count();
        let of_organisation = organisations.entry(text.from.org).or_default();
        of_organisation.retain(|at| now.since(*at) < DAY);
        let of_prefix = prefixes.entry(prefix).or_default();
        of_prefix.retain(|at| now.since(*at) < DAY);
        if soon >= self.per_number_in_10_minutes
            || to_number.len() >= self.per_number_a_day
            || of_organisation.len() >= self.per_organisation_a_day
            || of_prefix.len() >= self.per_prefix_a_day
        {
            return Spent::TooMany;
        }
        to_number.push((text, now));
        of_organisation.push(now);
        of_prefix.push(now);
        Spent::Free
    }
}
