//! Lists as people take them away: CSV (RFC 4180, UTF-8) and NDJSON.

use std::borrow::Cow;

/// What a caller accepts, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Csv,
    Ndjson,
    EventStream,
}

impl Format {
    /// The first known type of an `Accept` header; JSON if there is none.
    pub fn of(accept: Option<&[u8]>) -> Self {
        let accept = accept.and_then(|accept| std::str::from_utf8(accept).ok()).unwrap_or_default();
        let named = accept.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
        named.filter_map(Self::named).next().unwrap_or(Self::Json)
    }

    fn named(media_type: &str) -> Option<Self> {
        let known = [Self::Json, Self::Csv, Self::Ndjson, Self::EventStream];
        known.into_iter().find(|known| known.media_type().eq_ignore_ascii_case(media_type))
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Ndjson => "application/x-ndjson",
            Self::EventStream => "text/event-stream",
        }
    }

    /// The same with its character set.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            other => other.media_type(),
        }
    }
}

/// A spreadsheet must take a cell for text, whatever it begins with.
pub fn cell(text: &str) -> Cow<'_, str> {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => Cow::Owned(format!("'{text}")),
        _ => Cow::Borrowed(text),
    }
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
    fn the_first_known_type_counts() {
        let of = |accept: &str| Format::of(Some(accept.as_bytes()));
        assert_eq!(of("text/html, text/csv;q=0.9, application/json"), Format::Csv);
        assert_eq!(of("text/event-stream"), Format::EventStream);
        assert_eq!((of("*/*"), of(""), Format::of(None)), (Format::Json, Format::Json, Format::Json));
    }
}
