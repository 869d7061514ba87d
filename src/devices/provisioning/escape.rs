//! Values in a file's format. A template's name says the format, and every value that it writes goes through here: what
//! a format cannot hold is an error, so that no value leaves its place.

use minijinja::{AutoEscape, Error, ErrorKind, Output, State, Value, value::ValueKind};

/// A file's format, by the end of its template's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `.xml.j2`
    Xml,
    /// `.xmlquoted.j2`: XML whose values stand in quotation marks of their own, which cannot be written in them.
    XmlQuoted,
    /// `.equals.j2`: `key = value`, to the end of the line.
    Equals,
    /// `.colon.j2`: `key: value`, to the end of the line.
    Colon,
    /// `.quoted.j2`: `KEY="value"`, and no way to write a quotation mark.
    Quoted,
    /// `.words.j2`: a command line of words.
    Words,
}

impl Format {
    const ALL: [Self; 6] = [Self::Xml, Self::XmlQuoted, Self::Equals, Self::Colon, Self::Quoted, Self::Words];

    fn ending(self) -> &'static str {
        match self {
            Self::Xml => ".xml.j2",
            Self::XmlQuoted => ".xmlquoted.j2",
            Self::Equals => ".equals.j2",
            Self::Colon => ".colon.j2",
            Self::Quoted => ".quoted.j2",
            Self::Words => ".words.j2",
        }
    }

    pub fn of(template: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| template.ends_with(format.ending()))
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Xml | Self::XmlQuoted => "text/xml; charset=utf-8",
            _ => "text/plain; charset=utf-8",
        }
    }

    /// A value as it is to be written; nothing where the format cannot hold it.
    pub fn escaped(self, value: &str) -> Option<String> {
        let whole = !value.chars().any(char::is_control);
        // Phones cut blanks off both ends.
        let bare = whole && value.trim() == value;
        let fits = match self {
            Self::Xml => whole && !value.contains(NO_XML),
            Self::XmlQuoted => whole && !value.contains(NO_XML) && !value.contains('"'),
            // Yealink's own words for "back to the default" and "empty".
            Self::Equals => bare && !matches!(value, "%NULL%" | "%EMPTY%"),
            // Mitel takes quotation marks for its own, and what follows a hash for a comment.
            Self::Colon => bare && !value.contains(['"', '#']),
            // Panasonic skips lines that are longer.
            Self::Quoted => whole && !value.contains('"') && value.len() <= 500,
            Self::Words => {
                let word = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@:/*+~=%,!".contains(&byte);
                !value.is_empty() && value.bytes().all(word)
            }
        };
        if !fits {
            return None;
        }
        if !matches!(self, Self::Xml | Self::XmlQuoted) {
            return Some(value.to_owned());
        }
        let mut out = String::with_capacity(value.len() + 8);
        for c in value.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&apos;"),
                other => out.push(other),
            }
        }
        Some(out)
    }

    /// A text for people, made to fit: it may lose characters, and what no display shows.
    pub fn tamed(self, text: &str) -> String {
        let tame = |c: char| match c {
            _ if c.is_control() || NO_XML.contains(&c) => ' ',
            '"' if self != Self::Xml => '\'',
            '#' if self == Self::Colon => ' ',
            _ if self == Self::Words && !c.is_ascii_alphanumeric() => '_',
            other => other,
        };
        let tamed: String = text.chars().map(tame).collect();
        let cut: String = tamed.trim().chars().take(LONGEST_TEXT_CHARS).collect();
        match cut.trim_end() {
            "" => "-".to_owned(),
            "%NULL%" | "%EMPTY%" if self == Self::Equals => "-".to_owned(),
            text => text.to_owned(),
        }
    }

    pub fn with_line_ends(self, text: String) -> String {
        if self == Self::Quoted { text.replace('\n', "\r\n") } else { text }
    }
}

const LONGEST_TEXT_CHARS: usize = 64;

/// What XML has no way to write, besides control characters.
const NO_XML: [char; 2] = ['\u{fffe}', '\u{ffff}'];

/// The name under which minijinja carries a format.
pub(super) fn auto_escape(template: &str) -> AutoEscape {
    Format::of(template).map_or(AutoEscape::None, |format| AutoEscape::Custom(format.ending()))
}

/// Writes a value. Templates have no way around it: the filters that mark text as safe are taken away, and a block that
/// switches escaping off makes everything in it an error.
pub(super) fn write(out: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    let wrong = |what: &str| Error::new(ErrorKind::BadEscape, what.to_owned());
    let AutoEscape::Custom(ending) = state.auto_escape() else {
        return Err(wrong("a value stands where no format is known"));
    };
    let format = Format::of(ending).ok_or_else(|| wrong("this is no format of a configuration"))?;
    if matches!(value.kind(), ValueKind::None | ValueKind::Undefined) {
        return Err(wrong("a value is missing"));
    }
    // What a macro or a block has written went through here already.
    if value.is_safe() {
        return Ok(write!(out, "{value}")?);
    }
    let written = value.as_str().map_or_else(|| format.escaped(&value.to_string()), |text| format.escaped(text));
    let written = written.ok_or_else(|| wrong("a value has characters that this format cannot hold"))?;
    Ok(out.write_str(&written)?)
}
