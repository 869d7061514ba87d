//! Tickets: what a SmartBox shows at the door so that the server knows how urgent it is without waking it. Each sync
//! answer brings a new one. Checked only while there is a queue.

use crate::kernel::{BoxId, KeyedHash, UnixMillis};
use actix_web::http::header::HeaderName;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

pub const HEADER: HeaderName = HeaderName::from_static("castellan-ticket");

const MAC_BYTES: usize = 16;
const BODY_BYTES: usize = 16 + 1 + 8;
const TEXT_BYTES: usize = (BODY_BYTES + MAC_BYTES).div_ceil(3) * 4;

/// How urgent a box is: the latest moment at which its plan's guarantee still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub smart_box: BoxId,
    pub plan: u8,
    pub due_by: UnixMillis,
}

impl Ticket {
    pub fn to_text(self, keys: &dyn KeyedHash) -> String {
        let body = self.body();
        let mut bytes = [0; BODY_BYTES + MAC_BYTES];
        bytes[..BODY_BYTES].copy_from_slice(&body);
        bytes[BODY_BYTES..].copy_from_slice(&mac(keys, &body));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a ticket and believes it only if this server made it for this box.
    pub fn verified(text: &[u8], smart_box: BoxId, keys: &dyn KeyedHash) -> Option<Self> {
        let mut bytes = [0; TEXT_BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        let (body, shown) = bytes.get(..length)?.split_at_checked(BODY_BYTES)?;
        if shown.len() != MAC_BYTES || !bool::from(shown.ct_eq(&mac(keys, body))) {
            return None;
        }
        let ticket = Self {
            smart_box: BoxId::from_bytes(&body[..16])?,
            plan: body[16],
            due_by: UnixMillis(u64::from_be_bytes(body[17..].try_into().ok()?)),
        };
        (ticket.smart_box == smart_box).then_some(ticket)
    }

    fn body(self) -> [u8; BODY_BYTES] {
        let mut body = [0; BODY_BYTES];
        body[..16].copy_from_slice(&self.smart_box.to_bytes());
        body[16] = self.plan;
        body[17..].copy_from_slice(&self.due_by.0.to_be_bytes());
        body
    }
}

fn mac(keys: &dyn KeyedHash, body: &[u8]) -> [u8; MAC_BYTES] {
    let hash = keys.keyed_hash("http.ticket", &[body]);
    let mut mac = [0; MAC_BYTES];
    mac.copy_from_slice(&hash[..MAC_BYTES]);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::TestKeys;

    #[test]
    fn only_untouched_tickets_of_the_same_box_count() {
        let ticket = Ticket { smart_box: BoxId(7), plan: 2, due_by: UnixMillis(1_790_000_000_000) };
        let text = ticket.to_text(&TestKeys(1));
        assert_eq!(Ticket::verified(text.as_bytes(), BoxId(7), &TestKeys(1)), Some(ticket));
        assert_eq!(Ticket::verified(text.as_bytes(), BoxId(8), &TestKeys(1)), None);
        assert_eq!(Ticket::verified(text.as_bytes(), BoxId(7), &TestKeys(2)), None);
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            assert_ne!(Ticket::verified(&other, BoxId(7), &TestKeys(1)), Some(ticket), "position {at}");
        }
        assert_eq!(Ticket::verified(&[b'A'; 500], BoxId(7), &TestKeys(1)), None);
        assert_eq!(Ticket::verified(b"", BoxId(7), &TestKeys(1)), None);
    }
}
