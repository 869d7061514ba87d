//! What leaves the server of its own accord: mails to people, whose order, retries and deadlines are the engine's; events to
//! webhooks.

pub mod mail;
pub mod webhooks;
