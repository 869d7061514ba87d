//! What a product receives. Stored in outboxes: numbers are append-only.

use minicbor::{Decode, Encode};

#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum ProductMessage {
    /// From a shopper: a line of an order needs a code.
    #[n(0)]
    Want {
        #[n(0)]
        order: u32,
        #[n(1)]
        line: u8,
    },
}
