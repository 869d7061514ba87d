//! The request tester: judges a registration as the door would, registers nobody, and explains each check.

use super::look;
use crate::{
    http::{Ask, Doc, Problem, Reply},
    iuv::{
        stores::{self, StoreView},
        wire::{self, Asked, Given, Message, Step, Wrong},
        words::{VerificationKind, VerificationState},
    },
    kernel::{
        StoreId,
        schema::{Address as AddressText, TextOrEmpty},
    },
    orgs::{Language, api},
};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, sync::Arc};
use utoipa::ToSchema;

const QUERY_MAX: usize = 8_000;
type QueryGiven = TextOrEmpty<QUERY_MAX>;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RequestToTest)]
struct Test {
    /// What stands behind the question mark, as the customer's server sends it.
    #[schema(value_type = QueryGiven)]
    query: String,
    /// The address of the customer's server.
    #[schema(value_type = Option<AddressText>)]
    caller: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TestedRequest)]
struct Tested {
    /// What the server would answer.
    #[schema(minimum = 200, maximum = 400)]
    status: u16,
    /// The text of an answer 400.
    answer: Option<String>,
    steps: Vec<StepShown>,
    /// Which verification types came into question, and what of them fits.
    verifications: Vec<Considered>,
    /// Whom it would register.
    shopper: Option<ShopperShown>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TestedStep)]
struct StepShown {
    step: Step,
    /// Unknown where an earlier step has failed.
    passed: Option<bool>,
    about: &'static str,
    messages: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ConsideredVerification)]
struct Considered {
    store: StoreId,
    verification: u32,
    state: VerificationState,
    /// The caller is on its list, or it has none and an account number was sent.
    caller_may: bool,
    /// The key is one that it accepts.
    key_fits: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TestedShopper)]
struct ShopperShown {
    store: StoreId,
    verification: u32,
    /// Of the test store alone.
    test: bool,
    user_name: String,
    groups: Vec<String>,
    member: Option<Box<str>>,
}

fn about(step: Step) -> &'static str {
    match step {
        Step::Parameters => {
            "`username` and `key` are there once and not empty, `account`, `email` and names are not empty; nothing is longer than it may be: 100 characters (`username`, `email`), 50 (names)"
        }
        Step::Store => {
            "`account` leads to stores with an IUV verification type in test or active that lists the caller or lists nobody; without `account` the caller must be on a list"
        }
        Step::Key => "`key` is the saved key of one of these verification types, or the one before within its overlap",
        Step::StoreParameters => {
            "`academic_statuses` is there for an academic store, `member_org` for one with several member organisations, `shopper_ip` is an address where it is checked; nothing of this is empty, nor is a class of groups"
        }
        Step::MemberOrganisation => "`member_org` is the code of a member organisation, to the letter",
        Step::Groups => {
            "every other parameter is the code of a class of user groups, and every code in its list is one of its groups, to the letter"
        }
    }
}

pub(crate) const TEST: Doc = Doc::new("Try a registration out")
    .details("As a customer's server would send it; nobody is registered, and nothing of it is kept.")
    .takes::<Test>()
    .untagged()
    .answers::<Tested>();

pub(crate) async fn test(mut ask: Ask) -> Result<Reply, Problem> {
    let body: Test = ask.json()?;
    let mut wrong = api::Wrong::default();
    let caller = body.caller.as_deref().map(str::parse::<IpAddr>);
    let short = body.query.chars().count() <= QUERY_MAX;
    wrong.unless(short && !body.query.contains(char::is_control), "/query", "expected at most 8000 characters");
    wrong.unless(!matches!(caller, Some(Err(_))), "/caller", "expected an address");
    wrong.check()?;
    let caller = caller.and_then(Result::ok);
    let this = look(&ask).await?;
    ask.judge_untagged()?;
    let given = Given::from_query(body.query.as_bytes());
    let mut candidates = Vec::new();
    for address in wire::addresses_of(&ask.iuv().registry, &given, caller) {
        if address.org == ask.org() {
            candidates.extend(stores::look(&ask.engine, address).await?);
        }
    }
    let asked = Asked { given: &given, candidates: &candidates, caller, keys: ask.engine.keys(), now: ask.now() };
    let judged = wire::judge(&asked);
    let language = match &judged {
        Ok(right) => right.store.language(),
        Err(wrong) => wrong.store.as_ref().or(candidates.first()).map_or(this.language(), |store| store.language()),
    };
    Reply::ok(&Tested {
        status: if judged.is_ok() { 200 } else { 400 },
        answer: judged.as_ref().err().map(|wrong| wire::joined(&wrong.messages, language)),
        steps: steps(judged.as_ref().err(), language),
        verifications: considered(&asked),
        shopper: judged.ok().map(|right| ShopperShown {
            store: right.store.id(),
            verification: right.accepted.verification,
            test: right.accepted.side.is_test(),
            user_name: right.attributes.user_name.clone(),
            groups: right.attributes.groups.iter().map(|group| format!("{}:{}", group.class, group.code)).collect(),
            member: right.attributes.member.clone(),
        }),
    })
}

fn steps(wrong: Option<&Wrong>, language: Language) -> Vec<StepShown> {
    let place = |step: Step| Step::ALL.iter().position(|known| *known == step);
    let failed = wrong.and_then(|wrong| place(wrong.step));
    let shown = |(at, step): (usize, Step)| StepShown {
        step,
        passed: match failed {
            Some(failed) if at > failed => None,
            Some(failed) => Some(at < failed),
            None => Some(true),
        },
        about: about(step),
        messages: wrong
            .filter(|_| failed == Some(at))
            .map(|wrong| wrong.messages.iter().map(|message: &Message| message.text(language).into_owned()).collect())
            .unwrap_or_default(),
    };
    Step::ALL.into_iter().enumerate().map(shown).collect()
}

fn considered(asked: &Asked<'_>) -> Vec<Considered> {
    let of_store = |store: &Arc<StoreView>| {
        let of_kind = store.verifications.iter().filter(|of| of.kind == VerificationKind::Iuv);
        let shown = of_kind.map(|of| Considered {
            store: store.id(),
            verification: of.number,
            state: of.state,
            caller_may: asked.may_call(of),
            key_fits: asked.key_of(store, of).is_some(),
        });
        shown.collect::<Vec<_>>()
    };
    asked.candidates.iter().flat_map(of_store).collect()
}
