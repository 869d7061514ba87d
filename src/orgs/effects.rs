//! What follows from a change: list rows, sealed rows, word to the boxes. Pure.

use super::{
    mails,
    rows::{OrganisationRow, PersonRow, TokenRow},
    state::{
        organisation::{self, Organisation},
        person::{self, Command, Person},
        token::{self, ApiToken, Standing},
    },
};
use crate::{
    boxes::{BoxMessage, CodesReplaced, PersonMessage},
    kernel::{Codec, Context, Effects, EntityKind, MessageTarget, OrgId, PersonId, RowSpace, VaultField},
};

pub fn of_organisation(
    state: &Organisation,
    command: &organisation::Command,
    events: &[organisation::Event],
    cx: &Context,
    effects: &mut Effects,
) {
    for event in events {
        match event {
            organisation::Event::ErasureBegun { organisation } => {
                let since = cx.now.to_bytes();
                effects.put(RowSpace::Erasures, OrgId::SYSTEM, &OrgId::to_bytes(*organisation), since);
            }
            organisation::Event::ErasureDone { organisation } => {
                effects.delete(RowSpace::Erasures, OrgId::SYSTEM, &OrgId::to_bytes(*organisation));
            }
            _ => {}
        }
    }
    if events.is_empty() || state.known.is_none() {
        return;
    }
    organisation_row(state, effects);
    for event in events {
        if let organisation::Event::PlanChanged { plan } = event {
            effects.send(all_boxes(), &BoxMessage::PlanChanged { plan: *plan });
        }
        if let (organisation::Event::Offline(_), Some(known)) = (event, &state.known) {
            effects.send(all_boxes(), &BoxMessage::OfflineSettings(known.offline.settings()));
        }
        if let organisation::Event::AlertsSet(settings) = event {
            effects.send(all_boxes(), &BoxMessage::AlertsChanged(settings.clone()));
        }
        mails::follow(state.address.org, command, event, cx.now, effects);
    }
}

fn all_boxes() -> MessageTarget {
    MessageTarget::Index { space: RowSpace::Boxes, prefix: Vec::new(), kind: EntityKind::SmartBox }
}

/// The list row of an organisation that is known.
pub fn organisation_row(state: &Organisation, effects: &mut Effects) {
    let Some(known) = &state.known else { return };
    let row = OrganisationRow {
        name: known.name.clone(),
        plan: known.plan,
        language: known.language,
        zone: known.zone.clone(),
        owner: known.owner,
        created: known.created,
        mails: known.mails,
        history_days: known.history_days,
    };
    effects.put(RowSpace::Organisations, state.address.org, &[], row.to_bytes());
}

pub fn of_token(state: &ApiToken, events: &[token::Event], effects: &mut Effects) {
    if events.is_empty() {
        return;
    }
    match &state.standing {
        Standing::Valid { .. } => token_row(state, effects),
        Standing::Revoked { .. } => {
            effects.delete(RowSpace::Tokens, state.address.org, &state.address.entity.raw.to_be_bytes());
        }
        Standing::Unknown => {}
    }
}

/// The list row of a token that is valid.
pub fn token_row(state: &ApiToken, effects: &mut Effects) {
    let Standing::Valid { issue, created } = &state.standing else { return };
    let row = TokenRow {
        label: issue.label.clone(),
        scopes: issue.scopes,
        expires_at: issue.expires_at,
        created: *created,
        last_used: state.last_used,
    };
    effects.put(RowSpace::Tokens, state.address.org, &state.address.entity.raw.to_be_bytes(), row.to_bytes());
}

/// The list row of a person who is known.
pub fn person_row(state: &Person, effects: &mut Effects) {
    if let Some(known) = state.known() {
        let row = PersonRow { role: known.role, created: known.created };
        effects.put(RowSpace::People, state.address.org, &state.address.entity.raw.to_be_bytes(), row.to_bytes());
    }
}

