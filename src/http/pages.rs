//! The pages that recovery's mails lead to. They speak HTML, so they do not stand in the route table.

use super::{
    codes::Code,
    problem::Problem,
    service,
    visit::{Hidden, Visit},
};
use crate::{
    devices::page::{named, preferred},
    orgs::Language,
    recovery::{
        api::reset::{self, Sent, Shown, Step},
        page::{self, Page},
    },
};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method, StatusCode,
        header::{self, HeaderName},
    },
    web::{self, Payload},
};
use serde::Deserialize;

pub(super) fn register(app: &mut web::ServiceConfig) {
    for path in ["link", "code", "reset", "stop"].map(|page| format!("/recovery/{page}/{{token}}")) {
        let page = web::resource(&*path)
            .route(web::get().to(serve))
            .route(web::head().to(serve))
            .route(web::post().to(serve))
            .default_service(web::to(async |request: HttpRequest| {
                service::method_not_allowed(&request, "GET, HEAD, POST")
            }));
        app.service(page);
    }
}

const ROUTE: &str = "recovery.page";

async fn serve(request: HttpRequest, payload: Payload) -> HttpResponse {
    let Some(visit) = Visit::begin(request) else { return HttpResponse::InternalServerError().finish() };
    let working = visit.worker.begin();
    let response = match answer(&visit, payload).await {
        Ok(response) => response,
        Err(problem) => visit.refused(ROUTE, &problem),
    };
    visit.worker.recovery_metrics.record(response.status().as_u16(), visit.started.elapsed().as_secs_f64());
    drop(working);
    response
}

#[derive(Deserialize)]
struct Form {
    #[serde(default)]
    code: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    again: String,
}

async fn answer(visit: &Visit, payload: Payload) -> Result<HttpResponse, Problem> {
    visit.counted()?;
    let ask = visit.ask();
    ask.count_recovery()?;
    let token = visit.text("token");
    let posts = visit.request.method() == Method::POST;
    let sent = match posts {
        false => None,
        true => {
            let Form { code, name, password, again } = visit.form(payload).await?;
            Some(Sent { code, name, password: password.into(), again: again.into() })
        }
    };
    if posts && !visit.is_own_form(Hidden::Own) {
        return shown(visit, Shown { step: Step::Page(Page::Foreign), language: None });
    }
    let page = visit.request.path().split('/').nth(2).unwrap_or_default();
    let told = match page {
        "link" => reset::link(&ask, &token, posts).await,
        "stop" => reset::stop(&ask, &token, posts).await,
        "code" => reset::code(&ask, &token, sent.as_ref()).await,
        _ => reset::reset(&ask, &token, sent.as_ref()).await,
    };
    match told {
        Ok(told) => shown(visit, told),
        Err(problem) => {
            let page = match problem.code() {
                Code::Busy => Page::Busy,
                Code::DirectoryRefused => Page::Directory { refused: true },
                Code::DirectoryUnavailable => Page::Directory { refused: false },
                _ => return Err(problem),
            };
            shown(visit, Shown { step: Step::Page(page), language: None })
        }
    }
}

fn language(visit: &Visit, installation: Option<Language>) -> Language {
    let chosen = visit.request.query_string().strip_prefix("language=").and_then(named);
    let liked = || preferred(visit.header(&header::ACCEPT_LANGUAGE));
    chosen.or(installation).or_else(liked).unwrap_or(Language::En)
}

fn shown(visit: &Visit, shown: Shown) -> Result<HttpResponse, Problem> {
    let language = language(visit, shown.language);
    let mut response = match &shown.step {
        Step::Page(page) => HttpResponse::build(StatusCode::from_u16(page.status()).unwrap_or(StatusCode::OK)),
        Step::Go(..) => HttpResponse::SeeOther(),
    };
    response
        .insert_header((service::REQUEST_ID, visit.id.clone()))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, page::content_security_policy()))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((HeaderName::from_static("x-robots-tag"), "noindex"))
        // The address is the secret.
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    match shown.step {
        // Relative: whatever the request's `Host` said.
        Step::Go(page, token) => {
            Ok(response.insert_header((header::LOCATION, format!("../{page}/{}", &*token))).finish())
        }
        Step::Page(page) => {
            let least = visit.worker.recovery.password_characters_min;
            let html = page::render(language, &page, least)
                .map_err(|error| Problem::detailed(Code::Internal, error.to_string()))?;
            Ok(response
                .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
                .insert_header((header::CONTENT_LANGUAGE, language.tag()))
                .insert_header((header::VARY, "Accept-Language"))
                .body(html))
        }
    }
}
