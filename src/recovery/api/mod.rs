//! What installations show and take over HTTP.

pub(crate) mod events;
pub(crate) mod mails;
