//! Arbitrary commands to one SmartBox in a small universe, so that they meet: nothing panics, only the first step
//! refuses (ENG-5), and what is stored reads back as what was there.
#![no_main]

use arbitrary::{Result, Unstructured};
use castellan::{
    boxes::*,
    kernel::{
        AccessId, Address, BoxId, ClaimOp, Context, Effects, GroupId, KeyId, Machine, OrgId, PersonId, Principal,
        Progress, Stamp, UnixMillis,
    },
};
use std::collections::BTreeMap;

const ORG: OrgId = OrgId(7);
const HOME: BoxId = BoxId(1);
const COMMANDS_MAX: usize = 64;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Running out of bytes ends the story.
    let _ = story(&mut Unstructured::new(bytes));
});

fn story(u: &mut Unstructured<'_>) -> Result<()> {
    let mut world =
        World { state: SmartBox::blank(HOME.at(ORG)), revision: 0, now: 1_790_000_000_000, holders: BTreeMap::new() };
    world.tell(&Command::Create(creation(u)?));
    world.tell(&Command::MakeEnrolmentCode { code_hash: hash(1), expires: UnixMillis(u64::MAX), stolen: false });
    world.tell(&Command::Enrol { code_hash: hash(1), token_hash: hash(2) });
    for _ in 0..COMMANDS_MAX {
        if u.is_empty() {
            break;
        }
        world.now += u.int_in_range(0..=86_400_000u64)?;
        let command = command(u)?;
        if world.can_be(&command) {
            world.tell(&command);
        }
    }
    Ok(())
}

struct World {
    state: SmartBox,
    revision: u64,
    now: u64,
    /// Who holds which fob's claim.
    holders: BTreeMap<Vec<u8>, Address>,
}

impl World {
    fn tell(&mut self, command: &Command) {
        let cx = Context {
            org: ORG,
            now: UnixMillis(self.now),
            epoch: 1,
            up_since: UnixMillis(1_790_000_000_000),
            by: Principal::Token(Address { org: ORG, entity: HOME.into() }),
            from: None,
        };
        if std::env::var_os("SHOW").is_some() {
            eprintln!("{} {command:?}", self.now);
        }
        let mut all = Vec::new();
        for step in 0.. {
            let mut events = Vec::new();
            let progress = match self.state.decide(command, step, &cx, &mut events) {
                Ok(progress) => progress,
                Err(_) if step == 0 => return,
                Err(refusal) => panic!("step {step} refuses with {refusal:?}"),
            };
            if step == 0 && !self.claim(command, &events) {
                return;
            }
            for event in &events {
                self.revision += 1;
                self.state.evolve(event, Stamp { at: cx.now, revision: self.revision });
            }
            all.extend(events);
            if progress == Progress::Done {
                break;
            }
        }
        self.state.answer(command, &all, self.revision, &cx);
        self.state.effects(command, &all, &cx, &mut Effects::default());
        self.check();
    }

    /// Another box gives away only a key whose fob it holds.
    fn can_be(&self, command: &Command) -> bool {
        match command {
            Command::Heard { message: BoxMessage::KeyMoved { key, .. }, .. } => {
                key.fob.is_none_or(|fob| self.holders.get(fob.as_bytes()) != Some(&HOME.at(ORG)))
            }
            _ => true,
        }
    }

    /// As the shell does: a fob that another entity holds is refused before anything is applied.
    fn claim(&mut self, command: &Command, events: &[Event]) -> bool {
        let mut claims = Vec::new();
        self.state.claims(command, events, &mut claims);
        let own = HOME.at(ORG);
        let free = claims.iter().all(|claim| match claim {
            ClaimOp::Take { value, .. } => self.holders.get(value).is_none_or(|holder| *holder == own),
            ClaimOp::TakeFree { value, .. } => !self.holders.contains_key(value),
            ClaimOp::Inherit { value, from, .. } => {
                self.holders.get(value).is_none_or(|holder| holder == from || *holder == own)
            }
            ClaimOp::Release { .. } => true,
        });
        for claim in claims.into_iter().filter(|_| free) {
            match claim {
                ClaimOp::Take { value, .. } | ClaimOp::TakeFree { value, .. } | ClaimOp::Inherit { value, .. } => self.holders.insert(value, own),
                ClaimOp::Release { value, .. } => self.holders.remove(&value),
            };
        }
        free
    }

