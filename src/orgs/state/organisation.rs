//! An organisation: who it is and what it has booked. Others read it by its view, without a hop through its actor.
//!
//! One file because a state, its events and what becomes of it are read together.

use crate::{
    boxes::{AlertSettings, Plan},
    kernel::{
        Address, Codec, Context, Effects, EntityKind, GroupId, Incoming, Machine, MailId, OrgId, PersonId, Progress,
        Stamp, UnixMillis,
    },
    orgs::{
        effects,
        mails::{DeadLetter, DeadMail, OrganisationMessage},
        state::groups::{Group, Groups, GroupsCommand, GroupsEvent},
        state::offline::{Offline, OfflineCommand, OfflineEvent},
        state::phones::{Phones, PhonesCommand, PhonesEvent, PhonesRefusal},
        words::{Language, MailChoice},
    },
};
use minicbor::{Decode, Encode};
use std::ops::RangeInclusive;

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Organisation {
    #[n(0)]
    pub address: Address,
    #[n(1)]
    pub known: Option<Details>,
    /// Mails that died and wait for an administrator, oldest first.
    #[cbor(n(2), default)]
    pub dead_mails: Vec<MailId>,
    /// Organisations that are being erased; known to the system organisation alone.
    #[cbor(n(10), default)]
    pub erasing: Vec<OrgId>,
    /// Account numbers, in order; known to the system organisation alone. Each names one organisation for ever.
    #[cbor(n(50), default)]
    pub accounts: Vec<Account>,
    /// Of keys. Not among the details: whoever looks at those does not copy these.
    #[n(51)]
    pub groups: Option<Groups>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Account {
    /// Nine digits.
    #[n(0)]
    pub number: u32,
    #[n(1)]
    pub organisation: OrgId,
}

/// Dead letters that are kept; a further one displaces the oldest.
pub const DEAD_MAILS_MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Details {
    #[n(0)]
    pub name: Box<str>,
    #[n(1)]
    pub plan: Plan,
    #[n(2)]
    pub language: Language,
    /// IANA name.
    #[n(3)]
    pub zone: Box<str>,
    /// Gets the mails about conflicts.
    #[n(4)]
    pub owner: PersonId,
    #[n(5)]
    pub created: UnixMillis,
    #[cbor(n(6), default)]
    pub mails: MailChoice,
    /// How long history is kept; `None`: as long as the server's configuration says.
    #[n(10)]
    pub history_days: Option<u32>,
    /// Of the last change of these.
    #[cbor(n(7), default)]
    pub changed: u64,
    #[cbor(n(40), default)]
    pub phones: Phones,
    #[cbor(n(65), default)]
    pub offline: Offline,
    /// What it wants to be told of its boxes; `None`: as by default.
    #[n(45)]
    pub alerts: Option<Box<AlertSettings>>,
}

/// How long history may be kept.
pub const HISTORY_DAYS: RangeInclusive<u32> = 7..=3_650;

pub type OrganisationView = Details;

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Create {
        name: Box<str>,
        plan: Plan,
        language: Language,
        zone: Box<str>,
        owner: PersonId,
    },
    /// Fields left out keep their value.
    Change {
        name: Option<Box<str>>,
        plan: Option<Plan>,
        language: Option<Language>,
        zone: Option<Box<str>>,
    },
    /// What is left out stays.
    ChooseMails {
        conflicts: Option<bool>,
        guarantee: Option<bool>,
    },
    /// The post tells that a mail could not be brought.
    MailDied(Box<DeadMail>),
    /// The letter is the row of this id, as it was read.
    ResendMail {
        id: MailId,
        letter: Box<DeadLetter>,
    },
    GiveUpMail {
        id: MailId,
    },
    /// How long history is kept; `None`: as the server's configuration says.
    KeepHistory {
        days: Option<u32>,
    },
    Phones(PhonesCommand),
    Offline(OfflineCommand),
    Groups(GroupsCommand),
    /// All of them, whichever change.
    SetAlerts(Box<AlertSettings>),
    /// To the system organisation: this one goes, with all that is its own.
    Erase {
        organisation: OrgId,
    },
    /// To the system organisation: nothing of it is left.
    Erased {
        organisation: OrgId,
    },
    /// To the system organisation: one account number for this one, unless it has one; what is wanted, or the first of
    /// those drawn that is free.
    ReserveAccount {
        organisation: OrgId,
        wanted: Option<u32>,
        drawn: Vec<u32>,
    },
    /// To the system organisation: what an operator has begun or done, for the audit.
    Operated(Operation),
}

