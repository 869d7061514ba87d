//! The body of a sync. What is not the protocol is refused whole; an entry of the right shape whose values make no
//! sense is kept as unreadable, so that one bad line does not hold up a journal for ever.

use super::schema::{FirmwareName, JournalHead, JournalSeq};
use crate::{
    boxes::{Act, By, Cursor, Entry, Fob, Health, JournalEntry, Label, Link, SEQ_MAX, SyncRequest},
    http::{
        Problem,
        body::{Object, from_json, object},
    },
    kernel::{
        ExchangeId, KeyId, PassId, PersonId, UnixMillis,
        schema::{FromOne64, Whole64},
    },
};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use std::{borrow::Cow, fmt};
use utoipa::ToSchema;

/// Entries that one sync may carry.
const ENTRIES_MAX: usize = 256;
const FIRMWARE_MAX: usize = 40;
/// How much of an unreadable value is kept.
const QUOTED_MAX: usize = 48;

/// Reads the body of a sync.
pub fn decode_sync(body: &[u8]) -> Result<SyncRequest, Problem> {
    let Sync { cursor, journal, clock_ms, health } = from_json(body)?;
    let HealthPart { battery_percent, mains, link, firmware } = health;
    if journal.head > SEQ_MAX {
        return Err(Problem::malformed("/journal/head".to_owned(), format!("expected at most {SEQ_MAX}")));
    }
    if let Some(kept_from) = journal.kept_from {
        let first = journal.entries.iter().map(Entry::seq).min().unwrap_or(u64::MAX);
        let whole = (1..=journal.head.saturating_add(1)).contains(&kept_from) && kept_from <= first;
        if !whole {
            let why = "expected a number from 1 on, not behind the first entry nor far behind `head`";
            return Err(Problem::malformed("/journal/kept_from".to_owned(), why.to_owned()));
        }
    }
    Ok(SyncRequest {
        cursor: cursor.map(|cursor| cursor.0),
        head: journal.head,
        kept_from: journal.kept_from,
        more: journal.more,
        entries: journal.entries.into_boxed_slice(),
        clock: UnixMillis(clock_ms),
        health: Health {
            battery_percent: battery_percent.map(|percent| percent.0),
            mains,
            link,
            firmware: firmware.map(|firmware| firmware.0),
        },
    })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sync {
    /// The state that the box has stored; none: `null`.
    #[schema(value_type = Option<Cursor>)]
    cursor: Option<CursorText>,
    #[serde(deserialize_with = "object")]
    journal: Journal,
    #[schema(value_type = Whole64)]
    clock_ms: u64,
    #[serde(default, deserialize_with = "object")]
    health: HealthPart,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Journal {
    /// The last sequence number that the box has ever written; none: 0.
    #[schema(value_type = JournalHead)]
    head: u64,
    /// The first sequence number that the box still has.
    #[schema(value_type = Option<FromOne64>)]
    kept_from: Option<u64>,
    #[serde(default)]
    more: bool,
    #[serde(default, deserialize_with = "entries")]
    #[schema(value_type = Vec<Line>, max_items = 256)]
    entries: Vec<Entry>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HealthTold)]
struct HealthPart {
    #[schema(value_type = Option<u8>, maximum = 100)]
    battery_percent: Option<Percent>,
    mains: Option<bool>,
    link: Option<Link>,
    #[schema(value_type = Option<FirmwareName>)]
    firmware: Option<Firmware>,
}

/// One entry. Whatever its texts say it is taken: what makes no sense is kept as `unreadable`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = JournalEntry)]
struct Line<'a> {
    #[schema(value_type = JournalSeq)]
    seq: u64,
    #[schema(value_type = Whole64)]
    at_ms: u64,
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    cursor: Option<Text<'a>>,
    #[serde(borrow)]
    #[schema(value_type = String)]
    kind: Text<'a>,
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    bin: Option<Text<'a>>,
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    fob: Option<Text<'a>>,
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    person: Option<Text<'a>>,
    /// By what somebody was let in; absent: the box does not say.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    by: Option<Text<'a>>,
    /// With `by: pass`.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pass: Option<Text<'a>>,
    /// With `by: offline_code`: number of the sheet, and which code of its list.
    #[schema(value_type = Option<Whole64>)]
    sheet: Option<u64>,
    #[schema(value_type = Option<Whole64>)]
    counter: Option<u64>,
    /// The server had decided it.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    exchange: Option<Text<'a>>,
    /// Of a drop-off of a fob that no key has: the key that hangs on it, as whoever stood there has said.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    key: Option<Text<'a>>,
}

/// A text that stays where it stands in the body, unless it has escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

