//! From an HTTP request to its answer: request id, authentication, body, handler, problem, measurement.

use super::{
    ask::{Ask, Reply, Stream},
    auth::{self, BoxToken, Caller},
    body::{self, Encoding},
    client_address::client_address,
    codes::Code,
    etag::{self, Conditions, Judged},
    idempotency::Idempotency,
    problem::Problem,
    routes::{Guard, Route},
    server::Worker,
};
use crate::{
    kernel::{Codec, time},
    metrics,
};
use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        ConnectionType, Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    web::{Bytes, Payload},
};
use std::{cell::Cell, convert::Infallible, net::IpAddr, rc::Rc, sync::atomic::Ordering, time::Duration};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Tells a proxy to pass on what it gets at once.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");
/// As draft-ietf-httpapi-ratelimit-headers-10 writes them.
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// RFC 9745 and RFC 8594.
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");
/// Whoever keeps an answer asks again with its tag.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Longer requests are logged.
const SLOW: Duration = Duration::from_secs(1);

/// Serves one request of a known route.
pub(super) async fn serve(
    route: &'static Route,
    number: usize,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let started = time::instant();
    let Some(worker) = request.app_data::<Rc<Worker>>().cloned() else {
        return HttpResponse::InternalServerError().finish();
    };
    let _working = worker.begin();
    let request_id = worker.request_id(request.headers().get(REQUEST_ID));
    let result = handle(route, &worker, request, payload).await;
    let (status, mut response) = match result {
        Ok((reply, tag)) => (reply.status, success(reply, tag, request_id.clone())),
        Err(problem) => (problem.status(), failure(&problem, request_id.clone())),
    };
    if worker.stopping.load(Ordering::Relaxed) {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    let took = started.elapsed();
    worker.metrics[number].record(status, took.as_secs_f64());
    // A 503 is an answer of the plan, counted by its code; in a storm nobody reads thousands of lines.
    if (took > SLOW || status == 500) && worker.may_log() {
        let id = request_id.to_str().unwrap_or_default();
        tracing::info!(
            route = route.name,
            status,
            took_ms = took.as_millis() as u64,
            request_id = id,
            "slow or failed"
        );
    }
    response
}

async fn handle(
    route: &'static Route,
    worker: &Rc<Worker>,
    request: HttpRequest,
    payload: Payload,
) -> Result<(Reply, Option<String>), Problem> {
    let from = client_address(&request, &worker.trusted_proxies);
    let caller = match authenticate(route, worker, &request).await {
        Ok(caller) => caller,
        Err(problem) => return Err(refusal(route.name, worker, Caller::Nobody, from, problem)),
    };
    let counted = match caller {
        Caller::Box(_) | Caller::Shopper(_) => Ok(()),
        Caller::Nobody | Caller::Token { .. } => worker.rates.count(&caller, from, worker.engine.clock().now()),
    };
    if let Err(problem) = counted.and_then(|()| permitted(route, &caller)) {
        return Err(refusal(route.name, worker, caller, from, problem));
    }
    let body =
        if route.method == Method::GET { Bytes::new() } else { read_body(route, worker, &request, payload).await? };
    let idempotency = match Ask::header(&request, &IDEMPOTENCY_KEY) {
        Some(key) if route.method == Method::POST => {
            let principal = caller.principal().to_bytes();
            // Of many rows each has its own content.
            let content: &[u8] = if route.is_bulk() { &[] } else { &body };
            Some(Idempotency::of(key, &principal, request.method().as_str(), request.path(), content)?)
        }
        _ => None,
    };
    let reads = route.method == Method::GET;
    let (conditions, changed) = match route.guard {
        Guard::Token(_) => (Conditions::of(request.headers())?, (!reads).then(Rc::<Cell<Option<u64>>>::default)),
        Guard::Nobody | Guard::Box => Default::default(),
    };
    if conditions.wants_a_match() && route.creates() {
        let detail = "what this request makes is not there yet, so that nothing matches";
        return Err(Problem::detailed(Code::PreconditionFailed, detail));
    }
    let none = Conditions::default();
    let (for_read, for_change) = if reads { (conditions, none) } else { (none, conditions) };
    let ask = Ask {
        engine: worker.engine.clone(),
        caller,
        from,
        idempotency,
        conditions: for_change,
        changed: changed.clone(),
        worker: Rc::clone(worker),
        class: route.class,
        request,
        body,
        names: Vec::new(),
        dry_run: None,
    };
    let reply = (route.handler)(ask).await.map_err(|problem| refusal(route.name, worker, caller, from, problem))?;
    match changed.and_then(|changed| changed.get()) {
        Some(revision) => Ok((reply, Some(etag::of_change(revision)))),
        None => shown(reply, &for_read),
    }
}

/// Whoever has these bytes is not given them again.
fn shown(mut reply: Reply, conditions: &Conditions) -> Result<(Reply, Option<String>), Problem> {
    let Some(shows) = reply.shows else { return Ok((reply, None)) };
    let tag = shows.tag(&reply.json);
    match conditions.judge(shows, &tag) {
        Judged::Show => {}
        Judged::NotModified => reply = Reply { shows: Some(shows), ..Reply::bytes(304, Vec::new()) },
        Judged::Failed => return Err(Code::PreconditionFailed.into()),
    }
    Ok((reply, Some(tag)))
}

async fn authenticate(route: &Route, worker: &Worker, request: &HttpRequest) -> Result<Caller, Problem> {
    let header = Ask::header(request, &header::AUTHORIZATION);
    match route.guard {
        Guard::Nobody => Ok(Caller::Nobody),
        Guard::Box => {
            let token = auth::bearer(header).ok().and_then(BoxToken::parse);
            token.map(Caller::Box).ok_or_else(|| Code::BoxTokenInvalid.into())
        }
        Guard::Token(_) => {
            let (caller, last_used) = auth::caller(&worker.engine, auth::bearer(header)?).await?;
            if let Caller::Token { token, org, .. } = caller {
                worker.uses.note(&worker.engine, token.at(org), last_used, worker.engine.clock().now());
            }
            Ok(caller)
        }
    }
}

fn permitted(route: &Route, caller: &Caller) -> Result<(), Problem> {
    match (route.guard, caller) {
        (Guard::Token(wanted), Caller::Token { scopes, .. }) => auth::allow(*scopes, wanted),
        _ => Ok(()),
    }
}

/// Counts and notes what somebody is refused; a source that failed to show who it is too often hears of that instead.
#[cold]
pub(super) fn refusal(
    route: &'static str,
    worker: &Worker,
    caller: Caller,
    from: Option<IpAddr>,
    problem: Problem,
) -> Problem {
    let problem = count_failure(worker, from, problem);
    worker.refusals.note(route, caller, from, &problem, worker.engine.clock().now());
    problem
}

fn count_failure(worker: &Worker, from: Option<IpAddr>, problem: Problem) -> Problem {
    if !problem.is_failed_authentication() {
        return problem;
    }
    worker.authentication_failures.increment(1);
    worker.failures.failed(from, problem, worker.engine.clock().now())
}

async fn read_body(route: &Route, worker: &Worker, request: &HttpRequest, payload: Payload) -> Result<Bytes, Problem> {
    let content_type = Ask::header(request, &header::CONTENT_TYPE);
    let limits = match route.is_bulk() {
        true => body::check_rows_type(content_type).map(|()| worker.bulk_limits.body)?,
        false => body::check_content_type(content_type).map(|()| worker.body_limits)?,
    };
    let encoding = Encoding::of(Ask::header(request, &header::CONTENT_ENCODING))?;
    let announced = Ask::header(request, &header::CONTENT_LENGTH)
        .and_then(|length| std::str::from_utf8(length).ok())
        .and_then(|length| length.parse().ok());
    body::read(payload, announced, encoding, limits).await
}

/// For what no route knows.
pub(super) async fn unknown(request: HttpRequest) -> HttpResponse {
    refused(&request, Code::RouteUnknown.into())
}

/// For a path that is known, with a method that is not.
pub(super) fn method_not_allowed(request: &HttpRequest, methods: &str) -> HttpResponse {
    refused(request, Problem::from(Code::MethodNotAllowed).allow(methods.to_owned()))
}

fn refused(request: &HttpRequest, problem: Problem) -> HttpResponse {
    let Some(worker) = request.app_data::<Rc<Worker>>() else { return HttpResponse::InternalServerError().finish() };
    let request_id = worker.request_id(request.headers().get(REQUEST_ID));
    failure(&problem, request_id)
}

fn success(reply: Reply, tag: Option<String>, request_id: HeaderValue) -> HttpResponse {
    let mut response = HttpResponse::build(status(reply.status));
    response.insert_header((REQUEST_ID, request_id));
    if let Some(tag) = tag {
        response.insert_header((header::ETAG, tag));
        if reply.shows.is_some() {
            response.insert_header((header::CACHE_CONTROL, ASK_AGAIN));
        }
    }
    if let Some(stream) = reply.stream {
        return streamed(response, stream);
    }
    if reply.json.is_empty() {
        return response.finish();
    }
    if reply.varies {
        response.insert_header((header::VARY, HeaderValue::from_static("Accept")));
    }
    if let Some(old) = reply.old {
        response
            .insert_header((DEPRECATION, format!("@{}", old.deprecated_since_s)))
            .insert_header((SUNSET, old.sunset))
            .append_header((header::LINK, format!("<{}>; rel=\"successor-version\"", old.successor)));
    }
    if let Some(link) = reply.link {
        response.append_header((header::LINK, link));
    }
    response.insert_header((header::CONTENT_TYPE, HeaderValue::from_static(reply.content_type))).body(reply.json)
}

/// The connection ends with the stream: a stopping server need not wait for it.
fn streamed(mut response: HttpResponseBuilder, stream: Stream) -> HttpResponse {
    let pieces = futures_util::stream::unfold(stream.pieces, async |mut pieces| {
        pieces.recv().await.map(|piece| (Ok::<_, Infallible>(Bytes::from(piece)), pieces))
    });
    response
        .force_close()
        .insert_header((header::CONTENT_TYPE, stream.content_type))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((UNBUFFERED, "no"))
        .streaming(pieces)
}

#[cold]
pub(super) fn failure(problem: &Problem, request_id: HeaderValue) -> HttpResponse {
    ::metrics::counter!(metrics::HTTP_PROBLEMS, "code" => problem.code().as_str()).increment(1);
    let json = problem.to_json(request_id.to_str().unwrap_or_default());
    let mut response = HttpResponse::build(status(problem.status()));
    response.insert_header((REQUEST_ID, request_id)).insert_header((header::CONTENT_TYPE, PROBLEM_JSON));
    if let Some(seconds) = problem.retry_after() {
        response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        if let Some(limit) = problem.limit() {
            response.insert_header((RATE_LIMIT_POLICY, limit.to_policy()));
            response.insert_header((RATE_LIMIT, limit.to_state(seconds)));
        }
    }
    if let Some(methods) = problem.allowed() {
        response.insert_header((header::ALLOW, methods));
    }
    if problem.status() == 401 {
        response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
    }
    response.body(json)
}

fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
