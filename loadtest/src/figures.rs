//! The little mathematics of the reports.

use crate::report::{LoadError, Report};

/// Latencies in microseconds, up to ten minutes.
pub struct Latencies(hdrhistogram::Histogram<u64>);

impl Latencies {
    pub fn new() -> Result<Self, LoadError> {
        let histogram = hdrhistogram::Histogram::new_with_bounds(1, 600_000_000, 3);
        histogram.map(Self).map_err(|error| LoadError::Unfit(error.to_string()))
    }

    pub fn record(&mut self, took: std::time::Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Takes in what another run saw.
    pub fn add(&mut self, other: &Self) -> Result<(), LoadError> {
        self.0.add(&other.0).map_err(|error| LoadError::Unfit(error.to_string()))
    }

    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// p50, p99 and p999 of the report.
    pub fn into_report(self, report: &mut Report) {
        report.p50_ms = Some(self.quantile_ms(0.5).into());
        report.p99_ms = Some(self.quantile_ms(0.99).into());
        report.p999_ms = Some(self.quantile_ms(0.999).into());
    }
}

/// The middle one.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => numbers[odd / 2],
        even => f64::midpoint(numbers[even / 2 - 1], numbers[even / 2]),
    }
}

/// The straight line through points with the least squares: slope, and the value where x is 0.
pub fn trend(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let count = points.len() as f64;
    if points.len() < 2 {
        return None;
    }
    let (mean_x, mean_y) =
        points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / count, sum.1 + point.1 / count));
    let (across, along) = points
        .iter()
        .fold((0.0, 0.0), |sum, (x, y)| (sum.0 + (x - mean_x) * (y - mean_y), sum.1 + (x - mean_x) * (x - mean_x)));
    (along > 0.0).then(|| (across / along, mean_y - across / along * mean_x))
}

/// How much a value rises from the first to the last of these moments, by its trend.
pub fn growth(points: &[(f64, f64)]) -> f64 {
    let (Some(first), Some(last), Some((slope, _))) = (points.first(), points.last(), trend(points)) else {
        return 0.0;
    };
    slope * (last.0 - first.0)
}

/// What comes after the share of the points that only warms up.
pub fn after_warm_up(points: &[(f64, f64)], share: f64) -> &[(f64, f64)] {
    let skipped = (points.len() as f64 * share) as usize;
    &points[skipped.min(points.len())..]
}

pub fn mean(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = numbers.into_iter().fold((0.0, 0.0), |(sum, count), number| (sum + number, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![]), 0.0);
    }

    #[test]
    fn a_trend_is_found_through_noise() {
        let noisy = |slope: f64| -> Vec<(f64, f64)> {
            (0..200).map(|at| (f64::from(at), 50.0 + slope * f64::from(at) + f64::from(at % 7) - 3.0)).collect()
        };
        let (slope, start) = trend(&noisy(0.5)).unwrap();
        assert!((slope - 0.5).abs() < 0.01 && (start - 50.0).abs() < 1.0, "{slope} {start}");
        assert!((growth(&noisy(0.5)) - 99.5).abs() < 2.0);
        assert!(growth(&noisy(0.0)).abs() < 1.0);
        assert_eq!(trend(&[(1.0, 1.0)]), None);
        assert_eq!(trend(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(growth(&[]), 0.0);
    }

    #[test]
    fn the_warm_up_is_left_out() {
        let points: Vec<(f64, f64)> = (0..8).map(|at| (f64::from(at), 0.0)).collect();
        assert_eq!(after_warm_up(&points, 0.25)[0].0, 2.0);
        assert!(after_warm_up(&[], 0.25).is_empty());
        assert_eq!(mean([1.0, 2.0, 6.0]), 3.0);
        assert_eq!(mean([]), 0.0);
    }
}
