//! What may go wrong with a mail or a text.

use minicbor::{Decode, Encode};

/// Why a mail could not be brought. Stored and shown: numbers are append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum MailTrouble {
    /// No driver is configured.
    #[n(0)]
    NoDriver,
    /// The mail server cannot be reached, does not greet, or its certificate does not hold.
    #[n(1)]
    Unreachable,
    /// The mail server does not take our name and password.
    #[n(2)]
    Login,
    /// No answer in time.
    #[n(3)]
    Timeout,
    /// The connection broke in the middle.
    #[n(4)]
    Broken,
    /// Put off by the mail server (4xx).
    #[n(5)]
    Deferred,
    /// Refused by the mail server for good (5xx).
    #[n(6)]
    Rejected,
    /// The recipient has no address.
    #[n(7)]
    NoAddress,
    /// The recipient was erased.
    #[n(8)]
    Erased,
    /// The template does not render, or what it is about cannot be read.
    #[n(9)]
    Unrenderable,
    /// Its time was over before it could be tried.
    #[n(10)]
    TooLate,
    /// The gateway for texts cannot be reached, or does not say that it took the text.
    #[n(11)]
    Gateway,
    /// There were too many texts: to this number, of this organisation, or into this network.
    #[n(12)]
    Limited,
    /// No text goes to this country.
    #[n(13)]
    CountryForbidden,
}

impl MailTrouble {
    pub const ALL: [Self; 14] = [
        Self::NoDriver,
        Self::Unreachable,
        Self::Login,
        Self::Timeout,
        Self::Broken,
        Self::Deferred,
        Self::Rejected,
        Self::NoAddress,
        Self::Erased,
        Self::Unrenderable,
        Self::TooLate,
        Self::Gateway,
        Self::Limited,
        Self::CountryForbidden,
    ];

    /// As on the wire and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoDriver => "no_driver",
            Self::Unreachable => "unreachable",
            Self::Login => "login",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Deferred => "deferred",
            Self::Rejected => "rejected",
            Self::NoAddress => "no_address",
            Self::Erased => "erased",
            Self::Unrenderable => "unrenderable",
            Self::TooLate => "too_late",
            Self::Gateway => "gateway",
            Self::Limited => "limited",
            Self::CountryForbidden => "country_forbidden",
        }
    }

    /// Whether trying again cannot help.
    pub fn is_final(self) -> bool {
        match self {
            Self::Rejected | Self::NoAddress | Self::Erased | Self::Unrenderable => true,
            Self::Limited | Self::CountryForbidden => true,
            Self::NoDriver | Self::Unreachable | Self::Login | Self::Timeout | Self::Broken => false,
            Self::Deferred | Self::TooLate | Self::Gateway => false,
        }
    }

    /// Whether it is the mail server's trouble with everything, not with this one mail.
    pub fn is_of_the_server(self) -> bool {
        matches!(self, Self::NoDriver | Self::Unreachable | Self::Login)
    }
}
