//! One grant, in half the memory of its record: most of what a box holds are grants, and most of them are for ever.

use super::{
    command::{AccessRecord, Scope},
    event::Event,
    watch::Reminder,
};
use crate::kernel::{AccessId, GroupId, KeyId, PersonId, UnixMillis};
use minicbor::{Decode, Decoder, Encode, Encoder};
use std::time::Duration;

/// An `AccessRecord` and the revision of its last change. Stored as these two.
#[derive(Clone)]
pub(super) struct Access {
    pub id: AccessId,
    pub person: PersonId,
    covers: u128,
    /// None: from always, for ever, and nobody is reminded.
    window: Option<Box<Window>>,
    /// The revision of the last change, and in the two highest bits what is covered: no box has 2^62 events.
    revision_and_kind: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Window {
    /// 0: always.
    from: UnixMillis,
    /// The last moment of time: for ever.
    until: UnixMillis,
    reminder: Option<Reminder>,
}

const ALWAYS: Window = Window { from: UnixMillis(0), until: UnixMillis(u64::MAX), reminder: None };

const KIND_SHIFT: u32 = 62;
const KEY: u64 = 0;
const GROUP: u64 = 1;
const BOX: u64 = 2;

impl Access {
    pub fn new(record: &AccessRecord, revision: u64) -> Self {
        let (kind, covers) = match record.scope {
            Scope::Key(key) => (KEY, key.0),
            Scope::Group(group) => (GROUP, group.0),
            Scope::Box => (BOX, 0),
        };
        let window = Window {
            from: record.from.unwrap_or(ALWAYS.from),
            until: record.until.unwrap_or(ALWAYS.until),
            reminder: record.reminder,
        };
        Self {
            id: record.id,
            person: record.person,
            covers,
            window: (window != ALWAYS).then(|| Box::new(window)),
            revision_and_kind: kind << KIND_SHIFT | revision & !(3 << KIND_SHIFT),
        }
    }

    pub fn revision(&self) -> u64 {
        self.revision_and_kind & !(3 << KIND_SHIFT)
    }

    pub fn scope(&self) -> Scope {
        match self.revision_and_kind >> KIND_SHIFT {
            KEY => Scope::Key(KeyId(self.covers)),
            GROUP => Scope::Group(GroupId(self.covers)),
            _ => Scope::Box,
        }
    }

    pub fn group(&self) -> Option<GroupId> {
        match self.scope() {
            Scope::Group(group) => Some(group),
            Scope::Key(_) | Scope::Box => None,
        }
    }

    /// What is told of its end.
    pub fn revoked(&self) -> Event {
        Event::AccessRevoked { access: self.id, person: self.person, group: self.group() }
    }

    pub fn reminder(&self) -> Option<Reminder> {
        self.window.as_deref()?.reminder
    }

    fn window(&self) -> Window {
        self.window.as_deref().copied().unwrap_or(ALWAYS)
    }

    pub fn record(&self) -> AccessRecord {
        let Window { from, until, reminder } = self.window();
        AccessRecord {
            id: self.id,
            person: self.person,
            scope: self.scope(),
            from: (from != ALWAYS.from).then_some(from),
            until: (until != ALWAYS.until).then_some(until),
            reminder,
        }
    }

    pub fn end(&mut self, at: UnixMillis) {
        let window = self.window();
        self.window = Some(Box::new(Window { until: window.until.min(at), ..window }));
    }

    /// Whether it has an end, and that not longer ago.
    pub fn ended_within(&self, span: Duration, now: UnixMillis) -> bool {
        let until = self.window().until;
        until != ALWAYS.until && until.plus(span) >= now
    }

    /// Whether it lets this person pick a key, of these groups, up at that time.
    pub fn permits(&self, person: PersonId, key: Option<(KeyId, &[GroupId])>, at: UnixMillis) -> bool {
        self.person == person
            && self.window.as_deref().is_none_or(|window| (window.from..window.until).contains(&at))
            && match self.scope() {
                Scope::Box => true,
                Scope::Key(covered) => key.is_some_and(|(key, _)| key == covered),
                Scope::Group(covered) => key.is_some_and(|(_, groups)| groups.contains(&covered)),
            }
    }

    /// Heap memory beside its own.
    pub fn heap_bytes(&self) -> usize {
        self.window.as_deref().map_or(0, size_of_val)
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} of revision {}", self.record(), self.revision())
    }
}

impl<C> Encode<C> for Access {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(2)?.encode_with(self.record(), ctx)?.u64(self.revision())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Access {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        let (record, revision) = d.decode_with::<C, (AccessRecord, u64)>(ctx)?;
        Ok(Self::new(&record, revision))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_small_and_says_what_its_record_says() {
        assert_eq!(size_of::<Access>(), 64);
        let scopes = [Scope::Key(KeyId(u128::MAX)), Scope::Group(GroupId(0)), Scope::Box];
        let moments = [None, Some(UnixMillis(5)), Some(UnixMillis(u64::MAX - 1))];
        let reminders = [None, Some(Reminder::BeforeEnd(7)), Some(Reminder::AfterPickUp(525_600))];
        for ((scope, from, until), reminder) in scopes
            .into_iter()
            .flat_map(|scope| moments.map(|from| (scope, from)))
            .flat_map(|(scope, from)| moments.map(|until| (scope, from, until)))
            .flat_map(|of| reminders.map(|reminder| (of, reminder)))
        {
            let record = AccessRecord { id: AccessId(1), person: PersonId(2), scope, from, until, reminder };
            let access = Access::new(&record, (1 << 62) - 1);
            assert_eq!((access.record(), access.revision()), (record, (1 << 62) - 1));
            let bytes = minicbor::to_vec(&access).unwrap();
            let read: Access = minicbor::decode(&bytes).unwrap();
            assert_eq!((read.record(), read.revision()), (record, access.revision()));
        }
    }

    #[test]
    fn an_end_is_moved_earlier_only_and_the_end_itself_is_outside() {
        let record = AccessRecord {
            id: AccessId(1),
            person: PersonId(2),
            scope: Scope::Box,
            from: None,
            until: None,
            reminder: None,
        };
        let mut access = Access::new(&record, 1);
        let permits = |access: &Access, at| access.permits(PersonId(2), None, UnixMillis(at));
        assert!(permits(&access, u64::MAX - 1) && !access.ended_within(Duration::from_secs(1), UnixMillis(0)));
        access.end(UnixMillis(100));
        access.end(UnixMillis(200));
        assert!(permits(&access, 99) && !permits(&access, 100));
        assert!(access.ended_within(Duration::from_millis(50), UnixMillis(150)));
        assert!(!access.ended_within(Duration::from_millis(50), UnixMillis(151)));
        assert!(!access.permits(PersonId(3), None, UnixMillis(1)));
    }
}
