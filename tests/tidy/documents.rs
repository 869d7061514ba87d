//! Rules about what is written down: every key, metric, problem code, dependency and invariant has its words, and the
//! words speak of nothing that is not there.

use crate::{File, files, hold, read, root};
use castellan::{config::Config, http::routes::ROUTES, kernel::invariants, metrics};
use std::collections::BTreeSet;

const ARCHITECTURE: &str = "ARCHITECTURE.md";
const CONFIG: &str = "config/castellan.toml";

/// The string literals of Rust code that `is` likes. Good enough for names, which hold no escapes.
fn literals(text: &str, is: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split('"').skip(1).step_by(2)).filter(|name| is(name)).map(str::to_owned).collect()
}

fn is_snake(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_metric(name: &str) -> bool {
    name.len() > "castellan_".len() && name.starts_with("castellan_") && is_snake(name)
}

/// `request.malformed`, as src/http/codes.rs names them.
fn is_problem_code(name: &str) -> bool {
    name.split_once('.').is_some_and(|(room, rest)| is_snake(room) && is_snake(rest))
}

/// `key = value` lines of a TOML file whose line above is no comment.
fn undocumented_keys(toml: &str) -> Vec<String> {
    let mut above = "";
    let mut complaints = Vec::new();
    for line in toml.lines() {
        let key = line.split_once('=').map(|(key, _)| key.trim()).filter(|key| is_snake(key));
        if let Some(key) = key.filter(|_| !above.trim_start().starts_with('#')) {
            complaints.push(format!("{CONFIG}: `{key}` has no comment above it"));
        }
        above = line;
    }
    complaints
}

/// Every key of a TOML table as `section.key`.
fn keys(table: &toml::Table) -> BTreeSet<String> {
    let under = |(name, value): (&String, &toml::Value)| match value.as_table() {
        Some(section) => keys(section).into_iter().map(|key| format!("{name}.{key}")).collect(),
        None => vec![name.clone()],
    };
    table.iter().flat_map(under).collect()
}

/// Paths that a page does not name.
fn unwritten<'a>(page: &str, paths: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let named =
        |path: &str| page.match_indices(path).any(|(at, _)| page[at + path.len()..].starts_with(['`', ',', ' ', '?']));
    paths.into_iter().filter(|path| !named(path)).collect()
}

/// Whole lines that a page must have and has not.
fn missing_rows(page: &str, rows: impl IntoIterator<Item = String>, path: &str) -> Vec<String> {
    let lines: BTreeSet<&str> = page.lines().collect();
    rows.into_iter()
        .filter(|row| !lines.contains(row.as_str()))
        .map(|row| format!("{path} needs the line {row}"))
        .collect()
}

/// Paths between backticks that lead nowhere.
fn dead_paths(file: &File) -> Vec<String> {
    const FOLDERS: [&str; 7] = ["src/", "tests/", "docs/", "config/", "loadtest/", "benches/", ".ci/"];
    let quoted = file.text.split('`').skip(1).step_by(2);
    let paths = quoted
        .filter(|path| FOLDERS.iter().any(|folder| path.starts_with(folder)) && !path.contains([' ', '<', '*', '…']));
    let dead = paths.filter(|path| !root().join(path).exists());
    dead.map(|path| format!("{}: there is no {path}", file.path)).collect()
}

/// The names in backticks that begin a table's rows.
fn table_names(section: &str) -> BTreeSet<String> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

fn differences(left: &BTreeSet<String>, right: &BTreeSet<String>, said: &str, other: &str) -> Vec<String> {
    let missing = left.difference(right).map(|name| format!("`{name}` stands in {said}, not in {other}"));
    missing.chain(right.difference(left).map(|name| format!("`{name}` stands in {other}, not in {said}"))).collect()
}

