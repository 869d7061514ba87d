//! What happens, in order: the month's exchanges and van moves as facts, and around them what the seed draws: who
//! exchanges, when boxes lose their connection, when permissions are withdrawn, whose clock is wrong.

use super::trips::Trips;
use crate::chance::Chance;

/// People of the organisation.
pub const PEOPLE: usize = 40;
/// Permissions withdrawn and given again within the month, for a month of the size of July 2016.
const WITHDRAWALS_PER_1000_TRIPS: usize = 16;
/// One key in so many may only be dropped at its home.
const HOME_ONLY_EVERY: usize = 48;
const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;

/// Which half of a trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    DropOff,
    PickUp,
}

/// One thing that happens. Boxes, keys, people and trips are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    ClockBreaks {
        place: usize,
    },
    ClockMended {
        place: usize,
    },
    Withdraw {
        place: usize,
        person: usize,
    },
    Grant {
        place: usize,
        person: usize,
    },
    Online {
        place: usize,
    },
    Exchange {
        half: Half,
        trip: usize,
    },
    /// A van takes a key from one box to another.
    Van {
        key: usize,
        from: usize,
        to: usize,
    },
    Offline {
        place: usize,
    },
}

impl Step {
    /// The order within one second: a key first comes back, then a van may take it, then someone may pick it up.
    fn rank(self) -> (u8, usize) {
        match self {
            Self::ClockBreaks { place } => (0, place),
            Self::ClockMended { place } => (1, place),
            Self::Withdraw { place, .. } => (2, place),
            Self::Grant { place, .. } => (3, place),
            Self::Online { place } => (4, place),
            Self::Exchange { half: Half::DropOff, trip } => (5, trip),
            Self::Van { key, .. } => (6, key),
            Self::Exchange { half: Half::PickUp, trip } => (7, trip),
            Self::Offline { place } => (8, place),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timed {
    pub at_s: i64,
    pub step: Step,
}

fn in_order(steps: &mut [Timed]) {
    steps.sort_by_key(|timed| (timed.at_s, timed.step.rank()));
}

/// One box, as it is before the month begins.
#[derive(Clone, Debug)]
pub struct Place {
    pub station: String,
    pub name: String,
    pub bins: usize,
    /// The keys that are in it, from its first bin on.
    pub keys: Vec<usize>,
    /// How far its clock is from the true time.
    pub skew_ms: i64,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub trips: Trips,
    pub places: Vec<Place>,
    /// Who makes a trip.
    pub person_of: Vec<usize>,
    /// Keys that may be dropped anywhere.
    pub roaming: Vec<bool>,
    pub steps: Vec<Timed>,
    pub van_moves: usize,
    pub overlapping: Vec<bool>,
    /// Offline box time over all box time.
    pub offline_share: f64,
}

impl Plan {
    pub fn new(trips: Trips, seed: u64, offline: f64) -> Self {
        let mut chance = Chance::seeded(seed);
        let (first_s, last_s) = span(&trips);
        let mut steps: Vec<Timed> = Vec::with_capacity(trips.trips.len() * 3);
        for (trip, row) in trips.trips.iter().enumerate() {
            for (at_s, half) in [(row.picked_up_s, Half::PickUp), (row.dropped_off_s, Half::DropOff)] {
                steps.push(Timed { at_s, step: Step::Exchange { half, trip } });
            }
        }
        in_order(&mut steps);
        let Derived { vans, first_place, overlapping } = derive(&trips, &steps, &mut chance);
        let van_moves = vans.len();
        steps.extend(vans);
        let mut offline_s = 0;
        for place in 0..trips.stations.len() {
            for (from_s, to_s) in outages(&mut chance, first_s, last_s, offline) {
                offline_s += to_s - from_s;
                steps.push(Timed { at_s: from_s, step: Step::Offline { place } });
                steps.push(Timed { at_s: to_s, step: Step::Online { place } });
            }
        }
        let busy: Vec<usize> = trips.trips.iter().map(|trip| trip.from).collect();
        withdrawals(&mut chance, &busy, (first_s, last_s), &mut steps);
        let mut places = places(&trips, &first_place, &mut chance);
        wrong_clock(&trips, &mut chance, (first_s, last_s), &mut steps);
        in_order(&mut steps);
        for (place, most) in fullest(&trips, &places, &steps).into_iter().enumerate() {
            places[place].bins = (most + most / 4 + 3).max(15);
        }
        let all_s = (last_s - first_s).max(1) * trips.stations.len().max(1) as i64;
        Self {
            person_of: trips.trips.iter().map(|_| chance.index(PEOPLE)).collect(),
            roaming: (0..trips.bikes.len()).map(|key| key % HOME_ONLY_EVERY != HOME_ONLY_EVERY - 1).collect(),
            trips,
            places,
            steps,
            van_moves,
            overlapping,
            offline_share: offline_s as f64 / all_s as f64,
        }
    }

    /// All exchanges: two a trip.
    pub fn exchanges(&self) -> usize {
        2 * self.trips.trips.len()
    }
}

fn span(trips: &Trips) -> (i64, i64) {
    let first = trips.trips.iter().map(|trip| trip.picked_up_s).min().unwrap_or(0);
    (first, trips.trips.iter().map(|trip| trip.dropped_off_s).max().unwrap_or(0))
}

/// A number in `from..=to`.
pub fn between(chance: &mut Chance, from: i64, to: i64) -> i64 {
    from + chance.below((to - from).max(0).unsigned_abs() + 1) as i64
}

/// A number in `0.0..1.0`.
fn fraction(chance: &mut Chance) -> f64 {
    chance.below(1 << 53) as f64 / (1u64 << 53) as f64
}

struct Derived {
    vans: Vec<Timed>,
    first_place: Vec<Option<usize>>,
    overlapping: Vec<bool>,
}

/// What the exchanges say without saying it: where each key was first, which were moved in between, and which trips
/// contradict another (picked up while it was out).
fn derive(trips: &Trips, history: &[Timed], chance: &mut Chance) -> Derived {
    let keys = trips.bikes.len();
    let mut derived =
        Derived { vans: Vec::new(), first_place: vec![None; keys], overlapping: vec![false; trips.trips.len()] };
    // Where a key stands and since when; out: the trip it is on.
    let mut stands: Vec<Option<(usize, i64)>> = vec![None; keys];
    let mut on_trip: Vec<Option<usize>> = vec![None; keys];
    for &Timed { at_s, step } in history {
        let Step::Exchange { half, trip } = step else { continue };
        let row = trips.trips[trip];
        if half == Half::DropOff {
            stands[row.key] = Some((row.to, at_s));
            if on_trip[row.key] == Some(trip) {
                on_trip[row.key] = None;
            }
            continue;
        }
        match stands[row.key].take() {
            _ if derived.first_place[row.key].is_none() => derived.first_place[row.key] = Some(row.from),
            Some((from, since_s)) if from != row.from => {
                let at_s = (at_s - between(chance, MINUTE_S, 20 * MINUTE_S)).max(since_s);
                derived.vans.push(Timed { at_s, step: Step::Van { key: row.key, from, to: row.from } });
            }
            Some(_) => {}
            None => {
                derived.overlapping[trip] = true;
                if let Some(other) = on_trip[row.key] {
                    derived.overlapping[other] = true;
                }
            }
        }
        on_trip[row.key] = Some(trip);
    }
    derived
}

/// Outages of one box: 10 minutes to 6 hours, so often that it is offline for about that share of the time.
fn outages(chance: &mut Chance, first_s: i64, last_s: i64, share: f64) -> Vec<(i64, i64)> {
    let (shortest_s, longest_s) = (10 * MINUTE_S, 6 * HOUR_S);
    let share = share.clamp(0.0, 0.95);
    if share == 0.0 {
        return Vec::new();
    }
    let mean_outage_s = (shortest_s + longest_s) as f64 / 2.0;
    let mean_online_s = mean_outage_s * (1.0 - share) / share;
    let mut outages = Vec::new();
    let mut at_s = first_s;
    loop {
        at_s += (-(1.0 - fraction(chance)).ln() * mean_online_s) as i64 + 1;
        let until_s = at_s + between(chance, shortest_s, longest_s);
        if until_s >= last_s {
            return outages;
        }
        outages.push((at_s, until_s));
        at_s = until_s;
    }
}

/// Permissions withdrawn for some hours, at places in proportion to how much happens there.
fn withdrawals(chance: &mut Chance, busy: &[usize], (first_s, last_s): (i64, i64), steps: &mut Vec<Timed>) {
    let mut taken = std::collections::HashSet::new();
    for _ in 0..busy.len() * WITHDRAWALS_PER_1000_TRIPS / 1000 {
        let (place, person) = (busy[chance.index(busy.len())], chance.index(PEOPLE));
        // One withdrawal a pair, so that withdrawing and giving again never cross.
        if !taken.insert((place, person)) {
            continue;
        }
        let at_s = between(chance, first_s, last_s);
        steps.push(Timed { at_s, step: Step::Withdraw { place, person } });
        let again_s = at_s + between(chance, 4 * HOUR_S, 4 * DAY_S);
        steps.push(Timed { at_s: again_s, step: Step::Grant { place, person } });
    }
}

fn places(trips: &Trips, first_place: &[Option<usize>], chance: &mut Chance) -> Vec<Place> {
    let mut places: Vec<Place> = trips
        .stations
        .iter()
        .zip(&trips.names)
        .map(|(station, name)| Place {
            station: station.clone(),
            name: name.clone(),
            bins: 0,
            keys: Vec::new(),
            // A few boxes are seconds or minutes off, the rest within a quarter of a second.
            skew_ms: if chance.below(6) == 0 { between(chance, -120_000, 120_000) } else { between(chance, -250, 250) },
        })
        .collect();
    for (key, place) in first_place.iter().enumerate() {
        if let Some(place) = place {
            places[*place].keys.push(key);
        }
    }
    places
}

/// One busy box has its clock at 1970 for some days, one per plan.
fn wrong_clock(trips: &Trips, chance: &mut Chance, (first_s, last_s): (i64, i64), steps: &mut Vec<Timed>) {
    let days = (last_s - first_s) / DAY_S;
    if days < 6 {
        return;
    }
    let place = trips.trips[chance.index(trips.trips.len())].from;
    let from_s = first_s + between(chance, 1, days / 2) * DAY_S;
    steps.push(Timed { at_s: from_s, step: Step::ClockBreaks { place } });
    steps.push(Timed { at_s: from_s + 2 * DAY_S, step: Step::ClockMended { place } });
}

/// The most keys that ever stand in each box at once.
fn fullest(trips: &Trips, places: &[Place], steps: &[Timed]) -> Vec<usize> {
    let mut stands: Vec<Option<usize>> = vec![None; trips.bikes.len()];
    for (place, start) in places.iter().enumerate() {
        for &key in &start.keys {
            stands[key] = Some(place);
        }
    }
    let mut count: Vec<usize> = places.iter().map(|place| place.keys.len()).collect();
    let mut most = count.clone();
    let mut put = |key: usize, to: Option<usize>| {
        if let Some(from) = std::mem::replace(&mut stands[key], to) {
            count[from] -= 1;
        }
        if let Some(to) = to {
            count[to] += 1;
            most[to] = most[to].max(count[to]);
        }
    };
    for timed in steps {
        match timed.step {
            Step::Van { key, to, .. } => put(key, Some(to)),
            Step::Exchange { half, trip } => {
                let row = trips.trips[trip];
                put(row.key, (half == Half::DropOff).then_some(row.to));
            }
            _ => {}
        }
    }
    most
}
