//! How often one caller may ask: by token, by organisation, by source address.
//!
//! Callers are counted in a fixed number of places, found by a hash with a seed of its own, so that memory is bounded
//! however many come; two that meet in one place share it. What is refused says so in the header fields of
//! draft-ietf-httpapi-ratelimit-headers.

use super::{
    auth::Caller,
    codes::Code,
    problem::{Limit, Problem},
};
use crate::{config, kernel::UnixMillis};
use governor::{Quota, RateLimiter, clock::Clock as _, clock::DefaultClock, state::keyed::DashMapStateStore};
use std::{
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    time::Duration,
};

type Keyed = RateLimiter<u32, DashMapStateStore<u32>, DefaultClock>;

const PLACES: u32 = 1 << 18;
const WINDOW: Duration = Duration::from_secs(60);

/// One rate, for whoever is counted by it.
pub(super) struct Rate {
    policy: &'static str,
    per_minute: NonZeroU32,
    normal: Keyed,
    /// After a restart nothing is known of the minute before it: a tenth must do.
    fresh: Keyed,
    fresh_until: UnixMillis,
    seed: RandomState,
}

impl Rate {
    pub fn new(policy: &'static str, per_minute: u32, up_since: UnixMillis) -> Self {
        let per_minute = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        let tenth = NonZeroU32::new(per_minute.get() / 10).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(per_minute);
        Self {
            policy,
            per_minute,
            normal: RateLimiter::keyed(quota),
            fresh: RateLimiter::keyed(quota.allow_burst(tenth)),
            fresh_until: up_since.plus(WINDOW),
            seed: RandomState::new(),
        }
    }

    /// Counts one; if that is too many, what the caller is told.
    pub fn count(&self, who: impl Hash, code: Code, now: UnixMillis) -> Result<(), Problem> {
        let limit = if now < self.fresh_until { &self.fresh } else { &self.normal };
        let place = self.seed.hash_one(who) as u32 % PLACES;
        limit.check_key(&place).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            let seconds = u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX);
            Problem::from(code).retry_after_s(seconds).limited(Limit {
                policy: self.policy,
                quota: self.per_minute.get(),
                window_s: Some(60),
            })
        })
    }

    /// Forgets who has been quiet.
    pub fn tidy(&self) {
        self.normal.retain_recent();
        self.fresh.retain_recent();
    }
}

/// Whoever has one IPv6 address usually has its whole /64.
pub(crate) fn block(from: IpAddr) -> IpAddr {
    match from {
        IpAddr::V4(_) => from,
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

/// The rates of requests. SmartBoxes have none here: the door knows how urgent each is.
pub(super) struct Rates {
    token: Rate,
    organisation: Rate,
    source: Rate,
}

impl Rates {
    pub fn new(config: &config::Limits, up_since: UnixMillis) -> Self {
        Self {
            token: Rate::new("token", config.requests_per_minute_per_token, up_since),
            organisation: Rate::new("organisation", config.requests_per_minute_per_organisation, up_since),
            source: Rate::new("source", config.unauthenticated_requests_per_minute, up_since),
        }
    }

    /// Counts a request of a caller who has shown who he is, or of a source that need not.
    pub fn count(&self, caller: &Caller, from: Option<IpAddr>, now: UnixMillis) -> Result<(), Problem> {
        match caller {
            Caller::Token { token, org, .. } => {
                self.token.count(token, Code::TooManyRequests, now)?;
                self.organisation.count(org, Code::TooManyRequests, now)
            }
            Caller::Nobody => from.map_or(Ok(()), |from| self.source.count(block(from), Code::TooManyRequests, now)),
            // A box is counted by its own machine; a page's request was counted by its source.
            Caller::Box(_) | Caller::Shopper(_) => Ok(()),
        }
    }

    pub fn tidy(&self) {
        [&self.token, &self.organisation, &self.source].into_iter().for_each(Rate::tidy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::{OrgId, TokenId},
        orgs::Scopes,
    };

    const LATER: UnixMillis = UnixMillis(100_000);

    fn rates(per_token: u32) -> Rates {
        let limits = config::Limits {
            requests_per_minute_per_token: per_token,
            requests_per_minute_per_organisation: 5,
            unauthenticated_requests_per_minute: 2,
            ..config::Limits::default()
        };
        Rates::new(&limits, UnixMillis(0))
    }

    fn caller(token: u128, org: u128) -> Caller {
        Caller::Token { token: TokenId(token), org: OrgId(org), scopes: Scopes::of_organisation() }
    }

    #[test]
    fn a_token_and_its_organisation_have_a_rate_each() {
        let rates = rates(3);
        let ask = |token, org| rates.count(&caller(token, org), None, LATER);
        (0..3).for_each(|_| ask(1, 1).unwrap());
        let problem = ask(1, 1).unwrap_err();
        assert_eq!((problem.code(), problem.status()), (Code::TooManyRequests, 429));
        assert!(problem.retry_after().unwrap() >= 1);
        let limit = problem.limit().unwrap();
        assert_eq!((limit.policy, limit.quota, limit.window_s), ("token", 3, Some(60)));
        (0..2).for_each(|_| ask(2, 1).unwrap());
        assert_eq!(ask(3, 1).unwrap_err().limit().unwrap().policy, "organisation");
        ask(4, 2).unwrap();
    }

    #[test]
    fn sources_are_counted_only_where_nobody_need_say_who_he_is() {
        let rates = rates(100);
        let from = |text: &str| Some(text.parse().unwrap());
        let ask = |text| rates.count(&Caller::Nobody, from(text), LATER);
        (0..2).for_each(|_| ask("10.0.0.1").unwrap());
        assert_eq!(ask("10.0.0.1").unwrap_err().limit().unwrap().policy, "source");
        ask("10.0.0.2").unwrap();
        (0..2).for_each(|host| ask(["2001:db8::1", "2001:db8::2"][host]).unwrap());
        assert!(ask("2001:db8::3").is_err(), "one /64 is one source");
        (0..4).for_each(|_| rates.count(&caller(1, 1), from("10.0.0.1"), LATER).unwrap());
    }

    #[test]
    fn a_restart_leaves_a_tenth() {
        let rate = Rate::new("token", 30, UnixMillis(0));
        let told: Vec<_> = (0..4).map(|_| rate.count(1, Code::TooManyRequests, UnixMillis(1)).is_ok()).collect();
        assert_eq!(told, [true, true, true, false]);
    }
}
