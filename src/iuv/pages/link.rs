//! A mailed link: a page with a button first, so that whatever looks into mails signs nobody in.

use super::{
    Reply, Scene,
    frame::{Frame, LinkPage, rendered},
};
use crate::{
    http::Problem,
    iuv::{
        VerificationKind,
        shoppers::{Command, Shopper, Verifier, api::attributes_of, link_mark},
    },
    kernel::{Address, Codec, ShopperId},
    orgs::Mark,
};
use askama::Template;
use zeroize::Zeroizing;

const PASSWORD_MIN: usize = 10;
const PASSWORD_MAX: usize = 200;
/// Longer than any key of ours.
const KEY_MAX: usize = 100;

impl Scene<'_> {
    pub(super) fn link_page(&self, sets_password: bool, said: Option<&'static str>) -> Result<Reply, Problem> {
        let (t, fields) = (self.t(), &self.browser.fields);
        let (page, title, action) = match sets_password {
            true => ("set-password", t.choose_password, "signin/set-password"),
            false => ("link", t.sign_in, "signin/link"),
        };
        let frame = Frame { said, ..self.frame(page, title) };
        let action = format!("{}{action}", self.home());
        let page = LinkPage { f: &frame, action, shopper: &fields.shopper, key: &fields.key, sets_password };
        rendered(if said.is_some() { 400 } else { 200 }, self.language(), page.render())
    }

    /// Whose link it is, and what is remembered of it.
    fn linked(&self) -> Option<(Address, Mark)> {
        let fields = &self.browser.fields;
        let shopper = fields.shopper.parse::<ShopperId>().ok().filter(|_| fields.key.len() <= KEY_MAX)?;
        let mark = link_mark(self.browser.ask.engine.keys(), shopper, &fields.key);
        Some((shopper.at(self.view.address.org), mark))
    }

    fn invalid(&self) -> Result<Reply, Problem> {
        let t = self.t();
        self.message(403, "message", t.sign_in, t.link_invalid, Some((format!("{}signin", self.home()), t.sign_in)))
    }

    pub(super) async fn follow_link(&self) -> Result<Reply, Problem> {
        let ask = self.browser.ask;
        let working = self.view.working(self.side, VerificationKind::EmailDomain);
        let (Some((shopper, mark)), Some(working)) = (self.linked(), working) else { return self.invalid() };
        let Some(mut attributes) = attributes_of(ask, shopper).await? else { return self.invalid() };
        // The domain may have been taken off the list since the mail went out.
        let domain = attributes.user_name.rsplit_once('@').map(|(_, domain)| domain).unwrap_or_default();
        let listed = working.settings.domains.iter().any(|listed| listed.eq_ignore_ascii_case(domain));
        if !listed || !self.is_of_this_store(shopper).await? {
            return self.invalid();
        }
        let command = Command::FollowLink { mark, test: self.side.is_test() };
        if ask.try_tell::<Shopper>(shopper, command).await?.is_err() {
            return self.invalid();
        }
        attributes.groups = working.settings.groups.clone();
        self.enter(self.pass(shopper, working), &attributes).await
    }

    async fn is_of_this_store(&self, shopper: Address) -> Result<bool, Problem> {
        let known = super::account::known(self.browser.ask, shopper).await?;
        Ok(known.is_some_and(|known| known.membership.store == self.store()))
    }

    pub(super) async fn set_password(&self) -> Result<Reply, Problem> {
        let (ask, t, fields) = (self.browser.ask, self.t(), &self.browser.fields);
        let Some((shopper, mark)) = self.linked() else { return self.invalid() };
        let length = fields.password.chars().count();
        if !(PASSWORD_MIN..=PASSWORD_MAX).contains(&length) || fields.password != fields.again {
            return self.link_page(true, Some(t.password_rule));
        }
        // Looked at before, so that a link that is none costs no hash.
        let now = ask.now();
        let holds =
            move |state: &Shopper, _| state.known().is_some_and(|known| known.takes_password(mark, now)).then_some(());
        if ask.engine.read(shopper, holds).await?.is_none() || !self.is_of_this_store(shopper).await? {
            return self.invalid();
        }
        let salt = ask.engine.chance().id().to_be_bytes();
        let hash = ask.passwords().hash(Zeroizing::new(fields.password.as_bytes().to_vec()), salt).await?;
        let verifier = Verifier(Zeroizing::new(hash.to_bytes()));
        match ask.try_tell::<Shopper>(shopper, Command::SetPassword { mark, verifier }).await? {
            Ok(_) => {
                let next = Some((format!("{}signin", self.home()), t.sign_in));
                self.message(200, "password-set", t.choose_password, t.password_set, next)
            }
            Err(_) => self.invalid(),
        }
    }
}
