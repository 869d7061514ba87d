//! What we ask of people the machine checks. Each rule is a function from text to complaints, tried on a bad sample
//! beside it, and then on the whole house.

#![allow(clippy::unwrap_used)]

#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/source.rs"]
mod source;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// One file, its path written from the root with `/`.
pub struct File {
    pub path: String,
    pub text: String,
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a file that must be there.
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file under these folders whose name ends so, sorted.
pub fn files(folders: &[&str], ending: &str) -> Vec<File> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&root().join(folder), ending, &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no {ending} files under {folders:?}: the rule would hold of nothing");
    found
}

fn walk(folder: &Path, ending: &str, found: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target" && name != "corpus" && name != "artifacts") {
                walk(&path, ending, found);
            }
        } else if path.to_string_lossy().ends_with(ending) {
            let relative = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            found.push(File { path: relative, text: fs::read_to_string(&path).unwrap() });
        }
    }
}

/// Fails with every complaint at once.
pub fn hold(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints:\n  {}", complaints.len(), complaints.join("\n  "));
}
