//! Which revision the entity tag of a command's target shows. A box's own revision moves with every sync: whoever
//! changes a key or the box's name must not hear that it is stale because a battery was measured.

use super::{command::Command, rows::Conflict, state::SmartBox};
use crate::kernel::{AccessId, KeyId};

/// What a conflict's tag shows: a conflict changes once.
const OPEN_CONFLICT: u64 = 1;
const RESOLVED_CONFLICT: u64 = 2;

impl Conflict {
    pub fn tag(&self) -> u64 {
        if self.resolved.is_some() { RESOLVED_CONFLICT } else { OPEN_CONFLICT }
    }
}

impl SmartBox {
    /// Of its name, location and zone.
    pub fn described(&self) -> u64 {
        self.described
    }

    fn key_tag(&self, id: KeyId) -> Option<u64> {
        self.key(id).map(|key| key.revision)
    }

    fn access_tag(&self, id: AccessId) -> Option<u64> {
        self.accesses.iter().find(|access| access.id == id).map(|access| access.revision())
    }

    pub(super) fn tag_of(&self, command: &Command) -> Option<u64> {
        if !self.exists() {
            return None;
        }
        match command {
            Command::SetBinState { bin, .. } | Command::CorrectBin { bin, .. } | Command::ConfirmBin { bin } => {
                self.bin_index(bin).map(|index| self.bins[index].revision)
            }
            Command::ChangeKey { key, .. } | Command::RemoveKey { key } | Command::SetKeyCode { key, .. } => self.key_tag(*key),
            Command::AddKey { key, .. } => self.key_tag(key.id).or(Some(self.described)),
            Command::Revoke { access } => self.access_tag(*access),
            Command::Grant { accesses } => match &**accesses {
                [one] => self.access_tag(one.id).or(Some(self.described)),
                _ => Some(self.described),
            },
            Command::ResolveConflict { conflict, .. } => {
                let listed = self.conflicts.open.contains(&conflict.number);
                let open = conflict.resolved.is_none() && (listed || self.conflicts.unlisted > 0);
                Some(if open { OPEN_CONFLICT } else { RESOLVED_CONFLICT })
            }
            Command::Create(_) | Command::Describe { .. } | Command::MakeEnrolmentCode { .. }
            | Command::ShowSheet { .. }
            | Command::SignPass { .. } => Some(self.described),
            // Nobody names a condition for these.
            Command::Enrol { .. }
            | Command::Sync { .. }
            | Command::Confirm { .. }
            | Command::Tick
            | Command::Heard { .. }
            | Command::Unclaimed { .. }
            | Command::Credentials { .. }
            | Command::KeyCodeGiven { .. }
            | Command::TakeSettings(_) => Some(self.revision),
        }
    }
}
