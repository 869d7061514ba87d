//! Provisioning, the pure part: which file a phone asks for, and what stands in it. No HTTP, no store.

mod agent;
mod escape;
mod files;
mod phone;
mod templates;
mod vendor;
mod wanted;

pub use phone::{Account, Credential, Pbx, Phone, Trust};
pub use templates::{RenderError, Rendered, TemplateError, Templates};
pub use vendor::{Model, ModelError, Vendor, VendorError};
pub use wanted::{File, Unknown, Wanted};
