//! What has happened to shoppers, as the change feed, the audit and webhooks show it: no names, no links, no passwords.

use super::state::{Event, Link, Membership, Order, Purpose};
use crate::{
    kernel::{Codec, EventView, UnixMillis},
    store::StoredRecord,
};
use serde_json::{Value, json};

pub(crate) fn views(record: &StoredRecord) -> Result<Vec<EventView>, String> {
    record.events.iter().map(|bytes| Event::decode_from(bytes).map(|event| view(&event))).collect()
}

fn described(membership: &Membership) -> Value {
    let Membership { store, kind, groups, member } = membership;
    let groups: Vec<Value> = groups.iter().map(|group| json!({ "class": group.class, "group": group.code })).collect();
    json!({ "store": store, "kind": kind.name(), "groups": groups, "member_org": member })
}

fn ordered(order: &Order) -> Value {
    let products: Vec<_> = order.lines.iter().map(|line| line.product).collect();
    json!({ "order": order.number, "test": order.test, "member_org": order.member, "products": products })
}

pub(crate) fn view(event: &Event) -> EventView {
    let until = |until: &UnixMillis| until.to_rfc3339();
    let (name, data) = match event {
        Event::Described(membership) => ("shoppers.described", described(membership)),
        Event::SignedIn { registered } => ("shoppers.signed_in", json!({ "registered_at": until(registered) })),
        Event::Allowed => ("shoppers.allowed", json!({})),
        Event::Barred => ("shoppers.barred", json!({})),
        Event::PutInCart(product) => ("shoppers.put_in_cart", json!({ "product": product })),
        Event::TakenFromCart(product) => ("shoppers.taken_from_cart", json!({ "product": product })),
        Event::Ordered(order) => ("shoppers.ordered", ordered(order)),
        Event::CodeReceived { order, line, number } => {
            ("shoppers.code_received", json!({ "order": order, "line": line, "number": number }))
        }
        Event::CodeDenied { order, line } => ("shoppers.code_denied", json!({ "order": order, "line": line })),
        Event::LinkMade(Link { purpose, until: at, test, mark: _ }) => {
            let purpose = match purpose {
                Purpose::SignIn => "sign_in",
                Purpose::Password => "password",
            };
            ("shoppers.link_made", json!({ "purpose": purpose, "until": until(at), "test": test }))
        }
        Event::LinkUsed => ("shoppers.link_used", json!({})),
        Event::PasswordSet => ("shoppers.password_set", json!({})),
        Event::GuessCharged => ("shoppers.password_tried", json!({})),
        Event::GuessedRight => ("shoppers.password_right", json!({})),
        Event::RoleGranted(role) => ("shoppers.role_granted", json!({ "role": role })),
        Event::RoleRevoked(role) => ("shoppers.role_revoked", json!({ "role": role })),
        Event::TransferAsked(transfer) => (
            "shoppers.transfer_asked",
            json!({ "to": transfer.to, "role": transfer.role, "until": until(&transfer.until) }),
        ),
        Event::TransferConfirmed { to, role } => ("shoppers.transfer_confirmed", json!({ "to": to, "role": role })),
        Event::TransferRefused => ("shoppers.transfer_refused", json!({})),
        Event::RoleReceived { role, from } => ("shoppers.role_received", json!({ "role": role, "from": from })),
        Event::Erased => ("shoppers.erased", json!({})),
    };
    EventView::new(name, data)
}
