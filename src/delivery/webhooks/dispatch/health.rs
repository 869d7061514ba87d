//! How an endpoint fares: how long to wait after a failure, when it counts as down, when as dead.

use crate::kernel::{Chance, EntityId, UnixMillis};
use std::time::Duration;

/// When to try again. `config/castellan.toml` says what each is for.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub first: Duration,
    pub longest: Duration,
    /// The longest wait for an endpoint that takes nothing from anybody.
    pub probe: Duration,
    pub dead_after: Duration,
    pub attempts_max: u32,
}

/// Failures in a row, of more than one lane, after which the endpoint itself counts as down.
const DOWN_AFTER: u32 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    None,
    /// The endpoint is down: one attempt at a time, not before this.
    Until(UnixMillis),
}

#[derive(Debug, Default)]
pub(super) struct Health {
    pub failing_since: Option<UnixMillis>,
    in_a_row: u32,
    /// Which lanes failed in that row; two are enough to know.
    lanes: [Option<EntityId>; 2],
    next_probe: UnixMillis,
}

/// What a failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Again(UnixMillis),
    /// It has not taken this, or anything, for too long.
    Dead,
}

impl Schedule {
    /// Exponential back-off with full jitter: an even draw between nothing and twice as much each time.
    pub fn jittered(&self, failures: u32, longest: Duration, chance: &Chance) -> Duration {
        let doubled = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let most = self.first.saturating_mul(doubled).min(longest);
        let most_ms = u64::try_from(most.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(chance.below(most_ms + 1))
    }
}

impl Health {
    /// As it was when it was last looked at.
    pub fn failing(since: Option<UnixMillis>) -> Self {
        Self { failing_since: since, ..Self::default() }
    }

    pub fn pause(&self) -> Pause {
        let several = self.lanes[1].is_some();
        if several && self.in_a_row >= DOWN_AFTER { Pause::Until(self.next_probe) } else { Pause::None }
    }

    /// Says whether the endpoint was down until now.
    pub fn succeeded(&mut self) -> bool {
        let was_down = self.pause() != Pause::None;
        *self = Self::default();
        was_down
    }

    /// The lane's delivery has failed `attempts` times, first at `first_at`; the endpoint asked for a pause of `wanted`.
    pub fn failed(
        &mut self,
        lane: EntityId,
        (attempts, first_at): (u32, UnixMillis),
        wanted: Option<Duration>,
        now: UnixMillis,
        schedule: &Schedule,
        chance: &Chance,
    ) -> Verdict {
        let failing_since = *self.failing_since.get_or_insert(now);
        self.in_a_row = self.in_a_row.saturating_add(1);
        match self.lanes {
            [None, _] => self.lanes[0] = Some(lane),
            [Some(first), None] if first != lane => self.lanes[1] = Some(lane),
            _ => {}
        }
        let wanted = wanted.unwrap_or_default().min(schedule.longest);
        let probe = schedule.jittered(self.in_a_row.saturating_sub(DOWN_AFTER), schedule.probe, chance);
        self.next_probe = now.plus(probe.max(wanted));
        let too_long = |since: UnixMillis| now.since(since) >= schedule.dead_after;
        if attempts >= schedule.attempts_max || too_long(first_at) || too_long(failing_since) {
            return Verdict::Dead;
        }
        Verdict::Again(now.plus(schedule.jittered(attempts, schedule.longest, chance).max(wanted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::BoxId;

    const SCHEDULE: Schedule = Schedule {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(3600),
        probe: Duration::from_secs(30),
        dead_after: Duration::from_secs(1000),
        attempts_max: 50,
    };

    #[test]
    fn pauses_double_up_to_the_longest_and_are_drawn_from_the_whole() {
        let chance = Chance::seeded(1);
        for (failures, most_s) in [(1, 1), (2, 2), (5, 16), (12, 2048), (13, 3600), (40, 3600), (u32::MAX, 3600)] {
            let most = Duration::from_secs(most_s);
            let drawn: Vec<_> = (0..200).map(|_| SCHEDULE.jittered(failures, SCHEDULE.longest, &chance)).collect();
            assert!(drawn.iter().all(|pause| *pause <= most), "{failures}");
            assert!(drawn.iter().any(|pause| *pause < most / 4) && drawn.iter().any(|pause| *pause > most / 4 * 3));
        }
    }

    #[test]
    fn one_lane_never_takes_the_others_down_two_do() {
        let (chance, mut health) = (Chance::seeded(1), Health::default());
        let fail = |health: &mut Health, lane: u128| {
            health.failed(BoxId(lane).into(), (1, UnixMillis(0)), None, UnixMillis(10), &SCHEDULE, &chance)
        };
        for _ in 0..40 {
            assert!(matches!(fail(&mut health, 1), Verdict::Again(_)));
        }
        assert_eq!(health.pause(), Pause::None);
        fail(&mut health, 2);
        assert!(matches!(health.pause(), Pause::Until(_)));
        assert!(health.succeeded());
        assert_eq!((health.pause(), health.failing_since), (Pause::None, None));
        assert!(!health.succeeded());
    }

    #[test]
    fn it_is_dead_after_so_long_or_so_often() {
        let chance = Chance::seeded(1);
        let verdict = |attempts, first_at, failing_since, now| {
            let mut health = Health { failing_since: Some(UnixMillis(failing_since)), ..Health::default() };
            let lane = BoxId(1).into();
            health.failed(lane, (attempts, UnixMillis(first_at)), None, UnixMillis(now), &SCHEDULE, &chance)
        };
        assert!(matches!(verdict(49, 0, 0, 999_999), Verdict::Again(_)));
        assert_eq!(verdict(50, 0, 0, 1), Verdict::Dead);
        assert_eq!(verdict(1, 0, 500_000, 1_000_000), Verdict::Dead, "this one event");
        assert_eq!(verdict(1, 500_000, 0, 1_000_000), Verdict::Dead, "anything at all");
    }

    #[test]
    fn who_asks_for_a_pause_gets_it_within_reason() {
        let (chance, mut health) = (Chance::seeded(1), Health::default());
        for (wanted_s, least_s) in [(10, 10), (1_000_000, 3600)] {
            let wanted = Some(Duration::from_secs(wanted_s));
            let told = health.failed(BoxId(1).into(), (1, UnixMillis(0)), wanted, UnixMillis(0), &SCHEDULE, &chance);
            assert!(matches!(told, Verdict::Again(due) if due.0 >= least_s * 1000), "{told:?}");
        }
    }
}