pub(super) struct CursorText(pub Cursor);

impl<'de> Deserialize<'de> for CursorText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::deserialize(deserializer)?.0.parse().map(Self).map_err(D::Error::custom)
    }
}

struct Percent(u8);

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            percent @ 0..=100 => Ok(Self(percent)),
            _ => Err(D::Error::custom("expected 0 to 100")),
        }
    }
}

struct Firmware(Box<str>);

impl<'de> Deserialize<'de> for Firmware {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        if text.len() > FIRMWARE_MAX || text.contains(char::is_control) {
            return Err(D::Error::custom(format!("expected at most {FIRMWARE_MAX} bytes without control characters")));
        }
        Ok(Self(text.into()))
    }
}

fn entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    struct Reader;
    impl<'de> Visitor<'de> for Reader {
        type Value = Vec<Entry>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {ENTRIES_MAX} entries")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Entry>, A::Error> {
            let mut entries = Vec::with_capacity(16);
            while let Some(Object(line)) = list.next_element::<Object<Line<'de>>>()? {
                if entries.len() == ENTRIES_MAX {
                    return Err(A::Error::invalid_length(ENTRIES_MAX + 1, &self));
                }
                entries.push(line.read().map_err(A::Error::custom)?);
            }
            Ok(entries)
        }
    }
    deserializer.deserialize_seq(Reader)
}

impl Line<'_> {
    /// An entry, or what is wrong with it. A line without a number is no line.
    fn read(&self) -> Result<Entry, &'static str> {
        if self.seq == 0 || self.seq > SEQ_MAX {
            return Err("sequence numbers are 1 to 1099511627775");
        }
        Ok(match self.understand() {
            Ok(entry) => Entry::Read(entry),
            Err(text) => Entry::Unreadable { seq: self.seq, text: text.into() },
        })
    }

    fn understand(&self) -> Result<JournalEntry, String> {
        let fob = || read::<Fob>("fob", self.fob.as_ref())?.ok_or_else(|| "`fob` is missing".to_owned());
        let act = match &*self.kind.0 {
            "pick_up" => Act::PickUp(fob()?),
            "drop_off" => Act::DropOff(fob()?),
            "opened" if self.fob.is_some() => return Err("`opened` has no `fob`".to_owned()),
            "opened" => Act::Opened,
            "opened_all" if self.fob.is_some() || self.bin.is_some() => {
                return Err("`opened_all` has neither `bin` nor `fob`".to_owned());
            }
            "opened_all" => Act::OpenedAll,
            other => return Err(format!("`kind` {} is not known", quoted(other))),
        };
        Ok(JournalEntry {
            seq: self.seq,
            at: UnixMillis(self.at_ms),
            cursor: read::<Cursor>("cursor", self.cursor.as_ref())?,
            act,
            bin: match act {
                Act::OpenedAll => None,
                _ => Some(read::<Label>("bin", self.bin.as_ref())?.ok_or_else(|| "`bin` is missing".to_owned())?),
            },
            person: read::<PersonId>("person", self.person.as_ref())?,
            by: self.by()?,
            exchange: read::<ExchangeId>("exchange", self.exchange.as_ref())?,
            named: match (act, read::<KeyId>("key", self.key.as_ref())?) {
                (Act::DropOff(_), named) => named,
                (_, None) => None,
                _ => return Err("only a `drop_off` has a `key`".to_owned()),
            },
        })
    }

    fn by(&self) -> Result<Option<By>, String> {
        let Some(Text(name)) = &self.by else { return Ok(None) };
        let number = |field: &str, number: Option<u64>| {
            number
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| format!("`{field}` is missing or too large"))
        };
        Ok(Some(match &**name {
            "access_code" => By::AccessCode,
            "badge" => By::Badge,
            "booking_code" => By::BookingCode,
            "key_code" => By::KeyCode,
            "pass" => {
                By::Pass(read::<PassId>("pass", self.pass.as_ref())?.ok_or_else(|| "`pass` is missing".to_owned())?)
            }
            "offline_code" => {
                By::OfflineCode { sheet: number("sheet", self.sheet)?, counter: number("counter", self.counter)? }
            }
            "personal_qr" => By::PersonalQr,
            other => return Err(format!("`by` {} is not known", quoted(other))),
        }))
    }
}

fn read<T: std::str::FromStr>(field: &str, text: Option<&Text<'_>>) -> Result<Option<T>, String> {
    let read = |text: &Text<'_>| text.0.parse().map_err(|_| format!("`{field}` {} cannot be read", quoted(&text.0)));
    text.map(read).transpose()
}

fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(QUOTED_MAX).collect::<String>())
}
