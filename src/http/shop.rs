//! The pages of stores on the wire: routes, cookies, headers of every answer.

use super::{
    admission::Class,
    ask::{Ask, read_query},
    auth::Caller,
    body::{self, Encoding},
    client_address::client_address,
    codes::Code,
    problem::Problem,
    rates::block,
    server::Worker,
    service,
};
use crate::{
    devices::page,
    iuv::{
        COOKIE, Side,
        pages::{self, ADMIN_COOKIE, Browser, Fields, Reply},
        store_of_guid,
    },
    kernel::time,
};
use actix_web::{
    HttpRequest, HttpResponse, guard,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
    web::{self, Bytes, Payload},
};
use std::rc::Rc;

const PAGE: &str = "store.page";
const WEB_STORE: &str = "/WebStore";
const SECURITY: &str = "/Security/";
const FORM_COOKIE: &str = "store_form";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

pub(super) fn register(app: &mut web::ServiceConfig) {
    let refuse = async |request: HttpRequest| service::method_not_allowed(&request, "GET, POST");
    // What customers' servers and redeemed tokens ask for is no store, in whatever case they write it.
    let is_shop = guard::fn_guard(|context| {
        let behind = context.head().uri.path().get(WEB_STORE.len()..).and_then(|path| path.get(..SECURITY.len()));
        !behind.is_some_and(|path| path.eq_ignore_ascii_case(SECURITY))
    });
    let mut shop = web::scope(WEB_STORE).guard(is_shop);
    for (path, side) in [("/Test/{store}/{path:.*}", Side::Test), ("/{store}/{path:.*}", Side::Real)] {
        let get = move |request: HttpRequest| serve(request, None, Some(side));
        let post = move |request: HttpRequest, payload: Payload| serve(request, Some(payload), Some(side));
        shop = shop.service(
            web::resource(path).route(web::get().to(get)).route(web::post().to(post)).default_service(web::to(refuse)),
        );
    }
    app.service(shop);
    for path in ["/admin", "/admin/{path:.*}"] {
        let get = |request: HttpRequest| serve(request, None, None);
        let post = |request: HttpRequest, payload: Payload| serve(request, Some(payload), None);
        app.service(
            web::resource(path).route(web::get().to(get)).route(web::post().to(post)).default_service(web::to(refuse)),
        );
    }
}

async fn serve(request: HttpRequest, payload: Option<Payload>, side: Option<Side>) -> HttpResponse {
    let Some(worker) = request.app_data::<Rc<Worker>>().cloned() else {
        return HttpResponse::InternalServerError().finish();
    };
    let (working, started) = (worker.begin(), time::instant());
    let id = worker.request_id(request.headers().get(service::REQUEST_ID));
    let response = match answer(&worker, &request, payload, side).await {
        Ok(mut response) => {
            response.headers_mut().insert(service::REQUEST_ID, id);
            response
        }
        Err(problem) => {
            let from = client_address(&request, &worker.trusted_proxies);
            worker.refusals.note(PAGE, Caller::Nobody, from, &problem, worker.engine.clock().now());
            service::failure(&problem, id)
        }
    };
    worker.store_metrics.record(response.status().as_u16(), started.elapsed().as_secs_f64());
    drop(working);
    response
}

async fn answer(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    payload: Option<Payload>,
    side: Option<Side>,
) -> Result<HttpResponse, Problem> {
    let from = client_address(request, &worker.trusted_proxies);
    worker.rates.count(&Caller::Nobody, from, worker.engine.clock().now())?;
    let is_post = payload.is_some();
    let fields = match payload {
        None => read_query::<Fields>(request.query_string())?,
        Some(payload) => {
            let bytes = body::read(payload, None, Encoding::Identity, worker.body_limits).await?;
            read_query::<Fields>(std::str::from_utf8(&bytes).map_err(|_| Code::Malformed)?)?
        }
    };
    let ask = Ask::of_nobody(Rc::clone(worker), from, Class::PersonAtBox, request.clone(), Bytes::new());
    let text = |name: &str| request.match_info().get(name).unwrap_or_default().to_owned();
    let form = cookie(request, FORM_COOKIE);
    let form = form.filter(|form| form.len() == 32 && form.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let form = form.unwrap_or_else(|| format!("{:032x}", worker.engine.chance().id()));
    let language = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let browser = Browser {
        ask: &ask,
        fields,
        is_post,
        session: cookie(request, if side.is_some() { COOKIE } else { ADMIN_COOKIE }),
        form: form.clone(),
        own: is_own_form(request, ask.iuv().base_url()),
        peer: request.peer_addr().map(|peer| peer.ip()),
        header: &|name| {
            let value = request.headers().get(name)?;
            std::str::from_utf8(value.as_bytes()).ok().map(str::to_owned)
        },
        language: page::preferred(language),
        count: &|| {
            let source = from.map(block);
            worker.sign_ins.count(source, Code::TooManyFailures, worker.engine.clock().now())
        },
    };
    let reply = match side {
        Some(side) => {
            let store = store_of_guid(&text("store")).ok_or(Code::RouteUnknown)?;
            pages::store_page(&browser, store, side, &text("path")).await?
        }
        None => pages::admin_page(&browser, &text("path")).await?,
    };
    let secure = if ask.iuv().base_url().starts_with("http://") { "" } else { "; Secure" };
    let form_line = format!("{FORM_COOKIE}={form}; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600{secure}");
    Ok(sent(reply, form_line))
}

fn sent(reply: Reply, form_line: String) -> HttpResponse {
    let (mut response, cookie) = match &reply {
        Reply::Page { status, cookie, .. } => {
            (HttpResponse::build(StatusCode::from_u16(*status).unwrap_or(StatusCode::OK)), cookie.clone())
        }
        Reply::To { cookie, .. } => (HttpResponse::SeeOther(), cookie.clone()),
    };
    response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // A link's key stands in its address.
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .append_header((header::SET_COOKIE, form_line));
    if let Some(cookie) = cookie {
        response.append_header((header::SET_COOKIE, cookie));
    }
    match reply {
        Reply::To { url, .. } => response.insert_header((header::LOCATION, url)).finish(),
        Reply::Page { html, language, elsewhere, .. } => response
            .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
            .insert_header((header::CONTENT_LANGUAGE, language.tag()))
            .insert_header((header::CONTENT_SECURITY_POLICY, pages::content_security_policy(elsewhere.as_deref())))
            .body(html),
    }
}

/// A cookie, if it came.
fn cookie(request: &HttpRequest, wanted: &str) -> Option<String> {
    let lines = request.headers().get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
}

/// Whether a browser says that the form came from here. One that says nothing, or that hides it as our pages' referrer
/// policy has it, is judged by its token alone.
fn is_own_form(request: &HttpRequest, base_url: &str) -> bool {
    let text = |name: &HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let site = text(&SEC_FETCH_SITE).is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin = text(&header::ORIGIN).filter(|origin| *origin != "null").is_none_or(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host.is_some()
            && (host == text(&header::HOST) || base_url == origin || base_url.starts_with(&format!("{origin}/")))
    });
    site && origin
}
