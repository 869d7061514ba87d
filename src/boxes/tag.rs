//! Which revision the entity tag of a command's target shows. A box's own revision moves with every sync: whoever
//! changes a key or the box's name must not hear that it is stale because a battery was measured.

use super::{alerts::AlertRow, command::Command, online::OnlineCommand, rows::Conflict, state::SmartBox};
use crate::kernel::{AccessId, KeyId};

/// What a conflict's tag shows: a conflict changes once.
const OPEN_CONFLICT: u64 = 1;
const RESOLVED_CONFLICT: u64 = 2;

impl Conflict {
    pub fn tag(&self) -> u64 {
        if self.resolved.is_some() { RESOLVED_CONFLICT } else { OPEN_CONFLICT }
    }
}

/// What an alert's tag shows: it is acknowledged once.
const NEW_ALERT: u64 = 1;
const ACKNOWLEDGED_ALERT: u64 = 2;

impl AlertRow {
    pub fn tag(&self) -> u64 {
        if self.acknowledged.is_some() { ACKNOWLEDGED_ALERT } else { NEW_ALERT }
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

    /// Of what is different about a key's alerts; of the key, if nothing is.
    pub fn key_alerts_tag(&self, id: KeyId) -> Option<u64> {
        let own = self.alerts.as_deref().and_then(|alerts| alerts.keys.iter().find(|own| own.key == id));
        own.map(|own| own.revision).or(self.key_tag(id))
    }

    pub(super) fn tag_of(&self, command: &Command) -> Option<u64> {
        if !self.exists() {
            return None;
        }
        match command {
            Command::SetBin { bin, .. } | Command::CorrectBin { bin, .. } | Command::ConfirmBin { bin } => {
                self.bin_index(bin).map(|index| self.bins[index].revision)
            }
            Command::ChangeKey { key, .. } | Command::RemoveKey { key } | Command::SetKeyCode { key, .. } => {
                self.key_tag(*key)
            }
            Command::SetKeyAlerts { key, .. } => self.key_alerts_tag(*key),
            Command::AcknowledgeAlert { number } => self.alert_in_force(*number).map(AlertRow::tag),
            Command::AddKey { key, .. } => self.key_tag(key.id).or(Some(self.described)),
            Command::Revoke { access } => self.access_tag(*access),
            Command::Grant { accesses } => match &**accesses {
                [one] => self.access_tag(one.id).or(Some(self.described)),
                _ => Some(self.described),
            },
            Command::ResolveConflict { conflict, .. } => {
                Some(if self.is_open(conflict) { OPEN_CONFLICT } else { RESOLVED_CONFLICT })
            }
            Command::Online(OnlineCommand::Give { .. }) => Some(self.described),
            Command::Create(_)
            | Command::Describe { .. }
            | Command::MakeEnrolmentCode { .. }
            | Command::Unlink
            | Command::ShowSheet { .. }
            | Command::SignPass { .. } => Some(self.described),
            Command::Online(OnlineCommand::Set { .. }) => Some(self.settings_tag()),
            // Nobody names a condition for these.
            Command::Enrol { .. }
            | Command::Sync { .. }
            | Command::Confirm { .. }
            | Command::SetAlerts { .. }
            | Command::Online(_)
            | Command::Tick
            | Command::Heard { .. }
            | Command::Unclaimed { .. }
            | Command::AskAgain { .. }
            | Command::Credentials { .. }
            | Command::KeyCodeGiven { .. }
            | Command::ReissueKeyCodes(_)
            | Command::TakeSettings(_) => Some(self.revision),
        }
    }
}
