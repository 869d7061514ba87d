//! What the values of rows hold that the engine writes: records, outbox items, stored answers.

use super::{StoreError, keys};
use crate::kernel::{Address, Codec, MailCopy, Principal, UnixMillis};
use minicbor::{Decode, Encode, Encoder};
use std::net::IpAddr;

/// One decided command's events as they stand in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    pub of: Address,
    pub first_revision: u64,
    pub at: UnixMillis,
    pub by: Principal,
    pub from: Option<IpAddr>,
    /// Each event's own bytes.
    pub events: Vec<Vec<u8>>,
}

impl StoredRecord {
    /// Writes `[at, by, from | null, [event …]]`. Events are CBOR items, written as they are.
    pub fn write<E: Codec>(bytes: &mut Vec<u8>, at: UnixMillis, by: Principal, from: Option<IpAddr>, events: &[E]) {
        let mut encoder = Encoder::new(&mut *bytes);
        // Writing to a Vec cannot fail.
        let _ = (|| {
            encoder.array(4)?.u64(at.0)?.encode(by)?;
            match from {
                None => encoder.null()?,
                Some(IpAddr::V4(address)) => encoder.bytes(&address.octets())?,
                Some(IpAddr::V6(address)) => encoder.bytes(&address.octets())?,
            };
            encoder.array(events.len() as u64)?.ok()
        })();
        events.iter().for_each(|event| event.encode_into(bytes));
    }

    pub fn read(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let corrupt = |why: String| StoreError::Corrupt { what: "record", why };
        let (of, first_revision) = keys::parse_event(key).ok_or_else(|| corrupt("its key".to_owned()))?;
        Self::read_value(of, first_revision, value).map_err(|error| corrupt(error.to_string()))
    }

    fn read_value(of: Address, first_revision: u64, value: &[u8]) -> Result<Self, minicbor::decode::Error> {
        let mut decoder = minicbor::Decoder::new(value);
        decoder.array()?;
        let at = UnixMillis(decoder.u64()?);
        let by = decoder.decode()?;
        let from = match decoder.datatype()? {
            minicbor::data::Type::Null => decoder.null().map(|()| None)?,
            _ => match decoder.bytes()? {
                bytes if bytes.len() == 4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
                bytes => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
            },
        };
        let count = decoder.array()?.unwrap_or_default();
        let mut events = Vec::new();
        for _ in 0..count {
            let start = decoder.position();
            decoder.skip()?;
            events.push(value[start..decoder.position()].to_vec());
        }
        Ok(Self { of, first_revision, at, by, from, events })
    }
}

/// A snapshot's header; the machine's own bytes follow behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SnapshotHead {
    #[n(0)]
    pub evolve_version: u16,
    #[n(1)]
    pub revision: u64,
    #[n(2)]
    pub last_at: UnixMillis,
}

/// A stored answer to a request that carried an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StoredReplay {
    #[n(0)]
    pub at: UnixMillis,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub body_hash: [u8; 32],
    #[n(2)]
    pub status: u16,
    #[cbor(n(3), with = "minicbor::bytes")]
    pub body: Vec<u8>,
}

/// A message between actors that waits to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OutboxItem {
    #[n(0)]
    pub from: Address,
    /// With `n` the message's id: the sender's revision and the message's place in that record.
    #[n(1)]
    pub revision: u64,
    #[n(2)]
    pub n: u32,
    #[n(3)]
    pub to: Target,
    #[cbor(n(4), with = "minicbor::bytes")]
    pub body: Vec<u8>,
    /// Subject and field of a vault row to open when it is sent.
    #[n(5)]
    pub secret: Option<(Address, u8)>,
}

/// Who gets an outbox item.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Target {
    #[n(0)]
    Entity(#[n(0)] Address),
    /// Claim space and keyed hash of the value.
    #[n(1)]
    ClaimHolder(#[n(0)] u8, #[cbor(n(1), with = "minicbor::bytes")] [u8; 32]),
    /// Row space, prefix of the index, kind of the recipients, and behind which row to go on.
    #[n(2)]
    Index(
        #[n(0)] u8,
        #[cbor(n(1), with = "minicbor::bytes")] Vec<u8>,
        #[n(2)] u8,
        #[cbor(n(3), with = "minicbor::bytes")] Vec<u8>,
    ),
}

/// A mail that waits to be sent. Rendered when it is: what is personal is read then.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct MailItem {
    #[n(0)]
    pub mail: MailCopy,
    #[n(1)]
    pub deadline: UnixMillis,
    /// When it came into the outbox; of a mail sent again that is later than its name says.
    #[n(2)]
    pub since: UnixMillis,
}

/// The newest message of one sender that a receiver has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct HighWater {
    #[n(0)]
    pub revision: u64,
    #[n(1)]
    pub n: u32,
}
