//! The bytes of one box's sync, made once and patched in place: numbers, times, cursor and ticket have a fixed width.
//! Blanks after a number or a text are JSON's own business, blanks before a header's value are HTTP's.

use crate::{
    client::{Target, write_request},
    clock::now_ms,
    fleet::FleetBox,
};

const SEQ_WIDTH: usize = 10;
const TIME_WIDTH: usize = 13;
const CURSOR_WIDTH: usize = 26;
/// `/box/v1/sync`, and a path of the same length for the bare handler.
const SYNC_PATH: &str = "/box/v1/sync";
const ECHO_PATH: &str = "/echo?x=1234";

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    Sync,
    Echo,
}

impl Road {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Echo => "echo",
        }
    }
}

/// Where the patched parts stand; the same for all boxes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    path: usize,
    ticket: (usize, usize),
    cursors: Vec<usize>,
    seqs: Vec<usize>,
    head: usize,
    times: Vec<usize>,
    length: usize,
}

/// One box as the yardstick drives it.
pub struct Driver {
    pub bytes: Vec<u8>,
    pub layout: Layout,
    /// The last sequence number with a receipt.
    pub acknowledged: u64,
    cursor: String,
    ticket: String,
}

impl Driver {
    pub fn new(fleet_box: &FleetBox, target: &Target, entries: usize) -> Self {
        let vbox = &fleet_box.vbox;
        let ticket = vbox.ticket().unwrap_or_default().to_owned();
        let width = ticket.len() + 8;
        let mark = |letter: char, width: usize| letter.to_string().repeat(width);
        let cursor = format!("\"{}\"", mark('?', CURSOR_WIDTH - 2));
        // Placeholders that stand nowhere else: they are found once, then patched by position.
        let mut list = Vec::new();
        for at in 0..entries {
            let key = &fleet_box.keys[at / 2 % fleet_box.keys.len()];
            let bin = crate::fleet::bin_name(at / 2 % fleet_box.keys.len());
            let person = &fleet_box.people[at / 2 % fleet_box.people.len()].id;
            let kind = if at % 2 == 0 { "pick_up" } else { "drop_off" };
            list.push(format!(
                "{{\"seq\":{},\"at_ms\":{},\"cursor\":{cursor},\"kind\":\"{kind}\",\"bin\":\"{bin}\",\"fob\":\"{}\",\
                 \"person\":\"{person}\"}}",
                mark('#', SEQ_WIDTH),
                mark('@', TIME_WIDTH),
                key.fob,
            ));
        }
        let body = format!(
            "{{\"cursor\":{cursor},\"journal\":{{\"head\":{},\"more\":false,\"entries\":[{}]}},\"clock_ms\":{},\
             \"health\":{{\"battery_percent\":97,\"mains\":true,\"link\":\"ethernet\",\"firmware\":\"5.1.2\"}}}}",
            mark('#', SEQ_WIDTH),
            list.join(","),
            mark('@', TIME_WIDTH),
        );
        let mut bytes = Vec::new();
        let shown = mark('!', width);
        let headers = [("Castellan-Ticket", shown.as_str())];
        write_request(&mut bytes, target, "POST", SYNC_PATH, Some(&vbox.identity.token), &headers, body.as_bytes());
        let runs = |byte: u8, width: usize| runs(&bytes, byte, width);
        let seqs = runs(b'#', SEQ_WIDTH);
        let layout = Layout {
            path: "POST ".len(),
            ticket: (runs(b'!', width).first().copied().unwrap_or(0), width),
            cursors: runs(b'?', CURSOR_WIDTH - 2).into_iter().map(|inside| inside - 1).collect(),
            head: seqs.first().copied().unwrap_or(0),
            seqs: seqs.into_iter().skip(1).collect(),
            times: runs(b'@', TIME_WIDTH),
            length: bytes.len(),
        };
        let cursor = vbox.state().cursor.clone().unwrap_or_default();
        let mut made = Self { bytes, layout, acknowledged: vbox.head(), cursor, ticket };
        made.patch();
        made
    }

