//! List rows, and what is sealed of a store. Stored: numbers are append-only.

use super::state::{Description, Known};
use crate::{kernel::UnixMillis, orgs::Network};
use minicbor::{Decode, Encode};

/// `RowSpace::Stores`, by store.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StoreRow {
    #[n(0)]
    pub description: Description,
    #[n(1)]
    pub created: UnixMillis,
    /// Who may call without saying for whom.
    #[n(2)]
    pub callers: Vec<Network>,
}

impl StoreRow {
    pub(super) fn of(known: &Known) -> Self {
        let callers = known.verifications.iter().flat_map(|known| known.settings.callers.iter().copied());
        Self { description: known.description.clone(), created: known.created, callers: callers.collect() }
    }
}

/// `VaultField::StoreSecrets`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct SecretsPlain {
    #[n(0)]
    pub verifications: Vec<VerificationSecrets>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct VerificationSecrets {
    #[n(0)]
    pub verification: u32,
    #[n(1)]
    pub key: Option<String>,
    /// E-mail addresses.
    #[n(2)]
    pub administrators: Vec<String>,
}

impl SecretsPlain {
    pub fn of(&self, verification: u32) -> Option<&VerificationSecrets> {
        self.verifications.iter().find(|known| known.verification == verification)
    }

    /// To be changed.
    pub fn entry(&mut self, verification: u32) -> &mut VerificationSecrets {
        let at = match self.verifications.iter().position(|known| known.verification == verification) {
            Some(at) => at,
            None => {
                self.verifications.push(VerificationSecrets { verification, key: None, administrators: Vec::new() });
                self.verifications.len() - 1
            }
        };
        &mut self.verifications[at]
    }
}

impl Drop for VerificationSecrets {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.key.zeroize();
    }
}
