//! Callers who fail: how often they may, and what the stores hear of it. A store is told in one record of all that
//! gathered, so that strangers cannot buy it records.

use crate::{
    config,
    engine::{Call, Engine},
    iuv::stores::{
        WebStore,
        state::{Command, RefusedCaller, Trouble, Why},
    },
    kernel::{Address, UnixMillis},
};
use dashmap::DashMap;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    time::Duration,
};

pub struct Troubles {
    pub wrong_keys: Throttle,
    pub failed_redemptions: Throttle,
    gathered: Mutex<HashMap<Address, Gathered>>,
}

#[derive(Default)]
struct Gathered {
    troubles: Vec<Trouble>,
    callers: Vec<RefusedCaller>,
    told: Option<UnixMillis>,
}

/// Records about one store are at least so far apart.
const TOLD_APART: Duration = Duration::from_secs(10);
/// Callers that are remembered of one store until it is told.
const CALLERS_MAX: usize = 20;
/// Stores that something may be gathered about.
const STORES_MAX: usize = 10_000;

impl Troubles {
    pub fn new(config: &config::Iuv, up_since: UnixMillis) -> Self {
        Self {
            wrong_keys: Throttle::new(config.wrong_keys_per_caller, up_since),
            failed_redemptions: Throttle::new(config.failed_redemptions_per_source, up_since),
            gathered: Mutex::default(),
        }
    }

    pub fn note(&self, store: Address, why: impl Iterator<Item = Why>, caller: Option<IpAddr>, now: UnixMillis) {
        let mut all = self.gathered.lock();
        if all.len() >= STORES_MAX && !all.contains_key(&store) {
            return;
        }
        let gathered = all.entry(store).or_default();
        for why in why {
            match gathered.troubles.iter_mut().find(|known| known.why == why) {
                Some(known) => known.count = known.count.saturating_add(1),
                None => gathered.troubles.push(Trouble { why, count: 1 }),
            }
        }
        let Some(address) = caller.map(|caller| caller.to_canonical()) else { return };
        if let Some(known) = gathered.callers.iter_mut().find(|known| known.address == address) {
            *known = RefusedCaller { at: now, count: known.count.saturating_add(1), ..*known };
        } else if gathered.callers.len() < CALLERS_MAX {
            gathered.callers.push(RefusedCaller { address, at: now, count: 1 });
        }
    }

    /// Tells the stores what has gathered.
    pub async fn tell(&self, engine: &Engine) {
        let now = engine.clock().now();
        for (store, command) in self.due(now) {
            // A store that cannot be told now hears of what comes next.
            let _ = engine.ask::<WebStore>(store, command, Call::own(now)).await;
        }
    }

    fn due(&self, now: UnixMillis) -> Vec<(Address, Command)> {
        let mut all = self.gathered.lock();
        all.retain(|_, known| !known.troubles.is_empty() || known.told.is_some_and(|at| now < at.plus(TOLD_APART)));
        let is_due =
            |known: &Gathered| !known.troubles.is_empty() && known.told.is_none_or(|at| now >= at.plus(TOLD_APART));
        let due = all.iter_mut().filter(|(_, known)| is_due(known));
        due.map(|(store, known)| {
            known.told = Some(now);
            let (troubles, callers) = (std::mem::take(&mut known.troubles), std::mem::take(&mut known.callers));
            (*store, Command::Refused { troubles, callers })
        })
        .collect()
    }

    /// Forgets who has been quiet.
    pub fn tidy(&self, now: UnixMillis) {
        self.wrong_keys.tidy(now);
        self.failed_redemptions.tidy(now);
    }
}

/// How often somebody may fail in an hour. Who fails oftener is not heard until the hour is over. Sources are counted in
/// a fixed number of places.
pub struct Throttle {
    places: DashMap<u32, Window>,
    most: u32,
    /// After a start nothing is known of the hour before it: a tenth must do.
    fresh_until: UnixMillis,
    seed: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: UnixMillis,
    failures: u32,
}

const PLACES: u32 = 1 << 16;
const HOUR: Duration = Duration::from_secs(3600);

impl Throttle {
    pub fn new(most: u32, up_since: UnixMillis) -> Self {
        Self { places: DashMap::new(), most, fresh_until: up_since.plus(HOUR), seed: RandomState::new() }
    }

    fn place(&self, who: impl Hash) -> u32 {
        self.seed.hash_one(who) as u32 % PLACES
    }

    fn most(&self, now: UnixMillis) -> u32 {
        if now < self.fresh_until { (self.most / 10).max(1) } else { self.most }
    }

    /// Whether somebody is heard; if not, for how many seconds.
    pub fn is_open(&self, who: impl Hash, now: UnixMillis) -> Result<(), u32> {
        let Some(window) = self.places.get(&self.place(who)).map(|window| *window) else { return Ok(()) };
        let until = window.since.plus(HOUR);
        if window.failures < self.most(now) || until <= now {
            return Ok(());
        }
        Err(u32::try_from((until.0 - now.0) / 1000 + 1).unwrap_or(u32::MAX))
    }

    pub fn failed(&self, who: impl Hash, now: UnixMillis) {
        let mut window = self.places.entry(self.place(who)).or_insert(Window { since: now, failures: 0 });
        if window.since.plus(HOUR) <= now {
            *window = Window { since: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
    }

    fn tidy(&self, now: UnixMillis) {
        self.places.retain(|_, window| now < window.since.plus(HOUR));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{OrgId, StoreId};

    const START: UnixMillis = UnixMillis(10_000_000_000);

    #[test]
    fn who_fails_too_often_is_not_heard_and_others_are() {
        let throttle = Throttle::new(30, UnixMillis(0));
        for _ in 0..30 {
            throttle.is_open("a", START).unwrap();
            throttle.failed("a", START);
        }
        assert_eq!(throttle.is_open("a", START), Err(3601));
        assert_eq!(throttle.is_open("b", START), Ok(()));
        assert_eq!(throttle.is_open("a", START.plus(HOUR)), Ok(()));
        throttle.tidy(START.plus(HOUR));
        assert!(throttle.places.is_empty());
    }

    #[test]
    fn a_start_leaves_a_tenth() {
        let throttle = Throttle::new(30, START);
        (0..3).for_each(|_| throttle.failed("a", START));
        assert!(throttle.is_open("a", START).is_err());
    }

    #[test]
    fn a_store_hears_at_once_and_then_of_many_together() {
        let troubles = Troubles::new(&config::Iuv::default(), UnixMillis(0));
        let store = StoreId(1).at(OrgId(2));
        let caller = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        troubles.note(store, [Why::Key].into_iter(), caller(1), START);
        assert_eq!(troubles.due(START).len(), 1);
        for last in 0..100 {
            troubles.note(store, [Why::Store].into_iter(), caller(last), START);
        }
        assert_eq!(troubles.due(START), []);
        let due = troubles.due(START.plus(TOLD_APART));
        let [(of, Command::Refused { troubles: told, callers })] = &due[..] else { panic!("{due:?}") };
        assert_eq!(
            (*of, &told[..], callers.len()),
            (store, &[Trouble { why: Why::Store, count: 100 }][..], CALLERS_MAX)
        );
        assert_eq!(troubles.due(START.plus(2 * TOLD_APART)), []);
    }
}
