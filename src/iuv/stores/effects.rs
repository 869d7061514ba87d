//! What follows from a change to a store: its row, what is sealed, mails to the IUV administrators. Pure.

use super::{
    mails::StoreMail,
    rows::StoreRow,
    state::{Command, Event, Trouble, WebStore},
};
use crate::{
    iuv::words::VerificationState,
    kernel::{Codec, Context, Effects, Recipient, RowSpace, VaultField},
};
use std::time::Duration;

/// That requests were refused yesterday is history.
const MAIL_WITHIN: Duration = Duration::from_secs(24 * 3600);

pub(super) fn of_store(state: &WebStore, command: &Command, events: &[Event], cx: &Context, effects: &mut Effects) {
    let mut has_changed = false;
    for event in events {
        match event {
            Event::KeySaved { .. } | Event::AdministratorsSet { .. } | Event::VerificationRemoved { .. } => {
                if let Command::SaveKey { sealed, .. }
                | Command::RemoveVerification { sealed, .. }
                | Command::Set { administrators: Some((_, sealed)), .. } = command
                {
                    effects.seal(VaultField::StoreSecrets, sealed.plain.to_vec());
                }
            }
            Event::Told { troubles } => mail(state, troubles, cx, effects),
            _ => {}
        }
        has_changed |= matches!(
            event,
            Event::Created(_) | Event::Changed(_) | Event::SettingsSet { .. } | Event::VerificationRemoved { .. }
        );
    }
    if has_changed {
        rows(state, effects);
    }
}

/// The row of a store that is there.
pub(super) fn rows(state: &WebStore, effects: &mut Effects) {
    let Some(known) = state.known() else { return };
    let key = state.address.entity.raw.to_be_bytes();
    effects.put(RowSpace::Stores, state.address.org, &key, StoreRow::of(known).to_bytes());
}

fn mail(state: &WebStore, troubles: &[Trouble], cx: &Context, effects: &mut Effects) {
    let Some(known) = state.known() else { return };
    let store = state.id();
    let mail = StoreMail::Trouble { store, at: cx.now, troubles: troubles.to_vec() };
    let at_work = known.verifications.iter().filter(|known| known.state != VerificationState::Inactive);
    for verification in at_work {
        for place in 0..verification.administrators {
            let to = Recipient::IuvAdministrator { store, verification: verification.number, place };
            effects.mail(mail.template(), to, &mail, cx.now.plus(MAIL_WITHIN));
        }
    }
}
