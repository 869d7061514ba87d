//! What values may come over the wire: each check adds what is wrong to a list, so that all is told at once.

use crate::{
    http::{FieldError, Problem},
    kernel::schema::{BLANKS, CONTROLS, pattern, shapes, words},
};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use utoipa::openapi::ObjectBuilder;

/// Gathers what is wrong in a body.
#[derive(Default)]
pub struct Wrong(Vec<FieldError>);

impl Wrong {
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) {
        self.0.push(FieldError { pointer: pointer.into(), detail: detail.into() });
    }

    pub fn unless(&mut self, right: bool, pointer: &str, detail: &'static str) {
        if !right {
            self.add(pointer, detail);
        }
    }

    pub fn check(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::fields(self.0)) }
    }
}

/// A field that may be absent (`None`), null (`Some(None)`) or there.
pub fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// 1 to `max` characters, no control characters, no blanks at the ends.
pub fn is_text(text: &str, max: usize) -> bool {
    !text.is_empty()
        && text.chars().count() <= max
        && text.trim().len() == text.len()
        && !text.contains(char::is_control)
}

/// Checks one text.
pub fn text(wrong: &mut Wrong, pointer: &str, value: &str, max: usize) {
    if !is_text(value, max) {
        wrong.add(pointer, format!("expected 1 to {max} characters, no control characters, no blanks at the ends"));
    }
}

/// Checks the name of a time zone.
pub fn checked_zone(wrong: &mut Wrong, pointer: &str, name: &str) {
    let known = name.len() <= 64 && jiff::tz::TimeZone::get(name).is_ok_and(|zone| zone.iana_name().is_some());
    wrong.unless(known, pointer, "expected an IANA time zone, such as Europe/Rome");
}

const EMAIL_MAX: usize = 254;

pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let clean = |part: &str| {
        !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control() || "<>,;\"@".contains(c))
    };
    text.len() <= EMAIL_MAX
        && clean(local)
        && clean(domain)
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
}

/// E.164: a plus and 8 to 15 digits.
pub fn is_mobile(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (8..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

pub fn is_pin(text: &str) -> bool {
    (4..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub fn is_access_code(text: &str) -> bool {
    (6..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// As `is_email` reads it.
fn email() -> ObjectBuilder {
    let part = |but: &str| format!(r#"[^{CONTROLS}{BLANKS}<>,;"@{but}]"#);
    let (any, not_dot) = (part(""), part("."));
    pattern(&format!(r"^{any}+@{not_dot}{any}*\.{any}*{not_dot}$"))
        .max_length(Some(EMAIL_MAX))
        .examples(["anna@rossi.example"])
}

shapes! {
    Email, "An e-mail address: one `@`, no blanks, a domain with a dot", email();
    Mobile, "A number as E.164 writes it, such as +390212345678", pattern(r"^\+[1-9][0-9]{7,14}$").examples(["+390212345678"]);
    Pin, "4 to 8 digits", pattern("^[0-9]{4,8}$").examples(["2468"]);
    AccessCode, "6 to 12 digits", pattern("^[0-9]{6,12}$").examples(["240117"]);
    AssignedRole, "Any role but `owner`: an organisation has exactly one, named when it is made",
        words(&["admin", "location_admin", "user", "viewer"]);
}
