//! A web store: what happens to it and what it then is. Pure.

pub use super::trouble::{RefusedCaller, Trouble, Why};
use crate::{
    iuv::words::{Group, Side, VerificationKind, VerificationState},
    kernel::{Address, StoreId, UnixMillis},
    orgs::{Language, Mark, Network},
};
use minicbor::{Decode, Encode};
use std::{net::IpAddr, time::Duration};
use zeroize::Zeroizing;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct WebStore {
    #[n(0)]
    pub address: Address,
    #[n(1)]
    pub known: Option<Box<Known>>,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Known {
    #[n(0)]
    pub description: Description,
    #[n(1)]
    pub created: UnixMillis,
    /// The revision of the last change that an administrator made.
    #[n(2)]
    pub changed: u64,
    #[n(3)]
    pub classes: Vec<GroupClass>,
    #[n(4)]
    pub members: Vec<Member>,
    #[n(5)]
    pub verifications: Vec<Verification>,
    /// The number of the last verification type.
    #[n(6)]
    pub verifications_made: u32,
    /// The number of the last key.
    #[n(7)]
    pub keys_made: u32,
    /// How often keys or administrators were sealed anew.
    #[n(8)]
    pub secrets: u64,
    /// Callers that were refused, the newest last.
    #[n(9)]
    pub refused: Vec<RefusedCaller>,
    /// Refusals that no mail has told of.
    #[n(10)]
    pub untold: Vec<Trouble>,
    #[n(11)]
    pub told: Option<UnixMillis>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Description {
    /// Nine digits: the organisation's.
    #[n(0)]
    pub account: u32,
    #[n(1)]
    pub system_name: Box<str>,
    #[n(2)]
    pub name: Box<str>,
    #[n(3)]
    pub language: Language,
    #[n(4)]
    pub academic: bool,
}

/// A class of user groups, such as `academic_statuses`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct GroupClass {
    #[n(0)]
    pub code: Box<str>,
    #[n(1)]
    pub groups: Vec<NamedGroup>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct NamedGroup {
    #[n(0)]
    pub code: Box<str>,
    #[n(1)]
    pub name: Box<str>,
}

/// A member organisation.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Member {
    #[n(0)]
    pub code: Box<str>,
    #[n(1)]
    pub name: Box<str>,
}

/// A verification type.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Verification {
    #[n(0)]
    pub number: u32,
    #[n(1)]
    pub kind: VerificationKind,
    #[n(2)]
    pub state: VerificationState,
    #[n(3)]
    pub settings: Settings,
    #[n(4)]
    pub key: Option<Key>,
    /// The key before, as long as it is still accepted.
    #[n(5)]
    pub previous: Option<OldKey>,
    /// How many IUV administrators get mails; their addresses are sealed.
    #[n(6)]
    pub administrators: u8,
}

/// What is set for a verification type. Each kind heeds what is said of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Settings {
    /// `iuv`, `shibboleth`: where shoppers sign in and out.
    #[n(0)]
    pub external_url: Option<Box<str>>,
    /// `iuv`: the customer's servers; none means any. `shibboleth`: the proxies whose headers count; none means none.
    #[n(1)]
    pub callers: Vec<Network>,
    #[n(2)]
    pub check_shopper_ip: bool,
    /// `azione=accedi|esci` instead of `action=signin|signout`.
    #[n(3)]
    pub italian_action: bool,
    /// *Details*, which are kept and heeded by nobody.
    #[n(4)]
    pub sector: Box<str>,
    #[n(5)]
    pub expires_in_days: Option<u32>,
    /// `shibboleth`: the names of the headers.
    #[n(6)]
    pub headers: Headers,
    /// `email_domain`: whose addresses are let in.
    #[n(7)]
    pub domains: Vec<Box<str>>,
    /// `email_domain`, `shibboleth`: the groups of whoever is let in.
    #[n(8)]
    pub groups: Vec<Group>,
}

