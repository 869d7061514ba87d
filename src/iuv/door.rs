//! What the door needs of web stores: which there are, what the operator set, whom it does not hear at the moment.

use super::{
    sessions::Pass,
    stores::{Registry, home_path},
    wire::Troubles,
    words::Side,
};
use crate::{
    config::{self, Config},
    engine::Engine,
    kernel::StoreId,
    store::StoreError,
};
use std::{sync::Arc, time::Duration};

pub struct Door {
    pub registry: Arc<Registry>,
    pub(super) settings: config::Iuv,
    pub(super) troubles: Troubles,
    base_url: Box<str>,
}

/// The cookie of a session, one for each side of each store.
pub const COOKIE: &str = "ws_session";

impl Door {
    /// Reads which stores there are, and hears of them from then on.
    pub fn open(config: &Config, engine: &Engine) -> Result<Self, StoreError> {
        let registry = Arc::<Registry>::default();
        let hearing = Arc::clone(&registry);
        engine.listen::<super::stores::WebStore>(move |view| hearing.hear(view));
        registry.load(engine.db())?;
        Ok(Self {
            registry,
            troubles: Troubles::new(&config.iuv, engine.up_since()),
            settings: config.iuv.clone(),
            base_url: config.public.base_url.trim_end_matches('/').into(),
        })
    }

    /// Tells the stores of what was refused, and forgets who has been quiet.
    pub async fn upkeep(&self, engine: &Engine) {
        self.troubles.tidy(engine.clock().now());
        self.troubles.tell(engine).await;
    }

    /// Whether registrations may come over plain HTTP from this machine itself.
    pub fn takes_plain_from_loopback(&self) -> bool {
        self.settings.plain_from_loopback
    }

    /// What everything under this server begins with, without a slash at its end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    pub fn home_url(&self, store: StoreId, side: Side) -> String {
        format!("{}{}", self.base_url, home_path(store, side))
    }

    /// Whom the administration's pages name for help; may be empty.
    pub fn support_email(&self) -> &str {
        &self.settings.support_email
    }

    /// How long a session lasts.
    pub fn session_lasts(&self) -> Duration {
        Duration::from_secs(self.settings.session_s)
    }

    /// The header that gives a browser its session.
    pub fn set_cookie(&self, pass: &Pass, value: &str) -> String {
        self.cookie_line(pass.store, pass.side, value, "")
    }

    /// The header that takes it back.
    pub fn drop_cookie(&self, store: StoreId, side: Side) -> String {
        self.cookie_line(store, side, "", "; Max-Age=0")
    }

    fn cookie_line(&self, store: StoreId, side: Side, value: &str, more: &str) -> String {
        // Browsers keep no `Secure` cookie of a server that is tried out over plain HTTP.
        let secure = if self.base_url.starts_with("http://") { "" } else { "; Secure" };
        format!("{COOKIE}={value}; Path={}; HttpOnly; SameSite=Lax{secure}{more}", home_path(store, side))
    }
}
