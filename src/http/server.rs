//! The listeners: the API and the box protocol on one, metrics and health on the other.

use super::{
    admission::{Admission, Class},
    auth::FailureLimit,
    body, bulk, connections,
    farewell::Farewell,
    phone_certificates::PhoneAuthorities,
    rates::{Rate, Rates},
    refusals::Refusals,
    routes,
    routes::ROUTES,
    tls::Certificate,
    uses::Uses,
};
use crate::{
    config::Config,
    delivery::webhooks,
    devices,
    engine::{Bells, Engine},
    feed::Streams,
    iuv,
    metrics::{self, AdmissionMetrics, RouteMetrics},
    operations::Operations,
    passwords::Passwords,
    recovery,
};
use ::metrics::Counter;
use actix_web::{App, HttpResponse, HttpServer, dev::Server, http::header::HeaderValue, web};
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    cell::Cell,
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinHandle};

/// What one worker thread needs to serve requests: looked up once.
pub(super) struct Worker {
    pub engine: Engine,
    pub webhooks: webhooks::Door,
    pub phones: Arc<devices::Door>,
    pub iuv: Arc<iuv::Door>,
    pub passwords: Arc<Passwords>,
    pub recovery: Arc<recovery::Door>,
    pub recovery_rate: Arc<Rate>,
    pub recovery_metrics: RouteMetrics,
    pub phone_metrics: RouteMetrics,
    pub page_metrics: RouteMetrics,
    pub store_metrics: RouteMetrics,
    pub sign_ins: Arc<Rate>,
    pub register_metrics: RouteMetrics,
    pub redeem_metrics: RouteMetrics,
    pub admission: Rc<Admission>,
    pub failures: Arc<FailureLimit>,
    pub rates: Arc<Rates>,
    pub uses: Arc<Uses>,
    pub refusals: Arc<Refusals>,
    pub streams: Arc<Streams>,
    pub authentication_failures: Counter,
    pub metrics: Vec<RouteMetrics>,
    pub body_limits: body::Limits,
    pub bulk_limits: bulk::Limits,
    pub links: LinkLimits,
    /// Places for bulk requests, of all workers.
    pub bulk_calls: Arc<Semaphore>,
    /// Proxies whose word about the client's address counts.
    pub trusted_proxies: Vec<IpNet>,
    pub speaks_tls: bool,
    pub operations: Operations,
    /// Answers end their connections from now on.
    pub stopping: Arc<AtomicBool>,
    /// Requests that this worker is working on.
    working: Arc<AtomicUsize>,
    request_prefix: [u8; 8],
    request_number: Cell<u32>,
    /// The second of the last lines in the log, and how many they were.
    logged: Cell<(u64, u32)>,
}

/// Of the links of boxes.
#[derive(Clone, Copy)]
pub(super) struct LinkLimits {
    pub max: usize,
    pub ping: Duration,
    pub silence: Duration,
}

/// Lines about slow or failed requests that a worker writes in one second.
const LOGGED_PER_S: u32 = 20;