/// What an operator does with a running server.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Operation {
    #[n(0)]
    BackupBegun(#[n(0)] Box<str>),
    #[n(1)]
    BackupRemoved(#[n(0)] Box<str>),
    #[n(2)]
    RotationBegun,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Event {
    #[n(0)]
    Created {
        #[n(0)]
        name: Box<str>,
        #[n(1)]
        plan: Plan,
        #[n(2)]
        language: Language,
        #[n(3)]
        zone: Box<str>,
        #[n(4)]
        owner: PersonId,
    },
    #[n(1)]
    Renamed {
        #[n(0)]
        name: Box<str>,
    },
    #[n(2)]
    PlanChanged {
        #[n(0)]
        plan: Plan,
    },
    #[n(3)]
    LanguageChanged {
        #[n(0)]
        language: Language,
    },
    #[n(4)]
    ZoneChanged {
        #[n(0)]
        zone: Box<str>,
    },
    #[n(20)]
    MailDied {
        #[n(0)]
        id: MailId,
        #[n(1)]
        mail: DeadMail,
    },
    #[n(21)]
    MailResent {
        #[n(0)]
        id: MailId,
    },
    /// By an administrator, or displaced by newer ones.
    #[n(22)]
    MailGivenUp {
        #[n(0)]
        id: MailId,
    },
    #[n(23)]
    MailsChosen {
        #[n(0)]
        choice: MailChoice,
    },
    #[n(40)]
    Phones(#[n(0)] PhonesEvent),
    #[n(65)]
    Offline(#[n(0)] OfflineEvent),
    #[n(30)]
    HistoryDaysSet {
        #[n(0)]
        history_days: Option<u32>,
    },
    #[n(31)]
    ErasureBegun {
        #[n(0)]
        organisation: OrgId,
    },
    #[n(32)]
    ErasureDone {
        #[n(0)]
        organisation: OrgId,
    },
    #[n(33)]
    Operated(#[n(0)] Operation),
    #[n(50)]
    AccountReserved(#[n(0)] Account),
    #[n(76)]
    Groups(#[n(0)] GroupsEvent),
    #[n(75)]
    AlertsSet(#[n(0)] Box<AlertSettings>),
}

impl Event {
    /// Whether it changes what is shown of an organisation.
    fn is_description(&self) -> bool {
        match self {
            Self::Created { .. }
            | Self::Renamed { .. }
            | Self::PlanChanged { .. }
            | Self::LanguageChanged { .. }
            | Self::ZoneChanged { .. }
            | Self::MailsChosen { .. }
            | Self::AlertsSet(_)
            | Self::HistoryDaysSet { .. } => true,
            Self::MailDied { .. }
            | Self::MailResent { .. }
            | Self::MailGivenUp { .. }
            | Self::Operated(_)
            | Self::Phones(_)
            | Self::Offline(_)
            | Self::Groups(_)
            | Self::ErasureBegun { .. }
            | Self::ErasureDone { .. }
            | Self::AccountReserved(_) => false,
        }
    }
}

/// In order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    AlreadyExists,
    MailNotFound,
    WhitelistEntryNotFound,
    WhitelistFull,
    /// There is a newer pass key than the caller knew.
    PassKeyMade,
    TooManyPassKeys,
    /// Another organisation has this account number, or this one has another.
    AccountTaken,
    GroupNotFound,
    /// Another group has this name.
    GroupNameTaken,
    TooManyGroups,
}

impl From<PhonesRefusal> for Refusal {
    fn from(refusal: PhonesRefusal) -> Self {
        match refusal {
            PhonesRefusal::NoEntry => Self::WhitelistEntryNotFound,
            PhonesRefusal::Full => Self::WhitelistFull,
        }
    }
}

impl Machine for Organisation {
    const KIND: EntityKind = EntityKind::Organisation;
    const EVOLVE_VERSION: u16 = 2;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;
    type Answer = ();
    type View = OrganisationView;

    fn blank(address: Address) -> Self {
        Self { address, known: None, dead_mails: Vec::new(), erasing: Vec::new(), accounts: Vec::new(), groups: None }
    }

    fn decide(&self, command: &Command, _: usize, cx: &Context, events: &mut Vec<Event>) -> Result<Progress, Refusal> {
        match (command, &self.known) {
            (Command::Create { name, plan, language, zone, owner }, None) => events.push(Event::Created {
                name: name.clone(),
                plan: *plan,
                language: *language,
                zone: zone.clone(),
                owner: *owner,
            }),
            (Command::Create { name, plan, language, zone, owner }, Some(known)) => {
                let same = (&known.name, known.plan, known.language, &known.zone, known.owner)
                    == (name, *plan, *language, zone, *owner);
                if !same {
                    return Err(Refusal::AlreadyExists);
                }
            }
            (
                Command::Change { .. }
                | Command::ChooseMails { .. }
                | Command::MailDied(_)
                | Command::Phones(_)
                | Command::Offline(_)
                | Command::Groups(_)
                | Command::SetAlerts(_)
                | Command::KeepHistory { .. },
                None,
            ) => return Err(Refusal::NotFound),
            (Command::Phones(command), Some(known)) => {
                known.phones.decide(command, cx.now, |event| events.push(Event::Phones(event)))?;
            }
            (Command::Offline(command), Some(known)) => {
                known.offline.decide(command, cx.now, |event| events.push(Event::Offline(event)))?;
            }
            (Command::Groups(command), Some(_)) => {
                let empty = Groups::default();
                let event = self.groups.as_ref().unwrap_or(&empty).decide(command)?;
                events.extend(event.map(Event::Groups));
            }
            (Command::SetAlerts(settings), Some(known)) => {
                if known.alert_settings() != **settings {
                    events.push(Event::AlertsSet(settings.clone()));
                }
            }
            (Command::ChooseMails { conflicts, guarantee }, Some(known)) => {
                let choice = MailChoice {
                    conflicts: conflicts.unwrap_or(known.mails.conflicts),
                    guarantee: guarantee.unwrap_or(known.mails.guarantee),
                };
                if choice != known.mails {
                    events.push(Event::MailsChosen { choice });
                }
            }
            (Command::MailDied(mail), Some(_)) => {
                let displaced = self.dead_mails.first().filter(|_| self.dead_mails.len() >= DEAD_MAILS_MAX);
                events.extend(displaced.map(|id| Event::MailGivenUp { id: *id }));
                events.push(Event::MailDied { id: mail.letter_id(cx.now), mail: (**mail).clone() });
            }
            (Command::ResendMail { id, .. }, _) if self.dead_mails.contains(id) => {
                events.push(Event::MailResent { id: *id });
            }
            (Command::GiveUpMail { id }, _) if self.dead_mails.contains(id) => {
                events.push(Event::MailGivenUp { id: *id });
            }
            (Command::ResendMail { .. } | Command::GiveUpMail { .. }, _) => return Err(Refusal::MailNotFound),
            (
                Command::Erase { .. } | Command::Erased { .. } | Command::Operated(_) | Command::ReserveAccount { .. },
                _,
            ) if self.address.org != OrgId::SYSTEM => {
                return Err(Refusal::NotFound);
            }
            (Command::ReserveAccount { organisation, wanted, drawn }, _) => {
                events.extend(self.reserve(*organisation, *wanted, drawn)?.map(Event::AccountReserved));
            }
            (Command::Operated(operation), _) => events.push(Event::Operated(operation.clone())),
            (Command::Erase { organisation }, _) => {
                if !self.erasing.contains(organisation) {
                    events.push(Event::ErasureBegun { organisation: *organisation });
                }
            }
            (Command::Erased { organisation }, _) => {
                if self.erasing.contains(organisation) {
                    events.push(Event::ErasureDone { organisation: *organisation });
                }
            }
            (Command::KeepHistory { days }, Some(known)) => {
                if *days != known.history_days {
                    events.push(Event::HistoryDaysSet { history_days: *days });
                }
            }
            (Command::Change { name, plan, language, zone }, Some(known)) => {
                if let Some(name) = name.clone().filter(|name| *name != known.name) {
                    events.push(Event::Renamed { name });
                }
                if let Some(plan) = plan.filter(|plan| *plan != known.plan) {
                    events.push(Event::PlanChanged { plan });
                }
                if let Some(language) = language.filter(|language| *language != known.language) {
                    events.push(Event::LanguageChanged { language });
                }
                if let Some(zone) = zone.clone().filter(|zone| *zone != known.zone) {
                    events.push(Event::ZoneChanged { zone });
                }
            }
        }
        Ok(Progress::Done)
    }

    fn evolve(&mut self, event: &Event, stamp: Stamp) {
        match (event, &mut self.known) {
            (Event::Created { name, plan, language, zone, owner }, known) => {
                *known = Some(Details {
                    name: name.clone(),
                    plan: *plan,
                    language: *language,
                    zone: zone.clone(),
                    owner: *owner,
                    created: stamp.at,
                    mails: MailChoice::default(),
                    history_days: None,
                    changed: stamp.revision,
                    phones: Phones::default(),
                    offline: Offline::default(),
                    alerts: None,
                });
            }
            (Event::Phones(event), Some(known)) => known.phones.apply(event, stamp),
            (Event::Offline(event), Some(known)) => known.offline.apply(event, stamp),
            (Event::Groups(event), _) => self.groups.get_or_insert_default().apply(event, stamp),
            (Event::MailDied { id, .. }, _) => self.dead_mails.push(*id),
            (Event::MailResent { id } | Event::MailGivenUp { id }, _) => self.dead_mails.retain(|dead| dead != id),
            (Event::MailsChosen { choice }, Some(known)) => known.mails = *choice,
            (Event::AlertsSet(settings), Some(known)) => {
                known.alerts = Some(settings.clone()).filter(|settings| **settings != AlertSettings::default());
            }
            (Event::AccountReserved(account), _) => {
                let at = self.accounts.partition_point(|known| known.number < account.number);
                self.accounts.insert(at, *account);
            }
            (Event::Operated(_), _) => {}
            (Event::ErasureBegun { organisation }, _) => self.erasing.push(*organisation),
            (Event::ErasureDone { organisation }, _) => self.erasing.retain(|erasing| erasing != organisation),
            (Event::HistoryDaysSet { history_days }, Some(known)) => known.history_days = *history_days,
            (Event::Renamed { name }, Some(known)) => known.name = name.clone(),
            (Event::PlanChanged { plan }, Some(known)) => known.plan = *plan,
            (Event::LanguageChanged { language }, Some(known)) => known.language = *language,
            (Event::ZoneChanged { zone }, Some(known)) => known.zone = zone.clone(),
            (
                Event::Renamed { .. }
                | Event::PlanChanged { .. }
                | Event::LanguageChanged { .. }
                | Event::ZoneChanged { .. }
                | Event::MailsChosen { .. }
                | Event::AlertsSet(_)
                | Event::Phones(_)
                | Event::Offline(_)
                | Event::HistoryDaysSet { .. },
                None,
            ) => {}
        }
        if let Some(known) = self.known.as_mut().filter(|_| event.is_description()) {
            known.changed = stamp.revision;
        }
    }

    fn answer(&self, _: &Command, _: &[Event], _: u64, _: &Context) {}

    fn tag(&self, command: &Command, _: u64) -> Option<u64> {
        match command {
            Command::Groups(command) => self.group(command.group()).map(|group| group.revision),
            _ => self.known.as_ref().map(|known| known.changed),
        }
    }

    fn effects(&self, command: &Command, events: &[Event], cx: &Context, effects: &mut Effects) {
        effects::of_organisation(self, command, events, cx, effects);
    }

    fn message(incoming: Incoming<'_>) -> Result<Command, String> {
        Ok(match OrganisationMessage::decode_from(incoming.body)? {
            OrganisationMessage::MailDied(mail) => Command::MailDied(Box::new(mail)),
            OrganisationMessage::PhoneTrusted { address, at } => {
                Command::Phones(PhonesCommand::Trusted { address, at })
            }
            OrganisationMessage::PhoneProvisioned { address, at } => {
                Command::Phones(PhonesCommand::Provisioned { address, at })
            }
        })
    }

    fn view(&self) -> Option<OrganisationView> {
        self.known.clone()
    }

    fn standing_rows(&self, rows: &mut Effects) {
        effects::organisation_row(self, rows);
    }

    fn to_snapshot(&self, bytes: &mut Vec<u8>) {
        self.encode_into(bytes);
    }

    fn from_snapshot(bytes: &[u8]) -> Result<Self, String> {
        Codec::decode_from(bytes)
    }
}

impl Organisation {
    pub fn groups(&self) -> &[Group] {
        self.groups.as_ref().map_or(&[], Groups::list)
    }

    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.as_ref()?.get(id)
    }
}

impl Details {
    /// What it wants to be told of its boxes.
    pub fn alert_settings(&self) -> AlertSettings {
        self.alerts.as_deref().cloned().unwrap_or_default()
    }
}
