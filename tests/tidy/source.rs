//! Rules about the code: which room knows what, what the pure core must not do, how long a file may be.

use crate::{File, files, hold};

const LONGEST_FILE_LINES: usize = 500;
const CONTEXTS: [&str; 3] = ["orgs", "boxes", "delivery/webhooks"];

/// The text with comments and the insides of literals blanked, so that only code is judged. Lines stay lines.
fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let blank = |out: &mut String, from: usize, to: usize| {
        out.extend(chars[from..to].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
    };
    while at < chars.len() {
        let rest = &chars[at..];
        let start = at;
        let before = at.checked_sub(1).map(|i| chars[i]);
        let word_before = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
        if rest.starts_with(&['/', '/']) {
            at += rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
        } else if rest.starts_with(&['/', '*']) {
            let mut depth = 0;
            loop {
                match chars.get(at..at + 2) {
                    Some(['/', '*']) => (depth, at) = (depth + 1, at + 2),
                    Some(['*', '/']) => (depth, at) = (depth - 1, at + 2),
                    Some(_) => at += 1,
                    None => at = chars.len(),
                }
                if depth == 0 || at >= chars.len() {
                    break;
                }
            }
        } else if let Some(hashes) = raw_string_hashes(rest).filter(|_| !word_before || before == Some('b')) {
            let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            at += hashes + 2;
            while at < chars.len() && !chars[at..].starts_with(&end) {
                at += 1;
            }
            at = (at + end.len()).min(chars.len());
        } else if rest[0] == '"' {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            at = (at + 1).min(chars.len());
        } else if rest[0] == '\'' && (rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'')) {
            at += if rest.get(1) == Some(&'\\') { 3 } else { 2 };
            while at < chars.len() && chars[at] != '\'' {
                at += 1;
            }
            at = (at + 1).min(chars.len());
        } else {
            out.push(rest[0]);
            at += 1;
            continue;
        }
        blank(&mut out, start, at);
    }
    out
}

/// How many hashes open the raw string that starts here, if one does.
fn raw_string_hashes(rest: &[char]) -> Option<usize> {
    let hashes = rest.strip_prefix(&['r'])?.iter().take_while(|c| **c == '#').count();
    (rest.get(hashes + 1) == Some(&'"')).then_some(hashes)
}

/// Where `word` stands as a whole word (it may hold `::`), as line numbers.
fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let has = |line: &str| {
        line.match_indices(word)
            .any(|(at, _)| !part(line[..at].chars().next_back()) && !part(line[at + word.len()..].chars().next()))
    };
    code.lines().enumerate().filter(|(_, line)| has(line)).map(|(number, _)| number + 1).collect()
}

fn complain(file: &File, words: &[&str], why: &str) -> Vec<String> {
    let code = code(&file.text);
    words
        .iter()
        .flat_map(|word| lines_with(&code, word).into_iter().map(move |line| (word, line)))
        .map(|(word, line)| format!("{}:{line}: `{word}`: {why}", file.path))
        .collect()
}

fn rooms(file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    if !file.path.starts_with("src/store/") {
        complaints.extend(complain(file, &["rocksdb"], "only src/store/ knows RocksDB"));
    }
    if !file.path.starts_with("src/http/") {
        complaints.extend(complain(file, &["actix_web", "actix_http"], "only src/http/ knows actix-web"));
    }
    if file.path != "src/kernel/time.rs" {
        complaints.extend(complain(file, &["SystemTime::now", "Instant::now"], "only kernel/time.rs reads a clock"));
    }
    if file.path.starts_with("src/kernel/") {
        let contexts = ["crate::engine", "crate::store", "crate::http", "crate::orgs", "crate::boxes", "crate::app"];
        complaints.extend(complain(file, &contexts, "the kernel knows no room"));
    }
    complaints
}

/// All of a context but its `api`, its tests and its background work.
fn is_pure(path: &str) -> bool {
    let inside = CONTEXTS.iter().find_map(|context| path.strip_prefix(&format!("src/{context}/")));
    let shell = |file: &str| ["api", "dispatch", "census"].iter().any(|room| file.starts_with(room));
    inside.is_some_and(|file| !shell(file) && !file.contains("tests"))
}

fn pure_core(file: &File) -> Vec<String> {
    let words = [
        "SystemTime",
        "Instant",
        "Clock",
        "Chance",
        "getrandom",
        "async",
        "await",
        "tokio",
        "actix",
        "std::fs",
        "Mutex",
    ];
    if is_pure(&file.path) { complain(file, &words, "the core decides, the shell acts") } else { Vec::new() }
}

fn contexts_keep_apart(file: &File) -> Vec<String> {
    let Some(own) = CONTEXTS.iter().find(|context| file.path.starts_with(&format!("src/{context}/"))) else {
        return Vec::new();
    };
    let inner: Vec<String> =
        CONTEXTS.iter().filter(|other| *other != own).map(|other| format!("crate::{other}::state")).collect();
    let words: Vec<&str> = inner.iter().map(String::as_str).collect();
    complain(file, &words, "a context reaches another through ids, its facade and messages")
}

