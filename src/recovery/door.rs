//! What the door needs of recovery: what the operator set.

use super::{
    directory::{Directory, DirectoryError},
    words::Rules,
};
use crate::config::Config;

pub struct Door {
    pub rules: Rules,
    pub password_characters_min: usize,
    /// Whether this server sends texts.
    pub texts: bool,
    pub directory: Directory,
    base_url: Box<str>,
}

impl Door {
    pub fn open(config: &Config) -> Result<Self, DirectoryError> {
        Ok(Self {
            rules: config.recovery.rules(),
            password_characters_min: config.recovery.password_characters_min,
            texts: config.sms.sends(),
            directory: Directory::new(&config.directory)?,
            base_url: config.public.base_url.trim_end_matches('/').into(),
        })
    }

    pub fn is_own_origin(&self, origin: &str) -> bool {
        *self.base_url == *origin || self.base_url.strip_prefix(origin).is_some_and(|rest| rest.starts_with('/'))
    }
}
