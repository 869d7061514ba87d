//! The shapes of values that are text on the wire and more than text by their rules, as JSON Schema tells them. A field
//! names one of them with `#[schema(value_type = …)]`.

use std::borrow::Cow;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type, schema::AdditionalProperties},
};

const SECRET_EXAMPLE: &str = "cas_0123456789abcdefghjkmnpqrs_0123456789abcdefghjkmnpqrs_\
AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A text that matches a pattern (ECMA 262).
pub fn pattern(pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern))
}

/// One of these words.
pub fn words(words: &[&str]) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied()))
}

/// An object that takes no other fields.
pub fn closed() -> ObjectBuilder {
    ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

/// What `trim` takes off and is no control character, as a part of a character class.
pub const BLANKS: &str = r" \u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000";
pub const CONTROLS: &str = r"\u0000-\u001F\u007F-\u009F";

/// One line: no control characters, no blanks at the ends.
pub fn line(characters_max: usize) -> ObjectBuilder {
    pattern(&format!("^[^{CONTROLS}{BLANKS}]([^{CONTROLS}]*[^{CONTROLS}{BLANKS}])?$"))
        .min_length(Some(1))
        .max_length(Some(characters_max))
        .examples(["A-1"])
}

/// 1 to `N` characters on one line.
pub struct Text<const N: usize>;

impl<const N: usize> PartialSchema for Text<N> {
    fn schema() -> RefOr<Schema> {
        let said = format!("1 to {N} characters, no control characters, no blanks at the ends");
        line(N).description(Some(said)).into()
    }
}

impl<const N: usize> ToSchema for Text<N> {
    fn name() -> Cow<'static, str> {
        format!("Text{N}").into()
    }
}

/// The same, or nothing.
pub struct TextOrEmpty<const N: usize>;

impl<const N: usize> PartialSchema for TextOrEmpty<N> {
    fn schema() -> RefOr<Schema> {
        pattern(&format!("^([^{CONTROLS}{BLANKS}]([^{CONTROLS}]*[^{CONTROLS}{BLANKS}])?)?$"))
            .max_length(Some(N))
            .examples(["By the back door"])
            .description(Some(format!("At most {N} characters, no control characters, no blanks at the ends")))
            .into()
    }
}

impl<const N: usize> ToSchema for TextOrEmpty<N> {
    fn name() -> Cow<'static, str> {
        format!("TextOrEmpty{N}").into()
    }
}

/// Shapes that are types only to be named: what it is called, a sentence, its schema.
macro_rules! shapes {
    ($($name:ident, $about:literal, $schema:expr;)*) => {$(
        #[doc = $about]
        pub struct $name;

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $schema.description(Some($about)).into()
            }
        }

        impl utoipa::ToSchema for $name {}
    )*};
}
pub(crate) use shapes;

fn known(format: KnownFormat) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format)))
}

fn whole(least: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(usize::MAX))
}

shapes! {
    Password, "A password: at most 256 characters", text().max_length(Some(256)).format(Some(SchemaFormat::KnownFormat(KnownFormat::Password))).examples(["tre gatti sul tetto"]);
    Time, "RFC 3339 in UTC, with milliseconds",
        known(KnownFormat::DateTime).pattern(Some(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")).examples(["2026-11-01T08:00:00.000Z"]);
    TimeGiven, "RFC 3339 with any offset, not before 1970", known(KnownFormat::DateTime).examples(["2100-01-01T00:00:00Z"]);
    Zone, "The name of an IANA time zone, such as Europe/Rome",
        pattern("^[A-Za-z0-9_+/-]+$").max_length(Some(64)).format(Some(SchemaFormat::Custom("iana-time-zone".into()))).examples(["Europe/Rome"]);
    Whole16, "A whole number of 16 bits", whole(0).maximum(Some(u16::MAX as usize));
    InstallationPath, "Organisation and installation, as the answer that made it says", pattern("^[0-7][0-9a-hjkmnp-tv-z]{25}[0-7][0-9a-hjkmnp-tv-z]{25}$")
        .examples(["0224jemc59p0vq7ycjye040jny0224jemc59p0vq7ycjye040jnz"]);
    ReportToken, "What the address given to the gateway ends with", pattern("^[0-7][0-9a-hjkmnp-tv-z]{25}[0-7][0-9a-hjkmnp-tv-z]{51}[0-9a-f]{1,16}$")
        .examples(["0224jemc59p0vq7ycjye040jny0224jemc59p0vq7ycjye040jnz0123456789abcdefghjkmnpqrs1"]);
    Whole32, "A whole number of 32 bits", whole(0).maximum(Some(u32::MAX as usize));
    Whole64, "A whole number of 64 bits", whole(0);
    FromOne64, "A whole number of 64 bits, from 1", whole(1);
    FeedPlace, "A cursor of the feed", pattern("^[0-9]{1,19}-[0-9]{1,19}-[0-9]{1,9}(-[0-9]{1,9})?$").examples(["1-4711-3"]);
    Address, "A network address", text();
    Secret, "A token, shown once", pattern("^c(as|bx)_[0-9a-z]{26}_[0-9a-z]{26}_[A-Za-z0-9_-]{43}$").examples([SECRET_EXAMPLE]);
}
