//! A role moves to another account once the primary administrator, who got the link by mail, says so.

use super::{
    Browser, Reply,
    account::known,
    frame::{Frame, MessagePage, TransferPage, rendered},
    texts::texts,
};
use crate::{
    http::Problem,
    iuv::{
        shoppers::{Command, Shopper, StoreRole, api::attributes_of, transfer_mark},
        store_of_guid,
    },
    kernel::{Address, ShopperId},
    orgs::Mark,
};
use askama::Template;
use subtle::ConstantTimeEq;

const KEY_MAX: usize = 100;

impl Browser<'_> {
    /// Whose role it is, and what is remembered of the link.
    fn transferred(&self) -> Option<(Address, Mark)> {
        let fields = &self.fields;
        let store = self.ask.iuv().registry.find(store_of_guid(&fields.store)?)?;
        let shopper = fields.shopper.parse::<ShopperId>().ok().filter(|_| fields.key.len() <= KEY_MAX)?;
        Some((shopper.at(store.org), transfer_mark(self.ask.engine.keys(), shopper, &fields.key)))
    }

    fn say(&self, status: u16, page: &'static str, said: &'static str) -> Result<Reply, Problem> {
        let language = self.reads();
        let title = texts(language).transfer;
        let frame = Frame { said: Some(said), ..Frame::neutral(language, page, title, self.token()) };
        rendered(status, language, MessagePage { f: &frame, next: None }.render())
    }

    /// What is to move, if the link holds.
    async fn pending(&self) -> Result<Option<(Address, Mark, ShopperId, StoreRole)>, Problem> {
        let Some((from, mark)) = self.transferred() else { return Ok(None) };
        let now = self.ask.now();
        let known = known(self.ask, from).await?;
        let transfer = known.as_ref().and_then(|known| known.transfer_at(now));
        let transfer = transfer.filter(|transfer| bool::from(transfer.mark.0.ct_eq(&mark.0)));
        Ok(transfer.map(|transfer| (from, mark, transfer.to, transfer.role)))
    }

    async fn user_name(&self, shopper: Address) -> Result<String, Problem> {
        Ok(attributes_of(self.ask, shopper).await?.map(|known| known.user_name.clone()).unwrap_or_default())
    }
}

/// `GET` and `POST /admin/transfer`.
pub async fn transfer_page(browser: &Browser<'_>) -> Result<Reply, Problem> {
    let (language, fields) = (browser.reads(), &browser.fields);
    let t = texts(language);
    if browser.is_post && !browser.is_ours() {
        return browser.say(403, "message", t.expired);
    }
    let Some((from, mark, to, role)) = browser.pending().await? else {
        return browser.say(403, "message", t.link_invalid);
    };
    if !browser.is_post {
        let frame = Frame::neutral(language, "transfer", t.transfer, browser.token());
        let page = TransferPage {
            f: &frame,
            role: role.name(),
            from: browser.user_name(from).await?,
            to: browser.user_name(to.at(from.org)).await?,
            store: &fields.store,
            shopper: &fields.shopper,
            key: &fields.key,
        };
        return rendered(200, language, page.render());
    }
    let confirmed = match fields.confirmed.as_str() {
        "true" => true,
        "false" => false,
        _ => return browser.say(400, "message", t.expired),
    };
    match browser.ask.try_tell::<Shopper>(from, Command::EndTransfer { mark: Some(mark), confirmed }).await? {
        Ok(_) if confirmed => browser.say(200, "transfer-done", t.transfer_done),
        Ok(_) => browser.say(200, "transfer-refused", t.transfer_refused),
        Err(_) => browser.say(403, "message", t.link_invalid),
    }
}
