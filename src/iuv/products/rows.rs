//! List rows. Stored: numbers are append-only.

use super::state::{Description, Known, Want};
use crate::kernel::{ProductId, StoreId, UnixMillis};
use minicbor::{Decode, Encode};

/// `RowSpace::Products`, by store and product.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct ProductRow {
    #[n(0)]
    pub description: Description,
    #[n(1)]
    pub created: UnixMillis,
    #[n(2)]
    pub added: u64,
    #[n(3)]
    pub given: u64,
    #[n(4)]
    pub waiting: u32,
    #[n(5)]
    pub changed: u64,
}

impl ProductRow {
    pub fn of(known: &Known) -> Self {
        Self {
            description: known.description.clone(),
            created: known.created,
            added: known.added,
            given: known.given,
            waiting: known.waiting.len() as u32,
            changed: known.changed,
        }
    }

    pub fn left(&self) -> u64 {
        self.added.saturating_sub(self.given)
    }
}

/// `RowSpace::GivenCodes`, by product and number: who has it.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct GivenRow {
    #[n(0)]
    pub to: Want,
    #[n(1)]
    pub at: UnixMillis,
}

pub fn key(store: StoreId, product: ProductId) -> Vec<u8> {
    [StoreId::to_bytes(store), ProductId::to_bytes(product)].concat()
}

pub fn given_key(product: ProductId, number: u64) -> Vec<u8> {
    [&ProductId::to_bytes(product)[..], &number.to_be_bytes()].concat()
}
