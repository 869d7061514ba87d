//! The administration of stores.

pub(crate) mod events;
pub(crate) mod mails;
