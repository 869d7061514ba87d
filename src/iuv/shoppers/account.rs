//! What would happen to an account: links, passwords, roles that move.

use super::{
    state::{Event, FreshLink, Known, Link, Purpose, Refusal, Transfer},
    words::{
        GUESSES_MAX, INVITATION_LIVES, LINK_LIVES, LINKS_MAX, LINKS_WITHIN, LOCKED_FOR, StoreRole, TRANSFER_LIVES,
    },
};
use crate::{
    kernel::{ShopperId, UnixMillis},
    orgs::Mark,
};
use subtle::ConstantTimeEq;

fn is_same(one: Mark, other: Mark) -> bool {
    bool::from(one.0.ct_eq(&other.0))
}

impl FreshLink {
    pub(super) fn to_link(&self, purpose: Purpose, test: bool, now: UnixMillis) -> Event {
        Event::LinkMade(Link { purpose, mark: self.mark, until: now.plus(LINK_LIVES), test })
    }
}

impl Known {
    /// Too many links say nothing: whoever asks is told the same.
    pub(super) fn ask_for_link(
        &self,
        purpose: Purpose,
        test: bool,
        link: &FreshLink,
        now: UnixMillis,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        if purpose == Purpose::Password && !self.allowed {
            return Err(Refusal::NotAllowed);
        }
        if self.links_at(now).count() < LINKS_MAX {
            events.push(link.to_link(purpose, test, now));
        }
        Ok(())
    }

    /// When links were asked for, as far as that still counts.
    pub(super) fn links_at(&self, now: UnixMillis) -> impl Iterator<Item = UnixMillis> {
        self.links.iter().copied().filter(move |at| now.since(*at) < LINKS_WITHIN)
    }

    pub(super) fn invite(&self, link: &FreshLink, now: UnixMillis, events: &mut Vec<Event>) {
        let until = now.plus(INVITATION_LIVES);
        events.push(Event::LinkMade(Link { purpose: Purpose::Password, mark: link.mark, until, test: false }));
    }

    pub(super) fn link_at(&self, purpose: Purpose, mark: Mark, now: UnixMillis) -> Result<&Link, Refusal> {
        let link = self.link.as_ref().filter(|link| link.purpose == purpose && now < link.until);
        link.filter(|link| is_same(link.mark, mark)).ok_or(Refusal::LinkInvalid)
    }

    /// Whether this link may set a password now.
    pub fn takes_password(&self, mark: Mark, now: UnixMillis) -> bool {
        self.link_at(Purpose::Password, mark, now).is_ok()
    }

    pub(super) fn follow_link(
        &self,
        mark: Mark,
        test: bool,
        now: UnixMillis,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        if self.link_at(Purpose::SignIn, mark, now)?.test != test {
            return Err(Refusal::LinkInvalid);
        }
        events.push(Event::LinkUsed);
        Ok(())
    }

    pub(super) fn set_password(&self, mark: Mark, now: UnixMillis, events: &mut Vec<Event>) -> Result<(), Refusal> {
        self.link_at(Purpose::Password, mark, now)?;
        events.extend([Event::LinkUsed, Event::PasswordSet]);
        Ok(())
    }

    pub fn is_locked(&self, now: UnixMillis) -> bool {
        self.guesses >= GUESSES_MAX && now.since(self.guessed) < LOCKED_FOR
    }

    /// Charged before anybody looks whether it is right: guesses that come together are all counted.
    pub(super) fn begin_guess(&self, now: UnixMillis, events: &mut Vec<Event>) -> Result<(), Refusal> {
        if self.is_locked(now) {
            return Err(Refusal::Locked);
        }
        if self.password.is_none() {
            return Err(Refusal::NoPassword);
        }
        events.push(Event::GuessCharged);
        Ok(())
    }

    pub(super) fn ask_transfer(
        &self,
        to: ShopperId,
        role: StoreRole,
        link: &FreshLink,
        now: UnixMillis,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        if !self.has_role(role) {
            return Err(Refusal::RoleMissing);
        }
        if let Some(transfer) = self.transfer_at(now) {
            let same = transfer.to == to && transfer.role == role;
            return if same { Ok(()) } else { Err(Refusal::TransferPending) };
        }
        events.push(Event::TransferAsked(Transfer { to, role, mark: link.mark, until: now.plus(TRANSFER_LIVES) }));
        Ok(())
    }

    /// The transfer that waits for its confirmation.
    pub fn transfer_at(&self, now: UnixMillis) -> Option<&Transfer> {
        self.transfer.as_ref().filter(|transfer| now < transfer.until)
    }

    pub(super) fn end_transfer(
        &self,
        mark: Option<Mark>,
        confirmed: bool,
        now: UnixMillis,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        let transfer = self.transfer_at(now).filter(|transfer| mark.is_none_or(|mark| is_same(transfer.mark, mark)));
        let transfer = transfer.ok_or(Refusal::NoTransfer)?;
        events.push(match confirmed {
            // Revoked meanwhile: there is nothing to give.
            true if !self.has_role(transfer.role) => return Err(Refusal::RoleMissing),
            true => Event::TransferConfirmed { to: transfer.to, role: transfer.role },
            false => Event::TransferRefused,
        });
        Ok(())
    }
}
