//! Limits, without a gateway.

use super::limits::{Limits, Spent};
use crate::{
    config,
    kernel::{InstallationId, MailName, OrgId, UnixMillis},
};
use std::time::Duration;

fn name(org: u128, revision: u64) -> MailName {
    MailName { from: InstallationId(1).at(OrgId(org)), revision, n: 0, at: UnixMillis(0) }
}

#[test]
fn three_in_ten_minutes_and_ten_a_day_go_to_one_number() {
    let limits = Limits::new(&config::Sms::default());
    let mut now = UnixMillis(1_000_000);
    let mut sent = Vec::new();
    for revision in 0..200 {
        if limits.spend(name(1, revision), "+39021234567", now) == Spent::Free {
            sent.push(now);
        }
        assert_eq!(limits.spend(name(1, revision), "+39021234567", now) == Spent::Free, sent.last() == Some(&now));
        now = now.plus(Duration::from_secs(60));
    }
    assert_eq!(sent.len(), 10);
    assert_eq!(sent.iter().filter(|at| at.since(sent[0]) < Duration::from_secs(600)).count(), 3);
    assert_eq!(limits.spend(name(1, 900), "+39021234568", now), Spent::Free, "another number");
    let tomorrow = now.plus(Duration::from_secs(24 * 3600));
    assert_eq!(limits.spend(name(1, 901), "+39021234567", tomorrow), Spent::Free);
}

#[test]
fn organisations_prefixes_and_countries_have_bounds_of_their_own() {
    let config = config::Sms {
        countries: vec!["+39".to_owned(), "+41".to_owned()],
        per_organisation_a_day: 5,
        per_prefix_a_day: 8,
        ..config::Sms::default()
    };
    let limits = Limits::new(&config);
    let now = UnixMillis(1_000_000);
    let number = |n: u64| format!("+39347{n:07}");
    assert_eq!(limits.spend(name(1, 0), "+4915112345678", now), Spent::Country);
    let told = |org, from: u64| -> Vec<_> {
        (from..from + 6).map(|n| limits.spend(name(org, n), &number(n), now) == Spent::Free).collect()
    };
    assert_eq!(told(1, 0), [true, true, true, true, true, false], "of one organisation");
    assert_eq!(told(2, 100), [true, true, true, false, false, false], "of one prefix");
    assert_eq!(limits.spend(name(2, 200), "+41791234567", now), Spent::Free);
}