    /// Sends to the server or to the bare handler from now on.
    pub fn take(&mut self, road: Road) {
        let path = if road == Road::Sync { SYNC_PATH } else { ECHO_PATH };
        self.bytes[self.layout.path..self.layout.path + path.len()].copy_from_slice(path.as_bytes());
    }

    /// Writes what changes from sync to sync.
    pub fn patch(&mut self) {
        let mut digits = [b' '; 20];
        let now = write_number(now_ms(), &mut digits);
        for at in &self.layout.times {
            put(&mut self.bytes, *at, TIME_WIDTH, &digits[..now]);
        }
        let mut seq = self.acknowledged;
        for at in &self.layout.seqs {
            seq += 1;
            let length = write_number(seq, &mut digits);
            put(&mut self.bytes, *at, SEQ_WIDTH, &digits[..length]);
        }
        let length = write_number(seq, &mut digits);
        put(&mut self.bytes, self.layout.head, SEQ_WIDTH, &digits[..length]);
        for at in &self.layout.cursors {
            self.bytes[*at] = b'"';
            put(&mut self.bytes, at + 1, CURSOR_WIDTH - 1, self.cursor.as_bytes());
            self.bytes[at + 1 + self.cursor.len()] = b'"';
        }
        let (at, width) = self.layout.ticket;
        let blanks = width.saturating_sub(self.ticket.len());
        self.bytes[at..at + blanks].fill(b' ');
        self.bytes[at + blanks..at + width].copy_from_slice(&self.ticket.as_bytes()[..width - blanks]);
    }

    /// Takes cursor and ticket out of an answer in which every entry must be applied.
    pub fn answered(&mut self, body: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
        let applied = text.matches("\"applied\"").count();
        if applied != self.layout.seqs.len() {
            return Err(format!("{applied} entries applied of {}: {text}", self.layout.seqs.len()));
        }
        let cursor = text_after(text, "\"cursor\":\"").filter(|cursor| cursor.len() <= CURSOR_WIDTH - 2);
        self.cursor.clear();
        self.cursor.push_str(cursor.ok_or_else(|| format!("no cursor: {text}"))?);
        if let Some(ticket) = text_after(text, "\"ticket\":\"").filter(|ticket| ticket.len() <= self.layout.ticket.1) {
            self.ticket.clear();
            self.ticket.push_str(ticket);
        }
        self.acknowledged += self.layout.seqs.len() as u64;
        Ok(())
    }

    /// The same reading of an answer that means nothing, so that the generator works as hard.
    pub fn echoed(&self, body: &[u8]) -> usize {
        let text = std::str::from_utf8(body).unwrap_or_default();
        let found = text.matches("\"applied\"").count();
        let cursor = text_after(text, "\"cursor\":\"").map_or(0, str::len);
        std::hint::black_box(found + cursor + text_after(text, "\"ticket\":\"").map_or(0, str::len))
    }
}

fn text_after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let rest = &text[text.find(start)? + start.len()..];
    rest.split_once('"').map(|(inside, _)| inside)
}

/// Where runs of exactly so many of this byte begin.
fn runs(bytes: &[u8], byte: u8, width: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|other| **other == byte).count();
        if length == width {
            found.push(at);
        }
        at += length.max(1);
    }
    found
}

fn put(bytes: &mut [u8], at: usize, width: usize, text: &[u8]) {
    bytes[at..at + text.len()].copy_from_slice(text);
    bytes[at + text.len()..at + width].fill(b' ');
}

