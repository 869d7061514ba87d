//! From an accepted socket to HTTP/1.1: TLS where it is spoken, then requests. What actix-web's own server does, but each
//! request's first line is read leniently, and a box's link is handed the socket.

use super::{lenient::Lenient, phone_certificates::PhoneAuthorities};
use crate::{config, kernel::Clock};
use actix_http::{HttpService, Protocol, Request, Response, body::MessageBody};
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service, map_config,
};
use actix_tls::accept::{
    TlsError,
    rustls_0_23::{Acceptor, TlsStream},
};
use actix_web::{Error, dev::AppConfig};
use std::{
    fmt::Debug,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpStream;

/// What is set for connections.
#[derive(Clone)]
struct Settings {
    keep_alive: Duration,
    request_within: Duration,
    signal: GracefulShutdownSignal,
    phones: Option<(Arc<PhoneAuthorities>, Clock)>,
}

const DISCONNECT_WITHIN: Duration = Duration::from_secs(1);

/// Serves what `app` makes, once for each worker.
pub(super) fn serve<F, I, S, B>(
    listener: TcpListener,
    (config, workers): (&config::Http, usize),
    tls: Option<rustls::ServerConfig>,
    phones: Option<(Arc<PhoneAuthorities>, Clock)>,
    app: F,
) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    actix_tls::accept::max_concurrent_tls_connect(config.tls_handshakes_max);
    let builder = ServerBuilder::default();
    let settings = Settings {
        keep_alive: Duration::from_secs(config.keep_alive_s),
        request_within: Duration::from_millis(config.client_timeout_ms),
        signal: builder.graceful_shutdown_signal(),
        phones,
    };
    let builder = builder
        .workers(workers)
        .max_concurrent_connections(config.max_connections)
        .shutdown_timeout(config.shutdown_timeout_s)
        .disable_signals();
    let builder = match tls {
        None => builder.listen("api", listener, move || {
            let readable = fn_service(async |io: TcpStream| {
                let peer = io.peer_addr().ok();
                Ok::<_, actix_http::error::DispatchError>((Lenient::new(io), Protocol::Http1, peer))
            });
            readable.and_then(requests(&settings, app()))
        })?,
        Some(mut tls) => {
            tls.alpn_protocols.insert(0, b"http/1.1".to_vec());
            builder.listen("api", listener, move || {
                Acceptor::new(tls.clone())
                    .map_init_err(|_| ())
                    .map_err(TlsError::into_service_error)
                    .map(|io: TlsStream<TcpStream>| {
                        let peer = io.get_ref().0.peer_addr().ok();
                        (Lenient::new(io), Protocol::Http1, peer)
                    })
                    .and_then(requests(&settings, app()).map_err(TlsError::Service))
            })?
        }
    };
    Ok(builder.run())
}

/// Requests on connections of one kind.
fn requests<T, I, S, B>(
    settings: &Settings,
    app: I,
) -> impl ServiceFactory<
    (Lenient<T>, Protocol, Option<SocketAddr>),
    Config = (),
    Response = (),
    Error = actix_http::error::DispatchError,
    InitError = (),
> + use<T, I, S, B>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let (signal, phones) = (settings.signal.clone(), settings.phones.clone());
    let app = app.into_factory().map_err(|error: S::Error| error.into().error_response());
    let http = HttpService::build()
        .graceful_shutdown_signal(move || {
            let signal = signal.clone();
            async move { signal.notified().await }
        })
        .keep_alive(settings.keep_alive)
        .client_request_timeout(settings.request_within)
        .client_disconnect_timeout(DISCONNECT_WITHIN)
        .on_connect_ext(move |connection: &Lenient<T>, noted| {
            noted.insert(connection.handover());
            if let (Some((authorities, clock)), Some(io)) = (&phones, connection.get_ref()) {
                authorities.look(clock, io, noted);
            }
        })
        .finish(map_config(app, |()| AppConfig::default()));
    apply_fn_factory(http, |connection: (Lenient<T>, Protocol, Option<SocketAddr>), http: &_| {
        let handover = connection.0.handover();
        // Apart, so that it takes its room only as long as there are requests.
        let requests = Box::pin(Service::call(http, connection));
        async move {
            let ended = requests.await;
            if let Some(next) = handover.take() {
                next.await;
            }
            ended
        }
    })
}
