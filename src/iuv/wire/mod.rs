//! The protocol that customers' servers and shoppers' browsers speak: registration and redemption (`docs/iuv.md`).

mod given;
mod judge;
mod messages;
mod serve;
#[cfg(test)]
mod tests;
mod token;
mod troubles;

pub use given::{Given, Known};
pub use judge::{Asked, Right, Step, Wrong, judge, key_mark};
pub use messages::{Message, cannot_sign_in, joined, only_over_tls, our_fault, too_many};
pub use serve::{Answer, Redeemed, addresses_of, exposed, language_of, redeem, register, stores_of};
pub use troubles::Troubles;
