//! Whether a customer's request registers a shopper: every check in its order, so that who has no key learns nothing
//! but that. Pure.

use super::{
    given::{Given, Known, Slot},
    messages::Message,
};
use crate::{
    iuv::{
        sessions::state::Accepted,
        stores::{StoreView, Verification, state::ACADEMIC_STATUSES},
        words::{Attributes, Group, Side, VerificationKind, normal},
    },
    kernel::{KeyedHash, OrgId, UnixMillis},
    orgs::Mark,
};
use serde::Serialize;
use std::{net::IpAddr, sync::Arc};
use utoipa::ToSchema;

/// Who asks, and for whom.
pub struct Asked<'a> {
    pub given: &'a Given,
    /// By the account number, or by the caller's address where none was given.
    pub candidates: &'a [Arc<StoreView>],
    pub caller: Option<IpAddr>,
    pub keys: &'a dyn KeyedHash,
    pub now: UnixMillis,
}

/// A shopper to be registered.
#[derive(Debug, Clone, PartialEq)]
pub struct Right {
    pub store: Arc<StoreView>,
    pub accepted: Accepted,
    pub shopper_ip: Option<IpAddr>,
    pub attributes: Attributes,
}

/// What is checked, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Parameters,
    Store,
    Key,
    StoreParameters,
    MemberOrganisation,
    Groups,
}

impl Step {
    pub const ALL: [Self; 6] =
        [Self::Parameters, Self::Store, Self::Key, Self::StoreParameters, Self::MemberOrganisation, Self::Groups];
}

/// Where it failed, and what the caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub step: Step,
    pub messages: Vec<Message>,
    /// Of the store, once the key has shown which it is.
    pub store: Option<Arc<StoreView>>,
}

pub const USER_NAME_MAX: usize = 100;
const EMAIL_MAX: usize = 100;
const NAME_MAX: usize = 50;

/// A customer's key as it is compared.
pub fn key_mark(keys: &dyn KeyedHash, org: OrgId, key: &str) -> Mark {
    Mark::of(keys, "iuv.key", org, key)
}

/// The account number that was given: nine digits.
pub fn account_of(given: &Given) -> Option<u32> {
    let text = given.get(Known::Account).text()?.trim();
    let is_number = text.len() == 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn parameter(name: Known) -> Message {
    Message::Parameter(name.name().into())
}

fn longest(name: Known) -> Option<usize> {
    match name {
        Known::UserName => Some(USER_NAME_MAX),
        Known::Email => Some(EMAIL_MAX),
        Known::LastName | Known::FirstName => Some(NAME_MAX),
        Known::Account | Known::Key | Known::AcademicStatuses | Known::ShopperIp | Known::MemberOrg => None,
    }
}

/// What can be said without knowing the store. Whether those are empty that a store may ignore is judged with it.
fn alone(given: &Given) -> Vec<Message> {
    let wrong = |name: &Known| {
        let slot = given.get(*name);
        let is_missing = match name {
            Known::UserName | Known::Key => slot.text().is_none(),
            Known::Account | Known::Email | Known::LastName | Known::FirstName => slot.is_empty(),
            Known::AcademicStatuses | Known::ShopperIp | Known::MemberOrg => *slot == Slot::Unfit,
        };
        let is_long = || {
            let text = slot.text().unwrap_or_default();
            // As many bytes as characters at least: short ones need not be counted.
            longest(*name).is_some_and(|most| text.len() > most && normal(text).chars().count() > most)
        };
        is_missing || is_long()
    };
    Known::ALL.into_iter().filter(wrong).map(parameter).collect()
}

impl Asked<'_> {
    /// Whether the caller may ask for this verification type.
    pub fn may_call(&self, of: &Verification) -> bool {
        if self.given.get(Known::Account).is_there() { of.lists(self.caller) } else { of.names(self.caller) }
    }

    /// The number of the key that was sent, if this verification type accepts it.
    pub fn key_of(&self, store: &StoreView, of: &Verification) -> Option<u32> {
        let key = self.given.get(Known::Key).text()?;
        of.accepts(key_mark(self.keys, store.address.org, key), self.now)
    }
}

/// Whether a request registers somebody, or what is wrong with it.
pub fn judge(asked: &Asked<'_>) -> Result<Right, Wrong> {
    let Asked { given, candidates, .. } = *asked;
    let wrong = |step, messages| Wrong { step, messages, store: None };
    let missing = alone(given);
    if !missing.is_empty() {
        return Err(wrong(Step::Parameters, missing));
    }
    let mut open = candidates
        .iter()
        .flat_map(|store| store.verifications.iter().filter_map(move |of| Some((store, of, of.opens()?))))
        .filter(|(_, of, _)| of.kind == VerificationKind::Iuv && asked.may_call(of))
        .peekable();
    if open.peek().is_none() {
        return Err(wrong(Step::Store, vec![Message::Store]));
    }
    let found = open.find_map(|(store, of, side)| Some((store, of, side, asked.key_of(store, of)?)));
    let Some((store, verification, side, key)) = found else { return Err(wrong(Step::Key, vec![Message::Key])) };
    let accepted =
        Accepted { verification: verification.number, key, side, check_ip: verification.settings.check_shopper_ip };
    known_to(given, store, accepted).map_err(|wrong| Wrong { store: Some(Arc::clone(store)), ..wrong })
}

