//! What leaves the server of its own accord: mails and texts to people, whose order, retries and deadlines are the engine's; events to
//! webhooks.

mod couriers;
pub mod mail;
pub mod sms;
pub mod webhooks;

pub use couriers::Couriers;
