//! Devices: desk phones that prove with a PIN where they stand (`spec/devices.md`).

mod mac;
pub mod provisioning;

pub use mac::Mac;
