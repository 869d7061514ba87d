//! What a chart shows; `page.js` draws it.

use serde::{Serialize, Serializer};

/// Points beyond which a series is thinned out: a screen shows no more.
const POINTS_MAX: usize = 900;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    Linear,
    Log,
    /// 1 / (1 - quantile), logarithmic: every further nine takes the same room.
    Nines,
}

#[derive(Clone, Debug, Serialize)]
struct Axis {
    label: String,
    scale: Scale,
}

/// A number as short as the eye can tell apart.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Short(f64);

impl Serialize for Short {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(number) = *self;
        if !number.is_finite() {
            return to.serialize_none();
        }
        let scale = 10f64.powi(4 - (number.abs().max(1e-9).log10().floor() as i32));
        let short = (number * scale).round() / scale;
        if short == short.trunc() && short.abs() < 1e15 {
            to.serialize_i64(short as i64)
        } else {
            to.serialize_f64(short)
        }
    }
}

#[derive(Clone, Debug, Serialize)]
struct Series {
    name: String,
    kind: &'static str,
    /// `[x, y]`, or `[x, low, high]` of a band.
    points: Vec<Vec<Short>>,
}

#[derive(Clone, Debug, Serialize)]
struct Mark {
    at: Short,
    label: String,
}

/// One picture: lines, bands between two values, targets.
#[derive(Clone, Debug, Serialize)]
pub struct Chart {
    title: String,
    note: String,
    x: Axis,
    y: Axis,
    series: Vec<Series>,
    /// Vertical lines: what happened when.
    marks: Vec<Mark>,
    /// Horizontal lines: what was wanted.
    limits: Vec<Mark>,
}

impl Chart {
    pub fn new(title: impl Into<String>, x: &str, y: &str) -> Self {
        let axis = |label: &str| Axis { label: label.to_owned(), scale: Scale::Linear };
        Self {
            title: title.into(),
            note: String::new(),
            x: axis(x),
            y: axis(y),
            series: Vec::new(),
            marks: Vec::new(),
            limits: Vec::new(),
        }
    }

    /// Along the seconds of a run.
    pub fn over_time(title: impl Into<String>, y: &str) -> Self {
        Self::new(title, "seconds", y)
    }

    #[must_use]
    pub fn note(mut self, words: impl Into<String>) -> Self {
        self.note = words.into();
        self
    }

    #[must_use]
    pub fn scales(mut self, x: Scale, y: Scale) -> Self {
        (self.x.scale, self.y.scale) = (x, y);
        self
    }

    #[must_use]
    pub fn line(mut self, name: impl Into<String>, points: &[(f64, f64)]) -> Self {
        let middle = |some: &[(f64, f64)]| {
            let count = some.len() as f64;
            let sum = some.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
            vec![Short(sum.0 / count), Short(sum.1 / count)]
        };
        self.add(name.into(), "line", points.chunks(step(points.len())).map(middle).collect());
        self
    }

    /// As `line`, with a dot at each point.
    #[must_use]
    pub fn dots(mut self, name: impl Into<String>, points: &[(f64, f64)]) -> Self {
        self.add(name.into(), "dots", points.iter().map(|(x, y)| vec![Short(*x), Short(*y)]).collect());
        self
    }

    /// Between a low and a high value; what is thinned out keeps the extremes.
    #[must_use]
    pub fn band(mut self, name: impl Into<String>, points: &[(f64, f64, f64)]) -> Self {
        let hull = |some: &[(f64, f64, f64)]| {
            let low = some.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
            let high = some.iter().map(|point| point.2).fold(f64::NEG_INFINITY, f64::max);
            vec![Short(some[0].0), Short(low), Short(high)]
        };
        self.add(name.into(), "band", points.chunks(step(points.len())).map(hull).collect());
        self
    }

    /// Parts on top of each other. All have the same places along x; what a part lacks counts as nothing.
    #[must_use]
    pub fn stack(mut self, parts: &[(String, Vec<(f64, f64)>)]) -> Self {
        let mut floor: Vec<f64> = Vec::new();
        for (name, points) in parts {
            floor.resize(floor.len().max(points.len()), 0.0);
            let mut band = Vec::with_capacity(points.len());
            for ((x, y), floor) in points.iter().zip(&mut floor) {
                band.push((*x, *floor, *floor + y));
                *floor += y;
            }
            let middle = |some: &[(f64, f64, f64)]| {
                let mean = |of: fn(&(f64, f64, f64)) -> f64| some.iter().map(of).sum::<f64>() / some.len() as f64;
                vec![Short(mean(|point| point.0)), Short(mean(|point| point.1)), Short(mean(|point| point.2))]
            };
            self.add(name.clone(), "part", band.chunks(step(band.len())).map(middle).collect());
        }
        self
    }

    #[must_use]
    pub fn limit(mut self, at: f64, words: impl Into<String>) -> Self {
        self.limits.push(Mark { at: Short(at), label: words.into() });
        self
    }

    #[must_use]
    pub fn marks(mut self, marks: &[(f64, String)]) -> Self {
        self.marks.extend(marks.iter().map(|(at, label)| Mark { at: Short(*at), label: label.clone() }));
        self
    }

    /// Nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.points.is_empty())
    }

    fn add(&mut self, name: String, kind: &'static str, points: Vec<Vec<Short>>) {
        if !points.is_empty() {
            self.series.push(Series { name, kind, points });
        }
    }
}

fn step(length: usize) -> usize {
    length.div_ceil(POINTS_MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_unreadable() {
        let short = |number: f64| serde_json::to_string(&Short(number)).unwrap();
        assert_eq!(short(1234.5678), "1234.6");
        assert_eq!(short(0.000_123_456), "0.00012346");
        assert_eq!(short(7.0), "7");
        assert_eq!(short(0.0), "0");
        assert_eq!(short(f64::NAN), "null");
    }

    #[test]
    fn parts_stand_on_each_other() {
        let parts = [("a".to_owned(), vec![(0.0, 1.0), (1.0, 2.0)]), ("b".to_owned(), vec![(0.0, 3.0), (1.0, 4.0)])];
        let chart = Chart::over_time("t", "y").stack(&parts);
        assert_eq!(chart.series[1].points[1], [Short(1.0), Short(2.0), Short(6.0)]);
    }

    #[test]
    fn long_series_are_thinned_and_bands_keep_their_extremes() {
        let points: Vec<(f64, f64, f64)> =
            (0..10_000).map(|at| (f64::from(at), 1.0, if at == 5003 { 99.0 } else { 2.0 })).collect();
        let chart = Chart::over_time("t", "y").band("b", &points);
        assert!(chart.series[0].points.len() <= POINTS_MAX);
        assert!(chart.series[0].points.iter().any(|point| point[2] == Short(99.0)));
        assert!(Chart::over_time("t", "y").line("none", &[]).is_empty());
    }
}
