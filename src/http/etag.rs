//! Entity tags (RFC 9110, 8.8 and 13.1): what an answer shows, and what a caller wants to be so before anything happens.
//!
//! The tag of an object is `"<revision>.<hash>"`: the revision is the one that changes are checked against, the hash is of
//! the bytes shown. `If-Match` looks at the revision alone: what a person changes must not be refused because a battery
//! was measured meanwhile. `If-None-Match` of a GET looks at both.

use super::{codes::Code, problem::Problem};
use crate::kernel::{Condition, Named};
use actix_web::http::header::{self, HeaderMap, HeaderName};
use xxhash_rust::xxh3::xxh3_64;

/// What the tag of an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// An object, at the revision that changes of it are checked against.
    Object(u64),
    /// A view of several, which nothing changes as a whole.
    View,
}

impl Shows {
    /// The tag of these bytes.
    pub(super) fn tag(self, bytes: &[u8]) -> String {
        let hash = xxh3_64(bytes);
        match self {
            Self::Object(revision) => format!("\"{revision}.{hash:016x}\""),
            Self::View => format!("\"{hash:016x}\""),
        }
    }
}

/// The tag in an answer to a change: good for the next `If-Match`, equal to no GET's.
pub(super) fn of_change(revision: u64) -> String {
    format!("\"{revision}\"")
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag {
    weak: bool,
    /// Between the quotes.
    opaque: String,
}

impl Tag {
    /// The revision that our own tags begin with.
    fn revision(&self) -> Option<u64> {
        let digits = self.opaque.split_once('.').map_or(&*self.opaque, |(digits, _)| digits);
        let decent = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        digits.parse().ok().filter(|_| decent)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    These(Vec<Tag>),
}

/// More in one header are no honest question.
const TAGS_MAX: usize = 64;

impl Tags {
    /// `*`, or a list of tags over all lines of this header.
    fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Problem> {
        let mut lines = headers.get_all(name).peekable();
        if lines.peek().is_none() {
            return Ok(None);
        }
        let wrong = || Problem::detailed(Code::Malformed, format!("`{name}` is neither `*` nor a list of entity tags"));
        let mut tags = Vec::new();
        for line in lines {
            if line.as_bytes().trim_ascii() == b"*" && headers.get_all(name).count() == 1 {
                return Ok(Some(Self::Any));
            }
            read_list(line.as_bytes(), &mut tags).ok_or_else(wrong)?;
        }
        if tags.is_empty() || tags.len() > TAGS_MAX {
            return Err(wrong());
        }
        Ok(Some(Self::These(tags)))
    }

    /// What these say about revisions. A weak tag is never equal to what is to be matched (strong comparison).
    fn named(&self, strong: bool) -> Named {
        match self {
            Self::Any => Named::Any,
            Self::These(tags) => {
                Named::OneOf(tags.iter().filter(|tag| !(strong && tag.weak)).filter_map(Tag::revision).collect())
            }
        }
    }

    /// Weak comparison: `W/` does not count.
    fn include(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|known| tag.trim_matches('"') == known.opaque),
        }
    }
}

/// Reads `W/"a", "b"`; empty members are passed over.
fn read_list(line: &[u8], tags: &mut Vec<Tag>) -> Option<()> {
    let mut rest = line.trim_ascii();
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(b",") {
            rest = behind.trim_ascii_start();
            continue;
        }
        let (weak, quoted) = rest.strip_prefix(b"W/").map_or((false, rest), |quoted| (true, quoted));
        let quoted = quoted.strip_prefix(b"\"")?;
        let end = quoted.iter().position(|byte| *byte == b'"')?;
        let (opaque, behind) = (&quoted[..end], quoted[end + 1..].trim_ascii_start());
        if !opaque.iter().all(|byte| *byte == 0x21 || (0x23..=0x7e).contains(byte) || *byte >= 0x80) {
            return None;
        }
        if !(behind.is_empty() || behind.starts_with(b",")) || tags.len() > TAGS_MAX {
            return None;
        }
        tags.push(Tag { weak, opaque: String::from_utf8_lossy(opaque).into_owned() });
        rest = behind;
    }
    Some(())
}

/// `If-Match` and `If-None-Match` of one request.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    only: Option<Tags>,
    not: Option<Tags>,
}

