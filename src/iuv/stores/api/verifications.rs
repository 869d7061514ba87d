//! Verification types: added, set, activated, removed.

use super::{
    look, named, refused, secrets_of,
    shapes::{
        ClassCode, DEFAULT_GROUPS_MAX, DOMAINS_MAX, Domain, GroupGiven, HeaderName, NetworkGiven, NewState,
        NewVerification, SECTOR_MAX, Sector, StoreUrl, checked_network, is_domain, is_group, is_header, is_url,
    },
    tell,
};
use crate::{
    http::{Ask, Changed, Code, Doc, Problem, Reply, body::objects},
    iuv::{
        stores::{
            WebStore,
            rows::SecretsPlain,
            state::{ADMINISTRATORS_MAX, CALLERS_MAX, Command, Headers, Sealed, Settings, Verification},
            view::StoreView,
        },
        words::Group,
    },
    kernel::{
        Codec, UnixMillis,
        schema::{Address as AddressText, Time},
    },
    orgs::api::{Email, Wrong, is_email, is_text, or_null},
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// The verification type that the path names.
pub(super) fn wanted<'a>(ask: &Ask, view: &'a StoreView) -> Result<&'a Verification, Problem> {
    let number: u32 = ask.path("verification")?;
    view.verification(number).ok_or_else(|| Code::NotFound.into())
}

/// Secrets to be sealed in the place of those that stand beside this view.
pub(super) fn sealed(view: &StoreView, plain: &SecretsPlain) -> Sealed {
    Sealed { from: view.secrets, plain: Zeroizing::new(plain.to_bytes()) }
}

#[derive(Serialize, ToSchema)]
#[schema(as = VerificationAdded)]
struct Added {
    verification: u32,
    revision: u64,
}

pub(crate) const ADD: Doc = Doc::new("Add a verification type")
    .details("It begins in `test`; another single sign-on that is in `test` becomes inactive.")
    .takes::<NewVerification>()
    .created::<Added>()
    .refuses(&[Code::VerificationTaken, Code::StoreLimitReached]);

pub(crate) async fn add(ask: Ask) -> Result<Reply, Problem> {
    let NewVerification { kind } = ask.json()?;
    let store = named(&ask)?;
    let revision = ask.tell_once::<WebStore>(store, Command::AddVerification { kind }, refused).await?;
    let view = look(&ask).await?;
    let added = view.verifications.iter().filter(|known| known.kind == kind).map(|known| known.number).max();
    Reply::created(&Added { verification: added.ok_or(Code::NotFound)?, revision })
}

pub(crate) const SET_STATE: Doc = Doc::new("Put a verification type in test, activate or deactivate it")
    .details("Of single sign-ons one at most is active and one in test: whichever was there becomes inactive.")
    .takes::<NewState>()
    .changed()
    .refuses(&[Code::VerificationNotReady]);

pub(crate) async fn set_state(ask: Ask) -> Result<Reply, Problem> {
    let NewState { state } = ask.json()?;
    let verification = ask.path("verification")?;
    tell(&ask, Command::SetState { verification, state }).await
}

pub(crate) const REMOVE: Doc = Doc::new("Remove a verification type")
    .details("Its key is gone; tokens that were registered with it are dead.")
    .changed()
    .refuses(&[Code::StoreChangedMeanwhile]);

pub(crate) async fn remove(ask: Ask) -> Result<Reply, Problem> {
    let verification: u32 = ask.path("verification")?;
    let view = look(&ask).await?;
    let mut plain = secrets_of(&ask, view.address).await?;
    plain.verifications.retain(|known| known.verification != verification);
    tell(&ask, Command::RemoveVerification { verification, sealed: sealed(&view, &plain) }).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VerificationChange)]
