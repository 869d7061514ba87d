//! Seeded chance: the same seed gives the same run.

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and good enough for jitter and scenarios.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent stream, so that what one box draws does not move what another draws.
    pub fn fork(&self, stream: u64) -> Self {
        let mut child = Self(self.0 ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93));
        child.number();
        child
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..below`; 0 when `below` is 0.
    pub fn below(&mut self, below: u64) -> u64 {
        // The high half of the product: no modulo bias worth speaking of.
        ((u128::from(self.number()) * u128::from(below)) >> 64) as u64
    }

    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64 <= probability && probability > 0.0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { Some(&from[self.index(from.len())]) }
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers_and_forks_differ() {
        let (mut a, mut b) = (Chance::seeded(7), Chance::seeded(7));
        assert_eq!((0..9).map(|_| a.number()).collect::<Vec<_>>(), (0..9).map(|_| b.number()).collect::<Vec<_>>());
        assert_ne!(a.fork(1).number(), a.fork(2).number());
    }

    #[test]
    fn below_covers_its_range_and_no_more() {
        let mut chance = Chance::seeded(1);
        let mut seen = [0u32; 10];
        (0..10_000).for_each(|_| seen[chance.index(10)] += 1);
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
        assert_eq!(chance.below(0), 0);
        assert!(!chance.happens(0.0));
        assert!(chance.happens(1.0));
    }
}
