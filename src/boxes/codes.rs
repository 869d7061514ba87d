//! What a box needs beyond access codes and badges to decide alone: key codes, booking codes, its sheet of offline
//! codes, passes, and what its organisation has chosen. Absent for the many boxes that use none of it (ADR 0024).

use super::{
    command::{AccessRecord, Act, Scope},
    event::Judged,
    state::SmartBox,
    words::{By, Fob, Size, Verifier},
};
use crate::{
    kernel::{AccessId, BoxId, KeyId, PassId, PersonId, Stamp, UnixMillis},
    orgs::Mark,
};
use minicbor::{Decode, Encode};

/// Passes that a box keeps in mind; one leaves when its time is over.
pub const MAX_PASSES: usize = 500;
/// The list of codes that open every bin; other lists are numbered as the bins are.
pub const WHOLE_BOX: u16 = u16::MAX;

#[derive(Debug, Clone, Default, Encode, Decode)]
pub(super) struct Codes {
    #[n(0)]
    pub keys: Vec<KeyCode>,
    #[n(1)]
    pub bookings: Vec<Booking>,
    #[n(2)]
    pub settings: OfflineSettings,
    /// Of the last change of the settings, or of the number of the sheet.
    #[n(3)]
    pub told: u64,
    #[n(4)]
    pub sheet: Sheet,
    #[n(5)]
    pub passes: Vec<Pass>,
    /// Of the last sealing of key codes: what was merged with an older one is refused.
    #[n(6)]
    pub sealed: u64,
}

/// The code of a key, or that it has none any more.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct KeyCode {
    #[n(0)]
    pub key: KeyId,
    #[n(1)]
    pub code: Option<KeyCodeRecord>,
    /// `None` too while the box that has sealed it is being asked.
    #[n(2)]
    pub verifier: Option<Verifier>,
    #[n(3)]
    pub revision: u64,
}

/// A key's code as it moves with the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct KeyCodeRecord {
    #[n(0)]
    pub mark: Mark,
    /// In whose vault rows the digits are sealed.
    #[n(1)]
    pub at: BoxId,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Booking {
    #[n(0)]
    pub access: AccessId,
    #[n(1)]
    pub person: PersonId,
    #[n(2)]
    pub verifier: Verifier,
    #[n(3)]
    pub revision: u64,
}

/// What an organisation has chosen for all its boxes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct OfflineSettings {
    /// The organisation's own revision of these; 0: as every organisation begins.
    #[n(0)]
    pub revision: u64,
    #[n(1)]
    pub key_codes: bool,
    /// By which passes are checked; none: the one that the box got when it was enrolled.
    #[n(2)]
    pub pass_keys: Vec<PassKey>,
}

/// A public key (Ed25519) of an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PassKey {
    #[n(0)]
    pub number: u32,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub public: [u8; 32],
    /// It signs from here on.
    #[n(2)]
    pub from: UnixMillis,
    /// Nothing that it has signed holds from here on; none: it is the newest.
    #[n(3)]
    pub until: Option<UnixMillis>,
}

/// The offline codes in force: their secrets follow from the box's enrolment, the number of the sheet and the list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Sheet {
    /// Counts from 0; a new one kills the codes of the old.
    #[n(0)]
    pub number: u32,
    /// When somebody last had it shown; `None`: nobody holds it in hand, the box is unprepared.
    #[n(1)]
    pub shown: Option<UnixMillis>,
    /// The lists that have been used, and the counter that comes next.
    #[n(2)]
    pub used: Vec<Used>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct Used {
    #[n(0)]
    pub list: u16,
    #[n(1)]
    pub next: u32,
}

impl Sheet {
    pub fn next(&self, list: u16) -> u32 {
        self.used.iter().find(|used| used.list == list).map_or(0, |used| used.next)
    }
}

/// A permission that was signed for a person to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Pass {
    #[n(0)]
    pub id: PassId,
    #[n(1)]
    pub access: AccessId,
    #[n(2)]
    pub person: PersonId,
    #[n(3)]
    pub from: UnixMillis,
    #[n(4)]
    pub until: UnixMillis,
    #[n(5)]
    pub signed: UnixMillis,
    /// Which of the organisation's keys signs it.
    #[n(6)]
    pub key: u32,
    /// Where it was used.
    #[n(7)]
    pub used: Option<PassUse>,
    /// Another box decides by it just now.
    #[n(8)]
    pub lent: Option<Loan>,
    /// The key that its access opens: where that is at home, there the access is too.
    #[n(9)]
    pub opens: Option<KeyId>,
}