struct Change {
    /// `iuv`, `shibboleth`: where shoppers sign in and out.
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<StoreUrl>)]
    external_url: Option<Option<String>>,
    /// `iuv`: the customer's servers; none means any. `shibboleth`: the proxies whose headers count.
    #[schema(value_type = Option<Vec<NetworkGiven>>, max_items = 200)]
    callers: Option<Vec<String>>,
    check_shopper_ip: Option<bool>,
    /// `azione=accedi|esci` instead of `action=signin|signout`.
    italian_action: Option<bool>,
    /// Kept, and heeded by nobody.
    #[schema(value_type = Option<Sector>)]
    sector: Option<String>,
    /// Kept, and heeded by nobody.
    #[serde(default, deserialize_with = "or_null")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 3650)]
    expires_in_days: Option<Option<u32>>,
    headers: Option<HeadersChange>,
    /// `email_domain`: whose addresses are let in.
    #[schema(value_type = Option<Vec<Domain>>, max_items = 50)]
    domains: Option<Vec<String>>,
    /// `email_domain`, `shibboleth`: the groups of whoever is let in.
    #[serde(default, deserialize_with = "objects_or_none")]
    #[schema(value_type = Vec<GroupGiven>, required = false, max_items = 50)]
    groups: Option<Vec<GroupGiven>>,
    /// Who gets the mails about requests that were refused.
    #[schema(value_type = Option<Vec<Email>>, max_items = 10)]
    administrators: Option<Vec<String>>,
}

fn objects_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<GroupGiven>>, D::Error> {
    objects(deserializer).map(Some)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ShibbolethHeadersChange)]
struct HeadersChange {
    #[schema(value_type = Option<HeaderName>)]
    user_name: Option<String>,
    #[schema(value_type = Option<HeaderName>)]
    email: Option<String>,
    #[schema(value_type = Option<HeaderName>)]
    last_name: Option<String>,
    #[schema(value_type = Option<HeaderName>)]
    first_name: Option<String>,
    #[schema(value_type = Option<HeaderName>)]
    groups: Option<String>,
}

impl HeadersChange {
    fn check(&self, wrong: &mut Wrong) {
        let all = [
            ("/headers/user_name", &self.user_name),
            ("/headers/email", &self.email),
            ("/headers/last_name", &self.last_name),
            ("/headers/first_name", &self.first_name),
            ("/headers/groups", &self.groups),
        ];
        for (pointer, name) in all {
            let right = name.as_deref().is_none_or(is_header);
            wrong.unless(right, pointer, "expected 1 to 64 of a-z 0-9 - _");
        }
    }

    fn on(self, before: &Headers) -> Headers {
        let one = |given: Option<String>, before: &str| given.map_or_else(|| before.into(), Into::into);
        Headers {
            user_name: one(self.user_name, &before.user_name),
            email: one(self.email, &before.email),
            last_name: one(self.last_name, &before.last_name),
            first_name: one(self.first_name, &before.first_name),
            groups: one(self.groups, &before.groups),
        }
    }
}

