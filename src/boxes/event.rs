//! What has happened to a SmartBox. Stored for ever: numbers are append-only, golden bytes in the tests. People stand
//! here by id alone; long texts stand in rows.
//!
//! One file because the numbers of all events have to be seen side by side.

pub use super::event_moves::{Arrival, Departure, SightingAnswer};
use super::{
    advice::{Advice, Day},
    alerts::{AlertSettings, ExchangeTold, KeyAlerts, Trouble},
    brief,
    codes::{KeyCodeRecord, Loan, OfflineSettings, Pass, PassUse},
    command::{Accept, AccessRecord, Act, KeyRecord},
    messages::Sighting,
    online::{OfExchange, OnlineEvent},
    rows::ServerVersion,
    watch::Reminded,
    words::{BinState, By, Cursor, Fob, Health, Label, Model, Outcome, Plan, SecretHash, Size, Verifier},
};
use crate::kernel::{AccessId, BoxId, GroupId, KeyId, PassId, PersonId, UnixMillis};
use minicbor::{Decode, Encode};

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Event {
    #[n(0)]
    Created(#[n(0)] Box<Created>),
    /// All three, whichever changed.
    #[n(1)]
    Described {
        #[n(0)]
        name: Box<str>,
        #[n(1)]
        location: Box<str>,
        #[n(2)]
        zone: Box<str>,
    },
    #[n(2)]
    PlanSet {
        #[n(0)]
        plan: Plan,
    },
    #[n(3)]
    EnrolmentCodeMade {
        #[n(0)]
        code_hash: SecretHash,
        #[n(1)]
        expires: UnixMillis,
    },
    /// Expired, or replaced by a newer one.
    #[n(4)]
    EnrolmentCodeDropped {
        #[n(0)]
        code_hash: SecretHash,
    },
    #[n(5)]
    Enrolled {
        #[n(0)]
        code_hash: SecretHash,
        #[n(1)]
        token_hash: SecretHash,
        #[n(2)]
        generation: u32,
    },
    #[n(6)]
    Suspended {
        #[n(0)]
        why: Suspicion,
        /// The entry that gave it away, and the number it is kept under.
        #[n(1)]
        entry: Option<Box<Judged>>,
        #[n(2)]
        number: Option<u64>,
    },
    /// The first journal of a new enrolment does not continue the old one: it counts from here.
    #[n(7)]
    JournalRestarted {
        #[n(0)]
        next: u64,
    },
    #[n(8)]
    EntryJudged(#[cbor(n(0), with = "brief")] Judged),
    /// A complete journal did not bring the pick-up that another box's drop-off had announced.
    #[n(9)]
    LatePickUpMissing {
        #[n(0)]
        number: u64,
        #[n(1)]
        bin: Label,
        #[n(2)]
        fob: Fob,
        #[n(3)]
        key: Option<KeyId>,
    },
    #[n(10)]
    Synced(#[n(0)] Synced),
    /// The box has stored the state of this revision.
    #[n(11)]
    Confirmed {
        #[n(0)]
        revision: u64,
        /// Something that it was missing is among it.
        #[n(1)]
        settled: bool,
    },
    #[n(12)]
    WentOffline,
    /// The server itself was away: the next contact is due later.
    #[n(13)]
    ContactAwaited {
        #[n(0)]
        due: UnixMillis,
    },
    #[n(14)]
    GuaranteeBroken {
        #[n(0)]
        pending_since: UnixMillis,
    },
    #[n(15)]
    GuaranteeKeptAgain,
    #[n(16)]
    BinStateSet {
        #[n(0)]
        bin: Label,
        #[n(1)]
        state: BinState,
    },
    #[n(17)]
    BinCorrected {
        #[n(0)]
        bin: Label,
        #[n(1)]
        fob: Option<Fob>,
        /// The key on this fob, if it is at home here.
        #[n(2)]
        key: Option<KeyId>,
    },
    #[n(18)]
    BinConfirmed {
        #[n(0)]
        bin: Label,
    },
    #[n(19)]
    KeyAdded {
        #[n(0)]
        key: KeyRecord,
        #[n(1)]
        bin: Option<Label>,
    },
    /// All fields, whichever changed. Texts stand in their row.
    #[n(20)]
    KeyChanged {
        #[n(0)]
        key: KeyId,
        #[n(1)]
        name: Box<str>,
        #[n(2)]
        roaming: bool,
        #[n(3)]
        groups: Box<[GroupId]>,
        #[n(4)]
        size: Option<Size>,
    },
    #[n(21)]
    KeyRemoved {
        #[n(0)]
        key: KeyId,
        #[n(1)]
        fob: Option<Fob>,
    },
    /// From now on the key hangs on this fob: it was learned at a drop-off, or an administrator has said so.
    #[n(82)]
    KeyFobSet {
        #[n(0)]
        key: KeyId,
        #[n(1)]
        fob: Fob,
        #[n(2)]
        before: Option<Fob>,
        /// Where the fob lies.
        #[n(3)]
        bin: Option<Label>,
        /// Who dropped it off, where it was learned.
        #[n(4)]
        person: Option<PersonId>,
    },
    #[n(22)]
    AccessGranted(#[n(0)] AccessRecord),
    #[n(23)]
    AccessRevoked {
        #[n(0)]
        access: AccessId,
        #[n(1)]
        person: PersonId,
        /// That it was to.
        #[n(2)]
        group: Option<GroupId>,
    },
    #[n(24)]
    ConflictResolved {
        #[n(0)]
        number: u64,
        #[n(1)]
        accept: Accept,
        /// A pick-up that now counts: this fob is gone,
        #[n(2)]
        taken: Option<Fob>,
        /// with this person.
        #[n(3)]
        person: Option<PersonId>,
    },
    /// The key is in another box: its record goes there.
    #[n(25)]
    KeyDeparted(#[n(0)] Box<Departure>),
    #[n(26)]
    KeyArrived(#[n(0)] Box<Arrival>),
    /// What another box was told about a fob that it saw.
    #[n(27)]
    SightingAnswered {
        #[n(0)]
        sighting: Sighting,
        #[n(1)]
        answer: SightingAnswer,
    },
    /// Nobody in the organisation knows this fob: the bin holds an unknown one.
    #[n(28)]
    VisitorUnknown {
        #[n(0)]
        fob: Fob,
        /// Where it is.
        #[n(1)]
        bin: Label,
        #[n(2)]
        person: Option<PersonId>,
    },
    /// The question about a fob is settled and there is nothing to hold here any more.
    #[n(29)]
    VisitorForgotten {
        #[n(0)]
        fob: Fob,
    },
    /// It has been elsewhere since: the bin is empty by now, and its pick-up is still to come.
    #[n(30)]
    VisitorMovedOn {
        #[n(0)]
        fob: Fob,
        #[n(1)]
        key: KeyId,
    },
    /// The same unknown fob is said to be in another box.
    #[n(31)]
    VisitorDoubled {
        #[n(0)]
        number: u64,
        #[n(1)]
        fob: Fob,
        #[n(2)]
        bin: Label,
        #[n(3)]
        elsewhere: BoxId,
    },
    /// No answer has come, or a later sighting has to be told.
    #[n(32)]
    VisitorAskedAgain {
        #[n(0)]
        fob: Fob,
    },
    /// An unknown fob has left: its claim is given back.
    #[n(33)]
    FobReleased {
        #[n(0)]
        fob: Fob,
    },
    #[n(34)]
    CredentialsAsked {
        #[n(0)]
        person: PersonId,
    },
    #[n(35)]
    CredentialsSet {
        #[n(0)]
        person: PersonId,
        #[n(1)]
        revision: u64,
        #[n(2)]
        code: Option<Verifier>,
        #[n(3)]
        badges: Box<[Verifier]>,
    },
    /// Set, or taken away.
    #[n(50)]
    KeyCodeSet {
        #[n(0)]
        key: KeyId,
        #[n(1)]
        code: Option<KeyCodeRecord>,
        #[n(2)]
        verifier: Option<Verifier>,
    },
    /// The verifier of this enrolment has come.
    #[n(51)]
    KeyCodeVerified {
        #[n(0)]
        key: KeyId,
        #[n(1)]
        verifier: Verifier,
    },
    /// All booking codes of a person at this box.
    #[n(52)]
    BookingsSet {
        #[n(0)]
        person: PersonId,
        #[n(1)]
        bookings: Box<[(AccessId, Verifier)]>,
    },
    /// The access that it belonged to has ended: its person gives the code back.
    #[n(54)]
    BookingEnded {
        #[n(0)]
        access: AccessId,
        #[n(1)]
        person: PersonId,
    },
    /// The box where a key is at home now was told its code.
    #[n(55)]
    KeyCodeTold {
        #[n(0)]
        key: KeyId,
        #[n(1)]
        to: BoxId,
        #[n(2)]
        generation: u32,
    },
    #[n(56)]
    SheetRenewed {
        #[n(0)]
        number: u32,
    },
    /// Somebody has the codes of this sheet in hand.
    #[n(57)]
    SheetShown {
        #[n(0)]
        number: u32,
        #[n(1)]
        codes: u32,
    },
    /// Signed, or signed for longer. `dropped`: passes that are over and are forgotten.
    #[n(58)]
    PassSigned {
        #[n(0)]
        pass: Pass,
        #[n(1)]
        dropped: Box<[PassId]>,
    },
    /// Another box's journal tells of it, or an entry of its own that did not fit. `before`: it had been used already.
    #[n(59)]
    PassUsed {
        #[n(0)]
        pass: PassId,
        #[n(1)]
        used: PassUse,
        #[n(2)]
        before: Option<PassUse>,
    },
    /// Another connected box decides by this pass.
    #[n(76)]
    PassLent {
        #[n(0)]
        pass: PassId,
        #[n(1)]
        loan: Loan,
    },
    /// By what a box checks somebody's PIN; `None`: they have none any more.
    #[n(80)]
    PinSet {
        #[n(0)]
        person: PersonId,
        #[n(1)]
        pin: Option<Verifier>,
    },
    /// No cabinet is this box any more, until one is enrolled.
    #[n(81)]
    Unlinked,
    #[n(79)]
    BinSized {
        #[n(0)]
        bin: Label,
        #[n(1)]
        size: Size,
    },
    /// The box was stolen: so many people's codes, and codes of keys, could be found out with what it held.
    #[n(77)]
    CodesExposed {
        #[n(0)]
        people: u32,
        #[n(1)]
        keys: u32,
    },
    /// New codes of keys are about to be drawn.
    #[n(78)]
    KeyCodesExposed,
    #[n(53)]
    SettingsTaken(#[n(0)] OfflineSettings),
    /// An exchange, an order or a setting of a connected box.
    #[n(60)]
    Online(#[n(0)] Box<OnlineEvent>),
    /// The server was restored from a backup since this box was heard last: whatever it holds came from elsewhere.
    #[n(40)]
    Restored {
        #[n(0)]
        epoch: u32,
    },
    /// The box has thrown these entries away, and the server does not have them (any more): they are lost.
    #[n(41)]
    JournalGap {
        #[n(0)]
        number: u64,
        #[n(1)]
        first: u64,
        #[n(2)]
        last: u64,
    },
    /// Whoever has a key was reminded to bring it back, or it was too late for that.
    #[n(88)]
    Reminded(#[n(0)] Reminded),
    /// More exchanges in a working day than the plan is made for.
    #[n(89)]
    PlanAdvised(#[n(0)] Advice),
    /// What the organisation wants to be told.
    #[n(70)]
    AlertsSet(#[n(0)] Box<AlertSettings>),
    #[n(71)]
    KeyAlertsSet {
        #[n(0)]
        key: KeyId,
        #[n(1)]
        alerts: KeyAlerts,
    },
    /// Its number is this event's revision.
    #[n(72)]
    AlertRaised(#[n(0)] Trouble),
    #[n(73)]
    AlertEnded {
        #[n(0)]
        number: u64,
        #[n(1)]
        condition: Trouble,
    },
    #[n(74)]
    AlertAcknowledged {
        #[n(0)]
        number: u64,
    },
    #[n(75)]
    ExchangeTold(#[n(0)] ExchangeTold),
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Created {
    #[n(0)]
    pub name: Box<str>,
    #[n(1)]
    pub model: Model,
    #[n(2)]
    pub plan: Plan,
    #[n(3)]
    pub location: Box<str>,
    #[n(4)]
    pub zone: Box<str>,
    #[n(5)]
    pub bins: Box<[Label]>,
}

/// Why a box is suspended until it is enrolled anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Suspicion {
    #[n(0)]
    Stolen,
    /// An entry's number came again with other content.
    #[n(1)]
    SequenceReused {
        #[n(0)]
        seq: u64,
    },
    /// The journal ends, or starts, behind what was receipted.
    #[n(2)]
    BehindReceipts {
        #[n(0)]
        seq: u64,
    },
}

/// One journal entry, judged: whole, so that history and conflicts need nothing else.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Judged {
    #[n(0)]
    pub seq: u64,
    /// Of the entry's content, to know it when it comes again.
    #[n(1)]
    pub content: u32,
    #[n(2)]
    pub outcome: Outcome,
    /// `None`: unreadable.
    #[n(3)]
    pub act: Option<Act>,
    #[n(4)]
    pub bin: Option<Label>,
    #[n(5)]
    pub person: Option<PersonId>,
    /// By the box's clock.
    #[n(6)]
    pub box_time: Option<UnixMillis>,
    /// Corrected by the measured skew; when it was received, if `estimated`.
    #[n(7)]
    pub at: UnixMillis,
    #[n(8)]
    pub estimated: bool,
    #[n(9)]
    pub cursor: Option<Cursor>,
    /// The key on the fob, if it is (or was, for a late pick-up) at home here.
    #[n(10)]
    pub key: Option<KeyId>,
    /// The pick-up that another box's drop-off had announced.
    #[n(11)]
    pub late: bool,
    /// What the server knew, with what is ignored or rejected.
    #[n(12)]
    pub found: Option<Box<ServerVersion>>,
    /// What cannot be read.
    #[n(13)]
    pub text: Option<Box<str>>,
    /// By what somebody was let in.
    #[n(20)]
    pub by: Option<By>,
    /// The server had decided it.
    #[n(14)]
    pub exchange: Option<OfExchange>,
    /// The key that hangs on the fob, if that turns out to be nobody's.
    #[n(15)]
    pub named: Option<KeyId>,
}

impl Judged {
    /// Whether it changed bins and keys as it says.
    pub fn took_place(&self) -> bool {
        self.outcome.took_place() && !self.exchange.is_some_and(|of| of.known)
    }

    /// The pass by which a bin was opened for a pick-up, whether or not that fits.
    pub fn opened_by(&self) -> Option<PassId> {
        match (self.outcome, self.by, self.act) {
            (Outcome::Rejected(_), ..) => None,
            (_, Some(By::Pass(pass)), Some(Act::PickUp(_))) => Some(pass),
            _ => None,
        }
    }
}

impl Event {
    /// What happened at a bin, told by the journal or at once.
    pub fn judged(&self) -> Option<&Judged> {
        match self {
            Self::EntryJudged(judged) => Some(judged),
            Self::Online(event) => match &**event {
                OnlineEvent::ExchangeCompleted { judged, .. } => Some(judged),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The end of a sync: contact, and what it says of the box itself.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Synced {
    /// The stored state that the box showed; 0: none, or none of ours.
    #[n(0)]
    pub shown: u64,
    /// Server minus box clock.
    #[n(1)]
    pub skew_ms: i64,
    /// Only when it changed.
    #[n(2)]
    pub health: Option<Box<Health>>,
    /// No entry is without a receipt.
    #[n(3)]
    pub drained: bool,
    #[n(4)]
    pub next_sync_s: u32,
    /// New entries in it.
    #[n(5)]
    pub entries: u32,
    /// It had been offline.
    #[n(6)]
    pub back: bool,
    /// Since when it has been missing something is another time than before.
    #[n(7)]
    pub settled: bool,
    /// With the first exchanges of a day: their count begins.
    #[n(8)]
    pub day: Option<Day>,
}
