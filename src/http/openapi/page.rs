//! The page to browse the document: Swagger UI out of the binary, nothing from elsewhere.

use crate::http::service;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{self, ServiceConfig},
};
use std::sync::{Arc, LazyLock};
use utoipa_swagger_ui::Config;

/// Nothing is loaded but from here, and nothing runs that was not shipped. Swagger UI writes styles into its elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub fn register(app: &mut ServiceConfig) {
    app.service(web::resource("/api/docs").route(web::get().to(redirect)));
    app.service(web::resource("/api/docs/{file:.*}").route(web::get().to(file)));
    app.service(web::resource("/favicon.ico").route(web::get().to(favicon)));
}

/// The page's files are named relative to its folder.
async fn redirect() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "docs/")).finish()
}

async fn file(request: HttpRequest) -> HttpResponse {
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
        let config = Config::from("/api/openapi.json").try_it_out_enabled(true).persist_authorization(false);
        Arc::new(config.deep_linking(true).display_request_duration(true).validator_url("none"))
    });
    let name = request.match_info().query("file").to_owned();
    match utoipa_swagger_ui::serve(&name, Arc::clone(&CONFIG)) {
        Ok(Some(file)) if name.is_empty() => {
            let page = String::from_utf8_lossy(&file.bytes).replace("Swagger UI", "Castellan: the HTTP API");
            sent(&file.content_type, page.into_bytes())
        }
        Ok(Some(file)) => sent(&file.content_type, file.bytes.into_owned()),
        _ => service::unknown(request).await,
    }
}

async fn favicon() -> HttpResponse {
    match utoipa_swagger_ui::serve("favicon-32x32.png", Arc::new(Config::from("/api/openapi.json"))) {
        Ok(Some(file)) => sent(&file.content_type, file.bytes.into_owned()),
        _ => HttpResponse::NoContent().finish(),
    }
}

fn sent(content_type: &str, bytes: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "max-age=3600"))
        .body(bytes)
}
