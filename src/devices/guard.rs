//! Wrong PAPs over all devices, a source at a time: a million PAPs are few when many devices wait. What one device may
//! take stands in the device itself; here is what one source, and one organisation, may try at all.
//!
//! Sources are counted in a fixed number of places, as in `http::rates`; after a start a tenth may be used up at once.

use crate::{
    config,
    kernel::{OrgId, TokenId, UnixMillis},
};
use dashmap::DashMap;
use governor::{Quota, RateLimiter, clock::Clock as _, clock::DefaultClock, state::keyed::DashMapStateStore};
use std::{
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    time::Duration,
};

/// Whose word a PAP is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    Address(IpAddr),
    /// An address that the organisation trusts: many people behind one.
    Office(IpAddr),
    /// A telephone system, with many people behind it.
    Pbx(TokenId),
}

/// Nothing is judged for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    pub retry_after_s: u32,
    pub policy: &'static str,
    pub per_hour: u32,
}

type Keyed = RateLimiter<u32, DashMapStateStore<u32>, DefaultClock>;

const PLACES: u32 = 1 << 16;
const HOUR: Duration = Duration::from_secs(3600);
/// PAPs of one source that are judged at the same moment, so that what it may try is not overdrawn.
const AT_ONCE: u32 = 8;
const AT_ONCE_OF_PBX: u32 = 64;

struct Count {
    policy: &'static str,
    per_hour: NonZeroU32,
    normal: Keyed,
    fresh: Keyed,
    fresh_until: UnixMillis,
    closed: DashMap<u32, UnixMillis>,
    busy: DashMap<u32, u32>,
    at_once: u32,
    seed: RandomState,
}

impl Count {
    fn new(policy: &'static str, per_hour: u32, at_once: u32, up_since: UnixMillis) -> Self {
        let per_hour = NonZeroU32::new(per_hour).unwrap_or(NonZeroU32::MIN);
        let tenth = NonZeroU32::new(per_hour.get() / 10).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_hour(per_hour);
        Self {
            policy,
            per_hour,
            normal: RateLimiter::keyed(quota),
            fresh: RateLimiter::keyed(quota.allow_burst(tenth)),
            fresh_until: up_since.plus(HOUR),
            closed: DashMap::new(),
            busy: DashMap::new(),
            at_once,
            seed: RandomState::new(),
        }
    }

    fn place(&self, who: impl Hash) -> u32 {
        self.seed.hash_one(who) as u32 % PLACES
    }

    fn refused(&self, retry_after_s: u32) -> Closed {
        Closed { retry_after_s, policy: self.policy, per_hour: self.per_hour.get() }
    }

    fn is_open(&self, place: u32, now: UnixMillis) -> Result<(), Closed> {
        match self.closed.get(&place).map(|until| *until) {
            Some(until) if now < until => {
                Err(self.refused(u32::try_from((until.0 - now.0) / 1000 + 1).unwrap_or(u32::MAX)))
            }
            Some(_) => {
                self.closed.remove_if(&place, |_, until| *until <= now);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn enter(&self, place: u32) -> Result<(), Closed> {
        let mut busy = self.busy.entry(place).or_insert(0);
        if *busy >= self.at_once {
            return Err(self.refused(1));
        }
        *busy += 1;
        Ok(())
    }

    fn leave(&self, place: u32) {
        if let Some(mut busy) = self.busy.get_mut(&place) {
            *busy -= 1;
        }
        self.busy.remove_if(&place, |_, busy| *busy == 0);
    }

    /// Counts one; whether that closed it.
    fn wrong(&self, place: u32, now: UnixMillis) -> bool {
        let limit = if now < self.fresh_until { &self.fresh } else { &self.normal };
        let Err(until) = limit.check_key(&place) else { return false };
        let wait = until.wait_time_from(DefaultClock::default().now());
        self.closed.insert(place, now.plus(wait)).is_none()
    }

    fn tidy(&self, now: UnixMillis) {
        self.normal.retain_recent();
        self.fresh.retain_recent();
        self.closed.retain(|_, until| now < *until);
    }
}

/// All that is counted.
pub struct Guards {
    address: Count,
    office: Count,
    pbx: Count,
    organisation: Count,
}

/// The right to have one PAP judged. One that is dropped counts as wrong: whoever hangs up before he is answered has had
/// his PAP judged all the same.
pub struct Attempt<'a> {
    guards: &'a Guards,
    count: &'a Count,
    place: u32,
    /// Of the organisation, where it counts.
    of_all: Option<u32>,
    begun: UnixMillis,
    is_settled: bool,
}

impl Guards {
    pub fn new(config: &config::Devices, up_since: UnixMillis) -> Self {
        Self {
            address: Count::new("wrong-paps-per-source", config.wrong_paps_per_source, AT_ONCE, up_since),
            office: Count::new("wrong-paps-per-office", config.wrong_paps_per_office, AT_ONCE, up_since),
            pbx: Count::new("wrong-paps-per-pbx", config.wrong_paps_per_pbx, AT_ONCE_OF_PBX, up_since),
            organisation: Count::new(
                "wrong-paps-per-organisation",
                config.wrong_paps_per_organisation,
                u32::MAX,
                up_since,
            ),
        }
    }

    /// Before a PAP is judged. Offices and telephone systems have quotas of their own, and go on when strangers have used
    /// up what the organisation takes from strangers.
    pub fn begin(&self, org: OrgId, source: Source, now: UnixMillis) -> Result<Attempt<'_>, Closed> {
        let (count, of_all) = match source {
            Source::Address(_) => (&self.address, Some(self.organisation.place(org))),
            Source::Office(_) => (&self.office, None),
            Source::Pbx(_) => (&self.pbx, None),
        };
        // A stranger is one stranger wherever he tries.
        let place = match source {
            Source::Address(address) => count.place(crate::http::block(address)),
            Source::Office(_) | Source::Pbx(_) => count.place((org, source)),
        };
        count.is_open(place, now)?;
        if let Some(place) = of_all {
            self.organisation.is_open(place, now)?;
        }
        count.enter(place)?;
        Ok(Attempt { guards: self, count, place, of_all, begun: now, is_settled: false })
    }

    /// Forgets who has been quiet.
    pub fn tidy(&self, now: UnixMillis) {
        [&self.address, &self.office, &self.pbx, &self.organisation].into_iter().for_each(|count| count.tidy(now));
    }
}

impl Attempt<'_> {
    /// It was wrong. Whether somebody is locked out by it.
    pub fn wrong(mut self) -> bool {
        self.charge()
    }