    fn check(&self) {
        assert_eq!(check_invariants(&self.state), []);
        let (mut once, mut again) = (Vec::new(), Vec::new());
        self.state.to_snapshot(&mut once);
        SmartBox::from_snapshot(&once).expect("a snapshot reads back").to_snapshot(&mut again);
        assert_eq!(once, again, "a snapshot says the same twice");
    }
}

fn hash(number: u8) -> SecretHash {
    SecretHash([number; 32])
}

fn label(u: &mut Unstructured<'_>) -> Result<Label> {
    let text = *u.choose(&["A-1", "A-2", "A-3", "Z-9"])?;
    Label::new(text).ok_or(arbitrary::Error::IncorrectFormat)
}

fn fob(u: &mut Unstructured<'_>) -> Result<Fob> {
    let text = *u.choose(&["F1", "F2", "F3", "F4"])?;
    Fob::new(text).ok_or(arbitrary::Error::IncorrectFormat)
}

fn small(u: &mut Unstructured<'_>) -> Result<u128> {
    u.int_in_range(1..=3)
}

fn maybe<T>(u: &mut Unstructured<'_>, make: impl FnOnce(&mut Unstructured<'_>) -> Result<T>) -> Result<Option<T>> {
    if u.arbitrary()? { make(u).map(Some) } else { Ok(None) }
}

