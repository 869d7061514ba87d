//! What has happened to an installation.

use super::{
    reports::TextStatus,
    state::Description,
    words::{Asked, Closing, LinkEnd, Minted, Purpose, Role},
};
use crate::{kernel::UnixMillis, orgs::Mark};
use minicbor::{Decode, Encode};

/// Stored: numbers are append-only.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Event {
    #[n(0)]
    Created {
        #[n(0)]
        description: Description,
        #[n(1)]
        administrator: Mark,
    },
    #[n(1)]
    Changed {
        #[n(0)]
        description: Description,
    },
    #[n(2)]
    Deleted,
    #[n(3)]
    UserAdded {
        #[n(0)]
        user: u16,
        #[n(1)]
        role: Role,
        #[n(2)]
        name: Mark,
    },
    #[n(4)]
    UserChanged {
        #[n(0)]
        user: u16,
        #[n(1)]
        name: Option<Mark>,
        #[n(2)]
        password: bool,
        #[n(3)]
        unblocked: bool,
    },
    #[n(5)]
    UserRemoved {
        #[n(0)]
        user: u16,
    },
    #[n(6)]
    TerminalOpened {
        #[n(0)]
        terminal: Mark,
        #[n(1)]
        until: UnixMillis,
    },
    #[n(7)]
    TerminalRenewed {
        #[n(0)]
        terminal: Mark,
        #[n(1)]
        until: UnixMillis,
    },
    #[n(8)]
    TerminalClosed {
        #[n(0)]
        terminal: Mark,
        #[n(1)]
        why: Closing,
    },
    #[n(9)]
    Charged {
        #[n(0)]
        terminal: Mark,
        #[n(1)]
        name: Mark,
        #[n(2)]
        user: Option<u16>,
        #[n(3)]
        open: bool,
    },
    #[n(10)]
    Wrong {
        #[n(0)]
        terminal: Mark,
        #[n(1)]
        attempt: u16,
    },
    #[n(11)]
    Forsaken {
        #[n(0)]
        terminal: Mark,
        #[n(1)]
        attempt: u16,
    },
    #[n(12)]
    LoggedIn {
        #[n(0)]
        terminal: Mark,
        #[n(1)]
        user: u16,
    },
    #[n(13)]
    UserBlocked {
        #[n(0)]
        user: u16,
    },
    #[n(14)]
    ResetAsked {
        #[n(0)]
        outcome: Asked,
    },
    #[n(15)]
    ContactSet {
        #[n(0)]
        email: Option<Mark>,
        #[n(1)]
        telephone: Option<Mark>,
        /// This terminal has the installation for itself from now on.
        #[n(2)]
        exclusive: Option<Mark>,
        #[n(3)]
        validated: bool,
        /// With which revision the contact before was sealed, if there was one.
        #[n(4)]
        former: Option<u64>,
        /// The contact before had a telephone.
        #[n(5)]
        former_telephone: bool,
    },
    #[n(16)]
    LinkSent {
        #[n(0)]
        minted: Minted,
        #[n(1)]
        purpose: Purpose,
        #[n(2)]
        until: UnixMillis,
    },
    #[n(17)]
    Pressed {
        #[n(0)]
        link: Mark,
        /// Until then the code may be entered.
        #[n(1)]
        until: UnixMillis,
    },
    #[n(18)]
    TextAccepted {
        #[n(0)]
        link: Mark,
    },
    #[n(19)]
    TextDied {
        #[n(0)]
        link: Mark,
        #[n(1)]
        why: Box<str>,
    },
    #[n(20)]
    CodeWrong {
        #[n(0)]
        link: Mark,
    },
    #[n(21)]
    LinkDied {
        #[n(0)]
        link: Mark,
        #[n(1)]
        why: LinkEnd,
    },
    #[n(22)]
    Validated,
    #[n(23)]
    ResetOpened {
        #[n(0)]
        form: Mark,
        #[n(1)]
        until: UnixMillis,
    },
    #[n(24)]
    ResetDone {
        #[n(0)]
        name: Mark,
    },
    /// The reset terminal has timed out.
    #[n(25)]
    ResetOver,
    #[n(26)]
    MailDied {
        #[n(0)]
        why: Box<str>,
    },
    #[n(27)]
    TextReported {
        /// The revision that asked for the text.
        #[n(0)]
        text: u64,
        #[n(1)]
        status: TextStatus,
    },
    /// The operator has started a reset to a new address.
    #[n(28)]
    GlassStarted {
        #[n(0)]
        minted: Minted,
        #[n(1)]
        stop: Mark,
        #[n(2)]
        due: UnixMillis,
        #[n(3)]
        lives_ms: u64,
    },
    #[n(29)]
    GlassEnded {
        #[n(0)]
        why: LinkEnd,
    },
}