    /// It was right, or nothing was judged.
    pub fn free(mut self) {
        self.is_settled = true;
    }

    fn charge(&mut self) -> bool {
        self.is_settled = true;
        let closed = self.count.wrong(self.place, self.begun);
        self.of_all.is_some_and(|place| self.guards.organisation.wrong(place, self.begun)) || closed
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.charge();
        }
        self.count.leave(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(10_000_000);

    fn guards() -> Guards {
        let config = config::Devices {
            wrong_paps_per_source: 5,
            wrong_paps_per_office: 10,
            wrong_paps_per_pbx: 20,
            wrong_paps_per_organisation: 12,
            ..config::Devices::default()
        };
        Guards::new(&config, UnixMillis(0))
    }

    fn tries(guards: &Guards, org: u128, source: Source) -> usize {
        (0..100).take_while(|_| guards.begin(OrgId(org), source, NOW).map(Attempt::wrong).is_ok()).count()
    }

    fn from(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn a_source_is_closed_and_others_go_on() {
        let guards = guards();
        assert_eq!(tries(&guards, 1, Source::Address(from(1))), 6);
        assert_eq!(tries(&guards, 2, Source::Address(from(1))), 0, "in every organisation");
        let closed = guards.begin(OrgId(1), Source::Address(from(1)), NOW).err().unwrap();
        assert!(closed.retry_after_s >= 1 && closed.policy == "wrong-paps-per-source");
        assert!(guards.begin(OrgId(1), Source::Address(from(2)), NOW).is_ok());
        let later = NOW.plus(Duration::from_secs(closed.retry_after_s.into()));
        assert!(guards.begin(OrgId(1), Source::Address(from(1)), later).is_ok());
    }

    #[test]
    fn an_organisation_is_closed_to_strangers_alone() {
        let guards = guards();
        let all: usize = (1..10).map(|last| tries(&guards, 1, Source::Address(from(last)))).sum();
        assert_eq!(all, 13);
        assert_eq!(tries(&guards, 1, Source::Pbx(TokenId(1))), 21);
        assert_eq!(tries(&guards, 1, Source::Office(from(99))), 11);
        assert!(tries(&guards, 2, Source::Address(from(50))) > 0, "another organisation");
    }

    #[test]
    fn many_at_once_do_not_overdraw() {
        let guards = guards();
        let held: Vec<_> = (0..20).filter_map(|_| guards.begin(OrgId(1), Source::Address(from(1)), NOW).ok()).collect();
        assert_eq!(held.len(), AT_ONCE as usize);
        held.into_iter().for_each(Attempt::free);
        let again = guards.begin(OrgId(1), Source::Address(from(1)), NOW);
        assert!(again.map(Attempt::free).is_ok());
        assert!(guards.address.busy.is_empty());
    }

    #[test]
    fn who_hangs_up_has_been_judged() {
        let guards = guards();
        let hung_up = (0..100).take_while(|_| guards.begin(OrgId(1), Source::Address(from(1)), NOW).is_ok()).count();
        assert_eq!(hung_up, 6);
        assert!(guards.address.busy.is_empty());
    }
}
