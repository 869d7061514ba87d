//! What phones and the people at them see of HTTP: provisioning, and the page on which a PAP is entered. Neither speaks
//! JSON, so neither stands in the route table.

use super::{
    ask::Ask,
    body::{self, Encoding},
    codes::Code,
    phone_certificates::ProvenMac,
    problem::Problem,
    service,
    visit::{Hidden, Visit},
};
use crate::devices::{self, Delivery, Fetch, Served, page};
use actix_web::{
    HttpRequest, HttpResponse,
    body::{BodySize, MessageBody},
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName},
    },
    web::{self, Bytes, Payload},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

pub(super) fn register(app: &mut web::ServiceConfig) {
    let provisioning = web::resource("/provisioning/{path}/{file:.*}")
        .route(web::get().to(provision))
        .route(web::head().to(provision))
        .route(web::put().to(provision))
        .default_service(web::to(async |request: HttpRequest| service::method_not_allowed(&request, "GET, HEAD, PUT")));
    let page = web::resource("/phone/{path}")
        .route(web::get().to(page_get))
        .route(web::post().to(page_post))
        .default_service(web::to(async |request: HttpRequest| service::method_not_allowed(&request, "GET, POST")));
    app.service(provisioning).service(page);
}

const FETCH: &str = "provisioning.fetch";
const PAGE: &str = "phone.page";

async fn provision(request: HttpRequest, payload: Payload) -> HttpResponse {
    let Some(visit) = Visit::begin(request) else { return HttpResponse::InternalServerError().finish() };
    let working = visit.worker.begin();
    let response = match fetch(&visit, payload).await {
        Ok(response) => response,
        Err(problem) => visit.refused(FETCH, &problem),
    };
    visit.worker.phone_metrics.record(response.status().as_u16(), visit.started.elapsed().as_secs_f64());
    drop(working);
    response
}

async fn fetch(visit: &Visit, payload: Payload) -> Result<HttpResponse, Problem> {
    visit.counted()?;
    let request = &visit.request;
    let method = match *request.method() {
        Method::PUT => "PUT",
        Method::HEAD => "HEAD",
        _ => "GET",
    };
    if method == "PUT" {
        body::read(payload, None, Encoding::Identity, visit.worker.body_limits).await?;
    }
    let path = visit.text("path");
    let behind = request.uri().path().splitn(4, '/').nth(3).unwrap_or_default().to_owned();
    let fetch = Fetch {
        path,
        rest: behind,
        query: request.uri().query().map(str::to_owned),
        method,
        target: request.uri().path_and_query().map_or_else(String::new, |target| target.to_string()),
        user_agent: visit.header(&header::USER_AGENT).map(str::to_owned),
        authorization: request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes().to_vec()),
        certified: request.conn_data::<ProvenMac>().map(|proven| proven.0),
    };
    let ask = Rc::new(visit.ask());
    let door = std::sync::Arc::clone(ask.phones());
    match devices::serve(&ask, &door, fetch).await? {
        Served::Taken => Ok(HttpResponse::Created().insert_header((service::REQUEST_ID, visit.id.clone())).finish()),
        Served::Challenge(challenges) => {
            let mut response = HttpResponse::Unauthorized();
            response.insert_header((service::REQUEST_ID, visit.id.clone()));
            for challenge in challenges {
                response.append_header((header::WWW_AUTHENTICATE, challenge));
            }
            Ok(response.finish())
        }
        Served::File(file) => Ok(sent(visit, &ask, file)),
    }
}

