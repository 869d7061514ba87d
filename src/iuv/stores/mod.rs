//! Web stores: whom they let in and how. One actor each; everybody else reads its view.

pub mod api;
mod check;
mod decide;
mod effects;
mod evolve;
pub(crate) mod mails;
mod registry;
mod rows;
pub mod state;
#[cfg(test)]
mod tests;
mod trouble;
mod view;

pub use check::check_invariants;
pub use registry::Registry;
pub use rows::{SecretsPlain, StoreRow, VerificationSecrets};
pub use state::{Headers, Key, Settings, Verification, WebStore};
pub use view::{SignAction, StoreView, home_path, with_action};

use crate::{
    engine::{Engine, Failure},
    kernel::{Address, StoreId},
};
use std::{convert::Infallible, sync::Arc};

/// A store as it is now. `None` for one that is not, and of an organisation that is being erased.
pub async fn look(engine: &Engine, store: Address) -> Result<Option<Arc<StoreView>>, Failure<Infallible>> {
    match engine.view::<WebStore>(store).await {
        Err(Failure::Gone) => Ok(None),
        view => view,
    }
}

/// The same by what its GUID says.
pub async fn find(
    engine: &Engine,
    registry: &Registry,
    store: StoreId,
) -> Result<Option<Arc<StoreView>>, Failure<Infallible>> {
    match registry.find(store) {
        Some(address) => look(engine, address).await,
        None => Ok(None),
    }
}