/// Each item of a list, up to its bound.
fn each<'a, T>(
    wrong: &mut Wrong,
    list: Option<&'a Vec<T>>,
    (pointer, most): (&'static str, usize),
    mut item: impl FnMut(&mut Wrong, String, &'a T),
) {
    let list = list.map(Vec::as_slice).unwrap_or_default();
    if list.len() > most {
        wrong.add(pointer, format!("expected at most {most} of them"));
    }
    for (at, one) in list.iter().enumerate().take(most) {
        item(wrong, format!("{pointer}/{at}"), one);
    }
}

impl Change {
    /// The settings with what this changes, if all of it may stand.
    fn on(self, before: &Settings) -> Result<(Settings, Option<Vec<String>>), Problem> {
        let mut wrong = Wrong::default();
        let url = self.external_url.as_ref().and_then(Option::as_deref);
        wrong.unless(url.is_none_or(is_url), "/external_url", "expected an absolute URL of at most 500 characters");
        let days = self.expires_in_days.flatten();
        wrong.unless(days.is_none_or(|days| (1..=3650).contains(&days)), "/expires_in_days", "expected 1 to 3650");
        let sector = self.sector.as_deref().unwrap_or_default();
        wrong.unless(sector.is_empty() || is_text(sector, SECTOR_MAX), "/sector", "expected at most 80 characters");
        let mut callers = Vec::new();
        each(&mut wrong, self.callers.as_ref(), ("/callers", CALLERS_MAX), |wrong, pointer, text| {
            callers.extend(checked_network(wrong, &pointer, text));
        });
        each(&mut wrong, self.domains.as_ref(), ("/domains", DOMAINS_MAX), |wrong, pointer, domain| {
            wrong.unless(is_domain(domain), &pointer, "expected a domain in lower case, such as example.edu");
        });
        each(&mut wrong, self.groups.as_ref(), ("/groups", DEFAULT_GROUPS_MAX), |wrong, pointer, given| {
            let right = given.class.parse::<ClassCode>().is_ok() && is_group(&given.group);
            wrong.unless(right, &pointer, "expected the codes of a class and of a group");
        });
        let most = ("/administrators", ADMINISTRATORS_MAX);
        each(&mut wrong, self.administrators.as_ref(), most, |wrong, pointer, email| {
            wrong.unless(is_email(email), &pointer, "expected an e-mail address");
        });
        if let Some(headers) = &self.headers {
            headers.check(&mut wrong);
        }
        wrong.check()?;
        callers.dedup();
        let group = |given: &GroupGiven| Group { class: given.class.clone(), code: given.group.clone() };
        let settings = Settings {
            external_url: match self.external_url {
                Some(url) => url.map(Into::into),
                None => before.external_url.clone(),
            },
            callers: if self.callers.is_some() { callers } else { before.callers.clone() },
            check_shopper_ip: self.check_shopper_ip.unwrap_or(before.check_shopper_ip),
            italian_action: self.italian_action.unwrap_or(before.italian_action),
            sector: self.sector.map_or_else(|| before.sector.clone(), Into::into),
            expires_in_days: self.expires_in_days.unwrap_or(before.expires_in_days),
            headers: match self.headers {
                Some(headers) => headers.on(&before.headers),
                None => before.headers.clone(),
            },
            domains: match self.domains {
                Some(domains) => domains.into_iter().map(Into::into).collect(),
                None => before.domains.clone(),
            },
            groups: match &self.groups {
                Some(groups) => groups.iter().map(group).collect(),
                None => before.groups.clone(),
            },
        };
        Ok((settings, self.administrators))
    }
}

pub(crate) const CHANGE: Doc = Doc::new("Set a verification type")
    .details("What is left out stays. A change holds at once.")
    .takes::<Change>()
    .changed()
    .refuses(&[Code::IuvKeyTooShort, Code::VerificationNotReady, Code::StoreChangedMeanwhile]);

pub(crate) async fn change(ask: Ask) -> Result<Reply, Problem> {
    let body: Change = ask.json()?;
    let view = look(&ask).await?;
    let of = wanted(&ask, &view)?;
    let (settings, administrators) = body.on(&of.settings)?;
    let administrators = match administrators {
        Some(administrators) => {
            let count = administrators.len() as u8;
            let mut plain = secrets_of(&ask, view.address).await?;
            plain.entry(of.number).administrators = administrators;
            Some((count, sealed(&view, &plain)))
        }
        None => None,
    };
    tell(&ask, Command::Set { verification: of.number, settings, administrators }).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCaller)]
struct Caller {
    #[schema(value_type = NetworkGiven)]
    network: String,
}

pub(crate) const ALLOW: Doc = Doc::new("Add a caller to the list of a verification type")
    .details("Such as one of those who were refused last.")
    .takes::<Caller>()
    .changed()
    .refuses(&[Code::StoreLimitReached]);

pub(crate) async fn allow(ask: Ask) -> Result<Reply, Problem> {
    let body: Caller = ask.json()?;
    let verification = ask.path("verification")?;
    let mut wrong = Wrong::default();
    let network = checked_network(&mut wrong, "/network", &body.network);
    wrong.check()?;
    let network = network.ok_or(Code::Invalid)?;
    let revision = ask.tell_once::<WebStore>(named(&ask)?, Command::Allow { verification, network }, refused).await?;
    Reply::ok(&Changed { revision })
}

#[derive(Serialize, ToSchema)]
#[schema(as = RefusedCallers)]
struct Refused {
    items: Vec<RefusedOne>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RefusedCaller)]
struct RefusedOne {
    #[schema(value_type = AddressText)]
    address: IpAddr,
    #[schema(value_type = Time)]
    last_at: String,
    /// How often.
    count: u32,
}

pub(crate) const REFUSED: Doc = Doc::new("List the last callers that were on no list")
    .details("Newest first, at most 20. A caller appears here within some seconds.")
    .answers::<Refused>();

pub(crate) async fn refused_callers(ask: Ask) -> Result<Reply, Problem> {
    let read = |state: &WebStore, _| state.known().map(|known| known.refused.clone());
    let refused = ask.engine.read(named(&ask)?, read).await?.ok_or(Code::NotFound)?;
    let shown = |caller: &crate::iuv::stores::state::RefusedCaller| RefusedOne {
        address: caller.address,
        last_at: UnixMillis::to_rfc3339(caller.at),
        count: caller.count,
    };
    Reply::ok(&Refused { items: refused.iter().rev().map(shown).collect() })
}
