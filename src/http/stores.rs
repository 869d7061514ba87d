//! What customers' servers and shoppers' browsers see of HTTP when they speak IUV: plain text for the ones, a redirect
//! or a page for the others, never a problem in JSON. Paths in any case, as existing customers write them.

use super::{
    admission::Class,
    ask::Ask,
    body::{self, Encoding},
    client_address::{client_address, is_over_tls},
    codes::Code,
    problem::Problem,
    server::Worker,
    service,
};
use crate::{
    iuv::{
        page,
        wire::{self, Answer, Given, Redeemed},
    },
    kernel::time,
    orgs::Language,
};
use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    web::{self, Bytes, Payload},
};
use std::{rc::Rc, time::Instant};

/// The paths as they are documented and given out.
pub(super) fn register_as_written(app: &mut web::ServiceConfig) {
    register(app, |page| format!("/WebStore/Security/{page}"));
}

/// The paths as customers' programs write them. The flag holds to the end of its group.
pub(super) fn register_in_any_case(app: &mut web::ServiceConfig) {
    register(app, |page| {
        let page = page.replace('.', r"\.");
        format!("/{{web_store:(?i)webstore}}/{{security:(?i)security}}/{{page:(?i){page}}}")
    });
}

fn register(app: &mut web::ServiceConfig, path: impl Fn(&str) -> String) {
    app.service(
        web::resource(path("AuthenticateUser.aspx"))
            .route(web::get().to(register_by_query))
            .default_service(web::to(async |request| other_method(request, "GET"))),
    );
    app.service(
        web::resource(path("AuthenticateUser.ashx"))
            .route(web::post().to(register_by_json))
            .default_service(web::to(async |request| other_method(request, "POST"))),
    );
    app.service(
        web::resource(path("IntegratedSignIn.aspx"))
            .route(web::get().to(redeem))
            .route(web::head().to(redeem))
            .default_service(web::to(async |request| other_method(request, "GET, HEAD"))),
    );
}

fn other_method(request: HttpRequest, methods: &'static str) -> HttpResponse {
    let Some(visit) = Visit::begin(request) else { return HttpResponse::InternalServerError().finish() };
    visit.text(StatusCode::METHOD_NOT_ALLOWED, String::new(), |response| {
        response.insert_header((header::ALLOW, methods));
    })
}

const REGISTER: &str = "iuv.register";
const REDEEM: &str = "iuv.redeem";

struct Visit {
    ask: Ask,
    id: HeaderValue,
    started: Instant,
}

impl Visit {
    fn begin(request: HttpRequest) -> Option<Self> {
        let worker = request.app_data::<Rc<Worker>>().cloned()?;
        let id = worker.request_id(request.headers().get(service::REQUEST_ID));
        let from = client_address(&request, &worker.trusted_proxies);
        let ask = Ask::of_nobody(worker, from, Class::PersonAtBox, request, Bytes::new());
        Some(Self { ask, id, started: time::instant() })
    }

    fn worker(&self) -> &Rc<Worker> {
        &self.ask.worker
    }

    /// Whether nobody could listen on the way here.
    fn is_safe(&self) -> bool {
        let (request, worker) = (&self.ask.request, self.worker());
        let from_here = self.ask.from.is_some_and(|from| from.is_loopback());
        is_over_tls(request, worker.speaks_tls, &worker.trusted_proxies)
            || (from_here && worker.iuv.takes_plain_from_loopback())
    }

