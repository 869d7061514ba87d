//! Which stores there are: found by account number, by GUID, by the addresses that they list. It hears of every store
//! that is published, so that a new one is found at once; what it finds is then judged by the store's own view.

use super::{rows::StoreRow, view::StoreView};
use crate::{
    kernel::{Address, Codec, OrgId, RowSpace, StoreId},
    orgs::Network,
    store::{Db, StoreError, keys},
};
use ipnet::IpNet;
use parking_lot::RwLock;
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

#[derive(Default)]
pub struct Registry(RwLock<Index>);

#[derive(Default)]
struct Index {
    stores: HashMap<StoreId, Entry>,
    by_account: HashMap<u32, Vec<Address>>,
    by_network: HashMap<IpNet, Vec<Address>>,
    /// The lengths of prefixes that occur, of both families.
    lengths: BTreeSet<u8>,
}

struct Entry {
    address: Address,
    account: u32,
    callers: Vec<Network>,
}

/// Rows that are read at once.
const PAGE: usize = 1_000;

impl Registry {
    /// Everything that is stored and was not heard of since.
    pub fn load(&self, db: &Db) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let rows = db.rows_of_all(RowSpace::Stores, after.as_deref(), PAGE)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, value) in rows {
                let corrupt = |why: String| StoreError::Corrupt { what: "store's row", why };
                let row = StoreRow::decode_from(&value).map_err(corrupt)?;
                let address = address_in(&key).ok_or_else(|| corrupt("its key".to_owned()))?;
                let mut index = self.0.write();
                if !index.stores.contains_key(&StoreId(address.entity.raw)) {
                    index.put(Entry { address, account: row.description.account, callers: row.callers });
                }
            }
        }
    }

    pub fn hear(&self, view: &StoreView) {
        let callers = view.verifications.iter().flat_map(|known| known.settings.callers.iter().copied()).collect();
        let (address, account) = (view.address, view.description.account);
        let mut index = self.0.write();
        let known = index.stores.get(&view.id());
        if !known.is_some_and(|known| known.account == account && known.callers == callers) {
            index.put(Entry { address, account, callers });
        }
    }

    pub fn find(&self, store: StoreId) -> Option<Address> {
        self.0.read().stores.get(&store).map(|entry| entry.address)
    }

    pub fn of_account(&self, account: u32) -> Vec<Address> {
        self.0.read().by_account.get(&account).cloned().unwrap_or_default()
    }

    /// Stores that list this caller.
    pub fn that_name(&self, caller: IpAddr) -> Vec<Address> {
        let caller = caller.to_canonical();
        let index = self.0.read();
        let networks = index.lengths.iter().filter_map(|length| IpNet::new(caller, *length).ok());
        let mut found: Vec<_> =
            networks.filter_map(|network| index.by_network.get(&network.trunc())).flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn address_in(row_key: &[u8]) -> Option<Address> {
    let (prefix, store) = row_key.split_at_checked(keys::ROW_PREFIX)?;
    let org = OrgId::from_bytes(prefix.get(keys::ROW_PREFIX - OrgId::to_bytes(OrgId::SYSTEM).len()..)?)?;
    Some(StoreId::from_bytes(store)?.at(org))
}

impl Index {
    fn put(&mut self, entry: Entry) {
        let (store, address) = (StoreId(entry.address.entity.raw), entry.address);
        if let Some(before) = self.stores.remove(&store) {
            if let Some(others) = self.by_account.get_mut(&before.account) {
                others.retain(|other| *other != address);
            }
            for network in networks(&before.callers) {
                if let Some(others) = self.by_network.get_mut(&network) {
                    others.retain(|other| *other != address);
                }
            }
        }
        self.by_account.entry(entry.account).or_default().push(address);
        for network in networks(&entry.callers) {
            self.lengths.insert(network.prefix_len());
            self.by_network.entry(network).or_default().push(address);
        }
        self.stores.insert(store, entry);
    }
}

fn networks(callers: &[Network]) -> impl Iterator<Item = IpNet> {
    callers.iter().filter_map(|network| IpNet::new(network.address, network.length).ok()).map(|network| network.trunc())
}
