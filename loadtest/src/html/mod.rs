//! A report as one HTML file that needs nothing else: numbers as tables, charts drawn by a small script inside it.

mod chart;

pub use chart::{Chart, Scale};

use crate::{
    clock::to_rfc3339,
    report::{Figure, Report},
};
use serde_json::json;
use std::{fmt::Write, fs, io, path::Path};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Where and how a run was made.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    pub command_line: String,
    pub began_ms: u64,
    pub took_s: f64,
    pub machine: Vec<(&'static str, String)>,
}

impl Circumstances {
    /// This machine, and the command line without the token that may stand in it.
    pub fn here(began_ms: u64, took_s: f64) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, start: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(start)?.split_once(':'));
            line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let memory_kib: u64 =
            after(&read("/proc/meminfo"), "MemTotal").split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        let machine = vec![
            ("processor", format!("{}, {cores} cores for this process", after(&read("/proc/cpuinfo"), "model name"))),
            ("memory", format!("{:.1} GiB", memory_kib as f64 / f64::from(1 << 20))),
            ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
            ("net.core.somaxconn", read("/proc/sys/net/core/somaxconn").trim().to_owned()),
            ("load average at the end", read("/proc/loadavg").trim().to_owned()),
            ("castellan-load", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        Self { command_line: command_line(std::env::args()), began_ms, took_s, machine }
    }
}

fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let mut shown: Vec<String> = Vec::new();
    for argument in arguments {
        let hidden = if shown.last().is_some_and(|last| last == "--token") {
            "…".to_owned()
        } else if argument.starts_with("--token=") {
            "--token=…".to_owned()
        } else {
            argument
        };
        shown.push(hidden);
    }
    shown.join(" ")
}

pub fn write(path: &Path, report: &Report, circumstances: &Circumstances) -> io::Result<()> {
    fs::write(path, page(report, circumstances))
}

/// The whole page.
pub fn page(report: &Report, circumstances: &Circumstances) -> String {
    let verdict = if report.holds() { ("good", "everything holds") } else { ("bad", "does not hold") };
    let mut body = String::with_capacity(1 << 18);
    let _ = write!(
        body,
        "<header><div><p class=over>castellan-load</p><h1>{}</h1></div><div class=right><span class=\"badge {}\">{}\
         </span><button id=theme type=button>dark / light</button></div></header>",
        escaped(report.scenario),
        verdict.0,
        verdict.1
    );
    tiles(&mut body, report);
    verdicts(&mut body, report);
    body.push_str("<section id=charts></section>");
    run(&mut body, report, circumstances);
    let details = report.to_json();
    let _ = write!(
        body,
        "<section class=details><details><summary>The whole report</summary><pre>{}</pre></details></section>",
        escaped(&details)
    );
    // `</` in a text would end the script.
    let data = json!({ "charts": report.charts }).to_string().replace("</", "<\\/");
    let title = escaped(&format!("{} · castellan-load", report.scenario));
    format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport \
         content=\"width=device-width,initial-scale=1\"><title>{title}</title><style>{STYLE}</style></head>\n\
         <body>{body}<script type=\"application/json\" id=data>{data}</script><script>{SCRIPT}</script></body></html>\n"
    )
}

/// The figures that one looks for first.
fn tiles(body: &mut String, report: &Report) {
    let figures = report.figures();
    body.push_str("<section class=tiles>");
    for (name, value) in &figures {
        // What must be nothing, and is, stands in the table of targets.
        if let Figure::One(number) = value
            && *number != 0.0
        {
            let _ = write!(body, "<div class=tile><b>{value}</b><span>{}</span></div>", escaped(name));
        }
    }
    body.push_str("</section>");
    let mut rows: Vec<(&str, &[(String, f64)])> = Vec::new();
    for (name, value) in &figures {
        if let Figure::Each(cases) = value {
            rows.push((name, cases));
        }
    }
    cases(body, rows);
}

/// Figures of several cases: a table for each set of cases.
fn cases(body: &mut String, mut rows: Vec<(&str, &[(String, f64)])>) {
    fn names(cases: &[(String, f64)]) -> Vec<&str> {
        cases.iter().map(|(case, _)| case.as_str()).collect()
    }
    while let Some((_, first)) = rows.first().copied() {
        let (alike, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, cases)| names(cases) == names(first));
        body.push_str("<section><table><thead><tr><th>");
        for case in names(first) {
            let _ = write!(body, "<th class=n>{}", escaped(case));
        }
        body.push_str("</thead><tbody>");
        for (name, cases) in alike {
            let _ = write!(body, "<tr><td>{}", escaped(name));
            for (_, number) in cases {
                let _ = write!(body, "<td class=n>{}", Figure::One(*number));
            }
        }
        body.push_str("</tbody></table></section>");
        rows = others;
    }
}