/// What depends on the store, for a caller who has shown its key.
fn known_to(given: &Given, store: &Arc<StoreView>, accepted: Accepted) -> Result<Right, Wrong> {
    let wrong = |step, messages| Err(Wrong { step, messages, store: None });
    let text = |name: Known| given.get(name).text();
    let statuses = given.get(Known::AcademicStatuses);
    let shopper_ip = Some(given.get(Known::ShopperIp)).filter(|slot| accepted.check_ip && slot.is_there());
    let shopper_ip = shopper_ip.map(|slot| slot.text().unwrap_or_default().trim().parse::<IpAddr>());
    let has_members = store.members.len() > 1;
    let mut missing = Vec::new();
    let has_statuses = statuses.is_there() && store.class(ACADEMIC_STATUSES).is_some();
    if (store.description.academic || has_statuses) && has_no_part(statuses) {
        missing.push(parameter(Known::AcademicStatuses));
    }
    if matches!(shopper_ip, Some(Err(_))) {
        missing.push(parameter(Known::ShopperIp));
    }
    if has_members && text(Known::MemberOrg).is_none() {
        missing.push(parameter(Known::MemberOrg));
    }
    let unfit = given.others.iter().filter(|(_, slot)| has_no_part(slot));
    let unfit = unfit.filter_map(|(name, _)| store.class(name));
    missing.extend(unfit.map(|class| Message::Parameter(class.code.to_string().into())));
    if !missing.is_empty() {
        return wrong(Step::StoreParameters, missing);
    }
    let member = match (has_members, text(Known::MemberOrg), store.members.first()) {
        (true, Some(code), _) => store.members.iter().find(|member| &*member.code == code),
        (_, _, first) => first,
    };
    if has_members && member.is_none() {
        return wrong(Step::MemberOrganisation, vec![Message::Store]);
    }
    let groups = groups(given, store).map_err(|messages| Wrong { step: Step::Groups, messages, store: None })?;
    let own = |name: Known| text(name).map(str::to_owned);
    let attributes = Attributes {
        user_name: normal(text(Known::UserName).unwrap_or_default()),
        email: own(Known::Email),
        last_name: own(Known::LastName),
        first_name: own(Known::FirstName),
        member: member.map(|member| member.code.clone()),
        groups,
    };
    Ok(Right { store: Arc::clone(store), accepted, shopper_ip: shopper_ip.and_then(Result::ok), attributes })
}

/// A list as customers write it: empty parts are nothing.
fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn has_no_part(list: &Slot) -> bool {
    parts(list.text().unwrap_or_default()).next().is_none()
}

fn groups(given: &Given, store: &StoreView) -> Result<Vec<Group>, Vec<Message>> {
    let (mut groups, mut unknown_group, mut unknown_class) = (Vec::new(), false, given.too_many);
    let mut take = |class: &str, list: &str| {
        let Some(class) = store.class(class) else { return false };
        for code in parts(list) {
            match class.groups.iter().find(|group| &*group.code == code) {
                Some(known) => groups.push(Group { class: class.code.clone(), code: known.code.clone() }),
                None => unknown_group = true,
            }
        }
        true
    };
    let is_there = take(ACADEMIC_STATUSES, given.get(Known::AcademicStatuses).text().unwrap_or_default());
    unknown_class |= !is_there && store.description.academic;
    for (class, slot) in &given.others {
        unknown_class |= !take(class, slot.text().unwrap_or_default());
    }
    let wrong: Vec<_> =
        [(unknown_group, Message::Group), (unknown_class, Message::Class)].into_iter().filter(|(is, _)| *is).collect();
    if !wrong.is_empty() {
        return Err(wrong.into_iter().map(|(_, message)| message).collect());
    }
    groups.sort_unstable();
    groups.dedup();
    Ok(groups)
}

/// On which side of which store a key is accepted, whoever calls: for one that came over plain HTTP.
pub fn whose_key(
    given: &Given,
    candidates: &[Arc<StoreView>],
    keys: &dyn KeyedHash,
    now: UnixMillis,
) -> Option<(Arc<StoreView>, Accepted)> {
    let key = given.get(Known::Key).text()?;
    candidates.iter().find_map(|store| {
        let mark = key_mark(keys, store.address.org, key);
        store.verifications.iter().find_map(|of| {
            let (key, side) = (of.accepts(mark, now)?, of.opens().unwrap_or(Side::Test));
            Some((Arc::clone(store), Accepted { verification: of.number, key, side, check_ip: false }))
        })
    })
}