pub fn of_person(state: &Person, command: &Command, events: &[person::Event], cx: &Context, effects: &mut Effects) {
    use person::Event;
    let id = PersonId(state.address.entity.raw);
    let org = state.address.org;
    let needed_by = || MessageTarget::Index {
        space: RowSpace::PersonBoxes,
        prefix: id.to_bytes().to_vec(),
        kind: EntityKind::SmartBox,
    };
    for event in events {
        match event {
            Event::Created { .. } | Event::RoleChanged { .. } => person_row(state, effects),
            Event::ProfileSealed { .. } => {
                if let Command::Create { profile, .. } | Command::Change { profile: Some(profile), .. } = command {
                    effects.seal(VaultField::Profile, profile.plain.to_vec());
                }
            }
            Event::CredentialsSealed { .. } => match command {
                Command::Create { credentials, .. } => {
                    effects.seal(VaultField::Credentials, credentials.plain.to_vec());
                }
                Command::Change { credentials: Some(credentials), .. } => {
                    effects.seal(VaultField::Credentials, credentials.plain.to_vec());
                    effects.send(needed_by(), &BoxMessage::PersonChanged { person: id, revision: state.revision });
                }
                Command::Change { credentials: None, .. }
                | Command::Erase
                | Command::Export
                | Command::Book { .. }
                | Command::Unbook { .. }
                | Command::ShowQr { .. }
                | Command::Expose(_)
                | Command::Reissue(_)
                | Command::GiveCredentials { .. } => {}
            },
            Event::Booked(_) => {
                if let Command::Book { plain, .. } = command {
                    effects.seal(VaultField::Credentials, plain.to_vec());
                }
                effects.send(needed_by(), &BoxMessage::PersonChanged { person: id, revision: state.revision });
            }
            Event::Unbooked { .. } => {
                if let Command::Unbook { plain: Some((_, plain)), .. } = command {
                    effects.seal(VaultField::Credentials, plain.to_vec());
                    effects.send(needed_by(), &BoxMessage::PersonChanged { person: id, revision: state.revision });
                }
            }
            Event::QrShown { .. } => {}
            // Drawn on top of what is sealed now: the revision says whether it still is when it comes.
            Event::CodesExposed(exposed) => {
                if let Some(known) = state.known() {
                    let again = PersonMessage::Reissue { base: known.changed, exposed: exposed.clone() };
                    let own = MessageTarget::Entity(state.address);
                    effects.send_with_secret(own, &again, state.address, VaultField::Credentials);
                }
            }
            Event::CodesReissued { at, bookings, pin, .. } => {
                if let Command::Reissue(new) = command {
                    effects.seal(VaultField::Credentials, new.credentials.plain.to_vec());
                    effects.send(needed_by(), &BoxMessage::PersonChanged { person: id, revision: state.revision });
                    let accesses = bookings.iter().map(|booking| booking.access).collect();
                    let (smart_box, code) = (*at, new.exposed.code);
                    let news = CodesReplaced { person: id, smart_box, code, pin: *pin, accesses, at: cx.now };
                    news.tell(state.known().is_some_and(|known| known.email.is_some()), effects);
                }
            }
            Event::Erased => {
                effects.erase();
                effects.delete(RowSpace::People, org, &id.to_bytes());
                effects.send(needed_by(), &BoxMessage::PersonGone { person: id });
            }
            // Told by the record alone.
            Event::Exported => {}
            Event::CredentialsGiven { to, generation } => {
                let asking = MessageTarget::Entity(to.at(org));
                if state.known().is_some() {
                    let message =
                        BoxMessage::PersonCredentials { person: id, revision: state.revision, generation: *generation };
                    effects.send_with_secret(asking, &message, state.address, VaultField::Credentials);
                } else {
                    effects.send(asking, &BoxMessage::PersonGone { person: id });
                }
            }
        }
    }
}