/// While a box that has not signed a pass decides by it, nobody else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Loan {
    #[n(0)]
    pub to: BoxId,
    #[n(1)]
    pub until: UnixMillis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PassUse {
    #[n(0)]
    pub at: BoxId,
    /// The journal entry that says so; 0: an exchange that the server had decided.
    #[n(1)]
    pub seq: u64,
}

/// The plaintext of a box's sealed `KeyCodes` row: the codes that were set while the keys were at home there.
#[derive(Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct KeyCodesPlain {
    #[n(0)]
    pub codes: Vec<KeyCodePlain>,
}

crate::kernel::opaque!(KeyCodesPlain);

#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct KeyCodePlain {
    #[n(0)]
    pub key: KeyId,
    #[n(1)]
    pub code: String,
}

crate::kernel::opaque!(KeyCodePlain);

impl SmartBox {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A pass that this box keeps in mind.
    pub fn pass(&self, id: PassId) -> Option<Pass> {
        self.signed_pass(id).copied()
    }

    /// An access, and whether it opens a key that may be dropped anywhere.
    pub fn access(&self, access: AccessId) -> Option<(AccessRecord, bool)> {
        let record = self.accesses.iter().find(|known| known.id == access)?.record();
        let roams = |key| self.key(key).is_some_and(|key| key.roaming);
        Some((record, matches!(record.scope, Scope::Key(key) if roams(key))))
    }

    /// Of a key at home here; `None`: as all are by default.
    pub fn size_of(&self, fob: &Fob) -> Option<Size> {
        self.key_on(fob).and_then(|key| key.size)
    }

