//! Organisations, their people, and the tokens of programs: three entities.
//!
//! Unique within an organisation: e-mail address, badge, and what is typed (ENG-4): access codes, booking codes, and the
//! codes of keys, which are their boxes'. What is personal or secret stands in the person's vault rows; events and states
//! know it only as keyed hashes ("marks"), so that it can be claimed and given back. Whoever is erased leaves ids and
//! marks in the history, nothing else.

pub mod api;
mod effects;
mod mails;
mod rows;
mod state;
mod words;

#[cfg(test)]
mod tests;

pub use mails::{DeadLetter, DeadMail, OrganisationMessage};
pub use rows::{OrganisationRow, PersonRow, ProfilePlain, TokenRow};
pub use state::{
    groups::{GROUPS_MAX, Group, GroupsCommand, GroupsEvent},
    offline::{Offline, OfflineCommand, OfflineEvent, PASS_HOURS},
    organisation::{self, Organisation, OrganisationView},
    person::{self, Person},
    phones::{Network, PbxSettings, Permanent, Phones, PhonesCommand, PhonesEvent, Temporary},
    token::{self, ApiToken, TokenView},
};
pub use words::{BADGE, Language, MailChoice, Mark, Role, Scope, Scopes};
