//! The only place that reads the clock, and the ways in which a box's clock is wrong.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Unix milliseconds now.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What is wrong with a box's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockFault {
    #[default]
    None,
    SkewMs(i64),
    /// The battery was empty: the clock began at 1 January 1970 when the box booted.
    From1970 {
        boot_ms: u64,
    },
}

impl ClockFault {
    /// What the box's clock shows when it is really `true_ms`.
    pub fn shows(self, true_ms: u64) -> u64 {
        match self {
            Self::None => true_ms,
            Self::SkewMs(skew) => true_ms.saturating_add_signed(skew),
            Self::From1970 { boot_ms } => true_ms.saturating_sub(boot_ms),
        }
    }
}

/// RFC 3339 in UTC, whole milliseconds.
pub fn to_rfc3339(ms: u64) -> String {
    let (days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil_from_days(days as i64);
    let (hour, minute, second, milli) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Reads RFC 3339 with `Z` or an offset.
pub fn from_rfc3339(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let mut rest = text.get(19..)?;
    let mut millis = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let padded = format!("{:0<3}", &fraction[..digits.min(3)]);
        millis = padded.parse::<i64>().ok()?;
        rest = &fraction[digits..];
    }
    let offset_minutes = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = match rest.get(..1)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            sign * (rest.get(1..3)?.parse::<i64>().ok()? * 60 + rest.get(4..6)?.parse::<i64>().ok()?)
        }
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + (minute - offset_minutes) * 60 + second;
    u64::try_from(seconds * 1000 + millis).ok()
}

// Days since 1970-01-01 and back, for the Gregorian calendar, with the year beginning in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Waiting with full jitter: a random share of a bound that doubles with every failure, so that thousands that failed
/// together do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, failures: 0 }
    }

    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure without a word from the server.
    pub fn after_failure(&mut self, chance: &mut crate::Chance) -> Duration {
        let bound = self.base.saturating_mul(1 << self.failures.min(20)).min(self.cap);
        self.failures += 1;
        Duration::from_millis(chance.below(bound.as_millis() as u64 + 1))
    }

    /// How long to wait when the server said when to come: not before, and spread over as long again (at least a
    /// second, because `Retry-After` is in whole seconds).
    pub fn after_refusal(retry_after_s: u64, chance: &mut crate::Chance) -> Duration {
        let spread_ms = retry_after_s.clamp(1, 60) * 1000;
        Duration::from_millis(retry_after_s * 1000 + chance.below(spread_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Chance;

    #[test]
    fn rfc3339_both_ways() {
        assert_eq!(to_rfc3339(1_467_331_560_123), "2016-07-01T00:06:00.123Z");
        assert_eq!(from_rfc3339("2016-07-01T02:06:00.123456+02:00"), Some(1_467_331_560_123));
        assert_eq!(from_rfc3339("2024-02-29T12:00:00Z").map(to_rfc3339).as_deref(), Some("2024-02-29T12:00:00.000Z"));
        for wrong in ["", "2016", "2016-07-01T00:06:00", "x016-07-01T00:06:00Z", "1969-12-31T23:59:59Z"] {
            assert_eq!(from_rfc3339(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn faulty_clocks() {
        assert_eq!(ClockFault::None.shows(5000), 5000);
        assert_eq!(ClockFault::SkewMs(-3000).shows(5000), 2000);
        assert_eq!(ClockFault::From1970 { boot_ms: 4000 }.shows(5000), 1000);
    }

    #[test]
    fn backoff_grows_to_its_cap_and_resets() {
        let mut chance = Chance::seeded(3);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let waits: Vec<_> = (0..200).map(|_| backoff.after_failure(&mut chance)).collect();
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(2)));
        assert!(waits[0] <= Duration::from_millis(100));
        assert!(waits[50..].iter().any(|wait| *wait > Duration::from_secs(1)));
        backoff.succeeded();
        assert!(backoff.after_failure(&mut chance) <= Duration::from_millis(100));
        let told = Backoff::after_refusal(3, &mut chance);
        assert!((3000..6000).contains(&told.as_millis()));
    }
}
