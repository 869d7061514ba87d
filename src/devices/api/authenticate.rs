//! A PAP as a telephone system hears it.

use super::{MacText, PapText, checked_mac};
use crate::{
    devices::{Entered, Entry, Mac, Outcome, Pap, Source, enter, words::ACCOUNT_PREFIX},
    http::{Ask, Code, Doc, Problem, Reply, auth::Caller},
    kernel::{
        UnixMillis,
        schema::{Time, pattern, shapes, words},
    },
    orgs::api::Wrong,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

shapes! {
    PhoneAccount, "The user of a minimal configuration's SIP account", pattern("^pap-[0-9a-f]{12}$").examples(["pap-000413abcdef"]);
    PapOutcome, "What came of a PAP", words(&["accepted", "wrong", "failed", "blocked", "not_needed"]);
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PapEntered)]
struct Entering {
    /// Of the phone; or its `account`.
    #[schema(value_type = Option<MacText>)]
    mac: Option<String>,
    #[schema(value_type = Option<PhoneAccount>)]
    account: Option<String>,
    #[schema(value_type = PapText)]
    pap: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PapJudged)]
struct Judged {
    #[schema(value_type = PapOutcome)]
    outcome: &'static str,
    #[schema(value_type = Option<Time>)]
    locked_until: Option<String>,
    /// Until it is locked.
    attempts_left: Option<u8>,
    revision: Option<u64>,
}

pub(crate) const AUTHENTICATE: Doc = Doc::new("Enter the PAP of a device")
    .details(
        "For the voice menu of a telephone system. Of a device that is not there it is said that its PAP is wrong.",
    )
    .takes::<Entering>()
    .answers::<Judged>()
    .untagged()
    .refuses(&[Code::TooManyWrongPaps]);

pub(crate) async fn authenticate(ask: Ask) -> Result<Reply, Problem> {
    let body: Entering = ask.json()?;
    let mut wrong = Wrong::default();
    let mac = match (&body.mac, &body.account) {
        (Some(mac), None) => checked_mac(&mut wrong, mac),
        (None, Some(account)) => {
            let mac = account.strip_prefix(ACCOUNT_PREFIX).and_then(|mac| mac.parse::<Mac>().ok());
            wrong.unless(
                mac.is_some(),
                "/account",
                "expected the user of a minimal configuration, such as pap-000413abcdef",
            );
            mac
        }
        _ => {
            wrong.add("", "expected either `mac` or `account`");
            None
        }
    };
    let pap = Pap::parse(&body.pap);
    wrong.unless(pap.is_some(), "/pap", "expected six digits");
    wrong.check()?;
    let (Some(pap), Caller::Token { token, org, .. }) = (pap, ask.caller) else { return Err(Code::Invalid.into()) };
    let door = std::sync::Arc::clone(ask.phones());
    let Entered { outcome, revision } = enter(&ask, &door, org, Source::Pbx(token), mac, &Entry::Pap(&pap)).await?;
    let (word, until, left) = match outcome {
        None => ("wrong", None, None),
        Some(Outcome::Accepted) => ("accepted", None, None),
        Some(Outcome::Wrong { left }) => ("wrong", None, Some(left)),
        Some(Outcome::Failed { until }) => ("failed", Some(until), None),
        Some(Outcome::Blocked) => ("blocked", None, None),
        Some(Outcome::NotNeeded) => ("not_needed", None, None),
    };
    let locked_until = until.map(UnixMillis::to_rfc3339);
    Reply::ok(&Judged { outcome: word, locked_until, attempts_left: left, revision })
}
