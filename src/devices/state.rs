//! A device: what happens to it and what it then is. Pure.

use super::{
    Mac,
    provisioning::{Model, Vendor},
    words::{Authentication, Contact, Rules, Salt, Why, Window},
};
use crate::{
    kernel::{Address, UnixMillis},
    orgs::Mark,
};
use minicbor::{Decode, Encode};
use std::net::IpAddr;
use zeroize::Zeroizing;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Device {
    #[n(0)]
    pub address: Address,
    #[n(1)]
    pub standing: Standing,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Standing {
    #[n(0)]
    Unknown,
    #[n(1)]
    Known(#[n(0)] Box<Known>),
    #[n(2)]
    Deleted,
}

/// What a device is set up as.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Description {
    #[n(0)]
    pub mac: Mac,
    #[n(1)]
    pub vendor: Vendor,
    #[n(2)]
    pub model: Option<Model>,
    #[n(3)]
    pub label: Box<str>,
    #[n(4)]
    pub site: Box<str>,
    /// How many SIP accounts it has; they are sealed.
    #[n(5)]
    pub accounts: u8,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Known {
    #[n(0)]
    pub description: Description,
    #[n(1)]
    pub created: UnixMillis,
    /// The revision of the last change that an administrator sees.
    #[n(2)]
    pub changed: u64,
    #[n(3)]
    pub authentication: Authentication,
    #[n(4)]
    pub pap: Option<Mark>,
    /// Wrong guesses of this round.
    #[n(5)]
    pub wrong: Vec<Guess>,
    /// How often in a row it was locked.
    #[n(6)]
    pub rounds: u8,
    #[n(7)]
    pub locked_attempts: u32,
    #[n(8)]
    pub suspended_until: Option<UnixMillis>,
    #[n(9)]
    pub window: Option<Window>,
    #[n(10)]
    pub credential: Option<Salt>,
    /// The credential before this one, until this one is first used.
    #[n(11)]
    pub previous: Option<Salt>,
    #[n(12)]
    pub contact: Option<Contact>,
    #[n(13)]
    pub contact_at: UnixMillis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Guess {
    #[n(0)]
    pub trace: Mark,
    #[n(1)]
    pub at: UnixMillis,
}

/// A PAP that was just drawn.
#[derive(Clone, PartialEq)]
pub struct FreshPap {
    pub mark: Mark,
    pub plain: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for FreshPap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FreshPap")
    }
}

/// What may change of a description; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    pub mac: Option<Mac>,
    pub vendor: Option<Vendor>,
    pub model: Option<Option<Model>>,
    pub label: Option<Box<str>>,
    pub site: Option<Box<str>>,
    pub accounts: Option<Accounts>,
}

/// SIP accounts to seal, and how many they are.
#[derive(Clone, PartialEq)]
pub struct Accounts {
    pub count: u8,
    pub plain: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Accounts({})", self.count)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Create {
        description: Description,
        accounts: Option<Accounts>,
        pap: FreshPap,
    },
    /// Another MAC is another phone: it gets the PAP.
    Change {
        changes: Changes,
        pap: FreshPap,
    },
    Delete,
    /// Somebody has entered a PAP. `seen`: where the device's last minimal fetch came from.
    Authenticate {
        guess: Mark,
        trace: Mark,
        seen: Option<IpAddr>,
        salt: Salt,
        rules: Rules,
    },
    /// The phone is about to get its full configuration without a PAP: it needs a credential.
    Admit {
        salt: Salt,
    },
    /// The file that holds this credential was sent to its last byte.
    Delivered {
        salt: Salt,
        to: Option<IpAddr>,
        why: Why,
    },
    /// The phone has shown this credential.
    Used {
        salt: Salt,
    },
    Seen(Contact),
    Suspend,
    Reset {
        pap: FreshPap,
    },
    ShowPap,
    Tick,
}

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Event {
    #[n(0)]
    Created {
        #[n(0)]
        description: Description,
        #[n(1)]
        pap: Mark,
    },
    #[n(1)]
    Changed {
        #[n(0)]
        description: Description,
        /// The accounts were sealed anew.
        #[n(1)]
        accounts: bool,
        /// The MAC before, if it is another now.
        #[n(2)]
        left: Option<Mac>,
    },
    #[n(2)]
    Deleted {
        #[n(0)]
        mac: Mac,
    },
    #[n(3)]
    Authenticated {
        #[n(0)]
        window: Option<Window>,
        #[n(1)]
        salt: Salt,
    },
    /// A guess was judged wrong.
    #[n(4)]
    Guessed {
        #[n(0)]
        trace: Mark,
    },
    #[n(5)]
    Locked {
        #[n(0)]
        until: UnixMillis,
    },
    #[n(6)]
    Blocked,
    #[n(7)]
    LockEnded,
    #[n(8)]
    RefusedWhileLocked,
    #[n(9)]
    CredentialMinted {
        #[n(0)]
        salt: Salt,
    },
    #[n(10)]
    Provisioned {
        #[n(0)]
        why: Why,
        #[n(1)]
        to: Option<IpAddr>,
    },
    /// The credential before the current one is dead.
    #[n(11)]
    PreviousEnded,
    #[n(12)]
    Seen(#[n(0)] Contact),
    #[n(13)]
    Suspended {
        #[n(0)]
        until: UnixMillis,
    },
    #[n(14)]
    SuspensionEnded,
    #[n(15)]
    Reset {
        #[n(0)]
        pap: Mark,
    },
    #[n(16)]
    PapShown,
}

/// In order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    AlreadyExists,
    /// There is no PAP any more.
    NoPap,
}

/// What a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Nothing,
    Outcome {
        outcome: Outcome,
        /// A guess was counted.
        judged_wrong: bool,
    },
    /// The credential that the configuration is to hold.
    Credential(Option<Salt>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    Wrong { left: u8 },
    Failed { until: UnixMillis },
    Blocked,
    NotNeeded,
}

impl Device {
    pub fn known(&self) -> Option<&Known> {
        match &self.standing {
            Standing::Known(known) => Some(known),
            Standing::Unknown | Standing::Deleted => None,
        }
    }
}
