//! The door: who is it, may it, is there room. The only room that knows actix-web.

mod accept;
pub mod admission;
mod ask;
pub mod auth;
pub mod body;
mod bulk;
mod client_address;
mod codes;
mod connections;
mod dry_run;
pub mod echo;
mod etag;
mod farewell;
mod frames;
mod framing;
mod handover;
mod idempotency;
mod lenient;
mod link;
mod list;
pub mod openapi;
mod pages;
pub mod phone_certificates;
mod phones;
mod problem;
mod rates;
pub mod refusals;
pub mod routes;
pub mod server;
mod service;
mod shop;
mod stores;
pub mod table;
pub mod ticket;
pub mod tls;
mod uses;

#[cfg(test)]
pub(crate) mod testing;

pub use ask::{Ask, Changed, Old, Page, PageQuery, Reply, Stream, limit_of};
pub use bulk::{Bulk, Cell};
pub use codes::{Code, Retry};
pub use dry_run::BulkQuery;
pub use etag::Shows;
pub use list::{Each, List, Look, RowKey};
pub use openapi::Doc;
pub use problem::{FieldError, Limit, Problem};
pub(crate) use rates::block;
