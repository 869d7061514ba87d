//! The four ways in. IUV and Shibboleth are signed in elsewhere; passwords and mailed links here. Whoever is refused
//! learns not why.

use super::{
    Reply, Scene,
    account::known,
    frame::{Frame, SignInPage, rendered},
};
use crate::{
    http::{Ask, Problem},
    iuv::{
        Attributes, EMAIL_MAX, Group, NAME_MAX, USER_NAME_MAX, VerificationKind, normal,
        sessions::{self, Pass},
        shopper_of,
        shoppers::{Command, FreshLink, LinkToken, Purpose, Shopper, SignIn, Told, api::attributes_of, link_mark},
        stores::{SignAction, Verification, state::ACADEMIC_STATUSES},
    },
    kernel::{Address, Codec, ShopperId, VaultField},
    orgs::api::is_email,
    passwords::PasswordHash,
    store::StoreError,
};
use askama::Template;
use zeroize::Zeroizing;

const PASSWORD_BYTES_MAX: usize = 800;

/// Whether this is the account's password. A guess is charged before anybody looks; an account that is not there costs
/// as much as one that is.
pub(super) async fn is_right(ask: &Ask, shopper: Option<Address>, password: &str) -> Result<bool, Problem> {
    let password = Zeroizing::new(password.as_bytes().to_vec());
    let begun = match shopper {
        Some(shopper) => ask.try_tell::<Shopper>(shopper, Command::BeginGuess).await?.ok(),
        None => None,
    };
    let (Some(shopper), Some(Told::Guess(revision))) = (shopper, begun.map(|begun| begun.answer)) else {
        ask.passwords().check(password, None).await?;
        return Ok(false);
    };
    let sealed = ask.engine.open_vault(shopper, VaultField::ShopperPassword).await?;
    let hash = sealed.map(|sealed| PasswordHash::decode_from(&sealed)).transpose();
    let hash = hash.map_err(|why| StoreError::Corrupt { what: "password's hash", why })?;
    let right = ask.passwords().check(password, hash).await?;
    let ended = ask.try_tell::<Shopper>(shopper, Command::EndGuess { password: revision, right }).await?;
    Ok(ended.is_ok_and(|ended| ended.answer == Told::Entered(true)))
}

/// A link that is to be mailed; `start` stands before its token.
pub(super) fn fresh_link(ask: &Ask, shopper: ShopperId, start: Option<String>) -> (FreshLink, LinkToken) {
    let salt = ask.engine.chance().id().to_be_bytes();
    let token = LinkToken::of(ask.engine.keys(), shopper, &salt);
    let mark = link_mark(ask.engine.keys(), shopper, token.as_str());
    (FreshLink { mark, salt, mail: start.map(Into::into) }, token)
}

