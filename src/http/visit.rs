//! Requests that nobody has to authenticate for, outside the route table: those of phones, and of browsers on our pages.

use super::{
    admission::Class,
    ask::{Ask, read_query},
    auth::Caller,
    body::{self, Encoding},
    client_address::client_address,
    codes::Code,
    problem::Problem,
    server::Worker,
    service,
};
use crate::kernel::time;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName, HeaderValue},
    web::{Bytes, Payload},
};
use serde::de::DeserializeOwned;
use std::{net::IpAddr, rc::Rc, time::Instant};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What a browser names that hides where a form comes from.
const HIDDEN: &str = "null";

pub(super) struct Visit {
    pub worker: Rc<Worker>,
    pub from: Option<IpAddr>,
    pub request: HttpRequest,
    pub id: HeaderValue,
    pub started: Instant,
}

/// What a browser that hides its origin is taken for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hidden {
    /// The page's own referrer policy has it hidden: the form's token alone decides.
    Own,
    Foreign,
}

impl Visit {
    pub fn begin(request: HttpRequest) -> Option<Self> {
        let worker = request.app_data::<Rc<Worker>>().cloned()?;
        let id = worker.request_id(request.headers().get(service::REQUEST_ID));
        let from = client_address(&request, &worker.trusted_proxies);
        Some(Self { worker, from, request, id, started: time::instant() })
    }

    pub fn counted(&self) -> Result<(), Problem> {
        self.worker.rates.count(&Caller::Nobody, self.from, self.worker.engine.clock().now())
    }

    pub fn ask(&self) -> Ask {
        let (worker, request) = (Rc::clone(&self.worker), self.request.clone());
        Ask::of_nobody(worker, self.from, Class::PersonAtBox, request, Bytes::new())
    }

    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.request.headers().get(name).and_then(|value| value.to_str().ok())
    }

    pub fn refused(&self, route: &'static str, problem: &Problem) -> HttpResponse {
        let now = self.worker.engine.clock().now();
        self.worker.refusals.note(route, Caller::Nobody, self.from, problem, now);
        service::failure(problem, self.id.clone())
    }

    pub fn text(&self, name: &str) -> String {
        self.request.match_info().get(name).unwrap_or_default().to_owned()
    }

    /// What a form has sent.
    pub async fn form<T: DeserializeOwned>(&self, payload: Payload) -> Result<T, Problem> {
        let bytes = body::read(payload, None, Encoding::Identity, self.worker.body_limits).await?;
        read_query(std::str::from_utf8(&bytes).map_err(|_| Code::Malformed)?)
    }

    pub fn cookie(&self, wanted: &str) -> Option<String> {
        let lines = self.request.headers().get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
    }

    /// What ties a form to its browser: the cookie as it came, or a new one in the place of what we never gave.
    pub fn form_cookie(&self, came: Option<String>) -> String {
        let came = came.filter(|cookie| cookie.len() == 32 && cookie.bytes().all(|byte| byte.is_ascii_hexdigit()));
        came.unwrap_or_else(|| format!("{:032x}", self.worker.engine.chance().id()))
    }

    /// Whether a browser says that the form came from here. One that says nothing is judged by its token alone.
    pub fn is_own_form(&self, hidden: Hidden) -> bool {
        let site = self.header(&SEC_FETCH_SITE).is_none_or(|site| matches!(site, "same-origin" | "none"));
        let origin = self.header(&header::ORIGIN).is_none_or(|origin| match origin {
            HIDDEN => hidden == Hidden::Own,
            origin => is_ours(origin, self.worker.iuv.base_url(), self.header(&header::HOST)),
        });
        site && origin
    }
}

/// By the address that we know to be ours, or by the host that was asked.
fn is_ours(origin: &str, base_url: &str, host: Option<&str>) -> bool {
    let Some((_, named)) = origin.split_once("://") else { return false };
    let of_base = base_url.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    of_base || host == Some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_ours_by_our_address_or_by_the_host_that_was_asked() {
        let ours = |origin, base_url| is_ours(origin, base_url, Some("127.0.0.1:80"));
        assert!(ours("https://keys.example", "https://keys.example"));
        assert!(ours("https://keys.example", "https://keys.example/shop"));
        assert!(ours("http://127.0.0.1:80", "https://keys.example"));
        for foreign in ["http://keys.example", "https://keys.exampl", "https://keys.example.org", "http://127.0.0.1"] {
            assert!(!ours(foreign, "https://keys.example/shop"), "{foreign}");
        }
        for strange in ["", "null", "https:", "https://", "127.0.0.1:80", "keys.example"] {
            assert!(!ours(strange, "https://keys.example/shop"), "{strange}");
            assert!(!is_ours(strange, "", None), "{strange}");
        }
    }
}