/// What a GET comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Show,
    NotModified,
    Failed,
}

impl Conditions {
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(Self { only: Tags::of(headers, &header::IF_MATCH)?, not: Tags::of(headers, &header::IF_NONE_MATCH)? })
    }

    pub fn wants_a_match(&self) -> bool {
        self.only.is_some()
    }

    /// What an entity has to check before it decides.
    pub fn for_change(&self) -> Option<Box<Condition>> {
        if self.only.is_none() && self.not.is_none() {
            return None;
        }
        let only = self.only.as_ref().map(|tags| tags.named(true));
        Some(Box::new(Condition { only, not: self.not.as_ref().map(|tags| tags.named(false)) }))
    }

    /// What becomes of a GET whose answer has this tag.
    pub fn judge(&self, shows: Shows, tag: &str) -> Judged {
        let matches = |only: &Tags| match shows {
            Shows::Object(revision) => Condition { only: Some(only.named(true)), not: None }.holds(Some(revision)),
            Shows::View => only.include(tag),
        };
        if self.only.as_ref().is_some_and(|only| !matches(only)) {
            return Judged::Failed;
        }
        if self.not.as_ref().is_some_and(|not| not.include(tag)) {
            return Judged::NotModified;
        }
        Judged::Show
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn only(value: &str) -> Result<Option<Named>, Code> {
        let conditions = Conditions::of(&headers(&[("if-match", value)])).map_err(|problem| problem.code())?;
        Ok(conditions.for_change().and_then(|condition| condition.only))
    }

    #[test]
    fn lists_are_read_as_the_rfc_writes_them() {
        let one_of = |revisions: &[u64]| Ok(Some(Named::OneOf(revisions.into())));
        assert_eq!(only("*"), Ok(Some(Named::Any)));
        assert_eq!(only("\"12\""), one_of(&[12]));
        assert_eq!(only("\"12.00ff\" , \"13\""), one_of(&[12, 13]));
        assert_eq!(
            only(" , \"12\",,\"a,b\", "),
            one_of(&[12]),
            "a comma may stand inside, an empty member may be there"
        );
        assert_eq!(only("W/\"12\", \"13\""), one_of(&[13]), "a weak tag matches nothing");
        assert_eq!(
            only("\"\", \"012\", \"+1\", \"x.1\", \"99999999999999999999\""),
            one_of(&[]),
            "none of these is ours"
        );
        for wrong in ["", ",", "12", "\"12", "w/\"12\"", "\"a\" \"b\"", "\"a b\"", "*, \"1\"", "W/12", "\"a\"x"] {
            assert_eq!(only(wrong), Err(Code::Malformed), "{wrong}");
        }
        assert_eq!(only(&"\"1\",".repeat(200)), Err(Code::Malformed));
        let two_lines = headers(&[("if-match", "\"1\""), ("if-match", "\"2\"")]);
        let condition = Conditions::of(&two_lines).unwrap().for_change().unwrap();
        assert_eq!(condition.only, Some(Named::OneOf([1, 2].into())));
    }

    #[test]
    fn a_get_compares_the_whole_tag_and_a_change_the_revision() {
        let judge = |name, value: &str| {
            let tag = Shows::Object(7).tag(b"{}");
            let value = value.replace('T', tag.trim_matches('"'));
            Conditions::of(&headers(&[(name, &value)])).unwrap().judge(Shows::Object(7), &tag)
        };
        assert_eq!(judge("if-none-match", "\"T\""), Judged::NotModified);
        assert_eq!(judge("if-none-match", "\"x\", W/\"T\""), Judged::NotModified);
        assert_eq!(judge("if-none-match", "*"), Judged::NotModified);
        assert_eq!(judge("if-none-match", "\"7\""), Judged::Show, "as a change was answered: the bytes may be others");
        assert_eq!(judge("if-match", "\"7\""), Judged::Show);
        assert_eq!(judge("if-match", "\"7.ffff\""), Judged::Show);
        assert_eq!(judge("if-match", "\"8\""), Judged::Failed);
        assert_eq!(judge("if-match", "W/\"T\""), Judged::Failed);
        assert_ne!(Shows::Object(7).tag(b"{}"), Shows::Object(7).tag(b"{ }"));
        assert_ne!(Shows::View.tag(b"{}"), Shows::Object(7).tag(b"{}"));
    }
}
