//! Which digests have proven something: the same one again proves nothing (RFC 7616, 3.4: `nc`).

use super::digest::{NONCE_LIVES, Use};
use crate::kernel::UnixMillis;
use parking_lot::Mutex;
use std::{collections::HashMap, mem};

/// Nonces of one generation: some 6 MB. Whoever fills it makes all phones ask once more.
const NONCES_MAX: usize = 1 << 17;
/// Requests that overtake one another are no repetitions, as long as they are not this many behind.
const WINDOW: u32 = u64::BITS;

/// The counts that came with one nonce.
struct Counts {
    highest: u32,
    /// Bit `n`: the highest less `n` has come.
    come: u64,
}

impl Counts {
    fn take(&mut self, count: u32) -> bool {
        if let Some(ahead) = count.checked_sub(self.highest).filter(|ahead| *ahead > 0) {
            self.come = self.come.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        let is_new = behind < WINDOW && self.come & 1 << behind == 0;
        if is_new {
            self.come |= 1 << behind;
        }
        is_new
    }
}

#[derive(Default)]
struct Used {
    /// Those that were first used since `begun`, and those of the generation before.
    young: HashMap<u128, Counts>,
    old: HashMap<u128, Counts>,
    begun: UnixMillis,
    /// What was used of nonces up to then is not known.
    unknown_until: UnixMillis,
}

pub struct Nonces(Mutex<Used>);

impl Nonces {
    pub fn new(up_since: UnixMillis) -> Self {
        Self(Mutex::new(Used { begun: up_since, unknown_until: up_since, ..Used::default() }))
    }

    /// Whether this use is the first one that is known. Ask only when the digest was right: strangers fill nothing.
    pub fn take(&self, this: Use, now: UnixMillis) -> bool {
        let mut used = self.0.lock();
        if this.made <= used.unknown_until {
            return false;
        }
        if now >= used.begun.plus(NONCE_LIVES) {
            // What is older than the young ones has outlived its nonces.
            used.old = mem::take(&mut used.young);
            used.begun = now;
        }
        if let Some(counts) = used.old.get_mut(&this.nonce) {
            return counts.take(this.count);
        }
        if let Some(counts) = used.young.get_mut(&this.nonce) {
            return counts.take(this.count);
        }
        if used.young.len() >= NONCES_MAX {
            *used = Used { begun: now, unknown_until: now, ..Used::default() };
            return false;
        }
        used.young.insert(this.nonce, Counts { highest: this.count, come: 1 });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn nonces() -> Nonces {
        Nonces::new(UnixMillis(NOW.0 - 1))
    }

    fn once(nonce: u128, count: u32) -> Use {
        Use { made: NOW, nonce, count }
    }

    #[test]
    fn a_count_is_taken_once_in_whatever_order() {
        let nonces = nonces();
        let take = |count| nonces.take(once(1, count), NOW);
        assert!(take(1) && !take(1) && take(3) && take(2) && !take(2) && !take(3));
        assert!(take(100) && take(37) && !take(36) && !take(37), "36 is too far behind");
        assert!(take(u32::MAX) && !take(u32::MAX) && !take(101) && take(u32::MAX - 63));
        assert!(nonces.take(once(2, 1), NOW), "of another nonce");
        assert!(nonces.take(once(3, 5), NOW) && nonces.take(once(3, 0), NOW));
    }

    #[test]
    fn it_is_known_as_long_as_the_nonce_lives() {
        let nonces = nonces();
        assert!(nonces.take(once(1, 1), NOW));
        let mut now = NOW;
        while now < NOW.plus(NONCE_LIVES) {
            assert!(!nonces.take(once(1, 1), now), "{now:?}");
            nonces.take(Use { made: now, nonce: u128::from(now.0), count: 1 }, now);
            now = now.plus(Duration::from_secs(7));
        }
        let later = now.plus(NONCE_LIVES * 2);
        for nonce in [2, 3] {
            nonces.take(Use { made: later, nonce, count: 1 }, later.plus(NONCE_LIVES * (nonce as u32)));
        }
        let used = nonces.0.lock();
        assert_eq!(used.young.len() + used.old.len(), 2, "afterwards it is forgotten");
    }

    #[test]
    fn what_is_not_known_is_taken_for_used() {
        let nonces = nonces();
        assert!(!nonces.take(Use { made: UnixMillis(NOW.0 - 1), nonce: 1, count: 1 }, NOW), "before the start");
        for nonce in 0..NONCES_MAX as u128 {
            assert!(nonces.take(once(nonce, 1), NOW));
        }
        assert!(!nonces.take(once(u128::MAX, 1), NOW), "full");
        assert!(!nonces.take(once(7, 1), NOW), "what was used is not forgotten by that");
        let next = UnixMillis(NOW.0 + 1);
        assert!(nonces.take(Use { made: next, nonce: 8, count: 1 }, next));
    }
}
