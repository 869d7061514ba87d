//! An organisation's feed of events: a place in it, and an event as it is shown there.

use std::{fmt, str::FromStr};

/// Between two events, in the order in which they became durable: all before it have been seen. Written
/// `epoch-position-record`, or `epoch-position-record-event` within a record. To others it is an opaque text.
///
/// An organisation lives in one partition, so the cursor need not name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FeedCursor {
    /// Of the log; raised by a restore from backup.
    pub epoch: u64,
    /// The commit batch in which to go on; one more than the last position when all is seen.
    pub position: u64,
    /// Records of that batch that are behind us.
    pub record: u32,
    /// Events of the next record that are behind us.
    pub event: u32,
}

impl FeedCursor {
    /// Before the first event of a position.
    pub fn before(epoch: u64, position: u64) -> Self {
        Self { epoch, position, record: 0, event: 0 }
    }

    /// Whether everything of earlier positions, and nothing of this one, is behind us.
    pub fn is_between_batches(&self) -> bool {
        self.record == 0 && self.event == 0
    }
}

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.epoch, self.position, self.record)?;
        if self.event > 0 { write!(f, "-{}", self.event) } else { Ok(()) }
    }
}

impl FromStr for FeedCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "expected a cursor of the feed, such as `1-4711-3`";
        fn number<T: FromStr>(part: Option<&str>) -> Result<T, &'static str> {
            let digits = part.filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|digits| digits.parse().ok()).ok_or(WRONG)
        }
        let mut parts = text.split('-');
        let cursor = Self {
            epoch: number(parts.next())?,
            position: number(parts.next())?,
            record: number(parts.next())?,
            event: parts.next().map_or(Ok(0), |part| number(Some(part)))?,
        };
        if parts.next().is_some() { Err(WRONG) } else { Ok(cursor) }
    }
}

/// An event as programs of the organisation see it: ids and plain words, nothing secret, nobody's name.
#[derive(Debug, Clone, PartialEq)]
pub struct EventView {
    /// Dotted and stable, such as `boxes.key.picked_up`.
    pub name: &'static str,
    pub outcome: EventOutcome,
    pub data: serde_json::Value,
}

/// What became of what somebody wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOutcome {
    Applied,
    /// It happened although it should not have.
    Flagged,
    /// It does not fit what the server knows, or cannot be read: kept, without effect.
    Refused,
}

impl EventOutcome {
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Flagged => "flagged",
            Self::Refused => "refused",
        }
    }
}

impl EventView {
    pub fn new(name: &'static str, data: serde_json::Value) -> Self {
        Self { name, outcome: EventOutcome::Applied, data }
    }

    #[must_use]
    pub fn with_outcome(self, outcome: EventOutcome) -> Self {
        Self { outcome, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_reads_back_and_nothing_panics(epoch: u64, position: u64, record: u32, event: u32, noise: String) {
            let cursor = FeedCursor { epoch, position, record, event };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            let _ = noise.parse::<FeedCursor>();
        }
    }

    #[test]
    fn cursors_stand_in_the_order_of_the_log() {
        let order = ["1-9-0", "1-10-0", "1-10-0-2", "1-10-1", "1-11-0", "2-3-0"];
        let cursors: Vec<FeedCursor> = order.iter().map(|text| text.parse().unwrap()).collect();
        assert!(cursors.is_sorted());
        assert_eq!(cursors.iter().map(ToString::to_string).collect::<Vec<_>>(), order);
        for wrong in ["", "1", "1-2", "1-2-3-4-5", "1--3", "+1-2-3", "1-2-x", "1-2-99999999999", " 1-2-3"] {
            assert!(wrong.parse::<FeedCursor>().is_err(), "{wrong}");
        }
    }
}