fn dependencies(manifest: &str) -> BTreeSet<String> {
    let table: toml::Table = manifest.parse().unwrap();
    let tables = ["dependencies", "dev-dependencies"].into_iter().filter_map(|name| table.get(name)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

/// Dependencies that the code never names.
fn idle(code: &str, dependencies: impl IntoIterator<Item = String>) -> Vec<String> {
    let used = |name: &String| {
        let path = format!("{}::", name.replace('-', "_"));
        code.match_indices(&path).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    dependencies.into_iter().filter(|name| !used(name)).collect()
}

/// `NAME = "ID"` pairs of the invariants' table.
fn invariant_names(source: &str) -> Vec<(String, String)> {
    let rows = source.lines().filter_map(|line| {
        let (name, rest) = line.trim().split_once(" = \"")?;
        let (id, _) = rest.split_once('"')?;
        name.chars().all(|c| c.is_ascii_uppercase() || c == '_').then(|| (name.to_owned(), id.to_owned()))
    });
    rows.collect()
}

/// Relative links of a Markdown file that lead nowhere.
fn dead_links(file: &File) -> Vec<String> {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let links = file.text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
    let relative = links.filter(|link| !link.contains("://") && !link.starts_with(['#', '/']) && !link.contains(' '));
    let dead = relative.filter(|link| {
        let target = link.split('#').next().unwrap_or_default();
        !root().join(folder).join(target).exists()
    });
    dead.map(|link| format!("{}: the link {link} leads nowhere", file.path)).collect()
}

/// Everything that is written for people to read.
fn pages() -> Vec<File> {
    let mut pages = files(&["docs", "benches", "tests"], ".md");
    for path in ["README.md", ARCHITECTURE, "CHANGELOG.md"] {
        pages.push(File { path: path.to_owned(), text: read(path) });
    }
    pages
}

/// Rows of one table that begin alike, and long lines that stand twice: what a merge leaves behind.
fn told_twice(page: &File) -> Vec<String> {
    let (mut rows, mut lines, mut complaints) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for line in page.text.lines() {
        let row = line.strip_prefix('|').and_then(|row| row.split('|').next());
        match row {
            Some(first) if !first.trim().is_empty() && !rows.insert(first) => {
                complaints.push(format!("{}: two rows of {}", page.path, first.trim()));
            }
            Some(_) => {}
            None => rows.clear(),
        }
        if row.is_none() && line.len() > 80 && !lines.insert(line) {
            complaints.push(format!("{}: twice: {line}", page.path));
        }
    }
    complaints
}

#[test]
fn every_config_key_is_shown_and_explained() {
    assert_eq!(undocumented_keys("# Good.\na = 1\nb = 2\n[x]\n\nc_s = 3").len(), 2);
    let sample = keys(&"a = 1\n[b]\nc = 2".parse().unwrap());
    assert_eq!(differences(&sample, &["a".to_owned()].into(), "one", "other").len(), 1, "{sample:?}");

    let text = read(CONFIG);
    let shown = keys(&text.parse().unwrap());
    let known = keys(&toml::Table::try_from(Config::default()).unwrap());
    assert!(known.len() > 10, "the configuration was read as {known:?}");
    let mut complaints = undocumented_keys(&text);
    complaints.extend(differences(&known, &shown, "src/config.rs", CONFIG));
    hold(complaints);
}

#[test]
fn every_metric_is_described() {
    assert_eq!(literals(r#"describe("castellan_a_total", "castellan_b.toml");"#, is_metric).len(), 1);
    assert_eq!(missing_rows("| a |\n", ["| a |".to_owned(), "| b |".to_owned()], "a.md").len(), 1);

    let rows = metrics::ALL.iter().map(|metric| {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        let unit = format!("{:?}", metric.unit).to_lowercase();
        let kind = format!("{:?}", metric.kind).to_lowercase();
        format!("| `{}` | {kind} | {unit} | {labels} | {} |", metric.name, metric.says)
    });
    let page = "docs/metrics.md";
    let mut complaints = missing_rows(&read(page), rows, page);
    let known: BTreeSet<String> = metrics::ALL.iter().map(|metric| metric.name.to_owned()).collect();
    for file in files(&["src", "docs", "config"], "") {
        let strays = literals(&file.text, is_metric).into_iter().filter(|name| !known.contains(name));
        complaints.extend(strays.map(|name| format!("{}: `{name}` is not in src/metrics.rs", file.path)));
    }
    hold(complaints);
}

/// `boxes.key.picked_up`, as the contexts name their events.
fn is_event_type(name: &str) -> bool {
    name.contains('.') && name.split('.').all(is_snake)
}

#[test]
fn every_event_type_is_described() {
    assert_eq!(literals(r#"("a.b_c", json!({ "a": b }), "a.b.c", "tests/x.txt")"#, is_event_type).len(), 2);

    let page = read("docs/events.md");
    let described = table_names(&page);
    let files = files(&["src"], "/events.rs").into_iter().filter(|file| !file.path.contains("/tests/"));
    let told: BTreeSet<String> = files.flat_map(|file| literals(&file.text, is_event_type)).collect();
    assert!(told.len() > 40, "the events were read as {told:?}");
    let described = described.into_iter().filter(|name| is_event_type(name)).collect();
    hold(differences(&told, &described, "api/events.rs", "docs/events.md"));
}

#[test]
fn every_problem_has_a_page() {
    let found = literals(r#"("boxes.bin_occupied", "Castellan.toml", "request.x", "a/b.md")"#, is_problem_code);
    assert_eq!(found.len(), 2);
    assert_eq!(differences(&found, &["boxes.bin_occupied".to_owned()].into(), "a", "b").len(), 1);

    let codes = literals(&read("src/http/codes.rs"), is_problem_code);
    assert!(codes.len() > 10, "src/http/codes.rs was read as {codes:?}");
    let pages = files(&["docs/problems"], ".md");
    let named = pages.iter().map(|page| page.path["docs/problems/".len()..].trim_end_matches(".md").to_owned());
    let named = named.filter(|name| name != "README").collect();
    let mut complaints = differences(&codes, &named, "src/http/codes.rs", "docs/problems");
    for page in &pages {
        if !page.text.contains("## Is a repeat safe?") {
            complaints.push(format!("{}: does not say whether a repeat is safe", page.path));
        }
    }
    hold(complaints);
}

#[test]
fn every_route_is_written_down() {
    assert_eq!(unwritten("`GET /people/{person}` …", ["/people", "/people/{person}"]), ["/people"]);

    let (api, boxes) = (read("docs/api.md"), read("docs/box-protocol.md"));
    let paths = |prefix: &'static str| ROUTES.iter().filter_map(move |route| route.path.strip_prefix(prefix));
    let mut missing = unwritten(&api, paths("/api/v1"));
    missing.extend(unwritten(&boxes, ROUTES.iter().map(|route| route.path).filter(|path| path.starts_with("/box/"))));
    hold(missing.into_iter().map(|path| format!("the route {path} is in no document")).collect());
}

#[test]
fn every_dependency_says_what_it_saves() {
    let sample = dependencies("[dependencies]\na = \"1\"\nb = { version = \"2\" }\n[dev-dependencies]\nc = \"3\"");
    assert_eq!(differences(&sample, &table_names("| `a` | saves |\n| `b` | saves |"), "one", "other").len(), 1);

    let mut all: BTreeSet<String> =
        ["Cargo.toml", "loadtest/Cargo.toml"].iter().flat_map(|path| dependencies(&read(path))).collect();
    all.remove("castellan");
    let architecture = read(ARCHITECTURE);
    let (_, section) = architecture.split_once("\n## Dependencies").unwrap();
    hold(differences(&all, &table_names(section), "the manifests", ARCHITECTURE));
}

#[test]
fn no_dependency_is_idle() {
    assert_eq!(idle("use toml::Table;\n::metrics::counter!()", ["toml", "metrics", "tom"].map(str::to_owned)), ["tom"]);

    for (manifest, folders) in
        [("Cargo.toml", &["src", "tests", "benches"][..]), ("loadtest/Cargo.toml", &["loadtest"])]
    {
        let code: String = files(folders, ".rs").into_iter().map(|file| file.text).collect();
        let complaints = idle(&code, dependencies(&read(manifest)));
        hold(complaints.into_iter().map(|name| format!("{manifest}: nothing uses `{name}`")).collect());
    }
}

#[test]
fn every_invariant_is_listed_and_tested() {
    assert_eq!(invariant_names("  A_B = \"X-1\", \"says\";\nmacro_rules! x {"), [("A_B".to_owned(), "X-1".to_owned())]);

    let names = invariant_names(&read("src/kernel/invariants.rs"));
    assert_eq!(names.len(), invariants::ALL.len(), "the table was read as {names:?}");
    let tests: String = files(&["src", "tests", "loadtest"], ".rs")
        .into_iter()
        .filter(|file| !file.path.starts_with("src/kernel/") && !file.path.starts_with("tests/tidy"))
        .filter_map(|file| {
            let is_test = file.path.starts_with("tests/") || file.path.contains("/tests");
            if is_test {
                Some(file.text)
            } else {
                file.text.split_once("#[cfg(test)]").map(|(_, tests)| tests.to_owned())
            }
        })
        .collect();
    let rows = invariants::ALL.iter().map(|invariant| format!("| {} | {} |", invariant.id, invariant.says));
    let mut complaints = missing_rows(&read(ARCHITECTURE), rows, ARCHITECTURE);
    // Whoever calls a room's `check_invariants` tests all that stand in its `check.rs`.
    let is_called = tests.contains("check_invariants(");
    let checks = files(&["src"], "/check.rs").into_iter().filter(|_| is_called);
    let tests = checks.map(|file| file.text).fold(tests, |tests, check| tests + &check);
    for (name, id) in names {
        if !tests.contains(&name) && !tests.contains(&id) {
            complaints.push(format!("no test names {id} ({name})"));
        }
    }
    hold(complaints);
}

#[test]
fn links_and_paths_lead_somewhere() {
    let text =
        "[a](../nowhere.md) [b](../README.md#x) [c](https://x.example) `src/nowhere.rs` `src/lib.rs` `docs/<x>.md`";
    let bad = File { path: "docs/a.md".to_owned(), text: text.to_owned() };
    assert_eq!((dead_links(&bad).len(), dead_paths(&bad).len()), (1, 1));

    hold(pages().iter().flat_map(|page| [dead_links(page), dead_paths(page)].concat()).collect());
}

#[test]
fn nothing_is_told_twice() {
    let long = "x".repeat(81);
    let text = format!("| a | b |\n|---|---|\n| 1 | 2 |\n| 1 | 3 |\n{long}\n| 1 | 2 |\n\n{long}\n");
    let bad = File { path: "docs/a.md".to_owned(), text };
    assert_eq!(told_twice(&bad), ["docs/a.md: two rows of 1".to_owned(), format!("docs/a.md: twice: {long}")]);

    hold(pages().iter().flat_map(told_twice).collect());
}
