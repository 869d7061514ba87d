//! What others see of sessions.

pub(crate) mod events;
