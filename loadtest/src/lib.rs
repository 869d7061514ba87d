//! The box's own side of the protocol as a library, and scenarios that drive it by the thousand and verify what became
//! of it. Nothing here knows the server's code: only the wire.

pub mod chance;
pub mod clock;

pub mod wire;

pub mod vbox;

pub mod tls;

pub mod client;

pub mod api;

pub mod link;

pub mod socket;

pub mod links;

pub mod cpu;

pub mod kernel;

pub mod process;

pub mod prometheus;

pub mod html;

pub mod figures;

pub mod report;

pub mod course;

mod screen;

pub mod fleet;

pub mod site;

pub mod outage;

pub mod verify;

pub mod road;

pub mod storm;

pub mod crash;

pub mod restore;

pub mod versus;

pub mod herd;

pub mod census;

pub mod timetable;

pub mod ramp;

pub mod soak;

pub mod demo;

pub mod play;

pub mod field;

pub mod phones;

pub mod guess;

pub mod recovery;

pub mod term;

pub use api::{Api, ApiError};
pub use chance::Chance;
pub use client::{ClientError, Connection, Target};
pub use process::ServerProcess;
pub use vbox::VirtualBox;

pub mod model;

pub mod replay;