fn write_number(number: u64, digits: &mut [u8; 20]) -> usize {
    let mut reversed = [0; 20];
    let (mut rest, mut length) = (number, 0);
    loop {
        reversed[length] = b'0' + (rest % 10) as u8;
        length += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    for at in 0..length {
        digits[at] = reversed[length - 1 - at];
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chance::Chance,
        fleet::{Key, Person},
        vbox::{Storage, VirtualBox},
        wire::{Changes, Enrolment, Entry, Kind, SyncAnswer},
    };
    use serde_json::Value;

    fn parsed(bytes: &[u8]) -> Option<(Value, Vec<Entry>)> {
        let body = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let mut value: Value = serde_json::from_slice(&bytes[body..]).ok()?;
        let entries = serde_json::from_value(value["journal"]["entries"].take()).ok()?;
        Some((value, entries))
    }

    fn driver() -> Driver {
        let identity = Enrolment {
            box_id: "box_1".into(),
            organisation: "org_1".into(),
            model: "MS5".into(),
            token: "cbx_token".into(),
            generation: 1,
            verifier_key: "00".repeat(32),
            offline_key: String::new(),
            public_keys: vec![],
        };
        let mut vbox = VirtualBox::new(identity, [], Storage::Memory, Chance::seeded(1)).unwrap();
        let answer = SyncAnswer {
            receipts: vec![],
            resume_at: 1,
            cursor: "1.7".into(),
            changes: Changes::default(),
            server_ms: 0,
            next_sync_s: 1,
            ticket: Some("tick".into()),
        };
        vbox.apply(answer).unwrap().unwrap();
        let keys = (0..5).map(|n| Key { id: format!("key_{n}"), fob: format!("0{n}") }).collect();
        let people = vec![Person { id: "per_1".into(), code: "1".into() }];
        let (accesses, out) = (vec![], vec![]);
        let fleet_box = FleetBox { organisation: 0, vbox, keys, people, accesses, out, by_hand: false };
        Driver::new(&fleet_box, &Target::local(80), 10)
    }

    #[test]
    fn bytes_are_a_sync_that_grows_from_answer_to_answer() {
        let mut driver = driver();
        let (value, entries) = parsed(&driver.bytes).unwrap();
        assert_eq!((value["cursor"].as_str(), value["journal"]["head"].as_u64()), (Some("1.7"), Some(10)));
        assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
        assert_eq!((entries[2].kind, entries[3].kind), (Kind::PickUp, Kind::DropOff));
        assert_eq!(entries[2].bin, entries[3].bin);
        assert!(entries.iter().all(|entry| entry.cursor.as_deref() == Some("1.7")));
        let length = driver.bytes.len();
        let receipts = "{\"outcome\":\"applied\"},".repeat(10);
        let answer = format!("{{\"receipts\":[{receipts}],\"cursor\":\"12.3456789\",\"ticket\":\"longer\"}}");
        driver.answered(answer.as_bytes()).unwrap();
        driver.patch();
        let (value, entries) = parsed(&driver.bytes).unwrap();
        assert_eq!((value["cursor"].as_str(), entries[0].seq, entries[9].seq), (Some("12.3456789"), 11, 20));
        assert_eq!(driver.bytes.len(), length);
        let text = String::from_utf8(driver.bytes.clone()).unwrap();
        let ticket = text.lines().find_map(|line| line.strip_prefix("Castellan-Ticket:")).unwrap();
        assert_eq!(ticket.trim(), "longer");
    }

    #[test]
    fn an_answer_that_does_not_apply_everything_is_an_error() {
        let mut driver = driver();
        let answer = "{\"receipts\":[{\"outcome\":\"flagged\"}],\"cursor\":\"1.8\"}";
        assert!(driver.answered(answer.as_bytes()).is_err());
        assert_eq!(driver.acknowledged, 0);
    }

    #[test]
    fn both_roads_have_the_same_length() {
        let mut driver = driver();
        assert_eq!(SYNC_PATH.len(), ECHO_PATH.len());
        driver.take(Road::Echo);
        assert!(driver.bytes.starts_with(b"POST /echo?x=1234 HTTP/1.1\r\n"));
        driver.take(Road::Sync);
        assert!(driver.bytes.starts_with(b"POST /box/v1/sync HTTP/1.1\r\n"));
    }
}
