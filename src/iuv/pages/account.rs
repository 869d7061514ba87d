//! The account of whoever is signed in.

use super::{Scene, frame::Frame};
use crate::{
    http::{Ask, Problem},
    iuv::{
        sessions,
        shoppers::{self, Command, Known, Shopper, SignIn, api::attributes_of},
    },
    kernel::Address,
};

pub(super) async fn known(ask: &Ask, shopper: Address) -> Result<Option<Known>, Problem> {
    Ok(ask.engine.read(shopper, |state: &Shopper, _| state.known().cloned()).await?)
}

pub(super) fn refused(refusal: shoppers::Refusal) -> Problem {
    shoppers::api::refused(refusal)
}

impl Scene<'_> {
    pub(super) fn shopper(&self) -> Option<Address> {
        self.visitor.map(|visitor| visitor.shopper.at(visitor.org))
    }

    /// The account of whoever is signed in, with the attributes of this sign-in or of a later one: a session's first
    /// page brings them there. `None` also when the session ended, or the account was erased, a moment ago.
    pub(super) async fn account(&self) -> Result<Option<(Address, Known)>, Problem> {
        let (Some(shopper), Some(visitor)) = (self.shopper(), &self.visitor) else { return Ok(None) };
        let ask = self.browser.ask;
        let stands = known(ask, shopper).await?;
        let has_come = |known: &Known| visitor.since.is_none_or(|since| known.registered >= since);
        if stands.as_ref().is_some_and(has_come) {
            return Ok(stands.map(|known| (shopper, known)));
        }
        let Some(since) = visitor.since else { return Ok(None) };
        let Some(attributes) = sessions::attributes_of(ask, visitor).await? else { return Ok(None) };
        let command = Command::SignIn(SignIn::of(visitor.store, visitor.kind, since, attributes));
        if ask.try_tell::<Shopper>(shopper, command).await?.is_err() {
            return Ok(None);
        }
        Ok(known(ask, shopper).await?.map(|known| (shopper, known)))
    }

    /// The frame as whoever is signed in sees it.
    pub(super) async fn framed(
        &self,
        page: &'static str,
        title: &str,
        known: Option<&Known>,
    ) -> Result<Frame, Problem> {
        let mut frame = self.frame(page, title);
        if let (Some(shopper), Some(known)) = (self.shopper(), known) {
            let attributes = attributes_of(self.browser.ask, shopper).await?.unwrap_or_default();
            frame.user = Some(attributes.full_name());
            frame.admin = !known.roles.is_empty();
        }
        Ok(frame)
    }
}
