//! The list of devices, and what it can be filtered by.

use super::show::{DeviceState, Listed};
use crate::{
    devices::{Authentication, DeviceRow, provisioning::Vendor},
    http::{Ask, Doc, List, Problem, Reply},
    kernel::{DeviceId, RowSpace},
    store::StoreError,
};
use serde::Deserialize;
use utoipa::IntoParams;

const COLUMNS: [&str; 17] = [
    "device",
    "mac",
    "vendor",
    "model",
    "label",
    "site",
    "created_at",
    "state",
    "provisioning",
    "locked_until",
    "wrong",
    "rounds",
    "locked_attempts",
    "suspended_until",
    "lost_configuration",
    "last_contact.at",
    "last_contact.address",
];

/// Which devices; every filter that is named must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[param(value_type = Option<DeviceState>, inline)]
    state: Option<String>,
    /// Authenticated and not completely provisioned
    provisioning: Option<bool>,
    #[param(inline)]
    vendor: Option<Vendor>,
    /// The whole name of a site
    site: Option<String>,
    /// How the MAC begins, in any spelling
    mac: Option<String>,
    /// How the label begins; upper and lower case alike
    label: Option<String>,
    suspended: Option<bool>,
    /// Authenticated, and came last without its credential
    lost: Option<bool>,
}

fn is(wanted: Option<bool>, found: bool) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

impl Filter {
    fn passes(&self, row: &Listed) -> bool {
        self.state.as_deref().is_none_or(|state| state == row.state)
            && is(self.provisioning, row.provisioning)
            && self.vendor.is_none_or(|vendor| vendor == row.vendor)
            && self.site.as_deref().is_none_or(|site| site == &*row.site)
            && self.mac.as_deref().is_none_or(|start| row.mac.starts_with(start))
            && self.label.as_deref().is_none_or(|start| row.label.to_lowercase().starts_with(start))
            && is(self.suspended, row.suspended_until.is_some())
            && is(self.lost, row.lost_configuration)
    }
}

pub(crate) const LIST: Doc = Doc::new("List devices").query::<Filter>().exports::<Listed, DeviceId>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let (page, mut filter) = ask.list_query::<Filter>()?;
    if filter.state.as_deref().is_some_and(|state| !Authentication::NAMES.contains(&state)) {
        let detail = "`state` is required, failed, blocked or successful";
        return Err(Problem::detailed(crate::http::Code::Malformed, detail));
    }
    let digits = |mac: String| mac.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    filter.mac = filter.mac.map(digits);
    filter.label = filter.label.map(|label| label.to_lowercase());
    let now = ask.now();
    let list = List::of_rows(&COLUMNS, (RowSpace::Devices, ask.org(), Vec::new()), move |_, key, row: DeviceRow| {
        let device = DeviceId::from_bytes(key)
            .ok_or_else(|| StoreError::Corrupt { what: "device", why: "its row's key".to_owned() })?;
        let listed = Listed::of(device, row, now);
        Ok(filter.passes(&listed).then_some(listed))
    });
    ask.list::<DeviceId, _>(list, &page).await
}