fn length(file: &File) -> Vec<String> {
    let lines = file.text.lines().count();
    let comment: String =
        file.text.lines().take_while(|line| line.starts_with("//")).collect::<Vec<_>>().join(" ").to_lowercase();
    if lines <= LONGEST_FILE_LINES || comment.contains("one file because") {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines; split it, or say in the first comment `One file because …`", file.path)]
}

fn unfinished(file: &File) -> Vec<String> {
    let mut complaints = complain(file, &["todo!", "unimplemented!", "dbg!"], "nothing half-built stays");
    complaints.extend(complain(file, &["#[ignore"], "a test runs or is deleted"));
    // Spelt in two halves, so that this file passes its own rule.
    for word in [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X")] {
        let lines = lines_with(&file.text, word);
        complaints.extend(lines.into_iter().map(|line| format!("{}:{line}: `{word}`: do it or delete it", file.path)));
    }
    complaints
}

/// What refuses unknown fields and is no request: the configuration, a backup's manifest, examples in tests.
const NO_WIRE: [&str; 3] = ["src/config.rs", "src/operations/manifest.rs", "src/http/body.rs"];
/// Whose schema is written by hand: `Grant` and `FirstGrant`, and the two parameters of every list.
const BY_HAND: [&str; 2] = ["NewAccess", "PageQuery"];

/// What comes over the wire says so in the OpenAPI document too: whoever refuses unknown fields derives its schema.
fn undocumented(file: &File) -> Vec<String> {
    let lines: Vec<&str> = file.text.lines().collect();
    let refuses = lines.iter().enumerate().filter(|(_, line)| line.trim().starts_with("#[serde(deny_unknown_fields"));
    let of_an_item = |at: usize| {
        let is_attribute = |line: &&&str| line.trim().starts_with('#');
        let before = lines[..at].iter().rev().take_while(is_attribute);
        let behind = lines[at..].iter().take_while(is_attribute);
        before.chain(behind).any(|line| line.contains("ToSchema") || line.contains("IntoParams"))
    };
    let is_by_hand = |at: usize| {
        let item = lines[at..].iter().find(|line| line.contains("struct ") || line.contains("enum "));
        item.is_some_and(|item| BY_HAND.iter().any(|name| item.contains(name)))
    };
    let bad = refuses.filter(|(at, _)| !of_an_item(*at) && !is_by_hand(*at));
    bad.map(|(at, _)| format!("{}:{}: derive ToSchema or IntoParams", file.path, at + 1)).collect()
}

fn everywhere(rule: impl Fn(&File) -> Vec<String>, folders: &[&str]) {
    hold(files(folders, ".rs").iter().flat_map(rule).collect());
}

fn sample(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn only_code_is_judged() {
    let text = "let a = \"rocksdb\"; // rocksdb\n/* rocksdb /* rocksdb */ */ let b = r#\"a \" rocksdb\"#;\nlet c = '\"'; rocksdb('\\'', x::<'a>);";
    assert_eq!(lines_with(&code(text), "rocksdb"), [3]);
    assert_eq!(code(text).lines().count(), 3);
    assert_eq!(lines_with("librocksdb rocksdb_sys", "rocksdb"), [0usize; 0]);
}

#[test]
fn rooms_know_only_their_own() {
    assert_eq!(rooms(&sample("src/boxes/api.rs", "use rocksdb::DB;")).len(), 1);
    assert_eq!(rooms(&sample("src/engine/mod.rs", "use actix_web::web;\nlet now = SystemTime::now();")).len(), 2);
    assert_eq!(rooms(&sample("src/kernel/ids.rs", "use crate::store::Keys;")).len(), 1);
    assert!(rooms(&sample("src/store/mod.rs", "use rocksdb::DB;")).is_empty());
    everywhere(rooms, &["src"]);
}

#[test]
fn the_core_is_pure() {
    assert_eq!(pure_core(&sample("src/boxes/state.rs", "async fn decide() { x.await }")).len(), 2);
    assert_eq!(pure_core(&sample("src/boxes/decide/sync.rs", "let id = Chance::system().id();")).len(), 1);
    assert_eq!(pure_core(&sample("src/orgs/effects.rs", "fn f(clock: &Clock) {}")).len(), 1);
    assert!(pure_core(&sample("src/boxes/api.rs", "async fn sync() {}")).is_empty());
    everywhere(pure_core, &["src"]);
    for context in CONTEXTS {
        assert!(
            files(&[&format!("src/{context}")], ".rs").iter().any(|file| is_pure(&file.path)),
            "{context} has no pure core"
        );
    }
}

#[test]
fn contexts_keep_to_themselves() {
    assert_eq!(contexts_keep_apart(&sample("src/orgs/api.rs", "use crate::boxes::state::Bin;")).len(), 1);
    assert!(contexts_keep_apart(&sample("src/boxes/api.rs", "use crate::boxes::state::Bin;")).is_empty());
    everywhere(contexts_keep_apart, &["src"]);
}

#[test]
fn files_stay_short() {
    let long = "fn f() {}\n".repeat(LONGEST_FILE_LINES + 1);
    assert_eq!(length(&sample("src/a.rs", &long)).len(), 1);
    assert!(length(&sample("src/a.rs", &format!("//! One file because the table is one.\n{long}"))).is_empty());
    everywhere(length, &["src", "tests", "loadtest", "benches"]);
}

#[test]
fn nothing_is_left_half_built() {
    let bad = format!("// {}: later\n#[ignore]\nfn f() {{ todo!() }}", concat!("FIX", "ME"));
    assert_eq!(unfinished(&sample("src/a.rs", &bad)).len(), 3);
    everywhere(unfinished, &["src", "tests", "loadtest", "benches"]);
}

#[test]
fn every_type_of_the_wire_is_in_the_openapi_document() {
    let of = |derives: &str| format!("#[derive({derives})]\n#[serde(deny_unknown_fields)]\nstruct Body {{}}");
    assert_eq!(undocumented(&sample("src/orgs/api/people.rs", &of("Deserialize"))).len(), 1);
    assert!(undocumented(&sample("src/orgs/api/people.rs", &of("Deserialize, ToSchema"))).is_empty());
    let wire = |file: &&File| !NO_WIRE.contains(&&*file.path);
    hold(files(&["src"], ".rs").iter().filter(wire).flat_map(undocumented).collect());
}
