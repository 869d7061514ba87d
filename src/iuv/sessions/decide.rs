//! What would happen to a session.

use super::state::{
    Command, Event, FORGOTTEN_AFTER, IuvSession, REDEEMED_WITHIN, REFUSED_MAX, Redemption, Refusal, Registered,
    SignedIn, Standing, StoreStanding, Why,
};
use crate::kernel::UnixMillis;
use subtle::ConstantTimeEq;

impl IuvSession {
    pub(super) fn judged(&self, command: &Command, now: UnixMillis, events: &mut Vec<Event>) -> Result<(), Refusal> {
        match (command, &self.standing) {
            (Command::Register { registration, .. }, Standing::Unknown) => {
                events.push(Event::Registered(registration.clone()));
            }
            (Command::Open { pass, secret, lasts, .. }, Standing::Unknown) => {
                events.push(Event::Opened { pass: *pass, secret: *secret, until: now.plus(*lasts) });
            }
            // A repeated request.
            (Command::Register { registration, .. }, Standing::Registered(known))
                if known.registration == *registration => {}
            (Command::Open { pass, secret, .. }, Standing::SignedIn(known))
                if known.pass == *pass && known.secret == *secret => {}
            (Command::Register { .. } | Command::Open { .. }, _) => return Err(Refusal::AlreadyExists),
            (Command::Tick, Standing::Unknown) => {}
            (_, Standing::Unknown) => return Err(Refusal::NotFound),
            (Command::Redeem { redemption, standing }, known) => match judge(known, redemption, standing, now) {
                Ok(()) => {
                    events.push(Event::Redeemed { secret: redemption.secret, until: now.plus(redemption.lasts) });
                }
                Err(why) if self.refused() < REFUSED_MAX => events.push(Event::RedemptionRefused { why }),
                Err(_) => {}
            },
            (Command::SignOut, Standing::SignedIn(known)) if now < known.until => events.push(Event::SignedOut),
            (Command::SignOut, _) => {}
            (Command::Tick, known) => {
                if is_over(known, now) {
                    events.push(Event::Expired);
                } else if may_forget(known, now) {
                    events.push(Event::Forgotten);
                }
            }
        }
        Ok(())
    }

    pub(super) fn refused(&self) -> u8 {
        match &self.standing {
            Standing::Unknown => 0,
            Standing::Registered(known) => known.refused,
            Standing::SignedIn(known) => known.refused,
            Standing::Ended { refused, .. } => *refused,
        }
    }

    /// Why the last command was refused, said again where it is not noted.
    pub(super) fn why(&self, redemption: &Redemption, standing: &StoreStanding, now: UnixMillis) -> Option<Why> {
        judge(&self.standing, redemption, standing, now).err()
    }
}

/// In the order in which the reasons are told. Whoever has another token learns nothing else.
fn judge(known: &Standing, by: &Redemption, store: &StoreStanding, now: UnixMillis) -> Result<(), Why> {
    let (check, over) = match known {
        Standing::Unknown => (None, None),
        Standing::Registered(known) => (Some(known.registration.check), None),
        Standing::SignedIn(SignedIn { redeemed, .. }) => (*redeemed, Some(Why::RedeemedBefore)),
        Standing::Ended { check, redeemed: true, .. } => (*check, Some(Why::RedeemedBefore)),
        Standing::Ended { check, redeemed: false, .. } => (*check, Some(Why::TooLate)),
    };
    if !check.is_some_and(|check| bool::from(check.0.ct_eq(&by.check.0))) {
        return Err(Why::OtherToken);
    }
    let Standing::Registered(registered) = known else { return Err(over.unwrap_or(Why::OtherToken)) };
    let Registered { registration, at, .. } = &**registered;
    let pass = registration.pass;
    let accepted = store.0.iter().find(|accepted| {
        (accepted.verification, accepted.key, accepted.side) == (pass.verification, registration.key, pass.side)
    });
    // An address that was not sent cannot be compared.
    let is_other = |wanted: std::net::IpAddr| by.from.is_none_or(|from| from.to_canonical() != wanted.to_canonical());
    if pass.store != by.store {
        return Err(Why::OtherStore);
    }
    if now.since(*at) > REDEEMED_WITHIN {
        return Err(Why::TooLate);
    }
    let Some(accepted) = accepted else { return Err(Why::KeyChanged) };
    if accepted.check_ip && registration.shopper_ip.is_some_and(is_other) {
        return Err(Why::OtherAddress);
    }
    Ok(())
}

fn is_over(known: &Standing, now: UnixMillis) -> bool {
    match known {
        Standing::Registered(known) => now.since(known.at) > REDEEMED_WITHIN,
        Standing::SignedIn(known) => known.until <= now,
        Standing::Unknown | Standing::Ended { .. } => false,
    }
}

fn may_forget(known: &Standing, now: UnixMillis) -> bool {
    matches!(known, Standing::Ended { at, forgotten: false, .. } if now >= at.plus(FORGOTTEN_AFTER))
}
