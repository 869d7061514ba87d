//! How a journal entry stands in its event. Most entries took place and need little: they are written as one byte
//! string, some 30 % shorter than the numbered fields in which all others stand, and all stood once. The log is mostly
//! made of them (ADR 0008).
//!
//! ```text
//! flags | seq | bin | fob | at, 6 bytes | at − box time | person, 16 | key, 16 | cursor: epoch, revision | flag
//! ```
//! One that says by what somebody was let in has 3 in the place of the act, and behind the flags a byte with the act and
//! by what; a pass (16 bytes), or the sheet and the counter of an offline code, stand at the end.
//!
//! The content's checksum is computed anew. Numbers are LEB128, the difference zigzag; texts carry their length; what a
//! flag bit denies is left out.

use super::{
    command::{Act, JournalEntry},
    event::Judged,
    judge::content_of_read,
    words::{By, Cursor, Flag, Outcome, Short},
};
use crate::kernel::{KeyId, PassId, PersonId, UnixMillis};
use minicbor::{
    Decode, Decoder, Encode, Encoder,
    data::Type,
    decode::Error,
    encode::{self, Write},
};

/// Two bits: pick-up, drop-off, opened; or that it stands in the byte behind.
const ACT: u8 = 0b11;
const BEHIND: u8 = 3;
const BY_SHIFT: u32 = 2;
const PERSON: u8 = 1 << 2;
const KEY: u8 = 1 << 3;
const CURSOR: u8 = 1 << 4;
const ESTIMATED: u8 = 1 << 5;
const LATE: u8 = 1 << 6;
const FLAGGED: u8 = 1 << 7;

/// Times of six bytes last until the year 10889.
const TIME_BYTES: usize = 6;
const TIME_MAX: u64 = 1 << (8 * TIME_BYTES);

pub(super) fn encode<C, W: Write>(
    judged: &Judged,
    e: &mut Encoder<W>,
    cx: &mut C,
) -> Result<(), encode::Error<W::Error>> {
    match brief(judged) {
        Some(bytes) => e.bytes(bytes.as_slice())?.ok(),
        None => judged.encode(e, cx),
    }
}

pub(super) fn decode<'b, C>(d: &mut Decoder<'b>, cx: &mut C) -> Result<Judged, Error> {
    if d.datatype()? != Type::Bytes {
        return Judged::decode(d, cx);
    }
    let bytes = d.bytes()?;
    Reader(bytes).judged().ok_or_else(|| Error::message("not a journal entry in brief"))
}

/// The longest brief entry, with room to spare.
const BYTES_MAX: usize = 192;

/// A few bytes on the stack.
struct Writer {
    bytes: [u8; BYTES_MAX],
    len: usize,
}

impl Writer {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.put(&[number as u8 | 0x80]);
            number >>= 7;
        }
        self.put(&[number as u8]);
    }

    fn text(&mut self, text: &[u8]) {
        self.put(&[text.len() as u8]);
        self.put(text);
    }
}