fn verdicts(body: &mut String, report: &Report) {
    if report.verdicts.is_empty() && report.broken.is_empty() {
        return;
    }
    body.push_str("<section><h2>Targets</h2><table><thead><tr><th>what<th class=n>target<th class=n>found<th>");
    body.push_str("</thead><tbody>");
    for verdict in &report.verdicts {
        let (class, word) = if verdict.holds { ("good", "holds") } else { ("bad", "does not hold") };
        let _ = write!(
            body,
            "<tr><td>{}<td class=n>{}<td class=n>{}<td><span class=\"badge {class}\">{word}</span>",
            escaped(&verdict.what),
            escaped(&verdict.target),
            escaped(&verdict.found)
        );
    }
    body.push_str("</tbody></table>");
    const SHOWN: usize = 50;
    if !report.broken.is_empty() {
        body.push_str("<h3>What does not hold</h3><ul class=broken>");
        for what in report.broken.iter().take(SHOWN) {
            let _ = write!(body, "<li>{}", escaped(what));
        }
        if let Some(more) = report.broken.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            let _ = write!(body, "<li>… and {more} more");
        }
        body.push_str("</ul>");
    }
    body.push_str("</section>");
}

fn run(body: &mut String, report: &Report, circumstances: &Circumstances) {
    let _ = write!(
        body,
        "<section><h2>The run</h2><pre class=command>{}</pre><table class=facts><tbody>\
         <tr><th>began<td>{}<tr><th>took<td>{:.1} s<tr><th>seed<td>{}",
        escaped(&circumstances.command_line),
        to_rfc3339(circumstances.began_ms),
        circumstances.took_s,
        report.seed
    );
    for (name, value) in &circumstances.machine {
        let _ = write!(body, "<tr><th>{}<td>{}", escaped(name), escaped(value));
    }
    body.push_str("</tbody></table></section>");
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            _ => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new("storm", 7);
        report.p99_ms = Some(12.5.into());
        let cases = [("64", 0.45), ("2000", 0.4)].map(|(case, ratio)| (case.to_owned(), ratio));
        report.ratio_to_echo = Some(Figure::Each(cases.to_vec()));
        report.must_be_zero("errors", 0);
        report.must_be_zero("lost", 3);
        report.breaks("box_1: </script><b>wrong</b>");
        report.charts.push(Chart::over_time("Latency </script>", "ms").line("p50", &[(0.0, 1.0), (1.0, 2.0)]));
        report
    }

    #[test]
    fn the_page_holds_everything_and_needs_nothing() {
        let page = page(&report(), &Circumstances::here(1_800_000_000_000, 3.0));
        assert!(page.contains("does not hold") && page.contains("lost is 3, must be 0") && page.contains("12.5"));
        assert!(page.contains("<th class=n>2000") && page.contains("<td class=n>0.45"), "cases stand in a table");
        for foreign in ["src=", "href=", "@import", "url(http", "fetch("] {
            assert!(!page.contains(foreign), "the page would load something: {foreign}");
        }
        let machine = ["processor", "somaxconn", "2027-01-15T08:00:00"];
        assert!(machine.iter().all(|word| page.contains(word)), "{page}");
    }

    #[test]
    fn no_text_ends_the_script_or_becomes_markup() {
        let page = page(&report(), &Circumstances::default());
        assert_eq!(page.matches("</script>").count(), 2, "the data's and the script's own");
        assert!(!page.contains("<b>wrong"));
        let data = page.split_once("id=data>").unwrap().1.split_once("</script>").unwrap().0;
        let read: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(read["charts"][0]["title"], "Latency </script>");
        assert_eq!(read["charts"][0]["series"][0]["points"][1], json!([1, 2]));
    }

    #[test]
    fn a_token_of_the_command_line_is_not_shown() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let shown = command_line(words("castellan-load storm --token cas_secret --boxes 3").into_iter());
        assert_eq!(shown, "castellan-load storm --token … --boxes 3");
        assert_eq!(command_line(words("x --token=cas_secret").into_iter()), "x --token=…");
    }
}