/// A file whole, in part, or not at all because the phone has it.
fn sent(visit: &Visit, ask: &Rc<Ask>, file: devices::Body) -> HttpResponse {
    let bytes = Bytes::from(file.bytes);
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(&bytes)[..12]));
    let headers = visit.request.headers();
    let known = headers.get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|line| line.split(',')).any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
    });
    let part = wanted_part(headers, &tag, bytes.len());
    let mut response = HttpResponse::build(match (is_known, &part) {
        (true, _) => StatusCode::NOT_MODIFIED,
        (false, Part::Whole) => StatusCode::OK,
        (false, Part::Of(..)) => StatusCode::PARTIAL_CONTENT,
        (false, Part::Outside) => StatusCode::RANGE_NOT_SATISFIABLE,
    });
    response
        .insert_header((service::REQUEST_ID, visit.id.clone()))
        .insert_header((header::ETAG, tag))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"));
    if is_known {
        return response.finish();
    }
    response.insert_header((header::CONTENT_TYPE, file.content_type));
    match part {
        Part::Outside => response.insert_header((header::CONTENT_RANGE, format!("bytes */{}", bytes.len()))).finish(),
        Part::Of(first, last) => response
            .insert_header((header::CONTENT_RANGE, format!("bytes {first}-{last}/{}", bytes.len())))
            .body(bytes.slice(first..=last)),
        Part::Whole => match file.then {
            Some(delivery) => {
                response.body(Sending { bytes, sent: 0, paused: false, then: Some((delivery, Rc::clone(ask))) })
            }
            None => response.body(bytes),
        },
    }
}

enum Part {
    Whole,
    Of(usize, usize),
    Outside,
}

/// One range of bytes; several at once, and what cannot be read, are answered with the whole (RFC 9110, 14.2).
fn wanted_part(headers: &HeaderMap, tag: &str, length: usize) -> Part {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(range) = text(header::RANGE).and_then(|range| range.strip_prefix("bytes=")) else { return Part::Whole };
    if text(header::IF_RANGE).is_some_and(|wanted| wanted != tag) {
        return Part::Whole;
    }
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<usize>().ok())?;
    match range.trim().split_once('-') {
        Some(("", last)) => match number(last) {
            Some(0) => Part::Outside,
            Some(count) if length > 0 => Part::Of(length.saturating_sub(count), length - 1),
            _ => Part::Whole,
        },
        Some((first, last)) => match (number(first), number(last)) {
            (Some(first), _) if first >= length => Part::Outside,
            (Some(first), None) if last.is_empty() => Part::Of(first, length - 1),
            (Some(first), Some(last)) if first <= last => Part::Of(first, last.min(length - 1)),
            _ => Part::Whole,
        },
        None => Part::Whole,
    }
}

/// A body that says when its last byte was handed to the network. It pauses before that byte and after it: what was
/// written until then has then gone out, or the connection has ended and nobody asks any more.
struct Sending {
    bytes: Bytes,
    sent: usize,
    paused: bool,
    then: Option<(Delivery, Rc<Ask>)>,
}

impl MessageBody for Sending {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.bytes.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let last = self.bytes.len().saturating_sub(1);
        if self.sent < last {
            self.sent = last;
            return Poll::Ready(Some(Ok(self.bytes.slice(..last))));
        }
        if !std::mem::replace(&mut self.paused, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.paused = false;
        if self.sent < self.bytes.len() {
            self.sent = self.bytes.len();
            return Poll::Ready(Some(Ok(self.bytes.slice(last..))));
        }
        if let Some((delivery, ask)) = self.then.take() {
            delivery.done(&ask);
        }
        Poll::Ready(None)
    }
}

#[derive(Deserialize)]
struct Form {
    #[serde(default)]
    mac: String,
    #[serde(default)]
    pap: String,
    #[serde(default)]
    token: String,
    #[serde(default)]
    language: String,
}

const COOKIE: &str = "phone_form";

async fn page_get(request: HttpRequest) -> HttpResponse {
    paged(request, None).await
}

async fn page_post(request: HttpRequest, payload: Payload) -> HttpResponse {
    paged(request, Some(payload)).await
}

