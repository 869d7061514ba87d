//! What a server shows at `/metrics`, as far as a run wants to know it.

use std::collections::BTreeMap;

/// One line of Prometheus' text format.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    pub name: &'a str,
    labels: &'a str,
    pub value: f64,
}

impl<'a> Sample<'a> {
    pub fn label(&self, name: &str) -> Option<&'a str> {
        let mut rest = self.labels;
        while let Some((key, more)) = rest.split_once("=\"") {
            let (value, more) = more.split_once('"')?;
            if key.trim_start_matches(',') == name {
                return Some(value);
            }
            rest = more;
        }
        None
    }
}

/// Every line that holds a number.
pub fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (what, value) = line.rsplit_once(' ')?;
        let (name, labels) = what.split_once('{').unwrap_or((what, ""));
        Some(Sample { name, labels: labels.trim_end_matches('}'), value: value.parse().ok()? })
    })
}

/// A histogram: cumulative counts by upper bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    pub cumulative: Vec<(f64, f64)>,
    pub sum: f64,
    pub count: f64,
}

impl Buckets {
    fn take(&mut self, part: &str, sample: &Sample<'_>) {
        match part {
            "_sum" => self.sum += sample.value,
            "_count" => self.count += sample.value,
            "_bucket" => {
                let Some(bound) = sample.label("le") else { return };
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap_or(f64::INFINITY) };
                match self.cumulative.iter_mut().find(|(known, _)| *known == bound) {
                    Some((_, count)) => *count += sample.value,
                    None => self.cumulative.push((bound, sample.value)),
                }
            }
            _ => {}
        }
    }

    /// What was added since; everything, if the server was started anew meanwhile.
    pub fn since(&self, before: &Self) -> Self {
        if self.count < before.count || before.cumulative.len() != self.cumulative.len() {
            return self.clone();
        }
        let pairs = self.cumulative.iter().zip(&before.cumulative);
        let cumulative = pairs.map(|((bound, now), (_, then))| (*bound, now - then)).collect();
        Self { cumulative, sum: self.sum - before.sum, count: self.count - before.count }
    }

    pub fn mean(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }

    /// As `histogram_quantile`: even within a bucket; the last finite bound for what lies beyond it.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        if self.count <= 0.0 {
            return None;
        }
        let rank = quantile * self.count;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, count) in &self.cumulative {
            if *count >= rank {
                if bound.is_infinite() {
                    return Some(lower);
                }
                let inside = (count - below).max(f64::MIN_POSITIVE);
                return Some(lower + (bound - lower) * ((rank - below) / inside).clamp(0.0, 1.0));
            }
            (lower, below) = (*bound, *count);
        }
        Some(lower)
    }
}

/// Gauges and counters that show whether something piles up, with their words.
pub const QUEUES: &[(&str, &str)] = &[
    ("castellan_admission_waiting", "waiting at the door"),
    ("castellan_commit_queue_records", "waiting for an fsync"),
    ("castellan_outbox_items", "messages on their way"),
    ("castellan_timers_due", "timers due"),
];

/// Ages in seconds that show the same.
pub const AGES: &[(&str, &str)] =
    &[("castellan_outbox_oldest_seconds", "oldest message"), ("castellan_timers_late_seconds", "latest timer")];

/// One look at the server.
#[derive(Clone, Debug, Default)]
pub struct Scraped {
    pub admitted: BTreeMap<String, f64>,
    pub deferred: BTreeMap<String, f64>,
    pub batch: Buckets,
    pub append: Buckets,
    pub activations: f64,
    pub mailbox_full: f64,
    pub awake: BTreeMap<String, f64>,
    /// Memory of the server's database in bytes, by part.
    pub store_memory: BTreeMap<String, f64>,
    /// Of `QUEUES` and `AGES`, those that the server has; summed over their labels.
    pub gauges: BTreeMap<&'static str, f64>,
}

impl Scraped {
    pub fn read(text: &str) -> Self {
        let mut scraped = Self::default();
        for sample in samples(text) {
            let name = sample.name;
            if let Some(part) = name.strip_prefix("castellan_commit_batch_records") {
                scraped.batch.take(part, &sample);
            } else if let Some(part) = name.strip_prefix("castellan_commit_append_seconds") {
                scraped.append.take(part, &sample);
            } else if name == "castellan_admission_total" {
                let (Some(class), Some(decision)) = (sample.label("class"), sample.label("decision")) else { continue };
                let counts = if decision == "deferred" { &mut scraped.deferred } else { &mut scraped.admitted };
                *counts.entry(class.to_owned()).or_default() += sample.value;
            } else if name == "castellan_actors_awake" {
                let kind = sample.label("kind").unwrap_or_default();
                *scraped.awake.entry(kind.to_owned()).or_default() += sample.value;
            } else if name == "castellan_store_memory_bytes" {
                let part = sample.label("part").unwrap_or_default();
                scraped.store_memory.insert(part.to_owned(), sample.value);
            } else if name == "castellan_activations_total" {
                scraped.activations += sample.value;
            } else if name == "castellan_mailbox_full_total" {
                scraped.mailbox_full += sample.value;
            } else if let Some((known, _)) = QUEUES.iter().chain(AGES).find(|(known, _)| *known == name) {
                *scraped.gauges.entry(known).or_default() += sample.value;
            }
        }
        scraped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE castellan_admission_total counter\n\
        castellan_admission_total{class=\"admin\",decision=\"at_once\"} 5\n\
        castellan_admission_total{class=\"admin\",decision=\"after_waiting\"} 2\n\
        castellan_admission_total{class=\"sync_default\",decision=\"deferred\"} 3\n\
        castellan_admission_waiting{worker=\"0\"} 9\n\
        castellan_admission_waiting{worker=\"1\"} 2\n\
        castellan_commit_append_seconds_bucket{le=\"0.001\"} 10\n\
        castellan_commit_append_seconds_bucket{le=\"0.002\"} 90\n\
        castellan_commit_append_seconds_bucket{le=\"+Inf\"} 100\n\
        castellan_commit_append_seconds_sum 0.2\n\
        castellan_commit_append_seconds_count 100\n\
        castellan_actors_awake{kind=\"box\"} 12\n";

    #[test]
    fn what_the_server_shows_is_read() {
        let scraped = Scraped::read(TEXT);
        assert_eq!((scraped.admitted["admin"], scraped.deferred["sync_default"]), (7.0, 3.0));
        assert_eq!(scraped.gauges["castellan_admission_waiting"], 11.0);
        assert_eq!(scraped.awake["box"], 12.0);
        assert_eq!(scraped.append.mean(), Some(0.002));
        assert_eq!(scraped.append.quantile(0.5), Some(0.0015));
        assert_eq!(scraped.append.quantile(0.99), Some(0.002), "beyond the last bound only that is known");
        assert_eq!(scraped.batch.quantile(0.5), None);
    }

    #[test]
    fn a_difference_is_what_came_since_or_all_after_a_restart() {
        let now = Scraped::read(TEXT).append;
        let mut before = now.clone();
        before.count = 60.0;
        before.sum = 0.1;
        before.cumulative[1].1 = 60.0;
        let since = now.since(&before);
        assert_eq!((since.count, since.cumulative[1].1), (40.0, 30.0));
        before.count = 1000.0;
        assert_eq!(now.since(&before), now);
    }
}
