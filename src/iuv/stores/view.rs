//! A store as everybody reads it, without a hop through its actor. It is published when it is durable, so that a
//! changed configuration holds at once.

use super::state::{Description, GroupClass, Known, Member, Verification};
use crate::{
    iuv::words::{Group, Side, VerificationKind, guid},
    kernel::{Address, StoreId, UnixMillis},
    orgs::Language,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreView {
    pub address: Address,
    pub description: Description,
    pub created: UnixMillis,
    pub changed: u64,
    pub classes: Vec<GroupClass>,
    pub members: Vec<Member>,
    pub verifications: Vec<Verification>,
    pub(super) secrets: u64,
}

/// What a shopper is about to do at the customer's site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignAction {
    In,
    Out,
}

impl StoreView {
    pub(super) fn of(address: Address, known: &Known) -> Self {
        Self {
            address,
            description: known.description.clone(),
            created: known.created,
            changed: known.changed,
            classes: known.classes.clone(),
            members: known.members.clone(),
            verifications: known.verifications.clone(),
            secrets: known.secrets,
        }
    }

    pub fn id(&self) -> StoreId {
        StoreId(self.address.entity.raw)
    }

    pub fn language(&self) -> Language {
        self.description.language
    }

    pub fn verification(&self, number: u32) -> Option<&Verification> {
        self.verifications.iter().find(|verification| verification.number == number)
    }

    /// What lets shoppers in on this side of the store.
    pub fn at_work(&self, side: Side) -> impl Iterator<Item = &Verification> {
        self.verifications.iter().filter(move |verification| verification.opens() == Some(side))
    }

    /// The one of this kind that is at work.
    pub fn working(&self, side: Side, kind: VerificationKind) -> Option<&Verification> {
        self.at_work(side).find(|verification| verification.kind == kind)
    }

    pub fn class(&self, code: &str) -> Option<&GroupClass> {
        self.classes.iter().find(|class| class.code.eq_ignore_ascii_case(code))
    }

    /// Whether the store has this group, and its name.
    pub fn group_name(&self, group: &Group) -> Option<&str> {
        let class = self.classes.iter().find(|class| class.code == group.class)?;
        class.groups.iter().find(|known| known.code == group.code).map(|known| &*known.name)
    }

    pub fn member_name(&self, code: &str) -> Option<&str> {
        self.members.iter().find(|member| &*member.code == code).map(|member| &*member.name)
    }

    /// Where shoppers go to sign in, or after they have signed out, if a single sign-on is at work.
    pub fn external_url(&self, side: Side, action: SignAction) -> Option<String> {
        let working = self.at_work(side).find(|verification| verification.kind.is_single_sign_on())?;
        let url = working.settings.external_url.as_deref()?;
        Some(with_action(url, action, working.settings.italian_action))
    }
}

/// The path of a store's pages, with a slash at its end.
pub fn home_path(store: StoreId, side: Side) -> String {
    match side {
        Side::Real => format!("/WebStore/{}/", guid(store)),
        Side::Test => format!("/WebStore/Test/{}/", guid(store)),
    }
}

/// Adds the action to an address that may have a query and a fragment already.
pub fn with_action(url: &str, action: SignAction, italian: bool) -> String {
    let (whole, fragment) = match url.split_once('#') {
        Some((whole, fragment)) => (whole, Some(fragment)),
        None => (url, None),
    };
    let pair = match (italian, action) {
        (false, SignAction::In) => "action=signin",
        (false, SignAction::Out) => "action=signout",
        (true, SignAction::In) => "azione=accedi",
        (true, SignAction::Out) => "azione=esci",
    };
    let between = match whole.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, query)) if query.ends_with('&') => "",
        Some(_) => "&",
    };
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    format!("{whole}{between}{pair}{fragment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_action_stands_in_the_query() {
        for (url, expected) in [
            ("https://a.example/in", "https://a.example/in?action=signin"),
            ("https://a.example/in?x=1", "https://a.example/in?x=1&action=signin"),
            ("https://a.example/in?x=1&", "https://a.example/in?x=1&action=signin"),
            ("https://a.example/in?", "https://a.example/in?action=signin"),
            ("https://a.example/in?x=1#top", "https://a.example/in?x=1&action=signin#top"),
            ("https://a.example/#/in?x", "https://a.example/?action=signin#/in?x"),
        ] {
            assert_eq!(with_action(url, SignAction::In, false), expected);
        }
        assert_eq!(with_action("https://a.example/", SignAction::Out, false), "https://a.example/?action=signout");
        assert_eq!(with_action("https://a.example/", SignAction::Out, true), "https://a.example/?azione=esci");
        assert_eq!(with_action("https://a.example/", SignAction::In, true), "https://a.example/?azione=accedi");
    }
}
