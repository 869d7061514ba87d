//! What happens to organisations, people and tokens. Pure.

mod accounts;
pub mod groups;
pub mod offline;
pub mod organisation;
pub mod person;
pub mod phones;
pub mod reissue;
pub mod token;
