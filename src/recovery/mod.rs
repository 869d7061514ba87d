//! Installations: how administrator 1, who has lost the credentials, gets back in, and nobody else (`docs/recovery.md`).
//! Invariants REC-1 to REC-6.
//!
//! A password is charged durably before it is judged; a code is judged where it is counted. Links, forms and codes are
//! made of a salt by the server's own secret: states and events know keyed hashes of them.

pub mod api;
mod check;
mod decide;
mod directory;
mod door;
mod effects;
mod event;
mod evolve;
mod glass;
mod mails;
pub mod page;
mod policy;
mod reports;
mod rows;
mod state;
#[cfg(test)]
mod tests;
mod words;

pub use check::check_invariants;
pub use directory::{AccountPlain, Directory, DirectoryError, NotAccepted};
pub use door::Door;
pub use effects::{InstallationMessage, accepted, died};
pub use event::Event;
pub use glass::{Glass, GlassStage, Stopper};
pub use mails::{News, RecoveryMail};
pub use reports::{TextReport, TextStatus};
pub use rows::{ContactPlain, ContactRow, Former, FormerPlain, GlassRow, InstallationRow, UserPlain, UsersPlain};
pub use state::{
    Command, Contact, Description, Installation, Known, Login, NewContact, Next, Refusal, Sealed, Terminal, Told,
};
pub use words::{Asked, Closing, Environment, LinkEnd, Minted, Purpose, Role, Rules, Salt, Secret};
