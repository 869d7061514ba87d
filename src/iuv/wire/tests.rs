//! Whole requests against stores, judged without HTTP.

use super::{judge::whose_key, *};
use crate::{
    iuv::{
        stores::{
            Settings, StoreView, WebStore,
            state::{Command, Description, Member, Sealed},
        },
        testing::*,
        words::{Side, VerificationKind, VerificationState},
    },
    kernel::{Machine, Stamp, StoreId},
    orgs::{Language, Mark},
};
use std::{net::IpAddr, sync::Arc, time::Duration};
use zeroize::Zeroizing;

const KEY: &str = "5f0c1d2e3b4a59687786a5b4c3d2e1f0";
const ACCOUNT: u32 = 100_001_111;

/// A store that was told these commands.
fn store(id: u128, commands: impl IntoIterator<Item = Command>) -> Arc<StoreView> {
    let mut store = WebStore::blank(StoreId(id).at(ORG));
    let description = Description {
        account: ACCOUNT,
        system_name: "shop".into(),
        name: "Shop".into(),
        language: Language::En,
        academic: true,
    };
    for command in std::iter::once(Command::Create(description)).chain(commands) {
        let mut events = Vec::new();
        store.decide(&command, 0, &context(START), &mut events).unwrap();
        events.iter().for_each(|event| store.evolve(event, Stamp { at: START, revision: 1 }));
    }
    Arc::new(store.view().unwrap())
}

/// With IUV in test, its key, and whom it lists.
fn with_iuv(mark: Mark, callers: &[&str]) -> Vec<Command> {
    let callers = callers.iter().map(|text| text.parse::<ipnet::IpNet>().unwrap().into()).collect();
    let settings = Settings { external_url: Some("https://a.example/".into()), callers, ..Settings::default() };
    let sealed = |from| Sealed { from, plain: Zeroizing::default() };
    vec![
        Command::AddVerification { kind: VerificationKind::Iuv },
        Command::Set { verification: 2, settings, administrators: Some((1, sealed(0))) },
        Command::SaveKey { verification: 2, mark, is_short: false, overlap: Duration::ZERO, sealed: sealed(1) },
    ]
}

fn judged(query: &str, candidates: &[Arc<StoreView>], caller: Option<IpAddr>) -> Result<Right, Vec<u8>> {
    let given = Given::from_query(query.as_bytes());
    let asked = Asked { given: &given, candidates, caller, keys: &Keys, now: START };
    judge(&asked).map_err(|wrong| wrong.messages.iter().map(Message::number).collect())
}

fn query(more: &str) -> String {
    format!("account={ACCOUNT}&username=x&key={KEY}&academic_statuses=students{more}")
}

#[test]
fn the_key_chooses_among_the_stores_of_an_account_and_the_state_chooses_the_side() {
    let mark = key_mark(&Keys, ORG, KEY);
    let tested = store(1, with_iuv(mark, &[]));
    let activate = Command::SetState { verification: 2, state: VerificationState::Active };
    let active = store(2, with_iuv(mark, &[]).into_iter().chain([activate]));
    let other = store(3, with_iuv(Mark([1; 16]), &[]));
    let none = store(4, []);
    for (found, side) in [(&tested, Side::Test), (&active, Side::Real)] {
        let right = judged(&query(""), &[none.clone(), other.clone(), Arc::clone(found)], Some(SERVER)).unwrap();
        assert_eq!((right.store.id(), right.accepted.side), (found.id(), side));
    }
    assert_eq!(judged(&query(""), std::slice::from_ref(&other), Some(SERVER)), Err(vec![3]));
    assert_eq!(judged(&query(""), std::slice::from_ref(&none), Some(SERVER)), Err(vec![2]));
    assert_eq!(judged(&query(""), &[], Some(SERVER)), Err(vec![2]));
}

#[test]
fn without_an_account_number_only_a_list_leads_to_a_store() {
    let mark = key_mark(&Keys, ORG, KEY);
    let (open, listing) = (store(1, with_iuv(mark, &[])), store(2, with_iuv(mark, &["192.0.2.0/24"])));
    let bare = query("").replace(&format!("account={ACCOUNT}&"), "");
    let both = [open, listing];
    assert_eq!(judged(&bare, &both, Some(SERVER)).unwrap().store.id(), StoreId(2));
    assert_eq!(judged(&bare, &both, Some(BROWSER)), Err(vec![2]));
    assert_eq!(judged(&bare, &both, None), Err(vec![2]));
    assert_eq!(judged(&query(""), &both[1..], Some(BROWSER)), Err(vec![2]), "nor with one, from elsewhere");
}

#[test]
fn who_has_no_key_learns_nothing_of_the_store() {
    let member = |code: &str| Command::DefineMember(Member { code: code.into(), name: "x".into() });
    let commands = with_iuv(key_mark(&Keys, ORG, KEY), &[]);
    let shop = [store(1, commands.into_iter().chain([member("A"), member("B")]))];
    let wrong = query("&member_org=x&nobody=1").replace(KEY, "77777777777777777777777777777777");
    assert_eq!(judged(&wrong, &shop, Some(SERVER)), Err(vec![3]));
    assert_eq!(judged(&query(""), &shop, Some(SERVER)), Err(vec![1]));
    assert_eq!(judged(&query("&member_org=x&nobody=1"), &shop, Some(SERVER)), Err(vec![2]));
    let unknown = query("&member_org=A&nobody=1").replace("students", "x");
    assert_eq!(judged(&unknown, &shop, Some(SERVER)), Err(vec![4, 5]));
    let right = judged(&query("&member_org=B"), &shop, Some(SERVER)).unwrap();
    assert_eq!(right.attributes.member.as_deref(), Some("B"));
}

#[test]
fn a_key_that_came_in_clear_is_known_whoever_sent_it() {
    let shop = [store(1, with_iuv(key_mark(&Keys, ORG, KEY), &["192.0.2.0/24"]))];
    let given = Given::from_query(query("").as_bytes());
    let (store, accepted) = whose_key(&given, &shop, &Keys, START).unwrap();
    assert_eq!((store.id(), accepted.verification, accepted.key), (StoreId(1), 2, 1));
    assert!(whose_key(&Given::from_query(b"key=x"), &shop, &Keys, START).is_none());
}

#[test]
fn five_thousand_odd_requests_are_judged_and_none_panics() {
    let shop = [store(1, with_iuv(key_mark(&Keys, ORG, KEY), &[]))];
    let pieces = ["", "=", "&", "account=100001111", "key=", KEY, "username=a", "%", "%00", "academic_statuses=,", "+"];
    for n in 0..pieces.len().pow(4) {
        let at = |place: u32| pieces[n / pieces.len().pow(place) % pieces.len()];
        let _ = judged(&[at(0), "&", at(1), at(2), "&", at(3)].concat(), &shop, None);
    }
}
