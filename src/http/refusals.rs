//! Refusals that are no events: kept in memory only and in bounded number, so that an attacker cannot buy writes.
//! `castellan_http_problems_total` counts them all.

use super::{auth::Caller, problem::Problem};
use crate::{
    kernel::{OrgId, Principal, UnixMillis},
    metrics,
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

/// One refusal, or several alike in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub first: UnixMillis,
    pub last: UnixMillis,
    pub count: u64,
    pub by: Principal,
    pub from: Option<IpAddr>,
    pub route: &'static str,
    pub code: &'static str,
}

impl Refusal {
    fn is_like(&self, other: &Self) -> bool {
        (self.by, self.from, self.route, self.code) == (other.by, other.from, other.route, other.code)
    }
}

#[derive(Default)]
pub struct Refusals {
    rings: Mutex<HashMap<OrgId, Ring>>,
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<Refusal>,
    /// Lines that had to make room.
    forgotten: u64,
}

const LINES_MAX: usize = 256;
const ORGANISATIONS_MAX: usize = 1_024;
/// How far back a line alike is looked for.
const ALIKE_WITHIN: usize = 16;

impl Refusals {
    /// Keeps what somebody was refused. Whoever has not shown who he is stands with the operator.
    pub fn note(&self, route: &'static str, caller: Caller, from: Option<IpAddr>, problem: &Problem, now: UnixMillis) {
        if !matches!(problem.status(), 401 | 403 | 404 | 409 | 410 | 412 | 422 | 429) {
            return;
        }
        let is_proven = match caller {
            Caller::Token { .. } | Caller::Shopper(_) => true,
            Caller::Nobody => false,
            // A box shows who it is to its own actor, which judges that before all else.
            Caller::Box(_) => !matches!(problem.status(), 401 | 404 | 429),
        };
        let (org, by) = match (is_proven, caller.principal()) {
            (true, by @ (Principal::Token(address) | Principal::Entity(address))) => (address.org, by),
            _ => (OrgId::SYSTEM, Principal::Anonymous),
        };
        let line = Refusal { first: now, last: now, count: 1, by, from, route, code: problem.code().as_str() };
        let mut rings = self.rings.lock();
        if rings.len() >= ORGANISATIONS_MAX && !rings.contains_key(&org) {
            let quietest = rings.iter().min_by_key(|(_, ring)| ring.lines.back().map(|line| line.last));
            if let Some(quietest) = quietest.map(|(org, _)| *org) {
                rings.remove(&quietest);
            }
        }
        rings.entry(org).or_default().add(line);
    }

    /// Newest first, and how many lines had to make room for them.
    pub fn of(&self, org: OrgId) -> (Vec<Refusal>, u64) {
        let rings = self.rings.lock();
        let Some(ring) = rings.get(&org) else { return (Vec::new(), 0) };
        let mut lines: Vec<_> = ring.lines.iter().rev().cloned().collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.last));
        (lines, ring.forgotten)
    }
}

impl Ring {
    fn add(&mut self, line: Refusal) {
        if let Some(alike) = self.lines.iter_mut().rev().take(ALIKE_WITHIN).find(|known| known.is_like(&line)) {
            alike.last = line.last;
            alike.count += 1;
            return;
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
            self.forgotten += 1;
            ::metrics::counter!(metrics::REFUSALS_FORGOTTEN).increment(1);
        }
        self.lines.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{http::Code, kernel::TokenId, orgs::Scopes};

    #[test]
    fn alike_ones_are_one_line_and_the_ring_is_bounded_for_each_organisation() {
        let refusals = Refusals::default();
        let token =
            |n: u128, org: u128| Caller::Token { token: TokenId(n), org: OrgId(org), scopes: Scopes::default() };
        let note = |caller, code: Code, at| refusals.note("x.y", caller, None, &code.into(), UnixMillis(at));
        for at in 1..=500 {
            note(token(1, 7), Code::Forbidden, at);
        }
        note(token(1, 8), Code::Forbidden, 1);
        note(token(1, 7), Code::Malformed, 501);
        note(token(1, 7), Code::Busy, 501);
        let (lines, forgotten) = refusals.of(OrgId(7));
        assert_eq!((lines.len(), lines[0].count, lines[0].first.0, lines[0].last.0), (1, 500, 1, 500));
        assert_eq!(forgotten, 0);
        for n in 0..1_000 {
            note(token(n, 7), Code::NotFound, 600 + n as u64);
        }
        let (lines, forgotten) = refusals.of(OrgId(7));
        assert_eq!((lines.len(), forgotten, lines[0].last.0), (LINES_MAX, 1 + 1_000 - LINES_MAX as u64, 1_599));
        assert_eq!(refusals.of(OrgId(8)).0.len(), 1, "another organisation's stay");
        for org in 100..100 + 2 * ORGANISATIONS_MAX as u128 {
            note(token(1, org), Code::Forbidden, 2_000 + org as u64);
        }
        assert!(refusals.rings.lock().len() <= ORGANISATIONS_MAX);
    }

    #[test]
    fn who_has_not_shown_who_he_is_stands_with_the_operator() {
        let refusals = Refusals::default();
        let problem = Problem::from(Code::BoxTokenInvalid);
        let token = super::super::auth::BoxToken { org: OrgId(7), smart_box: crate::kernel::BoxId(1), hash: [0; 32] };
        refusals.note("box.sync", Caller::Box(token), None, &problem, UnixMillis(1));
        refusals.note("box.sync", Caller::Nobody, None, &Code::AuthInvalid.into(), UnixMillis(1));
        assert_eq!((refusals.of(OrgId(7)).0.len(), refusals.of(OrgId::SYSTEM).0.len()), (0, 2));
    }
}
