//! What has happened in an organisation, for programs that follow it and people who look into it: the change feed, as
//! pages and as a stream of server-sent events, and the audit. Each context renders its own events.

pub mod audit;
pub mod changes;
mod export;
mod item;
mod query;
mod streams;

pub use item::{Item, items, principal, views};
pub use streams::Streams;
