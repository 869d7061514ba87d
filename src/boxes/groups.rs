//! Which accesses there are to a group of keys, by group: else every box had to be asked.

use super::{
    command::Scope,
    event::Event,
    rows::{GroupAccessRow, group_access_key},
    state::SmartBox,
};
use crate::kernel::{Codec, Effects, RowSpace};

impl SmartBox {
    pub(super) fn note_group_access(&self, event: &Event, effects: &mut Effects) {
        let (org, id) = (self.home.org, self.id());
        match event {
            Event::AccessGranted(record) => {
                if let Scope::Group(group) = record.scope {
                    let row = GroupAccessRow { person: record.person, from: record.from, until: record.until };
                    effects.put(RowSpace::GroupAccesses, org, &group_access_key(group, id, record.id), row.to_bytes());
                }
            }
            Event::AccessRevoked { access, group: Some(group), .. } => {
                effects.delete(RowSpace::GroupAccesses, org, &group_access_key(*group, id, *access));
            }
            _ => {}
        }
    }
}
