//! Lists as people take them away: CSV (RFC 4180, UTF-8) and NDJSON.

use serde_json::Value;
use std::borrow::Cow;

/// What a caller accepts, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Csv,
    Ndjson,
    EventStream,
    Html,
    Svg,
    Png,
}

impl Format {
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Ndjson => "application/x-ndjson",
            Self::EventStream => "text/event-stream",
            Self::Html => "text/html",
            Self::Svg => "image/svg+xml",
            Self::Png => "image/png",
        }
    }

    /// The same with its character set.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Html => "text/html; charset=utf-8",
            other => other.media_type(),
        }
    }
}

/// A spreadsheet must take a cell for text, whatever it begins with.
pub fn cell(text: &str) -> Cow<'_, str> {
    // One that begins with the mark already gets another, so that taking one off gives back what was there.
    if is_formula(text.trim_start_matches(MARK)) { Cow::Owned(format!("{MARK}{text}")) } else { Cow::Borrowed(text) }
}

/// Takes off what `cell` has put before a text.
pub fn uncell(text: &str) -> &str {
    match text.strip_prefix(MARK) {
        Some(rest) if is_formula(rest.trim_start_matches(MARK)) => rest,
        _ => text,
    }
}

const MARK: char = '\'';

fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// Rows of CSV as they are written, to be taken piece by piece.
pub struct Rows(csv::Writer<Vec<u8>>);

impl Default for Rows {
    fn default() -> Self {
        Self(csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new()))
    }
}

impl Rows {
    /// Every cell is made safe.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) {
        // Writing to a Vec cannot fail, and every row has as many cells as the first.
        let _ = self.0.write_record(cells.into_iter().map(|text| cell(text).into_owned()));
    }

    /// The members of an object that the columns name; a dot leads into an object. Numbers are no formulas.
    pub fn object(&mut self, columns: &[&str], object: &Value) {
        let cells = columns.iter().map(|column| {
            let found = column.split('.').try_fold(object, |value, name| value.get(name)).unwrap_or(&Value::Null);
            match found {
                Value::Null => Cow::Borrowed(""),
                Value::String(text) => cell(text),
                Value::Array(items) if items.iter().all(Value::is_string) => {
                    let words: Vec<_> = items.iter().filter_map(Value::as_str).collect();
                    Cow::Owned(cell(&words.join(" ")).into_owned())
                }
                other => Cow::Owned(other.to_string()),
            }
        });
        // Writing to a Vec cannot fail, and every row has as many cells as the first.
        let _ = self.0.write_record(cells.map(|cell| cell.into_owned()));
    }

    /// What was written since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self).0.into_inner().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        let mut rows = Rows::default();
        rows.row(["a", "b"]);
        rows.row(["=1+1", "-2"]);
        rows.row(["say \"hi\"", "one,two"]);
        assert_eq!(String::from_utf8(rows.take()).unwrap(), "a,b\r\n'=1+1,'-2\r\n\"say \"\"hi\"\"\",\"one,two\"\r\n");
        rows.row(["007", "@x"]);
        assert_eq!(rows.take(), b"007,'@x\r\n");
    }

    #[test]
    fn what_is_marked_is_given_back_as_it_was() {
        for text in ["=1+1", "'=1+1", "''-2", "'", "", "'x", "x", "-", "'@", "ü"] {
            assert_eq!(uncell(&cell(text)), text);
        }
    }

    #[test]
    fn objects_become_rows() {
        let mut rows = Rows::default();
        let object = serde_json::json!({
            "fob": "007", "n": -5, "flag": true, "none": null, "all": ["a", "b"], "in": {"name": "=SUM(A1)"},
        });
        rows.object(&["fob", "n", "flag", "none", "all", "in.name", "in.other", "in"], &object);
        let line = String::from_utf8(rows.take()).unwrap();
        assert_eq!(line, "007,-5,true,,a b,'=SUM(A1),,\"{\"\"name\"\":\"\"=SUM(A1)\"\"}\"\r\n");
    }
}
