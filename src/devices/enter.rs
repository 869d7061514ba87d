//! A PAP is entered, by whatever way: counted by its source, judged by its device.

use super::{
    Door,
    guard::{Closed, Source},
    mac::Mac,
    page::{self, Said},
    serve::{find, organisation},
    state::{Command, Device, Outcome, Refusal, Told},
    words::{self, Pap, Salt},
};
use crate::{
    http::{Ask, Code, Limit, Problem},
    kernel::{DeviceId, KeyedHash, OrgId},
    metrics,
    orgs::{Language, Mark},
};

/// What came of it. Of a device that is not there it is told as of a wrong PAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    /// `None`: there is no such device.
    pub outcome: Option<Outcome>,
    pub revision: Option<u64>,
}

/// How a PAP was entered.
pub enum Entry<'a> {
    Pap(&'a Pap),
    /// As a Digest, and not of the PAP that the device has.
    Unexplained(&'a str),
}

impl Entry<'_> {
    /// What it is compared as, and what is remembered of it.
    fn marks(&self, keys: &dyn KeyedHash, org: OrgId, device: DeviceId) -> (Mark, Mark) {
        match self {
            Self::Pap(pap) => (pap.mark(keys, org), words::trace(keys, device, pap.as_str().as_bytes())),
            Self::Unexplained(digest) => {
                (Mark::of(keys, "devices.unexplained", org, digest), words::trace(keys, device, digest.as_bytes()))
            }
        }
    }
}

fn refused(_: Refusal) -> Problem {
    Code::NotFound.into()
}

fn closed(Closed { retry_after_s, policy, per_hour }: Closed) -> Problem {
    ::metrics::counter!(metrics::PAPS_REFUSED).increment(1);
    let limit = Limit { policy, quota: per_hour, window_s: Some(3600) };
    Problem::from(Code::TooManyWrongPaps).retry_after_s(retry_after_s).limited(limit)
}

pub async fn enter(
    ask: &Ask,
    door: &Door,
    org: OrgId,
    source: Source,
    mac: Option<Mac>,
    entry: &Entry<'_>,
) -> Result<Entered, Problem> {
    let attempt = door.guards.begin(org, source, ask.now()).map_err(closed)?;
    let (entered, is_wrong) = match judged(ask, door, org, mac, entry).await {
        Ok(judged) => judged,
        Err(problem) => {
            // Unless it is not known what became of it, nothing was judged.
            if problem.code() != Code::OutcomeUnknown {
                attempt.free();
            }
            return Err(problem);
        }
    };
    let word = match entered.outcome {
        _ if is_wrong => "wrong",
        Some(Outcome::Accepted) => "accepted",
        Some(Outcome::NotNeeded) => "not_needed",
        Some(Outcome::Wrong { .. }) | None => "repeated",
        Some(Outcome::Failed { .. } | Outcome::Blocked) => "locked",
    };
    ::metrics::counter!(metrics::PAPS, "outcome" => word).increment(1);
    let is_charged = match source {
        Source::Pbx(_) => is_wrong,
        // To whom all refusals look alike all must cost alike: when he is closed must not tell which devices there are.
        Source::Address(_) | Source::Office(_) => entered.outcome != Some(Outcome::Accepted),
    };
    if !is_charged {
        attempt.free();
    } else if attempt.wrong() {
        ::metrics::counter!(metrics::PAP_SOURCES_CLOSED).increment(1);
        tracing::warn!(organisation = %org, "too many wrong PAPs of one source: it is closed for a while");
    }
    Ok(entered)
}

/// What became of it, and whether it was a wrong one that was judged.
async fn judged(
    ask: &Ask,
    door: &Door,
    org: OrgId,
    mac: Option<Mac>,
    entry: &Entry<'_>,
) -> Result<(Entered, bool), Problem> {
    let found = match mac {
        Some(mac) => Some(ask.engine.with_db(move |db, keys| find(db, keys, org, mac)).await?),
        None => None,
    };
    let keys = ask.engine.keys();
    let mut entered = Entered { outcome: None, revision: None };
    let mut is_wrong = true;
    if let Some((device, Some(row))) = found {
        let noted = row.contact.as_ref().filter(|contact| !contact.full).map(|contact| contact.address);
        let (guess, trace) = entry.marks(keys, org, device);
        let command = Command::Authenticate {
            guess,
            trace,
            seen: door.last_seen(device, row.description.mac).or(noted),
            salt: Salt::of(ask.engine.chance().bytes()),
            rules: door.rules,
        };
        match ask.tell::<Device>(device.at(org), command, refused).await {
            Ok(told) => {
                if let Told::Outcome { outcome, judged_wrong } = told.answer {
                    entered = Entered { outcome: Some(outcome), revision: Some(told.revision) };
                    is_wrong = judged_wrong;
                }
            }
            // Deleted a moment ago.
            Err(problem) if problem.code() == Code::NotFound => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok((entered, is_wrong))
}

/// A form as it was sent.
pub struct SentForm<'a> {
    mac: &'a str,
    pap: &'a str,
    token: &'a str,
    cookie: Option<&'a str>,
    own: bool,
}

/// `own`: as far as the browser says, it came from our own page.
pub fn page_form<'a>(mac: &'a str, pap: &'a str, token: &'a str, cookie: Option<&'a str>, own: bool) -> SentForm<'a> {
    SentForm { mac, pap, token, cookie, own }
}

/// What the page is to show.
pub struct Paged {
    pub said: Said,
    pub language: Language,
    pub retry_after_s: Option<u32>,
}

/// The page of the organisation that the path names, after what was sent.
pub async fn paged(
    ask: &Ask,
    door: &Door,
    path: &str,
    form: Option<SentForm<'_>>,
    language: Option<Language>,
) -> Result<Paged, Problem> {
    let (org, view) = organisation(ask, path).await?;
    let language = language.unwrap_or(view.language);
    let paged = |said, retry_after_s| Ok(Paged { said, language, retry_after_s });
    let Some(form) = form else { return paged(Said::Nothing, None) };
    let (keys, now) = (ask.engine.keys(), ask.now());
    let fresh = form.cookie.is_some_and(|cookie| page::is_form_token(keys, path, cookie, form.token, now));
    if !form.own || !fresh {
        return paged(Said::Expired, None);
    }
    let Some((mac, pap)) = form.mac.parse::<Mac>().ok().zip(Pap::parse(form.pap.trim())) else {
        return paged(Said::Invalid, None);
    };
    let Some(from) = ask.from.map(|from| from.to_canonical()) else { return paged(Said::Refused, None) };
    let source = if view.phones.trusts(from, now) { Source::Office(from) } else { Source::Address(from) };
    match enter(ask, door, org, source, Some(mac), &Entry::Pap(&pap)).await {
        Ok(Entered { outcome: Some(Outcome::Accepted), .. }) => paged(Said::Accepted, None),
        Ok(_) => paged(Said::Refused, None),
        Err(problem) if problem.code() == Code::TooManyWrongPaps => paged(Said::TooMany, problem.retry_after()),
        Err(problem) => Err(problem),
    }
}
