//! Passes and personal QR codes that are shown at a connected box. Each pass opens once: the box that has signed it
//! keeps that in mind, and lends it to one other at a time.

use super::{
    state::{Exchange, OPEN_FOR},
    words::{OnlineRefusal, Signed, SignedPass},
};
use crate::{
    boxes::{Act, By, Event, Loan, Refusal, SmartBox, access::Access, command::AccessRecord},
    kernel::{AccessId, BoxId, PassId, PersonId, UnixMillis},
};
use std::time::Duration;

/// The word that a lent pass was used takes its time; until then it is nobody else's.
const WORD_WITHIN: Duration = Duration::from_secs(60);

impl SmartBox {
    /// A pass stands for its permission, as far as the server has not withdrawn it since.
    pub(super) fn entitled_by(&self, signed: &Signed, act: Act, now: UnixMillis) -> Result<PersonId, Refusal> {
        let no = Err(Refusal::Online(OnlineRefusal::NotPermitted));
        let (person, lives) = (signed.person, (signed.from..signed.until).contains(&now));
        match (act, &signed.pass) {
            (Act::PickUp(fob), Some(pass)) => {
                let key = self.key_on(&fob).map(|key| (key.id, &*key.groups));
                let SignedPass { id, permission, access } = *pass;
                let (from, until) = (Some(signed.from), Some(signed.until));
                let itself =
                    AccessRecord { id: AccessId(0), person, scope: permission.scope, from, until, reminder: None };
                let stands = |known: &Access| Some(known.id) == access && known.permits(person, key, now);
                let covered = permission.smart_box.is_none_or(|only| only == self.id())
                    && Access::new(&itself, 0).permits(person, key, now)
                    && self.accesses.iter().any(stands);
                if !covered {
                    return no;
                }
                self.is_free_pass(id, self.id(), now)?;
                Ok(person)
            }
            (Act::PickUp(fob), None) => {
                let key = self.key_on(&fob).map(|key| (key.id, &*key.groups));
                if lives && self.permits(person, key, now) { Ok(person) } else { no }
            }
            // No end of a permission stops a drop-off; the end of an identity does.
            (_, pass) if lives || pass.is_some() => Ok(person),
            _ => no,
        }
    }

    /// Neither used nor in use, as far as this box knows, by anybody but that box.
    fn is_free_pass(&self, id: PassId, by: BoxId, now: UnixMillis) -> Result<(), Refusal> {
        let known = self.signed_pass(id);
        if known.is_some_and(|pass| pass.used.is_some()) {
            return Err(Refusal::PassUsed);
        }
        let exchanges = self.online.iter().flat_map(|online| &online.exchanges);
        let mut by_it =
            exchanges.filter(|exchange| exchange.by == Some(By::Pass(id)) && matches!(exchange.act, Act::PickUp(_)));
        // The word of it may still be on its way to whoever has signed the pass.
        if by_it.clone().any(Exchange::is_completed) {
            return Err(Refusal::PassUsed);
        }
        let here = by_it.any(|exchange| exchange.is_open(now));
        let lent = known.and_then(|pass| pass.lent).is_some_and(|loan| loan.to != by && now < loan.until);
        if here || lent { Err(Refusal::Online(OnlineRefusal::UnderWay)) } else { Ok(()) }
    }

    pub(super) fn decide_lend(
        &self,
        pass: PassId,
        to: BoxId,
        now: UnixMillis,
        events: &mut Vec<Event>,
    ) -> Result<(), Refusal> {
        if self.signed_pass(pass).is_none() {
            return Err(Refusal::Online(OnlineRefusal::NotPermitted));
        }
        self.is_free_pass(pass, to, now)?;
        events.push(Event::PassLent { pass, loan: Loan { to, until: now.plus(OPEN_FOR + WORD_WITHIN) } });
        Ok(())
    }
}
