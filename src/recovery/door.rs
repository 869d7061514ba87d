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
}

impl Door {
    pub fn open(config: &Config) -> Result<Self, DirectoryError> {
        Ok(Self {
            rules: config.recovery.rules(),
            password_characters_min: config.recovery.password_characters_min,
            texts: config.sms.sends(),
            directory: Directory::new(&config.directory)?,
        })
    }
}
