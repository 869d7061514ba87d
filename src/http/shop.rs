//! The pages of stores on the wire: routes, cookies, headers of every answer.

use super::{
    ask::read_query,
    codes::Code,
    problem::Problem,
    rates::block,
    service,
    visit::{Hidden, Visit},
};
use crate::{
    devices::page,
    iuv::{
        COOKIE, Side,
        pages::{self, ADMIN_COOKIE, Browser, Fields, Reply},
        store_of_guid,
    },
};
use actix_web::{
    HttpRequest, HttpResponse, guard,
    http::{StatusCode, header},
    web::{self, Payload},
};

const PAGE: &str = "store.page";
const WEB_STORE: &str = "/WebStore";
const SECURITY: &str = "/Security/";
const FORM_COOKIE: &str = "store_form";

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
    let Some(visit) = Visit::begin(request) else { return HttpResponse::InternalServerError().finish() };
    let working = visit.worker.begin();
    let response = match answer(&visit, payload, side).await {
        Ok(mut response) => {
            response.headers_mut().insert(service::REQUEST_ID, visit.id.clone());
            response
        }
        Err(problem) => visit.refused(PAGE, &problem),
    };
    visit.worker.store_metrics.record(response.status().as_u16(), visit.started.elapsed().as_secs_f64());
    drop(working);
    response
}

async fn answer(visit: &Visit, payload: Option<Payload>, side: Option<Side>) -> Result<HttpResponse, Problem> {
    visit.counted()?;
    let (worker, request) = (&visit.worker, &visit.request);
    let is_post = payload.is_some();
    let fields = match payload {
        None => read_query::<Fields>(request.query_string())?,
        Some(payload) => visit.form(payload).await?,
    };
    let ask = visit.ask();
    let form = visit.form_cookie(visit.cookie(FORM_COOKIE));
    let browser = Browser {
        ask: &ask,
        fields,
        is_post,
        session: visit.cookie(if side.is_some() { COOKIE } else { ADMIN_COOKIE }),
        form: form.clone(),
        own: visit.is_own_form(Hidden::Own),
        peer: request.peer_addr().map(|peer| peer.ip()),
        header: &|name| {
            let value = request.headers().get(name)?;
            std::str::from_utf8(value.as_bytes()).ok().map(str::to_owned)
        },
        language: page::preferred(visit.header(&header::ACCEPT_LANGUAGE)),
        count: &|| {
            let source = visit.from.map(block);
            worker.sign_ins.count(source, Code::TooManyFailures, worker.engine.clock().now())
        },
    };
    let reply = match side {
        Some(side) => {
            let store = store_of_guid(&visit.text("store")).ok_or(Code::RouteUnknown)?;
            pages::store_page(&browser, store, side, &visit.text("path")).await?
        }
        None => pages::admin_page(&browser, &visit.text("path")).await?,
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
