//! Devices: desk phones that prove with a PIN where they stand (`spec/devices.md`).

mod mac;

pub use mac::Mac;
