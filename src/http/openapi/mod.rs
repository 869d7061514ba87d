//! The OpenAPI 3.1 document, made from the route table and the types of the wire, and the page to browse it.

mod assemble;
mod doc;
mod operation;
mod page;
mod schemas;
#[cfg(test)]
mod tests;

pub use assemble::document as openapi;
pub use doc::Doc;
pub(super) use page::register;

use super::{Ask, Problem, Reply};
use std::sync::LazyLock;

/// The document as JSON; an empty one cannot happen, as a test shows.
pub fn json() -> &'static str {
    static JSON: LazyLock<String> = LazyLock::new(|| openapi().to_json().unwrap_or_default());
    &JSON
}

pub(super) const DOCUMENT: Doc = Doc::new("This document").answers::<serde_json::Value>();

pub(super) async fn document(_: Ask) -> Result<Reply, Problem> {
    Ok(Reply::bytes(200, json().into()))
}