    fn text(&self, status: StatusCode, text: String, more: impl FnOnce(&mut HttpResponseBuilder)) -> HttpResponse {
        let mut response = HttpResponse::build(status);
        response
            .insert_header((service::REQUEST_ID, self.id.clone()))
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
            .insert_header((header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")));
        more(&mut response);
        response.body(text)
    }

    fn note(&self, route: &'static str, problem: &Problem) {
        let now = self.ask.now();
        self.worker().refusals.note(route, self.ask.caller, self.ask.from, problem, now);
    }
}

async fn register_by_query(request: HttpRequest) -> HttpResponse {
    registered(request, None).await
}

async fn register_by_json(request: HttpRequest, payload: Payload) -> HttpResponse {
    registered(request, Some(payload)).await
}

async fn registered(request: HttpRequest, payload: Option<Payload>) -> HttpResponse {
    let Some(visit) = Visit::begin(request) else { return HttpResponse::InternalServerError().finish() };
    let _working = visit.worker().begin();
    let response = match given(&visit, payload).await {
        Ok(given) if visit.is_safe() => answered(&visit, wire::register(&visit.ask, &given).await),
        Ok(given) => {
            let language = wire::exposed(&visit.ask, &given).await;
            visit.note(REGISTER, &Problem::detailed(Code::Invalid, "over plain HTTP"));
            visit.text(StatusCode::BAD_REQUEST, wire::only_over_tls(language).to_owned(), |_| {})
        }
        Err(problem) => {
            visit.note(REGISTER, &problem);
            let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::BAD_REQUEST);
            visit.text(status, String::new(), |_| {})
        }
    };
    let (status, took) = (response.status().as_u16(), visit.started.elapsed());
    visit.worker().register_metrics.record(status, took.as_secs_f64());
    response
}

async fn given(visit: &Visit, payload: Option<Payload>) -> Result<Given, Problem> {
    let Some(payload) = payload else { return Ok(Given::from_query(visit.ask.request.query_string().as_bytes())) };
    let body = body::read(payload, None, Encoding::Identity, visit.worker().body_limits).await?;
    Given::from_json(&body).ok_or_else(|| Problem::detailed(Code::Malformed, "expected a JSON object"))
}

fn answered(visit: &Visit, answer: Answer) -> HttpResponse {
    match answer {
        Answer::Url(url) => visit.text(StatusCode::OK, url, |_| {}),
        Answer::Refused { messages, language } => {
            let numbers: Vec<_> = messages.iter().map(|message| message.number().to_string()).collect();
            visit.note(REGISTER, &Problem::detailed(Code::Invalid, format!("message {}", numbers.join(", "))));
            visit.text(StatusCode::BAD_REQUEST, wire::joined(&messages, language), |_| {})
        }
        Answer::TooMany { retry_after_s, language } => {
            visit.note(REGISTER, &Code::TooManyFailures.into());
            visit.text(StatusCode::TOO_MANY_REQUESTS, wire::too_many(language).to_owned(), |response| {
                response.insert_header((header::RETRY_AFTER, retry_after_s.to_string()));
            })
        }
        Answer::Failed { problem, language } => {
            visit.note(REGISTER, &problem);
            tracing::error!(code = problem.code().as_str(), "a shopper could not be registered");
            let status = StatusCode::from_u16(problem.status()).ok().filter(StatusCode::is_server_error);
            let text = wire::our_fault(language).to_owned();
            visit.text(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), text, |response| {
                if let Some(seconds) = problem.retry_after() {
                    response.insert_header((header::RETRY_AFTER, seconds.to_string()));
                }
            })
        }
    }
}

async fn redeem(request: HttpRequest) -> HttpResponse {
    let Some(visit) = Visit::begin(request) else { return HttpResponse::InternalServerError().finish() };
    let _working = visit.worker().begin();
    let response = match *visit.ask.request.method() {
        // Whoever only looks ahead has not come.
        Method::HEAD => visit.text(StatusCode::OK, String::new(), |_| {}),
        _ => redeemed(&visit).await,
    };
    let (status, took) = (response.status().as_u16(), visit.started.elapsed());
    visit.worker().redeem_metrics.record(status, took.as_secs_f64());
    response
}

async fn redeemed(visit: &Visit) -> HttpResponse {
    match wire::redeem(&visit.ask, visit.ask.request.query_string().as_bytes()).await {
        Ok(Redeemed::Welcome { url, cookie }) => visit.text(StatusCode::FOUND, String::new(), |response| {
            response
                .insert_header((header::LOCATION, url))
                .insert_header((header::SET_COOKIE, cookie))
                .insert_header((header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")));
        }),
        Ok(Redeemed::No { language }) => {
            visit.note(REDEEM, &Problem::detailed(Code::Forbidden, "the token opens nothing"));
            sorry(visit, StatusCode::FORBIDDEN, language, None)
        }
        Ok(Redeemed::TooMany { retry_after_s }) => {
            visit.note(REDEEM, &Code::TooManyFailures.into());
            sorry(visit, StatusCode::TOO_MANY_REQUESTS, None, Some(retry_after_s))
        }
        Err(problem) => {
            visit.note(REDEEM, &problem);
            let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            sorry(visit, status, None, problem.retry_after())
        }
    }
}

/// The same page, whatever the reason.
fn sorry(visit: &Visit, status: StatusCode, language: Option<Language>, retry_after_s: Option<u32>) -> HttpResponse {
    let accepted = visit.ask.request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let language = language.or_else(|| crate::devices::page::preferred(accepted)).unwrap_or(Language::It);
    let mut response = HttpResponse::build(status);
    response
        .insert_header((service::REQUEST_ID, visit.id.clone()))
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")))
        .insert_header((header::CONTENT_LANGUAGE, language.tag()))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .insert_header((header::CONTENT_SECURITY_POLICY, page::content_security_policy()))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .insert_header((header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")));
    if let Some(seconds) = retry_after_s {
        response.insert_header((header::RETRY_AFTER, seconds.to_string()));
    }
    response.body(page::sorry(language))
}
