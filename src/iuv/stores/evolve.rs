//! What a store is after an event, and what follows from it for the house: claims, deadlines, rows.

use super::{
    decide, effects,
    state::{
        Command, Event, Known, MAILS_APART, OldKey, REFUSED_MAX, Refusal, RefusedCaller, Settings, Trouble,
        Verification, WebStore,
    },
    view::StoreView,
};
use crate::{
    iuv::words::{VerificationKind, VerificationState},
    kernel::{Address, ClaimOp, ClaimSpace, Codec, Context, Effects, EntityKind, Machine, Progress, Stamp, UnixMillis},
};

impl Machine for WebStore {
    const KIND: EntityKind = EntityKind::WebStore;
    const EVOLVE_VERSION: u16 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;
    type Answer = ();
    type View = StoreView;

    fn blank(address: Address) -> Self {
        Self { address, known: None }
    }

    fn decide(&self, command: &Command, _: usize, cx: &Context, events: &mut Vec<Event>) -> Result<Progress, Refusal> {
        match (command, &self.known) {
            (Command::Create(description), None) => {
                events.push(Event::Created(description.clone()));
                events.push(Event::Defined(decide::first_class()));
                events.push(Event::VerificationAdded {
                    verification: 1,
                    kind: VerificationKind::UserImport,
                    state: VerificationState::Active,
                });
            }
            (Command::Create(wanted), Some(known)) if known.description != *wanted => {
                return Err(Refusal::AlreadyExists);
            }
            (_, None) => return Err(Refusal::NotFound),
            (command, Some(known)) => decide::decide(known, command, cx.now, events)?,
        }
        Ok(Progress::Done)
    }

    fn evolve(&mut self, event: &Event, stamp: Stamp) {
        match (event, &mut self.known) {
            (Event::Created(description), known) => {
                *known = Some(Box::new(Known {
                    description: description.clone(),
                    created: stamp.at,
                    changed: stamp.revision,
                    classes: Vec::new(),
                    members: Vec::new(),
                    verifications: Vec::new(),
                    verifications_made: 0,
                    keys_made: 0,
                    secrets: 0,
                    refused: Vec::new(),
                    untold: Vec::new(),
                    told: None,
                }));
            }
            (event, Some(known)) => known.apply(event, stamp),
            (_, None) => {}
        }
    }

    fn claims(&self, _: &Command, events: &[Event], claims: &mut Vec<ClaimOp>) {
        let mut state = self.clone();
        let before = claimed(&state);
        // What the events come to decides; when they happened does not.
        events.iter().for_each(|event| state.evolve(event, Stamp { at: UnixMillis(0), revision: 0 }));
        let after = claimed(&state);
        claims.extend(
            after
                .iter()
                .filter(|claim| !before.contains(claim))
                .map(|(space, value)| ClaimOp::Take { space: *space, value: value.clone() }),
        );
        claims.extend(
            before
                .iter()
                .filter(|claim| !after.contains(claim))
                .map(|(space, value)| ClaimOp::Release { space: *space, value: value.clone() }),
        );
    }

    fn answer(&self, _: &Command, _: &[Event], _: u64, _: &Context) {}

    fn effects(&self, command: &Command, events: &[Event], cx: &Context, effects: &mut Effects) {
        effects::of_store(self, command, events, cx, effects);
    }

    fn standing_rows(&self, rows: &mut Effects) {
        effects::rows(self, rows);
    }

    /// What callers do is no change that an administrator would overwrite.
    fn tag(&self, _: &Command, _: u64) -> Option<u64> {
        self.known().map(|known| known.changed)
    }

    fn next_deadline(&self) -> Option<UnixMillis> {
        let known = self.known()?;
        let overlaps = known.verifications.iter().filter_map(|known| known.previous).map(|old| old.until);
        let mail = known.told.filter(|_| !known.untold.is_empty()).map(|told| told.plus(MAILS_APART));
        overlaps.chain(mail).min()
    }

    fn tick() -> Option<Command> {
        Some(Command::Tick)
    }

    fn view(&self) -> Option<StoreView> {
        self.known().map(|known| StoreView::of(self.address, known))
    }

    fn to_snapshot(&self, bytes: &mut Vec<u8>) {
        self.encode_into(bytes);
    }

    fn from_snapshot(bytes: &[u8]) -> Result<Self, String> {
        Codec::decode_from(bytes)
    }
}

/// The unique values that a store holds: its system name and its keys.
fn claimed(state: &WebStore) -> Vec<(ClaimSpace, Vec<u8>)> {
    let Some(known) = state.known() else { return Vec::new() };
    let name = (ClaimSpace::StoreName, known.description.system_name.to_lowercase().into_bytes());
    let keys = known.verifications.iter().flat_map(Verification::keys);
    std::iter::once(name).chain(keys.map(|key| (ClaimSpace::IuvKey, key.mark.0.to_vec()))).collect()
}

