//! The yardstick of the load test: a bare handler that parses the same bytes and answers as many, with nothing behind it.

use crate::boxes::api::decode_sync;
use actix_web::{App, HttpResponse, HttpServer, http::header, web};
use std::{io, net::SocketAddr, time::Duration};

/// About what a sync of ten entries is answered with.
const ANSWER: [u8; 1024] = [b'x'; 1024];

async fn echo(body: web::Bytes) -> HttpResponse {
    match decode_sync(&body) {
        Ok(request) if request.head < u64::MAX => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, header::HeaderValue::from_static("application/json")))
            .body(&ANSWER[..]),
        Ok(_) | Err(_) => HttpResponse::BadRequest().finish(),
    }
}

/// Serves `POST /echo` with the same worker count and connection settings as the server.
pub fn run(listen: SocketAddr, workers: usize) -> io::Result<()> {
    let mut config = crate::config::Config::default();
    config.http.workers = workers;
    let listener = super::server::listen(listen, config.http.backlog, config.http.stalled_timeout_s)?;
    actix_web::rt::System::new().block_on(
        HttpServer::new(|| App::new().route("/echo", web::post().to(echo)))
            .workers(config.workers())
            .max_connections(config.http.max_connections)
            .keep_alive(Duration::from_secs(config.http.keep_alive_s))
            .client_request_timeout(Duration::from_millis(config.http.client_timeout_ms))
            .listen(listener)?
            .run(),
    )
}
