//! When a token was last used, written down at most once an hour: a request must not cost a record.

use crate::{
    engine::{Call, Engine},
    kernel::{Address, Principal, UnixMillis},
    orgs::{ApiToken, token},
};
use parking_lot::Mutex;
use std::{collections::HashSet, sync::Arc};

/// Tokens whose use is being written, so that a burst writes it once.
#[derive(Default)]
pub(super) struct Uses(Mutex<HashSet<Address>>);

impl Uses {
    /// `last`: what is written of the token's last use.
    pub fn note(self: &Arc<Self>, engine: &Engine, of: Address, last: Option<UnixMillis>, now: UnixMillis) {
        if !token::is_use_worth_a_record(last, now) || !self.0.lock().insert(of) {
            return;
        }
        let (uses, engine) = (Arc::clone(self), engine.clone());
        tokio::task::spawn_local(async move {
            let call = Call { by: Principal::Token(of), ..Call::own(now) };
            // If it cannot be written now, the next use is.
            let _ = engine.ask::<ApiToken>(of, token::Command::Use, call).await;
            uses.0.lock().remove(&of);
        });
    }
}