impl Known {
    fn of(&mut self, number: u32) -> Option<&mut Verification> {
        self.verifications.iter_mut().find(|verification| verification.number == number)
    }

    fn apply(&mut self, event: &Event, stamp: Stamp) {
        match event {
            Event::Created(_) | Event::KeyShown { .. } => {}
            Event::Changed(description) => self.description = description.clone(),
            Event::Defined(class) => {
                match self.classes.iter_mut().find(|known| known.code.eq_ignore_ascii_case(&class.code)) {
                    Some(known) => *known = class.clone(),
                    None => self.classes.push(class.clone()),
                }
            }
            Event::ClassRemoved { code } => self.classes.retain(|class| !class.code.eq_ignore_ascii_case(code)),
            Event::MemberDefined(member) => match self.members.iter_mut().find(|known| known.code == member.code) {
                Some(known) => *known = member.clone(),
                None => self.members.push(member.clone()),
            },
            Event::MemberRemoved { code } => self.members.retain(|member| member.code != *code),
            Event::VerificationAdded { verification, kind, state } => {
                self.verifications_made = *verification;
                self.verifications.push(Verification {
                    number: *verification,
                    kind: *kind,
                    state: *state,
                    settings: Settings::default(),
                    key: None,
                    previous: None,
                    administrators: 0,
                });
            }
            Event::StateSet { verification, state } => {
                if let Some(known) = self.of(*verification) {
                    known.state = *state;
                }
            }
            Event::VerificationRemoved { verification } => {
                self.verifications.retain(|known| known.number != *verification);
                self.secrets += 1;
            }
            Event::SettingsSet { verification, settings } => {
                if let Some(known) = self.of(*verification) {
                    known.settings = settings.clone();
                }
            }
            Event::AdministratorsSet { verification, count } => {
                if let Some(known) = self.of(*verification) {
                    known.administrators = *count;
                }
                self.secrets += 1;
            }
            Event::KeySaved { verification, key, overlap_until } => {
                if let Some(known) = self.of(*verification) {
                    let before = known.key.replace(*key);
                    known.previous = before.zip(*overlap_until).map(|(key, until)| OldKey { key, until });
                }
                self.keys_made = key.number;
                self.secrets += 1;
            }
            Event::OverlapEnded { verification } => {
                if let Some(known) = self.of(*verification) {
                    known.previous = None;
                }
            }
            Event::KeyExposed { verification, key } => {
                if let Some(known) = self.of(*verification) {
                    let current = known.key.iter_mut();
                    let keys = current.chain(known.previous.iter_mut().map(|old| &mut old.key));
                    keys.filter(|known| known.number == *key).for_each(|known| known.exposed = true);
                }
            }
            Event::Refused { troubles, callers } => {
                add(&mut self.untold, troubles);
                callers.iter().for_each(|caller| self.note_caller(*caller));
            }
            Event::Told { .. } => {
                self.untold.clear();
                self.told = Some(stamp.at);
            }
        }
        if event.is_by_administrator() {
            self.changed = stamp.revision;
        }
    }

    fn note_caller(&mut self, caller: RefusedCaller) {
        let before = self.refused.iter().position(|known| known.address == caller.address);
        let count = before.map_or(0, |at| self.refused.remove(at).count);
        if self.refused.len() >= REFUSED_MAX {
            self.refused.remove(0);
        }
        self.refused.push(RefusedCaller { count: caller.count.saturating_add(count), ..caller });
    }
}

/// Counts by reason, together.
pub(super) fn add(to: &mut Vec<Trouble>, more: &[Trouble]) {
    for trouble in more {
        match to.iter_mut().find(|known| known.why == trouble.why) {
            Some(known) => known.count = known.count.saturating_add(trouble.count),
            None => to.push(*trouble),
        }
    }
}

impl Event {
    /// Whether an administrator sees by it another store than before.
    fn is_by_administrator(&self) -> bool {
        match self {
            Self::Created(_)
            | Self::Changed(_)
            | Self::Defined(_)
            | Self::ClassRemoved { .. }
            | Self::MemberDefined(_)
            | Self::MemberRemoved { .. }
            | Self::VerificationAdded { .. }
            | Self::StateSet { .. }
            | Self::VerificationRemoved { .. }
            | Self::SettingsSet { .. }
            | Self::AdministratorsSet { .. }
            | Self::KeySaved { .. } => true,
            Self::OverlapEnded { .. }
            | Self::KeyShown { .. }
            | Self::KeyExposed { .. }
            | Self::Refused { .. }
            | Self::Told { .. } => false,
        }
    }
}
