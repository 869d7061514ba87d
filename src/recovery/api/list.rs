//! The list of installations.

use super::installations::{ContactState, Listed};
use crate::{
    http::{Ask, Doc, List, Problem, Reply},
    kernel::{InstallationId, RowSpace},
    recovery::{InstallationRow, words},
    store::StoreError,
};
use serde::Deserialize;
use utoipa::IntoParams;

const COLUMNS: [&str; 16] = [
    "installation",
    "path",
    "label",
    "product",
    "environment",
    "language",
    "errors_max",
    "blocks_administrator",
    "directory_account",
    "created_at",
    "contact",
    "contact_has_telephone",
    "contact_trouble",
    "contact_text",
    "contact_text_at",
    "break_glass_due_at",
];

/// Which installations; every filter that is named must hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[param(inline)]
    contact: Option<ContactState>,
}

pub(crate) const LIST: Doc = Doc::new("List installations").query::<Filter>().exports::<Listed, InstallationId>();

pub(crate) async fn list(ask: Ask) -> Result<Reply, Problem> {
    let (page, filter) = ask.list_query::<Filter>()?;
    let org = ask.org();
    let rows = (RowSpace::Installations, org, Vec::new());
    let list = List::of_rows(&COLUMNS, rows, move |_, key, row: InstallationRow| {
        let installation = InstallationId::from_bytes(key)
            .ok_or_else(|| StoreError::Corrupt { what: "installation", why: "its row's key".to_owned() })?;
        let listed = Listed::of(installation, words::path_of(installation.at(org)), row);
        Ok(filter.contact.is_none_or(|contact| contact == listed.contact).then_some(listed))
    });
    ask.list::<InstallationId, _>(list, &page).await
}
