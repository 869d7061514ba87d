//! Chance is an argument: ids, tokens and codes are minted at the door, from here, and travel in the command.

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Where random bytes come from: the operating system, or a seed in simulations.
#[derive(Clone, Debug, Default)]
pub struct Chance(Option<Arc<Mutex<(u64, u64)>>>);

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
            None => {
                let mut bytes = [0; 32];
                #[expect(clippy::expect_used, reason = "without random bytes nothing may be minted")]
                getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
                bytes
            }
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
