//! What follows from a change to a webhook: its list row and its sealed row. Pure.

use super::{
    mails,
    rows::WebhookRow,
    state::{Command, Event, Webhook},
};
use crate::kernel::{Codec, Effects, RowSpace, UnixMillis, VaultField, WebhookId};

pub(super) fn of_webhook(state: &Webhook, command: &Command, events: &[Event], now: UnixMillis, effects: &mut Effects) {
    let (org, key) = (state.address.org, state.address.entity.raw.to_be_bytes());
    for event in events {
        if let Event::Paused(why) = event {
            mails::send(WebhookId(state.address.entity.raw), *why, now, effects);
        }
        match event {
            Event::Asked(_) => {}
            Event::Deleted => {
                effects.delete(RowSpace::Webhooks, org, &key);
                effects.erase();
            }
            Event::Created { .. }
            | Event::Changed { .. }
            | Event::SecretRotated { .. }
            | Event::Paused(_)
            | Event::Resumed { .. } => {
                if let Some(known) = state.known() {
                    effects.put(RowSpace::Webhooks, org, &key, WebhookRow::of(known).to_bytes());
                }
            }
        }
    }
    let sealed = match command {
        Command::Create { sealed, .. } | Command::Rotate { sealed, .. } => Some(sealed),
        Command::Change { sealed, .. } => sealed.as_ref(),
        Command::Pause | Command::GiveUp { .. } | Command::Resume { .. } | Command::Ask(_) | Command::Delete => None,
    };
    if let Some(sealed) = sealed {
        effects.seal(VaultField::WebhookSecret, sealed.to_vec());
    }
}
