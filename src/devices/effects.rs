//! What follows from a change to a device: its rows, what is sealed, word to the organisation. Pure.

use super::{
    rows::DeviceRow,
    state::{Command, Device, Event},
};
use crate::{
    kernel::{Codec, Context, Effects, MessageTarget, RowSpace, VaultField},
    orgs::OrganisationMessage,
};

pub(super) fn of_device(state: &Device, command: &Command, events: &[Event], cx: &Context, effects: &mut Effects) {
    let org = state.address.org;
    let tell = |message: &OrganisationMessage, effects: &mut Effects| {
        effects.send(MessageTarget::Entity(org.at(org)), message);
    };
    for event in events {
        match event {
            Event::Created { .. } => {
                if let Command::Create { pap, accounts, .. } = command {
                    effects.seal(VaultField::Pap, pap.plain.to_vec());
                    effects.seal(
                        VaultField::SipSecret,
                        accounts.as_ref().map(|accounts| accounts.plain.to_vec()).unwrap_or_default(),
                    );
                }
            }
            Event::Changed { accounts: true, .. } => {
                if let Command::Change { changes, .. } = command {
                    let plain = changes.accounts.as_ref().map(|accounts| accounts.plain.to_vec());
                    effects.seal(VaultField::SipSecret, plain.unwrap_or_default());
                }
            }
            Event::Reset { .. } => {
                if let Command::Change { pap, .. } | Command::Reset { pap } = command {
                    effects.seal(VaultField::Pap, pap.plain.to_vec());
                }
            }
            Event::Provisioned { to, .. } => {
                // Written over: there is nothing left to read.
                effects.seal(VaultField::Pap, Vec::new());
                if let Some(address) = *to {
                    tell(&OrganisationMessage::PhoneProvisioned { address, at: cx.now }, effects);
                }
            }
            Event::Authenticated { window: Some(window), .. } => {
                tell(&OrganisationMessage::PhoneTrusted { address: window.address, at: cx.now }, effects);
            }
            Event::Deleted { mac } => {
                effects.erase();
                effects.delete(RowSpace::Devices, org, &state.address.entity.raw.to_be_bytes());
                effects.delete(RowSpace::DeviceMacs, org, &mac.0);
            }
            _ => {}
        }
        if let Event::Changed { left: Some(left), .. } = event {
            effects.delete(RowSpace::DeviceMacs, org, &left.0);
        }
    }
    rows(state, effects);
}

/// The rows of a device that is there.
pub(super) fn rows(state: &Device, effects: &mut Effects) {
    let Some(known) = state.known() else { return };
    let (org, key) = (state.address.org, state.address.entity.raw.to_be_bytes());
    effects.put(RowSpace::Devices, org, &key, DeviceRow::of(known).to_bytes());
    effects.put(RowSpace::DeviceMacs, org, &known.description.mac.0, key.to_vec());
}