impl Worker {
    fn new(engine: &Engine, config: &Config, shared: &Shared, number: usize) -> Rc<Self> {
        let metrics = AdmissionMetrics::of(Class::NAMES, number);
        let admission = Admission::new(&config.admission, config.workers(), engine.chance().clone(), metrics);
        actix_web::rt::spawn(Rc::clone(&admission).run());
        let random = engine.chance().bytes();
        let mut request_prefix = [0; 8];
        hex(&random[..4], &mut request_prefix);
        Rc::new(Self {
            engine: engine.clone(),
            webhooks: shared.webhooks.clone(),
            phones: Arc::clone(&shared.phones),
            iuv: Arc::clone(&shared.iuv),
            passwords: Arc::clone(&shared.passwords),
            recovery: Arc::clone(&shared.recovery),
            recovery_rate: Arc::clone(&shared.recovery_rate),
            recovery_metrics: RouteMetrics::of("recovery.page"),
            phone_metrics: RouteMetrics::of("provisioning.fetch"),
            page_metrics: RouteMetrics::of("phone.page"),
            store_metrics: RouteMetrics::of("store.page"),
            sign_ins: Arc::clone(&shared.sign_ins),
            register_metrics: RouteMetrics::of("iuv.register"),
            redeem_metrics: RouteMetrics::of("iuv.redeem"),
            admission,
            failures: Arc::clone(&shared.failures),
            rates: Arc::clone(&shared.rates),
            uses: Arc::clone(&shared.uses),
            refusals: Arc::clone(&shared.refusals),
            streams: Arc::clone(&shared.streams),
            authentication_failures: ::metrics::counter!(metrics::AUTH_FAILURES),
            metrics: ROUTES.iter().map(|route| RouteMetrics::of(route.name)).collect(),
            body_limits: body::Limits {
                packed_bytes: config.http.body_limit_bytes,
                unpacked_bytes: config.http.decompressed_limit_bytes,
                within: Duration::from_millis(config.http.client_timeout_ms),
            },
            trusted_proxies: config.http.trusted_proxies.clone(),
            speaks_tls: config.http.tls,
            operations: shared.operations.clone(),
            bulk_limits: bulk::Limits {
                body: body::Limits {
                    packed_bytes: config.bulk.body_limit_bytes,
                    unpacked_bytes: config.bulk.body_limit_bytes,
                    within: Duration::from_millis(config.bulk.client_timeout_ms),
                },
                rows_max: config.bulk.rows_max,
                rows_at_once: config.bulk.rows_at_once,
            },
            links: LinkLimits {
                max: config.links.max,
                ping: Duration::from_secs(config.links.ping_s),
                silence: Duration::from_secs(config.links.silence_s),
            },
            bulk_calls: Arc::clone(&shared.bulk_calls),
            stopping: Arc::clone(&shared.stopping),
            working: shared.add_worker(),
            request_prefix,
            request_number: Cell::new(0),
            logged: Cell::default(),
        })
    }

    /// To be held as long as a request is worked on.
    pub fn begin(&self) -> Working {
        self.working.fetch_add(1, Ordering::Relaxed);
        Working(Arc::clone(&self.working))
    }

    /// Whether there is room in this second's log.
    pub fn may_log(&self) -> bool {
        let second = self.engine.clock().now().0 / 1000;
        let lines = match self.logged.get() {
            (then, lines) if then == second => lines + 1,
            _ => 1,
        };
        self.logged.set((second, lines));
        lines <= LOGGED_PER_S
    }

