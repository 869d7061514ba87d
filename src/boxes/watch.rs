//! The return of a key: whoever took it by an access that says so is reminded to bring it back, once for each pick-up.
//! A box without such an access looks at nothing.

use super::{
    access::Access,
    advice::{Advice, Day},
    alerts::span,
    event::Event,
    mails::BoxMail,
    rare::Rare,
    state::{Key, Place, SmartBox},
};
use crate::kernel::{AccessId, Effects, KeyId, PersonId, Recipient, UnixMillis};
use minicbor::{Decode, Encode};
use std::time::Duration;

/// A year.
pub const MAX_REMINDER_MINUTES: u32 = 525_600;
/// A reminder that could not be made so long after it was due, because the box was away or the server, is dropped: the
/// key may be back, or its lateness is told by now.
pub const REMINDED_WITHIN: Duration = Duration::from_secs(3600);

/// When the person who took a key by an access is reminded to bring it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Reminder {
    /// So many minutes before the access ends.
    #[n(0)]
    BeforeEnd(#[n(0)] u32),
    /// So many minutes after the key was picked up.
    #[n(1)]
    AfterPickUp(#[n(0)] u32),
}

/// A pick-up of which somebody was reminded, or was not because it was too late for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Reminded {
    #[n(0)]
    pub key: KeyId,
    /// When it was picked up.
    #[n(1)]
    pub since: UnixMillis,
    #[n(2)]
    pub access: AccessId,
    #[n(3)]
    pub person: PersonId,
    /// When he was to be reminded.
    #[n(4)]
    pub due: UnixMillis,
    /// Too late: nobody is told.
    #[n(5)]
    pub dropped: bool,
}

#[derive(Debug, Clone, Default, Encode, Decode)]
pub(super) struct Watch {
    /// How many of the accesses have a reminder.
    #[n(0)]
    reminding: u32,
    /// Of keys that were out when the last one was reminded of.
    #[n(1)]
    reminded: Rare<Pickup>,
    /// The last one that had exchanges.
    #[n(2)]
    pub day: Option<Day>,
    #[n(3)]
    pub advice: Option<Advice>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Pickup {
    #[n(0)]
    key: KeyId,
    #[n(1)]
    since: UnixMillis,
}

impl Watch {
    fn is_empty(&self) -> bool {
        self.reminding == 0 && self.reminded.is_empty() && self.day.is_none() && self.advice.is_none()
    }

    /// Heap memory of it.
    pub fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.reminded.heap_bytes()
    }
}

impl SmartBox {
    /// One access more, or less.
    pub(super) fn count_reminder(&mut self, access: &Access, more: bool) {
        if access.reminder().is_none() {
            return;
        }
        let watch = self.watch.get_or_insert_default();
        watch.reminding = if more { watch.reminding + 1 } else { watch.reminding.saturating_sub(1) };
        if watch.reminding == 0 {
            watch.reminded.retain(|_| false);
        }
        self.tighten_watch();
    }

    pub(super) fn tighten_watch(&mut self) {
        self.watch.take_if(|watch| watch.is_empty());
    }

    fn reminder_of(&self, watch: &Watch, accesses: &[&Access], key: &Key) -> Option<Reminded> {
        let Place::Out(Some(person)) = key.place else { return None };
        let pickup = Pickup { key: key.id, since: key.since };
        if watch.reminded.contains(&pickup) {
            return None;
        }
        let by = accesses.iter().filter(|access| access.permits(person, Some((key.id, &key.groups)), key.since));
        let due = by.filter_map(|access| {
            let due = match access.reminder()? {
                Reminder::AfterPickUp(minutes) => key.since.plus(span(minutes)),
                Reminder::BeforeEnd(minutes) => {
                    let span = span(minutes).as_millis() as u64;
                    UnixMillis(access.record().until?.0.saturating_sub(span)).max(key.since)
                }
            };
            Some((due, access.id))
        });
        let (due, access) = due.min_by_key(|(due, access)| (*due, access.0))?;
        Some(Reminded { key: key.id, since: key.since, access, person, due, dropped: false })
    }

    /// Nobody is reminded of what a box that is away may know better.
    fn reminders(&self) -> impl Iterator<Item = Reminded> {
        let watch = self
            .watch
            .as_deref()
            .filter(|watch| watch.reminding > 0 && self.sync.drained && !self.sync.offline && !self.suspended);
        watch.into_iter().flat_map(move |watch| {
            let accesses: Vec<_> = self.accesses.iter().filter(|access| access.reminder().is_some()).collect();
            self.keys.iter().filter_map(move |key| self.reminder_of(watch, &accesses, key))
        })
    }

    pub(super) fn reminder_deadline(&self) -> Option<UnixMillis> {
        self.reminders().map(|reminded| reminded.due).min()
    }

    pub(super) fn tick_reminders(&self, now: UnixMillis, events: &mut Vec<Event>) {
        let due = self.reminders().filter(|reminded| reminded.due <= now);
        events.extend(due.map(|due| Event::Reminded(Reminded { dropped: due.due.plus(REMINDED_WITHIN) < now, ..due })));
    }

    pub(super) fn note_reminded(&mut self, reminded: &Reminded) {
        let keys = &self.keys;
        let is_out = |pickup: &Pickup| {
            let of = |key: &&Key| key.id == pickup.key && key.since == pickup.since;
            keys.iter().find(of).is_some_and(|key| matches!(key.place, Place::Out(_)))
        };
        let watch = self.watch.get_or_insert_default();
        watch.reminded.retain(is_out);
        watch.reminded.push(Pickup { key: reminded.key, since: reminded.since });
    }

    /// One mail or one text, to whoever has the key.
    pub(super) fn remind(&self, event: &Event, effects: &mut Effects) {
        let Event::Reminded(Reminded { key, since, access, person, due, dropped: false }) = event else { return };
        let until = self.accesses.iter().find(|known| known.id == *access).and_then(|access| access.record().until);
        let about = BoxMail::ReturnReminder { smart_box: self.id(), key: *key, person: *person, since: *since, until };
        let within = due.plus(REMINDED_WITHIN);
        effects.mail(BoxMail::REMINDER, Recipient::Person(*person), &about, within);
        effects.mail(BoxMail::REMINDER_TEXT, Recipient::Mobile(*person), &about, within);
    }
}