/// `None` for entries that did not take place, or that say something out of the ordinary.
fn brief(judged: &Judged) -> Option<Writer> {
    let flag = match judged.outcome {
        Outcome::Applied => None,
        Outcome::Flagged(flag) => Some(flag),
        _ => return None,
    };
    let (act, bin, box_time) = (judged.act?, judged.bin?, judged.box_time?);
    let ordinary = judged.found.is_none()
        && judged.text.is_none()
        && judged.exchange.is_none()
        && judged.named.is_none()
        && judged.at.0 < TIME_MAX
        && box_time.0 < TIME_MAX;
    if !ordinary {
        return None;
    }
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    let act_bits = match act {
        Act::PickUp(_) => 0,
        Act::DropOff(_) => 1,
        Act::Opened => 2,
        Act::OpenedAll => return None,
    };
    let by = judged.by.map(By::number);
    let flags = by.map_or(act_bits, |_| BEHIND)
        | bit(judged.person.is_some(), PERSON)
        | bit(judged.key.is_some(), KEY)
        | bit(judged.cursor.is_some(), CURSOR)
        | bit(judged.estimated, ESTIMATED)
        | bit(judged.late, LATE)
        | bit(flag.is_some(), FLAGGED);
    let mut to = Writer { bytes: [0; BYTES_MAX], len: 0 };
    to.put(&[flags]);
    by.iter().for_each(|by| to.put(&[act_bits | by << BY_SHIFT]));
    to.number(judged.seq);
    to.text(bin.as_bytes());
    if let Some(fob) = act.fob() {
        to.text(fob.as_bytes());
    }
    to.put(&judged.at.0.to_be_bytes()[8 - TIME_BYTES..]);
    let behind = judged.at.0 as i64 - box_time.0 as i64;
    to.number((behind << 1 ^ behind >> 63) as u64);
    judged.person.iter().for_each(|person| to.put(&person.to_bytes()));
    judged.key.iter().for_each(|key| to.put(&key.to_bytes()));
    if let Some(cursor) = judged.cursor {
        to.number(u64::from(cursor.epoch));
        to.number(cursor.revision);
    }
    flag.iter().for_each(|flag| to.put(&[*flag as u8]));
    match judged.by {
        Some(By::Pass(pass)) => to.put(&pass.to_bytes()),
        Some(By::OfflineCode { sheet, counter }) => {
            to.number(u64::from(sheet));
            to.number(u64::from(counter));
        }
        _ => {}
    }
    Some(to)
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn text<const N: usize>(&mut self) -> Option<Short<N>> {
        let length = usize::from(*self.take(1)?.first()?);
        Short::new(std::str::from_utf8(self.take(length)?).ok()?)
    }

    fn judged(mut self) -> Option<Judged> {
        let flags = *self.take(1)?.first()?;
        let has = |bit: u8| flags & bit != 0;
        let stated = if flags & ACT == BEHIND { Some(*self.take(1)?.first()?) } else { None };
        let act_bits = stated.map_or(flags & ACT, |byte| byte & ACT);
        let seq = self.number()?;
        let bin = self.text()?;
        let act = match act_bits {
            0 => Act::PickUp(self.text()?),
            1 => Act::DropOff(self.text()?),
            2 => Act::Opened,
            _ => return None,
        };
        let at = self.take(TIME_BYTES)?.iter().fold(0, |time, byte| time << 8 | u64::from(*byte));
        let zigzag = self.number()?;
        let behind = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        let box_time = UnixMillis(u64::try_from((at as i64).checked_sub(behind)?).ok()?);
        let person = if has(PERSON) { Some(PersonId::from_bytes(self.take(16)?)?) } else { None };
        let key = if has(KEY) { Some(KeyId::from_bytes(self.take(16)?)?) } else { None };
        let cursor = match has(CURSOR) {
            true => Some(Cursor { epoch: u32::try_from(self.number()?).ok()?, revision: self.number()? }),
            false => None,
        };
        let outcome = match has(FLAGGED) {
            true => Outcome::Flagged(Flag::from_number(*self.take(1)?.first()?)?),
            false => Outcome::Applied,
        };
        let by = match stated.map(|byte: u8| byte >> BY_SHIFT) {
            None => None,
            Some(0) => Some(By::AccessCode),
            Some(1) => Some(By::Badge),
            Some(2) => Some(By::BookingCode),
            Some(3) => Some(By::KeyCode),
            Some(4) => Some(By::Pass(PassId::from_bytes(self.take(16)?)?)),
            Some(5) => Some(By::OfflineCode {
                sheet: u32::try_from(self.number()?).ok()?,
                counter: u32::try_from(self.number()?).ok()?,
            }),
            Some(6) => Some(By::PersonalQr),
            Some(_) => return None,
        };
        let entry =
            JournalEntry { seq, at: box_time, cursor, act, bin: Some(bin), person, by, exchange: None, named: None };
        self.0.is_empty().then(|| Judged {
            seq,
            content: content_of_read(&entry),
            outcome,
            act: Some(act),
            bin: Some(bin),
            person,
            box_time: Some(box_time),
            at: UnixMillis(at),
            estimated: has(ESTIMATED),
            cursor,
            key,
            late: has(LATE),
            found: None,
            text: None,
            by,
            exchange: None,
            named: None,
        })
    }
}