async fn paged(request: HttpRequest, payload: Option<Payload>) -> HttpResponse {
    let Some(visit) = Visit::begin(request) else { return HttpResponse::InternalServerError().finish() };
    let working = visit.worker.begin();
    let is_post = payload.is_some();
    let response = match answer(&visit, payload).await {
        Ok(response) => response,
        Err(problem) => visit.refused(PAGE, &problem),
    };
    if is_post {
        // How long it took tells nothing.
        actix_web::rt::time::sleep(page::ANSWER_TAKES.saturating_sub(visit.started.elapsed())).await;
    }
    visit.worker.page_metrics.record(response.status().as_u16(), visit.started.elapsed().as_secs_f64());
    drop(working);
    response
}

async fn answer(visit: &Visit, payload: Option<Payload>) -> Result<HttpResponse, Problem> {
    visit.counted()?;
    let ask = visit.ask();
    let path = visit.text("path");
    let cookie = visit.cookie(COOKIE);
    let form: Option<Form> = match payload {
        None => None,
        Some(payload) => Some(visit.form(payload).await?),
    };
    let chosen = match &form {
        Some(form) => page::named(&form.language),
        None => visit.request.query_string().strip_prefix("language=").and_then(page::named),
    };
    let language = chosen.or_else(|| page::preferred(visit.header(&header::ACCEPT_LANGUAGE)));
    let own = visit.is_own_form(Hidden::Foreign);
    let shown = form.as_ref().map(|form| devices::page_form(&form.mac, &form.pap, &form.token, cookie.as_deref(), own));
    let door = std::sync::Arc::clone(ask.phones());
    let devices::Paged { said, language, retry_after_s } = devices::paged(&ask, &door, &path, shown, language).await?;
    let fresh = visit.form_cookie(cookie);
    let token = page::form_token(visit.worker.engine.keys(), &path, &fresh, ask.now());
    let html =
        page::render(language, said, &token).map_err(|error| Problem::detailed(Code::Internal, error.to_string()))?;
    let secure = if door.page_url("").starts_with("https://") { "; Secure" } else { "" };
    let mut response = HttpResponse::build(StatusCode::from_u16(said.status()).unwrap_or(StatusCode::OK));
    if let Some(seconds) = retry_after_s {
        response.insert_header((header::RETRY_AFTER, seconds.to_string()));
    }
    Ok(response
        .insert_header((service::REQUEST_ID, visit.id.clone()))
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CONTENT_LANGUAGE, language.tag()))
        .insert_header((header::VARY, "Accept-Language"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, page::content_security_policy()))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header((
            header::SET_COOKIE,
            format!("{COOKIE}={fresh}; Path=/phone; HttpOnly; SameSite=Strict; Max-Age=3600{secure}"),
        ))
        .body(html))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn part(range: &str, length: usize) -> Option<(usize, usize)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(range).unwrap());
        match wanted_part(&headers, "\"x\"", length) {
            Part::Whole => None,
            Part::Of(first, last) => Some((first, last)),
            Part::Outside => Some((usize::MAX, 0)),
        }
    }

    #[test]
    fn ranges_are_those_of_the_rfc() {
        assert_eq!(part("bytes=0-9", 100), Some((0, 9)));
        assert_eq!(part("bytes=90-", 100), Some((90, 99)));
        assert_eq!(part("bytes=-10", 100), Some((90, 99)));
        assert_eq!(part("bytes=-1000", 100), Some((0, 99)));
        assert_eq!(part("bytes=50-1000", 100), Some((50, 99)));
        for outside in ["bytes=100-", "bytes=-0", "bytes=200-300"] {
            assert_eq!(part(outside, 100), Some((usize::MAX, 0)), "{outside}");
        }
        for whole in ["bytes=5-4", "bytes=0-1,3-4", "items=0-1", "bytes=", "bytes=-", "bytes=a-b", "bytes=+1-2"] {
            assert_eq!(part(whole, 100), None, "{whole}");
        }
        assert_eq!(part("bytes=0-0", 0), Some((usize::MAX, 0)));
    }
}
