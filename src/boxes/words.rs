//! The small words of this context: labels, fobs, cursors, models, plans, outcomes. Spelled once, for wire and store.

use crate::kernel::{
    PassId,
    schema::{line, pattern},
};
use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Cow, fmt, num::NonZeroU8, str::FromStr, time::Duration};
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

/// A short text without heap memory: 1 to `N` bytes of UTF-8, no control characters, no blanks at its ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Short<const N: usize> {
    len: NonZeroU8,
    bytes: [u8; N],
}

/// A bin's label, such as `A-1`.
pub type Label = Short<15>;
/// A fob's serial, as the reader gives it.
pub type Fob = Short<31>;

impl<const N: usize> Short<N> {
    /// `None` if the text is empty, too long, or not clean.
    pub fn new(text: &str) -> Option<Self> {
        let len = NonZeroU8::new(u8::try_from(text.len()).ok()?)?;
        if text.len() > N || text.trim().len() != text.len() || text.contains(char::is_control) {
            return None;
        }
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(Self { len, bytes })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len.get())]
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Debug for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> fmt::Display for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> FromStr for Short<N> {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::new(text).ok_or_else(|| format!("expected 1 to {N} bytes without control characters or outer blanks"))
    }
}

impl<const N: usize> Serialize for Short<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, const N: usize> Deserialize<'de> for Short<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<const N: usize> utoipa::PartialSchema for Short<N> {
    fn schema() -> RefOr<Schema> {
        let said = format!("1 to {N} bytes of UTF-8, no control characters, no blanks at the ends");
        line(N).description(Some(said)).into()
    }
}

impl<const N: usize> ToSchema for Short<N> {
    fn name() -> Cow<'static, str> {
        format!("Short{N}").into()
    }
}

impl<C, const N: usize> Encode<C> for Short<N> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(self.as_str())?.ok()
    }
}

impl<'b, C, const N: usize> Decode<'b, C> for Short<N> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::new(d.str()?).ok_or_else(|| minicbor::decode::Error::message("not a short text"))
    }
}

/// The state a box has stored and decides by. Written `epoch.revision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Cursor {
    /// Raised by a restore from backup, to the second of the restore.
    #[n(0)]
    pub epoch: u32,
    #[n(1)]
    pub revision: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.revision)
    }
}

impl FromStr for Cursor {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "expected `epoch.revision`, two whole numbers";
        let digits =
            |part: &str, max| (1..=max).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        let (epoch, revision) = text.split_once('.').ok_or(WRONG)?;
        if !digits(epoch, 9) || !digits(revision, 18) {
            return Err(WRONG);
        }
        Ok(Self { epoch: epoch.parse().map_err(|_| WRONG)?, revision: revision.parse().map_err(|_| WRONG)? })
    }
}

impl utoipa::PartialSchema for Cursor {
    fn schema() -> RefOr<Schema> {
        pattern(r"^[0-9]{1,9}\.[0-9]{1,18}$")
            .examples(["1.140"])
            .description(Some("`epoch.revision`: the state that a box has stored"))
            .into()
    }
}

impl ToSchema for Cursor {}

/// SHA-256 of a token or an enrolment code.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct SecretHash(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

impl SecretHash {
    /// Takes the same time wherever the difference is.
    pub fn matches(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.0[..], &other.0[..]).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash")
    }
}

/// The first 16 bytes of a keyed hash, by which a box checks what is typed or shown.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Verifier(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, ToSchema)]
#[cbor(index_only)]
pub enum Model {
    #[n(3)]
    MS3,
    #[n(4)]
    MS4,
    #[n(5)]
    MS5,
}

impl Model {
    /// `MS3` has no offline exchange: it gets no offline permissions.
    pub fn exchanges_offline(self) -> bool {
        self != Self::MS3
    }
}

/// What an organisation has booked; it guarantees how soon a change reaches a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, ToSchema)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    #[n(0)]
    Lite,
    #[n(1)]
    Premium,
    #[n(2)]
    BusinessPro,
}

impl Plan {
    pub const ALL: [Self; 3] = [Self::Lite, Self::Premium, Self::BusinessPro];

    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lite => "lite",
            Self::Premium => "premium",
            Self::BusinessPro => "business_pro",
        }
    }

    pub fn guarantee(self) -> Duration {
        Duration::from_secs(match self {
            Self::Lite => 6 * 3600,
            Self::Premium => 2 * 3600,
            Self::BusinessPro => 15 * 60,
        })
    }
}

/// Protected and disabled bins are never opened for a drop-off, and a key in them cannot be picked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, ToSchema)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum BinState {
    #[n(0)]
    Enabled,
    #[n(1)]
    Protected,
    #[n(2)]
    Disabled,
}

/// Of a bin, and of a key with what hangs on it: it goes into bins of its size and of larger ones.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize, ToSchema,
)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    #[n(0)]
    Small,
    #[default]
    #[n(1)]
    Medium,
    #[n(2)]
    Large,
}

impl Size {
    /// As it is stored and told to boxes: nothing, if it is as all are by default.
    pub fn stated(self) -> Option<Self> {
        Some(self).filter(|size| *size != Self::default())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, ToSchema)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    #[n(0)]
    Ethernet,
    #[n(1)]
    Wifi,
    #[n(2)]
    Cellular,
}

/// What a box says of itself. A field that it leaves out keeps its last value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Health {
    #[n(0)]
    pub battery_percent: Option<u8>,
    #[n(1)]
    pub mains: Option<bool>,
    #[n(2)]
    pub link: Option<Link>,
    #[n(3)]
    pub firmware: Option<Box<str>>,
}

