//! Stories on the pure core: given what was done, when a box syncs, then this. `World` is the shell in small: it steps
//! commands, holds claims, carries messages, keeps rows, and checks the invariants after every change.

mod advice;
mod alerts;
mod brief;
mod codes;
mod demanding;
mod events;
mod factors;
mod fobs;
mod golden;
mod mails;
mod mirror;
mod moves;
mod online;
mod orders;
mod properties;
mod reminders;
mod restored;
mod rules;
mod table;
mod walk;
mod world;