    /// The caller's own id if it is a decent one, else a new one.
    pub fn request_id(&self, given: Option<&HeaderValue>) -> HeaderValue {
        let decent = |id: &&HeaderValue| {
            let id = id.as_bytes();
            let clean = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
            (1..=64).contains(&id.len()) && id.iter().all(clean)
        };
        if let Some(given) = given.filter(decent) {
            return given.clone();
        }
        let number = self.request_number.get().wrapping_add(1);
        self.request_number.set(number);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.request_prefix);
        hex(&number.to_be_bytes(), &mut id[8..]);
        HeaderValue::from_bytes(&id).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

fn hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// One request that is being worked on.
pub struct Working(Arc<AtomicUsize>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What all workers share.
#[derive(Clone)]
struct Shared {
    webhooks: webhooks::Door,
    phones: Arc<devices::Door>,
    iuv: Arc<iuv::Door>,
    passwords: Arc<Passwords>,
    sign_ins: Arc<Rate>,
    recovery: Arc<recovery::Door>,
    recovery_rate: Arc<Rate>,
    failures: Arc<FailureLimit>,
    rates: Arc<Rates>,
    uses: Arc<Uses>,
    refusals: Arc<Refusals>,
    streams: Arc<Streams>,
    bells: Arc<Bells>,
    operations: Operations,
    bulk_calls: Arc<Semaphore>,
    stopping: Arc<AtomicBool>,
    /// A count each: one for all would wander between the cores.
    working: Arc<parking_lot::Mutex<Vec<Arc<AtomicUsize>>>>,
}

impl Shared {
    fn add_worker(&self) -> Arc<AtomicUsize> {
        let working = Arc::<AtomicUsize>::default();
        self.working.lock().push(Arc::clone(&working));
        working
    }
}

/// Both listeners, served.
pub struct Serving {
    pub api: Server,
    pub observability: Server,
    pub last_answers: LastAnswers,
    pub operations: Operations,
    pub farewell: Farewell,
    /// Holds the engine: to be ended before the database is closed.
    pub upkeep: JoinHandle<()>,
}

/// So often in a row nobody may be working before the end.
const QUIET_LOOKS: u32 = 20;
const LOOK: Duration = Duration::from_millis(5);

/// How the API comes to its end.
pub struct LastAnswers(Shared);

impl LastAnswers {
    /// Makes every answer the last one of its connection: a kept one would hold up the end.
    pub fn begin(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
        self.0.streams.end();
        self.0.bells.end();
    }

    /// Waits until no request is being worked on, and none has come for a moment on a connection that was kept: it would
    /// be cut off. At most so long. All workers must live until then, also one without a connection: what another's
    /// request asks for may live there.
    pub async fn told(&self, within: Duration) {
        let works = || self.0.working.lock().iter().any(|working| working.load(Ordering::Relaxed) > 0);
        let idle = async {
            let mut quiet = 0;
            while quiet < QUIET_LOOKS {
                quiet = if works() { 0 } else { quiet + 1 };
                tokio::time::sleep(LOOK).await;
            }
        };
        // Who has not finished by then is cut off.
        let _ = tokio::time::timeout(within, idle).await;
    }
}

/// Both listeners, bound but not yet served.
pub struct Listeners {
    api: TcpListener,
    observability: TcpListener,
    certificate: Option<Arc<Certificate>>,
    phone_authorities: Option<Arc<PhoneAuthorities>>,
}

impl Listeners {
    pub fn bind(config: &Config) -> io::Result<Self> {
        if let Some(allowed) = somaxconn().filter(|allowed| *allowed < config.http.backlog) {
            tracing::warn!(
                allowed,
                backlog = config.http.backlog,
                "net.core.somaxconn is smaller than http.backlog: when many boxes return at once, connections are dropped"
            );
        }
        let with_tls = config.http.tls || config.observability.tls;
        let authorities = &config.provisioning.client_ca_file;
        let with_authorities = !authorities.as_os_str().is_empty();
        Ok(Self {
            phone_authorities: with_authorities.then(|| PhoneAuthorities::load(authorities)).transpose()?,
            certificate: with_tls.then(|| Certificate::load(&config.tls)).transpose()?,
            api: listen(config.http.listen, config.http.backlog, config.http.stalled_timeout_s)?,
            observability: listen(config.observability.listen, 128, config.http.stalled_timeout_s)?,
        })
    }

    /// Where the API listens, with the port that was chosen if 0 was configured.
    pub fn api_address(&self) -> io::Result<SocketAddr> {
        self.api.local_addr()
    }

    pub fn observability_address(&self) -> io::Result<SocketAddr> {
        self.observability.local_addr()
    }

    /// Starts serving. The API's worker threads are the engine's: each attaches itself first.
    pub fn serve(
        self,
        engine: &Engine,
        config: &Config,
        webhooks: webhooks::Door,
        metrics: Option<PrometheusHandle>,
    ) -> io::Result<Serving> {
        let failures = FailureLimit::new(config.limits.failed_authentications_per_minute, engine.up_since());
        let sign_ins = Rate::new("sign-ins", config.iuv.sign_ins_per_minute_per_source, engine.up_since());
        let operations = Operations::start(engine.clone(), config)?;
        let phones = Arc::new(devices::Door::open(config, engine.up_since())?);
        let stores = Arc::new(iuv::Door::open(config, engine).map_err(io::Error::other)?);
        let shared = Shared {
            webhooks,
            phones: Arc::clone(&phones),
            iuv: Arc::clone(&stores),
            passwords: Passwords::start(&config.passwords)?,
            sign_ins: Arc::new(sign_ins),
            recovery: Arc::new(recovery::Door::open(config).map_err(io::Error::other)?),
            recovery_rate: Arc::new(Rate::new(
                "recovery",
                config.recovery.requests_per_minute_per_source,
                engine.up_since(),
            )),
            failures: Arc::new(failures),
            uses: Arc::default(),
            rates: Arc::new(Rates::new(&config.limits, engine.up_since())),
            refusals: Arc::default(),
            streams: Arc::new(Streams::new(&config.feed)),
            bells: Arc::clone(engine.bells()),
            operations: operations.clone(),
            bulk_calls: bulk::places(config.bulk.calls_at_once),
            stopping: Arc::default(),
            working: Arc::default(),
        };
        let number = Arc::new(AtomicUsize::new(0));
        let api = {
            let (engine, config, shared) = (engine.clone(), config.clone(), shared.clone());
            move || {
                engine.attach_worker();
                let worker = Worker::new(&engine, &config, &shared, number.fetch_add(1, Ordering::Relaxed));
                App::new().app_data(worker).configure(routes::register)
            }
        };
        let farewell = Farewell::of(&self.api, config.http.tls)?;
        let certificate = self.certificate.as_ref().filter(|_| config.http.tls);
        let tls =
            certificate.map(|certificate| certificate.server_config(self.phone_authorities.clone())).transpose()?;
        let phones_known = self.phone_authorities.map(|authorities| (authorities, engine.clock().clone()));
        let api = connections::serve(self.api, (&config.http, config.workers()), tls, phones_known, api)?;
        let upkeep = actix_web::rt::spawn(upkeep(
            metrics.clone(),
            Arc::clone(&shared.failures),
            Arc::clone(&shared.rates),
            [Arc::clone(&shared.sign_ins), Arc::clone(&shared.recovery_rate)],
            phones,
            stores,
            engine.clone(),
        ));
        let state = Observed { engine: engine.clone(), metrics, stopping: Arc::clone(&shared.stopping) };
        let observability =
            HttpServer::new(move || App::new().app_data(web::Data::new(state.clone())).configure(observe))
                .workers(1)
                .disable_signals()
                .shutdown_timeout(1);
        let observability = match self.certificate.as_ref().filter(|_| config.observability.tls) {
            Some(certificate) => {
                observability.listen_rustls_0_23(self.observability, certificate.server_config(None)?)?
            }
            None => observability.listen(self.observability)?,
        }
        .run();
        if let Some(certificate) = self.certificate {
            actix_web::rt::spawn(certificate.keep_fresh());
        }
        Ok(Serving { api, observability, last_answers: LastAnswers(shared), operations, farewell, upkeep })
    }
}

/// Accepted connections inherit that who takes nothing for so long is cut off.
pub(super) fn listen(address: SocketAddr, backlog: u32, stalled_timeout_s: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_user_timeout(Some(Duration::from_secs(stalled_timeout_s.into())))?;
    socket.bind(&address.into()).map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

fn somaxconn() -> Option<u32> {
    std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse().ok()
}

#[derive(Clone)]
struct Observed {
    engine: Engine,
    stopping: Arc<AtomicBool>,
    metrics: Option<PrometheusHandle>,
}

/// Histograms gather what was recorded, quiet addresses are forgotten: as long as the server runs.
async fn upkeep(
    metrics: Option<PrometheusHandle>,
    failures: Arc<FailureLimit>,
    rates: Arc<Rates>,
    own_rates: [Arc<Rate>; 2],
    phones: Arc<devices::Door>,
    stores: Arc<iuv::Door>,
    engine: Engine,
) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        if let Some(metrics) = &metrics {
            metrics.run_upkeep();
        }
        failures.tidy();
        rates.tidy();
        own_rates.iter().for_each(|rate| rate.tidy());
        phones.tidy(engine.clock().now());
        stores.upkeep(&engine).await;
    }
}

fn observe(app: &mut web::ServiceConfig) {
    app.route("/healthz", web::get().to(async || HttpResponse::Ok().body("alive\n")))
        .route("/readyz", web::get().to(ready))
        .route("/metrics", web::get().to(scrape));
}

async fn ready(state: web::Data<Observed>) -> HttpResponse {
    if state.stopping.load(Ordering::Relaxed) {
        return HttpResponse::ServiceUnavailable().body("stopping\n");
    }
    match (state.engine.is_ready(), state.engine.is_read_only()) {
        (false, _) => HttpResponse::ServiceUnavailable().body("starting\n"),
        (true, true) => HttpResponse::ServiceUnavailable().body("read-only: the disk is nearly full\n"),
        (true, false) => HttpResponse::Ok().body("ready\n"),
    }
}

async fn scrape(state: web::Data<Observed>) -> HttpResponse {
    let Some(rendered) = &state.metrics else { return HttpResponse::NotFound().finish() };
    metrics::observe(&state.engine);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(rendered.render())
}