    /// Of its enrolment; 0: never enrolled.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    pub(super) fn codes_mut(&mut self) -> &mut Codes {
        self.codes.get_or_insert_default()
    }

    /// The code of a key, if it has one.
    pub(super) fn key_code(&self, key: KeyId) -> Option<&KeyCode> {
        self.codes.as_deref()?.keys.iter().find(|known| known.key == key && known.code.is_some())
    }

    pub(super) fn signed_pass(&self, id: PassId) -> Option<&Pass> {
        self.codes.as_deref()?.passes.iter().find(|pass| pass.id == id)
    }

    /// The settings that the box was told of last.
    pub(super) fn settings_revision(&self) -> u64 {
        self.codes.as_deref().map_or(0, |codes| codes.settings.revision)
    }

    pub(super) fn set_key_code(
        &mut self,
        key: KeyId,
        code: Option<KeyCodeRecord>,
        verifier: Option<Verifier>,
        stamp: Stamp,
    ) {
        let codes = self.codes_mut();
        codes.keys.retain(|known| known.key != key);
        codes.keys.push(KeyCode { key, code, verifier, revision: stamp.revision });
        self.miss_key_code(stamp);
    }

    /// A verifier that was asked for has come.
    pub(super) fn verify_key_code(&mut self, key: KeyId, verifier: Verifier, stamp: Stamp) {
        if let Some(known) = self.codes_mut().keys.iter_mut().find(|known| known.key == key) {
            known.verifier = Some(verifier);
            known.revision = stamp.revision;
            self.miss_key_code(stamp);
        }
    }

    pub(super) fn tells_key_codes(&self) -> bool {
        self.codes.as_deref().is_some_and(|codes| codes.settings.key_codes)
    }

    fn miss_key_code(&mut self, stamp: Stamp) {
        if self.tells_key_codes() {
            self.miss_permission(stamp);
        }
    }

    /// All booking codes of a person here; further ones of theirs are at other boxes.
    pub(super) fn set_bookings(&mut self, person: PersonId, bookings: &[(AccessId, Verifier)], stamp: Stamp) {
        let codes = self.codes_mut();
        let before = codes.bookings.len();
        codes.bookings.retain(|known| {
            known.person != person
                || bookings.iter().any(|(access, verifier)| *access == known.access && *verifier == known.verifier)
        });
        let taken_away = codes.bookings.len() < before;
        for (access, verifier) in bookings {
            if codes.bookings.iter().all(|known| known.access != *access) {
                let (access, verifier) = (*access, *verifier);
                codes.bookings.push(Booking { access, person, verifier, revision: stamp.revision });
            }
        }
        if taken_away {
            // Its access may stay: nothing else tells the box to forget the code.
            self.delta_from = stamp.revision;
        }
        self.miss_permission(stamp);
    }

    pub(super) fn take_settings(&mut self, settings: &OfflineSettings, stamp: Stamp) {
        let codes = self.codes_mut();
        let before = codes.settings.key_codes;
        codes.settings = settings.clone();
        codes.told = stamp.revision;
        if before != settings.key_codes {
            // What stands behind it is given or taken away with it.
            self.delta_from = stamp.revision;
        }
        self.miss_permission(stamp);
    }

    /// A new enrolment, or an administrator, starts a new sheet. Nobody has it in hand.
    pub(super) fn renew_sheet(&mut self, number: u32, stamp: Stamp) {
        let codes = self.codes_mut();
        codes.sheet = Sheet { number, ..Sheet::default() };
        codes.told = stamp.revision;
        self.miss(stamp);
    }

    /// Verifiers hold for one enrolment: all are asked for anew.
    pub(super) fn forget_verifiers(&mut self, stamp: Stamp) {
        let Some(codes) = self.codes.as_deref_mut() else { return };
        codes.bookings.clear();
        for known in &mut codes.keys {
            known.verifier = None;
            known.revision = stamp.revision;
        }
        codes.sheet = Sheet { number: codes.sheet.number + 1, ..Sheet::default() };
        codes.told = stamp.revision;
    }

    /// A code or a pass that holds once has been used.
    pub(super) fn spend(&mut self, judged: &Judged, bin: Option<usize>) {
        match (judged.by, judged.act) {
            (Some(By::Pass(pass)), Some(Act::PickUp(_))) => {
                let used = PassUse { at: self.id(), seq: judged.seq };
                self.use_pass(pass, used);
            }
            (Some(By::OfflineCode { sheet, counter }), _) if sheet == self.sheet_number() => {
                let list = bin.and_then(|bin| u16::try_from(bin).ok()).unwrap_or(WHOLE_BOX);
                let next = self.next_counter(list).max(counter.saturating_add(1));
                let used = &mut self.codes_mut().sheet.used;
                used.retain(|known| known.list != list);
                used.push(Used { list, next });
            }
            _ => {}
        }
    }

    /// The first use counts.
    pub(super) fn use_pass(&mut self, pass: PassId, used: PassUse) {
        let Some(codes) = self.codes.as_deref_mut() else { return };
        if let Some(known) = codes.passes.iter_mut().find(|known| known.id == pass) {
            known.used.get_or_insert(used);
        }
    }

    pub(super) fn lend_pass(&mut self, pass: PassId, loan: Loan) {
        let passes = self.codes.iter_mut().flat_map(|codes| &mut codes.passes);
        passes.filter(|known| known.id == pass).for_each(|known| known.lent = Some(loan));
    }

    /// What hangs on an access or a key that is no longer here.
    pub(super) fn forget_access_codes(&mut self, access: AccessId) {
        let Some(codes) = self.codes.as_deref_mut() else { return };
        codes.bookings.retain(|booking| booking.access != access);
    }

    pub(super) fn forget_key_code(&mut self, key: KeyId) {
        let Some(codes) = self.codes.as_deref_mut() else { return };
        codes.keys.retain(|known| known.key != key);
    }
}

impl Codes {
    /// Bytes of it, its heap memory with it.
    pub fn size_in_memory(&self) -> usize {
        size_of::<Self>()
            + self.keys.capacity() * size_of::<KeyCode>()
            + self.bookings.capacity() * size_of::<Booking>()
            + self.settings.pass_keys.capacity() * size_of::<PassKey>()
            + self.sheet.used.capacity() * size_of::<Used>()
            + self.passes.capacity() * size_of::<Pass>()
    }
}
