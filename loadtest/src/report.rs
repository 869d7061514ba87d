//! What a scenario has to say: one JSON document with always the same names, and a summary for people.

use crate::{ApiError, ClientError, html::Chart, link::LinkError, process::ProcessError};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt, io, path::Path};

pub use crate::figures::{Latencies, median};

/// Why a scenario could not be carried through; what it found wrong stands in its report instead.
#[derive(Debug)]
pub enum LoadError {
    Api(ApiError),
    Process(ProcessError),
    Client(ClientError),
    Io(io::Error),
    /// The world is not as the scenario needs it.
    Unfit(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(error) => error.fmt(f),
            Self::Process(error) => error.fmt(f),
            Self::Client(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Unfit(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for LoadError {}

impl From<ApiError> for LoadError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<ProcessError> for LoadError {
    fn from(error: ProcessError) -> Self {
        Self::Process(error)
    }
}

impl From<ClientError> for LoadError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<LinkError> for LoadError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Broken(error) => Self::Client(error),
            LinkError::Storage(error) => Self::Io(error),
        }
    }
}

/// One number, or one for each of several cases (connection counts, quantiles) in their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    One(f64),
    Each(Vec<(String, f64)>),
}

impl From<f64> for Figure {
    fn from(number: f64) -> Self {
        Self::One(number)
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(number) => to.serialize_f64(rounded(*number)),
            Self::Each(cases) => {
                let mut map = to.serialize_map(Some(cases.len()))?;
                for (case, number) in cases {
                    map.serialize_entry(case, &rounded(*number))?;
                }
                map.end()
            }
        }
    }
}

fn rounded(number: f64) -> f64 {
    let scale = if number.abs() >= 1000.0 { 1.0 } else { 1000.0 };
    (number * scale).round() / scale
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(number) => write!(f, "{}", rounded(*number)),
            Self::Each(cases) => {
                let each: Vec<String> =
                    cases.iter().map(|(case, number)| format!("{case}: {}", rounded(*number))).collect();
                f.write_str(&each.join(", "))
            }
        }
    }
}

/// What happened at the server's door, in requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Admission {
    pub admitted: u64,
    pub deferred: u64,
    pub classes: BTreeMap<String, Decisions>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Decisions {
    pub admitted: u64,
    pub deferred: u64,
}

impl Admission {
    /// Reads the server's own counters.
    pub fn from_metrics(text: &str) -> Self {
        let mut admission = Self::default();
        for line in text.lines().filter(|line| line.starts_with("castellan_admission_total{")) {
            let label = |name: &str| {
                let after = line.split_once(&format!("{name}=\""))?.1;
                Some(after.split_once('"')?.0.to_owned())
            };
            let (Some(class), Some(decision)) = (label("class"), label("decision")) else { continue };
            let count = line.rsplit_once(' ').and_then(|(_, number)| number.parse::<f64>().ok()).unwrap_or(0.0) as u64;
            let entry = admission.classes.entry(class).or_default();
            if decision == "deferred" {
                entry.deferred += count;
                admission.deferred += count;
            } else {
                entry.admitted += count;
                admission.admitted += count;
            }
        }
        admission
    }
}

/// One thing that was wanted, and what was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    pub what: String,
    pub target: String,
    pub found: String,
    pub holds: bool,
}

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// The fields that every scenario shares; each fills those that apply to it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub scenario: &'static str,
    pub seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boxes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubled: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_mismatches: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong_states: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong_answers: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_judged_per_round: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub double_redemptions: Option<u64>,
    /// What a box, or the server about an entry, decided otherwise than a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong_decisions: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_alerts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_alerts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codes_given_twice: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unauthorised_resets: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged_over_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub honest_failures: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flagged: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syncs_per_s: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries_per_s: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers_per_s: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p999_ms: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_to_echo: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_us_per_sync: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator_cpu_us_per_sync: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foreign_cpu_cores: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_rss_kib: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_bytes_per_awake_box: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_s: Option<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub past_guarantee: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,
    /// What does not hold, and whatever only this scenario has to say.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
    /// What was wanted and what was found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Verdict>,
    /// What does not hold, in words, the first ones.
    #[serde(skip)]
    pub broken: Vec<String>,
    /// Pictures for `--html`.
    #[serde(skip)]
    pub charts: Vec<Chart>,
}

