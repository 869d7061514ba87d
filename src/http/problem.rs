//! Errors as the wire shows them: `application/problem+json` (RFC 9457).

use super::codes::Code;
use crate::{engine::Failure, kernel::ClaimSpace, store::StoreError};
use serde::Serialize;
use std::{borrow::Cow, convert::Infallible};

/// What is told instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    code: Code,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    retry_after_s: Option<u32>,
    limit: Option<Limit>,
    allow: Option<String>,
    snapshot: Option<String>,
}

/// What a caller has used up, as `RateLimit-Policy` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub policy: &'static str,
    pub quota: u32,
    /// `None`: so many at the same time.
    pub window_s: Option<u32>,
}

impl Limit {
    pub fn to_policy(self) -> String {
        let Self { policy, quota, window_s } = self;
        match window_s {
            Some(window_s) => format!("\"{policy}\";q={quota};w={window_s}"),
            None => format!("\"{policy}\";q={quota};qu=\"concurrent-requests\""),
        }
    }

    /// Nothing is left, until so many seconds have gone by.
    pub fn to_state(self, reset_s: u32) -> String {
        format!("\"{}\";r=0;t={reset_s}", self.policy)
    }
}

/// One field that is wrong, by JSON pointer (RFC 6901) into the request's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    pub pointer: String,
    pub detail: Cow<'static, str>,
}

#[derive(Serialize)]
struct Wire<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    code: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<&'a str>,
}

impl From<crate::passwords::Busy> for Problem {
    fn from(_: crate::passwords::Busy) -> Self {
        Self::detailed(Code::Busy, "too many passwords wait to be checked").retry_after_s(2)
    }
}

impl Problem {
    pub fn detailed(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::from(code);
        problem.0.detail = Some(detail.into());
        problem
    }

    /// A field whose value is not allowed.
    pub fn field(pointer: impl Into<String>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::fields(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
    }

    pub fn fields(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::from(Code::Invalid);
        problem.0.errors = errors;
        problem
    }

    /// A body that cannot be read, with a pointer to where it goes wrong.
    pub fn malformed(pointer: String, detail: String) -> Self {
        let mut problem = Self::from(Code::Malformed);
        problem.0.errors = vec![FieldError { pointer, detail: detail.into() }];
        problem
    }

    /// Says which part of the body it is about, unless that is told already.
    pub fn about(mut self, pointer: String) -> Self {
        if self.0.errors.is_empty() && !pointer.is_empty() {
            self.0.errors = vec![FieldError { pointer, detail: self.0.code.title().into() }];
        }
        self
    }

    pub fn retry_after_s(mut self, seconds: u32) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// Says which rate or bound was reached.
    pub fn limited(mut self, limit: Limit) -> Self {
        self.0.limit = Some(limit);
        self
    }

    pub fn limit(&self) -> Option<Limit> {
        self.0.limit
    }

    /// The methods that the path knows (RFC 9110 asks for them with a 405).
    pub fn allow(mut self, methods: String) -> Self {
        self.0.allow = Some(methods);
        self
    }

    /// From where to go on after the lists were read anew.
    pub fn snapshot(mut self, position: String) -> Self {
        self.0.snapshot = Some(position);
        self
    }

    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Whether a proof of identity was refused: such answers are counted by source address.
    pub fn is_failed_authentication(&self) -> bool {
        matches!(self.0.code, Code::AuthInvalid | Code::BoxTokenInvalid | Code::EnrolmentCodeInvalid)
    }

    pub fn status(&self) -> u16 {
        self.0.code.status()
    }

    pub fn allowed(&self) -> Option<&str> {
        self.0.allow.as_deref()
    }

    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// Every 429 and 503 says when to come again.
    pub fn retry_after(&self) -> Option<u32> {
        self.0.retry_after_s.or(matches!(self.status(), 429 | 503).then_some(2))
    }

    pub fn to_json(&self, request_id: &str) -> Vec<u8> {
        let code = self.0.code;
        let wire = Wire {
            r#type: format!("/problems/{}", code.as_str()),
            title: code.title(),
            status: code.status(),
            detail: self.0.detail.as_deref(),
            code: code.as_str(),
            request_id,
            errors: &self.0.errors,
            snapshot: self.0.snapshot.as_deref(),
        };
        serde_json::to_vec(&wire).unwrap_or_default()
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self(Box::new(Inner {
            code,
            detail: None,
            errors: Vec::new(),
            retry_after_s: None,
            limit: None,
            allow: None,
            snapshot: None,
        }))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Busy) {
            return Self::from(Code::Busy).retry_after_s(1);
        }
        tracing::error!(%error, "the store failed");
        Code::Internal.into()
    }
}

