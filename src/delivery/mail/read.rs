//! What a mail may read when it is sent: rows of its own organisation, and the names of its people.

use crate::{
    iuv::{Attributes, stores::SecretsPlain},
    kernel::{Address, Codec, KeyedHash, OrgId, PersonId, RowSpace, ShopperId, StoreId, VaultField},
    orgs::{OrganisationRow, ProfilePlain},
    store::{Db, Keyring, keys},
};

pub struct Reader<'a> {
    db: &'a Db,
    keys: &'a Keyring,
    org: OrgId,
    base_url: &'a str,
}

impl<'a> Reader<'a> {
    pub fn new(db: &'a Db, keys: &'a Keyring, org: OrgId, base_url: &'a str) -> Self {
        Self { db, keys, org, base_url }
    }

    pub fn org(&self) -> OrgId {
        self.org
    }

    /// Where people reach this server, without a slash at its end.
    pub fn base_url(&self) -> &str {
        self.base_url
    }

    /// What was sealed, if it still is.
    pub fn sealed<T: Codec>(&self, subject: Address, field: VaultField) -> Result<Option<T>, String> {
        let plain = self.keys.read(self.db, subject, field).map_err(|error| error.to_string())?;
        plain.filter(|plain| !plain.is_empty()).as_deref().map(|plain| T::decode_from(plain)).transpose()
    }

    /// A row of a list or index, if it is there.
    pub fn row<T: Codec>(&self, space: RowSpace, key: &[u8]) -> Result<Option<T>, String> {
        let row = self.db.get(&keys::row(self.db.partition_of(self.org), space, self.org, key));
        row.map_err(|error| error.to_string())?.as_deref().map(T::decode_from).transpose()
    }

    pub fn organisation(&self) -> Result<OrganisationRow, String> {
        self.row(RowSpace::Organisations, &[])?.ok_or_else(|| "there is no such organisation".to_owned())
    }

    /// `None` for one who was erased.
    pub fn shopper(&self, shopper: ShopperId) -> Result<Option<Attributes>, String> {
        let plain = self.keys.read(self.db, shopper.at(self.org), VaultField::ShopperProfile);
        plain.map_err(|error| error.to_string())?.as_deref().map(|plain| Attributes::decode_from(plain)).transpose()
    }

    /// For links, which are made of the server's own secret when they are sent.
    pub fn keyed_hash(&self) -> &'a dyn KeyedHash {
        self.keys
    }

    /// Whom a store names as its IUV administrators.
    pub fn store_secrets(&self, store: StoreId) -> Result<Option<SecretsPlain>, String> {
        let plain = self.keys.read(self.db, store.at(self.org), VaultField::StoreSecrets);
        plain.map_err(|error| error.to_string())?.as_deref().map(|plain| SecretsPlain::decode_from(plain)).transpose()
    }

    /// `None` for somebody who was erased.
    pub fn profile(&self, person: PersonId) -> Result<Option<ProfilePlain>, String> {
        let plain = self.keys.read(self.db, person.at(self.org), VaultField::Profile);
        plain.map_err(|error| error.to_string())?.as_deref().map(|plain| ProfilePlain::decode_from(plain)).transpose()
    }
}