/// Lines about what does not hold that are shown; there may be thousands.
const SHOWN: usize = 20;

impl Report {
    pub fn new(scenario: &'static str, seed: u64) -> Self {
        Self { scenario, seed, ..Self::default() }
    }

    /// Notes what does not hold; the scenario then fails.
    pub fn breaks(&mut self, what: impl Into<String>) {
        self.broken.push(what.into());
    }

    /// Fails unless this count is zero.
    pub fn must_be_zero(&mut self, name: &str, count: u64) {
        let what = name.replace('_', " ");
        self.verdicts.push(Verdict { what, target: "0".into(), found: count.to_string(), holds: count == 0 });
        if count > 0 {
            self.breaks(format!("{name} is {count}, must be 0"));
        }
    }

    /// Fails unless this figure is within its bound.
    pub fn must(&mut self, what: &str, found: f64, bound: Bound) {
        let (holds, target) = match bound {
            Bound::AtMost(most) => (found <= most, format!("≤ {}", rounded(most))),
            Bound::AtLeast(least) => (found >= least, format!("≥ {}", rounded(least))),
        };
        if !holds {
            self.breaks(format!("{what} is {}, must be {target}", rounded(found)));
        }
        self.verdicts.push(Verdict { what: what.to_owned(), target, found: rounded(found).to_string(), holds });
    }

    /// The shared figures that this scenario filled, with the words for people.
    pub fn figures(&self) -> Vec<(&'static str, Figure)> {
        let counts = [
            ("boxes", self.boxes),
            ("devices", self.devices),
            ("journal entries", self.entries),
            ("errors", self.errors),
            ("entries lost", self.lost),
            ("entries doubled", self.doubled),
            ("differences to the model", self.model_mismatches),
            ("acknowledged and lost", self.acknowledged_lost),
            ("conflicts", self.conflicts),
            ("wrong states", self.wrong_states),
            ("wrong answers", self.wrong_answers),
            ("most PAPs judged in one round", self.max_judged_per_round),
            ("double redemptions", self.double_redemptions),
            ("codes given twice", self.codes_given_twice),
            ("wrong decisions", self.wrong_decisions),
            ("missing alerts", self.missing_alerts),
            ("false alerts", self.false_alerts),
            ("unauthorised resets", self.unauthorised_resets),
            ("judged over the limit", self.judged_over_limit),
            ("honest failures", self.honest_failures),
            ("flagged", self.flagged),
            ("boxes past their guarantee", self.past_guarantee),
            ("server memory, KiB", self.server_rss_kib),
            ("memory an awake box, bytes", self.rss_bytes_per_awake_box),
        ];
        let figures = [
            ("syncs a second", &self.syncs_per_s),
            ("entries a second", &self.entries_per_s),
            ("answers a second", &self.answers_per_s),
            ("p50, ms", &self.p50_ms),
            ("p99, ms", &self.p99_ms),
            ("p999, ms", &self.p999_ms),
            ("ratio to echo", &self.ratio_to_echo),
            ("server CPU a sync, µs", &self.server_cpu_us_per_sync),
            ("generator CPU a sync, µs", &self.generator_cpu_us_per_sync),
            ("foreign CPU, cores", &self.foreign_cpu_cores),
            ("start to ready, s", &self.ready_s),
        ];
        let counts = counts.into_iter().filter_map(|(name, count)| Some((name, Figure::One(count? as f64))));
        let figures = figures.into_iter().filter_map(|(name, figure)| Some((name, figure.clone()?)));
        counts.chain(figures).collect()
    }