fn several<T>(
    u: &mut Unstructured<'_>,
    most: usize,
    make: impl Fn(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Box<[T]>> {
    (0..u.int_in_range(0..=most)?).map(|_| make(u)).collect()
}

fn time(u: &mut Unstructured<'_>) -> Result<UnixMillis> {
    Ok(UnixMillis(match u.int_in_range(0..=3)? {
        0 => 0,
        1 => u.arbitrary()?,
        _ => 1_790_000_000_000 + u.int_in_range(0..=10_000_000_000u64)?,
    }))
}

fn cursor(u: &mut Unstructured<'_>) -> Result<Cursor> {
    Ok(Cursor { epoch: u.int_in_range(0..=2)?, revision: u.int_in_range(0..=80)? })
}

fn creation(u: &mut Unstructured<'_>) -> Result<Creation> {
    Ok(Creation {
        name: "Lobby".into(),
        model: *u.choose(&[Model::MS3, Model::MS5])?,
        plan: *u.choose(&[Plan::Lite, Plan::Premium, Plan::BusinessPro])?,
        location: "".into(),
        zone: "Europe/Rome".into(),
        bins: ["A-1", "A-2", "A-3"].iter().filter_map(|text| Label::new(text)).collect(),
    })
}

fn key(u: &mut Unstructured<'_>) -> Result<KeyRecord> {
    Ok(KeyRecord {
        id: KeyId(small(u)?),
        name: "Van".into(),
        fob: maybe(u, fob)?,
        roaming: u.arbitrary()?,
        groups: several(u, 2, |u| Ok(GroupId(small(u)?)))?,
        size: *u.choose(&[None, Some(Size::Large)])?,
    })
}

fn access(u: &mut Unstructured<'_>) -> Result<AccessRecord> {
    let scope = match u.int_in_range(0..=2)? {
        0 => Scope::Key(KeyId(small(u)?)),
        1 => Scope::Group(GroupId(small(u)?)),
        _ => Scope::Box,
    };
    let (from, until) = (maybe(u, time)?, maybe(u, time)?);
    Ok(AccessRecord { id: AccessId(small(u)?), person: PersonId(small(u)?), scope, from, until, reminder: None })
}

fn sighting(u: &mut Unstructured<'_>) -> Result<Sighting> {
    Ok(Sighting {
        fob: fob(u)?,
        by: BoxId(small(u)?),
        at: time(u)?,
        heard: time(u)?,
        corrected: u.arbitrary()?,
        hops: u.int_in_range(0..=9)?,
    })
}

fn entry(u: &mut Unstructured<'_>) -> Result<Entry> {
    let seq = u.int_in_range(0..=40u64)?;
    if u.ratio(1, 16)? {
        return Ok(Entry::Unreadable { seq, text: "?".into() });
    }
    let act = match u.int_in_range(0..=2)? {
        0 => Act::PickUp(fob(u)?),
        1 => Act::DropOff(fob(u)?),
        _ => Act::Opened,
    };
    let (at, cursor, bin) = (time(u)?, maybe(u, cursor)?, label(u)?);
    let (bin, person) = (Some(bin), maybe(u, |u| Ok(PersonId(small(u)?)))?);
    let named = maybe(u, |u| Ok(KeyId(small(u)?)))?.filter(|_| matches!(act, Act::DropOff(_)));
    Ok(Entry::Read(JournalEntry { seq, at, cursor, act, bin, person, by: None, exchange: None, named }))
}

fn message(u: &mut Unstructured<'_>) -> Result<BoxMessage> {
    Ok(match u.int_in_range(0..=8)? {
        0 => BoxMessage::PlanChanged { plan: *u.choose(&[Plan::Lite, Plan::BusinessPro])? },
        1 => BoxMessage::FobSeen(sighting(u)?),
        2 => BoxMessage::KeyMoved {
            key: key(u)?,
            accesses: several(u, 2, access)?,
            sighting: sighting(u)?,
            code: None,
            booked: None,
            alerts: None,
        },
        3 => BoxMessage::FobMovedOn { sighting: sighting(u)?, key: KeyId(small(u)?) },
        4 => BoxMessage::FobHeldElsewhere { sighting: sighting(u)? },
        5 => BoxMessage::FobUnclaimed { sighting: sighting(u)? },
        6 => BoxMessage::FobLeft { fob: fob(u)? },
        7 => BoxMessage::PersonChanged { person: PersonId(small(u)?), revision: u.int_in_range(0..=9)? },
        _ => BoxMessage::PersonGone { person: PersonId(small(u)?) },
    })
}

fn command(u: &mut Unstructured<'_>) -> Result<Command> {
    Ok(match u.int_in_range(0..=16)? {
        0..=4 => Command::Sync {
            token_hash: hash(2),
            request: SyncRequest {
                cursor: maybe(u, cursor)?,
                head: u.int_in_range(0..=40)?,
                kept_from: u.arbitrary::<Option<u8>>()?.map(|kept_from| u64::from(kept_from % 48)),
                more: u.arbitrary()?,
                entries: several(u, 8, entry)?,
                clock: time(u)?,
                health: Health { battery_percent: u.arbitrary()?, mains: u.arbitrary()?, link: None, firmware: None },
            },
        },
        5 => Command::Confirm { token_hash: hash(2), cursor: cursor(u)? },
        6 => Command::SetBin {
            bin: label(u)?,
            state: Some(*u.choose(&[BinState::Enabled, BinState::Protected])?),
            size: *u.choose(&[None, Some(Size::Small), Some(Size::Large)])?,
        },
        7 => Command::CorrectBin { bin: label(u)?, fob: maybe(u, fob)?, key: maybe(u, |u| Ok(KeyId(small(u)?)))? },
        8 => Command::ConfirmBin { bin: label(u)? },
        9 => Command::AddKey { key: key(u)?, bin: maybe(u, label)?, texts: None },
        10 => Command::RemoveKey { key: KeyId(small(u)?) },
        11 => Command::Grant { accesses: several(u, 3, access)? },
        12 => Command::Revoke { access: AccessId(small(u)?) },
        13 => Command::Tick,
        14 => Command::Heard { from: BoxOrOther::Box(BoxId(small(u)?)), message: message(u)? },
        15 => Command::Unclaimed { sighting: sighting(u)? },
        _ => Command::Enrol { code_hash: hash(u.int_in_range(1..=2)?), token_hash: hash(2) },
    })
}
