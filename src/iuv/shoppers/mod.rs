//! Shoppers of a store: attributes of the last sign-in, cart, orders, password, links by mail, administrative roles.
//! Invariants IUV-12 to IUV-14.
//!
//! A shopper's id follows from store and user name, so that the same name is the same account without a lookup. Names,
//! addresses and the password's verifier stand in vault rows. A guess at a password is charged before it is judged, and
//! judged outside; a link that was mailed is known by a keyed hash of what it holds.

mod account;
pub mod api;
mod check;
mod decide;
mod effects;
pub(crate) mod events;
mod evolve;
pub(crate) mod mails;
mod orders;
mod post;
mod rows;
mod state;
#[cfg(test)]
mod tests;
mod words;

pub use check::check_invariants;
pub use post::{MailedLink, ShopMail};
pub use rows::{OrderRow, ShopperRow, key, order_key};
pub use state::{
    Command, Event, FreshLink, Known, Link, Membership, NewRole, Offer, Order, Profile, Purpose, Refusal, Shopper,
    SignIn, Standing, Told, Transfer, Verifier,
};
pub use words::{CART_MAX, GUESSES_MAX, Line, LineCode, LinkToken, ORDERS_MAX, StoreRole, link_mark, transfer_mark};
