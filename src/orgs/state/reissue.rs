//! New codes for a person whose old ones somebody may find out: a box was stolen that could check them. Whatever is
//! typed is drawn anew; a badge cannot be. Pure.

use super::person::{Booking, Credentials, Event, Known};
use crate::{
    boxes::{CredentialsPlain, Exposed, TYPED},
    kernel::{Codec, Incoming, digits},
    orgs::words::{BADGE, Mark},
};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// What was drawn, on top of the credentials as they were at the revision `base`.
#[derive(Clone, PartialEq)]
pub struct Reissue {
    pub base: u64,
    pub exposed: Exposed,
    pub credentials: Credentials,
    /// Those that have a new code.
    pub bookings: Vec<Booking>,
    pub pin: bool,
}

crate::kernel::opaque!(Reissue);

/// Draws from the chance of this delivery: what turns out to be somebody's is drawn anew with the next one.
pub fn drawn(base: u64, exposed: Exposed, incoming: &Incoming<'_>) -> Result<Reissue, String> {
    let mut plain = incoming.secret.map(CredentialsPlain::decode_from).transpose()?.unwrap_or_default();
    let mut anew = |old: &str| digits(&incoming.chance.bytes(), old.len());
    if exposed.code {
        plain.code = plain.code.as_deref().map(&mut anew);
    }
    let pin = exposed.pin && plain.pin.is_some();
    if pin {
        plain.pin = plain.pin.as_deref().map(&mut anew);
    }
    // Several accesses may be told by one code: whoever knows it for one knows it for all.
    let here = plain.bookings.iter().filter(|booking| exposed.bookings.contains(&booking.access));
    let codes: BTreeMap<String, String> = here.map(|booking| (booking.code.clone(), anew(&booking.code))).collect();
    let mark = |purpose, value: &str| Mark::of(incoming.keys, purpose, incoming.to.org, value);
    let mut bookings = Vec::new();
    for booking in &mut plain.bookings {
        if let Some(code) = codes.get(&booking.code) {
            booking.code.clone_from(code);
            bookings.push(Booking { access: booking.access, mark: mark(TYPED, code) });
        }
    }
    let credentials = Credentials {
        access_code: plain.code.as_deref().map(|code| mark(TYPED, code)),
        badges: plain.badges.iter().map(|badge| mark(BADGE, badge)).collect(),
        plain: Zeroizing::new(plain.to_bytes()),
    };
    Ok(Reissue { base, exposed, credentials, bookings, pin })
}

impl Known {
    pub(super) fn decide_reissue(&self, new: &Reissue, events: &mut Vec<Event>) {
        let bookings: Vec<_> = new.bookings.iter().filter(|booking| self.has(booking)).copied().collect();
        let unchanged = self.bookings.iter().filter(|own| bookings.iter().all(|new| new.access != own.access));
        let taken = |code: Mark| unchanged.clone().chain(&bookings).any(|booking| booking.mark == code);
        let twice = new.credentials.access_code.is_some_and(taken)
            || bookings.iter().any(|new| unchanged.clone().any(|own| own.mark == new.mark));
        if new.base != self.changed || twice {
            // Read before the last change, or drawn what is theirs already: once more.
            return events.push(Event::CodesExposed(new.exposed.clone()));
        }
        let access_code = new.credentials.access_code;
        if access_code != self.access_code || !bookings.is_empty() || new.pin {
            let (at, pin) = (new.exposed.at, new.pin);
            events.push(Event::CodesReissued { at, access_code, bookings: bookings.into(), pin });
        }
    }

    fn has(&self, booking: &Booking) -> bool {
        self.bookings.iter().any(|own| own.access == booking.access)
    }

    /// The codes that are given back and those that are taken instead.
    pub(super) fn replaced(&self, access_code: Option<Mark>, bookings: &[Booking]) -> (Vec<Mark>, Vec<Mark>) {
        let changed = self.bookings.iter().filter(|own| bookings.iter().any(|new| new.access == own.access));
        let before = self.access_code.into_iter().chain(changed.map(|own| own.mark));
        let after = access_code.into_iter().chain(bookings.iter().map(|new| new.mark));
        let once = |marks: &mut dyn Iterator<Item = Mark>| {
            let mut marks: Vec<_> = marks.collect();
            marks.sort_unstable_by_key(|mark| mark.0);
            marks.dedup();
            marks
        };
        (once(&mut { before }), once(&mut { after }))
    }

    pub(super) fn reissue(&mut self, access_code: Option<Mark>, bookings: &[Booking]) {
        self.access_code = access_code;
        for new in bookings {
            self.bookings.iter_mut().filter(|own| own.access == new.access).for_each(|own| own.mark = new.mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::{AccessId, BoxId, UnixMillis},
        orgs::Role,
    };

    fn mark(of: u8) -> Mark {
        Mark([of; 16])
    }

    fn booking(access: u128, code: u8) -> Booking {
        Booking { access: AccessId(access), mark: mark(code) }
    }

    fn events(known: &Known, base: u64, code: u8, bookings: &[Booking]) -> Vec<Event> {
        let exposed = Exposed { at: BoxId(1), code: true, pin: false, bookings: Box::default() };
        let credentials =
            Credentials { access_code: Some(mark(code)), badges: Vec::new(), plain: Zeroizing::new(Vec::new()) };
        let mut events = Vec::new();
        known.decide_reissue(
            &Reissue { base, exposed, credentials, bookings: bookings.into(), pin: false },
            &mut events,
        );
        events
    }

    #[test]
    fn what_was_drawn_on_top_of_something_older_or_is_theirs_already_is_drawn_anew() {
        let known = Known {
            role: Role::User,
            email: None,
            access_code: Some(mark(1)),
            badges: Vec::new(),
            created: UnixMillis(0),
            changed: 7,
            bookings: vec![booking(1, 2), booking(2, 3), booking(3, 2)],
        };
        let again = |base, code, bookings: &[Booking]| {
            assert!(matches!(events(&known, base, code, bookings)[..], [Event::CodesExposed(_)]));
        };
        again(6, 9, &[]);
        again(7, 3, &[]);
        again(7, 8, &[booking(1, 8), booking(3, 8)]);
        again(7, 9, &[booking(1, 3), booking(3, 3)]);
        assert!(events(&known, 7, 1, &[]).is_empty(), "nothing is new");
        // An access that has ended meanwhile has no code.
        let new = [booking(1, 8), booking(3, 8), booking(4, 8)];
        let [Event::CodesReissued { access_code, bookings, .. }] = &events(&known, 7, 9, &new)[..] else { panic!() };
        assert_eq!((*access_code, &bookings[..]), (Some(mark(9)), &new[..2]));
        let (before, after) = known.replaced(*access_code, bookings);
        assert_eq!((before, after), (vec![mark(1), mark(2)], vec![mark(8), mark(9)]));
        let mut known = known;
        known.reissue(Some(mark(9)), &new);
        assert_eq!(known.bookings, [booking(1, 8), booking(2, 3), booking(3, 8)]);
    }
}
