//! Strict readers of the vendors' formats, written from their rules: what a phone would understand, or an error.

use crate::devices::provisioning::Vendor;
use roxmltree::{Document, Node};
use std::collections::BTreeMap;

pub(super) type Settings = BTreeMap<String, String>;

/// All that a configuration says, by names that tell place and line: `line[1]/PhoneNumber`, `reg.1.address`.
pub(super) fn read(vendor: Vendor, body: &[u8]) -> Result<Settings, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    match vendor {
        Vendor::Yealink => equals(text),
        Vendor::Aastra => colon(text),
        Vendor::Panasonic => quoted(text),
        Vendor::Patton => words(text),
        _ => xml(text),
    }
}

fn put(settings: &mut Settings, key: String, value: &str) -> Result<(), String> {
    match settings.insert(key.clone(), value.to_owned()) {
        None => Ok(()),
        Some(_) => Err(format!("{key} is set twice")),
    }
}

/// Elements that hold no others, by their path below the root; attributes behind `@`, the root's by their name alone;
/// Gigaset's items by their id.
fn xml(text: &str) -> Result<Settings, String> {
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    let mut settings = Settings::new();
    let root = document.root_element();
    for attribute in root.attributes() {
        put(&mut settings, attribute.name().to_owned(), attribute.value())?;
    }
    for child in root.children().filter(Node::is_element) {
        element(child, "", &mut settings)?;
    }
    Ok(settings)
}

fn element(node: Node<'_, '_>, above: &str, settings: &mut Settings) -> Result<(), String> {
    if let Some(id) = node.attribute("ID") {
        let value = node.attribute("value").ok_or("an item without a value")?;
        let text = value.strip_prefix('"').map(|text| text.strip_suffix('"').ok_or("a quotation mark too few"));
        let value = text.transpose()?.unwrap_or(value);
        if value.contains('"') {
            return Err(format!("{id}: a quotation mark within others"));
        }
        return put(settings, id.to_owned(), value);
    }
    let line = node.attribute("idx").or(node.attribute("index"));
    let name = node.tag_name().name();
    let path = line.map_or(format!("{above}{name}"), |line| format!("{above}{name}[{line}]"));
    for attribute in node.attributes().filter(|attribute| !["idx", "index"].contains(&attribute.name())) {
        put(settings, format!("{path}@{}", attribute.name()), attribute.value())?;
    }
    let mut children = node.children().filter(Node::is_element).peekable();
    if children.peek().is_none() {
        return put(settings, path, node.text().unwrap_or_default());
    }
    for child in children {
        element(child, &format!("{path}/"), settings)?;
    }
    Ok(())
}

/// Yealink: the header exactly so, comments, empty lines, `name = value`, `include:config "file"`.
fn equals(text: &str) -> Result<Settings, String> {
    let mut lines = text.strip_suffix('\n').ok_or("the last line has no end")?.split('\n');
    if lines.next() != Some("#!version:1.0.0.1") {
        return Err("the header is missing".to_owned());
    }
    let mut settings = Settings::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(file) = line.strip_prefix("include:config ") {
            let file =
                file.strip_prefix('"').and_then(|file| file.strip_suffix('"')).ok_or("an include without marks")?;
            put(&mut settings, "include:config".to_owned(), file)?;
            continue;
        }
        let (name, value) = line.split_once(" = ").ok_or_else(|| format!("no setting: {line:?}"))?;
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
        if name.is_empty() || !name.chars().all(named) || value.trim() != value || value.contains(char::is_control) {
            return Err(format!("no setting: {line:?}"));
        }
        put(&mut settings, name.to_owned(), value)?;
    }
    Ok(settings)
}

/// Mitel: `name: value`, the value in quotation marks or without any; a hash begins a comment wherever it stands.
fn colon(text: &str) -> Result<Settings, String> {
    let mut settings = Settings::new();
    for line in text.strip_suffix('\n').ok_or("the last line has no end")?.split('\n') {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| format!("no setting: {line:?}"))?;
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || " [|]".contains(c);
        if name.is_empty() || !name.chars().all(named) || value.contains(char::is_control) {
            return Err(format!("no setting: {line:?}"));
        }
        let value = value.strip_prefix(' ').unwrap_or(value);
        let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        if inner.unwrap_or(value).contains('"') || (inner.is_none() && value.contains('#')) || value.trim() != value {
            return Err(format!("no value: {line:?}"));
        }
        put(&mut settings, name.to_owned(), inner.unwrap_or(value))?;
    }
    Ok(settings)
}

/// Panasonic: the header, CRLF, an empty line at the end, `NAME="value"` without blanks around, and its lengths.
fn quoted(text: &str) -> Result<Settings, String> {
    if text.replace("\r\n", "").contains(['\r', '\n']) {
        return Err("a line does not end with CR LF".to_owned());
    }
    let lines: Vec<&str> = text.strip_suffix("\r\n").ok_or("the last line has no end")?.split("\r\n").collect();
    if !lines[0].starts_with("# Panasonic SIP Phone Standard Format File #") || !lines.ends_with(&[""]) {
        return Err("the header or the empty line at the end is missing".to_owned());
    }
    let mut settings = Settings::new();
    for line in lines.iter().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.split_once('=').ok_or_else(|| format!("no setting: {line:?}"))?;
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = value.filter(|value| !value.contains('"') && value.chars().count() <= 500);
        let value = value.ok_or_else(|| format!("no value: {line:?}"))?;
        let named = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || name.len() > 32 || !name.chars().all(named) || line.len() > 535 {
            return Err(format!("no setting: {line:?}"));
        }
        put(&mut settings, name.to_owned(), value)?;
    }
    Ok(settings)
}

/// Patton: a command a line. Each is a setting by its place: the commands above it that are less indented.
fn words(text: &str) -> Result<Settings, String> {
    let mut lines = text.strip_suffix('\n').ok_or("the last line has no end")?.split('\n');
    if lines.next() != Some("cli version 3.20") {
        return Err("the header is missing".to_owned());
    }
    let mut settings = Settings::new();
    let mut above: Vec<&str> = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let command = line.trim_start_matches(' ');
        let (depth, odd) = ((line.len() - command.len()) / 2, (line.len() - command.len()) % 2);
        if odd != 0 || depth > above.len() || !command.is_ascii() || command.contains(|c: char| c.is_control()) {
            return Err(format!("no command: {line:?}"));
        }
        let marks = command.matches('"').count();
        if marks % 2 != 0 || (marks > 0 && !command.ends_with('"')) {
            return Err(format!("quotation marks: {line:?}"));
        }
        above.truncate(depth);
        let place = above.join(" / ");
        above.push(command);
        // Contexts are entered more than once.
        settings.insert(if depth == 0 { command.to_owned() } else { format!("{place} / {command}") }, String::new());
    }
    Ok(settings)
}
