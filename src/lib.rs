//! Castellan: everything that must be let in exactly once, by the right party, in a bounded time.
//!
//! Modules in reading order: the shared vocabulary, the actor shell, the store, the door, then the contexts.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod app;
pub mod boxes;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod devices;
pub mod engine;
pub mod feed;
pub mod http;
pub mod iuv;
pub mod kernel;
pub mod metrics;
pub mod operations;
pub mod orgs;
pub mod passwords;
pub mod privacy;
pub mod recovery;
pub mod store;
pub mod templates;
