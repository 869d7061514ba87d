//! What happens at a box while it is connected: exchanges that the server decides before a bin opens, orders of
//! administrators, and the settings of both. Holds BOX-10 to BOX-12. A box that uses none of it has none of this state.

mod decide;
mod evolve;
mod orders;
mod passes;
mod second;
mod state;
mod words;

pub use orders::{ORDERS_KEPT, OrderRow, order_key};
pub use second::{Second, TEXT_LIVES_FOR, TextSalt, Texted, TextedCode};
pub(super) use state::Online;
pub use state::{LinkView, OPEN_FOR, ORDER_LIVES_FOR, SecondFactor, Settings};
pub use words::*;
