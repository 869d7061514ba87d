//! Chance is an argument: ids, tokens and codes are minted at the door, from here, and travel in the command.

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::{cell::RefCell, sync::Arc};
use zeroize::Zeroize;

/// Where random bytes come from: the operating system, or a seed in simulations.
#[derive(Clone, Debug, Default)]
pub struct Chance(Option<Arc<Mutex<(u64, u64)>>>);

/// Bytes that a thread has fetched from the operating system and not given out yet: a system call for every draw cost
/// a registration or a sealed row more than its cipher. What is given out is wiped.
struct Hand {
    bytes: [u8; Self::SIZE],
    left: usize,
}

impl Hand {
    const SIZE: usize = 1024;

    #[expect(clippy::expect_used, reason = "without random bytes nothing may be minted")]
    fn draw(&mut self) -> [u8; 32] {
        if self.left < 32 {
            getrandom::fill(&mut self.bytes).expect("the operating system gives random bytes");
            self.left = Self::SIZE;
        }
        self.left -= 32;
        let mut drawn = [0; 32];
        let given = &mut self.bytes[self.left..self.left + 32];
        drawn.copy_from_slice(given);
        given.zeroize();
        drawn
    }
}

thread_local! {
    static HAND: RefCell<Hand> = const { RefCell::new(Hand { bytes: [0; Hand::SIZE], left: 0 }) };
}

/// Digits out of random bytes; each byte that would favour some of them is passed over.
pub fn digits(secret: &[u8; 32], count: usize) -> String {
    secret.iter().filter(|byte| **byte < 250).map(|byte| char::from(b'0' + byte % 10)).take(count).collect()
}

impl Chance {
    pub fn system() -> Self {
        Self(None)
    }

    /// The same seed gives the same bytes.
    pub fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(Mutex::new((seed, 0)))))
    }

    /// 256 random bits.
    ///
    /// # Panics
    /// When the operating system has no random bytes: nothing here may then be minted.
    pub fn bytes(&self) -> [u8; 32] {
        match &self.0 {
            None => HAND.with_borrow_mut(Hand::draw),
            Some(state) => {
                let mut state = state.lock();
                state.1 += 1;
                Sha256::new().chain_update(state.0.to_be_bytes()).chain_update(state.1.to_be_bytes()).finalize().into()
            }
        }
    }

    pub fn id(&self) -> u128 {
        let bytes = self.bytes();
        bytes[..16].iter().fold(0, |id, byte| id << 8 | u128::from(*byte))
    }

    /// An even number in `0..below`; `below` must not be zero.
    pub fn below(&self, below: u64) -> u64 {
        let zone = u64::MAX - u64::MAX % below;
        loop {
            let bytes = self.bytes();
            let draw = bytes[..8].iter().fold(0u64, |draw, byte| draw << 8 | u64::from(*byte));
            if draw < zone {
                return draw % below;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn nothing_is_drawn_twice_and_nothing_that_was_drawn_stays() {
        let chance = Chance::system();
        let drawn: HashSet<_> = (0..10 * Hand::SIZE / 32 + 1).map(|_| chance.bytes()).collect();
        assert_eq!(drawn.len(), 10 * Hand::SIZE / 32 + 1);
        HAND.with_borrow(|hand| assert!(hand.bytes[hand.left..].iter().all(|byte| *byte == 0)));
        let elsewhere: HashSet<_> =
            std::thread::spawn(|| (0..100).map(|_| Chance::system().bytes()).collect()).join().unwrap();
        assert!(drawn.is_disjoint(&elsewhere));
    }
}
