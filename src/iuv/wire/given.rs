//! What a request gives: from a query as customers write it, or from a JSON object. Nothing is judged here but whether
//! a value can be read.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;
use std::fmt;

/// The parameters that the protocol knows, in the order of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Known {
    Account,
    UserName,
    Key,
    AcademicStatuses,
    Email,
    LastName,
    FirstName,
    ShopperIp,
    MemberOrg,
}

impl Known {
    pub const ALL: [Self; 9] = [
        Self::Account,
        Self::UserName,
        Self::Key,
        Self::AcademicStatuses,
        Self::Email,
        Self::LastName,
        Self::FirstName,
        Self::ShopperIp,
        Self::MemberOrg,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::UserName => "username",
            Self::Key => "key",
            Self::AcademicStatuses => "academic_statuses",
            Self::Email => "email",
            Self::LastName => "last_name",
            Self::FirstName => "first_name",
            Self::ShopperIp => "shopper_ip",
            Self::MemberOrg => "member_org",
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Slot {
    #[default]
    Absent,
    One(String),
    /// There several times with different values, or no text.
    Unfit,
}

impl Slot {
    fn add(&mut self, value: Option<String>) {
        *self = match (std::mem::take(self), value) {
            (Self::Absent, Some(value)) => Self::One(value),
            (Self::One(before), Some(value)) if before == value => Self::One(before),
            _ => Self::Unfit,
        };
    }

    /// What is there and not empty.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::One(text) if !text.trim().is_empty() => Some(text),
            _ => None,
        }
    }

    pub fn is_there(&self) -> bool {
        *self != Self::Absent
    }

    /// It is there, and says nothing that could be read.
    pub fn is_empty(&self) -> bool {
        self.is_there() && self.text().is_none()
    }
}

/// Parameters of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    known: [Slot; 9],
    /// Everything else, by name in lower case: classes of user groups.
    pub others: Vec<(String, Slot)>,
    /// There were more than anybody needs; they were not read.
    pub too_many: bool,
}

/// Parameters that are read of one request.
const PARAMETERS_MAX: usize = 200;

impl Drop for Given {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        if let Slot::One(key) = &mut self.known[Known::Key as usize] {
            key.zeroize();
        }
    }
}

impl Given {
    pub fn get(&self, name: Known) -> &Slot {
        &self.known[name as usize]
    }

    /// Names in any case.
    fn add(&mut self, name: &str, value: Option<String>) {
        if let Some(known) = Known::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(name)) {
            return self.known[known as usize].add(value);
        }
        let name = name.to_ascii_lowercase();
        match self.others.iter_mut().find(|(other, _)| *other == name) {
            Some((_, slot)) => slot.add(value),
            None => {
                let mut slot = Slot::default();
                slot.add(value);
                self.others.push((name, slot));
            }
        }
    }

    /// A query, raw as it came. What stands behind a percent sign that is no number stays as it is.
    pub fn from_query(query: &[u8]) -> Self {
        let mut given = Self::default();
        let pairs = query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        for (number, pair) in pairs.enumerate() {
            if number >= PARAMETERS_MAX {
                given.too_many = true;
                break;
            }
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let name = decoded(parts.next().unwrap_or_default());
            let value = decoded(parts.next().unwrap_or_default());
            match name {
                Some(name) => given.add(&name, value),
                // A name that is no text is that of no class.
                None => given.add("\u{fffd}", value),
            }
        }
        given
    }

    /// A JSON object: texts, numbers, and lists of texts.
    pub fn from_json(body: &[u8]) -> Option<Self> {
        let pairs: Pairs = serde_json::from_slice(body).ok()?;
        let mut given = Self::default();
        for (number, (name, value)) in pairs.0.into_iter().enumerate() {
            if number >= PARAMETERS_MAX {
                given.too_many = true;
                break;
            }
            let value = match value {
                Value::Null => continue,
                Value::String(text) => Some(text),
                Value::Number(number) => Some(number.to_string()),
                Value::Array(items) => {
                    let texts: Option<Vec<_>> = items.iter().map(Value::as_str).collect();
                    texts.map(|texts| texts.join(","))
                }
                Value::Bool(_) | Value::Object(_) => None,
            };
            given.add(&name, value.filter(|text| is_clean(text)));
        }
        Some(given)
    }
}

/// Members of an object, those too that stand there twice.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

fn is_clean(text: &str) -> bool {
    !text.contains(char::is_control)
}

/// `%2B`, `+`; `None` for what is no text, or holds control characters.
pub fn decoded(raw: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        let escaped = || {
            let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
            let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_hex { u8::from_str_radix(digits, 16).ok() } else { None }
        };
        match first {
            b'+' => bytes.push(b' '),
            b'%' => match escaped() {
                Some(byte) => {
                    bytes.push(byte);
                    rest = &behind[2..];
                }
                None => bytes.push(b'%'),
            },
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok().filter(|text| is_clean(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> Slot {
        Slot::One(text.to_owned())
    }

    #[test]
    fn queries_are_read_as_customers_write_them() {
        let given = Given::from_query(
            "USERNAME=J%C3%BCrgen+O%27Neil&Key=a%2Bb&academic_statuses=students,faculty&email=a@b.example&email=a%40b.example&x=1&X=2&&first_name=Жанна"
                .as_bytes(),
        );
        assert_eq!(given.get(Known::UserName), &one("Jürgen O'Neil"));
        assert_eq!(given.get(Known::Key), &one("a+b"));
        assert_eq!(given.get(Known::AcademicStatuses), &one("students,faculty"));
        assert_eq!(given.get(Known::Email), &one("a@b.example"), "the same twice is once");
        assert_eq!(given.get(Known::FirstName), &one("Жанна"));
        assert_eq!(given.get(Known::Account), &Slot::Absent);
        assert_eq!(given.others, [("x".to_owned(), Slot::Unfit)]);
    }

    #[test]
    fn what_is_no_text_is_unfit() {
        for raw in [&b"username=%FF"[..], b"username=a%00b", b"username=\xff", b"username=a&username=b"] {
            assert_eq!(Given::from_query(raw).get(Known::UserName), &Slot::Unfit);
        }
        assert_eq!(Given::from_query(b"username=100%&key=%zz").get(Known::UserName), &one("100%"));
        assert_eq!(Given::from_query(b"%FF=1").others.len(), 1);
        assert!(Given::from_query("a=1&".repeat(10_000).as_bytes()).too_many);
    }

    #[test]
    fn json_gives_the_same() {
        let given = Given::from_json(
            r#"{"account":100001111,"userName":"x","academic_statuses":["students","staff"],"email":null,"key":"a","key":"b","z":{}}"#.as_bytes(),
        )
        .unwrap();
        assert_eq!(given.get(Known::Account), &one("100001111"));
        assert_eq!(given.get(Known::UserName), &one("x"));
        assert_eq!(given.get(Known::AcademicStatuses), &one("students,staff"));
        assert_eq!(given.get(Known::Email), &Slot::Absent);
        assert_eq!(given.get(Known::Key), &Slot::Unfit);
        assert_eq!(given.others, [("z".to_owned(), Slot::Unfit)]);
        for wrong in ["", "[]", "1", "{", "\"x\""] {
            assert!(Given::from_json(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(query: Vec<u8>) {
            Given::from_query(&query);
            Given::from_json(&query);
        }

        #[test]
        fn what_is_escaped_comes_back(text in "[^\\p{Cc}]*") {
            let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decoded(escaped.as_bytes()), Some(text));
        }
    }
}
