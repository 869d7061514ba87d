//! The account of whoever is signed in.

use super::{Scene, frame::Frame};
use crate::{
    http::{Ask, Code, Problem},
    iuv::{
        Attributes,
        shoppers::{self, Known, Shopper},
    },
    kernel::{Address, Codec, VaultField},
    store::StoreError,
};
use std::time::Duration;

/// How often, and how far apart, somebody is looked for whose sign-in is still on its way to his account.
const LOOKS: u32 = 60;
const LOOKS_APART: Duration = Duration::from_millis(50);

/// What is sealed of a shopper.
pub(super) async fn attributes_of(ask: &Ask, shopper: Address) -> Result<Option<Attributes>, Problem> {
    let plain = ask.engine.open_vault(shopper, VaultField::ShopperProfile).await?;
    let read = plain.map(|plain| Attributes::decode_from(&plain)).transpose();
    Ok(read.map_err(|why| StoreError::Corrupt { what: "shopper's names", why })?)
}

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

    /// The account of whoever is signed in, with the attributes of this sign-in or of a later one.
    pub(super) async fn account(&self) -> Result<Option<(Address, Known)>, Problem> {
        let (Some(shopper), Some(visitor)) = (self.shopper(), self.visitor) else { return Ok(None) };
        let mut newest = None;
        for _ in 0..LOOKS {
            newest = known(self.browser.ask, shopper).await?;
            if newest.as_ref().is_some_and(|known| visitor.since.is_none_or(|since| known.registered >= since)) {
                break;
            }
            tokio::time::sleep(LOOKS_APART).await;
        }
        let known = newest.ok_or_else(|| Problem::from(Code::Busy).retry_after_s(1))?;
        Ok(Some((shopper, known)))
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