impl Scene<'_> {
    fn working(&self, kind: VerificationKind) -> Option<&Verification> {
        self.view.working(self.side, kind)
    }

    fn url(&self, rest: &str) -> String {
        format!("{}{rest}", self.browser.ask.iuv().home_url(self.store(), self.side))
    }

    fn at_work_elsewhere(&self) -> Option<String> {
        let external = self.view.external_url(self.side, SignAction::In);
        let shibboleth = || {
            let here = || format!("{}signin/shibboleth", self.home());
            self.working(VerificationKind::Shibboleth).map(|_| here())
        };
        external.or_else(shibboleth)
    }

    /// Straight to the customer's own page, if that is the only way in.
    pub(super) fn sign_in(&self, said: Option<&'static str>) -> Result<Reply, Problem> {
        let password = self.working(VerificationKind::UserImport).is_some();
        let email = self.working(VerificationKind::EmailDomain).is_some();
        let sso = self.at_work_elsewhere();
        match sso {
            Some(url) if !password && !email && said.is_none() => Ok(Reply::to(url)),
            sso => {
                let frame = Frame { said, ..self.frame("signin", self.t().sign_in) };
                let page = SignInPage { f: &frame, sso, password, email };
                let status = if said.is_some() { 403 } else { 200 };
                rendered(status, self.language(), page.render())
            }
        }
    }

    fn shopper_named(&self, user_name: &str) -> Option<Address> {
        let name = normal(user_name.trim());
        let fits = !name.is_empty() && name.chars().count() <= USER_NAME_MAX;
        let keys = self.browser.ask.engine.keys();
        fits.then(|| shopper_of(keys, self.view.address.org, self.store(), &name).at(self.view.address.org))
    }

    pub(super) async fn with_password(&self) -> Result<Reply, Problem> {
        let (ask, fields) = (self.browser.ask, &self.browser.fields);
        if self.counted().is_some() {
            return self.sign_in(Some(self.t().too_many));
        }
        let Some(working) = self.working(VerificationKind::UserImport) else {
            return self.sign_in(Some(self.t().no_way_in));
        };
        let shopper = self.shopper_named(&fields.username);
        let fits = fields.password.len() <= PASSWORD_BYTES_MAX;
        let right = fits && is_right(ask, shopper, &fields.password).await?;
        let (Some(shopper), true) = (shopper, right) else { return self.sign_in(Some(self.t().wrong)) };
        let allowed = known(ask, shopper).await?.is_some_and(|known| known.allowed);
        match attributes_of(ask, shopper).await?.filter(|_| allowed) {
            Some(attributes) => self.enter(self.pass(shopper, working), &attributes).await,
            None => self.sign_in(Some(self.t().wrong)),
        }
    }

    pub(super) fn pass(&self, shopper: Address, working: &Verification) -> Pass {
        Pass {
            store: self.store(),
            shopper: ShopperId(shopper.entity.raw),
            side: self.side,
            kind: working.kind,
            verification: working.number,
        }
    }

    /// One try more from where this one comes; what is told if those were too many.
    fn counted(&self) -> Option<Problem> {
        (self.browser.count)().err()
    }

    /// Whoever stands on the list gets a link to choose a password, if he knows the address that stands there.
    pub(super) async fn register(&self) -> Result<Reply, Problem> {
        let (ask, fields) = (self.browser.ask, &self.browser.fields);
        if self.counted().is_some() {
            return self.sign_in(Some(self.t().too_many));
        }
        let shopper =
            self.shopper_named(&fields.username).filter(|_| self.working(VerificationKind::UserImport).is_some());
        if let Some(shopper) = shopper
            && let Some(attributes) = attributes_of(ask, shopper).await?
            && attributes.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(fields.email.trim()))
        {
            let id = ShopperId(shopper.entity.raw);
            let start = self.url(&format!("signin/set-password?shopper={id}&key="));
            let (link, _) = fresh_link(ask, id, Some(start));
            let test = self.side.is_test();
            let command = Command::AskForLink { purpose: Purpose::Password, test, link, newcomer: None };
            // Not on the list any more: he is told as everybody is.
            let _ = ask.try_tell::<Shopper>(shopper, command).await?;
        }
        self.link_sent()
    }

    fn link_sent(&self) -> Result<Reply, Problem> {
        self.message(200, "link-sent", self.t().sign_in, self.t().link_sent, None)
    }

    /// Whoever has an address of a listed domain gets a link to it.
    pub(super) async fn with_email(&self) -> Result<Reply, Problem> {
        let (ask, fields) = (self.browser.ask, &self.browser.fields);
        if self.counted().is_some() {
            return self.sign_in(Some(self.t().too_many));
        }
        let Some(working) = self.working(VerificationKind::EmailDomain) else {
            return self.sign_in(Some(self.t().no_way_in));
        };
        let email = normal(fields.email.trim()).to_lowercase();
        let domain = email.rsplit_once('@').map(|(_, domain)| domain).unwrap_or_default();
        let listed = working.settings.domains.iter().any(|listed| listed.eq_ignore_ascii_case(domain));
        if listed
            && is_email(&email)
            && email.chars().count() <= EMAIL_MAX
            && let Some(shopper) = self.shopper_named(&email)
        {
            let id = ShopperId(shopper.entity.raw);
            let (link, _) = fresh_link(ask, id, Some(self.url(&format!("signin/link?shopper={id}&key="))));
            let attributes = Attributes {
                user_name: email.clone(),
                email: Some(email),
                groups: working.settings.groups.clone(),
                ..Attributes::default()
            };
            let newcomer = Some(SignIn::of(self.store(), working.kind, ask.now(), attributes));
            let test = self.side.is_test();
            let command = Command::AskForLink { purpose: Purpose::SignIn, test, link, newcomer };
            let _ = ask.try_tell::<Shopper>(shopper, command).await?;
        }
        self.link_sent()
    }

    /// By headers, which count only from a proxy that the store names.
    pub(super) async fn with_shibboleth(&self) -> Result<Reply, Problem> {
        let Some(working) = self.working(VerificationKind::Shibboleth) else {
            return self.sign_in(Some(self.t().no_way_in));
        };
        let trusted = !working.settings.callers.is_empty() && working.names(self.browser.peer);
        let header = |name: &str| {
            let value = (self.browser.header)(name).map(|value| value.trim().to_owned());
            value.filter(|value| trusted && !name.is_empty() && !value.is_empty() && !value.contains(char::is_control))
        };
        let names = &working.settings.headers;
        let user_name = header(&names.user_name);
        let Some(shopper) = user_name.as_deref().and_then(|name| self.shopper_named(name)) else {
            return self.message(403, "message", self.t().sign_in, self.t().refused, None);
        };
        let short = |name: &str, max: usize| header(name).filter(|value| value.chars().count() <= max);
        let said = header(&names.groups).unwrap_or_default();
        let said = said
            .split([';', ','])
            .filter_map(|group| group.split('@').next())
            .map(|group| Group { class: ACADEMIC_STATUSES.into(), code: group.trim().into() });
        let mut groups = working.settings.groups.clone();
        groups.extend(said.filter(|group| self.view.group_name(group).is_some()));
        groups.sort_unstable();
        groups.dedup();
        let attributes = Attributes {
            user_name: normal(user_name.unwrap_or_default().trim()),
            email: short(&names.email, EMAIL_MAX),
            last_name: short(&names.last_name, NAME_MAX),
            first_name: short(&names.first_name, NAME_MAX),
            member: None,
            groups,
        };
        self.enter(self.pass(shopper, working), &attributes).await
    }

    pub(super) async fn sign_out(&self) -> Result<Reply, Problem> {
        let door = self.browser.ask.iuv();
        let mut url = self.home();
        if let Some(visitor) = &self.visitor {
            sessions::sign_out(self.browser.ask, visitor).await?;
            let elsewhere = visitor.kind.is_single_sign_on();
            let external = elsewhere.then(|| self.view.external_url(self.side, SignAction::Out)).flatten();
            url = external.unwrap_or(url);
        }
        Ok(Reply::to(url).with_cookie(door.drop_cookie(self.store(), self.side)))
    }
}
