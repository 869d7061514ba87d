//! Subject keys of records that are on their way to the disk: a second record that seals something before the first is
//! durable must seal by the same key, which is not in the store yet.

use crate::kernel::Address;
use parking_lot::Mutex;
use std::collections::{HashMap, hash_map::Entry};

/// A key as it is stored: wrapped by the master key.
type Wrapped = Vec<u8>;

struct UnderWay {
    /// After the newest record; `None`: erased.
    wrapped: Option<Wrapped>,
    records: u32,
}

#[derive(Default)]
pub(super) struct SubjectKeys(Mutex<HashMap<Address, UnderWay>>);

impl SubjectKeys {
    /// What stands when everything under way is durable; `None`: nothing is under way, the store knows.
    pub fn under_way(&self, of: Address) -> Option<Option<Wrapped>> {
        self.0.lock().get(&of).map(|under_way| under_way.wrapped.clone())
    }

    /// A record that seals or erases goes on its way.
    pub fn sent(&self, of: Address, wrapped: Option<Wrapped>) {
        let mut all = self.0.lock();
        let under_way = all.entry(of).or_insert(UnderWay { wrapped: None, records: 0 });
        under_way.wrapped = wrapped;
        under_way.records += 1;
    }

    /// Such a record is durable, or never will be.
    pub fn arrived(&self, of: Address) {
        if let Entry::Occupied(mut under_way) = self.0.lock().entry(of) {
            under_way.get_mut().records -= 1;
            if under_way.get().records == 0 {
                under_way.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{OrgId, PersonId};

    #[test]
    fn the_newest_record_says_what_stands_until_all_have_arrived() {
        let (keys, of) = (SubjectKeys::default(), PersonId(1).at(OrgId(1)));
        assert_eq!(keys.under_way(of), None);
        keys.sent(of, Some(vec![1]));
        keys.sent(of, None);
        keys.arrived(of);
        assert_eq!(keys.under_way(of), Some(None));
        keys.sent(of, Some(vec![2]));
        keys.arrived(of);
        assert_eq!(keys.under_way(of), Some(Some(vec![2])));
        keys.arrived(of);
        assert_eq!(keys.under_way(of), None);
        keys.arrived(of);
    }
}