/// In which headers a Shibboleth service provider passes attributes on; lower case.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Headers {
    #[n(0)]
    pub user_name: Box<str>,
    #[n(1)]
    pub email: Box<str>,
    #[n(2)]
    pub last_name: Box<str>,
    #[n(3)]
    pub first_name: Box<str>,
    /// Groups of the class `academic_statuses`, separated by `;` or `,`; what stands behind an `@` is left out.
    #[n(4)]
    pub groups: Box<str>,
}

impl Default for Headers {
    fn default() -> Self {
        Self {
            user_name: "eppn".into(),
            email: "mail".into(),
            last_name: "sn".into(),
            first_name: "givenname".into(),
            groups: "affiliation".into(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Key {
    #[n(0)]
    pub number: u32,
    #[n(1)]
    pub mark: Mark,
    /// Shorter than 128 bits: holds only together with a list of callers.
    #[n(2)]
    pub is_short: bool,
    /// It has come over plain HTTP.
    #[n(3)]
    pub exposed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct OldKey {
    #[n(0)]
    pub key: Key,
    #[n(1)]
    pub until: UnixMillis,
}

pub const CLASSES_MAX: usize = 50;
pub const GROUPS_MAX: usize = 200;
pub const MEMBERS_MAX: usize = 1_000;
pub const VERIFICATIONS_MAX: usize = 20;
pub const CALLERS_MAX: usize = 200;
pub const ADMINISTRATORS_MAX: usize = 10;
/// Refused callers that are remembered.
pub const REFUSED_MAX: usize = 20;
/// Mails about refusals are at least so far apart.
pub const MAILS_APART: Duration = Duration::from_secs(15 * 60);
pub const ACADEMIC_STATUSES: &str = "academic_statuses";
pub const DEFAULT_GROUPS: [&str; 3] = ["students", "faculty", "staff"];

/// Keys and administrators of all verification types, to be sealed in the place of those before.
#[derive(Clone, PartialEq)]
pub struct Sealed {
    /// The `Known::secrets` that it was made from: another means that somebody was faster.
    pub from: u64,
    pub plain: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({})", self.from)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Create(Description),
    /// What is left out stays.
    Change {
        system_name: Option<Box<str>>,
        name: Option<Box<str>>,
        language: Option<Language>,
        academic: Option<bool>,
    },
    /// A class with its groups, in the place of what it was.
    Define(GroupClass),
    RemoveClass {
        code: Box<str>,
    },
    DefineMember(Member),
    RemoveMember {
        code: Box<str>,
    },
    AddVerification {
        kind: VerificationKind,
    },
    SetState {
        verification: u32,
        state: VerificationState,
    },
    RemoveVerification {
        verification: u32,
        sealed: Sealed,
    },
    Set {
        verification: u32,
        settings: Settings,
        administrators: Option<(u8, Sealed)>,
    },
    /// One caller more.
    Allow {
        verification: u32,
        network: Network,
    },
    SaveKey {
        verification: u32,
        mark: Mark,
        is_short: bool,
        /// How long the key before is still accepted.
        overlap: Duration,
        sealed: Sealed,
    },
    ShowKey {
        verification: u32,
    },
    /// What the door has refused since it last told.
    Refused {
        troubles: Vec<Trouble>,
        callers: Vec<RefusedCaller>,
    },
    /// This key came over plain HTTP.
    Exposed {
        verification: u32,
        key: u32,
    },
    Tick,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Event {
    #[n(0)]
    Created(#[n(0)] Description),
    #[n(1)]
    Changed(#[n(0)] Description),
    #[n(2)]
    Defined(#[n(0)] GroupClass),
    #[n(3)]
    ClassRemoved {
        #[n(0)]
        code: Box<str>,
    },
    #[n(4)]
    MemberDefined(#[n(0)] Member),
    #[n(5)]
    MemberRemoved {
        #[n(0)]
        code: Box<str>,
    },
    #[n(6)]
    VerificationAdded {
        #[n(0)]
        verification: u32,
        #[n(1)]
        kind: VerificationKind,
        #[n(2)]
        state: VerificationState,
    },
    #[n(7)]
    StateSet {
        #[n(0)]
        verification: u32,
        #[n(1)]
        state: VerificationState,
    },
    #[n(8)]
    VerificationRemoved {
        #[n(0)]
        verification: u32,
    },
    #[n(9)]
    SettingsSet {
        #[n(0)]
        verification: u32,
        #[n(1)]
        settings: Settings,
    },
    #[n(10)]
    AdministratorsSet {
        #[n(0)]
        verification: u32,
        #[n(1)]
        count: u8,
    },
    #[n(11)]
    KeySaved {
        #[n(0)]
        verification: u32,
        #[n(1)]
        key: Key,
        /// Until when the key before is still accepted.
        #[n(2)]
        overlap_until: Option<UnixMillis>,
    },
    /// The key before is not accepted any more.
    #[n(12)]
    OverlapEnded {
        #[n(0)]
        verification: u32,
    },
    #[n(13)]
    KeyShown {
        #[n(0)]
        verification: u32,
    },
    #[n(14)]
    KeyExposed {
        #[n(0)]
        verification: u32,
        #[n(1)]
        key: u32,
    },
    #[n(15)]
    Refused {
        #[n(0)]
        troubles: Vec<Trouble>,
        #[n(1)]
        callers: Vec<RefusedCaller>,
    },
    /// The IUV administrators are mailed about this.
    #[n(16)]
    Told {
        #[n(0)]
        troubles: Vec<Trouble>,
    },
}

/// In order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    AlreadyExists,
    /// No such class, member organisation or verification type.
    NoSuchPart,
    /// The secrets were changed at the same moment.
    ChangedMeanwhile,
    /// This kind is there already.
    KindTaken,
    /// Another verification type of the store has this key.
    KeyTaken,
    /// A short key without a list of callers.
    KeyTooShort,
    /// Only `iuv` has keys.
    HasNoKey,
    /// It cannot work as it is set.
    NotReady,
    Full,
}

impl WebStore {
    pub fn id(&self) -> StoreId {
        StoreId(self.address.entity.raw)
    }

    pub fn known(&self) -> Option<&Known> {
        self.known.as_deref()
    }
}

impl Known {
    pub fn verification(&self, number: u32) -> Option<&Verification> {
        self.verifications.iter().find(|verification| verification.number == number)
    }
}

impl Verification {
    /// The number of the key that this is, if it is accepted now. The comparison takes equally long whatever differs.
    pub fn accepts(&self, mark: Mark, now: UnixMillis) -> Option<u32> {
        use subtle::ConstantTimeEq;
        let previous = self.previous.filter(|old| now < old.until).map(|old| old.key);
        let is = |key: &Key| bool::from(key.mark.0.ct_eq(&mark.0));
        let (new, old) = (self.key.filter(is), previous.filter(is));
        new.or(old).map(|key| key.number)
    }

    /// Whether a key that was accepted still is.
    pub fn still_accepts(&self, key: u32, now: UnixMillis) -> bool {
        self.key.is_some_and(|known| known.number == key)
            || self.previous.is_some_and(|old| old.key.number == key && now < old.until)
    }

    /// Whether a customer's server may call from there.
    pub fn lists(&self, caller: Option<IpAddr>) -> bool {
        self.settings.callers.is_empty() || self.names(caller)
    }

    /// Whether it names the caller, so that he need not say for whom he calls.
    pub fn names(&self, caller: Option<IpAddr>) -> bool {
        caller.is_some_and(|caller| self.settings.callers.iter().any(|network| network.contains(caller)))
    }

    pub fn opens(&self) -> Option<Side> {
        self.state.opens()
    }
}
