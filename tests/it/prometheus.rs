//! What is shipped for Prometheus agrees with what the server says: promtool reads it, and no rule asks for a metric
//! that does not exist.

use crate::rig::{Rig, text};
use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

impl Rig {
    /// What stands in the first line of `/metrics` that begins so; nothing: 0.
    pub fn metric(&self, start: &str) -> f64 {
        let told = self.observed("/metrics").told();
        let line = told.lines().find(|line| line.starts_with(start));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn promtool(args: &[&str], input: &[u8]) -> Output {
    let path = Command::new(root().join(".ci/promtool")).arg("--path").output().unwrap();
    let path = text(&path.stdout);
    assert!(PathBuf::from(path.trim()).exists(), "run `make setup`: there is no promtool");
    let mut promtool = Command::new(path.trim());
    promtool.current_dir(root().join("config/prometheus")).args(args);
    let mut promtool = promtool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(input).unwrap();
    promtool.wait_with_output().unwrap()
}

fn assert_clean(args: &[&str], input: &[u8]) {
    let output = promtool(args, input);
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "promtool {args:?}: {said}");
}

#[test]
fn rules_and_their_tests_are_clean() {
    assert_clean(&["check", "rules", "--lint=all", "castellan.rules.yml"], b"");
    assert_clean(&["check", "config", "prometheus.yml"], b"");
    assert_clean(&["test", "rules", "castellan.rules.test.yml"], b"");
}

#[test]
fn metrics_of_a_server_that_has_worked_are_clean() {
    let rig = Rig::start();
    let org = rig.org();
    let mut smart_box = org.ready_box(2);
    smart_box.drop_off("A-1", "F-1", None);
    smart_box.sync();
    rig.nobody().get("/people");
    let output = promtool(&["check", "metrics"], rig.observed("/metrics").told().as_bytes());
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// Everything in a text that looks like one of our metrics, without what Prometheus appends to histograms.
fn named(text: &str) -> Vec<String> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = text.split(|letter| !is_name(letter)).filter(|word| word.starts_with("castellan_"));
    let bare = |word: &str| {
        let histogram = ["_bucket", "_count", "_sum"].into_iter().find_map(|end| word.strip_suffix(end));
        histogram.unwrap_or(word).to_owned()
    };
    words.map(bare).collect()
}

#[test]
fn no_rule_and_no_panel_asks_for_a_metric_that_does_not_exist() {
    let folder = root().join("config/prometheus");
    let known = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    for file in ["castellan.rules.yml", "castellan.rules.test.yml", "castellan.dashboard.json"] {
        let asked = named(&std::fs::read_to_string(folder.join(file)).unwrap());
        assert!(asked.len() > 10, "{file} names hardly any metric");
        for metric in asked {
            assert!(known.contains(&format!("`{metric}`")), "{file} asks for {metric}, which does not exist");
        }
    }
}

#[test]
fn every_alert_says_what_to_do_and_most_are_tested() {
    let folder = root().join("config/prometheus");
    let rules = std::fs::read_to_string(folder.join("castellan.rules.yml")).unwrap();
    let tests = std::fs::read_to_string(folder.join("castellan.rules.test.yml")).unwrap();
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(rules.matches("          action: \"").count(), alerts.len());
    assert_eq!(rules.matches("labels: {severity: ").count(), alerts.len());
    let tested = alerts.iter().filter(|alert| tests.contains(&format!("alertname: {alert}\n"))).count();
    assert!(tested * 3 >= alerts.len() * 2, "{tested} of {} alerts have a test in which they fire", alerts.len());
}