impl From<Failure<Infallible>> for Problem {
    fn from(failure: Failure<Infallible>) -> Self {
        Self::of(failure, |refusal| match refusal {})
    }
}

impl Problem {
    /// The one table from the engine's failures to problems; each context adds the one of its refusals.
    pub fn of<R>(failure: Failure<R>, refused: impl FnOnce(R) -> Self) -> Self {
        match failure {
            Failure::Refused(refusal) => refused(refusal),
            Failure::Stale => Code::PreconditionFailed.into(),
            Failure::Taken(space) => match space {
                ClaimSpace::Fob => Code::FobTaken.into(),
                ClaimSpace::Email => Code::EmailTaken.into(),
                ClaimSpace::AccessCode => Code::AccessCodeTaken.into(),
                ClaimSpace::Badge => Code::BadgeTaken.into(),
                ClaimSpace::DeviceMac => Code::MacTaken.into(),
                ClaimSpace::Pap => Code::NoFreePap.into(),
                ClaimSpace::StoreName => Code::StoreNameTaken.into(),
                ClaimSpace::IuvKey => Code::IuvKeyTaken.into(),
                ClaimSpace::Code => Code::ProductCodeTaken.into(),
                ClaimSpace::Pass => Code::AlreadyExists.into(),
                ClaimSpace::Replay => Code::InProgress.into(),
            },
            Failure::Busy => Self::from(Code::Busy).retry_after_s(1),
            Failure::Quarantined => Self::from(Code::Quarantined).retry_after_s(60),
            Failure::NotWritten => Self::from(Code::Busy).retry_after_s(1),
            Failure::OutcomeUnknown => Self::from(Code::OutcomeUnknown).retry_after_s(5),
            Failure::ReadOnly => Self::from(Code::ReadOnly).retry_after_s(30),
            Failure::Stopping => Self::from(Code::Stopping).retry_after_s(5),
            Failure::Replayed => Self::from(Code::InProgress).retry_after_s(1),
            Failure::Store(error) => {
                tracing::error!(error, "the store failed");
                Code::Internal.into()
            }
            Failure::Gone => Code::NotFound.into(),
            Failure::InProgress => Self::from(Code::InProgress).retry_after_s(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_that_says_what_to_do_and_whether_to_repeat() {
        for code in Code::ALL {
            let page = code.page();
            assert!(page.starts_with(&format!("# `{}`", code.as_str())), "{}", code.as_str());
            for part in [code.title(), "## What to do", "## Is a repeat safe?"] {
                assert!(page.contains(part), "{} lacks `{part}`", code.as_str());
            }
            assert!((400..=503).contains(&code.status()));
        }
    }

    #[test]
    fn every_page_belongs_to_a_code() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/problems");
        let mut pages: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
            .collect();
        let mut codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
        pages.sort();
        codes.sort();
        assert_eq!(pages, codes);
    }

    #[test]
    fn json_has_the_members_of_rfc_9457() {
        let problem = Problem::field("/bins/0", "two bins of one name");
        let json: serde_json::Value = serde_json::from_slice(&problem.to_json("abc")).unwrap();
        assert_eq!(json["type"], "/problems/request.invalid");
        assert_eq!((json["status"].as_u64(), json["request_id"].as_str()), (Some(400), Some("abc")));
        assert_eq!(json["errors"][0]["pointer"], "/bins/0");
        assert!(json.get("detail").is_none());
    }
}