/// An applied entry that administrators are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Flag {
    #[n(0)]
    NotPermitted,
    #[n(1)]
    OtherHolder,
    #[n(2)]
    MayNotBeDroppedHere,
    #[n(3)]
    UnknownFob,
    /// A pass was used a second time.
    #[n(4)]
    PassReused,
    /// An offline code was used a second time, or one of an older sheet.
    #[n(5)]
    CodeReused,
}

impl Flag {
    /// By the number under which it is stored.
    pub fn from_number(number: u8) -> Option<Self> {
        const ALL: [Flag; 6] = [
            Flag::NotPermitted,
            Flag::OtherHolder,
            Flag::MayNotBeDroppedHere,
            Flag::UnknownFob,
            Flag::PassReused,
            Flag::CodeReused,
        ];
        ALL.into_iter().find(|flag| *flag as u8 == number)
    }
}

/// Why an entry does not fit what the server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Clash {
    #[n(0)]
    BinOccupied,
    #[n(1)]
    KeyElsewhere,
    #[n(2)]
    KeyNotInBin,
    /// Never in a receipt: a pick-up that another box's drop-off announced has not come.
    #[n(3)]
    LatePickUpMissing,
    /// Never in a receipt: an unknown fob is said to be in two boxes.
    #[n(4)]
    FobInTwoBoxes,
    /// Never in a receipt: entries that the box has thrown away never came, or were lost with the server.
    #[n(5)]
    JournalGap,
}

/// Why an entry cannot be taken at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Fault {
    #[n(0)]
    Unreadable,
    #[n(1)]
    UnknownBin,
    #[n(2)]
    SequenceReused,
    #[n(3)]
    BehindReceipts,
}

/// By what somebody was let in at a keypad or reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum By {
    #[n(0)]
    AccessCode,
    #[n(1)]
    Badge,
    #[n(2)]
    BookingCode,
    /// Whoever knows it: nobody is named.
    #[n(3)]
    KeyCode,
    #[n(4)]
    Pass(#[n(0)] PassId),
    #[n(5)]
    OfflineCode {
        #[n(0)]
        sheet: u32,
        #[n(1)]
        counter: u32,
    },
    #[n(6)]
    PersonalQr,
}

impl By {
    /// As on the wire.
    pub const NAMES: [&'static str; 7] =
        ["access_code", "badge", "booking_code", "key_code", "pass", "offline_code", "personal_qr"];

    /// Under which it is stored, and counted in an entry's checksum: it never changes.
    pub fn number(self) -> u8 {
        match self {
            Self::AccessCode => 0,
            Self::Badge => 1,
            Self::BookingCode => 2,
            Self::KeyCode => 3,
            Self::Pass(_) => 4,
            Self::OfflineCode { .. } => 5,
            Self::PersonalQr => 6,
        }
    }

    pub fn name(self) -> &'static str {
        Self::NAMES[usize::from(self.number())]
    }

    pub fn pass(self) -> Option<PassId> {
        match self {
            Self::Pass(pass) => Some(pass),
            _ => None,
        }
    }
}

/// What became of a journal entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Outcome {
    #[n(0)]
    Applied,
    #[n(1)]
    Flagged(#[n(0)] Flag),
    /// A conflict: kept, not in the history.
    #[n(2)]
    Ignored(#[n(0)] Clash),
    /// Kept as a conflict too, and counted.
    #[n(3)]
    Rejected(#[n(0)] Fault),
    /// Receipted before; only in answers.
    #[n(4)]
    Duplicate,
}

impl Outcome {
    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Flagged(_) => "flagged",
            Self::Ignored(_) => "ignored",
            Self::Rejected(_) => "rejected",
            Self::Duplicate => "duplicate",
        }
    }

    /// As on the wire; stands with all but `applied` and `duplicate`.
    pub fn reason(self) -> Option<&'static str> {
        Some(match self {
            Self::Applied | Self::Duplicate => return None,
            Self::Flagged(Flag::NotPermitted) => "not_permitted",
            Self::Flagged(Flag::OtherHolder) => "other_holder",
            Self::Flagged(Flag::MayNotBeDroppedHere) => "may_not_be_dropped_here",
            Self::Flagged(Flag::UnknownFob) => "unknown_fob",
            Self::Flagged(Flag::PassReused) => "pass_reused",
            Self::Flagged(Flag::CodeReused) => "code_reused",
            Self::Ignored(Clash::BinOccupied) => "bin_occupied",
            Self::Ignored(Clash::KeyElsewhere) => "key_elsewhere",
            Self::Ignored(Clash::KeyNotInBin) => "key_not_in_bin",
            Self::Ignored(Clash::LatePickUpMissing) => "late_pick_up_missing",
            Self::Ignored(Clash::FobInTwoBoxes) => "fob_in_two_boxes",
            Self::Ignored(Clash::JournalGap) => "journal_gap",
            Self::Rejected(Fault::Unreadable) => "unreadable",
            Self::Rejected(Fault::UnknownBin) => "unknown_bin",
            Self::Rejected(Fault::SequenceReused) => "sequence_reused",
            Self::Rejected(Fault::BehindReceipts) => "behind_receipts",
        })
    }

    /// Whether the entry changed bins and keys as it says.
    pub fn took_place(self) -> bool {
        matches!(self, Self::Applied | Self::Flagged(_))
    }
}
