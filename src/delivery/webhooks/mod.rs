//! Webhooks: an organisation's events, sent to where it wants them, signed as the Standard Webhooks specification
//! says; at least once, in order for each entity.
//!
//! The entity says where and whether; how far a webhook has come, and its log, are rows that the dispatcher keeps.

pub mod api;
pub mod dispatch;
mod effects;
pub(crate) mod mails;
mod message;
mod reach;
mod rows;
mod sign;
mod state;

#[cfg(test)]
mod tests;

pub use dispatch::{DispatchConfig, Dispatcher, Handle, Schedule};
pub use reach::Reach;
pub use rows::{ErrorClass, WebhookRow};
pub use state::Webhook;

use std::sync::Arc;

/// What the door needs of webhooks.
#[derive(Debug, Clone)]
pub struct Door {
    pub dispatcher: Handle,
    pub reach: Arc<Reach>,
    pub per_organisation_max: usize,
}
