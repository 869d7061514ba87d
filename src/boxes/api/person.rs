//! What one box holds of a person, for those who ask what is known of them.

use super::{ShownAccess, SmartBox};
use crate::{
    boxes::{Fob, KeyPlace},
    kernel::{BoxId, KeyId, PersonId, schema::Time},
};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = PersonAtBox)]
pub(crate) struct AtBox {
    r#box: BoxId,
    name: Box<str>,
    accesses: Vec<ShownAccess>,
    keys_held: Vec<Held>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = KeyHeld)]
struct Held {
    key: KeyId,
    name: Box<str>,
    fob: Fob,
    #[schema(value_type = Time)]
    since: String,
}

/// Accesses of this person at a box, and keys of it that they have.
pub(crate) fn at_box(state: &SmartBox, person: PersonId) -> Option<AtBox> {
    let inventory = state.inventory();
    let accesses: Vec<_> =
        inventory.accesses.into_iter().filter(|access| access.record.person == person).map(ShownAccess::from).collect();
    let held = inventory.keys.into_iter().filter_map(|key| match key.place {
        KeyPlace::Person { person: Some(holder), since } if holder == person => {
            Some(Held { key: key.key, name: key.name, fob: key.fob?, since: since.to_rfc3339() })
        }
        _ => None,
    });
    let keys_held: Vec<_> = held.collect();
    let known = !accesses.is_empty() || !keys_held.is_empty();
    known.then(|| AtBox { r#box: state.id(), name: state.name.clone(), accesses, keys_held })
}
