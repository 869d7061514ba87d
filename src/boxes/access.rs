//! One grant, in two thirds of the memory of its record: most of what a box holds are grants.

use super::command::{AccessRecord, Scope};
use crate::kernel::{AccessId, GroupId, KeyId, PersonId, UnixMillis};
use minicbor::{Decode, Decoder, Encode, Encoder};
use std::time::Duration;

/// An `AccessRecord` and the revision of its last change. Stored as these two.
#[derive(Clone)]
pub(super) struct Access {
    pub id: AccessId,
    pub person: PersonId,
    covers: u128,
    /// 0: always.
    from: UnixMillis,
    /// The last moment of time: for ever.
    until: UnixMillis,
    pub revision: u64,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Key,
    Group,
    Box,
}

const FOR_EVER: UnixMillis = UnixMillis(u64::MAX);

impl Access {
    pub fn new(record: &AccessRecord, revision: u64) -> Self {
        let (kind, covers) = match record.scope {
            Scope::Key(key) => (Kind::Key, key.0),
            Scope::Group(group) => (Kind::Group, group.0),
            Scope::Box => (Kind::Box, 0),
        };
        Self {
            id: record.id,
            person: record.person,
            covers,
            from: record.from.unwrap_or_default(),
            until: record.until.unwrap_or(FOR_EVER),
            revision,
            kind,
        }
    }

    pub fn scope(&self) -> Scope {
        match self.kind {
            Kind::Key => Scope::Key(KeyId(self.covers)),
            Kind::Group => Scope::Group(GroupId(self.covers)),
            Kind::Box => Scope::Box,
        }
    }

    pub fn record(&self) -> AccessRecord {
        AccessRecord {
            id: self.id,
            person: self.person,
            scope: self.scope(),
            from: (self.from != UnixMillis(0)).then_some(self.from),
            until: (self.until != FOR_EVER).then_some(self.until),
        }
    }

    pub fn end(&mut self, at: UnixMillis) {
        self.until = self.until.min(at);
    }

    /// Whether it has an end, and that not longer ago.
    pub fn ended_within(&self, span: Duration, now: UnixMillis) -> bool {
        self.until != FOR_EVER && self.until.plus(span) >= now
    }

    /// Whether it lets this person pick a key, of these groups, up at that time.
    pub fn permits(&self, person: PersonId, key: Option<(KeyId, &[GroupId])>, at: UnixMillis) -> bool {
        self.person == person
            && (self.from..self.until).contains(&at)
            && match self.kind {
                Kind::Box => true,
                Kind::Key => key.is_some_and(|(key, _)| key.0 == self.covers),
                Kind::Group => key.is_some_and(|(_, groups)| groups.contains(&GroupId(self.covers))),
            }
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of revision {}", self.record(), self.revision)
    }
}

impl<C> Encode<C> for Access {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(2)?.encode_with(self.record(), ctx)?.u64(self.revision)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Access {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let (record, revision) = d.decode_with::<C, (AccessRecord, u64)>(ctx)?;
        Ok(Self::new(&record, revision))
    }
}
