//! The physical truth: which key stands in which bin, whatever any server or box believes.

use super::plan::{Half, Plan};

/// A bin of a box, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spot {
    pub place: usize,
    pub bin: usize,
}

#[derive(Clone, Debug)]
pub struct World {
    /// Per box and bin: the key in it.
    bins: Vec<Vec<Option<usize>>>,
    /// Per key: where it stands; `None`: with someone.
    spots: Vec<Option<Spot>>,
    /// Per box: the bin to try first. Bins are used in turn.
    next: Vec<usize>,
}

impl World {
    pub fn new(plan: &Plan) -> Self {
        let mut world = Self {
            bins: plan.places.iter().map(|place| vec![None; place.bins]).collect(),
            spots: vec![None; plan.trips.bikes.len()],
            next: vec![0; plan.places.len()],
        };
        for (place, start) in plan.places.iter().enumerate() {
            for (bin, &key) in start.keys.iter().enumerate() {
                world.put(key, Some(Spot { place, bin }));
            }
        }
        world
    }

    pub fn content(&self, spot: Spot) -> Option<usize> {
        self.bins[spot.place][spot.bin]
    }

    pub fn bins(&self, place: usize) -> &[Option<usize>] {
        &self.bins[place]
    }

    /// Makes one half of a trip happen and says at which bin. `None`: there is no free bin.
    pub fn exchange(&mut self, place: usize, key: usize, half: Half) -> Option<Spot> {
        match half {
            Half::PickUp => match self.spots[key] {
                Some(spot) if spot.place == place => {
                    self.put(key, None);
                    Some(spot)
                }
                // A record that contradicts the others: the key is not here. It names the bin that the late drop-off
                // will then use.
                _ => self.free_bin(place),
            },
            Half::DropOff => {
                let spot = self.free_bin(place)?;
                self.next[place] = (spot.bin + 1) % self.bins[place].len();
                self.put(key, Some(spot));
                Some(spot)
            }
        }
    }

    /// A van takes a key to another box. Says where it was and where it is.
    pub fn van(&mut self, key: usize, to: usize) -> Option<(Spot, Spot)> {
        let from = self.spots[key]?;
        let spot = self.free_bin(to)?;
        self.next[to] = (spot.bin + 1) % self.bins[to].len();
        self.put(key, Some(spot));
        Some((from, spot))
    }

    fn free_bin(&self, place: usize) -> Option<Spot> {
        let count = self.bins[place].len();
        let turns = (0..count).map(|turn| (self.next[place] + turn) % count);
        turns.map(|bin| Spot { place, bin }).find(|spot| self.content(*spot).is_none())
    }

    fn put(&mut self, key: usize, to: Option<Spot>) {
        if let Some(from) = std::mem::replace(&mut self.spots[key], to) {
            self.bins[from.place][from.bin] = None;
        }
        if let Some(to) = to {
            self.bins[to.place][to.bin] = Some(key);
        }
    }
}
