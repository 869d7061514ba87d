//! Account numbers: each names one organisation for ever.

use super::organisation::{Account, Organisation, Refusal};
use crate::kernel::OrgId;

impl Organisation {
    /// The account number of an organisation, as the system organisation knows it.
    pub fn account_of(&self, organisation: OrgId) -> Option<u32> {
        self.accounts.iter().find(|known| known.organisation == organisation).map(|known| known.number)
    }

    pub(super) fn reserve(
        &self,
        organisation: OrgId,
        wanted: Option<u32>,
        drawn: &[u32],
    ) -> Result<Option<Account>, Refusal> {
        if let Some(number) = self.account_of(organisation) {
            return if wanted.is_none_or(|wanted| wanted == number) { Ok(None) } else { Err(Refusal::AccountTaken) };
        }
        let is_free = |number: &u32| self.accounts.binary_search_by_key(number, |known| known.number).is_err();
        let number = match wanted {
            Some(wanted) => Some(wanted).filter(is_free),
            None => drawn.iter().copied().find(is_free),
        };
        number.map(|number| Some(Account { number, organisation })).ok_or(Refusal::AccountTaken)
    }
}
