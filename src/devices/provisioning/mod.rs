//! Provisioning, the pure part: which file a phone asks for, and what stands in it. No HTTP, no store.

mod agent;
mod escape;
mod files;
mod phone;
mod seen;
mod templates;
#[cfg(test)]
mod tests;
mod vendor;
mod wanted;

pub use phone::{Account, Credential, Pbx, Phone, Trust};
pub use templates::{RenderError, Rendered, Templates, fits};
pub use vendor::{Model, ModelError, Shows, Vendor, VendorError};
pub use wanted::{File, Unknown, Wanted};