    pub fn holds(&self) -> bool {
        self.broken.is_empty()
    }

    pub fn detail(&mut self, name: &str, value: impl Into<Value>) {
        self.details.insert(name.to_owned(), value.into());
    }

    /// The whole document, its fields in their order.
    pub fn to_json(&self) -> String {
        let mut report = self.clone();
        if !self.broken.is_empty() {
            report.detail("broken", self.broken.iter().take(SHOWN * 10).cloned().collect::<Vec<_>>());
        }
        serde_json::to_string_pretty(&report).unwrap_or_default()
    }

    pub fn write(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, self.to_json() + "\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{} (seed {})", self.scenario, self.seed)?;
        for (name, value) in self.figures() {
            writeln!(f, "  {name:<36} {value}")?;
        }
        if let Some(admission) = &self.admission {
            writeln!(f, "  {:<36} {} admitted, {} deferred", "at the door", admission.admitted, admission.deferred)?;
            for (class, decisions) in &admission.classes {
                if decisions.admitted + decisions.deferred > 0 {
                    writeln!(f, "    {class:<34} {} admitted, {} deferred", decisions.admitted, decisions.deferred)?;
                }
            }
        }
        let targets = self.verdicts.iter().filter(|verdict| verdict.target != "0");
        for verdict in targets {
            let word = if verdict.holds { "holds" } else { "DOES NOT HOLD" };
            writeln!(f, "  {:<36} {} ({}): {word}", verdict.what, verdict.found, verdict.target)?;
        }
        if self.holds() {
            return writeln!(f, "\nEverything holds.");
        }
        writeln!(f, "\nDoes not hold:")?;
        for what in self.broken.iter().take(SHOWN) {
            writeln!(f, "  - {what}")?;
        }
        match self.broken.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => writeln!(f, "  … and {more} more"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_applies_is_written() {
        let mut report = Report::new("storm", 7);
        report.errors = Some(0);
        let cases = [("64", 0.51234), ("2000", 0.4)].map(|(case, ratio)| (case.to_owned(), ratio)).to_vec();
        report.ratio_to_echo = Some(Figure::Each(cases));
        let text = serde_json::to_string(&report).unwrap();
        let expected = r#"{"scenario":"storm","seed":7,"errors":0,"ratio_to_echo":{"64":0.512,"2000":0.4}}"#;
        assert_eq!(text, expected);
        assert!(report.holds());
        report.must_be_zero("lost", 2);
        assert!(!report.holds());
        let read: Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(read["details"]["broken"][0], "lost is 2, must be 0");
    }

    #[test]
    fn door_counters_are_summed_by_class() {
        let metrics = "# HELP x\n\
            castellan_admission_total{class=\"admin\",decision=\"admitted\"} 5\n\
            castellan_admission_total{class=\"sync_default\",decision=\"admitted\"} 7\n\
            castellan_admission_total{class=\"sync_default\",decision=\"waited\"} 2\n\
            castellan_admission_total{class=\"sync_default\",decision=\"deferred\"} 3\n\
            castellan_admission_waiting{worker=\"0\"} 9\n";
        let admission = Admission::from_metrics(metrics);
        assert_eq!((admission.admitted, admission.deferred), (14, 3));
        assert_eq!(admission.classes["sync_default"], Decisions { admitted: 9, deferred: 3 });
    }

    #[test]
    fn a_bound_is_judged_and_told() {
        let mut report = Report::new("herd", 1);
        report.must("time against the echo herd", 2.4, Bound::AtMost(2.5));
        assert!(report.holds());
        report.must("knee", 10.0, Bound::AtLeast(20.0));
        assert_eq!(report.broken, ["knee is 10, must be ≥ 20"]);
        let told: Vec<bool> = report.verdicts.iter().map(|verdict| verdict.holds).collect();
        assert_eq!(told, [true, false]);
        assert!(report.to_string().contains("time against the echo herd"));
    }
}
